/* A client for what wrk can't do: streams that are kept open, and the time until the first chunk.
 *
 * Usage: streams PORT FILE hold N      open N streams and read them. One is opened each 0.73 ms, so that their chunks
 *                                      don't all come at the same moment, and no more than 100 are being opened at a
 *                                      time. Prints a line of JSON when all have had a chunk, after a minute at the
 *                                      latest, and one for each line on its standard input; ends with that input.
 *        streams PORT FILE first N     N streams one after the other on one connection; prints how long the first words
 *                                      and the whole stream took.
 *
 * FILE has the request as it goes over the wire. A chunk is an event that begins with "data: {".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char MARK[] = "data: {";
static const char END[] = "0\r\n\r\n";
#define APART 730 /* microseconds */
#define PATIENCE 60e6 /* microseconds until all streams must have begun */

typedef struct { int fd, number, matched, begun; } Stream;

static struct sockaddr_in address = {.sin_family = AF_INET};
static char request[1 << 16], buffer[1 << 18];
static size_t request_size;
static int poller, wanted, opening, begun, ended, failed;
static long long chunks;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int connected(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address)) { close(fd); return -1; }
    return fd;
}

/* Count the marks in what came, whatever pieces they came in. */
static int count(const char *data, ssize_t size, int *matched) {
    int found = 0, at = *matched;
    for (ssize_t i = 0; i < size; i++) {
        if (at == 0) {
            const char *next = memchr(data + i, MARK[0], (size_t)(size - i));
            if (!next) break;
            i = next - data;
        }
        at = data[i] == MARK[at] ? at + 1 : data[i] == MARK[0];
        if (at == (int)sizeof MARK - 1) { found++; at = 0; }
    }
    *matched = at;
    return found;
}

static void open_one(void) {
    static int number;
    Stream *s = calloc(1, sizeof *s);
    if (!s) abort();
    s->number = number++;
    s->fd = connected();
    if (s->fd < 0 || send(s->fd, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size) { failed++; return; }
    struct epoll_event wish = {.events = EPOLLIN, .data.ptr = s};
    epoll_ctl(poller, EPOLL_CTL_ADD, s->fd, &wish);
    opening++;
}

static void tell(void) {
    printf("{\"begun\": %d, \"ended\": %d, \"failed\": %d, \"chunks\": %lld}\n", begun, ended, failed, chunks);
    fflush(stdout);
}

/* Read what a stream has; whoever ends early is counted and not opened again. */
static void read_stream(Stream *s) {
    ssize_t n = recv(s->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    int found = n > 0 ? count(buffer, n, &s->matched) : 0;
    chunks += found;
    if (found && !s->begun) { s->begun = 1; begun++; opening--; }
    int over = n > 0 && !s->begun && n >= 12 && memcmp(buffer + 9, "200", 3) && !memcmp(buffer, "HTTP/1.1", 8);
    int last = n >= 5 && !memcmp(buffer + n - 5, END, 5);
    if (n > 0 && !over && !last) return;
    if (s->begun) ended++; else { failed++; opening--; }
    close(s->fd);
    free(s);
}

static int hold(void) {
    struct epoll_event wish = {.events = EPOLLIN, .data.ptr = NULL}, ready[512];
    int opened = 0, told = 0;
    double due = now(), latest = due + PATIENCE;
    poller = epoll_create1(0);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, 0, &wish)) { fprintf(stderr, "streams: standard input must be a pipe\n"); return 2; }
    for (;;) {
        while (opened < wanted && opening < 100 && now() >= due) { open_one(); opened++; due += APART; }
        if (!told && (begun + failed >= wanted || now() > latest)) { tell(); told = 1; }
        int more = opened < wanted && opening < 100;
        if (!more) due = now();
        int n = epoll_wait(poller, ready, 512, more ? 1 : told ? -1 : 1000);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.ptr) { read_stream(ready[i].data.ptr); continue; }
            char line[16];
            if (read(0, line, sizeof line) <= 0) return 0;
            tell();
        }
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int first(void) {
    double *times = calloc((size_t)wanted, sizeof *times), *wholes = calloc((size_t)wanted, sizeof *wholes);
    int fd = -1;
    for (int i = 0; i < wanted; i++) {
        if (fd < 0) fd = connected();
        double began = now();
        int spoken = 0;
        size_t have = 0;
        if (fd < 0 || send(fd, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size) return perror("streams"), 1;
        for (;;) {
            ssize_t n = recv(fd, buffer + have, sizeof buffer - have - 1, 0);
            if (n <= 0) { close(fd); fd = -1; break; }
            have += (size_t)n;
            buffer[have] = 0;
            if (!spoken && (strstr(buffer, "tick") || strstr(buffer, "tock"))) { times[i] = now() - began; spoken = 1; }
            if (have >= 5 && !memcmp(buffer + have - 5, END, 5)) break;
        }
        wholes[i] = now() - began;
        if (!spoken) { fprintf(stderr, "streams: a stream without words: %.400s\n", buffer); return 1; }
    }
    qsort(times, (size_t)wanted, sizeof *times, ascending);
    qsort(wholes, (size_t)wanted, sizeof *wholes, ascending);
    printf("{\"p50\": %.1f, \"p99\": %.1f, \"whole\": %.1f}\n", times[wanted / 2], times[wanted * 99 / 100], wholes[wanted / 2]);
    return 0;
}

int main(int amount, char **words) {
    if (amount != 5) { fprintf(stderr, "usage: streams PORT FILE hold|first N\n"); return 2; }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    address.sin_port = htons((unsigned short)atoi(words[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int file = open(words[2], O_RDONLY);
    ssize_t size = file < 0 ? -1 : read(file, request, sizeof request);
    if (size <= 0) { perror(words[2]); return 1; }
    request_size = (size_t)size;
    wanted = atoi(words[4]);
    if (!strcmp(words[3], "hold")) return hold();
    return first();
}

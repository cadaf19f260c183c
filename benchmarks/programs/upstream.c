/* The mock upstream: a model service that costs next to nothing, so that what is measured is what stands before it.
 *
 * POST <any path> with a body that names a model:
 *   "stream": true absent   one JSON completion
 *   model "stream-N-MS"     a stream of N chunks, MS milliseconds apart; 0 writes one after the other without a pause
 *   any other model         a stream of 8 chunks without a pause
 * GET <any path>            200 with an empty list, for those who ask whether somebody is there.
 *
 * One thread, epoll, HTTP/1.1 with keep-alive. The words alternate, because one gateway gives up on a stream of equal
 * chunks. Each chunk is a write of its own, as models send them. A reader that is slow gets its chunks later, never fewer.
 *
 * Usage: upstream PORT        prints "ready" when it listens on 127.0.0.1
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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

#define IDENTITY "\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"mock\""
#define CHUNK(delta, reason) \
    "data: {" IDENTITY ",\"choices\":[{\"index\":0,\"delta\":{" delta "},\"logprobs\":null,\"finish_reason\":" reason "}]}\n\n"
#define USAGE "{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21}"

static const char *const ROLE = CHUNK("\"role\":\"assistant\",\"content\":\"\"", "null");
static const char *const WORDS[2] = {CHUNK("\"content\":\" tick\"", "null"), CHUNK("\"content\":\" tock\"", "null")};
static const char *const FINISH = CHUNK("", "\"stop\"");
static const char *const COUNTED = "data: {" IDENTITY ",\"choices\":[],\"usage\":" USAGE "}\n\n";
static const char *const DONE = "data: [DONE]\n\n";
static const char *const COMPLETION =
    "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"mock\",\"choices\":[{"
    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\" tick tock tick tock tick tock\",\"refusal\":null},"
    "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":" USAGE "}";
static const char *const STREAM_HEAD =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

typedef struct { char *data; size_t size, room; } Bytes;

typedef struct Connection {
    int fd;
    Bytes in, out;
    size_t sent;             /* of out */
    int blocked;             /* whether the poller tells when more can be sent */
    int left, word, usage;   /* chunks still to come; which word is next; whether usage is wanted */
    long long due;           /* when the next one is, in microseconds */
    struct Lane *lane;       /* where it waits for that, or NULL */
    struct Connection *before, *after;
} Connection;

/* Streams with the same distance between chunks wait in one queue, in the order in which they are due. */
typedef struct Lane { long long step; Connection *first, *last; } Lane;

static Lane lanes[32];
static int lane_count, poller;

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void add(Bytes *to, const char *data, size_t size) {
    if (to->size + size > to->room) {
        to->room = (to->size + size) * 2;
        to->data = realloc(to->data, to->room);
        if (!to->data) abort();
    }
    memcpy(to->data + to->size, data, size);
    to->size += size;
}

/* Add one piece of a chunked body. */
static void add_piece(Bytes *to, const char *text) {
    char head[24];
    size_t size = strlen(text);
    add(to, head, (size_t)sprintf(head, "%zx\r\n", size));
    add(to, text, size);
    add(to, "\r\n", 2);
}

static void add_end(Bytes *to, int usage) {
    add_piece(to, FINISH);
    if (usage) add_piece(to, COUNTED);
    add_piece(to, DONE);
    add(to, "0\r\n\r\n", 5);
}

static void wait_in_lane(Connection *c) {
    Lane *lane = c->lane;
    c->before = lane->last;
    c->after = NULL;
    if (lane->last) lane->last->after = c; else lane->first = c;
    lane->last = c;
}

static void leave_lane(Connection *c) {
    if (c->before) c->before->after = c->after; else c->lane->first = c->after;
    if (c->after) c->after->before = c->before; else c->lane->last = c->before;
}

static Lane *lane_of(long long step) {
    for (int i = 0; i < lane_count; i++) if (lanes[i].step == step) return &lanes[i];
    if (lane_count == 32) return &lanes[31];
    lanes[lane_count].step = step;
    return &lanes[lane_count++];
}

static void close_connection(Connection *c) {
    if (c->lane) leave_lane(c);
    close(c->fd);
    free(c->in.data);
    free(c->out.data);
    free(c);
}

static void watch(Connection *c, int blocked) {
    struct epoll_event wish = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &wish);
    c->blocked = blocked;
}

/* Write what is there; 0 if the connection is gone (and freed). */
static int flush(Connection *c) {
    while (c->sent < c->out.size) {
        ssize_t n = send(c->fd, c->out.data + c->sent, c->out.size - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EAGAIN) { close_connection(c); return 0; }
        if (n < 0) {
            watch(c, 1);
            return 1;
        }
        c->sent += (size_t)n;
    }
    if (c->blocked) watch(c, 0);
    c->out.size = c->sent = 0;
    return 1;
}

/* Find the text behind a name such as "model", blanks and colon passed; NULL if it isn't there. */
static const char *value_of(const char *from, const char *end, const char *name) {
    const char *at = memmem(from, (size_t)(end - from), name, strlen(name));
    if (!at) return NULL;
    at += strlen(name);
    while (at < end && (*at == ' ' || *at == ':')) at++;
    return at;
}

static int is_true(const char *from, const char *end, const char *name) {
    const char *at = value_of(from, end, name);
    return at && end - at >= 4 && !memcmp(at, "true", 4);
}

/* Answer one request; 0 if the connection is gone (and freed). */
static int answer(Connection *c, const char *body, const char *end, int post) {
    char head[128];
    if (!post || !is_true(body, end, "\"stream\"")) {
        const char *text = post ? COMPLETION : "{\"object\":\"list\",\"data\":[]}";
        int size = sprintf(head, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n", strlen(text));
        add(&c->out, head, (size_t)size);
        add(&c->out, text, strlen(text));
        return flush(c);
    }
    int chunks = 8, step = 0;
    const char *model = value_of(body, end, "\"model\"");
    if (model) {
        char word[48] = "";
        memcpy(word, model, (size_t)(end - model < 47 ? end - model : 47));
        sscanf(word, "\"stream-%d-%d", &chunks, &step);
    }
    add(&c->out, STREAM_HEAD, strlen(STREAM_HEAD));
    c->usage = is_true(body, end, "\"include_usage\"");
    c->word = 0;
    add_piece(&c->out, ROLE);
    if (step == 0) {
        for (int i = 0; i < chunks; i++) {
            if (!flush(c)) return 0;
            add_piece(&c->out, WORDS[i & 1]);
        }
        if (!flush(c)) return 0;
        add_end(&c->out, c->usage);
        return flush(c);
    }
    add_piece(&c->out, WORDS[c->word++ & 1]);
    c->left = chunks - 1;
    c->lane = lane_of(step * 1000LL);
    c->due = now() + c->lane->step;
    wait_in_lane(c);
    return flush(c);
}

/* Answer every request that is complete. */
static int serve(Connection *c) {
    while (c->in.size && !c->lane) {
        char *start = c->in.data, *limit = start + c->in.size;
        char *body = memmem(start, c->in.size, "\r\n\r\n", 4);
        if (!body) return 1;
        body += 4;
        char *end = body;
        char saved = body[-1];
        body[-1] = 0; /* the head is a C string for a moment */
        char *length = strcasestr(start, "\r\ncontent-length:");
        int chunked = strcasestr(start, "\r\ntransfer-encoding: chunked") != NULL;
        if (length) end = body + strtoul(length + 17, NULL, 10);
        body[-1] = saved;
        if (end > limit) return 1;
        if (chunked) {
            char *last = memmem(body, (size_t)(limit - body), "0\r\n\r\n", 5);
            if (!last) return 1;
            end = last + 5;
        }
        if (!answer(c, body, end, start[0] == 'P')) return 0;
        c->in.size = (size_t)(limit - end);
        memmove(start, end, c->in.size);
    }
    return 1;
}

static void readable(Connection *c) {
    static char buffer[1 << 18];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) { close_connection(c); return; }
    add(&c->in, buffer, (size_t)n);
    serve(c);
}

/* Send one more chunk of a stream that is due. */
static void advance(Connection *c) {
    Lane *lane = c->lane;
    leave_lane(c);
    c->due += lane->step;
    if (c->out.size) { wait_in_lane(c); return; } /* its reader is behind */
    if (c->left > 0) {
        c->left--;
        add_piece(&c->out, WORDS[c->word++ & 1]);
        wait_in_lane(c);
        flush(c);
        return;
    }
    c->lane = NULL;
    add_end(&c->out, c->usage);
    if (flush(c)) serve(c);
}

/* Send all that is due; return milliseconds until more is, -1 if nothing waits. */
static int advance_all(void) {
    long long next = -1, time = now();
    for (int i = 0; i < lane_count; i++) {
        while (lanes[i].first && lanes[i].first->due <= time) advance(lanes[i].first);
        if (lanes[i].first && (next < 0 || lanes[i].first->due < next)) next = lanes[i].first->due;
    }
    if (next < 0) return -1;
    next -= now();
    return next <= 0 ? 0 : (int)((next + 999) / 1000);
}

int main(int count, char **words) {
    if (count != 2) { fprintf(stderr, "usage: upstream PORT\n"); return 2; }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(words[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) { perror("upstream"); return 1; }
    poller = epoll_create1(0);
    struct epoll_event wish = {.events = EPOLLIN, .data.ptr = NULL}, ready[512];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &wish);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(poller, ready, 512, advance_all());
        for (int i = 0; i < n; i++) {
            Connection *c = ready[i].data.ptr;
            if (c) {
                if (ready[i].events & EPOLLOUT && !flush(c)) continue;
                if (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
                continue;
            }
            for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                c = calloc(1, sizeof *c);
                if (!c) abort();
                c->fd = fd;
                struct epoll_event own = {.events = EPOLLIN, .data.ptr = c};
                epoll_ctl(poller, EPOLL_CTL_ADD, fd, &own);
            }
        }
    }
}

"""Images as a way in: what a hostile client, a hostile host of images or a hostile name server may try."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from app.config import FetchImages
from app.engines.upstream.remote_image import AT_ONCE, RemoteImages
from app.errors import InvalidRequest
from app.runs.turn import Turn
from tests.doors.client import post
from tests.engines.caller import Caller
from tests.engines.image_host import MAX_BYTES, PNG, ImageHost, data_uri, question
from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway, free_port
from tests.unit.conversation import said
from tests.unit.runs.jobs import agent, request

SECONDS = 10.0
NAMED = "pictures.example"


@pytest.fixture(scope="module")
def images() -> Iterator[ImageHost]:
    """The host of the images."""
    host = ImageHost()
    yield host
    host.silence.set()
    host.shutdown()
    host.server_close()


@pytest.fixture(scope="module")
def live(service: FakeUpstream, images: ImageHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway that fetches images from 127.0.0.1, and from every public host; its proxy is a dead end."""
    config = upstream_configuration(service)
    config["models"]["providers"]["fake"]["baseUrl"] = f"http://localhost:{service.port}/v1"
    config["models"]["providers"]["fake"]["fetchImages"] = {
        "allowHosts": ["*", f"127.0.0.1:{images.server_port}"],
        "privateNetworks": ["127.0.0.1"],
        "maxBytes": MAX_BYTES,
    }
    dead = f"http://127.0.0.1:{free_port()}"
    proxies = {"http_proxy": dead, "all_proxy": dead, "no_proxy": "localhost"}
    with LiveGateway(tmp_path_factory.mktemp("attacks"), config, environ=proxies) as gateway:
        yield gateway


@pytest.fixture
def fetching(live: LiveGateway) -> Caller:
    """A client of that gateway."""
    return Caller(live)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://xn--a/x", "the connection failed"),
        ("http://a..b/x", "its host is not a valid name"),
        ("http://./x", "its host is not a valid name"),
        ("http://h%00/x", "its host is not a valid name"),
        (f"http://{'a' * 64}.example/x", "its host is not a valid name"),
        (f"http://{'a.' * 127}example/x", "its host is not a valid name"),
        ("http://[/x", "the address is not a URL"),
        ("http://h:99999/x", "the address is not a URL"),
        ("http://h\\@127.0.0.1/x", "the address is not a URL"),
        ("http://2130706433/x", "its host is neither a name nor an address in its usual form"),
        ("http://127.1/x", "its host is neither a name nor an address in its usual form"),
        ("http://0x7f.0.0.1/x", "its host is neither a name nor an address in its usual form"),
        ("http://0177.0.0.1/x", "its host is neither a name nor an address in its usual form"),
        ("http://a.0x7f000001/x", "its host is neither a name nor an address in its usual form"),
        ("http://[2606:4700::1111%25lo]/x", "its host is neither a name nor an address in its usual form"),
        ("http://127\u30020\u30020\u30022/x", "its host's address is not a public one"),
        ("http://\uff11\uff12\uff17.0.0.2/x", "its host's address is not a public one"),
        ("HTTP://127.0.0.2./x", "its host's address is not a public one"),
        ("http://[::127.0.0.1]/x", "its host's address is not a public one"),
        ("http://[::ffff:127.0.0.2]/x", "its host's address is not a public one"),
        ("http://@127.0.0.2/x", "its host's address is not a public one"),
        ("http://:secret@127.0.0.1/x", "the address carries a user name or password"),
        ("http://127.0.0.1:0/x", "'127.0.0.1:0' is not among the hosts"),
        ("https://127.0.0.1:80/x", "'127.0.0.1:80' is not among the hosts"),
    ],
)
def test_odd_addresses(upstream: FakeUpstream, fetching: Caller, address: str, why: str) -> None:
    """However an address is spelled, it is the request's fault when it can't be fetched; nobody is connected to."""
    answer = fetching.ask(messages=question(address))
    assert (400, "invalid_image_url") == (answer.status, answer.error["code"])
    assert "messages[0].content[1].image_url.url" == answer.error["param"]
    assert why in answer.error["message"]
    assert [] == upstream.exchanges


def test_an_address_in_other_letters(upstream: FakeUpstream, live: LiveGateway, images: ImageHost) -> None:
    """A part whose names and address are spelled with JSON's escapes is fetched like any other."""
    part = json.dumps({"type": "image_url", "image_url": {"url": images.at("/png")}})
    part = part.replace("image_url", "im\\u0061ge_url").replace("://", "\\u003a\\/\\/")
    body = f'{{"model": "zero", "messages": [{{"role": "user", "content": [{part}]}}]}}'
    assert 200 == post(live, body.encode()).status
    assert data_uri("image/png", PNG) == upstream.last.json["messages"][0]["content"][0]["image_url"]["url"]


def test_one_image_many_times(upstream: FakeUpstream, fetching: Caller, images: ImageHost) -> None:
    """An image counts as often as the conversation has it, or a short request would make a huge one."""
    answer = fetching.ask(messages=question(*[images.at("/half")] * 2))
    assert (400, "invalid_image_url") == (answer.status, answer.error["code"])
    before = len(images.asked)
    answer = fetching.ask(messages=question(*[images.at("/png")] * 21))
    assert (400, "messages") == (answer.status, answer.error["param"])
    assert before == len(images.asked)
    assert [] == upstream.exchanges


def test_many_choices(upstream: FakeUpstream, fetching: Caller, images: ImageHost) -> None:
    """A service that gives one choice at a time is asked often, but the image's host once."""
    before = len(images.asked)
    assert 200 == fetching.ask(messages=question(images.at("/png")), n=8).status
    assert (8, 1) == (len(upstream.exchanges), len(images.asked) - before)


def test_what_a_host_is_told(fetching: Caller, images: ImageHost) -> None:
    """A host sees an ordinary request and nothing of ours: no cookie, not even its own, no secret, no address."""
    before = len(images.headers)
    assert 200 == fetching.ask(messages=question(images.at("/away?/png"))).status
    for headers in images.headers[before:]:
        assert {"host", "accept", "accept-encoding", "user-agent"} == {name.lower() for name in headers}
    assert before + 2 == len(images.headers)


@pytest.mark.parametrize("path", ["/silent", "/drip"])
def test_a_client_goes_away(upstream: FakeUpstream, fetching: Caller, images: ImageHost, path: str) -> None:
    """When nobody waits for the answer any more, the connection to the image's host is closed at once."""
    images.left.clear()
    before = len(images.asked)
    with fetching.send(messages=question(images.at(path))):
        deadline = time.monotonic() + SECONDS
        while len(images.asked) == before and time.monotonic() < deadline:
            time.sleep(0.01)
    assert images.left.wait(SECONDS / 2)  # well before the image's own time is up
    assert [] == upstream.exchanges


class NameServer:
    """Answers lookups of this process: by port, since that is what tells the tests' hosts apart."""

    def __init__(self) -> None:
        self.answers: dict[int, list[str]] = {}
        self.silent: Callable[[int], object] | None = None
        """Called for each lookup, which is not answered then, with how many there were."""
        self.end = threading.Event()
        self._lock = threading.Lock()
        self.asked = 0

    def getaddrinfo(self, host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        """Stand in for ``socket.getaddrinfo``."""
        with self._lock:
            self.asked = count = self.asked + 1
        if self.silent is not None:
            self.silent(count)
            self.end.wait(SECONDS)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        kinds = {address: socket.AF_INET6 if ":" in address else socket.AF_INET for address in self.answers[port]}
        return [
            (kind, socket.SOCK_STREAM, 6, "", (address, port, 0, 0) if kind == socket.AF_INET6 else (address, port))
            for address, kind in kinds.items()
        ]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """What names mean, as long as a test takes."""
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    yield server
    server.end.set()


def fetcher(*ports: int, seconds: float = SECONDS) -> RemoteImages:
    """Return what fetches from hosts by name; 127.0.0.1 counts as public."""
    hosts = tuple(f"*.example:{port}" for port in ports)
    return RemoteImages(FetchImages(allow_hosts=hosts, private_networks=("127.0.0.1",), timeout_seconds=seconds))


def turn(*addresses: str) -> Turn:
    """Return a turn that asks about images."""
    [message] = question(*addresses)
    asked = request(messages=[message])
    spoken = (said("user", message["content"]),)
    return Turn(run_id="run_1", agent=agent(), model="m", messages=spoken, request=asked, parameters={})


def refusal(images: RemoteImages, *addresses: str) -> str:
    """Return why images are not fetched."""
    with pytest.raises(InvalidRequest) as caught:
        asyncio.run(images.inlined(turn(*addresses)))
    assert "invalid_image_url" == caught.value.code
    return caught.value.message


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.2"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.1", "::1"], ["::ffff:127.0.0.2"], ["127.0.0.1", "fe80::1"]],
)
def test_a_name_with_a_private_address(images: ImageHost, names: NameServer, addresses: list[str]) -> None:
    """A name is refused if any of its addresses is private; who asks for it twice at once hears the same."""
    port = images.server_port
    names.answers[port] = addresses
    before = len(images.asked)
    reason = refusal(fetcher(port), images.at("/png?1", NAMED), images.at("/png?2", NAMED))
    assert "its host's address is not a public one" in reason
    assert before == len(images.asked)


def test_a_name_that_changes_its_mind(images: ImageHost, names: NameServer) -> None:
    """Each lookup is checked anew, and what was checked is connected to: there is no lookup in between."""
    other = ImageHost()
    try:
        names.answers.update({images.server_port: ["127.0.0.1"], other.server_port: ["127.0.0.2"]})
        way = images.at(f"/away?{other.at('/png', NAMED)}", NAMED)
        fetching = fetcher(images.server_port, other.server_port)
        assert "its host's address is not a public one" in refusal(fetching, way)
        assert ([], 2) == (other.asked, names.asked)
        names.answers[other.server_port] = ["127.0.0.1"]
        [message] = asyncio.run(fetching.inlined(turn(way)))
        assert data_uri("image/png", PNG).encode() in bytes(message.raw)
        assert (["/png"], 4) == (other.asked, names.asked)
    finally:
        other.shutdown()
        other.server_close()


def test_a_silent_name_server(names: NameServer) -> None:
    """Lookups that hang keep nobody else's from being made: they have threads of their own."""
    images = fetcher(80)

    async def ask_in_the_meantime() -> bool:
        held, loop = asyncio.Event(), asyncio.get_running_loop()
        names.silent = lambda count: loop.call_soon_threadsafe(held.set) if count == AT_ONCE else None
        runs = [
            asyncio.create_task(images.inlined(turn(*(f"http://{run}-{one}.example/x" for one in range(AT_ONCE)))))
            for run in range(10)
        ]
        await asyncio.wait_for(held.wait(), SECONDS)
        done = await asyncio.wait_for(asyncio.to_thread(lambda: True), SECONDS / 2)
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
        names.end.set()
        return done

    assert asyncio.run(ask_in_the_meantime())


def test_the_time_for_a_lookup_counts(names: NameServer) -> None:
    """A name server that doesn't answer takes no longer than an image may."""
    names.silent = lambda _: None
    assert "it took longer than 0.1 seconds" in refusal(fetcher(80, seconds=0.1), "http://a.example/x")

"""Images named by address: passed on as they are, or fetched for the provider, from listed hosts and public addresses.

The host of the images is a real HTTP server on two loopback addresses; loopback stands for "private" here, and one of
the two is listed as an exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from app.engines.upstream.image_host import is_public
from app.engines.upstream.remote_image import MAX_IMAGES
from tests.engines.caller import Caller
from tests.engines.image_host import JPEG, MAX_BYTES, PNG, ImageHost, data_uri, question
from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import LiveGateway


@pytest.fixture(scope="module")
def images() -> Iterator[ImageHost]:
    """The host of the images."""
    host = ImageHost()
    yield host
    host.silence.set()
    host.shutdown()
    host.server_close()


@pytest.fixture(scope="module")
def fetching(service: FakeUpstream, images: ImageHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A client of a gateway that fetches images: from 127.0.0.1, which counts as public, and from private places."""
    config = upstream_configuration(service)
    port = images.server_port
    config["models"]["providers"]["fake"]["fetchImages"] = {
        "allowHosts": [f"{host}:{port}" for host in ("127.0.0.1", "127.0.0.2", "[::1]")],
        "privateNetworks": ["127.0.0.1"],
        "maxBytes": MAX_BYTES,
        "timeoutSeconds": 1,
    }
    with LiveGateway(tmp_path_factory.mktemp("images"), config) as live:
        yield Caller(live)


def urls(upstream: FakeUpstream) -> list[str]:
    """Return the addresses of the images that the upstream was told."""
    content = upstream.last.json["messages"][-1]["content"]
    return [part["image_url"]["url"] for part in content if part["type"] == "image_url"]


def test_an_address_is_passed_on_by_default(upstream: FakeUpstream, quiet: Caller, images: ImageHost) -> None:
    """Without ``fetchImages`` the provider gets the address, and the gateway connects to nobody."""
    before = len(images.asked)
    assert 200 == quiet.ask(messages=question(images.at("/png"))).status
    assert [images.at("/png")] == urls(upstream)
    assert before == len(images.asked)


@pytest.mark.parametrize("streamed", [False, True])
def test_an_image_is_fetched(upstream: FakeUpstream, fetching: Caller, images: ImageHost, streamed: bool) -> None:
    """The provider gets the bytes, named by what they are; everything else of the message is as it was."""
    own = data_uri("image/gif", b"GIF89a")
    sent = question(images.at("/png"), own, images.at("/jpeg?x=1"), images.at("/png"))
    before = len(images.asked)
    if streamed:
        fetching.stream(messages=sent)
    else:
        assert 200 == fetching.ask(messages=sent).status
    png, jpeg = data_uri("image/png", PNG), data_uri("image/jpeg", JPEG)
    assert [png, own, jpeg, png] == urls(upstream)
    assert {"url": png, "detail": "low"} == upstream.last.json["messages"][-1]["content"][1]["image_url"]
    assert {"/png", "/jpeg?x=1"} == set(images.asked[before:])
    assert before + 2 == len(images.asked)


def test_redirects_are_followed(upstream: FakeUpstream, fetching: Caller, images: ImageHost) -> None:
    """A redirect within what is allowed leads to the image."""
    assert 200 == fetching.ask(messages=question(images.at(f"/away?{images.at('/png')}"))).status
    assert [data_uri("image/png", PNG)] == urls(upstream)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/missing", "its host answered with status 404"),
        ("/page", "it is not a PNG, JPEG, GIF or WebP image"),
        ("/big", f"the images are larger than {MAX_BYTES} bytes together"),
        ("/endless", f"the images are larger than {MAX_BYTES} bytes together"),
        ("/zipped", "its host sent it compressed, unasked"),
        ("/silent", "it took longer than 1 seconds"),
        ("/drip", "it took longer than 1 seconds"),
        ("/slowly_away?/slowly_away?/slowly_away?/png", "it took longer than 1 seconds"),
        ("/away?/away?/away?/away?/png", "it redirects more than 3 times"),
        ("/away?ftp://127.0.0.1/x", "only http and https are fetched"),
        ("/away?http://{listed}/png", "its host's address is not a public one"),
        ("/away?//{listed}/png", "its host's address is not a public one"),
        ("/away?http://a..b/", "its host is not a valid name"),
        ("/away?http://unlisted.example/png", "'unlisted.example' is not among the hosts that images are fetched from"),
    ],
)
def test_what_is_no_image(upstream: FakeUpstream, fetching: Caller, images: ImageHost, path: str, why: str) -> None:
    """Whatever keeps an image away is the request's fault, by its place, and the provider isn't asked."""
    path = path.format(listed=f"127.0.0.2:{images.server_port}")
    answer = fetching.ask(messages=question("data:image/png;base64,AAAA", images.at(path)))
    assert (400, "messages[0].content[2].image_url.url") == (answer.status, answer.error["param"])
    assert ("invalid_image_url", "invalid_request_error") == (answer.error["code"], answer.error["type"])
    assert why in answer.error["message"]
    assert [] == upstream.exchanges


@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]", "127.2", "2130706434"])
def test_private_addresses(fetching: Caller, images: ImageHost, host: str) -> None:
    """An address that isn't public is refused however it is spelled, though its host is listed; nobody is asked."""
    before = len(images.asked)
    answer = fetching.ask(messages=question(images.at("/png", host)))
    assert (400, "invalid_image_url") == (answer.status, answer.error["code"])
    assert before == len(images.asked)


def test_a_name_of_a_private_address(upstream: FakeUpstream, images: ImageHost, tmp_path: Path) -> None:
    """What a name means is looked at: ``localhost`` is listed here, and refused for its address."""
    config = upstream_configuration(upstream)
    config["models"]["providers"]["fake"]["fetchImages"] = {"allowHosts": [f"localhost:{images.server_port}"]}
    before = len(images.asked)
    with LiveGateway(tmp_path, config) as live:
        answer = Caller(live).ask(messages=question(images.at("/png", "localhost")))
    assert (400, "invalid_image_url") == (answer.status, answer.error["code"])
    assert "its host's address is not a public one" in answer.error["message"]
    assert before == len(images.asked)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("https://unlisted.example/x.png", "not among the hosts"),
        ("http://127.0.0.1/x.png", "not among the hosts"),
        ("http://user:secret@127.0.0.1:{port}/png", "carries a user name"),
    ],
)
def test_other_places(fetching: Caller, images: ImageHost, address: str, why: str) -> None:
    """A host, or a port, that isn't listed is not connected to."""
    before = len(images.asked)
    answer = fetching.ask(messages=question(address.format(port=images.server_port)))
    assert 400 == answer.status
    assert why in answer.error["message"]
    assert before == len(images.asked)


def test_all_images_share_the_limit(fetching: Caller, images: ImageHost) -> None:
    """Two images, each small enough, can be too much together."""
    assert 200 == fetching.ask(messages=question(images.at("/half?1"))).status
    answer = fetching.ask(messages=question(images.at("/half?1"), images.at("/half?2")))
    assert (400, "invalid_image_url") == (answer.status, answer.error["code"])


def test_too_many_images(fetching: Caller, images: ImageHost) -> None:
    """One request can't have the gateway connect without end."""
    before = len(images.asked)
    answer = fetching.ask(messages=question(*(images.at(f"/png?{number}") for number in range(MAX_IMAGES + 1))))
    assert (400, "messages") == (answer.status, answer.error["param"])
    assert before == len(images.asked)


def test_a_session_keeps_the_address(upstream: FakeUpstream, fetching: Caller, images: ImageHost) -> None:
    """What is stored is what was sent: the resent conversation is recognised, and its image fetched again."""
    key = {"x-zero-session-key": "images"}
    sent = question(images.at("/png?kept"))
    said = fetching.ask(headers=key, messages=sent).text
    resent = [*sent, {"role": "assistant", "content": said}, {"role": "user", "content": "and now?"}]
    assert 200 == fetching.ask(headers=key, messages=resent).status
    seen = upstream.last.json["messages"]
    assert ["user", "assistant", "user"] == [message["role"] for message in seen]
    assert data_uri("image/png", PNG) == seen[0]["content"][1]["image_url"]["url"]


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "240.0.0.1",
     "::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::",
     "192.0.2.1", "192.0.0.8", "2001:db8::1", "3fff::1", "2001::f5ff:fffe", "fec0::1", "::7f00:1", "::ffff:0:7f00:1",
     "64:ff9b:1::808:808", "fe80::5efe:808:808", "4000::1", "100::1", "5f00::1"],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    """Private, local, reserved and multicast addresses are refused, also inside an IPv6 address."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    """Public addresses pass."""
    assert is_public(ip_address(address))

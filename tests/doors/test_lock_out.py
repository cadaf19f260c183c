"""design.md, "Authentication": too many wrong secrets from one address, and what an address is behind proxies."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.doors.client import Reply, ask
from tests.live_gateway import TOKEN, LiveGateway, configuration

PROXY = "127.0.0.1"
STRANGER = "127.0.0.2"
WRONG = "wrong"


def limited(max_failures: int = 3, lockout: float = 60.0) -> dict[str, Any]:
    """Return a configuration that locks an address out; 127.0.0.1 and 10.* are trusted proxies."""
    limit = {"maxFailures": max_failures, "windowSeconds": 60, "lockoutSeconds": lockout}
    config = configuration()
    config["gateway"]["auth"] = {"token": TOKEN, "rateLimit": limit}
    config["gateway"]["trustedProxies"] = [PROXY, "10.0.0.0/8"]
    return config


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway that locks out after three failures and believes the proxy on 127.0.0.1."""
    folder = tmp_path_factory.mktemp("limited")
    # uvicorn has its own idea of trusted proxies and rewrites the peer by it, before the gateway sees it.
    with LiveGateway(folder, limited(), arguments=["--no-proxy-headers"]) as live:
        yield live


class TestLockOut:
    """Too many wrong secrets from one address."""

    def models(self, gateway: LiveGateway, client: str, token: str | None = TOKEN, *, source: str = PROXY) -> Reply:
        """Ask as ``client`` behind a proxy; several ``X-Forwarded-For`` headers are separated by ``|``."""
        headers = [("X-Forwarded-For", value) for value in client.split("|") if client]
        return ask(gateway, "GET", "/v1/models", token=token, headers=headers, source=source)

    def lock_out(self, gateway: LiveGateway, client: str, *, source: str = PROXY) -> None:
        """Send as many wrong secrets as are allowed."""
        assert [self.models(gateway, client, WRONG, source=source).status for _ in range(3)] == [401] * 3

    def test_after_the_last_failure_the_address_waits(self, proxied: LiveGateway) -> None:
        """429 with the time to wait, and the SDKs are told not to retry; a wrong and a right secret get the same."""
        self.lock_out(proxied, "203.0.113.1")
        replies = [self.models(proxied, "203.0.113.1", token) for token in (WRONG, TOKEN, None)]
        for reply in replies:
            assert reply.summary == (429, "too_many_auth_failures", None)
            assert 1 <= int(str(reply.header("retry-after"))) <= 60
            assert reply.header("x-should-retry") == "false"
            assert reply.error == replies[0].error

    def test_others_are_not_affected(self, proxied: LiveGateway) -> None:
        """Behind the same proxy, another client comes in."""
        self.lock_out(proxied, "203.0.113.2")
        assert self.models(proxied, "203.0.113.3").status == 200

    def test_public_operations_are_not_affected(self, proxied: LiveGateway) -> None:
        """Whoever is locked out may still see that the gateway lives."""
        self.lock_out(proxied, "203.0.113.4")
        assert ask(proxied, "GET", "/healthz", token=None, headers={"X-Forwarded-For": "203.0.113.4"}).status == 200

    def test_the_right_secret_ends_the_count(self, proxied: LiveGateway) -> None:
        """Two failures, a success and two failures are not three failures."""
        statuses = [self.models(proxied, "203.0.113.5", t).status for t in (WRONG, WRONG, TOKEN, WRONG, WRONG, TOKEN)]
        assert statuses == [401, 401, 200, 401, 401, 200]

    def test_a_missing_secret_is_no_guess(self, proxied: LiveGateway) -> None:
        """A client that forgot the secret isn't locked out for it."""
        assert {self.models(proxied, "203.0.113.6", None).status for _ in range(5)} == {401}
        assert self.models(proxied, "203.0.113.6").status == 200

    @pytest.mark.parametrize(
        ("number", "spelling"),
        [(10, "{}"), (11, "1.2.3.4, {}"), (12, "1.2.3.4|{}"), (13, "{}, 10.9.8.7"), (14, "{}|10.1.1.1, 10.2.2.2"),
         (15, "{}:4711"), (16, "::ffff:{}"), (17, " {} "), (18, "unknown, {}"), (19, "127.0.0.1, {}")],
    )  # fmt: skip
    def test_a_forged_beginning_does_not_help(self, proxied: LiveGateway, number: int, spelling: str) -> None:
        """What the trusted proxies added is believed; what the client wrote in front of it is not."""
        client = f"203.0.113.{number}"
        self.lock_out(proxied, client)
        assert self.models(proxied, spelling.format(client)).status == 429

    def test_ipv6_clients_are_known_by_their_network(self, proxied: LiveGateway) -> None:
        """Another address of the same /64 is the same client; another network is another."""
        self.lock_out(proxied, "2001:db8:0:1::1")
        assert self.models(proxied, "2001:db8:0:1:ffff::2").status == 429
        assert self.models(proxied, "2001:db8:0:2::1").status == 200

    def test_a_stranger_s_word_about_itself_is_not_believed(self, proxied: LiveGateway) -> None:
        """An untrusted peer is locked out under its own address, whatever it claims, and can't lock out others."""
        for number in range(3):
            assert self.models(proxied, f"203.0.113.{100 + number}", WRONG, source=STRANGER).status == 401
        assert self.models(proxied, "203.0.113.103", source=STRANGER).status == 429
        assert self.models(proxied, "203.0.113.100").status == 200

    def test_the_lock_out_ends(self, start_gateway: Callable[..., LiveGateway]) -> None:
        """After ``lockoutSeconds`` the right secret opens again, and not before."""
        live = start_gateway(limited(lockout=2), arguments=["--no-proxy-headers"])
        self.lock_out(live, "")
        began = time.monotonic()
        reply = self.models(live, "")
        assert reply.status == 429
        assert reply.header("retry-after") in ("1", "2")
        while reply.status == 429 and time.monotonic() < began + 20:
            time.sleep(0.1)
            reply = self.models(live, "")
        assert reply.status == 200
        assert time.monotonic() - began > 1.5

    def test_it_can_be_switched_off(self, gateway: LiveGateway) -> None:
        """With ``rateLimit.enabled: false`` nobody waits."""
        assert {self.models(gateway, "", WRONG).status for _ in range(30)} == {401}
        assert self.models(gateway, "").status == 200


def test_a_restart_does_not_end_it(start_gateway: Callable[..., LiveGateway]) -> None:
    """A lock-out is in the session store, too, and known again soon after the start."""
    live = start_gateway(limited())
    deadline = time.monotonic() + 20
    while ask(live, "GET", "/readyz").status != 200:
        assert time.monotonic() < deadline
    assert [ask(live, "GET", "/v1/models", token=WRONG).status for _ in range(3)] == [401] * 3
    with closing(sqlite3.connect(live.folder / "state" / "sessions.sqlite3")) as store:
        while not store.execute("SELECT 1 FROM auth_failures WHERE locked_until > 0").fetchall():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    live.kill()
    live.restart()
    while ask(live, "GET", "/v1/models").status != 429:
        assert time.monotonic() < deadline
        time.sleep(0.02)

"""design.md, "Authentication": too many wrong secrets from one address, over both doors together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.doors.client import ask
from tests.live_gateway import TOKEN, LiveGateway, configuration
from tests.ws.calls import refused
from tests.ws.client import Client, handshake

Dial = Callable[..., Client]


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway that locks out after three failures."""
    config = configuration()
    config["gateway"]["auth"] = {"token": TOKEN, "rateLimit": {"maxFailures": 3}}
    with LiveGateway(tmp_path_factory.mktemp("limited"), config) as live:
        yield live


class TestLockOut:
    """``gateway.auth.rateLimit`` counts both doors' failures together."""

    def codes(self, dial: Dial, live: LiveGateway, token: str, source: str, times: int = 1) -> list[str]:
        """Connect with a token that is not accepted, from an address; return what each time was wrong."""
        tries = (refused(dial(live, source=source), handshake(auth={"token": token})) for _ in range(times))
        return [failure.details["code"] for failure, _ in tries]

    def test_wrong_secrets_over_websocket_lock_http_out(self, dial: Dial, limited: LiveGateway) -> None:
        """After three of them even the right secret has to wait, on both doors; other addresses don't."""
        source = "127.0.0.11"
        assert ["AUTH_TOKEN_MISMATCH"] * 3 == self.codes(dial, limited, "wrong", source, 3)

        reply = ask(limited, "GET", "/v1/models", source=source)
        assert (429, "too_many_auth_failures", None) == reply.summary
        assert ["AUTH_RATE_LIMITED"] == self.codes(dial, limited, TOKEN, source)
        assert 200 == ask(limited, "GET", "/v1/models", source="127.0.0.12").status
        assert 4 == dial(limited, source="127.0.0.12").admitted().hello["protocol"]

    def test_wrong_secrets_over_http_lock_websocket_out(self, dial: Dial, limited: LiveGateway) -> None:
        """The client is told when to try again, and that waiting is what helps."""
        source = "127.0.0.13"
        statuses = [ask(limited, "GET", "/v1/models", token="wrong", source=source).status for _ in range(3)]
        failure, code = refused(dial(limited, source=source), handshake())

        assert ([401] * 3, "UNAVAILABLE", 1008) == (statuses, failure.code, code)
        assert {"code": "AUTH_RATE_LIMITED", "recommendedNextStep": "wait_then_retry"} == failure.details
        assert failure.error["retryable"] is True
        assert 0 < failure.error["retryAfterMs"] <= 60_000

    def test_failures_of_both_add_up(self, dial: Dial, limited: LiveGateway) -> None:
        """One over HTTP and two over WebSocket are three."""
        source = "127.0.0.14"
        ask(limited, "GET", "/v1/models", token="wrong", source=source)
        self.codes(dial, limited, "wrong", source, 2)

        assert ["AUTH_RATE_LIMITED"] == self.codes(dial, limited, TOKEN, source)

    def test_what_is_no_guess_does_not_count(self, dial: Dial, limited: LiveGateway) -> None:
        """Missing secrets, wrong versions and malformed params lock nobody out."""
        source = "127.0.0.15"
        for params in (handshake(auth={}), handshake(minProtocol=9, maxProtocol=9), {"minProtocol": 4}) * 2:
            refused(dial(limited, source=source), params)

        assert 4 == dial(limited, source=source).admitted().hello["protocol"]

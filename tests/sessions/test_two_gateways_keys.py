"""Two gateways over one PostgreSQL: the limits of an API key hold for both together, and outlive one of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from tests.api_keys import entry, secret
from tests.doors.client import SECONDS, ask, chat
from tests.doors.sessions import agents
from tests.doors.upstream import Upstream
from tests.live_gateway import LiveGateway, merged
from tests.sessions.place import PostgresqlPlace

KEYS = [
    entry("ten", requestsPerMinute=10),
    entry("tokens", tokensPerMinute=1000),
    entry("one", maxConcurrent=1),
    entry("lonely", requestsPerMinute=2, maxConcurrent=1),
]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A service that shows what agents ask it."""
    service = Upstream()
    yield service
    service.close()


@contextmanager
def started(folder: Path, database: PostgresqlPlace, upstream: Upstream) -> Iterator[list[LiveGateway]]:
    """Start two gateways on a database, one after the other."""
    config = agents(upstream, session={"store": database.setting})
    config["gateway"] = merged(config["gateway"], {"auth": {"keys": KEYS}})
    with ExitStack() as stack:
        gateways = []
        for name in ("one", "other"):
            (folder / name).mkdir()
            gateways.append(stack.enter_context(LiveGateway(folder / name, config)))
            began = time.monotonic()
            while 200 != ask(gateways[-1], "GET", "/readyz").status:
                assert time.monotonic() - began < SECONDS
        yield gateways


@pytest.fixture
def pair(tmp_path: Path, database: PostgresqlPlace, upstream: Upstream) -> Iterator[list[LiveGateway]]:
    """Two gateways of the test's own."""
    with started(tmp_path, database, upstream) as gateways:
        yield gateways
        assert "Traceback" not in "".join(gateway.log for gateway in gateways)


def status(gateway: LiveGateway, name: str, text: str = "hi") -> int:
    """Ask with a key; return how it was answered."""
    return chat(gateway, text, token=secret(name)).status


def test_one_limit_for_both(pair: list[LiveGateway], upstream: Upstream) -> None:
    """Requests in a burst, tokens, runs at the same time: with the SDK at one, plainly at the other."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: status(pair[n % 2], "ten"), range(40)))
    assert (10, 30) == (answers.count(200), answers.count(429))

    with ExitStack() as stack:
        clients = [
            stack.enter_context(OpenAI(base_url=f"{live.url}/v1", api_key=secret("tokens"), max_retries=0))
            for live in pair
        ]
        for client in clients:
            raw = client.chat.completions.with_raw_response.create(
                model="zero", messages=[{"role": "user", "content": "hi"}], max_completion_tokens=300
            )
            usage = raw.parse().usage
            used = usage.total_tokens if usage is not None else 0
            assert used > 0
        assert 1000 - 300 - 2 * used <= int(raw.headers["x-ratelimit-remaining-tokens"]) < 700
        assert 200 == status(pair[0], "tokens", "word " * 700)
        with pytest.raises(openai.RateLimitError) as failure:
            clients[1].chat.completions.create(model="zero", messages=[{"role": "user", "content": "word " * 700}])
        assert "tokens" == failure.value.type

    with upstream.held() as calls, ThreadPoolExecutor(1) as pool:
        first = pool.submit(status, pair[0], "one")
        call = calls.get(timeout=SECONDS)
        assert 429 == status(pair[1], "one")
        call.answer("done")
        assert 200 == first.result()
    assert 200 == status(pair[1], "one"), "the place is given back before the answer is complete"


def test_a_process_that_dies_loses_its_places(
    pair: list[LiveGateway], upstream: Upstream, database: PostgresqlPlace
) -> None:
    """After its lease; until then the other holds to the limit."""
    with upstream.held() as calls, ThreadPoolExecutor(1) as pool:
        first = pool.submit(status, pair[0], "one")
        calls.get(timeout=SECONDS)
        pair[0].kill()
        with pytest.raises((ConnectionError, OSError)):
            first.result()
    assert 429 == status(pair[1], "one")
    # Nobody waits half a minute for it here.
    database.execute(
        "UPDATE zero.key_uses SET running = (SELECT jsonb_object_agg(key, CAST(CAST(value AS text) AS float) - 30) "
        "FROM jsonb_each(running)) RETURNING name"
    )
    assert 200 == status(pair[1], "one")


def test_without_the_database_each_counts_for_itself(
    tmp_path: Path, database: PostgresqlPlace, upstream: Upstream
) -> None:
    """The gateway answers on, keeps the limit as well as it can, and says so."""
    with started(tmp_path, database, upstream) as (gateway, _):
        database.execute("ALTER TABLE zero.key_uses RENAME TO gone; SELECT 1")
        assert [200, 200, 429] == [status(gateway, "lonely") for _ in range(3)]
        assert "limits of API keys are kept by each process for itself" in gateway.log

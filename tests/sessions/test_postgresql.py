"""What only PostgreSQL has: connections that break, a pool, a password, an address."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import time
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from types import coroutine
from typing import Any
from urllib.parse import quote

import pytest
from psycopg import waiting

from app.application import Gateway
from app.config import ConfigError, load
from app.machinery import session_store
from app.sessions import postgresql
from app.sessions.deferred import DeferredStore, open_postgresql
from app.sessions.postgresql import POOL_SIZE
from app.sessions.sql import SqlStore
from app.sessions.store import StoreError
from tests.cli.command import zero
from tests.sessions.place import PostgresqlPlace
from tests.sessions.postgresql_server import PASSWORD
from tests.sessions.talk import KEY, append, written
from tests.unit.conversation import assistant, user

BLOCKED = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def settle(true: Callable[[], bool]) -> None:
    """Wait until something is so in the database."""
    deadline = time.monotonic() + 10
    while not await asyncio.to_thread(true):
        assert time.monotonic() < deadline, "it doesn't come about"
        await asyncio.sleep(0.01)


def test_idle_connections_that_broke(database: PostgresqlPlace) -> None:
    """When the server was restarted between two requests, the next one notices nothing."""

    async def scenario() -> None:
        async with database.opened() as store:
            await asyncio.gather(*(append(store, user("a"), key=f"agent:main:{n}") for n in range(5)))
            for _ in range(3):
                database.cut()
                await store.ping()
                await append(store, user("b"), behind=await store.history("agent:main:1"), key="agent:main:1")
            assert ["user: a", "user: b", "user: b", "user: b"] == await written(store, "agent:main:1")

    asyncio.run(scenario())


def test_a_connection_that_breaks_at_work(database: PostgresqlPlace) -> None:
    """The request whose connection breaks fails with StoreError, nothing of it is kept, and the next one works."""

    async def scenario() -> None:
        async with database.opened() as store:
            await append(store, user("a"))
            head = await store.history(KEY)
            async with store._writing() as other:
                await other.exec_driver_sql("SELECT * FROM zero.sessions FOR UPDATE")
                blocked = asyncio.create_task(append(store, user("b"), behind=head))
                await settle(lambda: bool(database.execute(BLOCKED)))
                database.execute(f"SELECT pg_terminate_backend(pid) FROM ({BLOCKED}) AS found")
                with pytest.raises(StoreError):
                    await blocked
            assert ["user: a"] == await written(store)
            await append(store, user("c"), behind=head)
            assert ["user: a", "user: c"] == await written(store)

    asyncio.run(scenario())


def test_cancelled_at_work(database: PostgresqlPlace) -> None:
    """A request that is cancelled while the database works leaves nothing behind, neither turn nor connection."""

    async def scenario() -> None:
        async with database.opened() as store:
            await append(store, user("a"))
            head = await store.history(KEY)
            async with store._writing() as other:
                await other.exec_driver_sql("SELECT * FROM zero.sessions FOR UPDATE")
                blocked = asyncio.create_task(append(store, user("b"), behind=head))
                await settle(lambda: bool(database.execute(BLOCKED)))
                blocked.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await blocked
            await settle(lambda: database.connections("idle in transaction") == 0)
            assert 0 == store._engine.pool.checkedout()  # type: ignore[attr-defined] # a pool of this kind counts
            assert ["user: a"] == await written(store)

    asyncio.run(scenario())


@coroutine
def cancelled(asking: Coroutine[Any, Any, None], moment: int) -> Generator[Any, None, bool]:
    """Have the task be cancelled when it waits for something for that many times; return whether it came to that."""
    task = asyncio.current_task()
    assert task is not None
    steps, error = asking.__await__(), None
    while True:
        try:
            waited = steps.send(None) if error is None else steps.throw(error)
        except StopIteration:
            return False
        except asyncio.CancelledError:
            return True
        moment -= 1
        if not moment:
            task.cancel()
        try:
            yield waited
            error = None
        except BaseException as thrown:  # whatever it is, it is for those who wait
            error = thrown


@pytest.mark.parametrize("writing", [False, True], ids=["reading", "writing"])
def test_cancelled_at_any_moment(
    database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, writing: bool
) -> None:
    """However early a request is cancelled, its connection comes back, and none is left to be collected."""
    # The driver lets others have a go where it needn't wait, if it has been busy for long; here it always does.
    monkeypatch.setattr(waiting, "MAX_BUSY_TIME", 0.0)

    async def ask(store: SqlStore) -> None:
        async with store._writing() if writing else store._reading() as connection:
            await connection.exec_driver_sql("SELECT 1")

    async def scenario() -> None:
        async with database.opened() as store:
            moment = 1
            while await asyncio.create_task(cancelled(ask(store), moment)):
                moment += 1
            assert moment > 3
            gc.collect()  # a connection that is lost says so

    with caplog.at_level(logging.WARNING, "sqlalchemy.pool"):
        asyncio.run(scenario())
    assert [] == caplog.messages


def test_the_pool_is_bounded(database: PostgresqlPlace) -> None:
    """However many requests come at once, a process has so many connections and no more, and all are answered."""

    async def scenario() -> None:
        async with database.opened() as store:
            most = 0

            async def watch() -> None:
                nonlocal most
                while True:
                    most = max(most, await asyncio.to_thread(database.connections))

            watcher = asyncio.create_task(watch())
            await asyncio.gather(*(append(store, user("a"), key=f"agent:main:{n}") for n in range(300)))
            await asyncio.gather(*(store.history(f"agent:main:{n}") for n in range(300)))
            watcher.cancel()
            assert 2 <= most <= POOL_SIZE
            assert 300 == (await store.verify()).sessions

    asyncio.run(scenario())


def test_a_database_that_does_not_answer(database: PostgresqlPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A use of the database has a time limit: then it is a StoreError, not a request that hangs."""
    monkeypatch.setattr(postgresql, "STATEMENT_SECONDS", 0.3)

    async def scenario() -> None:
        async with database.opened() as store:
            await append(store, user("a"))
            head = await store.history(KEY)
            began = time.monotonic()

            async def behind_another() -> None:
                async with store._writing() as other:
                    await other.exec_driver_sql("SELECT * FROM zero.sessions FOR UPDATE")
                    await append(store, user("b"), behind=head)

            with pytest.raises(StoreError, match=r"0\.3 s"):
                await behind_another()
            assert time.monotonic() - began < 5
            await append(store, assistant("A"), behind=head)
            assert ["user: a", "assistant: A"] == await written(store)

    asyncio.run(scenario())


def misspelt(database: PostgresqlPlace) -> dict[str, str]:
    """Return addresses that don't work, each for another reason."""
    right = database.setting
    port = str(database.server.port)
    return {
        "nobody listens": right.replace(port, "1"),
        "wrong password": right.replace(quote(PASSWORD, safe=""), quote(PASSWORD[::-1], safe="")),
        "no such database": right + "_gone",
        "no such parameter": right + "?sslmood=require",
        "not a port": right.replace(port, "port"),
        "no such service": right + "?service=zero-gateway-none",
    }


FAULTS = ["nobody listens", "wrong password", "no such database", "no such parameter", "not a port", "no such service"]


@pytest.mark.parametrize("fault", FAULTS)
def test_an_address_that_does_not_work(database: PostgresqlPlace, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is a StoreError that says what is wrong, and neither it nor the log has the password."""

    async def scenario() -> str:
        store = DeferredStore(lambda: open_postgresql(misspelt(database)[fault]), shared=True)
        store.open()
        with pytest.raises(StoreError) as caught:
            await store.ping()
        await store.close()
        return str(caught.value)

    with caplog.at_level(logging.DEBUG):
        message = asyncio.run(scenario())
    assert "session" in message
    for secret in (PASSWORD, PASSWORD[::-1], quote(PASSWORD, safe=""), quote(PASSWORD[::-1], safe="")):
        assert secret not in message + caplog.text


def test_the_password_is_in_no_log(database: PostgresqlPlace, caplog: pytest.LogCaptureFixture) -> None:
    """Not even with everything logged that the libraries have to say."""

    async def scenario() -> None:
        async with database.opened() as store:
            await append(store, user("a"))
            assert PASSWORD not in repr(store._engine) + str(store._engine.url)

    with caplog.at_level(logging.DEBUG):
        asyncio.run(scenario())
    assert PASSWORD not in caplog.text
    assert quote(PASSWORD, safe="") not in caplog.text


def test_it_comes_up_later(database: PostgresqlPlace) -> None:
    """A gateway that starts before its database works as soon as that is there, without a restart."""
    address = database.setting
    places = [address + "_not_yet", address]

    async def scenario() -> None:
        store = DeferredStore(lambda: open_postgresql(places.pop(0)), shared=True)
        with pytest.raises(StoreError):
            await store.ping()
        await store.ping()
        await store.close()

    asyncio.run(scenario())
    assert [] == places


def test_the_driver_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has not installed it is told how to, at the start, and the address isn't repeated."""
    monkeypatch.setattr("app.machinery.find_spec", lambda _name: None)
    with pytest.raises(ConfigError) as caught:
        session_store("postgresql://u:s3cret@db/zero", {})
    assert "session.store: PostgreSQL's driver is not installed. Run: pip install 'zero-gateway[postgresql]'" == (
        str(caught.value)
    )


def test_what_is_shown_of_the_store(database: PostgresqlPlace, tmp_path: Path) -> None:
    """Nothing but its kind: what ``sessions.list`` has as its path."""
    path = tmp_path / "zero.json"
    path.write_text(json.dumps({"session": {"store": database.setting}, "gateway": {"auth": {"token": "t"}}}))
    gateway = Gateway(load(path, {}), {"HOME": str(tmp_path)})
    assert ("postgresql", True) == (gateway.store.kind, gateway.store.leases is not None)
    assert PASSWORD not in repr(gateway.loaded)
    assert quote(PASSWORD, safe="") not in repr(gateway.loaded)


def test_doctor(database: PostgresqlPlace, tmp_path: Path) -> None:
    """``zero doctor`` says whether the database answers, and leaves nothing in it."""
    found = {}
    for name, address in {"right": database.setting, "wrong": database.setting + "_gone"}.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"session": {"store": address}, "gateway": {"auth": {"token": "t"}}}))
        done = zero(tmp_path, "doctor", "--config", str(path))
        assert PASSWORD not in done.stdout + done.stderr
        found[name] = next(line for line in done.stdout.splitlines() if "sessions:" in line)
    assert "ok     sessions: are kept in a PostgreSQL database, which answers" == found["right"]
    assert found["wrong"].startswith("wrong  sessions: The session store failed:")
    assert [] == database.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'zero'")

"""The method table: the contract's methods and the code's are the same, or nothing starts."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec
import pytest

from app.contract import frame_document
from app.contract.binding import ContractMismatchError
from app.contract.frames import CommandsListResult, RequestFrame
from app.errors import InvalidRequest
from app.ws.caller import Caller, Payload
from app.ws.failure import MethodFailed
from app.ws.handshake import Admission
from app.ws.method_table import MethodHandler, MethodTable
from tests.official import Json

CONTRACT = frame_document.load()
NAMES = [method.name for method in CONTRACT.methods if not method.handshake]
EVERYTHING = Admission(4, ("operator.admin",))


async def answer(params: Any, caller: Caller) -> msgspec.Struct:
    """Answer something."""
    return CommandsListResult(commands=[])


async def fail(params: Any, caller: Caller) -> msgspec.Struct:
    """Fail as a run does."""
    raise InvalidRequest("no", param="message")


def handlers(**other: MethodHandler) -> dict[str, MethodHandler]:
    """Return a handler for every method."""
    return {**dict.fromkeys(NAMES, answer), **{name.replace("_", "."): handler for name, handler in other.items()}}


def call(table: MethodTable, method: str, params: Json = None, admission: Admission = EVERYTHING) -> Payload:
    """Call a method."""
    raw = msgspec.UNSET if params is None else msgspec.Raw(msgspec.json.encode(params))
    frame = RequestFrame(type="req", id="1", method=method, params=raw)
    return asyncio.run(table.call(frame, admission, cast("Caller", None)))


class TestBinding:
    """At the start."""

    def test_every_method_needs_a_handler(self) -> None:
        """One that is missing is named."""
        table = handlers()
        del table["chat.abort"]
        with pytest.raises(ContractMismatchError, match=r"no handler for \['chat\.abort'\]"):
            MethodTable(CONTRACT.methods, table)

    def test_every_handler_needs_a_method(self) -> None:
        """One that the contract doesn't know is named."""
        with pytest.raises(ContractMismatchError, match=r"no method for \['chat\.shout'\]"):
            MethodTable(CONTRACT.methods, handlers(chat_shout=answer))

    def test_the_handshake_is_no_method(self) -> None:
        """It can't be called later, and a handler for it would be one too many."""
        assert NAMES == MethodTable(CONTRACT.methods, handlers()).names
        with pytest.raises(ContractMismatchError, match="connect"):
            MethodTable(CONTRACT.methods, handlers(connect=answer))


class TestCall:
    """A request."""

    @pytest.mark.parametrize(
        ("method", "params", "scopes", "code", "word"),
        [
            ("nonsense", None, ("operator.admin",), "INVALID_REQUEST", "unknown method: nonsense"),
            ("connect", None, ("operator.admin",), "INVALID_REQUEST", "unknown method: connect"),
            ("health", None, (), "FORBIDDEN", "missing scope: operator.read"),
            ("sessions.delete", {"key": "k"}, ("operator.write",), "FORBIDDEN", "missing scope: operator.admin"),
            ("agents.list", {"x": 1}, ("operator.read",), "INVALID_REQUEST", "x"),
            ("chat.abort", {}, ("operator.admin",), "INVALID_REQUEST", "sessionKey"),
            ("sessions.list", {"label": "a"}, ("operator.read",), "INVALID_REQUEST", "label is refused"),
            ("chat.abort", {"sessionKey": "k"}, ("operator.admin",), "INVALID_REQUEST", "no"),
        ],
    )
    def test_what_goes_wrong_is_a_failure_of_the_method(
        self, method: str, params: Json, scopes: tuple[str, ...], code: str, word: str
    ) -> None:
        """Whatever it is, there is one kind of exception, with the protocol's code."""
        with pytest.raises(MethodFailed, match=word) as failure:
            call(MethodTable(CONTRACT.methods, handlers(chat_abort=fail)), method, params, Admission(4, scopes))
        assert code == failure.value.shape.code

    def test_a_good_request_is_answered(self) -> None:
        """With what the handler returns."""
        assert CommandsListResult(commands=[]) == call(MethodTable(CONTRACT.methods, handlers()), "commands.list")

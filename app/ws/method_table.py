"""Methods bound to handlers: every method of the contract has one, or the start fails.

Decodes params, refuses what the contract marks as refused, checks the scope. Knows no method's meaning.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from msgspec import UNSET

from app.contract.binding import ContractMismatchError
from app.contract.decoding import BodyDecoder
from app.contract.frame_document import Method
from app.contract.frames import MissingScopeErrorDetails, RequestFrame
from app.errors import GatewayError
from app.ws.caller import Caller, Payload
from app.ws.failure import MethodFailed, failure_of
from app.ws.handshake import Admission

MethodHandler = Callable[[Any, Caller], Awaitable[Payload]]


class MethodTable:
    """Calls handlers by method name.

    Args:
        methods: The contract's methods; the handshake's is not among those that can be called.
        handlers: What answers them.

    Raises:
        ContractMismatchError: If they don't match one to one.
    """

    def __init__(self, methods: Iterable[Method], handlers: Mapping[str, MethodHandler]) -> None:
        described = {method.name: method for method in methods if not method.handshake}
        if described.keys() != handlers.keys():
            raise ContractMismatchError(
                "WebSocket contract and code don't match: "
                f"no handler for {sorted(described.keys() - handlers.keys())}, "
                f"no method for {sorted(handlers.keys() - described.keys())}"
            )
        self._methods = {
            name: (method, BodyDecoder(method.params), handlers[name]) for name, method in described.items()
        }

    @property
    def names(self) -> list[str]:
        """The methods that can be called, in the contract's order."""
        return list(self._methods)

    def names_for(self, admission: Admission) -> list[str]:
        """Return those of them that are for who was let in: the operator, or somebody with an API key."""
        return [name for name, (method, _, _) in self._methods.items() if admission.key is None or method.keys]

    async def call(self, request: RequestFrame, admission: Admission, caller: Caller) -> Payload:
        """Answer a request.

        Raises:
            MethodFailed: If the method is unknown, not allowed, wrongly called, or failed.
        """
        known = self._methods.get(request.method)
        if known is None:
            raise MethodFailed("INVALID_REQUEST", f"unknown method: {request.method[:100]}")
        method, decoder, handler = known
        key = admission.key
        if key is not None and not method.keys:
            raise MethodFailed(
                "FORBIDDEN", f"{method.name} is for the gateway's operator: API key {key.name!r} may not call it"
            )
        if not admission.allows(method.scope):
            details = MissingScopeErrorDetails(missing_scope=method.scope, required_scopes=[method.scope])
            raise MethodFailed("FORBIDDEN", f"missing scope: {method.scope}", details)
        try:
            params = await decoder.decode_aside(b"{}" if request.params is UNSET else bytes(request.params))
            refused = method.refusal(params)
            if refused is not None:
                raise MethodFailed("INVALID_REQUEST", f"{method.name}: {refused.name} is refused. {refused.reason}")
            return await handler(params, caller)
        except GatewayError as error:
            raise failure_of(error) from error

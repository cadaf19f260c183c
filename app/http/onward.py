"""Answers that take long, given once the router is done with the request.

A router that waits for its handler keeps six coroutines for as long, and what they hold: a stream may be open for
hours. A handler that knows what is to be answered leaves it here and returns. Knows nothing of what is answered.
"""

from __future__ import annotations

from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

from app.errors import GatewayError
from app.http.error_response import crash, error_body
from app.http.notes import Answering, Notes
from app.http.response import send_response


class Onward:
    """Wraps a router.

    Args:
        router: The Litestar application.
    """

    def __init__(self, router: ASGIApp) -> None:
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        await self._router(scope, receive, send)
        notes = Notes.of(scope)
        answer, notes.answer = notes.answer, None
        if answer is None:
            return
        try:
            await answer(receive, send)
        except GatewayError as error:
            await _refuse(send, error)
        except Exception as error:
            await _refuse(send, crash(scope, error))


def answer_later(scope: Any, answer: Answering) -> None:
    """Have a request answered behind the router. What the handler returns or raises from here on has to be nothing."""
    Notes.of(scope).answer = answer


async def _refuse(send: Send, error: GatewayError) -> None:
    await send_response(send, error.status, error_body(error), headers=error.headers)

"""``getContractJson``, ``getContractYaml`` and ``getReference``: the contract as it was written, and as a page."""

from __future__ import annotations

from typing import Final

from litestar.types import Receive, Scope, Send

from app.contract.document import Document
from app.http.response import send_response

_PAGE_HEADERS: Final = (
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
)


class ContractDocument:
    """Serves the contract.

    Args:
        document: The contract.
    """

    def __init__(self, document: Document) -> None:
        self._document = document

    async def json(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer with the contract as JSON."""
        await send_response(send, 200, self._document.json)

    async def yaml(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer with the contract as YAML."""
        await send_response(send, 200, self._document.yaml, b"application/yaml")

    async def page(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer with the contract as a page to read, which a browser lets do nothing else."""
        await send_response(send, 200, self._document.page, b"text/html; charset=utf-8", _PAGE_HEADERS)

"""``getContractJson`` and ``getContractYaml``: the contract, byte for byte as it was written."""

from __future__ import annotations

from litestar.types import Receive, Scope, Send

from app.contract.document import Document
from app.http.response import send_response


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

"""A client that hides nothing: plain HTTP/1.1, every header and byte of the answer at hand.

Knows the gateway's address and secret; no rule of the product. Tests that need bytes no library would send use ``raw``.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tests.live_gateway import TOKEN, LiveGateway
from tests.official import validator

CHAT = "/v1/chat/completions"
JSON = "Content-Type: application/json"
MESSAGE = '{"role": "user", "content": "x"}'
VALID_TEXT = f'{{"model": "zero", "messages": [{MESSAGE}]}}'.encode()
"""The smallest body that is answered: with an ``x``."""
SECONDS = 20.0
"""The longest any answer may take."""

Headers = Mapping[str, str] | Iterable[tuple[str, str | bytes]]


class Reply(NamedTuple):
    """An answer: status, headers in order with lower-case names, and the body's bytes."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the one value of a header, or ``None``."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} is there {len(values)} times"
        return values[0] if values else None

    @property
    def json(self) -> Any:
        """The body, decoded; the answer must say that it is JSON."""
        assert self.header("content-type") == "application/json", (self.status, self.headers, self.body[:500])
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The assistant's words in a completion."""
        assert self.status == 200, (self.status, self.body)
        content: str = self.json["choices"][0]["message"]["content"]
        return content

    @property
    def error(self) -> dict[str, Any]:
        """The error object; the answer must be one, in OpenAI's shape, with all four keys and a request id."""
        body = self.json
        validator("ErrorResponse").validate(body)
        assert set(body) == {"error"}
        error: dict[str, Any] = body["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]
        assert self.header("x-request-id")
        return error

    @property
    def summary(self) -> tuple[int, str | None, str | None]:
        """Status, code and param of a refusal."""
        return self.status, self.error["code"], self.error["param"]


def ask(
    gateway: LiveGateway,
    method: str,
    path: str,
    *,
    token: str | None = TOKEN,
    headers: Headers = (),
    body: bytes | None = None,
    host: str = "127.0.0.1",
    source: str | None = None,
) -> Reply:
    """Send one request on a connection of its own.

    Args:
        gateway: Whom to ask.
        method: HTTP method, as it goes on the wire.
        path: Path and query, as they go on the wire.
        token: The bearer secret; ``None`` sends no ``Authorization``.
        headers: Further headers; the same name may come twice.
        body: The body, with its length.
        host: The address to connect to.
        source: The address to connect from.
    """
    origin = (source, 0) if source is not None else None
    connection = http.client.HTTPConnection(host, gateway.port, timeout=SECONDS, source_address=origin)
    try:
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        named = any(name.lower() == "host" for name, _ in pairs)
        connection.putrequest(method, path, skip_accept_encoding=True, skip_host=named)
        if token is not None:
            connection.putheader("Authorization", f"Bearer {token}")
        for name, value in pairs:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        found = tuple((name.lower(), value) for name, value in response.getheaders())
        return Reply(response.status, found, response.read())
    finally:
        connection.close()


def post(gateway: LiveGateway, body: bytes, *, headers: Headers = (), token: str | None = TOKEN) -> Reply:
    """Post bytes, declared as JSON, to the chat completions."""
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    return ask(gateway, "POST", CHAT, token=token, headers=[("Content-Type", "application/json"), *pairs], body=body)


def chat(
    gateway: LiveGateway,
    messages: Any = "hello",
    *,
    headers: Headers = (),
    token: str | None = TOKEN,
    **fields: Any,
) -> Reply:
    """Post a chat completion for model ``zero`` unless ``fields`` say otherwise.

    Args:
        gateway: Whom to ask.
        messages: The messages, or the text of a single one from the user.
        headers: Further headers.
        token: The bearer secret.
        fields: Further fields of the body.
    """
    if isinstance(messages, str):
        messages = [user(messages)]
    body = {"model": "zero", "messages": messages, **fields}
    return post(gateway, json.dumps(body).encode(), headers=headers, token=token)


def raw(gateway: LiveGateway, data: bytes, *, source: str = "127.0.0.1") -> bytes:
    """Send bytes as they are and return everything that comes back until the server closes the connection.

    Args:
        gateway: Whom to send them to.
        data: The bytes; ``Connection: close`` among them makes the server close.
        source: The address to send from.
    """
    address = ("127.0.0.1", gateway.port)
    with socket.create_connection(address, timeout=SECONDS, source_address=(source, 0)) as connection:
        connection.sendall(data)
        received = b""
        while more := connection.recv(65536):
            received += more
        return received


def parsed(received: bytes) -> Reply:
    """Return the one answer in what ``raw`` received; its body must have a ``Content-Length``."""
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = tuple((name.lower(), value.strip()) for name, _, value in pairs)
    return Reply(int(status.split()[1]), headers, body)


def head(*lines: str, close: bool = True) -> bytes:
    """Return the head of an authenticated POST to the endpoint with further header lines."""
    fixed = [f"POST {CHAT} HTTP/1.1", "Host: x", f"Authorization: Bearer {TOKEN}", *(["Connection: close"] * close)]
    return "\r\n".join([*fixed, *lines, "", ""]).encode()


def user(text: str) -> dict[str, Any]:
    """Return a user's message."""
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    """Return an assistant's message."""
    return {"role": "assistant", "content": text}


def system(text: str) -> dict[str, Any]:
    """Return a system message."""
    return {"role": "system", "content": text}

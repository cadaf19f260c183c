"""The curl line to try a gateway with, as it is printed by ``zero init`` and ``zero gateway --dev``."""

from __future__ import annotations

from shlex import quote


def curl_line(url: str, secret: str, *, stream: bool = False) -> str:
    """Return a command for a POSIX shell that asks the default agent something.

    Args:
        url: The gateway's address, such as ``http://127.0.0.1:18789``.
        secret: What to send as bearer secret.
        stream: Whether to ask for a stream.
    """
    body = '{"model": "zero", "stream": true, ' if stream else '{"model": "zero", '
    return (
        f"curl {'-N' if stream else '-sS'} {quote(f'{url}/v1/chat/completions')} \\\n"
        f"  -H {quote(f'Authorization: Bearer {secret}')} \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"""  -d '{body}"messages": [{{"role": "user", "content": "oi"}}]}}'"""
    )


def address(host: str, port: int) -> str:
    """Return where a gateway that listens on ``host`` is reached from this machine, as a URL."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{port}"

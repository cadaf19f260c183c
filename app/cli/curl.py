"""The curl line to try a gateway with, as it is printed by ``zero init`` and ``zero gateway --dev``."""

from __future__ import annotations


def curl_line(port: int, secret: str, *, stream: bool = False) -> str:
    """Return a command for a POSIX shell that asks the default agent something.

    Args:
        port: The gateway's port on this machine.
        secret: What to send as bearer secret; a shell expression such as ``$ZERO_GATEWAY_TOKEN`` is left to the shell.
        stream: Whether to ask for a stream.
    """
    body = '{"model": "zero", "stream": true, ' if stream else '{"model": "zero", '
    return (
        f"curl {'-N' if stream else '-sS'} http://127.0.0.1:{port}/v1/chat/completions \\\n"
        f'  -H "Authorization: Bearer {secret}" \\\n'
        "  -H 'Content-Type: application/json' \\\n"
        f"""  -d '{body}"messages": [{{"role": "user", "content": "oi"}}]}}'"""
    )

"""An upstream's answer that halts in the middle, until the test lets it go on or the client leaves."""

from __future__ import annotations

from tests.fakes.script import DONE, Pause, Script, chunk, event, stream


def halting(text: str) -> Script:
    """Return an answer that says a text, halts, and says no more when it goes on."""
    return stream(
        event(chunk({"role": "assistant", "content": text})), Pause(), event(chunk({}, finish_reason="stop")), DONE
    )

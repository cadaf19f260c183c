"""The examples at the end of a command's help."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """Return an epilog that shows command lines as they are.

    Args:
        lines: Command lines, without prompt.
    """
    # \b is click's mark for a paragraph whose lines stay as they are.
    return "\b\n" + "\n".join(["Examples:", *(f"  {line}" for line in lines)])

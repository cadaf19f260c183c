"""What SIGHUP says to a gateway: that its configuration is to be read again, or that its terminal has gone.

Source of the rules: docs/cli.md, "Signals".
"""

from __future__ import annotations

import os
import signal


class Hangup:
    """Tells one from the other. To be made at the start, while the terminal is still there, if there is one."""

    def __init__(self) -> None:
        # Who has the signal ignored (nohup) wants the gateway to outlive the terminal.
        self._tied = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()

    def is_the_end(self) -> bool:
        """Tell whether the gateway has to end; otherwise the configuration is to be read again."""
        return self._tied and not _has_terminal()


def _has_terminal() -> bool:
    """Tell whether the process has a controlling terminal. The system takes it away before it sends the signal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True

"""What came of one turn, for people and for programs, whichever way it was run."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from app.cli.ending import Ended, Stopped, TimedOut
from app.contract.frames import TokenUsage

Status = Literal["ok", "error", "timeout", "aborted"]


class Report(Struct, rename="camel"):
    """One turn: filled in while it runs.

    Attributes:
        run_id: The run, once it is known.
        agent_id: The agent that answers, once it is known.
        session_key: The full key, once it is known; of a call of its own without a session, too.
        text: The answer as far as it came.
        usage: Tokens, once the run is complete.
        status: How it ended.
        error: Why it didn't end well.
    """

    run_id: str | None = None
    agent_id: str | None = None
    session_key: str | None = None
    text: str = ""
    usage: TokenUsage | None = None
    status: Status = "ok"
    error: str | UnsetType = UNSET

    def fail(self, status: Status, message: str) -> None:
        """Note that it didn't end well."""
        self.status, self.error = status, message

    @property
    def ending(self) -> Ended | None:
        """What ends the command, unless all went well."""
        if not self.error:
            return None
        kinds: dict[Status, type[Ended]] = {"timeout": TimedOut, "aborted": Stopped}
        return kinds.get(self.status, Ended)(self.error)

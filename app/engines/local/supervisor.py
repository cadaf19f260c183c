"""The life of the local model: started at the first use, restarted when it died, gone with the gateway.

Owns when a process is started and how often, and the secret that guards it. Knows nothing of chat completions: callers
get an address and a key, and speak HTTP with them.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import secrets
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from app.engines.local import child
from app.engines.local.process import Announcement, ChildProcess
from app.log import logger

MAX_FAILED_STARTS: Final = 5
FAILURE_WINDOW_SECONDS: Final = 60.0


class LocalModelError(Exception):
    """Raised when the local model can't be had. ``message`` says why and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Endpoint(NamedTuple):
    """Where the running model answers: an OpenAI-shaped API under ``base_url``, which ends in ``/v1``."""

    base_url: str
    api_key: str


class LocalModelState(enum.StrEnum):
    """What the model's process is doing."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


class LocalModelStatus(NamedTuple):
    """A snapshot for people and readiness checks.

    ``restarts`` counts the successful starts after the first; ``reason`` says why the state is ``failed``.
    """

    state: LocalModelState
    pid: int | None
    restarts: int
    reason: str | None


def local_model_installed() -> str | None:
    """Say what to install before the local model can run.

    Returns:
        A sentence for the user, or None when both packages are there. Neither is imported.
    """
    return child.missing_packages()


class LocalModel:
    """The local language model as a process of its own, shared by all who ask for its endpoint.

    Belongs to the event loop that first calls ``endpoint``.

    Args:
        log: Where starts and ends are told; the child's stderr goes there as debug messages.
        startup_timeout: Seconds that a start may take.
        command: The program to run instead of the real child; tests start something smaller.
        clock: Monotonic seconds, for the window of failed starts.
    """

    def __init__(
        self,
        *,
        log: logging.Logger | None = None,
        startup_timeout: float = 60.0,
        command: Sequence[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log if log is not None else logger(__name__)
        self._startup_timeout = startup_timeout
        # By path, so that the child doesn't build the gateway by importing `app`. -P keeps the script's folder off
        # sys.path, where our module names could hide someone else's.
        self._command = tuple(command) if command is not None else (sys.executable, "-P", str(Path(child.__file__)))
        self._clock = clock
        self._process: ChildProcess | None = None
        self._endpoint: Endpoint | None = None
        self._starting: asyncio.Task[Endpoint | str] | None = None
        self._failures: deque[float] = deque(maxlen=MAX_FAILED_STARTS)
        self._failure: str | None = None
        self._starts = 0
        self._closed = False

    @property
    def status(self) -> LocalModelStatus:
        """What the model's process is doing now. A dead one is ``failed`` until the next call restarts it."""
        process = self._process
        reason = None
        if self._closed:
            state = LocalModelState.STOPPED
        elif self._starting is not None:
            state = LocalModelState.STARTING
        elif process is not None and not process.exited:
            state = LocalModelState.READY
        else:
            reason = self._failure if process is None else process.reason()
            state = LocalModelState.STOPPED if reason is None else LocalModelState.FAILED
        return LocalModelStatus(state, process.pid if process is not None else None, max(0, self._starts - 1), reason)

    async def endpoint(self) -> Endpoint:
        """Give the running model's address, after starting it if need be.

        Callers that come while it starts share that start; one that is cancelled leaves it to the others.

        Returns:
            The address and its key, both valid until the process dies; ask again for every run.

        Raises:
            LocalModelError: If it can't be started, was closed, or has failed too often just now to be tried again.
        """
        self._refuse_if_closed()
        if self._endpoint is not None and self._process is not None and not self._process.exited:
            return self._endpoint
        if self._starting is None:
            self._refuse_if_it_keeps_failing()
            self._starting = asyncio.create_task(self._start(), name="local-model-start")
        start = self._starting
        await asyncio.wait((start,))  # unlike awaiting the task, this doesn't pass our own cancellation on to it
        self._refuse_if_closed()
        outcome = start.result()
        if isinstance(outcome, str):
            raise LocalModelError(f"The local model did not start: {outcome}")
        return outcome

    async def close(self) -> None:
        """End the process and whatever start is in progress. Idempotent, and final: ``endpoint`` fails from now on.

        Closes the child's stdin and waits up to 5 s for its end, then terminates it, then kills it. When cancelled, it
        kills at once.
        """
        self._closed = True
        if self._starting is not None:
            # Not by cancelling the task: its clean-up would be cut off by a second call.
            if self._process is not None:
                self._process.abort()
            await asyncio.wait((self._starting,))
        if self._process is not None:
            await self._process.stop()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise LocalModelError("The local model is closed: the gateway is shutting down.")

    def _refuse_if_it_keeps_failing(self) -> None:
        """Fail without a start when the last ones all failed within the window."""
        if len(self._failures) < MAX_FAILED_STARTS:
            return
        wait = self._failures[0] + FAILURE_WINDOW_SECONDS - self._clock()
        if wait > 0:
            raise LocalModelError(
                f"The local model failed to start {MAX_FAILED_STARTS} times within {FAILURE_WINDOW_SECONDS:.0f} s and "
                f"is tried again in {wait:.0f} s. The last time: {self._failure}"
            )

    async def _start(self) -> Endpoint | str:
        """Start a process and wait until it answers.

        Returns:
            Its endpoint, or why there is none: each of the waiting callers raises an error of its own.
        """
        try:
            outcome = await self._spawn()
            if isinstance(outcome, str) and not self._closed:
                self._failure = outcome
                self._failures.append(self._clock())
                self._log.error("The local model did not start: %s", outcome)
            return outcome
        finally:
            self._starting = None

    async def _spawn(self) -> Endpoint | str:
        if self._process is not None:
            await self._process.kill()  # dead already; this waits for its pipes
        self._process = self._endpoint = None
        if self._closed:
            return "it was closed"
        began = time.monotonic()
        api_key = secrets.token_urlsafe(32)
        process = self._process = ChildProcess(self._log)
        said = Announcement()
        try:
            # On stdin, since other users can read a command line, and our other children would inherit an environment.
            said = await process.start(self._command, api_key, self._startup_timeout)
        finally:
            if said.address is None:
                self._process = None
        if said.address is None:
            return said.error or "it gave no reason"
        self._endpoint = Endpoint(f"{said.address}/v1", api_key)
        self._starts += 1
        self._log.info("The local model is ready after %.1f s (pid %s).", time.monotonic() - began, process.pid)
        return self._endpoint

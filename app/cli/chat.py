"""``zero chat``: a conversation with an agent, in the terminal.

Each turn has a connection of its own, so that nothing has to be kept alive while somebody thinks, and a gateway may be
restarted between two turns.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
import sys
from collections.abc import Iterator
from time import strftime
from types import FrameType
from typing import Final, NamedTuple

import click

from app.cli.ending import Ended, Interrupted, Terminated, interrupted_by, run
from app.cli.example import examples
from app.cli.interruption import SIGNALS
from app.cli.output import echo
from app.cli.report import Report
from app.cli.screen import Screen
from app.cli.session_key import check_session_key
from app.cli.transcript import printed
from app.cli.whereabouts import Whereabouts, whereabouts

_HELP = """\
/new      begin a new session
/history  show what was said in this one
/exit     leave, like Ctrl-D
Ctrl-C stops an answer. A line that has to begin with a slash is written with two."""


_LOOK_SECONDS: Final = 0.25
"""How long a signal at the prompt may go unnoticed."""


class _Session(NamedTuple):
    """What the next line is said in."""

    where: Whereabouts
    agent: str
    key: str


@click.command(
    "chat",
    epilog=examples("zero chat", "zero chat --agent beta", "zero chat --session-key notes"),
)
@click.option("--agent", "agent_id", metavar="ID", help="Which agent; the default one when not given.")
@click.option("--session-key", metavar="KEY", help="Continue this session; a new one when not given.")
@whereabouts
def command(agent_id: str | None, session_key: str | None, where: Whereabouts) -> None:
    """Talk with an agent. /new, /history and /exit are commands; Ctrl-C stops an answer, Ctrl-D leaves."""
    if not sys.stdin.isatty():
        raise click.UsageError("zero chat needs a terminal. Elsewhere use: zero agent --message -")
    check_session_key(session_key, agent_id)
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - importing it is what gives input() arrow keys and a history
    session = run(_begun(where, agent_id, session_key))
    echo(f"{_about(session)}  (/help says what there is)")
    while True:
        with _ended_by_signals():
            line = _line()
        if line is None:
            return
        if line.startswith("/") and not line.startswith("//"):
            following = _obey(line, session)
            if following is None:
                return
            session = following
        elif line:
            _say(line.removeprefix("/") if line.startswith("//") else line, session)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end a prompt in good order: readline gives the terminal back as it was.

    And have no signal go unnoticed at it, Ctrl-C included.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        raise interrupted_by(number)

    before = {one: signal.getsignal(one) for one in SIGNALS if one is not signal.SIGINT}
    for one, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(one, end)
    # A signal that comes just before readline begins to wait is noticed only when the wait ends, by a key or by this.
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_SECONDS, _LOOK_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for one, handler in before.items():
            signal.signal(one, handler)


def _line() -> str | None:
    """Read a line; ``None`` is the end."""
    try:
        return input("> ").strip()
    except EOFError:
        echo()
        return None
    except KeyboardInterrupt:
        echo("\n(Ctrl-D leaves)")
        return ""
    except UnicodeDecodeError:
        click.echo("That was not UTF-8.", err=True)
        return ""


def _obey(line: str, session: _Session) -> _Session | None:
    """Do what a command says; return the session to go on with, or ``None`` to leave."""
    if line in ("/exit", "/quit"):
        return None
    if line == "/new":
        session = session._replace(key=_fresh(session.agent))
        echo(_about(session))
    elif line == "/history":
        try:
            echo(run(_history(session)))
        except Ended as ended:
            _survive(ended)
    else:
        echo(_HELP if line == "/help" else f"There is no {line.split()[0]}.\n{_HELP}")
    return session


def _say(line: str, session: _Session) -> None:
    report, screen = Report(), Screen()
    try:
        run(_turn(line, session, report, screen))
        if report.ending is not None:
            report.ending.show()
    except Ended as ended:
        screen.end()
        _survive(ended, "(stopped; nothing of this turn is kept)")


def _survive(ended: Ended, stopped: str = "(stopped)") -> None:
    """Say what ended a turn, which isn't the conversation's end unless a signal was meant to end the process.

    Raises:
        Terminated: If it was.
    """
    if isinstance(ended, Terminated):
        raise ended
    if isinstance(ended, Interrupted):
        echo(stopped)
    else:
        ended.show()


async def _turn(line: str, session: _Session, report: Report, screen: Screen) -> None:
    from app.cli.remote_turn import remote_turn

    async with session.where.connected() as client:
        await remote_turn(client, line, report, screen, agent=session.agent, session_key=session.key)


async def _history(session: _Session) -> str:
    from app.contract.frames import ChatHistoryParams, ChatHistoryResult

    async with session.where.connected() as client:
        params = ChatHistoryParams(session_key=session.key)
        return printed(await client.request("chat.history", params, ChatHistoryResult)) or "(nothing yet)"


async def _begun(where: Whereabouts, agent_id: str | None, session_key: str | None) -> _Session:
    """Find out whom we talk to, and that it can be done.

    Raises:
        ClientError: If it can't.
    """
    from app.contract.frames import AgentsListParams, AgentsListResult, ChatHistoryParams, ChatHistoryResult

    async with where.connected() as client:
        listed = await client.request("agents.list", AgentsListParams(), AgentsListResult)
        agent = agent_id.lower() if agent_id else listed.default_id
        if agent_id is None and session_key and session_key.lower().startswith("agent:"):
            agent = session_key.split(":")[1].lower()
        if agent not in [one.id for one in listed.agents]:
            known = ", ".join(one.id for one in listed.agents)
            raise Ended(f"There is no agent {agent!r}. There are: {known}.")
        if not session_key:
            return _Session(where, agent, _fresh(agent))
        params = ChatHistoryParams(session_key=session_key, agent_id=agent, limit=1)
        found = await client.request("chat.history", params, ChatHistoryResult)
        return _Session(where, agent, found.session_key)


def _fresh(agent: str) -> str:
    return f"agent:{agent}:chat-{strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def _about(session: _Session) -> str:
    return f"{click.style(session.agent, bold=True)} in session {session.key}"

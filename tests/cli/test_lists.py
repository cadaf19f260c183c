"""``zero agents list``, ``sessions``, ``models`` and ``status``: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.command import Terminal, ask
from tests.live_gateway import LiveGateway, configuration

ANSI = re.compile(r"\x1b\[\d+m")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway with two agents of the echo engine and one session of each."""
    config = configuration()
    config["agents"]["list"][1] |= {
        "name": "日本",
        "default": True,
        "model": {"primary": "echo/echo", "fallbacks": ["local/smollm2"]},
    }
    with LiveGateway(tmp_path_factory.mktemp("lists"), config) as gateway:
        for key in ("agent:main:first", "agent:beta:second"):
            assert 0 == ask(gateway, "agent", "--session-key", key, "--message", f"hi {key}").returncode
        yield gateway


def data(live: LiveGateway, *arguments: str) -> Any:
    """Return what a command prints for programs."""
    done = ask(live, *arguments, "--json")
    assert (0, "") == (done.returncode, done.stderr)
    return json.loads(done.stdout)


class TestAgents:
    """``zero agents list``."""

    @pytest.mark.parametrize("where", [(), ("--local",)], ids=["gateway", "file"])
    def test_is_an_aligned_table(self, live: LiveGateway, where: tuple[str, ...]) -> None:
        """The default one is marked; wide characters count twice; the gateway and its file agree."""
        assert [
            "   ID    NAME  MODEL",
            "   main  main  echo/echo",
            "*  beta  日本  echo/echo, then local/smollm2",
        ] == ask(live, "agents", "list", *where).stdout.splitlines()

    def test_has_json(self, live: LiveGateway) -> None:
        """The protocol's own answer, whether a gateway gave it or not."""
        listed = data(live, "agents", "list")

        assert "beta" == listed["defaultId"]
        assert ["main", "beta"] == [agent["id"] for agent in listed["agents"]]
        assert listed == data(live, "agents", "list", "--local")


class TestModels:
    """``zero models list``."""

    def test_is_a_table_and_json(self, live: LiveGateway) -> None:
        """Every model once, with the agents that use it."""
        assert [
            "MODEL          PROVIDER  AGENTS",
            "echo/echo      echo      main, beta",
            "local/smollm2  local     beta",
        ] == ask(live, "models", "list").stdout.splitlines()
        assert ["echo", "smollm2"] == [model["id"] for model in data(live, "models", "list")["models"]]


class TestSessions:
    """``zero sessions``."""

    def test_list_is_an_aligned_table(self, live: LiveGateway) -> None:
        """The last changed comes first."""
        lines = ask(live, "sessions", "list").stdout.splitlines()

        assert "KEY                AGENT  MODEL      CHANGED" in lines[0]
        assert re.fullmatch(r"agent:beta:second  beta   echo/echo  \d+ \w+ ago +idle", lines[1])
        assert re.fullmatch(r"agent:main:first   main   echo/echo  \d+ \w+ ago +idle", lines[2])

    @pytest.mark.parametrize(
        ("arguments", "keys"),
        [
            ((), ["agent:beta:second", "agent:main:first"]),
            (("--agent", "Main"), ["agent:main:first"]),
            (("--search", "sec"), ["agent:beta:second"]),
            (("--limit", "1"), ["agent:beta:second"]),
            (("--search", "nothing"), []),
        ],
    )
    def test_list_can_be_narrowed(self, live: LiveGateway, arguments: tuple[str, ...], keys: list[str]) -> None:
        """By agent, by text, by number."""
        assert keys == [row["key"] for row in data(live, "sessions", "list", *arguments)["sessions"]]

    def test_list_says_that_there_are_more_or_none(self, live: LiveGateway) -> None:
        """An empty table would look like a fault."""
        assert "1 of 2" in ask(live, "sessions", "list", "--limit", "1").stdout
        assert "No session is like that.\n" == ask(live, "sessions", "list", "--search", "nothing").stdout

    def test_show_prints_what_was_said(self, live: LiveGateway) -> None:
        """A bare key means the default agent's session."""
        shown = ask(live, "sessions", "show", "second").stdout

        assert "key      agent:beta:second\nagent    beta\n" in shown
        assert shown.endswith("\n\nuser\nhi agent:beta:second\n\nassistant\nhi agent:beta:second\n")

    def test_show_has_json(self, live: LiveGateway) -> None:
        """The session and its messages, as the protocol has them."""
        shown = data(live, "sessions", "show", "agent:main:first", "--limit", "1")

        assert "agent:main:first" == shown["session"]["key"]
        assert ["assistant"] == [message["role"] for message in shown["messages"]]
        assert shown["hasMore"] is True

    @pytest.mark.parametrize("action", ["show", "reset", "delete"])
    def test_an_unknown_one_is_an_error(self, live: LiveGateway, action: str) -> None:
        """The message has the full key, so that a wrong agent shows."""
        done = ask(live, "sessions", action, "unknown", *(["--yes"] if action != "show" else []))

        assert 1 == done.returncode
        assert "no session 'agent:beta:unknown'" in done.stderr

    @pytest.mark.parametrize("action", ["reset", "delete"])
    def test_nothing_is_lost_unasked(self, live: LiveGateway, action: str) -> None:
        """Where nobody can be asked ``--yes`` is needed; where somebody can, the answer counts."""
        assert 2 == ask(live, "sessions", action, "second").returncode
        with Terminal(live, "sessions", action, "second") as terminal:
            terminal.until("[y/N]: ")
            terminal.type("n\n")
            assert 1 == terminal.end()

        assert 2 == len(data(live, "sessions", "show", "second")["messages"])

    def test_reset_and_delete(self, live: LiveGateway) -> None:
        """An empty session is still there, a deleted one is not."""
        ask(live, "agent", "--session-key", "third", "--message", "hi")

        assert "agent:beta:third is empty.\n" == ask(live, "sessions", "reset", "third", "--yes").stdout
        assert [] == data(live, "sessions", "show", "third")["messages"]
        assert "agent:beta:third is deleted.\n" == ask(live, "sessions", "delete", "third", "--yes").stdout
        assert 1 == ask(live, "sessions", "show", "third").returncode


class TestStatus:
    """``zero status``."""

    def test_says_what_matters(self, live: LiveGateway) -> None:
        """Address, default agent, sessions."""
        lines = ask(live, "status").stdout.splitlines()
        facts = dict(line.split("  ", 1) for line in lines[:7])

        assert f"ws://127.0.0.1:{live.port}, version " in facts["gateway"].strip() + " "
        assert "beta (echo/echo)" == facts["default agent"].strip()
        assert "agent:beta:second" in lines[-2]

    def test_has_json(self, live: LiveGateway) -> None:
        """The protocol's answer, and how it was got."""
        status = data(live, "status")

        assert (f"ws://127.0.0.1:{live.port}", 4) == (status["url"], status["protocol"])
        assert (0, 2) == (status["activeRuns"], status["sessions"]["count"])


class TestColours:
    """Colours are for terminals."""

    @pytest.mark.parametrize(
        ("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
    )
    def test_on_a_terminal(self, live: LiveGateway, variables: dict[str, str], coloured: bool) -> None:
        """Heads are bold, unless NO_COLOR or the terminal says otherwise."""
        with Terminal(live, "agents", "list", **variables) as terminal:
            output = terminal.raw_until("smollm2")

        assert coloured == bool(ANSI.search(output))

    def test_where_there_are_no_letters_for_it(self, live: LiveGateway) -> None:
        """What an encoding lacks is a question mark, and no traceback; JSON is UTF-8 everywhere."""
        ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

        assert "beta  ??" in ask(live, "agents", "list", **ascii_only).stdout
        assert "日本" in ask(live, "agents", "list", "--json", **ascii_only).stdout

    def test_not_in_a_pipe(self, live: LiveGateway) -> None:
        """A file gets words only."""
        assert not ANSI.search(ask(live, "agents", "list").stdout)

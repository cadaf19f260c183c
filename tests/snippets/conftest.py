"""A machine with a gateway on it, shared by the snippets that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.snippets.stage import Stage, agents


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The machine, with `zero gateway` on it, and what a reader said before, in two sessions."""
    with Stage(tmp_path_factory.mktemp("stage"), agents()) as stage:
        done = stage.run("zero gateway && zero agent --session-key notes --message oi")
        assert (0, "oi\n") == (done.code, done.out), done
        assert 0 == stage.run("zero agent --agent echo --session-key chat-42 --message oi").code
        yield stage


@pytest.fixture
def served(shared: Stage) -> Stage:
    """The machine, its configuration as it was."""
    shared.configure(agents())
    return shared

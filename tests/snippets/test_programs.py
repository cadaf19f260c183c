"""The Python programs of the documents run as they are written, with OpenAI's own package."""

from __future__ import annotations

import pytest

from tests.snippets.snippet import Snippet, Way, snippets
from tests.snippets.stage import Stage


@pytest.mark.parametrize("snippet", [pytest.param(each, id=each.name) for each in snippets(Way.PROGRAM)])
def test_it_runs(snippet: Snippet, served: Stage) -> None:
    """It ends well, has printed something, and complained about nothing."""
    done = served.run_program(snippet.text)
    assert (0, "") == (done.code, done.err)
    assert done.out.strip()

"""``make docs``: the documents as a site, without a warning and without anybody else's help."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.site import on_page_markdown
from tests.documents import ROOT

TAGS = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?([^\"'\s>]+)[^>]*>")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    return folder


def test_every_document_is_a_page(site: Path) -> None:
    """A document that the navigation forgets would end the build."""
    documents = {file.relative_to(ROOT / "docs").with_suffix(".html") for file in (ROOT / "docs").rglob("*.md")}
    assert documents <= {file.relative_to(site) for file in site.rglob("*.html")}


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """Scripts, styles, fonts and pictures of every page are the site's own."""
    fetched = {target for page in site.rglob("*.html") for target in TAGS.findall(page.read_text())}
    assert len(fetched) > 3
    assert set() == {target for target in fetched if "//" in target}


def test_lists_and_tables_are_lists_and_tables(site: Path) -> None:
    """What the repository's view shows as a list or table, the site's stricter Markdown does, too."""
    plain = re.compile(r"<p>(?:(?!</p>).)*\n(?:- |\d+\. |\| )", re.DOTALL)
    assert [] == [page.name for page in site.rglob("*.html") if plain.search(page.read_text())]


def test_comments_for_the_tests_are_not_in_it(site: Path) -> None:
    """Its reader has no use for them."""
    text = "Before:\n\n<!-- run by tests/x.py -->\n\n```bash\ntrue\n```\n"
    assert "Before:\n\n```bash\ntrue\n```\n" == on_page_markdown(text, Page("a.md"))
    assert [] == [page.name for page in site.rglob("*.html") if "run by tests" in page.read_text()]


class Page:
    """What MkDocs hands to the hook, as far as it looks at it."""

    def __init__(self, name: str) -> None:
        self.file = self
        self.src_uri = name


class TestLinksThatLeave:
    """Links to files of the repository that aren't documents."""

    def test_become_names(self) -> None:
        """The site has nowhere to send its reader to."""
        text = "See [`the contract`](../openapi.yaml) and [errors](../docs/errors.md#the-table)."
        assert "See `the contract` and [errors](../docs/errors.md#the-table)." == on_page_markdown(text, Page("a.md"))

    def test_stay_in_code(self) -> None:
        """A program is left as it is."""
        text = "```\n[a](../openapi.yaml)\n```\n"
        assert text == on_page_markdown(text, Page("a.md"))

    def test_have_to_lead_somewhere(self, caplog: pytest.LogCaptureFixture) -> None:
        """A file that isn't there is a warning, which ends the build."""
        assert "x" == on_page_markdown("[x](../../nothing.py)", Page("clients/a.md"))
        assert ["clients/a.md links to ../../nothing.py, which is not there"] == caplog.messages

"""What MkDocs does to the documents besides its own: links that leave docs/ name files of the repository, and comments
for the tests are left out.

A hook of mkdocs.yml. The site has no address of the repository to send its reader to, so such a link becomes the name
that it had; a file that isn't there is a warning, which ends a strict build.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, Final

_log = logging.getLogger("mkdocs.hooks.site")

_ROOT: Final = Path(__file__).resolve().parents[1]
_DOCS: Final = _ROOT / "docs"
_FENCED: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# What is said of the block behind it to tests/snippets.
_COMMENT: Final = re.compile(r"^ *<!-- (?:run by|not run:) .*-->\n\n?", re.MULTILINE)
_LINK: Final = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>\.\./[^)\s#]*)(?:#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace links to files outside docs/ with their text, and leave comments for the tests out.

    Args:
        markdown: The page as it is written.
        page: MkDocs's page; its file's path is asked for.

    Returns:
        The page as it is to be rendered.
    """
    folder = (_DOCS / page.file.src_uri).parent
    pieces, at = [], 0
    for block in _FENCED.finditer(markdown):
        pieces += [_named(markdown[at : block.start()], folder, page.file.src_uri), block[0]]
        at = block.end()
    return "".join([*pieces, _named(markdown[at:], folder, page.file.src_uri)])


def _named(text: str, folder: Path, page: str) -> str:
    def name(link: re.Match[str]) -> str:
        target = (folder / link["target"]).resolve()
        if target.is_relative_to(_DOCS):
            return link[0]
        if not target.is_relative_to(_ROOT) or not target.exists():
            _log.warning("%s links to %s, which is not there", page, link["target"])
        return link["text"]

    return _LINK.sub(name, _COMMENT.sub("", text))

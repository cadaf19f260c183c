"""What is said when the configuration can't be used.

Owns the wording's form: file, path, what is wrong, what to do. May not know any particular rule.
Values never belong in these messages unless the rule that fails is about a value that can't be a secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .key_path import KeyPath, dotted

MOST_WORDS = 12
"""How many known words a message lists when none is near."""


class RuleError(Exception):
    """Report a problem at a place in the configuration, before it is known which file the place came from."""

    def __init__(self, path: KeyPath, problem: str, advice: str) -> None:
        """Remember the problem.

        Args:
            path: Keys and indexes from the root.
            problem: What is wrong, without a full stop.
            advice: What to do about it, one or more whole sentences.
        """
        super().__init__(f"{dotted(path)}: {problem}. {advice}")
        self.path = path
        self.problem = problem
        self.advice = advice


class ConfigError(Exception):
    """Report a configuration that can't be used; ``str()`` of it is ready to print.

    Attributes:
        file: The file the problem is in, or None when it is in the environment or a flag.
        path: The place in the file (``agents.list[0].id``), the variable or the flag; empty for the file as a whole.
        files: Every file that was looked at before the problem showed, so that a watcher can wait for the repair.
    """

    def __init__(
        self,
        problem: str,
        advice: str,
        *,
        file: Path | None = None,
        path: str = "",
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        """Compose the message "<file>: <path>: <what is wrong>. <what to do>".

        Args:
            problem: What is wrong, without a full stop.
            advice: What to do about it, one or more whole sentences.
            file: The file, when there is one.
            path: The place in it.
            line: The line of a syntax error, from 1.
            column: The column of a syntax error in characters, from 1.
        """
        place = "" if file is None else str(file)
        if line is not None and column is not None:
            place += f":{line}:{column}"
        super().__init__(": ".join(part for part in (place, path, f"{problem}. {advice}") if part))
        self.file = file
        self.path = path
        self.problem = problem
        self.advice = advice
        self.line = line
        self.column = column
        self.files: tuple[Path, ...] = () if file is None else (file,)

    @classmethod
    def at(cls, file: Path, fault: RuleError) -> ConfigError:
        """Give a fault its file.

        Args:
            file: The file that the fault's path came from.
            fault: The problem.

        Returns:
            The error to raise.
        """
        return cls(fault.problem, fault.advice, file=file, path=dotted(fault.path))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Say which known word is nearest to one that isn't known.

    Args:
        word: The word that was written.
        known: The words that would do.

    Returns:
        ``Did you mean "port"?``, else the list of what is known, else an empty string.
    """
    import difflib  # only mistakes pay for it

    words = sorted(known)
    by_lower = {candidate.lower(): candidate for candidate in words}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    if near:
        return f'Did you mean "{by_lower[near[0]]}"?'
    if not words:
        return ""
    more = ", ..." if len(words) > MOST_WORDS else ""
    return "Known here: " + ", ".join(f'"{candidate}"' for candidate in words[:MOST_WORDS]) + f"{more}."

"""``python -m tests.sdks``: generate both clients and try them on a gateway of their own (`make sdks`)."""

import sys
import tempfile
from pathlib import Path

from contracts.sdks import __main__ as generate
from contracts.sdks.generator import FOLDER, GeneratorError
from tests.sdks.stage import stage
from tests.sdks.trial import EXAMPLE, WALK, try_python, try_typescript


def main() -> int:
    """Do it.

    Returns:
        The exit status: 1 when anything was wrong, which is printed.
    """
    if status := generate.main([]):
        return status
    for name, attempt in (("Python", try_python), ("TypeScript", try_typescript)):
        try:
            with tempfile.TemporaryDirectory() as scratch, stage(Path(scratch)) as gateway:
                printed = attempt(FOLDER, gateway)
        except GeneratorError as problem:
            sys.stderr.write(f"{name}: {problem}\n")
            return 1
        if printed != (WALK, EXAMPLE):
            sys.stderr.write(f"{name} printed:\n{''.join(printed)}\ninstead of:\n{WALK}{EXAMPLE}")
            return 1
        sys.stdout.write(f"{name}: models, completions, a tool call, streams and errors are as expected\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``python -m contracts.sdks``: generate both clients into build/sdks and check their types."""

import argparse
import sys
import time
from pathlib import Path

from contracts.sdks import python, typescript
from contracts.sdks.generator import CONTRACT, FOLDER, GeneratorError


def main(arguments: list[str] | None = None) -> int:
    """Generate the clients, or one of them.

    Args:
        arguments: The command line after the program's name; the process's own when absent.

    Returns:
        The exit status: 1 when a generator failed or warned, or the types are wrong.
    """
    builders = {"python": python.build, "typescript": typescript.build}
    parser = argparse.ArgumentParser(prog="python -m contracts.sdks", description="Generate clients from openapi.yaml.")
    parser.add_argument("language", nargs="*", choices=[[], *builders], help="only these (default: all)")
    parser.add_argument("--contract", type=Path, default=CONTRACT, help="another document (default: openapi.yaml)")
    options = parser.parse_args(arguments)
    for language in options.language or builders:
        begun = time.monotonic()
        try:
            client = builders[language](options.contract, FOLDER)
        except GeneratorError as problem:
            print(f"{language}: {problem}", file=sys.stderr)
            return 1
        print(f"{client}, {time.monotonic() - begun:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

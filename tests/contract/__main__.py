"""``python -m tests.contract``: run the contract suite with more examples or another seed than the tests do."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.contract.gateways import SUBJECTS
from tests.contract.run import run
from tests.live_gateway import LiveGateway


def main(arguments: list[str] | None = None) -> int:
    """Test every gateway of ``SUBJECTS``.

    Args:
        arguments: The command line after the program's name; the process's own when absent.

    Returns:
        The exit status: 1 when anything was found.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.contract", description="Test the gateway's contract.")
    parser.add_argument("-n", "--max-examples", type=int, default=60, help="cases per operation and phase (60)")
    parser.add_argument("--seed", type=int, default=1, help="what the cases follow from (1)")
    options = parser.parse_args(arguments)
    clean = True
    for name, subject in SUBJECTS.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            with LiveGateway(folder, subject.configuration(), app=subject.app) as gateway:
                verdict = run(gateway.url, gateway.token, folder, max_examples=options.max_examples, seed=options.seed)
        sys.stdout.write(f"{name}: {verdict}\n")
        sys.stdout.flush()
        clean = clean and verdict.clean
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())

"""``make fuzz``: let atheris look for bytes that break a target, so many minutes in all.

Starts a process per target, because libFuzzer ends its own. What it learns stays in ``build/fuzz``; a find is written
there, too, and belongs into ``tests/fuzzing/corpus`` together with its mend.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

HERE: Final = Path(__file__).parent
WORK: Final = Path("build/fuzz")
MAX_BYTES: Final = 4096
NAMES: Final = ("request", "upstream")


def main(minutes: float) -> int:
    """Fuzz the targets for so long together; return 1 if one of them broke."""
    seconds = max(1, round(minutes * 60 / len(NAMES)))
    broken = [name for name in NAMES if _process(name, seconds)]
    print(f"fuzzing: {', '.join(broken)} broke, see {WORK}" if broken else "fuzzing: nothing broke")
    return 1 if broken else 0


def _process(name: str, seconds: int) -> int:
    learned = WORK / name
    learned.mkdir(parents=True, exist_ok=True)
    print(f"fuzzing {name} for {seconds} s", flush=True)
    arguments = [
        str(learned), str(HERE / "corpus" / name), f"-max_total_time={seconds}", f"-max_len={MAX_BYTES}",
        f"-artifact_prefix={WORK}/{name}-", f"-dict={HERE / 'words.dict'}", "-timeout=20", "-rss_limit_mb=2048",
        "-print_final_stats=1", "-verbosity=1",
    ]  # fmt: skip
    return subprocess.run([sys.executable, "-m", "tests.fuzzing", name, *arguments], check=False).returncode


def fuzz(name: str, arguments: list[str]) -> None:
    """Fuzz one target in this process until its time is up or it breaks."""
    try:
        import atheris
    except ImportError:
        raise SystemExit("fuzzing needs atheris: pip install 'zero-gateway[fuzz]'") from None
    import logging

    with atheris.instrument_imports(include=["app"]):
        from tests.fuzzing.exchange import Exchange
        from tests.fuzzing.targets import TARGETS
    from tests.fuzzing.mutation import mutated

    logging.disable(logging.CRITICAL)
    target = TARGETS[name]
    with TemporaryDirectory() as folder:
        exchange = Exchange(Path(folder))
        atheris.Setup(
            [sys.argv[0], *arguments],
            lambda data: target(exchange, data),
            custom_mutator=lambda data, size, seed: mutated(data, size, seed, atheris.Mutate),
        )
        atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1] in NAMES:
        fuzz(sys.argv[1], sys.argv[2:])
    else:
        raise SystemExit(main(float(sys.argv[1])))

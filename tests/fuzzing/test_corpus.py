"""Every input that the fuzzer begins with, or that broke something once, is handled; and so are thousands like them."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.engines.upstream import chunk_reader
from tests.fuzzing.exchange import Exchange
from tests.fuzzing.mutation import mutated
from tests.fuzzing.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
INPUTS = sorted(path for path in CORPUS.glob("*/*"))
CHANGED = 60
"""How many changed ones there are of each, the same in every run."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A gateway in this process."""
    logging.disable(logging.CRITICAL)
    found = Exchange(tmp_path_factory.mktemp("fuzzing"))
    yield found
    found.close()
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_corpus(exchange: Exchange, path: Path) -> None:
    """Whatever a client or an upstream sends is answered or refused in shape, and never by a defect."""
    target, data = TARGETS[path.parent.name], path.read_bytes()
    target(exchange, data)
    for seed in range(CHANGED):
        target(exchange, mutated(data, 4096, seed, by_bytes))


def by_bytes(data: bytes, _max_size: int) -> bytes:
    """Change a few bytes, as libFuzzer does."""
    dice, changed = random.Random(data), bytearray(data)
    for _ in range(min(4, len(changed))):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def test_a_defect_is_found(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that raises what nobody expects doesn't pass."""

    def broken(_data: bytes) -> None:
        raise IndexError

    monkeypatch.setattr(chunk_reader, "event_of_chunk", broken)
    with pytest.raises(AssertionError):
        TARGETS["upstream"](exchange, (CORPUS / "upstream" / "stream").read_bytes())

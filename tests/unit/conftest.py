"""How hypothesis works here: the same examples on every run, and no limit on a single example's time."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", deadline=None, derandomize=True, max_examples=80, print_blob=False)
settings.load_profile("unit")

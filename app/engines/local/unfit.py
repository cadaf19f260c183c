"""What can be wrong with a schema that is one: the local model can't keep to it, or nobody could."""

from __future__ import annotations


class Unfit(Exception):
    """Raised for a schema that the model's grammar can't express. The message is a clause that says why."""


class Impossible(Unfit):
    """Raised for a schema that no value fits."""

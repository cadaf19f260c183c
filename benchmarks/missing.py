"""Why something can't be measured here."""

from __future__ import annotations


class Missing(Exception):
    """Raised when a program can't be had on this machine. The text says why, and what to install if that helps."""

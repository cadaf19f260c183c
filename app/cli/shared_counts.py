"""The folder in which several workers count together, so that ``/metrics`` says the same whichever of them answers."""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from typing import Final

import click

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"


def share_counts() -> None:
    """Have the workers to come count together, until the present command ends.

    To be called before Prometheus' library is imported, which looks only then.
    """
    folder = TemporaryDirectory(prefix="zero-metrics-")
    os.environ[_FOLDER] = click.get_current_context().with_resource(folder)


def forget_counts(process: int) -> None:
    """Take what was open in a process that has ended out of the sum. What it counted stays in."""
    if _FOLDER in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(process)  # type: ignore[no-untyped-call]  # the library's own omission

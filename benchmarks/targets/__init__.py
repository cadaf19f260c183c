"""What is measured, each in a module of its own, and the list of them."""

from __future__ import annotations

from benchmarks.targets.direct import Direct
from benchmarks.targets.echo import Echo
from benchmarks.targets.hayhooks import Hayhooks
from benchmarks.targets.langgraph import LangGraph
from benchmarks.targets.litellm import LiteLLM
from benchmarks.targets.nginx import Nginx
from benchmarks.targets.portkey import Portkey
from benchmarks.targets.target import Target
from benchmarks.targets.zero import Zero


def every_target() -> list[Target]:
    """Return all targets, in the order of the report."""
    return [Direct(), Nginx(), Zero(), Echo(), Portkey(), Hayhooks(), LangGraph(), LiteLLM()]

"""``zero models``: the models that the gateway's agents use."""

from __future__ import annotations

import click

from app.cli.ending import run
from app.cli.example import examples
from app.cli.output import echo
from app.cli.table import table
from app.cli.whereabouts import Whereabouts, json_option, print_json, whereabouts
from app.contract.frames import (
    AgentModel,
    AgentsListParams,
    AgentsListResult,
    AgentSummary,
    ModelsListParams,
    ModelsListResult,
)


@click.group("models", epilog=examples("zero models list"))
def command() -> None:
    """List the models that the agents use."""


@command.command("list", epilog=examples("zero models list", "zero models list --json"))
@json_option
@whereabouts
def list_models(as_json: bool, where: Whereabouts) -> None:
    """List the models that the agents use, first choices and fallbacks."""

    async def ask() -> tuple[ModelsListResult, AgentsListResult]:
        async with where.connected() as client:
            models = await client.request("models.list", ModelsListParams(), ModelsListResult)
            return models, await client.request("agents.list", AgentsListParams(), AgentsListResult)

    models, agents = run(ask())
    if as_json:
        print_json(models)
        return
    rows = [
        (model.name, model.provider, ", ".join(agent.id for agent in agents.agents if model.name in used(agent)))
        for model in models.models
    ]
    echo(table(("MODEL", "PROVIDER", "AGENTS"), rows))


def used(agent: AgentSummary) -> list[str]:
    """Return an agent's models, the first choice first."""
    if not isinstance(agent.model, AgentModel):
        return []
    return [*([agent.model.primary] if agent.model.primary else []), *(agent.model.fallbacks or ())]

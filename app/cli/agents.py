"""``zero agents``: the agents there are, and one more."""

from __future__ import annotations

import os
from pathlib import Path

import click
from msgspec import UNSET

from app.cli.ending import Ended, endings, run
from app.cli.example import examples
from app.cli.output import echo
from app.cli.table import table
from app.cli.whereabouts import Whereabouts, json_option, print_json, whereabouts
from app.config import Change, LoadedConfig, agent_id, config_path, edit, escape, load
from app.contract.frames import AgentModel, AgentsListParams, AgentsListResult, AgentSummary


@click.group("agents", epilog=examples("zero agents list", "zero agents add pirate --model local/smollm2"))
def command() -> None:
    """List agents, add one."""


@command.command("list", epilog=examples("zero agents list", "zero agents list --local --json"))
@click.option("--local", is_flag=True, help="Those of the configuration file, without asking a gateway.")
@json_option
@whereabouts
def list_agents(local: bool, as_json: bool, where: Whereabouts) -> None:
    """List the agents of the gateway, the default one marked with a star."""
    from app.cli.models import used

    async def ask() -> AgentsListResult:
        async with where.connected() as client:
            return await client.request("agents.list", AgentsListParams(), AgentsListResult)

    if local:
        with endings():
            listed = _of_file(where.loaded())
    else:
        listed = run(ask())
    if as_json:
        print_json(listed)
        return
    rows = [
        ("*" if agent.id == listed.default_id else "", agent.id, agent.name or "-", ", then ".join(used(agent)))
        for agent in listed.agents
    ]
    echo(table(("", "ID", "NAME", "MODEL"), rows))


@command.command(
    "add",
    epilog=examples(
        "zero agents add reviewer --model openai/gpt-4o-mini --system-prompt 'You review Python code.'",
        "zero agents add main2 --model local/smollm2 --name 'The new one' --default",
    ),
)
@click.argument("id")
@click.option("--model", required=True, metavar="PROVIDER/MODEL", help="What answers, such as local/smollm2.")
@click.option("--name", help="A name for people.")
@click.option("--system-prompt", metavar="TEXT", help="What the agent is told before everything else.")
@click.option("--default", "as_default", is_flag=True, help="Make it the default agent, instead of the one that is.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file. [ZERO_CONFIG_PATH]")
def add(
    id: str, model: str, name: str | None, system_prompt: str | None, as_default: bool, config_file: Path | None
) -> None:
    """Add an agent to the configuration file. Comments stay; nothing is written unless the result is valid."""
    from app.engines.registry import registered_engines

    with endings():
        path, engines = config_file or config_path(os.environ), registered_engines()
        before = load(path, os.environ, engines)

        def changes() -> list[Change]:
            nonlocal before
            before = load(path, os.environ, engines)  # what others have added meanwhile has a place in the list
            if agent_id(id) in [agent.id.lower() for agent in before.config.agents.list]:
                raise Ended(f"There is an agent {id!r} already.")
            return _changes(before, id, model, name, system_prompt, as_default)

        after = edit(path, changes, os.environ, engines)
    echo(f"Added {agent_id(id)} to {after.path}. A running gateway takes it over by itself.")
    for gone in before.agents.keys() - after.agents.keys():
        echo(f"{gone} was there because no other agent was; it is no more.")
    if after.default_agent != before.default_agent:
        echo(f"The default agent is {after.default_agent} now.")


def _changes(
    before: LoadedConfig, id_: str, model: str, name: str | None, system_prompt: str | None, as_default: bool
) -> list[Change]:
    entry: dict[str, str | bool] = {"id": id_, "model": escape(model)}
    if name is not None:
        entry["name"] = escape(name)
    if as_default:
        entry["default"] = True
    if system_prompt is not None:
        entry["systemPrompt"] = escape(system_prompt)
    agents = before.config.agents.list
    changes: list[Change] = [(("agents", "list", len(agents)), {**entry})]
    if as_default:
        changes += [(("agents", "list", index, "default"), False) for index, one in enumerate(agents) if one.default]
    return changes


def _of_file(loaded: LoadedConfig) -> AgentsListResult:
    return AgentsListResult(
        default_id=loaded.default_agent,
        main_key="main",
        agents=[
            AgentSummary(
                id=agent.id,
                name=agent.name,
                model=AgentModel(primary=str(agent.model), fallbacks=[str(ref) for ref in agent.fallbacks] or UNSET),
            )
            for agent in loaded.agents.values()
        ],
    )

"""An agent as runs see it, with the defaults already merged in.

Owns the merge of ``agents.defaults`` and ``agents.list[]`` and the choice of the default agent. Pure; expects a checked
configuration. Rules: design.md, Configuration and Which agent.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from .agent_id import MAIN_AGENT
from .json_value import JsonValue
from .model_ref import BUILT_IN_WINDOWS, NO_MODEL, ModelRef, model_ref
from .structs import Agent, CatalogModel, Config, ModelChain, Tools


class ToolPolicy(Struct, frozen=True, kw_only=True):
    """Choose tools by name: ``allow`` None allows all; ``deny`` always wins."""

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()

    def permits(self, tool: str) -> bool:
        """Tell whether a tool of this name may be used."""
        return tool not in self.deny and (self.allow is None or tool in self.allow)


class Window(Struct, frozen=True):
    """Bound what a model is sent: tokens of prompt and answer together, and of its longest answer where it is known."""

    tokens: int
    answer: int | None = None


class AgentProfile(Struct, frozen=True, kw_only=True):
    """Hold everything a run needs to know about its agent; ``id`` is in lower case, the timeout in seconds.

    A model that isn't among ``windows`` is sent whatever there is.
    """

    id: str
    name: str
    model: ModelRef
    fallbacks: tuple[ModelRef, ...] = ()
    system_prompt: str = ""
    tools: ToolPolicy = ToolPolicy()
    params: Mapping[str, JsonValue] = {}
    timeout_seconds: float = 600.0
    max_concurrent: int | None = None
    windows: Mapping[ModelRef, Window] = {}


def agent_profiles(config: Config) -> dict[str, AgentProfile]:
    """Resolve the agents.

    Args:
        config: A checked configuration.

    Returns:
        The agents by id, in the order of the list; one called "main" when the list is empty.
    """
    profiles = (_profile(agent, config) for agent in _listed(config))
    return {profile.id: profile for profile in profiles}


def default_agent_id(config: Config) -> str:
    """Name the agent for requests that name none.

    Args:
        config: A checked configuration.

    Returns:
        The id of the entry with ``default: true``, else "main" if there is one, else the first entry's.
    """
    agents = _listed(config)
    chosen = next((agent.id for agent in agents if agent.default), None)
    if chosen is not None:
        return chosen.lower()
    ids = [agent.id.lower() for agent in agents]
    return MAIN_AGENT if MAIN_AGENT in ids else ids[0]


def _listed(config: Config) -> tuple[Agent, ...]:
    return config.agents.list or (Agent(id=MAIN_AGENT),)


def _profile(agent: Agent, config: Config) -> AgentProfile:
    defaults = config.agents.defaults
    model, fallbacks = _models(agent.model if agent.model is not None else defaults.model)
    prompt = agent.system_prompt if agent.system_prompt is not None else defaults.system_prompt
    return AgentProfile(
        id=agent.id.lower(),
        name=agent.id if agent.name is None else agent.name,
        model=model,
        fallbacks=fallbacks,
        system_prompt=prompt or "",
        tools=_tools(agent.tools, defaults.tools),
        params={**defaults.params, **agent.params},
        timeout_seconds=agent.timeout_seconds if agent.timeout_seconds is not None else defaults.timeout_seconds,
        max_concurrent=agent.max_concurrent if agent.max_concurrent is not None else defaults.max_concurrent,
        windows=_windows(
            (model, *fallbacks, *_summariser(config)), agent.context_tokens or defaults.context_tokens, config
        ),
    )


def _models(model: str | ModelChain | None) -> tuple[ModelRef, tuple[ModelRef, ...]]:
    if model is None:
        return NO_MODEL, ()
    if isinstance(model, str):
        return model_ref(model), ()
    return model_ref(model.primary), tuple(model_ref(fallback) for fallback in model.fallbacks)


def _summariser(config: Config) -> tuple[ModelRef, ...]:
    """Return the model that sums up what others have no room for, if it is none of theirs."""
    compaction = config.session.compaction
    return (model_ref(compaction.model),) if compaction.mode == "model" and compaction.model is not None else ()


def _windows(models: tuple[ModelRef, ...], bound: int | None, config: Config) -> dict[ModelRef, Window]:
    """Return how much each model may be sent: what it has room for, or less where the configuration says so."""
    found: dict[ModelRef, Window] = {}
    for model in models:
        listed = _listed_model(model, config)
        known = listed.context_window if listed is not None else BUILT_IN_WINDOWS.get(str(model))
        bounds = [tokens for tokens in (known, bound) if tokens is not None]
        if bounds:
            found[model] = Window(min(bounds), listed.max_tokens if listed is not None else None)
    return found


def _listed_model(model: ModelRef, config: Config) -> CatalogModel | None:
    provider = config.models.providers.get(model.provider)
    entries = (provider.models or ()) if provider is not None else ()
    return next((one for one in entries if isinstance(one, CatalogModel) and one.id == model.model), None)


def _tools(own: Tools, defaults: Tools) -> ToolPolicy:
    # An agent that writes a deny list of its own must not lift a general prohibition by accident: they add up.
    return ToolPolicy(
        allow=own.allow if own.allow is not None else defaults.allow,
        deny=tuple(dict.fromkeys((*defaults.deny, *own.deny))),
    )

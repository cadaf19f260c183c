"""From a path and an environment to a configuration that can be used.

Owns the order: read and include, substitute, decode, check, resolve the agents. May not keep state or look at the
process's own environment. Rules: design.md, Configuration.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from .agent_profile import AgentProfile, agent_profiles, default_agent_id
from .checks import check
from .decoding import decode
from .display import displayed
from .error import ConfigError, RuleError
from .includes import Composition
from .json5_document import is_present
from .structs import Config, Gateway
from .substitution import substitute


class LoadedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a valid configuration and where it came from.

    ``revision`` is short and the same for the same meaning, whatever the comments and the spelling of numbers. Secrets
    are not in it, since it is shown to clients, who could try out secrets of few letters by it.
    """

    config: Config
    path: Path
    files: tuple[Path, ...]
    revision: str
    agents: dict[str, AgentProfile]
    default_agent: str
    engines: frozenset[str] = frozenset()
    written_gateway: Gateway = Gateway()
    """``gateway`` as the file has it; flags may have changed the one in ``config``."""


def load(
    path: Path, environ: Mapping[str, str], engines: Collection[str] = (), *, text: str | None = None
) -> LoadedConfig:
    """Read, complete and check the configuration.

    Args:
        path: The main file.
        environ: The variables for ``${NAME}``.
        engines: Names of providers that need no entry because another package registered an engine of that name.
        text: What the main file is taken to say, to try an edit before it is written; without it the file is read.

    Returns:
        The configuration.

    Raises:
        ConfigError: Anything is wrong; its ``files`` are those that were looked at.
    """
    main = path.absolute()
    composition = Composition(main, text)
    try:
        config = _config(composition, main, environ, engines)
    except ConfigError as error:
        error.files = composition.files or (main,)
        raise
    return LoadedConfig(
        config=config,
        path=main,
        files=composition.files,
        revision=revision_of(config),
        agents=agent_profiles(config),
        default_agent=default_agent_id(config),
        engines=frozenset(engines),
        written_gateway=config.gateway,
    )


def _config(composition: Composition, main: Path, environ: Mapping[str, str], engines: Collection[str]) -> Config:
    if not is_present(main):
        raise ConfigError("does not exist", "Create it with `zero init`, or set ZERO_CONFIG_PATH.", file=main)
    composition.read()
    try:
        config = decode(substitute(composition.tree, environ))
        check(config, engines)
    except RuleError as fault:
        raise ConfigError.at(composition.origin(fault.path), fault) from None
    return config


def revision_of(config: Config) -> str:
    """Return a short name of what a configuration means, but for its secrets."""
    from hashlib import sha256

    return sha256(msgspec.json.encode(displayed(config), order="sorted")).hexdigest()[:12]

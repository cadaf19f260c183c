"""Where things are: the configuration file, the state directory, the port, the address to bind.

Owns the precedence of flag, environment, file and default. Reads nothing but the environment it is given.
Rules: design.md, Configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .error import ConfigError
from .structs import Config

CONFIG_PATH_VARIABLE = "ZERO_CONFIG_PATH"
STATE_DIR_VARIABLE = "ZERO_STATE_DIR"
PORT_VARIABLE = "ZERO_GATEWAY_PORT"
PORT_FLAG = "--port"
DEFAULT_PORT = 18789

_BIND_NAMES = {"loopback": "127.0.0.1", "lan": "0.0.0.0"}


def config_path(environ: Mapping[str, str]) -> Path:
    """Name the configuration file.

    Args:
        environ: ``ZERO_CONFIG_PATH`` (an empty one counts as unset) and ``HOME``.

    Returns:
        The path; nobody has looked whether it exists.

    Raises:
        ConfigError: The path needs a home directory and ``HOME`` is not set.
    """
    return _path(environ, CONFIG_PATH_VARIABLE, "~/.zero/zero.json")


def state_dir(environ: Mapping[str, str]) -> Path:
    """Name the directory for everything the gateway keeps.

    Args:
        environ: ``ZERO_STATE_DIR`` (an empty one counts as unset) and ``HOME``.

    Returns:
        The path; nobody has looked whether it exists.

    Raises:
        ConfigError: The path needs a home directory and ``HOME`` is not set.
    """
    return _path(environ, STATE_DIR_VARIABLE, "~/.zero")


def port(config: Config, environ: Mapping[str, str], flag: str | int | None = None) -> int:
    """Choose the port to listen on: flag, ``ZERO_GATEWAY_PORT``, ``gateway.port``, 18789.

    Args:
        config: The configuration.
        environ: The environment; an empty variable counts as unset.
        flag: What the command line says, if anything.

    Returns:
        The port, 1 to 65535.

    Raises:
        ConfigError: The first of them that is given isn't a port.
    """
    if flag is not None:
        return _port(str(flag), PORT_FLAG)
    if environ.get(PORT_VARIABLE):
        return _port(environ[PORT_VARIABLE], PORT_VARIABLE)
    return config.gateway.port if config.gateway.port is not None else DEFAULT_PORT


def bind_host(config: Config) -> str:
    """Name the address to listen on.

    Args:
        config: A checked configuration.

    Returns:
        An IP address without brackets.

    Raises:
        ValueError: ``gateway.bind`` isn't a known name or an address.
    """
    return host_of(config.gateway.bind)


def host_of(bind: str) -> str:
    """Translate what ``gateway.bind`` says into an address.

    Args:
        bind: "loopback", "lan" or an IP address.

    Returns:
        An IP address without brackets.

    Raises:
        ValueError: It is none of these.
    """
    from ipaddress import ip_address

    return _BIND_NAMES.get(bind) or str(ip_address(bind))


def _path(environ: Mapping[str, str], variable: str, default: str) -> Path:
    written = environ.get(variable) or default
    if written != "~" and not written.startswith("~/"):
        return Path(written)
    home = environ.get("HOME")
    if not home:
        raise ConfigError(f'"{written}" needs a home directory and HOME is not set', f"Set {variable}.", path=variable)
    return Path(home, written[2:])


def _port(written: str, source: str) -> int:
    text = written.strip()
    # At most five digits, so that int() has nothing to refuse or to chew on.
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise ConfigError("not a port", "Give a whole number from 1 to 65535.", path=source)
    return int(text)

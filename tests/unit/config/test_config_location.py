"""Where things are."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config.error import ConfigError
from app.config.location import bind_host, config_path, port, state_dir
from app.config.structs import Config, Gateway

HOME = {"HOME": "/home/ada"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (HOME, "/home/ada/.zero/zero.json"),
        ({**HOME, "ZERO_CONFIG_PATH": ""}, "/home/ada/.zero/zero.json"),
        ({**HOME, "ZERO_CONFIG_PATH": "~/x.json5"}, "/home/ada/x.json5"),
        ({"ZERO_CONFIG_PATH": "/etc/zero.json"}, "/etc/zero.json"),
        ({"ZERO_CONFIG_PATH": "conf/zero.json"}, "conf/zero.json"),
        ({**HOME, "ZERO_CONFIG_PATH": "~other/x"}, "~other/x"),
        ({**HOME, "ZERO_STATE_DIR": "/var/lib/zero"}, "/home/ada/.zero/zero.json"),
    ],
)
def test_config_path(environ: dict[str, str], expected: str) -> None:
    """The variable wins over the home directory; a tilde is the home directory."""
    assert Path(expected) == config_path(environ)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (HOME, "/home/ada/.zero"),
        ({**HOME, "ZERO_STATE_DIR": "~"}, "/home/ada"),
        ({"ZERO_STATE_DIR": "/var/lib/zero"}, "/var/lib/zero"),
        ({**HOME, "ZERO_CONFIG_PATH": "/etc/zero.json"}, "/home/ada/.zero"),
    ],
)
def test_state_dir(environ: dict[str, str], expected: str) -> None:
    """State has its own variable."""
    assert Path(expected) == state_dir(environ)


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}])
def test_without_a_home_the_variable_is_asked_for(environ: dict[str, str]) -> None:
    """Nothing is guessed when the home directory is unknown."""
    with pytest.raises(ConfigError) as caught:
        config_path(environ)
    assert str(caught.value) == (
        'ZERO_CONFIG_PATH: "~/.zero/zero.json" needs a home directory and HOME is not set. Set ZERO_CONFIG_PATH.'
    )


def test_port_zero_is_refused_as_a_number_too() -> None:
    """A flag that a parser has made a number is looked at like any other."""
    with pytest.raises(ConfigError, match=r"^--port: not a port\."):
        port(SET, {}, 0)


SET = Config(gateway=Gateway(port=3000))


@pytest.mark.parametrize(
    ("config", "environ", "flag", "expected"),
    [
        (Config(), {}, None, 18789),
        (SET, {}, None, 3000),
        (SET, {"ZERO_GATEWAY_PORT": ""}, None, 3000),
        (SET, {"ZERO_GATEWAY_PORT": " 4000 "}, None, 4000),
        (SET, {"ZERO_GATEWAY_PORT": "4000"}, 5000, 5000),
        (SET, {"ZERO_GATEWAY_PORT": "4000"}, "5000", 5000),
        (SET, {"ZERO_GATEWAY_PORT": "rubbish"}, "65535", 65535),
        (Config(), {}, 1, 1),
    ],
)
def test_port(config: Config, environ: dict[str, str], flag: str | int | None, expected: int) -> None:
    """Flag, variable, file, 18789: the first that is given counts."""
    assert expected == port(config, environ, flag)


@pytest.mark.parametrize("written", ["0", "65536", "-1", "80.0", "http", "1e3", "٨٠", "9" * 5000, "0x50", " "])
def test_a_bad_port_is_refused_by_its_source(written: str) -> None:
    """A flag or variable that isn't a port is named, not skipped."""
    with pytest.raises(ConfigError) as flag:
        port(SET, {}, written)
    with pytest.raises(ConfigError) as variable:
        port(SET, {"ZERO_GATEWAY_PORT": written})
    assert str(flag.value) == "--port: not a port. Give a whole number from 1 to 65535."
    assert str(variable.value) == "ZERO_GATEWAY_PORT: not a port. Give a whole number from 1 to 65535."


@pytest.mark.parametrize(
    ("bind", "expected"),
    [("loopback", "127.0.0.1"), ("lan", "0.0.0.0"), ("10.1.2.3", "10.1.2.3"), ("::1", "::1"), ("0::1", "::1")],
)
def test_bind_host(bind: str, expected: str) -> None:
    """Words are translated and addresses taken."""
    assert expected == bind_host(Config(gateway=Gateway(bind=bind)))

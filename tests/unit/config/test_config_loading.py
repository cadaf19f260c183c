"""The whole way from a file to a usable configuration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import app.config
from app.config import ConfigError, load


def written(folder: Path, content: str, name: str = "zero.json") -> Path:
    """Write a configuration file."""
    file = folder / name
    file.write_text(content)
    return file


def refused(file: Path, environ: dict[str, str] | None = None) -> ConfigError:
    """Load a configuration that is expected to be refused."""
    with pytest.raises(ConfigError) as caught:
        load(file, environ or {})
    return caught.value


def test_a_full_configuration(tmp_path: Path) -> None:
    """Includes, variables, decoding, checks and agents work together in this order."""
    written(tmp_path, "{up: {baseUrl: 'https://${UP_HOST}/v1', apiKey: '${UP_KEY}', models: ['m']}}", "providers.json5")
    file = written(
        tmp_path,
        """{ // ours
          gateway: { port: 18789.0, auth: { token: '${TOKEN}' } },
          agents: { list: [{ id: 'Ops', model: 'up/m', systemPrompt: 'Say $${HELLO}' }, { id: 'two' }] },
          models: { providers: { $include: './providers.json5' } },
        }""",
    )
    loaded = load(file, {"UP_HOST": "up.example", "UP_KEY": "${TOKEN}", "TOKEN": "s3cret"})
    assert loaded.config.gateway.port == 18789
    assert loaded.config.gateway.auth.token == "s3cret"
    assert loaded.config.models.providers["up"].base_url == "https://up.example/v1"
    assert loaded.config.models.providers["up"].api_key == "${TOKEN}"
    assert loaded.agents["ops"].system_prompt == "Say ${HELLO}"
    assert list(loaded.agents) == ["ops", "two"]
    assert loaded.default_agent == "ops"
    assert (file, tmp_path / "providers.json5") == loaded.files
    assert file == loaded.path
    assert "s3cret" not in repr(loaded)


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded stays findable when the working directory changes."""
    written(tmp_path, "{}")
    monkeypatch.chdir(tmp_path)
    assert (tmp_path / "zero.json",) == load(Path("zero.json"), {}).files


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    """A first start without a configuration tells what to do."""
    file = tmp_path / "zero.json"
    error = refused(file)
    assert f"{file}: does not exist. Create it with `zero init`, or set ZERO_CONFIG_PATH." == str(error)
    assert (file,) == error.files


@pytest.mark.parametrize(
    ("main", "part", "environ", "message"),
    [
        ("{gateway: {prot: 1}}", "{}", {}, '{d}/zero.json: gateway.prot: unknown key. Did you mean "port"?'),
        (
            "{agents: {$include: 'part.json'}}",
            "{list: [{id: 'a'}, {id: 'a b'}]}",
            {},
            (
                "{d}/part.json: agents.list[1].id: not an agent's id. "
                "Use letters, digits, underscores and dashes, starting with a letter or digit, 64 at most."
            ),
        ),
        (
            "{agents: {$include: 'part.json', defaults: {model: 'gpt'}}}",
            "{defaults: {model: 'echo/echo'}}",
            {},
            '{d}/zero.json: agents.defaults.model: not a model. Write it as "provider/model".',
        ),
        (
            "{$include: 'part.json'}",
            "{gateway: {auth: {token: '${T}'}}}",
            {"T": ""},
            (
                "{d}/part.json: gateway.auth.token: the environment variable T is empty. "
                "Set T, or write $${T} to mean the text itself."
            ),
        ),
        (
            "{models: {providers: {p: {$include: 'part.json'}}}}",
            "{apiKey: 'x'}",
            {},
            "{d}/zero.json: models.providers.p.baseUrl: the key is missing. Add baseUrl, a string.",
        ),
        (
            "{$include: 'part.json'}",
            "{a: }",
            {},
            (
                '{d}/part.json:1:5: not JSON5: unexpected "}". '
                "Look there, or just before it, for a missing comma, quote or bracket."
            ),
        ),
    ],
)
def test_errors_name_the_file_at_fault(
    tmp_path: Path, main: str, part: str, environ: dict[str, str], message: str
) -> None:
    """A mistake in an included file is put down to that file."""
    written(tmp_path, part, "part.json")
    error = refused(written(tmp_path, main), environ)
    assert message.replace("{d}", str(tmp_path)) == str(error)
    assert message.startswith(f"{{d}}/{error.file.name if error.file else None}")


def test_an_error_lists_the_files_that_were_read(tmp_path: Path) -> None:
    """Whoever waits for the repair knows where to look."""
    written(tmp_path, "{agents: 7}", "part.json")
    file = written(tmp_path, "{$include: 'part.json'}")
    assert (file, tmp_path / "part.json") == refused(file).files


@pytest.mark.parametrize(
    "content",
    [
        "{gateway: {auth: {token: '${S}', mode: 'wrong'}}}",
        "{gateway: {auth: {token: ['${S}']}}}",
        "{gateway: {auth: {password: '${S}\\u0000x'}}}",
        "{gateway: {auth: {mode: '${S}'}}}",
        "{gateway: {bind: '${S}'}}",
        "{gateway: {port: '${S}'}}",
        "{gateway: {trustedProxies: ['${S}']}}",
        "{models: {providers: {p: {baseUrl: '${S}'}}}}",
        "{models: {providers: {p: {baseUrl: 'https://u:${S}@x'}}}}",
        "{models: {providers: {p: {baseUrl: 'https://x:${S}'}}}}",
        "{models: {providers: {p: {baseUrl: 'https://x', apiKey: '${S}\\n'}}}}",
        "{models: {providers: {p: {baseUrl: 'https://x', headers: {'X-Key': '${S}\\r\\n'}}}}}",
        "{models: {providers: {p: {baseUrl: 'https://x', headers: ['${S}']}}}}",
        "{agents: {list: [{id: '${S} '}]}}",
    ],
)
def test_no_secret_is_in_an_error(tmp_path: Path, content: str) -> None:
    """Whatever is wrong with or around a secret, it is not repeated; nor does the exception drag it along."""
    error = refused(written(tmp_path, content), {"S": "hunter2hunter2"})
    shown = f"{error} {error!r} {error.args} {error.__cause__!r}"
    assert "hunter2" not in shown


def test_the_revision_follows_the_meaning(tmp_path: Path) -> None:
    """Comments, order of keys, spelling of numbers and includes don't change it; values and variables do."""
    one = load(written(tmp_path, "{gateway: {port: 80, bind: 'lan'}, agents: {defaults: {params: {a: 1, b: 2}}}}"), {})
    written(tmp_path, "{defaults: {params: {b: 2, a: 1}}}", "part.json")
    same = load(
        written(tmp_path, "{/* x */ agents: {$include: 'part.json'}, gateway: {bind: 'lan', port: 80.0}, models: {}}"),
        {},
    )
    other = load(
        written(tmp_path, "{gateway: {port: 80, bind: 'lan'}, agents: {defaults: {params: {a: 1, b: 3}}}}"), {}
    )
    assert one.revision == same.revision
    assert one.revision != other.revision
    assert len(one.revision) == 12
    file = written(tmp_path, "{agents: {defaults: {systemPrompt: '${T}'}}}")
    assert load(file, {"T": "a"}).revision != load(file, {"T": "b"}).revision


def test_the_revision_tells_nothing_of_secrets(tmp_path: Path) -> None:
    """Clients see it, who could otherwise try out by it what a short secret is."""
    provider = "{baseUrl: 'http://x/v1', apiKey: '${T}', headers: {a: '${T}'}}"
    text = "{gateway: {auth: {token: '${T}', password: '${T}'}}, models: {providers: {p: PROVIDER}}}"
    file = written(tmp_path, text.replace("PROVIDER", provider))
    assert load(file, {"T": "a"}).revision == load(file, {"T": "b"}).revision


def test_registered_engines_are_providers(tmp_path: Path) -> None:
    """An engine that another package registered can be used without an entry."""
    file = written(tmp_path, "{agents: {defaults: {model: 'acme/any'}}}")
    assert load(file, {}, engines=["acme"]).agents["main"].model.provider == "acme"
    assert "neither built in nor in models.providers" in str(refused(file))


def test_importing_the_package_is_light() -> None:
    """What only watching or a mistake needs is not loaded at start-up."""
    program = (
        "import sys, types; app = sys.modules['app'] = types.ModuleType('app'); app.__path__ = [sys.argv[1]]; "
        "import app.config; print(sorted({'watchfiles', 'anyio', 'asyncio', 'difflib', 'logging', 'hashlib', "
        "'litestar'} & set(sys.modules)))"
    )
    # The bare module in the place of "app" keeps the gateway, which loads nearly everything, out of the measurement.
    command = [sys.executable, "-c", program, str(Path(app.config.__file__).parent.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"

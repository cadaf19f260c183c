"""The wheel and the source distribution: built, and the gateway in a virtual environment of its own asked.

Nothing is downloaded: what the gateway depends on is taken from the environment of the tests, by a path file. So this
shows that the wheel has all that is ours, not that its dependencies can be had.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.documents import ROOT, fenced
from tests.live_gateway import free_port

SECONDS: Final = 30.0
BEGUN: Final = """\
python3 -m venv zero
zero/bin/pip install ./dist/*.whl
zero/bin/zero init
zero/bin/zero gateway
"""
WITHIN: Final = {"app/contract/openapi.yaml", "app/contract/openapi.json", "app/contract/asyncapi.yaml"} | {
    "app/contract/asyncapi.json",
    "app/contract/reference.html",
    "app/config/zero.schema.json",
}


def run(*command: str | Path, cwd: Path, **environ: str) -> str:
    """Run a command that must succeed; return what it printed."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("ZERO_", "PYTHON"))}
    done = subprocess.run(
        command, cwd=cwd, env={**bare, **environ}, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def built(source: Path, folder: Path) -> Path:
    """Build both packages of a source tree; return their folder."""
    paths = os.pathsep.join(path for path in sys.path if Path(path).is_dir() and not Path(path).samefile(ROOT))
    run(sys.executable, "-m", "hatchling", "build", "--directory", folder, cwd=source, PYTHONPATH=paths)
    return folder


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the source distribution."""
    return built(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def home(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a virtual environment that has the wheel, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("home")
    [wheel] = packages.glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "zero", cwd=folder)
    python = folder / "zero" / "bin" / "python"
    install = ("install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", wheel)
    run(sys.executable, "-m", "pip", "--python", python, *install, cwd=folder)
    places = {"base": str(folder / "zero"), "platbase": str(folder / "zero")}
    site = Path(sysconfig.get_path("purelib", "venv", places))
    # Path files in there aren't read, so the checkout, which one of them names, stays out.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return folder


@pytest.fixture
def served(home: Path) -> Iterator[str]:
    """`zero gateway` in that environment, after `zero init`; its address."""
    zero, port = home / "zero" / "bin" / "zero", free_port()
    run(zero, "init", cwd=home, HOME=str(home))
    # The local model may be there or not.
    run(zero, "config", "set", "agents.list[0].model", '"echo/echo"', cwd=home, HOME=str(home))
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "ZERO_GATEWAY_PORT": str(port)}
    process = subprocess.Popen([zero, "gateway"], cwd=home, env=environ, stdout=subprocess.DEVNULL)
    try:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + SECONDS
        while not answers(url):
            assert process.poll() is None, "the gateway ended"
            assert time.monotonic() < deadline, "the gateway didn't answer"
            time.sleep(0.02)
        yield url
    finally:
        process.terminate()
        assert 0 == process.wait(SECONDS)


def answers(url: str) -> bool:
    """Tell whether a gateway is there."""
    try:
        return get(f"{url}/healthz") == b'{"status":"ok"}'
    except urllib.error.URLError:
        return False


def get(url: str) -> bytes:
    """Return what is at an address."""
    with urllib.request.urlopen(url, timeout=SECONDS) as response:
        body: bytes = response.read()
        return body


def test_the_wheel_has_all_that_is_ours_and_nothing_else(packages: Path) -> None:
    """The application with its contract, and no tests or tools."""
    [wheel] = packages.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {file.relative_to(ROOT).as_posix() for file in (ROOT / "app").rglob("*.py")} | WITHIN == names


def test_the_source_distribution_makes_the_same_wheel(packages: Path, tmp_path: Path) -> None:
    """Whoever has only that can build it, too."""
    [source] = packages.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    [tree] = tmp_path.iterdir()
    again = zipfile.ZipFile(next(built(tree, tmp_path / "dist").glob("*.whl")))
    first = zipfile.ZipFile(next(packages.glob("*.whl")))
    assert {each.filename: each.CRC for each in first.infolist()} == {
        each.filename: each.CRC for each in again.infolist()
    }


def test_what_runs_is_what_was_installed(home: Path) -> None:
    """The environment has the wheel's modules, not the checkout's."""
    python = home / "zero" / "bin" / "python"
    shown = Path(run(python, "-c", "import app; print(app.__file__)", cwd=home).strip())
    assert shown.is_relative_to(home)


def test_it_serves(served: str, home: Path) -> None:
    """`zero init` and `zero gateway` are all it takes, and the further commands of docs/index.md work as they stand."""
    assert (ROOT / "openapi.yaml").read_bytes() == get(f"{served}/openapi.yaml")
    assert b"<h1" in get(f"{served}/docs")
    [token] = re.findall(r'token: "([^"]+)"', (home / ".zero" / "zero.json").read_text())
    request = urllib.request.Request(f"{served}/v1/models", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        assert b'"zero:main"' in response.read()
    schema = run(home / "zero" / "bin" / "zero", "config", "schema", cwd=home)
    assert (ROOT / "contracts" / "zero.schema.json").read_text() == schema
    _, begun, asking, setting = (block.text for block in fenced(ROOT / "docs" / "index.md", "bash"))
    assert BEGUN == begun  # what the fixtures have done
    port = served.rpartition(":")[2]
    said = run("sh", "-c", asking, cwd=home, HOME=str(home), ZERO_GATEWAY_PORT=port)
    assert "What is the capital of France?\n" == said
    run("sh", "-ec", setting, cwd=home, HOME=str(home))
    zero = home / "zero" / "bin" / "zero"
    assert "ollama/llama3.2\n" == run(zero, "config", "get", "agents.list[0].model", cwd=home, HOME=str(home))

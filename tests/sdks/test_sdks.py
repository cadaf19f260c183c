"""`make sdks`: both generators like the contract, and what they make of it is typed, well named, and works."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
import yaml

from contracts.sdks import python, typescript
from contracts.sdks.generator import CONTRACT, FOLDER, Client, GeneratorError
from tests.live_gateway import LiveGateway
from tests.sdks.stage import stage
from tests.sdks.trial import EXAMPLE, WALK, try_python, try_typescript, typescript_project

Change: TypeAlias = Callable[[dict[str, Any]], object]

OPERATIONS: Final = {
    "createChatCompletion",
    "deleteSession",
    "deleteSessions",
    "exportSession",
    "exportSessions",
    "getContractJson",
    "getContractYaml",
    "getHealth",
    "getMetrics",
    "getReadiness",
    "getReference",
    "importSessions",
    "listModels",
    "listSessionBranches",
    "listSessionMessages",
    "listSessions",
    "resetSession",
    "restoreSessionBranch",
    "retrieveModel",
    "retrieveSession",
}
# What the Python generator calls a schema without a name of its own. The TypeScript generator only numbers, and only
# names that were taken.
MADE_UP: Final = re.compile(r"Type\d|Item$|Response\d|Property|\d$")

REQUEST_PYTHON: Final = """\
from zero_gateway_client.models import ChatCompletionRequestUserMessage, CreateChatCompletionRequest

message = ChatCompletionRequestUserMessage(role="user", content="hi")
CreateChatCompletionRequest(model="zero", messages=[message], reasoning_effort="%s", service_tier=None)
"""
REQUEST_TYPESCRIPT: Final = """\
import type { CreateChatCompletionRequest } from 'zero-gateway-client';

const messages: CreateChatCompletionRequest['messages'] = [{ role: 'user', content: 'hi' }];
export const body: CreateChatCompletionRequest = {
  model: 'zero', messages, reasoning_effort: '%s', service_tier: null,
};
"""


@pytest.fixture(scope="module")
def python_client() -> Client:
    """Generate the Python package and check its types."""
    return python.build(CONTRACT, FOLDER)


@pytest.fixture(scope="module")
def typescript_client() -> Client:
    """Generate the TypeScript package and check its types."""
    return typescript.build(CONTRACT, FOLDER)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[LiveGateway]:
    """Start a gateway for one language's trial."""
    with stage(tmp_path) as live:
        yield live


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[Change], Path]:
    """Write a variant of the contract to a file."""

    def write(change: Change) -> Path:
        document = yaml.safe_load(CONTRACT.read_bytes())
        change(document)
        file = tmp_path / "changed.yaml"
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        return file

    return write


def add_image(document: dict[str, Any]) -> None:
    """Give an operation an answer of a kind that the Python generator leaves out."""
    document["paths"]["/healthz"]["get"]["responses"]["200"]["content"] = {"image/png": {"schema": {"type": "string"}}}


def add_unknown_scheme(document: dict[str, Any]) -> None:
    """Ask for an authentication that the TypeScript generator doesn't know."""
    document["components"]["securitySchemes"]["odd"] = {"type": "odd"}
    document["paths"]["/healthz"]["get"]["security"] = [{"odd": []}]


def repeat_an_operation_id(document: dict[str, Any]) -> None:
    """Call two operations the same, which only the TypeScript generator's validation notices."""
    document["paths"]["/healthz"]["get"]["operationId"] = "getReadiness"


class TestPython:
    """The Python package."""

    def test_works(self, python_client: Client, gateway: LiveGateway) -> None:
        """Its types hold in a user's program, its calls do what they say, and the documented example runs."""
        assert (WALK, EXAMPLE) == try_python(python_client.folder.parent, gateway)

    def test_names(self, python_client: Client) -> None:
        """Operations are modules that are called like them, and every model has a name from the contract."""
        package = python_client.folder / python.PACKAGE
        modules = {file.stem for file in package.glob("api/*/*.py")} - {"__init__"}
        names = re.findall(r'^    "(\w+)",$', (package / "models" / "__init__.py").read_text(), re.MULTILINE)
        assert {re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name) for name in OPERATIONS} == modules
        assert len(names) > 80
        assert [] == [name for name in names if MADE_UP.search(name)]

    def test_package(self, python_client: Client) -> None:
        """It has the contract's version, and tells type checkers that it is typed."""
        project = tomllib.loads((python_client.folder / "pyproject.toml").read_text())["project"]
        version = yaml.safe_load(CONTRACT.read_bytes())["info"]["version"]
        assert ("zero-gateway-client", version) == (project["name"], project["version"])
        assert (python_client.folder / python.PACKAGE / "py.typed").is_file()

    def test_wrong_types_are_found(self, python_client: Client, tmp_path: Path) -> None:
        """A value that the contract doesn't know is found by mypy, and one that it knows is not."""
        files = {value: tmp_path / f"{value}.py" for value in ("high", "much")}
        for value, file in files.items():
            file.write_text(REQUEST_PYTHON % value)
        with pytest.raises(GeneratorError) as found:
            python.check_types(python_client.folder, [str(file) for file in files.values()])
        assert ["much.py"] == re.findall(r"(\w+\.py):\d+: error", str(found.value))

    def test_warnings_are_faults(self, changed: Callable[[Change], Path], tmp_path: Path) -> None:
        """A contract that the generator leaves something out of is refused, with its words."""
        with pytest.raises(GeneratorError, match=r"(?s)warned about.*image/png"):
            python.build(changed(add_image), tmp_path)


class TestTypeScript:
    """The TypeScript package."""

    def test_works(self, typescript_client: Client, gateway: LiveGateway) -> None:
        """Its types hold in a user's program, its calls do what they say, and the documented example runs."""
        assert (WALK, EXAMPLE) == try_typescript(typescript_client.folder.parent, gateway)

    def test_names(self, typescript_client: Client) -> None:
        """Operations are functions that are called like them, and no type has a made-up name."""
        exports = (typescript_client.folder / "src" / "generated" / "index.ts").read_text()
        functions = re.search(r"export \{ (.*) \} from './sdk", exports)
        types = re.search(r"export type \{ (.*) \} from './types", exports)
        assert functions
        assert types
        assert OPERATIONS == set(functions[1].split(", ")) - {"type Options"}
        assert len(types[1].split(", ")) > 80
        assert [] == [name for name in types[1].split(", ") if name[-1].isdigit()]

    def test_package(self, typescript_client: Client) -> None:
        """It has the contract's version, and every file that its manifest names is there."""
        manifest = json.loads((typescript_client.folder / "package.json").read_text())
        version = yaml.safe_load(CONTRACT.read_bytes())["info"]["version"]
        assert ("zero-gateway-client", version) == (manifest["name"], manifest["version"])
        assert [] == [f for f in manifest["exports"]["."].values() if not (typescript_client.folder / f).is_file()]

    def test_wrong_types_are_found(self, typescript_client: Client) -> None:
        """A value that the contract doesn't know is found by the compiler, and one that it knows is not."""
        files = {f"{value}.ts": REQUEST_TYPESCRIPT % value for value in ("high", "much")}
        project = typescript_project(typescript_client.folder.parent, "types", files)
        with pytest.raises(GeneratorError) as found:
            typescript.compile_sources(project)
        assert ["much.ts"] == re.findall(r"(\w+\.ts)\(\d+,\d+\): error", str(found.value))

    @pytest.mark.parametrize(
        ("change", "words"), [(add_unknown_scheme, "SDK warning"), (repeat_an_operation_id, "Duplicate `operationId`")]
    )
    def test_warnings_are_faults(
        self, change: Change, words: str, changed: Callable[[Change], Path], tmp_path: Path
    ) -> None:
        """A contract that the generator complains about is refused, with its words."""
        with pytest.raises(GeneratorError, match=words):
            typescript.build(changed(change), tmp_path, FOLDER)


def test_no_warning_is_tolerated() -> None:
    """Both generators take the contract as it is."""
    assert ({}, {}) == (python.TOLERATED, typescript.TOLERATED)

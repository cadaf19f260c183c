"""The contract at run time: what it says of its operations, and that it refuses to be out of date."""

from pathlib import Path

import pytest

from app.contract import document
from app.contract.document import Document, Operation, StaleContractError
from app.contract.models import CreateChatCompletionRequest

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy the contract into a tree like the repository's, and name the folder that has openapi.json."""
    folder = tmp_path / "app" / "contract"
    folder.mkdir(parents=True)
    (tmp_path / "openapi.yaml").write_bytes((REPOSITORY / "openapi.yaml").read_bytes())
    for name in ("openapi.json", "reference.html"):
        (folder / name).write_bytes((REPOSITORY / "app" / "contract" / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def loaded() -> Document:
    """Load the repository's contract."""
    return document.load()


def by_id(loaded: Document, operation: str) -> Operation:
    """Find an operation."""
    return next(o for o in loaded.operations if o.id == operation)


def test_bytes_are_the_files(loaded: Document) -> None:
    """The document is served byte for byte as written and as generated."""
    assert (REPOSITORY / "openapi.yaml").read_bytes() == loaded.yaml
    assert (REPOSITORY / "app" / "contract" / "openapi.json").read_bytes() == loaded.json
    assert (REPOSITORY / "app" / "contract" / "reference.html").read_bytes() == loaded.page


def test_operations(loaded: Document) -> None:
    """The gateway has these operations and no others."""
    assert [
        ("createChatCompletion", "POST", "/v1/chat/completions"),
        ("listModels", "GET", "/v1/models"),
        ("retrieveModel", "GET", "/v1/models/{model}"),
        ("listSessions", "GET", "/v1/zero/sessions"),
        ("deleteSessions", "DELETE", "/v1/zero/sessions"),
        ("exportSessions", "GET", "/v1/zero/sessions/export"),
        ("importSessions", "POST", "/v1/zero/sessions/import"),
        ("retrieveSession", "GET", "/v1/zero/sessions/{key}"),
        ("deleteSession", "DELETE", "/v1/zero/sessions/{key}"),
        ("listSessionMessages", "GET", "/v1/zero/sessions/{key}/messages"),
        ("exportSession", "GET", "/v1/zero/sessions/{key}/export"),
        ("resetSession", "POST", "/v1/zero/sessions/{key}/reset"),
        ("listSessionBranches", "GET", "/v1/zero/sessions/{key}/branches"),
        ("restoreSessionBranch", "POST", "/v1/zero/sessions/{key}/branches/{branch}/restore"),
        ("getHealth", "GET", "/healthz"),
        ("getReadiness", "GET", "/readyz"),
        ("getMetrics", "GET", "/metrics"),
        ("getContractJson", "GET", "/openapi.json"),
        ("getContractYaml", "GET", "/openapi.yaml"),
        ("getReference", "GET", "/docs"),
    ] == [(o.id, o.method, o.path) for o in loaded.operations]


def test_public_operations(loaded: Document) -> None:
    """Only health, readiness and the contract are open to everyone."""
    public = {o.id for o in loaded.operations if o.public}
    assert {"getHealth", "getReadiness", "getContractJson", "getContractYaml", "getReference"} == public


def test_body(loaded: Document) -> None:
    """Only a chat completion has a body of JSON, which is the generated struct."""
    bodies = {o.id: o.body for o in loaded.operations if o.body}
    assert {"createChatCompletion": CreateChatCompletionRequest} == bodies


def test_slashes_in_a_path_parameter(loaded: Document) -> None:
    """Only the name of a model may have slashes."""
    marked = {o.id: o.multi_segment for o in loaded.operations if o.multi_segment}
    assert {"retrieveModel": frozenset({"model"})} == marked


def test_statuses(loaded: Document) -> None:
    """An operation knows every status it may answer with."""
    chat = frozenset({200, 400, 401, 403, 404, 405, 413, 415, 429, 500, 502, 503, 504})
    health = frozenset({200, 405, 500})
    assert (chat, health) == tuple(by_id(loaded, name).statuses for name in ("createChatCompletion", "getHealth"))


def test_checkout(checkout: Path, loaded: Document) -> None:
    """In a checkout, openapi.yaml is at the top of the repository."""
    assert loaded == document.load(checkout)


def test_installed_package(checkout: Path, loaded: Document) -> None:
    """In an installed package, openapi.yaml is beside openapi.json."""
    (checkout.parents[1] / "openapi.yaml").rename(checkout / "openapi.yaml")
    assert loaded == document.load(checkout)


def test_contract_changed_after_generating(checkout: Path) -> None:
    """A contract that the structs were not generated from is refused, with the command that helps."""
    yaml = checkout.parents[1] / "openapi.yaml"
    yaml.write_bytes(yaml.read_bytes() + b"\n")
    with pytest.raises(StaleContractError, match=r"another openapi\.yaml .* python -m contracts\.generate"):
        document.load(checkout)


@pytest.mark.parametrize("name", ["openapi.yaml", "openapi.json", "reference.html"])
def test_missing_file(checkout: Path, name: str) -> None:
    """A missing file is refused by name."""
    (checkout / name if name != "openapi.yaml" else checkout.parents[1] / name).unlink()
    with pytest.raises(StaleContractError, match=f"{name} is missing"):
        document.load(checkout)

"""What is derived from the contract is current, and the check notices when it is not."""

from pathlib import Path

import pytest

from contracts import generate

FROM_OPENAPI = ("MODELS", "DOCUMENT", "COMPATIBILITY", "REFERENCE", "REFERENCE_PAGE")


def test_generated_files_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    """The files in the repository are what the contract gives today; two runs of the generator give the same bytes."""
    assert (0, "") == (generate.main(["--check"]), capsys.readouterr().err)


def test_stale_files_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check fails when the contract has changed, says which files are old, and writes nothing."""
    contract = tmp_path / "openapi.yaml"
    text = generate.CONTRACT.read_bytes()
    contract.write_bytes(text.replace(b"Names the agent;", b"Names it;").replace(b"Run one turn", b"Run a turn"))
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "CONTRACT", contract)
    old = {}
    for name in FROM_OPENAPI:
        path = tmp_path / getattr(generate, name).name
        path.write_bytes(getattr(generate, name).read_bytes())
        monkeypatch.setattr(generate, name, path)
        old[path] = path.read_bytes()
    assert 1 == generate.main(["--check"])
    assert [
        "models.py does not match openapi.yaml. Run: python -m contracts.generate",
        "openapi.json does not match openapi.yaml. Run: python -m contracts.generate",
        "compatibility.md does not match openapi.yaml. Run: python -m contracts.generate",
        "api.md does not match openapi.yaml. Run: python -m contracts.generate",
        "reference.html does not match openapi.yaml. Run: python -m contracts.generate",
    ] == capsys.readouterr().err.splitlines()
    assert old == {path: path.read_bytes() for path in old}


def test_generating_writes_what_the_check_wants(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After generating, into an empty place, the check is content."""
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    for name in FROM_OPENAPI:
        monkeypatch.setattr(generate, name, tmp_path / getattr(generate, name).name)
    assert (0, 0) == (generate.main([]), generate.main(["--check"]))
    assert (
        "wrote models.py\nwrote openapi.json\nwrote compatibility.md\nwrote api.md\nwrote reference.html\n"
        == capsys.readouterr().out
    )


def test_a_contract_the_generator_cannot_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A contract that is no mapping is an error with its name, not empty structs."""
    contract = tmp_path / "openapi.yaml"
    contract.write_text("- just a list\n")
    monkeypatch.setattr(generate, "CONTRACT", contract)
    with pytest.raises(ValueError, match=r"openapi\.yaml is not a mapping"):
        generate.main(["--check"])

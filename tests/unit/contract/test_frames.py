"""The WebSocket contract and its generated structs say the same, and the running gateway reads them as they are."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from app.contract import frame_document, frames
from app.contract.document import StaleContractError
from app.contract.frame_document import FrameDocument, Method
from contracts import generate
from tests.official import Json
from tests.unit.contract.test_decoding import variations

REPOSITORY = Path(__file__).resolve().parents[3]
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
LOADED = frame_document.load()
SCHEMAS: dict[str, dict[str, Json]] = json.loads(LOADED.json)["components"]["schemas"]
PARAMS = sorted({method.params.__name__ for method in LOADED.methods})
UNIONS = sorted(name for name, schema in SCHEMAS.items() if "discriminator" in schema)
EXAMPLES = [
    pytest.param(name, example, id=f"{name}-{i}")
    for name, schema in SCHEMAS.items()
    for i, example in enumerate(schema.get("examples", []))
]


@cache
def validator(name: str) -> jsonschema_rs.Draft7Validator:
    """Make a validator of one of the contract's schemas."""
    root = {"allOf": [{"$ref": f"#/components/schemas/{name}"}], "components": {"schemas": SCHEMAS}}
    return jsonschema_rs.Draft7Validator(root)


def type_of(name: str) -> Any:
    """Find what a schema's instances are decoded into: for a member of a union, the union."""
    reference = {"$ref": f"#/components/schemas/{name}"}
    return getattr(frames, next((union for union in UNIONS if reference in SCHEMAS[union]["oneOf"]), name))


@cache
def decoder(name: str) -> msgspec.json.Decoder[Any]:
    """Make a decoder of one of the contract's schemas."""
    return msgspec.json.Decoder(type_of(name))


def accepts(name: str, instance: Json) -> bool:
    """Ask the decoder."""
    try:
        decoder(name).decode(json.dumps(instance))
    except msgspec.ValidationError:
        return False
    return True


def nodes(node: Json, path: str) -> Iterator[tuple[str, dict[str, Json]]]:
    """Walk every object of a schema, with its path, examples left out."""
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            if key != "examples":
                yield from nodes(value, f"{path}/{key}")
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from nodes(value, f"{path}/{i}")


def method(name: str) -> Method:
    """Find a method."""
    return next(m for m in LOADED.methods if m.name == name)


class TestGenerated:
    """What is derived from the contract."""

    def test_stale_files_are_named(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The check fails when the contract has changed, says which files are old, and writes nothing."""
        contract = tmp_path / "asyncapi.yaml"
        contract.write_bytes(generate.FRAME_CONTRACT.read_bytes().replace(b"title: ZERO Gateway", b"title: Another"))
        monkeypatch.setattr(generate, "ROOT", tmp_path)
        monkeypatch.setattr(generate, "FRAME_CONTRACT", contract)
        for name in ("FRAMES", "FRAME_DOCUMENT"):
            path = tmp_path / getattr(generate, name).name
            path.write_bytes(getattr(generate, name).read_bytes())
            monkeypatch.setattr(generate, name, path)
        assert 1 == generate.main(["--check"])
        assert [
            "frames.py does not match asyncapi.yaml. Run: python -m contracts.generate",
            "asyncapi.json does not match asyncapi.yaml. Run: python -m contracts.generate",
        ] == capsys.readouterr().err.splitlines()
        assert LOADED.json == (tmp_path / "asyncapi.json").read_bytes()

    def test_every_example_is_shown(self) -> None:
        """Every schema except the unions has an example, and the examples of params have every property."""
        assert UNIONS == sorted(name for name, schema in SCHEMAS.items() if not schema.get("examples"))
        for name in PARAMS:
            shown = {key for example in SCHEMAS[name]["examples"] for key in example}
            assert set(SCHEMAS[name].get("properties", {})) == shown, name

    @pytest.mark.parametrize(("name", "example"), EXAMPLES)
    def test_example(self, name: str, example: Json) -> None:
        """An example is valid, and encodes to itself once decoded: nothing is lost, nothing invented."""
        validator(name).validate(example)
        assert example == json.loads(msgspec.json.encode(decoder(name).decode(json.dumps(example))))

    @pytest.mark.parametrize("name", [*PARAMS, "RequestFrame", "ResponseFrame", "EventFrame"])
    def test_decoder_agrees_with_the_contract(self, name: str) -> None:
        """Whatever one changes in an example, the decoder accepts it exactly when the contract does."""
        changed = [instance for example in SCHEMAS[name]["examples"] for instance in variations(example)]
        assert [] == [i for i in changed if validator(name).is_valid(i) != accepts(name, i)]


class TestSpelling:
    """The contract keeps to what the generator understands (contracts/README.md)."""

    def test_schema_is_json_schema(self) -> None:
        """Every schema is valid JSON Schema draft 7, which is AsyncAPI's."""
        wrong = [name for name, s in SCHEMAS.items() if not jsonschema_rs.meta.is_valid({**s, "$schema": DRAFT_7})]
        assert [] == wrong

    def test_no_keyword_the_generator_drops(self) -> None:
        """What would be lost on the way into the structs is not used."""
        lost = {"patternProperties", "not", "if", "uniqueItems", "multipleOf", "contains", "allOf", "format"}
        found = [path for name, schema in SCHEMAS.items() for path, node in nodes(schema, name) if lost & node.keys()]
        assert [] == [path for path in found if not path.endswith("/properties")]

    def test_patterns_end_where_the_text_ends(self) -> None:
        """Python's `$` also matches before a last newline, so a pattern ends in `$(?!\\n)`."""
        patterns = [str(n["pattern"]) for name, s in SCHEMAS.items() for _, n in nodes(s, name) if "pattern" in n]
        assert (True, []) == (
            bool(patterns),
            [p for p in patterns if not (p.startswith("^") and p.endswith(r"$(?!\n)"))],
        )

    def test_every_object_has_a_name(self) -> None:
        """Objects with properties, and closed ones, are components."""
        inner = [(path, node) for name, schema in SCHEMAS.items() for path, node in nodes(schema, name) if path != name]
        closed = [path for path, node in inner if node.get("additionalProperties") is False]
        assert ([], []) == (closed, [path for path, node in inner if isinstance(node.get("properties"), dict)])

    def test_no_default_in_params(self) -> None:
        """A default in params would be taken for the client's word."""
        found = [path for name in PARAMS for path, node in nodes(SCHEMAS[name], name) if "default" in node]
        assert [] == [path for path in found if not path.endswith("/properties")]

    def test_a_param_is_acted_on_ignored_or_refused(self) -> None:
        """Whatever is ignored or refused says why, in a sentence, and not both."""
        for name, schema in SCHEMAS.items():
            for path, node in nodes(schema, name):
                marks = {mark: node[mark] for mark in ("x-zero-ignored", "x-zero-refused") if mark in node}
                assert len(marks) < 2, path
                assert all(re.fullmatch(r"[A-Z].*\.", reason) for reason in marks.values()), path

    def test_extensions(self) -> None:
        """No extension is misspelled."""
        on_schemas = {"x-zero-ignored", "x-zero-refused", "x-zero-neutral", "x-zero-raw"}
        found = {key for name, s in SCHEMAS.items() for _, node in nodes(s, name) for key in node if key[:2] == "x-"}
        assert on_schemas == found
        fields = msgspec.structs.fields(frame_document._Operation)
        operations = json.loads(LOADED.json)["operations"].values()
        assert {f.encode_name for f in fields} == {key for o in operations for key in o if key.startswith("x-")}


class TestDocument:
    """The contract at run time."""

    @pytest.fixture
    def checkout(self, tmp_path: Path) -> Path:
        """Copy the contract into a tree like the repository's, and name the folder that has asyncapi.json."""
        folder = tmp_path / "app" / "contract"
        folder.mkdir(parents=True)
        (tmp_path / "contracts").mkdir()
        (tmp_path / "contracts" / "asyncapi.yaml").write_bytes(LOADED.yaml)
        (folder / "asyncapi.json").write_bytes(LOADED.json)
        return folder

    def test_bytes_are_the_files(self) -> None:
        """The document is the file, byte for byte."""
        assert (REPOSITORY / "contracts" / "asyncapi.yaml").read_bytes() == LOADED.yaml
        assert (REPOSITORY / "app" / "contract" / "asyncapi.json").read_bytes() == LOADED.json

    def test_methods(self) -> None:
        """The gateway has these methods and no others, the handshake first."""
        assert [
            *("connect", "health", "status", "agents.list", "models.list", "commands.list"),
            *("question.list", "plugin.approval.list", "system-presence"),
            *("sessions.list", "sessions.describe", "sessions.preview", "chat.history", "sessions.reset"),
            *("sessions.delete", "sessions.subscribe", "sessions.unsubscribe"),
            *("agent", "agent.wait", "chat.send", "chat.abort"),
        ] == [m.name for m in LOADED.methods]
        assert ["connect"] == [m.name for m in LOADED.methods if m.handshake]

    def test_structs(self) -> None:
        """A method names its structs."""
        agent, history = method("agent"), method("chat.history")
        assert (frames.AgentParams, frames.AgentAccepted, (frames.AgentResult,)) == (
            agent.params,
            agent.accepted,
            agent.results,
        )
        assert (frames.ChatHistoryResult, frames.ChatHistoryResetResult) == history.results
        assert ["agent"] == [m.name for m in LOADED.methods if m.accepted]

    def test_events(self) -> None:
        """The gateway has these events and no others."""
        assert {
            "connect.challenge": frames.ConnectChallenge,
            "tick": frames.TickEvent,
            "shutdown": frames.ShutdownEvent,
            "agent": frames.AgentEvent,
            "chat": frames.ChatEvent,
            "sessions.changed": frames.SessionsChangedEvent,
        } == {event.name: event.payload for event in LOADED.events}

    def test_side_effects_need_an_idempotency_key(self) -> None:
        """Exactly the methods that must not be repeated have a key, and require it."""
        keyed = {m.name for m in LOADED.methods if "idempotencyKey" in SCHEMAS[m.params.__name__].get("required", [])}
        assert keyed == {m.name for m in LOADED.methods if m.side_effects}
        assert {"agent", "chat.send"} == keyed

    @pytest.mark.parametrize(
        ("params", "expected"),
        [
            ({}, None),
            ({"deliver": False, "attachments": [], "to": "", "sessionEffects": "visible", "thinking": "high"}, None),
            ({"deliver": True}, "deliver"),
            ({"attachments": [{}]}, "attachments"),
            ({"to": "+1"}, "to"),
            ({"sessionEffects": "internal"}, "sessionEffects"),
            ({"swarmOutputSchema": {}}, None),
            ({"swarmOutputSchema": {"type": "object"}}, "swarmOutputSchema"),
        ],
    )
    def test_refusal(self, params: dict[str, Json], expected: str | None) -> None:
        """A param that asks for what is not done is found, one that says nothing is let through."""
        decoded = msgspec.convert({"message": "hi", "idempotencyKey": "r1", **params}, frames.AgentParams)
        refused = method("agent").refusal(decoded)
        assert expected == (refused.name if refused else None)

    def test_refusal_of_zero_and_false(self) -> None:
        """Only the neutral values are let through: a time of 0 is none of them, and `false` is not where `true` is."""
        delete = method("sessions.delete")
        asked: list[dict[str, Json]] = [
            {"expectedSessionUpdatedAt": 0},
            {"deleteTranscript": False},
            {"deleteTranscript": True},
        ]
        found = [
            delete.refusal(msgspec.convert({"key": "desk", **params}, frames.SessionsDeleteParams)) for params in asked
        ]
        assert ["expectedSessionUpdatedAt", "deleteTranscript", None] == [param and param.name for param in found]

    def test_ignored(self) -> None:
        """A method knows what makes no difference."""
        assert frozenset({"reason"}) == method("sessions.reset").ignored

    def test_checkout(self, checkout: Path) -> None:
        """In a checkout, asyncapi.yaml is in contracts/."""
        assert self.facts(LOADED) == self.facts(frame_document.load(checkout))

    def test_installed_package(self, checkout: Path) -> None:
        """In an installed package, asyncapi.yaml is beside asyncapi.json."""
        (checkout.parents[1] / "contracts" / "asyncapi.yaml").rename(checkout / "asyncapi.yaml")
        assert self.facts(LOADED) == self.facts(frame_document.load(checkout))

    def facts(self, document: FrameDocument) -> tuple[bytes, list[str]]:
        """Say what a document is."""
        return document.yaml, [m.name for m in document.methods]

    def test_contract_changed_after_generating(self, checkout: Path) -> None:
        """A contract that the structs were not generated from is refused, with the command that helps."""
        yaml = checkout.parents[1] / "contracts" / "asyncapi.yaml"
        yaml.write_bytes(yaml.read_bytes() + b"\n")
        with pytest.raises(StaleContractError, match=r"another asyncapi\.yaml .* python -m contracts\.generate"):
            frame_document.load(checkout)

    @pytest.mark.parametrize("name", ["asyncapi.yaml", "asyncapi.json"])
    def test_missing_file(self, checkout: Path, name: str) -> None:
        """A missing file is refused by name."""
        (checkout / name if name.endswith("json") else checkout.parents[1] / "contracts" / name).unlink()
        with pytest.raises(StaleContractError, match=f"{name} is missing"):
            frame_document.load(checkout)

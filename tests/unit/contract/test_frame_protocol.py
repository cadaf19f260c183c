"""The WebSocket contract says what the gateway protocol's npm packages say, except where a table here says why not."""

import json
from collections.abc import Callable

import pytest
from jsonschema_rs import Draft7Validator

from app.contract import frames
from tests import npm
from tests.official import Json
from tests.unit.contract.shape import Place, Schemas, shape
from tests.unit.contract.test_decoding import variations
from tests.unit.contract.test_frames import EXAMPLES, LOADED, PARAMS, SCHEMAS, accepts, validator

# Schemas that must say exactly what the protocol's say. The protocol has none for those that are missing.
WITHOUT_SCHEMA = {
    *("HealthParams", "StatusParams", "SessionsSubscribeParams"),
    *("PluginApprovalListParams", "SystemPresenceParams"),
}
FRAMES = ["RequestFrame", "ResponseFrame", "EventFrame", "ErrorShape", "StateVersion"]
SAME = [*sorted({*PARAMS} - WITHOUT_SCHEMA), *FRAMES]

# Where they differ on purpose: place, what only the protocol's says, what only ours says, and why.
DIFFERENCES: dict[str, dict[str, tuple[set[str], set[str], str]]] = {
    "ConnectParams": {
        "client.id": (set(), {"value zero-cli"}, "our own command line says what it is"),
        "workerRuns.bundleHash": (
            {"pattern ^[a-f0-9]{64}$"},
            {r"pattern ^[a-f0-9]{64}$(?!\n)"},
            "the same rule, spelled for Python",
        ),
    },
    "ChatSendParams": {"intent.version": ({"type number"}, {"type integer"}, "the one value is 1")},
}

# What the shapes above do not show: instances on which the two disagree, and why that is all right.
EXCUSES: dict[str, list[tuple[Callable[[Json], bool], str]]] = {
    "ConnectParams": [
        (lambda i: i["client"]["id"] == "zero-cli", "our own command line says what it is"),
        (lambda i: _repeats(i["workerRuns"]["protocolFeatures"]), "ignored, so repeating a feature does no harm"),
    ],
    "ChatHistoryParams": [(lambda i: _repeats(i["inputRunIds"]), "ignored, so repeating an id does no harm")],
    "ModelsListParams": [
        (
            lambda i: i["preparedOnly"] is True and i["refresh"] is True,
            "both are ignored, so that they contradict each other does no harm",
        )
    ],
}

# Schemas of answers and events, which must be part of what the protocol's say.
PART: dict[str, str] = {
    **{name: name for name in ("HelloOk", "AgentsListResult", "ModelsListResult", "CommandsListResult", "SessionRow")},
    **{
        name: name
        for name in (
            "SessionsDeleteResult",
            "ChatHistoryResetResult",
            "TickEvent",
            "ShutdownEvent",
            "QuestionListResult",
        )
    },
    **{name: name for name in ("ChatDeltaEvent", "ChatFinalEvent", "ChatAbortedEvent", "ChatErrorEvent")},
    **{name: name for name in ("MissingScopeErrorDetails", "UnknownAgentIdErrorDetails")},
    "HelloSnapshot": "Snapshot",
    "AgentLifecycleEvent": "AgentEvent",
    "AgentAssistantEvent": "AgentEvent",
}

# Properties that the protocol's closed schemas do not have, and why we send them.
ADDED = {
    "AgentLifecycleEvent": {"sessionKey", "agentId"},  # the protocol's own gateway sends both,
    "AgentAssistantEvent": {"sessionKey", "agentId"},  # and its clients find the session by them
}


def _repeats(items: list[Json]) -> bool:
    return len(items) != len({json.dumps(item) for item in items})


def _excused(name: str, instance: Json) -> bool:
    for applies, _ in EXCUSES.get(name, []):
        try:
            if applies(instance):
                return True
        except (KeyError, TypeError):
            continue
    return False


def definitions() -> Schemas:
    """Read the protocol's definitions, with maps spelled as we spell them."""
    return {name: _translated(schema) for name, schema in npm.protocol()["definitions"].items()}


def _translated(node: Json) -> Json:
    if isinstance(node, list):
        return [_translated(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _translated(value) for key, value in node.items() if key != "patternProperties"}
    values = node.get("patternProperties")
    if isinstance(values, dict) and values.keys() == {"^.*$"}:
        plain["additionalProperties"] = _translated(values["^.*$"])
    return plain


def test_document_is_asyncapi() -> None:
    """The document is valid AsyncAPI 3.0."""
    schema = npm.node_modules() / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
    Draft7Validator(json.loads(schema.read_bytes())).validate(json.loads(LOADED.json))
    assert "3.0.0" == json.loads(LOADED.json)["asyncapi"]


@pytest.mark.parametrize("name", SAME)
def test_same_shape(name: str) -> None:
    """A schema of what clients send, or of a frame, says what the protocol's says, in every place."""
    theirs, ours = shape(name, definitions()), shape(name, SCHEMAS)
    found = {}
    for path in theirs.keys() | ours.keys():
        a = theirs[path].facts() if path in theirs else {"no such place"}
        b = ours[path].facts() if path in ours else {"no such place"}
        if a != b:
            found[path] = (a - b, b - a)
    assert {path: (theirs, ours) for path, (theirs, ours, _) in DIFFERENCES.get(name, {}).items()} == found


@pytest.mark.parametrize("name", SAME)
def test_same_instances(name: str) -> None:
    """Whatever one changes in an example, we accept it exactly when the protocol does."""
    theirs, ours = npm.protocol_validator(name), validator(name)
    changed = [instance for example in SCHEMAS[name]["examples"] for instance in variations(example)]
    differ = [i for i in changed if theirs.is_valid(i) != ours.is_valid(i) or theirs.is_valid(i) != accepts(name, i)]
    assert [] == [instance for instance in differ if not _excused(name, instance)]
    accepted = sum(theirs.is_valid(instance) for instance in changed)
    assert 0 < accepted < len(changed)


def test_excuses_are_needed() -> None:
    """Each instance that is excused is one on which we really differ, so that no excuse outlives its reason."""
    smallest = {"minProtocol": 4, "maxProtocol": 4}
    client = {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"}
    worker = {"bundleHash": "a" * 64, "openclawVersion": "1", "protocolFeatures": ["a", "a"]}
    excused: list[tuple[str, Json]] = [
        ("ConnectParams", {**smallest, "client": {**client, "id": "zero-cli"}}),
        ("ConnectParams", {**smallest, "client": client, "workerRuns": worker}),
        ("ChatHistoryParams", {"sessionKey": "a", "inputRunIds": ["r", "r"]}),
        ("ModelsListParams", {"preparedOnly": True, "refresh": True}),
    ]
    assert sum(map(len, EXCUSES.values())) == len(excused)
    for name, instance in excused:
        facts = (npm.protocol_validator(name).is_valid(instance), accepts(name, instance), _excused(name, instance))
        assert (False, True, True) == facts, instance


@pytest.mark.parametrize("name", PART)
def test_part_of_the_shape(name: str) -> None:
    """What we answer is, in every place, something that the protocol's schema allows there."""
    theirs, ours = shape(PART[name], definitions()), shape(name, SCHEMAS)
    never = [path for path, place in ours.items() if "maxItems 0" in place.bounds]
    wrong = {}
    for path, place in ours.items():
        if any(path.startswith(f"{list_}[]") for list_ in never):
            continue
        if path not in theirs:
            if not _open(theirs, path) and path not in ADDED.get(name, set()):
                wrong[path] = "no such place"
        elif problem := _problem(theirs[path], place):
            wrong[path] = problem
    assert {} == wrong


def _open(theirs: dict[str, Place], path: str) -> bool:
    """Whether the protocol says nothing about what is at a path, because it says nothing of what is around it."""
    while path:
        path = path.rpartition(".")[0] if not path.endswith(("[]", "{}")) else path[:-2]
        if path in theirs:
            around = theirs[path]
            return not around.types or (around.closed == {False} and "array" not in around.types)
    return False


def _problem(theirs: Place, ours: Place) -> str:
    if not theirs.types:
        return ""
    types = ours.types - theirs.types - ({"integer"} if "number" in theirs.types else set())
    values = set() if theirs.any_text or not theirs.values else ours.values - theirs.values
    bounds = {b for b in theirs.bounds if b.startswith(("min", "pattern")) and not ours.values} - ours.bounds
    needed = {n for names in theirs.required for n in names} - {n for names in ours.required for n in names}
    return ", ".join(map(str, filter(None, (types, values, bounds, needed))))


@pytest.mark.parametrize(("name", "example"), [p for p in EXAMPLES if p.values[0] in {*PART, *SAME}])
def test_example(name: str, example: Json) -> None:
    """An example is valid by the protocol's schema, but for what we add to it."""
    if not _excused(name, example):
        known = {key: value for key, value in example.items() if key not in ADDED.get(name, set())}
        npm.protocol_validator(PART.get(name, name)).validate(known)
    assert {*ADDED.get(name, set())} <= example.keys()


def test_health_is_the_snapshots() -> None:
    """The method's answer is what the snapshot has, which is where the protocol says what health is."""
    health = npm.protocol()["definitions"]["Snapshot"]["properties"]["health"]
    for example in SCHEMAS["HealthResult"]["examples"]:
        Draft7Validator(health).validate(example)
    assert SCHEMAS["HealthResult"]["properties"].keys() <= health["properties"].keys()


def test_methods_are_the_protocols() -> None:
    """Every method is one of the protocol's, and needs the scope that it needs there."""
    theirs = npm.protocol()["methods"]
    decided_by_params = {"agent", "sessions.delete"}
    unlisted = {"sessions.unsubscribe"}
    scopes = {m.name: m.scope for m in LOADED.methods if not m.handshake}
    assert unlisted == scopes.keys() - theirs.keys()
    scopes_of_what_is_not_here = {"question.list": "operator.questions", "plugin.approval.list": "operator.approvals"}
    found = {
        name: theirs[name]["scope"] for name in scopes.keys() & theirs.keys() if theirs[name]["scope"] != scopes[name]
    }
    assert {**dict.fromkeys(decided_by_params, "dynamic"), **scopes_of_what_is_not_here} == found


def test_codes_are_the_protocols() -> None:
    """Error codes, and the codes in details, are ones that the protocol's clients know."""
    details = npm.exported("@openclaw/gateway-protocol/gateway-error-details")
    connect = npm.exported("@openclaw/gateway-protocol/connect-error-details")["ConnectErrorDetailCodes"]
    assert set(SCHEMAS["ErrorCode"]["enum"]) <= set(details["ErrorCodes"].values())
    assert set(SCHEMAS["ConnectErrorCode"]["enum"]) <= set(connect.values())
    ours = {frames.MissingScopeErrorDetails, frames.UnknownAgentIdErrorDetails}
    codes = {SCHEMAS[struct.__name__]["properties"]["code"]["const"] for struct in ours}
    assert codes <= set(details["GatewayErrorDetailCodes"].values())
    starting = npm.exported("@openclaw/gateway-protocol/startup-unavailable")["GATEWAY_STARTUP_UNAVAILABLE_REASON"]
    assert starting == frames.UnavailableDetails().reason


def test_clients_are_the_protocols() -> None:
    """The clients and modes that may connect are the protocol's, and our own command line."""
    info = npm.exported("@openclaw/gateway-protocol/client-info")
    client = SCHEMAS["ConnectClient"]["properties"]
    assert {*info["GATEWAY_CLIENT_IDS"].values(), "zero-cli"} == set(client["id"]["enum"])
    assert set(info["GATEWAY_CLIENT_MODES"].values()) == set(client["mode"]["enum"])


def test_version_is_the_protocols() -> None:
    """The example of a handshake has the version that the packages speak."""
    version = npm.exported("@openclaw/gateway-protocol/version")["PROTOCOL_VERSION"]
    assert version == SCHEMAS["HelloOk"]["examples"][0]["protocol"]


def test_npm_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without npm, tests that need it say so, and what to install."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match=r"npm is not on the path\. .* install Node 20 or newer"):
        npm._run("npm", "--version")

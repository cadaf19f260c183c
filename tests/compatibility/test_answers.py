"""Each cell about answers says what happens: what a service says arrives, and what an engine hasn't got isn't there.

One request per engine and mode gives the answers; every cell then looks at its own place in them. A field that is new
in the contract isn't in the answers of ``answers``, and so fails until it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import pytest

from contracts.support import ANSWERS, ENGINES
from tests.compatibility.answers import MODERATIONS, USAGE, events, pieces, whole_answer
from tests.compatibility.samples import CUSTOM, FUNCTION, HI
from tests.compatibility.statements import Cell, support
from tests.engines.caller import Caller
from tests.fakes.script import chunk, event, stream, whole
from tests.fakes.upstream import FakeUpstream
from tests.official import Json

WHOLE, STREAM = ANSWERS
TOOLS: Final[Json] = {"tools": [FUNCTION, CUSTOM]}
GREEDY: Final[Json] = {"temperature": 0, "seed": 1, "max_tokens": 40}
OLD: Final[Json] = {"functions": [{"name": "look", "parameters": FUNCTION["function"]["parameters"]}]}
ENDED: Final[Json] = chunk({}, finish_reason="stop")
FINISHES: Final = {"stop", "length", "tool_calls", "function_call"}


class Pair(NamedTuple):
    """What a service said, and what the client got: bodies, or chunks."""

    said: list[Json]
    got: list[Json]


def cells(root: str, *words: str) -> list[Cell]:
    """Return the cells about one kind of answer that have one of these words."""
    return [
        Cell(one.id, engine, one.words[engine])
        for one in support(root).statements.values()
        for engine in ENGINES
        if one.words[engine] in words
    ]


def both(*words: str) -> list[tuple[str, Cell]]:
    """Return the cells about both kinds of answers, each with its kind."""
    return [(root, cell) for root in ANSWERS for cell in cells(root, *words)]


def top(root: str, id_: str) -> str:
    """Return the outermost place that a statement is about."""
    return min((place for place, ids in support(root).places.items() if id_ in ids), key=len)


def values(bodies: list[Json], place: str) -> list[Json]:
    """Return what bodies have at a place, in order, but for nulls and for texts with nothing in them."""
    found: list[Json] = bodies
    for step in place.replace("[]", ".[]").replace("{}", ".{}").split("."):
        if step == "[]":
            found = [item for inner in found for item in inner]
        elif step == "{}":
            found = [item for inner in found for item in inner.values()]
        else:
            found = [inner[step] for inner in found if inner.get(step) is not None]
    return [value for value in found if value is not None and value != ""]


@pytest.fixture(scope="package")
def forwarded(caller: Caller, service: FakeUpstream) -> Callable[[str, str], list[Pair]]:
    """What a provider, or an engine of another package, was made to say, and what came of it."""
    known: dict[tuple[str, str], list[Pair]] = {}

    def look(engine: str, root: str) -> list[Pair]:
        if (engine, root) not in known:
            known[engine, root] = [_pair(caller, service, engine, root, moderation) for moderation in MODERATIONS]
        return known[engine, root]

    return look


def _pair(caller: Caller, service: FakeUpstream, engine: str, root: str, moderation: Json) -> Pair:
    service.reset()
    fields: dict[str, Json] = dict(TOOLS)
    chunks = pieces(moderation)
    if engine == "entry-point":
        # The probe says what the message tells it to. Only a service has a form for answers in one piece.
        last = {**chunks[-2], "metadata": {"k": "v"}} if root == WHOLE else chunks[-2]
        cited = chunk({"annotations": values([whole_answer(moderation)], "choices[].message.annotations")[0]})
        play = [*chunks[:-2], *([cited] if root == WHOLE else ()), last, chunks[-1]]
        fields["messages"] = [{"role": "user", "content": "play"}]
        fields["x_play"] = play
    if root == STREAM:
        service.play(stream(*events(moderation)))
        answer = caller.stream(engine, stream_options={"include_usage": True}, **fields)
        assert answer.error is None
        return Pair(chunks, answer.chunks)
    service.play(whole(200, whole_answer(moderation)))
    body = caller.ask(engine, **fields)
    assert 200 == body.status, body.body
    return Pair([whole_answer(moderation)], [body.body])


@pytest.mark.parametrize("root", ANSWERS)
def test_the_answers_have_everything(root: str) -> None:
    """Each place that is forwarded occurs in what the service is made to say, however deep it lies."""
    ids = {cell.id for cell in cells(root, "forwarded")}
    places = {place for place, owners in support(root).places.items() if ids & set(owners)}
    told: list[Json] = [body for each in MODERATIONS for body in _said(root, each)]
    assert set() == {place for place in places if not values(told, place)} - {"choices[].delta.tool_calls[].index"}


def _said(root: str, moderation: Json) -> list[Json]:
    return [whole_answer(moderation)] if root == WHOLE else pieces(moderation)


@pytest.mark.parametrize(
    ("root", "cell"),
    [(root, cell) for root, cell in both("forwarded") if cell.engine in ("openai-completions", "entry-point")],
    ids=str,
)
def test_forwarded(forwarded: Callable[[str, str], list[Pair]], root: str, cell: Cell) -> None:
    """What is forwarded comes as it was said, in the same pieces."""
    place = top(root, cell.id)
    for pair in forwarded(cell.engine, root):
        said = values(pair.said, place)
        assert said
        assert said == values(pair.got, place)


@pytest.fixture(scope="package")
def answered(caller: Caller, service: FakeUpstream) -> Callable[[str, str], list[Json]]:
    """Bodies or chunks of the answers of an engine: words with their probabilities, and calls of both kinds."""
    known: dict[tuple[str, str], list[Json]] = {}

    def look(engine: str, root: str) -> list[Json]:
        if (engine, root) not in known:
            service.reset()
            known[engine, root] = [body for fields in _asked(engine) for body in _told(caller, engine, root, fields)]
        return known[engine, root]

    return look


def _asked(engine: str) -> Iterator[dict[str, Json]]:
    yield {"messages": [HI], **GREEDY, **({"logprobs": True, "top_logprobs": 1} if engine == "local" else {})}
    if engine in ("echo", "local"):
        yield {"messages": [HI], **GREEDY, "tools": [FUNCTION], "tool_choice": "required"}
        yield {"messages": [HI], **GREEDY, **OLD, "function_call": {"name": "look"}}


def _told(caller: Caller, engine: str, root: str, fields: dict[str, Json]) -> list[Json]:
    if root == STREAM:
        return caller.stream(engine, stream_options={"include_usage": True}, **fields).chunks
    answer = caller.ask(engine, **fields)
    assert 200 == answer.status, answer.body
    return [answer.body]


@pytest.mark.parametrize(("root", "cell"), both("absent"), ids=str)
def test_absent(answered: Callable[[str, str], list[Json]], root: str, cell: Cell) -> None:
    """What an engine never has is in none of its answers, or null where OpenAI wants it to be there."""
    bodies = answered(cell.engine, root)
    assert bodies
    assert [] == values(bodies, top(root, cell.id))


ESTIMATED: Final = "CreateChatCompletionStreamResponse.x_zero_usage"


@pytest.mark.parametrize(("root", "cell"), [each for each in both("honoured") if each[1].id != ESTIMATED], ids=str)
def test_honoured(answered: Callable[[str, str], list[Json]], root: str, cell: Cell) -> None:
    """What is given with every answer is in each of them, and is what it should be."""
    bodies = answered(cell.engine, root)
    found = values(bodies, top(root, cell.id))
    assert found
    assert all(PROMISES[cell.id](value, cell.engine) for value in found), found
    if cell.id.startswith("CreateChatCompletion") and not cell.id.endswith(".usage"):
        assert len(bodies) == len(found), "in each body or chunk"


def _is_usage(value: Json, _engine: str) -> bool:
    return bool(value["total_tokens"] == value["prompt_tokens"] + value["completion_tokens"] > 0)


def _is_identity(value: Json, _engine: str) -> bool:
    return str(value).startswith("chatcmpl-") and value != "chatcmpl-upstream"


PROMISES: Final[dict[str, Callable[[Json, str], bool]]] = {
    **{f"{root}.id": _is_identity for root in ANSWERS},
    f"{WHOLE}.object": lambda value, _: bool(value == "chat.completion"),
    f"{STREAM}.object": lambda value, _: bool(value == "chat.completion.chunk"),
    **{f"{root}.created": lambda value, _: value > 1_700_000_000 for root in ANSWERS},
    **{f"{root}.model": lambda value, engine: bool(value == f"zero:{engine}") for root in ANSWERS},
    **{f"{root}.choices": lambda value, _: isinstance(value, list) for root in ANSWERS},
    **{f"{root}.usage": _is_usage for root in ANSWERS},
    "ChatCompletionChoice.index": lambda value, _: bool(value == 0),
    "ChatCompletionChoice.message": lambda value, _: value.keys() >= {"role", "content", "refusal"},
    "ChatCompletionChoice.finish_reason": lambda value, _: value in FINISHES,
    "ChatCompletionResponseMessage.role": lambda value, _: bool(value == "assistant"),
    "ChatCompletionResponseMessage.content": lambda value, _: isinstance(value, str),
    "ChatCompletionChunkChoice.index": lambda value, _: bool(value == 0),
    "ChatCompletionChunkChoice.delta": lambda value, _: isinstance(value, dict),
    "ChatCompletionChunkChoice.finish_reason": lambda value, _: value in FINISHES,
    "ChatCompletionStreamResponseDelta.role": lambda value, _: bool(value == "assistant"),
    "ChatCompletionStreamResponseDelta.content": lambda value, _: isinstance(value, str),
}


@pytest.mark.parametrize(("root", "cell"), [each for each in both("forwarded") if each[1].engine == "local"], ids=str)
def test_forwarded_by_the_local_model(answered: Callable[[str, str], list[Json]], root: str, cell: Cell) -> None:
    """What llama.cpp says comes through: words, their probabilities, its name, its count."""
    assert values(answered(cell.engine, root), top(root, cell.id))


@pytest.mark.parametrize(("root", "cell"), both("emulated"), ids=str)
def test_emulated(caller: Caller, upstream: FakeUpstream, root: str, cell: Cell) -> None:
    """A call comes under the name that the client's tools have, whatever the engine knows of it."""
    old = cell.id.endswith(".function_call")
    piece = {"index": 0, "id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    played = [chunk({"tool_calls": [piece]}), ENDED]
    upstream.play(stream(*map(event, played), b"data: [DONE]\n\n"))
    offered = {**OLD, "function_call": {"name": "look"}} if old else {"tools": [FUNCTION], "tool_choice": "required"}
    asked = {"x_play": played, **offered, **(GREEDY if cell.engine == "local" else {})}
    if cell.engine == "local":
        del asked["x_play"]
    found = values(_told(caller, cell.engine, root, asked), top(root, cell.id))
    calls = found if old else [call["function"] for each in found for call in each]
    assert ["look"] == [call["name"] for call in calls if "name" in call]
    assert "".join(call.get("arguments", "") for call in calls).startswith("{")


@pytest.mark.parametrize("cell", [cell for cell in cells(STREAM, "honoured") if cell.id == ESTIMATED], ids=str)
def test_estimates_are_marked(caller: Caller, upstream: FakeUpstream, cell: Cell) -> None:
    """Where the engine counts nothing, usage is an estimate and says so; where it counts, it doesn't."""
    for counted in (False, True):
        played = [chunk({"content": "Hi."}), ENDED, *([{**chunk(), "choices": [], "usage": USAGE}] if counted else ())]
        upstream.play(stream(*map(event, played), b"data: [DONE]\n\n"))
        last = caller.stream(cell.engine, stream_options={"include_usage": True}, x_play=played).chunks[-1]
        assert counted == ("x_zero_usage" not in last)
        assert counted == (last["usage"] == USAGE)

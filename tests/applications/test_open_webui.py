"""Open WebUI with the gateway behind it: the recipe of docs/clients/open-webui.md, typed in and talked through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.applications.installation import PAGE, Installation, exchange, installation
from tests.applications.open_webui import Place, until
from tests.applications.recipe import configuration as gateway_settings
from tests.applications.recipe import variables
from tests.applications.talker import FOLLOW_UPS, TITLE
from tests.fakes.script import Pause, chunk, error, event, stream, words

NEW: Final = "## What to type"
OLD: Final = "## Versions before 0.10.0"
LOCAL_SECONDS: Final = 240.0
HELLO: Final = event(chunk({"role": "assistant", "content": "Let me think"}))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """What the recipe makes."""
    models = {"main": "talker/any", "echo": "echo/echo", "small": "local/smollm2"}
    with ExitStack() as stack:
        yield installation(stack, tmp_path_factory.mktemp("open-webui"), NEW, models, {})


@pytest.fixture(scope="module")
def running_old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """What the recipe for older versions makes."""
    models = {"main": "talker/any", "tasks": "talker/any"}
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("older-open-webui")
        gateway = {"gateway": gateway_settings(PAGE, OLD)["gateway"]}
        yield installation(stack, folder, OLD, models, gateway)


@pytest.fixture
def webui(running: Installation) -> Installation:
    """The installation, with nothing in the service's memory."""
    running.talker.reset()
    return running


def test_agents_are_its_models(webui: Installation) -> None:
    """Its list of models is the gateway's."""
    assert ["zero", "zero:main", "zero:echo", "zero:small"] == webui.person.models()


def test_the_page_and_the_environment_say_the_same(webui: Installation) -> None:
    """The headers that the recipe has for the environment are those that it has for the form."""
    typed = json.loads(variables(PAGE, NEW)["OPENAI_API_CONFIGS"])
    assert typed == webui.person.connections()["OPENAI_API_CONFIGS"]


def test_a_conversation_is_one_session(webui: Installation) -> None:
    """Three turns are one session of three turns; the agent saw each once, and the chores left no trace in it."""
    before = webui.sessions()
    places = webui.converse("I saw a red kite.", "It circled.", "Then it left.")
    turns = [exchange("I saw a red kite."), exchange("It circled."), exchange("Then it left.")]
    webui.chores_done(places[0])
    assert [turns[0][:1], [*turns[0], *turns[1][:1]], [*turns[0], *turns[1], *turns[2][:1]]] == webui.talker.turns
    assert [*turns[0], *turns[1], *turns[2]] == webui.stored(places[0])
    assert {f"agent:main:{places[0].chat}"} == webui.sessions() - before
    # Title, tags, and three times follow-up questions; each alone, without the conversation in front of it.
    until(lambda: len(webui.talker.chores) == 5)
    assert {1} == {len(chore) for chore in webui.talker.chores}
    assert [*turns[0], *turns[1], *turns[2]] == webui.stored(places[0])


def test_no_tools_of_its_own(webui: Installation) -> None:
    """As the recipe promises, no tools of Open WebUI's are sent along."""
    webui.converse("one")
    assert "tools" not in webui.talker.turn(0).json


def test_what_is_shown_otherwise_is_still_the_same(webui: Installation) -> None:
    """Thoughts, blanks around a text and code in it come back so that the gateway knows them."""
    said = "\n Möwe 🪶\n\n```py\nx = '<b>'\n```\n\n<details>no thought</details> \n"
    thoughts = [event(chunk({"reasoning_content": "Which bird?"})), event(chunk({"reasoning_content": " A gull."}))]
    webui.talker.play(stream(*thoughts, *words(said)))
    first = webui.person.say("one")
    webui.person.answer(first)
    webui.talker.play(stream(*words("re: two")))
    webui.person.answer(webui.person.say("two", first))
    assert [*exchange("one", said), ("user", "two")] == webui.talker.turns[-1]
    assert [*exchange("one", said), *exchange("two")] == webui.stored(first)


def test_chats_are_apart(webui: Installation) -> None:
    """Two chats of the same user are two sessions."""
    first, second = webui.converse("one")[0], webui.converse("two")[0]
    assert (exchange("one"), exchange("two")) == (webui.stored(first), webui.stored(second))


def test_an_answer_made_anew(webui: Installation) -> None:
    """The agent sees the conversation up to the question, and the session goes on with the second answer."""
    first, second = webui.converse("one", "two")
    webui.talker.play(stream(*words("another answer")))
    again = webui.person.regenerate(second)
    assert "another answer" == webui.person.answer(again)["content"]
    assert [*exchange("one"), ("user", "two")] == webui.talker.turns[-1]
    assert [*exchange("one"), *exchange("two", "another answer")] == webui.stored(first)


def test_the_first_answer_made_anew(webui: Installation) -> None:
    """The same for a chat's very first answer, where the request is just like one that says the same thing twice."""
    [first] = webui.converse("one")
    webui.talker.play(stream(*words("another answer")))
    again = webui.person.regenerate(first)
    assert "another answer" == webui.person.answer(again)["content"]
    assert [("user", "one")] == webui.talker.turns[-1]
    assert exchange("one", "another answer") == webui.stored(first)


def test_an_edited_message(webui: Installation) -> None:
    """A message that was changed makes a branch; the agent sees nothing of the old one."""
    first, second, _ = webui.converse("one", "two", "three")
    edited = webui.person.edit(second, "two, but better", after=first)
    webui.person.answer(edited)
    assert [*exchange("one"), ("user", "two, but better")] == webui.talker.turns[-1]
    assert [*exchange("one"), *exchange("two, but better")] == webui.stored(first)
    changed = webui.person.edit(first, "one, but better", after=None)
    webui.person.answer(changed)
    assert [("user", "one, but better")] == webui.talker.turns[-1]
    assert exchange("one, but better") == webui.stored(first)


def test_another_agent_in_the_same_chat(webui: Installation) -> None:
    """Who goes on with another agent has that agent's session, which begins with what the chat has so far."""
    [first] = webui.converse("one")
    webui.person.answer(webui.person.say("two", first, model="zero:echo"))
    assert exchange("one") == webui.stored(first)
    assert [*exchange("one"), ("user", "two"), ("assistant", "two")] == webui.stored(first, "echo")


def test_stopping(webui: Installation) -> None:
    """The stop button closes the connection to the service and leaves the session as it was; the chat goes on."""
    [first] = webui.converse("one")
    webui.talker.play(stream(HELLO, Pause()))
    stopped = webui.person.say("two", first)
    until(lambda: len(webui.talker.turns) == 2)
    under_way = webui.talker.turn(1)
    webui.person.stop(stopped)
    under_way.wait_closed()
    assert exchange("one") == webui.stored(first)
    assert [] == webui.zero("sessions", "show", f"agent:main:{first.chat}")["session"]["activeRunIds"]
    webui.talker.play(stream(*words("re: three")))
    third = webui.person.say("three", stopped)
    assert "re: three" == webui.person.answer(third)["content"]
    assert [*exchange("one"), ("user", "two")] == webui.talker.turns[-1][:3]
    assert ("user", "three") == webui.talker.turns[-1][-1]
    assert webui.talker.turns[-1] == webui.stored(first)[:-1]


def test_a_failure_before_the_first_word(webui: Installation) -> None:
    """The chat shows the gateway's message as an error, not as the agent's words; the session is as it was."""
    [first] = webui.converse("one")
    webui.talker.play(error(500, {"message": "out of order"}))
    failed = webui.person.answer(webui.person.say("two", first))
    assert ("", True) == (failed["content"], failed["done"])
    assert "out of order" in json.dumps(failed["error"]), failed["error"]
    assert exchange("one") == webui.stored(first)


def test_a_failure_in_the_middle(webui: Installation) -> None:
    """The same in the middle of an answer: an error beside the words that came."""
    [first] = webui.converse("one")
    lost = event({"error": {"message": "lost the thread", "type": "server_error"}})
    webui.talker.play(stream(HELLO, Pause(), lost))
    place = webui.person.say("two", first)
    until(lambda: len(webui.talker.turns) == 2 and webui.talker.turn(1).sent > len(HELLO))
    # The gateway has one loop: when it has answered these, it has passed the first words on.
    for _ in range(2):
        httpx.get(f"{webui.gateway.url}/healthz", trust_env=False)
    webui.talker.turn(1).release()
    failed = webui.person.answer(place)
    assert "Let me think" == failed["content"]
    assert "lost the thread" in json.dumps(failed["error"]), failed["error"]
    assert exchange("one") == webui.stored(first)


def test_a_refusal(webui: Installation) -> None:
    """A gateway that refuses says why in the chat."""
    webui.talker.play(error(400, {"message": "too long", "code": "context_length_exceeded"}))
    failed = webui.person.answer(webui.person.say("one"))
    assert "too long" in json.dumps(failed["error"]), failed["error"]


def test_at_the_page(webui: Installation, tmp_path: Path) -> None:
    """In a browser: an answer, the first one made anew, one stopped, one that fails and says so, and one more."""
    failing = error(500, {"message": "out of order"})
    answers = [stream(*words("Which one?")), stream(*words("How big was it?")), stream(HELLO, Pause())]
    webui.talker.play(*answers, failing, stream(*words("It will be back.")))
    chat = webui.at_the_page(
        tmp_path,
        ("say", "I saw a red kite."),
        ("see", "Which one?"),
        ("press", "Regenerate"),
        ("pick", "Try Again"),
        ("see", "How big was it?"),
        ("see", FOLLOW_UPS[0]),
        ("say", "Look, there."),
        ("see", "Let me think"),
        ("press", "Stop"),
        ("see_button", "Regenerate"),
        ("say", "Did you see it?"),
        ("see", "out of order"),
        ("say", "It left."),
        ("see", "It will be back."),
    )
    webui.talker.turn(2).wait_closed()
    place = Place(chat, "", "")
    began = exchange("I saw a red kite.", "How big was it?")
    assert [("user", "I saw a red kite.")] == webui.talker.turns[1]
    assert [*began, ("user", "Look, there.")] == webui.talker.turns[2]
    assert ("user", "It left.") == webui.talker.turns[4][-1]
    assert [*webui.talker.turns[4], ("assistant", "It will be back.")] == webui.stored(place)
    assert began == webui.stored(place)[:2]
    assert TITLE == webui.person.chat(chat)["title"]


def test_a_temporary_chat(webui: Installation, tmp_path: Path) -> None:
    """What is said in a temporary chat is not kept by the gateway either; the next such chat knows nothing of it."""
    before = webui.sessions()
    for text in ("Forget this.", "What was it?"):
        answered = ("see", f"re: {text}")
        webui.at_the_page(
            tmp_path, ("say", text), answered, ("say", "And?"), ("see", "re: And?"), path="?temporary-chat=true"
        )
        assert [*exchange(text), ("user", "And?")] == webui.talker.turns[-1]
    assert set() == webui.sessions() - before


def test_the_local_model(webui: Installation) -> None:
    """A real model holds a conversation and finds a title; what it says is its own affair."""
    first = webui.person.say("Name a colour.", model="zero:small")
    answer = until(lambda: (m := webui.person.message(first.chat, first.answer)).get("done") and m, LOCAL_SECONDS)
    assert answer["content"]
    assert not answer.get("error")
    second = webui.person.say("And an animal.", first, model="zero:small")
    until(lambda: webui.person.message(second.chat, second.answer).get("done"), LOCAL_SECONDS)
    stored = webui.stored(first, "small")
    assert ["user", "assistant", "user", "assistant"] == [role for role, _ in stored]
    assert ["Name a colour.", "And an animal."] == [text for role, text in stored if role == "user"]
    assert answer["content"].strip() == stored[1][1].strip()


@pytest.mark.parametrize("said", ["", "I'll look at the clock."], ids=["wordless", "with words"])
def test_its_own_tools(running_old: Installation, said: str) -> None:
    """With its tools on, the agent calls one, Open WebUI answers, and all of it is in the session once."""
    talker = running_old.talker
    talker.reset()
    call = {"id": "call_1", "type": "function", "function": {"name": "get_current_timestamp", "arguments": "{}"}}
    asking = [
        event(chunk({"role": "assistant", "content": said})),
        event(chunk({"tool_calls": [{"index": 0, **call}]})),
    ]
    talker.play(stream(*asking, event(chunk({}, finish_reason="tool_calls")), *words()[-2:]), stream(*words("Noon.")))
    first = running_old.person.say("What time is it?")
    assert running_old.person.answer(first)["content"].endswith("Noon.")
    talker.play(stream(*words("re: And now?")))
    running_old.person.answer(running_old.person.say("And now?", first))
    roles = ["user", "assistant", "tool", "assistant", "user", "assistant"]
    assert [roles[:1], roles[:3], roles[:5]] == [[role for role, _ in turn] for turn in talker.turns]
    assert len(talker.turn(0).json["tools"]) > 20
    kept = ["user", "assistant", "toolResult", "assistant", "user", "assistant"]
    assert kept == [role for role, _ in running_old.stored(first)]
    assert talker.turns[2][:3] == talker.turns[1]


def test_older_versions(running_old: Installation) -> None:
    """By the second recipe the chat's session has the chat, and another agent's session the chores."""
    running_old.talker.reset()
    before = running_old.sessions()
    places = running_old.converse("I saw a red kite.", "It left.")
    running_old.chores_done(places[0])
    turns = [*exchange("I saw a red kite."), *exchange("It left.")]
    assert [turns[:1], turns[:3]] == running_old.talker.turns
    assert turns == running_old.stored(places[0])
    chat = places[0].chat
    assert {f"agent:main:{chat}", f"agent:tasks:{chat}"} == running_old.sessions() - before

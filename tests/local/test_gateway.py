"""The specification's two requests, answered by the real model through a real gateway."""

from __future__ import annotations

import json
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import json5
import pytest

from tests.live_gateway import TOKEN, LiveGateway, free_port
from tests.official import validator

EXAMPLE = Path(__file__).parents[2] / "examples" / "zero.json5"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """The example configuration that `make run` serves."""
    config = json5.loads(EXAMPLE.read_text())
    with LiveGateway(tmp_path_factory.mktemp("local"), config, environ={"ZERO_GATEWAY_TOKEN": TOKEN}) as gateway:
        yield gateway


def ask(live: LiveGateway, **fields: Any) -> urllib.request.Request:
    """Return the specification's request: agent by header, model `zero`, "oi"."""
    body = {"model": "zero", "messages": [{"role": "user", "content": "oi"}], "max_tokens": 24, **fields}
    return urllib.request.Request(
        f"{live.url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "x-zero-agent-id": "main"},
    )


def test_the_model_answers_oi(live: LiveGateway) -> None:
    """The answer is the model's own words, with its own token counts, in OpenAI's shape."""
    with urllib.request.urlopen(ask(live), timeout=60) as response:
        answer = json.load(response)

    validator("CreateChatCompletionResponse").validate(answer)
    assert answer["choices"][0]["message"]["content"].strip()
    assert answer["choices"][0]["message"]["content"] != "oi"
    assert answer["choices"][0]["finish_reason"] in ("stop", "length")
    assert answer["usage"]["prompt_tokens"] > 0
    assert 0 < answer["usage"]["completion_tokens"] <= 24


def test_what_is_said_to_the_model_is_no_proxys_business(tmp_path: Path) -> None:
    """A proxy in the environment sees neither prompts nor the key of a process on this machine."""
    config = {**json5.loads(EXAMPLE.read_text())}
    nowhere = f"http://127.0.0.1:{free_port()}"
    proxied = {"http_proxy": nowhere, "HTTP_PROXY": nowhere, "all_proxy": nowhere, "no_proxy": "", "NO_PROXY": ""}
    with LiveGateway(tmp_path, config, environ={"ZERO_GATEWAY_TOKEN": TOKEN, **proxied}) as gateway:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(ask(gateway, max_tokens=3), timeout=60) as response:
            assert 200 == response.status


def test_the_model_streams_its_answer(live: LiveGateway) -> None:
    """The same, word by word, ending in [DONE]."""
    with urllib.request.urlopen(ask(live, stream=True), timeout=60) as response:
        frames = response.read().decode().split("\n\n")

    assert frames[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]
    for chunk in chunks:
        validator("CreateChatCompletionStreamResponse").validate(chunk)
    words = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks]
    assert "".join(words).strip()
    assert len([word for word in words if word]) > 1


def test_several_choices_are_counted_together(live: LiveGateway) -> None:
    """The engine counts each choice apart; the client sees their sum."""
    with urllib.request.urlopen(ask(live, n=2, max_tokens=4, temperature=1, stop=None), timeout=60) as response:
        answer = json.load(response)

    assert [0, 1] == [choice["index"] for choice in answer["choices"]]
    usage = answer["usage"]
    assert 4 < usage["completion_tokens"] <= 8
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]


def test_no_alternatives_without_logprobs(live: LiveGateway) -> None:
    """``top_logprobs: 0`` asks for nothing, and so needs no ``logprobs``."""
    with urllib.request.urlopen(ask(live, top_logprobs=0, max_tokens=2), timeout=60) as response:
        assert json.load(response)["choices"][0]["logprobs"] is None


def test_logprobs_come_with_the_alternatives_asked_for(live: LiveGateway) -> None:
    """None unless ``top_logprobs`` asks for them."""
    alternatives = []
    for fields in ({}, {"top_logprobs": 2}):
        with urllib.request.urlopen(ask(live, logprobs=True, max_tokens=3, **fields), timeout=60) as response:
            answer = json.load(response)
        validator("CreateChatCompletionResponse").validate(answer)
        tokens = answer["choices"][0]["logprobs"]["content"]
        alternatives.append({len(token["top_logprobs"]) for token in tokens})

    assert [{0}, {2}] == alternatives


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0]"),
        ({"n": 3}, "n"),
        ({"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "mp3"}}, "modalities"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "oi"},
                            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                        ],
                    }
                ]
            },
            "messages[0].content[1]",
        ),
    ],
)
def test_what_the_model_cannot_do_is_refused_by_name(live: LiveGateway, fields: dict[str, Any], param: str) -> None:
    """Not ignored, not half done: 400 with the parameter's name."""
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(ask(live, **fields), timeout=60)

    with refusal.value as response:
        error = json.load(response)["error"]
    assert (400, param, "unsupported_parameter") == (response.status, error["param"], error["code"])


def test_the_model_sums_up_a_long_session(tmp_path: Path) -> None:
    """It is asked for a summary like any other, and its own words are stored; how good they are is not for a test."""
    config = json5.loads(EXAMPLE.read_text())
    config["session"] = {"compaction": {"mode": "model", "model": "local/smollm2", "timeoutSeconds": 80}}
    config["agents"] = {"list": [{"id": "main", "model": "echo/echo", "contextTokens": 1_400}]}
    told = "The garden has a bench, a well and two old pear trees; in spring the gate is painted green."
    talk = [{"role": role, "content": f"{at}. {told}"} for at in range(12) for role in ("user", "assistant")]
    with LiveGateway(tmp_path, config, environ={"ZERO_GATEWAY_TOKEN": TOKEN}) as gateway:
        for before in ([], talk):
            said = [*before, {"role": "user", "content": "oi"}]
            with urllib.request.urlopen(ask(gateway, messages=said, user="u", max_tokens=700), timeout=90) as response:
                assert 200 == response.status
        assert "no summary" not in gateway.log
        with closing(sqlite3.connect(next(tmp_path.rglob("sessions.sqlite3")))) as store:
            written = store.execute("SELECT model, length(text) FROM summaries").fetchall()
    assert written
    assert all(model == "local/smollm2" and length > 0 for model, length in written)


def test_a_prompt_beyond_the_context_is_the_clients_error(live: LiveGateway) -> None:
    """A prompt too long for the model is 400 context_length_exceeded, as with OpenAI."""
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(ask(live, messages=[{"role": "user", "content": "palavra " * 9000}]), timeout=60)

    with refusal.value as response:
        error = json.load(response)["error"]
    assert (400, "messages", "context_length_exceeded") == (response.status, error["param"], error["code"])


def test_a_session_beyond_the_context_goes_on(live: LiveGateway) -> None:
    """The model is shown as much of a session as it has room for; nobody has to tell the gateway how much that is."""
    history = [
        {"role": role, "content": f"{turn} " + "the sea and the ships " * 50}
        for turn in range(20)
        for role in ("user", "assistant")
    ]
    # Room for a long answer leaves less to be read, which is what takes this model its time.
    fields = {"max_tokens": 2000, "stop": [" "]}
    prompts = []
    for messages in ([*history, {"role": "user", "content": "oi"}], [{"role": "user", "content": "and now?"}]):
        request = ask(live, messages=messages, **fields)
        request.add_header("x-zero-session-key", "beyond-the-context")
        with urllib.request.urlopen(request, timeout=120) as response:
            prompts.append(json.load(response)["usage"]["prompt_tokens"])

    assert all(1000 < tokens < 4096 - 2000 for tokens in prompts)

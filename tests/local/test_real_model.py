"""The real model in its process: SmolLM2 behind llama.cpp's server, over plain HTTP.

Nobody promises its wording, so nothing here asserts what it says, only that it says something.
"""

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.engines.local.child import MAX_ADDRESS_SPACE
from app.engines.local.supervisor import Endpoint, LocalModel, LocalModelState
from tests.local.process_probe import Watch, exists, until

OI = [{"role": "user", "content": "oi"}]
LONG = {"messages": OI, "max_tokens": 3000, "ignore_eos": True, "stream": True}  # a minute or two, unless it is cut off


class Running:
    """A model that runs for the whole module, with the loop it belongs to."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.model = LocalModel()

    def complete(self, body: dict[str, object], key: str | None = None) -> tuple[int, Any]:
        """Send a chat completion; returns its status and its body."""

        async def work() -> tuple[int, Any]:
            endpoint = await self.model.endpoint()
            async with client(key or endpoint.api_key) as http, post(http, endpoint, body) as answer:
                return answer.status, await answer.json()

        return self.runner.run(work())


def client(key: str) -> aiohttp.ClientSession:
    # The server drops a connection after a stream without having said so; kept alive, it would fail the next request.
    return aiohttp.ClientSession(headers={"authorization": f"Bearer {key}", "connection": "close"})


def post(http: aiohttp.ClientSession, endpoint: Endpoint, body: dict[str, object]) -> Any:
    return http.post(f"{endpoint.base_url}/chat/completions", json=body)


def ignores(pid: int, number: signal.Signals) -> bool:
    """Tell whether a process has told the kernel to drop a signal."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["SigIgn"], 16) & 1 << number - 1)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with asyncio.Runner() as runner:
        running = Running(runner)
        yield running
        runner.run(running.model.close())
    gc.collect()


def test_answers_at_once(running: Running) -> None:
    """A plain request is answered with text, a finish reason and a usage that adds up."""
    status, answer = running.complete({"messages": OI, "max_tokens": 24})

    assert status == 200
    (choice,) = answer["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"].strip()
    assert choice["finish_reason"] in {"stop", "length"}
    usage = answer["usage"]
    assert usage["prompt_tokens"] > 0
    assert 0 < usage["completion_tokens"] <= 24
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_streams(running: Running) -> None:
    """A streamed request gives the text in pieces, one finish reason, a usage and the end mark."""
    body = {"messages": OI, "max_tokens": 24, "stream": True, "stream_options": {"include_usage": True}}

    async def work() -> tuple[str, str]:
        endpoint = await running.model.endpoint()
        async with client(endpoint.api_key) as http, post(http, endpoint, body) as answer:
            return answer.content_type, await answer.text()

    content_type, text = running.runner.run(work())

    assert content_type == "text/event-stream"
    *events, done = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert done == "[DONE]"
    chunks = [json.loads(event) for event in events]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices).strip()
    assert len([choice for choice in choices if choice["finish_reason"] in {"stop", "length"}]) == 1
    (usage,) = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    assert usage["completion_tokens"] > 0
    assert usage["prompt_tokens"] > 0


def test_two_answers_at_a_time(running: Running) -> None:
    """The server has two slots: two choices are made in one request, and a third is refused."""
    status, answer = running.complete({"messages": OI, "max_tokens": 4, "n": 2})
    refused, _ = running.complete({"messages": OI, "max_tokens": 4, "n": 3})

    assert (status, refused) == (200, 400)
    assert {choice["index"] for choice in answer["choices"]} == {0, 1}


def test_a_wrong_key_is_refused(running: Running) -> None:
    """Another program on this machine can't use the model without the secret."""
    status, answer = running.complete({"messages": OI}, key="wrong")

    assert status == 401
    assert answer["error"]["type"] == "authentication_error"


def test_a_prompt_that_is_too_long_is_refused(running: Running) -> None:
    """Each slot has 4096 tokens of context; a longer prompt is refused at once, and says how long it is."""
    status, answer = running.complete({"messages": [{"role": "user", "content": "word " * 4200}]})

    assert status == 400
    error = answer["error"]
    assert (error["type"], error["n_ctx"]) == ("exceed_context_size_error", 4096)
    assert error["n_prompt_tokens"] > 4200


def test_a_client_that_goes_away_frees_its_slot(running: Running) -> None:
    """With both slots busy for minutes, closing the two connections lets the next request in."""

    async def work() -> int:
        endpoint = await running.model.endpoint()
        async with client(endpoint.api_key) as http:
            for _ in range(2):
                answer = await post(http, endpoint, LONG)
                await answer.content.readany()  # it is generating
                answer.close()
            async with asyncio.timeout(20), post(http, endpoint, {"messages": OI, "max_tokens": 1}) as answer:
                await answer.read()
                return int(answer.status)

    assert running.runner.run(work()) == 200


def test_a_grammar_that_runs_away_is_refused(running: Running) -> None:
    """One that llama.cpp can't stop unfolding meets the process's limit of memory, and the next request is served."""
    pid = running.model.status.pid
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert f"Max address space         {MAX_ADDRESS_SPACE}" in limits

    status, answer = running.complete({"messages": OI, "max_tokens": 1, "grammar": 'root ::= "a"{5,2}'})

    assert (400, "invalid_request_error") == (status, answer["error"]["type"])
    assert running.complete({"messages": OI, "max_tokens": 1})[0] == 200
    assert running.model.status.pid == pid


def test_ctrl_c_is_left_to_the_parent(running: Running) -> None:
    """A terminal sends SIGINT to the whole group; the model goes on for the answers that are still running."""
    running.runner.run(running.model.endpoint())
    pid = running.model.status.pid
    assert pid is not None

    os.kill(pid, signal.SIGINT)

    assert ignores(pid, signal.SIGINT)
    assert running.complete({"messages": OI, "max_tokens": 1})[0] == 200
    assert running.model.status.pid == pid


def test_a_crash_is_followed_by_a_restart(running: Running) -> None:
    """After the process was killed in the middle of an answer, the next call starts a new one that answers."""

    async def crash() -> int:
        endpoint = await running.model.endpoint()
        pid = running.model.status.pid
        assert pid is not None
        async with client(endpoint.api_key) as http, post(http, endpoint, LONG) as answer:
            await answer.content.readany()
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
        await until(lambda: running.model.status.state is LocalModelState.FAILED)
        return pid

    old = running.runner.run(crash())

    assert running.complete({"messages": OI, "max_tokens": 1})[0] == 200
    assert running.model.status.pid != old
    assert running.model.status.restarts == 1
    assert not exists(old)


def test_close_in_the_middle_of_an_answer_leaves_no_process() -> None:
    """Closing doesn't wait for the answer: the reader gets an error and the process is gone, without a crash."""

    async def work() -> tuple[int, int | None]:
        model = LocalModel()
        endpoint = await model.endpoint()
        process, pid = model._process, model.status.pid
        assert process is not None
        assert pid is not None
        async with client(endpoint.api_key) as http, post(http, endpoint, LONG) as answer:
            await answer.content.readany()
            async with asyncio.timeout(4):  # less than the grace: it went by itself
                await model.close()
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
        return pid, process.returncode

    pid, returncode = asyncio.run(work())
    gc.collect()

    assert returncode == 0
    assert not exists(pid)


def test_the_model_dies_with_a_killed_parent() -> None:
    """When the gateway is killed and can clean up nothing, the model ends by itself within 5 seconds."""
    program = (
        "import asyncio\n"
        "from app.engines.local.supervisor import LocalModel\n"
        "async def main():\n"
        "    model = LocalModel()\n"
        "    await model.endpoint()\n"
        "    print(model.status.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen((sys.executable, "-c", program), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        watch = Watch(int(parent.stdout.readline()))
        parent.kill()

    assert watch.ended(within=5)

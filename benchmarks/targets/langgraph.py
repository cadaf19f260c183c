"""langgraph-openai-serve with a graph of one node, whose model only talks: it has no upstream."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.installed.python import python_environment, version_of
from benchmarks.server import Launch
from benchmarks.targets.target import MODELS, Place, Target

VERSION: Final = "0.31.0"
_APPLICATION: Final = """
import asyncio

from fastapi import FastAPI
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph_openai_serve import GraphConfig, GraphRegistry, LanggraphOpenaiServe


class Talker(BaseChatModel):
    count: int = 8
    milliseconds: int = 0

    @property
    def _llm_type(self):
        return "talker"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        message = AIMessage(content=" tick tock tick tock tick tock")
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return self._generate(messages)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for number in range(self.count):
            text = " tock" if number % 2 else " tick"
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=text))
            if run_manager:
                await run_manager.on_llm_new_token(text, chunk=chunk)
            yield chunk
            if self.milliseconds:
                await asyncio.sleep(self.milliseconds / 1000)


def graph(name):
    words = name.split("-")
    talker = Talker(count=int(words[1]), milliseconds=int(words[2])) if len(words) == 3 else Talker()

    async def talk(state):
        return {"messages": [await talker.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("talk", talk)
    builder.add_edge(START, "talk")
    builder.add_edge("talk", END)
    return builder.compile()


app = FastAPI()
graphs = {name: GraphConfig(graph=graph(name), description=name) for name in MODELS}
LanggraphOpenaiServe(registry=GraphRegistry(graphs=graphs), app=app).bind_openai_api()
"""


class LangGraph(Target):
    """Serves one trivial graph under each of the mock's names."""

    name = "langgraph"
    title = "langgraph-openai-serve, trivial graph"
    proxies = False

    def install(self) -> str:
        return version_of(_programs(), "langgraph-openai-serve")

    def launch(self, place: Place) -> Launch:
        (place.folder / "application.py").write_text(f"MODELS = {MODELS!r}\n{_APPLICATION}")
        command: list[str | Path] = [
            _programs() / "uvicorn",
            "application:app",
            "--host",
            "127.0.0.1",
            "--port",
            str(place.port),
        ]
        return Launch([*command, "--no-access-log", "--log-level", "warning"], "/v1/models")


def _programs() -> Path:
    # uvicorn's fast parts, which its own images have.
    return python_environment("langgraph", f"langgraph-openai-serve=={VERSION}", "uvloop", "httptools")

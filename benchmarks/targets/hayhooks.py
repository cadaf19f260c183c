"""Hayhooks with an agent that only talks: it has no upstream, so this is the least that it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.installed.python import python_environment, version_of
from benchmarks.server import Launch
from benchmarks.targets.target import MODELS, Place, Target

VERSION: Final = "2.1.0"
_AGENT: Final = """
import asyncio

from hayhooks import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self):
        self.pipeline = None

    def run_api(self) -> str:
        return "ok"

    async def run_chat_completion_async(self, model, messages, body):
        if not body.get("stream"):
            return " tick tock tick tock tick tock"
        words = model.split("-")
        return self.words(*(int(word) for word in words[1:])) if len(words) == 3 else self.words(8, 0)

    async def words(self, count, milliseconds):
        for number in range(count):
            yield " tock" if number % 2 else " tick"
            if milliseconds:
                await asyncio.sleep(milliseconds / 1000)
"""


class Hayhooks(Target):
    """Serves one trivial pipeline under each of the mock's names."""

    name = "hayhooks"
    title = "Hayhooks, trivial agent"
    proxies = False

    def install(self) -> str:
        return version_of(_programs(), "hayhooks")

    def launch(self, place: Place) -> Launch:
        pipelines = place.folder / "pipelines"
        for model in MODELS:
            (pipelines / model).mkdir(parents=True)
            (pipelines / model / "pipeline_wrapper.py").write_text(_AGENT)
        command: list[str | Path] = [_programs() / "hayhooks", "run", "--host", "127.0.0.1", "--port", str(place.port)]
        environ = {"LOG": "WARNING", "HAYSTACK_TELEMETRY_ENABLED": "False"}
        return Launch([*command, "--pipelines-dir", pipelines], "/status", environ)


def _programs() -> Path:
    return python_environment("hayhooks", f"hayhooks=={VERSION}")

"""LiteLLM's proxy. Only this version, and only wheels: the one after it was a compromised release."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from benchmarks.installed.python import python_environment, version_of
from benchmarks.server import Launch
from benchmarks.targets.target import KEY, MODELS, Place, Target

VERSION: Final = "1.106.2"


class LiteLLM(Target):
    """Runs with a master key, one worker and no data base."""

    name = "litellm"
    title = "LiteLLM proxy"

    def install(self) -> str:
        return version_of(_programs(), "litellm")

    def launch(self, place: Place) -> Launch:
        where = {"api_base": f"http://127.0.0.1:{place.upstream}/v1", "api_key": KEY}
        config = {
            "model_list": [
                {"model_name": model, "litellm_params": {"model": f"openai/{model}", **where}} for model in MODELS
            ],
            "general_settings": {"master_key": KEY},
        }
        file = place.folder / "litellm.yaml"
        file.write_bytes(msgspec.json.encode(config))  # JSON is YAML, too
        command: list[str | Path] = [
            _programs() / "litellm",
            "--config",
            file,
            "--host",
            "127.0.0.1",
            "--port",
            str(place.port),
        ]
        environ = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            "NO_PROXY": "127.0.0.1",
        }
        return Launch([*command, "--num_workers", "1", "--telemetry", "False"], "/health/liveliness", environ)


def _programs() -> Path:
    return python_environment("litellm", f"litellm[proxy]=={VERSION}")

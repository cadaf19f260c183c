"""A gateway within the test process, so that what it counts, traces and writes can be looked at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import httpx
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from app.application import Gateway
from app.config import load
from tests.fakes.configuration import upstream_configuration
from tests.fakes.upstream import FakeUpstream
from tests.live_gateway import TOKEN, merged

CHAT: Final = "/v1/chat/completions"
T = TypeVar("T")


def spoken(model: str = "zero", text: str = "hi", **fields: Any) -> dict[str, Any]:
    """Return a request's body."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def watched(
    folder: Path,
    upstream: FakeUpstream,
    gateway: Mapping[str, Any],
    work: Callable[[httpx.AsyncClient], Awaitable[T]],
    provider: TracerProvider | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> T:
    """Have a gateway asked, and return what came of it.

    Args:
        folder: For its configuration and state.
        upstream: What answers.
        gateway: What the configuration's ``gateway`` says besides.
        work: Asks.
        provider: Where spans go.
        config: Instead of ``upstream_configuration``.
        environ: What the configuration's variables stand for.
    """
    file, variables = folder / "zero.json", environ or {}
    file.write_text(json.dumps(merged(config or upstream_configuration(upstream), {"gateway": gateway})))

    async def run() -> T:
        made = Gateway(
            load(file, variables), {**variables, "HOME": str(folder), "ZERO_STATE_DIR": str(folder)}, provider
        )
        made.store.open()
        transport = httpx.ASGITransport(app=cast("Any", made.app))
        headers = {"authorization": f"Bearer {TOKEN}"}
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
                return await work(client)
        finally:
            await made.chat.close()
            await made._machinery.close()
            await made.telemetry.close()

    return asyncio.run(run())


def samples(text: str) -> list[Sample]:
    """Return all samples of an exposition, as Prometheus' own parser reads them."""
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def value(text: str, name: str, **labels: str) -> float:
    """Return the sum of the samples of a name that have the labels. There has to be one of that name."""
    named = [one for one in samples(text) if one.name == name]
    assert named, f"there is no {name}"
    return sum(one.value for one in named if labels.items() <= one.labels.items())

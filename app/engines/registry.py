"""The engines there are, by provider: the one place where a new kind of engine is registered.

Built in: ``echo`` and ``local``. Configured: ``models.providers``. From other packages: entry points of the group
``zero.engines``, whose name is the provider and whose object makes the engine when called. docs/engines.md says how.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from app.config import Config, Provider
from app.engines.engine import Engine
from app.engines.upstream.engine import Endpoint, UpstreamEngine
from app.engines.upstream.remote_image import RemoteImages

if TYPE_CHECKING:
    import aiohttp

ENTRY_POINT_GROUP: Final = "zero.engines"


@runtime_checkable
class Warmable(Protocol):
    """An engine that can get ready before its first turn."""

    def warm_up(self) -> None:
        """Begin getting ready, in the background."""
        ...


class Engines:
    """Makes engines at first use and keeps them; a provider whose settings have changed gets a new one.

    Args:
        config: Asked anew for each run, so that a reloaded configuration takes effect.
        outgoing: Returns what else is to be in the headers of a request to a provider: the trace that it belongs to.
    """

    def __init__(self, config: Callable[[], Config], outgoing: Callable[[], Mapping[str, str]] | None = None) -> None:
        self._outgoing = outgoing
        self._config = config
        self._upstreams: dict[str, tuple[Provider, UpstreamEngine]] = {}
        self._others: dict[str, Engine] = {}
        self._client: aiohttp.ClientSession | None = None
        self._direct_client: aiohttp.ClientSession | None = None

    def engine_for(self, provider: str) -> Engine:
        """Return the engine of a provider.

        A provider that an edit has removed is still there for the runs that began before.

        Raises:
            LookupError: If there never was such a provider; a checked configuration names none of those.
        """
        settings = self._config().models.providers.get(provider)
        known = self._upstreams.get(provider)
        if settings is None and known is not None and provider not in self._others:
            return known[1]
        if settings is not None:
            if known is None or known[0] != settings:
                known = self._upstreams[provider] = (settings, self._upstream(provider, settings))
            return known[1]
        engine = self._others.get(provider)
        if engine is None:
            engine = self._others[provider] = self._make(provider)
        return engine

    def warm_up(self, provider: str) -> None:
        """Have an engine that takes long to start begin now."""
        engine = self.engine_for(provider)
        if isinstance(engine, Warmable):
            engine.warm_up()

    async def close(self) -> None:
        """Close every engine, and the HTTP client behind them."""
        others, self._others = self._others, {}
        for engine in others.values():
            await engine.close()
        for client in (self._client, self._direct_client):
            if client is not None:
                await client.close()
        self._client = self._direct_client = None

    def _make(self, provider: str) -> Engine:
        if provider == "echo":
            from app.engines.echo import EchoEngine

            return EchoEngine()
        if provider == "local":
            from app.engines.local.engine import LocalEngine

            return LocalEngine(self._direct_session)
        factory = registered_engines().get(provider)
        if factory is None:
            raise LookupError(f"no engine for provider {provider!r}")
        engine: Engine = factory.load()()
        return engine

    def _upstream(self, provider: str, settings: Provider) -> UpstreamEngine:
        headers = {name.lower(): value for name, value in settings.headers.items()}
        if settings.api_key is not None:
            headers.setdefault("authorization", f"Bearer {settings.api_key}")
        endpoint = Endpoint(settings.base_url, headers)

        async def where() -> Endpoint:
            if self._outgoing is None:
                return endpoint
            return Endpoint(endpoint.base_url, {**self._outgoing(), **endpoint.headers})

        images = RemoteImages(settings.fetch_images) if settings.fetch_images is not None else None
        return UpstreamEngine(provider, where, self._session, settings, images)

    def _session(self) -> aiohttp.ClientSession:
        """Return the client for services elsewhere; it goes through the proxy that the environment names, if any."""
        if self._client is None:
            # Looked up per request by aiohttp, so only where a proxy is set at all.
            self._client = _client(through_proxy=any(name.lower().endswith("_proxy") for name in os.environ))
        return self._client

    def _direct_session(self) -> aiohttp.ClientSession:
        """Return the client for this machine's own processes: what is said to them is no proxy's business."""
        if self._direct_client is None:
            self._direct_client = _client(through_proxy=False)
        return self._direct_client


def _client(*, through_proxy: bool) -> aiohttp.ClientSession:
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
        timeout=aiohttp.ClientTimeout(total=None),  # each request comes with its provider's own
        trust_env=through_proxy,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=256 * 1024,
        max_line_size=64 * 1024,
        max_field_size=64 * 1024,
    )


def registered_engines() -> dict[str, EntryPoint]:
    """Return the engines that installed packages register, by provider name."""
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}

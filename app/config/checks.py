"""What a configuration must satisfy beyond its types.

Owns the rules between keys and inside strings. Pure: raises the first fault, changes nothing, and never repeats the
value of a secret, a header or a URL. Rules: design.md, Configuration, Authentication and Which agent.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import TypeGuard
from urllib.parse import urlsplit

import msgspec

from .agent_id import DEFAULT_ALIAS, agent_id
from .error import RuleError, suggestion
from .json_value import JsonValue
from .key_checks import check_keys
from .key_path import KeyPath, dotted
from .location import host_of
from .model_ref import BUILT_IN_PROVIDERS, is_model_id, is_provider_name, model_ref
from .structs import SQLITE, AgentOptions, Auth, Config, FetchImages, Gateway, ModelChain, Provider, Remote, Session

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_PARAMS = frozenset({"model", "messages", "n", "stream", "user"})
_FRAMING = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding"})
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "proxy-authenticate", "cookie"})
_MEANINGFUL = frozenset(
    {
        "accept",
        "accept-encoding",
        "content-encoding",
        "expect",
        "forwarded",
        "idempotency-key",
        "last-event-id",
        "origin",
        "openai-organization",
        "openai-project",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-api-key",
        "x-request-id",
    }
)
"""What a request has anyway, or what says something else about it."""
_MEANINGFUL_BEGINNINGS = ("access-control-", "sec-", "x-forwarded-", "x-stainless-", "x-zero-")
_NUMBERED = r"(?P<address>[0-9.]+|\[[0-9A-Fa-f:.]+\])"
_PORT = r"(?::(?P<port>[1-9][0-9]{0,4}))?"
_ORIGIN = re.compile(rf"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:{_NUMBERED}|[A-Za-z0-9._-]+){_PORT}")
_HOST_PATTERN = re.compile(rf"(?:{_NUMBERED}|(?:\*\.)?(?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+){_PORT}")
_USUAL_PORTS = {"http": "80", "https": "443"}
_LAST_PORT = 65535
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?")


def check(config: Config, engines: Collection[str] = ()) -> None:
    """Refuse a configuration that is well-formed and still wrong.

    Args:
        config: The decoded configuration.
        engines: Providers beyond the built-in ones that need no entry: engines that other packages registered.

    Raises:
        RuleError: The first rule that is broken.
    """
    _check_gateway(config.gateway)
    for name, provider in config.models.providers.items():
        _check_provider(name, provider, ("models", "providers", name), {*BUILT_IN_PROVIDERS, *engines})
    _check_agents(config)
    check_keys(config)
    _check_session(config.session)
    _check_store(config.session.store)
    known: dict[str, tuple[str, ...] | None] = {**dict.fromkeys(engines), **BUILT_IN_PROVIDERS}
    known.update({name: provider.model_ids() for name, provider in config.models.providers.items()})
    for path, text in _model_refs(config):
        _check_model_ref(text, known, path)
    for owner, options in _owners(config):
        for name in options.params:
            if name in _NOT_PARAMS:
                raise RuleError((*owner, "params", name), "only a request decides this", "Remove it.")
        _check_params(options.params, (*owner, "params"))


def _check_gateway(gateway: Gateway) -> None:
    try:
        host = host_of(gateway.bind)
    except ValueError:
        raise RuleError(("gateway", "bind"), "not an address", 'Write "loopback", "lan" or an IP address.') from None
    if gateway.auth.mode == "none" and not ip_address(host).is_loopback:
        raise RuleError(
            ("gateway", "auth", "mode"),
            f'"none" together with gateway.bind "{gateway.bind}" would leave the API open to the network',
            'Set gateway.auth.mode to "token" or "password", or gateway.bind to "loopback".',
        )
    for owner, holder in (("auth", gateway.auth), ("remote", gateway.remote)):
        if holder is not None:
            _check_secrets(holder, ("gateway", owner))
    if gateway.remote is not None:
        _check_url(gateway.remote.url, ("gateway", "remote", "url"), ("ws", "wss"), "ws://gateway.example.com:18789")
    _check_session_headers(
        gateway.http.endpoints.chat_completions.session_headers,
        ("gateway", "http", "endpoints", "chatCompletions", "sessionHeaders"),
    )
    for index, origin in enumerate(gateway.http.cors.origins):
        if not _is_origin(origin):
            raise RuleError(
                ("gateway", "http", "cors", "origins", index),
                "not the origin of a web page",
                'Write scheme, host and, unless it is the usual one, port, and no more: "https://chat.example.com" or '
                '"http://localhost:3000". There is no wildcard.',
            )
    _check_networks(gateway.trusted_proxies, ("gateway", "trustedProxies"))


def _check_networks(networks: tuple[str, ...], owner: KeyPath) -> None:
    for index, network in enumerate(networks):
        try:
            ip_network(network)
        except ValueError:
            raise RuleError(
                (*owner, index),
                "not an IP address or network",
                'Write an address ("10.0.0.7") or a network with no host bits set ("10.0.0.0/8").',
            ) from None


def _check_fetch_images(settings: FetchImages, path: KeyPath) -> None:
    for index, host in enumerate(settings.allow_hosts):
        if host != "*" and not _sane(_HOST_PATTERN.fullmatch(host)):
            raise RuleError(
                (*path, "allowHosts", index),
                "not a host",
                'Write "images.example.com", "*.example.com", with a port if need be, or "*" for every public one.',
            )
    _check_networks(settings.private_networks, (*path, "privateNetworks"))


def _is_origin(text: str) -> bool:
    """Tell whether a browser could spell an origin like this: without its scheme's usual port, for one."""
    match = _ORIGIN.fullmatch(text)
    return _sane(match) and match["port"] != _USUAL_PORTS.get(match["scheme"].lower(), "")


def _sane(match: re.Match[str] | None) -> TypeGuard[re.Match[str]]:
    """Tell whether what was matched has an address and a port that there can be, as far as it has any."""
    if match is None or int(match["port"] or 0) > _LAST_PORT:
        return False
    with suppress(ValueError):
        return not match["address"] or bool(ip_address(match["address"].strip("[]")))
    return False


def _check_secrets(holder: Auth | Remote, owner: KeyPath) -> None:
    secrets = (("token", holder.token, "ZERO_GATEWAY_TOKEN"), ("password", holder.password, "ZERO_GATEWAY_PASSWORD"))
    for key, secret, variable in secrets:
        path = (*owner, key)
        if secret is not None and not secret.strip():
            raise RuleError(path, "the secret is empty", f"Write one, or remove the key to use {variable}.")
        # Blanks around it are trimmed where it is compared, so a trailing newline does no harm.
        if secret is not None and not secret.strip().isprintable():
            raise RuleError(path, "the secret has control characters, which no client can send", "Remove them.")


def _check_provider(name: str, provider: Provider, path: KeyPath, taken: set[str]) -> None:
    if not is_provider_name(name):
        raise RuleError(path, "not a provider's name", "Use letters, digits, dots, underscores and dashes, 64 at most.")
    if name.lower() in taken or name in taken:
        raise RuleError(path, "the provider is built in and can't be redefined", "Choose another name.")
    _check_base_url(provider.base_url, (*path, "baseUrl"))
    if provider.fetch_images is not None:
        _check_fetch_images(provider.fetch_images, (*path, "fetchImages"))
    if provider.api_key is not None and not (provider.api_key and _HEADER_VALUE.fullmatch(provider.api_key)):
        raise RuleError(
            (*path, "apiKey"),
            "the key is empty or can't be sent in a header",
            "Write printable ASCII without blanks at its ends; remove apiKey when the provider needs none.",
        )
    _check_headers(provider.headers, (*path, "headers"))
    ids = provider.model_ids() or ()
    for index, model in enumerate(ids):
        place = (*path, "models", index)
        if not is_model_id(model):
            raise RuleError(place, "not a model's id", "Write the id as the provider does.")
        if model in ids[:index]:
            raise RuleError(place, f'the model "{model}" is listed twice', "Remove one of the two.")


def _check_headers(headers: dict[str, str], path: KeyPath) -> None:
    seen: dict[str, str] = {}
    for header, value in headers.items():
        place = (*path, header)
        if not _HEADER_NAME.fullmatch(header):
            raise RuleError(place, "not a header's name", "Use letters, digits and dashes.")
        if not _HEADER_VALUE.fullmatch(value):
            raise RuleError(
                place,
                "the value can't be sent in a header",
                "Write printable ASCII on one line without blanks at its ends.",
            )
        if header.lower() in _FRAMING:
            raise RuleError(place, "the gateway sets this header itself", "Remove it.")
        if header.lower() in seen:
            raise RuleError(place, f'the same header as "{seen[header.lower()]}"', "Remove one of the two.")
        seen[header.lower()] = header


def _check_session_headers(headers: tuple[str, ...], path: KeyPath) -> None:
    seen: set[str] = set()
    for index, header in enumerate(headers):
        place, name = (*path, index), header.lower()
        if not _HEADER_NAME.fullmatch(header):
            raise RuleError(place, "not a header's name", "Use letters, digits and dashes.")
        if name in _CREDENTIALS:
            raise RuleError(place, "this header carries a secret, which may not become a session's name", "Remove it.")
        if name in _FRAMING or name in _HOP_BY_HOP:
            raise RuleError(place, "this header is about the connection, not about a conversation", "Remove it.")
        if name in _MEANINGFUL or name.startswith(_MEANINGFUL_BEGINNINGS):
            raise RuleError(place, "this header has a meaning of its own for the gateway", "Remove it.")
        if name in seen:
            raise RuleError(place, f'"{header}" is listed twice', "Remove one of the two.")
        seen.add(name)


def _check_store(store: str) -> None:
    # What is behind the scheme is for PostgreSQL's own library to read: it may name several hosts, a socket, a service.
    scheme, _, rest = store.partition("://")
    # With a second "@" a part of the password would be taken for a host, and told in every log as one that isn't found.
    plain = store.isprintable() and " " not in store and rest.partition("/")[0].count("@") <= 1
    well_formed = scheme in ("postgresql", "postgres") and rest and plain
    if store != SQLITE and not well_formed:
        raise RuleError(
            ("session", "store"),
            f'neither "{SQLITE}" nor the address of a PostgreSQL database',
            'Write the address like "postgresql://user:password@db.example.com/zero", with special characters of the '
            "password percent-encoded.",
        )


def _check_base_url(url: str, path: KeyPath) -> None:
    _check_url(url, path, ("http", "https"), "https://api.example.com/v1")


def _check_url(url: str, path: KeyPath, schemes: tuple[str, str], example: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    # urlsplit drops some control characters without a word.
    if not usable or not url.isprintable() or " " in url:
        article = "an" if schemes[0] == "http" else "a"
        raise RuleError(path, f"not {article} {schemes[0]} or {schemes[1]} URL", f'Write it like "{example}".')
    if "@" in parts.netloc:
        where = "apiKey or headers" if schemes[0] == "http" else "token or password"
        raise RuleError(path, "the URL holds a user name or password", f"Put credentials in {where}.")
    if "?" in url or "#" in url:
        what = ": the endpoint's name is appended" if schemes[0] == "http" else ""
        raise RuleError(path, "the URL has a query or a fragment", f"End it with the path{what}.")


def _check_agents(config: Config) -> None:
    places: dict[str, KeyPath] = {}
    default: KeyPath | None = None
    for index, agent in enumerate(config.agents.list):
        place: KeyPath = ("agents", "list", index)
        identifier = agent_id(agent.id)
        if identifier is None:
            raise RuleError(
                (*place, "id"),
                "not an agent's id",
                "Use letters, digits, underscores and dashes, starting with a letter or digit, 64 at most.",
            )
        if identifier == DEFAULT_ALIAS:
            raise RuleError(
                (*place, "id"),
                f'"{DEFAULT_ALIAS}" is reserved: clients write it to mean the default agent',
                "Choose another id; set default: true to make the agent the default.",
            )
        if identifier in places:
            raise RuleError(
                (*place, "id"),
                f'"{identifier}" is already the id of {dotted(places[identifier])}',
                "Choose another id.",
            )
        places[identifier] = place
        if agent.default and default is not None:
            raise RuleError((*place, "default"), f"{dotted(default)} is the default already", "Keep one of the two.")
        default = place if agent.default else default


def _check_session(session: Session) -> None:
    if session.reset.mode == "none" and session.reset.idle_minutes is not None:
        raise RuleError(
            ("session", "reset", "idleMinutes"),
            'it says nothing as long as mode is "none"',
            'Set session.reset.mode to "idle" or "daily".',
        )
    for index, trigger in enumerate(session.reset_triggers):
        if not trigger.isprintable() or " " in trigger:
            raise RuleError(
                ("session", "resetTriggers", index),
                "a command is one word",
                'Write it without blanks, like "/new".',
            )


def _model_refs(config: Config) -> Iterator[tuple[KeyPath, str]]:
    for owner, options in _owners(config):
        path: KeyPath = (*owner, "model")
        if isinstance(options.model, str):
            yield path, options.model
        elif isinstance(options.model, ModelChain):
            yield (*path, "primary"), options.model.primary
            for index, fallback in enumerate(options.model.fallbacks):
                yield (*path, "fallbacks", index), fallback
    if config.session.compaction.model is not None:
        yield ("session", "compaction", "model"), config.session.compaction.model


def _owners(config: Config) -> Iterator[tuple[KeyPath, AgentOptions]]:
    yield ("agents", "defaults"), config.agents.defaults
    for index, agent in enumerate(config.agents.list):
        yield ("agents", "list", index), agent


def _check_params(params: Mapping[str, JsonValue], path: KeyPath) -> None:
    """Refuse values that a request couldn't have either; names that the contract doesn't know may say anything."""
    if not params:
        return
    from app.contract.models import CreateChatCompletionRequest  # only configurations with params pay for it

    for name, value in params.items():
        body = {"model": "zero", "messages": [{"role": "user", "content": ""}], name: value}
        try:
            msgspec.convert(body, CreateChatCompletionRequest)
        except msgspec.ValidationError as error:
            raise RuleError((*path, name), f"not what a request may say: {error}", "Correct or remove it.") from None


def _check_model_ref(text: str, known: dict[str, tuple[str, ...] | None], path: KeyPath) -> None:
    try:
        ref = model_ref(text)
    except ValueError:
        raise RuleError(path, "not a model", 'Write it as "provider/model".') from None
    if ref.provider not in known:
        raise RuleError(
            path,
            f'the provider "{ref.provider}" is neither built in nor in models.providers',
            suggestion(ref.provider, known),
        )
    models = known[ref.provider]
    if models is not None and ref.model not in models:
        raise RuleError(
            path,
            f'the provider "{ref.provider}" does not list the model "{ref.model}"',
            suggestion(ref.model, models) or f"Add it to models.providers.{ref.provider}.models.",
        )

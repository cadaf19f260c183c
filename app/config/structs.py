"""The configuration's vocabulary: every key, its type, bounds and default.

Owns the shape only; what the shape can't say (known providers, unique ids) is in ``checks``. Frozen, strict, camelCase
in the file. May not read files or the environment. Rules: design.md, Configuration.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from .json_value import JsonValue

Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Hour = Annotated[int, Meta(ge=0, le=23)]
Days = Annotated[int, Meta(ge=1, le=36_500)]
Seconds = Annotated[float, Meta(gt=0)]
SecondsOrOff = Annotated[float, Meta(ge=0)]
Name = Annotated[str, Meta(min_length=1)]

SQLITE = "sqlite"
"""What ``session.store`` says when sessions are kept in a file of the state directory."""

HIDDEN = "***"
"""What a secret looks like in ``repr()``."""


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Be an object of the configuration: immutable, and without unknown keys."""


class SecretSection(Section, frozen=True, kw_only=True):
    """Be an object of the configuration some of whose values must not be shown."""

    _secrets: ClassVar[frozenset[str]] = frozenset()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """List the fields for display, with the secrets hidden."""
        return [(name, self._shown(name, getattr(self, name))) for name in self.__struct_fields__]

    def __repr__(self) -> str:
        """Show the fields, with the secrets hidden."""
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def _shown(self, name: str, value: object) -> object:
        if name not in self._secrets or value is None:
            return value
        return dict.fromkeys(value, HIDDEN) if isinstance(value, dict) else HIDDEN


class RateLimit(Section, frozen=True, kw_only=True):
    """Limit failed authentications per client address: so many failures in a window lock the address out."""

    enabled: bool = True
    max_failures: Count = 10
    window_seconds: Seconds = 60.0
    lockout_seconds: Seconds = 60.0


class ApiKey(SecretSection, frozen=True, kw_only=True):
    """Let somebody else than the operator in: whom, to which agents, and how much.

    ``hash`` is of the secret, which is kept nowhere. Without ``agents`` all are allowed; without a limit there is none.
    ``session_scope`` is for keys that are to share their sessions; otherwise each has its own. ``expires`` is the first
    moment at which the key opens nothing any more.
    """

    _secrets: ClassVar[frozenset[str]] = frozenset({"hash"})

    name: str
    hash: str
    agents: tuple[str, ...] | None = None
    session_key: bool = True
    session_scope: str | None = None
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    max_concurrent: Count | None = None
    expires: str | None = None


class Auth(SecretSection, frozen=True, kw_only=True):
    """Say how clients prove who they are; a secret that is not here comes from the environment."""

    _secrets: ClassVar[frozenset[str]] = frozenset({"token", "password"})

    mode: Literal["token", "password", "none"] = "token"
    token: str | None = None
    password: str | None = None
    keys: tuple[ApiKey, ...] = ()
    rate_limit: RateLimit = RateLimit()


class Limits(Section, frozen=True, kw_only=True):
    """Bound what clients may take of a process.

    ``head_seconds`` is for the whole head of a request, ``body_seconds`` between two pieces of its body,
    ``request_seconds`` for all of it; ``idle_seconds`` until the next request, ``send_seconds`` for a client that has
    stopped reading.
    """

    max_connections: Count = 16_384
    max_runs: Count = 8_192
    max_header_bytes: Annotated[int, Meta(ge=1024)] = 65_536
    head_seconds: Seconds = 30.0
    body_seconds: Seconds = 30.0
    request_seconds: Seconds = 300.0
    idle_seconds: Seconds = 75.0
    send_seconds: Seconds = 60.0


class ChatCompletions(Section, frozen=True, kw_only=True):
    """Switch the chat completions API on and set its bounds; a keepalive of 0 seconds is off.

    ``session_headers`` are names of headers that mean the same as ``x-zero-session-key``, in the order of precedence.
    ``idempotency_seconds`` is how long an answer is kept under the ``Idempotency-Key`` that it was asked for with.
    """

    enabled: bool = False
    strict_model: bool = False
    session_from_user: bool = True
    session_headers: tuple[str, ...] = ()
    max_body_bytes: Count = 20_000_000
    keepalive_seconds: SecondsOrOff = 15.0
    idempotency_seconds: Seconds = 86_400.0


class Endpoints(Section, frozen=True, kw_only=True):
    """List the HTTP APIs that can be switched on."""

    chat_completions: ChatCompletions = ChatCompletions()


class Cors(Section, frozen=True, kw_only=True):
    """Say which web pages' scripts may call the API; no origin means none."""

    origins: tuple[str, ...] = ()
    max_age_seconds: Annotated[int, Meta(ge=0)] = 600


class Http(Section, frozen=True, kw_only=True):
    """Configure what is served over HTTP."""

    cors: Cors = Cors()
    endpoints: Endpoints = Endpoints()


class Remote(SecretSection, frozen=True, kw_only=True):
    """Say where the gateway is that commands speak to, when it is elsewhere; a missing secret is the environment's."""

    _secrets: ClassVar[frozenset[str]] = frozenset({"token", "password"})

    url: str
    token: str | None = None
    password: str | None = None


class Logs(Section, frozen=True, kw_only=True):
    """Say what ``zero gateway`` writes to its log, and where the runs are noted (``audit``: a file; none without)."""

    format: Literal["auto", "console", "json"] = "auto"
    access: bool = True
    audit: Name | None = None


class Metrics(Section, frozen=True, kw_only=True):
    """Switch ``/metrics`` on, and open it to whoever asks without a secret."""

    enabled: bool = False
    public: bool = False


class Traces(Section, frozen=True, kw_only=True):
    """Switch OpenTelemetry's traces on; ``content`` records what was said, too."""

    enabled: bool = False
    content: bool = False


class Gateway(Section, frozen=True, kw_only=True):
    """Configure the listening side; changes here need a restart.

    ``bind`` is "loopback" (127.0.0.1), "lan" (0.0.0.0) or an IP address; without ``port`` see ``location.port``.
    ``remote`` is for commands only, and makes no difference to a gateway that is served. ``drain_seconds`` is how long
    runs may go on once the gateway was asked to stop.
    """

    port: Port | None = None
    bind: str = "loopback"
    auth: Auth = Auth()
    drain_seconds: SecondsOrOff = 25.0
    trusted_proxies: tuple[str, ...] = ()
    limits: Limits = Limits()
    http: Http = Http()
    logs: Logs = Logs()
    metrics: Metrics = Metrics()
    traces: Traces = Traces()
    remote: Remote | None = None


class ModelChain(Section, frozen=True, kw_only=True):
    """Name a model and those to try after it, each as "provider/model"."""

    primary: str
    fallbacks: tuple[str, ...] = ()


class Tools(Section, frozen=True, kw_only=True):
    """Choose tools by name: without ``allow`` all, less those in ``deny``."""

    allow: tuple[Name, ...] | None = None
    deny: tuple[Name, ...] = ()


class AgentOptions(Section, frozen=True, kw_only=True):
    """Hold what both an agent and the defaults of all agents can say."""

    model: str | ModelChain | None = None
    system_prompt: str | None = None
    tools: Tools = Tools()
    params: dict[str, JsonValue] = {}
    max_concurrent: Count | None = None
    context_tokens: Count | None = None


class AgentDefaults(AgentOptions, frozen=True, kw_only=True):
    """Say what counts for every agent that doesn't say otherwise."""

    timeout_seconds: Seconds = 600.0


class Agent(AgentOptions, frozen=True, kw_only=True):
    """Describe one agent; what is left out comes from the defaults."""

    id: str
    name: str | None = None
    default: bool = False
    timeout_seconds: Seconds | None = None


class Agents(Section, frozen=True, kw_only=True):
    """List the agents; an empty list means one agent called "main"."""

    defaults: AgentDefaults = AgentDefaults()
    list: tuple[Agent, ...] = ()


class CatalogModel(Section, frozen=True, kw_only=True):
    """Describe one model of a provider; windows and limits count tokens."""

    id: str
    name: str | None = None
    context_window: Count | None = None
    max_tokens: Count | None = None


class FetchImages(Section, frozen=True, kw_only=True):
    """Have the gateway fetch the images that a request names by address, for a provider that can't."""

    allow_hosts: tuple[Name, ...]
    private_networks: tuple[str, ...] = ()
    max_bytes: Count = 20_000_000
    timeout_seconds: Seconds = 10.0


class Timeouts(Section, frozen=True, kw_only=True):
    """Say how long an upstream may take with one request; all but connecting is unlimited with 0."""

    connect_seconds: Seconds = 10.0
    first_byte_seconds: SecondsOrOff = 300.0
    idle_seconds: SecondsOrOff = 120.0
    total_seconds: SecondsOrOff = 0.0


class Retry(Section, frozen=True, kw_only=True):
    """Say how often a request that can't have done anything is sent again, and within what time."""

    attempts: Annotated[int, Meta(ge=0, le=10)] = 2
    max_seconds: Seconds = 5.0


class CircuitBreaker(Section, frozen=True, kw_only=True):
    """Say after how many failures in a row an upstream isn't asked any more, and for how long."""

    enabled: bool = True
    failures: Count = 5
    window_seconds: Seconds = 60.0
    pause_seconds: Seconds = 30.0
    count_rate_limits: bool = False


class Provider(SecretSection, frozen=True, kw_only=True):
    """Say how to reach an upstream; without ``models`` any model id is accepted."""

    _secrets: ClassVar[frozenset[str]] = frozenset({"api_key", "headers"})

    base_url: str
    api_key: str | None = None
    api: Literal["openai-completions"] = "openai-completions"
    headers: dict[str, str] = {}
    fetch_images: FetchImages | None = None
    always_stream: bool = False
    max_answer_bytes: Count = 64_000_000
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()
    circuit_breaker: CircuitBreaker = CircuitBreaker()
    models: tuple[str | CatalogModel, ...] | None = None

    def model_ids(self) -> tuple[str, ...] | None:
        """List the ids of the models, or None when any is accepted."""
        if self.models is None:
            return None
        return tuple(model if isinstance(model, str) else model.id for model in self.models)


class Models(Section, frozen=True, kw_only=True):
    """List the upstream providers by name."""

    providers: dict[str, Provider] = {}


class SessionReset(Section, frozen=True, kw_only=True):
    """Say when a session begins anew by itself: at an hour of the day, after so many idle minutes, or never."""

    mode: Literal["none", "daily", "idle"] = "none"
    at_hour: Hour = 4
    idle_minutes: Count | None = None


class SessionCompaction(Section, frozen=True, kw_only=True):
    """Say whether a model sums up what another has no room for; without ``model`` the one that is to answer does."""

    mode: Literal["off", "model"] = "off"
    model: str | None = None
    instructions: str | None = None
    timeout_seconds: Seconds = 60.0


class Session(SecretSection, frozen=True, kw_only=True):
    """Choose where sessions are kept and for how long, when they begin anew, and how many first turns an engine sees.

    ``store`` is "sqlite" or the address of a PostgreSQL database, which has a password in it.
    """

    _secrets: ClassVar[frozenset[str]] = frozenset({"store"})

    store: str = SQLITE
    pinned_turns: Annotated[int, Meta(ge=0)] = 1
    compaction: SessionCompaction = SessionCompaction()
    reset: SessionReset = SessionReset()
    reset_triggers: tuple[Name, ...] = ("/new", "/reset")
    retention_days: Days | None = None

    def _shown(self, name: str, value: object) -> object:
        return value if value == SQLITE else super()._shown(name, value)


class Config(Section, frozen=True, kw_only=True):
    """Hold the whole configuration; the empty object is a valid one."""

    gateway: Gateway = Gateway()
    agents: Agents = Agents()
    models: Models = Models()
    session: Session = Session()

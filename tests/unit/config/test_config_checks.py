"""The rules beyond types."""

from __future__ import annotations

import pytest

from app.config.checks import check
from app.config.decoding import decode
from app.config.error import RuleError
from app.config.json_value import JsonObject, JsonValue

URL = "https://api.example.com/v1"


def message_for(tree: JsonObject) -> str:
    """Check a configuration that is expected to be refused."""
    with pytest.raises(RuleError) as caught:
        check(decode(tree))
    return str(caught.value)


def agents(*entries: JsonObject) -> JsonObject:
    """Make a configuration of agents."""
    return {"agents": {"list": list(entries)}}


def provider(**keys: JsonValue) -> JsonObject:
    """Make a configuration of one provider called up."""
    return {"models": {"providers": {"up": {"baseUrl": URL, **keys}}}}


def using(model: JsonValue, **keys: JsonValue) -> JsonObject:
    """Make a configuration of a model and the provider up."""
    return {**provider(**keys), "agents": {"defaults": {"model": model}}}


@pytest.mark.parametrize(
    ("name", "value"), [("temperature", "hot"), ("max_tokens", -5), ("tool_choice", 5), ("stream_options", "x")]
)
def test_params_hold_only_what_a_request_may_say(name: str, value: JsonValue) -> None:
    """A value that the contract would refuse in a request is refused at the start; unknown names may say anything."""
    assert f"agents.defaults.params.{name}: " in message_for({"agents": {"defaults": {"params": {name: value}}}})
    check(decode({"agents": {"defaults": {"params": {f"x_{name}": value}}}}))


@pytest.mark.parametrize("header", ["Host", "content-length", "Transfer-Encoding", "Connection"])
def test_headers_of_the_framing_are_the_gateways_own(header: str) -> None:
    """A configured one would break the request's own form."""
    assert f"models.providers.up.headers.{header}: " in message_for(provider(headers={header: "x"}))


@pytest.mark.parametrize("name", ["model", "messages", "n", "stream", "user"])
def test_params_hold_no_field_of_a_request(name: str) -> None:
    """What only a request can decide is refused by its path, in the defaults and in an agent."""
    assert f"agents.defaults.params.{name}: " in message_for({"agents": {"defaults": {"params": {name: 1}}}})
    assert f"agents.list[0].params.{name}: " in message_for(agents({"id": "a", "params": {name: 1}}))


@pytest.mark.parametrize(
    "tree",
    [
        {},
        agents({"id": "main"}, {"id": "Ops_2-x", "default": True}),
        agents({"id": "a" * 64}),
        agents({"id": "0"}),
        using("up/gpt-4o"),
        using("up/meta/llama-3:free"),
        using("up/a", models=["a", {"id": "b"}]),
        using({"primary": "up/a", "fallbacks": ["up/b", "echo/echo", "local/smollm2"]}, models=["a", {"id": "b"}]),
        using("echo/echo"),
        provider(apiKey="sk-1", headers={"X-Team": "a b\tc", "x_odd!": ""}),
        provider(baseUrl="http://127.0.0.1:8000"),
        provider(baseUrl="https://[::1]:8000/v1/"),
        provider(models=[]),
        {"gateway": {"bind": "lan", "auth": {"mode": "token", "token": "ü-ok with blank\n"}}},
        {"gateway": {"bind": "::1", "auth": {"mode": "none"}}},
        {"gateway": {"remote": {"url": "ws://10.0.0.7:18789"}}},
        {"gateway": {"remote": {"url": "wss://[fd00::1]/zero", "token": "t", "password": "p"}}},
        {"gateway": {"bind": "127.0.0.2", "auth": {"mode": "none"}}},
        {"gateway": {"bind": "loopback", "auth": {"mode": "none"}}},
        {"gateway": {"trustedProxies": ["10.0.0.7", "10.0.0.0/8", "::1", "fd00::/8", "0.0.0.0/0"]}},
    ],
)
def test_what_is_right_passes(tree: JsonObject) -> None:
    """A configuration that keeps all the rules is accepted."""
    assert check(decode(tree)) is None  # type: ignore[func-returns-value]  # that nothing is raised is what is tested


@pytest.mark.parametrize("identifier", ["", "-a", "_a", "a b", "a.b", "a/b", "a:b", "é", "a" * 65, "a\n", "\u212a"])
def test_a_malformed_agent_id_is_refused(identifier: str) -> None:
    """Ids are ASCII letters, digits, underscores and dashes, 64 at most."""
    assert message_for(agents({"id": "ok"}, {"id": identifier})) == (
        "agents.list[1].id: not an agent's id. "
        "Use letters, digits, underscores and dashes, starting with a letter or digit, 64 at most."
    )


def test_ids_are_unique_whatever_their_case() -> None:
    """Two agents can't share an id once lower-cased."""
    assert message_for(agents({"id": "ops"}, {"id": "x"}, {"id": "OPS"})) == (
        'agents.list[2].id: "ops" is already the id of agents.list[0]. Choose another id.'
    )


@pytest.mark.parametrize("identifier", ["default", "Default"])
def test_the_alias_is_reserved(identifier: str) -> None:
    """No agent may take the word that means the default agent."""
    assert message_for(agents({"id": identifier})) == (
        'agents.list[0].id: "default" is reserved: clients write it to mean the default agent. '
        "Choose another id; set default: true to make the agent the default."
    )


def test_there_is_one_default() -> None:
    """Two agents can't both be the default."""
    assert message_for(agents({"id": "a", "default": True}, {"id": "b"}, {"id": "c", "default": True})) == (
        "agents.list[2].default: agents.list[0] is the default already. Keep one of the two."
    )


@pytest.mark.parametrize("text", ["", "gpt", "/gpt", "up/", " up/gpt", "up/gpt ", "up/g\npt", "u p/x", "/"])
def test_a_malformed_model_is_refused(text: str) -> None:
    """A model is named provider/model."""
    assert message_for(using(text)) == 'agents.defaults.model: not a model. Write it as "provider/model".'


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (
            using("ups/gpt"),
            'agents.defaults.model: the provider "ups" is neither built in nor in models.providers. Did you mean "up"?',
        ),
        (
            using("zzz/gpt"),
            (
                'agents.defaults.model: the provider "zzz" is neither built in nor in models.providers. '
                'Known here: "echo", "local", "up".'
            ),
        ),
        (
            using("up/gpt-5", models=["gpt-4"]),
            'agents.defaults.model: the provider "up" does not list the model "gpt-5". Did you mean "gpt-4"?',
        ),
        (
            using("up/x", models=[f"long-model-name-{n:02}" for n in range(13)]),
            'agents.defaults.model: the provider "up" does not list the model "x". Known here: '
            + ", ".join(f'"long-model-name-{n:02}"' for n in range(12))
            + ", ....",
        ),
        (
            using("up/x", models=[]),
            (
                'agents.defaults.model: the provider "up" does not list the model "x". '
                "Add it to models.providers.up.models."
            ),
        ),
        (
            using("echo/loud"),
            'agents.defaults.model: the provider "echo" does not list the model "loud". Known here: "echo".',
        ),
        (
            using({"primary": "nope"}),
            'agents.defaults.model.primary: not a model. Write it as "provider/model".',
        ),
        (
            using({"primary": "up/a", "fallbacks": ["up/b", "nope"]}),
            'agents.defaults.model.fallbacks[1]: not a model. Write it as "provider/model".',
        ),
        (
            agents({"id": "a"}, {"id": "b", "model": "nope"}),
            'agents.list[1].model: not a model. Write it as "provider/model".',
        ),
    ],
)
def test_a_model_must_be_known(tree: JsonObject, message: str) -> None:
    """Every reference, wherever it stands, leads to a provider and to a model it lists."""
    assert message == message_for(tree)


def test_registered_engines_need_no_entry() -> None:
    """An engine that another package registered is a provider of any model, and can't be redefined either."""
    check(decode(using("acme/anything")), engines=("acme",))
    with pytest.raises(RuleError, match=r"^models\.providers\.up: the provider is built in"):
        check(decode(provider()), engines=("up",))


@pytest.mark.parametrize("name", ["echo", "local", "Echo"])
def test_built_in_providers_stay(name: str) -> None:
    """A built-in provider can't be redefined."""
    assert message_for({"models": {"providers": {name: {"baseUrl": URL}}}}) == (
        f"models.providers.{name}: the provider is built in and can't be redefined. Choose another name."
    )


@pytest.mark.parametrize(("name", "path"), [("a/b", '["a/b"]'), ("", '[""]'), ("a b", '["a b"]'), ("é", '["é"]')])
def test_a_provider_has_a_name_that_can_be_referred_to(name: str, path: str) -> None:
    """A slash or blank in a provider's name is refused."""
    assert message_for({"models": {"providers": {name: {"baseUrl": URL}}}}) == (
        f"models.providers{path}: not a provider's name. Use letters, digits, dots, underscores and dashes, 64 at most."
    )


@pytest.mark.parametrize(
    "url",
    ["", "api.example.com", "ftp://x", "https://", "https:///v1", "file:///x", "https://x:port/", "https://x:99999",
     "https://x:0", "https://x/a b", "https://x/\n", "https://[::1", "HTTPS//x", " https://x"],
)  # fmt: skip
def test_a_base_url_is_http(url: str) -> None:
    """Only an absolute http or https URL is accepted."""
    assert message_for(provider(baseUrl=url)) == (
        'models.providers.up.baseUrl: not an http or https URL. Write it like "https://api.example.com/v1".'
    )


@pytest.mark.parametrize("url", ["https://user:s3cret@x/v1", "https://s3cret@x", "https://@x"])
def test_a_base_url_holds_no_credentials(url: str) -> None:
    """A user name in the URL is refused, and the URL is not repeated."""
    assert message_for(provider(baseUrl=url)) == (
        "models.providers.up.baseUrl: the URL holds a user name or password. Put credentials in apiKey or headers."
    )


@pytest.mark.parametrize("url", ["https://x/v1?key=s3cret", "https://x/v1#s3cret", "https://x/v1?", "https://x/#"])
def test_a_base_url_ends_with_its_path(url: str) -> None:
    """The endpoint's name is appended to it, so nothing may follow the path."""
    message = message_for(provider(baseUrl=url))
    assert message.startswith("models.providers.up.baseUrl: the URL has a query or a fragment. ")
    assert "s3cret" not in message


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é", "a\n"])
def test_a_header_has_a_valid_name(name: str) -> None:
    """Header names are HTTP tokens."""
    assert message_for(provider(headers={name: "v"})).endswith(": not a header's name. Use letters, digits and dashes.")


@pytest.mark.parametrize(
    "value", ["s3cret\r\nX: 1", "s3cret\n", "s3cret\0", "s3cret\x7f", " s3cret", "s3cret ", "s3crété"]
)
def test_a_header_has_a_valid_value(value: str) -> None:
    """Nothing that could split or garble a header is accepted, and the value is not repeated."""
    assert message_for(provider(headers={"X-A": value})) == (
        "models.providers.up.headers.X-A: the value can't be sent in a header. "
        "Write printable ASCII on one line without blanks at its ends."
    )


@pytest.mark.parametrize(("first", "second"), [("X-A", "x-a"), ("x-a", "X-A")])
def test_a_header_is_given_once(first: str, second: str) -> None:
    """Names that differ in case only are one header."""
    assert message_for(provider(headers={first: "1", second: "2"})) == (
        f'models.providers.up.headers.{second}: the same header as "{first}". Remove one of the two.'
    )


@pytest.mark.parametrize("key", ["", " s3cret", "s3cret\n", "s3crét"])
def test_an_api_key_can_be_sent(key: str) -> None:
    """A key that is empty or can't be in a header is refused, and not repeated."""
    assert message_for(provider(apiKey=key)) == (
        "models.providers.up.apiKey: the key is empty or can't be sent in a header. "
        "Write printable ASCII without blanks at its ends; remove apiKey when the provider needs none."
    )


def test_a_catalogue_names_each_model_once_and_well() -> None:
    """Ids in a provider's list are usable and unique, in either form."""
    assert message_for(provider(models=["a", {"id": "a"}])) == (
        'models.providers.up.models[1]: the model "a" is listed twice. Remove one of the two.'
    )
    assert message_for(provider(models=[""])) == (
        "models.providers.up.models[0]: not a model's id. Write the id as the provider does."
    )


@pytest.mark.parametrize("bind", ["", "localhost", "all", "256.0.0.1", "[::1]", "127.0.0.1:80", "Loopback"])
def test_bind_is_a_known_word_or_an_address(bind: str) -> None:
    """Names are not looked up: an address is an address."""
    assert message_for({"gateway": {"bind": bind}}) == (
        'gateway.bind: not an address. Write "loopback", "lan" or an IP address.'
    )


@pytest.mark.parametrize("bind", ["lan", "0.0.0.0", "::", "192.168.1.4", "::ffff:127.0.0.1"])
def test_no_authentication_is_for_loopback_only(bind: str) -> None:
    """A gateway without a secret is never reachable from the network."""
    assert message_for({"gateway": {"bind": bind, "auth": {"mode": "none"}}}) == (
        f'gateway.auth.mode: "none" together with gateway.bind "{bind}" would leave the API open to the network. '
        'Set gateway.auth.mode to "token" or "password", or gateway.bind to "loopback".'
    )


@pytest.mark.parametrize("secret", ["", "  ", "\n"])
@pytest.mark.parametrize(("key", "variable"), [("token", "ZERO_GATEWAY_TOKEN"), ("password", "ZERO_GATEWAY_PASSWORD")])
def test_a_secret_is_not_empty(key: str, variable: str, secret: str) -> None:
    """An empty secret in the file is a mistake, not a way to open the gateway."""
    assert message_for({"gateway": {"auth": {key: secret}}}) == (
        f"gateway.auth.{key}: the secret is empty. Write one, or remove the key to use {variable}."
    )


@pytest.mark.parametrize("key", ["token", "password"])
@pytest.mark.parametrize("secret", ["s3\ncret", "s3\0cret", "s3cret\x7f"])
def test_a_secret_can_be_sent_by_a_client(key: str, secret: str) -> None:
    """A header can't carry control characters; the secret is not repeated."""
    assert message_for({"gateway": {"auth": {key: secret}}}) == (
        f"gateway.auth.{key}: the secret has control characters, which no client can send. Remove them."
    )


@pytest.mark.parametrize("proxy", ["", "proxy.local", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.1:80", "*"])
def test_trusted_proxies_are_addresses_or_networks(proxy: str) -> None:
    """Trust is given to addresses; a network with host bits set is probably not what was meant."""
    assert message_for({"gateway": {"trustedProxies": ["10.0.0.7", proxy]}}) == (
        "gateway.trustedProxies[1]: not an IP address or network. "
        'Write an address ("10.0.0.7") or a network with no host bits set ("10.0.0.0/8").'
    )


def session_headers(*names: str) -> JsonObject:
    """Make a configuration of headers that bring a session key."""
    return {"gateway": {"http": {"endpoints": {"chatCompletions": {"sessionHeaders": list(names)}}}}}


def test_session_headers_are_headers_of_applications() -> None:
    """Names of headers that mean nothing yet, each once."""
    check(decode(session_headers("X-OpenWebUI-Chat-Id", "x-conversation-id", "chat_id")))


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *((name, "not a header's name") for name in ("", "a b", "a:b", "é", "a\n")),
        *((name, "carries a secret") for name in ("Authorization", "proxy-authorization", "Cookie")),
        *((name, "about the connection") for name in ("Host", "content-length", "Keep-Alive", "TE", "upgrade")),
        *((name, "meaning of its own") for name in ("x-zero-session-key", "X-Zero-Agent-Id", "x-request-id")),
        *((name, "meaning of its own") for name in ("Idempotency-Key", "x-stainless-retry-count", "Origin", "Accept")),
        *((name, "meaning of its own") for name in ("User-Agent", "X-Forwarded-For", "traceparent", "x-api-key")),
    ],
)
def test_a_header_with_another_meaning_brings_no_session(name: str, fault: str) -> None:
    """What isn't a header's name, or has a meaning already, is refused by its place."""
    message = message_for(session_headers("x-chat", name))
    assert message.startswith("gateway.http.endpoints.chatCompletions.sessionHeaders[1]: ")
    assert fault in message


def test_a_session_header_is_listed_once() -> None:
    """Names differ in more than upper and lower case."""
    assert "listed twice" in message_for(session_headers("X-Chat", "x-chat"))


@pytest.mark.parametrize("url", ["", "gateway", "http://x", "ws://", "ws://x:0", "ws://x y", "127.0.0.1:18789"])
def test_a_remote_gateway_has_a_websocket_url(url: str) -> None:
    """Only an absolute ws or wss URL is accepted."""
    assert message_for({"gateway": {"remote": {"url": url}}}) == (
        'gateway.remote.url: not a ws or wss URL. Write it like "ws://gateway.example.com:18789".'
    )


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("wss://u:s3cret@x", "the URL holds a user name or password. Put credentials in token or password."),
        ("wss://x/?token=s3cret", "the URL has a query or a fragment. End it with the path."),
    ],
)
def test_a_remote_gateways_url_holds_no_secret(url: str, fault: str) -> None:
    """Secrets have keys of their own, which are not shown."""
    assert message_for({"gateway": {"remote": {"url": url}}}) == f"gateway.remote.url: {fault}"


@pytest.mark.parametrize(("key", "variable"), [("token", "ZERO_GATEWAY_TOKEN"), ("password", "ZERO_GATEWAY_PASSWORD")])
def test_a_remote_gateways_secret_can_be_sent(key: str, variable: str) -> None:
    """The rules are those of the gateway's own secret."""
    assert message_for({"gateway": {"remote": {"url": "ws://x", key: " "}}}) == (
        f"gateway.remote.{key}: the secret is empty. Write one, or remove the key to use {variable}."
    )
    assert "control characters" in message_for({"gateway": {"remote": {"url": "ws://x", key: "a\0b"}}})


@pytest.mark.parametrize(
    "origin",
    ["*", "", "null", "chat.example.com", "https://chat.example.com/", "https://*.example.com", "https://a.example:443",
     "HTTP://a.example:80", "http://a.example:65536", "http://a.example:080", "http://[::1", "http://[:::1]", "http://127.1:3000"],
)  # fmt: skip
def test_an_origin_is_a_pages(origin: str) -> None:
    """An origin is spelled as a browser spells it; a mistake would just never match."""
    assert message_for({"gateway": {"http": {"cors": {"origins": ["http://localhost:3000", origin]}}}}) == (
        "gateway.http.cors.origins[1]: not the origin of a web page. Write scheme, host and, unless it is the usual "
        'one, port, and no more: "https://chat.example.com" or "http://localhost:3000". There is no wildcard.'
    )


@pytest.mark.parametrize(
    "origin",
    ["https://chat.example.com:80", "http://a.example:443", "app://x:80", "http://[::1]:3000", "HTTPS://A.example"],
)
def test_an_origin_as_a_browser_spells_it(origin: str) -> None:
    """What a browser might send is accepted."""
    check(decode({"gateway": {"http": {"cors": {"origins": [origin]}}}}))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "http://images.example.com",
        "images.example.com/x",
        "*images.com",
        "a b",
        "*:80",
        "a:65536",
        "a:0",
        "127.1",
        "2130706433:80",
        "[::1]x",
        "[:::1]",
        "images.example.com.",
    ],
)
def test_a_host_of_images_is_a_host(host: str) -> None:
    """A host that could never match is a mistake that the start shows."""
    assert message_for(provider(fetchImages={"allowHosts": ["[::1]:80", "*.example.com:8443", host]})).startswith(
        "models.providers.up.fetchImages.allowHosts[2]: "
    )


@pytest.mark.parametrize(
    "host", ["*", "a", "8.8.8.8:80", "*.Example.com:65535", "[2606:4700::1111]", "xn--bcher-kva.de"]
)
def test_hosts_of_images(host: str) -> None:
    """What could match is accepted."""
    check(decode(provider(fetchImages={"allowHosts": [host]})))


def test_networks_of_images_are_networks() -> None:
    """An exception for private addresses names addresses or networks."""
    assert message_for(provider(fetchImages={"allowHosts": ["*"], "privateNetworks": ["intranet"]})).startswith(
        "models.providers.up.fetchImages.privateNetworks[0]: not an IP address or network."
    )


@pytest.mark.parametrize("mode", ["idle", "daily"])
def test_idle_minutes_need_a_mode(mode: str) -> None:
    """A setting that would say nothing is a mistake that the start shows."""
    check(decode({"session": {"reset": {"mode": mode, "idleMinutes": 5}}}))
    message = message_for({"session": {"reset": {"idleMinutes": 5}}})
    assert (
        'session.reset.idleMinutes: it says nothing as long as mode is "none". Set session.reset.mode to "idle" or '
        in (message)
    )


def test_the_summarising_model_is_one_there_is() -> None:
    """Whether compaction is on or not, a model that nobody has is a mistake."""
    for mode in ("off", "model"):
        check(decode({"session": {"compaction": {"mode": mode, "model": "local/smollm2"}}}))
        message = message_for({"session": {"compaction": {"mode": mode, "model": "lokal/smollm2"}}})
        assert message == (
            'session.compaction.model: the provider "lokal" is neither built in nor in models.providers. '
            'Did you mean "local"?'
        )


@pytest.mark.parametrize("trigger", ["/new session", " /new", "/new\n", "\t"])
def test_a_reset_trigger_is_one_word(trigger: str) -> None:
    """A command with a blank in it could never be recognised."""
    check(decode({"session": {"resetTriggers": ["/novo", "!reset"]}}))
    message = message_for({"session": {"resetTriggers": ["/novo", trigger]}})
    assert message.startswith("session.resetTriggers[1]: a command is one word.")


@pytest.mark.parametrize(
    "store",
    ["sqlite", "postgresql://zero:s3cret@db.example.com/zero", "postgres://db/zero", "postgresql:///zero?host=/run/pg",
     "postgresql://a:5432,b:5433/zero?target_session_attrs=read-write"],
)  # fmt: skip
def test_sessions_are_kept_in_a_file_or_in_postgresql(store: str) -> None:
    """Whatever PostgreSQL's own library can read is taken as it is."""
    check(decode({"session": {"store": store}}))


@pytest.mark.parametrize(
    "store", ["", "postgres", "mysql://u:s3cret@h/d", "postgresql://", "postgresql://u:s3 cret@h/d"]
)
def test_sessions_are_kept_nowhere_else(store: str) -> None:
    """The message doesn't repeat what may hold a password."""
    message = message_for({"session": {"store": store}})
    assert message.startswith('session.store: neither "sqlite" nor the address of a PostgreSQL database. Write')
    assert "s3" not in message

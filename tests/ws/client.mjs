// The gateway protocol's own client, @openclaw/gateway-client, driven through its scenarios. One line of JSON each.
//
// Arguments: the gateway's URL, the token, a session key. After the line "reconnect-ready" the gateway is restarted by
// whoever reads these lines. Run with the folder as working directory beside whose node_modules the packages are.
import { GatewayClient } from "@openclaw/gateway-client";

const [url, token, sessionKey] = process.argv.slice(1);
const SECONDS = 20;

const tell = (scenario, facts) => console.log(JSON.stringify({ scenario, ...facts }));

function connection(options = {}) {
  const seen = { events: [], hellos: [], errors: [], closes: [], gaps: [] };
  const waiting = [];
  const note = (kind, value) => {
    seen[kind].push(value);
    for (const one of waiting.splice(0)) one();
  };
  const client = new GatewayClient({
    url,
    token,
    clientName: "gateway-client",
    mode: "backend",
    role: "operator",
    scopes: ["operator.admin", "operator.read", "operator.write"],
    onHelloOk: (hello) => note("hellos", hello),
    onConnectError: (error) => note("errors", error),
    onClose: (code, reason) => note("closes", { code, reason }),
    onEvent: (event) => note("events", event),
    onGap: (gap) => note("gaps", gap),
    ...options,
  });
  const until = async (enough) => {
    const limit = setTimeout(() => {
      console.error(`nothing came: ${enough}; seen: ${JSON.stringify(seen)}`);
      process.exit(1);
    }, SECONDS * 1000);
    while (!enough(seen)) await new Promise((resolve) => waiting.push(resolve));
    clearTimeout(limit);
  };
  client.start();
  return { client, seen, until };
}

const of = (seen, name, runId) => seen.events.filter((e) => e.event === name && e.payload.runId === runId);

// Connect.
const main = connection();
await main.until((seen) => seen.hellos.length);
tell("connect", { protocol: main.seen.hellos[0].protocol, methods: main.seen.hellos[0].features.methods.length });

// A wrong token.
const stranger = connection({ token: "wrong" });
await stranger.until((seen) => seen.closes.length);
stranger.client.stop();
tell("wrong token", { errors: stranger.seen.errors.map(String), code: stranger.seen.closes[0].code });

// A run with streamed events.
const final = await main.client.request(
  "agent",
  { message: "one two three", idempotencyKey: "node-agent", sessionKey },
  { expectFinal: true },
);
const grown = of(main.seen, "agent", "node-agent");
tell("agent", {
  status: final.status,
  text: final.result.payloads[0].text,
  streams: grown.map((e) => e.payload.stream),
  texts: grown.filter((e) => e.payload.stream === "assistant").map((e) => e.payload.data.text),
});

// A run whose text grows in several events.
const long = "word ".repeat(8000);
await main.client.request("agent", { message: long, idempotencyKey: "node-long" }, { expectFinal: true });
const pieces = of(main.seen, "agent", "node-long")
  .filter((e) => e.payload.stream === "assistant")
  .map((e) => e.payload.data);
let whole = "";
tell("growing", {
  several: pieces.length > 1,
  cumulative: pieces.every(({ delta, text }) => (whole += delta) === text),
  complete: whole === long,
});

// A turn of the same session.
const started = await main.client.request("chat.send", { sessionKey, message: "four", idempotencyKey: "node-chat" });
await main.until((seen) => of(seen, "chat", "node-chat").some((e) => e.payload.state === "final"));
const history = await main.client.request("chat.history", { sessionKey });
tell("chat.send", {
  status: started.status,
  states: of(main.seen, "chat", "node-chat").map((e) => e.payload.state),
  history: history.messages.map((m) => [m.role, m.content[0].text]),
});

// A run that is stopped.
await main.client.request("chat.send", { sessionKey: "agent:slow:x", message: "hi", idempotencyKey: "node-abort" });
const aborted = await main.client.request("chat.abort", { sessionKey: "agent:slow:x", runId: "node-abort" });
await main.until((seen) => of(seen, "chat", "node-abort").some((e) => e.payload.state === "aborted"));
tell("chat.abort", { aborted: aborted.aborted, runIds: aborted.runIds });

// What the gateway doesn't know.
const unknown = await main.client.request("nonsense", {}).catch((error) => error);
tell("unknown method", { name: unknown.name, code: unknown.gatewayCode, message: unknown.message });

// The gateway restarts.
tell("reconnect-ready", {});
await main.until((seen) => seen.hellos.length > 1);
const again = await main.client.request("chat.history", { sessionKey });
tell("reconnect", {
  hellos: main.seen.hellos.length,
  code: main.seen.closes[0].code,
  messages: again.messages.length,
  gaps: main.seen.gaps.length,
});
main.client.stop();
process.exit(0);

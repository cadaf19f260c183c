// A page's script that uses OpenAI's Node SDK in the browser, against a gateway on another origin.
// Prints what the script got, as one line of JSON. What it should have got, the test knows.
const { driver, browser: executablePath, arguments: given } = JSON.parse(process.argv[2]);
const [{ page: address, scenario, ...settings }] = given;
const { chromium } = await import(driver);
// Without these Chromium talks to its makers' hosts.
const args = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
  "disable-component-update", "disable-sync"].map((flag) => `--${flag}`);

// Everything below runs in the page.
const scenarios = {
  async ask({ sdk, baseURL, apiKey, headers }) {
    const { default: OpenAI } = await import(`/${sdk}/index.mjs`);
    const client = new OpenAI({ baseURL, apiKey, dangerouslyAllowBrowser: true, defaultHeaders: headers });
    const models = [];
    for await (const model of client.models.list()) models.push(model.id);
    const one = await client.models.retrieve("zero:main");
    const messages = [{ role: "user", content: "hi" }];
    const { data, response } = await client.chat.completions.create({ model: "zero", messages }).withResponse();
    const readable = Object.fromEntries(response.headers.entries());
    return { models, one: one.id, text: data.choices[0].message.content, request: data._request_id, readable };
  },
  async stream({ sdk, baseURL, apiKey }) {
    const { default: OpenAI } = await import(`/${sdk}/index.mjs`);
    const client = new OpenAI({ baseURL, apiKey, dangerouslyAllowBrowser: true });
    const messages = [{ role: "user", content: "hi" }];
    const words = [];
    for await (const chunk of await client.chat.completions.create({ model: "zero", messages, stream: true })) {
      const word = chunk.choices[0]?.delta.content;
      if (!word) continue;
      words.push(word);
      if (words.length === 1) await fetch("/told/first");
    }
    return words;
  },
  async leave({ sdk, baseURL, apiKey }) {
    const { default: OpenAI } = await import(`/${sdk}/index.mjs`);
    const client = new OpenAI({ baseURL, apiKey, dangerouslyAllowBrowser: true });
    const messages = [{ role: "user", content: "hi" }];
    const stream = await client.chat.completions.create({ model: "zero", messages, stream: true });
    for await (const _ of stream) stream.controller.abort();
    await fetch("/told/left");
    return stream.controller.signal.aborted;
  },
  async fail({ sdk, baseURL, apiKey, model }) {
    const { default: OpenAI } = await import(`/${sdk}/index.mjs`);
    const client = new OpenAI({ baseURL, apiKey, dangerouslyAllowBrowser: true, maxRetries: 0 });
    try {
      await client.chat.completions.create({ model, messages: [{ role: "user", content: "hi" }] });
      return null;
    } catch (error) {
      return { kind: error.constructor.name, status: error.status ?? null, code: error.code ?? null,
        request: error.requestID ?? null };
    }
  },
  // What needs no preflight is sent, whoever the page is.
  async blind({ baseURL }) {
    const body = JSON.stringify({ model: "zero", messages: [{ role: "user", content: "hi" }] });
    const url = `${baseURL}/chat/completions`;
    const bodies = [body, new Blob([body]), new Blob([body], { type: "text/plain" }), new URLSearchParams({ [body]: "" })];
    for (const one of bodies) await fetch(url, { method: "POST", mode: "no-cors", body: one });
    const refused = await fetch(url, { method: "POST", body }).then(() => false, () => true);
    return { sent: bodies.length, refused };
  },
};

const browser = await chromium.launch({ executablePath, headless: true, args });
try {
  const page = await browser.newPage();
  await page.goto(address);
  console.log(JSON.stringify(await page.evaluate(scenarios[scenario], settings)));
} finally {
  await browser.close();
}

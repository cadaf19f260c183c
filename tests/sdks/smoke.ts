/**
 * A walk through the generated TypeScript client. Prints what it sees; smoke.py prints the same.
 *
 * Run with the gateway's address and secret. Written as a user would, against the package's public names only, so that
 * tsc --strict says whether these are typed.
 */
import assert from 'node:assert/strict';

import {
  ChatCompletionFailed,
  createChatCompletion,
  createClient,
  getContractJson,
  getHealth,
  listModels,
  retrieveModel,
  streamChatCompletion,
  type Client,
  type CreateChatCompletionRequest,
  type CreateChatCompletionStreamResponse,
} from 'zero-gateway-client';

const TEXT = 'Olá, mundo!';

/** Ask an agent, in parts and with a tool, as the contract's unions allow. */
function request(model: string): CreateChatCompletionRequest {
  const parameters = { type: 'object', properties: { city: { type: 'string' } } };
  return {
    model,
    messages: [
      { role: 'developer', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: TEXT }] },
    ],
    tools: model === 'zero:caller' ? [{ type: 'function', function: { name: 'get_weather', parameters } }] : [],
    stop: ['STOP'],
    stream_options: { include_usage: true },
  };
}

/** Return a chunk's text. */
function said(chunk: CreateChatCompletionStreamResponse): string {
  return chunk.choices.map((choice) => choice.delta.content ?? '').join('');
}

/** List the agents, describe one, and one that isn't there. */
async function models(client: Client): Promise<void> {
  const { data: found } = await listModels({ client });
  assert(found);
  console.log('models:', ...found.data.map((model) => model.id));
  const { data: model } = await retrieveModel({ client, path: { model: 'zero/beta' } });
  assert(model);
  console.log('model:', model.id);
  const { error, response } = await retrieveModel({ client, path: { model: 'zero:nobody' } });
  assert(error);
  console.log('unknown model:', response.status, error.error.code, error.error.param);
}

/** Complete: a text in a session, a tool call, and a refusal. */
async function completions(client: Client, stranger: Client): Promise<void> {
  const headers = { 'x-zero-session-key': 'smoke' };
  const { data, response } = await createChatCompletion({ client, body: request('zero'), headers });
  assert(data?.choices[0]);
  console.log('completion:', data.choices[0].message.content, data.choices[0].finish_reason);
  console.log('session:', response.headers.get('x-zero-session-key'));
  const { data: calling } = await createChatCompletion({ client, body: request('zero:caller') });
  for (const call of calling?.choices[0]?.message.tool_calls ?? []) {
    assert(call.type === 'function');
    console.log('tool call:', call.function.name, call.function.arguments);
  }
  const refused = await createChatCompletion({ client: stranger, body: request('zero') });
  assert(refused.error);
  console.log('wrong token:', refused.response.status, refused.error.error.code, refused.error.error.type);
}

/** Stream: an answer to its end, one that is refused, and one that breaks off. */
async function streams(client: Client): Promise<void> {
  const headers = { 'x-zero-session-key': 'smoke' };
  const chunks: CreateChatCompletionStreamResponse[] = [];
  for await (const chunk of streamChatCompletion({ client, body: request('zero'), headers })) chunks.push(chunk);
  const usage = chunks.find((chunk) => chunk.usage)?.usage?.total_tokens;
  console.log('stream:', chunks.map(said).join(''), usage ? 'usage' : 'no usage');
  for (const model of ['zero:nobody', 'zero:broken']) {
    let text = '';
    try {
      for await (const chunk of streamChatCompletion({ client, body: request(model) })) text += said(chunk);
    } catch (failed) {
      assert(failed instanceof ChatCompletionFailed);
      console.log(`stream of ${model}:`, text || 'nothing', failed.status, failed.error?.code);
    }
  }
}

/** Leave a stream early, which stops its run: the agent has room for one, and the next one isn't kept waiting. */
async function leaving(client: Client): Promise<void> {
  let first = '';
  for await (const chunk of streamChatCompletion({ client, body: request('zero:slow') })) {
    first = said(chunk);
    if (first) break;
  }
  let text = '';
  for await (const chunk of streamChatCompletion({ client, body: request('zero:slow') })) text += said(chunk);
  console.log(`stream left early: ${first}, then ${text}`);
}

/** Ask without a secret what needs none. */
async function service(client: Client): Promise<void> {
  const { data: health } = await getHealth({ client });
  const { data: contract } = await getContractJson({ client });
  console.log('service:', health?.status, contract?.['openapi']);
}

const [baseUrl = '', auth = ''] = process.argv.slice(2);
const client = createClient({ baseUrl, auth });
await models(client);
await completions(client, createClient({ baseUrl, auth: 'wrong' }));
await streams(client);
await leaving(client);
await service(createClient({ baseUrl }));

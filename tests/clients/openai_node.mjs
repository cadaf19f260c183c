// One conversation of OpenAI's official Node SDK with a gateway: `node openai_node.mjs <package> <scenario> <url> <key>`.
// Prints what the program that uses the SDK got, as one line of JSON. What it should have got, the test knows.
const [name, scenario, baseURL, apiKey] = process.argv.slice(2)
const { default: OpenAI } = await import(name)
const { zodResponseFormat } = await import(`${name}/helpers/zod`)
const { z } = await import('zod')

const client = new OpenAI({ baseURL, apiKey })
const chat = client.chat.completions
const messages = [{ role: 'user', content: 'hi there' }]
const parameters = { type: 'object', properties: { at: { type: 'string' } }, required: ['at'], additionalProperties: false }
const tool = { type: 'function', function: { name: 'look', parameters } }

// What was raised, as far as programs look at it.
const raised = async (promise) => {
  try {
    await promise
    return null
  } catch (error) {
    const { status, code, param, type, requestID } = error
    return { kind: error.constructor.name, status, code, param, type, request_id: requestID ?? null }
  }
}
const read = async (stream) => {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

const scenarios = {
  async models() {
    const ids = []
    for await (const model of client.models.list()) ids.push(model.id)
    return { ids, one: (await client.models.retrieve('zero:echo')).id }
  },
  async create() {
    const { data, response } = await chat.create({ model: 'zero:echo', messages }).withResponse()
    return {
      text: data.choices[0].message.content,
      finish: data.choices[0].finish_reason,
      usage: data.usage.total_tokens,
      request_id: data._request_id,
      header: response.headers.get('x-request-id'),
    }
  },
  async stream() {
    return read(await chat.create({ model: 'zero', messages, stream: true, stream_options: { include_usage: true } }))
  },
  async helper() {
    const runner = chat.stream({ model: 'zero', messages, tools: [tool], stream_options: { include_usage: true } })
    const words = []
    runner.on('content', (delta) => words.push(delta))
    const final = await runner.finalChatCompletion()
    return { words, message: final.choices[0].message, finish: final.choices[0].finish_reason, usage: final.usage }
  },
  async parse() {
    const Place = z.object({ name: z.string() })
    const answer = await chat.parse({ model: 'zero', messages, response_format: zodResponseFormat(Place, 'place') })
    return answer.choices[0].message.parsed
  },
  async parse_stream() {
    const Place = z.object({ name: z.string() })
    const runner = chat.stream({ model: 'zero', messages, response_format: zodResponseFormat(Place, 'place') })
    return (await runner.finalChatCompletion()).choices[0].message.parsed
  },
  async tools(stream = false) {
    const seen = []
    const look = (asked) => {
      seen.push(asked)
      return 'red'
    }
    const runnable = { type: 'function', function: { ...tool.function, function: look, parse: JSON.parse } }
    const runner = chat.runTools({ model: 'zero', messages, tools: [runnable], stream })
    return { text: await runner.finalContent(), seen }
  },
  async tools_stream() {
    return scenarios.tools(true)
  },
  async session() {
    const headers = { 'x-zero-session-key': `node-${process.pid}` }
    await chat.create({ model: 'zero', messages: [{ role: 'user', content: "I'm Ann." }] }, { headers })
    const answer = await chat.create({ model: 'zero', messages: [{ role: 'user', content: 'Who am I?' }] }, { headers })
    return answer.choices[0].message.content
  },
  async refused() {
    return {
      wrong_key: await raised(client.withOptions({ apiKey: 'wrong' }).models.list()),
      unknown_agent: await raised(chat.create({ model: 'zero:nobody', messages })),
      bad_parameter: await raised(chat.create({ model: 'zero', messages, temperature: 3 })),
      bad_parameter_streamed: await raised(chat.create({ model: 'zero', messages, temperature: 3, stream: true })),
    }
  },
  async failing() {
    return raised(chat.create({ model: 'zero', messages }))
  },
  async broken_stream() {
    return raised(chat.create({ model: 'zero', messages, stream: true }).then(read))
  },
  async broken_helper() {
    return raised(chat.stream({ model: 'zero', messages }).finalChatCompletion())
  },
  async leave() {
    const stream = await chat.create({ model: 'zero', messages, stream: true })
    for await (const chunk of stream) {
      if (chunk.choices[0].delta.content) break // the SDK aborts the request when the loop is left
    }
    return 'left'
  },
  async abort() {
    const controller = new AbortController()
    const asked = raised(chat.create({ model: 'zero', messages }, { signal: controller.signal }))
    setTimeout(() => controller.abort(), 500)
    return (await asked).kind
  },
  async timeout() {
    return raised(client.withOptions({ timeout: 600, maxRetries: 1 }).chat.completions.create({ model: 'zero', messages }))
  },
}

console.log(JSON.stringify((await scenarios[scenario]()) ?? null))

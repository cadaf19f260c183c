/**
 * Streamed chat completions, written by hand. What the generator has for server-sent events asks again when a
 * connection breaks, which would run the agent again; it hides the gateway's errors, and yields the closing "[DONE]".
 */
import {
  createChatCompletion,
  type CreateChatCompletionData,
  type CreateChatCompletionStreamResponse,
  type Error as GatewayError,
  type ErrorResponse,
  type Options,
} from './generated/index.js';

/** The gateway refused to stream, or the stream broke off. */
export class ChatCompletionFailed extends Error {
  /**
   * @param message What went wrong.
   * @param status The HTTP status: 200 when the failure came in the middle of the stream.
   * @param error The gateway's own words, unless something else answered in its place.
   */
  constructor(
    message: string,
    readonly status: number,
    readonly error?: GatewayError | undefined,
  ) {
    super(message);
    this.name = 'ChatCompletionFailed';
  }
}

/**
 * Run one turn of an agent and yield the answer's chunks as they come. Leaving the loop stops the run.
 *
 * @param options As for `createChatCompletion`. `stream` need not be set.
 * @throws ChatCompletionFailed when the run fails, before its first chunk or later.
 */
export async function* streamChatCompletion(
  options: Options<CreateChatCompletionData>,
): AsyncGenerator<CreateChatCompletionStreamResponse, void, undefined> {
  const body = { ...options.body, stream: true };
  const { data, error, response } = await createChatCompletion<false>({
    ...options,
    body,
    parseAs: 'stream',
    throwOnError: false,
  });
  if (error !== undefined) {
    // Without a response it is what fetch has thrown.
    throw response as Response | undefined ? failure(error, response) : error;
  }
  // `parseAs` has no influence on the type, which is that of an answer without streaming.
  for await (const line of lines(data as unknown as ReadableStream<Uint8Array>)) {
    const text = line.startsWith('data:') ? line.slice(5).trim() : '';
    if (text === '[DONE]') return;
    if (text === '') continue; // a comment, which keeps the connection alive
    const chunk = JSON.parse(text) as CreateChatCompletionStreamResponse | ErrorResponse;
    if ('error' in chunk) throw new ChatCompletionFailed(chunk.error.message, response.status, chunk.error);
    yield chunk;
  }
  throw new ChatCompletionFailed('The stream ended before it was complete.', response.status);
}

function failure(answer: unknown, response: Response): ChatCompletionFailed {
  const error = (answer as Partial<ErrorResponse> | null)?.error;
  return new ChatCompletionFailed(error?.message ?? `${response.status} ${response.statusText}`, response.status, error);
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const parts = (rest + decoder.decode(read.value, { stream: true })).split('\n');
      rest = parts.pop() ?? '';
      yield* parts;
    }
  } finally {
    await reader.cancel(); // closes the connection when the loop was left before its end
  }
}

/** A client of ZERO Gateway, generated from its contract. How to use it: README.md. */
export * from './generated/index.js';
export { createClient, createConfig, type Client, type Config } from './generated/client/index.js';
export { client } from './generated/client.gen.js';
export { ChatCompletionFailed, streamChatCompletion } from './streaming.js';

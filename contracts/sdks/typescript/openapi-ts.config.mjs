// Settings of @hey-api/openapi-ts. The paths come from the environment: given as options they would replace all of `output`.
export default {
  input: process.env.CONTRACT,
  // Its own checks of the document count as failures.
  parser: { validate_EXPERIMENTAL: 'strict' },
  // With the extension, modules can be loaded by Node as well as by bundlers.
  output: { path: process.env.OUTPUT, module: { extension: '.js' } },
  plugins: [
    '@hey-api/client-fetch',
    // By default these types would be called ...Response, which the contract's schemas already are.
    { name: '@hey-api/typescript', responses: { name: '{{name}}Responses', response: '{{name}}Result' } },
    '@hey-api/sdk',
  ],
};

"""The clients that are generated from openapi.yaml, for Python and for TypeScript.

Owns the generators' settings, the few lines that the generators can't write, and where it all goes (build/sdks). Knows
the contract as a file; knows nothing of the server and of the tests. How to build and use them: docs/sdks.md.
"""

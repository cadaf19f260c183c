"""The generated clients against a gateway that runs, and the examples of docs/sdks.md."""

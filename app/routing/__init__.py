"""Which agent and which session a request means: pure functions over names, no I/O, no ASGI."""

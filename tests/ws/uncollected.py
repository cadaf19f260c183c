"""The gateway without Python's garbage collector: what isn't freed by itself is never free.

The real application. Loaded by uvicorn as ``tests.ws.uncollected:gateway``.
"""

import gc

from app.application import from_environment

gateway = from_environment()
gc.disable()

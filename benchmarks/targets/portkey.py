"""Portkey's AI gateway for Node.js."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from benchmarks.installed.node import node_modules
from benchmarks.server import Launch
from benchmarks.targets.target import KEY, Place, Request, Target, body

VERSION: Final = "1.15.2"
# With a later @hono/node-server this version doesn't stream.
_OVERRIDES: Final = {"@hono/node-server": "1.13.8"}
# It has no option for the address and would listen on all of them.
_LOOPBACK: Final = """
const { Server } = require("node:net");
const listen = Server.prototype.listen;
Server.prototype.listen = function (port, host, ...more) {
  return typeof port === "number" && typeof host !== "string"
    ? listen.call(this, port, "127.0.0.1", ...(host === undefined ? [] : [host]), ...more)
    : listen.call(this, port, host, ...more);
};
"""


class Portkey(Target):
    """Is told where to go by headers."""

    name = "portkey"
    title = "Portkey gateway"

    def __init__(self) -> None:
        self._upstream = 0

    def install(self) -> str:
        _modules()
        return VERSION

    def launch(self, place: Place) -> Launch:
        self._upstream = place.upstream
        loopback = place.folder / "loopback.cjs"
        loopback.write_text(_LOOPBACK)
        script = _modules() / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        command: list[str | Path] = [
            shutil.which("node") or "node",
            "--require",
            loopback,
            script,
            f"--port={place.port}",
            "--headless",
        ]
        return Launch(command, "/", {"NODE_ENV": "production"})

    def request(self, model: str, *, stream: bool) -> Request:
        headers = {
            "authorization": f"Bearer {KEY}",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{self._upstream}/v1",
        }
        return Request("/v1/chat/completions", headers, body(model, stream=stream))


def _modules() -> Path:
    return node_modules("portkey", {"@portkey-ai/gateway": VERSION}, _OVERRIDES)

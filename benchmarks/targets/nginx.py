"""nginx as a plain reverse proxy: what moving the bytes costs when nobody looks at them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.installed.debian import Program, debian_program
from benchmarks.server import Launch
from benchmarks.targets.target import Place, Target

_CONFIGURATION: Final = """
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 18000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/client;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
"""


class Nginx(Target):
    """Passes everything on, unbuffered, with connections kept."""

    name = "nginx"
    title = "nginx proxy_pass"

    def install(self) -> str:
        program = _program()
        shown = subprocess.run(  # noqa: S603 - our own command
            [program.path, "-v"], env={**os.environ, **program.environ}, capture_output=True, text=True, check=True
        )
        return shown.stderr.strip().rpartition("/")[2]

    def launch(self, place: Place) -> Launch:
        program = _program()
        file = place.folder / "nginx.conf"
        # Started as root it would give its worker to an account that may not enter the folder.
        user = "user root;" if os.geteuid() == 0 else ""
        file.write_text(_CONFIGURATION.format(folder=place.folder, port=place.port, upstream=place.upstream, user=user))
        command: list[str | Path] = [program.path, "-p", place.folder, "-c", file, "-e", "stderr"]
        return Launch(command, "/v1/models", program.environ)


def _program() -> Program:
    return debian_program("nginx", "nginx", "nginx-common")

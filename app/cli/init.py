"""``zero init``: write a configuration to start from."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click

from app.cli.curl import address, curl_line
from app.cli.ending import endings
from app.cli.example import examples
from app.cli.output import echo
from app.config import config_path
from app.config.location import DEFAULT_PORT
from app.config.sole_editor import sole_editor

_TEMPLATE = """\
// The ZERO Gateway's configuration (JSON5). Every key: docs/configuration.md
// An editor completes it with: zero config schema > zero.schema.json, and $schema: "./zero.schema.json" in here.
{{
  gateway: {{
    auth: {{ mode: "token", token: "{token}" }},
    http: {{
      endpoints: {{
        chatCompletions: {{ enabled: true }},
      }},
    }},
  }},
  agents: {{
    list: [
      {{
        id: "main",
        default: true,
        model: "{model}",
        systemPrompt: "You are a friendly, concise assistant. Answer in the language of the user.",
      }},
    ],
  }},
  // Any OpenAI-compatible service can answer for an agent, for example Ollama (model: "ollama/llama3.2"):
  // models: {{ providers: {{ ollama: {{ baseUrl: "http://127.0.0.1:11434/v1", api: "openai-completions" }} }} }},
}}
"""


@click.command("init", epilog=examples("zero init && zero gateway", "zero init --config ./zero.json5"))
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Where to. [ZERO_CONFIG_PATH, ~/.zero/zero.json]"
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there; its token is lost.")
def command(config_file: Path | None, force: bool) -> None:
    """Write a configuration: endpoint on, generated token, one agent."""
    from app.engines.local.supervisor import local_model_installed

    with endings():
        path = config_file or config_path(os.environ)
    missing = local_model_installed()
    token = secrets.token_urlsafe(24)
    text = _TEMPLATE.format(token=token, model="echo/echo" if missing else "local/smollm2")
    try:
        with endings():
            _write(path, text, force=force)
    except FileExistsError:
        raise click.ClickException(f"{path} exists already. Edit it, or overwrite it with --force.") from None
    except OSError as error:
        raise click.ClickException(f"{path} can't be written: {error.strerror}.") from None
    echo(f"Wrote {path} with a new token. Start the gateway with: zero gateway")
    if missing:
        echo(f"The agent repeats what it is told (echo/echo), because there is no local model: {missing}")
    line = curl_line(address("127.0.0.1", DEFAULT_PORT), token)
    echo(f"\nThen try:\n\n{line}\n")


def _write(path: Path, text: str, *, force: bool) -> None:
    """Write a file that only its owner can read, whole or not at all.

    Raises:
        FileExistsError: If it is there and ``force`` isn't given.
        ConfigError: If somebody else has been editing it for too long.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = path.resolve() if force else path  # a link to a file kept elsewhere stays a link
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    with sole_editor(path):
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            if force:
                draft.replace(target)
            else:
                target.hardlink_to(draft)  # unlike a rename, this fails when the file is there
        finally:
            draft.unlink(missing_ok=True)

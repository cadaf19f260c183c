"""Open WebUI: installed, started, and used as its web page uses it, over the same requests.

Owns its package, its server process and a user's session with it. Knows no gateway and no rule of ours.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeVar
from uuid import uuid4

import httpx

from tests.applications.environment import programs_of
from tests.live_gateway import free_port

VERSION: Final = "0.12.4"
# The processor's build of torch first: Open WebUI by itself would bring several gigabytes for graphics cards.
STEPS: Final = ("torch==2.13.0", f"open-webui=={VERSION}")
START_SECONDS: Final = 180.0
SECONDS: Final = 30.0

QUIET: Final = {
    "OFFLINE_MODE": "true",
    "ANONYMIZED_TELEMETRY": "false",
    "DO_NOT_TRACK": "1",
    "SCARF_NO_ANALYTICS": "true",
    "BYPASS_EMBEDDING_AND_RETRIEVAL": "true",
    "WEBUI_SECRET_KEY": "not-a-secret-in-a-test",
}
"""What keeps it from calling anybody on the internet, and has nothing to do with us."""

T = TypeVar("T")


class OpenWebUI:
    """Starts on construction and serves at ``url`` until ``stop()``; a context manager.

    Args:
        folder: An empty folder for its data; the process's HOME.
        settings: Environment variables that set it up.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        programs = programs_of("open-webui", STEPS)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log_file = folder / "open-webui.log"
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environ = {**kept, **QUIET, "HOME": str(folder), "DATA_DIR": str(folder / "data"), **settings}
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [programs / "open-webui", "serve", "--host", "127.0.0.1", "--port", str(port)],
                env=environ,
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        try:
            until(self._is_up, START_SECONDS, self._log)
        except BaseException:
            self.stop()
            raise

    def _is_up(self) -> bool:
        assert self._process.poll() is None, f"Open WebUI ended:\n{self._log()}"
        try:
            return httpx.get(f"{self.url}/health", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _log(self) -> str:
        return self._log_file.read_text(encoding="utf-8", errors="replace")[-4000:]

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Place(NamedTuple):
    """Where a conversation has got to: the chat, the user's message and the answer to it."""

    chat: str
    user: str
    answer: str


class Person:
    """The first user, who is its administrator. A context manager.

    Args:
        application: Where to sign up.
    """

    NAME: Final = "Ana"
    EMAIL: Final = "ana@example.com"
    PASSWORD: Final = "Not-a-secret-1"

    def __init__(self, application: OpenWebUI) -> None:
        self._http = httpx.Client(base_url=application.url, timeout=SECONDS, trust_env=False)
        signed_up = self._post(
            "/api/v1/auths/signup", {"name": self.NAME, "email": self.EMAIL, "password": self.PASSWORD}
        )
        self._http.headers["authorization"] = f"Bearer {signed_up['token']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def models(self) -> list[str]:
        """Return the names in the list of models."""
        return [model["id"] for model in self._get("/api/models")["data"]]

    def connections(self) -> Any:
        """Return what the page "Connections" of the settings shows about services of OpenAI's kind."""
        return self._get("/openai/config")

    def say(self, text: str, after: Place | None = None, *, model: str = "zero") -> Place:
        """Send a message, in a new chat unless ``after`` says where, without waiting for the answer."""
        return self._turn(text, str(uuid4()), after.chat if after else None, after.answer if after else None, model)

    def edit(self, place: Place, text: str, *, after: Place | None, model: str = "zero") -> Place:
        """Send a message in the place of an earlier one, which stays in its branch."""
        return self._turn(text, str(uuid4()), place.chat, after.answer if after else None, model)

    def regenerate(self, place: Place, *, model: str = "zero") -> Place:
        """Have an answer made anew."""
        asked = self.message(place.chat, place.user)
        return self._turn(asked["content"], place.user, place.chat, asked["parentId"], model)

    def stop(self, place: Place) -> None:
        """Press the button that stops the answer."""
        self._post(f"/api/tasks/chat/{place.chat}/stop", None)

    def answer(self, place: Place) -> dict[str, Any]:
        """Wait until an answer has ended, well or not, and return it as the chat has it."""
        return until(lambda: (found := self.message(place.chat, place.answer)).get("done") and found)

    def message(self, chat: str, message: str) -> dict[str, Any]:
        """Return a message of a chat."""
        found: dict[str, Any] = self.chat(chat)["chat"]["history"]["messages"][message]
        return found

    def chat(self, chat: str) -> dict[str, Any]:
        """Return a chat with its title, tags and messages."""
        found: dict[str, Any] = self._get(f"/api/v1/chats/{chat}")
        return found

    def _turn(self, text: str, user: str, chat: str | None, parent: str | None, model: str) -> Place:
        answer = str(uuid4())
        said = {"id": user, "parentId": parent, "childrenIds": [answer], "role": "user", "content": text}
        first = parent is None
        body = {
            "stream": True,
            "model": model,
            "params": {},
            "features": {},
            "variables": {},
            "session_id": "a-window",
            "chat_id": chat,
            "id": answer,
            "parent_id": parent,
            "user_message": {**said, "timestamp": int(time.time()), "models": [model]},
            "background_tasks": {"title_generation": first, "tags_generation": first, "follow_up_generation": True},
        }
        begun = self._post("/api/chat/completions", {name: value for name, value in body.items() if name != "chat_id"
                                                     or value is not None})  # fmt: skip
        return Place(begun["chat_id"], user, answer)

    def _get(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()

    def _post(self, path: str, body: Any) -> Any:
        response = self._http.post(path, json=body)
        assert response.is_success, f"{path}: {response.status_code} {response.text}"
        return response.json()


def until(
    condition: Callable[[], T | bool | None], seconds: float = SECONDS, why: Callable[[], str] | None = None
) -> T:
    """Wait until something is so, and return it.

    Args:
        condition: Returns it, or something false.
        seconds: How long it may take.
        why: Returns what may explain that it didn't happen.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found  # type: ignore[return-value]  # a condition returns T when it is true
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s{': ' + why() if why else ''}")

"""Open WebUI with the gateway behind it and a service behind that, set up as docs/clients/open-webui.md says.

Owns how the three are put together and looked at. Knows no rule of the product.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.applications.browser import drive
from tests.applications.open_webui import OpenWebUI, Person, Place, until
from tests.applications.recipe import filled_in, variables
from tests.applications.talker import FOLLOW_UPS, TAGS, TITLE, Talker, Turn
from tests.cli.command import ask
from tests.live_gateway import TOKEN, LiveGateway, configuration, merged

PAGE: Final = "open-webui.md"


def exchange(text: str, answer: str | None = None) -> list[Turn]:
    """Return a user's message and the answer to it."""
    return [("user", text), ("assistant", answer or f"re: {text}")]


class Installation(NamedTuple):
    """Everything that runs: the application, who uses it, the gateway, and the service behind its agents."""

    application: OpenWebUI
    person: Person
    gateway: LiveGateway
    talker: Talker

    def stored(self, place: Place, agent: str = "main") -> list[Turn]:
        """Return what the gateway has of a chat, as ``zero sessions show`` prints it."""
        shown = self.zero("sessions", "show", f"agent:{agent}:{place.chat}")["messages"]
        return [(message["role"], "".join(part.get("text", "") for part in message["content"])) for message in shown]

    def sessions(self) -> set[str]:
        """Return the keys of all sessions that the gateway keeps."""
        return {session["key"] for session in self.zero("sessions", "list", "--limit", "1000")["sessions"]}

    def zero(self, *arguments: str) -> Any:
        """Run a command of ours beside the gateway and return the JSON that it prints."""
        done = ask(self.gateway, *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def converse(self, *texts: str) -> list[Place]:
        """Say one thing after the other in a new chat, each after the answer to the one before."""
        places: list[Place] = []
        for text in texts:
            places.append(self.person.say(text, places[-1] if places else None))
            assert f"re: {text}" == self.person.answer(places[-1])["content"]
        return places

    def at_the_page(self, folder: Path, *steps: tuple[str, str], path: str = "") -> str:
        """Do something in a browser.

        Args:
            folder: Gets a picture of the page as it is in the end.
            steps: What open_webui.mjs is to do: a way of doing something, and with what.
            path: Where to go after signing in.

        Returns:
            The chat that the page shows in the end; empty when it isn't kept.
        """
        person = {"url": self.application.url, "path": path, "email": Person.EMAIL, "password": Person.PASSWORD}
        script = Path(__file__).with_name("open_webui.mjs")
        shown = drive(script, {**person, "steps": steps, "picture": str(folder / "page.png")})
        return str(shown["address"]).removeprefix(self.application.url).removeprefix("/c/").removeprefix(f"/{path}")

    def chores_done(self, place: Place) -> dict[str, Any]:
        """Wait until title, tags and follow-up questions of a chat are there, and return the chat."""
        chat: dict[str, Any] = until(
            lambda: (
                (found := self.person.chat(place.chat))["title"] == TITLE
                and found["meta"].get("tags") == TAGS
                and found["chat"]["history"]["messages"][place.answer].get("followUps") == FOLLOW_UPS
                and found
            )
        )
        return chat


def installation(
    stack: ExitStack, folder: Path, heading: str, models: dict[str, str], settings: dict[str, Any]
) -> Installation:
    """Start everything as a section of the recipe says.

    Args:
        stack: Ends what was started.
        folder: An empty folder.
        heading: The section's.
        models: The agents' models, by the agents' ids; "talker/any" is answered by the service.
        settings: What the section says of the gateway's configuration.
    """
    talker = stack.enter_context(Talker())
    agents = [{"id": name, "model": model} for name, model in models.items()]
    providers = {"talker": {"baseUrl": talker.base_url}}
    config = configuration(**merged(settings, {"agents": {"list": agents}, "models": {"providers": providers}}))
    (folder / "gateway").mkdir()
    (folder / "application").mkdir()
    gateway = stack.enter_context(LiveGateway(folder / "gateway", config))
    typed = filled_in(variables(PAGE, heading), OPENAI_API_BASE_URL=f"{gateway.url}/v1", OPENAI_API_KEY=TOKEN)
    application = stack.enter_context(OpenWebUI(folder / "application", typed))
    return Installation(application, stack.enter_context(Person(application)), gateway, talker)

"""Jobs and what they are made of."""

from __future__ import annotations

import msgspec

from app.config import AgentProfile, ModelRef
from app.contract.models import CreateChatCompletionRequest
from app.routing.target import Target
from app.runs.job import Job, new_run_id
from app.sessions.message import Message
from tests.unit.conversation import user

KEY = "agent:main:k"


def agent(*models: str, **fields: object) -> AgentProfile:
    """Return an agent on models, the first its own and the others its fallbacks."""
    first, *others = [ModelRef(provider, "m") for provider in models or ("one",)]
    profile = AgentProfile(id="main", name="main", model=first, fallbacks=tuple(others))
    return msgspec.structs.replace(profile, **fields)


def request(**fields: object) -> CreateChatCompletionRequest:
    """Return a request that says no more than it has to, and the given fields."""
    smallest = {"model": "zero", "messages": [{"role": "user", "content": "hi"}]}
    return msgspec.convert({**smallest, **fields}, CreateChatCompletionRequest)


def job(*messages: Message | str, key: str | None = KEY, by: AgentProfile | None = None, **fields: object) -> Job:
    """Return a job: messages (a text is a user's), a session key (None: stateless), an agent, further fields."""
    profile = agent() if by is None else by
    spoken = tuple(user(message) if isinstance(message, str) else message for message in messages or ("hi",))
    target = Target(profile, key or "agent:main:openai:1", stateful=key is not None)
    made = Job(run_id=new_run_id(), target=target, request=request(), system=(), messages=spoken, parameters={})
    return msgspec.structs.replace(made, **fields)

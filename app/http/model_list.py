"""``listModels`` and ``retrieveModel``: the agents, under the very strings that ``model`` accepts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from litestar.types import Receive, Scope, Send

from app.config import LoadedConfig
from app.contract.models import ListModelsResponse, Model
from app.errors import ModelNotFound
from app.http.caller import caller_of
from app.http.response import send_response
from app.routing.agent_name import MODEL_ALIAS
from app.routing.permitted import permitted
from app.routing.target import Directory, agent_of_model


class ModelList:
    """Lists agents as models.

    Args:
        current: Returns the configuration in force.
        created: Seconds since 1970 that every model claims as its making.
    """

    def __init__(self, current: Callable[[], LoadedConfig], created: int) -> None:
        self._current = current
        self._created = created

    async def list(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer with the default alias first, then every agent in the order of the configuration.

        Who has an API key sees the agents that it may use.
        """
        agents = self._directory(scope).agents
        names = [MODEL_ALIAS, *(f"zero:{agent_id}" for agent_id in agents)] if agents else []
        answer = ListModelsResponse(data=[self._model(name) for name in names])
        await send_response(send, 200, msgspec.json.encode(answer))

    async def retrieve(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer with one model, under the name it was asked for.

        Raises:
            ModelNotFound: If the name means no agent. Foreign names are answered by the default agent in a chat, but
                they aren't models of this gateway.
        """
        # Litestar gives a path of several segments a slash in front.
        name = str(scope["path_params"]["model"]).removeprefix("/")
        if agent_of_model(name, self._directory(scope)) is None:
            raise ModelNotFound(
                f"There is no model {name[:100]!r}. GET /v1/models lists those there are.", param="model"
            )
        await send_response(send, 200, msgspec.json.encode(self._model(name)))

    def _directory(self, scope: Scope) -> Directory:
        caller = caller_of(scope)
        return permitted(self._current(), caller.agents if caller is not None else None)

    def _model(self, name: str) -> Model:
        return Model(id=name, created=self._created, owned_by="zero")

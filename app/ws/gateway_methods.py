"""``health``, ``status``, and lists of what there is and what isn't: what the gateway says of itself."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from time import monotonic

from msgspec import UNSET

from app.config import LoadedConfig, Standing
from app.contract.frames import (
    AgentModel,
    AgentsListParams,
    AgentsListResult,
    AgentSummary,
    CommandsListParams,
    CommandsListResult,
    HealthAgent,
    HealthHeartbeat,
    HealthParams,
    HealthResult,
    HealthSessions,
    ModelChoice,
    ModelsListParams,
    ModelsListResult,
    PluginApprovalListParams,
    PluginApprovalListResult,
    QuestionListParams,
    QuestionListResult,
    StatusConfiguration,
    StatusHeartbeat,
    StatusParams,
    StatusResult,
    StatusSessions,
    SystemPresenceParams,
    SystemPresenceResult,
)
from app.runs.run import Runs
from app.security.named_key import NamedKey
from app.ws.caller import Caller
from app.ws.hub import Hub
from app.ws.run_events import now
from app.ws.session_methods import SessionMethods
from app.ws.target import permitted_to

MAIN_KEY = "main"
"""The bare session key that clients use when their user names none."""
RECENT = 10


class GatewayMethods:
    """Answers the methods about the gateway itself.

    Args:
        configuration: Return the configuration in force, and what of the files is.
        runs: Whose runs are counted.
        hub: Whose connections are counted.
        sessions: Lists the sessions for ``status``.
    """

    def __init__(
        self,
        configuration: tuple[Callable[[], LoadedConfig], Callable[[], Standing]],
        runs: Runs,
        hub: Hub,
        sessions: SessionMethods,
    ) -> None:
        self._current, self._standing = configuration
        self._runs = runs
        self._hub = hub
        self._sessions = sessions
        self._began = monotonic()
        self.version = version("zero-gateway")

    @property
    def uptime_ms(self) -> int:
        """Milliseconds since the start."""
        return int((monotonic() - self._began) * 1000)

    def state(self, key: NamedKey | None) -> HealthResult:
        """Return the gateway's health: it answers, so it lives. Sessions are counted by ``status``, not here.

        Args:
            key: The API key of who asks, and sees its agents only; ``None`` for the operator.
        """
        loaded = permitted_to(key, self._current())
        return HealthResult(
            ok=True,
            ts=now(),
            duration_ms=0,
            default_agent_id=loaded.default_agent,
            channels={},
            channel_order=[],
            channel_labels={},
            heartbeat_seconds=0,
            agents=[
                HealthAgent(
                    agent_id=agent.id,
                    name=agent.name,
                    is_default=agent.id == loaded.default_agent,
                    heartbeat=HealthHeartbeat(every_ms=None),
                    sessions=HealthSessions(path=self._sessions.path, count=0, recent=[]),
                )
                for agent in loaded.agents.values()
            ],
            sessions=HealthSessions(path=self._sessions.path, count=0, recent=[]),
        )

    async def health(self, _params: HealthParams, caller: Caller) -> HealthResult:
        """Say that the gateway lives."""
        return self.state(caller.key)

    async def status(self, _params: StatusParams, _caller: Caller) -> StatusResult:
        """Say what the gateway is doing."""
        rows, total = await self._sessions.recent(limit=RECENT)
        standing = self._standing()
        return StatusResult(
            runtime_version=self.version,
            uptime_ms=self.uptime_ms,
            connections=len(self._hub),
            active_runs=len(self._runs.active),
            configuration=StatusConfiguration(
                revision=standing.revision,
                read_at=int(standing.read_at * 1000),
                mistake=standing.mistake or UNSET,
                restart=list(standing.waiting),
            ),
            heartbeat=StatusHeartbeat(default_agent_id=self._current().default_agent, agents=[]),
            channel_summary=[],
            queued_system_events=[],
            sessions=StatusSessions(
                paths=[self._sessions.path],
                count=total,
                defaults=self._sessions.defaults(),
                recent=rows,
                by_agent=[],
            ),
        )

    async def agents(self, _params: AgentsListParams, caller: Caller) -> AgentsListResult:
        """List the agents, in the configuration's order."""
        loaded = permitted_to(caller.key, self._current())
        return AgentsListResult(
            default_id=loaded.default_agent,
            main_key=MAIN_KEY,
            agents=[
                AgentSummary(
                    id=agent.id,
                    name=agent.name,
                    model=AgentModel(
                        primary=str(agent.model), fallbacks=[str(ref) for ref in agent.fallbacks] or UNSET
                    ),
                )
                for agent in loaded.agents.values()
            ],
        )

    async def models(self, params: ModelsListParams, caller: Caller) -> ModelsListResult:
        """List the models that the agents use, each once."""
        agents = permitted_to(caller.key, self._current()).agents.values()
        wanted = [agent for agent in agents if params.agent_id in (UNSET, agent.id)]
        refs = dict.fromkeys(ref for agent in wanted for ref in (agent.model, *agent.fallbacks))
        return ModelsListResult(
            models=[ModelChoice(id=ref.model, name=str(ref), provider=ref.provider) for ref in refs]
        )

    async def commands(self, _params: CommandsListParams, _caller: Caller) -> CommandsListResult:
        """List no commands: a message is what it says."""
        return CommandsListResult(commands=[])

    async def questions(self, _params: QuestionListParams, _caller: Caller) -> QuestionListResult:
        """List no questions: agents ask none."""
        return QuestionListResult(questions=[])

    async def approvals(self, _params: PluginApprovalListParams, _caller: Caller) -> PluginApprovalListResult:
        """List no requests: there are no plugins."""
        return []

    async def presence(self, _params: SystemPresenceParams, _caller: Caller) -> SystemPresenceResult:
        """List nobody: clients hear nothing of each other."""
        return []

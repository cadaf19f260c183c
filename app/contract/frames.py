"""The contract's schemas as structs.

Generated from asyncapi.yaml by `python -m contracts.generate`. Do not edit: change the contract and generate again.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from app.contract.strict import Strict
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field


class AgentAccepted(Struct, kw_only=True):
    run_id: str = field(name='runId')
    accepted_at: Annotated[int, Meta(ge=0)] = field(name='acceptedAt')
    status: Literal['accepted'] = 'accepted'
    session_key: str | UnsetType = field(name='sessionKey', default=UNSET)
    agent_id: str | UnsetType = field(name='agentId', default=UNSET)


class AgentAnswer(Struct, kw_only=True):
    payloads: list[AgentPayload]
    meta: AgentMeta


class AgentAssistantEvent(Struct, kw_only=True, tag_field='stream', tag='assistant'):
    run_id: Annotated[str, Meta(min_length=1)] = field(name='runId')
    seq: Annotated[int, Meta(ge=0)]
    ts: Annotated[int, Meta(ge=0)]
    session_key: str = field(name='sessionKey')
    agent_id: str = field(name='agentId')
    data: AgentText


class AgentInternalEvent(Strict, kw_only=True):
    type: Literal['task_completion']
    source: Literal['subagent', 'cron', 'image_generation', 'video_generation', 'music_generation']
    child_session_key: str = field(name='childSessionKey')
    announce_type: str = field(name='announceType')
    task_label: str = field(name='taskLabel')
    status: Literal['ok', 'timeout', 'error', 'unknown']
    status_label: str = field(name='statusLabel')
    result: str
    reply_instruction: str = field(name='replyInstruction')
    child_session_id: str | UnsetType = field(name='childSessionId', default=UNSET)
    model_route_change: str | UnsetType = field(name='modelRouteChange', default=UNSET)
    attachments: list[AgentInternalEventAttachment] | UnsetType = UNSET
    media_urls: list[str] | UnsetType = field(name='mediaUrls', default=UNSET)
    stats_line: str | UnsetType = field(name='statsLine', default=UNSET)


class AgentInternalEventAttachment(Strict, kw_only=True):
    type: Literal['image', 'audio', 'video', 'file'] | UnsetType = UNSET
    path: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    media_url: str | UnsetType = field(name='mediaUrl', default=UNSET)
    file_path: str | UnsetType = field(name='filePath', default=UNSET)
    mime_type: str | UnsetType = field(name='mimeType', default=UNSET)
    name: str | UnsetType = UNSET
    size_bytes: float | UnsetType = field(name='sizeBytes', default=UNSET)
    duration_ms: float | UnsetType = field(name='durationMs', default=UNSET)
    width: float | UnsetType = UNSET
    height: float | UnsetType = UNSET


class AgentLifecycle(Struct, kw_only=True):
    phase: Literal['start', 'end', 'error']
    started_at: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='startedAt', default=UNSET
    )
    ended_at: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='endedAt', default=UNSET
    )
    aborted: bool | UnsetType = UNSET
    stop_reason: str | UnsetType = field(name='stopReason', default=UNSET)
    error: str | UnsetType = UNSET


class AgentLifecycleEvent(Struct, kw_only=True, tag_field='stream', tag='lifecycle'):
    run_id: Annotated[str, Meta(min_length=1)] = field(name='runId')
    seq: Annotated[int, Meta(ge=0)]
    ts: Annotated[int, Meta(ge=0)]
    session_key: str = field(name='sessionKey')
    agent_id: str = field(name='agentId')
    data: AgentLifecycle


AgentEvent: TypeAlias = AgentLifecycleEvent | AgentAssistantEvent


class AgentMeta(Struct, kw_only=True):
    duration_ms: Annotated[int, Meta(ge=0)] = field(name='durationMs')
    stop_reason: str | UnsetType = field(name='stopReason', default=UNSET)
    agent_meta: AgentMetaModel | UnsetType = field(name='agentMeta', default=UNSET)


class AgentMetaModel(Struct, kw_only=True):
    session_key: str = field(name='sessionKey')
    agent_id: str = field(name='agentId')
    provider: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    usage: TokenUsage | UnsetType = UNSET


class AgentModel(Struct, kw_only=True):
    primary: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    fallbacks: list[Fallback] | UnsetType = UNSET


class AgentParams(Strict, kw_only=True):
    message: Annotated[str, Meta(min_length=1)]
    idempotency_key: Annotated[str, Meta(min_length=1)] = field(name='idempotencyKey')
    agent_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='agentId', default=UNSET
    )
    provider: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    to: str | UnsetType = UNSET
    reply_to: str | UnsetType = field(name='replyTo', default=UNSET)
    session_id: str | UnsetType = field(name='sessionId', default=UNSET)
    session_key: str | UnsetType = field(name='sessionKey', default=UNSET)
    expected_existing_session_id: Annotated[str, Meta(min_length=1)] | UnsetType = (
        field(name='expectedExistingSessionId', default=UNSET)
    )
    thinking: str | UnsetType = UNSET
    deliver: bool | UnsetType = UNSET
    attachments: list[Any] | UnsetType = UNSET
    channel: str | UnsetType = UNSET
    reply_channel: str | UnsetType = field(name='replyChannel', default=UNSET)
    account_id: str | UnsetType = field(name='accountId', default=UNSET)
    reply_account_id: str | UnsetType = field(name='replyAccountId', default=UNSET)
    thread_id: str | UnsetType = field(name='threadId', default=UNSET)
    group_id: str | UnsetType = field(name='groupId', default=UNSET)
    group_channel: str | UnsetType = field(name='groupChannel', default=UNSET)
    group_space: str | UnsetType = field(name='groupSpace', default=UNSET)
    timeout: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    best_effort_deliver: bool | UnsetType = field(
        name='bestEffortDeliver', default=UNSET
    )
    lane: str | UnsetType = UNSET
    cwd: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    cleanup_bundle_mcp_on_run_end: bool | UnsetType = field(
        name='cleanupBundleMcpOnRunEnd', default=UNSET
    )
    model_run: bool | UnsetType = field(name='modelRun', default=UNSET)
    prompt_mode: Literal['full', 'minimal', 'none'] | UnsetType = field(
        name='promptMode', default=UNSET
    )
    extra_system_prompt: str | UnsetType = field(
        name='extraSystemPrompt', default=UNSET
    )
    bootstrap_context_mode: Literal['full', 'lightweight'] | UnsetType = field(
        name='bootstrapContextMode', default=UNSET
    )
    bootstrap_context_run_kind: Literal['default', 'heartbeat', 'cron'] | UnsetType = (
        field(name='bootstrapContextRunKind', default=UNSET)
    )
    acp_turn_source: Literal['manual_spawn'] | UnsetType = field(
        name='acpTurnSource', default=UNSET
    )
    internal_runtime_handoff_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='internalRuntimeHandoffId', default=UNSET
    )
    internal_execution_identity_retry: bool | UnsetType = field(
        name='internalExecutionIdentityRetry', default=UNSET
    )
    internal_execution_identity_recovery_attempt: (
        Annotated[int, Meta(ge=1)] | UnsetType
    ) = field(name='internalExecutionIdentityRecoveryAttempt', default=UNSET)
    exec_approval_followup_expected_session_id: (
        Annotated[str, Meta(min_length=1)] | UnsetType
    ) = field(name='execApprovalFollowupExpectedSessionId', default=UNSET)
    internal_events: list[AgentInternalEvent] | UnsetType = field(
        name='internalEvents', default=UNSET
    )
    input_provenance: InputProvenance | UnsetType = field(
        name='inputProvenance', default=UNSET
    )
    suppress_prompt_persistence: bool | UnsetType = field(
        name='suppressPromptPersistence', default=UNSET
    )
    session_effects: Literal['visible', 'internal'] | UnsetType = field(
        name='sessionEffects', default=UNSET
    )
    source_reply_delivery_mode: Literal['automatic', 'message_tool_only'] | UnsetType = field(
        name='sourceReplyDeliveryMode', default=UNSET
    )
    disable_message_tool: bool | UnsetType = field(
        name='disableMessageTool', default=UNSET
    )
    swarm_collector: bool | UnsetType = field(name='swarmCollector', default=UNSET)
    swarm_output_schema: dict[str, Any] | UnsetType = field(
        name='swarmOutputSchema', default=UNSET
    )
    force_restart_safe_tools: bool | UnsetType = field(
        name='forceRestartSafeTools', default=UNSET
    )
    force_code_mode_tools: bool | UnsetType = field(
        name='forceCodeModeTools', default=UNSET
    )
    voice_wake_trigger: str | UnsetType = field(name='voiceWakeTrigger', default=UNSET)
    label: Annotated[str, Meta(max_length=512, min_length=1)] | UnsetType = UNSET


class AgentPayload(Struct, kw_only=True):
    text: str
    media_url: str | None = field(name='mediaUrl')


class AgentResult(Struct, kw_only=True):
    run_id: str = field(name='runId')
    status: Literal['ok', 'timeout', 'error']
    summary: str
    stop_reason: Literal['rpc', 'timeout', 'restart'] | UnsetType = field(
        name='stopReason', default=UNSET
    )
    result: AgentAnswer | UnsetType = UNSET


class AgentSummary(Struct, kw_only=True):
    id: Annotated[str, Meta(min_length=1)]
    name: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    model: AgentModel | UnsetType = UNSET


class AgentText(Struct, kw_only=True):
    delta: str
    text: str | UnsetType = UNSET


class AgentWaitParams(Strict, kw_only=True):
    run_id: Annotated[str, Meta(min_length=1)] = field(name='runId')
    timeout_ms: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='timeoutMs', default=UNSET
    )


class AgentWaitResult(Struct, kw_only=True):
    run_id: str = field(name='runId')
    status: Literal['ok', 'error', 'timeout']
    started_at: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='startedAt', default=UNSET
    )
    ended_at: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='endedAt', default=UNSET
    )
    stop_reason: Literal['rpc', 'timeout', 'restart'] | UnsetType = field(
        name='stopReason', default=UNSET
    )
    error: str | UnsetType = UNSET


class AgentsListParams(Strict, kw_only=True):
    pass


class AgentsListResult(Struct, kw_only=True):
    default_id: Annotated[str, Meta(min_length=1)] = field(name='defaultId')
    main_key: Annotated[str, Meta(min_length=1)] = field(name='mainKey')
    agents: list[AgentSummary]
    scope: Literal['per-sender'] = 'per-sender'


ArchivedItem: TypeAlias = Annotated[str, Meta(min_length=1)]


Cap: TypeAlias = Annotated[str, Meta(min_length=1)]


class ChatAbortParams(Strict, kw_only=True):
    session_key: Annotated[str, Meta(min_length=1)] = field(name='sessionKey')
    agent_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='agentId', default=UNSET
    )
    run_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='runId', default=UNSET
    )
    preserve_side_runs: bool | UnsetType = field(name='preserveSideRuns', default=UNSET)


class ChatAbortResult(Struct, kw_only=True):
    aborted: bool
    run_ids: list[str] = field(name='runIds')
    ok: bool = True


class ChatAbortedEvent(Strict, kw_only=True, tag_field='state', tag='aborted'):
    run_id: Annotated[str, Meta(min_length=1)] = field(name='runId')
    session_key: Annotated[str, Meta(min_length=1)] = field(name='sessionKey')
    seq: Annotated[int, Meta(ge=0)]
    agent_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='agentId', default=UNSET
    )
    message: ChatMessage | UnsetType = UNSET
    error_message: str | UnsetType = field(name='errorMessage', default=UNSET)
    stop_reason: str | UnsetType = field(name='stopReason', default=UNSET)


class ChatAttachment(Struct, kw_only=True):
    type: str | UnsetType = UNSET
    mime_type: str | UnsetType = field(name='mimeType', default=UNSET)
    file_name: str | UnsetType = field(name='fileName', default=UNSET)
    content: Any | UnsetType = UNSET
    size_bytes: float | UnsetType = field(name='sizeBytes', default=UNSET)
    duration_ms: float | UnsetType = field(name='durationMs', default=UNSET)
    width: float | UnsetType = UNSET
    height: float | UnsetType = UNSET


class ChatContent(Struct, kw_only=True):
    type: Literal['text', 'toolCall', 'omitted']
    text: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    arguments: Any | UnsetType = UNSET


class ChatDeltaEvent(Strict, kw_only=True, tag_field='state', tag='delta'):
    run_id: Annotated[str, Meta(min_length=1)] = field(name='runId')
    session_key: Annotated[str, Meta(min_length=1)] = field(name='sessionKey')
    seq: Annotated[int, Meta(ge=0)]
    delta_text: str = field(name='deltaText')
    agent_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='agentId', default=UNSET
    )
    message: ChatMessage | UnsetType = UNSET


class ChatErrorEvent(Strict, kw_only=True, tag_field='state', tag='error'):
    run_id: Annotated[str, Meta(min_length=1)] = field(name='runId')
    session_key: Annotated[str, Meta(min_length=1)] = field(name='sessionKey')
    seq: Annotated[int, Meta(ge=0)]
    agent_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='agentId', default=UNSET
    )
    error_message: str | UnsetType = field(name='errorMessage', default=UNSET)
    error_kind: Literal['refusal', 'timeout', 'rate_limit', 'context_length', 'unknown'] | UnsetType = field(
        name='errorKind', default=UNSET
    )
    stop_reason: str | UnsetType = field(name='stopReason', default=UNSET)


class ChatFinalEvent(Strict, kw_only=True, tag_field='state', tag='final'):
    run_id: Annotated[str, Meta(min_length=1)] = field(name='runId')
    session_key: Annotated[str, Meta(min_length=1)] = field(name='sessionKey')
    seq: Annotated[int, Meta(ge=0)]
    agent_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='agentId', default=UNSET
    )
    message: ChatMessage | UnsetType = UNSET
    usage: TokenUsage | UnsetType = UNSET
    stop_reason: str | UnsetType = field(name='stopReason', default=UNSET)


ChatEvent: TypeAlias = ChatDeltaEvent | ChatFinalEvent | ChatAbortedEvent | ChatErrorEvent


class ChatHistoryParams(Strict, kw_only=True):
    session_key: Annotated[str, Meta(min_length=1)] = field(name='sessionKey')
    agent_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='agentId', default=UNSET
    )
    cursor: str | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=1000)] | UnsetType = UNSET
    offset: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    pending_before: Annotated[int, Meta(ge=1)] | UnsetType = field(
        name='pendingBefore', default=UNSET
    )
    input_run_ids: (
        Annotated[list[InputRunId], Meta(max_length=50, min_length=1)] | UnsetType
    ) = field(name='inputRunIds', default=UNSET)
    message_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='messageId', default=UNSET
    )
    session_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='sessionId', default=UNSET
    )
    max_chars: Annotated[int, Meta(ge=1, le=500000)] | UnsetType = field(
        name='maxChars', default=UNSET
    )


class ChatHistoryResetResult(Strict, kw_only=True):
    kind: Literal['reset'] = 'reset'


class ChatHistoryResult(Struct, kw_only=True):
    session_key: str = field(name='sessionKey')
    messages: list[ChatMessage]
    offset: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    has_more: bool | UnsetType = field(name='hasMore', default=UNSET)
    next_offset: Annotated[int, Meta(ge=1)] | UnsetType = field(
        name='nextOffset', default=UNSET
    )
    total_messages: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='totalMessages', default=UNSET
    )
    session_info: SessionRow | UnsetType = field(name='sessionInfo', default=UNSET)
    in_flight_run: ChatInFlightRun | UnsetType = field(
        name='inFlightRun', default=UNSET
    )


class ChatInFlightRun(Struct, kw_only=True):
    run_id: str = field(name='runId')
    text: str


class ChatMessage(Struct, kw_only=True):
    role: Literal['user', 'assistant', 'system', 'toolResult']
    content: list[ChatContent]
    timestamp: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    tool_call_id: str | UnsetType = field(name='toolCallId', default=UNSET)
    stop_reason: str | UnsetType = field(name='stopReason', default=UNSET)


class ChatSendIntent(Strict, kw_only=True):
    kind: Literal['session-goal-start']
    version: Literal[1]
    issued_at_ms: Annotated[int, Meta(ge=0)] = field(name='issuedAtMs')


class ChatSendParams(Strict, kw_only=True):
    session_key: Annotated[str, Meta(max_length=512, min_length=1)] = field(
        name='sessionKey'
    )
    message: str
    idempotency_key: Annotated[str, Meta(min_length=1)] = field(name='idempotencyKey')
    agent_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='agentId', default=UNSET
    )
    session_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='sessionId', default=UNSET
    )
    intent: ChatSendIntent | UnsetType = UNSET
    thinking: str | UnsetType = UNSET
    fast_mode: bool | Literal['auto'] | UnsetType = field(
        name='fastMode', default=UNSET
    )
    fast_auto_on_seconds: Annotated[int, Meta(ge=1)] | UnsetType = field(
        name='fastAutoOnSeconds', default=UNSET
    )
    queue_mode: Literal['steer', 'followup', 'collect', 'interrupt'] | UnsetType = (
        field(name='queueMode', default=UNSET)
    )
    deliver: bool | UnsetType = UNSET
    originating_channel: str | UnsetType = field(
        name='originatingChannel', default=UNSET
    )
    originating_to: str | UnsetType = field(name='originatingTo', default=UNSET)
    originating_account_id: str | UnsetType = field(
        name='originatingAccountId', default=UNSET
    )
    originating_thread_id: str | UnsetType = field(
        name='originatingThreadId', default=UNSET
    )
    reply_to_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='replyToId', default=UNSET
    )
    attachments: list[ChatAttachment] | UnsetType = UNSET
    tool_bindings: Annotated[dict[str, Any], Meta(max_length=16)] | UnsetType = field(
        name='toolBindings', default=UNSET
    )
    timeout_ms: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='timeoutMs', default=UNSET
    )
    system_input_provenance: InputProvenance | UnsetType = field(
        name='systemInputProvenance', default=UNSET
    )
    system_provenance_receipt: str | UnsetType = field(
        name='systemProvenanceReceipt', default=UNSET
    )
    suppress_command_interpretation: bool | UnsetType = field(
        name='suppressCommandInterpretation', default=UNSET
    )
    expected_leaf_entry_id: Annotated[str, Meta(min_length=1)] | None | UnsetType = (
        field(name='expectedLeafEntryId', default=UNSET)
    )
    expected_session_routing_contract: (
        Annotated[str, Meta(min_length=1)] | UnsetType
    ) = field(name='expectedSessionRoutingContract', default=UNSET)
    expected_permission_mode: Literal['read-only', 'guarded', 'workspace', 'full'] | None | UnsetType = field(
        name='expectedPermissionMode', default=UNSET
    )
    expected_tool_overrides: ToolOverrides | None | UnsetType = field(
        name='expectedToolOverrides', default=UNSET
    )


class ChatSendResult(Struct, kw_only=True):
    run_id: str = field(name='runId')
    status: Literal['started', 'in_flight', 'ok', 'timeout', 'error']
    summary: str | UnsetType = UNSET


Command: TypeAlias = Annotated[str, Meta(min_length=1)]


class CommandsListParams(Strict, kw_only=True):
    session_key: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='sessionKey', default=UNSET
    )
    agent_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='agentId', default=UNSET
    )
    provider: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    scope: Literal['text', 'native', 'both'] | UnsetType = UNSET
    include_args: bool | UnsetType = field(name='includeArgs', default=UNSET)


class CommandsListResult(Struct, kw_only=True):
    commands: Annotated[list[dict[str, Any]], Meta(max_length=0)]


class ConnectAuth(Strict, kw_only=True):
    token: str | UnsetType = UNSET
    bootstrap_token: str | UnsetType = field(name='bootstrapToken', default=UNSET)
    device_token: str | UnsetType = field(name='deviceToken', default=UNSET)
    password: str | UnsetType = UNSET
    approval_runtime_token: str | UnsetType = field(
        name='approvalRuntimeToken', default=UNSET
    )
    agent_runtime_identity_token: str | UnsetType = field(
        name='agentRuntimeIdentityToken', default=UNSET
    )


class ConnectChallenge(Struct, kw_only=True):
    nonce: Annotated[str, Meta(min_length=1)]
    ts: Annotated[int, Meta(ge=0)]


class ConnectClient(Strict, kw_only=True):
    id: Literal['zero-cli', 'webchat-ui', 'openclaw-control-ui', 'openclaw-browser-copilot', 'openclaw-tui', 'webchat', 'cli', 'gateway-client', 'openclaw-macos', 'openclaw-linux', 'openclaw-ios', 'openclaw-watchos', 'openclaw-android', 'node-host', 'openclaw-worker', 'test', 'fingerprint', 'openclaw-probe']
    version: Annotated[str, Meta(min_length=1)]
    platform: Annotated[str, Meta(min_length=1)]
    mode: Literal['webchat', 'cli', 'ui', 'backend', 'node', 'worker', 'probe', 'test']
    display_name: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='displayName', default=UNSET
    )
    build_id: Annotated[str, Meta(max_length=96, min_length=1)] | UnsetType = field(
        name='buildId', default=UNSET
    )
    device_family: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='deviceFamily', default=UNSET
    )
    model_identifier: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='modelIdentifier', default=UNSET
    )
    time_zone: Annotated[str, Meta(max_length=64, min_length=1)] | UnsetType = field(
        name='timeZone', default=UNSET
    )
    instance_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='instanceId', default=UNSET
    )


class ConnectDevice(Strict, kw_only=True):
    id: Annotated[str, Meta(min_length=1)]
    public_key: Annotated[str, Meta(min_length=1)] = field(name='publicKey')
    signature: Annotated[str, Meta(min_length=1)]
    signed_at: Annotated[int, Meta(ge=0)] = field(name='signedAt')
    nonce: Annotated[str, Meta(min_length=1)]


ConnectErrorCode: TypeAlias = Literal['AUTH_TOKEN_MISSING', 'AUTH_TOKEN_MISMATCH', 'AUTH_PASSWORD_MISSING', 'AUTH_PASSWORD_MISMATCH', 'AUTH_RATE_LIMITED', 'PROTOCOL_MISMATCH']


class ConnectErrorDetails(Struct, kw_only=True):
    code: ConnectErrorCode
    expected_protocol: Annotated[int, Meta(ge=1)] | UnsetType = field(
        name='expectedProtocol', default=UNSET
    )
    can_retry_with_device_token: bool | UnsetType = field(
        name='canRetryWithDeviceToken', default=UNSET
    )
    recommended_next_step: Literal['update_auth_configuration', 'update_auth_credentials', 'wait_then_retry'] | UnsetType = field(
        name='recommendedNextStep', default=UNSET
    )


class ConnectParams(Strict, kw_only=True):
    min_protocol: Annotated[int, Meta(ge=1)] = field(name='minProtocol')
    max_protocol: Annotated[int, Meta(ge=1)] = field(name='maxProtocol')
    client: ConnectClient
    caps: list[Cap] | UnsetType = UNSET
    commands: list[Command] | UnsetType = UNSET
    computer_use: Any | UnsetType = field(name='computerUse', default=UNSET)
    worker_runs: ConnectWorkerRuns | UnsetType = field(name='workerRuns', default=UNSET)
    permissions: dict[str, bool] | UnsetType = UNSET
    path_env: str | UnsetType = field(name='pathEnv', default=UNSET)
    role: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    scopes: list[Scope] | UnsetType = UNSET
    device: ConnectDevice | UnsetType = UNSET
    auth: ConnectAuth | UnsetType = UNSET
    locale: str | UnsetType = UNSET
    user_agent: str | UnsetType = field(name='userAgent', default=UNSET)


class ConnectWorkerRuns(Strict, kw_only=True):
    bundle_hash: Annotated[str, Meta(max_length=64, min_length=64, pattern='^[a-f0-9]{64}$(?!\\n)')] = field(
        name='bundleHash'
    )
    openclaw_version: Annotated[str, Meta(max_length=128, min_length=1)] = field(
        name='openclawVersion'
    )
    protocol_features: Annotated[list[ProtocolFeature], Meta(max_length=64)] = field(
        name='protocolFeatures'
    )
    bundle_prewarm: Annotated[int, Meta(ge=1, le=9007199254740991)] | UnsetType = field(
        name='bundlePrewarm', default=UNSET
    )


ErrorCode: TypeAlias = Literal['INVALID_REQUEST', 'FORBIDDEN', 'UNAVAILABLE']


class ErrorShape(Strict, kw_only=True):
    code: Annotated[str, Meta(min_length=1)]
    message: Annotated[str, Meta(min_length=1)]
    details: Any | UnsetType = UNSET
    retryable: bool | UnsetType = UNSET
    retry_after_ms: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='retryAfterMs', default=UNSET
    )


Event: TypeAlias = Annotated[str, Meta(min_length=1)]


class EventFrame(Strict, kw_only=True, tag_field='type', tag='event'):
    event: Annotated[str, Meta(min_length=1)]
    payload: Any | UnsetType = UNSET
    seq: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    state_version: StateVersion | UnsetType = field(name='stateVersion', default=UNSET)


Fallback: TypeAlias = Annotated[str, Meta(min_length=1)]


class HealthAgent(Struct, kw_only=True):
    agent_id: str = field(name='agentId')
    is_default: bool = field(name='isDefault')
    heartbeat: HealthHeartbeat
    sessions: HealthSessions
    name: str | UnsetType = UNSET


class HealthHeartbeat(Struct, kw_only=True):
    every_ms: Annotated[int, Meta(ge=0)] | None = field(name='everyMs')
    enabled: bool = False
    every: str = ''
    prompt: str = ''
    target: str = 'none'
    ack_max_chars: Annotated[int, Meta(ge=0)] = field(name='ackMaxChars', default=0)


class HealthParams(Struct, kw_only=True):
    probe: bool | UnsetType = UNSET


class HealthResult(Struct, kw_only=True):
    ok: bool
    ts: Annotated[int, Meta(ge=0)]
    duration_ms: Annotated[int, Meta(ge=0)] = field(name='durationMs')
    default_agent_id: str = field(name='defaultAgentId')
    channels: dict[str, Any] | UnsetType = UNSET
    channel_order: list[str] | UnsetType = field(name='channelOrder', default=UNSET)
    channel_labels: dict[str, str] | UnsetType = field(
        name='channelLabels', default=UNSET
    )
    heartbeat_seconds: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='heartbeatSeconds', default=UNSET
    )
    agents: list[HealthAgent] | UnsetType = UNSET
    sessions: HealthSessions | UnsetType = UNSET


class HealthSession(Struct, kw_only=True):
    key: str
    updated_at: Annotated[int, Meta(ge=0)] | None = field(name='updatedAt')
    age: Annotated[int, Meta(ge=0)] | None


class HealthSessions(Struct, kw_only=True):
    path: str
    count: Annotated[int, Meta(ge=0)]
    recent: list[HealthSession]


class HelloAuth(Struct, kw_only=True):
    role: Annotated[str, Meta(min_length=1)]
    scopes: list[Scope]


class HelloFeatures(Struct, kw_only=True):
    methods: list[Method]
    events: list[Event]


class HelloOk(Struct, kw_only=True):
    protocol: Annotated[int, Meta(ge=1)]
    server: HelloServer
    features: HelloFeatures
    snapshot: HelloSnapshot
    auth: HelloAuth
    policy: HelloPolicy
    type: Literal['hello-ok'] = 'hello-ok'


class HelloPolicy(Struct, kw_only=True):
    max_payload: Annotated[int, Meta(ge=1)] = field(name='maxPayload')
    max_buffered_bytes: Annotated[int, Meta(ge=1)] = field(name='maxBufferedBytes')
    tick_interval_ms: Annotated[int, Meta(ge=1)] = field(name='tickIntervalMs')


class HelloServer(Struct, kw_only=True):
    version: Annotated[str, Meta(min_length=1)]
    conn_id: Annotated[str, Meta(min_length=1)] = field(name='connId')


class HelloSnapshot(Struct, kw_only=True):
    presence: Annotated[list[dict[str, Any]], Meta(max_length=0)]
    health: HealthResult
    state_version: StateVersion = field(name='stateVersion')
    uptime_ms: Annotated[int, Meta(ge=0)] = field(name='uptimeMs')
    session_defaults: SessionDefaults | UnsetType = field(
        name='sessionDefaults', default=UNSET
    )
    auth_mode: Literal['none', 'token', 'password'] | UnsetType = field(
        name='authMode', default=UNSET
    )


class InputProvenance(Strict, kw_only=True):
    kind: Literal['external_user', 'inter_session', 'internal_system']
    origin_session_id: str | UnsetType = field(name='originSessionId', default=UNSET)
    source_session_key: str | UnsetType = field(name='sourceSessionKey', default=UNSET)
    source_channel: str | UnsetType = field(name='sourceChannel', default=UNSET)
    source_tool: str | UnsetType = field(name='sourceTool', default=UNSET)


InputRunId: TypeAlias = Annotated[str, Meta(max_length=256, min_length=1)]


Key: TypeAlias = Annotated[str, Meta(min_length=1)]


McpToolsDenyItem: TypeAlias = Annotated[str, Meta(min_length=1)]


Method: TypeAlias = Annotated[str, Meta(min_length=1)]


class MissingScopeErrorDetails(Strict, kw_only=True):
    missing_scope: Annotated[str, Meta(min_length=1)] = field(name='missingScope')
    required_scopes: Annotated[list[RequiredScope], Meta(min_length=1)] = field(
        name='requiredScopes'
    )
    code: Literal['MISSING_SCOPE'] = 'MISSING_SCOPE'


class ModelChoice(Struct, kw_only=True):
    id: Annotated[str, Meta(min_length=1)]
    name: Annotated[str, Meta(min_length=1)]
    provider: Annotated[str, Meta(min_length=1)]
    context_window: Annotated[int, Meta(ge=1)] | UnsetType = field(
        name='contextWindow', default=UNSET
    )


class ModelsListParams(Strict, kw_only=True):
    agent_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='agentId', default=UNSET
    )
    include_provider_capabilities: bool | UnsetType = field(
        name='includeProviderCapabilities', default=UNSET
    )
    prepared_only: bool | UnsetType = field(name='preparedOnly', default=UNSET)
    refresh: bool | UnsetType = UNSET
    view: Literal['default', 'configured', 'provider-config', 'all'] | UnsetType = UNSET


class ModelsListResult(Struct, kw_only=True):
    models: list[ModelChoice]


class PluginApprovalListParams(Strict, kw_only=True):
    pass


PluginApprovalListResult: TypeAlias = Annotated[
    list[dict[str, Any]], Meta(max_length=0)
]


ProtocolFeature: TypeAlias = Annotated[str, Meta(max_length=128, min_length=1)]


class QuestionListParams(Strict, kw_only=True):
    pass


class QuestionListResult(Struct, kw_only=True):
    questions: Annotated[list[dict[str, Any]], Meta(max_length=0)]


class RequestErrorDetails(Struct, kw_only=True):
    type: str | UnsetType = UNSET
    code: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    param: str | UnsetType = UNSET


class RequestFrame(Strict, kw_only=True):
    type: Literal['req']
    id: Annotated[str, Meta(min_length=1)]
    method: Annotated[str, Meta(min_length=1)]
    params: Raw | UnsetType = UNSET
    traceparent: Annotated[str, Meta(max_length=128)] | UnsetType = UNSET


RequiredScope: TypeAlias = Annotated[str, Meta(min_length=1)]


class ResponseFrame(Strict, kw_only=True, tag_field='type', tag='res'):
    id: Annotated[str, Meta(min_length=1)]
    ok: bool
    payload: Any | UnsetType = UNSET
    error: ErrorShape | UnsetType = UNSET


Scope: TypeAlias = Annotated[str, Meta(min_length=1)]


ServerFrame: TypeAlias = ResponseFrame | EventFrame


class SessionDefaults(Struct, kw_only=True):
    default_agent_id: Annotated[str, Meta(min_length=1)] = field(name='defaultAgentId')
    main_key: Annotated[str, Meta(min_length=1)] = field(name='mainKey')
    main_session_key: Annotated[str, Meta(min_length=1)] = field(name='mainSessionKey')
    scope: Literal['per-sender'] | UnsetType = UNSET


class SessionEntry(Struct, kw_only=True):
    updated_at: Annotated[int, Meta(ge=0)] = field(name='updatedAt')


class SessionPreview(Struct, kw_only=True):
    key: str
    status: Literal['ok', 'empty', 'missing']
    items: list[SessionPreviewItem]


class SessionPreviewItem(Struct, kw_only=True):
    role: Literal['user', 'assistant', 'tool', 'system']
    text: str


class SessionRow(Struct, kw_only=True):
    key: str
    kind: Literal['direct'] = 'direct'
    agent_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='agentId', default=UNSET
    )
    display_name: str | UnsetType = field(name='displayName', default=UNSET)
    derived_title: str | UnsetType = field(name='derivedTitle', default=UNSET)
    last_message_preview: str | UnsetType = field(
        name='lastMessagePreview', default=UNSET
    )
    created_at: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='createdAt', default=UNSET
    )
    updated_at: Annotated[int, Meta(ge=0)] | None | UnsetType = field(
        name='updatedAt', default=UNSET
    )
    status: Literal['queued', 'running', 'done', 'failed', 'killed', 'timeout'] | UnsetType = (
        UNSET
    )
    has_active_run: bool | UnsetType = field(name='hasActiveRun', default=UNSET)
    active_run_ids: list[str] | UnsetType = field(name='activeRunIds', default=UNSET)
    input_tokens: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='inputTokens', default=UNSET
    )
    output_tokens: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='outputTokens', default=UNSET
    )
    total_tokens: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='totalTokens', default=UNSET
    )
    model: str | UnsetType = UNSET
    model_provider: str | UnsetType = field(name='modelProvider', default=UNSET)


class SessionsChangedEvent(Struct, kw_only=True):
    session_key: str = field(name='sessionKey')
    agent_id: str = field(name='agentId')
    reason: Literal['update', 'reset', 'delete']
    ts: Annotated[int, Meta(ge=0)]


class SessionsDefaults(Struct, kw_only=True):
    model_provider: str | None = field(name='modelProvider')
    model: str | None
    context_tokens: Annotated[int, Meta(ge=0)] | None = field(name='contextTokens')


class SessionsDeleteParams(Strict, kw_only=True):
    key: Annotated[str, Meta(min_length=1)]
    agent_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='agentId', default=UNSET
    )
    delete_transcript: bool | UnsetType = field(name='deleteTranscript', default=UNSET)
    expected_session_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='expectedSessionId', default=UNSET
    )
    expected_lifecycle_revision: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='expectedLifecycleRevision', default=UNSET
    )
    expected_session_updated_at: Annotated[float, Meta(ge=0.0)] | UnsetType = field(
        name='expectedSessionUpdatedAt', default=UNSET
    )
    emit_lifecycle_hooks: bool | UnsetType = field(
        name='emitLifecycleHooks', default=UNSET
    )
    archived_only: bool | UnsetType = field(name='archivedOnly', default=UNSET)


class SessionsDeleteResult(Strict, kw_only=True):
    key: Annotated[str, Meta(min_length=1)]
    deleted: bool
    archived: list[ArchivedItem]
    ok: bool = True


class SessionsDescribeParams(Strict, kw_only=True):
    key: Annotated[str, Meta(min_length=1)]
    include_derived_titles: bool | UnsetType = field(
        name='includeDerivedTitles', default=UNSET
    )
    include_last_message: bool | UnsetType = field(
        name='includeLastMessage', default=UNSET
    )


class SessionsDescribeResult(Struct, kw_only=True):
    session: SessionRow | None


class SessionsListParams(Strict, kw_only=True):
    limit: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    offset: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    active_minutes: Annotated[int, Meta(ge=1)] | UnsetType = field(
        name='activeMinutes', default=UNSET
    )
    require_last_interaction: bool | UnsetType = field(
        name='requireLastInteraction', default=UNSET
    )
    sort_by: Literal['updatedAt', 'lastInteractionAt'] | UnsetType = field(
        name='sortBy', default=UNSET
    )
    include_global: bool | UnsetType = field(name='includeGlobal', default=UNSET)
    include_unknown: bool | UnsetType = field(name='includeUnknown', default=UNSET)
    configured_agents_only: bool | UnsetType = field(
        name='configuredAgentsOnly', default=UNSET
    )
    include_derived_titles: bool | UnsetType = field(
        name='includeDerivedTitles', default=UNSET
    )
    include_last_message: bool | UnsetType = field(
        name='includeLastMessage', default=UNSET
    )
    label: Annotated[str, Meta(max_length=512, min_length=1)] | UnsetType = UNSET
    board_face: Literal['chat', 'dashboard'] | UnsetType = field(
        name='boardFace', default=UNSET
    )
    creator_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='creatorId', default=UNSET
    )
    owner_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='ownerId', default=UNSET
    )
    owner_first: bool | UnsetType = field(name='ownerFirst', default=UNSET)
    involving_me: bool | UnsetType = field(name='involvingMe', default=UNSET)
    involving_profile_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='involvingProfileId', default=UNSET
    )
    include_people: bool | UnsetType = field(name='includePeople', default=UNSET)
    spawned_by: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='spawnedBy', default=UNSET
    )
    agent_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='agentId', default=UNSET
    )
    search: str | UnsetType = UNSET
    archived: bool | Literal['all'] | UnsetType = UNSET


class SessionsListResult(Struct, kw_only=True):
    ts: Annotated[int, Meta(ge=0)]
    path: str
    count: Annotated[int, Meta(ge=0)]
    total_count: Annotated[int, Meta(ge=0)] = field(name='totalCount')
    has_more: bool = field(name='hasMore')
    defaults: SessionsDefaults
    sessions: list[SessionRow]


class SessionsPreviewParams(Strict, kw_only=True):
    keys: Annotated[list[Key], Meta(min_length=1)]
    limit: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    max_chars: Annotated[int, Meta(ge=20)] | UnsetType = field(
        name='maxChars', default=UNSET
    )


class SessionsPreviewResult(Struct, kw_only=True):
    ts: Annotated[int, Meta(ge=0)]
    previews: list[SessionPreview]


class SessionsResetParams(Strict, kw_only=True):
    key: Annotated[str, Meta(min_length=1)]
    agent_id: Annotated[str, Meta(min_length=1)] | UnsetType = field(
        name='agentId', default=UNSET
    )
    reason: Literal['new', 'reset'] | UnsetType = UNSET


class SessionsResetResult(Struct, kw_only=True):
    key: str
    entry: SessionEntry
    ok: bool = True


class SessionsSubscribeParams(Struct, kw_only=True):
    pass


class SessionsSubscribeResult(Struct, kw_only=True):
    subscribed: bool


class ShutdownEvent(Strict, kw_only=True):
    reason: Annotated[str, Meta(min_length=1)]
    restart_expected_ms: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='restartExpectedMs', default=UNSET
    )


class StateVersion(Strict, kw_only=True):
    presence: Annotated[int, Meta(ge=0)]
    health: Annotated[int, Meta(ge=0)]


class StatusConfiguration(Struct, kw_only=True):
    revision: Annotated[str, Meta(min_length=1)]
    read_at: Annotated[int, Meta(ge=0)] = field(name='readAt')
    restart: list[str]
    mistake: str | UnsetType = UNSET


class StatusHeartbeat(Struct, kw_only=True):
    default_agent_id: str = field(name='defaultAgentId')
    agents: Annotated[list[dict[str, Any]], Meta(max_length=0)]


class StatusParams(Struct, kw_only=True):
    pass


class StatusResult(Struct, kw_only=True):
    runtime_version: str = field(name='runtimeVersion')
    uptime_ms: Annotated[int, Meta(ge=0)] = field(name='uptimeMs')
    connections: Annotated[int, Meta(ge=0)]
    active_runs: Annotated[int, Meta(ge=0)] = field(name='activeRuns')
    heartbeat: StatusHeartbeat
    channel_summary: list[str] = field(name='channelSummary')
    queued_system_events: list[str] = field(name='queuedSystemEvents')
    sessions: StatusSessions
    configuration: StatusConfiguration | UnsetType = UNSET


class StatusSessions(Struct, kw_only=True):
    paths: list[str]
    count: Annotated[int, Meta(ge=0)]
    defaults: SessionsDefaults
    recent: list[SessionRow]
    by_agent: Annotated[list[dict[str, Any]], Meta(max_length=0)] = field(
        name='byAgent'
    )


class SystemPresenceParams(Strict, kw_only=True):
    pass


SystemPresenceResult: TypeAlias = Annotated[list[dict[str, Any]], Meta(max_length=0)]


class TickEvent(Strict, kw_only=True):
    ts: Annotated[int, Meta(ge=0)]


class TokenUsage(Struct, kw_only=True):
    input: Annotated[int, Meta(ge=0)]
    output: Annotated[int, Meta(ge=0)]
    total: Annotated[int, Meta(ge=0)]
    cache_read: Annotated[int, Meta(ge=0)] | UnsetType = field(
        name='cacheRead', default=UNSET
    )


class ToolOverrides(Strict, kw_only=True):
    mcp_servers: dict[str, bool] | UnsetType = field(name='mcpServers', default=UNSET)
    mcp_tools_deny: dict[str, list[McpToolsDenyItem]] | UnsetType = field(
        name='mcpToolsDeny', default=UNSET
    )
    skills: dict[str, bool] | UnsetType = UNSET
    web_search: bool | UnsetType = field(name='webSearch', default=UNSET)


class UnavailableDetails(Struct, kw_only=True):
    reason: Literal['startup-sidecars'] = 'startup-sidecars'


class UnknownAgentIdErrorDetails(Strict, kw_only=True):
    agent_id: Annotated[str, Meta(min_length=1)] = field(name='agentId')
    code: Literal['UNKNOWN_AGENT_ID'] = 'UNKNOWN_AGENT_ID'


FRAMES_SHA256 = "f9102c1eafc38169e7a0cc78a3daf54b5ed29d5e1c74518dab12c5e33a0718b8"

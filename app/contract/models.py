"""The contract's schemas as structs.

Generated from openapi.yaml by `python -m contracts.generate`. Do not edit: change the contract and generate again.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from app.contract.strict import Strict
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

ChatCompletionAllowedTool: TypeAlias = dict[str, Any]


class ChatCompletionAllowedTools(Struct, kw_only=True):
    mode: Literal['auto', 'required']
    tools: list[ChatCompletionAllowedTool]


class ChatCompletionAllowedToolsChoice(Struct, kw_only=True, tag_field='type', tag='allowed_tools'):
    allowed_tools: ChatCompletionAllowedTools


class ChatCompletionAnnotation(Struct, kw_only=True):
    url_citation: ChatCompletionUrlCitation
    type: Literal['url_citation'] = 'url_citation'


class ChatCompletionAudio(Struct, kw_only=True):
    id: str
    expires_at: int
    data: str
    transcript: str


class ChatCompletionAudioParam(Struct, kw_only=True):
    voice: VoiceIdsOrCustomVoice
    format: Literal['wav', 'aac', 'mp3', 'flac', 'opus', 'pcm16']


class ChatCompletionChoice(Struct, kw_only=True):
    index: int
    message: ChatCompletionResponseMessage
    finish_reason: FinishReason
    logprobs: ChatCompletionLogprobs | None = None


class ChatCompletionChunkChoice(Struct, kw_only=True):
    index: int
    delta: ChatCompletionStreamResponseDelta
    logprobs: ChatCompletionLogprobs | None | UnsetType = UNSET
    finish_reason: FinishReason | None = None


class ChatCompletionCustomCallDelta(Struct, kw_only=True):
    name: str | UnsetType = UNSET
    input: str | UnsetType = UNSET


class ChatCompletionFunctionCallDelta(Struct, kw_only=True):
    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class ChatCompletionFunctionCallOption(Struct, kw_only=True):
    name: Annotated[str, Meta(max_length=8192)]


class ChatCompletionFunctions(Struct, kw_only=True):
    name: FunctionName
    description: str | None | UnsetType = UNSET
    parameters: FunctionParameters | None | UnsetType = UNSET


class ChatCompletionImageUrl(Struct, kw_only=True):
    url: ImageAddress
    detail: ImageDetail | None | UnsetType = UNSET


class ChatCompletionInputAudio(Struct, kw_only=True):
    data: str
    format: Literal['wav', 'mp3']


class ChatCompletionInputFile(Struct, kw_only=True):
    filename: Annotated[str, Meta(max_length=8192)] | None | UnsetType = UNSET
    file_data: str | None | UnsetType = UNSET
    file_id: Annotated[str, Meta(max_length=8192)] | None | UnsetType = UNSET


class ChatCompletionLogprobs(Struct, kw_only=True):
    content: list[ChatCompletionTokenLogprob] | None = None
    refusal: list[ChatCompletionTokenLogprob] | None = None


class ChatCompletionMessageCustomCall(Struct, kw_only=True):
    name: str
    input: str


class ChatCompletionMessageCustomToolCall(Struct, kw_only=True, tag_field='type', tag='custom'):
    id: str
    custom: ChatCompletionMessageCustomCall


class ChatCompletionMessageFunctionCall(Struct, kw_only=True):
    name: str
    arguments: str


class ChatCompletionMessageToolCall(Struct, kw_only=True, tag_field='type', tag='function'):
    id: str
    function: ChatCompletionMessageFunctionCall


class ChatCompletionMessageToolCallChunk(Struct, kw_only=True):
    index: int
    id: str | UnsetType = UNSET
    type: Literal['function'] | UnsetType = UNSET
    function: ChatCompletionFunctionCallDelta | UnsetType = UNSET
    custom: ChatCompletionCustomCallDelta | UnsetType = UNSET


ChatCompletionMessageToolCallItem: TypeAlias = ChatCompletionMessageToolCall | ChatCompletionMessageCustomToolCall


ChatCompletionMessageToolCalls: TypeAlias = list[ChatCompletionMessageToolCallItem]


class ChatCompletionModeration(Struct, kw_only=True):
    input: ChatCompletionModerationOutcome
    output: ChatCompletionModerationOutcome


class ChatCompletionModerationError(Struct, kw_only=True, tag_field='type', tag='error'):
    code: str
    message: str


class ChatCompletionModerationResults(Struct, kw_only=True, tag_field='type', tag='moderation_results'):
    model: str
    results: list[ModerationResultBody]


ChatCompletionModerationOutcome: TypeAlias = ChatCompletionModerationResults | ChatCompletionModerationError


class ChatCompletionNamedTool(Struct, kw_only=True):
    name: Annotated[str, Meta(max_length=8192)]


class ChatCompletionNamedToolChoice(Struct, kw_only=True, tag_field='type', tag='function'):
    function: ChatCompletionNamedTool


class ChatCompletionNamedToolChoiceCustom(Struct, kw_only=True, tag_field='type', tag='custom'):
    custom: ChatCompletionNamedTool


class ChatCompletionRequestAssistantAudio(Struct, kw_only=True):
    id: Annotated[str, Meta(max_length=8192)]


class ChatCompletionRequestAssistantMessage(Struct, kw_only=True, tag_field='role', tag='assistant'):
    content: (
        str | ChatCompletionRequestAssistantMessageContentParts | None | UnsetType
    ) = UNSET
    refusal: str | None | UnsetType = UNSET
    name: Annotated[str, Meta(max_length=8192)] | None | UnsetType = UNSET
    audio: ChatCompletionRequestAssistantAudio | None | UnsetType = UNSET
    tool_calls: ChatCompletionMessageToolCalls | None | UnsetType = UNSET
    function_call: ChatCompletionMessageFunctionCall | None | UnsetType = UNSET


class ChatCompletionRequestDeveloperMessage(Struct, kw_only=True, tag_field='role', tag='developer'):
    content: ChatCompletionTextContent
    name: Annotated[str, Meta(max_length=8192)] | None | UnsetType = UNSET


class ChatCompletionRequestFunctionMessage(Struct, kw_only=True, tag_field='role', tag='function'):
    content: str | None
    name: Annotated[str, Meta(max_length=8192)]


class ChatCompletionRequestMessageContentPartAudio(Struct, kw_only=True, tag_field='type', tag='input_audio'):
    input_audio: ChatCompletionInputAudio
    prompt_cache_breakpoint: PromptCacheBreakpointParam | None | UnsetType = UNSET


class ChatCompletionRequestMessageContentPartFile(Struct, kw_only=True, tag_field='type', tag='file'):
    file: ChatCompletionInputFile
    prompt_cache_breakpoint: PromptCacheBreakpointParam | None | UnsetType = UNSET


class ChatCompletionRequestMessageContentPartImage(Struct, kw_only=True, tag_field='type', tag='image_url'):
    image_url: ChatCompletionImageUrl
    prompt_cache_breakpoint: PromptCacheBreakpointParam | None | UnsetType = UNSET


class ChatCompletionRequestMessageContentPartInputImage(Struct, kw_only=True, tag_field='type', tag='input_image'):
    image_url: ImageAddress
    detail: ImageDetail | None | UnsetType = UNSET
    prompt_cache_breakpoint: PromptCacheBreakpointParam | None | UnsetType = UNSET


class ChatCompletionRequestMessageContentPartInputText(Struct, kw_only=True, tag_field='type', tag='input_text'):
    text: str
    prompt_cache_breakpoint: PromptCacheBreakpointParam | None | UnsetType = UNSET


class ChatCompletionRequestMessageContentPartRefusal(Struct, kw_only=True, tag_field='type', tag='refusal'):
    refusal: str


class ChatCompletionRequestMessageContentPartText(Struct, kw_only=True, tag_field='type', tag='text'):
    text: str
    prompt_cache_breakpoint: PromptCacheBreakpointParam | None | UnsetType = UNSET


ChatCompletionRequestAssistantMessageContentPart: TypeAlias = ChatCompletionRequestMessageContentPartText | ChatCompletionRequestMessageContentPartRefusal


ChatCompletionRequestAssistantMessageContentParts: TypeAlias = Annotated[
    list[ChatCompletionRequestAssistantMessageContentPart], Meta(min_length=1)
]


class ChatCompletionRequestSystemMessage(Struct, kw_only=True, tag_field='role', tag='system'):
    content: ChatCompletionTextContent
    name: Annotated[str, Meta(max_length=8192)] | None | UnsetType = UNSET


class ChatCompletionRequestToolMessage(Struct, kw_only=True, tag_field='role', tag='tool'):
    content: ChatCompletionTextContent
    tool_call_id: str


class ChatCompletionRequestUserMessage(Struct, kw_only=True, tag_field='role', tag='user'):
    content: str | ChatCompletionRequestUserMessageContentParts
    name: Annotated[str, Meta(max_length=8192)] | None | UnsetType = UNSET


ChatCompletionRequestMessage: TypeAlias = ChatCompletionRequestDeveloperMessage | ChatCompletionRequestSystemMessage | ChatCompletionRequestUserMessage | ChatCompletionRequestAssistantMessage | ChatCompletionRequestToolMessage | ChatCompletionRequestFunctionMessage


ChatCompletionRequestUserMessageContentPart: TypeAlias = ChatCompletionRequestMessageContentPartText | ChatCompletionRequestMessageContentPartImage | ChatCompletionRequestMessageContentPartAudio | ChatCompletionRequestMessageContentPartFile | ChatCompletionRequestMessageContentPartInputText | ChatCompletionRequestMessageContentPartInputImage


ChatCompletionRequestUserMessageContentParts: TypeAlias = Annotated[
    list[ChatCompletionRequestUserMessageContentPart], Meta(min_length=1)
]


class ChatCompletionResponseMessage(Struct, kw_only=True):
    role: Literal['assistant'] = 'assistant'
    content: str | None = None
    refusal: str | None = None
    tool_calls: ChatCompletionMessageToolCalls | UnsetType = UNSET
    annotations: list[ChatCompletionAnnotation] | UnsetType = UNSET
    audio: ChatCompletionAudio | None | UnsetType = UNSET
    function_call: ChatCompletionMessageFunctionCall | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET


class ChatCompletionStreamOptions(Struct, kw_only=True):
    include_usage: bool | None | UnsetType = UNSET
    include_obfuscation: bool | None | UnsetType = UNSET


class ChatCompletionStreamResponseDelta(Struct, kw_only=True):
    role: Literal['developer', 'system', 'user', 'assistant', 'tool'] | UnsetType = (
        UNSET
    )
    content: str | None | UnsetType = UNSET
    refusal: str | None | UnsetType = UNSET
    tool_calls: list[ChatCompletionMessageToolCallChunk] | UnsetType = UNSET
    function_call: ChatCompletionFunctionCallDelta | UnsetType = UNSET
    reasoning_content: str | None | UnsetType = UNSET
    reasoning: str | None | UnsetType = UNSET


class ChatCompletionTextOnlyPart(Struct, kw_only=True):
    type: TextPartType
    text: str
    prompt_cache_breakpoint: PromptCacheBreakpointParam | None | UnsetType = UNSET


ChatCompletionTextOnlyParts: TypeAlias = Annotated[
    list[ChatCompletionTextOnlyPart], Meta(min_length=1)
]


ChatCompletionTextContent: TypeAlias = str | ChatCompletionTextOnlyParts


class ChatCompletionTokenLogprob(Struct, kw_only=True):
    token: str
    logprob: float
    top_logprobs: list[ChatCompletionTopLogprob]
    bytes: list[int] | None = None


class ChatCompletionTool(Struct, kw_only=True, tag_field='type', tag='function'):
    function: FunctionObject


ChatCompletionToolChoiceObject: TypeAlias = ChatCompletionAllowedToolsChoice | ChatCompletionNamedToolChoice | ChatCompletionNamedToolChoiceCustom


class ChatCompletionTopLogprob(Struct, kw_only=True):
    token: str
    logprob: float
    bytes: list[int] | None = None


class ChatCompletionUrlCitation(Struct, kw_only=True):
    start_index: int
    end_index: int
    url: str
    title: str


class CompletionTokensDetails(Struct, kw_only=True):
    reasoning_tokens: int | UnsetType = UNSET
    text_tokens: int | UnsetType = UNSET
    audio_tokens: int | UnsetType = UNSET
    accepted_prediction_tokens: int | UnsetType = UNSET
    rejected_prediction_tokens: int | UnsetType = UNSET


class CompletionUsage(Struct, kw_only=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails | UnsetType = UNSET
    completion_tokens_details: CompletionTokensDetails | UnsetType = UNSET


ContractDocument: TypeAlias = dict[str, Any]


class CreateChatCompletionRequest(Struct, kw_only=True):
    model: Annotated[str, Meta(max_length=512, min_length=1)]
    messages: Annotated[list[ChatCompletionRequestMessage], Meta(min_length=1)]
    stream: bool | None | UnsetType = UNSET
    stream_options: ChatCompletionStreamOptions | None | UnsetType = UNSET
    user: Annotated[str, Meta(max_length=8192)] | None | UnsetType = UNSET
    store: bool | None | UnsetType = UNSET
    metadata: Metadata | None | UnsetType = UNSET
    n: Annotated[int, Meta(ge=1, le=128)] | None | UnsetType = UNSET
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None | UnsetType = UNSET
    max_tokens: Annotated[int, Meta(ge=1)] | None | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0.0, le=2.0)] | None | UnsetType = UNSET
    top_p: Annotated[float, Meta(ge=0.0, le=1.0)] | None | UnsetType = UNSET
    frequency_penalty: Annotated[float, Meta(ge=-2.0, le=2.0)] | None | UnsetType = (
        UNSET
    )
    presence_penalty: Annotated[float, Meta(ge=-2.0, le=2.0)] | None | UnsetType = UNSET
    seed: (
        Annotated[int, Meta(ge=-9223372036854775808, le=9223372036854775807)]
        | None
        | UnsetType
    ) = UNSET
    stop: str | StopSequences | None | UnsetType = UNSET
    logit_bias: LogitBias | None | UnsetType = UNSET
    logprobs: bool | None | UnsetType = UNSET
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None | UnsetType = UNSET
    response_format: ResponseFormat | None | UnsetType = UNSET
    tools: list[ChatCompletionToolDefinition] | None | UnsetType = UNSET
    tool_choice: ChatCompletionToolChoiceOption | None | UnsetType = UNSET
    parallel_tool_calls: bool | None | UnsetType = UNSET
    functions: (
        Annotated[list[ChatCompletionFunctions], Meta(max_length=128, min_length=1)]
        | None
        | UnsetType
    ) = UNSET
    function_call: (
        FunctionCallMode | ChatCompletionFunctionCallOption | None | UnsetType
    ) = UNSET
    reasoning_effort: ReasoningEffort | None | UnsetType = UNSET
    verbosity: Verbosity | None | UnsetType = UNSET
    modalities: list[OutputModality] | None | UnsetType = UNSET
    audio: ChatCompletionAudioParam | None | UnsetType = UNSET
    prediction: PredictionContent | None | UnsetType = UNSET
    web_search_options: WebSearchOptions | None | UnsetType = UNSET
    moderation: ModerationParam | None | UnsetType = UNSET
    service_tier: ServiceTier | None | UnsetType = UNSET
    safety_identifier: Annotated[str, Meta(max_length=64)] | None | UnsetType = UNSET
    prompt_cache_key: Annotated[str, Meta(max_length=8192)] | None | UnsetType = UNSET
    prompt_cache_retention: PromptCacheRetention | None | UnsetType = UNSET
    prompt_cache_options: PromptCacheOptionsParam | None | UnsetType = UNSET


class CreateChatCompletionResponse(Struct, kw_only=True):
    id: str
    created: int
    model: str
    choices: list[ChatCompletionChoice]
    object: Literal['chat.completion'] = 'chat.completion'
    usage: CompletionUsage | UnsetType = UNSET
    service_tier: ServiceTier | None | UnsetType = UNSET
    system_fingerprint: str | UnsetType = UNSET
    metadata: Metadata | None | UnsetType = UNSET
    moderation: ChatCompletionModeration | None | UnsetType = UNSET


class CreateChatCompletionStreamResponse(Struct, kw_only=True):
    id: str
    created: int
    model: str
    choices: list[ChatCompletionChunkChoice]
    object: Literal['chat.completion.chunk'] = 'chat.completion.chunk'
    usage: CompletionUsage | None | UnsetType = UNSET
    x_zero_usage: UsageOrigin | UnsetType = UNSET
    service_tier: ServiceTier | None | UnsetType = UNSET
    system_fingerprint: str | UnsetType = UNSET
    obfuscation: str | UnsetType = UNSET
    moderation: ChatCompletionModeration | None | UnsetType = UNSET


class CustomToolChatCompletions(Struct, kw_only=True, tag_field='type', tag='custom'):
    custom: CustomToolProperties


ChatCompletionToolDefinition: TypeAlias = ChatCompletionTool | CustomToolChatCompletions


class CustomToolGrammar(Struct, kw_only=True):
    definition: str
    syntax: Literal['lark', 'regex']


class CustomToolGrammarFormat(Strict, kw_only=True, tag_field='type', tag='grammar'):
    grammar: CustomToolGrammar


class CustomToolProperties(Struct, kw_only=True):
    name: Annotated[str, Meta(max_length=8192)]
    description: str | None | UnsetType = UNSET
    format: CustomToolFormat | None | UnsetType = UNSET


class CustomToolTextFormat(Strict, kw_only=True, tag_field='type', tag='text'):
    pass


CustomToolFormat: TypeAlias = CustomToolTextFormat | CustomToolGrammarFormat


class CustomVoice(Strict, kw_only=True):
    id: Annotated[str, Meta(max_length=8192)]


class Error(Struct, kw_only=True):
    message: str
    type: ErrorType
    param: str | None = None
    code: str | None = None


class ErrorResponse(Struct, kw_only=True):
    error: Error


ErrorType: TypeAlias = Literal['invalid_request_error', 'permission_error', 'rate_limit_error', 'server_error', 'requests', 'tokens']


FinishReason: TypeAlias = Literal['stop', 'length', 'tool_calls', 'content_filter', 'function_call']


FunctionCallMode: TypeAlias = Literal['none', 'auto']


FunctionName: TypeAlias = Annotated[
    str, Meta(max_length=64, min_length=1, pattern='^[A-Za-z0-9_-]{1,64}$(?!\\n)')
]


class FunctionObject(Struct, kw_only=True):
    name: FunctionName
    description: str | None | UnsetType = UNSET
    parameters: FunctionParameters | None | UnsetType = UNSET
    strict: bool | None | UnsetType = UNSET


FunctionParameters: TypeAlias = dict[str, Any]


class HealthStatus(Struct, kw_only=True):
    status: Literal['ok'] = 'ok'


ImageAddress: TypeAlias = Annotated[
    str,
    Meta(
        pattern='^(?:[Hh][Tt][Tt][Pp][Ss]?://[^\\s/?#]\\S{0,8000}|[Dd][Aa][Tt][Aa]:[^,;\\s]{0,127}(?:;[^,;\\s]{1,127}){0,8}?;[Bb][Aa][Ss][Ee]64,[A-Za-z0-9+/_-][^ ]*)$(?!\\n)'
    ),
]


ImageDetail: TypeAlias = Literal['auto', 'low', 'high']


class ListModelsResponse(Struct, kw_only=True):
    data: list[Model]
    object: Literal['list'] = 'list'


LogitBiasValue: TypeAlias = Annotated[int, Meta(ge=-100, le=100)]


LogitBias: TypeAlias = dict[str, LogitBiasValue]


MetadataKey: TypeAlias = Annotated[str, Meta(max_length=64)]


MetadataValue: TypeAlias = Annotated[str, Meta(max_length=512)]


Metadata: TypeAlias = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=16)]


class Model(Struct, kw_only=True):
    id: str
    created: int
    owned_by: str
    object: Literal['model'] = 'model'
    shutdown_date: str | None | UnsetType = UNSET


class ModerationConfigParam(Struct, kw_only=True):
    mode: Literal['score', 'block']


ModerationInputType: TypeAlias = Literal['text', 'image']


class ModerationParam(Struct, kw_only=True):
    model: Annotated[str, Meta(max_length=8192)]
    policy: ModerationPolicyParam | None | UnsetType = UNSET


class ModerationPolicyParam(Struct, kw_only=True):
    input: ModerationConfigParam | None | UnsetType = UNSET
    output: ModerationConfigParam | None | UnsetType = UNSET


class ModerationResultBody(Struct, kw_only=True):
    model: str
    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[ModerationInputType]]
    type: Literal['moderation_result'] = 'moderation_result'


OutputModality: TypeAlias = Literal['text', 'audio']


class PredictionContent(Struct, kw_only=True):
    type: Literal['content']
    content: ChatCompletionTextContent


class PromptCacheBreakpointParam(Struct, kw_only=True):
    mode: Literal['explicit']
    ttl: Literal['30m', '12h'] | UnsetType = UNSET


class PromptCacheOptionsParam(Struct, kw_only=True):
    ttl: Literal['30m'] | UnsetType = UNSET
    mode: Literal['implicit', 'explicit'] | UnsetType = UNSET


PromptCacheRetention: TypeAlias = Literal['in_memory', '24h']


class PromptTokensDetails(Struct, kw_only=True):
    cached_tokens: int | UnsetType = UNSET
    cache_write_tokens: int | UnsetType = UNSET
    text_tokens: int | UnsetType = UNSET
    audio_tokens: int | UnsetType = UNSET
    image_tokens: int | UnsetType = UNSET


class ReadinessStatus(Struct, kw_only=True):
    status: Literal['ready'] = 'ready'


ReasoningEffort: TypeAlias = Literal['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']


class ResponseFormatJsonObject(Struct, kw_only=True, tag_field='type', tag='json_object'):
    pass


class ResponseFormatJsonSchema(Struct, kw_only=True, tag_field='type', tag='json_schema'):
    json_schema: ResponseFormatJsonSchemaDefinition


class ResponseFormatJsonSchemaDefinition(Struct, kw_only=True):
    name: FunctionName
    description: str | None | UnsetType = UNSET
    schema: ResponseFormatJsonSchemaSchema | None | UnsetType = UNSET
    strict: bool | None | UnsetType = UNSET


ResponseFormatJsonSchemaSchema: TypeAlias = dict[str, Any]


class ResponseFormatText(Struct, kw_only=True, tag_field='type', tag='text'):
    pass


ResponseFormat: TypeAlias = ResponseFormatText | ResponseFormatJsonSchema | ResponseFormatJsonObject


ServiceTier: TypeAlias = Literal['auto', 'default', 'flex', 'scale', 'priority', 'fast']


class Session(Struct, kw_only=True):
    id: str
    agent: str
    created_at: float
    updated_at: float
    object: Literal['session'] = 'session'
    message_count: int | UnsetType = UNSET
    branch_count: int | UnsetType = UNSET


class SessionBranch(Struct, kw_only=True):
    id: str
    active: bool
    message_count: int
    updated_at: float
    object: Literal['session.branch'] = 'session.branch'


class SessionBranchList(Struct, kw_only=True):
    data: list[SessionBranch]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal['list'] = 'list'


class SessionDeleted(Struct, kw_only=True):
    id: str
    object: Literal['session.deleted'] = 'session.deleted'
    deleted: bool = True


class SessionImport(Struct, kw_only=True):
    id: str
    outcome: SessionImportOutcome
    added: int
    object: Literal['session.import'] = 'session.import'


class SessionImportList(Struct, kw_only=True):
    data: list[SessionImport]
    object: Literal['list'] = 'list'


SessionImportOutcome: TypeAlias = Literal['created', 'continued', 'merged', 'unchanged']


class SessionList(Struct, kw_only=True):
    data: list[Session]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal['list'] = 'list'


class SessionMessage(Struct, kw_only=True):
    id: str
    parent: str | None
    digest: str
    role: str
    run_id: str
    created_at: float
    body: Raw
    object: Literal['session.message'] = 'session.message'


SessionMessageBody: TypeAlias = dict[str, Any]


class SessionMessageList(Struct, kw_only=True):
    data: list[SessionMessage]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal['list'] = 'list'


class SessionsDeleted(Struct, kw_only=True):
    user: str
    deleted: int
    object: Literal['sessions.deleted'] = 'sessions.deleted'


Span: TypeAlias = Annotated[
    str,
    Meta(
        pattern='^(?:(?:[0-9]+h[0-9]+m|[0-9]+m)?[0-9]+(?:\\.[0-9]{1,3})?s|[0-9]+ms)$(?!\\n)'
    ),
]


StopSequences: TypeAlias = Annotated[list[str], Meta(max_length=4, min_length=1)]


TextPartType: TypeAlias = Literal['text', 'input_text']


ToolChoiceMode: TypeAlias = Literal['none', 'auto', 'required']


ChatCompletionToolChoiceOption: TypeAlias = ToolChoiceMode | ChatCompletionToolChoiceObject


UsageOrigin: TypeAlias = Literal['estimated']


Verbosity: TypeAlias = Literal['low', 'medium', 'high']


VoiceName: TypeAlias = Annotated[str, Meta(max_length=8192)]


VoiceIdsOrCustomVoice: TypeAlias = VoiceName | CustomVoice


class WebSearchLocation(Struct, kw_only=True):
    country: Annotated[str, Meta(max_length=8192)] | UnsetType = UNSET
    region: Annotated[str, Meta(max_length=8192)] | UnsetType = UNSET
    city: Annotated[str, Meta(max_length=8192)] | UnsetType = UNSET
    timezone: Annotated[str, Meta(max_length=8192)] | UnsetType = UNSET


class WebSearchOptions(Struct, kw_only=True):
    user_location: WebSearchUserLocation | None | UnsetType = UNSET
    search_context_size: Literal['low', 'medium', 'high'] | UnsetType = UNSET


class WebSearchUserLocation(Struct, kw_only=True):
    type: Literal['approximate']
    approximate: WebSearchLocation


CONTRACT_SHA256 = "47ea84e072abded0044da39ba9a8a0073a28b034eb936787f5e75f92b1bd2158"

"""Valid request bodies that together use everything the contract describes."""

from tests.official import Json

BREAKPOINT: Json = {"mode": "explicit", "ttl": "12h"}
TEXT: Json = {"type": "text", "text": "a", "prompt_cache_breakpoint": BREAKPOINT}
TOOL_CALL: Json = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CUSTOM_CALL: Json = {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "x"}}
USER: Json = {"role": "user", "content": "hi", "name": "maria"}

MESSAGES: dict[str, list[Json]] = {
    "developer": [
        {"role": "developer", "content": "Be brief.", "name": "app"},
        {"role": "developer", "content": [TEXT, {"type": "input_text", "text": "hi"}]},
        {"role": "developer", "content": ""},
    ],
    "system": [{"role": "system", "content": "Be brief.", "name": "app"}, {"role": "system", "content": [TEXT, TEXT]}],
    "user": [
        USER,
        {
            "role": "user",
            "content": [
                TEXT,
                {
                    "type": "image_url",
                    "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"},
                    "prompt_cache_breakpoint": BREAKPOINT,
                },
                {
                    "type": "input_audio",
                    "input_audio": {"data": "AA==", "format": "wav"},
                    "prompt_cache_breakpoint": BREAKPOINT,
                },
                {
                    "type": "file",
                    "file": {"filename": "a.pdf", "file_data": "AA==", "file_id": "file-1"},
                    "prompt_cache_breakpoint": BREAKPOINT,
                },
                {"type": "file", "file": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "hi", "prompt_cache_breakpoint": BREAKPOINT},
                {
                    "type": "input_image",
                    "image_url": "https://images.example.com/a.png?size=1",
                    "detail": "high",
                    "prompt_cache_breakpoint": BREAKPOINT,
                },
            ],
        },
    ],
    "assistant": [
        {"role": "assistant"},
        {"role": "assistant", "content": "Hello.", "refusal": None, "name": "zero", "audio": None},
        {"role": "assistant", "content": [TEXT, {"type": "refusal", "refusal": "no"}], "refusal": "no"},
        {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL, CUSTOM_CALL], "audio": {"id": "audio_1"}},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{"}},
        {"role": "assistant", "function_call": None},
        {"role": "assistant", "content": "Hello.", "tool_calls": None, "name": None},
    ],
    "tool": [
        {"role": "tool", "content": "21", "tool_call_id": "call_1"},
        {"role": "tool", "content": [TEXT], "tool_call_id": "call_1"},
    ],
    "function": [
        {"role": "function", "name": "f", "content": "21"},
        {"role": "function", "name": "f", "content": None},
    ],
}

SCHEMA: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}

# Each value of a field alone in an otherwise smallest body.
FIELDS: dict[str, list[Json]] = {
    "model": ["zero", "zero:research", "agent:a", "gpt-4o", "x" * 300],
    "stream": [True, False, None],
    "stream_options": [{"include_usage": True, "include_obfuscation": False}, {}, None],
    "user": ["maria", "", None],
    "store": [True, None],
    "metadata": [{"k" * 64: "v" * 512}, {str(i): "" for i in range(16)}, {}, None],
    "n": [1, 128, None],
    "max_completion_tokens": [1, 100_000, None],
    "max_tokens": [1, None],
    "temperature": [0, 0.7, 2, None],
    "top_p": [0, 1, 0.5, None],
    "frequency_penalty": [-2, 2, None],
    "presence_penalty": [-2, 2, None],
    "seed": [-(2**63), 2**63 - 1, 0, None],
    "stop": ["\n", ["a", "b", "c", "d"], None],
    "logit_bias": [{"50256": -100, "1": 100}, {}, None],
    "logprobs": [True, None],
    "top_logprobs": [0, 20, None],
    "response_format": [
        {"type": "text"},
        {"type": "json_object"},
        {
            "type": "json_schema",
            "json_schema": {"name": "city_1-x", "description": "d", "schema": SCHEMA, "strict": True},
        },
        {"type": "json_schema", "json_schema": {"name": "x" * 64, "strict": None}},
        None,
    ],
    "tools": [
        [],
        [
            {
                "type": "function",
                "function": {"name": "get_weather", "description": "d", "parameters": SCHEMA, "strict": True},
            },
            {"type": "function", "function": {"name": "f", "strict": None}},
            {"type": "custom", "custom": {"name": "c", "description": "d", "format": {"type": "text"}}},
            {
                "type": "custom",
                "custom": {
                    "name": "c",
                    "format": {"type": "grammar", "grammar": {"definition": "a", "syntax": "lark"}},
                },
            },
        ],
        [{"type": "function", "function": {"name": f"f{i}"}} for i in range(129)],
        None,
    ],
    "tool_choice": [
        "none",
        "auto",
        "required",
        {"type": "function", "function": {"name": "f"}},
        {"type": "custom", "custom": {"name": "c"}},
        {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
        },
        None,
    ],
    "parallel_tool_calls": [True, False, None],
    "functions": [[{"name": "f", "description": "d", "parameters": SCHEMA}], None],
    "function_call": ["none", "auto", {"name": "f"}, None],
    "reasoning_effort": ["none", "minimal", "low", "medium", "high", "xhigh", "max", None],
    "verbosity": ["low", "medium", "high", None],
    "modalities": [["text", "audio"], [], None],
    "audio": [{"voice": "alloy", "format": "mp3"}, {"voice": {"id": "voice_1"}, "format": "wav"}, None],
    "prediction": [{"type": "content", "content": "a"}, {"type": "content", "content": [TEXT]}, None],
    "web_search_options": [
        {
            "search_context_size": "low",
            "user_location": {
                "type": "approximate",
                "approximate": {"country": "PT", "region": "Lisboa", "city": "Lisboa", "timezone": "Europe/Lisbon"},
            },
        },
        {"user_location": None},
        {},
        None,
    ],
    "moderation": [
        {"model": "m", "policy": {"input": {"mode": "score"}, "output": {"mode": "block"}}},
        {"model": "m", "policy": {"input": None, "output": None}},
        {"model": "m", "policy": None},
        None,
    ],
    "service_tier": ["auto", "default", "flex", "scale", "priority", "fast", None],
    "safety_identifier": ["x" * 64, None],
    "prompt_cache_key": ["k", None],
    "prompt_cache_retention": ["in_memory", "24h", None],
    "prompt_cache_options": [{"ttl": "30m", "mode": "explicit"}, {"mode": "implicit"}, {}, None],
}


def bodies() -> dict[str, dict[str, Json]]:
    """Build the bodies, each under a name for the test report."""
    smallest: dict[str, Json] = {"model": "zero", "messages": [{"role": "user", "content": "hi"}]}
    every = {"smallest": smallest}
    for role, messages in MESSAGES.items():
        for i, message in enumerate(messages):
            every[f"{role} message {i}"] = {"model": "zero", "messages": [message, USER]}
    for name, values in FIELDS.items():
        every |= {f"{name} {i}": {**smallest, name: value} for i, value in enumerate(values)}
    return every

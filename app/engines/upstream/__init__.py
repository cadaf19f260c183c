"""Any OpenAI-compatible service as an engine: Ollama, vLLM, llama.cpp, OpenAI, OpenRouter, LiteLLM, ..."""

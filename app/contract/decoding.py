"""From JSON bytes to a struct of the contract, and from a validation error to one that names the field.

Knows msgspec's error texts, which are the only place where it says what and where. Pure.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

from app.errors import InvalidRequest

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
        try:
            decoded = self._decoder.decode(body)
            _read_whole(body)
            return decoded
        except msgspec.ValidationError as error:
            if "got `float`" not in str(error):
                raise _invalid(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _unparsable(error) from None
        # JSON Schema calls 1.0 an integer, msgspec doesn't. Only bodies that failed over it pay for the second try.
        try:
            return msgspec.convert(_with_integers(_read_whole(body)), self._type)
        except msgspec.ValidationError as error:
            raise _invalid(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
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
    # Few bodies have that many brackets at all, and counting bytes costs next to nothing.
    if body.count(b"[") + body.count(b"{") <= _MAX_DEPTH:
        return value
    level: list[Any] = [value]
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
    return InvalidRequest(f"Invalid value{where}: {f'expected {form}' if form else text}.", param=path or None)


def _with_integers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _with_integers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_integers(inner) for inner in value]
    return value

"""From the plain tree to the configuration structs, and the exact words when that fails.

Owns the wording for unknown keys and wrong types. Reads the rules off the structs and knows no key by itself.
Rules: design.md, Configuration ("Strict").
"""

from __future__ import annotations

import msgspec
from msgspec import inspect

from .error import RuleError, suggestion
from .json_value import JsonObject, JsonValue
from .key_path import KeyPath
from .structs import Config


def decode(tree: JsonObject) -> Config:
    """Make the configuration out of its tree.

    Args:
        tree: The tree, with includes and variables resolved. 18789.0 counts as a whole number, as in JSON Schema.

    Returns:
        The configuration, not yet checked for what types can't say.

    Raises:
        RuleError: An unknown or missing key, a wrong type or a value out of bounds; no string's value is shown.
    """
    try:
        return msgspec.convert(tree, Config)
    except msgspec.ValidationError:
        pass  # msgspec hides map keys in its paths and doesn't suggest; the slow way below does both
    corrected = _examine(tree, inspect.type_info(Config), ())
    try:
        return msgspec.convert(corrected, Config)
    except msgspec.ValidationError:  # pragma: no cover - would be a rule that _examine doesn't know
        raise RuleError((), "a value has the wrong type", "Compare the file with the documentation.") from None


def _examine(value: JsonValue, expected: inspect.Type, path: KeyPath) -> JsonValue:
    """Return the value as the type wants it, or raise the fault."""
    options = expected.types if isinstance(expected, inspect.UnionType) else (expected,)
    for option in options:
        if isinstance(option, inspect.AnyType) or (isinstance(option, inspect.NoneType) and value is None):
            return value
        if isinstance(value, dict):
            if isinstance(option, inspect.StructType):
                return _struct(value, option, path)
            if isinstance(option, inspect.DictType):
                return {key: _examine(item, option.value_type, (*path, key)) for key, item in value.items()}
        elif isinstance(value, list):
            if isinstance(option, inspect.VarTupleType):
                return [_examine(item, option.item_type, (*path, index)) for index, item in enumerate(value)]
        elif _fits(value, option):
            return int(value) if isinstance(option, inspect.IntType) and isinstance(value, float) else value
    raise _mismatch(value, tuple(option for option in options if not isinstance(option, inspect.NoneType)), path)


def _struct(value: JsonObject, expected: inspect.StructType, path: KeyPath) -> JsonObject:
    fields = {field.encode_name: field for field in expected.fields}
    for key in value:
        if key not in fields:
            raise RuleError((*path, key), "unknown key", suggestion(key, fields))
    for name, field in fields.items():
        if field.required and name not in value:
            raise RuleError((*path, name), "the key is missing", f"Add {name}, {_described(field.type)}.")
    return {key: _examine(item, fields[key].type, (*path, key)) for key, item in value.items()}


def _fits(value: JsonValue, option: inspect.Type) -> bool:
    if isinstance(option, inspect.LiteralType):
        return isinstance(value, str) and value in option.values
    if isinstance(option, inspect.StrType):
        return isinstance(value, str) and len(value) >= (option.min_length or 0)
    if isinstance(option, inspect.BoolType):
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(option, inspect.IntType):
        return float(value).is_integer() and _within(value, option)
    return isinstance(option, inspect.FloatType) and _within(value, option)


def _within(value: float, bounds: inspect.IntType | inspect.FloatType) -> bool:
    return (
        (bounds.ge is None or value >= bounds.ge)
        and (bounds.gt is None or value > bounds.gt)
        and (bounds.le is None or value <= bounds.le)
    )


def _mismatch(value: JsonValue, options: tuple[inspect.Type, ...], path: KeyPath) -> RuleError:
    number = any(isinstance(option, inspect.IntType | inspect.FloatType) for option in options)
    expected = " or ".join(_described(option) for option in options)
    if isinstance(value, str):
        words = [word for option in options if isinstance(option, inspect.LiteralType) for word in option.values]
        near = suggestion(value, [word for word in words if isinstance(word, str)])
        if words:
            return RuleError(path, f"expected {expected}, got another string", near)
        if number or any(isinstance(option, inspect.BoolType) for option in options):
            advice = "Write it without quotes; a variable is always a string."
            return RuleError(path, f"expected {expected}, got a string", advice)
        if not value and any(isinstance(option, inspect.StrType) for option in options):
            return RuleError(path, f"expected {expected}, got an empty string", "Write a text, or remove it.")
    if value is None:
        return RuleError(path, f"expected {expected}, got null", "Remove the key to use its default.")
    # A number may be shown where a number belongs; where a string belongs it could be a secret without its quotes.
    shown = str(value) if number and isinstance(value, int | float) and not isinstance(value, bool) else _kind(value)
    return RuleError(path, f"expected {expected}, got {shown}", "Correct the value.")


def _kind(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"


def _described(option: inspect.Type) -> str:
    if isinstance(option, inspect.LiteralType):
        words = ", ".join(f'"{word}"' for word in option.values)
        return f"one of {words}" if len(option.values) > 1 else words
    if isinstance(option, inspect.StrType):
        return "a non-empty string" if option.min_length else "a string"
    if isinstance(option, inspect.BoolType):
        return "true or false"
    if isinstance(option, inspect.IntType):
        return "a whole number" + _bounds(option)
    if isinstance(option, inspect.FloatType):
        return "a number" + _bounds(option)
    return "a list" if isinstance(option, inspect.VarTupleType) else "an object"


def _bounds(option: inspect.IntType | inspect.FloatType) -> str:
    if option.le is not None:
        return f" from {option.ge:g} to {option.le:g}"
    if option.gt is not None:
        return f" greater than {option.gt:g}"
    return "" if option.ge is None else f" of at least {option.ge:g}"

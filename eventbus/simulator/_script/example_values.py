"""
Values that fit a JSON schema: the arguments of a call for which the scenario gives none.

The schema is a client's, so it may be anything: a value that isn't a schema becomes null, and so
does one that is too deep.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_DEEPEST: Final = 5  # a schema may contain itself, several times
_NO_SCHEMA: Final[Mapping[str, Any]] = {}


def example_value(schema: object, word: str) -> Any:
    """
    Return a value that fits *schema*, as far as its type, its choices and its required parts go.

    Args:
        schema: A JSON schema, like a tool's parameters.
        word: The value of a text without constraints.
    """
    return _value(schema, schema, word, 0)


def _value(schema: object, root: object, word: str, depth: int) -> Any:
    if depth > _DEEPEST:
        return None
    schema = _resolved(schema, root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if choices := _list(schema.get(key)):
            return choices[0]
    for key in ("anyOf", "oneOf", "allOf"):
        if choices := _list(schema.get(key)):
            return _value(choices[0], root, word, depth + 1)
    kind = schema.get("type")
    kind = next(iter(_list(kind)), kind)  # the first of several types
    if kind == "object" or "properties" in schema:
        properties = _mapping(schema.get("properties"))
        names = [name for name in _list(schema.get("required")) if isinstance(name, str)]
        return {name: _value(properties.get(name), root, word, depth + 1) for name in names}
    simple = {"string": word, "integer": 1, "number": 1.0, "boolean": True, "array": []}
    return simple.get(str(kind))


def _resolved(schema: object, root: object) -> Mapping[str, Any]:
    """Follow a reference into the same document; one to another document isn't followed."""
    schema = _mapping(schema)
    steps = str(schema.get("$ref", "")).split("/")
    if steps[0] != "#":
        return schema
    found = root
    for step in steps[1:]:
        found = _mapping(found).get(step)
    found = _mapping(found)
    return _NO_SCHEMA if "$ref" in found else found


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else _NO_SCHEMA


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []

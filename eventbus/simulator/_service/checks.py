"""
Checks of a client's JSON: small functions that refuse a value, and name its place.

A check is called with the value and its path, like ``session.audio.output.voice``. It returns
nothing, or raises the `RequestError` that becomes the protocol's ``error`` event. Checks are
made from checks: `record` and `list_of` append their field or index to the path.

Null for an optional field means that the field isn't given, and the field is removed; so clients
may write out their defaults. `nullable` fields keep it, as there null is a value of its own, and
`never_null` is for those for which the service is known to refuse it.

msgspec could check the same shapes, but its errors are one text, with the place and the
reason in words. The service's errors have a code (``integer_below_min_value``) and a path as
fields of their own, which would have to be parsed out of that text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeAlias

import attrs

Check: TypeAlias = Callable[[Any, str], None]
"""Raises `RequestError` if the value, at the path, can't be accepted."""

_SHOWN_CHARACTERS: Final = 60
_MAX_DEPTH: Final = 100


class RequestError(Exception):
    """
    A client's message can't be done; the session goes on.

    Attributes:
        code: The service's name for the mistake, like ``invalid_value``.
        param: The path of the field that is wrong, if one is.
        type: ``invalid_request_error``, or ``server_error`` if it isn't the client's fault.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None,
        param: str | None = None,
        type: str = "invalid_request_error",  # noqa: A002  # the field's name
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.type = type


def anything(_value: Any, _path: str) -> None:
    """Accept any value."""


def text(*, max_length: int | None = None, pattern: str | None = None) -> Check:
    """Return a check for a string, of at most *max_length* characters, all of it as *pattern*."""
    matches = re.compile(pattern).fullmatch if pattern is not None else None

    def check(value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise _wrong_type(value, path, "a string")
        if max_length is not None and len(value) > max_length:
            msg = (
                f"Invalid '{path}': string too long. Expected a string with maximum length "
                f"{max_length}, but got a string with length {len(value)} instead."
            )
            raise RequestError(msg, code="string_above_max_length", param=path)
        if matches is not None and not matches(value):
            msg = (
                f"Invalid '{path}': string does not match pattern. Expected a string that "
                f"matches the pattern '{pattern}'."
            )
            raise RequestError(msg, code="invalid_value", param=path)

    return check


def choice(*values: str) -> Check:
    """Return a check for one of *values*."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise _wrong_type(value, path, f"one of {_listing(values)}")
        if value not in values:
            msg = f"Invalid value: {_shown(value)}. Supported values are: {_listing(values)}."
            raise RequestError(msg, code="invalid_value", param=path)

    return check


def flag(value: Any, path: str) -> None:
    """Accept true and false."""
    if not isinstance(value, bool):
        raise _wrong_type(value, path, "a boolean")


def integer(*, low: int, high: int = 2**31 - 1) -> Check:
    """Return a check for a whole number from *low* to *high*."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong_type(value, path, "an integer")
        _check_range(value, path, low, high, "integer")

    return check


def number(*, low: float, high: float) -> Check:
    """Return a check for a number from *low* to *high*."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _wrong_type(value, path, "a number")
        _check_range(value, path, low, high, "decimal")

    return check


@attrs.frozen
class _Nullable:
    """Accepts null beside the values that *inner* accepts."""

    inner: Check

    def __call__(self, value: Any, path: str) -> None:
        if value is not None:
            self.inner(value, path)


@attrs.frozen
class _NeverNull:
    """Refuses null like any other value of a wrong type."""

    inner: Check

    def __call__(self, value: Any, path: str) -> None:
        self.inner(value, path)


def nullable(inner: Check) -> Check:
    """Return a check that accepts null, too, which is a value of its own there."""
    return _Nullable(inner)


def never_null(inner: Check) -> Check:
    """Return a check for an optional field that can be left out, and can't be null."""
    return _NeverNull(inner)


def one_of(what: str, **by_type: Check) -> Check:
    """
    Return a check that depends on the JSON type of the value.

    Args:
        what: The expected value in words, for the message.
        by_type: The check for each; ``str``, ``int``, ``dict``, ``list``.
    """

    def check(value: Any, path: str) -> None:
        inner = by_type.get(type(value).__name__)
        if inner is None:
            raise _wrong_type(value, path, what)
        inner(value, path)

    return check


def list_of(inner: Check, *, max_length: int | None = None) -> Check:
    """Return a check for an array in which *inner* accepts every element."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise _wrong_type(value, path, "an array")
        if max_length is not None and len(value) > max_length:
            msg = (
                f"Invalid '{path}': array too long. Expected an array with maximum length "
                f"{max_length}, but got an array with length {len(value)} instead."
            )
            raise RequestError(msg, code="array_above_max_length", param=path)
        for index, element in enumerate(value):
            inner(element, f"{path}[{index}]")

    return check


def record(fields: Mapping[str, Check], *, required: Collection[str] = ()) -> Check:
    """
    Return a check for an object that has the *required* fields, and none beside *fields*.

    Optional fields that are null are removed from the object, see the rules above.
    """
    keeps_null = {
        name
        for name, check in fields.items()
        if name in required or isinstance(check, (_Nullable, _NeverNull))
    }

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, path, "an object")
        for name in value:
            if name not in fields:
                where = _join(path, name)
                msg = f"Unknown parameter: '{_cut(where)}'."
                raise RequestError(msg, code="unknown_parameter", param=_cut(where))
        for name in fields:  # in the order of the definition: the tag before what depends on it
            where = _join(path, name)
            if name in value and value[name] is None and name not in keeps_null:
                del value[name]
            elif name in value:
                fields[name](value[name], where)
            elif name in required:
                raise _missing(where)

    return check


def open_record(value: Any, path: str) -> None:
    """Accept any object that can be written again: not too deep, and without endless numbers."""
    if not isinstance(value, dict):
        raise _wrong_type(value, path, "an object")
    layer: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        inner: list[Any] = []
        for element in layer:
            if isinstance(element, dict):
                inner += element.values()
            elif isinstance(element, list):
                inner += element
            elif isinstance(element, int) and not -(2**63) <= element < 2**63:
                msg = f"Invalid '{path}': it has an integer of more than 64 bits."
                raise RequestError(msg, code="invalid_value", param=path)
        if not inner:
            return
        layer = inner
    msg = f"Invalid '{path}': nested too deeply. Expected at most {_MAX_DEPTH} levels."
    raise RequestError(msg, code="invalid_value", param=path)


def strings(*, max_length: int, max_key: int, max_value: int) -> Check:
    """Return a check for an object of at most *max_length* strings, with names of *max_key*."""
    check_key, check_value = text(max_length=max_key), text(max_length=max_value)

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, path, "an object")
        if len(value) > max_length:
            msg = (
                f"Invalid '{path}': too many properties. Expected an object with at most "
                f"{max_length} properties, but got {len(value)} instead."
            )
            raise RequestError(msg, code="object_above_max_properties", param=path)
        for key, element in value.items():
            check_key(key, path)
            check_value(element, _join(path, key))

    return check


def tagged(tag: str, variants: Mapping[str, Check]) -> Check:
    """Return a check for an object of one of *variants*, by the value of its field *tag*."""
    check_tag = choice(*variants)

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, path, "an object")
        where = _join(path, tag)
        if tag not in value:
            raise _missing(where)
        check_tag(value[tag], where)
        variants[value[tag]](value, path)

    return check


def _check_range(value: float, path: str, low: float, high: float, kind: str) -> None:
    if value < low:
        side, bound, sign, limit = "below minimum", "below_min", ">=", low
    elif value > high:
        side, bound, sign, limit = "above maximum", "above_max", "<=", high
    else:
        return
    msg = (
        f"Invalid '{path}': {kind} {side} value. Expected a value {sign} {limit:g}, "
        f"but got {_amount(value)} instead."
    )
    raise RequestError(msg, code=f"{kind}_{bound}_value", param=path)


def _wrong_type(value: Any, path: str, expected: str) -> RequestError:
    msg = f"Invalid type for '{path}': expected {expected}, but got {_kind(value)} instead."
    return RequestError(msg, code="invalid_type", param=path)


def _missing(path: str) -> RequestError:
    msg = f"Missing required parameter: '{path}'."
    return RequestError(msg, code="missing_required_parameter", param=path)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def _amount(value: float) -> str:
    # An integer can be larger than any float, and longer than Python is willing to write.
    return f"{value:g}" if abs(value) < 2**63 else "a number beyond all limits"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(value: str) -> str:
    return f"'{_cut(value)}'"


def _cut(text: str) -> str:
    # What a client has sent comes back to it only so far as it helps to find the place.
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def _listing(values: Collection[str]) -> str:
    quoted = [f"'{value}'" for value in values]
    if len(quoted) <= 2:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"

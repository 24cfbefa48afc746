"""
Values that can't be written or read, with their path, collected on the way up.

Code that goes through the parts of a value lets a `Fault` pass, and adds the step
that it took itself: the key, the index or the field. No fault leaves the codec,
which makes a `CodecError` of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

_Key = TypeVar("_Key")

_MAX_SHOWN = 60


class Fault(Exception):
    """
    A value that can't be written, or data that can't be read.

    Attributes:
        problem: The problem and its remedy, for people.
        steps: The way from the value to the whole, innermost first.
    """

    def __init__(self, problem: str, *steps: Any) -> None:
        super().__init__(problem)
        self.problem = problem
        self.steps = [*steps]

    @property
    def path(self) -> str:
        """The way from the whole to the value, like ``$.item.content[0]``."""
        return "$" + "".join(map(_step_text, reversed(self.steps)))


def _step_text(step: Any) -> str:
    if isinstance(step, str) and re.fullmatch(r"[^\W\d]\w*", step):
        return f".{step}"
    return f"[{shown(step)}]"


def shown(value: Any) -> str:
    """Return *value* as short text for a message."""
    text = ascii(value)  # a str may have lone surrogates, which no terminal or log file takes
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def unexpected(value: Any, expected: str) -> Fault:
    """Return the fault that *value* is not as *expected*."""
    # The class and not the value: it may be long, or nobody's business.
    return Fault(f"expected {expected}, not {type(value).__qualname__}.")


def each(function: Callable[[Any], Any], values: Iterable[Any]) -> list[Any]:
    """Return the results of *function* for each of *values*."""
    result: list[Any] = []
    for value in values:
        try:
            result.append(function(value))
        except Fault as fault:
            fault.steps.append(len(result))
            raise
    return result


def each_value(function: Callable[[Any], Any], mapping: Mapping[_Key, Any]) -> dict[_Key, Any]:
    """Return *mapping* with the result of *function* for each value."""
    result: dict[_Key, Any] = {}
    for key, value in mapping.items():
        try:
            result[key] = function(value)
        except Fault as fault:
            fault.steps.append(key)
            raise
    return result


def part(data: Mapping[Any, Any], key: str, load: Callable[[Any], Any]) -> Any:
    """Return the result of *load* for the value under *key*, which must be there."""
    if key not in data:
        msg = "is missing; a document must have it."
        raise Fault(msg, key)
    try:
        return load(data[key])
    except Fault as fault:
        fault.steps.append(key)
        raise

"""
Plain data to attrs classes: the reading of scenario files, with the place of each mistake.

A field's validator is its reader: it checks the values of Python code, and makes of plain data
the same values. Errors carry the path from where the reading began; the message
is one problem with its remedy, to which `scenario` adds the file and the line.

msgspec reads plain data to attrs classes, too, but a scenario has one spelling for Python and for
files: a name that stands for an object, a number with its bounds, a suggestion for a misspelt key.
Each would be a hook or a check behind it, and the line of a mistake would be lost in its text.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar, cast

import attrs

from ...exceptions import ScenarioError

T = TypeVar("T")

_SHOWN: Final = 40


class Reader(Protocol):
    """The type of a field's validator; the *name* is the field's, for messages."""

    def read(self, name: str, value: object) -> Any:
        """
        Return the object that *value*, which is plain data, stands for.

        Raises:
            ScenarioError: Nothing.
        """

    def check(self, name: str, value: object) -> None:
        """
        Check a *value* that Python code gave.

        Raises:
            ScenarioError: It can't be one.
        """

    def __call__(self, instance: object, attribute: attrs.Attribute[Any], value: Any, /) -> None:
        """Check a *value* as a validator of attrs; None passes if it is the default."""


def read(cls: type[T], data: Mapping[Any, object]) -> T:
    """
    Return an instance of *cls* made of plain data; its fields' validators are readers.

    Raises:
        ScenarioError: A key is unknown, or missing, or has a value that can't be.
    """
    fields: dict[str, attrs.Attribute[Any]] = attrs.fields_dict(cast("type[Any]", cls))
    values = {}
    for key, value in data.items():
        if key not in fields:
            raise ScenarioError(_unknown(key, fields), path=str(key))
        field = fields[key]
        if value is None and field.default is None:
            continue
        with within(key):
            values[key] = cast("Reader", field.validator).read(key, value)
    for name, field in fields.items():
        if field.default is attrs.NOTHING and name not in values:
            msg = f"{name} is missing; it has {', '.join(map(str, data)) or 'nothing'}."
            raise ScenarioError(msg)
    return cls(**values)


class within:  # noqa: N801  # reads as a statement, like contextlib's suppress
    """While it is entered, errors get a key or an index at the head of their path."""

    def __init__(self, step: str | int) -> None:
        self._step = f"[{step}]" if isinstance(step, int) else step

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        if isinstance(exc, ScenarioError):
            separator = "." if exc.path and not exc.path.startswith("[") else ""
            exc.path = f"{self._step}{separator}{exc.path}"


class Readable:
    """Base of all readers: those of plain values return them as they are, if they are valid."""

    def read(self, name: str, value: object) -> Any:
        """Return the object that *value* stands for, see `Reader.read`."""
        raise NotImplementedError

    def check(self, name: str, value: object) -> None:
        """Check a *value* that Python code gave, as `Reader.check` says."""
        self.read(name, value)

    def __call__(self, _instance: object, attribute: attrs.Attribute[Any], value: Any, /) -> None:
        """Check a *value* as a validator of attrs."""
        if value is None and attribute.default is None:
            return
        with within(attribute.name):
            self.check(attribute.name, value)


class _Text(Readable):
    def read(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            msg = f"{name} is a text, not {_shown(value)}; put quotes around it."
            raise ScenarioError(msg)
        return value


class _Flag(Readable):
    def read(self, name: str, value: object) -> bool:
        if not isinstance(value, bool):
            msg = f"{name} is true or false, not {_shown(value)}."
            raise ScenarioError(msg)
        return value


class Choice(Readable):
    """One of some texts."""

    def __init__(self, *values: str) -> None:
        self._values = values

    def read(self, name: str, value: object) -> str:
        """Return *value*, if it is one of them."""
        if not isinstance(value, str) or value not in self._values:
            msg = f"{name} is one of {', '.join(self._values)}, not {_shown(value)}."
            raise ScenarioError(msg)
        return value


TEXT: Final = _Text()
FLAG: Final = _Flag()


class Number(Readable):
    """A number from *low* to *high*; *is_whole* refuses fractions."""

    def __init__(
        self, low: float = -math.inf, high: float = math.inf, *, is_whole: bool = False
    ) -> None:
        self._low = low
        self._high = high
        self._is_whole = is_whole

    def read(self, name: str, value: object) -> float:
        """Return *value*, if it is one."""
        allowed = int if self._is_whole else (int, float)
        if not isinstance(value, allowed) or isinstance(value, bool) or not self._has(value):
            msg = f"{name} is a {self._expected()}, not {_shown(value)}."
            raise ScenarioError(msg)
        return value

    def _has(self, value: float) -> bool:
        return self._low <= value <= self._high and abs(value) < math.inf

    def _expected(self) -> str:
        kind = "whole number" if self._is_whole else "number"
        if self._low == -math.inf:
            return kind
        if self._high == math.inf:
            return f"{kind} from {self._low:g} on"
        return f"{kind} from {self._low:g} to {self._high:g}"


class Struct(Readable):
    """
    An instance of a class, which in plain data is a mapping of its fields.

    Args:
        get_class: Returns the class, which may be declared further down.
        short: The name of the field that a text alone stands for.
    """

    def __init__(self, get_class: Callable[[], type[Any]], *, short: str = "") -> None:
        self._get_class = get_class
        self._short = short

    def read(self, name: str, value: object) -> Any:
        """Return the instance."""
        cls = self._get_class()
        if isinstance(value, cls):
            return value
        if isinstance(value, str) and self._short:
            value = {self._short: value}
        if not isinstance(value, Mapping):
            keys = ", ".join(attrs.fields_dict(cls))
            msg = f"{name} is a mapping with some of {keys}, not {_shown(value)}."
            raise ScenarioError(msg)
        return read(cls, value)

    def check(self, name: str, value: object) -> None:
        """Check that it is an instance already."""
        cls = self._get_class()
        if not isinstance(value, cls):
            msg = f"{name} is a {cls.__name__}, not {_shown(value)}."
            raise ScenarioError(msg)


class Many(Readable):
    """Several of something; if *or_one*, one needs no list around it."""

    def __init__(self, item: Reader, *, or_one: bool = False) -> None:
        self._item = item
        self._or_one = or_one

    def read(self, name: str, value: object) -> tuple[Any, ...]:
        """Return them all."""
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            if not self._or_one:
                msg = f"{name} is a list, not {_shown(value)}; begin each entry with a dash."
                raise ScenarioError(msg)
            return (self._item.read(name, value),)
        items = []
        for index, entry in enumerate(value):
            with within(index):
                items.append(self._item.read(f"an entry of {name}", entry))
        return tuple(items)

    def check(self, name: str, value: object) -> None:
        """Check each; the field's converter has made a tuple of them."""
        for index, entry in enumerate(cast("tuple[object, ...]", value)):
            with within(index):
                self._item.check(f"an entry of {name}", entry)


def _shown(value: object) -> str:
    """Return *value* as YAML's readers know it, not too long."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    text = "a list" if isinstance(value, (list, tuple)) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _unknown(key: object, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(str(key), known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}."
    return f"There is no {_shown(key)} here; {hint}"

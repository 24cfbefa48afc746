"""
Reads events whose fields are fields of their frame, by name.

The functions are made of source, like constructors: the types of all fields are checked in one
condition, and the instance is filled in place. Only a frame that fails it is read field by
field, which finds the one that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from .._fast_init import compiled, construction
from ._fields import index, integer, optional_integer, optional_text, text

_T = TypeVar("_T")


class Kind(NamedTuple):
    """
    A kind of field.

    Attributes:
        condition: True of a usual value, in Python, with ``{}`` for the variable.
        declared: The types of usual values.
        read: Reads the field, also an unusual value, or raises.
        is_required: False if it may well be missing.
    """

    condition: str
    declared: Any
    read: Callable[[dict[str, Any], str], object]
    is_required: bool = True

    @property
    def is_text(self) -> bool:
        """Whether values are strings."""
        return self.declared in (str, str | None)


TEXT = Kind("type({}) is str", str, text)
OPTIONAL_TEXT = Kind("({0} is None or type({0}) is str)", str | None, optional_text, False)
TEXT_OR_EMPTY = Kind("type({}) is str", str, lambda data, name: optional_text(data, name) or "")
INTEGER = Kind("type({}) is int", int, integer)
OPTIONAL_INTEGER = Kind("({0} is None or type({0}) is int)", int | None, optional_integer, False)
INDEX = Kind("type({}) is int", int, index)

_specs: dict[Callable[..., object], tuple[type[Any], dict[str, Kind]]] = {}


def spec_of(make: Callable[..., object]) -> tuple[type[Any], dict[str, Kind]] | None:
    """Return the class and the fields that *make* was made with, if `flat` has returned it."""
    return _specs.get(make)


def flat(cls: type[_T], **kinds: Kind) -> Callable[[Any, dict[str, Any]], _T]:
    """
    Return a function that makes an instance of *cls* from the fields of a frame.

    Args:
        kinds: The kind of each field, in the order in which they are checked.
    """
    names, lines, scope = construction(cls)
    assert set(names) == kinds.keys(), cls
    usual = " and ".join(kind.condition.format(name) for name, kind in kinds.items())
    body = [
        "try:",
        *(
            f"    {name} = data{f'[{name!r}]' if kind.is_required else f'.get({name!r})'}"
            for name, kind in kinds.items()
        ),
        f"    is_usual = {usual}",
        "except KeyError:",
        "    is_usual = False",
        "if not is_usual:",
        *(f"    {name} = read_{name}(data, {name!r})" for name in kinds),
        *lines,
    ]
    scope.update({f"read_{name}": kind.read for name, kind in kinds.items()})
    read: Callable[[Any, dict[str, Any]], _T] = compiled("read", "_session, data, /", body, scope)
    _specs[read] = cls, kinds
    return read

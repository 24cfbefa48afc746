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
_F = TypeVar("_F", bound=Callable[..., object])


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


class Spec(NamedTuple):
    """
    A description of the events that a function makes of the fields of frames.

    Attributes:
        cls: Their class.
        kinds: The kind of each field.
        without: A name that makes other events of frames that have it; empty if there is none.
        then: Takes the session and the event, and returns what the frame means; None if the event
            is all.
    """

    cls: type[Any]
    kinds: dict[str, Kind]
    without: str = ""
    then: Callable[[Any, Any], Any] | None = None


_specs: dict[Callable[..., object], Spec] = {}


def spec_of(make: Callable[..., object]) -> Spec | None:
    """Return the events that *make* makes, if it is by `flat` or noted by `like_flat`."""
    return _specs.get(make)


def like_flat(
    read: Callable[..., object], *, without: str = "", then: Callable[[Any, Any], Any] | None = None
) -> Callable[[_F], _F]:
    """
    Note that the decorated function reads usual frames as *read* does, which `flat` has returned.

    Args:
        read: Returns the event of a usual frame.
        without: It does so only for frames without that name.
        then: It returns the result of this, for the session and the event.
    """

    def note(make: _F) -> _F:
        _specs[make] = _specs[read]._replace(without=without, then=then)
        return make

    return note


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
    _specs[read] = Spec(cls, kinds)
    return read

"""
The base of the vocabulary's classes: room for a decoder's mark, and for a field that is made late.

The mark is set on the very event that a decoder has made, and is no field: it is neither compared
nor copied nor written by `eventbus.codec`. It names the frame (see `eventbus.wire.origin_of`), or
is 0 where the frame isn't told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final


class Markable:
    """
    Room for weak references and for a decoder's mark, below the fields.

    CPython 3.11 lets two classes swap instances only where these slots come from a common base.
    """

    __slots__ = ("__weakref__", "_origin")

    _origin: int


_slot: Any = vars(Markable)["_origin"]

set_mark: Final[Callable[[object, int], None]] = _slot.__set__
"""Set the mark of an event, which is frozen otherwise."""


def mark_of(event: object) -> int | None:
    """Return the mark of *event*; None if no decoder has made it."""
    return getattr(event, "_origin", None)


LATE_VALUES: Final[dict[type[Any], Callable[[Any], Any]]] = {}
"""Class of a source -> the function that makes a field of one; `eventbus.wire` has them."""


class Late(Markable):
    """
    An event with a first field that may be made when it is first read.

    Most of these have no handler that reads it, and to make it takes longer than the rest of the
    event. A decoder sets ``_source`` instead, to a frame's bytes or to data that nobody else has.
    """

    __slots__ = ("_source",)

    _source: Any

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:  # for a field that isn't set yet
            if name != type(self).__match_args__[0]:
                msg = f"{type(self).__name__!r} object has no attribute {name!r}"
                raise AttributeError(msg, name=name, obj=self)
            source = self._source
            value = LATE_VALUES[type(source)](source)
            object.__setattr__(self, name, value)
            return value

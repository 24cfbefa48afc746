"""
Marks on the events that a decoder made: the frame they come from, and their place in it.

A journal stores a frame once and derives its events again, so it must know them from events that
only look the same. The mark is no field of an event: a copy, also one that `attrs.evolve` or
pickle makes, has none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..events import RealtimeModelEvent, RealtimeModelRawServerEvent

_STEP = 1 << 16

# Numbers of frames, in this process; the events of a frame are numbered from there.
_next = itertools.count(_STEP, _STEP).__next__

_slot: Any = RealtimeModelRawServerEvent._origin  # noqa: SLF001  # events have it for us
_set: Callable[[object, int], None] = _slot.__set__  # events are frozen


class Origin(NamedTuple):
    """
    The frame that an event was made from.

    Attributes:
        frame: A number that no other frame of this process has.
        position: The event's place among those of the frame; 0 is the raw event.
    """

    frame: int
    position: int


def origin_of(event: object) -> Origin | None:
    """
    Return the frame that a decoder made *event* from, and its place among the frame's events.

    None for an event that no decoder made, and for a changed copy of one.
    """
    mark = getattr(event, "_origin", None)
    return None if mark is None else Origin(*divmod(mark, _STEP))


def mark_events(events: Sequence[RealtimeModelEvent]) -> None:
    """Mark the events of one frame; those beyond 65,535 stay without a mark."""
    mark = _next()
    if len(events) == 2:
        raw, event = events
        _set(raw, mark)
        _set(event, mark + 1)
    else:
        for number, event in enumerate(events[:_STEP], mark):
            _set(event, number)

"""
Marks on the events that a decoder made: the frame they come from, and their place in it.

A journal stores a frame once and derives its events again, so it must know them from events that
only look the same, and it must have all frames that the decoder had: so a mark names the decoder,
and counts its frames. The mark is no field of an event: a copy, also one that `attrs.evolve` or
pickle makes, has none. The mark 0 says that a decoder made the event, and names no frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from .._event_base import mark_of, set_mark
from ..events import RealtimeModelEvent, RealtimeModelOtherEvent

# A mark is the number of the decoder, that of the frame, and the position, from the left.
FRAME_STEP = 1 << 16
"""The difference between the marks of a frame and the next one."""

_FRAMES = 1 << 32

_next_decoder = itertools.count(1).__next__
_decoders: WeakValueDictionary[int, Any] = WeakValueDictionary()


class Origin(NamedTuple):
    """
    The frame that an event was made from.

    Attributes:
        decoder: A number that no other decoder of this process has; see ``decoder_of``.
        frame: The number of the frame among those of the decoder, from 1.
        position: The event's place among those of the frame; 0 is the raw event.
    """

    decoder: int
    frame: int
    position: int


def origin_of(event: object) -> Origin | None:
    """
    Return the frame that a decoder made *event* from, and its place among the frame's events.

    None for an event that no decoder made, and for a changed copy of one.
    """
    mark = mark_of(event)
    if not mark:
        return None
    whole, position = divmod(mark, FRAME_STEP)
    decoder, frame = divmod(whole, _FRAMES)
    return Origin(decoder, frame, position)


def decoder_of(number: int) -> Any:
    """Return the decoder with that number; None if it is gone."""
    return _decoders.get(number)


def first_mark(decoder: object) -> int:
    """
    Return the mark of *decoder*'s first frame.

    The decoder adds `FRAME_STEP` for each frame, also if nobody gets the marked events.
    """
    number = _next_decoder()
    _decoders[number] = decoder
    return (number * _FRAMES + 1) * FRAME_STEP


def mark_events(events: Sequence[RealtimeModelEvent], mark: int) -> None:
    """Mark the events of one frame; those beyond 65,535 stay without a mark."""
    for number, event in enumerate(events[:FRAME_STEP], mark):
        set_mark(event, number)


def decoded_other(data: object) -> RealtimeModelOtherEvent:
    """Return an Other event that counts as a decoder's, also where its frame gets no mark."""
    event = RealtimeModelOtherEvent(data)
    set_mark(event, 0)
    return event

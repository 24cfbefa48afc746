"""
Deliveries: the circumstances under which a handler gets an event from another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

import attrs


@attrs.frozen
class Delivery:
    """
    The circumstances of an event that a bridge has received.

    Attributes:
        origin: The process that forwarded the event, or the journal that it came from: an id that
            no other one has.
        call: The call's id; None for an event without a sender.
        sequence: The event's number within its call and *origin*; a later event has a greater one.
        stream: The stream's name.
        stream_sequence: The event's number in the stream. It is the same each time the event is
            delivered, so a handler that stores it can tell repetitions.
        attempt: How often the event has been given to the handlers of this bus, from 1.
        may_repeat: Whether another member of the group may have handled the event before: it comes
            from a partition that was taken over, and was stored before that.
        group: The group that receives it; None without one.
        time_ns: When it was forwarded, in nanoseconds since the epoch, by the clock of *origin*.
        cause: The event that led to this one, as *origin* knows it; empty if it doesn't.
        trace: The trace context that the event was forwarded with, like ``traceparent``.
    """

    origin: str
    call: str | None
    sequence: int
    stream: str
    stream_sequence: int
    attempt: int = 1
    may_repeat: bool = False
    group: str | None = None
    time_ns: int = 0
    cause: str = ""
    trace: Mapping[str, str] = attrs.field(factory=dict)


CURRENT: Final[ContextVar[tuple[Delivery, Any] | None]] = ContextVar("delivery", default=None)
"""The delivery of the event that is being handled, and the event itself."""


def current_delivery() -> Delivery | None:
    """
    Return the delivery of the event that the calling handler handles.

    None in a handler of an event that no bridge has received. An event that a handler publishes
    has the delivery of the event that the handler got.
    """
    current = CURRENT.get()
    return None if current is None else current[0]

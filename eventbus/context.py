"""
The circumstances of a published event, as a handler sees them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, Protocol

import attrs

__all__ = ["Context", "Delivery", "Publisher", "current_delivery"]


class Publisher(Protocol):
    """
    The part of a bus that a handler needs; `eventbus.EventBus` and `eventbus.Scope` have it.

    A function that takes one can be given either of them, or a stand-in of a test.
    """

    def publish(self, event: Any, sender: Any = None) -> None:
        """Publish *event*; see `eventbus.EventBus.publish`."""

    async def publish_async(self, event: Any, *, sender: Any = None) -> None:
        """Publish *event*, and wait for room; see `eventbus.EventBus.publish_async`."""

    async def publish_and_wait(
        self, event: Any, *, sender: Any = None, raise_errors: bool = False
    ) -> None:
        """Publish *event*, and wait for handlers; see `eventbus.EventBus.publish_and_wait`."""

    def has_handlers(self, event_type: type[Any], *, sender: Any = None) -> bool:
        """Return whether a handler would get it; see `eventbus.EventBus.has_handlers`."""
        ...


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


DELIVERY: Final[ContextVar[tuple[Delivery, Any] | None]] = ContextVar("delivery", default=None)
"""The delivery of the event that is being handled, and the event itself."""


def current_delivery() -> Delivery | None:
    """
    Return the delivery of the event that the calling handler handles.

    None in a handler of an event that no bridge has received. An event that a handler publishes
    has the delivery of the event that the handler got.
    """
    current = DELIVERY.get()
    return None if current is None else current[0]


@attrs.frozen
class Context:
    """
    The circumstances of one published event.

    Attributes:
        sender: The session that the event belongs to; None if it was published without one.
        sequence: How many events the bus had published, this one included.
        time_ns: The time of the publish, in nanoseconds since the epoch (`time.time_ns`).
        bus: The bus.
    """

    sender: Any
    sequence: int
    time_ns: int
    bus: Publisher = attrs.field(repr=False)

    @property
    def delivery(self) -> Delivery | None:
        """The delivery of an event that a bridge has received, as `current_delivery` gives it."""
        return current_delivery()

"""
The circumstances of a published event, as a handler sees them.
"""

from __future__ import annotations

from typing import Any, Protocol

import attrs

__all__ = ["Context", "Publisher"]


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

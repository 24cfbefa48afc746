"""
Publishing what happens in a session, which goes on whatever becomes of that.
"""

from __future__ import annotations

import logging
from typing import Any

from ..bus import EventBus
from ..events import RealtimeModelExceptionEvent
from ..exceptions import BusClosed, BusNotRunning, MailboxFull

__all__ = ["SessionPublisher"]

logger = logging.getLogger(__name__)


class SessionPublisher:
    """
    Publishes the events of one session.

    Args:
        bus: Where to.
        sender: The session, as for `EventBus.publish`.
    """

    def __init__(self, bus: EventBus, sender: Any) -> None:
        self._bus = bus
        self._sender = sender
        self._is_unheard = False
        self._full: set[int] = set()

    def publish(self, event: object) -> None:
        """
        Publish *event*.

        What a publisher is told, but can't help, is told to others, once: that the bus doesn't
        run to the log, and that a mailbox with `Overflow.RAISE` is full to the bus.

        Raises:
            Exception: The bus is strict, and a handler has raised it.
        """
        try:
            self._bus.publish(event, self._sender)
        except MailboxFull as exc:
            self._tell_full(exc, event)
        except (BusClosed, BusNotRunning) as exc:
            if not self._is_unheard:
                self._is_unheard = True
                logger.warning("a session goes on, and its bus doesn't run", exc_info=exc)

    def is_wanted(self, event_type: type[Any]) -> bool:
        """Return whether somebody gets the session's events of that class."""
        return self._bus.has_handlers(event_type, sender=self._sender)

    def _tell_full(self, exc: MailboxFull, event: object) -> None:
        handler = exc.handler
        if id(handler) in self._full:
            return
        self._full.add(id(handler))
        self.publish(
            RealtimeModelExceptionEvent(
                exc, "a mailbox is full", event=event, handler=handler, sender=self._sender
            )
        )

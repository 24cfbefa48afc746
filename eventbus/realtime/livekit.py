"""
The realtime sessions of a LiveKit agent on a bus: the service's events, as our classes.

In the agent, when it takes over the call::

    async def on_enter(self) -> None:
        publish_events(self.realtime_llm_session, bus, sender="call-42")

LiveKit's realtime session for OpenAI, and those that are made from it for Azure and xAI, emit
each message of either direction as it is: ``openai_server_event_received`` and
``openai_client_event_queued``. From the first the decoder makes the events, as it does of the
frames of a connection of our own; the second are `RealtimeModelRawClientEvent`. Whatever happens
on the bus, the call goes on: a handler's failure is reported there.

Nothing of LiveKit is imported, so there is no extra. Source: livekit-agents 1.8.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from ..bus import EventBus
from ..wire._frames import Frame
from ..wire.openai._decoder import OpenAIRealtimeDecoder
from .events import RealtimeModelRawClientEvent
from .session import SessionPublisher

__all__ = ["EventEmitter", "publish_events"]

_SERVER_EVENT: Final = "openai_server_event_received"
_CLIENT_EVENT: Final = "openai_client_event_queued"

_logger = logging.getLogger(__name__)


class EventEmitter(Protocol):
    """The part of LiveKit's ``RealtimeSession`` that is needed."""

    def on(self, event: Any, callback: Any, /) -> Any:
        """Call *callback* with the arguments of each event of that name."""

    def off(self, event: Any, callback: Any, /) -> Any:
        """Call it no longer."""


def publish_events(
    session: EventEmitter, bus: EventBus, *, sender: Any = None
) -> Callable[[], None]:
    """
    Publish the events of a realtime session from now on; return a function that ends it.

    An agent has a session of its own, so after a handoff it is called again, by the next agent.

    Args:
        session: The ``RealtimeSession`` of LiveKit: an agent's ``realtime_llm_session``.
        bus: Where to; it runs in the agent's loop, or in another thread's.
        sender: The session that the events belong to, as for `EventBus.publish`.
    """
    feed = _Feed(bus, sender)
    session.on(_SERVER_EVENT, feed.take_server_event)
    session.on(_CLIENT_EVENT, feed.take_client_event)

    def end() -> None:
        session.off(_SERVER_EVENT, feed.take_server_event)
        session.off(_CLIENT_EVENT, feed.take_client_event)

    return end


class _Feed:
    """Decodes and publishes the messages of one session."""

    def __init__(self, bus: EventBus, sender: Any) -> None:
        self._publisher = SessionPublisher(bus, sender)
        self._decoder = OpenAIRealtimeDecoder()
        self._failures: set[type[Exception]] = set()

    def take_server_event(self, event: dict[str, Any]) -> None:
        if event.get("type") == "session.created":  # of a connection that replaces a lost one, too
            self._decoder = OpenAIRealtimeDecoder()
        # LiveKit goes on with the mapping, so the events are made of a copy.
        for decoded in self._decoder.decode(msgspec.json.encode(event)):
            self._publish(decoded)

    def take_client_event(self, event: dict[str, Any]) -> None:
        self._publish(RealtimeModelRawClientEvent(Frame(msgspec.json.encode(event))))

    def _publish(self, event: object) -> None:
        try:
            self._publisher.publish(event)
        except Exception as exc:  # a handler on a strict bus
            if type(exc) not in self._failures:
                self._failures.add(type(exc))
                _logger.exception(
                    "publishing failed; the call goes on",
                    extra={"event_type": type(event).__qualname__},
                )

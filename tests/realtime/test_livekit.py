"""
The adapter for LiveKit's realtime sessions, with an emitter in their place; see ``tests/clients``
for one with LiveKit itself.
"""

from __future__ import annotations

import pytest

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelRawServerEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnStartedEvent,
)
from eventbus.realtime.events import RealtimeModelRawClientEvent
from eventbus.realtime.livekit import publish_events
from eventbus.testing import capture
from tests.support import raiser

RECEIVED = "openai_server_event_received"
CREATED = {"type": "response.created", "response": {"id": "resp_1"}}
DELTA = {
    "type": "response.output_audio_transcript.delta",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hello",
}


class Emitter:
    """
    LiveKit's event emitter, as far as it is used.
    """

    def __init__(self):
        self.callbacks = {}

    def on(self, event, callback):
        self.callbacks.setdefault(event, []).append(callback)

    def off(self, event, callback):
        self.callbacks[event].remove(callback)

    def emit(self, event, *args):
        for callback in self.callbacks.get(event, ()):
            callback(*args)


@pytest.fixture
def session():
    """
    A realtime session.
    """
    return Emitter()


def test_both_directions_are_published_with_the_sender(session):
    """
    The service's messages are decoded, the client's come as they are, and all have the sender.
    """
    bus = EventBus()
    end = publish_events(session, bus, sender="call-42")
    with capture(bus, sender="call-42") as captured:
        session.emit("openai_client_event_queued", {"type": "response.create"})
        session.emit(RECEIVED, CREATED)
        session.emit(RECEIVED, DELTA)
        end()
        session.emit(RECEIVED, CREATED)

    sent, started, delta = captured.assert_order(
        RealtimeModelRawClientEvent,
        RealtimeModelTurnStartedEvent,
        RealtimeModelTranscriptDeltaEvent,
    )
    assert sent.data["type"] == "response.create"
    assert started.response_id == "resp_1"
    assert delta.delta == "Hello"
    assert sum(isinstance(event, RealtimeModelTurnStartedEvent) for event in captured.events) == 1


def test_events_keep_the_message_that_they_were_made_of(session):
    """
    A mapping that LiveKit changes afterwards is another one than the event has.
    """
    bus, message = EventBus(), dict(CREATED)
    publish_events(session, bus)
    with capture(bus, RealtimeModelRawServerEvent) as captured:
        session.emit(RECEIVED, message)
        message["type"] = "changed"

    assert captured.events[0].data["type"] == "response.created"


def test_failure_on_the_bus_is_not_the_calls(session, caplog):
    """
    A handler that raises on a strict bus is logged once, without the content; the call goes on.
    """
    bus, seen = EventBus(strict=True), []
    bus.subscribe(raiser(ValueError("boom")), RealtimeModelTranscriptDeltaEvent, priority=1)
    bus.subscribe(seen.append, RealtimeModelTurnStartedEvent)
    publish_events(session, bus)
    for _ in range(2):
        session.emit(RECEIVED, DELTA)
    session.emit(RECEIVED, CREATED)

    assert len(seen) == 1
    assert [record.message for record in caplog.records].count(
        "publishing failed; the call goes on"
    ) == 1

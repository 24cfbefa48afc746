from __future__ import annotations

import pytest

from eventbus import EventBus
from eventbus.events import RealtimeModelTurnStartedEvent
from eventbus.realtime import RealtimeModel, RealtimeModelListener
from eventbus.realtime.model import RealtimeModelConfig, RealtimeModelNowaitListener
from eventbus.realtime.playback import RealtimePlaybackState
from eventbus.testing import capture
from tests.realtime.agents_source import declared_in

EVENT = RealtimeModelTurnStartedEvent("r1")


class Model(RealtimeModel):
    """
    A model as somebody else would write it: it awaits its listeners.
    """

    def __init__(self):
        self.listeners = []

    async def connect(self, options): ...

    def add_listener(self, listener):
        self.listeners.append(listener)

    def remove_listener(self, listener):
        if listener in self.listeners:
            self.listeners.remove(listener)

    async def send_event(self, event): ...

    async def close(self): ...

    async def emit(self, event):
        for listener in tuple(self.listeners):
            await listener.on_event(event)


@pytest.fixture
def model():
    """
    A model that nobody listens to.
    """
    return Model()


async def test_what_the_model_emits_is_published(model, bus):
    """
    With the sender that was given, until the attachment ends.
    """
    with capture(bus, sender="call-1") as captured:
        with model.attach(bus, sender="call-1") as attachment:
            await model.emit(EVENT)
        await model.emit(EVENT)
        attachment.detach()

    assert captured.events == [EVENT]


async def test_model_is_attached_to_a_scope_or_a_bus_and_nothing_else(model, bus):
    """
    A scope has the sender; another object is named at once, and not with the first event.
    """
    with bus.scope("call-1") as scope, capture(bus, sender="call-1") as captured:
        with model.attach(scope) as attachment:
            await model.emit(EVENT)
        assert (attachment.bus, attachment.sender) == (bus, "call-1")
        with pytest.raises(TypeError, match="has its sender"):
            model.attach(scope, sender="call-2")
    for given in (5, None, EventBus):
        with pytest.raises(TypeError, match="EventBus or a Scope; bus= is"):
            model.attach(given)

    assert captured.events == [EVENT]
    assert (attachment.bus, attachment.model, attachment.sender) == (bus, model, "call-1")


async def test_two_attachments_are_two(model, bus):
    """
    A model can be on several buses, and leave one of them.
    """
    other = EventBus()
    first = model.attach(bus)
    model.attach(other)
    with capture(bus) as here, capture(other) as there:
        await model.emit(EVENT)
        first.detach()
        await model.emit(EVENT)

    assert (len(here.events), len(there.events)) == (1, 2)


async def test_closed_bus_ends_the_attachment(model):
    """
    Nobody can hear anything there.
    """
    async with EventBus() as bus:
        model.attach(bus)

    await model.emit(EVENT)

    assert model.listeners == []


async def test_listener_that_never_waits_can_be_awaited():
    """
    A model that doesn't know of such listeners awaits them like any.
    """

    class Listener(RealtimeModelNowaitListener):
        def on_event_nowait(self, event):
            seen.append(event)

    seen = []
    await Listener().on_event(EVENT)

    assert seen == [EVENT]


def test_taking_note_of_what_is_sent_is_optional():
    """
    A listener that doesn't care needs no method for it.
    """

    class Listener(RealtimeModelListener):
        async def on_event(self, event): ...

    assert Listener().on_sent({"type": "x"}) is None


def test_names_are_those_of_openai_agents():
    """
    A configuration of theirs is one of ours, and so is the state that a tracker reports.
    """
    there = declared_in("model")

    assert set(RealtimeModelConfig.__annotations__) == set(there["RealtimeModelConfig"])
    assert set(RealtimePlaybackState.__annotations__) == set(there["RealtimePlaybackState"])

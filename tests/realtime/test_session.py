"""
A session keeps the history, runs tools, and says so on the bus.
"""

from __future__ import annotations

import logging

import anyio
import attrs
import pytest

from eventbus import BusNotRunning, EventBus, EventBusError, Mailbox, Overflow
from eventbus.events import (
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelErrorEvent,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioTimeoutTriggeredEvent,
    RealtimeModelItemDeletedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
)
from eventbus.exceptions import (
    ModelNotConnected,
    RealtimeConnectionError,
    ToolDefinitionError,
)
from eventbus.items import (
    AssistantAudio,
    AssistantMessageItem,
    InputText,
    UserMessageItem,
)
from eventbus.realtime.events import (
    RealtimeAudio,
    RealtimeAudioEnd,
    RealtimeAudioInterrupted,
    RealtimeError,
    RealtimeEventInfo,
    RealtimeHistoryAdded,
    RealtimeHistoryUpdated,
    RealtimeInputAudioTimeoutTriggered,
    RealtimeModelRawClientEvent,
    RealtimeRawModelEvent,
    RealtimeSessionEvent,
    RealtimeToolStart,
)
from eventbus.realtime.inputs import (
    RealtimeModelSendAudio,
    RealtimeModelSendInterrupt,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendUserInput,
)
from eventbus.realtime.session import RealtimeSession
from eventbus.realtime.tools import tool
from eventbus.testing import capture
from tests.realtime.scripted_model import ScriptedModel
from tests.support import crashes, raiser

AUDIO = RealtimeModelAudioEvent(b"\0\0", "resp_1", "item_1", 0)
USER = UserMessageItem("item_0", [InputText("Hello")])


@pytest.fixture
async def running(bus):
    async with bus:
        yield bus


@pytest.fixture
def model():
    return ScriptedModel()


def call(name="echo", arguments="{}", call_id="call_1"):
    return RealtimeModelToolCallEvent(name, call_id, arguments, id=f"item_{call_id}")


@tool
async def echo(text: str = "") -> str:
    """Say it again."""
    return text


# --- what is published -----------------------------------------------------------------------


async def test_model_events_are_published_with_the_sender(running, model):
    """
    A handler of the bus gets the model's events, those of connecting and closing included.
    """
    seen = []
    running.subscribe(
        lambda event, context: seen.append((event.type, context.sender)), RealtimeModelEvent
    )

    async with RealtimeSession(model, running, sender="call-1"):
        await model.emit(AUDIO)

    assert [kind for kind, _ in seen] == [
        "connection_status",
        "connection_status",
        "audio",
        "connection_status",
        "end_of_stream",
    ]
    assert {sender for _, sender in seen} == {"call-1"}


async def test_what_repeats_a_model_event_is_published_where_somebody_gets_it(running, model):
    """
    A mirror goes to handlers of its class and of everything, for this sender; never to a fallback.
    """
    others, published, mirrors = [], [], []
    running.subscribe(others.append, RealtimeModelOtherEvent)
    running.subscribe(lambda event: None, RealtimeModelAudioEvent)

    async with RealtimeSession(model, running, sender="call-1"):
        before = running.stats.published
        with running.subscribe(lambda event: None, RealtimeAudio, sender="call-2"):
            await model.emit(AUDIO)
        published.append(running.stats.published - before)
        with running.subscribe(mirrors.append, RealtimeAudio, sender="call-1"):
            await model.emit(AUDIO)
        with capture(running, RealtimeAudio) as captured:
            await model.emit(AUDIO)

    mirror = RealtimeAudio(AUDIO, "item_1", 0, RealtimeEventInfo())
    assert (published, mirrors, captured.events) == ([1], [mirror], [mirror])
    assert not any(isinstance(other.data, RealtimeSessionEvent) for other in others)


async def test_each_mirror_has_the_context_and_the_facts(running, model):
    """
    Six session events say the same as a model event, with the application's context.
    """
    context = object()
    info = RealtimeEventInfo(context)
    published = []

    async with RealtimeSession(model, running, context=context):
        running.subscribe(published.append, RealtimeSessionEvent)
        await model.emit(
            AUDIO,
            RealtimeModelAudioDoneEvent("item_1", 0),
            RealtimeModelAudioInterruptedEvent("item_1", 0),
            RealtimeModelErrorEvent({"message": "no"}),
            RealtimeModelInputAudioTimeoutTriggeredEvent("item_2", 0, 5),
        )
        published = published[:]

    raw = [event.data.type for event in published if isinstance(event, RealtimeRawModelEvent)]
    assert [event for event in published if not isinstance(event, RealtimeRawModelEvent)] == [
        RealtimeAudio(AUDIO, "item_1", 0, info),
        RealtimeAudioEnd(info, "item_1", 0),
        RealtimeAudioInterrupted(info, "item_1", 0),
        RealtimeError({"message": "no"}, info),
        RealtimeInputAudioTimeoutTriggered(info),
    ]
    assert raw == [
        "audio",
        "audio_done",
        "audio_interrupted",
        "error",
        "input_audio_timeout_triggered",
    ]


async def test_every_change_of_the_history_is_an_event(running, model):
    """
    An item is added, each word updates it, a deletion takes it away; nothing new is no event.
    """
    item = AssistantMessageItem("item_1", [AssistantAudio()], status="in_progress")

    async with RealtimeSession(model, running) as session:
        with capture(running, RealtimeHistoryAdded | RealtimeHistoryUpdated) as captured:
            await model.emit(
                RealtimeModelItemUpdatedEvent(USER),
                RealtimeModelItemUpdatedEvent(item),
                RealtimeModelItemUpdatedEvent(item),
                RealtimeModelTranscriptDeltaEvent("item_1", "Good ", "resp_1"),
                RealtimeModelTranscriptDeltaEvent("item_1", "day", "resp_1"),
                RealtimeModelItemDeletedEvent("item_0"),
                RealtimeModelItemDeletedEvent("item_0"),
            )

        assert len(session.history) == 1
    added, updated = captured.events[:2], captured.events[2:]
    assert [event.item for event in added] == [USER, item]
    assert [[i.item_id for i in event.history] for event in updated] == [
        ["item_0", "item_1"],
        ["item_0", "item_1"],
        ["item_1"],
    ]
    said = [event.history[-1].content[0].transcript for event in updated]
    assert said == ["Good ", "Good day", "Good day"]


async def test_whole_history_is_published_where_somebody_gets_it(running, model):
    """
    Words that nobody wants to see in it publish no history; that an item was added is told anyway.
    """
    item = AssistantMessageItem("item_1", [AssistantAudio()], status="in_progress")

    async with RealtimeSession(model, running) as session:
        before = running.stats.published
        await model.emit(
            RealtimeModelItemUpdatedEvent(item),
            RealtimeModelTranscriptDeltaEvent("item_1", "Good ", "resp_1"),
        )
        assert running.stats.published - before == 3  # the model's two, and the addition
        assert session.history.snapshot()[0].content[0].transcript == "Good "

        with capture(running, RealtimeHistoryUpdated) as captured:
            await model.emit(RealtimeModelTranscriptDeltaEvent("item_1", "day", "resp_1"))

    (item,) = captured.events[0].history
    assert item.content[0].transcript == "Good day"


async def test_item_that_others_have_waited_for_is_added_and_the_order_told(running, model):
    """
    An addition that moves other items publishes the whole history as well.
    """
    late = attrs.evolve(USER, item_id="item_2", previous_item_id="item_1")

    async with RealtimeSession(model, running):
        with capture(running, RealtimeHistoryAdded | RealtimeHistoryUpdated) as captured:
            await model.emit(
                *map(
                    RealtimeModelItemUpdatedEvent,
                    (late, USER, attrs.evolve(USER, item_id="item_1", previous_item_id="item_0")),
                )
            )

    assert [event.type for event in captured.events] == [
        "history_added",
        "history_added",
        "history_added",
        "history_updated",
    ]
    assert [item.item_id for item in captured.events[-1].history] == ["item_0", "item_1", "item_2"]


async def test_sent_messages_are_published_if_that_is_asked_for(running, model):
    """
    Messages to the service are on the bus with publish_sent, and aren't without.
    """
    other = ScriptedModel()
    with capture(running, RealtimeModelRawClientEvent) as captured:
        async with (
            RealtimeSession(model, running, publish_sent=True),
            RealtimeSession(other, running),
        ):
            model.tell_sent({"type": "response.create"})
            other.tell_sent({"type": "response.cancel"})

    assert list(captured.events) == [RealtimeModelRawClientEvent({"type": "response.create"})]


async def test_slow_or_crashing_handler_does_not_delay_the_model(running, model):
    """
    The model has emitted everything before an async handler has finished with the first event.
    """
    gate = anyio.Event()
    seen = []

    @running.on(RealtimeModelAudioEvent)
    async def slow(event):
        await gate.wait()
        seen.append(event)

    running.subscribe(raiser(ValueError("boom")), RealtimeModelAudioEvent)
    failed = crashes(running)

    async with RealtimeSession(model, running):
        await model.emit(AUDIO, AUDIO, AUDIO)
        assert (len(seen), len(failed)) == (0, 3)
        gate.set()


async def test_strict_bus_does_not_keep_the_session_from_its_work(model):
    """
    A handler's exception leaves the listener; the history has the item all the same.
    """
    bus = EventBus(strict=True)
    bus.subscribe(raiser(ValueError("boom")), RealtimeModelItemUpdatedEvent)
    bus.subscribe(lambda event: None, RealtimeModelExceptionEvent)
    async with bus, RealtimeSession(model, bus) as session:
        with pytest.raises(ValueError, match="boom"):
            await model.emit(RealtimeModelItemUpdatedEvent(USER))

        assert session.history.items == (USER,)


@pytest.mark.parametrize(
    "event_type",
    [RealtimeRawModelEvent, RealtimeModelToolCallEvent, RealtimeHistoryAdded, RealtimeToolStart],
)
async def test_full_mailbox_that_raises_does_not_keep_the_session_from_its_work(
    running, model, event_type
):
    """
    A handler that has no room for an event costs neither the history an item nor a tool its call.
    """
    gate = anyio.Event()

    @running.on(event_type, mailbox=Mailbox(1, Overflow.RAISE))
    async def slow(event):
        await gate.wait()

    calls = [call(call_id=f"call_{number}") for number in range(4)]
    async with RealtimeSession(model, running, tools=[echo]) as session:
        await model.call(*calls)
        await model.wait_sent(4)
        await anyio.wait_all_tasks_blocked()
        gate.set()

    assert [item.status for item in session.history] == ["completed"] * 4
    assert running.stats.dropped > 0


# --- beginning and end -----------------------------------------------------------------------


async def test_bus_has_to_run_before_the_session(bus, model):
    """
    Entering a session on a bus that doesn't run says so, and connects nothing.
    """
    with pytest.raises(BusNotRunning, match="async with bus, session"):
        async with RealtimeSession(model, bus):
            pytest.fail("entered")

    assert model.config is None


async def test_connection_error_comes_out_and_leaves_nothing_behind(running):
    """
    The model's exception when it connects is raised as it is; the session listens no more.
    """
    model = ScriptedModel(RealtimeConnectionError("refused", code=401))

    with pytest.raises(RealtimeConnectionError, match="refused"):
        async with RealtimeSession(model, running):
            pytest.fail("entered")

    assert model.listeners == []


async def test_exception_of_the_body_comes_out_as_it_is(running, model):
    """
    No group is made of it, and the connection is closed.
    """
    with pytest.raises(ValueError, match="boom"):
        async with RealtimeSession(model, running):
            raise ValueError("boom")

    assert not model.is_connected
    assert model.listeners == []


async def test_session_is_entered_once(running, model):
    """
    A session that is over isn't begun again.
    """
    session = RealtimeSession(model, running)
    for unready in (session.wait_closed, session.close):
        with pytest.raises(EventBusError, match="enter it first"):
            await unready()
    async with session:
        pass

    with pytest.raises(EventBusError, match="entered once"):
        await session.__aenter__()


async def test_wait_closed_returns_when_the_connection_has_ended(running, model):
    """
    The end of the stream is the end of the session, from either side; so is close.
    """
    async with RealtimeSession(model, running) as session, anyio.create_task_group() as group:
        group.start_soon(session.wait_closed)
        await model.emit(RealtimeModelEndOfStreamEvent())
    other = ScriptedModel()
    async with RealtimeSession(other, running) as session:
        await session.close()
        await session.wait_closed()
        with pytest.raises(ModelNotConnected):
            await session.interrupt()


async def test_session_that_is_cancelled_is_closed_all_the_same(running, model):
    """
    A cancellation from outside ends tools and connection, and goes on.
    """
    started, outcomes = anyio.Event(), []

    async def wait_forever():
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            outcomes.append("cancelled")

    with anyio.CancelScope() as scope:
        async with RealtimeSession(model, running, tools=[wait_forever]):
            await model.call(call("wait_forever"))
            await started.wait()
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert (outcomes, model.is_connected, model.outputs) == (["cancelled"], False, [])


async def test_bus_that_closes_first_is_said_once_and_the_session_ends_well(bus, model, caplog):
    """
    Events that nobody can get any more make one warning.
    """
    with caplog.at_level(logging.WARNING):
        async with bus, RealtimeSession(model, bus):
            await bus.aclose()
            await model.emit(AUDIO, AUDIO)

    assert [record.getMessage() for record in caplog.records] == [
        "a session goes on, and its bus doesn't run"
    ]


# --- what is sent ----------------------------------------------------------------------------


async def test_each_method_sends_its_request(running, model):
    """
    Audio, messages, interruptions and settings reach the model as its inputs.
    """
    async with RealtimeSession(model, running) as session:
        await session.send_audio(b"\0\0")
        await session.send_audio(b"\1\0", commit=True)
        await session.send_message("Hello")
        await session.interrupt()
        await session.update_settings({"instructions": "Be brief."})

    assert model.sent == [
        RealtimeModelSendAudio(b"\0\0"),
        RealtimeModelSendAudio(b"\1\0", commit=True),
        RealtimeModelSendUserInput("Hello"),
        RealtimeModelSendInterrupt(force_response_cancel=True),
        RealtimeModelSendSessionUpdate({"instructions": "Be brief."}),
    ]


async def test_settings_and_tools_go_with_the_connection(running, model):
    """
    The session's settings go before those of the config, its tools beside the raw ones.
    """
    raw = {"type": "mcp", "server_label": "shop"}
    session = RealtimeSession(
        model,
        running,
        tools=[echo],
        config={"url": "ws://x", "initial_model_settings": {"voice": "ash", "speed": 1.5}},
        settings={"voice": "coral", "tools": [raw]},
    )

    async with session:
        pass

    assert model.config == {
        "url": "ws://x",
        "initial_model_settings": {
            "voice": "coral",
            "speed": 1.5,
            "tools": [raw, echo.to_settings()],
        },
    }


async def test_tools_that_come_later_make_one_session_update(running, model):
    """
    The update has all tools, the raw ones and the old ones included; the decorator returns the
    function itself.
    """
    raw = {"type": "mcp", "server_label": "shop"}
    async with RealtimeSession(model, running, tools=[echo], settings={"tools": [raw]}) as session:

        @session.tool
        def one() -> None: ...

        @session.tool(name="deux", timeout=2)
        def two() -> None: ...

        await model.wait_sent(1)
        await session.update_settings({"voice": "ash"})

    assert not isinstance(one, type(echo))
    (update, voice) = model.sent
    names = [each.get("name") for each in update.session_settings["tools"]]
    assert names == [None, "echo", "one", "deux"]
    assert voice.session_settings == {"voice": "ash"}


async def test_two_tools_of_one_name_are_refused(running, model):
    """
    The model couldn't tell them apart.
    """
    with pytest.raises(ToolDefinitionError, match="echo already"):
        RealtimeSession(model, running, tools=[echo, echo])

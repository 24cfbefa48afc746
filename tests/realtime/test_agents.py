"""
The events of an openai-agents app are published on the bus, and nothing there affects the call.

openai-agents runs on asyncio only; its own scripted model stands for the service.
"""

from __future__ import annotations

import asyncio
import dataclasses
import typing

import anyio
import pytest

pytest.importorskip("agents")

from agents import function_tool, set_tracing_disabled
from agents.realtime import RealtimeAgent, RealtimeRunner
from agents.realtime import events as their_events
from agents.realtime import items as their_items
from agents.realtime import model_events as theirs
from agents.realtime.model_inputs import RealtimeModelSendToolOutput
from agents.realtime.testing import ScriptedRealtimeModel
from agents.usage import Usage
from openai.types.realtime import RealtimeError

from eventbus import Mailbox, Overflow
from eventbus import events as ours
from eventbus import items as our_items
from eventbus.realtime import events as our_events
from eventbus.realtime.agents import AgentsListener, published, pump
from eventbus.testing import capture
from tests.support import crashes, raiser

INFO = their_events.RealtimeEventInfo(context=None)


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
def no_tracing():
    set_tracing_disabled(True)


@pytest.fixture
async def running(bus):
    async with bus:
        yield bus


@pytest.fixture
def model():
    return ScriptedRealtimeModel(strict=False)


@function_tool
def weather(city: str) -> str:
    """Return the weather."""
    return f"sunny in {city}"


def session_of(model, **options):
    agent = RealtimeAgent(name="host", tools=[weather])
    return RealtimeRunner(agent, model=model, config={"tracing_disabled": True}).run(**options)


def audio(number=0):
    return theirs.RealtimeModelAudioEvent(bytes([number, 0]), "resp_1", "item_1", 0)


async def heard(bus, listener_event):
    """
    Return the events that a listener publishes for an event.
    """
    with capture(bus) as captured:
        await AgentsListener(bus, "call-1").on_event(listener_event)
    return captured.events


# --- the listener ----------------------------------------------------------------------------

THEIR_ITEM = their_items.AssistantMessageItem(
    item_id="i",
    previous_item_id="h",
    status="completed",
    content=[
        their_items.AssistantText(text="t"),
        their_items.AssistantAudio(audio="AAAA", transcript="said", loud=True),
    ],
    object="realtime.item",
)
OUR_ITEM = our_items.AssistantMessageItem(
    "i",
    (
        our_items.AssistantText("t"),
        our_items.AssistantAudio("AAAA", "said", extra={"loud": True}),
    ),
    "h",
    "completed",
    extra={"object": "realtime.item"},
)
BOOM = ValueError("boom")
MODEL_EVENTS = [
    (audio(1), ours.RealtimeModelAudioEvent(b"\1\0", "resp_1", "item_1", 0)),
    (
        theirs.RealtimeModelErrorEvent(RealtimeError(message="no", type="x", code="c")),
        ours.RealtimeModelErrorEvent(ours.RealtimeError("no", "x", "c")),
    ),
    (theirs.RealtimeModelErrorEvent(BOOM), ours.RealtimeModelErrorEvent(BOOM)),
    (
        theirs.RealtimeModelToolCallEvent("f", "c", "{}", "i", "h"),
        ours.RealtimeModelToolCallEvent("f", "c", "{}", "i", "h"),
    ),
    (
        theirs.RealtimeModelAudioInterruptedEvent("i", 1),
        ours.RealtimeModelAudioInterruptedEvent("i", 1),
    ),
    (theirs.RealtimeModelAudioDoneEvent("i", 1), ours.RealtimeModelAudioDoneEvent("i", 1)),
    (
        theirs.RealtimeModelInputAudioTranscriptionCompletedEvent("i", "said"),
        ours.RealtimeModelInputAudioTranscriptionCompletedEvent("i", "said"),
    ),
    (
        theirs.RealtimeModelInputAudioTimeoutTriggeredEvent("i", 1, 2),
        ours.RealtimeModelInputAudioTimeoutTriggeredEvent("i", 1, 2),
    ),
    (
        theirs.RealtimeModelTranscriptDeltaEvent("i", "d", "r"),
        ours.RealtimeModelTranscriptDeltaEvent("i", "d", "r"),
    ),
    (
        theirs.RealtimeModelOutputTextDeltaEvent("i", "d", "r"),
        ours.RealtimeModelOutputTextDeltaEvent("i", "d", "r"),
    ),
    (
        theirs.RealtimeModelItemUpdatedEvent(THEIR_ITEM),
        ours.RealtimeModelItemUpdatedEvent(OUR_ITEM),
    ),
    (theirs.RealtimeModelItemDeletedEvent("i"), ours.RealtimeModelItemDeletedEvent("i")),
    (
        theirs.RealtimeModelConnectionStatusEvent("connected"),
        ours.RealtimeModelConnectionStatusEvent("connected"),
    ),
    (theirs.RealtimeModelEndOfStreamEvent(), ours.RealtimeModelEndOfStreamEvent()),
    (
        theirs.RealtimeModelTurnStartedEvent(response_id="r"),
        ours.RealtimeModelTurnStartedEvent("r"),
    ),
    (
        theirs.RealtimeModelUsageEvent(
            Usage(requests=1, input_tokens=2, output_tokens=3, total_tokens=5),
            theirs.RealtimeModelInputTokensDetails(
                1, 1, 0, 1, theirs.RealtimeModelCachedTokensDetails(1, 0, 0)
            ),
            theirs.RealtimeModelOutputTokensDetails(1, 2),
        ),
        ours.RealtimeModelUsageEvent(
            ours.Usage(1, 2, 3, 5),
            ours.RealtimeModelInputTokensDetails(
                1, 1, 0, 1, ours.RealtimeModelCachedTokensDetails(1, 0, 0)
            ),
            ours.RealtimeModelOutputTokensDetails(1, 2),
        ),
    ),
    (theirs.RealtimeModelTurnEndedEvent(response_id="r"), ours.RealtimeModelTurnEndedEvent("r")),
    (theirs.RealtimeModelOtherEvent({"a": 1}), ours.RealtimeModelOtherEvent({"a": 1})),
    (
        theirs.RealtimeModelExceptionEvent(BOOM, "in the model"),
        ours.RealtimeModelExceptionEvent(BOOM, "in the model"),
    ),
    (
        theirs.RealtimeModelRawServerEvent({"type": "x", "n": [1]}),
        ours.RealtimeModelRawServerEvent({"type": "x", "n": [1]}),
    ),
]


@pytest.mark.parametrize(
    ("given", "expected"), MODEL_EVENTS, ids=lambda event: getattr(event, "type", None)
)
async def test_each_model_event_is_ours(bus, given, expected):
    """
    A listener publishes the event of the same name, with the same facts.
    """
    assert await heard(bus, given) == [expected]


def test_each_class_of_theirs_is_tested():
    """
    A class that openai-agents adds is missed here, and not only by users.
    """
    assert {type(given) for given, _ in MODEL_EVENTS} == {
        *typing.get_args(theirs.RealtimeModelEvent)
    }


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            their_items.SystemMessageItem(item_id="i", content=[their_items.InputText(text="a")]),
            our_items.SystemMessageItem("i", (our_items.InputText("a"),)),
        ),
        (
            their_items.UserMessageItem(
                item_id="i",
                content=[
                    their_items.InputText(text="a"),
                    their_items.InputAudio(audio="AA", transcript="b"),
                    their_items.InputImage(image_url="data:x", detail="low"),
                ],
            ),
            our_items.UserMessageItem(
                "i",
                (
                    our_items.InputText("a"),
                    our_items.InputAudio("AA", "b"),
                    our_items.InputImage("data:x", "low"),
                ),
            ),
        ),
        (
            their_items.RealtimeToolCallItem(
                item_id="i", call_id="c", status="completed", arguments="{}", name="f", output="o"
            ),
            our_items.RealtimeToolCallItem("i", "c", "f", "{}", "completed", "o"),
        ),
    ],
    ids=lambda item: type(item).__name__,
)
async def test_items_are_ours_with_all_their_parts(bus, item, expected):
    """
    Messages of each role, and calls with their output.
    """
    (event,) = await heard(bus, theirs.RealtimeModelItemUpdatedEvent(item))

    assert event.item == expected


async def test_event_or_item_of_an_unknown_class_is_other(bus):
    """
    An event of a newer openai-agents gets through as it is.
    """

    @dataclasses.dataclass
    class Newer:
        type: str = "newer"

    strange = theirs.RealtimeModelItemUpdatedEvent(Newer())

    assert await heard(bus, Newer()) == [ours.RealtimeModelOtherEvent(Newer())]
    assert await heard(bus, strange) == [ours.RealtimeModelOtherEvent(strange)]


async def test_event_that_cannot_be_read_is_reported(bus):
    """
    An event that lacks a field of its class is an exception event, and no error in the app.
    """
    broken = audio()
    del broken.data

    (event,) = await heard(bus, broken)

    assert isinstance(event, ours.RealtimeModelExceptionEvent)
    assert event.context == "reading a RealtimeModelAudioEvent of openai-agents"
    assert event.sender == "call-1"


async def test_what_openai_agents_changes_later_does_not_change_our_event(bus):
    """
    A frame or an item that is changed after it was handed over is as it was.
    """
    frame = {"type": "x", "list": [1]}
    item = THEIR_ITEM.model_copy(deep=True)
    raw, updated = [
        *await heard(bus, theirs.RealtimeModelRawServerEvent(frame)),
        *await heard(bus, theirs.RealtimeModelItemUpdatedEvent(item)),
    ]

    frame["list"].append(2)
    item.content.clear()

    assert raw.data == {"type": "x", "list": [1]}
    assert updated.item == OUR_ITEM


async def test_listener_outlives_the_bus(bus, caplog):
    """
    When the bus is closed, the app's call goes on, and that is logged once.
    """
    listener = AgentsListener(bus)
    async with bus:
        pass

    await listener.on_event(audio())
    await listener.on_event(audio())

    assert len(caplog.records) == 1


async def test_full_mailbox_that_raises_does_not_touch_the_call(running):
    """
    A handler that has no room for an event costs the app nothing.
    """
    gate = anyio.Event()

    @running.on(ours.RealtimeModelAudioEvent, mailbox=Mailbox(1, Overflow.RAISE))
    async def slow(event):
        await gate.wait()

    listener = AgentsListener(running)
    for _ in range(4):
        await listener.on_event(audio())
    gate.set()

    assert running.stats.dropped > 0


# --- sessions --------------------------------------------------------------------------------


async def test_running_app_is_on_the_bus_with_one_line(running, model):
    """
    A slow handler and a crashing one: the call doesn't wait, and the app sees everything.
    """
    gate, seen = anyio.Event(), []
    failed = crashes(running)

    @running.on(ours.RealtimeModelAudioEvent)
    async def slow(event):
        await gate.wait()
        seen.append(event.data)

    running.subscribe(raiser(BOOM), ours.RealtimeModelAudioEvent)
    running.subscribe(raiser(BOOM), ours.RealtimeModelTurnStartedEvent)

    async with await session_of(model) as session:
        model.add_listener(AgentsListener(running, "call-1"))
        await model.emit(theirs.RealtimeModelTurnStartedEvent(), *map(audio, range(3)))
        assert seen == []
        await model.emit(theirs.RealtimeModelEndOfStreamEvent())
        app = [event.type async for event in session]

    assert app.count("audio") == 3
    assert [event.exception for event in failed] == [BOOM] * 4
    gate.set()
    await running.aclose()
    assert seen == [b"\0\0", b"\1\0", b"\2\0"]


async def test_pump_publishes_session_and_model_events(running, model):
    """
    An app without a loop of its own has its whole session on the bus; a tool runs as ever.
    """
    call = theirs.RealtimeModelToolCallEvent("weather", "c1", '{"city": "Oslo"}', "i")
    with capture(running, sender="call-1") as captured:
        async with await session_of(model, context={"caller": 7}) as session:
            pumping = asyncio.create_task(pump(session, running, sender="call-1"))
            await model.emit(
                theirs.RealtimeModelTurnStartedEvent(response_id="r"),
                theirs.RealtimeModelItemUpdatedEvent(THEIR_ITEM),
                audio(),
                call,
                theirs.RealtimeModelTurnEndedEvent(response_id="r"),
            )
            await running.expect(our_events.RealtimeToolEnd, timeout=30)
        await pumping

    captured.assert_published(ours.RealtimeModelAudioEvent)
    captured.assert_order(
        ours.RealtimeModelTurnStartedEvent,
        our_events.RealtimeAgentStartEvent,
        our_events.RealtimeHistoryAdded,
        our_events.RealtimeToolStart,
        our_events.RealtimeToolEnd,
    )
    assert captured.assert_published(our_events.RealtimeAudio).item_id == "item_1"
    end = captured.assert_published(our_events.RealtimeToolEnd)
    assert (end.output, end.tool.name, end.agent.name) == ("sunny in Oslo", "weather", "host")
    assert end.info.context.context == {"caller": 7}
    assert captured.assert_published(our_events.RealtimeHistoryAdded).item == OUR_ITEM
    assert any(isinstance(sent, RealtimeModelSendToolOutput) for sent in model.sent_events)


async def test_app_with_a_loop_of_its_own_keeps_its_events(running, model):
    """
    Each event is published, and then the app's; one that repeats another, only if it has a handler.
    """
    seen = []
    running.subscribe(seen.append, our_events.RealtimeAudio | our_events.RealtimeRawModelEvent)
    before = running.stats.published
    async with await session_of(model) as session:
        await model.emit(audio(), theirs.RealtimeModelEndOfStreamEvent())
        app = [event async for event in published(session, running, model_events=False)]

    assert [event.type for event in app] == [
        "history_updated",
        "raw_model_event",
        "audio",
        "raw_model_event",
    ]
    assert [event.type for event in seen] == ["raw_model_event", "audio", "raw_model_event"]
    assert running.stats.published == before + 3  # and not the history, which nobody takes
    assert seen[1].audio == ours.RealtimeModelAudioEvent(b"\0\0", "resp_1", "item_1", 0)


async def test_end_with_an_exception_is_reported_once(running, model):
    """
    The pump ends without it; the error reaches the code that iterates, as without eventbus.
    """
    failed = crashes(running)
    async with await session_of(model) as session:
        pumping = asyncio.create_task(pump(session, running, sender="call-1"))
        await asyncio.sleep(0)
        await model.emit(theirs.RealtimeModelExceptionEvent(BOOM, "the socket"))
        await pumping

    assert [event.exception for event in failed] == [BOOM]

    other = ScriptedRealtimeModel(strict=False)
    async with await session_of(other) as session:
        await other.emit(theirs.RealtimeModelExceptionEvent(BOOM))
        with pytest.raises(ValueError, match="boom"):
            _ = [event async for event in published(session, running)]


async def feed(bus, *events):
    """
    Pump *events*, as if a session had them.
    """

    async def session():
        for event in events:
            yield event

    with capture(bus) as captured:
        await pump(session(), bus)
    return captured.events


async def test_agents_guardrails_and_contexts_are_their_objects(bus):
    """
    Objects that only the agent framework has are handed on as they are.
    """
    host, clerk, tool, result = object(), object(), object(), object()
    info = our_events.RealtimeEventInfo(None)

    assert await feed(
        bus,
        their_events.RealtimeAgentStartEvent(host, INFO),
        their_events.RealtimeAgentEndEvent(host, INFO),
        their_events.RealtimeHandoffEvent(host, clerk, INFO),
        their_events.RealtimeToolApprovalRequired(host, tool, "c", "{}", INFO),
        their_events.RealtimeGuardrailTripped([result], "no", INFO),
        their_events.RealtimeHistoryUpdated([THEIR_ITEM], INFO),
    ) == [
        our_events.RealtimeAgentStartEvent(host, info),
        our_events.RealtimeAgentEndEvent(host, info),
        our_events.RealtimeHandoffEvent(host, clerk, info),
        our_events.RealtimeToolApprovalRequired(host, tool, "c", "{}", info),
        our_events.RealtimeGuardrailTripped([result], "no", info),
        our_events.RealtimeHistoryUpdated([OUR_ITEM], info),
    ]


async def test_error_of_the_session_itself_has_no_model_event(bus):
    """
    Events of the model come as both kinds of event, and those of the session as its own.
    """
    told = RealtimeError(message="told", type="x")
    model_event = theirs.RealtimeModelErrorEvent(told)

    events = await feed(
        bus,
        their_events.RealtimeRawModelEvent(model_event, INFO),
        their_events.RealtimeError(told, INFO),
        their_events.RealtimeError({"message": "Tool call task failed"}, INFO),
    )

    info = our_events.RealtimeEventInfo(None)
    assert [e for e in events if not isinstance(e, our_events.RealtimeRawModelEvent)] == [
        ours.RealtimeModelErrorEvent(ours.RealtimeError("told", "x")),
        our_events.RealtimeError(ours.RealtimeError("told", "x"), info),
        our_events.RealtimeError(ours.RealtimeError("Tool call task failed"), info),
    ]


async def test_mirrors_have_the_facts_where_they_are_wanted(bus):
    """
    Audio, its end, an interruption and a timeout come with a handler of them.
    """
    info = our_events.RealtimeEventInfo(None)
    bus.subscribe(lambda event: None, our_events.RealtimeSessionEvent)

    events = await feed(
        bus,
        their_events.RealtimeAudioEnd(INFO, "i", 0),
        their_events.RealtimeAudioInterrupted(INFO, "i", 0),
        their_events.RealtimeInputAudioTimeoutTriggered(INFO),
    )

    assert events == [
        our_events.RealtimeAudioEnd(info, "i", 0),
        our_events.RealtimeAudioInterrupted(info, "i", 0),
        our_events.RealtimeInputAudioTimeoutTriggered(info),
    ]

"""
Renewals that fail, at each of their steps, against the simulator and in virtual time.

A renewal opens a second connection, configures it, tells it the conversation and lets it take over.
A relay makes either connection fail at one of these steps.
"""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
)
from eventbus.items import AssistantMessageItem, RealtimeToolCallItem, UserMessageItem
from eventbus.realtime import RealtimeSession, ReconnectPolicy
from eventbus.realtime.events import RealtimeHistoryAdded, RealtimeSessionRestored
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.simulator import Simulator
from eventbus.testing import FakeClock, capture
from tests.realtime.relay import Relay
from tests.realtime.test_calls_that_go_on import NAME, QUESTION, ask, of

SCENARIO = {
    "turns": [
        # The simulator takes all messages that it hasn't answered itself as one: a session that
        # was told the conversation knows the name.
        {"when": {"matches": r"(?is)my name is (?P<name>\w+).*what is my name"},
         "say": "Your name is {name}."},
        {"when": {"tool": "weather"}, "say": "In Oslo: {output}."},
        {"when": {"matches": r"(?i)weather\?$"},
         "call": {"tool": "weather", "arguments": {"city": "Oslo"}}},
    ],
    "otherwise": "I see.",
}  # fmt: skip
MAX_SESSION = 100
TOLD = 14
"""Frames of a second connection: two for the session, and two for each of six items told."""

ERROR = json.dumps(
    {
        "type": "error",
        "event_id": "event_1",
        "error": {"type": "server_error", "code": "server_error", "message": "Try later."},
    }
)
EXPIRED = ERROR.replace("server_error", "session_expired")
MALFORMED = '{"type": "conversation.item.added", "item": '

FAULTS = ("cut", "close=1001", "close=1008", "close=1011", "silence", ERROR, EXPIRED, MALFORMED)
AT_HANDSHAKE = ("cut", "silence", "refuse=401", "refuse=429", "refuse=503")


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


async def weather(city: str) -> str:
    """Return the weather."""
    return "rain"  # at once: no time passes for a thread, in virtual time


async def problems_of_call(*, frame, fault, on_fault=None, says=None, keeps_first=False):
    """
    Make a call whose first renewal fails; return all that is wrong with the call.

    *says* is a message of the user at that moment.
    """
    bus = EventBus()
    model = OpenAIRealtimeModel(reconnect=ReconnectPolicy(random=lambda: 0.0))
    asked = [NAME, "The weather?"]

    async def fail(relay):
        if says is not None:
            asked.append(says)
            sending.append(asyncio.ensure_future(session.send_message(says)))
        if on_fault is not None:
            on_fault(relay)

    sending: list[asyncio.Future] = []
    with FakeClock(autojump=True), capture(bus) as captured:
        async with (
            bus,
            Simulator(SCENARIO, max_session=MAX_SESSION) as sim,
            Relay(sim.url, connection=2, frame=frame, fault=fault, on_fault=fail) as relay,
            RealtimeSession(
                model, bus, config={"url": relay.url, "api_key": "none"}, tools=[weather]
            ) as session,
        ):
            await ask(bus, session, NAME)
            await ask(bus, session, "The weather?")
            await relay.happened.wait()
            await asyncio.gather(*sending)
            statuses = len(of(captured, RealtimeModelConnectionStatusEvent))
            await asyncio.sleep(MAX_SESSION)
            asked.append(QUESTION)
            answer = await ask(bus, session, QUESTION)
            await asyncio.sleep(10)
            ends = of(captured, RealtimeModelEndOfStreamEvent)
            items = session.history.items
            told = of(captured, RealtimeModelConnectionStatusEvent)

    said = [item.content[0].text for item in items if isinstance(item, UserMessageItem)]
    answers = [item for item in items if isinstance(item, AssistantMessageItem)]
    outputs = [item.output for item in items if isinstance(item, RealtimeToolCallItem)]
    ids = [item.item_id for item in items]
    added = [event.item.item_id for event in of(captured, RealtimeHistoryAdded)]
    return [
        text
        for text, is_wrong in [
            (f"it answered {answer!r}", answer != "Your name is Ada."),
            (f"the user's words are {said}", said != asked),
            (f"there are {len(answers)} answers", len(answers) != len(asked)),
            (f"the tool's outputs are {outputs}", outputs != ["rain"]),
            ("an item is there twice", len(set(ids)) != len(ids)),
            ("an item was added twice", sorted(added) != sorted(ids)),
            ("the stream ended", bool(ends)),
            ("the first connection was given up", keeps_first and len(told) > statuses),
            ("the conversation was not restored", not of(captured, RealtimeSessionRestored)),
        ]
        if is_wrong
    ]


async def offenders(cells, **options):
    """
    Return the problems of the calls with a fault at each of *cells*: frame and fault.
    """
    found = {}
    for frame, fault in cells:
        problems = await problems_of_call(frame=frame, fault=fault, **options)
        if problems:
            found[frame, fault] = problems
    return found


def cut_first(relay):
    """
    Cut the first connection.
    """
    relay.cut(1)


@pytest.mark.slow
@pytest.mark.parametrize("says", [None, "Hm."])
async def test_second_connection_that_fails_at_any_step_costs_nothing(says):
    """
    The first connection stays, no word is lost and none comes twice, and the next attempt works.
    """
    cells = [(0, fault) for fault in AT_HANDSHAKE]
    cells += [(frame, fault) for frame in (1, 2, 3, 4, 9, TOLD - 1) for fault in FAULTS]

    assert await offenders(cells, says=says, keeps_first=True) == {}


@pytest.mark.slow
@pytest.mark.parametrize("says", [None, "Hm."])
async def test_second_connection_that_fails_when_it_has_taken_over_is_replaced(says):
    """
    It is lost as any other, where its close code allows another one.
    """
    cells = [(TOLD, fault) for fault in FAULTS if fault != "close=1008"]

    assert await offenders(cells, says=says) == {}


@pytest.mark.slow
@pytest.mark.parametrize("says", [None, "Hm."])
async def test_first_connection_that_is_lost_at_any_step_costs_nothing(says):
    """
    Another connection follows, which is told the conversation; the second one is let go.
    """
    cells = [(frame, ERROR) for frame in range(TOLD + 1)]

    assert await offenders(cells, says=says, on_fault=cut_first) == {}


@pytest.mark.parametrize(
    ("frame", "fault", "problem"),
    [
        (1, "cut", r"got no session: it has ended with code 1006\."),
        (4, "close=1011", r"was lost before it could take over: .* code 1011 \(a reason\)\."),
        (4, "silence", r"there was no answer for 5 s\."),
        (4, EXPIRED, "session_expired"),
    ],
)
async def test_failure_of_a_renewal_is_reported_once(bus, frame, fault, problem):
    """
    With its reason, and as no failure of the call.
    """
    model = OpenAIRealtimeModel(reconnect=ReconnectPolicy(random=lambda: 0.0))
    with FakeClock(autojump=True), capture(bus) as captured:
        async with (
            bus,
            Simulator(SCENARIO, max_session=MAX_SESSION) as sim,
            Relay(sim.url, connection=2, frame=frame, fault=fault) as relay,
            RealtimeSession(model, bus, config={"url": relay.url, "api_key": "none"}) as session,
        ):
            await ask(bus, session, NAME)
            restored = await bus.expect(RealtimeSessionRestored, timeout=MAX_SESSION)

    assert restored.reason == "renewed"
    (report,) = of(captured, RealtimeModelExceptionEvent)
    assert report.context == "renewing the session"
    assert re.search(problem, str(report.exception))
    assert of(captured, RealtimeModelErrorEvent) == []


@pytest.mark.parametrize("fault", ["cut", ERROR])
async def test_speech_of_the_change_over_is_sent_once_whichever_connection_is_lost(bus, fault):
    """
    Audio that was held back goes to the connection that goes on.
    """

    async def speak(relay):
        for _ in range(3):
            await session.send_audio(bytes(4_800))
        if fault == ERROR:
            relay.cut(1)

    with FakeClock(autojump=True):
        async with (
            bus,
            Simulator(SCENARIO, max_session=MAX_SESSION) as sim,
            Relay(sim.url, connection=2, frame=4, fault=fault, on_fault=speak) as relay,
            RealtimeSession(
                OpenAIRealtimeModel(reconnect=ReconnectPolicy(random=lambda: 0.0)),
                bus,
                config={"url": relay.url, "api_key": "none"},
            ) as session,
        ):
            await ask(bus, session, NAME)
            await bus.expect(RealtimeSessionRestored, timeout=MAX_SESSION)
            await asyncio.sleep(1)

    sent = [message["type"] for message in sim.received]
    assert sent.count("input_audio_buffer.append") == 3

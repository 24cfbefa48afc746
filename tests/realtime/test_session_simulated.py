"""
Sessions over a real socket, against the simulator: ours, and that of openai-agents on our bus.

The transports are websockets', which runs on asyncio only.
"""

from __future__ import annotations

import asyncio
import math

import pytest

pytest.importorskip("agents")

from agents import function_tool, set_tracing_disabled
from agents.realtime import RealtimeAgent, RealtimeRunner
from agents.realtime.openai_realtime import OpenAIRealtimeWebSocketModel

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
)
from eventbus.items import AssistantMessageItem, RealtimeToolCallItem, UserMessageItem
from eventbus.realtime.agents import pump
from eventbus.realtime.events import RealtimeHistoryUpdated, RealtimeToolEnd
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.realtime.session import RealtimeSession
from eventbus.simulator import Simulator
from eventbus.simulator.speech import silence, speak
from eventbus.testing import FakeClock, capture
from tests.support import raiser


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
def no_tracing():
    set_tracing_disabled(True)


def session_with(sim, bus, **options):
    config = {"url": sim.url, "api_key": "sk-nobody"}
    return RealtimeSession(OpenAIRealtimeModel(), bus, sender="call-1", config=config, **options)


def get_weather(city: str) -> str:
    """Return the weather."""
    return f"rain in {city}"


async def until_said(bus, text):
    await bus.expect(
        RealtimeModelTranscriptDoneEvent, when=lambda event: event.transcript == text, timeout=20
    )


async def test_turn(bus):
    """
    A message is answered in audio; both are in the history, in order and complete.
    """
    with capture(bus) as captured:
        async with bus, Simulator(speed=math.inf) as sim, session_with(sim, bus) as session:
            async with asyncio.TaskGroup() as group:
                group.create_task(bus.expect(RealtimeModelTurnEndedEvent, timeout=20))
                await asyncio.sleep(0)
                await session.send_message("Hello")
            question, answer = session.history

    assert isinstance(question, UserMessageItem)
    assert isinstance(answer, AssistantMessageItem)
    assert (answer.status, answer.content[0].transcript) == ("completed", "You said: Hello")
    assert question.content[0].text == "Hello"
    updates = [e for e in captured.events if isinstance(e, RealtimeHistoryUpdated)]
    assert updates[-1].history == (question, answer)
    captured.assert_published(RealtimeModelAudioEvent)
    captured.assert_not_published(RealtimeModelErrorEvent)
    captured.assert_not_published(RealtimeModelExceptionEvent)


async def test_tool_call(bus):
    """
    The tool runs, the service gets its output once, and the model speaks of it.
    """
    async with (
        bus,
        Simulator("weather", speed=math.inf) as sim,
        session_with(sim, bus, tools=[get_weather]) as session,
    ):
        async with asyncio.TaskGroup() as group:
            group.create_task(until_said(bus, "In Oslo, this is the weather: rain in Oslo."))
            await asyncio.sleep(0)
            await session.send_message("What is the weather in Oslo?")
        items = session.history.items

    (call,) = [item for item in items if isinstance(item, RealtimeToolCallItem)]
    assert (call.status, call.output) == ("completed", "rain in Oslo")
    sent = [message["type"] for message in sim.received]
    assert sent.count("conversation.item.create") == 2
    assert sent.count("response.create") == 2


async def test_interruption(bus):
    """
    Speech over an answer cuts it off: the history has the cut, and the words before it.
    """
    with FakeClock(autojump=True):
        async with bus, Simulator("barge_in") as sim, session_with(sim, bus) as session:
            async with asyncio.TaskGroup() as group:
                first = group.create_task(bus.expect(RealtimeModelAudioEvent, timeout=60))
                await asyncio.sleep(0)
                await session.send_message("Tell me a story")
            item_id = first.result().item_id
            async with asyncio.TaskGroup() as group:
                group.create_task(bus.expect(RealtimeModelAudioInterruptedEvent, timeout=60))
                group.create_task(until_said(bus, "Of course. What would you like to know?"))
                await asyncio.sleep(0)
                speech = speak("Stop it, please") + silence(1_000)
                for start in range(0, len(speech), 4_800):
                    await session.send_audio(speech[start : start + 4_800])
            story = session.history.get(item_id)

    (part,) = story.content
    assert story.status == "incomplete"
    assert part.transcript.startswith("That is")
    assert part.heard.audio_end_ms >= 0
    assert part.transcript.startswith(part.heard_words)


async def test_running_openai_agents_app_is_on_the_bus():
    """
    A slow and a crashing handler, and the app's tool call goes through as without them.
    """
    bus, seen = EventBus(), []

    @bus.on(RealtimeModelAudioEvent)
    async def slow(event):
        await asyncio.sleep(3600)

    bus.subscribe(raiser(ValueError("boom")), RealtimeModelAudioEvent)
    bus.subscribe(seen.append, RealtimeToolEnd)
    tool = function_tool(get_weather)
    agent = RealtimeAgent(name="Clerk", instructions="Be brief.", tools=[tool])
    model = OpenAIRealtimeWebSocketModel(transport_config={"ping_interval": None})
    runner = RealtimeRunner(agent, model=model)

    async with bus, Simulator("weather", speed=math.inf) as sim:
        config = {"url": sim.url, "api_key": "sk-nobody"}
        async with await runner.run(model_config=config) as session:
            pumping = asyncio.create_task(pump(session, bus, sender="call-1"))
            async with bus.stream(RealtimeModelTurnEndedEvent) as turns:
                await session.send_message("What is the weather in Oslo?")
                for _ in range(2):
                    await anext(turns)
        await pumping
        await bus.aclose(drain=False)

    (end,) = seen
    assert (end.output, end.agent.name) == ("rain in Oslo", "Clerk")
    assert bus.stats.crashed > 0

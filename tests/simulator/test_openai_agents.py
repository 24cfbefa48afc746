"""
An app of openai-agents talks to the simulator as to the service.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from agents import function_tool, set_tracing_disabled
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession
from agents.realtime.openai_realtime import OpenAIRealtimeWebSocketModel

from eventbus.simulator import Simulator
from eventbus.simulator.speech import is_synthetic, silence, speak
from eventbus.testing import FakeClock


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """
    openai-agents runs on asyncio only.
    """
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
def _no_tracing():
    """
    Nothing goes to the network: openai-agents would send its traces.
    """
    set_tracing_disabled(True)


@function_tool
def get_weather(city: str) -> str:
    """
    Return the weather.
    """
    return f"rain in {city}"


@asynccontextmanager
async def session_with(sim: Simulator) -> AsyncIterator[RealtimeSession]:
    agent = RealtimeAgent(name="Clerk", instructions="Be brief.", tools=[get_weather])
    # Pings are timers, which virtual time would set off one after the other.
    model = OpenAIRealtimeWebSocketModel(transport_config={"ping_interval": None})
    config: Any = {"url": sim.url, "api_key": "sk-nobody"}
    async with await RealtimeRunner(agent, model=model).run(model_config=config) as session:
        yield session


async def until(session: RealtimeSession, type_: str) -> list[Any]:
    """
    Return the session's events up to the first of that type.
    """
    events = []
    async for event in session:
        assert event.type != "error", event
        events.append(event)
        if event.type == type_:
            return events
    raise AssertionError(f"The session has ended without {type_}.")


async def transcript(session: RealtimeSession, number: int) -> str:
    """
    Return the model's words in the last of so many answers.
    """
    done = "response.output_audio_transcript.done"
    frames = (frame async for frame in server_events(session) if frame["type"] == done)
    said = ""
    for _ in range(number):
        said = (await anext(frames))["transcript"]
    return said


async def server_events(session: RealtimeSession) -> AsyncIterator[Any]:
    async for event in session:
        if event.type == "raw_model_event" and event.data.type == "raw_server_event":
            yield event.data.data


async def test_turn():
    """
    A message is answered in audio, and both are in the history.
    """
    async with Simulator(speed=math.inf) as sim, session_with(sim) as session:
        await session.send_message("Hello")
        events = [*await until(session, "audio_end"), *await until(session, "agent_end")]

    sound = b"".join(event.audio.data for event in events if event.type == "audio")
    assert is_synthetic(sound)
    history = [event.history for event in events if event.type == "history_updated"][-1]
    assert [item.role for item in history] == ["user", "assistant"]
    assert history[-1].content[0].transcript == "You said: Hello"


async def test_tool_call():
    """
    A function_tool runs when the model calls it, and the model speaks of its output.
    """
    async with Simulator("weather", speed=math.inf) as sim, session_with(sim) as session:
        await session.send_message("What is the weather in Oslo?")
        assert await transcript(session, 2) == "In Oslo, this is the weather: rain in Oslo."

    [output] = [
        message["item"]["output"]
        for message in sim.received
        if message["type"] == "conversation.item.create"
        and message["item"]["type"] == "function_call_output"
    ]
    assert output == "rain in Oslo"


async def test_barge_in():
    """
    Speech during an answer interrupts it: the app is told, and truncates at the place that was
    heard.
    """
    with FakeClock(autojump=True):
        async with Simulator("barge_in") as sim, session_with(sim) as session:
            await session.send_message("Tell me a story")
            await until(session, "audio")
            speech = speak("Stop it, please") + silence(1_000)
            for start in range(0, len(speech), 4_800):
                await session.send_audio(speech[start : start + 4_800])
            events = await until(session, "audio_interrupted")
            answer = await transcript(session, 2)

    item_id = events[-1].item_id
    truncations = [
        message for message in sim.received if message["type"] == "conversation.item.truncate"
    ]
    assert [message["item_id"] for message in truncations] == [item_id]
    assert answer == "Of course. What would you like to know?"

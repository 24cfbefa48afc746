"""
LiveKit Agents: its realtime model for OpenAI, without a room.
"""

from __future__ import annotations

import asyncio

import pytest

from eventbus import EventBus
from eventbus.events import RealtimeModelTranscriptDoneEvent, RealtimeModelTurnEndedEvent
from eventbus.realtime.events import RealtimeModelRawClientEvent
from eventbus.realtime.livekit import publish_events
from eventbus.simulator.speech import silence, speak
from eventbus.testing import capture
from tests.clients.conftest import SECONDS, refusals, status_of_the_answer

pytest.importorskip("livekit.plugins.openai")

from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool, llm, utils
from livekit.plugins import openai
from openai.types.realtime import AudioTranscription

CLIENT = ("livekit-agents", "LiveKit Agents")


@pytest.fixture
async def session(service):
    """
    A session of LiveKit's, with its simulator.
    """
    simulator, place = service
    utils.http_context._new_session_ctx()
    model = openai.realtime.RealtimeModel(
        base_url=place.base_url,
        api_key="none",
        input_audio_transcription=AudioTranscription(model="gpt-4o-mini-transcribe"),
    )
    session = model.session()
    yield session, simulator
    await session.aclose()
    await utils.http_context._close_http_ctx()


async def words(generation):
    said = []
    async for message in generation.message_stream:
        said += [piece async for piece in message.text_stream]
    return "".join(said)


async def say(session, text):
    context = session.chat_ctx.copy()
    context.add_message(role="user", content=text)
    await session.update_chat_ctx(context)
    return await asyncio.wait_for(session.generate_reply(), SECONDS)


async def push(session, audio):
    for start in range(0, len(audio), 960):
        piece = audio[start : start + 960]
        session.push_audio(rtc.AudioFrame(piece, 24_000, 1, len(piece) // 2))
        await asyncio.sleep(0.005)


async def test_text(session):
    """
    A message is answered, and what it answers is in the client's history.
    """
    session, simulator = session

    assert await words(await say(session, "Hello")) == "You said: Hello"
    assert refusals(simulator) == []


async def test_audio_with_turn_detection(session):
    """
    Speech is noticed, transcribed and answered.
    """
    session, simulator = session
    generations, transcripts = asyncio.Queue(), asyncio.Queue()
    session.on("generation_created", generations.put_nowait)
    session.on("input_audio_transcription_completed", transcripts.put_nowait)

    await push(session, silence(300) + speak("Good morning") + silence(1_200))
    generation = await asyncio.wait_for(generations.get(), SECONDS)

    assert await words(generation) == "You said: Good morning"
    transcript = await asyncio.wait_for(transcripts.get(), SECONDS)
    while not transcript.is_final:
        transcript = await asyncio.wait_for(transcripts.get(), SECONDS)
    assert transcript.transcript == "Good morning"
    assert refusals(simulator) == []


async def test_tool_round(session):
    """
    A tool is called, and its output is answered.
    """
    session, simulator = session

    @function_tool
    async def get_weather(city: str) -> str:
        """Return the weather of a city."""
        return "rain"

    await session.update_tools([get_weather])
    generation = await say(session, "How is the weather?")
    calls = [call async for call in generation.function_stream]
    context = session.chat_ctx.copy()
    context.items.append(
        llm.FunctionCallOutput(call_id=calls[0].call_id, output="rain", is_error=False)
    )
    await session.update_chat_ctx(context)
    answer = await asyncio.wait_for(session.generate_reply(), SECONDS)

    assert (calls[0].name, calls[0].arguments) == ("get_weather", '{"city":"Oslo"}')
    assert await words(answer) == "In Oslo: rain."
    assert refusals(simulator) == []


async def test_interruption(session):
    """
    An answer that is interrupted ends as cancelled.
    """
    session, simulator = session
    generation = await say(session, "Tell me a story")
    async for message in generation.message_stream:
        async for _ in message.audio_stream:
            session.interrupt()
            break
        break

    assert await status_of_the_answer(simulator) == "cancelled"
    assert refusals(simulator) == []


class Clerk(Agent):
    """
    An agent whose events are published.
    """

    def __init__(self, bus):
        super().__init__(instructions="Be brief.")
        self.bus = bus

    async def on_enter(self) -> None:
        publish_events(self.realtime_llm_session, self.bus, sender="call-42")


async def test_events_of_an_agent_are_published(service):
    """
    The two lines of the guide: the service's events and the client's messages are on the bus.
    """
    simulator, place = service
    utils.http_context._new_session_ctx()
    model = openai.realtime.RealtimeModel(base_url=place.base_url, api_key="none")
    async with EventBus() as bus, AgentSession(llm=model) as session:
        with capture(bus, sender="call-42") as captured:
            await session.start(Clerk(bus))
            session.generate_reply(user_input="Hello")
            await captured.wait_for(RealtimeModelTurnEndedEvent, timeout=SECONDS)

    await utils.http_context._close_http_ctx()

    assert captured.assert_published(RealtimeModelTranscriptDoneEvent).transcript
    messages = [
        e.data["type"] for e in captured.events if isinstance(e, RealtimeModelRawClientEvent)
    ]
    assert "response.create" in messages
    assert refusals(simulator) == []

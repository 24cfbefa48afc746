"""
pydantic-ai: an agent in a realtime session.
"""

from __future__ import annotations

import asyncio

import pytest

from eventbus.simulator.speech import silence, speak
from tests.clients.conftest import SECONDS, refusals, said, status_of_the_answer

pytest.importorskip("pydantic_ai.realtime.openai")

from pydantic_ai import Agent
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.realtime import RealtimeTurnCompleteEvent
from pydantic_ai.realtime.openai import OpenAIRealtimeModel

CLIENT = ("pydantic-ai-slim", "pydantic-ai")


def model_of(place):
    provider = OpenAIProvider(base_url=place.base_url, api_key="none")
    return OpenAIRealtimeModel("gpt-realtime", provider=provider)


async def turn(session):
    async with asyncio.timeout(SECONDS):
        async for event in session:
            if isinstance(event, RealtimeTurnCompleteEvent):
                return


async def test_text(service):
    """
    A message is answered.
    """
    simulator, place = service
    async with Agent(instructions="Be brief.").realtime(model_of(place)).session() as session:
        await session.send("Hello")
        await turn(session)

    assert said(simulator) == ["You said: Hello"]
    assert refusals(simulator) == []


async def test_audio_with_turn_detection(service):
    """
    Speech is noticed and answered.
    """
    simulator, place = service
    audio = silence(300) + speak("Good morning") + silence(1_200)
    async with Agent().realtime(model_of(place)).session() as session:
        for start in range(0, len(audio), 4_800):
            await session.send_audio(audio[start : start + 4_800])
        await turn(session)

    assert said(simulator) == ["You said: Good morning"]
    assert refusals(simulator) == []


async def test_tool_round(service):
    """
    A tool is called by the agent, and its output is answered.
    """
    simulator, place = service
    agent = Agent()

    @agent.tool_plain
    def get_weather(city: str) -> str:
        return f"rain in {city}"

    async with agent.realtime(model_of(place)).session() as session:
        await session.send("How is the weather?")
        async with asyncio.timeout(SECONDS):
            async for _ in session:
                if said(simulator):
                    break

    assert said(simulator) == ["In Oslo: rain in Oslo."]
    assert refusals(simulator) == []


async def test_interruption(service):
    """
    An answer that is interrupted ends as cancelled.
    """
    simulator, place = service
    async with Agent().realtime(model_of(place)).session() as session:
        await session.send("Tell me a story")
        async with asyncio.timeout(SECONDS):
            async for _ in session:
                if any(event["type"] == "response.output_audio.delta" for event in simulator.sent):
                    break
            await session.interrupt()
            assert await status_of_the_answer(simulator) == "cancelled"
    assert refusals(simulator) == []

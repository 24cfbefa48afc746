"""
Clients of Azure, Azure Voice Live and xAI, each against the simulator that speaks their dialect.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from eventbus.simulator import Simulator
from eventbus.simulator.speech import silence, speak
from tests.clients.conftest import SCENARIO, SECONDS, refusals, until

pytest.importorskip("pydantic_ai.realtime.openai")

from pydantic_ai import Agent
from pydantic_ai.providers.azure import AzureProvider
from pydantic_ai.realtime.azure import AzureRealtimeModel

DATE = "2025-04-01-preview"


def azure(simulator, **settings):
    provider = AzureProvider(
        azure_endpoint=f"https://127.0.0.1:{simulator.port}", api_key="none", api_version=DATE
    )
    return AzureRealtimeModel("gpt-realtime", provider=provider, settings=settings)


def voice_live(simulator):
    return azure(simulator, azure_voice_live=True)


def xai(simulator):
    module = pytest.importorskip("pydantic_ai.realtime.xai")
    providers = pytest.importorskip("pydantic_ai.providers.xai")
    address = type("Provider", (providers.XaiProvider,), {"base_url": simulator.base_url})
    return module.XaiRealtimeModel("grok-voice-latest", provider=address(api_key="none"))


def answers(simulator):
    return [e["transcript"] for e in simulator.sent if "audio_transcript.done" in e["type"]]


@pytest.mark.parametrize(
    ("dialect", "model_of"),
    [("azure", azure), ("azure-voice-live", voice_live), ("xai", xai)],
    ids=["azure", "azure-voice-live", "xai"],
)
async def test_tool_round_and_spoken_turn(dialect, model_of, monkeypatch):
    """
    pydantic-ai's client of that service has its tool called, and a spoken turn answered.
    """
    async with Simulator({**SCENARIO, "dialect": dialect}, tls=dialect != "xai") as simulator:
        if simulator.ca_file is not None:
            monkeypatch.setenv("SSL_CERT_FILE", str(simulator.ca_file))
        agent = Agent()

        @agent.tool_plain
        def get_weather(city: str) -> str:
            return f"rain in {city}"

        async with agent.realtime(model_of(simulator)).session() as session:
            listening = asyncio.ensure_future(listen(session))
            await session.send("How is the weather?")
            await until(lambda: answers(simulator))
            audio = silence(300) + speak("Good morning") + silence(1_200)
            for start in range(0, len(audio), 4_800):
                await session.send_audio(audio[start : start + 4_800])
            await until(lambda: len(answers(simulator)) == 2)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(listening, SECONDS)

    assert answers(simulator) == ["In Oslo: rain in Oslo.", "You said: Good morning"]
    assert refusals(simulator) == []


async def listen(session):
    async for _ in session:
        pass

"""
A voice agent: microphone in, loudspeaker out, with barge-in, a tool and captions.

    pip install '.[audio,openai,sim]'              # in a clone of eventbus
    python examples/voice_agent.py --sim           # without a key
    OPENAI_API_KEY=… python examples/voice_agent.py

Use headphones: a microphone that hears the loudspeaker interrupts the agent. Ctrl-C ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelTranscriptDoneEvent,
)
from eventbus.exceptions import RealtimeConnectionError
from eventbus.realtime.model import RealtimeModelConfig
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.realtime.playback import RealtimePlaybackTracker
from eventbus.realtime.session import RealtimeSession
from eventbus.realtime.tools import tool
from eventbus.simulator import Simulator

try:
    from eventbus.audio import DeviceError, Loudspeaker, Microphone
except (ImportError, OSError) as exc:  # sounddevice or PortAudio is missing
    sys.exit(str(exc))

bus = EventBus()


@bus.on(RealtimeModelInputAudioTranscriptionCompletedEvent)
def show_user(event: RealtimeModelInputAudioTranscriptionCompletedEvent) -> None:
    """Show what the user has said."""
    print("you:", event.transcript, flush=True)


@bus.on(RealtimeModelTranscriptDoneEvent)
def show_agent(event: RealtimeModelTranscriptDoneEvent) -> None:
    """Show what the agent says."""
    print("agent:", event.transcript, flush=True)


@bus.on(RealtimeModelExceptionEvent)
def report(event: RealtimeModelExceptionEvent) -> None:
    """Show failures; the call goes on."""
    print(f"{event.context}: {event.exception!r}", file=sys.stderr)


@tool(timeout=10)
async def get_weather(city: str) -> str:
    """Return the present weather in a city."""
    return f"sunny, as ever in {city}"


async def main(*, is_simulated: bool) -> None:
    """Talk until Ctrl-C."""
    tracker = RealtimePlaybackTracker()
    config: RealtimeModelConfig = {
        "playback_tracker": tracker,
        "initial_model_settings": {
            "instructions": "You are a friendly assistant. Be brief.",
            "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}},
        },
    }
    async with contextlib.AsyncExitStack() as stack:
        if is_simulated:
            service = await stack.enter_async_context(Simulator("weather"))
            config.update({"url": service.url, "api_key": "none"})
        await stack.enter_async_context(bus)
        session = RealtimeSession(OpenAIRealtimeModel(), bus, tools=[get_weather], config=config)
        try:
            await stack.enter_async_context(session)
            microphone = stack.enter_context(Microphone())
            loudspeaker = stack.enter_context(Loudspeaker(tracker=tracker))
        except RealtimeConnectionError as exc:
            sys.exit(str(exc))
        except DeviceError as exc:
            sys.exit(f"No microphone or no loudspeaker can be used: {exc}")
        bus.subscribe(loudspeaker.play, RealtimeModelAudioEvent)
        bus.subscribe(loudspeaker.clear, RealtimeModelAudioInterruptedEvent)
        print("Speak; Ctrl-C ends.", flush=True)
        async for piece in microphone:
            await session.send_audio(piece)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A voice agent.")
    parser.add_argument("--sim", action="store_true", help="talk to the simulator, without a key")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(is_simulated=parser.parse_args().sim))

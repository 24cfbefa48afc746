"""
Push-to-talk: the application, not the service, says when the user's turn begins and ends.

    python examples/push_to_talk.py               # a simulated conversation, without a key
    OPENAI_API_KEY=… python examples/push_to_talk.py --live      # with your microphone

With ``--live``, press Enter to talk and Enter again to send; press it during an answer to
interrupt that. Ctrl-D ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import sys
from collections.abc import AsyncIterator

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
)
from eventbus.realtime.inputs import RealtimeModelSendRawMessage
from eventbus.realtime.model import RealtimeModelConfig
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.realtime.playback import RealtimePlaybackTracker
from eventbus.realtime.session import RealtimeSession
from eventbus.realtime.settings import RealtimeSessionModelSettings
from eventbus.simulator import Simulator
from eventbus.simulator.speech import speak

# Without turn detection the service waits for a commit, and answers when it is asked to.
SETTINGS: RealtimeSessionModelSettings = {
    "audio": {
        "input": {"turn_detection": None, "transcription": {"model": "gpt-4o-mini-transcribe"}},
    },
}

bus = EventBus()


@bus.on(RealtimeModelInputAudioTranscriptionCompletedEvent)
def show_user(event: RealtimeModelInputAudioTranscriptionCompletedEvent) -> None:
    """Show what the user has said."""
    print("you:", event.transcript)


@bus.on(RealtimeModelTranscriptDoneEvent)
def show_agent(event: RealtimeModelTranscriptDoneEvent) -> None:
    """Show what the agent says."""
    print("agent:", event.transcript)


async def press(session: RealtimeSession) -> None:
    """Begin a turn: an answer that is being played is cut off where it was heard."""
    await session.interrupt()


async def release(session: RealtimeSession) -> None:
    """End the turn, and ask for the answer."""
    await session.send_audio(b"", commit=True)
    await session.model.send_event(RealtimeModelSendRawMessage({"type": "response.create"}))


async def simulate(session: RealtimeSession) -> None:
    """Talk to the simulator, with a synthetic voice."""
    async with bus.stream(RealtimeModelTurnEndedEvent) as turns:
        for text in ("Hello, is anybody there?", "Then tell me the time, please."):
            await press(session)
            await session.send_audio(speak(text))
            await release(session)
            await anext(turns)


async def converse(session: RealtimeSession, tracker: RealtimePlaybackTracker) -> None:
    """Talk with microphone and loudspeaker, until Ctrl-D."""
    # Here, since only this needs the extra audio.
    from eventbus.audio import DeviceError, Loudspeaker, Microphone  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        try:
            microphone = stack.enter_context(Microphone())
            loudspeaker = stack.enter_context(Loudspeaker(tracker=tracker))
        except DeviceError as exc:
            sys.exit(f"No microphone or no loudspeaker can be used: {exc}")
        bus.subscribe(loudspeaker.play, RealtimeModelAudioEvent)
        bus.subscribe(loudspeaker.clear, RealtimeModelAudioInterruptedEvent)
        is_pressed = False

        async def talk() -> None:
            async for piece in microphone:
                if is_pressed:
                    await session.send_audio(piece)

        talking = asyncio.create_task(talk())
        print("Press Enter to talk, and Enter again to send. Ctrl-D ends.")
        async for _ in keys():
            if not is_pressed:
                await press(session)
            is_pressed = not is_pressed
            if not is_pressed:
                await release(session)
        talking.cancel()


async def keys() -> AsyncIterator[None]:
    """Yield each time that Enter is pressed."""
    while await asyncio.to_thread(sys.stdin.readline):
        yield


async def main(*, is_live: bool) -> None:
    """Connect, and talk."""
    tracker = RealtimePlaybackTracker()
    config: RealtimeModelConfig = {"initial_model_settings": SETTINGS}
    async with contextlib.AsyncExitStack() as stack:
        if is_live:
            config["playback_tracker"] = tracker
        else:
            service = await stack.enter_async_context(Simulator(speed=math.inf))
            config.update({"url": service.url, "api_key": "none"})
        await stack.enter_async_context(bus)
        session = RealtimeSession(OpenAIRealtimeModel(), bus, config=config)
        await stack.enter_async_context(session)
        await (converse(session, tracker) if is_live else simulate(session))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Push-to-talk.")
    parser.add_argument("--live", action="store_true", help="use OpenAI and your microphone")
    arguments = parser.parse_args()
    if arguments.live and not os.environ.get("OPENAI_API_KEY"):
        sys.exit("There is no key: set OPENAI_API_KEY, or leave --live out.")
    asyncio.run(main(is_live=arguments.live))

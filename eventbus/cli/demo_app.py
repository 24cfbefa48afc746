"""
The application of ``eventbus demo``: a shop's telephone agent, in one listener.

Each method below that is marked with ``@on(...)`` is a handler, and is called with each event of
that class. The ones with ``async def`` work through a mailbox of their own, so they may take
their time: captions go on while audio is played and a tool is called.

The demo uses it as your program would::

    bus, agent = EventBus(), PhoneAgent(screen)
    bus.register(agent)
    session = RealtimeSession(
        OpenAIRealtimeModel(),
        bus,
        tools=[agent.look_up_order],
        config={"initial_model_settings": SETTINGS, "playback_tracker": agent.tracker},
    )
    async with bus, session:
        async for piece in microphone:
            await session.send_audio(piece)
"""

from __future__ import annotations

from typing import Final

import anyio

from ..audio._formats import PCM16
from ..events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelUsageEvent,
)
from ..handlers import on
from ..mailbox import Mailbox
from ..realtime.events import RealtimeToolEnd, RealtimeToolStart
from ..realtime.playback import RealtimePlaybackTracker
from ..realtime.settings import RealtimeSessionModelSettings
from .terminal.console import Screen

__all__ = ["SETTINGS", "PhoneAgent"]

SETTINGS: Final[RealtimeSessionModelSettings] = {
    "model_name": "demo-realtime",
    "instructions": "You answer the telephone of a small shop. Be brief.",
    "audio": {
        "input": {
            "format": PCM16,
            "transcription": {"model": "gpt-4o-mini-transcribe"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
        },
        "output": {"format": PCM16},
    },
}

# What waits to be played is obsolete as soon as the caller speaks.
PLAYBACK: Final = Mailbox(purged_by=(RealtimeModelAudioInterruptedEvent,))

ORDERS: Final = {1042: "left this morning"}


class PhoneAgent:
    """
    Shows the captions of a call, plays its audio and has a tool for it.

    Args:
        screen: Shows the captions.
        speed: The speed at which speech is played; 1 is its own.

    Attributes:
        tracker: Knows how much of the model's speech was heard.
        unplayed: The number of bytes of speech that wait for the loudspeaker.
    """

    def __init__(self, screen: Screen, speed: float = 1.0) -> None:
        self.screen = screen
        self.speed = speed
        self.tracker = RealtimePlaybackTracker()
        self.heard = ""  # what the caller is saying
        self.said = ""  # what the model is saying
        self.unplayed = 0

    @on(RealtimeModelSessionUpdatedEvent, when=lambda event: event.created)
    def begin(self, event: RealtimeModelSessionUpdatedEvent) -> None:
        """Show that the call has begun."""
        self.screen.line("call", f"{event.session['model']} picks up")

    # --- captions: sync handlers, which are done when publish returns

    @on(RealtimeModelInputTranscriptDeltaEvent)
    def hear(self, event: RealtimeModelInputTranscriptDeltaEvent) -> None:
        """Show the caller's words while they are being understood."""
        self.heard += event.delta
        self.screen.growing("caller", self.heard)

    @on(RealtimeModelInputAudioTranscriptionCompletedEvent)
    def understand(self, event: RealtimeModelInputAudioTranscriptionCompletedEvent) -> None:
        """Show the caller's turn in full."""
        self.screen.line("caller", event.transcript)
        self.heard = ""

    @on(RealtimeModelTranscriptDeltaEvent)
    def speak(self, event: RealtimeModelTranscriptDeltaEvent) -> None:
        """Show the model's words while they are generated; they come before their sound."""
        self.said += event.delta
        self.screen.growing("agent", self.said)

    @on(RealtimeModelTranscriptDoneEvent)
    def finish(self, event: RealtimeModelTranscriptDoneEvent) -> None:
        """Show the model's turn in full."""
        if self.said:  # else the caller has cut it off
            self.screen.line("agent", event.transcript)
        self.said = ""

    # --- audio: an async handler, whose mailbox an interruption empties

    @on(RealtimeModelAudioEvent)
    def receive(self, event: RealtimeModelAudioEvent) -> None:
        """Count the audio that came."""
        self.unplayed += len(event.data)

    @on(RealtimeModelAudioEvent, mailbox=PLAYBACK)
    async def play(self, event: RealtimeModelAudioEvent) -> None:
        """Play a piece of audio, which takes as long as it sounds."""
        # Here you would write to a sound card.
        await anyio.sleep(PCM16.duration_ms(len(event.data)) / 1000 / self.speed)
        self.unplayed = max(0, self.unplayed - len(event.data))
        self.tracker.on_play_bytes(event.item_id, event.content_index, event.data)

    @on(RealtimeModelAudioInterruptedEvent)
    def stop(self, _: RealtimeModelAudioInterruptedEvent) -> None:
        """Say how much is never played: the mailbox of `play` is empty by now."""
        if self.unplayed:
            if self.said:
                self.screen.line("agent", f"{self.said} …")
            seconds = PCM16.duration_ms(self.unplayed) / 1000
            self.screen.line("cut", f"interrupted: {seconds:.1f} s of speech is not played")
        self.said, self.unplayed = "", 0

    # --- the tool: slow, and delays nobody; the model learns of it by its signature

    async def look_up_order(self, order: int) -> str:
        """Return where an order is, by its number."""
        await anyio.sleep(0.5 / self.speed)  # here you would ask your database
        return ORDERS[order]

    @on(RealtimeToolStart)
    def begin_tool(self, event: RealtimeToolStart) -> None:
        """Show that the model asks for something."""
        self.screen.line("tool", f"{event.tool.name}({event.arguments}) …")

    @on(RealtimeToolEnd)
    def end_tool(self, event: RealtimeToolEnd) -> None:
        """Show the output of the tool."""
        self.screen.line("tool", f"{event.tool.name} = {event.output!r}")

    # --- failures: the bus catches them, reports them as events, and the call goes on

    @on(RealtimeModelUsageEvent)
    def measure(self, event: RealtimeModelUsageEvent) -> None:
        """Show how much of the response was not audio."""
        details = event.output_tokens_details
        audio_tokens = (details and details.audio_tokens) or 0
        # A bug, left in on purpose: a response that calls a tool has no audio tokens.
        share = event.usage.output_tokens / audio_tokens
        self.screen.line("call", f"{share:.1f} tokens for each token of audio")

    @on(RealtimeModelExceptionEvent)
    def report(self, event: RealtimeModelExceptionEvent) -> None:
        """Show a handler that has crashed."""
        name = getattr(event.handler, "__name__", "something")
        self.screen.line("crash", f"{name}: {event.exception!r}; the call goes on")

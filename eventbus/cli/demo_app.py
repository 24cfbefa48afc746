"""
The application of ``eventbus demo``: a shop's telephone agent, in one listener.

Each method below that is marked with ``@on(...)`` is a handler, and is called with each event of
that class. The ones with ``async def`` work through a mailbox of their own, so they may take
their time: captions go on while audio is played and a tool is called.

The demo does with it what your program would do::

    bus = EventBus()
    bus.register(PhoneAgent(screen))
    async with bus:
        for frame in frames:
            for event in decoder.decode(frame):
                bus.publish(event)
"""

from __future__ import annotations

import json

import anyio

from ..events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelUsageEvent,
)
from ..handlers import on
from ..mailbox import Mailbox
from .console import Screen

__all__ = ["PhoneAgent"]

BYTES_PER_SECOND = 8_000  # of audio/pcmu, the session's format

# What waits to be played is obsolete as soon as the caller speaks.
PLAYBACK = Mailbox(purged_by=(RealtimeModelAudioInterruptedEvent,))

ORDERS = {1042: "left this morning, arrives tomorrow"}


class PhoneAgent:
    """
    Shows the captions of a call, plays its audio and calls its tool.

    Args:
        screen: Where captions go.
        speed: How fast time passes; 1 is as fast as it does.
    """

    def __init__(self, screen: Screen, speed: float = 1.0) -> None:
        self.screen = screen
        self.speed = speed
        self.heard = ""  # what the caller is saying
        self.said = ""  # what the model is saying
        self.unplayed = 0  # bytes of speech that the loudspeaker has not got to

    @on(RealtimeModelSessionUpdatedEvent, when=lambda event: event.created)
    def begin(self, event: RealtimeModelSessionUpdatedEvent) -> None:
        """Show that the call has begun."""
        self.screen.line("call", f"{event.session['model']} picks up")

    # --- captions: sync handlers, which are done when publish returns

    @on(RealtimeModelInputTranscriptDeltaEvent)
    def hear(self, event: RealtimeModelInputTranscriptDeltaEvent) -> None:
        """Show what the caller is saying, while it is said."""
        self.heard += event.delta
        self.screen.growing("caller", self.heard)

    @on(RealtimeModelInputAudioTranscriptionCompletedEvent)
    def understand(self, event: RealtimeModelInputAudioTranscriptionCompletedEvent) -> None:
        """Show what the caller has said."""
        self.screen.line("caller", event.transcript)
        self.heard = ""

    @on(RealtimeModelTranscriptDeltaEvent)
    def speak(self, event: RealtimeModelTranscriptDeltaEvent) -> None:
        """Show what the model is saying; the text comes before its sound."""
        self.said += event.delta
        self.screen.growing("agent", self.said)

    @on(RealtimeModelTranscriptDoneEvent)
    def finish(self, event: RealtimeModelTranscriptDoneEvent) -> None:
        """Show what the model has said."""
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
        self.unplayed -= len(event.data)
        # Here you would write to a sound card.
        await anyio.sleep(len(event.data) / BYTES_PER_SECOND / self.speed)

    @on(RealtimeModelAudioInterruptedEvent)
    def stop(self, _: RealtimeModelAudioInterruptedEvent) -> None:
        """Say how much was never played: the mailbox of `play` is empty by now."""
        if self.said:  # else it had said all that it had to say
            self.screen.line("agent", f"{self.said} …")
            seconds = self.unplayed / BYTES_PER_SECOND
            self.screen.line("cut", f"interrupted: {seconds:.1f} s of speech is not played")
        self.said, self.unplayed = "", 0

    # --- the tool: slow, and delays nobody; after 5 seconds it would be cancelled

    @on(RealtimeModelToolCallEvent, timeout=5)
    async def call_tool(self, event: RealtimeModelToolCallEvent) -> None:
        """Answer a question of the model's."""
        order = json.loads(event.arguments)["order"]
        self.screen.line("tool", f"{event.name}({order}) …")
        await anyio.sleep(0.5 / self.speed)  # here you would ask your database
        self.screen.line("tool", f"{event.name}({order}) = {ORDERS[order]!r}")

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
        """Show what has crashed."""
        name = getattr(event.handler, "__name__", "something")
        self.screen.line("crash", f"{name}: {event.exception!r}; the call goes on")

"""
Live captions in a terminal, with rich: what the model says, as it says it.

The handler that draws is async and slow on purpose. Its mailbox keeps the latest state only,
and is emptied when the caller interrupts; the audio would not have to wait for it.
"""

from __future__ import annotations

import anyio
import attrs
from recorded_call import events
from rich.console import Console
from rich.live import Live
from rich.text import Text

from eventbus import EventBus, Mailbox, Overflow
from eventbus.events import (
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnEndedEvent,
)


@attrs.frozen
class CaptionChanged:
    """The caption has changed: an event of our own, which any class can be."""

    text: str


def main() -> None:
    """Publish a call, at about the pace at which it would be spoken."""
    console = Console()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        anyio.run(run, live)


async def run(live: Live) -> None:
    """Register the handlers, and publish."""
    bus = EventBus()
    caption = ""

    @bus.on(RealtimeModelTranscriptDeltaEvent)
    def append(event: RealtimeModelTranscriptDeltaEvent) -> None:
        nonlocal caption
        caption += event.delta
        bus.publish(CaptionChanged(caption))

    @bus.on(RealtimeModelAudioInterruptedEvent)
    def cut(_: RealtimeModelAudioInterruptedEvent) -> None:
        nonlocal caption
        caption += "..."
        bus.publish(CaptionChanged(caption))

    @bus.on(RealtimeModelTurnEndedEvent)
    def clear(_: RealtimeModelTurnEndedEvent) -> None:
        nonlocal caption
        if caption:
            live.console.print(f"Agent:  {caption}")
        caption = ""

    @bus.on(RealtimeModelInputAudioTranscriptionCompletedEvent)
    def show_caller(event: RealtimeModelInputAudioTranscriptionCompletedEvent) -> None:
        live.console.print(f"Caller: {event.transcript}")

    @bus.on(CaptionChanged, mailbox=Mailbox(capacity=1, overflow=Overflow.LATEST))
    async def draw(event: CaptionChanged) -> None:
        live.update(Text(event.text, style="bold"), refresh=True)
        await anyio.sleep(0.02)

    async with bus:
        for event in events():
            bus.publish(event)
            if event.type == "audio":
                await anyio.sleep(len(event.data) / 48_000)  # 24,000 samples of two bytes


if __name__ == "__main__":
    main()

"""
Handlers registered with decorators: sync ones, an async one, and one for crashes.
"""

from __future__ import annotations

import anyio
from recorded_call import events

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelToolCallEvent,
)

bus = EventBus()
played = bytearray()


@bus.on(RealtimeModelAudioEvent)
def play(event: RealtimeModelAudioEvent) -> None:
    """Play: here, into memory."""
    played.extend(event.data)


@bus.on(RealtimeModelAudioInterruptedEvent)
def stop(event: RealtimeModelAudioInterruptedEvent) -> None:
    """Stop playing, because the caller speaks."""
    print(f"{event.item_id} was interrupted")


@bus.on(RealtimeModelToolCallEvent, timeout=10)
async def call_tool(event: RealtimeModelToolCallEvent) -> None:
    """Answer a tool call, however long that takes: the audio goes on."""
    await anyio.sleep(0.1)
    print(f"{event.name}({event.arguments}) took its time")
    msg = "the opening hours are on another planet"
    raise ConnectionError(msg)


@bus.on(RealtimeModelExceptionEvent)
def report(event: RealtimeModelExceptionEvent) -> None:
    """Report a crash; the call goes on."""
    print(f"{event.context}: {event.exception}")


async def main() -> None:
    """Publish a call."""
    async with bus:
        for event in events():
            bus.publish(event)
        print(f"published; {len(played)} bytes of audio were played meanwhile")


if __name__ == "__main__":
    anyio.run(main)

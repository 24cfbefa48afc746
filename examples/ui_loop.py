"""
A loop over a stream of events that updates what a user sees: ``async for event in stream``.

The stream has a buffer of its own, so the loop may take its time; and several parts of a
program can each have one.
"""

from __future__ import annotations

import anyio
import attrs
from recorded_call import events

from eventbus import EventBus, Stream
from eventbus.events import (
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnStartedEvent,
)

Shown = (
    RealtimeModelTurnStartedEvent
    | RealtimeModelTranscriptDeltaEvent
    | RealtimeModelAudioInterruptedEvent
)


@attrs.define
class Screen:
    """What would be a window."""

    line: str = ""

    def update(self, event: Shown) -> None:
        """Show one more event."""
        if event.type == "turn_started":
            self.line = ""
        elif event.type == "transcript_delta":
            self.line += event.delta
        else:
            self.line += "..."
        print(f"| {self.line}")


async def show(stream: Stream[Shown]) -> None:
    """Update the screen until the bus closes."""
    screen = Screen()
    async for event in stream:
        screen.update(event)


async def main() -> None:
    """Publish a call, with a screen that follows."""
    async with anyio.create_task_group() as tasks, EventBus() as bus:
        stream = bus.stream(
            RealtimeModelTurnStartedEvent,
            RealtimeModelTranscriptDeltaEvent,
            RealtimeModelAudioInterruptedEvent,
        )
        await tasks.start(follow, stream)
        for event in events():
            bus.publish(event)


async def follow(
    stream: Stream[Shown], *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Enter the stream, say so, and show it."""
    async with stream:
        task_status.started()
        await show(stream)


if __name__ == "__main__":
    anyio.run(main)

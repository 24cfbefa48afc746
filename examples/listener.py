"""
An object with several handlers that share what they know: one listener for each call.
"""

from __future__ import annotations

from collections import Counter

from recorded_call import events

from eventbus import Context, EventBus, on
from eventbus.events import (
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelUsageEvent,
)


class Minutes:
    """Keeps the minutes of one call."""

    def __init__(self) -> None:
        self.said: list[str] = [""]
        self.tokens: Counter[str] = Counter()

    @on(RealtimeModelTranscriptDeltaEvent)
    def note(self, event: RealtimeModelTranscriptDeltaEvent) -> None:
        """Note what the model says."""
        self.said[-1] += event.delta

    @on(RealtimeModelTurnEndedEvent)
    def end_turn(self, event: RealtimeModelTurnEndedEvent, context: Context) -> None:
        """Begin a new line."""
        print(f"{context.sender}: {event.response_id} is {event.status}")
        self.said.append("")

    @on(RealtimeModelUsageEvent)
    def count(self, event: RealtimeModelUsageEvent) -> None:
        """Count what is going to be on the bill."""
        self.tokens["input"] += event.usage.input_tokens
        self.tokens["output"] += event.usage.output_tokens


def main() -> None:
    """Publish a call in a scope: the listener hears this call, and no other."""
    bus = EventBus()
    minutes = Minutes()
    with bus.scope("call-42") as call:
        call.register(minutes)
        for event in events():
            call.publish(event)
    bus.publish(events()[-1], sender="call-43")

    print("\n".join(line for line in minutes.said if line))
    print(dict(minutes.tokens))


if __name__ == "__main__":
    main()

"""
One function that branches on ``event.type``, as code that loops over a socket has it.

It works unchanged as a handler. Type checkers know in each branch which event it is, and that
`assert_never` is never reached: a new event type would be found by them, not by a caller.
"""

from __future__ import annotations

from recorded_call import events

from eventbus import EventBus
from eventbus.events import RealtimeModelEvent


def handle_event(event: RealtimeModelEvent) -> None:
    """Print what is worth it."""
    if event.type == "transcript_delta":
        print(event.delta, end="")
    elif event.type == "function_call":
        print(f"[calls {event.name} with {event.arguments}]")
    elif event.type == "input_audio_transcription_completed":
        print(f"Caller: {event.transcript}")
    elif event.type == "audio_interrupted":
        print(" [is interrupted]", end="")
    elif event.type == "turn_ended":
        print(f" [{event.status}]")
    elif event.type == "exception":
        print(f"[{event.context}]")


def main() -> None:
    """Publish a call; a bus with sync handlers only needs no event loop."""
    bus = EventBus()
    bus.subscribe(handle_event, RealtimeModelEvent)
    for event in events():
        bus.publish(event)
    print(f"{bus.stats.published} events, {bus.stats.crashed} crashes")


if __name__ == "__main__":
    main()

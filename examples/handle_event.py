"""
One function that branches on ``event.type``, like code in a loop over a socket.

It works unchanged as a handler. Type checkers know the event's class in each branch. As the last
one is `assert_never`, they also find a type without a branch: a new one, or a mistyped one.
"""

from __future__ import annotations

from typing import assert_never

from recorded_call import events

from eventbus import EventBus
from eventbus.events import RealtimeModelEvent


def handle_event(event: RealtimeModelEvent) -> None:
    """Print the events that matter."""
    match event.type:
        case "transcript_delta":
            print(event.delta, end="")
        case "function_call":
            print(f"[calls {event.name} with {event.arguments}]")
        case "input_audio_transcription_completed":
            print(f"Caller: {event.transcript}")
        case "audio_interrupted":
            print(" [is interrupted]", end="")
        case "turn_ended":
            print(f" [{event.status}]")
        case "error":
            print(f"[{event.error}]")
        case "exception":
            print(f"[{event.context}]")
        # The types to ignore, by name; `case _` would also ignore a type that was forgotten.
        case (
            "audio"
            | "audio_done"
            | "connection_status"
            | "delegation"
            | "end_of_stream"
            | "input_audio_committed"
            | "input_audio_timeout_triggered"
            | "input_audio_transcription_failed"
            | "input_speech_started"
            | "input_speech_stopped"
            | "input_transcript_delta"
            | "input_transcript_updated"
            | "item_deleted"
            | "item_truncated"
            | "item_updated"
            | "other"
            | "output_text_delta"
            | "output_text_done"
            | "rate_limits"
            | "raw_server_event"
            | "session_expiring"
            | "session_updated"
            | "tool_call_cancelled"
            | "tool_call_delta"
            | "transcript_done"
            | "turn_started"
            | "usage"
        ):
            pass
        case unknown:
            assert_never(unknown)


def main() -> None:
    """Publish a call; a bus with sync handlers only needs no event loop."""
    bus = EventBus()
    bus.subscribe(handle_event, RealtimeModelEvent)
    for event in events():
        bus.publish(event)
    print(f"{bus.stats.published} events, {bus.stats.crashed} crashes")


if __name__ == "__main__":
    main()

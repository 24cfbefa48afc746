"""
The call that the examples listen to: an answer with a tool call, and one that is cut short.

It was written by hand, frame by frame as OpenAI's service would send them; run this file to see
which ones. With a live session, the frames come from its socket instead.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from eventbus.events import RealtimeModelEvent
from eventbus.wire.openai import OpenAIRealtimeDecoder

FRAMES = Path(__file__).with_name("recorded_call.jsonl").read_bytes().splitlines()


def events() -> list[RealtimeModelEvent]:
    """Return what the frames mean."""
    decoder = OpenAIRealtimeDecoder()
    return [event for frame in FRAMES for event in decoder.decode(frame)]


def main() -> None:
    """Print how often each type of event occurs."""
    for event_type, count in Counter(event.type for event in events()).most_common():
        print(f"{count:4}  {event_type}")


if __name__ == "__main__":
    main()

"""
A process that records a call's events into a journal until it is killed; it prints their count.
"""

from __future__ import annotations

import asyncio
import itertools
import sys

from eventbus import EventBus
from eventbus.events import RealtimeModelTranscriptDeltaEvent
from eventbus.journal import Recorder


async def main(path: str) -> None:
    bus = EventBus()
    with Recorder(path, fsync="every") as recorder, recorder.attach(bus):
        async with bus:
            for number in itertools.count():
                event = RealtimeModelTranscriptDeltaEvent("item", str(number), "response")
                bus.publish(event, sender="call-1")
                await asyncio.sleep(0.0005)
                if number % 50 == 0:
                    await recorder.flush()  # it is durable when it is told
                    print(number, flush=True)  # noqa: T201


asyncio.run(main(sys.argv[1]))

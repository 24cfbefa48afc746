"""
A member or an owner of the chaos run, as a process of its own.

    process.py member URL STREAM LOG
    process.py owner URL STREAM LOG PREFIX CALLS PERIOD

A member logs each event that it handles, an owner how many events the stream has acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from eventbus import Context, EventBus
from eventbus.bridges import current_delivery
from eventbus.bridges.nats import NatsBridge
from eventbus.events import RealtimeModelTranscriptDeltaEvent


async def member(url: str, stream: str, log: str) -> None:
    bus = EventBus()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @bus.on(RealtimeModelTranscriptDeltaEvent)
    async def handle(event: RealtimeModelTranscriptDeltaEvent, context: Context) -> None:
        delivery = current_delivery()
        assert delivery is not None
        line = f"{time.monotonic_ns()} {context.sender} {event.delta} {int(delivery.may_repeat)}\n"
        os.write(file, line.encode())

    async with bus, NatsBridge(url.split(","), stream=stream) as bridge:
        receiving = bridge.receive(bus, group="chaos", start="first")
        ended = asyncio.create_task(bridge.wait_signal())
        await tell_ready()
        await ended
        stats = receiving.stats
        os.write(2, f"{stats}\n".encode())


async def owner(url: str, stream: str, log: str, prefix: str, calls: int, period: float) -> None:
    bus = EventBus()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with NatsBridge(url.split(","), stream=stream, drain_timeout=30) as bridge, bus:
        forwarding = bridge.forward(bus)
        ended = asyncio.create_task(bridge.wait_signal())
        await tell_ready()
        number = 0
        while not ended.done():
            for call in range(calls):
                event = RealtimeModelTranscriptDeltaEvent("item", str(number), "response")
                bus.publish(event, sender=f"{prefix}-{call}")
            number += 1
            os.write(file, f"{number * calls} {forwarding.stats.stored}\n".encode())
            await asyncio.wait([ended], timeout=period)
        await forwarding.flush(30)
        os.write(file, f"{number * calls} {forwarding.stats.stored} end\n".encode())


async def tell_ready() -> None:
    """
    Tell the run that signals are handled now.
    """
    await asyncio.sleep(0)
    os.write(1, b"ready\n")


match sys.argv[1:]:
    case ["member", url, stream, log]:
        asyncio.run(member(url, stream, log))
    case ["owner", url, stream, log, prefix, calls, period]:
        asyncio.run(owner(url, stream, log, prefix, int(calls), float(period)))

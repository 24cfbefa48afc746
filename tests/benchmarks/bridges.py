"""
Bridges beside bare nats-py, with a server of their own on this machine.

All events have a payload of 1 kB, of 200 calls in turn. Both sides use the same server, the same
stream settings and the same window, and each side's work ends when the last message is stored, or
handled. Latency is from the publish to the handler, at a rate that keeps nobody busy.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import perf_counter, process_time

import journal
import nats
from measuring import Comparison, Effort, Side, compare

from eventbus import EventBus
from eventbus.bridges.nats import NatsBridge
from eventbus.codec import packs
from eventbus.events import RealtimeModelTranscriptDeltaEvent

sys.path.append(str(Path(__file__).parents[1] / "bridges"))

from servers import NatsServer  # of the tests

OURS = "eventbus"
BARE = "nats-py"
STORED = "nats-py, stored"

FORWARDED = "forwarded"
NOT_FORWARDED = "not forwarded"

WINDOW = 512
CALLS = [f"call-{number}" for number in range(200)]
EVENT = RealtimeModelTranscriptDeltaEvent("item_1", "x" * 930, "resp_1")
PAYLOAD = packs(EVENT)


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """Run a server while this is entered; its address."""
    with tempfile.TemporaryDirectory() as folder:
        process = NatsServer(Path(folder))
        process.start()
        try:
            yield process.url
        finally:
            process.stop()


async def forward(url: str, effort: Effort) -> Comparison:
    """Compare forwarding with a bare publisher that waits for acknowledgements."""
    bus = EventBus()
    async with AsyncExitStack() as stack:
        bridge = await stack.enter_async_context(NatsBridge(url, stream="ours"))
        await stack.enter_async_context(bus)
        client = await stack.enter_async_context(await nats.connect(url))
        stream = client.jetstream(publish_async_max_pending=WINDOW)
        await stream.add_stream(name="bare", subjects=["bare.>"], duplicate_window=120)
        forwarding = bridge.forward(bus, window=WINDOW)
        subjects = [f"bare.1.{call}.transcript_delta" for call in CALLS]

        async def ours(units: int) -> float:
            start = perf_counter()
            for number in range(units):
                bus.publish(EVENT, sender=CALLS[number % len(CALLS)])
                if not number % WINDOW:
                    await asyncio.sleep(0)
            await forwarding.flush()
            return perf_counter() - start

        async def bare(units: int) -> float:
            start = perf_counter()
            for number in range(units):
                await stream.publish_async(subjects[number % len(subjects)], PAYLOAD)
            await stream.publish_async_completed()
            return perf_counter() - start

        return await compare([Side(OURS, ours, 200), Side(BARE, bare, 200)], effort)


async def receive(url: str, effort: Effort) -> Comparison:
    """Compare receiving, with a handler that does nothing, with a bare pull consumer."""
    source, bus = EventBus(), EventBus()
    handled = 0
    wanted = 0
    done = asyncio.Event()

    def handle(_event: RealtimeModelTranscriptDeltaEvent) -> None:
        nonlocal handled
        handled += 1
        if handled == wanted:
            done.set()

    bus.subscribe(handle, RealtimeModelTranscriptDeltaEvent)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(bus)
        bridge = await stack.enter_async_context(NatsBridge(url, stream="backlog"))
        client = await stack.enter_async_context(await nats.connect(url))
        stream = client.jetstream()
        forwarding = bridge.forward(source)

        async def fill(units: int) -> int:
            """Store so many events; return the number of the first."""
            last = (await stream.stream_info("backlog")).state.last_seq
            for number in range(units):
                source.publish(EVENT, sender=CALLS[number % len(CALLS)])
            await forwarding.flush()
            return last + 1

        async def ours(units: int) -> float:
            nonlocal handled, wanted
            first = await fill(units)
            handled, wanted = 0, units
            done.clear()
            start = perf_counter()
            receiving = bridge.receive(bus, start=first)
            await done.wait()
            taken = perf_counter() - start
            await receiving.drain()
            return taken

        async def bare(units: int) -> float:
            first = await fill(units)
            start = perf_counter()
            consumer = await stream.pull_subscribe(
                "backlog.>",
                stream="backlog",
                config=nats.js.api.ConsumerConfig(
                    deliver_policy=nats.js.api.DeliverPolicy.BY_START_SEQUENCE,
                    opt_start_seq=first,
                    inactive_threshold=30,
                ),
            )
            left = units
            while left:
                for message in await consumer.fetch(min(256, left)):
                    await message.ack()
                    left -= 1
            taken = perf_counter() - start
            await consumer.unsubscribe()
            return taken

        return await compare([Side(OURS, ours, 2000), Side(BARE, bare, 2000)], effort)


async def latencies(url: str, count: int) -> dict[str, list[float]]:
    """Return the seconds from publish to handler, for each side."""
    source, bus = EventBus(), EventBus()
    found: dict[str, list[float]] = {}
    started = 0.0
    arrived = asyncio.Event()

    def handle(_event: object) -> None:
        found[side].append(perf_counter() - started)
        arrived.set()

    async def came(_message: object) -> None:
        handle(None)

    bus.subscribe(handle, RealtimeModelTranscriptDeltaEvent)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(bus)
        sender = await stack.enter_async_context(NatsBridge(url, stream="latency"))
        receiver = await stack.enter_async_context(NatsBridge(url, stream="latency"))
        one = await stack.enter_async_context(await nats.connect(url))
        two = await stack.enter_async_context(await nats.connect(url))
        sender.forward(source)
        await receiver.receive(bus).wait_ready()
        await two.subscribe("plain", cb=came)
        stream = one.jetstream()
        await stream.add_stream(name="stored", subjects=["stored"])
        await two.jetstream().subscribe("stored", cb=came, ordered_consumer=True)
        for number in range(count):
            for side in (OURS, BARE, STORED):
                found.setdefault(side, [])
                arrived.clear()
                started = perf_counter()
                if side == OURS:
                    source.publish(EVENT, sender=CALLS[number % len(CALLS)])
                elif side == BARE:
                    await one.publish("plain", PAYLOAD)
                else:
                    await stream.publish("stored", PAYLOAD)
                await arrived.wait()
                await asyncio.sleep(0.001)
    return found


async def forward_sessions(url: str, effort: Effort) -> Comparison:
    """Compare the CPU time of 200 live sessions that are forwarded with such that are not."""
    sessions = min(journal.SESSION_COUNT, effort.scale // 20)

    def side(name: str, bridge: NatsBridge | None, service: str) -> Side:
        async def measure(units: int) -> float:
            frames = units // sessions
            bus, is_done = journal.handling(sessions * frames)
            forwarding = bridge.forward(bus) if bridge is not None else None
            async with bus, journal.SESSIONS["live"](service, sessions, bus) as ask:
                start = process_time()
                await ask(frames, 0)
                await is_done.wait()
                if forwarding is not None:
                    await forwarding.flush()
                taken = process_time() - start
                if forwarding is not None:
                    forwarding.stop()
                return taken

        return Side(name, measure, sessions * journal.FRAMES_OF_A_SESSION)

    async with NatsBridge(url, stream="sessions") as bridge:
        with journal.folder() as folder, journal.service(folder) as service:
            sides = [side(FORWARDED, bridge, service), side(NOT_FORWARDED, None, service)]
            return await compare(sides, effort)


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]

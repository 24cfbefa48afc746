"""
Publish to async handlers, and wait until they have handled the last event.

`publish_bursts` publishes a burst to one handler; `publish_ticks` is the rhythm of calls, one event
for each of several sessions at a time.

The limit is the least that keeps the publisher from waiting for the handler: an `asyncio.Queue`
and one task that takes from it and awaits the handler. A queue isolates no crash, counts
nothing, and keeps neither context variables nor a queue for each sender.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from time import perf_counter
from typing import Any

from measuring import Comparison, Effort, Side, compare
from publishing import EVENT

from eventbus import EventBus
from eventbus.events import RealtimeModelTranscriptDeltaEvent

__all__ = ["LIMIT", "OURS", "publish_bursts", "publish_ticks"]

OURS = "eventbus"
LIMIT = "asyncio.Queue"


class _Handler:
    """Counts the events of a burst down, and tells when it was the last one."""

    def __init__(self) -> None:
        self._left = 0
        self._done: asyncio.Future[None] | None = None

    def expect(self, events: int) -> asyncio.Future[None]:
        self._left = events
        self._done = asyncio.get_running_loop().create_future()
        return self._done

    async def handle(self, event: Any) -> None:
        self._left -= 1
        if not self._left:
            self._done.set_result(None)


def _side(name: str, publish: Callable[[Any], object], handler: _Handler, size: int) -> Side:
    async def measure(units: int) -> float:
        start = perf_counter()
        for _ in range(units // size):
            done = handler.expect(size)
            for _ in range(size):
                publish(EVENT)
            await done
        return perf_counter() - start

    return Side(name, measure, size)


async def publish_bursts(size: int, effort: Effort) -> Comparison:
    """Compare bursts of so many events."""
    ours, limit = _Handler(), _Handler()
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def consume() -> None:
        while True:
            await limit.handle(await queue.get())

    async with EventBus() as bus:
        bus.subscribe(ours.handle, RealtimeModelTranscriptDeltaEvent)
        consumer = asyncio.create_task(consume())
        sides = [
            _side(OURS, bus.publish, ours, size),
            _side(LIMIT, queue.put_nowait, limit, size),
        ]
        comparison = await compare(sides, effort)
        consumer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await consumer
    return comparison


async def publish_ticks(sessions: int, effort: Effort) -> Comparison:
    """Compare ticks of one event for each of so many *sessions*, with a handler in each scope."""
    ours, limit = _Handler(), _Handler()
    queues: list[asyncio.Queue[Any]] = [asyncio.Queue() for _ in range(sessions)]

    async def consume(queue: asyncio.Queue[Any]) -> None:
        while True:
            await limit.handle(await queue.get())

    async with EventBus() as bus:
        with contextlib.ExitStack() as stack:
            scopes = [stack.enter_context(bus.scope(f"call-{n}")) for n in range(sessions)]
            for scope in scopes:
                scope.subscribe(_handler_of(ours), RealtimeModelTranscriptDeltaEvent)
            consumers = [asyncio.create_task(consume(queue)) for queue in queues]
            sides = [
                _side(OURS, _in_turn([scope.publish for scope in scopes]), ours, sessions),
                _side(LIMIT, _in_turn([queue.put_nowait for queue in queues]), limit, sessions),
            ]
            comparison = await compare(sides, effort)
            for consumer in consumers:
                consumer.cancel()
            await asyncio.gather(*consumers, return_exceptions=True)
    return comparison


def _in_turn(functions: list[Callable[[Any], object]]) -> Callable[[Any], object]:
    """Return a function that calls one of *functions* after the other, round and round."""
    endless = itertools.cycle(functions)

    def call(event: Any) -> None:
        function = next(endless)
        function(event)

    return call


def _handler_of(counter: _Handler) -> Callable[[Any], Any]:
    """Return a handler of its own, which counts down for all of them."""

    async def handle(event: Any) -> None:
        await counter.handle(event)

    return handle

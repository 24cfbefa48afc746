"""
Work in order within each call, and in parallel across calls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class CallWorkers(Generic[_T]):
    """
    Handles items one after the other for each key, and many keys at the same time.

    Args:
        handle: Handles one item; it raises nothing.
        concurrency: How many keys at the same time. The others wait for their turn.
    """

    def __init__(self, handle: Callable[[_T], Awaitable[None]], concurrency: int) -> None:
        self._handle = handle
        self._concurrency = concurrency
        self._queues: dict[Hashable, deque[_T]] = {}
        self._ready: deque[Hashable] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: deque[asyncio.Future[None]] = deque()

    def put(self, key: Hashable, item: _T) -> None:
        """Handle *item* after those of its key that were put before."""
        queue = self._queues.get(key)
        if queue is not None:
            queue.append(item)
            return
        self._queues[key] = deque((item,))
        self._ready.append(key)
        while self._idle:  # a worker that has nothing to do
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        if len(self._tasks) < self._concurrency:
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()

    async def _work(self) -> None:
        while True:
            while self._ready:
                key = self._ready.popleft()
                queue = self._queues[key]
                # One at a time, so that a call with much to do doesn't keep others waiting.
                await self._handle(queue.popleft())
                if queue:
                    self._ready.append(key)
                else:
                    del self._queues[key]
            waiter = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            await waiter

    async def stop(self) -> None:
        """Cancel the running handlers, and handle nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

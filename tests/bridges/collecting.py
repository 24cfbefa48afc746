"""
Events for the tests of bridges, and a handler that waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from eventbus import Context, EventBus
from eventbus.bridges import Delivery, current_delivery
from eventbus.events import RealtimeModelTranscriptDeltaEvent

TIMEOUT = 30


def said(number: int) -> RealtimeModelTranscriptDeltaEvent:
    """
    Return an event that has a number in it.
    """
    return RealtimeModelTranscriptDeltaEvent("item", str(number), "response")


class Collector:
    """
    A handler that keeps call, number and delivery of each event.
    """

    def __init__(self, bus: EventBus) -> None:
        self.got: list[tuple[Any, int]] = []
        self.deliveries: list[Delivery | None] = []
        self._news = asyncio.Event()
        bus.subscribe(self.take, RealtimeModelTranscriptDeltaEvent)

    def take(self, event: RealtimeModelTranscriptDeltaEvent, context: Context) -> None:
        self.got.append((context.sender, int(event.delta)))
        self.deliveries.append(current_delivery())
        self._news.set()

    def of(self, call: Any) -> list[int]:
        """
        Return the numbers of one call, in the order in which they came.
        """
        return [number for sender, number in self.got if sender == call]

    async def wait(self, count: int) -> None:
        """
        Wait for that many events.
        """
        async with asyncio.timeout(TIMEOUT):
            while len(self.got) < count:
                self._news.clear()
                await self._news.wait()


async def until(is_so: Callable[[], object]) -> None:
    """
    Wait until something is so that tells nobody.
    """
    async with asyncio.timeout(TIMEOUT):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)

"""
The memory that a session keeps, beside the bare connection, as `tracemalloc` counts it.

All sessions are open, have had some frames, and wait for more. The count is that of Python's
objects, with the buffers of asyncio and websockets; the kernel's buffers and the
allocator's reserve are nobody's in particular. The log is empty when it is counted.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Iterable

import attrs

from .receiving import Log
from .rounds import Load, Sender
from .sides import Side

__all__ = ["kilobytes_per_session"]


async def _traced(side: Side, load: Load, sender: Sender) -> int:
    """Return how many bytes *side* takes while *load*'s sessions are open."""
    log = Log()
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    async with side.open(sender.url, load.sessions, log, False):
        await sender.send(load)
        await asyncio.sleep(load.grace_s)
        log.clear()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    return after - before


async def kilobytes_per_session(
    sides: Iterable[Side], load: Load, sender: Sender
) -> dict[str, float]:
    """Return the bytes of one of so many sessions of each side, by the side's name."""
    kilobytes = {}
    for side in sides:
        tracemalloc.start()
        try:
            one = attrs.evolve(load, sessions=1)
            await _traced(side, one, sender)  # what is made once, and kept
            # What sessions share while they are open is no session's own.
            shared = await _traced(side, one, sender)
            everything = await _traced(side, load, sender)
        finally:
            tracemalloc.stop()
        kilobytes[side.name] = (everything - shared) / (load.sessions - 1) / 1000
    return kilobytes

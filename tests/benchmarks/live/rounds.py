"""
Rounds of load: every side has its turn in each, in changing order.

A turn opens all sessions, has them sent frames for a while, and closes them. Ratios are taken
within a round, whose turns lie seconds apart, and the median of the rounds is the result:
other work of the machine hits them alike, or moves one round of several. Percentiles are those of
all rounds together.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

import attrs

from .receiving import Log, Waits, noting_arrivals
from .sides import Side

__all__ = ["FULL", "QUICK", "SHORT", "Load", "Plan", "Sender", "Turn", "percentile", "take_turns"]


@attrs.frozen
class Load:
    """
    The frames that are sent in a turn.

    Attributes:
        sessions: How many there are.
        rate: Frames each of them gets in a second.
        seconds: For how long.
        grace_s: How long to wait for frames that weren't handled when the last was sent.
        warm_up: How many frames of each session don't count: the work for the first
            frame of a session would, at its 99th percentile, be all that is seen of it.
    """

    sessions: int
    rate: float = 50
    seconds: float = 0.6
    grace_s: float = 0.3
    warm_up: int = 10

    @property
    def name(self) -> str:
        """Its name in the table."""
        return f"{self.sessions} sessions, {self.rate:g} frames/s each"


@attrs.frozen
class Plan:
    """
    The time that everything may take.

    Attributes:
        loads: The loads to measure, one after the other.
        rounds: How often each side has its turn.
        memory: The load under which the memory of a session is measured.
        sessions: How many of them are recorded and not.
    """

    loads: tuple[Load, ...]
    rounds: int
    memory: Load
    sessions: tuple[int, ...] = (10, 50, 100, 150, 200)


FULL: Final = Plan((Load(200), Load(50)), rounds=5, memory=Load(100, seconds=0.3))
SHORT: Final = attrs.evolve(FULL, rounds=3)
QUICK: Final = Plan(
    (Load(2, seconds=0.02, grace_s=0.05, warm_up=0),),
    rounds=1,
    memory=Load(2, seconds=0.02, grace_s=0.01),
    sessions=(1, 2),
)
"""Everything once: shows that the benchmarks work, and nothing else."""


@attrs.frozen
class Turn:
    """
    The results of one side in one round.

    Attributes:
        waits: How long frames had to wait.
        handled: The share of frames with a handler that started before the end of the turn.
        cpu: The share of one core that this process used while frames were sent.
        need: The share of one core that all frames took, had they been sent in time.
        late_us: How late the sender was, at its 99th percentile.
    """

    waits: Waits
    handled: float
    cpu: float
    need: float
    late_us: float


def percentile(ascending: Sequence[int], share: float) -> float:
    """Return the number that *share* of the numbers don't exceed."""
    return ascending[min(len(ascending) - 1, int(len(ascending) * share))] if ascending else 0.0


class Sender:
    """The process that sends; `open` starts it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.url = f"ws://127.0.0.1:{port}/v1/realtime"

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls) -> AsyncIterator[Sender]:
        """Start it; end it at the exit."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "live.sender",
            cwd=Path(__file__).parents[1],
            env=os.environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield cls(process, int(await process.stdout.readline()))
        finally:
            process.stdin.close()
            await process.wait()

    async def send(self, load: Load) -> tuple[int, float]:
        """Send *load*; return how many frames it was, and how late, in µs, the latest 1 %."""
        order = {"sessions": load.sessions, "rate": load.rate, "seconds": load.seconds}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        done = json.loads(await self._process.stdout.readline())
        return done["sent"], done["late_us"]


async def _turn(side: Side, load: Load, sender: Sender, *, slow: bool) -> Turn:
    log = Log()
    with noting_arrivals(log) as connections:
        async with side.open(sender.url, load.sessions, log, slow):
            gc.collect()
            begin, cpu_begin = perf_counter(), process_time()
            sent, late_us = await sender.send(load)
            cpu, elapsed = process_time() - cpu_begin, perf_counter() - begin
            over = perf_counter() + load.grace_s
            # Handlers append to the log, and do nothing else, such as setting an event.
            while len(log.started) < sent and perf_counter() < over:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            work = process_time() - cpu_begin
            waits, handled = log.waits(load.warm_up), len(log.started) / sent
            if handled < 1:  # who is stuck in a handler won't notice a proper end
                for connection in connections:
                    connection.transport.abort()
    return Turn(waits, handled, cpu / elapsed, work / load.seconds, late_us)


async def take_turns(
    sides: Sequence[Side], load: Load, rounds: int, sender: Sender
) -> dict[tuple[str, bool], list[Turn]]:
    """
    Return each side's turns, one for each round, by its name and whether a handler was slow.
    """
    who = [(side, slow) for side in sides for slow in (False, True)[: 1 + side.has_slow_handler]]
    turns: dict[tuple[str, bool], list[Turn]] = {(side.name, slow): [] for side, slow in who}
    for number in range(rounds):
        # From one round to the next, each begins in another place.
        shift = number * len(who) // rounds
        for side, slow in who[shift:] + who[:shift]:
            turn = await _turn(side, load, sender, slow=slow)
            turns[side.name, slow].append(turn)
    return turns

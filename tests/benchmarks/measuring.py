"""
The comparison of two pieces of code, on a machine that does other things, too.

Rules
-----

* Only ratios count. Absolute times are shown to give an idea, and vary with the machine.
* All sides of a comparison take turns in one process: A B C, B C A, C A B, ... A turn lasts
  less than a millisecond, so a slow moment of the machine hits a whole round, or few turns.
* A ratio is taken within each round, and the median over many rounds is the result: a round in
  which something else ran during one side's turn is an outlier, and those don't move a median.
  The spread is that of the middle half of the rounds. Fastest against fastest would look
  steadier, but compares two moments, at which the machine may have run at different speeds.
* Every side is warmed up until the interpreter has specialised it, and its loop is a code
  object of its own, because that is where the interpreter keeps its findings.
* The garbage collector runs between the rounds. During a turn it would be a matter of chance,
  and if it never ran, the garbage of one side would slow the others down.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import types
from collections.abc import Awaitable, Callable, Iterable, Sequence
from time import perf_counter
from typing import Any, Final

import attrs

__all__ = [
    "LONG",
    "QUICK",
    "Comparison",
    "Effort",
    "Side",
    "awaiting",
    "calling",
    "calling_with_sender",
    "compare",
]


@attrs.frozen
class Effort:
    """
    The time that a comparison may take.

    Attributes:
        rounds: How often every side has its turn.
        turn_s: How long a turn lasts, about.
        warm_up: How much every side does before it is measured.
        tries: How often it is measured to find out how much is done in a turn.
        scale: The large number, where a benchmark compares large with small.
    """

    rounds: int = 1_001
    turn_s: float = 0.0003
    warm_up: int = 1_000
    tries: int = 5
    scale: int = 10_000


LONG: Final = Effort(rounds=11, turn_s=0.1, warm_up=1, tries=2)
"""Fewer and longer turns, for work that goes to the disk and to other processes."""

QUICK: Final = Effort(rounds=1, turn_s=0.0, warm_up=1, tries=1, scale=100)
"""Everything once: shows that the benchmarks work, and nothing else."""


@attrs.frozen
class Side:
    """
    One of the pieces of code that are compared.

    Attributes:
        name: Its name in the table.
        measure: Does so many units of work, and returns the seconds that it took.
        size: Work is done in portions of so many units.
    """

    name: str
    measure: Callable[[int], Awaitable[float]]
    size: int = 1


@attrs.frozen
class Ratio:
    """
    The time of one side as a multiple of that of another.

    Attributes:
        median: In the round in the middle.
        low, high: The middle half of the rounds lies between these.
    """

    median: float
    low: float
    high: float


@attrs.frozen
class Comparison:
    """
    The time of each side for one unit of work.

    Attributes:
        seconds: By the name of the side, one number for each round.
    """

    seconds: dict[str, tuple[float, ...]]

    def fastest(self, side: str) -> float:
        """Return the time of *side* when the machine did the least besides."""
        return min(self.seconds[side])

    def ratio(self, side: str, to: str) -> Ratio:
        """Return how many times as long as *to* *side* takes."""
        rounds = zip(self.seconds[side], self.seconds[to], strict=True)
        ratios = [seconds / base for seconds, base in rounds]
        if len(ratios) == 1:
            return Ratio(ratios[0], ratios[0], ratios[0])
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return Ratio(median, low, high)


def _own(function: Any) -> Any:
    """Return *function* with a code object of its own."""
    return types.FunctionType(
        function.__code__.replace(), function.__globals__, closure=function.__closure__
    )


def calling(name: str, call: Callable[[Any], object], items: Iterable[Any]) -> Side:
    """Return a side that calls *call* with one of *items* after the other, round and round."""

    def loop(call: Callable[[Any], object], items: Iterable[Any]) -> float:
        start = perf_counter()
        for item in items:
            call(item)
        return perf_counter() - start

    loop = _own(loop)
    endless = itertools.cycle(items)

    async def measure(units: int) -> float:
        return loop(call, itertools.islice(endless, units))

    return Side(name, measure)


def calling_with_sender(
    name: str, call: Callable[..., object], items: Iterable[Any], sender: Any
) -> Side:
    """Return a side that calls *call* with one of *items* and ``sender=`` *sender*."""

    # Not a partial: to call one takes longer than to give an argument by its name.
    def loop(call: Callable[..., object], items: Iterable[Any]) -> float:
        start = perf_counter()
        for item in items:
            call(item, sender=sender)
        return perf_counter() - start

    loop = _own(loop)
    endless = itertools.cycle(items)

    async def measure(units: int) -> float:
        return loop(call, itertools.islice(endless, units))

    return Side(name, measure)


def awaiting(name: str, call: Callable[[Any], Awaitable[object]], items: Iterable[Any]) -> Side:
    """Return a side that awaits *call* with one of *items* after the other, round and round."""

    async def loop(call: Callable[[Any], Awaitable[object]], items: Iterable[Any]) -> float:
        start = perf_counter()
        for item in items:
            await call(item)
        return perf_counter() - start

    loop = _own(loop)
    endless = itertools.cycle(items)

    async def measure(units: int) -> float:
        return await loop(call, itertools.islice(endless, units))

    return Side(name, measure)


async def _units_a_turn(side: Side, effort: Effort) -> int:
    """Return how much *side* does in one turn."""
    units = side.size
    while True:
        # The best of a few: one that was interrupted would make for turns much too short.
        seconds = min([await side.measure(units) for _ in range(effort.tries)])
        if seconds >= effort.turn_s:
            return max(1, round(units / side.size * effort.turn_s / seconds)) * side.size
        units *= 2


async def compare(sides: Sequence[Side], effort: Effort) -> Comparison:
    """Let *sides* take turns, in the event loop that this is awaited in."""
    gc.collect()
    # To collect what a round has left doesn't take long then; and for good, so that the collection
    # before the next comparison doesn't either.
    gc.freeze()
    gc.disable()
    try:
        for side in sides:
            await side.measure(side.size * effort.warm_up)
        units = [await _units_a_turn(side, effort) for side in sides]
        seconds: list[list[float]] = [[] for _ in sides]
        for number in range(effort.rounds):
            gc.collect()
            for turn in range(len(sides)):
                index = (number + turn) % len(sides)
                taken = await sides[index].measure(units[index])
                seconds[index].append(taken / units[index])
    finally:
        gc.enable()
    return Comparison({side.name: tuple(each) for side, each in zip(sides, seconds, strict=True)})

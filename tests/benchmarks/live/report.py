"""
The table of live sessions: its lines, and how they are printed.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import attrs

from .memory import kilobytes_per_session
from .rounds import Load, Plan, Sender, Turn, percentile, take_turns
from .sides import ECHO, LIMIT, OURS, OURS_ASYNC, RECORDED_AND_NOT, SIDES

__all__ = ["SHARES", "Line", "Memory", "Section", "Share", "as_text", "sections"]

SHARES: Final = "recorded and not, at 50 frames/s"
"""The name of the section with the shares of a core."""

# With a handler that sleeps, the p99 of the others is at most so many times that without it.
_SLOW_TARGET: Final = 1.5


@attrs.frozen
class Line:
    """
    The time that frames waited for their handler, at one side.

    Attributes:
        side: The side of the handler.
        is_slow: Whether there was another handler, which sleeps on every event.
        p50_us, p99_us, max_us: From a frame's arrival to its handler's start, or to the end of
            the turn.
        p99_since_sent_us: From when it was sent; so with the time that it lay in a socket.
        to_loop: Its p99, divided by that of the websockets loop; the median of the rounds.
        to_echo: The same, divided by that of the echo loop.
        to_without: The same, divided by its own p99 without the slow handler.
        handled: The share of frames with a handler that started before the end of a turn.
        cpu: The share of one core that was used.
        target: The largest *to_without* that is good enough, if there is one.
    """

    side: str
    is_slow: bool
    p50_us: float
    p99_us: float
    max_us: float
    p99_since_sent_us: float
    to_loop: float
    to_echo: float
    to_without: float | None
    handled: float
    cpu: float
    target: float | None

    @property
    def is_met(self) -> bool | None:
        """Whether the target was reached; None if there is none."""
        if self.target is None or self.to_without is None:
            return None
        return self.to_without <= self.target


@attrs.frozen
class Memory:
    """The memory of one session at one side, and how much of that the bare connection doesn't."""

    side: str
    kilobytes: float
    beside: float


@attrs.frozen
class Share:
    """The share of one core that so many sessions take at one side."""

    side: str
    sessions: int
    cpu: float


@attrs.frozen
class Section:
    """
    A part of the table.

    Attributes:
        name: The measurement.
        late_us: How late the sender was, at its 99th percentile, in the middle one of the turns.
    """

    name: str
    lines: Sequence[Line] | Sequence[Memory] | Sequence[Share]
    late_us: float | None = None


def _p99s(turns: Sequence[Turn]) -> list[float]:
    return [percentile(turn.waits.arrived, 0.99) for turn in turns]


def _ratio(turns: Sequence[Turn], to: Sequence[Turn]) -> float:
    return statistics.median(
        ours / other for ours, other in zip(_p99s(turns), _p99s(to), strict=True) if other
    )


def _line(turns: dict[tuple[str, bool], list[Turn]], side: str, *, is_slow: bool) -> Line:
    own = turns[side, is_slow]
    arrived = sorted(wait for turn in own for wait in turn.waits.arrived)
    sent = sorted(wait for turn in own for wait in turn.waits.sent)
    return Line(
        side=side,
        is_slow=is_slow,
        p50_us=percentile(arrived, 0.5) / 1e3,
        p99_us=percentile(arrived, 0.99) / 1e3,
        max_us=percentile(arrived, 1) / 1e3,
        p99_since_sent_us=percentile(sent, 0.99) / 1e3,
        to_loop=_ratio(own, turns[LIMIT, False]),
        to_echo=_ratio(own, turns[ECHO, False]),
        to_without=_ratio(own, turns[side, False]) if is_slow else None,
        handled=statistics.mean(turn.handled for turn in own),
        cpu=statistics.mean(turn.cpu for turn in own),
        target=_SLOW_TARGET if is_slow and side in {OURS, OURS_ASYNC} else None,
    )


async def _waits(load: Load, rounds: int, sender: Sender) -> Section:
    turns = await take_turns(SIDES, load, rounds, sender)
    late_us = statistics.median(turn.late_us for each in turns.values() for turn in each)
    lines = [_line(turns, side, is_slow=is_slow) for side, is_slow in turns]
    return Section(load.name, lines, late_us)


async def _memory(load: Load, sender: Sender) -> Section:
    sides = [side for side in SIDES if side.name != ECHO]  # it keeps what the loop keeps
    kilobytes = await kilobytes_per_session(sides, load, sender)
    lines = [Memory(side, taken, taken - kilobytes[LIMIT]) for side, taken in kilobytes.items()]
    return Section(f"memory of a session, with {load.sessions} of them", lines)


async def _shares(plan: Plan, sender: Sender) -> Section:
    lines = []
    for sessions in plan.sessions:
        load = attrs.evolve(plan.loads[0], sessions=sessions)
        turns = await take_turns(RECORDED_AND_NOT, load, plan.rounds, sender)
        for (side, _), own in turns.items():
            lines.append(Share(side, sessions, statistics.median(turn.need for turn in own)))
    return Section(SHARES, lines)


async def sections(plan: Plan) -> AsyncIterator[Section]:
    """Measure everything, section by section."""
    gc.collect()
    # What half a dozen SDKs have made while they were imported would be looked through in every
    # full collection: 0.2 s, at whoever has his turn.
    gc.freeze()
    try:
        async with Sender.open() as sender:
            for load in plan.loads:
                yield await _waits(load, plan.rounds, sender)
            yield await _shares(plan, sender)
            yield await _memory(plan.memory, sender)
    finally:
        gc.unfreeze()


def _time(microseconds: float, sign: str = "") -> str:
    if microseconds < 9_999.5:
        return f"{sign}{microseconds:.0f} us"
    return f"{sign}{microseconds / 1e3:.0f} ms"


def _ratio_text(ratio: float | None, sign: str = "") -> str:
    if ratio is None:
        return ""
    return f"{sign}{ratio:.2f}x" if ratio < 99.5 else f"{sign}{ratio:.0f}x"


def _row(line: Line) -> str:
    name = "  and one that sleeps" if line.is_slow else line.side
    missed = "  MISSED" if line.is_met is False else ""
    target = f"  at most {line.target:g}{missed}" if line.target else ""
    # A frame that still waits at the end of a turn counts with the time until then.
    middle, last = (">" if line.handled < share else "" for share in (0.5, 0.99))
    return (
        f"  {name:<25}{_time(line.p50_us, middle):>8}{_time(line.p99_us, last):>10}"
        f"{_time(line.max_us, last):>10}{_time(line.p99_since_sent_us, last):>10}"
        f"{line.handled:>9.0%}{line.cpu:>6.0%}{_ratio_text(line.to_loop, last):>9}"
        f"{_ratio_text(line.to_echo, last):>9}{_ratio_text(line.to_without, last):>9}{target}"
    ).rstrip()


def as_text(section: Section) -> Iterator[str]:
    """Return the lines that are printed for *section*."""
    yield ""
    if section.name == SHARES:
        yield f"{SHARES:<29}{'share of a core':>20}"
    elif section.late_us is None:
        yield f"{section.name:<27}{'takes':>8}{'beside the loop':>18}"
    else:
        yield f"{section.name}; 1 % were sent more than {_time(section.late_us)} late"
        yield f"{'':<55}{'p99 since':>10}{'':>15}{'p99, compared with':>27}"
        yield (
            f"  {'':<25}{'p50':>8}{'p99':>10}{'max':>10}{'sent':>10}{'handled':>9}{'CPU':>6}"
            f"{'loop':>9}{'echo':>9}{'without':>9}"
        )
    for line in section.lines:
        if isinstance(line, Share):
            yield f"  {f'{line.sessions} sessions, {line.side}':<27}{line.cpu:>20.0%}"
        elif isinstance(line, Memory):
            beside = f"{line.beside:.1f} kB" if line.beside else ""
            yield f"  {line.side:<25}{f'{line.kilobytes:.1f} kB':>8}{beside:>18}".rstrip()
        else:
            yield _row(line)

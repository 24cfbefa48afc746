"""
The rows of the table: the work, the other side of the comparison, and the target.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import AsyncIterator
from typing import Final

import attrs
import bursts
import decoding
import gemini
import growth
import journal
import memory
import publishing
import sending
import short_sessions
from frames import SERIES, frames_by_type, sessions
from measuring import Comparison, Effort
from parsers import PIPECAT, PYDANTIC_AI

__all__ = [
    "Kind",
    "Line",
    "bridge_lines",
    "decoding_lines",
    "journal_lines",
    "lines",
    "publishing_lines",
]


class Kind(enum.Enum):
    """The kind of value in a line."""

    LIMIT = "x its time"
    """How many times as long as the other eventbus takes; the less, the better."""

    PEER = "x faster"
    """How many times as long as eventbus the other takes; the more, the better."""

    VARIANT = "x as long"
    """How many times as long it takes in other circumstances."""

    MEMORY = "bytes"


@attrs.frozen
class Line:
    """
    One line of the table.

    Attributes:
        work: The work that is measured.
        against: The other side of the comparison; or the circumstances, where it is itself.
        kind: The meaning of the value.
        value: The median of the ratios, or bytes.
        low, high: The middle half of the ratios.
        target: The value to be reached, if there is one.
        ours_s: Seconds that eventbus takes, at its fastest.
        other_s: Seconds that the other takes, at its fastest.
    """

    work: str
    against: str
    kind: Kind
    value: float
    low: float | None = None
    high: float | None = None
    target: float | None = None
    ours_s: float | None = None
    other_s: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the target was reached; None if there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.kind is Kind.PEER else self.value <= self.target


def _line(
    comparison: Comparison, work: str, kind: Kind, ours: str, other: str, target: float | None
) -> Line:
    sides = (ours, other) if kind is Kind.LIMIT else (other, ours)
    ratio = comparison.ratio(*sides)
    return Line(
        work,
        other,
        kind,
        ratio.median,
        ratio.low,
        ratio.high,
        target,
        comparison.fastest(ours),
        comparison.fastest(other),
    )


# Handlers -> at most so many times the time of the loop.
_LOOP_TARGETS: Final = {1: 2.5, 10: 1.3 if sys.version_info < (3, 12) else 1.5}
# "Faster than each, 1.5 times faster than the fastest" is 1.5 times faster than each.
_PEER_TARGET: Final = 1.5
_SENDER_TARGET: Final = 1.3


async def _publishing(effort: Effort) -> AsyncIterator[Line]:
    for handlers, target in _LOOP_TARGETS.items():
        comparison = await publishing.publish(handlers, effort)
        work = f"publish to {handlers} handler{'s' if handlers > 1 else ''}"
        ours = publishing.OURS
        yield _line(comparison, work, Kind.LIMIT, ours, publishing.LIMIT, target)
        for peer in publishing.PEERS:
            yield _line(comparison, work, Kind.PEER, ours, peer, _PEER_TARGET)
        yield _line(comparison, work, Kind.VARIANT, ours, publishing.RUNNING, None)
        for variant in (publishing.IN_SCOPE, publishing.WITH_SENDER):
            yield _line(comparison, work, Kind.VARIANT, ours, variant, _SENDER_TARGET)


# Beginning of a series' name -> at most so many times msgspec's time, and so many times faster
# than openai-agents and the openai SDK. The first one that fits counts.
_DECODE_TARGETS: Final[dict[str, tuple[float, float, float | None]]] = {
    "audio, 20 ms, OpenAI": (1.5, 5, 8),
    "audio, 200 ms, OpenAI": (1.5, 10, 8),
    "audio, 20 ms": (1.5, 3.5, 8),
    "audio, 200 ms": (1.5, 10, 8),
    "transcript delta": (5, 4, 25),
    "message item": (5, 50, None),
}
# The same for Gemini: at most so many times msgspec's time.
_GEMINI_TARGETS: Final = {"audio, 20 ms": 1.5, "audio, 200 ms": 1.5}
_TYPE_TARGET: Final = 5
_SESSION_TARGET: Final = 6
_PARSING_TARGET: Final = 1  # faster than the parsing alone


async def decoding_lines(effort: Effort) -> AsyncIterator[Line]:
    """Measure frames, whole sessions, and each type of frame, in each dialect."""
    ours = decoding.OURS
    for series in SERIES:
        comparison = await decoding.decode_and_publish(series, effort)
        work = f"frame to handler: {series.name}"
        targets = next(t for name, t in _DECODE_TARGETS.items() if series.name.startswith(name))
        limit, agents, sdk = targets
        yield _line(comparison, work, Kind.LIMIT, ours, decoding.LIMIT, limit)
        if decoding.TYPED_LIMIT in comparison.seconds:
            yield _line(comparison, work, Kind.LIMIT, ours, decoding.TYPED_LIMIT, None)
        yield _line(comparison, work, Kind.PEER, ours, decoding.AGENTS, agents)
        yield _line(comparison, work, Kind.PEER, ours, decoding.SDK, sdk)
        yield _line(comparison, work, Kind.VARIANT, ours, decoding.OURS_TEXT, None)
    recorded = sessions()
    for dialect, frames in recorded.items():
        comparison = await decoding.decode_session(frames, recorded["OpenAI"], effort)
        work = f"whole session, five handlers: {dialect}"
        yield _line(comparison, work, Kind.LIMIT, ours, decoding.LIMIT, None)
        yield _line(comparison, work, Kind.PEER, ours, decoding.AGENTS, _SESSION_TARGET)
        yield _line(comparison, work, Kind.PEER, ours, decoding.SDK, None)
        for name in (PIPECAT, PYDANTIC_AI):
            if name in comparison.seconds:
                yield _line(comparison, work, Kind.PEER, ours, name, _PARSING_TARGET)
    fewer = attrs.evolve(effort, rounds=_fewer(effort))
    for frame_type, frame in frames_by_type().items():
        comparison = await decoding.decode_type(frame, fewer)
        line = _line(comparison, "each type", Kind.LIMIT, ours, decoding.LIMIT, _TYPE_TARGET)
        yield attrs.evolve(line, against=frame_type)
    async for line in _gemini(effort):
        yield line


def _fewer(effort: Effort) -> int:
    """Return the number of rounds for lines of which there are many."""
    return max(1, effort.rounds // 5)


async def _gemini(effort: Effort) -> AsyncIterator[Line]:
    """Measure the frames of Gemini Live, a whole session, and each rule."""
    ours, limit, sdk = gemini.OURS, gemini.LIMIT, gemini.SDK
    for series in gemini.SERIES:
        comparison = await gemini.decode_frames(series, effort)
        work = f"frame to handler: {series.name}"
        target = _GEMINI_TARGETS.get(series.name.removesuffix(", Gemini"), _TYPE_TARGET)
        yield _line(comparison, work, Kind.LIMIT, ours, limit, target)
        if sdk in comparison.seconds:
            yield _line(comparison, work, Kind.PEER, ours, sdk, _PARSING_TARGET)
    comparison = await gemini.decode_session(effort)
    work = "whole session, five handlers: Gemini"
    yield _line(comparison, work, Kind.LIMIT, ours, limit, None)
    if sdk in comparison.seconds:
        yield _line(comparison, work, Kind.PEER, ours, sdk, _PARSING_TARGET)
    for rule in gemini.RULES:
        comparison = await gemini.decode_frames(rule, attrs.evolve(effort, rounds=_fewer(effort)))
        line = _line(comparison, "each rule of Gemini", Kind.LIMIT, ours, limit, _TYPE_TARGET)
        yield attrs.evolve(line, against=rule.name)


_BURSTS: Final = (1, 100, 1000)
# Sessions -> at most so many times the time of a queue and a task for each.
_TICK_TARGETS: Final = {1: 2.0, 10: 1.5, 200: 1.5}


async def _bursts(effort: Effort) -> AsyncIterator[Line]:
    for size in _BURSTS:
        comparison = await bursts.publish_bursts(size, effort)
        work = f"to an async handler, bursts of {size}"
        yield _line(comparison, work, Kind.LIMIT, bursts.OURS, bursts.LIMIT, None)
    for count, target in _TICK_TARGETS.items():
        comparison = await bursts.publish_ticks(count, effort)
        work = f"to async handlers, one event a tick, {count} session{'s' * (count > 1)}"
        yield _line(comparison, work, Kind.LIMIT, bursts.OURS, bursts.LIMIT, target)


_SHORT_TARGET: Final = 1.15


async def _short_sessions(effort: Effort) -> AsyncIterator[Line]:
    warm = short_sessions.ON_WARM_BUS
    for name, repeats in short_sessions.LENGTHS.items():
        comparison = await short_sessions.publish_session(repeats, effort)
        work = f"a short session, {name}"
        targets = {
            short_sessions.ON_NEW_BUS: _SHORT_TARGET,
            short_sessions.IN_NEW_SCOPE: _SHORT_TARGET,
            short_sessions.WITH_MAKING: None,
        }
        for variant, target in targets.items():
            yield _line(comparison, work, Kind.VARIANT, warm, variant, target)


# Milliseconds of audio -> at least so many times faster than openai-agents.
_SEND_TARGETS: Final = {20: 1.0, 200: 1.0}


async def _sending(effort: Effort) -> AsyncIterator[Line]:
    ours = sending.OURS
    for length_ms, target in _SEND_TARGETS.items():
        comparison = await sending.send_audio(length_ms, effort)
        work = f"send audio, {length_ms} ms"
        yield _line(comparison, work, Kind.LIMIT, ours, sending.LIMIT, None)
        yield _line(comparison, work, Kind.PEER, ours, sending.AGENTS, target)
        yield _line(comparison, work, Kind.PEER, ours, sending.SDK, None)
        for variant in sending.VARIANTS:
            yield _line(comparison, work, Kind.VARIANT, ours, variant, None)


_MEMORY_TARGET: Final = 4_096


async def _memory(effort: Effort) -> AsyncIterator[Line]:
    for idle in memory.IDLE_SCOPES:
        value = memory.bytes_per_scope(idle, effort.scale)
        yield Line("memory of an idle scope", idle.name, Kind.MEMORY, value, target=_MEMORY_TARGET)


# What is "flat" on a machine that is never quiet.
_FLAT: Final = 1.1


async def _growth(effort: Effort) -> AsyncIterator[Line]:
    for growing in growth.GROWING:
        comparison = await growth.grow(growing, effort)
        line = _line(
            comparison,
            "publish, 10 to many",
            Kind.VARIANT,
            growth.SMALL,
            growth.LARGE,
            None if growing.all_take_turns else _FLAT,
        )
        yield attrs.evolve(line, against=growing.name)


async def publishing_lines(effort: Effort) -> AsyncIterator[Line]:
    """Measure publishing, to handlers of all kinds, and sending, line by line."""
    for measure in (_publishing, _bursts, _short_sessions, _sending):
        async for line in measure(effort):
            yield line


async def lines(effort: Effort) -> AsyncIterator[Line]:
    """Measure everything, line by line."""
    for measure in (publishing_lines, decoding_lines, _memory, _growth):
        async for line in measure(effort):
            yield line


# At least 0.6 of what a bare loop appends in the same time, 0.5 of what a plain reader reads. A
# recorded session takes at most 1.3 of the time, a journal each 1.15 of one, leaving out nothing
# more.
_APPEND_TARGET: Final = 1.67
_READ_TARGET: Final = 2
_RECORD_TARGET: Final = 1.3
_EACH_TARGET: Final = 1.15
_LEAVING_OUT_TARGET: Final = 1.0
_LAG_TARGET: Final = 2.0
# A file that is a thousand times as large is halved ten times more.
_SEEK_TARGET: Final = 3


async def journal_lines(effort: Effort) -> AsyncIterator[Line]:
    """Measure the journal, line by line."""
    ours, limit = journal.OURS, journal.LIMIT
    for policy in journal.POLICIES:
        comparison = await journal.append(policy, effort)
        work = f"append 1 kB, fsync={policy}"
        yield _line(comparison, work, Kind.LIMIT, ours, limit, _APPEND_TARGET)
    comparison = await journal.read(effort)
    yield _line(comparison, "read 1 kB", Kind.LIMIT, ours, journal.PLAIN, _READ_TARGET)
    yield _line(comparison, "read 1 kB", Kind.LIMIT, ours, journal.BATCHES, None)
    comparison = await journal.seek(effort)
    yield _line(
        comparison, "open and seek", Kind.VARIANT, journal.SMALL, journal.LARGE, _SEEK_TARGET
    )
    for kind in journal.SESSIONS:
        comparison, lag = await journal.record_sessions(kind, effort)
        work = f"a frame of one of 200 sessions, {kind}"
        recorded, not_recorded = journal.RECORDED, journal.NOT_RECORDED
        yield _line(comparison, work, Kind.LIMIT, recorded, not_recorded, _RECORD_TARGET)
        yield _line(comparison, work, Kind.VARIANT, not_recorded, journal.OBSERVED, None)
        yield _line(comparison, work, Kind.VARIANT, recorded, journal.EACH, _EACH_TARGET)
        yield _line(comparison, work, Kind.VARIANT, not_recorded, journal.INSPECTED, None)
        yield _line(comparison, work, Kind.VARIANT, not_recorded, journal.WITH_PAGE, None)
        for variant in (journal.NO_AUDIO, journal.NO_CONTENT, journal.REDACTED):
            yield _line(comparison, work, Kind.VARIANT, recorded, variant, _LEAVING_OUT_TARGET)
        for variant in (recorded, journal.EACH):
            work = f"the loop's lag, p99, {kind}, {variant}"
            yield _line(lag, work, Kind.LIMIT, variant, not_recorded, _LAG_TARGET)
    async for line in _simulated_lines(effort):
        yield line


async def _simulated_lines(effort: Effort) -> AsyncIterator[Line]:
    comparison, lag = await journal.record_simulated(effort)
    recorded, not_recorded = journal.RECORDED, journal.NOT_RECORDED
    work = "an answer in one of 200 sessions, simulator"
    yield _line(comparison, work, Kind.LIMIT, recorded, not_recorded, _RECORD_TARGET)
    yield _line(comparison, work, Kind.VARIANT, recorded, journal.EACH, _EACH_TARGET)
    for variant in (recorded, journal.EACH):
        work = f"the loop's lag, p99, simulator, {variant}"
        yield _line(lag, work, Kind.LIMIT, variant, not_recorded, _LAG_TARGET)


# 0.7 and 0.6 times the rate of bare nats-py.
_FORWARD_TARGET: Final = 1.43
_RECEIVE_TARGET: Final = 1.67
_LATENCY_TARGET: Final = 2.0
_SESSIONS_TARGET: Final = 1.25


async def bridge_lines(effort: Effort, events: int) -> AsyncIterator[Line]:
    """Measure bridges beside bare nats-py, line by line; *events* is for the latency."""
    import bridges  # needs the extra nats and a server

    ours, bare = bridges.OURS, bridges.BARE
    async with bridges.server() as url:
        comparison = await bridges.forward(url, effort)
        yield _line(comparison, "forward 1 kB", Kind.LIMIT, ours, bare, _FORWARD_TARGET)
        comparison = await bridges.receive(url, effort)
        yield _line(comparison, "receive 1 kB", Kind.LIMIT, ours, bare, _RECEIVE_TARGET)
        comparison = await bridges.forward_sessions(url, effort)
        yield _line(
            comparison,
            "a frame of one of 200 live sessions, CPU",
            Kind.LIMIT,
            bridges.FORWARDED,
            bridges.NOT_FORWARDED,
            _SESSIONS_TARGET,
        )
        found = await bridges.latencies(url, events)
        for percent in (50, 99):
            for other in (bare, bridges.STORED):
                mine = bridges.percentile(found[ours], percent)
                others = bridges.percentile(found[other], percent)
                yield Line(
                    f"publish to handler, p{percent}",
                    other,
                    Kind.LIMIT,
                    mine / others,
                    target=_LATENCY_TARGET if (percent, other) == (99, bare) else None,
                    ours_s=mine,
                    other_s=others,
                )

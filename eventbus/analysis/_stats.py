"""
Figures of a journal: latency and its parts, interruptions, tools, handlers, tokens.

`measure` reads the records once, in their order. `eventbus.analysis._latency` follows each call by
itself; this module counts handler calls and adds up. ``docs/reference/figures.md`` defines each
figure.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import translate
from typing import Final

import attrs

from ..journal._records import (
    CallRecord,
    DropRecord,
    EndRecord,
    GapRecord,
    HeaderRecord,
    Record,
    SentRecord,
)
from ._figures import (
    CallFigures,
    Distribution,
    Figures,
    HandlerFigures,
    Interruption,
    Tokens,
    ToolCall,
    Totals,
    Turn,
)
from ._latency import CallMeasure
from ._record_view import RecordView, check_records

_NS_PER_MS: Final = 1_000_000


def measure(
    records: Iterable[Record],
    *,
    where: Callable[[RecordView], bool] | None = None,
    played_by: str | None = None,
    origin_ns: int | None = None,
) -> Figures:
    """
    Return the figures of a journal.

    Args:
        records: A `Journal`, or records in their order.
        where: Returns whether a record counts, like `Filter.matches`; by default all do. A filter
            by sender picks calls; one that leaves out parts of a call can turn exact figures into
            estimates.
        played_by: The name of the handler that plays the audio, in which ``*`` stands for
            anything. By default the first handler that gets it.
        origin_ns: The ``mono_ns`` that times are counted from; by default that of the first
            record.

    Raises:
        TypeError: *records* is a path, or something else that has no records.
    """
    check_records(records)
    measurement = Measurement(played_by, origin_ns)
    for record in records:
        measurement.take(record, where)
    return measurement.figures()


@attrs.define
class _Tally:
    """Counts and times of handler calls; 8 bytes for each time."""

    queued_ns: array[int] = attrs.field(factory=lambda: array("q"))
    run_ns: array[int] = attrs.field(factory=lambda: array("q"))
    count: int = 0
    crashes: int = 0
    drops: int = 0
    unfinished: int = 0

    def take(self, record: CallRecord) -> None:
        """Count a call that has ended."""
        self.count += 1
        self.crashes += record.state == "crashed"
        if record.queued_ns:  # a sync handler's events never wait
            self.queued_ns.append(record.queued_ns)
        if record.run_ns is not None:
            self.run_ns.append(record.run_ns)


@attrs.define
class _Call:
    """A call under way."""

    sender: str | None
    start_ns: int
    measure: CallMeasure
    end_ns: int = 0
    tally: _Tally = attrs.field(factory=_Tally)


class Measurement:
    """
    The figures of the records so far.

    Args:
        played_by: As in `measure`.
        origin_ns: As in `measure`; `take_view` needs it.
    """

    def __init__(self, played_by: str | None, origin_ns: int | None) -> None:
        pattern = None if played_by is None else re.compile(translate(played_by))
        self._is_player: Callable[[str], bool] = (
            (lambda _: True) if pattern is None else lambda name: pattern.match(name) is not None
        )
        self._origin_ns = origin_ns
        self._calls: dict[str | None, _Call] = {}
        self._handlers: dict[str, _Tally] = {}
        self._running: dict[int, CallRecord] = {}
        self._gaps = 0

    def take(self, record: Record, where: Callable[[RecordView], bool] | None) -> None:
        """Take the next record."""
        if self._origin_ns is None:
            self._origin_ns = record.mono_ns
        if isinstance(record, (HeaderRecord, EndRecord)):
            return
        facts = RecordView(record, self._origin_ns)
        if where is None or where(facts):
            self.take_view(facts)

    def take_view(self, facts: RecordView) -> None:
        """Take the next record, seen from the journal's beginning."""
        record = facts.record
        if isinstance(record, GapRecord):
            self._gaps += 1
            return
        call = self._call_of(facts.sender, record.mono_ns)
        call.end_ns = record.mono_ns
        if isinstance(record, CallRecord):
            self._count_call(record, call)
        elif isinstance(record, DropRecord):
            for tally in self._tallies(record.handler, call):
                # Purged events are meant to be dropped.
                tally.drops += 0 if record.reason == "purged" else record.count
        call.measure.take(facts)

    def take_said(
        self, records: Sequence[SentRecord], sender: str | None, rate: int | None
    ) -> None:
        """
        Take the next records, which are messages with the caller's audio.

        There are more of them than of anything else, so they have a way of their own.

        Args:
            records: The messages, at least one.
            sender: Their sender, as a view has it.
            rate: The rate of their audio, if they say it themselves.
        """
        call = self._call_of(sender, records[0].mono_ns)
        call.end_ns = records[-1].mono_ns
        call.measure.take_said(records, rate)

    def figures(self) -> Figures:
        """Return the figures of the records so far."""
        for running in self._running.values():
            for tally in self._tallies(running.handler, self._calls[_name(running)]):
                tally.count += 1
                tally.unfinished += 1
        calls = [self._call_figures(call) for call in self._calls.values()]
        return Figures(
            tuple(calls),
            tuple(_handler_figures(name, tally) for name, tally in self._handlers.items()),
            self._all_totals(calls),
        )

    def _call_of(self, sender: str | None, now_ns: int) -> _Call:
        call = self._calls.get(sender)
        if call is None:
            assert self._origin_ns is not None
            measure_ = CallMeasure(self._origin_ns, self._is_player)
            call = self._calls[sender] = _Call(sender, now_ns, measure_)
        return call

    def _count_call(self, record: CallRecord, call: _Call) -> None:
        if record.state == "started":
            self._running[record.call] = record
            return
        self._running.pop(record.call, None)
        for tally in self._tallies(record.handler, call):
            tally.take(record)

    def _tallies(self, handler: str, call: _Call) -> tuple[_Tally, _Tally]:
        tally = self._handlers.get(handler)
        if tally is None:
            tally = self._handlers[handler] = _Tally()
        return tally, call.tally

    def _call_figures(self, call: _Call) -> CallFigures:
        assert self._origin_ns is not None
        turns, cuts = call.measure.turns(), call.measure.interruptions()
        tool_calls = call.measure.tool_calls()
        parts = _Parts(
            turns, cuts, tool_calls, tuple(call.measure.transcription_ms), call.measure.tokens,
            call.measure.audio_seconds, call.measure.failures, (call.tally,),
        )  # fmt: skip
        return CallFigures(
            call.sender,
            (call.start_ns - self._origin_ns) / _NS_PER_MS,
            (call.end_ns - call.start_ns) / _NS_PER_MS,
            parts.totals(),
            turns,
            cuts,
            tool_calls,
            call.measure.tokens,
            call.measure.spans(),
        )

    def _all_totals(self, calls: list[CallFigures]) -> Totals:
        """Return the totals over all calls."""
        kept = self._calls.values()
        tokens = [call.measure.tokens for call in kept]
        parts = _Parts(
            tuple(turn for call in calls for turn in call.turns),
            tuple(cut for call in calls for cut in call.interruptions),
            tuple(tool for call in calls for tool in call.tool_calls),
            tuple(ms for call in kept for ms in call.measure.transcription_ms),
            Tokens(*(sum(getattr(each, name) for each in tokens) for name in _TOKENS)),
            sum(call.measure.audio_seconds for call in kept),
            sum(call.measure.failures for call in kept),
            tuple(call.tally for call in kept),
        )
        return parts.totals(gaps=self._gaps)


_TOKENS: Final = ("input", "output", "total", "cached")


@attrs.frozen
class _Parts:
    """The values of `Totals`."""

    turns: tuple[Turn, ...]
    interruptions: tuple[Interruption, ...]
    tool_calls: tuple[ToolCall, ...]
    transcription_ms: tuple[float, ...]
    tokens: Tokens
    audio_seconds: float
    failures: int
    tallies: tuple[_Tally, ...]

    def totals(self, gaps: int = 0) -> Totals:
        """Return the distributions of figures with values, and all counts."""
        return Totals(
            {name: found for name, found in self._figures() if found is not None},
            {
                "turns": len(self.turns),
                "interruptions": len(self.interruptions),
                "crashes": sum(tally.crashes for tally in self.tallies),
                "unfinished": sum(tally.unfinished for tally in self.tallies),
                "drops": sum(tally.drops for tally in self.tallies),
                "failures": self.failures,
                "tool_failures": sum(tool.is_failed for tool in self.tool_calls),
                "gaps": gaps,
                **{f"tokens.{name}": getattr(self.tokens, name) for name in _TOKENS},
                "audio_seconds": math.ceil(self.audio_seconds),
            },
        )

    def _figures(self) -> Iterator[tuple[str, Distribution | None]]:
        answered = [turn for turn in self.turns if turn.latency_ms is not None]
        estimated = sum(turn.is_estimated for turn in answered)
        yield "turn_latency", _of((turn.latency_ms for turn in answered), estimated)
        yield "endpointing", _of((turn.endpointing_ms for turn in answered), estimated)
        yield "model", _of(turn.model_ms for turn in answered)
        yield "tool", _of(turn.tool_ms for turn in answered if turn.tool_ms)
        yield "first_audio", _of(turn.first_audio_ms for turn in answered)
        yield "dispatch", _of(turn.dispatch_ms for turn in answered)
        guessed = sum(cut.is_unheard_estimated for cut in self.interruptions)
        timed = [cut for cut in self.interruptions if cut.latency_ms is not None]
        yield (
            "interruption_latency",
            _of((cut.latency_ms for cut in timed), sum(cut.is_latency_estimated for cut in timed)),
        )
        yield "unheard_audio", _of((cut.unheard_ms for cut in self.interruptions), guessed)
        yield "tool_time", _of(tool.time_ms for tool in self.tool_calls)
        yield "transcription_delay", _of(self.transcription_ms)
        yield "handler_queue", _of_ns(tally.queued_ns for tally in self.tallies)
        yield "handler_run", _of_ns(tally.run_ns for tally in self.tallies)


def _of(values: Iterable[float | None], estimated: int = 0) -> Distribution | None:
    return Distribution.of((value for value in values if value is not None), estimated)


def _of_ns(arrays: Iterable[array[int]]) -> Distribution | None:
    return Distribution.of(ns / _NS_PER_MS for values in arrays for ns in values)


def _handler_figures(name: str, tally: _Tally) -> HandlerFigures:
    return HandlerFigures(
        name,
        tally.count,
        _of_ns([tally.queued_ns]),
        _of_ns([tally.run_ns]),
        tally.crashes,
        tally.unfinished,
        tally.drops,
    )


def _name(record: Record) -> str | None:
    return RecordView(record).sender

"""
A journal as the inspector reads it: its calls, and windows of them on demand.

The journal is read once, in slices of time, so what was read is seen at once and a journal that
is being written is followed. What is kept of it is small (see `eventbus.inspector._call`); records
and texts are read from the file again when they are wanted.
"""

from __future__ import annotations

import threading
import time
from array import array
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

import attrs

from ..analysis import Filter, RecordView, parse_filter
from ..exceptions import ExportError, JournalDamaged
from ..export._rows import plain_json, record_data, wall_time
from ..journal import EndRecord, HeaderRecord, Journal, Record, SentRecord, open_journal
from ._call import CallView
from ._lines import LINE_COLUMNS, LineReading, line_text
from ._listed import Listed
from ._sound import LEAD_MS, write_part
from ._tracks import MAX_MARKS, within
from ._traffic import Traffic

SCHEMA: Final = "eventbus.inspection/2"
"""The form of the data that the page gets; it changes when a page would misunderstand."""

MAX_LINES: Final = 500
_MAX_ROWS: Final = 2_000
_MAX_EFFECTS: Final = 200
_LOOK_AHEAD: Final = 5_000
_MAX_SEARCHES: Final = 4
_MAX_TEXTS: Final = 1_000  # of lines of a call
_SEARCH_S: Final = 0.25
_SLICE: Final = 256
_AT_A_STRETCH: Final = 64  # records, which take half a millisecond
_BREATH_S: Final = 0.000_5
_MAX_LAGS: Final = 36_000
_CUT: Final = (
    "The end of the journal is cut off: {} records were read. Run: eventbus validate --repair"
)


@attrs.define(eq=False)
class _Search:
    """The lines of a call in which a record matches a filter, as far as it was read."""

    wanted: Filter
    numbers: array[int] = attrs.field(factory=lambda: array("I"))
    next_seq: int = 0
    records: Iterator[RecordView] | None = None


class JournalView:
    """
    A journal, and the calls in it. Every method may be called from any thread.

    Args:
        path: The journal's file.
        name: Its name on the page; by default the file's.
        is_live: Whether a bus of this process writes it. Then only calls that are asked for are
            analysed (see `want`), and reading leaves most of the time to the bus.
    """

    def __init__(self, path: Path, name: str | None = None, *, is_live: bool = False) -> None:
        self.path = path
        self._is_live = is_live
        self._caught_up = 0  # records that were read again, of calls that were asked for later
        self.name = path.name if name is None else name
        self.calls: dict[str | None, CallView] = {}
        self.lags: deque[tuple[int, int]] = deque(maxlen=_MAX_LAGS)
        self._damages: list[str] = []
        self._torn = ""
        self._lock = threading.RLock()
        self._last_seq = 0
        self._goal_seq = 0
        self._is_behind = False
        self._origin_ns: int | None = None
        self._kept: list[RecordView] | None = None
        self._header = HeaderRecord()
        self._reading: Iterator[Record | None] | None = None
        # One to be read on and on, and one to look at places in; it knows the names in it.
        self._followed: Journal | None = None
        self._looked_at: Journal | None = None
        self._is_closed = False
        self._seen_to_end = -1
        self._searches: dict[tuple[str | None, str], _Search] = {}
        # Of each call, the last record, states and text of lines, by their numbers.
        self._texts: dict[str | None, dict[int, tuple[int, tuple[str, ...], str]]] = {}

    @property
    def problems(self) -> list[str]:
        """The damage that was met, each in a sentence, and a cut end."""
        return [*self._damages, self._torn] if self._torn else self._damages

    @property
    def last_seq(self) -> int:
        """The number of the latest record that was taken."""
        return self._last_seq

    @property
    def is_behind(self) -> bool:
        """Whether the last `update` has left something for the next one."""
        return self._is_behind

    @property
    def changes(self) -> int:
        """A number that grows with all that a page may ask for."""
        return self._last_seq + self._caught_up

    @property
    def progress(self) -> float:
        """The part of the journal that was read, as it was when it was opened; at most 1."""
        if self._is_closed or self._last_seq >= self._goal_seq:
            return 1.0
        return self._last_seq / self._goal_seq

    def open(self) -> None:
        """
        Look at the journal's beginning, without reading its records.

        Raises:
            OSError, JournalError: It can't be read.
        """
        with self._lock:
            self._begin()

    def update(self, seconds: float | None = None, traffic: Traffic | None = None) -> bool:
        """
        Take the records that were written since the last time; return whether there were any.

        Args:
            seconds: The time after which to stop, although there are more; None to take all.
            traffic: Requests, for which to stop as well.

        Raises:
            OSError, JournalError: The journal can't be read.
        """
        with self._lock:
            self._is_behind = False
            if self._is_closed:
                return False
            before, end = self._last_seq, time.monotonic() + (seconds or 0.0)
            reading = self._reading or self._begin()
            try:
                for number, record in enumerate(reading, 1):
                    if record is None:
                        self._goal_seq = self._last_seq  # its end may have been cut off
                        self._look_at_end(before)
                        break
                    self._take(record)
                    self._breathe(number)
                    if seconds is None or number % _SLICE:
                        continue
                    if time.monotonic() > end or (traffic is not None and traffic.is_busy):
                        self._is_behind = True
                        break
            except OSError:
                self._reading = None
                raise
            finally:
                self._settle()
            self._follow_wanted(end)
            return self._last_seq > before

    def _begin(self) -> Iterator[Record | None]:
        """Return the records from the first that wasn't taken on."""
        self._followed = journal = self._open()
        self._header = journal.header
        self._goal_seq = journal.last.seq if journal.last is not None else 0
        if self._last_seq:
            journal.seek(seq=self._last_seq + 1)
        self._reading = journal.follow_nowait()
        return self._reading

    def _look_at_end(self, before: int) -> None:
        """Tell of a cut end; what is being written looks cut for a moment, so not at once."""
        if self._is_live:
            return  # its recorder is at work
        if self._last_seq > before:
            self._torn = ""
        elif self._seen_to_end != self._last_seq:
            self._seen_to_end = self._last_seq
            if self._open().torn_tails:
                self._torn = _CUT.format(self._last_seq)

    @classmethod
    def of(cls, records: Iterable[RecordView], name: str) -> Self:
        """Return a view of records that were read already, and are kept."""
        view = cls(Path(name))
        view._kept = list(records)
        for record in view._kept:
            if isinstance(record.record, HeaderRecord):
                view._header = record.record
            view._origin_ns = record.record.mono_ns - record.since_ns
            view._take(record.record)
        view._settle()
        view._is_closed = True
        return view

    def _open(self) -> Journal:
        return open_journal(self.path, on_damage=lambda damage: self._note(str(damage)))

    def _opened(self) -> Journal:
        """Return the journal to look at places in, with the segments that there are."""
        if (
            self._looked_at is None
            or self._followed is None
            or self._looked_at.paths != self._followed.paths
        ):
            self._looked_at = self._open()
        return self._looked_at

    def _note(self, problem: str) -> None:
        if problem not in self._damages:
            self._damages.append(problem)

    def _take(self, record: Record) -> None:
        origin_ns = self._origin_ns
        if origin_ns is None:
            origin_ns = self._origin_ns = record.mono_ns
        seq = record.seq
        if isinstance(record, HeaderRecord) or (seq <= self._last_seq and seq):
            return
        self._last_seq = seq or self._last_seq
        if isinstance(record, EndRecord):
            self._is_closed = True
            return
        sender = _name_of(record)
        call = self.calls.get(sender)
        if call is None:
            listed = Listed(seq - 1) if self._is_live else None
            call = self.calls[sender] = CallView(sender, origin_ns, listed)
        if call.listed is not None:
            call.listed.note(record, record.mono_ns - origin_ns)
            if not call.listed.is_followed:
                return
        self._give(call, record, origin_ns)

    @staticmethod
    def _give(call: CallView, record: Record, origin_ns: int) -> None:
        if isinstance(record, SentRecord) and record.audio_bytes is not None:
            call.take_said(record)
        else:
            call.take(RecordView(record, origin_ns))

    # --- calls of a running bus -----------------------------------------------------------

    def want(self, call: CallView) -> None:
        """
        Analyse a call from now on, as long as this is called every few seconds.

        What has passed of it is read for a quarter of a second, and further by `update`.

        Raises:
            OSError, JournalError: The journal can't be read.
        """
        if call.listed is not None:
            with self._lock:
                call.listed.wanted_at = time.monotonic()
                self._catch_up(call, call.listed, call.listed.wanted_at + _SEARCH_S)

    def _follow_wanted(self, end: float) -> None:
        """Go on with the calls that are asked for, and leave those that aren't any more."""
        for call in self.calls.values() if self._is_live else ():
            listed = call.listed
            assert listed is not None
            if listed.is_wanted:
                self._catch_up(call, listed, end)
            elif listed.is_followed:
                listed.is_followed, listed.read_seq = False, self._last_seq

    def _catch_up(self, call: CallView, listed: Listed, end: float) -> None:
        """Take the records of a call that have passed, until a time."""
        if listed.is_followed:
            return
        try:
            for number, record in enumerate(self._opened().seek(seq=listed.read_seq + 1), 1):
                if record.seq > self._last_seq:
                    break
                is_about_journal = isinstance(record, (HeaderRecord, EndRecord))
                if not is_about_journal and _name_of(record) == call.sender:
                    self._give(call, record, self._origin_ns or 0)
                self._caught_up += 1
                listed.read_seq = max(listed.read_seq, record.seq)
                self._breathe(number)
                if not number % _SLICE and time.monotonic() > end:
                    return
            listed.is_followed = True
        finally:
            call.settle()

    def _breathe(self, number: int) -> None:
        """Let the bus have the interpreter now and then; else it would wait 5 ms each time."""
        if self._is_live and not number % _AT_A_STRETCH:
            time.sleep(_BREATH_S)

    def _settle(self) -> None:
        for call in self.calls.values():
            call.settle()

    # --- for the page ---------------------------------------------------------------------

    def summary(self, call: CallView) -> dict[str, Any]:
        """Return one row of the list of calls."""
        with self._lock:
            listed = call.listed or call
            start = listed.start_ms or 0.0
            return {
                "journal": self.name,
                "sender": call.sender,
                "wall": wall_time(self._header.wall_ns),
                "start_ms": start,
                "duration_ms": listed.end_ms - start,
                "records": listed.record_count,
                "status": listed.status,
                "last_seq": listed.last_seq,
                "is_closed": self._is_closed,
                "progress": self.progress if call.listed is None else call.listed.progress,
                "problems": list(self.problems),
            }

    def overview(self, call: CallView) -> dict[str, Any]:
        """Return the part of a call that is always seen; its size doesn't grow with the call."""
        with self._lock:
            return {
                "schema": SCHEMA,
                **self.summary(call),
                "last_seq": call.last_seq,
                "path": str(self.path),
                "creator": self._header.creator,
                "has_audio": self._header.has_audio,
                "has_content": self._header.has_content,
                "redacted": list(self._header.redacted),
                **call.overview(),
            }

    def window(
        self, call: CallView, from_ms: float, to_ms: float, *, is_whole: bool = False
    ) -> dict[str, Any]:
        """Return all that lanes show in a window of time; with *is_whole*, every single mark."""
        with self._lock:
            origin_ns = self._origin_ns or 0
            lags = [
                [(at_ns - lag_ns - origin_ns) / 1e6, (at_ns - origin_ns) / 1e6, lag_ns / 1e6]
                for at_ns, lag_ns in self.lags.copy()
            ]
            most = None if is_whole else MAX_MARKS
            found = call.window(from_ms, to_ms, most)
            return {**found, "lags": within(lags, from_ms, to_ms, most)}

    def lines(
        self, call: CallView, text: str = "", start: int = 0, count: int | None = MAX_LINES
    ) -> dict[str, Any]:
        """
        Return a window of the lines of the list.

        Args:
            call: The call.
            text: A filter in the grammar of `parse_filter`; a line is there if one of its records
                matches. It is searched for a quarter of a second; ``searched`` of the answer is
                the part of the call that was: ask again.
            start: The place of the first line.
            count: The number of lines; None for all.

        Raises:
            FilterError: The filter can't be read.
        """
        with self._lock:
            found: Sequence[int] = range(len(call.lines))
            searched = 1.0
            if text.strip():
                search = self._search(call, text)
                found = search.numbers
                done = search.next_seq > call.last_seq
                searched = 1.0 if done else search.next_seq / max(call.last_seq, 1)
            wanted = found[max(start, 0) :][:count]
            return {
                "columns": LINE_COLUMNS,
                "count": len(found),
                "searched": searched,
                "lines": list(self._line_values(call, wanted)),
            }

    def place(self, call: CallView, seq: int, text: str = "") -> int | None:
        """Return the place of a record's line among the `lines`; None if it isn't there."""
        with self._lock:
            number = call.lines.number_of(seq)
            if number is None or not text.strip():
                return number
            numbers = self._search(call, text).numbers
            place = bisect_left(numbers, number)
            return place if place < len(numbers) and numbers[place] == number else None

    def rows(self, call: CallView, first: int, last: int) -> list[dict[str, Any]]:
        """Return the records from *first* to *last* in short, at most 2,000 of them."""
        with self._lock:
            found = (f for f in self._facts(call, first) if f.seq <= last)
            return [row_of(facts) for facts in islice(found, min(_MAX_ROWS, last - first + 1))]

    def detail(self, call: CallView, seq: int) -> str | None:
        """Return one record, its cause and its effects, as JSON; None if there is none."""
        with self._lock:
            record: RecordView | None = None
            effects: list[RecordView] = []
            for facts in islice(self._facts(call, seq), _LOOK_AHEAD):
                if facts.seq == seq:
                    record = facts
                elif record is None:
                    return None
                elif facts.record.cause == seq and len(effects) < _MAX_EFFECTS:
                    effects.append(facts)
            if record is None:
                return None
            cause: RecordView | None = None
            if record.record.cause:
                cause = next(self._facts(call, record.record.cause), None)
            return plain_json(
                {
                    "record": record_data(record),
                    "cause": None if cause is None else record_data(cause),
                    "effects": [record_data(effect) for effect in effects],
                }
            )

    def sound(self, call: CallView, from_ms: float, to_ms: float) -> bytes:
        """
        Return a part of a call as a WAV file: the caller on the left, the model on the right.

        Raises:
            ExportError: No audio was recorded.
        """
        if not self._header.has_audio:
            msg = "No audio was recorded in this call."
            raise ExportError(msg)
        with self._lock:
            origin_ns = self._origin_ns or 0
            facts = self._facts(call, since_ms=max(0.0, from_ms - LEAD_MS))
            return write_part(facts, call.session, origin_ns, from_ms, to_ms)

    def details(self, call: CallView) -> Iterator[RecordView]:
        """Yield the records of a call."""
        with self._lock:
            yield from self._facts(call)

    # --- reading --------------------------------------------------------------------------

    def _search(self, call: CallView, text: str) -> _Search:
        """Return the search for a filter in a call, a quarter of a second further."""
        key = call.sender, text
        search = self._searches.pop(key, None) or _Search(parse_filter(text))
        self._searches[key] = search
        while len(self._searches) > _MAX_SEARCHES:
            del self._searches[next(iter(self._searches))]
        end = time.monotonic() + _SEARCH_S
        if search.records is None:
            search.records = self._facts(call, search.next_seq)
        for count, facts in enumerate(search.records, 1):
            search.next_seq = facts.seq + 1
            if search.wanted.matches(facts):
                number = call.lines.number_of(facts.seq)
                self._note_line(search.numbers, number)
            if not count % _SLICE and time.monotonic() > end:
                break
        else:
            search.records, search.next_seq = None, call.last_seq + 1
        return search

    @staticmethod
    def _note_line(numbers: array[int], number: int | None) -> None:
        if number is None:
            return
        if not numbers or number > numbers[-1]:
            numbers.append(number)
        elif numbers[bisect_left(numbers, number)] != number:
            insort(numbers, number)

    def _line_values(self, call: CallView, numbers: Iterable[int]) -> Iterator[list[object]]:
        """Yield the lines with their texts, which are read from the journal, or at hand."""
        known = self._texts.setdefault(call.sender, {})
        reading = LineReading(call.lines, lambda first: self._facts(call, first))
        for number in numbers:
            line = call.lines[number]
            last, states, text = known.pop(number, (0, (), ""))
            if (last, states) != (line.last, line.states):  # it has grown
                text = line_text(line, reading.records_of(number, line))
            known[number] = line.last, line.states, text
            yield line.values(text)
        for oldest in list(islice(known, max(0, len(known) - _MAX_TEXTS))):
            del known[oldest]

    def _facts(
        self, call: CallView, first: int = 0, *, since_ms: float = 0.0
    ) -> Iterator[RecordView]:
        """Yield the records of a call that it has taken, from a number or a time on."""
        sender = call.sender
        for record in self._read(first, since_ms):
            if record.seq > call.last_seq:
                return
            is_about_journal = isinstance(record.record, (HeaderRecord, EndRecord))
            if not is_about_journal and record.sender == sender:
                yield record

    def _read(self, first: int, since_ms: float) -> Iterator[RecordView]:
        if self._kept is not None:
            yield from (
                each for each in self._kept if each.seq >= first and each.since_ns >= since_ms * 1e6
            )
            return
        try:
            journal = self._opened()
            if since_ms:
                journal.seek(time=since_ms / 1000)
            else:
                journal.seek(seq=first)
            for record in journal:
                yield RecordView(record, self._origin_ns or 0)
        except JournalDamaged as damage:
            self._note(str(damage))


def _name_of(record: Record) -> str | None:
    return None if record.sender is None else str(record.sender)


def row_of(facts: RecordView) -> dict[str, Any]:
    """Return a record in short, with all that a filter asks of it."""
    return {
        "seq": facts.seq,
        "t_ms": facts.since_ns / 1e6,
        "kind": facts.kind,
        "type": facts.type,
        "types": list(facts.types),
        "sender": facts.sender,
        "items": sorted(facts.items),
        "responses": sorted(facts.responses),
        "handler": facts.handler,
        "run_ms": None if facts.run_ns is None else facts.run_ns / 1e6,
        "queued_ms": None if facts.queued_ns is None else facts.queued_ns / 1e6,
        "states": sorted(facts.states),
        "cause": facts.record.cause or None,
        "error": facts.error,
    }

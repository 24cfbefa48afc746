"""
A journal as the inspector reads it: its calls, their records, and the rest on demand.

What is drawn is made in one pass and kept; the records themselves are read from the file when
they are wanted. While a journal is being written, `JournalView.update` takes only the new ones.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

import attrs

from ..analysis import COUNTS, FIGURES, RecordView, Totals, measure, parse_filter
from ..exceptions import ExportError, JournalDamaged
from ..export import write_wav
from ..export._rows import plain_json, record_data, wall_time
from ..journal import EndRecord, HeaderRecord, Journal, Record, open_journal
from ._call import LINE_COLUMNS, CallView, Line

SCHEMA: Final = "eventbus.inspection/1"
"""The form of the data that the page gets; it changes when a page would misunderstand."""

_MAX_ROWS: Final = 2_000
_MAX_EFFECTS: Final = 200
_LOOK_AHEAD: Final = 5_000
_CUT: Final = (
    "The end of the journal is cut off: {} records were read. Run: eventbus validate --repair"
)


class JournalView:
    """
    A journal, and the calls in it. Every method may be called from any thread.

    Args:
        path: The journal's file.
        name: What the page calls it; by default the file's name.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.name = path.name if name is None else name
        self.calls: dict[str | None, CallView] = {}
        self._damages: list[str] = []
        self._torn = ""
        self._lock = threading.RLock()
        self._last_seq = 0
        self._origin_ns: int | None = None
        self._kept: list[RecordView] | None = None
        self._header = HeaderRecord()
        self._is_closed = False
        self._measured: dict[str | None, tuple[int, float, dict[str, Any]]] = {}
        self._sound: dict[str | None, tuple[int, bytes]] = {}

    @property
    def problems(self) -> list[str]:
        """The damage that was met, each in a sentence, and a cut end."""
        return [*self._damages, self._torn] if self._torn else self._damages

    @property
    def last_seq(self) -> int:
        """The number of the latest record that was taken."""
        return self._last_seq

    def update(self) -> bool:
        """
        Take the records that were written since the last time; return whether there were any.

        Raises:
            OSError, JournalError: The journal can't be opened.
        """
        with self._lock:
            journal = self._open()
            self._header, self._is_closed = journal.header, journal.is_closed
            if self._last_seq:
                journal.seek(seq=self._last_seq + 1)
            before = self._last_seq
            for record in journal:
                self._take(record)
            for damage in journal.damages:
                self._note(str(damage))
            # What is being written looks cut off for a moment; what doesn't grow, is.
            is_cut = bool(journal.torn_tails) and self._last_seq == before
            self._torn = _CUT.format(self._last_seq) if is_cut else ""
            return self._last_seq > before

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
        view._is_closed = True
        return view

    def _open(self) -> Journal:
        return open_journal(self.path, on_damage=lambda _: None)

    def _note(self, problem: str) -> None:
        if problem not in self._damages:
            self._damages.append(problem)

    def _take(self, record: Record) -> None:
        if self._origin_ns is None:
            self._origin_ns = record.mono_ns
        if record.seq <= self._last_seq and record.seq:
            return
        if isinstance(record, HeaderRecord):
            return
        self._last_seq = max(self._last_seq, record.seq)
        if isinstance(record, EndRecord):
            return
        facts = RecordView(record, self._origin_ns)
        call = self.calls.get(facts.sender)
        if call is None:
            call = self.calls[facts.sender] = CallView(facts.sender)
        call.take(facts)

    # --- for the page ---------------------------------------------------------------------

    def summary(self, call: CallView) -> dict[str, Any]:
        """Return one row of the list of calls."""
        with self._lock:
            start = call.start_ms or 0.0
            return {
                "journal": self.name,
                "sender": call.sender,
                "wall": wall_time(self._header.wall_ns),
                "start_ms": start,
                "duration_ms": call.end_ms - start,
                "records": call.record_count,
                "last_seq": call.last_seq,
                "is_closed": self._is_closed,
                "problems": self.problems,
            }

    def document(self, call: CallView) -> dict[str, Any]:
        """Return all that is drawn of a call, its lines apart."""
        with self._lock:
            return {
                "schema": SCHEMA,
                **self.summary(call),
                "path": str(self.path),
                "creator": self._header.creator,
                "has_audio": self._header.has_audio,
                "has_content": self._header.has_content,
                "redacted": list(self._header.redacted),
                **self._figures(call),
                **call.picture(),
            }

    def lines(self, call: CallView, text: str = "") -> dict[str, Any]:
        """
        Return the lines of the list.

        Args:
            call: The call.
            text: A filter in the grammar of `parse_filter`; a line is there if one of its records
                matches.

        Raises:
            FilterError: It can't be read.
        """
        with self._lock:
            kept: list[Line] = call.lines
            if text.strip():
                wanted = parse_filter(text)
                found = (f.seq for f in self._facts(call.sender) if wanted.matches(f))
                numbers = {call.line_number(seq) for seq in found} - {None}
                kept = [line for number, line in enumerate(call.lines) if number in numbers]
            return {"columns": LINE_COLUMNS, "lines": [line.as_list() for line in kept]}

    def rows(self, call: CallView, first: int, last: int) -> list[dict[str, Any]]:
        """Return the records from *first* to *last* in short, at most 2,000 of them."""
        with self._lock:
            found = (f for f in self._facts(call.sender, first) if f.seq <= last)
            return [row_of(facts) for facts in islice(found, _MAX_ROWS)]

    def detail(self, call: CallView, seq: int) -> str | None:
        """Return one record, its cause and its effects, as JSON; None if there is none."""
        with self._lock:
            record: RecordView | None = None
            effects: list[RecordView] = []
            for facts in islice(self._facts(call.sender, seq), _LOOK_AHEAD):
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
                cause = next(self._facts(call.sender, record.record.cause), None)
            return plain_json(
                {
                    "record": record_data(record),
                    "cause": None if cause is None else record_data(cause),
                    "effects": [record_data(effect) for effect in effects],
                }
            )

    def sound(self, call: CallView) -> bytes:
        """
        Return the call as a WAV file: the caller on the left, the model on the right.

        Raises:
            ExportError: There is no audio in it.
        """
        with self._lock:
            known = self._sound.get(call.sender)
            if known is not None and known[0] == call.last_seq:
                return known[1]
            file = io.BytesIO()
            write_wav(self._facts(call.sender), file)
            self._sound.clear()  # one call is heard at a time
            self._sound[call.sender] = (call.last_seq, file.getvalue())
            return file.getvalue()

    def has_sound(self, call: CallView) -> bool:
        """Return whether `sound` has something to return."""
        try:
            return bool(self.sound(call))
        except ExportError:
            return False

    def details(self, call: CallView) -> Iterator[RecordView]:
        """Yield the records of a call."""
        with self._lock:
            yield from self._facts(call.sender)

    def _facts(self, sender: str | None, first: int = 0) -> Iterator[RecordView]:
        for record in self._read(first):
            is_about_journal = isinstance(record.record, (HeaderRecord, EndRecord))
            if not is_about_journal and record.sender == sender and record.seq <= self._last_seq:
                yield record

    def _read(self, first: int) -> Iterator[RecordView]:
        if self._kept is not None:
            yield from (record for record in self._kept if record.seq >= first)
            return
        try:
            journal = self._open()
            if first:
                journal.seek(seq=first)
            for record in journal:
                yield RecordView(record, self._origin_ns or 0)
        except JournalDamaged as damage:
            self._note(str(damage))

    def _figures(self, call: CallView) -> dict[str, Any]:
        """Return the figures; of a call that goes on, made anew at most for a fifth of the time."""
        seq, made_at, figures = self._measured.get(call.sender, (0, 0.0, {}))
        if seq == call.last_seq and figures:
            return figures
        took = figures.get("took_s", 0.0)
        if figures and time.monotonic() - made_at < 5 * took:
            return figures
        begun = time.monotonic()
        measured = measure(
            (facts.record for facts in self._facts(call.sender)), origin_ns=self._origin_ns
        )
        one = measured.calls[0] if measured.calls else None
        figures = {
            "figures": _described(measured.totals),
            "counts": {
                name: {"value": measured.totals.counts[name], "definition": text}
                for name, text in COUNTS.items()
            },
            "turns": [attrs.asdict(turn) for turn in one.turns] if one else [],
            "interruptions": [attrs.asdict(cut) for cut in one.interruptions] if one else [],
            "tools": [attrs.asdict(tool) for tool in one.tool_calls] if one else [],
            "spans": [[s.lane, s.start_ms, s.end_ms] for s in one.spans] if one else [],
            "took_s": time.monotonic() - begun,
        }
        self._measured[call.sender] = (call.last_seq, time.monotonic(), figures)
        return figures


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


def _described(totals: Totals) -> dict[str, Any]:
    return {
        name: {"definition": text, **attrs.asdict(totals.figures[name])}
        for name, text in FIGURES.items()
        if name in totals.figures
    }

"""
The list of a call: frames with all that they led to, folded into lines.

Rules
-----

* A *line* is a frame with all that it led to, or a record without a frame: three records for each
  20 ms of speech would be unreadable. Lines that follow each other and are the same type of frame
  about the same item fold into one.
* The index has places, times and states: about 50 bytes for a line and 12 for a record. Texts are
  read from the journal when a line is seen (`line_text`).
"""

from __future__ import annotations

import json
import sys
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import attrs

from ..analysis import RecordView
from ..journal import CallRecord, DropRecord, EventRecord, FrameRecord, GapRecord, SentRecord

MAX_TEXT: Final = 160
_RECORDS_OF_A_LINE: Final = 60  # that its text is made of
_NEAR: Final = 256  # records, which take less time to read than a place to find
_NS_PER_MS: Final = 1_000_000

STATES: Final = ("error", "crash", "drop", "gap")
"""The states of lines that need attention."""

_BITS: Final = {name: 1 << place for place, name in enumerate(STATES)}
_FOLDED: Final = ("frame", "sent")

_INNER: Final = (
    ("response", ("status",)),
    ("item", ("type", "role", "name")),
    ("session", ("model", "type")),
)

LINE_COLUMNS: Final = (
    *("first", "last", "start_ms", "end_ms", "kind", "type", "item", "text", "count", "states"),
)
"""The names of the values of a line, as the page gets it."""


@attrs.frozen
class Line:
    """
    A line of the list, without its text.

    Attributes:
        first, last: The numbers of its first and its last record.
        count: The number of frames or messages that are folded into it.
        states: Which of ``STATES`` its records are in.
    """

    first: int
    last: int
    start_ms: float
    end_ms: float
    kind: str
    type: str
    item: str
    count: int
    states: tuple[str, ...]

    def values(self, text: str) -> list[object]:
        """Return it as the page reads it: see `LINE_COLUMNS`."""
        times = round(self.start_ms, 3), round(self.end_ms, 3)
        names = self.kind, self.type, self.item
        return [self.first, self.last, *times, *names, text, self.count, list(self.states)]


class LineIndex:
    """The lines of a call, taken record by record."""

    def __init__(self) -> None:
        self._first, self._last = array("Q"), array("Q")
        self._start_ms, self._end_ms = array("d"), array("d")
        self._names, self._items = array("I"), array("I")
        self._counts, self._states = array("I"), array("B")
        # The line of each record, by the record's number.
        self._seqs, self._numbers = array("Q"), array("I")
        # The latest line of messages, which most often goes on.
        self._message: str | None = None
        self._message_line = -1
        self._known: dict[object, int] = {}
        self._values: list[Any] = []

    def __len__(self) -> int:
        return len(self._first)

    def __getitem__(self, number: int) -> Line:
        kind, type_name = self._values[self._names[number]]
        states = self._states[number]
        return Line(
            self._first[number],
            self._last[number],
            self._start_ms[number],
            self._end_ms[number],
            kind,
            type_name,
            self._values[self._items[number]],
            self._counts[number],
            tuple(name for name, bit in _BITS.items() if states & bit),
        )

    def number_of(self, seq: int) -> int | None:
        """Return the number of the line that a record belongs to; None if it isn't of this call."""
        seqs = self._seqs
        # A cause is a few records back, and of a call by itself no number is missing.
        index = len(seqs) - 1 - (seqs[-1] - seq) if seqs else -1
        if index < 0 or index >= len(seqs) or seqs[index] != seq:
            index = bisect_left(seqs, seq)
            if index == len(seqs) or seqs[index] != seq:
                return None
        return self._numbers[index]

    def take(self, facts: RecordView, at_ms: float) -> int:
        """Take the next record; return its states, as bits."""
        record = facts.record
        number = self.number_of(record.cause) if record.cause else None
        states = _states_of(facts)
        if number is None:
            kind = facts.kind
            item = min(facts.items, default="") if kind in _FOLDED else ""
            number = self._place(facts.seq, kind, facts.type or kind, item, at_ms)
        else:
            self._last[number] = max(self._last[number], facts.seq)
            self._end_ms[number] = at_ms
        if states:
            self._states[number] |= states
        self._seqs.append(facts.seq)
        self._numbers.append(number)
        return states

    def take_messages(
        self, records: Sequence[SentRecord], type_names: Sequence[str], origin_ns: int
    ) -> None:
        """
        Take messages to the service that are about no item, and led to nothing.

        Args:
            records: The messages.
            type_names: The type of each.
            origin_ns: The ``mono_ns`` of the journal's beginning.
        """
        end = 0
        for type_name, group in groupby(type_names):
            start, end = end, end + sum(1 for _ in group)
            self._take_run(type_name, records[start:end], origin_ns)

    def _take_run(self, type_name: str, records: Sequence[SentRecord], origin_ns: int) -> None:
        """Take messages of one type."""
        last, count = len(self._first) - 1, len(records)
        if type_name != self._message or self._message_line != last or self._states[last]:
            at_ms = (records[0].mono_ns - origin_ns) / _NS_PER_MS
            last = self._place(records[0].seq, "sent", type_name, "", at_ms)
            self._message, self._message_line = type_name, last
            count -= 1
        if count:
            self._counts[last] += count
            self._last[last] = records[-1].seq
            self._end_ms[last] = (records[-1].mono_ns - origin_ns) / _NS_PER_MS
        self._seqs.extend([record.seq for record in records])
        self._numbers.extend([last] * len(records))

    def _place(self, seq: int, kind: str, type_name: str, item_id: str, at_ms: float) -> int:
        """Return the number of the line for a record without a cause: the last, or a new one."""
        name, item = self._value((kind, type_name)), self._value(item_id)
        last = len(self._first) - 1
        if (
            last >= 0
            and kind in _FOLDED
            and self._names[last] == name
            and self._items[last] == item
            and not self._states[last]
        ):
            self._counts[last] += 1
            self._last[last], self._end_ms[last] = seq, at_ms
            return last
        self._first.append(seq)
        self._last.append(seq)
        self._start_ms.append(at_ms)
        self._end_ms.append(at_ms)
        self._names.append(name)
        self._items.append(item)
        self._counts.append(1)
        self._states.append(0)
        return last + 1

    def _value(self, value: object) -> int:
        number = self._known.get(value)
        if number is None:
            number = self._known[value] = len(self._values)
            self._values.append(value)
        return number


def is_error(states: int) -> bool:
    """Return whether states, as `LineIndex.take` gives them, have an error."""
    return bool(states & _BITS["error"])


def _states_of(facts: RecordView) -> int:
    if not facts.is_failure:
        return 0
    return _BITS["error"] | _BITS.get("crash" if facts.kind == "call" else facts.kind, 0)


# --- texts ------------------------------------------------------------------------------------


class LineReading:
    """
    The records of lines in ascending order, read once where they lie close by.

    Args:
        lines: The lines of a call.
        read: Yields the records of the call, from a number on.
    """

    def __init__(self, lines: LineIndex, read: Callable[[int], Iterator[RecordView]]) -> None:
        self._lines, self._read = lines, read
        self._reading: Iterator[RecordView] = iter(())
        # The records of the call from one number on, below another one; none so far.
        self._records: deque[RecordView] = deque()
        self._start, self._stop = sys.maxsize, 0

    def records_of(self, number: int, line: Line) -> list[RecordView]:
        """Return the first records of a line."""
        last = min(line.last, line.first + _RECORDS_OF_A_LINE)
        if not self._start <= line.first <= self._stop + _NEAR:
            self._reading, self._stop = self._read(line.first), line.first
            self._records.clear()
        self._start = line.first
        while self._stop <= last:
            facts = next(self._reading, None)
            if facts is None:
                break
            self._records.append(facts)
            self._stop = facts.seq + 1
        while self._records and self._records[0].seq < line.first:
            self._records.popleft()
        number_of = self._lines.number_of
        return [facts for facts in self._records if number_of(facts.seq) == number]


def line_text(line: Line, records: Sequence[RecordView]) -> str:
    """
    Return the text of a line, from some of its records.

    Args:
        line: The line.
        records: Its first records; the more of them, the more deltas are in the text.
    """
    if "crash" in line.states:
        for facts in records:
            if isinstance(facts.record, CallRecord) and facts.record.state == "crashed":
                return summary(facts)[:MAX_TEXT]
    text = ""
    for facts in records:
        if line.kind == "frame" and not isinstance(facts.record, (FrameRecord, EventRecord)):
            continue
        size = getattr(facts.record, "audio_bytes", None)
        if size is not None:
            return f"{size} bytes of audio" if line.count == 1 else f"audio, {size} bytes each"
        delta = _delta(facts)
        if delta is not None:
            text += delta
        elif not text:
            text = summary(facts)
        if len(text) >= MAX_TEXT or (text and line.count == 1):
            break
    return text[:MAX_TEXT]


def _delta(facts: RecordView) -> str | None:
    """Return the piece of a text that a frame brings; an event repeats it."""
    if not isinstance(facts.record, FrameRecord) or "audio.delta" in (facts.type or ""):
        return None
    delta = facts.data.get("delta")
    return delta if isinstance(delta, str) else None


def summary(facts: RecordView) -> str:
    """Return the content of a record in a few words."""
    match facts.record:
        case DropRecord(handler=handler, count=count, reason=reason):
            return f"{count} events, {reason}: {handler}"
        case GapRecord(reason=reason):
            return reason
        case CallRecord(handler=handler):
            return handler if facts.error is None else f"{handler}: {facts.error}"
        case SentRecord(audio_bytes=int(size)) | EventRecord(audio_bytes=int(size)):
            return f"{size} bytes of audio"
        case FrameRecord() if "audio.delta" in (facts.type or ""):
            return ""
        case _:
            return _summary_of(facts.data)


def _summary_of(data: Mapping[str, Any]) -> str:
    for name in ("transcript", "text", "delta", "arguments", "status", "error", "context", "name"):
        value = data.get(name)
        if isinstance(value, str) and value:
            return value[:MAX_TEXT]
        if isinstance(value, Mapping) and value:
            return json.dumps(value, ensure_ascii=False, default=repr)[:MAX_TEXT]
    for name, fields in _INNER:
        inner = data.get(name)
        if isinstance(inner, Mapping):
            found = [str(inner[field]) for field in fields if inner.get(field)]
            if found:
                return " ".join(found)[:MAX_TEXT]
    return ""

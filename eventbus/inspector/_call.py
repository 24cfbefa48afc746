"""
One call of a journal, as the page draws it: lanes, captions, and lines that fold records.

Records are taken one after the other, so the view of a call that is being recorded grows with
it. Audio is reduced to peaks as it comes, and none is kept.

A *line* of the list is a frame with all that it led to, or a record without a frame: three
records for each 20 ms of speech would be unreadable. Lines that follow each other and are the
same type of frame about the same item fold into one.
"""

from __future__ import annotations

import base64
import json
from array import array
from bisect import bisect_left
from typing import Any, Final

import attrs

from ..analysis import RecordView
from ..analysis._sound import CallSound
from ..audio._formats import AudioFormat
from ..audio._samples import samples_of
from ..journal import CallRecord, DropRecord, EventRecord, GapRecord, SentRecord

PEAK_MS: Final = 50
"""The length of the audio behind each peak of a waveform."""

_NS_PER_MS: Final = 1_000_000
_MAX_HANDLER_CALLS: Final = 2_000
_TEXT: Final = 160


@attrs.define(eq=False)
class Line:
    """
    A line of the list: records from *first* to *last*, all of them with one origin.

    Attributes:
        count: The number of frames or messages that are folded into it.
        states: Its records that need attention: error, crash, drop, gap.
    """

    first: int
    last: int
    start_ms: float
    end_ms: float
    kind: str
    type: str
    item: str
    text: str = ""
    count: int = 1
    states: set[str] = attrs.field(factory=set)

    def as_list(self) -> list[object]:
        """Return it as the page reads it."""
        return [
            self.first,
            self.last,
            round(self.start_ms, 3),
            round(self.end_ms, 3),
            self.kind,
            self.type,
            self.item,
            self.text,
            self.count,
            sorted(self.states),
        ]


LINE_COLUMNS: Final = [
    *("first", "last", "start_ms", "end_ms", "kind", "type", "item", "text", "count", "states"),
]
"""The names of the values in `Line.as_list`."""


@attrs.define(eq=False)
class _Handler:
    """Calls of a handler: begin, time queued and run, in ms; state; number of the record."""

    calls: list[tuple[float, float, float, str, int]] = attrs.field(factory=list)
    count: int = 0


class CallView:
    """
    One call, taken record by record.

    Args:
        sender: The name of the session; None for records without one.
    """

    def __init__(self, sender: str | None) -> None:
        self.sender = sender
        self.lines: list[Line] = []
        self.start_ms: float | None = None
        self.end_ms = 0.0
        self.last_seq = 0
        self.record_count = 0
        # The line of each record, by the record's number.
        self._seqs: array[int] = array("Q")
        self._line_numbers: array[int] = array("L")
        self._sound = CallSound(keeps_audio=True)
        self._peaks: dict[str, array[int]] = {"caller": array("B"), "model": array("B")}
        self._taken = {"pieces": 0, "stretches": 0}
        self._model_places: dict[int, int] = {}
        self._responses: dict[str, list[Any]] = {}
        self._errors: list[list[Any]] = []
        self._handlers: dict[str, _Handler] = {}
        self._received: list[list[float]] = []
        self._expires: list[float] = []

    def take(self, facts: RecordView) -> None:
        """Take the next record."""
        at_ms = facts.since_ns / _NS_PER_MS
        if self.start_ms is None:
            self.start_ms = at_ms
        self.end_ms = max(self.end_ms, at_ms)
        self.last_seq = facts.seq
        self.record_count += 1
        self._fold(facts, at_ms)
        self._sound.take(facts)
        self._reduce_audio()
        match facts.record:
            case EventRecord(type_name=str(name)):
                self._event(name, facts, at_ms)
            case CallRecord() as call:
                self._handler_call(call, at_ms)
            case _:
                pass
        if "error" in facts.states:
            text = facts.error or _summary(facts)
            self._errors.append([round(at_ms, 3), facts.seq, f"{facts.type or facts.kind}: {text}"])

    def picture(self) -> dict[str, Any]:
        """Return the lanes as data for JSON."""
        sound = self._sound
        return {
            "received": self._received,
            "model": [
                [
                    stretch.start_ns / _NS_PER_MS,
                    (stretch.start_ns + stretch.heard_ns) / _NS_PER_MS,
                    stretch.end_ns / _NS_PER_MS,
                    stretch.item_id,
                ]
                for stretch in sound.playback.stretches
            ],
            "captions": self._captions(),
            "responses": [[name, *times] for name, times in self._responses.items()],
            "errors": self._errors,
            "handlers": [
                {"name": name, "count": handler.count, "calls": _worth_drawing(handler.calls)}
                for name, handler in self._handlers.items()
            ],
            "peaks": {
                "ms": PEAK_MS,
                **{
                    side: base64.b64encode(peaks.tobytes()).decode()
                    for side, peaks in self._peaks.items()
                },
            },
        }

    # --- the list -------------------------------------------------------------------------

    def _fold(self, facts: RecordView, at_ms: float) -> None:
        record = facts.record
        number = self.line_number(record.cause) if record.cause else None
        if number is None:
            number = self._new_line(facts, at_ms)
            line = self.lines[number]
        else:
            line = self.lines[number]
            line.last, line.end_ms = max(line.last, facts.seq), at_ms
            if isinstance(record, EventRecord):
                delta = facts.data.get("delta")
                if not line.text:
                    line.text = _summary(facts)
                elif isinstance(delta, str):
                    line.text = (line.text + delta)[:_TEXT]
        if isinstance(record, CallRecord) and record.state == "crashed":
            line.text = f"{record.handler}: {facts.error}"[:_TEXT]
        line.states |= facts.states & {"error", "crash", "drop", "gap"}
        self._seqs.append(facts.seq)
        self._line_numbers.append(number)

    def line_number(self, seq: int) -> int | None:
        """Return the place in `lines` of the line that a record belongs to."""
        index = bisect_left(self._seqs, seq)
        if index == len(self._seqs) or self._seqs[index] != seq:
            return None
        return self._line_numbers[index]

    def _new_line(self, facts: RecordView, at_ms: float) -> int:
        """Return the place of the line for a record without a cause: the last one, or a new one."""
        item = min(facts.items, default="")
        kind, type_name = facts.kind, facts.type or facts.kind
        last = self.lines[-1] if self.lines else None
        if (
            last is not None
            and kind in ("frame", "sent")
            and (last.kind, last.type, last.item) == (kind, type_name, item)
            and not last.states
        ):
            last.count += 1
            last.last, last.end_ms = facts.seq, at_ms
        else:
            text = "" if kind == "frame" else _summary(facts)
            self.lines.append(Line(facts.seq, facts.seq, at_ms, at_ms, kind, type_name, item, text))
        return len(self.lines) - 1

    # --- the lanes ------------------------------------------------------------------------

    def _event(self, name: str, facts: RecordView, at_ms: float) -> None:
        match name:
            case "turn_started":
                for response in facts.responses:
                    self._responses.setdefault(response, [at_ms, None, "in progress"])
            case "turn_ended":
                for response in facts.responses:
                    times = self._responses.setdefault(response, [at_ms, None, ""])
                    times[1], times[2] = at_ms, str(facts.data.get("status") or "completed")
            case "audio":
                if self._received and at_ms - self._received[-1][1] < 2 * PEAK_MS:
                    self._received[-1][1] = at_ms
                else:
                    self._received.append([at_ms, at_ms])
            case _:
                pass

    def _handler_call(self, call: CallRecord, at_ms: float) -> None:
        if call.state == "started":
            return
        handler = self._handlers.setdefault(call.handler, _Handler())
        handler.count += 1
        run_ms = (call.run_ns or 0) / _NS_PER_MS
        queued_ms = call.queued_ns / _NS_PER_MS
        if run_ms >= 1 or queued_ms >= 1 or call.state == "crashed" or handler.count <= 200:
            handler.calls.append((at_ms - run_ms, queued_ms, run_ms, call.state, call.seq))

    def _captions(self) -> list[list[Any]]:
        sound, found = self._sound, []
        for item, line in sound.caller.items():
            end = line.end_ns if line.end_ns is not None else line.start_ns
            found.append(["caller", line.start_ns / _NS_PER_MS, end / _NS_PER_MS, line.text, item])
        for item, text in sound.model.items():
            stretches = [s for s in sound.playback.stretches if s.item_id == item]
            if stretches:
                start = stretches[0].start_ns
                end = max(s.start_ns + s.heard_ns for s in stretches)
                found.append(["model", start / _NS_PER_MS, end / _NS_PER_MS, text, item])
        return sorted(found, key=lambda caption: caption[1])

    def _reduce_audio(self) -> None:
        """Make peaks of the audio that has come, and let it go."""
        sound = self._sound
        while self._taken["pieces"] < len(sound.pieces):
            piece = sound.pieces[self._taken["pieces"]]
            self._note_peaks("caller", piece.start_ns, piece.data, sound.input)
            piece.data = b""
            self._taken["pieces"] += 1
        stretches = sound.playback.stretches
        for index in range(max(0, self._taken["stretches"] - 1), len(stretches)):
            stretch = stretches[index]
            for data in stretch.pieces:
                start_ns = stretch.start_ns + self._model_places.get(index, 0)
                self._note_peaks("model", start_ns, data, sound.output)
                place = self._model_places.get(index, 0) + sound.output.duration_ns(len(data))
                self._model_places[index] = place
            stretch.pieces.clear()
        self._taken["stretches"] = len(stretches)

    def _note_peaks(self, side: str, start_ns: int, data: bytes, form: AudioFormat) -> None:
        whole = data[: len(data) // form.sample_bytes * form.sample_bytes]
        if not whole.strip(b"\0"):
            return
        samples = samples_of(form.to_pcm16(whole))
        step = form.rate * PEAK_MS // 1000
        peaks, first = self._peaks[side], start_ns // (PEAK_MS * _NS_PER_MS)
        needed = first + len(samples) // step + 1
        if needed > 20 * 3600 * 12:  # of twelve hours
            return
        if needed > len(peaks):
            peaks.extend(bytes(needed - len(peaks)))
        for number, start in enumerate(range(0, len(samples), step)):
            part = samples[start : start + step]
            peak = min(255, max(*part, -min(part)) >> 7)
            peaks[first + number] = max(peaks[first + number], peak)


def _worth_drawing(calls: list[tuple[float, float, float, str, int]]) -> list[list[Any]]:
    """Return the longest calls, in their order, as many as can be told apart."""
    if len(calls) > _MAX_HANDLER_CALLS:
        weight = sorted((call[1] + call[2] for call in calls), reverse=True)[_MAX_HANDLER_CALLS - 1]
        calls = [call for call in calls if call[1] + call[2] >= weight or call[3] == "crashed"]
    return [[round(call[0], 3), round(call[1], 3), round(call[2], 3), *call[3:]] for call in calls]


def _summary(facts: RecordView) -> str:
    """Return the content of a record in a few words."""
    record, data = facts.record, facts.data
    match record:
        case DropRecord(handler=handler, count=count, reason=reason):
            return f"{count} events, {reason}: {handler}"
        case GapRecord(reason=reason):
            return reason
        case CallRecord(handler=handler):
            return handler if facts.error is None else f"{handler}: {facts.error}"
        case SentRecord(audio_bytes=int(size)):
            return f"{size} bytes of audio"
        case EventRecord(type_name="audio", audio_bytes=size):
            return f"{size} bytes of audio"
        case _:
            pass
    for name in ("transcript", "text", "delta", "arguments", "status", "error", "context", "name"):
        value = data.get(name)
        if isinstance(value, str) and value:
            return value[:_TEXT]
        if isinstance(value, dict) and value:
            return json.dumps(value, ensure_ascii=False, default=repr)[:_TEXT]
    return ""

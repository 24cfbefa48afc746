"""
One call of a journal, as the page draws it: made in one pass, and looked at by windows of time.

Records are taken one after the other, so the view of a call that is being recorded grows with
it. Audio is reduced to peaks as it comes, and none is kept; figures are those of
`eventbus.analysis`, measured in the same pass.
"""

from __future__ import annotations

import base64
import time
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import attrs

from ..analysis import COUNTS, FIGURES, CallFigures, RecordView, Totals
from ..analysis._audio_texts import AudioTexts
from ..analysis._sound import CallSound
from ..analysis._stats import Measurement
from ..journal import CallRecord, EventRecord, FrameRecord, SentRecord, StatusRecord
from ._lines import LineIndex, is_error, summary
from ._listed import Listed
from ._marks import mark_of_event, mark_of_frame
from ._said import SaidAudio
from ._tracks import MAX_MARKS, PEAK_MS, HandlerTrack, Peaks, gaps, only_within, within

_NS_PER_MS: Final = 1_000_000
_rate_of: Final = itemgetter(2)
_AT_ONCE: Final = 16  # pieces of the model's speech
_SAID_AT_ONCE: Final = 64  # messages with the caller's audio
_MAX_ERRORS: Final = 5_000
_MAX_PLACES: Final = 5_000  # that keys lead to: turns, interruptions
_OVERVIEW: Final = 1_500  # peaks of the whole call
_BLOCKED_MS: Final = 20
_LEAST_GAP_MS: Final = 300
_MAX_BLOCKS: Final = 20_000


@attrs.define(eq=False)
class _Delegation:
    """A task that the model has handed on: when its work began, and when it was spoken of."""

    at_ms: float
    target: str
    response: str
    work_ms: float | None = None
    spoken_ms: float | None = None
    end_ms: float | None = None

    def values(self) -> list[Any]:
        """Return it as the page reads it."""
        return [self.at_ms, self.end_ms, self.target, self.work_ms, self.spoken_ms]


class CallView:
    """
    One call, taken record by record.

    Args:
        sender: The name of the session; None for records without one.
        origin_ns: The ``mono_ns`` of the journal's beginning.
        listed: The call as the list has it, if its records are taken only when a page asks.

    Attributes:
        lines: Its list.
        start_ms, end_ms: Its first and its last record, since the journal's beginning.
        error_count: The number of its errors.
        session: The record of the session's latest settings, if there is one.
        status: The state of its connection, if that was recorded.
    """

    def __init__(
        self, sender: str | None, origin_ns: int = 0, listed: Listed | None = None
    ) -> None:
        self.sender = sender
        self.listed = listed
        self.lines = LineIndex()
        self._origin_ns = origin_ns
        self.start_ms: float | None = None
        self.end_ms = 0.0
        self.last_seq = 0
        self.record_count = 0
        self.error_count = 0
        self._sound = CallSound(keeps_audio=True)
        self._peaks = {"caller": Peaks(), "model": Peaks()}
        self._said = SaidAudio(self._peaks["caller"])
        self._said_waiting: list[SentRecord] = []
        self._texts = AudioTexts()
        self._has_peaks = 0  # stretches of the model's speech whose audio has been taken
        self._waiting = 0  # pieces of it that have not
        self._model_places: dict[int, int] = {}
        self._measurement = Measurement(None, origin_ns)
        self._measured: tuple[int, float, dict[str, Any]] = (0, 0.0, {})
        self._responses: dict[str, list[Any]] = {}
        self._errors: list[list[Any]] = []
        self._handlers: dict[str, HandlerTrack] = {}
        self._running: dict[int, tuple[str, float, int]] = {}
        self._blocks: deque[list[Any]] = deque(maxlen=_MAX_BLOCKS)
        self._received: list[list[Any]] = []
        self._delegations: list[_Delegation] = []
        self._statuses: list[list[Any]] = []
        self._marks: deque[list[Any]] = deque(maxlen=_MAX_BLOCKS)
        self._expires_ms: float | None = None
        self._is_duplex = False
        self.session: RecordView | None = None
        self.status: str | None = None

    def take(self, facts: RecordView) -> None:
        """Take the next record."""
        self.settle()
        at_ms = facts.since_ns / _NS_PER_MS
        if self.start_ms is None:
            self.start_ms = at_ms
        if at_ms > self.end_ms:  # noqa: PLR1730  # a call of max() takes longer
            self.end_ms = at_ms
        self.last_seq = facts.seq
        self.record_count += 1
        self._measurement.take_view(facts)
        states = self.lines.take(facts, at_ms)
        record = facts.record
        match record:
            case EventRecord(type_name=str(name)):
                if name == "session_updated":
                    self._reduce_audio()  # which had the format of the session before
                self._sound.take(facts)
                self._event(name, facts, at_ms)
            case CallRecord() as call:
                self._handler_call(call, at_ms)
            case FrameRecord():
                # GPT-Live, whose turns the decoder infers, begins like this.
                self._is_duplex |= facts.type == "session.started"
                self._mark(mark_of_frame(facts), at_ms)
            case SentRecord():
                self._sound.take(facts)
            case StatusRecord(status=status):
                self._statuses.append([at_ms, at_ms, status])
                self.status = status
            case _:
                pass
        if is_error(states):
            self._note_error(facts, at_ms)

    def _note_error(self, facts: RecordView, at_ms: float) -> None:
        self.error_count += 1
        if len(self._errors) < _MAX_ERRORS:
            text = facts.error or summary(facts)
            about = f"{facts.type or facts.kind}: {text}"
            self._errors.append([round(at_ms, 3), round(at_ms, 3), facts.seq, about])

    def take_said(self, record: SentRecord) -> None:
        """
        Take the next record, which is a message with the caller's audio.

        There are more of them than of anything else, so they wait for each other: see `settle`.
        """
        self._said_waiting.append(record)
        if len(self._said_waiting) >= _SAID_AT_ONCE:
            self.settle()

    def settle(self) -> None:
        """Take the messages that wait; before anything else of the call is taken or looked at."""
        records = self._said_waiting
        if not records:
            return
        self._said_waiting = []
        if self.start_ms is None:
            self.start_ms = (records[0].mono_ns - self._origin_ns) / _NS_PER_MS
        latest_ns = max([record.mono_ns for record in records])
        self.end_ms = max(self.end_ms, (latest_ns - self._origin_ns) / _NS_PER_MS)
        self.last_seq = records[-1].seq
        self.record_count += len(records)
        found = self._texts
        said: list[tuple[bytes, str, int | None]] = []
        for record in records:
            text = found.text_of(record)
            said.append((text, found.type, found.rate))
        end = 0
        for rate, group in groupby(said, _rate_of):  # nearly always the same
            texts = [text for text, _, _ in group]
            start, end = end, end + len(texts)
            run = records[start:end]
            self._measurement.take_said(run, self.sender, rate)
            places = self._sound.places_of(run, self._origin_ns, rate)
            sizes = [record.audio_bytes or 0 for record in run]
            self._said.take(texts, sizes, places, self._sound.input)
        self.lines.take_messages(records, [name for _, name, _ in said], self._origin_ns)

    @property
    def has_sound(self) -> bool:
        """Whether there is audio that isn't silent."""
        self._reduce_audio()
        return any(peaks.values for peaks in self._peaks.values())

    # --- for the page ---------------------------------------------------------------------

    def overview(self) -> dict[str, Any]:
        """Return the whole call in a size that doesn't grow with it: see `window` for the rest."""
        figures = self.figures()
        self._reduce_audio()
        end_ms = max([self.end_ms, *(stretch[2] for stretch in self._stretches()[-3:])])
        step_ms, caller = self._peaks["caller"].overview(_OVERVIEW, end_ms)
        _, model = self._peaks["model"].overview(_OVERVIEW, end_ms)
        turns, cuts = figures["turns"], figures["interruptions"]
        return {
            "end_ms": end_ms,
            "figures": figures["figures"],
            "counts": figures["counts"],
            "expires_ms": self._expires_ms,
            "is_duplex": self._is_duplex,
            "error_count": self.error_count,
            "small": {"ms": step_ms, "caller": _text(caller), "model": _text(model)},
            "places": {
                "turns": [turn["at_ms"] for turn in turns[-_MAX_PLACES:]],
                "interruptions": [cut["at_ms"] for cut in cuts[-_MAX_PLACES:]],
                "errors": [[error[0], error[2]] for error in self._errors],
            },
            "totals": {
                "turns": len(turns),
                "responses": len(self._responses),
                "tools": len(figures["tools"]),
                "delegations": len(self._delegations),
                "marks": len(self._marks),
            },
            "handlers": [[name, len(track)] for name, track in self._handlers.items()],
        }

    def window(self, from_ms: float, to_ms: float, most: int | None = MAX_MARKS) -> dict[str, Any]:
        """Return the marks of all lanes in a window of time; of each lane at most so many."""
        figures = self.figures()
        self._reduce_audio()
        from_ms, to_ms = max(0.0, from_ms), max(to_ms, 0.0)
        # A little more on both sides, so that a silence at the edge is seen as a whole.
        wide_ms = max(0.0, from_ms - 10_000)
        peaks = {side: each.window(from_ms, to_ms) for side, each in self._peaks.items()}
        wide = {side: each.window(wide_ms, to_ms + 10_000) for side, each in self._peaks.items()}
        wide_ms = wide_ms // PEAK_MS * PEAK_MS
        heard = [(start, end) for start, _, end, _ in self._stretches()]
        model = only_within(wide["model"], wide_ms, heard)
        silences = gaps(wide["caller"], model, wide_ms, _LEAST_GAP_MS)
        turns = [[turn["at_ms"], _end_of(turn), turn] for turn in figures["turns"]]
        tools = [[tool["at_ms"], _tool_end(tool), tool["name"]] for tool in figures["tools"]]
        cuts = [[cut["at_ms"], cut["at_ms"]] for cut in figures["interruptions"]]
        spans = [[s.start_ms, s.end_ms] for s in self._spans() if s.lane == "caller"]
        lanes = {
            "speech": spans,
            "received": self._received,
            "model": self._stretches(),
            "captions": list(self._captions()),
            "turns": turns,
            "gaps": [list(gap) for gap in silences],
            "responses": [[*times, name] for name, times in self._responses.items()],
            "tools": tools,
            "delegations": [each.values() for each in self._delegations],
            "interruptions": cuts,
            "errors": self._errors,
            "statuses": self._statuses,
            "marks": list(self._marks),
            "blocks": list(self._blocks),
        }
        return {
            "from_ms": from_ms,
            "to_ms": to_ms,
            **{name: within(marks, from_ms, to_ms, most) for name, marks in lanes.items()},
            "handlers": {
                name: track.window(from_ms, to_ms, most) for name, track in self._handlers.items()
            },
            "running": [list(running) for running in self._running.values()],
            "peaks": {
                "ms": PEAK_MS,
                "first_ms": from_ms // PEAK_MS * PEAK_MS,
                **{side: _text(values) for side, values in peaks.items()},
            },
        }

    def figures(self) -> dict[str, Any]:
        """Return the figures; of a call that goes on, made anew at most for a fifth of the time."""
        seq, made_at, figures = self._measured
        if figures and (seq == self.last_seq or time.monotonic() - made_at < 5 * figures["took"]):
            return figures
        begun = time.monotonic()
        measured = self._measurement.figures()
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
            "call": one,
            "took": time.monotonic() - begun,
        }
        self._measured = self.last_seq, time.monotonic(), figures
        return figures

    def errors(self) -> list[list[Any]]:
        """Return the errors, of which there may be more: time, time, number and text of each."""
        return self._errors

    def captions(self) -> list[list[Any]]:
        """Return the transcript: begin, end, side, text, item, and whether it is final, of each."""
        return sorted(self._captions(), key=lambda caption: caption[0])

    # --- the lanes ------------------------------------------------------------------------

    def _event(self, name: str, facts: RecordView, at_ms: float) -> None:
        match name:
            case "turn_started" | "turn_ended":
                self._response(facts, at_ms, has_ended=name == "turn_ended")
            case "audio":
                if self._received and at_ms - self._received[-1][1] < 2 * PEAK_MS:
                    self._received[-1][1] = at_ms
                else:
                    self._received.append([at_ms, at_ms])
                self._spoken(at_ms)
                self._waiting += 1
                if self._waiting >= _AT_ONCE:
                    self._reduce_audio()
            case "delegation":
                target, response = facts.data.get("target"), facts.data.get("response_id")
                task = _Delegation(at_ms, str(target or ""), str(response or ""))
                self._delegations.append(task)
            case "function_call":
                self._work_began(None, at_ms)
            case "session_updated":
                self._session(facts, at_ms)
            case "session_expiring":
                self._expiring(facts.data.get("seconds_left"), at_ms)
            case _:
                self._mark(mark_of_event(name), at_ms)

    def _mark(self, text: str | None, at_ms: float) -> None:
        if text is not None:
            self._marks.append([at_ms, at_ms, text])

    def _response(self, facts: RecordView, at_ms: float, *, has_ended: bool) -> None:
        for response in facts.responses:
            times = self._responses.setdefault(response, [at_ms, None, "in progress"])
            if has_ended:
                times[1], times[2] = at_ms, str(facts.data.get("status") or "completed")
            else:
                self._work_began(response, at_ms)

    def _expiring(self, left_s: object, at_ms: float) -> None:
        if isinstance(left_s, (int, float)):
            self._expires_ms = at_ms + left_s * 1000
            self._statuses.append([at_ms, at_ms, f"ends in {left_s:.0f} s"])

    def _session(self, facts: RecordView, at_ms: float) -> None:
        self.session = facts
        session = facts.data.get("session")
        expires_at = session.get("expires_at") if isinstance(session, Mapping) else None
        if isinstance(expires_at, (int, float)):
            left_s = expires_at - facts.record.wall_ns / 1e9
            if 0 < left_s < 86_400:  # else the clocks don't agree
                self._expires_ms = at_ms + left_s * 1000

    def _work_began(self, response: str | None, at_ms: float) -> None:
        """Note that a task is worked on; by a response, or by a tool."""
        for task in self._delegations[-8:]:
            if task.work_ms is None and (response is None or task.response in ("", response)):
                task.work_ms = at_ms

    def _spoken(self, at_ms: float) -> None:
        """Note that the model speaks: of a task that is worked on, or is done."""
        for task in self._delegations[-8:]:
            if task.work_ms is not None and task.spoken_ms is None:
                task.spoken_ms = task.end_ms = at_ms

    def _handler_call(self, call: CallRecord, at_ms: float) -> None:
        if call.state == "started":
            self._running[call.call] = call.handler, at_ms, call.seq
            return
        self._running.pop(call.call, None)
        track = self._handlers.get(call.handler)
        if track is None:
            track = self._handlers[call.handler] = HandlerTrack()
        run_ms, queued_ms = (call.run_ns or 0) / _NS_PER_MS, call.queued_ns / _NS_PER_MS
        track.add(at_ms, queued_ms, run_ms, call.seq, is_crash=call.state == "crashed")
        if run_ms >= _BLOCKED_MS and not call.queued_ns:  # only a sync handler's event never waits
            self._blocks.append([at_ms - run_ms, at_ms, f"{call.handler} ran", run_ms])

    def _stretches(self) -> list[list[Any]]:
        return [
            [
                stretch.start_ns / _NS_PER_MS,
                stretch.end_ns / _NS_PER_MS,
                (stretch.start_ns + stretch.heard_ns) / _NS_PER_MS,
                stretch.item_id,
            ]
            for stretch in self._sound.playback.stretches
        ]

    def _spans(self) -> Any:
        call: CallFigures | None = self.figures()["call"]
        return call.spans if call is not None else ()

    def _captions(self) -> Iterator[list[Any]]:
        sound = self._sound
        for item, line in sound.caller.items():
            end = line.end_ns if line.end_ns is not None else line.start_ns
            times = line.start_ns / _NS_PER_MS, end / _NS_PER_MS
            yield [*times, "caller", line.text, item, sound.is_final(item)]
        times_of: dict[str, tuple[int, int]] = {}
        for stretch in sound.playback.stretches:
            start, _ = times_of.get(stretch.item_id, (stretch.start_ns, 0))
            times_of[stretch.item_id] = start, stretch.start_ns + stretch.heard_ns
        for item, text in sound.model.items():
            if item in times_of:
                start, end = times_of[item]
                times = start / _NS_PER_MS, end / _NS_PER_MS
                yield [*times, "model", text, item, sound.is_final(item)]

    def _reduce_audio(self) -> None:
        """Make peaks of the audio that has come, and let it go."""
        self._said.flush()
        self._waiting = 0
        sound = self._sound
        stretches = sound.playback.stretches
        for index in range(max(0, self._has_peaks - 1), len(stretches)):
            stretch = stretches[index]
            if not stretch.pieces:
                continue
            data = b"".join(stretch.pieces)
            stretch.pieces.clear()
            place = self._model_places.get(index, 0)
            self._peaks["model"].add(stretch.start_ns + place, data, sound.output)
            self._model_places[index] = place + sound.output.duration_ns(len(data))
        self._has_peaks = len(stretches)


def _text(values: bytes) -> str:
    return base64.b64encode(values).decode()


def _end_of(turn: dict[str, Any]) -> float:
    return float(turn["at_ms"] + (turn["latency_ms"] or 0.0))


def _tool_end(tool: dict[str, Any]) -> float | None:
    return None if tool["time_ms"] is None else float(tool["at_ms"] + tool["time_ms"])


def _described(totals: Totals) -> dict[str, Any]:
    return {
        name: {"definition": text, **attrs.asdict(totals.figures[name])}
        for name, text in FIGURES.items()
        if name in totals.figures
    }

"""
One call, record by record: the latency of each turn, and its parts.

Theory of operation
-------------------

A turn begins where the caller has finished and ends with the first audio of the answer. At any
time in between one party is waited for, and the records show when that changes:

1. *endpointing*, from the last voiced sample on, until the service says that speech has stopped
   (`input_speech_stopped`), or until the application has committed the audio;
2. *model*, until a response begins (`turn_started`);
3. *first audio*, until its first audio. If it calls a tool instead, this time is *model* as well;
4. *tool*, from `function_call` until its output is sent; then it is the *model* again;
5. *dispatch*, until a handler is called with that audio.

So the parts add up to the whole, in any order of events.

The first and the last voiced sample are measured in the caller's audio (`_voice`), in the same way
for server VAD, semantic VAD and a commit by the application. `InputClock` knows when they were
recorded. Where the audio is missing, they follow from the service's messages, and the figures are
marked as estimates:

* ``audio_end_ms`` less the silence that server VAD waits for, looked up in the `InputClock`;
* without the messages, the arrival of `input_speech_stopped` less that silence;
* for semantic VAD, which waits for no known time, ``audio_end_ms`` itself or that arrival;
* for a commit, the last audio that was sent.

The service counts ``audio_start_ms`` and ``audio_end_ms`` from the beginning of its session, and a
call may have one session after another. The next one begins with a connection, or, where it takes
over from the last one, with its ``session.created``. A response that is lost with its connection,
and is asked for again, answers the same turn; the conversation that a new session is told is not
asked by anybody.

Gemini Live need not say when the caller has finished. If it doesn't, the voice is looked
for when an answer begins, in the audio since the one before, and *endpointing* is all of the time
until then; the time that the model takes is part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from ..audio._formats import PCM16, AudioFormat, session_format
from ..journal._records import CallRecord, EventRecord, FrameRecord, SentRecord
from ..wire._audio_text import caller_rate
from ._audio_texts import pcm_at
from ._figures import Interruption, Outcome, Span, Tokens, ToolCall, Turn
from ._record_view import RecordView
from ._timeline import InputClock, Playback, Stretch, part_of
from ._voice import CallerVoice

_NS_PER_MS: Final = 1_000_000

# The service's defaults.
_SILENCE_MS: Final = 500
_PADDING_MS: Final = 300

_RESTORE: Final = "eventbus_restore"
"""The beginning of the ``event_id`` of messages that tell a new session the conversation."""


def _ms(ns: int) -> float:
    return ns / _NS_PER_MS


@attrs.define(eq=False)
class _Asked:
    """A turn in progress; the time up to *since_ns* belongs to its parts already."""

    kind: Literal["speech", "text"]
    began_ns: int
    since_ns: int
    is_estimated: bool
    waits_for: Literal["model", "audio", "tool", "output"] = "model"
    endpointing_ns: int = 0
    model_ns: int = 0
    tool_ns: int = 0
    first_audio_ns: int = 0
    answered_ns: int | None = None
    played_ns: int | None = None
    outcome: Outcome = "open"
    has_called: bool = False

    def pass_to(self, part: Literal["model", "audio", "tool", "output"], now_ns: int) -> None:
        """Add the time until now to its part, and wait for another party from now on."""
        passed_ns = now_ns - self.since_ns
        # "output" is the model's turn after a tool's output; one more output, and it was a tool's.
        if self.waits_for == "tool" or (self.waits_for == part == "output"):
            self.tool_ns += passed_ns
        elif self.waits_for == "audio" and part == "audio":
            self.first_audio_ns += passed_ns
        else:
            self.model_ns += passed_ns
        self.since_ns, self.waits_for = now_ns, part


@attrs.define(eq=False)
class _Cut:
    """An interruption in progress."""

    at_ns: int
    voice_ns: int | None
    silent_ns: int
    is_voice_exact: bool
    is_heard_exact: bool = False
    is_handled: bool = False
    cut: list[Stretch] = attrs.field(factory=list)


@attrs.frozen
class _Detection:
    """
    The service's detection of the caller's speech.

    Attributes:
        silence_ms: How long the silence is that ends a turn; 0 if it has no fixed length.
        padding_ms: How much audio before the speech belongs to it.
        is_given: Whether the session has said so.
    """

    silence_ms: int = _SILENCE_MS
    padding_ms: int = _PADDING_MS
    is_given: bool = False

    @classmethod
    def of(cls, session: Mapping[str, Any]) -> _Detection:
        """Read the settings of a session."""
        audio = session.get("audio")
        nested = audio.get("input") if isinstance(audio, Mapping) else None
        settings = (nested if isinstance(nested, Mapping) else session).get("turn_detection")
        if not isinstance(settings, Mapping):
            return cls()
        if settings.get("type") == "semantic_vad":  # by meaning, not by a silence of known length
            return cls(0)
        silence, padding = settings.get("silence_duration_ms"), settings.get("prefix_padding_ms")
        return cls(
            silence if type(silence) is int else _SILENCE_MS,
            padding if type(padding) is int else _PADDING_MS,
            is_given=True,
        )


_TOOL_CONTEXT: Final = "running the tool "
"""The beginning of the context with which a session reports a tool that failed."""


class CallMeasure:
    """
    The figures of one call.

    Args:
        origin_ns: The ``mono_ns`` of the journal's beginning.
        is_player: Returns whether the handler of a name plays the audio.

    Attributes:
        failures: Number of responses that failed, and of the service's errors.
        tokens: The tokens of all responses.
    """

    def __init__(self, origin_ns: int, is_player: Callable[[str], bool]) -> None:
        self._origin_ns = origin_ns
        self._is_player = is_player
        self.failures = 0
        self.tokens = Tokens()
        self._seconds = [0.0]  # of each session of the service, by its latest report
        self.transcription_ms: list[float] = []
        self._input = InputClock()
        self._caller = CallerVoice()
        self._said_ns = 0  # the place in the caller's audio where the latest turn has ended
        self._session_ns = 0  # the place in the caller's audio where the service's session began
        self._has_session = self._has_connected = False
        self._playback = Playback()
        self._formats: dict[str, AudioFormat] = {"input": PCM16, "output": PCM16}
        self._detection = _Detection()
        self._is_gemini = False
        self._has_detection = False  # the service tells when the caller begins and stops to speak
        self._frame = (0, 0)  # the latest one: its seq, and when it came
        self._turns: list[_Asked] = []
        self._open: _Asked | None = None
        self._voice: tuple[int, int, bool] | None = None  # began: cause, when, if that is exact
        self._speaking_ns: int | None = None
        self._stopped_items: dict[str, int] = {}
        self._cuts: list[_Cut] = []
        self._tools: dict[str, tuple[str, int, int | None]] = {}
        self._failed_tools: set[str] = set()
        self._texts: int | None = None
        # Of each response, the turn that it answers, if one: an old one may end late.
        self._owners: dict[str, _Asked | None] = {}
        self._spans: list[Span] = []
        # Completed by the call of a handler: by the seq of the event.
        self._played_by_call: dict[int, _Asked] = {}
        self._silenced_by_call: dict[int, _Cut] = {}

    def take(self, facts: RecordView) -> None:
        """Take the next record of the call."""
        match facts.record:
            case FrameRecord(seq=seq, mono_ns=now_ns):
                self._frame = seq, now_ns
            case EventRecord(type_name=str(type_name)) as record:
                handle = _ON_EVENT.get(type_name)
                if handle is not None:
                    handle(self, facts, self._arrival(record))
            case CallRecord() as record:
                self._called(record)
            case SentRecord(audio_bytes=int()) as record:
                self.take_said([record], caller_rate(record.data))
            case SentRecord() as record:
                self._sent(record, facts)
            case _:
                pass

    def _arrival(self, record: EventRecord) -> int:
        """Return the arrival of the frame that *record* was decoded from."""
        seq, now_ns = self._frame
        return now_ns if record.cause == seq and seq else record.mono_ns

    # --- events of the service --------------------------------------------------------------

    def _status(self, facts: RecordView, _now_ns: int) -> None:
        if facts.data.get("status") == "connecting":
            self._session_ns = self._input.length_ns
            self._has_connected = True

    def _session(self, facts: RecordView, _now_ns: int) -> None:
        if facts.data.get("created") is True:
            self._seconds.append(0.0)
            if self._has_session and not self._has_connected:
                self._session_ns = self._input.length_ns
            self._has_session, self._has_connected = True, False
        session = facts.data.get("session")
        if isinstance(session, Mapping):
            self._detection = _Detection.of(session)
            self._formats["input"] = session_format(session, "input")
            self._formats["output"] = session_format(session, "output")

    def _speech_started(self, facts: RecordView, now_ns: int) -> None:
        self._has_detection = True
        self._close("abandoned")
        start_ns = self._place_of(facts.data.get("audio_start_ms"))
        place_ns = None
        if start_ns is not None:
            place_ns = self._caller.first_ns(start_ns, self._input.length_ns)
            self._caller.forget(start_ns)
            self._said_ns = max(self._said_ns, start_ns)
        is_measured = place_ns is not None
        if place_ns is None and start_ns is not None:
            place_ns = start_ns + self._detection.padding_ms * _NS_PER_MS
        voice_ns = None if place_ns is None else self._input.at(place_ns)
        self._speaking_ns = now_ns if voice_ns is None else min(voice_ns, now_ns)
        is_exact = is_measured and voice_ns is not None
        self._voice = facts.record.cause, self._speaking_ns, is_exact

    def _speech_stopped(self, facts: RecordView, now_ns: int) -> None:
        silence_ns = self._detection.silence_ms * _NS_PER_MS
        end_ns = self._place_of(facts.data.get("audio_end_ms"))
        voice_ns = None
        if end_ns is not None:
            # The service has looked for a silence of that length, and found one in any noise.
            quiet_ns = end_ns - silence_ns if self._detection.is_given else end_ns
            voice_ns = self._last_voiced(end_ns, quiet_ns)
        is_estimated = voice_ns is None
        if voice_ns is None and end_ns is not None:
            voice_ns = self._input.at(end_ns - silence_ns)
        began_ns = now_ns - silence_ns if voice_ns is None else min(voice_ns, now_ns)
        self._ask("speech", began_ns, now_ns, is_estimated=is_estimated)
        self._stopped_items.update(dict.fromkeys(facts.items, now_ns))
        self._heard_caller(began_ns)
        self._said_ns = self._input.length_ns if end_ns is None else end_ns

    def _committed(self, facts: RecordView, now_ns: int) -> None:
        if facts.items <= self._stopped_items.keys():
            return  # the turn detection has committed it
        self._commit(now_ns)
        self._stopped_items.update(dict.fromkeys(facts.items, now_ns))

    def _commit(self, now_ns: int) -> None:
        """Begin the turn after speech that the application has ended, not always at once."""
        voice_ns = self._last_voiced(self._input.length_ns, self._input.length_ns)
        is_estimated = voice_ns is None
        began_ns = self._input.last_ns if voice_ns is None else voice_ns
        began_ns = now_ns if began_ns is None else min(began_ns, now_ns)
        self._ask("speech", began_ns, now_ns, is_estimated=is_estimated)
        self._said_ns = self._input.length_ns

    def _place_of(self, session_ms: object) -> int | None:
        """Return the place in the caller's audio that a place in the session's audio is."""
        return self._session_ns + session_ms * _NS_PER_MS if isinstance(session_ms, int) else None

    def _last_voiced(self, end_ns: int, before_ns: int) -> int | None:
        """Return when the last voiced sample of the turn was recorded; None if that is unknown."""
        place_ns = self._caller.last_ns(self._said_ns, end_ns, before_ns)
        return None if place_ns is None else self._input.at(place_ns)

    def _transcribed(self, facts: RecordView, now_ns: int) -> None:
        for item_id in facts.items:
            stopped_ns = self._stopped_items.get(item_id)
            if stopped_ns is not None:
                self.transcription_ms.append(_ms(now_ns - stopped_ns))

    def _find_speech(self, now_ns: int) -> None:
        """Look for the speech that is being answered, of which the service hasn't told."""
        end_ns = self._input.length_ns
        voice_ns = self._last_voiced(end_ns, end_ns)
        if voice_ns is not None:
            began_ns = min(voice_ns, now_ns)
            place_ns = self._caller.first_ns(self._said_ns, end_ns)
            first_ns = None if place_ns is None else self._input.at(place_ns)
            if first_ns is not None:
                self._spans.append(self._span("caller", first_ns, began_ns))
            self._ask("speech", began_ns, now_ns, is_estimated=False)
        self._said_ns = end_ns

    def _turn_started(self, facts: RecordView, now_ns: int) -> None:
        if self._is_gemini and self._open is None and not self._has_detection:
            self._find_speech(now_ns)
        self._owners.update(dict.fromkeys(facts.responses, self._open))
        if self._open is not None and self._open.waits_for != "audio":
            self._open.pass_to("audio", now_ns)

    def _audio(self, facts: RecordView, now_ns: int) -> None:
        assert isinstance(facts.record, EventRecord)
        length_ns = self._formats["output"].duration_ns(facts.record.audio_bytes or 0)
        self._playback.play(now_ns, part_of(facts.data), length_ns)
        turn = self._open
        if turn is not None and self._is_for(turn, facts):
            turn.pass_to("audio", now_ns)
            turn.answered_ns = now_ns
            self._played_by_call[facts.seq] = turn
            self._close("answered")

    def _interrupted(self, facts: RecordView, now_ns: int) -> None:
        if not self._playback.is_audible(now_ns):
            return  # it was heard to its end: this is the caller's next turn
        cause, voice_ns, is_exact = self._voice or (0, 0, False)
        is_by_voice = self._voice is not None and cause == facts.record.cause
        cut = _Cut(
            now_ns,
            voice_ns if is_by_voice else None,
            now_ns,
            is_exact,
            cut=self._playback.stop(now_ns),
        )
        self._cuts.append(cut)
        self._silenced_by_call[facts.seq] = cut

    def _truncated(self, facts: RecordView, _now_ns: int) -> None:
        self._truncate(facts.data)

    def _tool_called(self, facts: RecordView, now_ns: int) -> None:
        call_id, name = facts.data.get("call_id"), facts.data.get("name")
        if isinstance(call_id, str) and call_id not in self._tools:
            self._tools[call_id] = str(name), now_ns, None
        if self._open is not None:
            self._open.has_called = True
            if self._open.waits_for != "tool":
                self._open.pass_to("tool", now_ns)

    def _excepted(self, facts: RecordView, _now_ns: int) -> None:
        event, context = facts.data.get("event"), facts.data.get("context")
        # The context is empty where a journal has no content.
        is_tools = isinstance(context, str) and (not context or context.startswith(_TOOL_CONTEXT))
        if is_tools and isinstance(event, Mapping) and event.get("type") == "function_call":
            self._failed_tools.add(str(event.get("call_id")))

    def _turn_ended(self, facts: RecordView, now_ns: int) -> None:
        status, turn = facts.data.get("status"), self._open
        self.failures += status == "failed"
        if turn is None or not self._is_for(turn, facts):
            return
        if _is_lost(facts.data.get("error")):
            turn.pass_to("model", now_ns)
        elif status in ("failed", "cancelled"):
            self._close("failed" if status == "failed" else "abandoned")
        elif turn.waits_for == "audio" and not turn.has_called:
            self._close("silent")
        turn.has_called = False

    def _failed(self, _facts: RecordView, _now_ns: int) -> None:
        self.failures += 1

    def _used(self, facts: RecordView, _now_ns: int) -> None:
        usage = facts.data.get("usage")
        if not isinstance(usage, Mapping):
            return
        seconds = usage.get("seconds")
        if isinstance(seconds, (int, float)):  # a meter of its own, beside that of tokens
            self._seconds[-1] = float(seconds)
            return
        cached = usage.get("input_tokens_details")
        cached = cached.get("cached_tokens") if isinstance(cached, Mapping) else None
        so_far = Tokens() if usage.get("is_cumulative") is True else self.tokens
        self.tokens = Tokens(
            so_far.input + _count(usage.get("input_tokens")),
            so_far.output + _count(usage.get("output_tokens")),
            so_far.total + _count(usage.get("total_tokens")),
            so_far.cached + _count(cached),
        )

    @property
    def audio_seconds(self) -> float:
        """The seconds of audio that are billed by time."""
        return sum(self._seconds)

    # --- messages to the service, and handler calls -----------------------------------------

    def take_said(self, records: Sequence[SentRecord], rate: int | None) -> None:
        """Take messages with the caller's audio, which isn't looked at yet, and have that rate."""
        form, end_ns = self._formats["input"], self._input.length_ns
        if rate is not None:
            form, self._is_gemini = pcm_at(rate), True
        lengths_ns: dict[int, int] = {}  # nearly all messages have the same size
        pieces, ends_ns = [], []
        for record in records:
            size = record.audio_bytes or 0
            length_ns = lengths_ns.get(size)
            if length_ns is None:
                length_ns = lengths_ns[size] = form.duration_ns(size)
            start_ns, end_ns = end_ns, end_ns + length_ns
            pieces.append((start_ns, end_ns, record))
            ends_ns.append(end_ns)
        self._input.extend([record.mono_ns for record in records], ends_ns)
        self._caller.extend(pieces, form)

    def _sent(self, record: SentRecord, facts: RecordView) -> None:
        now_ns = record.mono_ns
        match facts.data:
            case {
                "type": "conversation.item.create" | "response.item.create",
                "item": Mapping() as item,
            }:
                is_told = str(facts.data.get("event_id")).startswith(_RESTORE)
                self._item_sent(item, now_ns, is_told=is_told)
            case {"type": "response.create"} if self._texts is not None and self._open is None:
                self._ask("text", self._texts, now_ns, is_estimated=False)
            case {"type": "conversation.item.truncate"}:
                self._truncate(facts.data)
            case {"type": _}:
                pass
            case _:
                self._sent_to_gemini(facts, now_ns)

    def _sent_to_gemini(self, facts: RecordView, now_ns: int) -> None:
        match facts.type, *facts.data.values():
            case "toolResponse", Mapping() as answer:
                given = answer.get("functionResponses", answer.get("function_responses"))
                for each in given if isinstance(given, list) else ():
                    self._output_sent(each.get("id") if isinstance(each, Mapping) else None, now_ns)
            case "clientContent", Mapping() as content:
                if content.get("turnComplete", content.get("turn_complete")) is True:
                    self._text_sent(now_ns)
            case "realtimeInput.text", _:
                self._text_sent(now_ns)
            case "realtimeInput.activityEnd", _:
                self._commit(now_ns)
            case _:
                pass

    def _text_sent(self, now_ns: int) -> None:
        if self._open is None:
            self._ask("text", now_ns, now_ns, is_estimated=False)

    def _item_sent(self, item: Mapping[str, Any], now_ns: int, *, is_told: bool) -> None:
        if item.get("type") == "message" and item.get("role") == "user" and not is_told:
            self._texts = now_ns
        if item.get("type") == "function_call_output":
            self._output_sent(item.get("call_id"), now_ns)

    def _output_sent(self, call_id: object, now_ns: int) -> None:
        if not isinstance(call_id, str):
            return
        known = self._tools.get(call_id)
        if known is not None and known[2] is None:
            self._tools[call_id] = *known[:2], now_ns
            self._spans.append(self._span("tool", known[1], now_ns))
        if self._open is not None and self._open.waits_for in ("tool", "output"):
            self._open.pass_to("output", now_ns)

    def _called(self, record: CallRecord) -> None:
        turn = self._played_by_call.get(record.cause)
        if turn is not None and self._is_player(record.handler):
            played_ns = turn.played_ns
            turn.played_ns = min(played_ns or record.started_ns, record.started_ns)
        cut = self._silenced_by_call.get(record.cause)
        if cut is not None and record.run_ns is not None and not cut.is_handled:
            cut.silent_ns, cut.is_handled = record.started_ns + record.run_ns, True

    # --- turns ------------------------------------------------------------------------------

    def _ask(
        self, kind: Literal["speech", "text"], began_ns: int, now_ns: int, *, is_estimated: bool
    ) -> None:
        self._close("abandoned")
        self._texts = None
        turn = _Asked(kind, began_ns, now_ns, is_estimated, endpointing_ns=now_ns - began_ns)
        self._open = turn
        self._turns.append(turn)

    def _close(self, outcome: Outcome) -> None:
        if self._open is not None:
            self._open.outcome, self._open = outcome, None

    def _is_for(self, turn: _Asked, facts: RecordView) -> bool:
        """Return whether an event belongs to a response to *turn*, as far as is known."""
        return all(self._owners.get(response, turn) is turn for response in facts.responses)

    def _heard_caller(self, end_ns: int) -> None:
        if self._speaking_ns is not None:
            self._spans.append(self._span("caller", self._speaking_ns, end_ns))
        self._speaking_ns = None

    def _truncate(self, data: Mapping[str, Any]) -> None:
        end_ms = data.get("audio_end_ms")
        if not isinstance(end_ms, int):
            return
        part = part_of(data)
        self._playback.truncate(part, end_ms * _NS_PER_MS)
        for cut in self._cuts[-1:]:
            cut.is_heard_exact |= any(part == (s.item_id, s.content_index) for s in cut.cut)

    # --- results ----------------------------------------------------------------------------

    def turns(self) -> tuple[Turn, ...]:
        """Return the turns, in their order."""
        return tuple(self._turn(number, turn) for number, turn in enumerate(self._turns, 1))

    def _turn(self, number: int, turn: _Asked) -> Turn:
        at_ms = _ms(turn.began_ns - self._origin_ns)
        if turn.answered_ns is None:
            return Turn(number, turn.kind, at_ms, turn.outcome, is_estimated=turn.is_estimated)
        end_ns = turn.answered_ns if turn.played_ns is None else turn.played_ns
        return Turn(
            number,
            turn.kind,
            at_ms,
            turn.outcome,
            _ms(max(end_ns, turn.answered_ns) - turn.began_ns),
            _ms(turn.endpointing_ns),
            _ms(turn.model_ns),
            _ms(turn.tool_ns),
            _ms(turn.first_audio_ns),
            None if turn.played_ns is None else _ms(max(0, turn.played_ns - turn.answered_ns)),
            turn.is_estimated,
        )

    def interruptions(self) -> tuple[Interruption, ...]:
        """Return the interruptions, in their order."""
        return tuple(
            Interruption(
                _ms(cut.at_ns - self._origin_ns),
                None if cut.voice_ns is None else _ms(max(0, cut.silent_ns - cut.voice_ns)),
                _ms(sum(stretch.unheard_ns for stretch in cut.cut)),
                is_latency_estimated=not cut.is_voice_exact,
                is_unheard_estimated=not cut.is_heard_exact,
            )
            for cut in self._cuts
        )

    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Return the calls of tools, in their order."""
        return tuple(
            ToolCall(
                name,
                call_id,
                _ms(called_ns - self._origin_ns),
                None if sent_ns is None else _ms(sent_ns - called_ns),
                call_id in self._failed_tools,
            )
            for call_id, (name, called_ns, sent_ns) in self._tools.items()
        )

    def spans(self) -> tuple[Span, ...]:
        """Return the spans, in the order of their beginnings."""
        heard = [
            self._span("model", stretch.start_ns, stretch.start_ns + stretch.heard_ns)
            for stretch in self._playback.stretches
            if stretch.heard_ns
        ]
        return tuple(sorted([*self._spans, *heard], key=lambda span: span.start_ms))

    def _span(self, lane: Literal["caller", "model", "tool"], start_ns: int, end_ns: int) -> Span:
        start_ms = _ms(start_ns - self._origin_ns)
        return Span(lane, start_ms, max(start_ms, _ms(end_ns - self._origin_ns)))


def _is_lost(error: object) -> bool:
    """Return whether a response has failed because the connection was lost."""
    return isinstance(error, Mapping) and error.get("code") == "connection_lost"


def _count(value: object) -> int:
    return value if type(value) is int else 0


_ON_EVENT: Final[Mapping[str, Callable[[CallMeasure, RecordView, int], None]]] = {
    "connection_status": CallMeasure._status,  # noqa: SLF001  # a table of its own methods
    "session_updated": CallMeasure._session,  # noqa: SLF001
    "input_speech_started": CallMeasure._speech_started,  # noqa: SLF001
    "input_speech_stopped": CallMeasure._speech_stopped,  # noqa: SLF001
    "input_audio_committed": CallMeasure._committed,  # noqa: SLF001
    "input_audio_transcription_completed": CallMeasure._transcribed,  # noqa: SLF001
    "turn_started": CallMeasure._turn_started,  # noqa: SLF001
    "audio": CallMeasure._audio,  # noqa: SLF001
    "audio_interrupted": CallMeasure._interrupted,  # noqa: SLF001
    "item_truncated": CallMeasure._truncated,  # noqa: SLF001
    "function_call": CallMeasure._tool_called,  # noqa: SLF001
    "exception": CallMeasure._excepted,  # noqa: SLF001
    "turn_ended": CallMeasure._turn_ended,  # noqa: SLF001
    "error": CallMeasure._failed,  # noqa: SLF001
    "usage": CallMeasure._used,  # noqa: SLF001
}

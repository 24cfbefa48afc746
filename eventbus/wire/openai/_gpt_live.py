"""
Decodes the GPT-Live protocol (``/v1/live/sessions``): full duplex, without turns and items.

Rules
-----

* Ids are made by counting: items ``live-a1`` (the model's) and ``live-u1`` (the user's),
  responses ``live-r1``. In the second session of a call they are ``live2-a1`` and so on.
* Turns are inferred. A *segment* is a stretch of speech of one side. The first transcript or
  sound of a segment begins it. It ends when its side has been silent for `gap_ms`, when the
  other side begins to speak after it, or when the session closes. Where both speak at once, both
  segments go on.
* At its end a segment is an item. A fragment that begins a sentence right behind the end of
  another one gets the space that the service leaves out there.
* Time is the stream's own: ``start_ms`` and ``end_ms`` of transcripts, and the audio received so
  far, which never stops. There is no clock and no timer, so the same frames always give the same
  events.
* Audio in which nothing is heard is `RealtimeModelSilenceEvent`: it belongs to no turn and begins
  none.
* The end of the session is for the transport to report: ``session.closed``, which says why, ends
  the segments, gives the final usage and is `RealtimeModelOtherEvent`.
* A frame inside ``response.event`` is unwrapped: a tool call and the usage of a response have
  events, the rest is `RealtimeModelOtherEvent`. The ``extra`` of the call's item has the
  ``delegation_id``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs
import pybase64

from ..._fast_init import constructor
from ...events import (
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelDelegationEvent,
    RealtimeModelErrorEvent,
    RealtimeModelEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
    RealtimeModelUsageEvent,
    Usage,
)
from ...exceptions import FrameError
from ...items import AssistantAudio, AssistantMessageItem, InputAudio, UserMessageItem
from .._fields import Fields, child, child_if_any, integer, integer_if_any, text, text_if_any, wrong
from .._frame_decoder import DEFAULT_MAX_BYTES, FrameDecoder, Meaning, Protocol, exception_event
from .._frames import ReadOnlyDict, freeze
from .._origin import decoded_other
from ._items import tool_call_item
from ._reports import error_from, responses_usage_event
from ._silence import RealtimeModelSilenceEvent, is_silent

_Data: TypeAlias = dict[str, Any]

# Names that may be told in an error; any other name in a frame may be a caller's word.
_FIELD_NAMES: Final = frozenset(
    {
        "audio",
        "client_event_id",
        "code",
        "context_window",
        "delegation",
        "delegation_id",
        "delta",
        "end_ms",
        "error",
        "event",
        "event_id",
        "id",
        "item",
        "message",
        "offset_ms",
        "reason",
        "response",
        "response_id",
        "seconds",
        "session",
        "start_ms",
        "target",
        "type",
        "usage",
    }
)

_BYTES_PER_SAMPLE: Final[Mapping[str, int]] = {"audio/pcm": 2, "audio/pcmu": 1, "audio/pcma": 1}

_new_audio = constructor(RealtimeModelAudioEvent)
_new_silence: Callable[..., Any] = constructor(RealtimeModelSilenceEvent)  # not in the union


@attrs.define
class _Segment:
    """
    A stretch of speech of one side.

    Attributes:
        number: The number of it, from 1 on each side; 0 before the first.
        is_open: Whether it may go on.
        words: Its transcript so far.
        has_audio: Whether audio of it has come.
        end_ms: The end of the speech so far.
    """

    number: int = 0
    is_open: bool = False
    words: list[str] = attrs.Factory(list)
    has_audio: bool = False
    end_ms: int = 0

    def begin(self) -> None:
        self.number += 1
        self.is_open = True
        self.words = []
        self.has_audio = False
        self.end_ms = 0

    def add(self, fragment: str) -> str:
        """Add a fragment of the transcript, and return it with the right space before it."""
        before = "".join(self.words[-1:])
        if not self.words:
            fragment = fragment.lstrip()
        elif before.endswith((".", "!", "?")) and fragment[:1].isupper():
            fragment = f" {fragment}"
        self.words.append(fragment)
        return fragment

    @property
    def transcript(self) -> str:
        """All words of it."""
        return "".join(self.words)


class _LiveSession:
    """
    The state that decoding the next frame of a session needs.

    Attributes:
        gap_ms: Milliseconds of silence that end a segment.
        number: The number of the session in the call.
        prefix: The beginning of its ids.
        audio_format: The type of the audio that the model sends.
        bytes_per_s: Bytes in a second of it.
        received: Bytes of it so far.
        now_ms: The end of that audio on the session's timeline.
        model: The latest segment of the model.
        user: The latest segment of the user.
        called: The call ids of the latest tool calls.
    """

    __slots__ = (
        "audio_format",
        "bytes_per_s",
        "called",
        "gap_ms",
        "model",
        "now_ms",
        "number",
        "prefix",
        "received",
        "user",
    )

    def __init__(self, gap_ms: int, number: int) -> None:
        self.gap_ms = gap_ms
        self.number = number
        self.prefix = "live" if number == 1 else f"live{number}"
        self.audio_format = "audio/pcm"
        self.bytes_per_s = 48_000
        self.received = 0
        self.now_ms = 0
        self.model = _Segment()
        self.user = _Segment()
        self.called: dict[str, None] = {}

    def dump(self) -> _Data:
        """Return the state as plain data; the words of open segments are content."""
        return {
            "audio": {
                "type": self.audio_format,
                "bytes_per_s": self.bytes_per_s,
                "received": self.received,
                "now_ms": self.now_ms,
            },
            "model": attrs.asdict(self.model),
            "user": attrs.asdict(self.user),
            "called": {"call_id": list(self.called)},
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take the place of the one that was saved."""
        audio = saved["audio"]
        self.audio_format, self.bytes_per_s = audio["type"], audio["bytes_per_s"]
        self.received, self.now_ms = audio["received"], audio["now_ms"]
        self.model, self.user = _Segment(**saved["model"]), _Segment(**saved["user"])
        self.called.update(dict.fromkeys(saved["called"]["call_id"]))

    @property
    def item_id(self) -> str:
        """The latest item of the model."""
        return f"{self.prefix}-a{self.model.number}"

    @property
    def response_id(self) -> str:
        """The latest response."""
        return f"{self.prefix}-r{self.model.number}"

    @property
    def user_item_id(self) -> str:
        """The latest item of the user."""
        return f"{self.prefix}-u{self.user.number}"

    # --- segments ---------------------------------------------------------------------------

    def model_speaks(self, start_ms: int, end_ms: int) -> Iterator[RealtimeModelEvent]:
        """Note speech of the model, and yield the ends and beginnings that follow from it."""
        yield from self.pass_time(start_ms)
        if not self.model.is_open:
            if self.user.is_open and self.user.end_ms <= start_ms:
                yield from self.end_user()
            self.model.begin()
            yield RealtimeModelTurnStartedEvent(self.response_id)
        self.model.end_ms = max(self.model.end_ms, end_ms)

    def user_speaks(self, start_ms: int, end_ms: int) -> Iterator[RealtimeModelEvent]:
        """Note speech of the user, and yield the ends and beginnings that follow from it."""
        yield from self.pass_time(start_ms)
        if not self.user.is_open:
            if self.model.is_open and self.model.end_ms <= start_ms:
                yield from self.end_model()
            self.user.begin()
            yield RealtimeModelInputSpeechStartedEvent(self.user_item_id, start_ms)
        self.user.end_ms = max(self.user.end_ms, end_ms)

    def pass_time(self, now_ms: int) -> Iterator[RealtimeModelEvent]:
        """Yield the ends of the segments that were followed by a gap until *now_ms*."""
        if self.user.is_open and now_ms - self.user.end_ms >= self.gap_ms:
            yield from self.end_user()
        if self.model.is_open and now_ms - self.model.end_ms >= self.gap_ms:
            yield from self.end_model()

    def end_user(self) -> Iterator[RealtimeModelEvent]:
        """End the user's segment."""
        self.user.is_open = False
        item_id, transcript = self.user_item_id, self.user.transcript
        yield RealtimeModelInputSpeechStoppedEvent(item_id, self.user.end_ms)
        yield RealtimeModelInputAudioTranscriptionCompletedEvent(item_id, transcript)
        item = UserMessageItem(item_id, (InputAudio(transcript=transcript),), status="completed")
        yield RealtimeModelItemUpdatedEvent(item)

    def end_model(self) -> Iterator[RealtimeModelEvent]:
        """End the model's segment, and with it the turn."""
        self.model.is_open = False
        if self.model.has_audio:
            yield RealtimeModelAudioDoneEvent(self.item_id, 0)
        transcript = self.model.transcript or None
        if transcript is not None:
            yield RealtimeModelTranscriptDoneEvent(self.item_id, transcript, self.response_id)
        audio = AssistantAudio(transcript=transcript)
        item = AssistantMessageItem(self.item_id, (audio,), status="completed")
        yield RealtimeModelItemUpdatedEvent(item)
        yield RealtimeModelTurnEndedEvent(self.response_id, inferred=True)

    def end_all(self) -> Iterator[RealtimeModelEvent]:
        """End the segments that are open, in the order in which they ended."""
        ends = [(self.user, self.end_user), (self.model, self.end_model)]
        for segment, end in sorted(ends, key=lambda each: each[0].end_ms):
            if segment.is_open:
                yield from end()


# --- speech ----------------------------------------------------------------------------------


def _audio(session: _LiveSession, data: _Data) -> Meaning:
    delta = text(data, "delta")
    try:
        samples = pybase64.b64decode(delta, None, True)
    except ValueError:
        raise wrong(data, "delta", "a string of base64") from None
    start_ms = session.now_ms
    if type(data.get("start_ms")) is int and type(data.get("end_ms")) is int:  # on a sideband
        start_ms, session.now_ms = data["start_ms"], data["end_ms"]
    else:
        session.received += len(samples)
        session.now_ms = session.received * 1000 // session.bytes_per_s
    if is_silent(samples, session.audio_format):
        return (*session.pass_time(session.now_ms), _new_silence(samples))
    events = tuple(session.model_speaks(start_ms, session.now_ms))
    session.model.has_audio = True
    return (*events, _new_audio(samples, session.response_id, session.item_id, 0))


def _input_transcript(session: _LiveSession, data: _Data) -> Meaning:
    delta, start_ms, end_ms = text(data, "delta"), *_span(data)
    events = list(session.user_speaks(start_ms, end_ms))
    delta = session.user.add(delta)
    return (*events, RealtimeModelInputTranscriptDeltaEvent(session.user_item_id, delta, 0))


def _output_transcript(session: _LiveSession, data: _Data) -> Meaning:
    delta, start_ms, end_ms = text(data, "delta"), *_span(data)
    events = list(session.model_speaks(start_ms, end_ms))
    delta = session.model.add(delta)
    words = RealtimeModelTranscriptDeltaEvent(session.item_id, delta, session.response_id)
    return (*events, words)


def _span(data: _Data) -> tuple[int, int]:
    return integer(data, "start_ms"), integer(data, "end_ms")


# --- the session -----------------------------------------------------------------------------


def _session_updated(session: _LiveSession, data: _Data) -> Meaning:
    settings = child(data, "session")
    audio_format = child_if_any(child_if_any(settings, "audio"), "format")
    kind = text_if_any(audio_format, "type")
    if kind is not None and kind in _BYTES_PER_SAMPLE:
        rate = integer_if_any(audio_format, "rate") or (24_000 if kind == "audio/pcm" else 8_000)
        session.audio_format = kind
        session.bytes_per_s = _BYTES_PER_SAMPLE[kind] * max(rate, 1)
    return RealtimeModelSessionUpdatedEvent(freeze(settings), data["type"] == "session.started")


def _session_closed(session: _LiveSession, data: _Data) -> Meaning:
    events = list(session.end_all())
    usage = data.get("usage")
    if type(usage) is dict:
        try:
            events.append(_seconds(usage, data))
        except FrameError as exc:  # the session has ended all the same
            events.append(exception_event(exc))
    return (*events, decoded_other(freeze(data)))


def _usage(_session: _LiveSession, data: _Data) -> Meaning:
    return _seconds(child(data, "usage"), data)


def _seconds(usage: _Data, data: _Data) -> RealtimeModelUsageEvent:
    """Return the usage of a session so far, which is counted in seconds of audio."""
    seconds = usage.get("seconds")
    if type(seconds) is float or type(seconds) is int:
        with contextlib.suppress(OverflowError):  # an integer may have any number of digits
            return RealtimeModelUsageEvent(Usage(seconds=float(seconds), is_cumulative=True))
    raise Fields(usage, data["type"], "usage").wrong("seconds", "a number of seconds")  # noqa: EM101  # names, no message


def _error(_session: _LiveSession, data: _Data) -> Meaning:
    error = error_from(data.get("error"))
    if error is None:
        raise wrong(data, "error", "an object")
    client_event_id = error.extra.get("client_event_id")
    if error.event_id is None and isinstance(client_event_id, str):
        error = attrs.evolve(error, event_id=client_event_id)
    return RealtimeModelErrorEvent(error)


# --- delegated work --------------------------------------------------------------------------


def _delegation(_session: _LiveSession, data: _Data) -> Meaning:
    delegation = Fields(child(data, "delegation"), data["type"], "delegation")
    return RealtimeModelDelegationEvent(
        delegation.text("id"),
        delegation.text("target"),
        integer(data, "offset_ms"),
        delegation.optional_text("response_id"),
    )


def _response_event(session: _LiveSession, data: _Data) -> Meaning | None:
    """Return the meaning of an event of the Responses API inside the frame."""
    event = child(data, "event")
    kind = event.get("type")
    if kind == "response.output_item.done":
        return _tool_call(session, event, data.get("delegation_id"))
    if kind in ("response.completed", "response.incomplete", "response.failed"):
        usage = child_if_any(event, "response").get("usage")
        if type(usage) is dict:
            return responses_usage_event(usage, data["type"])
    return None


def _tool_call(session: _LiveSession, event: _Data, delegation_id: object) -> Meaning | None:
    item = child_if_any(event, "item")
    if item.get("type") != "function_call":
        return None
    call = tool_call_item(item, event["type"], None)
    if type(delegation_id) is str:
        extra = ReadOnlyDict({**call.extra, "delegation_id": delegation_id})
        call = attrs.evolve(call, extra=extra)
    updated, call_id = RealtimeModelItemUpdatedEvent(call), call.call_id or ""
    if call_id in session.called:
        return updated
    session.called[call_id] = None
    if len(session.called) > _MAX_REMEMBERED:
        del session.called[next(iter(session.called))]
    return updated, RealtimeModelToolCallEvent(call.name, call_id, call.arguments, call.item_id)


_MAX_REMEMBERED: Final = 256

# --- the table -------------------------------------------------------------------------------

LIVE_TABLE: Mapping[str, Callable[[_LiveSession, _Data], Meaning | None] | None] = MappingProxyType(
    {
        "session.started": _session_updated,
        "session.updated": _session_updated,
        "session.closed": _session_closed,
        "session.usage.updated": _usage,
        "error": _error,
        "info": None,
        # speech
        "session.output_audio.delta": _audio,
        "session.output_transcript.delta": _output_transcript,
        "session.input_transcript.delta": _input_transcript,
        "session.input_audio.append": None,  # the caller's audio, reflected on a sideband
        "session.input_audio.muted": None,
        "session.input_audio.unmuted": None,
        "session.output_audio.fixture.playing": None,
        "session.output_audio.fixture.played": None,
        # context: accepted, which doesn't say that anything is spoken
        "session.instructions.appended": None,
        "session.thinking.appended": None,
        "session.commentary.appended": None,
        # delegated work
        "session.delegation.created": _delegation,
        "response.event": _response_event,
        "decision.event": None,
        "decision.item.created": None,
        "decision.item.deleted": None,
        # telephony
        "transport.dtmf.received": None,
        "transport.dtmf.send": None,
        "transport.dtmf.sent": None,
        "transport.ringing": None,
        "transport.answered": None,
        "transport.failed": None,
    }
)
"""Type of a frame -> the function that makes its events; None makes `RealtimeModelOtherEvent`."""


def _ends(session: _LiveSession, frame_type: str, _raw: bytes) -> tuple[RealtimeModelEvent, ...]:
    # Code that waits for the end of a turn must not wait for ever.
    return tuple(session.end_all()) if frame_type == "session.closed" else ()


class GPTLiveDecoder(FrameDecoder[_LiveSession]):
    """
    Makes events of the frames of one GPT-Live session; every session needs its own.

    The protocol has no turns, items and responses: their ids are made by counting, and their
    beginnings and ends are inferred from the times in the stream, so the same frames always give
    the same events. Not for use from several threads at once.

    Args:
        gap_ms: Milliseconds without speech of a side that end its turn.
        number: The number of the session in the call; the ids of each are its own.
        max_bytes: A frame that is longer is not parsed; its raw event has it as it came.

    Raises:
        ValueError: *gap_ms* or *number* isn't above 0.
    """

    name = "openai-gpt-live"
    version = 1

    _protocol = Protocol(LIVE_TABLE, _FIELD_NAMES, ends=_ends)

    def __init__(
        self, *, gap_ms: int = 800, number: int = 1, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> None:
        for name, value in (("gap_ms", gap_ms), ("number", number)):
            if value <= 0:
                msg = f"{name} is {value}; pass a number above 0."
                raise ValueError(msg)
        super().__init__(_LiveSession(gap_ms, number), max_bytes)

    @property
    def options(self) -> Mapping[str, Any]:
        """The keyword arguments that make a decoder like this one, as plain JSON data."""
        session = self._session
        return {**super().options, "gap_ms": session.gap_ms, "number": session.number}

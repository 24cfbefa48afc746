"""
Decodes the OpenAI Realtime protocol, and the dialects of it that others speak.

Rules
-----

* A frame gives its raw event first, always; then the events that it means.
* The events are those of the openai-agents SDK where it has them, in its order.
  Where they differ, on purpose, is listed in ``docs/explanation/openai-decoder.md``.
* A type that isn't in `TABLE` is `RealtimeModelOtherEvent`, and so is a frame
  that means nothing an event class exists for.
* What can't be read is `RealtimeModelExceptionEvent`; the decoder goes on.
* ``response.done`` ends the turn, however malformed the rest of it is.
* Audio of a response that speech has interrupted gives its raw event only,
  where the session's turn detection interrupts responses.
* What a decoder remembers of a session is bounded, however long it is.

The way of a frame: `openai_fast` recognises the deltas that come fifty times a
second; anything else is read strictly (`strict`) and handed to the function
that `TABLE` has for its type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeAlias

import pybase64

from ..._fast_init import constructor
from ...events import (
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelErrorEvent,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioCommittedEvent,
    RealtimeModelInputAudioTimeoutTriggeredEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputAudioTranscriptionFailedEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelItemDeletedEvent,
    RealtimeModelItemTruncatedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelOutputTextDeltaEvent,
    RealtimeModelOutputTextDoneEvent,
    RealtimeModelRateLimitsEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallDeltaEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from ...exceptions import FrameError
from .._decoder import Bus, is_unseen, publish_events
from .._fields import Fields, Message
from .._frames import Frame, frame_of
from .._intake import as_it_came, to_bytes
from .._origin import mark_events, new_marks
from .._strict import read_object, refusal, salvage
from ._items import error_from, message_item, tool_call_item, usage_event
from ._shortcuts import AudioLayout, read_plain

__all__ = ["BETA_NAMES", "TABLE", "OpenAIRealtimeDecoder"]

_MAX_REMEMBERED: Final = 256

# Names that may be told in an error; any other name in a frame may be a caller's word.
_FIELD_NAMES: Final = frozenset(
    {
        "arguments",
        "audio",
        "audio_end_ms",
        "audio_start_ms",
        "call_id",
        "code",
        "content",
        "content_index",
        "created",
        "delta",
        "error",
        "event_id",
        "id",
        "input_tokens",
        "interrupt_response",
        "item",
        "item_id",
        "message",
        "name",
        "output",
        "output_index",
        "output_tokens",
        "part",
        "previous_item_id",
        "rate_limits",
        "response",
        "response_id",
        "role",
        "session",
        "status",
        "status_details",
        "text",
        "total_tokens",
        "transcript",
        "turn_detection",
        "type",
        "usage",
    }
)

_new_raw = constructor(RealtimeModelRawServerEvent)
_new_item_updated = constructor(RealtimeModelItemUpdatedEvent)
_new_audio = constructor(RealtimeModelAudioEvent)


class OpenAIRealtimeDecoder:
    """
    Makes events of the frames of one session; every session needs its own.

    Not for use from several threads at once.

    Args:
        max_bytes: A frame that is longer is not parsed; its raw event has it as it came.
    """

    name: ClassVar[str] = "openai-realtime"
    version: ClassVar[int] = 1

    def __init__(self, *, max_bytes: int = 16 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._session = _Session()
        self._next_mark = new_marks(self)

    @property
    def options(self) -> Mapping[str, Any]:
        """The keyword arguments that make a decoder like this one, as plain JSON data."""
        return {"max_bytes": self._max_bytes}

    def publish_to(
        self,
        bus: Bus,
        frame: bytes | bytearray | memoryview | str | Mapping[str, Any],
        sender: Any = None,
    ) -> None:
        """
        Decode *frame* and publish its events, in order.

        A raw event that nothing on the bus would see is not made; it counts as published.

        Args:
            bus: A bus, or a scope of one, which has its sender already.
            frame: As in `decode`.
            sender: The session that the events belong to.

        Raises:
            Exception: The first one that publishing one of the events raised; the others have
                been published all the same.
        """
        is_raw_unseen = is_unseen(bus, sender)
        events = self.decode(frame)
        publish_events(bus, events[1:] if is_raw_unseen else events, sender)

    def decode(
        self, frame: bytes | bytearray | memoryview | str | Mapping[str, Any]
    ) -> Sequence[RealtimeModelEvent]:
        """
        Return the events that *frame* means, `RealtimeModelRawServerEvent` first.

        Its ``data`` is the frame as a read-only mapping; the frame as it came,
        if it is no JSON object, or one that can't be read.

        Args:
            frame:
                What came over the socket, or the same already parsed. A buffer
                is copied: it may be used again.

        Raises nothing for what a frame contains: what can't be read is a
        `RealtimeModelExceptionEvent` with a `FrameError`.
        """
        events = self._decode(frame)
        mark_events(events, self._next_mark())
        return events

    def _decode(
        self, frame: bytes | bytearray | memoryview | str | Mapping[str, Any]
    ) -> Sequence[RealtimeModelEvent]:
        session = self._session
        if type(frame) is bytes:
            raw = frame
        else:
            raw, error = to_bytes(frame)
            if error is not None:
                return self._refused(frame, raw, error)
        if len(raw) > self._max_bytes:
            problem = f"has {len(raw)} bytes, and max_bytes is {self._max_bytes}"
            return self._refused(frame, b"", refusal(raw, problem))

        layout = session.audio_layout
        if layout is not None:
            audio = layout.audio_in(raw)
            if audio is not None:
                return (
                    _new_raw(frame_of(raw)),
                    _new_audio(audio, layout.response_id, layout.item_id, layout.content_index),
                )
        plain = read_plain(raw)
        if plain is not None:
            return _new_raw(frame_of(raw)), plain

        data, error = read_object(raw, known_names=_FIELD_NAMES)
        if error is not None:
            return self._refused(frame if data is None else Frame(raw), raw, error)
        assert data is not None
        message = Message(data, frame_of(raw))
        events: list[RealtimeModelEvent] = [_new_raw(message.frame)]
        try:
            make = TABLE.get(message.text("type"), _other)
            # One by one: what came before an error is kept.
            for event in make(session, message):
                events.append(event)  # noqa: PERF402
        except FrameError as exc:
            events.append(_exception(exc))
        return events

    def _refused(self, given: object, raw: bytes, error: FrameError) -> list[RealtimeModelEvent]:
        """Return the events for a frame that was not read, or not in full."""
        events: list[RealtimeModelEvent] = [
            RealtimeModelRawServerEvent(as_it_came(given)),
            _exception(error),
        ]
        if error.frame_type == "response.done":
            # Whoever waits for the end of the turn must not wait for ever.
            message = Message({**salvage(raw), "type": "response.done"}, Frame(b"{}"))
            turn_ended, _ = _turn_ended(self._session, message)
            events.append(turn_ended)
        return events


class _Session:
    """
    What must be remembered of a session to decode its next frame.

    Attributes:
        interrupts: Whether the service says that speech interrupts responses.
        last_audio:
            Item, content index and response of the last audio since speech
            began; the response is None when it is over.
        audio_layout: How the next audio frame will look, probably.
        in_progress: The responses that have begun, as far as speech interrupts them.
        fenced: The responses in progress that speech has interrupted.
        called: The tool calls that were given, by call id.
    """

    __slots__ = ("audio_layout", "called", "fenced", "in_progress", "interrupts", "last_audio")

    def __init__(self) -> None:
        self.interrupts = False
        self.last_audio: tuple[str, int, str | None] | None = None
        self.audio_layout: AudioLayout | None = None
        self.in_progress = _Recent()
        self.fenced = _Recent()
        self.called = _Recent()


class _Recent:
    """The ids that were added last: a set that can't grow without bound."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def __contains__(self, id_: str) -> bool:
        return id_ in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._ids))

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id_: str) -> None:
        self._ids[id_] = None
        if len(self._ids) > _MAX_REMEMBERED:
            del self._ids[next(iter(self._ids))]

    def discard(self, id_: str) -> None:
        self._ids.pop(id_, None)


_Events: TypeAlias = Iterable[RealtimeModelEvent]


# --- the session -----------------------------------------------------------------------------


def _session_updated(session: _Session, message: Message) -> _Events:
    settings = message.child("session")
    detection = _turn_detection(settings)
    if detection is not _NOT_SAID:
        # As openai-agents: only an explicit true, though the service's default is true.
        session.interrupts = (
            isinstance(detection, dict) and detection.get("interrupt_response") is True
        )
    yield RealtimeModelSessionUpdatedEvent(
        message.frame["session"], message.data["type"] == "session.created"
    )


_NOT_SAID: Final = object()


def _turn_detection(settings: Fields) -> object:
    """Return the turn detection: where GA has it, or else where the dialects have it."""
    ga = settings.child_if_any("audio").child_if_any("input")
    return ga.data.get("turn_detection", settings.data.get("turn_detection", _NOT_SAID))


def _error(_session: _Session, message: Message) -> _Events:
    error = error_from(message.data.get("error"))
    if error is None:
        problem = message.wrong("error", expected="an object")
        raise problem
    yield RealtimeModelErrorEvent(error)


def _rate_limits(_session: _Session, message: Message) -> _Events:
    limits = message.data.get("rate_limits")
    if not isinstance(limits, list) or not all(isinstance(limit, dict) for limit in limits):
        problem = message.wrong("rate_limits", expected="an array of objects")
        raise problem
    yield RealtimeModelRateLimitsEvent(message.frame["rate_limits"])


# --- what the user says ----------------------------------------------------------------------


def _speech_started(session: _Session, message: Message) -> _Events:
    try:
        yield RealtimeModelInputSpeechStartedEvent(
            message.text("item_id"), message.integer("audio_start_ms")
        )
    except FrameError as exc:  # the user has begun to speak all the same
        yield _exception(exc)
    if session.interrupts:
        for response_id in session.in_progress:
            session.fenced.add(response_id)
    if session.last_audio is not None:
        item_id, content_index, response_id_ = session.last_audio
        if session.interrupts and response_id_ is not None:
            session.fenced.add(response_id_)
        yield RealtimeModelAudioInterruptedEvent(item_id, content_index)
    session.last_audio = None
    session.audio_layout = None  # it knows nothing of fences


def _speech_stopped(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelInputSpeechStoppedEvent(
        message.text("item_id"), message.integer("audio_end_ms")
    )


def _input_committed(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelInputAudioCommittedEvent(
        message.text("item_id"), message.optional_text("previous_item_id")
    )


def _input_timeout(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelInputAudioTimeoutTriggeredEvent(
        message.text("item_id"),
        message.integer("audio_start_ms"),
        message.integer("audio_end_ms"),
    )


def _input_transcript_delta(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelInputTranscriptDeltaEvent(
        message.text("item_id"),
        message.optional_text("delta") or "",  # optional in the API
        message.optional_integer("content_index"),
    )


def _input_transcribed(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelInputAudioTranscriptionCompletedEvent(
        message.text("item_id"), message.text("transcript")
    )


def _input_transcription_failed(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelInputAudioTranscriptionFailedEvent(
        message.text("item_id"), error_from(message.data.get("error"))
    )


# --- the conversation ------------------------------------------------------------------------


def _conversation_item(_session: _Session, message: Message) -> _Events:
    item = message.child("item")
    updated = None
    if item.data.get("type") == "message":
        updated = message_item(item, previous_item_id=message.text_if_any("previous_item_id"))
    if updated is None:
        yield RealtimeModelOtherEvent(message.frame, from_decoder=True)
    else:
        yield _new_item_updated(updated)


def _item_deleted(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelItemDeletedEvent(message.text("item_id"))


def _item_truncated(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelItemTruncatedEvent(
        message.text("item_id"), message.index("content_index"), message.integer("audio_end_ms")
    )


# --- responses -------------------------------------------------------------------------------


def _response_created(session: _Session, message: Message) -> _Events:
    response = message.child("response")
    response_id = response.optional_text("id")
    # A response outside of the conversation, which speech doesn't interrupt, has a null there.
    if response_id is not None and response.data.get("conversation_id", "") is not None:
        session.in_progress.add(response_id)
    yield RealtimeModelTurnStartedEvent(response_id)


def _response_done(session: _Session, message: Message) -> _Events:
    turn_ended, problem = _turn_ended(session, message)
    try:
        usage = _usage(message)
        if usage is not None:
            yield usage_event(usage)
    except FrameError as exc:
        problem = problem or exc
    if problem is not None:
        yield _exception(problem)
    yield turn_ended


def _turn_ended(
    session: _Session, message: Message
) -> tuple[RealtimeModelTurnEndedEvent, FrameError | None]:
    """Return the end of the turn, as far as it can be read, and the first thing that is wrong."""
    problem = None
    try:
        response = message.child("response")
        response.optional_text("id")
        response.optional_text("status")
    except FrameError as exc:
        problem = exc
        response = message.child_if_any("response")

    response_id = response.text_if_any("id")
    if response_id is not None:
        session.in_progress.discard(response_id)
        session.fenced.discard(response_id)
        if session.last_audio is not None and session.last_audio[2] == response_id:
            session.last_audio = (*session.last_audio[:2], None)
    # xAI has a string for the details, so they aren't worth an error.
    details = response.child_if_any("status_details")
    return (
        RealtimeModelTurnEndedEvent(
            response_id, response.text_if_any("status"), error_from(details.data.get("error"))
        ),
        problem,
    )


def _usage(message: Message) -> Fields | None:
    """Return the response's usage: where GA has it, or else where xAI has it."""
    response = message.child_if_any("response")
    if not response.data.get("usage") and isinstance(message.data.get("usage"), dict):
        return message.child("usage")
    return None if response.data.get("usage") is None else response.child("usage")


def _output_item(session: _Session, message: Message) -> _Events:
    item = message.child("item")
    previous_item_id = message.text_if_any("previous_item_id")
    if item.data.get("type") == "function_call" and item.data.get("status") == "completed":
        call = tool_call_item(item, previous_item_id=previous_item_id)
        yield RealtimeModelItemUpdatedEvent(call)
        # A call that is complete when it is added comes again when it is done.
        if call.call_id is None or call.call_id not in session.called:
            if call.call_id is not None:
                session.called.add(call.call_id)
            yield RealtimeModelToolCallEvent(
                call.name, call.call_id or "", call.arguments, call.item_id, previous_item_id
            )
        return
    updated = None
    if item.data.get("type") == "message":
        is_done = message.data["type"] == "response.output_item.done"
        updated = message_item(
            item,
            previous_item_id=previous_item_id,
            default_role="assistant",
            default_status="completed" if is_done else "in_progress",
        )
    if updated is None:
        yield RealtimeModelOtherEvent(message.frame, from_decoder=True)
    else:
        yield _new_item_updated(updated)


def _audio(session: _Session, message: Message) -> _Events:
    response_id = message.text("response_id")
    item_id = message.text("item_id")
    content_index = message.index("content_index")
    if response_id in session.fenced:
        return
    delta = message.text("delta")
    try:
        data = pybase64.b64decode(delta, None, True)
    except ValueError:
        data = None
    if data is None:
        problem = message.wrong("delta", expected="a string of base64")
        raise problem
    session.last_audio = item_id, content_index, response_id
    session.audio_layout = AudioLayout.of(
        message.frame.raw,
        message.data,
        response_id=response_id,
        item_id=item_id,
        content_index=content_index,
    )
    yield RealtimeModelAudioEvent(data, response_id, item_id, content_index)


def _audio_done(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelAudioDoneEvent(message.text("item_id"), message.index("content_index"))


def _transcript_delta(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelTranscriptDeltaEvent(
        message.text("item_id"), message.text("delta"), message.text("response_id")
    )


def _transcript_done(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelTranscriptDoneEvent(
        message.text("item_id"), message.text("transcript"), message.text("response_id")
    )


def _output_text_delta(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelOutputTextDeltaEvent(
        message.text("item_id"), message.text("delta"), message.text("response_id")
    )


def _output_text_done(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelOutputTextDoneEvent(
        message.text("item_id"), message.text("text"), message.text("response_id")
    )


def _tool_call_delta(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelToolCallDeltaEvent(
        message.text("call_id"),
        message.text("item_id"),
        message.text("delta"),
        message.text("response_id"),
    )


def _other(_session: _Session, message: Message) -> _Events:
    yield RealtimeModelOtherEvent(message.frame, from_decoder=True)


# --- the table -------------------------------------------------------------------------------

_GA: Mapping[str, Callable[[_Session, Message], _Events]] = {
    "session.created": _session_updated,
    "session.updated": _session_updated,
    "error": _error,
    "rate_limits.updated": _rate_limits,
    # what the user says
    "input_audio_buffer.speech_started": _speech_started,
    "input_audio_buffer.speech_stopped": _speech_stopped,
    "input_audio_buffer.committed": _input_committed,
    "input_audio_buffer.cleared": _other,
    "input_audio_buffer.timeout_triggered": _input_timeout,
    "input_audio_buffer.dtmf_event_received": _other,
    "conversation.item.input_audio_transcription.delta": _input_transcript_delta,
    "conversation.item.input_audio_transcription.segment": _other,
    "conversation.item.input_audio_transcription.completed": _input_transcribed,
    "conversation.item.input_audio_transcription.failed": _input_transcription_failed,
    # the conversation
    "conversation.created": _other,
    "conversation.item.added": _conversation_item,
    "conversation.item.created": _conversation_item,
    "conversation.item.retrieved": _conversation_item,
    "conversation.item.done": _other,  # says nothing that response.output_item.done doesn't
    "conversation.item.deleted": _item_deleted,
    "conversation.item.truncated": _item_truncated,
    # responses
    "response.created": _response_created,
    "response.done": _response_done,
    "response.output_item.added": _output_item,
    "response.output_item.done": _output_item,
    "response.content_part.added": _other,
    "response.content_part.done": _other,
    "response.output_audio.delta": _audio,
    "response.output_audio.done": _audio_done,
    "response.output_audio_transcript.delta": _transcript_delta,
    "response.output_audio_transcript.done": _transcript_done,
    "response.output_text.delta": _output_text_delta,
    "response.output_text.done": _output_text_done,
    "response.function_call_arguments.delta": _tool_call_delta,
    "response.function_call_arguments.done": _other,  # the output item has them
    "response.mcp_call_arguments.delta": _other,
    "response.mcp_call_arguments.done": _other,
    "response.mcp_call.in_progress": _other,
    "response.mcp_call.completed": _other,
    "response.mcp_call.failed": _other,
    "mcp_list_tools.in_progress": _other,
    "mcp_list_tools.completed": _other,
    "mcp_list_tools.failed": _other,
    # WebRTC and SIP: the service plays the audio
    "output_audio_buffer.started": _other,
    "output_audio_buffer.stopped": _other,
    "output_audio_buffer.cleared": _other,
}

BETA_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "response.audio.delta": "response.output_audio.delta",
        "response.audio.done": "response.output_audio.done",
        "response.audio_transcript.delta": "response.output_audio_transcript.delta",
        "response.audio_transcript.done": "response.output_audio_transcript.done",
        "response.text.delta": "response.output_text.delta",
        "response.text.done": "response.output_text.done",
    }
)
"""Name in the beta protocol -> the name that the same event has now."""

TABLE: Mapping[str, Callable[[_Session, Message], _Events]] = MappingProxyType(
    {**_GA, **{beta: _GA[name] for beta, name in BETA_NAMES.items()}}
)
"""Type of a frame -> the function that makes its events."""


def _exception(error: FrameError) -> RealtimeModelExceptionEvent:
    where = f", field {error.field}" if error.field else ""
    return RealtimeModelExceptionEvent(
        error, f"decoding {error.frame_type or 'a frame of unknown type'}{where}"
    )

"""
Decodes the OpenAI Realtime protocol, and the dialects of it that other services speak.

Rules
-----

* The events are those of the openai-agents SDK where it has them, in its order. The deliberate
  differences are listed in ``docs/explanation/openai-decoder.md``.
* ``response.done`` ends the turn, however malformed the rest of it is.
* Audio of a response that speech has interrupted gives its raw event only, where the session's
  turn detection interrupts responses.
* The memory of a session is bounded, however long it is.

The rules that hold for any protocol are in `FrameDecoder`, which calls the functions of `TABLE`;
frames of audio, which come fifty times a second, are recognised by `AudioLayouts` first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import pybase64

from ..._fast_init import constructor
from ...events import (
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelErrorEvent,
    RealtimeModelEvent,
    RealtimeModelInputAudioCommittedEvent,
    RealtimeModelInputAudioTimeoutTriggeredEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputAudioTranscriptionFailedEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelInputTranscriptUpdatedEvent,
    RealtimeModelItemDeletedEvent,
    RealtimeModelItemTruncatedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOutputTextDeltaEvent,
    RealtimeModelOutputTextDoneEvent,
    RealtimeModelRateLimitsEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallDeltaEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from ...exceptions import FrameError
from .._fields import (
    Fields,
    child,
    child_if_any,
    index,
    text,
    text_if_any,
    wrong,
)
from .._flat import (
    INDEX,
    INTEGER,
    OPTIONAL_INTEGER,
    OPTIONAL_TEXT,
    TEXT,
    TEXT_OR_EMPTY,
    flat,
    like_flat,
)
from .._forms import Reader, reader_like
from .._frame_decoder import DEFAULT_MAX_BYTES, FrameDecoder, Meaning, Protocol, exception_event
from .._frames import freeze
from .._strict import salvage
from ._audio_layouts import AudioLayouts
from ._dialects import BETA_TYPES, DIALECTS
from ._items import message_item, read_conversation_item, read_output_item, tool_call_item
from ._reports import (
    error_from,
    read_error,
    read_rate_limits,
    read_transcription_failed,
    usage_event,
)

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

_Data: TypeAlias = dict[str, Any]


class _Recent(dict[str, None]):
    """The ids that were added last: a set that can't grow without bound."""

    __slots__ = ()

    def add(self, id_: str) -> None:
        self[id_] = None
        if len(self) > _MAX_REMEMBERED:
            del self[next(iter(self))]


class _Session:
    """
    The state that decoding the next frame of a session needs.

    Attributes:
        interrupts: Whether the service says that speech interrupts responses.
        audio: The last audio, and the probable forms of the next frame of it.
        in_progress: The responses that have begun, as far as speech interrupts them.
        fenced: The responses in progress that speech has interrupted.
        called: The tool calls that were given, by call id.
    """

    __slots__ = ("audio", "called", "fenced", "in_progress", "interrupts")

    def __init__(self) -> None:
        self.interrupts = False
        self.audio = AudioLayouts()
        self.in_progress = _Recent()
        self.fenced = _Recent()
        self.called = _Recent()

    def dump(self) -> _Data:
        """Return the state as plain data; names and ids only."""
        item_id, content_index, response_id = self.audio.last_audio or (None, None, None)
        return {
            "interrupt_response": self.interrupts,
            "in_progress": {"response_id": list(self.in_progress)},
            "fenced": {"response_id": list(self.fenced)},
            "called": {"call_id": list(self.called)},
            "last_audio": {
                "item_id": item_id,
                "content_index": content_index,
                "response_id": response_id,
            },
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take the place of the one that was saved."""
        self.interrupts = bool(saved["interrupt_response"])
        self.in_progress.update(dict.fromkeys(saved["in_progress"]["response_id"]))
        self.fenced.update(dict.fromkeys(saved["fenced"]["response_id"]))
        self.called.update(dict.fromkeys(saved["called"]["call_id"]))
        last = saved["last_audio"]
        if last["item_id"] is not None:
            self.audio.last_audio = last["item_id"], last["content_index"], last["response_id"]


_new_session_updated = constructor(RealtimeModelSessionUpdatedEvent, late=freeze)
_new_error = constructor(RealtimeModelErrorEvent)
_new_rate_limits = constructor(RealtimeModelRateLimitsEvent, late=freeze)
_new_input_failed = constructor(RealtimeModelInputAudioTranscriptionFailedEvent)
_new_item_updated = constructor(RealtimeModelItemUpdatedEvent)
_new_turn_started = constructor(RealtimeModelTurnStartedEvent)
_new_turn_ended = constructor(RealtimeModelTurnEndedEvent)
_new_tool_call = constructor(RealtimeModelToolCallEvent)
_new_audio = constructor(RealtimeModelAudioEvent)


# --- the session -----------------------------------------------------------------------------


def _session_updated(session: _Session, data: _Data) -> Meaning:
    settings = child(data, "session")
    detection = _turn_detection(settings)
    if detection is not _NOT_SAID:
        # As openai-agents: only an explicit true, though the service's default is true.
        session.interrupts = (
            isinstance(detection, dict) and detection.get("interrupt_response") is True
        )
    return _new_session_updated(settings, data["type"] == "session.created")


_NOT_SAID: Final = object()


def _turn_detection(settings: _Data) -> object:
    """Return the turn detection: where GA has it, or else where the dialects have it."""
    ga = child_if_any(child_if_any(settings, "audio"), "input")
    return ga.get("turn_detection", settings.get("turn_detection", _NOT_SAID))


def _error(_session: _Session, data: _Data) -> Meaning:
    error = error_from(data.get("error"))
    if error is None:
        raise wrong(data, "error", "an object")
    return _new_error(error)


def _rate_limits(_session: _Session, data: _Data) -> Meaning:
    limits = data.get("rate_limits")
    if not isinstance(limits, list) or not all(isinstance(limit, dict) for limit in limits):
        raise wrong(data, "rate_limits", "an array of objects")
    return _new_rate_limits(limits)


# --- the user's speech -----------------------------------------------------------------------


_read_speech_started = flat(
    RealtimeModelInputSpeechStartedEvent, item_id=TEXT, audio_start_ms=INTEGER
)


def _interrupted(session: _Session, started: RealtimeModelEvent) -> Meaning:
    if session.interrupts:
        for response_id in session.in_progress:
            session.fenced.add(response_id)
    if session.audio.last_audio is None:
        return started
    item_id, content_index, audio_response_id = session.audio.last_audio
    if session.interrupts and audio_response_id is not None:
        session.fenced.add(audio_response_id)
    session.audio.last_audio = None
    session.audio.forget()  # they know nothing of fences
    return started, RealtimeModelAudioInterruptedEvent(item_id, content_index)


@like_flat(_read_speech_started, then=_interrupted)
def _speech_started(session: _Session, data: _Data) -> Meaning:
    started: RealtimeModelEvent
    try:
        started = _read_speech_started(session, data)
    except FrameError as exc:  # the user has begun to speak all the same
        started = exception_event(exc)
    return _interrupted(session, started)


_speech_stopped = flat(RealtimeModelInputSpeechStoppedEvent, item_id=TEXT, audio_end_ms=INTEGER)


_input_committed = flat(
    RealtimeModelInputAudioCommittedEvent, item_id=TEXT, previous_item_id=OPTIONAL_TEXT
)


_input_timeout = flat(
    RealtimeModelInputAudioTimeoutTriggeredEvent,
    item_id=TEXT,
    audio_start_ms=INTEGER,
    audio_end_ms=INTEGER,
)


_input_transcript_delta = flat(
    RealtimeModelInputTranscriptDeltaEvent,
    item_id=TEXT,
    delta=TEXT_OR_EMPTY,  # optional in the API
    content_index=OPTIONAL_INTEGER,
)


_input_transcript_updated = flat(
    RealtimeModelInputTranscriptUpdatedEvent, item_id=TEXT, transcript=TEXT
)


_input_transcript_completed = flat(
    RealtimeModelInputAudioTranscriptionCompletedEvent, item_id=TEXT, transcript=TEXT
)


@like_flat(_input_transcript_completed, without="status")
def _input_transcribed(session: _Session, data: _Data) -> Meaning:
    if data.get("status") == "in_progress":  # xAI sends its partial transcripts so, too
        return _input_transcript_updated(session, data)
    return _input_transcript_completed(session, data)


def _input_transcription_failed(_session: _Session, data: _Data) -> Meaning:
    item_id = data.get("item_id")
    if type(item_id) is not str:
        item_id = text(data, "item_id")
    return _new_input_failed(item_id, error_from(data.get("error")))


# --- the conversation ------------------------------------------------------------------------


def _conversation_item(_session: _Session, data: _Data) -> Meaning | None:
    item, previous_item_id = data.get("item"), data.get("previous_item_id")
    if type(item) is not dict:
        raise wrong(data, "item", "an object")
    if item.get("type") != "message":
        return None
    if type(previous_item_id) is not str:
        previous_item_id = None
    updated = message_item(item, data["type"], previous_item_id)
    return None if updated is None else _new_item_updated(updated)


_item_deleted = flat(RealtimeModelItemDeletedEvent, item_id=TEXT)


_item_truncated = flat(
    RealtimeModelItemTruncatedEvent, item_id=TEXT, content_index=INDEX, audio_end_ms=INTEGER
)


# --- responses -------------------------------------------------------------------------------


def _response_created(session: _Session, data: _Data) -> Meaning:
    response = child(data, "response")
    response_id = response.get("id")
    if type(response_id) is not str:
        response_id = Fields(response, data["type"], "response").optional_text("id")
    # A response outside of the conversation, which speech doesn't interrupt, has a null there.
    if response_id is not None and response.get("conversation_id", "") is not None:
        session.in_progress.add(response_id)
    return _new_turn_started(response_id)


def _response_done(session: _Session, data: _Data) -> Meaning:
    turn_ended, problem = _turn_ended(session, data)
    response = child_if_any(data, "response")
    usage, path = response.get("usage"), "response.usage"
    if not usage and type(data.get("usage")) is dict:  # as xAI has it
        usage, path = data["usage"], "usage"
    events: list[RealtimeModelEvent] = []
    try:
        if usage is not None:
            if type(usage) is not dict:
                fields = Fields(response, data["type"], "response")
                problem = problem or fields.wrong("usage", "an object")
            else:
                events.append(usage_event(usage, data["type"], path))
    except FrameError as exc:
        problem = problem or exc
    if problem is not None:
        events.append(exception_event(problem))
    return (*events, turn_ended) if events else turn_ended


def _turn_ended(
    session: _Session, data: _Data
) -> tuple[RealtimeModelTurnEndedEvent, FrameError | None]:
    """Return the end of the turn, as far as it can be read, and the first problem with it."""
    problem = None
    response = child_if_any(data, "response")
    response_id, status = response.get("id"), response.get("status")
    if not type(response_id) is type(status) is str:
        try:
            fields = Fields(child(data, "response"), data["type"], "response")
            fields.optional_text("id")
            fields.optional_text("status")
        except FrameError as exc:
            problem = exc
            response_id, status = text_if_any(response, "id"), text_if_any(response, "status")
    if response_id is not None:
        session.in_progress.pop(response_id, None)
        session.fenced.pop(response_id, None)
        if session.audio.last_audio is not None and session.audio.last_audio[2] == response_id:
            session.audio.last_audio = (*session.audio.last_audio[:2], None)
    # xAI has a string for the details, so they aren't worth an error.
    details = response.get("status_details")
    error = error_from(details.get("error")) if type(details) is dict else None
    return _new_turn_ended(response_id, status, error, False, False), problem


def _output_item(session: _Session, data: _Data) -> Meaning | None:
    item, previous_item_id = data.get("item"), data.get("previous_item_id")
    if type(item) is not dict:
        raise wrong(data, "item", "an object")
    if type(previous_item_id) is not str:
        previous_item_id = None
    if item.get("type") == "message":
        is_done = data["type"] == "response.output_item.done"
        updated = message_item(
            item,
            data["type"],
            previous_item_id,
            "assistant",
            "completed" if is_done else "in_progress",
        )
        return None if updated is None else _new_item_updated(updated)
    if item.get("type") != "function_call" or item.get("status") != "completed":
        return None
    call = tool_call_item(item, data["type"], previous_item_id)
    call_id = call.call_id
    # A call that is complete when it is added comes again when it is done.
    if call_id is not None:
        if call_id in session.called:
            return _new_item_updated(call)
        session.called.add(call_id)
    return (
        _new_item_updated(call),
        _new_tool_call(call.name, call_id or "", call.arguments, call.item_id, previous_item_id),
    )


def _audio(session: _Session, data: _Data) -> Meaning:
    response_id, item_id = text(data, "response_id"), text(data, "item_id")
    content_index = index(data, "content_index")
    if response_id in session.fenced:
        return ()
    delta = text(data, "delta")
    try:
        samples = pybase64.b64decode(delta, None, True)
    except ValueError:
        raise wrong(data, "delta", "a string of base64") from None
    session.audio.last_audio = item_id, content_index, response_id
    return _new_audio(samples, response_id, item_id, content_index)


_audio_done = flat(RealtimeModelAudioDoneEvent, item_id=TEXT, content_index=INDEX)


_transcript_delta = flat(
    RealtimeModelTranscriptDeltaEvent, item_id=TEXT, delta=TEXT, response_id=TEXT
)


_transcript_done = flat(
    RealtimeModelTranscriptDoneEvent, item_id=TEXT, transcript=TEXT, response_id=TEXT
)


_output_text_delta = flat(
    RealtimeModelOutputTextDeltaEvent, item_id=TEXT, delta=TEXT, response_id=TEXT
)


_output_text_done = flat(
    RealtimeModelOutputTextDoneEvent, item_id=TEXT, text=TEXT, response_id=TEXT
)


_tool_call_delta = flat(
    RealtimeModelToolCallDeltaEvent, call_id=TEXT, item_id=TEXT, delta=TEXT, response_id=TEXT
)


# --- the table -------------------------------------------------------------------------------

_GA: Mapping[str, Callable[[_Session, _Data], Meaning | None] | None] = {
    "session.created": _session_updated,
    "session.updated": _session_updated,
    "error": _error,
    "rate_limits.updated": _rate_limits,
    # the user's speech
    "input_audio_buffer.speech_started": _speech_started,
    "input_audio_buffer.speech_stopped": _speech_stopped,
    "input_audio_buffer.committed": _input_committed,
    "input_audio_buffer.cleared": None,
    "input_audio_buffer.timeout_triggered": _input_timeout,
    "input_audio_buffer.dtmf_event_received": None,
    "conversation.item.input_audio_transcription.delta": _input_transcript_delta,
    "conversation.item.input_audio_transcription.segment": None,
    "conversation.item.input_audio_transcription.updated": _input_transcript_updated,  # xAI
    "conversation.item.input_audio_transcription.completed": _input_transcribed,
    "conversation.item.input_audio_transcription.failed": _input_transcription_failed,
    # the conversation
    "conversation.created": None,
    "conversation.item.added": _conversation_item,
    "conversation.item.created": _conversation_item,
    "conversation.item.retrieved": _conversation_item,
    "conversation.item.done": None,  # says nothing that response.output_item.done doesn't
    "conversation.item.deleted": _item_deleted,
    "conversation.item.truncated": _item_truncated,
    # responses
    "response.created": _response_created,
    "response.done": _response_done,
    "response.output_item.added": _output_item,
    "response.output_item.done": _output_item,
    "response.content_part.added": None,
    "response.content_part.done": None,
    "response.output_audio.delta": _audio,
    "response.output_audio.done": _audio_done,
    "response.output_audio_transcript.delta": _transcript_delta,
    "response.output_audio_transcript.done": _transcript_done,
    "response.output_text.delta": _output_text_delta,
    "response.output_text.done": _output_text_done,
    "response.function_call_arguments.delta": _tool_call_delta,
    "response.function_call_arguments.done": None,  # the output item has them
    "response.mcp_call_arguments.delta": None,
    "response.mcp_call_arguments.done": None,
    "response.mcp_call.in_progress": None,
    "response.mcp_call.completed": None,
    "response.mcp_call.failed": None,
    "mcp_list_tools.in_progress": None,
    "mcp_list_tools.completed": None,
    "mcp_list_tools.failed": None,
    # WebRTC and SIP: the service plays the audio
    "output_audio_buffer.started": None,
    "output_audio_buffer.stopped": None,
    "output_audio_buffer.cleared": None,
}

_OWN = {type_: None for dialect in DIALECTS.values() for type_ in dialect.own_types}

TABLE: Mapping[str, Callable[[_Session, _Data], Meaning | None] | None] = MappingProxyType(
    {**_OWN, **_GA, **{beta: _GA[name] for beta, name in BETA_TYPES.items()}}
)
"""Type of a frame -> the function that makes its events; None makes `RealtimeModelOtherEvent`."""


_READERS: Mapping[str, Reader] = {
    "error": read_error,
    "rate_limits.updated": read_rate_limits,
    "conversation.created": reader_like(
        {"type": "conversation.created", "event_id": "", "conversation": {"id": "", "object": ""}}
    ),
    "conversation.item.input_audio_transcription.failed": read_transcription_failed,
    "conversation.item.added": read_conversation_item,
    "conversation.item.created": read_conversation_item,
    "conversation.item.retrieved": read_conversation_item,
    "response.output_item.added": read_output_item,
    "response.output_item.done": read_output_item,
}


def _shortcut(session: _Session) -> Callable[[bytes], Meaning | None]:
    return session.audio.event_in


def _learn(session: _Session, raw: bytes, data: _Data, event: RealtimeModelAudioEvent) -> None:
    session.audio.learn(raw, data, event)


def _ends(session: _Session, frame_type: str, raw: bytes) -> tuple[RealtimeModelEvent, ...]:
    if frame_type != "response.done":
        return ()
    # Code that waits for the end of the turn must not wait for ever.
    turn_ended, _ = _turn_ended(session, {**salvage(raw), "type": "response.done"})
    return (turn_ended,)


class OpenAIRealtimeDecoder(FrameDecoder[_Session]):
    """
    Makes events of the frames of one session; every session needs its own.

    Not for use from several threads at once.

    Args:
        max_bytes: A frame that is longer is not parsed; its raw event has it as it came.
    """

    name = "openai-realtime"
    version = 1

    _protocol = Protocol(TABLE, _FIELD_NAMES, _shortcut, _learn, _ends, readers=_READERS)

    def __init__(self, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        super().__init__(_Session(), max_bytes)

"""
The rules of Gemini's messages: for each field, the events that it means.

`RULES` has them in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from ..._fast_init import constructor
from ...events import (
    RealtimeError,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelInputTranscriptUpdatedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOutputTextDeltaEvent,
    RealtimeModelSessionExpiringEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallCancelledEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
)
from ...exceptions import FrameError
from ...items import RealtimeToolCallItem
from .._audio_text import decode_base64
from .._fields import Fields, text_if_any
from .._frame_decoder import Meaning, exception_event
from .._frames import freeze
from ._audio import DEFAULT_FORMAT, AudioFormat, format_in
from ._session import NOTHING, Events, GeminiSession
from ._usage import usage_event

_Data: TypeAlias = dict[str, Any]

_LONGEST: Final = 24  # characters of a duration

# No reason, or none that is a failure: the model waits for the user to go on.
_GOOD_REASONS: Final = frozenset({"TURN_COMPLETE_REASON_UNSPECIFIED", "NEED_MORE_INPUT"})

_new_session_updated = constructor(RealtimeModelSessionUpdatedEvent, late=freeze)
_new_speech_started = constructor(RealtimeModelInputSpeechStartedEvent)
_new_speech_stopped = constructor(RealtimeModelInputSpeechStoppedEvent)
_new_input_updated = constructor(RealtimeModelInputTranscriptUpdatedEvent)
_new_input_delta = constructor(RealtimeModelInputTranscriptDeltaEvent)
_new_audio = constructor(RealtimeModelAudioEvent)
_new_text_delta = constructor(RealtimeModelOutputTextDeltaEvent)
_new_transcript_delta = constructor(RealtimeModelTranscriptDeltaEvent)
_new_interrupted = constructor(RealtimeModelAudioInterruptedEvent)
_new_item_updated = constructor(RealtimeModelItemUpdatedEvent)
_new_call_item = constructor(RealtimeToolCallItem)
_new_tool_call = constructor(RealtimeModelToolCallEvent)
_new_cancelled = constructor(RealtimeModelToolCallCancelledEvent)
_new_expiring = constructor(RealtimeModelSessionExpiringEvent)

_encode_json = msgspec.json.Encoder().encode

# --- reading fields --------------------------------------------------------------------------


def _wrong(data: _Data, frame: str, field: str, expected: str) -> FrameError:
    """Return the error that says that a field of *data* isn't as *expected*."""
    path, _, name = field.rpartition(".")
    return Fields(data, frame, path).wrong(name, expected)


def _object(message: _Data, name: str, of: str = "") -> _Data:
    """Return an object, which is a field of a message or of its ``serverContent``."""
    value = message[name]
    if type(value) is not dict:
        raise _wrong(message, of or name, name, "an object")
    return value


def _flag(content: _Data, name: str) -> None:
    """Check that a field that is there, and not false, is true."""
    if content[name] is not True:
        raise _wrong(content, "serverContent", name, "a boolean")


def _seconds(message: _Data, name: str, of: str) -> float | None:
    """Return a duration like ``1.5s`` in seconds; None if it is missing or null."""
    value = message.get(name)
    if value is None:
        return None
    # As protocol buffers have it; float() alone takes much else. No year has more digits.
    if type(value) is str and value[-1:] == "s" and len(value) <= _LONGEST and value.isascii():
        number = value[:-1]
        if number.removeprefix("-").replace(".", "", 1).isdigit():
            return float(number)
    raise _wrong(message, of, name, 'a string of seconds, like "1.5s"')


# --- the rules -------------------------------------------------------------------------------
#
# Each takes the session, the object with its field, and the list that its events are added to. It
# returns whether the frame is something other besides, or nothing at all.


def _setup_complete(session: GeminiSession, message: _Data, events: Events) -> bool:
    settings = _object(message, "setupComplete")
    # The connection before this one may have been lost in the middle of something.
    user = session.user
    user.speaks, user.is_next = "", False
    if session.turn.is_open:
        session.end_turn(events, "incomplete")
    if user.words:
        session.complete_user(events)
    session.format, session.mime_type = DEFAULT_FORMAT, None
    if session.layout.start:
        session.layout.forget()
    events.append(_new_session_updated(settings, True))
    return False


def _voice_activity(session: GeminiSession, message: _Data, events: Events) -> bool:
    activity = _object(message, "voiceActivity")
    kind, at_ms = activity.get("voiceActivityType"), None
    if kind not in ("ACTIVITY_START", "ACTIVITY_END"):
        return True
    if "audioOffset" in activity:
        try:
            seconds = _seconds(activity, "audioOffset", "voiceActivity")
            at_ms = None if seconds is None else round(seconds * 1000)
        except FrameError as exc:  # the user has begun or stopped to speak all the same
            events.append(exception_event(exc))
    return _speech(session, events, "voiceActivity", kind == "ACTIVITY_START", at_ms)


def _voice_signal(session: GeminiSession, message: _Data, events: Events) -> bool:
    name = "voiceActivityDetectionSignal"
    kind = _object(message, name).get("vadSignalType")
    if kind not in ("VAD_SIGNAL_TYPE_SOS", "VAD_SIGNAL_TYPE_EOS"):
        return True
    return _speech(session, events, name, kind == "VAD_SIGNAL_TYPE_SOS", None)


def _speech(
    session: GeminiSession,
    events: Events,
    signal: str,
    is_start: bool,  # called for each signal
    at_ms: int | None,
) -> bool:
    """Note the beginning or the end of speech; a session may tell each in two ways."""
    user = session.user
    if is_start:
        if user.speaks and user.speaks != signal:
            return True
        if user.words:
            session.complete_user(events)
        item_id = session.begin_user()
        user.speaks = signal
        user.is_next = session.turn.is_open
        events.append(_new_speech_started(item_id, at_ms))
        return False
    if user.speaks != signal:
        return True
    user.speaks = ""
    events.append(_new_speech_stopped(user.item_id, at_ms))
    return False


# The readers of the texts that come most often; they need no frame.


def hear_interim(session: GeminiSession, words: str, _raw: bytes = b"") -> RealtimeModelEvent:
    """Return the event of the user's words so far."""
    user = session.user
    return _new_input_updated(user.item_id if user.is_open else session.begin_user(), words)


def hear(session: GeminiSession, words: str, _raw: bytes = b"") -> RealtimeModelEvent:
    """Return the event of the user's next words."""
    user = session.user
    item_id = user.item_id if user.is_open else session.begin_user()
    user.words.append(words)
    return _new_input_delta(item_id, words, 0)


def say(session: GeminiSession, words: str, _raw: bytes = b"") -> Meaning:
    """Return the events of the model's next words."""
    turn = session.turn
    begun: Events | None = None
    if not turn.is_open:
        begun = []
        turn = session.open_turn(begun)
    turn.transcript.append(words)
    turn.undone.add("transcript")
    event = _new_transcript_delta(turn.item_id, words, turn.response_id)
    return event if begun is None else (*begun, event)


def write(session: GeminiSession, words: str, _raw: bytes = b"") -> Meaning:
    """Return the events of the model's next text."""
    turn = session.turn
    begun: Events | None = None
    if not turn.is_open:
        begun = []
        turn = session.open_turn(begun)
    turn.text.append(words)
    turn.undone.add("text")
    event = _new_text_delta(turn.item_id, words, turn.response_id)
    return event if begun is None else (*begun, event)


def _add(events: Events, meaning: Meaning) -> None:
    if isinstance(meaning, tuple):
        events.extend(meaning)
    else:
        events.append(meaning)


def _words_in(content: _Data, name: str) -> str | None:
    """Return the words of a transcription; None if there are none, and nothing else."""
    transcription = _object(content, name, "serverContent")
    words = transcription.get("text")
    if words is not None and type(words) is not str:
        raise _wrong(transcription, f"serverContent.{name}", "text", "a string")
    return words


def _interim_input(session: GeminiSession, content: _Data, events: Events) -> bool:
    words = _words_in(content, "interimInputTranscription")
    if words is None:
        return True
    events.append(hear_interim(session, words))
    return False


def _input_transcription(session: GeminiSession, content: _Data, events: Events) -> bool:
    words = _words_in(content, "inputTranscription")
    if words is not None:
        events.append(hear(session, words))
    is_finished = content["inputTranscription"].get("finished") is True
    is_end = is_finished and bool(session.user.words)
    if is_end:
        session.complete_user(events)
    return words is None and not is_end


def _output_transcription(session: GeminiSession, content: _Data, events: Events) -> bool:
    words = _words_in(content, "outputTranscription")
    if words is None:
        return True
    _add(events, say(session, words))
    return False


_MODEL_TURN: Final = "serverContent.modelTurn"


def _model_turn(session: GeminiSession, content: _Data, events: Events) -> bool:
    model_turn = _object(content, "modelTurn", "serverContent")
    is_other = False
    parts = model_turn.get("parts")
    if type(parts) is not list:
        parts = Fields(model_turn, _MODEL_TURN, "").items("parts")
    for part in parts:
        try:
            if type(part) is not dict:
                raise _wrong(model_turn, _MODEL_TURN, "parts", "an array of objects")
            is_other = _part(session, part, events) or is_other
        except FrameError as exc:
            events.append(exception_event(exc))
    return is_other or not parts


def _part(session: GeminiSession, part: _Data, events: Events) -> bool:
    """Add the events of a part of the model's turn, and return whether it is another one."""
    if part.get("thought") is True:
        return True
    blob, words = part.get("inlineData"), part.get("text")
    is_other = True
    if blob is not None:
        if type(blob) is not dict:
            raise _wrong(part, _MODEL_TURN, "parts.inlineData", "an object")
        is_other = _audio(session, blob, events)
    if words is not None:
        if type(words) is not str:
            raise _wrong(part, _MODEL_TURN, "parts.text", "a string")
        _add(events, write(session, words))
        is_other = False
    if is_other:  # code, its result, a picture: the model has begun to answer
        session.open_turn(events)
    return is_other


def _audio(session: GeminiSession, blob: _Data, events: Events) -> bool:
    data, mime_type = blob.get("data"), blob.get("mimeType")
    if mime_type == session.mime_type:
        found: AudioFormat | None = session.format
    else:
        found = format_in(mime_type if type(mime_type) is str else "", session.format)
    if found is None:
        return True
    try:
        if type(data) is not str:
            raise ValueError  # noqa: TRY301  # as below
        samples = decode_base64(data)
    except ValueError:
        raise _wrong(blob, _MODEL_TURN, "parts.inlineData.data", "a string of base64") from None
    turn = session.open_turn(events)
    session.mime_type = mime_type
    if found != session.format:
        session.format = found
        session.layout.forget()
        settings = {"audio": {"output": {"format": {"type": found[0], "rate": found[1]}}}}
        events.append(_new_session_updated(settings, False))
    turn.has_audio = True
    turn.undone.add("audio")
    session.layout.place = turn.response_id, turn.item_id
    events.append(_new_audio(samples, turn.response_id, turn.item_id, 0))
    return False


def _interrupted(session: GeminiSession, content: _Data, events: Events) -> bool:
    _flag(content, "interrupted")
    turn = session.turn
    if not turn.is_open:
        return True
    turn.is_interrupted = True
    events.append(_new_interrupted(turn.item_id, 0))
    return False


def _tool_call(session: GeminiSession, message: _Data, events: Events) -> bool:
    tool_call = _object(message, "toolCall")
    is_other = False
    calls = tool_call.get("functionCalls")
    if type(calls) is not list:
        calls = Fields(tool_call, "toolCall", "").items("functionCalls")
    for call in calls:
        try:
            if type(call) is not dict:
                raise _wrong(tool_call, "toolCall", "functionCalls", "an array of objects")
            is_other = _function_call(session, call, events) or is_other
        except FrameError as exc:
            events.append(exception_event(exc))
    return is_other or not calls


def _function_call(session: GeminiSession, call: _Data, events: Events) -> bool:
    """Add the events of a call, and return whether it is only a piece of one."""
    name, call_id, args = call.get("name"), call.get("id"), call.get("args")
    extra = NOTHING
    if not (len(call) == 3 and type(name) is type(call_id) is str and type(args) is dict):
        if call.get("willContinue") is True or "partialArgs" in call or not call:
            return True
        fields = Fields(call, "toolCall", "functionCalls")
        name, call_id = fields.text("name"), fields.optional_text("id")
        if args is None:
            args = {}
        elif type(args) is not dict:
            raise _wrong(call, "toolCall", "functionCalls.args", "an object")
        others = {each: value for each, value in call.items() if each not in _CALL_FIELDS}
        extra = freeze(others) if others else NOTHING
    arguments = _encode_json(args).decode()
    session.open_turn(events)
    session.calls += 1
    item_id = f"{session.prefix}-t{session.calls}"
    call_id = call_id or f"{session.prefix}-c{session.calls}"
    item = _new_call_item(item_id, call_id, name, arguments, "in_progress", None, None, extra)
    events.append(_new_item_updated(item))
    events.append(_new_tool_call(name, call_id, arguments, item_id, None))
    return False


_CALL_FIELDS: Final = frozenset({"id", "name", "args"})


def _tool_call_cancellation(_session: GeminiSession, message: _Data, events: Events) -> bool:
    cancellation = _object(message, "toolCallCancellation")
    ids = Fields(cancellation, "toolCallCancellation", "").items("ids")
    for each in ids:
        if type(each) is not str:
            raise _wrong(cancellation, "toolCallCancellation", "ids", "an array of strings")
    if not ids:
        return True
    events.append(_new_cancelled(tuple(ids)))
    return False


def _usage_metadata(_session: GeminiSession, message: _Data, events: Events) -> bool:
    events.append(usage_event(_object(message, "usageMetadata")))
    return False


def _generation_complete(session: GeminiSession, content: _Data, events: Events) -> bool:
    _flag(content, "generationComplete")
    turn = session.turn
    if not (turn.is_open and turn.undone):
        return True
    session.layout.place = None  # more audio means that there is another end to tell
    turn.finish(events)
    return False


def turn_complete(session: GeminiSession, content: _Data, events: Events) -> bool:
    """End the turn."""
    _flag(content, "turnComplete")
    status, error = "completed", None
    reason = text_if_any(content, "turnCompleteReason")
    if reason and reason not in _GOOD_REASONS:
        status, error = "failed", RealtimeError(code=reason)
    elif session.turn.is_open and session.turn.is_interrupted:
        status = "cancelled"
    more_expected = content.get("interactionStatus") == "IN_PROGRESS"
    session.end_turn(events, status, error, more_expected=more_expected)
    return False


def _about_turn_complete(_session: GeminiSession, content: _Data, _events: Events) -> bool:
    return content.get("turnComplete") in (None, False)


def _go_away(_session: GeminiSession, message: _Data, events: Events) -> bool:
    seconds = None
    try:
        seconds = _seconds(_object(message, "goAway"), "timeLeft", "goAway")
    except FrameError as exc:  # the session ends all the same
        events.append(exception_event(exc))
    events.append(_new_expiring(seconds if seconds is not None and seconds > 0 else 0.0))
    return False


def other(_session: GeminiSession, _message: _Data, _events: Events) -> bool:
    """Add no event: the frame is something other."""
    return True


def nothing(_session: GeminiSession, message: _Data, _events: Events) -> bool:
    """Add no event, but refuse a ``serverContent`` that is no object."""
    _object(message, "serverContent")
    return False


Apply: TypeAlias = Callable[[GeminiSession, _Data, Events], bool]


class Rule(NamedTuple):
    """
    A rule.

    Attributes:
        rank: Its place in the order.
        apply: Adds the events, and returns whether the frame is something other.
    """

    rank: int
    apply: Apply


# In this order. A name with a dot is a field of ``serverContent``.
_IN_ORDER: Final[Mapping[str, Apply]] = {
    "setupComplete": _setup_complete,
    "voiceActivity": _voice_activity,
    "voiceActivityDetectionSignal": _voice_signal,
    "serverContent.interimInputTranscription": _interim_input,
    "serverContent.inputTranscription": _input_transcription,
    "serverContent.modelTurn": _model_turn,
    "serverContent.outputTranscription": _output_transcription,
    "serverContent.interrupted": _interrupted,
    "serverContent.groundingMetadata": other,
    "serverContent.urlContextMetadata": other,
    "serverContent.waitingForInput": other,
    "toolCall": _tool_call,
    "toolCallCancellation": _tool_call_cancellation,
    "usageMetadata": _usage_metadata,
    "serverContent.generationComplete": _generation_complete,
    "serverContent.turnComplete": turn_complete,
    "serverContent.turnCompleteReason": _about_turn_complete,
    "serverContent.interactionStatus": _about_turn_complete,
    "sessionResumptionUpdate": other,
    "goAway": _go_away,
}

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {name: Rule(rank, apply) for rank, (name, apply) in enumerate(_IN_ORDER.items())}
)
"""Field of a message -> its rule; ``serverContent.modelTurn`` is a field of ``serverContent``."""

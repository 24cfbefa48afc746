"""
Decodes the protocol of Gemini Live (``BidiGenerateContent``), of the Gemini API and of Vertex AI.

Rules
-----

* A message has no type. Its fields, and those of its ``serverContent``, each have a rule; the rules
  are applied in a fixed order, whatever the order of the fields. `RULES` has them.
* A field that is null or false is absent, as in the JSON form of protocol buffers; an empty object
  is present. A message in which no rule finds an event is `RealtimeModelOtherEvent`, and so is one
  with a field that has no rule. One message gives one of these at most.
* A field that can't be read is an exception event in its place; the other rules are applied.
* Ids are made by counting: responses ``gem-r1``, the model's item of the same turn ``gem-a1``, the
  user's items ``gem-u1``, tool calls ``gem-t1``.
* A turn begins with the model's first words, sound or tool call, and ends with ``turnComplete``.
  One that had nothing in it begins at its end, as code may wait for it.
* The user's transcript is complete when the service says so, when other speech begins, or when the
  turn ends; but not at the end of a turn in which that speech began.
* There is no clock and no timer, so the same frames always give the same events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from ..._fast_init import constructor
from ...events import (
    RealtimeError,
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelInputTranscriptUpdatedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelOutputTextDeltaEvent,
    RealtimeModelOutputTextDoneEvent,
    RealtimeModelSessionExpiringEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallCancelledEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from ...exceptions import FrameError
from ...items import AssistantAudio, AssistantMessageItem, AssistantText, RealtimeToolCallItem
from .._fields import Fields, child_if_any, text_if_any
from .._frame_decoder import DEFAULT_MAX_BYTES, FrameDecoder, Meaning, Protocol, exception_event
from .._frames import ReadOnlyDict, freeze
from .._names import snake_case
from .._strict import salvage
from ._audio import DEFAULT_FORMAT, AudioFormat, AudioLayout, audio_in, format_in, shortcut_of
from ._usage import usage_event

_Data: TypeAlias = dict[str, Any]
_Events: TypeAlias = list[RealtimeModelEvent]

# The fields that are read, which may be told in an error; any other name in a frame may be a
# caller's word.
_FIELD_NAMES: Final = frozenset(
    {
        "args",
        "audioOffset",
        "cacheTokensDetails",
        "cachedContentTokenCount",
        "candidatesTokenCount",
        "candidatesTokensDetails",
        "codeExecutionResult",
        "data",
        "executableCode",
        "finished",
        "functionCalls",
        "generationComplete",
        "goAway",
        "groundingMetadata",
        "id",
        "ids",
        "inlineData",
        "inputTranscription",
        "interactionStatus",
        "interimInputTranscription",
        "interrupted",
        "languageCode",
        "lastConsumedClientMessageIndex",
        "mimeType",
        "modality",
        "modelTurn",
        "name",
        "newHandle",
        "outputTranscription",
        "partialArgs",
        "parts",
        "promptTokenCount",
        "promptTokensDetails",
        "responseTokenCount",
        "responseTokensDetails",
        "resumable",
        "role",
        "serverContent",
        "sessionId",
        "sessionResumptionUpdate",
        "setupComplete",
        "text",
        "thought",
        "thoughtSignature",
        "thoughtsTokenCount",
        "timeLeft",
        "tokenCount",
        "toolCall",
        "toolCallCancellation",
        "totalTokenCount",
        "turnComplete",
        "turnCompleteReason",
        "urlContextMetadata",
        "usageMetadata",
        "vadSignalType",
        "voiceActivity",
        "voiceActivityDetectionSignal",
        "voiceActivityType",
        "waitingForInput",
        "willContinue",
    }
)
_CAMEL: Final = {snake_case(name): name for name in _FIELD_NAMES}

# No reason, or none that is a failure: the model waits for the user to go on.
_GOOD_REASONS: Final = frozenset({"TURN_COMPLETE_REASON_UNSPECIFIED", "NEED_MORE_INPUT"})

_DURATION: Final = re.compile(r"(-?[0-9]{1,12}(?:\.[0-9]{1,9})?)s")

_new_other = constructor(RealtimeModelOtherEvent, late=freeze, is_marked=True)
_new_session_updated = constructor(RealtimeModelSessionUpdatedEvent, late=freeze)
_new_speech_started = constructor(RealtimeModelInputSpeechStartedEvent)
_new_speech_stopped = constructor(RealtimeModelInputSpeechStoppedEvent)
_new_input_updated = constructor(RealtimeModelInputTranscriptUpdatedEvent)
_new_input_delta = constructor(RealtimeModelInputTranscriptDeltaEvent)
_new_input_completed = constructor(RealtimeModelInputAudioTranscriptionCompletedEvent)
_new_turn_started = constructor(RealtimeModelTurnStartedEvent)
_new_audio = constructor(RealtimeModelAudioEvent)
_new_text_delta = constructor(RealtimeModelOutputTextDeltaEvent)
_new_transcript_delta = constructor(RealtimeModelTranscriptDeltaEvent)
_new_interrupted = constructor(RealtimeModelAudioInterruptedEvent)
_new_item_updated = constructor(RealtimeModelItemUpdatedEvent)
_new_call_item = constructor(RealtimeToolCallItem)
_new_tool_call = constructor(RealtimeModelToolCallEvent)
_new_audio_done = constructor(RealtimeModelAudioDoneEvent)
_new_transcript_done = constructor(RealtimeModelTranscriptDoneEvent)
_new_text_done = constructor(RealtimeModelOutputTextDoneEvent)
_new_message = constructor(AssistantMessageItem)
_new_audio_part = constructor(AssistantAudio)
_new_text_part = constructor(AssistantText)
_new_turn_ended = constructor(RealtimeModelTurnEndedEvent)

_encode_json = msgspec.json.Encoder().encode
_NOTHING: ReadOnlyDict[str, Any] = ReadOnlyDict()


class _Turn:
    """
    The model's latest turn.

    Attributes:
        number: The number of it, from 1; 0 before the first.
        is_open: Whether it goes on.
        is_interrupted: Whether the user has interrupted it.
        response_id: The id of its response.
        item_id: The id of the model's item in it.
        transcript: The pieces of the transcript so far.
        text: The pieces of the text so far.
        has_audio: Whether audio of it has come.
        undone: What has come since its last end was told: ``audio``, ``transcript``, ``text``.
    """

    __slots__ = (
        "has_audio",
        "is_interrupted",
        "is_open",
        "item_id",
        "number",
        "response_id",
        "text",
        "transcript",
        "undone",
    )

    def __init__(self, number: int, prefix: str) -> None:
        self.number = number
        self.response_id = f"{prefix}-r{number}"
        self.item_id = f"{prefix}-a{number}"
        self.is_open = number > 0
        self.is_interrupted = False
        self.transcript: list[str] = []
        self.text: list[str] = []
        self.has_audio = False
        self.undone: set[str] = set()

    def finish(self, events: _Events) -> None:
        """Add the ends of the audio and the texts that have come."""
        undone, self.undone = self.undone, set()
        if "audio" in undone:
            events.append(_new_audio_done(self.item_id, 0))
        if "transcript" in undone:
            words = "".join(self.transcript)
            events.append(_new_transcript_done(self.item_id, words, self.response_id))
        if "text" in undone:
            events.append(_new_text_done(self.item_id, "".join(self.text), self.response_id))

    def item(self, *, is_complete: bool) -> AssistantMessageItem | None:
        """Return the model's item; None if it has said nothing."""
        parts: list[AssistantAudio | AssistantText] = []
        if self.has_audio or self.transcript:
            words = "".join(self.transcript) if self.transcript else None
            parts.append(_new_audio_part(None, words, _NOTHING))
        if self.text:
            parts.append(_new_text_part("".join(self.text), _NOTHING))
        if not parts:
            return None
        status = "completed" if is_complete else "incomplete"
        return _new_message(self.item_id, tuple(parts), None, status, _NOTHING)


class _User:
    """
    The user's latest item.

    Attributes:
        number: The number of it, from 1; 0 before the first.
        is_open: Whether transcripts belong to it.
        words: The pieces of its transcript so far.
        speaks: The message that said that the user speaks, which also says when that ends; empty
            if the user doesn't.
        is_next: Whether the speech began during the model's turn, so that the next one answers it.
    """

    __slots__ = ("is_next", "is_open", "number", "speaks", "words")

    def __init__(self) -> None:
        self.number = 0
        self.is_open = False
        self.words: list[str] = []
        self.speaks = ""
        self.is_next = False


class _GeminiSession:
    """
    The state that decoding the next frame of a session needs.

    Attributes:
        prefix: The beginning of its ids.
        turn: The model's turn.
        user: The user's item.
        calls: The number of tool calls.
        format: The format of the model's audio, as the events have told it.
        layout: The form of the latest frame of audio.
    """

    __slots__ = ("calls", "format", "layout", "prefix", "turn", "user")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.turn = _Turn(0, prefix)
        self.user = _User()
        self.calls = 0
        self.format: AudioFormat = DEFAULT_FORMAT
        self.layout = AudioLayout()

    def dump(self) -> _Data:
        """Return the state as plain data; the words of what is open are content."""
        turn, user = self.turn, self.user
        return {
            "audio": {"type": self.format[0], "rate": self.format[1]},
            "calls": self.calls,
            "turn": {
                "number": turn.number,
                "is_open": turn.is_open,
                "is_interrupted": turn.is_interrupted,
                "has_audio": turn.has_audio,
                "undone": {name: name in turn.undone for name in _ENDS},
                "transcript": turn.transcript if turn.is_open else [],
                "text": turn.text if turn.is_open else [],
            },
            "user": {
                "number": user.number,
                "is_open": user.is_open,
                "is_next": user.is_next,
                "speaks": {name: name == user.speaks for name in _SIGNALS},
                "words": user.words,
            },
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take the place of the one that was saved."""
        self.format = saved["audio"]["type"], saved["audio"]["rate"]
        self.calls = saved["calls"]
        was = saved["turn"]
        self.turn = turn = _Turn(was["number"], self.prefix)
        turn.is_open, turn.is_interrupted = was["is_open"], was["is_interrupted"]
        turn.has_audio = was["has_audio"]
        turn.undone = {name for name in _ENDS if was["undone"][name]}
        turn.transcript, turn.text = list(was["transcript"]), list(was["text"])
        was = saved["user"]
        user = self.user
        user.number, user.is_open, user.is_next = was["number"], was["is_open"], was["is_next"]
        user.speaks = next((name for name in _SIGNALS if was["speaks"][name]), "")
        user.words = list(was["words"])

    # --- the model's turn -------------------------------------------------------------------

    def open_turn(self, events: _Events) -> _Turn:
        """Return the open turn; begin one if there is none."""
        turn = self.turn
        if not turn.is_open:
            self.turn = turn = _Turn(turn.number + 1, self.prefix)
            events.append(_new_turn_started(turn.response_id))
        return turn

    def end_turn(
        self,
        events: _Events,
        status: str,
        error: RealtimeError | None = None,
        *,
        more_expected: bool = False,
    ) -> None:
        """End the open turn; one that there is not begins and ends."""
        turn = self.open_turn(events)
        turn.is_open = False
        self.layout.place = None
        user = self.user
        if not (user.is_next or user.speaks):
            self.complete_user(events)
        user.is_next = False
        turn.finish(events)
        item = turn.item(is_complete=status == "completed")
        if item is not None:
            events.append(_new_item_updated(item))
        events.append(_new_turn_ended(turn.response_id, status, error, False, more_expected))

    # --- the user's item --------------------------------------------------------------------

    def begin_user(self) -> str:
        """Begin the user's next item, and return its id."""
        user = self.user
        user.number += 1
        user.is_open = True
        user.words = []
        user.is_next = False
        return f"{self.prefix}-u{user.number}"

    def user_item(self) -> str:
        """Return the id of the user's item; begin one if none is open."""
        user = self.user
        return f"{self.prefix}-u{user.number}" if user.is_open else self.begin_user()

    def complete_user(self, events: _Events) -> None:
        """Complete the transcript of the user's item, if there is one."""
        user = self.user
        if user.is_open and user.words:
            user.is_open = False
            words, user.words = "".join(user.words), []
            events.append(_new_input_completed(f"{self.prefix}-u{user.number}", words))


_ENDS: Final = ("audio", "transcript", "text")
_SIGNALS: Final = ("voiceActivity", "voiceActivityDetectionSignal")

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
    found = _DURATION.fullmatch(value) if type(value) is str else None
    if found is None:
        raise _wrong(message, of, name, 'a string of seconds, like "1.5s"')
    return float(found[1])


# --- the rules -------------------------------------------------------------------------------
#
# Each takes the session, the object with its field, and the list that its events are added to. It
# returns whether the frame is something other besides, or nothing at all.


def _setup_complete(session: _GeminiSession, message: _Data, events: _Events) -> bool:
    settings = _object(message, "setupComplete")
    # The connection before this one may have been lost in the middle of something.
    session.user.speaks, session.user.is_next = "", False
    if session.turn.is_open:
        session.end_turn(events, "incomplete")
    session.complete_user(events)
    session.format = DEFAULT_FORMAT
    session.layout.forget()
    events.append(_new_session_updated(settings, True))
    return False


def _voice_activity(session: _GeminiSession, message: _Data, events: _Events) -> bool:
    activity = _object(message, "voiceActivity")
    is_start = _is_start(activity.get("voiceActivityType"), "ACTIVITY_START", "ACTIVITY_END")
    if is_start is None:
        return True
    try:
        seconds = _seconds(activity, "audioOffset", "voiceActivity")
    except FrameError as exc:  # the user has begun or stopped to speak all the same
        events.append(exception_event(exc))
        seconds = None
    at_ms = None if seconds is None else round(seconds * 1000)
    return _speech(session, events, "voiceActivity", at_ms, is_start=is_start)


def _voice_signal(session: _GeminiSession, message: _Data, events: _Events) -> bool:
    name = "voiceActivityDetectionSignal"
    kind = _object(message, name).get("vadSignalType")
    is_start = _is_start(kind, "VAD_SIGNAL_TYPE_SOS", "VAD_SIGNAL_TYPE_EOS")
    if is_start is None:
        return True
    return _speech(session, events, name, None, is_start=is_start)


def _is_start(kind: object, start: str, end: str) -> bool | None:
    """Return whether a signal is the first of two kinds; None if it is neither."""
    return kind == start if kind in (start, end) else None


def _speech(
    session: _GeminiSession, events: _Events, signal: str, at_ms: int | None, *, is_start: bool
) -> bool:
    """Note the beginning or the end of speech; a session may tell each in two ways."""
    user = session.user
    if is_start:
        if user.speaks and user.speaks != signal:
            return True
        session.complete_user(events)
        item_id = session.begin_user()
        user.speaks = signal
        user.is_next = session.turn.is_open
        events.append(_new_speech_started(item_id, at_ms))
        return False
    if user.speaks != signal:
        return True
    user.speaks = ""
    events.append(_new_speech_stopped(f"{session.prefix}-u{user.number}", at_ms))
    return False


def _interim_input(session: _GeminiSession, content: _Data, events: _Events) -> bool:
    words = _object(content, "interimInputTranscription", "serverContent").get("text")
    if words is None:
        return True
    if type(words) is not str:
        raise _not_text(content, "interimInputTranscription")
    events.append(_new_input_updated(session.user_item(), words))
    return False


def _input_transcription(session: _GeminiSession, content: _Data, events: _Events) -> bool:
    transcription = _object(content, "inputTranscription", "serverContent")
    words = transcription.get("text")
    is_nothing = True
    if words is not None:
        if type(words) is not str:
            raise _not_text(content, "inputTranscription")
        events.append(_new_input_delta(session.user_item(), words, 0))
        session.user.words.append(words)
        is_nothing = False
    if transcription.get("finished") is True and session.user.words:
        session.complete_user(events)
        is_nothing = False
    return is_nothing


def _not_text(content: _Data, name: str) -> FrameError:
    return _wrong(content[name], f"serverContent.{name}", "text", "a string")


def _output_transcription(session: _GeminiSession, content: _Data, events: _Events) -> bool:
    words = _object(content, "outputTranscription", "serverContent").get("text")
    if words is None:
        return True
    if type(words) is not str:
        raise _not_text(content, "outputTranscription")
    turn = session.turn
    if not turn.is_open:
        turn = session.open_turn(events)
    turn.transcript.append(words)
    turn.undone.add("transcript")
    events.append(_new_transcript_delta(turn.item_id, words, turn.response_id))
    return False


_MODEL_TURN: Final = "serverContent.modelTurn"


def _model_turn(session: _GeminiSession, content: _Data, events: _Events) -> bool:
    model_turn = _object(content, "modelTurn", "serverContent")
    is_other = False
    parts = Fields(model_turn, _MODEL_TURN, "").items("parts")
    for part in parts:
        try:
            if type(part) is not dict:
                raise _wrong(model_turn, _MODEL_TURN, "parts", "an array of objects")
            is_other = _part(session, part, events) or is_other
        except FrameError as exc:
            events.append(exception_event(exc))
    return is_other or not parts


def _part(session: _GeminiSession, part: _Data, events: _Events) -> bool:
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
        turn = session.open_turn(events)
        turn.text.append(words)
        turn.undone.add("text")
        events.append(_new_text_delta(turn.item_id, words, turn.response_id))
        is_other = False
    if is_other:  # code, its result, a picture: the model has begun to answer
        session.open_turn(events)
    return is_other


def _audio(session: _GeminiSession, blob: _Data, events: _Events) -> bool:
    data, mime_type = blob.get("data"), blob.get("mimeType")
    found = format_in(mime_type if type(mime_type) is str else "", session.format)
    if found is None:
        return True
    try:
        if type(data) is not str:
            raise ValueError  # noqa: TRY301  # as below
        samples = audio_in(data)
    except ValueError:
        raise _wrong(blob, _MODEL_TURN, "parts.inlineData.data", "a string of base64") from None
    turn = session.open_turn(events)
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


def _interrupted(session: _GeminiSession, content: _Data, events: _Events) -> bool:
    _flag(content, "interrupted")
    turn = session.turn
    if not turn.is_open:
        return True
    turn.is_interrupted = True
    events.append(_new_interrupted(turn.item_id, 0))
    return False


def _tool_call(session: _GeminiSession, message: _Data, events: _Events) -> bool:
    tool_call = _object(message, "toolCall")
    is_other = False
    calls = Fields(tool_call, "toolCall", "").items("functionCalls")
    for call in calls:
        try:
            if type(call) is not dict:
                raise _wrong(tool_call, "toolCall", "functionCalls", "an array of objects")
            is_other = _function_call(session, call, events) or is_other
        except FrameError as exc:
            events.append(exception_event(exc))
    return is_other or not calls


def _function_call(session: _GeminiSession, call: _Data, events: _Events) -> bool:
    """Add the events of a call, and return whether it is only a piece of one."""
    if call.get("willContinue") is True or "partialArgs" in call or not call:
        return True
    fields = Fields(call, "toolCall", "functionCalls")
    name, call_id, args = fields.text("name"), fields.optional_text("id"), call.get("args")
    if args is None:
        args = {}
    elif type(args) is not dict:
        raise _wrong(call, "toolCall", "functionCalls.args", "an object")
    arguments = _encode_json(args).decode()
    extra = _NOTHING
    if not call.keys() <= _CALL_FIELDS:
        extra = ReadOnlyDict({n: freeze(each) for n, each in call.items() if n not in _CALL_FIELDS})
    session.open_turn(events)
    session.calls += 1
    item_id = f"{session.prefix}-t{session.calls}"
    call_id = call_id or f"{session.prefix}-c{session.calls}"
    item = _new_call_item(item_id, call_id, name, arguments, "in_progress", None, None, extra)
    events.append(_new_item_updated(item))
    events.append(_new_tool_call(name, call_id, arguments, item_id, None))
    return False


_CALL_FIELDS: Final = frozenset({"id", "name", "args"})


def _tool_call_cancellation(_session: _GeminiSession, message: _Data, events: _Events) -> bool:
    cancellation = _object(message, "toolCallCancellation")
    ids = Fields(cancellation, "toolCallCancellation", "").items("ids")
    if not all(type(each) is str for each in ids):
        raise _wrong(cancellation, "toolCallCancellation", "ids", "an array of strings")
    if not ids:
        return True
    events.append(RealtimeModelToolCallCancelledEvent(ids))
    return False


def _usage_metadata(_session: _GeminiSession, message: _Data, events: _Events) -> bool:
    events.append(usage_event(_object(message, "usageMetadata")))
    return False


def _generation_complete(session: _GeminiSession, content: _Data, events: _Events) -> bool:
    _flag(content, "generationComplete")
    turn = session.turn
    if not (turn.is_open and turn.undone):
        return True
    session.layout.place = None  # more audio means that there is another end to tell
    turn.finish(events)
    return False


def _turn_complete(session: _GeminiSession, content: _Data, events: _Events) -> bool:
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


def _about_turn_complete(_session: _GeminiSession, content: _Data, _events: _Events) -> bool:
    return content.get("turnComplete") in (None, False)


def _go_away(_session: _GeminiSession, message: _Data, events: _Events) -> bool:
    seconds = None
    try:
        seconds = _seconds(_object(message, "goAway"), "timeLeft", "goAway")
    except FrameError as exc:  # the session ends all the same
        events.append(exception_event(exc))
    events.append(RealtimeModelSessionExpiringEvent(max(seconds or 0.0, 0.0)))
    return False


def _other(_session: _GeminiSession, _message: _Data, _events: _Events) -> bool:
    return True


def _no_content(_session: _GeminiSession, message: _Data, _events: _Events) -> bool:
    _object(message, "serverContent")
    return False


_Apply: TypeAlias = Callable[[_GeminiSession, _Data, _Events], bool]


class _Rule(NamedTuple):
    """
    A rule.

    Attributes:
        rank: Its place in the order.
        apply: Adds the events, and returns whether the frame is something other.
    """

    rank: int
    apply: _Apply


# In this order. A name with a dot is a field of ``serverContent``.
_IN_ORDER: Final[Mapping[str, _Apply]] = {
    "setupComplete": _setup_complete,
    "voiceActivity": _voice_activity,
    "voiceActivityDetectionSignal": _voice_signal,
    "serverContent.interimInputTranscription": _interim_input,
    "serverContent.inputTranscription": _input_transcription,
    "serverContent.modelTurn": _model_turn,
    "serverContent.outputTranscription": _output_transcription,
    "serverContent.interrupted": _interrupted,
    "serverContent.groundingMetadata": _other,
    "serverContent.urlContextMetadata": _other,
    "serverContent.waitingForInput": _other,
    "toolCall": _tool_call,
    "toolCallCancellation": _tool_call_cancellation,
    "usageMetadata": _usage_metadata,
    "serverContent.generationComplete": _generation_complete,
    "serverContent.turnComplete": _turn_complete,
    "serverContent.turnCompleteReason": _about_turn_complete,
    "serverContent.interactionStatus": _about_turn_complete,
    "sessionResumptionUpdate": _other,
    "goAway": _go_away,
}

RULES: Final[Mapping[str, _Rule]] = MappingProxyType(
    {name: _Rule(rank, apply) for rank, (name, apply) in enumerate(_IN_ORDER.items())}
)
"""Field of a message -> its rule; ``serverContent.modelTurn`` is a field of ``serverContent``."""

_UNKNOWN: Final = _Rule(len(RULES), _other)
_BAD_CONTENT: Final = _Rule(-1, _no_content)
_CONTENT_RULES: Final = {
    name.removeprefix("serverContent."): rule
    for name, rule in RULES.items()
    if name.startswith("serverContent.")
}
_MESSAGE_RULES: Final = {name: rule for name, rule in RULES.items() if "." not in name}
_CONTENT_ALONE: Final = {name: rule.apply for name, rule in _CONTENT_RULES.items()}


def _meaning(session: _GeminiSession, data: _Data) -> Meaning | None:
    """Return the events of a frame; None if it is something other."""
    if len(data) == 1:
        content = data.get("serverContent")
        if type(content) is dict and len(content) == 1:
            return _meaning_alone(session, data, content)
    message = data
    if any("_" in name for name in data):
        message = _in_camel_case(data)
    return _meaning_of_rules(session, data, sorted(_rules_of(message), key=_rank_of))


def _meaning_alone(session: _GeminiSession, data: _Data, content: _Data) -> Meaning | None:
    """Return the events of a message that has one field, which most have."""
    [name] = content
    apply = _CONTENT_ALONE.get(name)
    value = content[name]
    if apply is None or value is None or value is False:
        return None
    events: _Events = []
    try:
        is_other = apply(session, content, events)
    except FrameError as exc:
        events.append(exception_event(exc))
        is_other = False
    if len(events) == 1 and not is_other:
        return events[0]
    if not events:
        return None
    return (*events, _new_other(data)) if is_other else tuple(events)


def _rules_of(message: _Data) -> Iterator[tuple[int, _Apply, _Data]]:
    """Yield the rank and the function of each rule that a message calls for, and its argument."""
    for name, value in message.items():
        if value is None or value is False:
            continue
        if name != "serverContent":
            rule = _MESSAGE_RULES.get(name, _UNKNOWN)
            yield rule.rank, rule.apply, message
        elif type(value) is not dict:
            yield _BAD_CONTENT.rank, _BAD_CONTENT.apply, message
        else:
            for inner, each in value.items():
                if each is not None and each is not False:
                    rule = _CONTENT_RULES.get(inner, _UNKNOWN)
                    yield rule.rank, rule.apply, value


_rank_of = itemgetter(0)


def _meaning_of_rules(
    session: _GeminiSession, data: _Data, rules: list[tuple[int, _Apply, _Data]]
) -> Meaning | None:
    events: _Events = []
    has_other = False
    for _, apply, message in rules:
        try:
            is_other = apply(session, message, events)
        except FrameError as exc:
            events.append(exception_event(exc))
            continue
        if is_other and not has_other:
            has_other = True
            events.append(_new_other(data))
    if len(events) > 1:
        return tuple(events)
    return events[0] if events and not has_other else None


def _in_camel_case(message: _Data) -> _Data:
    """Return a message whose names are written as in Python in the names of the protocol."""
    return {
        _CAMEL.get(name, name): each if name == "args" else _renamed(each)
        for name, each in message.items()
    }


def _renamed(value: Any) -> Any:
    if type(value) is dict:
        return _in_camel_case(value)
    return [_renamed(each) for each in value] if type(value) is list else value


def _shortcut(session: _GeminiSession) -> Callable[[bytes], Meaning | None]:
    return shortcut_of(session.layout)


def _learn(
    session: _GeminiSession, raw: bytes, data: _Data, _event: RealtimeModelAudioEvent
) -> None:
    parts = child_if_any(child_if_any(data, "serverContent"), "modelTurn").get("parts")
    if type(parts) is list and len(parts) == 1:
        blob = child_if_any(parts[0], "inlineData")
        session.layout.learn(raw, text_if_any(blob, "data") or "")


def _ends(session: _GeminiSession, _type: str, raw: bytes) -> tuple[RealtimeModelEvent, ...]:
    # Code that waits for the end of the turn must not wait for ever.
    message = salvage(raw)
    content = child_if_any(message, "serverContent") or child_if_any(message, "server_content")
    content = {_CAMEL.get(name, name): each for name, each in content.items()}
    if content.get("turnComplete") is not True:
        return ()
    events: _Events = []
    _turn_complete(session, content, events)
    return tuple(events)


class GeminiDecoder(FrameDecoder[_GeminiSession]):
    """
    Makes events of the frames of one session with Gemini Live; every session needs its own.

    The protocol has no ids of turns and items. They are made by counting, so the same frames
    always give the same events. Frames are JSON in UTF-8, also those that the service sends as
    binary messages. Not for use from several threads at once.

    Args:
        id_prefix: The beginning of all ids. A session that takes the place of another one in the
            same call needs a prefix of its own, or the decoder of that one.
        max_bytes: A frame that is longer is not parsed; its raw event has it as it came.

    Raises:
        ValueError: *id_prefix* is empty.
    """

    name = "gemini-live"
    version = 1

    _protocol = Protocol(
        MappingProxyType({}),
        _FIELD_NAMES,
        shortcut=_shortcut,
        learn=_learn,
        ends=_ends,
        make=_meaning,
        shortcut_bytes=0,
    )

    def __init__(self, *, id_prefix: str = "gem", max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        if not id_prefix:
            msg = "id_prefix is empty; pass a text, or leave it out for 'gem'."
            raise ValueError(msg)
        super().__init__(_GeminiSession(id_prefix), max_bytes)

    @property
    def options(self) -> Mapping[str, Any]:
        """The keyword arguments that make a decoder like this one, as plain JSON data."""
        return {**super().options, "id_prefix": self._session.prefix}

"""
Decodes the protocol of Gemini Live (``BidiGenerateContent``), of the Gemini API and of Vertex AI.

Rules
-----

* A message has no type. Its fields, and those of its ``serverContent``, each have a rule; the rules
  are applied in a fixed order, whatever the order of the fields. `_rules` has them.
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

from collections.abc import Callable, Mapping
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from ...events import RealtimeModelAudioEvent, RealtimeModelEvent
from ...exceptions import FrameError
from .._fields import child_if_any, text_if_any
from .._frame_decoder import (
    DEFAULT_MAX_BYTES,
    FrameDecoder,
    Meaning,
    Protocol,
    exception_event,
    other_of,
)
from .._names import snake_case
from .._strict import MAX_DEPTH, duplicate_in, has_no_duplicate, is_too_deep, salvage
from ._forms import HEAD, Forms, ReadText
from ._rules import (
    RULES,
    Apply,
    Rule,
    hear,
    hear_interim,
    nothing,
    other,
    say,
    turn_complete,
    write,
)
from ._session import Events, GeminiSession

_Data: TypeAlias = dict[str, Any]

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


_SHALLOW: Final = 2 * MAX_DEPTH  # a frame with fewer bytes can't be nested too deeply

_decode_json = msgspec.json.Decoder().decode

_CONTENT: Final = "serverContent."
_UNKNOWN: Final = Rule(len(RULES), other)
_BAD_CONTENT: Final = Rule(-1, nothing)
_CONTENT_RULES: Final = {
    name.removeprefix(_CONTENT): rule for name, rule in RULES.items() if name.startswith(_CONTENT)
}
_MESSAGE_RULES: Final = {name: rule for name, rule in RULES.items() if "." not in name}
_APPLY_CONTENT: Final = {name: rule.apply for name, rule in _CONTENT_RULES.items()}
_APPLY_MESSAGE: Final = {name: rule.apply for name, rule in _MESSAGE_RULES.items()}

_FORMS: Final = Forms()

# --- from a frame to its rules ---------------------------------------------------------------


# A closure, not a method, as in `FrameDecoder`.
def _meaning(  # noqa: C901  # in one frame
    session: GeminiSession,
) -> Callable[[bytes], Meaning | None]:
    """Return the function that returns the meaning of a session's frames; None if refused."""
    layout, forms_of = session.layout, _FORMS.found.get
    apply_message, apply_content = _APPLY_MESSAGE.get, _APPLY_CONTENT.get
    tries = _MAX_TRIES

    def meaning_of(raw: bytes) -> Meaning | None:  # noqa: C901, PLR0912  # as above
        """Return the meaning of a frame; None if it is refused."""
        nonlocal tries
        if layout.place is not None and raw[: layout.start] == layout.head:
            audio = layout.event_in(raw)
            if audio is not None:
                return audio
        for start, head, read in forms_of(raw[HEAD], ()):
            if raw[:start] == head:
                meaning = read(session, raw)
                if meaning is not None:
                    return meaning
        try:
            data = _decode_json(raw)
        except (ValueError, RecursionError):
            return None
        if type(data) is not dict:
            return None
        colons = len(raw) - len(raw.replace(b":", b""))  # as `count_in`, without a call
        if len(raw) >= _SHALLOW and is_too_deep(raw, data, colons):
            return None
        if len(data) != 1:
            return _meaning_of_several(session, raw, data, colons)
        # Most messages have one field, with texts and numbers only.
        [name] = data
        value = data[name]
        if name == "serverContent" and type(value) is dict and len(value) == 1:
            message, pairs = value, 2
            [name] = message
            value = message[name]
            apply = apply_content(name)
        else:
            message, apply, pairs = data, apply_message(name), 1
        if type(value) is dict:
            pairs += len(value)
        if colons != pairs and _has_duplicate(raw, data, colons):  # each pair has a colon
            return None
        if apply is None or value is None or value is False:
            return _meaning_of_several(session, raw, data, None)
        if tries and name in _FORMED:
            tries -= 1
            _learn_form(raw, name, value, apply)
        if apply is other:
            return other_of(raw)
        meaning = _meaning_of_one(session, raw, message, apply)
        if type(meaning) is RealtimeModelAudioEvent:
            _learn_audio(session, raw, message)
        return meaning

    return meaning_of


def _has_duplicate(raw: bytes, data: _Data, colons: int) -> bool:
    """Return whether a name comes twice in an object of a frame."""
    return not has_no_duplicate(raw, data, colons) and duplicate_in(raw, _FIELD_NAMES) is not None


def _meaning_of_one(session: GeminiSession, raw: bytes, message: _Data, apply: Apply) -> Meaning:
    """
    Return the meaning of a frame with one field.

    Args:
        message: The object with the field.
        apply: The function of its rule.
    """
    events: Events = []
    try:
        is_other = apply(session, message, events)
    except FrameError as exc:
        events.append(exception_event(exc))
        is_other = False
    if is_other or not events:
        events.append(other_of(raw))
    return events[0] if len(events) == 1 else tuple(events)


def _meaning_of_several(
    session: GeminiSession, raw: bytes, data: _Data, colons: int | None
) -> Meaning | None:
    """
    Return the meaning of a frame with several fields, or with unusual ones; None if it is refused.

    Args:
        colons: The colons in it; None if no name comes twice.
    """
    if colons is not None and _has_duplicate(raw, data, colons):
        return None
    rules = _rules_of(data)
    if len(rules) > 1:
        rules.sort(key=_rank_of)
    events: Events = []
    has_other = False
    for _, apply, message in rules:
        try:
            is_other = apply(session, message, events)
        except FrameError as exc:
            events.append(exception_event(exc))
            continue
        if is_other and not has_other:
            has_other = True
            events.append(other_of(raw))
    if len(events) > 1:
        return tuple(events)
    return events[0] if events and not has_other else other_of(raw)


_rank_of = itemgetter(0)


def _rules_of(message: _Data) -> list[tuple[int, Apply, _Data]]:
    """Return the rank and the function of each rule that a message calls for, and its argument."""
    for name in message:
        if "_" in name:
            message = _in_camel_case(message)
            break
    rules = []
    for name, value in message.items():
        if value is None or value is False:
            continue
        if name != "serverContent":
            rules.append((*_MESSAGE_RULES.get(name, _UNKNOWN), message))
        elif type(value) is not dict:
            rules.append((*_BAD_CONTENT, message))
        else:
            for inner, each in value.items():
                if each is not None and each is not False:
                    rules.append((*_CONTENT_RULES.get(inner, _UNKNOWN), value))
    return rules


def _in_camel_case(message: _Data) -> _Data:
    """Return a message whose names are written as in Python in the names of the protocol."""
    return {
        name: each if name == "args" else _renamed(each)
        for name, each in _with_camel_names(message).items()
    }


def _with_camel_names(fields: _Data) -> _Data:
    """Return an object with other names; of a field that has both, only the protocol's counts."""
    names = ((name, _CAMEL.get(name, name)) for name in fields)
    return {name if camel in fields else camel: fields[name] for name, camel in names}


def _renamed(value: Any) -> Any:
    if type(value) is dict:
        return _in_camel_case(value)
    return [_renamed(each) for each in value] if type(value) is list else value


# --- frames like those before ----------------------------------------------------------------


def _other_text(_session: GeminiSession, _text: str, raw: bytes) -> RealtimeModelEvent:
    return other_of(raw)


# Field of a message -> the field of it with a text, and the reader of that. A text of a
# ``modelTurn`` is in its parts.
_TEXTS: Final[Mapping[str, tuple[str, ReadText]]] = {
    "interimInputTranscription": ("text", hear_interim),
    "inputTranscription": ("text", hear),
    "modelTurn": ("text", write),
    "outputTranscription": ("text", say),
    "sessionResumptionUpdate": ("newHandle", _other_text),
}
_BESIDES: Final = frozenset({"languageCode", "resumable", "thought"})

# Fields that have no other value in most frames, and the two of a signal.
_FLAGS: Final = frozenset({"interrupted", "waitingForInput", "generationComplete", "turnComplete"})
_SIGNAL: Final = "voiceActivityDetectionSignal"
_SIGNALS: Final = tuple({"vadSignalType": f"VAD_SIGNAL_TYPE_{end}"} for end in ("SOS", "EOS"))

_FORMED: Final = frozenset({*_TEXTS, *_FLAGS, _SIGNAL})

_MAX_TRIES: Final = 16
"""Frames of one session that may make a form: usually it has fewer forms."""


def _learn_form(raw: bytes, name: str, value: Any, apply: Apply) -> None:
    """
    Let a form take frames like this one, if it is a usual one.

    Args:
        name: The name of its one field, which may be a field of ``serverContent``.
        value: The value of that.
        apply: The function of its rule.
    """
    if value is True or value in _SIGNALS:
        message = {name: value}
        _FORMS.learn_same(raw, lambda session: _meaning_of_one(session, raw, message, apply))
    elif name in _TEXTS:
        field, read = _TEXTS[name]
        fields = _only_part(value) if name == "modelTurn" else value
        text = fields.get(field) if type(fields) is dict else None
        if type(text) is str and fields.keys() - {field} <= _BESIDES:
            if fields.get("thought") is True:
                read = _other_text
            _FORMS.learn_text(raw, field, text, read)


def _only_part(model_turn: Any) -> Any:
    """Return the only part of a ``modelTurn`` that has nothing else; None if there is none."""
    parts = model_turn.get("parts") if type(model_turn) is dict and len(model_turn) == 1 else None
    return parts[0] if type(parts) is list and len(parts) == 1 else None


def _learn_audio(session: GeminiSession, raw: bytes, content: _Data) -> None:
    """Let the shortcut take frames of audio like this one."""
    parts = child_if_any(content, "modelTurn").get("parts")
    if type(parts) is list and len(parts) == 1:
        blob = child_if_any(parts[0], "inlineData")
        session.layout.learn(raw, text_if_any(blob, "data") or "")


def _ends(session: GeminiSession, _type: str, raw: bytes) -> tuple[RealtimeModelEvent, ...]:
    # Code that waits for the end of the turn must not wait for ever.
    message = salvage(raw)
    content = child_if_any(message, "serverContent") or child_if_any(message, "server_content")
    content = _with_camel_names(content)
    if content.get("turnComplete") is not True:
        return ()
    events: Events = []
    turn_complete(session, content, events)
    return tuple(events)


class GeminiDecoder(FrameDecoder[GeminiSession]):
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

    _protocol = Protocol(MappingProxyType({}), _FIELD_NAMES, ends=_ends, untyped=_meaning)

    def __init__(self, *, id_prefix: str = "gem", max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        if not id_prefix:
            msg = "id_prefix is empty; pass a text, or leave it out for 'gem'."
            raise ValueError(msg)
        super().__init__(GeminiSession(id_prefix), max_bytes)

    @property
    def options(self) -> Mapping[str, Any]:
        """The keyword arguments that make a decoder like this one, as plain JSON data."""
        return {**super().options, "id_prefix": self._session.prefix}

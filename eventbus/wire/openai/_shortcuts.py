"""
Shortcuts for the frames that come most often: deltas of audio and text, and messages.

Rules
-----

A shortcut takes a frame only if what it makes of it is what the long way would
make of it; whatever it isn't sure of, it leaves to the long way. It never
reports an error.

Theory of operation: audio
--------------------------

Consecutive audio frames of one item are the same bytes, except for the event's
id and the audio itself::

    {"type":"response.output_audio.delta","event_id":"event_B9",...,"delta":"AAAA"}
    ------------------ head ------------------------------- ~~ ---- middle ---- ~~~~ -- tail

So the long way reads one frame, and `AudioLayout` remembers where the two are.
For the next frame it compares head, middle and tail, byte for byte. What is
between them can't change what the frame means: letters and digits stay an id,
and base64 that has been decoded strictly has no quote and no backslash, so it
is one JSON string. Nothing else needs to be parsed.

Theory of operation: deltas of text, and messages
-------------------------------------------------

The frames have known fields, so msgspec reads them into structs, faster than
into dicts. It doesn't tell if a name came twice, and skips without a look what
the structs don't have. But each pair has one colon: if the frame has as many
colons as there are fields that the event was made of (or that are known to mean
nothing), then every pair is one of them, and there is no other colon. A frame
with a colon in its text takes the long way; so does one with any other field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec
import pybase64

from ..._fast_init import constructor
from ...events import (
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOutputTextDeltaEvent,
    RealtimeModelToolCallDeltaEvent,
    RealtimeModelTranscriptDeltaEvent,
)
from .._frames import ReadOnlyDict
from ._items import NOTHING, PARTS, Status, new_message

__all__ = ["AudioLayout", "PlainEvent", "read_plain"]

PlainEvent: TypeAlias = (
    RealtimeModelTranscriptDeltaEvent
    | RealtimeModelOutputTextDeltaEvent
    | RealtimeModelToolCallDeltaEvent
    | RealtimeModelInputTranscriptDeltaEvent
    | RealtimeModelItemUpdatedEvent
)

_b64decode = pybase64.b64decode


class AudioLayout:
    """
    Where the audio is in the frames of one item.

    Attributes:
        response_id, item_id, content_index: What they all say.
    """

    __slots__ = (
        "_audio_at",
        "_head",
        "_id_at",
        "_middle",
        "_middle_at",
        "_tail",
        "_tail_length",
        "content_index",
        "item_id",
        "response_id",
    )

    def __init__(
        self,
        frame: bytes,
        *,
        event_id: tuple[int, int],
        audio: tuple[int, int],
        response_id: str,
        item_id: str,
        content_index: int,
    ) -> None:
        self._id_at, self._middle_at = event_id
        self._audio_at = audio[0]
        self._head = frame[: self._id_at]
        self._middle = frame[self._middle_at : self._audio_at]
        self._tail = frame[audio[1] :]
        self._tail_length = len(self._tail)
        self.response_id = response_id
        self.item_id = item_id
        self.content_index = content_index

    @classmethod
    def of(
        cls,
        frame: bytes,
        data: Mapping[str, Any],
        *,
        response_id: str,
        item_id: str,
        content_index: int,
    ) -> AudioLayout | None:
        """Return the layout of a *frame* that has been found to mean *data*, if it has one."""
        # Without a backslash, every quote begins or ends a string, and in a flat object
        # `"delta":"` can only be that field and the beginning of its value.
        if b"\\" in frame or any(isinstance(each, (dict, list)) for each in data.values()):
            return None
        event_id = _span(frame, b"event_id")
        audio = _span(frame, b"delta")
        if event_id is None or audio is None or event_id[1] > audio[0]:
            return None
        # "event_" is the same every time; an underscore is no letter.
        event_id = frame.rfind(b"_", *event_id) + 1 or event_id[0], event_id[1]
        return cls(
            frame,
            event_id=event_id,
            audio=audio,
            response_id=response_id,
            item_id=item_id,
            content_index=content_index,
        )

    def audio_in(self, frame: bytes) -> bytes | None:
        """Return the audio in a *frame* of this layout, else None."""
        audio_at = self._audio_at
        tail_length = self._tail_length
        if (
            frame[self._middle_at : audio_at] == self._middle
            and frame[: self._id_at] == self._head
            and frame[self._id_at : self._middle_at].isalnum()
            and frame[-tail_length:] == self._tail
            and len(frame) >= audio_at + tail_length
        ):
            try:
                return _b64decode(frame[audio_at:-tail_length], None, True)
            except ValueError:
                return None
        return None


def _span(frame: bytes, name: bytes) -> tuple[int, int] | None:
    """Return where the string begins and ends that is the value of a field."""
    for colon in (b'":"', b'": "'):
        key = b'"' + name + colon
        at = frame.find(key)
        if at >= 0:
            start = at + len(key)
            return start, frame.index(b'"', start)
    return None


_new_transcript_delta = constructor(RealtimeModelTranscriptDeltaEvent)
_new_output_text_delta = constructor(RealtimeModelOutputTextDeltaEvent)
_new_tool_call_delta = constructor(RealtimeModelToolCallDeltaEvent)
_new_input_transcript_delta = constructor(RealtimeModelInputTranscriptDeltaEvent)
_new_item_updated = constructor(RealtimeModelItemUpdatedEvent)

_UNSET = msgspec.UNSET
_Text: TypeAlias = str | msgspec.UnsetType | None


class _TextDelta(msgspec.Struct, tag_field="type", gc=False):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str
    obfuscation: str | msgspec.UnsetType = _UNSET

    def is_all(self, pairs: int) -> bool:
        """Whether a frame with that many pairs has these fields, and no others."""
        return pairs == 7 or (pairs == 8 and self.obfuscation is not _UNSET)


class _TranscriptDelta(_TextDelta, tag="response.output_audio_transcript.delta"):
    def event(self, colons: int) -> RealtimeModelTranscriptDeltaEvent | None:
        if not self.is_all(colons):
            return None
        return _new_transcript_delta(self.item_id, self.delta, self.response_id)


class _BetaTranscriptDelta(_TranscriptDelta, tag="response.audio_transcript.delta"):
    pass


class _OutputTextDelta(_TextDelta, tag="response.output_text.delta"):
    def event(self, colons: int) -> RealtimeModelOutputTextDeltaEvent | None:
        if not self.is_all(colons):
            return None
        return _new_output_text_delta(self.item_id, self.delta, self.response_id)


class _BetaOutputTextDelta(_OutputTextDelta, tag="response.text.delta"):
    pass


class _ToolCallDelta(
    msgspec.Struct, tag_field="type", tag="response.function_call_arguments.delta", gc=False
):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    call_id: str
    delta: str
    obfuscation: str | msgspec.UnsetType = _UNSET

    def event(self, colons: int) -> RealtimeModelToolCallDeltaEvent | None:
        if colons != 7 and (colons != 8 or self.obfuscation is _UNSET):
            return None
        return _new_tool_call_delta(self.call_id, self.item_id, self.delta, self.response_id)


class _InputTranscriptDelta(
    msgspec.Struct,
    tag_field="type",
    tag="conversation.item.input_audio_transcription.delta",
    gc=False,
):
    event_id: str
    item_id: str
    content_index: int
    delta: str
    obfuscation: str | msgspec.UnsetType = _UNSET

    def event(self, colons: int) -> RealtimeModelInputTranscriptDeltaEvent | None:
        if colons != 5 and (colons != 6 or self.obfuscation is _UNSET):
            return None
        return _new_input_transcript_delta(self.item_id, self.delta, self.content_index)


class _Part(msgspec.Struct, gc=False):
    type: str
    text: _Text = _UNSET
    transcript: _Text = _UNSET
    audio: _Text = _UNSET
    image_url: _Text = _UNSET
    detail: _Text = _UNSET


class _Message(msgspec.Struct, gc=False):
    id: str
    type: Literal["message"]
    role: str
    status: Status
    content: list[_Part]

    def event(
        self, previous_item_id: str | None, pairs: int
    ) -> RealtimeModelItemUpdatedEvent | None:
        """Return the event if the item has that many pairs, and all of them are in the event."""
        kinds = PARTS.get(self.role)
        if kinds is None:
            return None
        content = []
        pairs -= 5
        for part in self.content:
            kind = kinds.get(part.type)
            if kind is None:
                return None
            pairs -= 1
            strings = []
            for name in kind.strings:
                value = getattr(part, name)
                if value is _UNSET:
                    value = None
                else:
                    pairs -= 1
                strings.append(value)
            content.append(kind.make(*strings, NOTHING))
        if pairs != 0:
            return None
        extra = NOTHING if self.role == "assistant" else ReadOnlyDict(status=self.status)
        item = new_message(self.role, self.id, tuple(content), previous_item_id, self.status, extra)
        return _new_item_updated(item)


class _OutputItemDone(msgspec.Struct, tag_field="type", tag="response.output_item.done", gc=False):
    event_id: str
    response_id: str
    output_index: int
    item: _Message

    def event(self, colons: int) -> RealtimeModelItemUpdatedEvent | None:
        return self.item.event(None, colons - 5)


class _OutputItemAdded(_OutputItemDone, tag="response.output_item.added"):
    pass


class _ItemAdded(msgspec.Struct, tag_field="type", tag="conversation.item.added", gc=False):
    event_id: str
    previous_item_id: str | None
    item: _Message

    def event(self, colons: int) -> RealtimeModelItemUpdatedEvent | None:
        return self.item.event(self.previous_item_id, colons - 4)


class _ItemCreated(_ItemAdded, tag="conversation.item.created"):
    pass


_Plain: TypeAlias = (
    _TranscriptDelta
    | _BetaTranscriptDelta
    | _OutputTextDelta
    | _BetaOutputTextDelta
    | _ToolCallDelta
    | _InputTranscriptDelta
    | _OutputItemDone
    | _OutputItemAdded
    | _ItemAdded
    | _ItemCreated
)
_decode: Callable[[bytes], _Plain] = msgspec.json.Decoder(_Plain).decode

_TYPE_WITHIN = 200


def read_plain(frame: bytes) -> PlainEvent | None:
    """Return the event if *frame* is a delta of text or a message, with nothing unusual."""
    # Cheaper than to let msgspec find out, and a type that isn't near the beginning is unusual.
    if frame.find(b'.delta"', 0, _TYPE_WITHIN) < 0 and frame.find(b"item.", 0, _TYPE_WITHIN) < 0:
        return None
    try:
        plain = _decode(frame)
    except (ValueError, RecursionError):
        return None
    return plain.event(frame.count(b":"))

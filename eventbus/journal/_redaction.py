"""
Leaving data out of a journal: secrets, and audio, content and fields that the user names.

Rules
-----

* Secrets are never written: the values of fields that are named like ``authorization``,
  ``api_key`` or ``client_secret``, and text that looks like a key in a URL or in an error.
* Without audio, its bytes are left out wherever they are. Without content, so is every text that
  isn't a name that a program gave: an id, a type, a status.
* A redacted field is one of that name, at any depth, or at the end of that path
  (``session.instructions``), in frames, messages and events alike.
* Withheld data leaves an empty value of its type behind, so that a frame is still a frame.
* A tool's arguments and its output are text that may be JSON: so they are looked into as well.
* Data that isn't JSON can't be looked into, and is withheld as a whole, as soon as anything is
  (unless only fields are redacted, and their names don't occur in it); of
  tools' arguments, which come in pieces, as soon as a field is redacted. A tool's output may be
  plain text, and is left then.

How it is fast
--------------

A frame is not taken apart where its bytes show that there is no need: audio is cut out by its
place, a frame without the name of a redacted field stays as it is, and the texts of a flat frame
are blanked in one pass. `Withholding.of_frame` takes this way only if it leads to the same result
as the long one, and the long one if the frame is of any other form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import attrs
import msgspec

from ..exceptions import RemoteException
from ..wire._names import snake_case
from ._records import CallRecord, EventRecord, Form, FrameRecord, Record, SentRecord

Redact: TypeAlias = "Iterable[str | Callable[[Any], Any]] | Callable[[Any], Any]"
"""
Names and paths of fields to redact; or functions, which get the plain data of a frame, a message
or an event, may change it, and return the data to be written instead: a mapping again. The
failure of a handler is shown to them like the event that it becomes.
"""

_NOT_JSON: Final = "withheld: it isn't JSON, so that nothing in it can be left out by its name"
_FAILED: Final = "withheld: the function that was to redact it failed"

# Parts of the names of secrets: what has none of them needn't be taken apart.
_HINTS: Final = (
    b"authorization",
    b"api_key",
    b"api-key",
    b"apikey",
    b"client_secret",
    b"key=",
    b"token=",
)
_SECRET: Final = re.compile(r"authorization$|api_?key$|client_secret$")
_URL_KEY: Final = re.compile(
    r"(?i)([?&](?:[\w-]*key|[\w-]*token|client_secret|authorization)=)[^\s&#\"'<>]+"
)
_KEY: Final = re.compile(r"(?i)\b(bearer\s+|basic\s+|sk-|ek_|AIza)[\w\-.+/=]{6,}")
_KEY_BYTES: Final = re.compile(_KEY.pattern.encode())
_MESSAGE: Final = b'"message"'

# Frames of these types are audio and nothing else, and there are fifty of them a second.
_AUDIO_DELTA: Final = b'audio.delta"'
_AUDIO_APPEND: Final = b'"input_audio_buffer.append"'
_EDGE: Final = 200
# As most of them begin.
_AUDIO_STARTS: Final = tuple(
    b'{"type":"%b"' % name
    for name in (
        b"input_audio_buffer.append",
        b"response.output_audio.delta",
        b"response.audio.delta",
    )
)

# In these, names are whoever's who has filled them in.
_ANSWERS: Final = frozenset({"functionResponses", "function_responses"})
_FREE: Final = _ANSWERS | {"args", "arguments", "context", "metadata", "variables"}

# Texts that are JSON, if all is well.
_JSON_TEXTS: Final = frozenset({"arguments", "output"})

# Fields of Gemini's messages that decide which events they are.
_OF_GEMINI: Final = (
    "audioOffset",
    "ids",
    "interactionStatus",
    "mimeType",
    "modality",
    "timeLeft",
    "turnCompleteReason",
    "vadSignalType",
    "voiceActivityType",
)

# Fields whose text is a name given by a program, not something that a person said.
_NAMES: Final = frozenset(
    {
        *_OF_GEMINI,
        *map(snake_case, _OF_GEMINI),
        "call_ids",
        "code",
        "format",
        "handler",
        "id",
        "input_audio_format",
        "modalities",
        "model",
        "name",
        "object",
        "output_audio_format",
        "output_modalities",
        "param",
        "reason",
        "role",
        "status",
        "type",
        "voice",
    }
)
# Those of them that a flat frame of a known type has.
_PLAIN_NAMES: Final = frozenset(
    {"type", "event_id", "response_id", "item_id", "call_id", "previous_item_id"}
)
_TEXT_TAGS: Final = frozenset({"$str", "$int", "$float", "$datetime", "$date", "$decimal", "$uuid"})

_parse: Final = msgspec.json.Decoder().decode
_write_json: Final = msgspec.json.Encoder().encode
_write_document: Final = msgspec.msgpack.Encoder().encode

# The place of audio in base64, in frames and messages of that kind.
_DELTA: Final = b'"delta":'
_APPENDED: Final = b'"audio":'
_INLINE: Final = b'"data":'
_INLINE_TYPE: Final = b'"audio/'
_PIECE_OF_ARGUMENTS: Final = b"_arguments.delta"


@attrs.frozen
class _Style:
    """
    A way to write a flat frame: with a space behind each colon, or without.

    Attributes:
        delta, event_id: A name, and the beginning of its value.
        text: The end of any name, and the beginning of a text.
        fields: The names of texts that aren't content.
    """

    delta: bytes
    event_id: bytes
    text: bytes
    fields: tuple[bytes, ...]

    @classmethod
    def of(cls, colon: str) -> _Style:
        names = sorted({*_PLAIN_NAMES, "delta"})
        fields = tuple(f'"{name}"{colon}"'.encode() for name in names)
        delta, event_id, text = (
            f'{name}{colon}"'.encode() for name in ('"delta"', '"event_id"', '"')
        )
        return cls(delta, event_id, text, fields)

    def is_plain(self, rest: bytes) -> bool:
        """Return whether an audio frame without its audio has no text but types and ids."""
        texts = rest.count(self.text)
        return (
            # Each text is the name of a field, or the value behind one.
            rest.count(b'"') == 2 * (rest.count(b'":') + texts)
            and texts == sum([name in rest for name in self.fields])
            and b"=" not in rest
        )


class AudioForm:
    """
    The form of audio frames that are the same but for an id and the audio.

    Args:
        frame: One of them.
        event_id: The place of what differs in the id.
        audio: The place of the audio.
    """

    __slots__ = ("_audio_at", "_head", "_id_at", "_middle", "_middle_at", "_tail", "_tail_size")

    def __init__(self, frame: bytes, event_id: tuple[int, int], audio: tuple[int, int]) -> None:
        self._id_at, self._middle_at = event_id
        self._audio_at = audio[0]
        self._head = frame[: self._id_at]
        self._middle = frame[self._middle_at : self._audio_at]
        self._tail = frame[audio[1] :]
        self._tail_size = len(self._tail)

    @classmethod
    def of(cls, frame: bytes, style: _Style, start: int, end: int) -> AudioForm | None:
        """Return the form of a frame whose audio is from *start* to *end*, if it has an id."""
        place = frame.find(style.event_id, 0, start)
        if place < 0:
            return None
        place += len(style.event_id)
        id_end = frame.index(b'"', place)
        # "event_" is the same every time.
        return cls(frame, (frame.rfind(b"_", place, id_end) + 1 or place, id_end), (start, end))

    def has(self, frame: bytes, size: int) -> bool:
        """Return whether *frame*, with so many bytes of audio, is of this form."""
        end = len(frame) - self._tail_size
        return end == self._audio_at + (size + 2) // 3 * 4 and self._fits(frame)

    def is_of(self, frame: bytes) -> bool:
        """Return whether *frame* is of this form, with any audio."""
        end = len(frame) - self._tail_size
        return (
            frame.find(b'"', self._audio_at) == end
            and not (end - self._audio_at) % 4
            and self._fits(frame)
            and b"\\" not in frame
        )

    def _fits(self, frame: bytes) -> bool:
        return (
            frame[self._middle_at : self._audio_at] == self._middle
            and frame[: self._id_at] == self._head
            and frame[-self._tail_size :] == self._tail
            and frame[self._id_at : self._middle_at].isalnum()
        )

    def without_audio(self, frame: bytes) -> bytes:
        """Return a frame of this form without its audio."""
        return frame[: self._audio_at] + self._tail


_COMPACT: Final = _Style.of(":")
_SPACED: Final = _Style.of(": ")


class Withholding:
    """
    Leaves data out of records.

    Args:
        audio: Whether audio is written.
        content: Whether texts are; without them, no audio is, either.
        redact: Further data to leave out.

    Attributes:
        has_audio, has_content: As given.
        redacted: The names and paths that are redacted; of functions, their names.
        is_idle: Whether nothing is left out but secrets.
    """

    def __init__(self, *, audio: bool = True, content: bool = True, redact: Redact = ()) -> None:
        if isinstance(redact, str):
            msg = f"redact= takes several names, like redact=[{redact!r}], not one string."
            raise TypeError(msg)
        given: Any = [redact] if callable(redact) else redact
        if not isinstance(given, Iterable):
            msg = f"redact= is a list of names and functions, or a function; not {redact!r}."
            raise TypeError(msg)
        parts: list[Any] = list(given)
        for part in parts:
            if not callable(part) and not isinstance(part, str):
                msg = f"redact= takes names of fields and functions, not {part!r}."
                raise TypeError(msg)
        self.has_audio = audio and content
        self.has_content = content
        self._functions = [part for part in parts if callable(part)]
        self._paths = [tuple(part.split(".")) for part in parts if not callable(part)]
        self._last_names = frozenset(path[-1] for path in self._paths)
        self._bytes_of_names = tuple(name.encode(errors="replace") for name in self._last_names)
        self.redacted: tuple[str, ...] = tuple(
            getattr(part, "__qualname__", type(part).__qualname__) if callable(part) else part
            for part in parts
        )
        self.is_idle = self.has_audio and content and not parts

    # --- leaving out ------------------------------------------------------------------------

    def of_frame(self, data: bytes, form: Form) -> tuple[bytes, str | None]:
        """Return a frame or a message without withheld data; and why, if nothing is left."""
        if self.is_idle and (_is_piece_of_audio(data) or not _may_have_secrets(data)):
            return data, None
        if form != "json":
            return b"", _NOT_JSON
        left = self._cut(data)
        return (left, None) if left is not None else self._taken_apart(data)

    def of_audio_frame(
        self, data: bytes, size: int, form: AudioForm | None
    ) -> tuple[bytes, str | None, AudioForm | None]:
        """
        Withhold as `of_frame` does, in a frame that a decoder made an audio event of.

        Args:
            data: The frame.
            size: The number of bytes of audio in it, which tells where the base64 ends.
            form: The form of frames like it that the call before has returned.

        Returns:
            The frame, and why nothing is left, as in `of_frame`; and the form for the next call.
        """
        if form is None or not form.has(data, size):
            form = None if self._functions else self._form_of(data, size)
        if form is None:
            return *self.of_frame(data, "json"), None
        return data if self.has_audio else form.without_audio(data), None, form

    def of_raw_frame(
        self, data: bytes, form: AudioForm | None
    ) -> tuple[bytes, str | None, AudioForm | None]:
        """Withhold as `of_audio_frame` does, in a frame of any kind that a decoder has read."""
        if not self.is_idle and _AUDIO_DELTA in data[:_EDGE]:
            if form is not None and form.is_of(data):
                return data if self.has_audio else form.without_audio(data), None, form
            place = _place_of_audio(data)
            if place is not None:
                return self.of_audio_frame(data, (place[1] - place[0]) // 4 * 3, form)
        return *self.of_frame(data, "json"), form

    def _form_of(self, data: bytes, size: int) -> AudioForm | None:
        """Return the form of an audio frame that has nothing to leave out but its audio."""
        style = _COMPACT if _COMPACT.delta in data else _SPACED
        start = data.find(style.delta) + len(style.delta)
        end = start + (size + 2) // 3 * 4
        rest = data[:start] + data[end:]
        if (
            start < len(style.delta)
            or data[end : end + 1] != b'"'
            # Without an escape or an object, that is the field, and no part of a text.
            or rest.count(b"{") != 1
            or b"\\" in rest
            or any(name in rest for name in self._bytes_of_names)
            or _may_have_secrets(rest)
            or not (self.has_content or style.is_plain(rest))
        ):
            return None
        return AudioForm.of(data, style, start, end)

    def _cut(self, data: bytes) -> bytes | None:
        """Return the rest of a frame, if its bytes show the parts to cut."""
        if self._functions:
            return None
        # First of all: the rest is short, and neither names nor escapes are in audio.
        place = _place_of_audio(data)
        rest = data if place is None else data[: place[0]] + data[place[1] :]
        if b"\\u" in rest:  # with that, names can be spelled in another way
            return None
        if self._paths and (
            _PIECE_OF_ARGUMENTS in rest or any(name in rest for name in self._bytes_of_names)
        ):
            return None
        if not self.has_content:
            return _without_texts(rest)
        if (not self.has_audio and b"audio" in data and place is None) or _may_have_secrets(rest):
            return None
        return data if self.has_audio else rest

    def _taken_apart(self, data: bytes) -> tuple[bytes, str | None]:
        """Withhold as `of_frame` does, in a frame of any form."""
        try:
            plain = _parse(data)
        except (ValueError, RecursionError):
            return b"", _NOT_JSON
        try:
            left = self.of_plain(plain)
            if isinstance(plain, Mapping) and not isinstance(left, Mapping):
                return b"", _FAILED
            return _write_json(left), None
        except Exception:  # noqa: BLE001  # the user's function, or what it has returned
            return b"", _FAILED

    def of_document(self, document: Any) -> tuple[Any, str | None]:
        """Return an event's plain data without withheld data; and why, if nothing is left."""
        try:
            left = self.of_plain(document)
            if self._functions:
                _write_document(left)
        except Exception:  # noqa: BLE001  # as above
            return None, _FAILED
        # A record that has neither a document nor a problem is a repeat.
        return (left, None) if isinstance(left, Mapping) and left else (None, _FAILED)

    def of_plain(self, plain: Any) -> Any:
        """
        Return plain data without withheld data.

        Raises:
            Exception: Any error of a function that redacts.
        """
        for function in self._functions:
            plain = function(plain)
        return self._walk(plain, (), "")

    def leaves(self, plain: Any) -> bool:
        """Return whether plain data has nothing to be left out."""
        if self._functions:
            return False
        try:
            return bool(self._walk(plain, (), "") == plain)
        except (TypeError, ValueError, RecursionError):
            return False

    def of_error(self, error: RemoteException) -> RemoteException:
        """Return an exception without withheld data; its class is always kept."""
        if not self.has_content:
            return RemoteException(error.type_name, "")
        if self._functions or self._paths:
            return self._redact_error(error)
        message, traceback = _without_keys(error.message), _without_keys(error.traceback_text)
        if message is error.message and traceback is error.traceback_text:
            return error
        return RemoteException(error.type_name, message, traceback)

    def apply(self, record: Record) -> Record:
        """Return *record* without withheld data."""
        if isinstance(record, (FrameRecord, SentRecord)):
            data, problem = self.of_frame(record.data, record.form)
            return attrs.evolve(record, data=data, problem=problem or record.problem)
        if isinstance(record, EventRecord) and record.document is not None:
            document, problem = self.of_document(record.document)
            return attrs.evolve(record, document=document, problem=problem or record.problem)
        if isinstance(record, CallRecord) and record.error is not None:
            return attrs.evolve(record, error=self.of_error(record.error))
        return record

    # --- how it is found --------------------------------------------------------------------

    def _redact_error(self, error: RemoteException) -> RemoteException:
        """Return an exception as the event that it becomes leaves it."""
        plain = {
            "type": error.type_name,
            "message": error.message,
            "traceback": error.traceback_text,
        }
        document, problem = self.of_document({"type": "exception", "exception": plain})
        told = None if document is None else document.get("exception")
        if not isinstance(told, Mapping):
            return RemoteException(error.type_name, problem or "")
        message, traceback = told.get("message"), told.get("traceback")
        return RemoteException(error.type_name, str(message or ""), str(traceback or ""))

    def _walk(self, value: Any, path: tuple[str, ...], frame_type: str) -> Any:
        """Return *value*, which is at *path*, without withheld data."""
        if isinstance(value, Mapping):
            if not self.has_content and len(value) == 1 and not _TEXT_TAGS.isdisjoint(value):
                return ""
            kind = value.get("type", value.get("mimeType", value.get("mime_type")))
            frame_type = kind if isinstance(kind, str) else frame_type
            return {
                name: self._field(each, (*path, name), frame_type) for name, each in value.items()
            }
        if isinstance(value, list):
            return [self._walk(each, path, frame_type) for each in value]
        name = path[-1] if path else ""
        if isinstance(value, bytes):
            return value if self.has_audio else b""
        if isinstance(value, str) and not self.has_content and not _is_name(path):
            return ""
        if isinstance(value, str) and not self.has_audio and _is_audio(path, frame_type):
            return ""
        if isinstance(value, str) and name in _JSON_TEXTS:
            value = self._json_text(value, path, frame_type)
        elif self._paths and name == "delta" and _is_part_of_arguments(path, frame_type):
            return ""
        return _without_keys(value, in_error=name in ("message", "traceback"))

    def _json_text(self, text: str, path: tuple[str, ...], frame_type: str) -> str:
        """Return the JSON in *text* without withheld data; unchanged, if there is none."""
        try:
            plain = _parse(text)
            left = self._walk(plain, path, frame_type)
        except (ValueError, RecursionError):
            return "" if self._paths and path[-1] == "arguments" else text
        return text if left == plain else _write_json(left).decode()

    def _field(self, value: Any, path: tuple[str, ...], frame_type: str) -> Any:
        name = path[-1]
        if _SECRET.search(name.lower().replace("-", "_")) or self._is_redacted(path):
            return _blank(value)
        return self._walk(value, path, frame_type)

    def _is_redacted(self, path: tuple[str, ...]) -> bool:
        return path[-1] in self._last_names and any(
            path[-len(wanted) :] == wanted for wanted in self._paths
        )


def _place_of_audio(data: bytes) -> tuple[int, int] | None:
    """Return where the only text in base64 of an audio frame begins and ends; else None."""
    if b"\\" in data:
        return None
    head = data[:_EDGE]
    if _AUDIO_DELTA in head:
        name = _DELTA
    elif _AUDIO_APPEND in head or _AUDIO_APPEND in data[-_EDGE:]:
        name = _APPENDED
    elif _INLINE_TYPE in data and data.count(_INLINE_TYPE) == 1:
        name = _INLINE
    else:
        return None
    if data.count(name) != 1 or (name is not _INLINE and data.count(b"{") != 1):
        return None
    quote = data.find(b'"', data.find(name) + len(name))
    between = data[data.find(name) + len(name) : quote]
    if quote < 0 or (between and between != b" "):  # some clients write a space there
        return None
    end = data.find(b'"', quote + 1)
    return None if end < 0 else (quote + 1, end)


def _without_texts(data: bytes) -> bytes | None:
    """Return a frame without its texts, if it is a flat one; else None."""
    if data.count(b"{") != 1 or _may_have_secrets(data):
        return None
    try:
        plain = _parse(data)
    except (ValueError, RecursionError):
        return None
    if type(plain) is not dict:
        return None
    for name, value in plain.items():
        if type(value) is str:
            if name not in _PLAIN_NAMES:
                if name in _NAMES or name in _FREE or name.endswith("_id"):
                    return None
                plain[name] = ""
            elif "=" in value:  # an id or a type has none
                return None
        elif value is not None and type(value) not in (int, float, bool):
            return None
    return _write_json(plain)


def _is_piece_of_audio(data: bytes) -> bool:
    """Return whether a frame or a message is audio and nothing else."""
    if data.startswith(_AUDIO_STARTS):
        return data.count(b"{") == 1
    head = data[:_EDGE]
    return (
        _AUDIO_DELTA in head
        or _AUDIO_APPEND in head
        or _AUDIO_APPEND in data[-_EDGE:]  # some clients write the audio before the type
    ) and not (data.count(b"{") > 1 or _MESSAGE in data)  # an error may be about such a message


def _may_have_secrets(data: bytes) -> bool:
    lower = data.lower()
    # First a part that several of them share: most frames have none of these.
    has_hint = (
        (b"key" in lower or b"token=" in lower or b"secret" in lower or b"authorization" in lower)
        and any(hint in lower for hint in _HINTS)
    )  # fmt: skip
    return has_hint or (_MESSAGE in data and _KEY_BYTES.search(data) is not None)


def _without_keys(text: Any, *, in_error: bool = True) -> Any:
    if not isinstance(text, str):
        return text
    if "=" in text:
        text = _URL_KEY.sub(r"\1...", text)
    return _KEY.sub(r"\1...", text) if in_error else text


def _is_name(path: tuple[str, ...]) -> bool:
    name = path[-1] if path else ""
    if name == "$class":
        return True
    # Gemini's answers of tools have an id and a name of the protocol's beside what is free.
    where = path[:-2] if len(path) > 1 and path[-2] in _ANSWERS else path
    is_free = not _FREE.isdisjoint(where) or path[:1] == ("output",)
    return (name in _NAMES or name.endswith("_id")) and not is_free


def _is_audio(path: tuple[str, ...], frame_type: str) -> bool:
    """Return whether the text at *path*, in an object of that type, is audio in base64."""
    name = path[-1] if path else ""
    if name == "data":
        return frame_type.startswith("audio/") or path[-2:-1] in (("audio",), ("input_audio",))
    return name == "audio" or (name == "delta" and frame_type.endswith("audio.delta"))


def _is_part_of_arguments(path: tuple[str, ...], frame_type: str) -> bool:
    """Return whether the ``delta`` at *path* is a piece of a tool's arguments."""
    return len(path) == 1 and (
        frame_type.endswith("_arguments.delta") or frame_type == "tool_call_delta"
    )


def _blank(value: Any) -> Any:
    """Return an empty value of the same type."""
    return None if value is None else type(value)()

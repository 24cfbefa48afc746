"""
Strict replay: the events that a decoder makes now, against those that were recorded.

Rules
-----

* Every frame is decoded again, by one decoder for each session. Each of its events is compared
  with the recorded event of the vocabulary that has the frame as its cause, in order. The model of
  a live session names the events that it hasn't passed on (`RealtimeModelSkippedEvent`): the
  decoder still makes them.
* Events that no decoder made have no frame as their cause, and are not compared: those of the
  transport, like the end of a turn whose connection was lost, and those of the application.
* Events are compared as `eventbus.codec` writes them. An exception is compared by its class and
  message, without the traceback.
* Fields that were withheld or redacted are not compared, and neither are those of an event of
  which only the class was recorded. A journal that was not closed may lack the last events of its
  last frame.
* A difference is reported without content, unless that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

import attrs

from ..codec import to_plain
from ..events import RealtimeModelEvent, RealtimeModelRawServerEvent
from ..exceptions import CodecError, JournalError, ReplayDifference
from ..journal._derivation import StreamName
from ..journal._encoding import DECODED, class_label
from ..journal._records import EndRecord, EventRecord, FrameRecord, HeaderRecord, Record
from ..journal._redaction import Withholding
from ..wire import Decoder, find_decoder
from ..wire._names import frame_name
from ..wire.openai._decoder import OpenAIRealtimeDecoder


def check_decoder(
    records: Iterable[Record],
    decoder: Callable[[], Decoder] | None = None,
    *,
    with_content: bool = False,
) -> int:
    """
    Decode all frames of a journal, compare their events with the recorded ones, and count them.

    Args:
        records: A `Journal`, or records in their order.
        decoder: Makes a decoder for a session; by default the one that the journal names.
        with_content: Whether a difference may quote transcripts and texts.

    Returns:
        The number of frames.

    Raises:
        ReplayDifference: At the first difference.
        JournalError: The journal names a decoder that isn't known here.
    """
    comparison = Comparison(decoder, with_content=with_content)
    for record in records:
        comparison.take(record)
    return comparison.frames


def _is_continued(stream: StreamName | None, by: StreamName | None) -> bool:
    """Return whether the frames of a stream are followed by those of another one."""
    if stream is None or by is None or by.state is None:
        return stream == by
    return (stream.decoder, stream.version) == (by.decoder, by.version)


@attrs.define
class _Session:
    """The frame of one session that is being compared."""

    decoder: Decoder
    stream: StreamName | None = None
    frame: FrameRecord | None = None
    frame_type: str | None = None
    expected: list[RealtimeModelEvent] = attrs.field(factory=list)


class Comparison:
    """
    A comparison, record by record.

    Args:
        decoder: Makes a decoder for a session; by default the one that the journal names.
        with_content: Whether a difference may quote transcripts and texts.
        is_strict: Whether to compare; otherwise frames are only decoded.

    Attributes:
        frames: Number of frames that were decoded.
    """

    def __init__(
        self,
        decoder: Callable[[], Decoder] | None = None,
        *,
        with_content: bool = False,
        is_strict: bool = True,
    ) -> None:
        self._is_strict = is_strict
        self.frames = 0
        self._make_decoder = decoder
        self._with_content = with_content
        self._sessions: dict[str | int | None, _Session] = {}
        self._withholding = Withholding()

    def take(self, record: Record) -> Sequence[RealtimeModelEvent]:
        """
        Take the next record, and return a frame's events of now, the raw event first.

        Raises:
            ReplayDifference: The events differ.
        """
        match record:
            case HeaderRecord():
                self._withholding = Withholding(
                    audio=record.has_audio, content=record.has_content, redact=record.redacted
                )
            case FrameRecord():
                return self._decode(record)
            case EventRecord():
                self._compare(record)
            case EndRecord():
                for session in self._sessions.values():
                    self._check_complete(session)
            case _:
                pass
        return ()

    def _decode(self, record: FrameRecord) -> Sequence[RealtimeModelEvent]:
        session = self._sessions.get(record.sender)
        if session is not None:
            self._check_complete(session)
        is_same = session is not None and _is_continued(session.stream, record.stream)
        if session is None or not is_same:  # a connection has a new decoder
            session = _Session(self._decoder_for(record), record.stream)
            self._sessions[record.sender] = session
        session.stream = record.stream
        self.frames += 1
        events = session.decoder.decode(record.data)
        session.frame = record
        session.frame_type = _frame_type(events)
        session.expected = [e for e in events if not isinstance(e, RealtimeModelRawServerEvent)]
        if record.problem is not None or not self._is_strict:  # it isn't the original frame
            session.frame = None
        return events

    def _decoder_for(self, record: FrameRecord) -> Decoder:
        """Return a new decoder for the frames from *record* on."""
        if self._make_decoder is not None:
            return self._make_decoder()
        name = None if record.stream is None else record.stream.decoder
        if name is None:  # made by hand, or published without a decoder
            return OpenAIRealtimeDecoder()
        make = find_decoder(name)
        if make is None:
            msg = (
                f"Record {record.seq} is for the decoder {name!r}, which isn't known here; import "
                f"the package that has it, or pass decoder=."
            )
            raise JournalError(msg)
        if record.stream is None:
            return make()
        decoder: Any = make(**record.stream.options)
        if record.stream.state is not None:  # reading has begun in mid-call
            decoder.restore(record.stream.state)
        return cast("Decoder", decoder)

    def _check_complete(self, session: _Session) -> None:
        """Check, at the next frame or the end, that no event of the one before is missing."""
        if session.frame is not None and session.expected:
            kind = type(session.expected[0]).__qualname__
            raise self._difference(session, session.frame, "count", "no event", kind)

    def _compare(self, record: EventRecord) -> None:
        session = self._sessions.get(record.sender)
        frame = None if session is None else session.frame
        if session is None or frame is None or record.cause != frame.seq:
            return
        if is_report(record):
            return
        if is_skip(record):
            self._compare_skipped(record, session, frame)
            return
        if not is_decodable(record):
            return
        if not session.expected:
            name = record.class_name
            raise self._difference(session, frame, "count", name, "no event")
        event = session.expected.pop(0)
        kind = class_label(type(event))
        if record.class_name != kind:
            raise self._difference(session, frame, "class", record.class_name, kind)
        if record.problem is None:
            self._compare_fields(record, event, session, frame)

    def _compare_skipped(self, record: EventRecord, session: _Session, frame: FrameRecord) -> None:
        """Compare the name of an event that was not passed on with the decoder's next event."""
        name = str(record.fields.get("event_type"))
        if not session.expected:
            raise self._difference(session, frame, "count", name, "no event")
        event = session.expected.pop(0)
        if event.type != name:
            raise self._difference(session, frame, "class", name, event.type)

    def _compare_fields(
        self, record: EventRecord, event: RealtimeModelEvent, session: _Session, frame: FrameRecord
    ) -> None:
        try:
            got = to_plain(event)
            del got["$v"]  # records do without
        except CodecError:  # although it could be written once
            raise self._difference(
                session, frame, "class", record.class_name, "an event that can't be written"
            ) from None
        found = first_difference(record.fields, self._withholding.of_plain(got), self._is_ignored)
        if found is not None:
            raise self._difference(session, frame, found[0], *self._told(*found))

    def _is_ignored(self, path: str, recorded: object, got: object) -> bool:
        """Return whether a difference doesn't count; see the rules."""
        # A frame that lacks a field gives an event that lacks it, too.
        is_withheld = bool(self._withholding.redacted) and not (recorded and got)
        return is_withheld or path.rpartition(".")[2] == "traceback"

    def _told(self, path: str, expected: object, got: object) -> tuple[str, str]:
        if self._with_content:
            return _shortened(expected), _shortened(got)
        told = without_content(path, expected), without_content(path, got)
        if told[0] == told[1] and isinstance(expected, (str, bytes)):
            place = _first_place(expected, got)
            return f"{told[0]}", f"{told[1]}, other ones from number {place + 1} on"
        return told

    def _difference(
        self, session: _Session, frame: FrameRecord, field: str, expected: str, got: str
    ) -> ReplayDifference:
        name = "a frame" if session.frame_type is None else session.frame_type
        msg = (
            f"Record {frame.seq}, {name}: the decoder gives something else than was recorded; "
            f"{field}: {got}, and it was {expected}."
        )
        return ReplayDifference(
            msg,
            seq=frame.seq,
            frame_type=session.frame_type,
            field=field,
            expected=expected,
            got=got,
        )


_DECODED: Final = frozenset(map(class_label, DECODED))
_NAMES: Final = frozenset({"type", "$class", "name", "role", "status", "code"})
_SKIPPED: Final = ".RealtimeModelSkippedEvent"
_MAX_SHOWN: Final = 200


def first_difference(
    expected: object,
    got: object,
    is_ignored: Callable[[str, object, object], bool] = lambda _path, _expected, _got: False,
) -> tuple[str, object, object] | None:
    """
    Return the path of the first difference, and the two values; None without a difference.

    Args:
        expected: Plain data.
        got: Plain data.
        is_ignored: Called with a path and both values; returns whether they are not compared.
    """
    to_do: list[tuple[str, object, object]] = [("", expected, got)]
    while to_do:
        path, left, right = to_do.pop()
        if path and is_ignored(path, left, right):
            continue
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            names = [*dict.fromkeys([*left, *right])]
            parts = [
                (f"{path}.{name}".lstrip("."), left.get(name, _NOTHING), right.get(name, _NOTHING))
                for name in names
            ]
            to_do.extend(reversed(parts))
        elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
            both = zip(left, right, strict=True)
            parts = [(f"{path}[{i}]", *values) for i, values in enumerate(both)]
            to_do.extend(reversed(parts))
        elif not _is_equal(left, right):
            return path, left, right
    return None


def _is_equal(left: object, right: object) -> bool:
    """Return whether two values are the same: NaN is equal to NaN, and true not to 1."""
    if type(left) is not type(right):
        return False
    return left == right or (isinstance(left, float) and str(left) == str(right))


class _Nothing:
    """The value of a missing field."""

    def __repr__(self) -> str:
        return "nothing"


_NOTHING: Final = _Nothing()


def _frame_type(events: Sequence[RealtimeModelEvent]) -> str | None:
    data = events[0].data if isinstance(events[0], RealtimeModelRawServerEvent) else None
    try:
        return frame_name(data) if isinstance(data, Mapping) else None
    except ValueError:  # not JSON
        return None


def is_report(record: EventRecord) -> bool:
    """Return whether a record is the bus's report of a failed handler or middleware."""
    return record.type_name == "exception" and record.fields.get("handler") is not None


def is_skip(record: EventRecord) -> bool:
    """Return whether a record names an event of the decoder's that was not passed on."""
    return record.type_name == "skipped" and record.class_name.endswith(_SKIPPED)


def is_decodable(record: EventRecord) -> bool:
    """Return whether a decoder may have made the event of the frame that is its cause."""
    return record.class_name in _DECODED


def without_content(path: str, value: object) -> str:
    """Return a description of the value at *path* without content."""
    name = path.rpartition(".")[2]
    match value:
        case None | bool() | int() | float() | _Nothing():
            return repr(value)
        case str() if name in _NAMES or name == "id" or name.endswith("_id"):
            return repr(value)
        case str():
            return f"<{len(value)} characters>"
        case bytes():
            return f"<{len(value)} bytes>"
        case list():
            return f"<{len(value)} values>"
        case _:
            return f"<{type(value).__qualname__}>"


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"


def _first_place(left: str | bytes, right: Any) -> int:
    """Return the index of the first character or byte in which they differ."""
    shorter = min(len(left), len(right))
    return next((i for i in range(shorter) if left[i] != right[i]), shorter)

"""
The part of a decoder that any protocol of JSON frames needs: from a frame to the call of a table.

Rules
-----

* A frame gives its raw event first, always; then the events that it means.
* A type that isn't in the table is `RealtimeModelOtherEvent`, and so is a frame for which the
  table's function returns None.
* A frame that can't be read is `RealtimeModelExceptionEvent`; the decoder goes on.

How it is fast
--------------

A frame is parsed once, into plain data, and a flat one is proved free of repeated names by one
count (see `_strict`). The functions of the table return events, not lists of them. No raw event
is made where nothing sees it. A protocol may have a shortcut for large frames, so that they need
not be parsed at all.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import attrs
import msgspec

from .._fast_init import constructor
from ..events import (
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
)
from ..exceptions import FrameError
from ._decoder import Bus, has_raw_handlers, publish_events
from ._fields import text
from ._frames import Frame, frame_of
from ._intake import as_it_came, to_bytes
from ._origin import mark_events, new_marks
from ._strict import duplicate_in, is_too_deep, read_object, refusal

DEFAULT_MAX_BYTES = 16 * 1024 * 1024

# Shorter frames can't be nested too deeply, and gain nothing by a shortcut.
_SMALL = 256

Meaning: TypeAlias = RealtimeModelEvent | tuple[RealtimeModelEvent, ...]
"""The events of a frame besides the raw one; one event stands for itself."""

_S = TypeVar("_S")
_Make: TypeAlias = Callable[[_S, dict[str, Any]], Meaning | None]


def _no_shortcut(_raw: bytes) -> None:
    return None


def _without_shortcut(_session: object) -> Callable[[bytes], Meaning | None]:
    return _no_shortcut


def _nothing_to_learn(_session: object, _raw: bytes, _data: object, _meaning: object) -> None:
    pass


def _no_ends(_session: object, _type: str, _raw: bytes) -> tuple[RealtimeModelEvent, ...]:
    return ()


@attrs.frozen
class Protocol(Generic[_S]):
    """
    The functions of one protocol; the first argument of each is the state of the session.

    Attributes:
        table: Type of a frame -> the function that returns its meaning; None stands for Other.
        known_names: Names in frames that an error may quote.
        shortcut: Returns a function that returns the meaning of a large frame of a well-known
            form, else None.
        learn: Prepares the shortcut for frames like this large one, which it hasn't taken.
        ends: Returns the events that a refused frame must give all the same, like a turn's end.
    """

    table: Mapping[str, _Make[_S] | None]
    known_names: Container[str]
    shortcut: Callable[[_S], Callable[[bytes], Meaning | None]] = _without_shortcut
    learn: Callable[[_S, bytes, dict[str, Any], Meaning], None] = _nothing_to_learn
    ends: Callable[[_S, str, bytes], tuple[RealtimeModelEvent, ...]] = _no_ends


_decode_json = msgspec.json.Decoder().decode
_new_raw = constructor(RealtimeModelRawServerEvent)
_new_other = constructor(RealtimeModelOtherEvent)


class FrameDecoder(Generic[_S]):
    """
    Decodes the JSON frames of one session, each with a ``type``, by a table.

    A subclass has the `Protocol`. Not for use from several threads at once.

    Args:
        session: The state that the table's functions keep of the session.
        max_bytes: A frame that is longer is not parsed; its raw event has it as it came.
    """

    name: ClassVar[str]
    version: ClassVar[int]

    _protocol: ClassVar[Protocol[Any]]

    def __init__(self, session: _S, max_bytes: int) -> None:
        self._session = session
        self._max_bytes = max_bytes
        self._next_mark = new_marks(self)
        self._shortcut = self._protocol.shortcut(session)
        self._meaning = _reader(session, self._protocol)

    @property
    def options(self) -> Mapping[str, Any]:
        """The keyword arguments that make a decoder like this one, as plain JSON data."""
        return {"max_bytes": self._max_bytes}

    def decode(
        self, frame: bytes | bytearray | memoryview | str | Mapping[str, Any]
    ) -> Sequence[RealtimeModelEvent]:
        """
        Return the events that *frame* means, `RealtimeModelRawServerEvent` first.

        Its ``data`` is the frame as a read-only mapping; the frame as it came, if it is not a
        JSON object, or one that can't be read.

        Args:
            frame:
                A message from the socket, or the same already parsed. A buffer is copied: it
                may be used again.

        Raises nothing for the content of a frame: one that can't be read gives a
        `RealtimeModelExceptionEvent` with a `FrameError`.
        """
        data: object
        meaning: Any
        try:
            if type(frame) is bytes and len(frame) <= self._max_bytes:
                raw = frame
            else:
                raw = self._to_bytes(frame)
            data = whole = frame_of(raw)
            meaning = self._shortcut(raw) if len(raw) >= _SMALL else None
            if meaning is None:
                meaning = self._meaning(raw, whole)
        except _RefusedError as refused:
            data = as_it_came(frame) if refused.whole is None else refused.whole
            meaning = self._refused(refused)
        if type(meaning) is not tuple:
            meaning = (meaning,)
        events: tuple[RealtimeModelEvent, ...] = _new_raw(data), *meaning
        mark_events(events, self._next_mark())
        return events

    # sender isn't keyword-only because CPython calls functions with keyword-only defaults slowly.
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
        count_unseen = getattr(bus, "count_unseen", None)
        if count_unseen is None:
            is_raw_unseen = not has_raw_handlers(bus, sender)
        elif sender is None:
            is_raw_unseen = count_unseen(RealtimeModelRawServerEvent)
        else:
            is_raw_unseen = count_unseen(RealtimeModelRawServerEvent, sender)
        if not is_raw_unseen:
            publish_events(bus, self.decode(frame), sender)
            return
        self._next_mark()  # the frame counts, though no event of it is marked
        meaning: Any
        try:
            if type(frame) is bytes and len(frame) <= self._max_bytes:
                raw = frame
            else:
                raw = self._to_bytes(frame)
            meaning = self._shortcut(raw) if len(raw) >= _SMALL else None
            if meaning is None:
                meaning = self._meaning(raw, None)
        except _RefusedError as refused:
            meaning = self._refused(refused)
        if type(meaning) is tuple:
            publish_events(bus, meaning, sender)
        elif sender is None:
            bus.publish(meaning)
        else:
            bus.publish(meaning, sender=sender)

    def _to_bytes(self, frame: object) -> bytes:
        """Return a frame of another form as bytes that are not too many, or refuse it."""
        raw, error = to_bytes(frame)
        if error is not None:
            raise _RefusedError(raw, error)
        if len(raw) > self._max_bytes:
            problem = f"has {len(raw)} bytes, and max_bytes is {self._max_bytes}"
            raise _RefusedError(raw[:0], refusal(raw, problem))
        return raw

    def _refused(self, refused: _RefusedError) -> tuple[RealtimeModelEvent, ...]:
        """Return the events besides the raw one for a frame that was not read, or not in full."""
        frame_type = refused.error.frame_type
        ends: tuple[RealtimeModelEvent, ...] = ()
        if frame_type is not None:
            ends = self._protocol.ends(self._session, frame_type, refused.raw)
        return exception_event(refused.error), *ends


# A closure, not a method: it looks up no attributes, which is a tenth of a small frame's time.
def _reader(session: _S, protocol: Protocol[_S]) -> Callable[[bytes, Frame | None], Meaning]:
    """Return the function that returns the meaning of a session's frames, or refuses them."""
    find = dict(protocol.table).get
    known_names, learn = protocol.known_names, protocol.learn

    def meaning_of(raw: bytes, whole: Frame | None) -> Meaning:
        """
        Return the meaning of a frame, or refuse it.

        Args:
            raw: The frame.
            whole: The same as a mapping, if there is one already.
        """
        size = len(raw)
        try:
            data = _decode_json(raw)
        except (ValueError, RecursionError):
            data = None
        if type(data) is not dict or (size >= _SMALL and is_too_deep(raw, data)):
            _, error = read_object(raw)
            assert error is not None
            raise _RefusedError(raw, error)
        colons = raw.count(b":")
        if colons != len(data):
            error = duplicate_in(raw, data, colons, known_names)
            if error is not None:
                raise _RefusedError(raw, error, frame_of(raw) if whole is None else whole)
        try:
            kind = data.get("type")
            make = find(kind if type(kind) is str else text(data, "type"))
            meaning = None if make is None else make(session, data)
        except FrameError as exc:
            return exception_event(exc)
        if meaning is None:
            return _new_other(frame_of(raw) if whole is None else whole, True)
        if size >= _SMALL:
            learn(session, raw, data, meaning)
        return meaning

    return meaning_of


class _RefusedError(Exception):
    """
    A frame that was not read, or not in full.

    Attributes:
        raw: As much of it as there is in bytes.
        error: The problem with it.
        whole: The frame as a mapping, if it is a JSON object.
    """

    def __init__(self, raw: bytes, error: FrameError, whole: Frame | None = None) -> None:
        super().__init__(error)
        self.raw = raw
        self.error = error
        self.whole = whole


def exception_event(error: FrameError) -> RealtimeModelExceptionEvent:
    """Return the event that says that a frame can't be read."""
    where = f", field {error.field}" if error.field else ""
    return RealtimeModelExceptionEvent(
        error, f"decoding {error.frame_type or 'a frame of unknown type'}{where}"
    )

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

A frame is parsed once, into plain data, and a small flat one is proved free of repeated names by
one count (see `_strict`). The functions of the table return events, not lists of them. No raw
event is made where nothing sees it. A protocol may have a shortcut for large frames, so that
they need not be parsed at all.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import msgspec

from .._fast_init import constructor
from ..events import (
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
)
from ..exceptions import FrameError
from ._decoder import Bus, is_unseen, publish_events
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
Table: TypeAlias = Mapping[str, Callable[[_S, dict[str, Any]], Meaning | None] | None]
"""Type of a frame -> the function that returns its meaning; None stands for Other."""

_decode_json = msgspec.json.Decoder().decode
_new_raw = constructor(RealtimeModelRawServerEvent)
_new_other = constructor(RealtimeModelOtherEvent)


class FrameDecoder(Generic[_S]):
    """
    Decodes the JSON frames of one session, each with a ``type``, by a table.

    A protocol is a subclass with its table. Not for use from several threads at once.

    Args:
        session: What the table's functions remember of the session.
        max_bytes: A frame that is longer is not parsed; its raw event has it as it came.
    """

    name: ClassVar[str]
    version: ClassVar[int]

    _table: ClassVar[Table[Any]]
    _known_names: ClassVar[Container[str]]

    def __init__(self, session: _S, max_bytes: int) -> None:
        self._session = session
        self._max_bytes = max_bytes
        self._next_mark = new_marks(self)

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
            meaning = self._meaning(raw, whole)
        except _RefusedError as refused:
            data = refused.whole or as_it_came(frame)
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
        if count_unseen is None or sender is not None:
            is_raw_unseen = is_unseen(bus, sender)
        else:
            is_raw_unseen = count_unseen(RealtimeModelRawServerEvent)
        if not is_raw_unseen:
            publish_events(bus, self.decode(frame), sender)
            return
        self._next_mark()  # the frame counts, though no event of it is marked
        meaning: Any
        try:
            if type(frame) is bytes and len(frame) <= self._max_bytes:
                meaning = self._meaning(frame, None)
            else:
                meaning = self._meaning(self._to_bytes(frame), None)
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

    def _meaning(self, raw: bytes, whole: Frame | None) -> Meaning:
        """
        Return the meaning of a frame, or refuse it.

        Args:
            raw: The frame.
            whole: The same as a mapping, if there is one already.
        """
        size = len(raw)
        if size >= _SMALL:
            meaning = self._shortcut(raw)
            if meaning is not None:
                return meaning
        try:
            data = _decode_json(raw)
        except (ValueError, RecursionError):
            data = None
        if type(data) is not dict or (size >= _SMALL and is_too_deep(raw, data)):
            _, error = read_object(raw)
            assert error is not None
            raise _RefusedError(raw, error)
        if raw.count(b":") != len(data):
            error = duplicate_in(raw, data, known_names=self._known_names)
            if error is not None:
                raise _RefusedError(raw, error, whole or frame_of(raw))
        try:
            kind = data.get("type")
            make = self._table.get(kind if type(kind) is str else text(data, "type"))
            meaning = None if make is None else make(self._session, data)
        except FrameError as exc:
            return exception_event(exc)
        if meaning is None:
            return _new_other(whole or frame_of(raw), True)  # from_decoder
        if size >= _SMALL:
            self._learn(raw, data, meaning)
        return meaning

    def _shortcut(self, _raw: bytes, /) -> Meaning | None:
        """Return the meaning of a large frame of a form that is well known, else None."""
        return None

    def _learn(self, _raw: bytes, _data: dict[str, Any], _meaning: Meaning, /) -> None:
        """Prepare the shortcut for frames like this large one, which it has not taken."""

    def _refused(self, refused: _RefusedError) -> tuple[RealtimeModelEvent, ...]:
        """Return the events besides the raw one for a frame that was not read, or not in full."""
        frame_type = refused.error.frame_type
        ends = () if frame_type is None else self._ends(frame_type, refused.raw)
        return exception_event(refused.error), *ends

    def _ends(self, _frame_type: str, _raw: bytes, /) -> tuple[RealtimeModelEvent, ...]:
        """Return the events that a refused frame must give all the same, like the turn's end."""
        return ()


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

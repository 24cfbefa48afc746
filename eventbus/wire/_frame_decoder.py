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

Frames that have the fields of one before are read into a struct of these (see `_forms`). Any other
is parsed once, into plain data, and a flat one is proved free of repeated names by one count (see
`_strict`). The functions of the table return events, not lists of them. No raw event
is made where nothing sees it, and a frame in an event is parsed when it is read. A small frame is
read and published in one function. A protocol may have a shortcut for frames of audio, so that
they need not be parsed at all.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Literal, NoReturn, TypeAlias, TypeVar
from typing import Protocol as TypingProtocol

import attrs
import msgspec

from .._event_base import Late, set_mark
from .._fast_init import constructor
from ..events import (
    RealtimeModelAudioEvent,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
)
from ..exceptions import FrameError
from ._decoder import Bus, has_raw_handlers, publish_events
from ._fields import text
from ._forms import MIN_TYPE, SHORT_HEAD, Forms, Known, Reader
from ._frames import frame_of
from ._intake import as_it_came, to_bytes
from ._origin import FRAME_STEP, first_mark, mark_events
from ._strict import (
    MAX_DEPTH,
    count_in,
    duplicate_in,
    has_no_duplicate,
    is_too_deep,
    read_object,
    refusal,
)

DEFAULT_MAX_BYTES = 16 * 1024 * 1024

# A frame with fewer bytes can't be nested too deeply, and the shortcut is worth nothing for one
# that has fewer than these.
_SHALLOW = 2 * MAX_DEPTH
_SMALL = 384

Meaning: TypeAlias = RealtimeModelEvent | tuple[RealtimeModelEvent, ...]
"""The events of a frame besides the raw one; one event stands for itself."""


class SessionState(TypingProtocol):
    """The state of a session, which can be saved and restored."""

    def dump(self) -> dict[str, Any]:
        """Return all that the events of later frames depend on, as plain data."""
        ...

    def load(self, saved: Mapping[str, Any]) -> None:
        """
        Take the place of the one that was saved; this one is new.

        Raises:
            TypeError, ValueError, KeyError: That isn't the data of one.
        """
        ...


_S = TypeVar("_S", bound=SessionState)
_Make: TypeAlias = Callable[[_S, dict[str, Any]], Meaning | None]


_Read: TypeAlias = Callable[[bytes, Reader | Literal[False] | None], Meaning]
"""Returns the meaning of a frame, or refuses it; the other argument has tried in vain."""


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
        shortcut: Returns a function that returns the event of a large frame of audio of a
            well-known form, else None.
        learn: Prepares the shortcut for frames like this large one of audio, which it hasn't
            taken.
        ends: Returns the events that a refused frame must give all the same, like a turn's end.
        readers: Type -> a function that may return the meaning of a frame in less time.
        untyped: Returns the function that gives any frame its meaning, None if it is to be
            refused; for a protocol whose frames have no type, and so neither table nor shortcut.
        as_dict: The table again, as the mapping that is fastest.
        known: The forms of frames that there have been in any session; see `_forms`.
    """

    table: Mapping[str, _Make[_S] | None]
    known_names: Container[str]
    shortcut: Callable[[_S], Callable[[bytes], Meaning | None]] = _without_shortcut
    learn: Callable[[_S, bytes, dict[str, Any], RealtimeModelAudioEvent], None] = _nothing_to_learn
    ends: Callable[[_S, str, bytes], tuple[RealtimeModelEvent, ...]] = _no_ends
    readers: Mapping[str, Reader] = MappingProxyType({})
    untyped: Callable[[_S], Callable[[bytes], Meaning | None]] | None = None
    as_dict: dict[str, _Make[_S] | None] = attrs.field(
        init=False, default=attrs.Factory(lambda self: dict(self.table), takes_self=True)
    )
    known: Known = attrs.field(
        init=False, default=attrs.Factory(lambda self: Known(self.readers), takes_self=True)
    )


_decode_json = msgspec.json.Decoder().decode
_new_raw = constructor(RealtimeModelRawServerEvent)
_raw_of = constructor(RealtimeModelRawServerEvent, late=frame_of)
other_of = constructor(RealtimeModelOtherEvent, late=frame_of, is_marked=True)
_source: Any = vars(Late)["_source"]
_set_source: Callable[[object, object], None] = _source.__set__  # events are frozen
_COLON, _BRACKET = b":["  # numbers: bytes are searched for one in half the time


class FrameDecoder(Generic[_S]):
    """
    Decodes the JSON frames of one session, by the table of their types or by one function.

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
        self._mark = first_mark(self)
        self._fast_bus: type[Any] | None = None  # the last class of bus that is one
        self._table: dict[str, _Make[_S] | None] = self._protocol.as_dict
        self._forms = Forms(self._protocol.known)
        # What is tried first with frames of at least so many bytes, and what reads all others.
        self._meaning: _Read
        if self._protocol.untyped is None:
            self._shortcut, self._shortcut_bytes = self._protocol.shortcut(session), _SMALL
            self._meaning = _reader(session, self._protocol, self._forms)
        else:
            self._shortcut, self._shortcut_bytes = self._protocol.untyped(session), 0
            self._meaning = _refuser(self._protocol.known_names)

    @property
    def options(self) -> Mapping[str, Any]:
        """The keyword arguments that make a decoder like this one, as plain JSON data."""
        return {"max_bytes": self._max_bytes}

    def state_at(self, mark: int) -> Mapping[str, Any] | None:
        """
        Return the state after the frame with that mark, as plain data that stays as it is.

        A journal has it now and then, so that reading can begin there. None if later frames have
        been decoded since.

        Args:
            mark: The mark of the frame's raw event; see ``eventbus.wire._origin``.
        """
        # A frame counts when its events are ready, or when they are published.
        return self._session.dump() if 0 <= self._mark - mark <= FRAME_STEP else None

    def restore(self, state: Mapping[str, Any]) -> None:
        """
        Go on, in a new decoder, where `state_at` was called.

        Raises:
            TypeError, ValueError, KeyError: That isn't the state of such a decoder.
        """
        self._session.load(state)

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
        raw: Any = frame
        try:
            if type(frame) is not bytes or len(frame) > self._max_bytes:
                raw = self._to_bytes(frame)
            meaning = self._shortcut(raw) if len(raw) >= self._shortcut_bytes else None
            if meaning is None:
                forms = self._forms
                head = raw[forms.head]
                read = forms.readers.get(head)
                if read is None:
                    read = forms.readers.get(raw[forms.shared.get(head, SHORT_HEAD)])
                meaning = read(raw, len(raw), self._session) if read else None
                if meaning is None:
                    meaning = self._meaning(raw, read)
            return self._events(raw, meaning)
        except _RefusedError as refused:
            return self._refused(frame, refused)

    # sender isn't keyword-only because CPython calls functions with keyword-only defaults slowly.
    def publish_to(  # noqa: C901, PLR0912  # in one frame
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
        if type(frame) is not bytes or (size := len(frame)) > self._max_bytes:
            self._publish_converted(bus, frame, sender)
            return
        meaning: Any = None
        read = None
        if size >= self._shortcut_bytes:
            shortcut = self._shortcut  # a local: an attribute's is called more slowly
            meaning = shortcut(frame)
        if meaning is None:
            forms = self._forms
            head = frame[forms.head]
            read = forms.readers.get(head)
            if read is None:
                read = forms.readers.get(frame[forms.shared.get(head, SHORT_HEAD)])
            if read:
                meaning = read(frame, size, self._session)
            if meaning is None and (size < _SHALLOW or (size < _SMALL and _BRACKET not in frame)):
                # As `_reader` does it, for the usual frame: a call less is a tenth of the time.
                try:
                    data = _decode_json(frame)
                    frame_type = data["type"]
                    make = self._table[frame_type]
                except (ValueError, RecursionError, TypeError, KeyError):
                    pass
                else:
                    colons = frame.count(_COLON)
                    if colons == len(data) or has_no_duplicate(frame, data, colons):
                        if read not in forms.final and len(frame_type) >= MIN_TYPE:
                            forms.learn(frame, data, make)
                        try:
                            if make is not None:
                                meaning = make(self._session, data)
                            if meaning is None:
                                meaning = other_of(frame)
                        except FrameError as exc:
                            meaning = exception_event(exc)
        if meaning is None:
            try:
                meaning = self._meaning(frame, read)
            except _RefusedError as refused:
                publish_events(bus, self._refused(frame, refused), sender)
                return
        fast_bus: Any = bus
        if (
            type(meaning) is not tuple
            and (type(bus) is self._fast_bus or self._is_fast(bus))
            and fast_bus.publish_after(
                RealtimeModelRawServerEvent, meaning, sender, frame, self._mark
            )
        ):
            self._mark += FRAME_STEP  # the frame counts, though it has no raw event
        else:
            self._publish(bus, frame, meaning, sender)

    def _publish_converted(self, bus: Bus, frame: object, sender: Any) -> None:
        """Publish the events of a frame that isn't bytes, or is too long."""
        try:
            raw = self._to_bytes(frame)
        except _RefusedError as refused:
            publish_events(bus, self._refused(frame, refused), sender)
        else:
            self.publish_to(bus, raw, sender)

    def _is_fast(self, bus: object) -> bool:
        """Return whether *bus* has the methods that other buses need not have; note it if so."""
        if not (hasattr(bus, "publish_after") and hasattr(bus, "count_unseen")):
            return False
        self._fast_bus = type(bus)
        return True

    def _publish(self, bus: Any, raw: bytes, meaning: Meaning, sender: Any) -> None:
        """Publish the events of a frame, the raw one where something sees it."""
        if type(bus) is self._fast_bus or self._is_fast(bus):
            is_unseen = bus.count_unseen(RealtimeModelRawServerEvent, sender)
        else:
            is_unseen = not has_raw_handlers(bus, sender)
        events: tuple[RealtimeModelEvent, ...]
        if is_unseen:
            self._mark += FRAME_STEP
            events = meaning if isinstance(meaning, tuple) else (meaning,)
        else:
            events = self._events(raw, meaning)
        publish_events(bus, events, sender)

    def _events(self, raw: bytes, meaning: Meaning) -> tuple[RealtimeModelEvent, ...]:
        """Return the events of a frame that was read, marked."""
        first = _raw_of(raw)
        if isinstance(meaning, tuple):
            return self._marked(first, *meaning)
        if type(meaning) is RealtimeModelOtherEvent:
            _set_source(meaning, first)  # the frame is parsed once for both
        mark = self._mark
        set_mark(first, mark)
        set_mark(meaning, mark + 1)
        self._mark = mark + FRAME_STEP
        return first, meaning

    def _marked(self, *events: RealtimeModelEvent) -> tuple[RealtimeModelEvent, ...]:
        mark_events(events, self._mark)
        self._mark += FRAME_STEP
        return events

    def _to_bytes(self, frame: object) -> bytes:
        """Return a frame of another form as bytes that are not too many, or refuse it."""
        raw, error = to_bytes(frame)
        if error is not None:
            raise _RefusedError(raw, error)
        if len(raw) > self._max_bytes:
            problem = f"has {len(raw)} bytes, and max_bytes is {self._max_bytes}"
            raise _RefusedError(raw[:0], refusal(raw, problem))
        return raw

    def _refused(self, frame: object, refused: _RefusedError) -> tuple[RealtimeModelEvent, ...]:
        """Return the events of a frame that was not read, or not in full, marked."""
        first = _raw_of(refused.raw) if refused.is_object else _new_raw(as_it_came(frame))
        frame_type = refused.error.frame_type
        ends: tuple[RealtimeModelEvent, ...] = ()
        if frame_type is not None:
            ends = self._protocol.ends(self._session, frame_type, refused.raw)
        return self._marked(first, exception_event(refused.error), *ends)


# A closure, not a method: it looks up no attributes, which is a tenth of a small frame's time.
def _reader(  # noqa: C901  # in one frame
    session: _S, protocol: Protocol[_S], forms: Forms
) -> _Read:
    """Return the function that parses a session's frames for their meaning, or refuses them."""
    find, final = protocol.as_dict.get, forms.final
    known_names, learn = protocol.known_names, protocol.learn

    def meaning_of(  # noqa: C901  # as above
        raw: bytes, tried: Reader | Literal[False] | None
    ) -> Meaning:
        """Return the meaning of a frame, which *tried* hasn't read, or refuse it."""
        try:
            data = _decode_json(raw)
        except (ValueError, RecursionError):
            data = None
        if type(data) is not dict:
            raise _unreadable(raw)
        colons = count_in(raw, b":")
        if len(raw) >= _SHALLOW and is_too_deep(raw, data, colons):
            raise _unreadable(raw)
        if colons != len(data) and not has_no_duplicate(raw, data, colons):
            error = duplicate_in(raw, known_names)
            if error is not None:
                raise _RefusedError(raw, error, is_object=True)
        try:
            kind = data.get("type")
            if type(kind) is not str:
                kind = text(data, "type")
            make = find(kind)
            if tried not in final and len(kind) >= MIN_TYPE:
                forms.learn(raw, data, make)
            if make is not None:
                meaning = make(session, data)
                if meaning is not None:
                    if type(meaning) is RealtimeModelAudioEvent and len(raw) >= _SMALL:
                        learn(session, raw, data, meaning)
                    return meaning
        except FrameError as exc:
            return exception_event(exc)
        return other_of(raw)

    return meaning_of


def _refuser(known_names: Container[str]) -> _Read:
    """Return the function that refuses frames that have no meaning."""

    def refuse(raw: bytes, _tried: object) -> NoReturn:
        data, error = read_object(raw, known_names=known_names)
        assert error is not None
        raise _RefusedError(raw, error, is_object=data is not None)

    return refuse


def _unreadable(raw: bytes) -> _RefusedError:
    """Return the refusal of a frame that is no JSON object, or one that is too deep."""
    _, error = read_object(raw)
    assert error is not None
    return _RefusedError(raw, error)


class _RefusedError(Exception):
    """
    A frame that was not read, or not in full.

    Attributes:
        raw: As much of it as there is in bytes.
        error: The problem with it.
        is_object: Whether it is a JSON object all the same.
    """

    def __init__(self, raw: bytes, error: FrameError, *, is_object: bool = False) -> None:
        super().__init__(error)
        self.raw = raw
        self.error = error
        self.is_object = is_object


def exception_event(error: FrameError) -> RealtimeModelExceptionEvent:
    """Return the event that says that a frame can't be read."""
    where = f", field {error.field}" if error.field else ""
    return RealtimeModelExceptionEvent(
        error, f"decoding {error.frame_type or 'a frame of unknown type'}{where}"
    )

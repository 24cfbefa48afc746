"""
Events derived from recorded frames, by the decoder that made them in the call.

A decoder remembers earlier frames of its session, so each stream of a journal has one decoder
here, and it gets all frames of the stream in order. Frames wait until an event is asked for, or
until there are too many of them: reading the calls only decodes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from ..codec import to_plain
from ..events import RealtimeModelRawServerEvent
from ..exceptions import CodecError
from ..wire import find_decoder
from ._encoding import class_label, plain_if_flat
from ._records import Derived
from ._redaction import Withholding

_MAX_FRAMES: Final = 512
_MAX_BYTES: Final = 1 << 22


@attrs.frozen
class StreamName:
    """
    A stream, as the journal names it.

    Attributes:
        sender: The session.
        first_seq: The number of its first frame; 0 if no decoder made its events.
        decoder: The decoder's name; None if there is none.
        version: The decoder's version.
        options: The decoder's options.
        state: The decoder's state before that frame, if the frames go on those of another stream;
            None if it was new.
    """

    sender: str | int | None
    first_seq: int = 0
    decoder: str | None = None
    version: int = 0
    options: Mapping[str, Any] = attrs.field(factory=dict, eq=False)
    state: Mapping[str, Any] | None = attrs.field(default=None, eq=False)

    @classmethod
    def of(cls, value: Any) -> StreamName | None:
        """Return the stream with that value in a journal; None if it isn't one."""
        match value:
            case [None | str() | int() as sender]:
                return cls(sender)
            case [None | str() | int() as sender, int(first), str(name), int(version), dict(opts)]:
                return cls(sender, first, name, version, opts)
            case [
                None | str() | int() as sender,
                int(first),
                str(name),
                int(version),
                dict(opts),
                dict(state),
            ]:
                return cls(sender, first, name, version, opts, state)
            case _:
                return None

    @property
    def is_known(self) -> bool:
        """True if its decoder is known here, in that version or a newer one; or it has none."""
        return self.decoder is None or self.make() is not None

    def make(self) -> Any:
        """Return a new decoder like the one of the stream; None if it isn't known here."""
        factory = find_decoder(self.decoder or "")
        try:
            decoder: Any = None if factory is None else factory(**self.options)
            if decoder is None or decoder.version < self.version:
                return None
            if self.state is not None:
                decoder.restore(self.state)
        except (TypeError, ValueError, KeyError, AttributeError):
            return None
        return decoder

    @property
    def value(self) -> list[Any]:
        """The value that the journal has for it."""
        if self.decoder is None:
            return [self.sender]
        value = [self.sender, self.first_seq, self.decoder, self.version, dict(self.options)]
        return value if self.state is None else [*value, dict(self.state)]


class FrameEvents:
    """The events of one frame, once they have been derived."""

    __slots__ = ("data", "events", "problem", "seq", "stream")

    def __init__(self, stream: Stream, seq: int, data: bytes | None) -> None:
        self.stream = stream
        self.seq = seq
        self.data = data
        self.events: list[Any] | None = None
        self.problem: str | None = None

    def get(self) -> list[Any]:
        """Return the events, without the raw one; none if they can't be derived."""
        if self.events is None:
            self.stream.decode_until(self)
        return self.events or []


class Stream:
    """
    The frames of one decoder, in order.

    Args:
        name: The stream.
        withholding: Leaves something out of the events.
        earlier: Yields number and data of the frames before the first that is added, if reading
            began after them.
    """

    def __init__(
        self,
        name: StreamName,
        withholding: Withholding,
        earlier: Callable[[], Iterable[tuple[int, bytes | None]]] | None = None,
    ) -> None:
        self.name = name
        self.withholding = withholding
        self._earlier = earlier
        self._waiting: deque[FrameEvents] = deque()
        self._bytes = 0
        self._latest: FrameEvents | None = None
        self._decoder: Any = None
        self.problem: str | None = None
        self._decoder = name.make()
        if self._decoder is None:
            self.problem = f"the decoder {name.decoder} {name.version} is not known here"

    def add(self, seq: int, data: bytes | None) -> None:
        """Add the next frame; None for one that was withheld."""
        self._latest = frame = FrameEvents(self, seq, data)
        if self._decoder is None:
            frame.events = []
            frame.problem = self.problem
            return
        self._waiting.append(frame)
        self._bytes += len(data or b"")
        if len(self._waiting) > _MAX_FRAMES or self._bytes > _MAX_BYTES:
            self.decode_until(frame)

    def events_of(self, seq: int) -> FrameEvents | None:
        """Return the events of the latest frame, if that is its number."""
        latest = self._latest
        return latest if latest is not None and latest.seq == seq else None

    def decode_until(self, frame: FrameEvents) -> None:
        """Decode the frames that wait, as far as *frame*."""
        if self._earlier is not None:
            earlier, self._earlier = self._earlier, None
            for _, data in earlier():
                if data is not None:
                    self._decoder.decode(data)
        while self._waiting and frame.events is None:
            each = self._waiting.popleft()
            self._bytes -= len(each.data or b"")
            each.events = []
            if each.data is None:
                each.problem = "its frame was withheld"
            else:
                events = self._decoder.decode(each.data)
                each.events = [e for e in events if not isinstance(e, RealtimeModelRawServerEvent)]


class DerivedEvent(Derived):
    """
    The source of one event that is derived from a frame.

    Args:
        stream: The stream that its frame belongs to.
        frame: The events of its frame; None if the frame is not in the journal.
        index: Its index among the events of the frame.
        class_name: The class that was recorded.
        audio_bytes: The length of its audio.
    """

    __slots__ = ("_audio_bytes", "_class_name", "_document", "_frame", "index", "stream")

    def __init__(
        self,
        stream: StreamName,
        frame: FrameEvents | None,
        index: int,
        class_name: str,
        audio_bytes: int | None,
    ) -> None:
        self.stream = stream
        self.index = index
        self._frame = frame
        self._class_name = class_name
        self._audio_bytes = audio_bytes
        self._document: Mapping[str, Any] | None = None

    @property
    def event(self) -> Any:
        """The event, with silence where its audio was withheld."""
        event = self.event_if_any
        if event is None:
            msg = f"A {self._class_name} can't be derived from its frame: {self.problem}."
            raise CodecError(msg)
        return event

    @property
    def event_if_any(self) -> Any:
        """The same; None if it can't be derived."""
        event = self._found()
        if self._audio_bytes and event is not None and not event.data:
            return attrs.evolve(event, data=bytes(self._audio_bytes))
        return event

    @property
    def document(self) -> Mapping[str, Any] | None:
        """The event as plain data, without withheld parts."""
        if self._document is None:
            event = self._found()
            if event is None:
                return None
            assert self._frame is not None
            withholding = self._frame.stream.withholding
            if withholding.is_idle:
                self._document = plain_if_flat(event)
            if self._document is None:
                try:
                    document = to_plain(event)
                    del document["$v"]
                except CodecError:
                    return None
                self._document, _ = withholding.of_document(document)
        return self._document

    @property
    def problem(self) -> str | None:
        """The reason why the event isn't derived; None if it is."""
        if self._found() is not None:
            return None
        if self._frame is None:
            return "its frame is not in the journal"
        if self._frame.problem is not None:
            return self._frame.problem
        events = self._frame.get()
        if self.index >= len(events):
            return "the decoder makes no such event of its frame now"
        return f"the decoder makes a {class_label(type(events[self.index]))} of its frame now"

    def _found(self) -> Any:
        """Return the event, if the decoder makes one of its class."""
        if self._frame is None:
            return None
        events = self._frame.get()
        if self.index >= len(events):
            return None
        event = events[self.index]
        return event if class_label(type(event)) == self._class_name else None

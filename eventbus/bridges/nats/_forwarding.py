"""
Forwarding: the events of a bus, or of one call on it, into the stream.

A forwarding observes the bus (`eventbus.middleware.EventObserver`): it sees events as they are
published, before middleware, and is no handler of them. It encodes an event at once and puts it
into the outbox; nothing else happens during a publish.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..._core.signatures import event_classes
from ...context import DELIVERY
from ...events import (
    RealtimeModelAudioEvent,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelRawServerEvent,
)
from ...exceptions import BridgeError, BusClosed, BusNotRunning, CodecError, EventsLost, OptionError
from ._messages import (
    CALL,
    CAUSE,
    CLASS,
    ID,
    ORIGIN,
    SEQUENCE,
    TIME,
    call_header,
    encode,
    type_name,
)
from ._outbox import Message
from ._subjects import header_text, token

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ...bus import EventBus
    from ...middleware import HandlerCall
    from ._outbox import ForwardStats, Outbox
    from ._subjects import Subjects

logger = logging.getLogger(__name__)

CallId: TypeAlias = Callable[[Any], str | None]
"""Returns the call's id of a sender; None for events that belong to no call."""

TraceContext: TypeAlias = Callable[[], Mapping[str, str]]
"""Returns the headers of the present trace context, like ``{"traceparent": ...}``."""

AUDIO: Final = (RealtimeModelAudioEvent,)

# Not even as a part of RealtimeModelEvent: a raw frame repeats the event that it means.
_EXPLICIT: Final = frozenset({RealtimeModelRawServerEvent})

_MAX_KNOWN_CALLS: Final = 10_000


def new_origin() -> str:
    """Return an id of this process that no other one has."""
    host = "".join(c for c in socket.gethostname() if c.isalnum() or c == "-")[:40]
    return f"{host or 'host'}-{os.getpid()}-{secrets.token_hex(4)}"


def call_id_of(sender: Any) -> str | None:
    """
    Return the call's id of a sender that is a text or a number.

    Raises:
        TypeError: It is another object.
    """
    if sender is None or type(sender) is str:
        return sender
    if isinstance(sender, (str, int)) and not isinstance(sender, bool):
        return str(sender)
    msg = (
        f"A {type(sender).__qualname__} as sender has no id for other processes; pass a text as "
        f"sender, or call_id= to forward()."
    )
    raise TypeError(msg)


class Selection:
    """
    Which classes of events are forwarded.

    Args:
        event_types: Classes, or unions of them; by default `RealtimeModelEvent`. Raw events are
            only if their class is named itself.
        without: Classes of them that aren't.
    """

    def __init__(self, event_types: Iterable[Any], without: Iterable[Any]) -> None:
        given = tuple(event_types) or (RealtimeModelEvent,)
        explicit = {each for each in given if isinstance(each, type)}
        self._classes = tuple(
            cls for cls in event_classes(given) if cls not in _EXPLICIT or cls in explicit
        )
        if not isinstance(without, Iterable) or isinstance(without, (type, str)):
            msg = f"without= is a list of event classes, not {without!r}."
            raise OptionError(msg, option="without")
        without = tuple(without)
        self._without = event_classes(without) if without else ()

    def has(self, event_type: type[Any]) -> bool:
        """Return whether events of that class are forwarded."""
        return issubclass(event_type, self._classes) and not issubclass(event_type, self._without)


class _Route:
    """The parts of a call's messages that don't change."""

    __slots__ = ("headers", "id_prefix", "subject")

    def __init__(self, subjects: Subjects, call: str | None, origin: str) -> None:
        self.subject = f"{subjects.of_call(call)}."
        self.id_prefix = f"{origin}.{token(call)}."
        self.headers = {ORIGIN: origin}
        if call is not None:
            self.headers[CALL] = call_header(call)


class Envelope:
    """
    Makes messages of events.

    Args:
        subjects: The stream's subjects.
        origin: Stands for this process, or for a journal.
    """

    def __init__(self, subjects: Subjects, origin: str) -> None:
        self._subjects = subjects
        self._origin = origin
        self._routes: dict[str | None, _Route] = {}
        self._types: dict[type[Any], tuple[str, str]] = {}

    def message(
        self,
        event: Any,
        call: str | None,
        sequence: int,
        *,
        time_ns: int,
        cause: str = "",
        trace: Mapping[str, str] | None = None,
        on_stored: Callable[[], object] | None = None,
    ) -> Message:
        """
        Return the message of *event*.

        Raises:
            CodecError: The event can't be written.
        """
        payload = encode(event)
        route = self._routes.get(call)
        if route is None:
            if len(self._routes) >= _MAX_KNOWN_CALLS:
                self._routes.clear()
            route = self._routes[call] = _Route(self._subjects, call, self._origin)
        names = self._types.get(type(event))
        if names is None:
            name = type_name(type(event))
            names = self._types[type(event)] = token(name), header_text(name)
        headers = {
            ID: f"{route.id_prefix}{sequence}",
            SEQUENCE: str(sequence),
            CLASS: names[1],
            TIME: str(time_ns),
            **route.headers,
        }
        if cause:
            headers[CAUSE] = header_text(cause)
        if trace:
            headers.update(trace)
        return Message(route.subject + names[0], headers, payload, call, on_stored)


class Forwarding:
    """
    Events that are being forwarded; `NatsBridge.forward` makes it.

    It ends with `stop`, at the end of a ``with`` block, or with the bridge.
    """

    def __init__(
        self,
        bus: EventBus,
        only: str | None,
        *,
        is_scoped: bool,
        selection: Selection,
        subjects: Subjects,
        outbox: Outbox,
        envelope: Envelope,
        call_id: CallId,
        trace_context: TraceContext | None,
    ) -> None:
        self._bus = bus
        self._only = only
        self._is_scoped = is_scoped
        self._selection = selection
        self._stream = subjects.stream
        self._outbox = outbox
        self._envelope = envelope
        self._call_id = call_id
        self._trace_context = trace_context
        self._refused: set[object] = set()
        self._sequence = 0
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._stack = contextlib.ExitStack()

    def start(self) -> None:
        """Begin to observe the bus."""
        self._stack.enter_context(self._bus.observe(self))

    # --- for users ------------------------------------------------------------------------

    @property
    def stats(self) -> ForwardStats:
        """Counts of this forwarding, as they are now."""
        return self._outbox.stats

    async def flush(self, timeout: float | None = None) -> None:
        """
        Wait until the stream has everything that was published so far.

        If it is cancelled, the events are still forwarded.

        Args:
            timeout: Seconds to wait; None is as long as it takes.

        Raises:
            TimeoutError: It took longer.
        """
        await asyncio.wait_for(self._outbox.wait_flushed(), timeout)

    def stop(self) -> None:
        """Take no further events; those that were taken are still forwarded. Again is fine."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # --- observing ------------------------------------------------------------------------

    observes_calls = False

    def observes(self, event_type: type[Any], /) -> bool:
        """Return whether events of a class are forwarded, so that no others are made for it."""
        return self._selection.has(event_type)

    def handler_started(self, call: HandlerCall, /) -> None:
        """Nothing: calls of handlers are not forwarded."""

    def handler_finished(self, call: HandlerCall, /) -> None:
        """Nothing, as above."""

    def event_published(self, event: Any, sender: Any, sequence: int, /) -> None:  # noqa: ARG002
        """Forward an event."""
        current = DELIVERY.get()
        cause = ""
        if current is not None and current[0].stream == self._stream:
            if current[1] is event:  # it comes from the stream
                return
            cause = f"{self._stream}:{current[0].stream_sequence}"
        try:
            call = self._call_id(sender)
        except Exception as exc:  # noqa: BLE001  # the application's, and it is reported
            self._report_once(type(sender), exc, event, sender)
            return
        if self._is_scoped and call != self._only:
            return
        trace = self._trace_context() if self._trace_context is not None else None
        if threading.get_ident() == self._thread:
            self._take(event, sender, call, cause, trace)
        else:
            self._loop.call_soon_threadsafe(self._take, event, sender, call, cause, trace)

    def _take(
        self,
        event: Any,
        sender: Any,
        call: str | None,
        cause: str,
        trace: Mapping[str, str] | None,
    ) -> None:
        self._sequence += 1
        try:
            message = self._envelope.message(
                event, call, self._sequence, time_ns=time.time_ns(), cause=cause, trace=trace
            )
        except CodecError as exc:
            self._outbox.refused += 1
            self._report_once(type(event), exc, event, sender)
            return
        self._outbox.put(message)

    # --- reports --------------------------------------------------------------------------

    def overflowed(self) -> None:
        """Report that the buffer is full."""
        msg = (
            f"The buffer of events for the stream {self._stream!r} is full, and events are being "
            f"dropped: is the NATS server there, and fast enough? buffer_bytes= makes it larger."
        )
        self._report(EventsLost(msg, count=1), None, None)

    def refused(self, message: Message, error: BridgeError) -> None:
        """Report that the server will never store an event."""
        self._report(error, None, message.key)

    def _report_once(self, key: object, exc: Exception, event: Any, sender: Any) -> None:
        if key not in self._refused:
            self._refused.add(key)
            self._report(exc, event, sender)

    def _report(self, exc: Exception, event: Any, sender: Any) -> None:
        context = f"forwarding to the stream {self._stream}"
        # Not from within: this may run during a publish.
        self._loop.call_soon_threadsafe(
            publish_report,
            self._bus,
            RealtimeModelExceptionEvent(exc, context, event=event, sender=sender),
            sender,
        )


def publish_report(bus: EventBus, report: RealtimeModelExceptionEvent, sender: Any) -> None:
    """Publish *report*, or log it if the bus is over."""
    try:
        bus.publish(report, sender=sender)
    except (BusClosed, BusNotRunning):
        logger.error(  # noqa: TRY400  # the report's exception, not that of the bus
            "a bridge failed", extra={"context": report.context}, exc_info=report.exception
        )


def only_call(call_id: CallId, sender: Any) -> str | None:
    """
    Return the id of the only call that a scope's events belong to.

    Raises:
        OptionError: The scope's sender has no id.
    """
    try:
        return call_id(sender)
    except TypeError as exc:
        raise OptionError(str(exc), option="call_id") from exc

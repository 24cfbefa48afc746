"""
Functions around the handlers: middleware before them, observers beside them.

Middleware is one function; it runs once for each published event, before any handler, and an
event that it does not pass on goes no further::

    def drop_silence(event, call_next):
        if not isinstance(event, RealtimeModelAudioEvent) or any(event.data):
            call_next(event)

One that crashes is reported, and the event goes on as it came: a broken log must not end a call.
Like a handler, it may take a `Context` as a third argument. An `Observer` sees each handler
call instead, and changes nothing: it serves tracing and metrics.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import attrs

from .context import Context

__all__ = [
    "CallNext",
    "DropReason",
    "EventObserver",
    "EventsDropped",
    "HandlerCall",
    "LoggingMiddleware",
    "Middleware",
    "Observer",
    "summarize",
]

CallNext: TypeAlias = Callable[[Any], None]
"""Passes an event on: to the next middleware, or to the handlers."""

Middleware: TypeAlias = (
    Callable[[Any, CallNext], object] | Callable[[Any, CallNext, Context], object]
)
"""A function of the event and a `CallNext`; and of a `Context`, if it takes three arguments."""


@attrs.frozen(weakref_slot=False)
class HandlerCall:
    """
    One call of one handler.

    Attributes:
        handler: The handler, as it was registered.
        event: The event that it is called with.
        sender: The session that the event belongs to; None if it was published without one.
        queued_ns: Nanoseconds that the event waited in the handler's mailbox; 0 for a sync
            handler.
        run_ns: Nanoseconds that the call took; None until it has finished.
        error: The exception that it raised; None if it didn't, or hasn't finished.
        sequence: The number of the published event, as in ``Context.sequence``; 0 if it was
            published before anybody observed.
    """

    handler: Callable[..., object]
    event: Any
    sender: Any
    queued_ns: int = 0
    run_ns: int | None = None
    error: BaseException | None = None
    sequence: int = 0


DropReason: TypeAlias = Literal["full", "purged", "closed", "cancelled"]
"""
The reason why a handler will not get an event.

``full``: its mailbox was. ``purged``: one of its ``purged_by`` was published. ``closed``: the bus
was, without draining. ``cancelled``: its subscription was, or its scope has ended.
"""


@attrs.frozen
class EventsDropped:
    """
    Events that one handler will not get.

    Attributes:
        handler: The handler, as it was registered; None if its object is gone.
        sender: The session that they belong to.
        events: The events, in order.
        sequences: The numbers of the events, as in ``Context.sequence``, and 0 as in `HandlerCall`.
        reason: Why; in `eventbus.BusStats`, ``full`` and ``closed`` count as ``dropped``.
    """

    handler: Callable[..., object] | None
    sender: Any
    events: tuple[Any, ...]
    sequences: tuple[int, ...]
    reason: DropReason


class Observer(Protocol):
    """
    An observer of every handler call; ``EventBus(observers=[...])`` takes it.

    Both methods are called in the handler's thread, right before and after it: they must be
    quick. One that raises is logged, and harms nobody. An `EventObserver` sees more.

    One with an attribute ``observes_calls`` that is false is told of no calls, so that they cost
    nothing.
    """

    def handler_started(self, call: HandlerCall, /) -> None:
        """See a call that is about to run."""

    def handler_finished(self, call: HandlerCall, /) -> None:
        """See a call that has returned, failed, timed out or was cancelled."""


@runtime_checkable
class EventObserver(Observer, Protocol):
    """
    An observer that sees each event, too.

    An observer gets the calls of those methods that it has, so each of these four may be left
    out. They are called as those of an `Observer` are, and one that raises is logged.

    With a method ``observes(event_type)`` it says whether it wants to see events of a class at
    all; it is asked once, when the first event of a class comes, and again when subscriptions or
    observers have changed. For events that nothing wants, less is done: of frames, no raw event
    is made.
    """

    def event_published(self, event: Any, sender: Any, sequence: int, /) -> None:
        """
        See an event as it was published, before any middleware or handler.

        Args:
            event: The event; a bare payload has become a raw event.
            sender: The session that it belongs to, or None.
            sequence: Its number, as in ``Context.sequence``.
        """

    def event_replaced(self, event: Any, sender: Any, sequence: int, /) -> None:
        """
        See the event that a middleware has passed on in place of the one that was published.

        Args:
            event: The event that the handlers get.
            sender: The session that it belongs to, or None.
            sequence: Its number, as in ``Context.sequence``: that of the published event.
        """

    def event_unhandled(self, event: Any, sender: Any, sequence: int, /) -> None:
        """
        See an event that no handler took, and no fallback either.

        An observer is not a handler, so watching a bus this way does not change the result of
        `eventbus.EventBus.has_handlers`. The catch-all handlers of ``object`` have the event all
        the same.

        Args:
            event: The event, as middleware passed it on.
            sender: The session that it belongs to, or None.
            sequence: Its number, as in ``Context.sequence``.
        """

    def events_dropped(self, dropped: EventsDropped, /) -> None:
        """See that events were taken out of a mailbox, and the handler will not get them."""


def summarize(event: Any) -> dict[str, object]:
    """
    Return the fields of *event* without its content.

    Numbers, ids and other short names are kept; bytes become ``<9600 bytes>``, and texts that
    somebody said or wrote become ``<12 characters>``.
    """
    if not attrs.has(type(event)):
        return {}
    return {
        field.name: _summarize_value(field.name, getattr(event, field.name))
        for field in attrs.fields(type(event))
        if field.name != "type"
    }


# Fields whose text is a name given by a program, not something that a person said.
_NAMES = frozenset({"name", "status", "role", "context"})


def _summarize_value(name: str, value: object) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case str() if name in _NAMES or name == "id" or name.endswith("_id"):
            return value
        case str():
            return f"<{len(value)} characters>"
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case BaseException():
            return f"<{type(value).__qualname__}>"
        case Mapping():
            return "<mapping>"  # its length would have to be parsed first, if it is a frame
        case list() | tuple():
            return f"<{len(value)} values>"
        case _:
            return f"<{type(value).__qualname__}>"


class LoggingMiddleware:
    """
    Logs each published event through the standard library's ``logging``.

    The message is always ``event published``; the facts are in ``extra``: ``event_type`` (the
    name of the class), ``event_fields``, ``sender`` and ``sequence``. By default the words of a
    caller or a model stay out of the log, and so do audio and the arguments of tools.

    Args:
        logger: Where to; by default ``eventbus.events``.
        level: How loud.
        content: Log the fields as they are, content and all. Bytes are still only counted.
    """

    def __init__(
        self,
        logger: logging.Logger | None = None,
        *,
        level: int = logging.INFO,
        content: bool = False,
    ) -> None:
        if not isinstance(level, int):
            msg = f"level= is a number like logging.INFO, not {level!r}."
            raise TypeError(msg)
        self._logger = logger if logger is not None else logging.getLogger("eventbus.events")
        self._level = level
        self._content = content

    def __call__(self, event: Any, call_next: CallNext, context: Context) -> None:
        """Log *event* and pass it on."""
        if self._logger.isEnabledFor(self._level):
            self._logger.log(
                self._level,
                "event published",
                extra={
                    "event_type": type(event).__qualname__,
                    "event_fields": self._fields(event),
                    "sender": context.sender,
                    "sequence": context.sequence,
                },
            )
        call_next(event)

    def _fields(self, event: Any) -> dict[str, object]:
        if not self._content or not attrs.has(type(event)):
            return summarize(event)
        return {
            field.name: f"<{len(value)} bytes>" if isinstance(value, bytes) else value
            for field in attrs.fields(type(event))
            if (value := getattr(event, field.name)) is not None and field.name != "type"
        }

"""
What stands around the handlers: middleware before them, observers beside them.

Middleware is one function; it runs once for each published event, before any handler, and what
it does not pass on goes no further::

    def drop_silence(event, call_next):
        if not isinstance(event, RealtimeModelAudioEvent) or any(event.data):
            call_next(event)

One that crashes is reported, and the event goes on as it came: a broken log must not end a call.
Like a handler, it may take a `Context` as a third argument. An `Observer` sees each handler
call instead, and changes nothing: it serves tracing and metrics.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import perf_counter_ns
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import attrs

from ._core.delivery import DropReason, Queued
from ._fast_init import constructor
from .exceptions import HandlerError, is_exit
from .handlers import Context, handler_name, is_async

__all__ = [
    "CallNext",
    "EventObserver",
    "EventsDropped",
    "HandlerCall",
    "LoggingMiddleware",
    "Middleware",
    "Observer",
    "summarize",
]

logger = logging.getLogger(__name__)

CallNext: TypeAlias = Callable[[Any], None]
"""Passes an event on: to the next middleware, or to the handlers."""

Middleware: TypeAlias = (
    Callable[[Any, CallNext], object] | Callable[[Any, CallNext, Context], object]
)
"""A function of the event and of what passes it on; and of a `Context`, if it takes three."""


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
        error: What it raised; None if it didn't, or hasn't finished.
        sequence: The number of the published event, as in `Context.sequence`; 0 if it was
            published before anybody observed.
    """

    handler: Callable[..., object]
    event: Any
    sender: Any
    queued_ns: int = 0
    run_ns: int | None = None
    error: BaseException | None = None
    sequence: int = 0


_new_call: Final = constructor(HandlerCall)


@attrs.frozen
class EventsDropped:
    """
    Events that one handler will not get.

    Attributes:
        handler: The handler, as it was registered; None if its object is gone.
        sender: The session that they belong to.
        events: The events, in order.
        sequences: The numbers of the events, as in `Context.sequence`, and 0 as in `HandlerCall`.
        reason: ``full``: its mailbox was. ``purged``: one of its ``purged_by`` was published.
            ``closed``: the bus was, without draining. ``cancelled``: its subscription was.
    """

    handler: Callable[..., object] | None
    sender: Any
    events: tuple[Any, ...]
    sequences: tuple[int, ...]
    reason: DropReason


class Observer(Protocol):
    """
    Sees every handler call; ``EventBus(observers=[...])`` takes it.

    Both methods are called in the handler's thread, right before and after it: they must be
    quick. One that raises is logged, and harms nobody. An `EventObserver` sees more.
    """

    def handler_started(self, call: HandlerCall, /) -> None:
        """See a call that is about to run."""

    def handler_finished(self, call: HandlerCall, /) -> None:
        """See a call that has returned, failed, timed out or was cancelled."""


@runtime_checkable
class EventObserver(Observer, Protocol):
    """
    An observer that sees each event, too.

    An observer gets the calls of those methods that it has, so each of these three may be left
    out. They are called as those of an `Observer` are, and one that raises is logged.
    """

    def event_published(self, event: Any, sender: Any, sequence: int, /) -> None:
        """
        See an event as it was published, before any middleware or handler.

        Args:
            event: The event; a bare payload has become a raw event.
            sender: The session that it belongs to, or None.
            sequence: Its number, as in `Context.sequence`.
        """

    def event_unhandled(self, event: Any, sender: Any, sequence: int, /) -> None:
        """
        See an event that no handler took, and no fallback either.

        An observer is not a handler, so watching a bus this way changes nothing of what
        `eventbus.EventBus.has_handlers` says. The catch-all handlers of ``object`` have the event
        all the same.

        Args:
            event: The event, as middleware passed it on.
            sender: The session that it belongs to, or None.
            sequence: Its number, as in `Context.sequence`.
        """

    def events_dropped(self, dropped: EventsDropped, /) -> None:
        """See that events were taken out of a mailbox, and the handler will not get them."""


def observe(
    observers: tuple[Observer, ...],
    handler: Callable[..., object],
    args: tuple[Any, ...],
    sender: Any,
    sequence: int,
) -> None:
    """Call *handler*, and let *observers* see it."""
    call = _new_call(handler, args[0], sender, 0, None, None, sequence)
    for observer in observers:
        try:
            observer.handler_started(call)
        except Exception as exc:  # noqa: BLE001  # somebody else's code, and it is logged
            log_failed_observer(observer, exc)
    error: BaseException | None = None
    started_ns = perf_counter_ns()
    try:
        handler(*args)
    except BaseException as exc:
        error = exc
        raise
    finally:
        _tell_finished(observers, call, perf_counter_ns() - started_ns, error)


async def observe_async(
    observers: tuple[Observer, ...],
    handler: Callable[..., Awaitable[object]],
    args: tuple[Any, ...],
    sender: Any,
    queued: Queued | None,
    failure: Callable[[BaseException], BaseException],
) -> None:
    """
    Call *handler*, and let *observers* see it.

    Args:
        queued: When the event was queued, and its number; None if nobody observed.
        failure: Returns the failure that something raised by the handler stands for.
    """
    waited_ns, sequence = (0, 0) if queued is None else (perf_counter_ns() - queued[0], queued[1])
    call = _new_call(handler, args[0], sender, waited_ns, None, None, sequence)
    for observer in observers:
        try:
            observer.handler_started(call)
        except Exception as exc:  # noqa: BLE001  # as above
            log_failed_observer(observer, exc)
    error: BaseException | None = None
    started_ns = perf_counter_ns()
    try:
        await handler(*args)
    except BaseException as exc:
        error = failure(exc)
        raise
    finally:
        _tell_finished(observers, call, perf_counter_ns() - started_ns, error)


def _tell_finished(
    observers: tuple[Observer, ...], call: HandlerCall, run_ns: int, error: BaseException | None
) -> None:
    call = _new_call(
        call.handler, call.event, call.sender, call.queued_ns, run_ns, error, call.sequence
    )
    for observer in observers:
        try:
            observer.handler_finished(call)
        except Exception as exc:  # noqa: BLE001  # as above
            log_failed_observer(observer, exc)


def tell_dropped(observers: tuple[Observer, ...], dropped: EventsDropped) -> None:
    """Let those of *observers* that want to see events see that some were dropped."""
    for observer in observers:
        tell = getattr(observer, "events_dropped", None)
        if tell is not None:
            try:
                tell(dropped)
            except Exception as exc:  # noqa: BLE001  # somebody else's code, and it is logged
                log_failed_observer(observer, exc)


def log_failed_observer(observer: Observer, error: Exception) -> None:
    """Log what *observer* has raised: it harms nobody."""
    name = type(observer).__qualname__
    logger.error("an observer failed", extra={"observer": name}, exc_info=error)


def summarize(event: Any) -> dict[str, object]:
    """
    Return what can be told of *event* without its content.

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
    Logs each published event through the standard library's `logging`.

    The message is always ``event published``; the facts are in ``extra``: ``event_type`` (the
    name of the class), ``event_fields``, ``sender`` and ``sequence``. By default what a caller
    or a model said stays out of the log, and so do audio and the arguments of tools.

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


def chain(
    middleware: Iterable[Middleware],
    last: CallNext,
    *,
    on_failure: Callable[[Any, Any, BaseException], None],
    begin_context: Callable[[Any], None],
    make_context: Callable[[], Context],
) -> CallNext | None:
    """
    Fold *middleware* into one call; None if there is none.

    One that fails is as good as not there: the event goes on as it came.

    Args:
        middleware: The functions, the first one first.
        last: What the last one passes events on to.
        on_failure: Called with a middleware, its event, and what it raised.
        begin_context: Called with each event, first of all.
        make_context: Returns the event's Context.

    Raises:
        HandlerError: One of them can't be middleware.
    """
    functions = tuple(middleware)
    if not functions:
        return None
    first = last
    for function in reversed(functions):
        first = _link(function, first, on_failure, make_context)

    def begin(event: Any) -> None:
        begin_context(event)
        first(event)

    return begin


def _link(
    function: Any,
    call_next: CallNext,
    on_failure: Callable[[Any, Any, BaseException], None],
    make_context: Callable[[], Context],
) -> CallNext:
    wants_context = takes_context(function)

    def call(event: Any) -> None:
        was_passed_on = False

        def pass_on(event: Any) -> None:
            nonlocal was_passed_on
            was_passed_on = True
            call_next(event)

        try:
            if wants_context:
                function(event, pass_on, make_context())
            else:
                function(event, pass_on)
        except BaseException as exc:
            if is_exit(exc):
                raise
            on_failure(function, event, exc)
            if not was_passed_on:
                call_next(event)

    return call


def check_observer(observer: object) -> None:
    """
    Check that *observer* can be one.

    Raises:
        HandlerError: It lacks a method.
    """
    for method in ("handler_started", "handler_finished"):
        if not callable(getattr(observer, method, None)):
            msg = f"{observer!r} can't be an observer: it has no method {method}(call)."
            raise HandlerError(msg, handler=observer)
    for method in ("event_published", "event_unhandled", "events_dropped"):
        if not callable(getattr(observer, method, _nothing)):
            msg = f"{observer!r} can't be an observer: its {method} is not a method."
            raise HandlerError(msg, handler=observer)


def _nothing() -> None:
    """Stand in for a method that an observer may leave out."""


def takes_context(middleware: Any) -> bool:
    """
    Return whether *middleware* takes a `Context` as a third argument.

    Raises:
        HandlerError: It can't be middleware.
    """
    name = handler_name(middleware)
    if not callable(middleware) or isinstance(middleware, type) or is_async(middleware):
        msg = (
            f"{name} can't be middleware, which is a sync function or an object that is called "
            f"like one: def middleware(event, call_next)."
        )
        raise HandlerError(msg, handler=middleware)
    try:
        signature = inspect.signature(middleware)
    except ValueError:  # some builtins have none
        return False
    for arguments in ((None, None), (None, None, None)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) == 3
    msg = f"{name} can't be middleware: it must take (event, call_next), not {signature}."
    raise HandlerError(msg, handler=middleware)

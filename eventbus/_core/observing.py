"""
Calls of observers, around handler calls and beside events; and taps, which are compiled in.

An `Observer` is told of a call with an object that describes it, before and after. A `Tap` gives
the compiler functions instead, which take the place of the handlers in a route and call them: a
recorder that notes each call of each session has no time for more.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from time import perf_counter_ns
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from .._fast_init import constructor
from ..exceptions import HandlerError
from ..middleware import DropReason, EventsDropped, HandlerCall, Observer

logger = logging.getLogger(__name__)

Queued: TypeAlias = "tuple[Watch, Any]"
"""The watch of an event that waits in a mailbox, and the watch's stamp of it."""

Failure: TypeAlias = "Callable[[BaseException], BaseException]"
"""Returns the failure to report for an exception of an async handler's."""

Waiting: TypeAlias = "tuple[Generator[Any, Any, object], object]"
"""A call that waits: its further steps, and what it awaits."""

_new_call: Final = constructor(HandlerCall)


class Watch(NamedTuple):
    """
    The watch over the calls of one async handler.

    Attributes:
        stamp: Returns a note on the event that is being dispatched, which goes into the mailbox
            with it.
        run: Calls the handler, given that, its arguments, the note, the sender, and the function
            that tells which failure an exception is.
        owner: The tap that watches; None for all observers together.
        first_step: Makes the first step of a call without a timeout, in the context variables of
            the handler: given the handler, its arguments and the note, it returns None if the
            call is over, else its further steps and what the first one awaits. It does what `run`
            does, with one coroutine less. None if only `run` does it.
    """

    stamp: Callable[[], Any]
    run: Callable[
        [Callable[..., Awaitable[object]], tuple[Any, ...], Any, Any, Failure],
        Coroutine[Any, Any, object],
    ]
    owner: Any = None
    first_step: (
        Callable[[Callable[..., Awaitable[object]], tuple[Any, ...], Any], Waiting | None] | None
    ) = None


class Sending(Protocol):
    """The sender of the present event."""

    @property
    def sender(self) -> Any: ...


class Tap(Protocol):
    """
    An observer that is compiled into the routes of a bus.

    The present event is that of the latest call of a function that `watch_events` has returned:
    one event is dispatched at a time, and that function is called first. None of these raises.
    """

    def watch_events(self, event_type: type[Any], dispatch: Sending, /) -> Callable[[Any], object]:
        """Return the function that gets each event of a class; *dispatch* has its sender."""
        ...

    def watch_call(
        self, handler: Callable[..., object], call: Callable[..., object], /
    ) -> Callable[..., object]:
        """Return the function that calls *call*, the sync *handler* or a watch of it."""
        ...

    def watch_async_call(self, handler: Callable[..., object], /) -> Watch:
        """Return the watch over the calls of an async handler."""
        ...

    def take_frame(self, raw: bytes, mark: int, sender: Any, event: Any, /) -> None:
        """
        Get a frame instead of its raw event, which nobody else would see, and mark its event.

        Args:
            raw: The frame, which is a JSON object.
            mark: The mark that the raw event would have.
            sender: Its sender.
            event: The event that the frame means, which is published next.
        """

    def event_replaced(self, event: Any, sender: Any, sequence: int, /) -> None:
        """As in `eventbus.middleware.EventObserver`; that is the present event from now on."""

    def items_dropped(
        self,
        handler: Callable[..., object] | None,
        sender: Any,
        stamps: Sequence[Any],
        reason: DropReason,
        /,
    ) -> None:
        """Learn that a handler will not get some events; None stands for a lost stamp."""


def is_tap(observer: object) -> bool:
    """Return whether an observer is a `Tap`."""
    return hasattr(observer, "watch_async_call")


def observes_calls(observer: object) -> bool:
    """Return whether handler calls are reported to an observer."""
    return not is_tap(observer) and bool(getattr(observer, "observes_calls", True))


def observes_events(observer: Any, event_type: type[Any]) -> bool:
    """Return whether events of a class are reported to an observer that has the method for it."""
    observes = getattr(observer, "observes", None)
    return observes is None or bool(observes(event_type))


def check_observer(observer: object) -> None:
    """
    Check that *observer* can be one.

    Raises:
        HandlerError: It lacks a method.
    """
    if is_tap(observer):
        return
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


def observe(
    observers: tuple[Observer, ...],
    handler: Callable[..., object],
    args: tuple[Any, ...],
    sender: Any,
    sequence: int,
) -> object:
    """Call *handler* and return its result; *observers* see the call."""
    call = _new_call(handler, args[0], sender, 0, None, None, sequence)
    for observer in observers:
        try:
            observer.handler_started(call)
        except Exception as exc:  # noqa: BLE001  # other people's code, and it is logged
            log_failure(observer, exc)
    error: BaseException | None = None
    started_ns = perf_counter_ns()
    try:
        return handler(*args)
    except BaseException as exc:
        error = exc
        raise
    finally:
        _tell_finished(observers, call, perf_counter_ns() - started_ns, error)


async def observe_async(
    observers: tuple[Observer, ...],
    handler: Callable[..., Awaitable[object]],
    args: tuple[Any, ...],
    queued: tuple[int, int],
    sender: Any,
    failure: Failure,
) -> None:
    """
    Call *handler*; *observers* see the call.

    Args:
        queued: The time when the event was queued (`time.perf_counter_ns`), and its number.
        failure: Returns the failure to report for an exception of the handler's.
    """
    call = _new_call(handler, args[0], sender, perf_counter_ns() - queued[0], None, None, queued[1])
    for observer in observers:
        try:
            observer.handler_started(call)
        except Exception as exc:  # noqa: BLE001  # as above
            log_failure(observer, exc)
    error: BaseException | None = None
    started_ns = perf_counter_ns()
    try:
        await handler(*args)
    except BaseException as exc:
        error = failure(exc)
        raise
    finally:
        _tell_finished(observers, call, perf_counter_ns() - started_ns, error)


def combined(watches: Sequence[Watch]) -> Watch | None:
    """Return one watch that stands for all of them; None if there are none."""
    if len(watches) < 2:
        return watches[0] if watches else None

    async def run(
        call: Callable[..., Awaitable[object]],
        args: tuple[Any, ...],
        stamps: tuple[Any, ...],
        sender: Any,
        failure: Failure,
    ) -> None:
        for watch, stamp in zip(watches, stamps, strict=True):
            call = functools.partial(_run_watch, watch, call, stamp, sender, failure)
        await call(*args)

    return Watch(lambda: tuple(watch.stamp() for watch in watches), run, tuple(watches))


async def _run_watch(
    watch: Watch,
    call: Callable[..., Awaitable[object]],
    stamp: Any,
    sender: Any,
    failure: Failure,
    *args: Any,
) -> None:
    await watch.run(call, args, stamp, sender, failure)


def stamp_of(queued: Queued | None, owner: object) -> Any:
    """Return the stamp that *owner* has put on an event that waits; None if it hasn't."""
    if queued is None:
        return None
    watch, stamp = queued
    if watch.owner is owner:
        return stamp
    if isinstance(watch.owner, tuple):
        for each, its in zip(watch.owner, stamp, strict=True):
            if each.owner is owner:
                return its
    return None


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
            log_failure(observer, exc)


def tell_dropped(observers: tuple[Observer, ...], dropped: EventsDropped) -> None:
    """Report dropped events to those of *observers* that have the method."""
    for observer in observers:
        tell = getattr(observer, "events_dropped", None)
        if tell is not None:
            try:
                tell(dropped)
            except Exception as exc:  # noqa: BLE001  # other people's code, and it is logged
                log_failure(observer, exc)


def log_failure(observer: Observer, error: Exception) -> None:
    """Log an exception of an observer's: it does no harm."""
    name = type(observer).__qualname__
    logger.error("an observer failed", extra={"observer": name}, exc_info=error)

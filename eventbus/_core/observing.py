"""
Calls of observers, around handler calls and beside events.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Any, Final, TypeAlias

from .._fast_init import constructor
from ..exceptions import HandlerError
from ..middleware import EventsDropped, HandlerCall, Observer

logger = logging.getLogger(__name__)

Queued: TypeAlias = tuple[int, int]
"""The time when an event was queued (`time.perf_counter_ns`), and its number."""

_new_call: Final = constructor(HandlerCall)


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
    sender: Any,
    queued: Queued | None,
    failure: Callable[[BaseException], BaseException],
) -> None:
    """
    Call *handler*; *observers* see the call.

    Args:
        queued: The time when the event was queued, and its number; None if nobody observed.
        failure: Returns the failure to report for an exception of the handler's.
    """
    waited_ns, sequence = (0, 0) if queued is None else (perf_counter_ns() - queued[0], queued[1])
    call = _new_call(handler, args[0], sender, waited_ns, None, None, sequence)
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

"""
Watches what happens on a bus while a file is replayed, and sums it up.

A bus that somebody else has made is watched from outside: by a catch-all handler, which sees
every event and handles none, by an observer, which sees every handler call, and by the
difference that the replay makes in the bus's own `BusStats`.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from .._core.dispatcher import BusStats
from ..analysis._figures import percentile
from ..bus import EventBus
from ..events import RealtimeModelExceptionEvent, RealtimeModelRawServerEvent
from ..exceptions import MailboxFull
from ..handlers import Context, handler_name
from ..middleware import HandlerCall
from ..realtime.events import REPEATS
from ._places import where_raised

__all__ = ["CallSummary", "CrashSummary", "EventSummary", "Recorder", "Summary"]

_NS_PER_MS: Final = 1_000_000


@attrs.frozen
class EventSummary:
    """
    The events of one class.

    Attributes:
        event: The name of the class.
        count: How many reached the handlers.
        unhandled: How many of them nobody took.
        is_raw: Whether they are frames, of which there is one behind every other event.
    """

    event: str
    count: int
    unhandled: int
    is_raw: bool = False

    @property
    def handled(self) -> int:
        """How many of them somebody took."""
        return self.count - self.unhandled


@attrs.frozen
class CallSummary:
    """
    The calls of one handler, and how long they ran, in milliseconds.

    Attributes:
        handler: Its name.
        count: How many calls there were; those that failed are among them.
        p50_ms: Half of them took at most this long.
        p95_ms: 95 of 100 took at most this long.
        max_ms: The longest.
    """

    handler: str
    count: int
    p50_ms: float
    p95_ms: float
    max_ms: float


@attrs.frozen
class CrashSummary:
    """
    Failures of one handler, of one kind.

    Attributes:
        handler: Its name; or that of a middleware.
        event: The class of the event that it failed on.
        error: The class and the message of the first such failure.
        where: The line that raised it, if it is in the handler's file.
        count: How many there were.
    """

    handler: str
    event: str
    error: str
    where: str | None
    count: int


@attrs.frozen
class Summary:
    """
    What a replay has done.

    Attributes:
        events: By class, the most frequent first.
        calls: By handler, in the order of their first calls.
        crashes: By handler and kind, in the order of the first of each.
        published: Events that were published, those that a middleware kept back included.
        crashed: Calls that failed, of handlers and of tools; more than *crashes* tells if the app
            hid some.
        dropped: Events that handlers did not get because their mailbox was full.
        dropped_by: The handlers whose mailbox was full.
        purged: Events that handlers did not get because what came after them made them obsolete.
        bad_lines: Lines of the input that could not be read.
        was_interrupted: Whether the replay ended before the input did.
    """

    events: tuple[EventSummary, ...]
    calls: tuple[CallSummary, ...]
    crashes: tuple[CrashSummary, ...]
    published: int
    crashed: int
    dropped: int
    dropped_by: tuple[str, ...]
    purged: int
    bad_lines: int = 0
    was_interrupted: bool = False

    @property
    def count(self) -> int:
        """How many events reached the handlers, raw events included."""
        return sum(event.count for event in self.events)

    @property
    def handled(self) -> int:
        """How many of them somebody took, raw events apart."""
        return sum(event.handled for event in self.events if not event.is_raw)

    @property
    def unhandled(self) -> int:
        """How many of them nobody took, raw events apart: those would drown the others."""
        return sum(event.unhandled for event in self.events if not event.is_raw)


class Recorder:
    """
    Records what happens on one bus; an `eventbus.middleware.Observer`.

    Args:
        bus: The bus.
        on_crash: Called with each failure of a handler, and what was raised, when it happens.
        counts_events: Whether to count events, and to name what has crashed on them; that takes a
            handler, which others see.
        on_event: Called with each event and its context, before any handler of the bus; only if
            events are counted.
    """

    def __init__(
        self,
        bus: EventBus,
        *,
        on_crash: Callable[[CrashSummary, BaseException], object] = lambda _, __: None,
        counts_events: bool = True,
        on_event: Callable[[object, Context], object] | None = None,
    ) -> None:
        self._bus = bus
        self._on_crash = on_crash
        self._counts_events = counts_events
        self._on_event = on_event
        self._before = bus.stats
        self._unhandled = self._before.unhandled
        self._events: Counter[type[Any]] = Counter()
        self._unhandled_events: Counter[type[Any]] = Counter()
        # The run time of each call, in nanoseconds: 8 bytes a call.
        self._run_ns: dict[str, array[int]] = {}
        self._crashes: dict[tuple[object, ...], CrashSummary] = {}
        self._dropped_by: dict[str, bool] = {}
        self._left_out = 0

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Record, while this is entered."""
        self._before = self._bus.stats
        self._unhandled = self._before.unhandled
        with contextlib.ExitStack() as stack:
            if self._counts_events:
                # First of all: a handler that is interrupted leaves the rest of the calls undone.
                see = self._see if self._on_event is None else self._see_and_tell
                subscription = self._bus.subscribe(see, object, priority=sys.maxsize)
                stack.enter_context(subscription)
            stack.enter_context(self._bus.observe(self))
            yield

    @property
    def handlers(self) -> tuple[Callable[..., object], ...]:
        """What it subscribes, if it counts events; no handlers of the app's."""
        return self._see, self._see_and_tell

    @property
    def crashed(self) -> int:
        """How many calls have failed so far."""
        return self._bus.stats.crashed - self._before.crashed

    def handler_started(self, call: HandlerCall, /) -> None:
        """Do nothing: what counts is known at the end."""

    def handler_finished(self, call: HandlerCall, /) -> None:
        """Note how long a call took."""
        if call.handler in self.handlers:
            return
        assert call.run_ns is not None
        name = handler_name(call.handler)
        self._run_ns.setdefault(name, array("Q")).append(call.run_ns)
        # The bus publishes every other failure.
        if call.error is not None and isinstance(call.event, RealtimeModelExceptionEvent):
            self._note_crash(call.error, call.handler, call.event)

    def summary(self, *, bad_lines: int = 0, was_interrupted: bool = False) -> Summary:
        """
        Sum up what was recorded so far.

        Args:
            bad_lines: As in `Summary`.
            was_interrupted: As in `Summary`.
        """
        stats, before = self._bus.stats, self._before
        return Summary(
            events=tuple(
                EventSummary(
                    cls.__qualname__,
                    count,
                    self._unhandled_events[cls],
                    is_raw=cls is RealtimeModelRawServerEvent,
                )
                for cls, count in self._events.most_common()
            ),
            calls=tuple(_sum_up(name, run_ns) for name, run_ns in self._run_ns.items()),
            crashes=tuple(self._crashes.values()),
            published=stats.published - before.published - self._left_out,
            # The bus counts the calls of its handlers, and those of tools are not among them.
            crashed=max(self.crashed, sum(crash.count for crash in self._crashes.values())),
            dropped=stats.dropped - before.dropped,
            dropped_by=tuple(self._dropped_by),
            purged=stats.purged - before.purged,
            bad_lines=bad_lines,
            was_interrupted=was_interrupted,
        )

    def _see(self, event: object) -> None:
        """Count an event; the catch-all handler."""
        cls = type(event)
        stats: BusStats = self._bus.stats
        # One event is dispatched at a time, and it is counted before its handlers are called.
        is_unhandled = stats.unhandled > self._unhandled
        self._unhandled = stats.unhandled
        if is_unhandled and cls in REPEATS:  # only published because of this very handler
            self._left_out += 1
            return
        self._events[cls] += 1
        self._unhandled_events[cls] += is_unhandled
        if isinstance(event, RealtimeModelExceptionEvent) and event.handler is not None:
            if isinstance(event.exception, MailboxFull):
                self._dropped_by[handler_name(event.handler)] = True
            else:
                self._note_crash(event.exception, event.handler, event.event)

    def _see_and_tell(self, event: object, context: Context) -> None:
        """Count an event, and tell; the catch-all handler where somebody wants to know."""
        self._see(event)
        assert self._on_event is not None
        self._on_event(event, context)

    def _note_crash(
        self, error: BaseException, handler: Callable[..., object], event: object
    ) -> None:
        where = where_raised(error, _file_of(handler))
        name, event_name = handler_name(handler), type(event).__qualname__
        key = (name, event_name, type(error), where)
        known = self._crashes.get(key)
        if known is None:
            message = str(error).partition("\n")[0]
            kind = type(error).__qualname__
            known = CrashSummary(
                name, event_name, f"{kind}: {message}" if message else kind, where, 0
            )
        self._crashes[key] = crash = attrs.evolve(known, count=known.count + 1)
        self._on_crash(crash, error)


def _file_of(handler: Any) -> str:
    """Return the file that *handler* is written in, as tracebacks call it; '' if unknown."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    name = getattr(handler, "__module__", None) or type(handler).__module__
    return getattr(sys.modules.get(name), "__file__", None) or ""


def _sum_up(name: str, run_ns: array[int]) -> CallSummary:
    ordered = sorted(run_ns)
    p50, p95 = percentile(ordered, 50), percentile(ordered, 95)
    return CallSummary(
        name, len(ordered), p50 / _NS_PER_MS, p95 / _NS_PER_MS, ordered[-1] / _NS_PER_MS
    )

"""
The summary of a run: events, handler calls, crashes and drops on one bus.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs

from ..analysis._figures import percentile
from ..bus import EventBus, check_bus
from ..events import (
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
)
from ..exceptions import MailboxFull
from ..handlers import handler_name
from ..middleware import EventsDropped, HandlerCall
from ..wire.openai import is_repeating
from ._places import where_raised

_NS_PER_MS: Final = 1_000_000

_MAX_OPEN: Final = 200_000
"""Events without a handler call that are remembered: more than wait in several full mailboxes."""


@attrs.frozen
class EventSummary:
    """
    The events of one class.

    Attributes:
        event: The name of the class.
        count: Number of events that middleware passed on, if there is any.
        unhandled: Number of them that no handler took, though they say something.
        is_raw: Whether they are frames; each other event of a decoder was made of one.
        repeating: Number of the others that no handler took: frames that repeat what other events
            say (`eventbus.wire.openai.is_repeating`), so nobody misses anything.
    """

    event: str
    count: int
    unhandled: int
    is_raw: bool = False
    repeating: int = 0

    @property
    def handled(self) -> int:
        """Number of them that a handler took."""
        return self.count - self.unhandled - self.repeating


@attrs.frozen
class CallSummary:
    """
    The calls of one handler and their run times, in milliseconds.

    Attributes:
        handler: Its name.
        count: Number of calls, failed ones included.
        p50_ms: The median.
        p95_ms: The 95th percentile.
        max_ms: The maximum.
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
        handler: Its name; or that of a middleware or a tool.
        event: The class of the event that it failed on.
        error: The class and the message of the first such failure.
        where: The line that raised it, if it is in the handler's file.
        count: Number of such failures.
    """

    handler: str
    event: str
    error: str
    where: str | None
    count: int


@attrs.frozen
class Summary:
    """
    The summary of a run.

    Attributes:
        events: By class, the most frequent first.
        calls: By handler, in the order of their first calls.
        crashes: By handler and kind, in the order of the first of each.
        published: Number of events that were published, those that middleware kept back included.
        crashed: Number of calls that failed, of handlers and of tools; more than in *crashes* if
            middleware kept some of the Exception events back.
        dropped: Number of events that handlers did not get because their mailbox was full.
        dropped_by: The handlers with mailboxes that were full.
        purged: Number of events that a mailbox's ``purged_by`` removed.
        bad_lines: Number of lines of the input that can't be read.
        was_interrupted: Whether the run was ended by a signal.
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
        """Number of events, without those that middleware kept back; raw events included."""
        return sum(event.count for event in self.events)

    @property
    def handled(self) -> int:
        """Number of events that a handler took, without raw events."""
        return sum(event.handled for event in self.events if not event.is_raw)

    @property
    def unhandled(self) -> int:
        """Number of events that no handler took, without raw and repeating ones."""
        return sum(event.unhandled for event in self.events if not event.is_raw)

    @property
    def repeating(self) -> int:
        """Number of events that no handler took, and that repeat what others say."""
        return sum(event.repeating for event in self.events)


class SummaryObserver:
    """
    An `eventbus.EventObserver` that sums up the events and calls of one bus.

    It only observes: it is not a handler, so `eventbus.EventBus.has_handlers` gives the same
    answers with it as without it.

    Args:
        bus: The bus.
        on_crash: Called with each failure of a handler, and its exception, when it happens.
        on_event: Called with each event and its sender, before middleware and handlers.

    Raises:
        TypeError: *bus* is not a bus.
    """

    def __init__(
        self,
        bus: EventBus,
        *,
        on_crash: Callable[[CrashSummary, BaseException], object] = lambda _, __: None,
        on_event: Callable[[Any, Any], object] | None = None,
    ) -> None:
        self._bus = check_bus(bus, "A SummaryObserver sums up")
        self._on_crash = on_crash
        self._on_event = on_event
        self._before = bus.stats
        self._published: Counter[type[Any]] = Counter()
        self._unhandled: Counter[type[Any]] = Counter()
        self._repeating: Counter[type[Any]] = Counter()
        # By sequence number, the events that have reached no handler so far: they wait in a
        # mailbox, or middleware has kept them back.
        self._open: dict[int, type[Any]] = {}
        self._kept_back: Counter[type[Any]] = Counter()
        # The run time of each call, in nanoseconds: 8 bytes a call.
        self._run_ns: dict[str, array[int]] = {}
        self._crashes: dict[tuple[object, ...], CrashSummary] = {}
        self._dropped_by: dict[str, bool] = {}

    @contextlib.contextmanager
    def observing(self) -> Iterator[None]:
        """Observe the bus while this is entered."""
        self._before = self._bus.stats
        with self._bus.observe(self):
            yield

    @property
    def crashed(self) -> int:
        """Number of calls that have failed so far."""
        return self._bus.stats.crashed - self._before.crashed

    def event_published(self, event: Any, sender: Any, sequence: int, /) -> None:
        """Count an event."""
        cls = type(event)
        self._published[cls] += 1
        self._open[sequence] = cls
        if len(self._open) > _MAX_OPEN:
            self._forget_oldest()
        if isinstance(event, RealtimeModelExceptionEvent) and event.handler is not None:
            if isinstance(event.exception, MailboxFull):
                self._dropped_by[handler_name(event.handler)] = True
            else:
                self._note_crash(event.exception, event.handler, event.event)
        if self._on_event is not None:
            self._on_event(event, sender)

    def event_unhandled(self, event: Any, _sender: Any, sequence: int, /) -> None:
        """Count an event as unhandled, or as repeating."""
        cls = self._open.pop(sequence, None)
        if cls is not None:
            (self._repeating if _is_repeating(event) else self._unhandled)[cls] += 1

    def events_dropped(self, dropped: EventsDropped, /) -> None:
        """Count events as handled: their handler's mailbox had taken them."""
        for sequence in dropped.sequences:
            self._open.pop(sequence, None)

    def handler_started(self, call: HandlerCall, /) -> None:
        """Count the event as handled."""
        self._open.pop(call.sequence, None)

    def handler_finished(self, call: HandlerCall, /) -> None:
        """Note the run time of a call."""
        assert call.run_ns is not None
        name = handler_name(call.handler)
        self._run_ns.setdefault(name, array("Q")).append(call.run_ns)
        # The bus publishes every other failure.
        if call.error is not None and isinstance(call.event, RealtimeModelExceptionEvent):
            self._note_crash(call.error, call.handler, call.event)

    def summary(self, *, bad_lines: int = 0, was_interrupted: bool = False) -> Summary:
        """
        Return the summary so far.

        Args:
            bad_lines: As in `Summary`.
            was_interrupted: As in `Summary`.
        """
        stats, before = self._bus.stats, self._before
        open_ = self._kept_back + Counter(self._open.values())
        counts = (self._published - open_).most_common()
        return Summary(
            events=tuple(
                EventSummary(
                    cls.__qualname__,
                    count,
                    self._unhandled[cls],
                    is_raw=cls is RealtimeModelRawServerEvent,
                    repeating=self._repeating[cls],
                )
                for cls, count in counts
            ),
            calls=tuple(_sum_up(name, run_ns) for name, run_ns in self._run_ns.items()),
            crashes=tuple(self._crashes.values()),
            published=stats.published - before.published,
            # The bus counts the calls of its handlers, and those of tools are not among them.
            crashed=max(self.crashed, sum(crash.count for crash in self._crashes.values())),
            dropped=stats.dropped - before.dropped,
            dropped_by=tuple(self._dropped_by),
            purged=stats.purged - before.purged,
            bad_lines=bad_lines,
            was_interrupted=was_interrupted,
        )

    def _forget_oldest(self) -> None:
        for sequence in list(itertools.islice(self._open, _MAX_OPEN // 2)):
            self._kept_back[self._open.pop(sequence)] += 1

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


def _is_repeating(event: Any) -> bool:
    if not isinstance(event, RealtimeModelOtherEvent):
        return False
    return isinstance(event.data, Mapping) and is_repeating(event.data)


def _file_of(handler: Any) -> str:
    """Return the source file of *handler*, as tracebacks name it; '' if unknown."""
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

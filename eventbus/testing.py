"""
For users' tests: captured events, and a clock that need not be waited for.

::

    async def test_slow_tool_is_reported():
        with FakeClock() as clock, capture(bus) as captured:
            async with bus:
                bus.publish(RealtimeModelToolCallEvent("weather", "c1", "{}"))
                await clock.advance(10)
        failure = captured.assert_published(RealtimeModelExceptionEvent)
        assert isinstance(failure.exception, TimeoutError)

Virtual time
------------
1. Time stands still until `FakeClock.advance` moves it. ``FakeClock(autojump=True)`` also moves
   it to the next timer whenever every task waits.
2. It moves from timer to timer, and each time everything runs that has become ready, and all
   that follows from it, before it moves on.
3. It is the event loop's time, which anyio, asyncio and trio use for sleeping and for timeouts.
   `time.monotonic` and other clocks go on as ever, and so does everything outside the loop:
   a socket or a thread takes its real time, and *autojump* does not wait for it.
4. A clock that nobody moves keeps a task that sleeps asleep, the one that drains a bus, too.
   A task that swallows its cancellation keeps anyio's asyncio backend busy, and time with it.

In trio a clock is chosen when the loop starts. In asyncio the running loop is made to use this
one: its ``time`` and its selector's ``select`` are replaced within the ``with`` block. The
selector is asked to wait when nothing is ready to run, and for how long: all there is to know.
"""

from __future__ import annotations

import difflib
import heapq
import itertools
import math
import sys
from collections.abc import Callable, Iterable
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

import anyio
import anyio.lowlevel
import attrs
from blinker import ANY

from ._core.signatures import event_classes, handler_name
from .exceptions import EventBusError
from .middleware import summarize

if TYPE_CHECKING:
    from typing import Self

    from trio.abc import Clock

    from .bus import EventBus, Subscription
    from .handlers import EventType
else:
    Clock = object  # trio asks for the three methods only, and is not imported for that

__all__ = ["Capture", "FakeClock", "capture"]

E = TypeVar("E")
E1 = TypeVar("E1")
E2 = TypeVar("E2")
E3 = TypeVar("E3")

_SHOWN_EVENTS: Final = 10
_SHOWN_CHARACTERS: Final = 100

# Seconds. 9.9 + 0.1 may be a little less than 10, and a timer that is due then must run.
_SAME_TIME: Final = 1e-6


# --- captured events ----------------------------------------------------------------------


class _Waiter:
    """A task in an event loop that waits for the next event."""

    def __init__(self) -> None:
        self._thread = get_ident()
        self._native: Any = anyio.lowlevel.current_token().native_token
        self._news = anyio.Event()

    async def wait(self) -> None:
        await self._news.wait()
        self._news = anyio.Event()

    def notify(self) -> None:
        """Wake the task; from any thread, as a bus that doesn't run has none of its own."""
        if get_ident() == self._thread:
            self._wake()
        elif hasattr(self._native, "call_soon_threadsafe"):
            self._native.call_soon_threadsafe(self._wake)
        else:
            self._native.run_sync_soon(self._wake)

    def _wake(self) -> None:
        self._news.set()


class Capture(Generic[E]):
    """
    The events that were published while it was entered; `capture` makes it.

    Args:
        bus, classes, sender: As for `capture`.
        with_content: True if messages quote content.

    Attributes:
        events: The events, in the order of publication.
    """

    def __init__(
        self,
        bus: EventBus,
        classes: tuple[type[Any], ...],
        sender: Any,
        *,
        with_content: bool = True,
    ) -> None:
        self.events: list[E] = []
        self._with_content = with_content
        self._bus = bus
        self._classes = classes
        self._sender = sender
        self._subscription: Subscription | None = None
        self._waiters: list[_Waiter] = []

    def __enter__(self) -> Self:
        if self._subscription is not None:
            msg = "A capture is entered once; make another one with capture(bus)."
            raise EventBusError(msg)
        # The catch-all, so that events without a handler still go to the fallback; and before
        # everybody else, so that an event comes before what its handlers publish.
        self._subscription = self._bus.subscribe(
            self._take, object, sender=self._sender, priority=sys.maxsize
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._subscription is not None
        self._subscription.cancel()

    def assert_published(self, event_type: type[E1], /, **fields: object) -> E1:
        """
        Return the first event of a class, or of a subclass of it, with those fields.

        Args:
            event_type: The class.
            fields: The values of its fields, by name; `unittest.mock.ANY` and
                `pytest.approx` work.

        Raises:
            AssertionError: There is none; the message lists the last events.
            TypeError: The class has no such field.
        """
        __tracebackhide__ = True
        of_class = [event for event in self.events if isinstance(event, event_type)]
        _check_fields(event_type, fields, of_class)
        for event in of_class:
            if _has(event, fields):
                return event
        msg = f"{_call(event_type, fields)} was not published"
        if of_class:
            others = list(dict.fromkeys(self._differences(event, fields) for event in of_class))
            msg += f"; {len(of_class)} with other fields were, the last ones with\n"
            msg += _listing(others[-_SHOWN_EVENTS:])
        raise AssertionError(self._with_events(msg))

    def assert_not_published(self, event_type: type[Any], /, **fields: object) -> None:
        """
        Check that no event of a class, or of a subclass of it, has those fields.

        Args:
            event_type: The class.
            fields: As in `assert_published`.

        Raises:
            AssertionError: There is one.
            TypeError: The class has no such field.
        """
        __tracebackhide__ = True
        of_class = [event for event in self.events if isinstance(event, event_type)]
        _check_fields(event_type, fields, of_class)
        found = [event for event in of_class if _has(event, fields)]
        if found:
            msg = f"{_call(event_type, fields)} was published {len(found)} times, first as:\n"
            raise AssertionError(msg + _listing([self._told(found[0])]))

    def assert_order(self, *expected: type[Any] | Callable[[Any], object]) -> list[E]:
        """
        Return the events that match *expected*, one after the other; there may be others between.

        Args:
            expected: Classes, and predicates of an event.

        Raises:
            AssertionError: One was not published after the ones before it.
        """
        __tracebackhide__ = True
        found: list[E] = []
        rest = iter(self.events)
        for number, wanted in enumerate(expected, 1):
            event = next((event for event in rest if _matches(event, wanted)), None)
            if event is None:
                msg = f"{_name(wanted)}, number {number} of {len(expected)}, was not published"
                if found:
                    msg += f" after {self._told(found[-1])}"
                if any(_matches(event, wanted) for event in self.events):
                    msg += ", only before"
                raise AssertionError(self._with_events(msg))
            found.append(event)
        return found

    async def wait_for(
        self,
        event_type: type[E1],
        when: Callable[[E1], object] | None = None,
        *,
        timeout: float | None = 5,
    ) -> E1:
        """
        Return the first event of a class; wait for it, if it hasn't been published yet.

        Unlike `EventBus.expect` it also finds events that were captured before, and does not count
        as handling.

        Args:
            event_type: The class; instances of its subclasses count too.
            when: A predicate of the event; events it rejects do not count.
            timeout: Seconds to wait, of the event loop's time; None is as long as it takes.

        Raises:
            TimeoutError: There was none in time; the message lists the last events.
        """
        __tracebackhide__ = True
        waiter = _Waiter()
        self._waiters.append(waiter)
        seen = 0
        try:
            with anyio.move_on_after(timeout):
                while True:
                    # An event that comes meanwhile is notified, and looked at in the next round.
                    for event in self.events[seen:]:
                        seen += 1
                        if isinstance(event, event_type) and (when is None or when(event)):
                            return event
                    await waiter.wait()
        finally:
            self._waiters.remove(waiter)
        condition = "" if when is None else f" that {handler_name(when)} says yes to"
        msg = f"{event_type.__qualname__}{condition} was not published within {timeout} s"
        raise TimeoutError(self._with_events(msg))

    def __repr__(self) -> str:
        return f"<Capture of {len(self.events)} events>"

    def _take(self, event: Any) -> None:
        if not isinstance(event, self._classes):
            return
        self.events.append(event)
        for waiter in tuple(self._waiters):
            waiter.notify()

    def _with_events(self, msg: str) -> str:
        count = len(self.events)
        if not count:
            return f"{msg}\nNothing was captured."
        last = self.events[-_SHOWN_EVENTS:]
        which = f"The last {len(last)} of {count}" if len(last) < count else f"All {count}"
        return f"{msg}\n{which} captured events:\n{_listing(map(self._told, last))}"

    def _told(self, event: object) -> str:
        return _shorten(repr(event) if self._with_content else outline(event))

    def _differences(self, event: object, fields: dict[str, object]) -> str:
        """Return which of *fields* are different in *event*, and how."""
        different = []
        for name, expected in fields.items():
            if not hasattr(event, name):
                different.append(f"no {name}")
            elif (value := getattr(event, name)) != expected:
                text = repr(value) if self._with_content else summarize(event).get(name, "withheld")
                different.append(f"{name}={_shorten(str(text))}")
        return ", ".join(different)


@overload
def capture(bus: EventBus, /, *, sender: Any = ANY) -> Capture[Any]: ...
@overload
def capture(bus: EventBus, event_type: type[E1], /, *, sender: Any = ANY) -> Capture[E1]: ...
@overload
def capture(
    bus: EventBus, event_type: type[E1], event_type2: type[E2], /, *, sender: Any = ANY
) -> Capture[E1 | E2]: ...
@overload
def capture(
    bus: EventBus,
    event_type: type[E1],
    event_type2: type[E2],
    event_type3: type[E3],
    /,
    *,
    sender: Any = ANY,
) -> Capture[E1 | E2 | E3]: ...
@overload
def capture(bus: EventBus, /, *event_types: EventType, sender: Any = ANY) -> Capture[Any]: ...
def capture(bus: EventBus, /, *event_types: Any, sender: Any = ANY) -> Capture[Any]:
    """
    Return a context manager that collects the events of a bus.

    ::

        with capture(bus) as captured:
            bus.publish(RealtimeModelTurnStartedEvent())
        captured.assert_published(RealtimeModelTurnStartedEvent)

    It changes nothing for the handlers: like every subscription to ``object`` it does not count as
    handling an event. It is a handler to observers and to ``bus.stats.delivered``, though, and
    like them it comes after middleware, and sees the events that it passes on.

    Args:
        bus: The bus, running or not.
        event_types: Classes, or unions of them; without any, everything is collected.
        sender: The session to collect the events of; by default all of them.

    Raises:
        EventTypeError: One of *event_types* is no class.
    """
    return Capture(bus, event_classes(event_types or (object,)), sender)


def _check_fields(event_type: type[Any], fields: dict[str, object], events: list[Any]) -> None:
    """Refuse the name of a field that no event of the class can have."""
    if not attrs.has(event_type):
        return
    known = [field.name for field in attrs.fields(event_type)]
    for name in fields:
        if name not in known and not any(hasattr(event, name) for event in (event_type, *events)):
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}=?" if close else f"it has {', '.join(known)}."
            msg = f"{event_type.__qualname__} has no field {name!r}; {hint}"
            raise TypeError(msg)


def outline(event: object) -> str:
    """Return a line about *event* without its content."""
    fields = ", ".join(f"{name}={value}" for name, value in summarize(event).items())
    return f"{type(event).__qualname__}({fields})"


def _has(event: object, fields: dict[str, object]) -> bool:
    return not any(
        not hasattr(event, name) or getattr(event, name) != expected
        for name, expected in fields.items()
    )


def _matches(event: object, wanted: type[Any] | Callable[[Any], object]) -> bool:
    return isinstance(event, wanted) if isinstance(wanted, type) else bool(wanted(event))


def _name(wanted: type[Any] | Callable[[Any], object]) -> str:
    return wanted.__qualname__ if isinstance(wanted, type) else handler_name(wanted)


def _call(event_type: type[Any], fields: dict[str, object]) -> str:
    arguments = ", ".join(f"{name}={_shorten(repr(value))}" for name, value in fields.items())
    return f"{event_type.__qualname__}({arguments})" if fields else event_type.__qualname__


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def _listing(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)


# --- time ------------------------------------------------------------------------------------


class FakeClock(Clock):
    """
    Virtual time: seconds pass when the test says so, and take none.

    On asyncio, enter it in the event loop: ``with FakeClock() as clock``. On trio, give it to the
    loop: ``trio.run(main, clock=clock)`` or ``anyio.run(main, backend="trio",
    backend_options={"clock": clock})``; entering it does no harm there. It works with asyncio's
    own event loops only, as a loop like uvloop's keeps its time to itself.

    Leave the block after everything that it has timed: with real time, deadlines set in virtual
    time mean nothing.

    Args:
        autojump: Whether time also moves on, to the next timer, whenever every task waits.
    """

    def __init__(self, *, autojump: bool = False) -> None:
        self._autojump = autojump
        self._time = self._start = 0.0  # both in the event loop's time
        self._order = itertools.count()
        self._targets: list[tuple[float, int, anyio.Event]] = []
        self._has_polled = False
        self._loop: Any = None

    @property
    def now(self) -> float:
        """Seconds that have passed, from 0 on, to the microsecond."""
        return round(self._time - self._start, 6)

    async def advance(self, seconds: float) -> None:
        """
        Let time pass, and return when everything has run that is due by then.

        ``advance(0)`` runs the tasks that are ready, and those that follow from them. If it is
        cancelled, time stays where it has got to.

        Raises:
            ValueError: *seconds* is below 0, or no number.
            EventBusError: The running event loop does not use this clock.
        """
        if not 0 <= seconds < math.inf:
            msg = f"advance() takes a number of seconds from 0 on, not {seconds!r}."
            raise ValueError(msg)
        self._check_used()
        done = anyio.Event()
        target = (self._time + seconds, next(self._order), done)
        heapq.heappush(self._targets, target)
        try:
            await done.wait()
        finally:
            if target in self._targets:
                self._targets.remove(target)
                heapq.heapify(self._targets)

    def __enter__(self) -> Self:
        """
        Make the running event loop use this clock.

        Raises:
            EventBusError: It can't, or does already.
        """
        loop: Any = anyio.lowlevel.current_token().native_token
        if not hasattr(loop, "call_soon_threadsafe"):  # trio's token
            self._check_used()
            return self
        selector = getattr(loop, "_selector", None)
        if selector is None:
            msg = (
                f"FakeClock works with asyncio's own event loops, and {type(loop).__module__} is "
                f"another one's; run the test in a loop made by asyncio.new_event_loop()."
            )
            raise EventBusError(msg)
        if self._loop is not None or "time" in vars(loop):
            msg = "The event loop runs on a FakeClock already; leave that one first."
            raise EventBusError(msg)
        # Never back: the tasks that wait in the loop have deadlines of before.
        passed = self._time - self._start
        self._time = float(math.ceil(loop.time()))
        self._start = self._time - passed
        self._loop = loop
        loop.time = self.current_time
        selector.select = self._make_select(selector.select)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._loop is not None:
            del self._loop.time
            del self._loop._selector.select  # noqa: SLF001  # put there by __enter__
            self._loop = None
        targets, self._targets = self._targets, []
        for _, _, done in targets:
            done.set()

    def __repr__(self) -> str:
        return f"<FakeClock at {self.now:g} s>"

    # --- the clock of trio ---------------------------------------------------------

    def start_clock(self) -> None:
        """Begin, for trio: there is nothing to do."""

    def current_time(self) -> float:
        """Return the event loop's time, in seconds."""
        return self._time

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return the seconds of real time that trio may wait for I/O, as nothing else is ready."""
        # Callbacks from run_sync_soon go first: their task is scheduled by the next look at I/O.
        if sys.modules["trio"].lowlevel.current_statistics().run_sync_soon_queue_size:
            self._has_polled = False
            return 0
        # So does I/O that has happened: one look at it, then time may move.
        self._has_polled = not self._has_polled
        if self._has_polled and (self._targets or self._autojump):
            return 0
        return 0 if self._move(deadline) else math.inf

    # --- the selector of asyncio -------------------------------------------------

    def _make_select(self, select: Callable[[float | None], Any]) -> Callable[..., Any]:
        def select_in_virtual_time(timeout: float | None = None) -> Any:
            # 0: something is ready. None: there is no timer.
            if timeout is not None and timeout <= 0:
                return select(timeout)
            found = select(0)
            deadline = math.inf if timeout is None else self.current_time() + timeout
            if found or self._move(deadline):
                return found
            return select(None)

        return select_in_virtual_time

    def _move(self, deadline: float) -> bool:
        """
        Move time as far as it may go, now that every task waits; whether it did something.

        Args:
            deadline: That of the next timer, in the event loop's time.
        """
        target = self._targets[0][0] if self._targets else math.inf
        if deadline <= target + _SAME_TIME and deadline < math.inf:
            if not self._targets and not self._autojump:
                return False
            self._time = max(self._time, deadline)
        elif self._targets:
            _, _, done = heapq.heappop(self._targets)
            self._time = max(self._time, target)
            done.set()
        else:
            return False
        return True

    def _check_used(self) -> None:
        if anyio.current_time() != self.current_time():
            msg = (
                "The running event loop does not use this FakeClock; on asyncio write "
                "'with clock:' in the loop, on trio start it with trio.run(main, clock=clock)."
            )
            raise EventBusError(msg)

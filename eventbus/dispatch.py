"""
Running a route: each call isolated, one event at a time, in order.

Rules
-----
1. One event at a time. What is published while an event is being dispatched waits in
   ``_queue``; the dispatch that runs works it off when it is done: first in, first out, in a
   loop, not by recursion.
2. A failure becomes an event of its own, published the same way. A failure while handling
   such an event is logged, and that is the end of it.
3. An async handler never runs here: the event goes into its mailbox (see `delivery`).

How it is fast
--------------
A route is compiled once into a list of *calls*: the sync handlers themselves, where nothing
more is wanted of them, and small closures for everything else (a mailbox, a predicate, a
Context, a fallback, middleware, observers). `Dispatcher.publish` finds the list by the event's
class and calls what is in it; all that it can't decide in a few loads is left to `_publish`.
``published``, ``delivered`` and ``unhandled`` are fields of one integer, so that one addition
counts all three.

A handler that is cancelled while an event is being dispatched must not start for it any more.
To ask before each call would be paid for by everybody; instead the list that is being run is
changed under the loop's feet (`_Calls.strike`). All other lists are simply thrown away.

Threads
-------
A bus that runs is its loop's thread's; events from elsewhere are handed over. A bus that
doesn't run takes a publish from any thread, one at a time, and ``_current`` is the lock: it is
tested and set without a call or a backward jump in between, the only places where the
interpreter switches threads. Who finds it set queues up, and is handed the turn by whoever is
done. CPython without the GIL is not supported.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import sys
import time
from collections import deque
from contextvars import copy_context
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any, Final

import anyio.lowlevel
import attrs
from blinker import ANY

from .delivery import Deliveries, Delivery, Tracker, current_delivery
from .events import RealtimeModelExceptionEvent, RealtimeModelRawServerEvent
from .exceptions import BusClosed, BusNotRunning, EventBusError, EventTypeError, MailboxFull
from .handlers import PAYLOAD_TYPES, Context, handler_name
from .mailbox import MailboxQueue, Overflow
from .middleware import HandlerCall, takes_context
from .registry import Registry, Subscription, sender_key
from .routing import find_route
from .runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from .handlers import Handler, Options
    from .middleware import CallNext, Middleware, Observer
    from .streams import Parked

__all__ = ["BusStats", "Dispatcher", "State"]

logger = logging.getLogger(__name__)

# The fields of the tally, each 64 bits wide.
_MASK: Final = (1 << 64) - 1
_PUBLISHED: Final = 1
_DELIVERED: Final = 1 << 64
_UNHANDLED: Final = 1 << 128


class State(enum.Enum):
    """What a bus is doing."""

    IDLE = "idle"
    RUNNING = "running"
    CLOSING = "closing"
    CLOSED = "closed"


@attrs.frozen
class BusStats:
    """
    What a bus has done so far.

    Attributes:
        published: Events that were published, those that the bus published itself included.
        delivered: Handler calls that were started.
        unhandled: Events that nobody took.
        crashed: Handler and middleware calls that failed, timeouts included.
        timed_out: Handler calls that were cancelled by their timeout.
        dropped: Events that a handler did not get because its mailbox was full, or because the
            bus was closed without draining.
        purged: Events that a handler did not get because one of its ``purged_by`` came first.
        pending: Events that wait for an async handler, or are being handled by one.
    """

    published: int
    delivered: int
    unhandled: int
    crashed: int
    timed_out: int
    dropped: int
    purged: int
    pending: int


class _Calls:
    """
    A compiled route.

    Attributes:
        calls: What is called with the event; changed while it is being run.
        originals: The calls as compiled, to tell whose call has failed.
        owners: The subscription behind each call, if there is one.
        tally: What a publish adds to the tally.
        needs_loop: Whether an async handler is among them.
        is_fast: Whether `Dispatcher.publish` may run it by itself.
        inner: Calls that one of these is running at the moment, or may run.
    """

    __slots__ = ("calls", "inner", "is_fast", "needs_loop", "originals", "owners", "tally")

    def __init__(self, tally: int = 0) -> None:
        self.calls: list[Callable[[Any], object]] = []
        self.originals: list[Callable[[Any], object]] = []
        self.owners: list[Subscription | None] = []
        self.tally = tally
        self.needs_loop = False
        self.is_fast = True
        self.inner: _Calls | None = None

    def append(self, call: Callable[[Any], object], owner: Subscription | None = None) -> None:
        """Add one call to be made."""
        self.calls.append(call)
        self.originals.append(call)
        self.owners.append(owner)

    def include(self, inner: _Calls, call: Callable[[Any], object]) -> None:
        """Add *call*, which runs *inner*."""
        self.inner = inner
        self.needs_loop |= inner.needs_loop
        self.is_fast &= inner.is_fast
        self.append(call)

    def owner(self, call: Callable[[Any], object]) -> Subscription | None:
        """Return the subscription behind *call*."""
        return self.owners[self.originals.index(call)]

    def strike(self, subscription: Subscription, uncount: Callable[[Any], object]) -> None:
        """Keep *subscription* from being called, now that the calls may be running."""
        for index, owner in enumerate(self.owners):
            if owner is subscription:
                is_counted = self.calls[index] is subscription.target
                self.calls[index] = uncount if is_counted else _nothing
        if self.inner is not None:
            self.inner.strike(subscription, uncount)


def _nothing(_: object) -> None:
    """Stand in for a call that would have counted itself."""


_TAKEN: Final = _Calls()
"""What ``_current`` is while a thread has the turn, and has not begun yet."""


class _Published:
    """An event that waits for the present dispatch to end, or a thread that waits for its turn."""

    __slots__ = ("event", "sender", "time_ns", "tracker", "turn", "variables")

    def __init__(
        self,
        event: Any = None,
        sender: Any = None,
        tracker: Tracker | None = None,
        turn: Lock | None = None,
    ) -> None:
        self.event = event
        self.sender = sender
        self.tracker = tracker
        self.turn = turn
        self.time_ns = time.time_ns()
        self.variables = copy_context()


class Dispatcher:
    """
    Publishes events. `eventbus.EventBus` is one, with the registering around it.

    Args:
        middleware: What each published event passes first, in this order.
        observers: What sees each handler call.
        strict: Whether failures of handlers are raised, too.
    """

    __slots__ = ("__weakref__", "_chain", "_context", "_crashed", "_current", "_deliveries",
                 "_fast", "_full", "_handed_over", "_inner", "_is_handing_over", "_may_raise",
                 "_observers", "_of_sender", "_parked", "_published_ns", "_queue", "_raised",
                 "_raised_async", "_registry", "_runner", "_sender", "_sender_key", "_shared",
                 "_state", "_strict", "_tally", "_thread", "_tracker")  # fmt: skip

    def __init__(
        self,
        *,
        middleware: Iterable[Middleware] = (),
        observers: Iterable[Observer] = (),
        strict: bool = False,
    ) -> None:
        self._registry = Registry(
            on_change=self._subscriptions_changed,
            on_cancel=self._subscription_cancelled,
            on_dead=self._forget_routes,
        )
        self._deliveries = Deliveries(
            call=self._call_async, on_failure=self._delivery_failed, on_drop=self._dropped
        )
        self._observers = tuple(observers)
        self._chain = self._link(tuple(middleware))
        self._strict = strict
        self._state = State.IDLE
        self._runner: Runner | None = None
        self._thread: int | None = None  # the loop's, while there is one

        # Compiled routes by class. The fast ones, for events without a sender; all of them, for
        # senders without subscriptions of their own; by sender, for those that have some; and
        # what is behind the middleware, by sender too.
        self._fast: dict[type[Any], _Calls] = {}
        self._shared: dict[type[Any], _Calls] = {}
        self._of_sender: dict[Hashable, dict[type[Any], _Calls]] = {}
        self._inner: dict[Hashable, dict[type[Any], _Calls]] = {}

        # The present dispatch.
        self._current: _Calls | None = None
        self._sender: Any = None
        self._sender_key: Hashable = None
        self._tracker: Tracker | None = None
        self._published_ns: int | None = None  # if that was before it began
        self._context: Context | None = None
        self._may_raise = True
        self._full: list[MailboxFull] = []
        self._raised: list[BaseException] = []

        self._queue: deque[_Published] = deque()
        self._handed_over: deque[_Published] = deque()
        self._is_handing_over = False
        self._raised_async: list[BaseException] = []
        self._parked: set[Parked] = set()
        self._tally = 0
        self._crashed = 0

    # --- publishing ---------------------------------------------------------------------

    def publish(self, event: Any, *, sender: Any = None) -> None:
        """
        Publish *event*: sync handlers have run when it returns, async ones have it queued.

        Called from inside a handler it returns at once, and the event is dispatched after the
        present one. Called from another thread than that of the running bus it returns at once,
        too, and the event is handed over, in order.

        Args:
            event: An object of any class. A bare dict, str or bytes is published as a
                `RealtimeModelRawServerEvent` of it.
            sender: The session that the event belongs to. Senders are told apart by identity,
                strings and integers by value.

        Raises:
            BusNotRunning: It would reach an async handler, and the bus doesn't run; no handler
                has run.
            MailboxFull: A mailbox with `Overflow.RAISE` had no room; the other handlers have
                got the event.
            BusClosed: The bus is closed.
            EventTypeError: *event* is a class.
            Exception: What a handler raised, with ``EventBus(strict=True)`` only.
        """
        try:
            calls = self._fast[type(event)]
        except KeyError:
            calls = None
        if (
            calls is None
            or sender is not None
            or (self._thread is not None and self._thread != get_ident())
            or self._current is not None
        ):
            self._publish(event, sender)
            return
        self._current = calls
        self._tally += calls.tally
        for call in calls.calls:
            try:
                call(event)
            except BaseException as exc:  # noqa: BLE001  # a handler's, and it is reported
                self._call_failed(calls, call, event, exc)
        self._current = None
        if self._queue:
            self._work_off()

    async def publish_async(self, event: Any, *, sender: Any = None) -> None:
        """
        Publish *event*, and wait until no full mailbox with `Overflow.BLOCK` got it.

        It returns before async handlers have run. If it is cancelled, the event has been
        published all the same. A handler does not wait for room in its own mailbox.

        Args:
            event: As in `publish`.
            sender: As in `publish`.

        Raises:
            BusNotRunning, MailboxFull, BusClosed, EventTypeError: As in `publish`.
        """
        tracker = self._publish_tracked(event, sender)
        waiting = [queue for queue in tracker.over_capacity if queue not in tracker.blocked]
        for queue in waiting:
            await queue.wait_room()
        if not waiting:
            await anyio.lowlevel.checkpoint()

    async def publish_and_wait(
        self, event: Any, *, sender: Any = None, raise_errors: bool = False
    ) -> None:
        """
        Publish *event*, and return when every handler of it has finished.

        If it is cancelled, the handlers go on. Awaited in a handler that gets the event itself,
        the handler runs for it beside the call that waits.

        Args:
            event: As in `publish`.
            sender: As in `publish`.
            raise_errors: Raise what the handlers raised, once all have finished.

        Raises:
            BaseExceptionGroup: What the handlers raised, if *raise_errors*; an ExceptionGroup,
                unless one of them raised something that is no Exception.
            BusClosed: The bus is closed, or was before all handlers had finished.
            BusNotRunning, MailboxFull, EventTypeError: As in `publish`.
        """
        tracker = self._publish_tracked(event, sender)
        self._parked.add(tracker)
        try:
            await tracker.wait()
        finally:
            self._parked.discard(tracker)
        if tracker.was_aborted:
            msg = f"The bus was closed before all handlers of {_name(event)} had finished."
            raise BusClosed(msg)
        if raise_errors and tracker.errors:
            msg = f"handlers of {_name(event)} failed"
            raise BaseExceptionGroup(msg, tracker.errors)

    @property
    def stats(self) -> BusStats:
        """What the bus has done so far; a snapshot."""
        deliveries = self._deliveries
        return BusStats(
            published=self._tally & _MASK,
            delivered=(self._tally >> 64 & _MASK) + deliveries.delivered,
            unhandled=self._tally >> 128,
            crashed=self._crashed,
            timed_out=deliveries.timed_out,
            dropped=deliveries.dropped,
            purged=deliveries.purged,
            pending=deliveries.pending,
        )

    def _publish_tracked(self, event: Any, sender: Any) -> Tracker:
        if self._thread is not None and self._thread != get_ident():
            msg = "The bus runs in another thread's event loop; await this there, or use publish."
            raise EventBusError(msg)
        tracker = Tracker(self._deliveries.blocked())
        self._publish(event, sender, tracker)
        return tracker

    def _publish(self, event: Any, sender: Any, tracker: Tracker | None = None) -> None:
        """Publish with all that `publish` has no time for."""
        self._check_open()
        if isinstance(event, type):
            msg = f"publish takes an event, and got the class {event.__qualname__}; call it."
            raise EventTypeError(msg, event_type=event)
        if self._thread is not None and self._thread != get_ident():
            self._hand_over(_Published(event, sender))
            return
        event = _wrap_payload(event)
        calls = self._find(type(event), sender)
        if self._current is None:
            self._current = calls
        elif self._thread is not None or self._is_publishing_here():
            self._queue.append(_Published(event, sender, tracker))
            return
        else:
            self._wait_for_turn()
            self._current = calls = self._find(type(event), sender)
        self._may_raise = True
        self._run(calls, event, sender, tracker)
        if self._queue:
            self._work_off()
        if self._full or self._raised:
            self._raise_what_is_due()

    def _publish_own(self, event: RealtimeModelExceptionEvent) -> None:
        """Publish what the bus itself has to say; that never fails."""
        self._queue.append(_Published(event, event.sender))
        if self._current is None:
            self._work_off()
            self._raised_async += self._raised
            self._raised.clear()

    def _check_open(self) -> None:
        if self._state is State.CLOSED:
            msg = "The bus is closed; to publish again, enter it again: async with bus."
            raise BusClosed(msg)
        if self._state is State.CLOSING and not self._is_inside_handler():
            msg = "The bus is closing: until it has drained, only its handlers can publish."
            raise BusClosed(msg)

    def _is_inside_handler(self) -> bool:
        if self._thread == get_ident() and self._current is not None:
            return True
        return current_delivery(self._deliveries) is not None

    def _run(
        self,
        calls: _Calls,
        event: Any,
        sender: Any,
        tracker: Tracker | None,
        published_ns: int | None = None,
    ) -> None:
        """Dispatch *event*; the turn is this thread's, and given back."""
        self._tally += calls.tally
        self._sender = sender
        self._sender_key = None if sender is None else sender_key(sender)
        self._tracker = tracker
        self._published_ns = published_ns
        try:
            self._run_calls(calls, event)
        finally:
            self._sender = self._sender_key = self._tracker = self._published_ns = None
            self._current = None

    def _run_calls(self, calls: _Calls, event: Any) -> None:
        for call in calls.calls:
            try:
                call(event)
            except BaseException as exc:  # noqa: BLE001  # a handler's, and it is reported
                self._call_failed(calls, call, event, exc)

    # --- turns --------------------------------------------------------------------------

    def _take_turn(self) -> bool:
        if self._current is not None:
            return False
        self._current = _TAKEN
        return True

    def _work_off(self) -> None:
        """Dispatch what waits, up to the turn of another thread, which is handed over."""
        while self._queue and self._take_turn():
            # Only who has the turn takes from the queue, but it may have been emptied meanwhile.
            published = self._queue.popleft() if self._queue else None
            if published is None:
                self._current = None
            elif published.turn is not None:
                published.turn.release()
                return
            else:
                published.variables.run(self._run_published, published)

    def _run_published(self, published: _Published) -> None:
        """Dispatch an event whose publisher has gone on: there is nobody to raise to."""
        event, sender = _wrap_payload(published.event), published.sender
        self._may_raise = False
        try:
            calls = self._find(type(event), sender)
        except BusNotRunning as exc:
            self._current = None
            self._report_lost(event, exc)
        else:
            self._current = calls
            self._run(calls, event, sender, published.tracker, published.time_ns)

    def _report_lost(self, event: Any, reason: BusNotRunning) -> None:
        """Say that an event found an async handler, and no loop to run it in."""
        if isinstance(event, RealtimeModelExceptionEvent):
            _log_exception_event(event)
        else:
            logger.error(
                "an event was lost: the bus stopped running before it was dispatched",
                extra={"event_type": _name(event)},
                exc_info=reason,
            )

    def _is_publishing_here(self) -> bool:
        """
        Whether this thread is inside a dispatch of this bus.

        The fast path has no time to note its thread, and only a publish that finds the bus busy
        must know: it looks for itself further up its own stack.
        """
        frame = sys._getframe(1)  # noqa: SLF001  # documented, if specific to CPython
        while frame is not None:
            if frame.f_code in _DISPATCHING and frame.f_locals["self"] is self:
                return True
            frame = frame.f_back  # type: ignore[assignment]  # None at the end, as tested
        return False

    def _wait_for_turn(self) -> None:
        """Wait until the thread that dispatches hands the turn to this one."""
        turn = Lock()
        turn.acquire()
        waiting = _Published(turn=turn)
        self._queue.append(waiting)
        self._work_off()  # in case that it was done before it could see us
        try:
            turn.acquire()
        except BaseException:  # a KeyboardInterrupt, while it waits
            if waiting in self._queue:
                self._queue.remove(waiting)
            else:
                self._current = None
                self._work_off()
            raise

    def _hand_over(self, published: _Published) -> None:
        """Give an event to the loop's thread; from any other."""
        assert self._runner is not None
        self._handed_over.append(published)
        if not self._is_handing_over:
            self._is_handing_over = True
            try:
                self._runner.call_soon(self._take_over)
            except BusClosed:
                self._is_handing_over = False
                self._handed_over.clear()
                raise

    def _take_over(self) -> None:
        """Dispatch what other threads have published; called in the loop's."""
        # Before the queue is looked at: what comes from now on calls again.
        self._is_handing_over = False
        try:
            while self._handed_over:
                self._queue.append(self._handed_over.popleft())
                self._work_off()
        except (KeyboardInterrupt, SystemExit) as exc:
            assert self._runner is not None
            self._runner.fail(exc)
        finally:
            self._raised_async += self._raised
            self._raised.clear()
            if self._runner is not None:
                self._runner.notice()

    # --- failures -----------------------------------------------------------------------

    def _call_failed(
        self, calls: _Calls, call: Callable[[Any], object], event: Any, exc: BaseException
    ) -> None:
        if isinstance(exc, (KeyboardInterrupt, SystemExit)):
            self._current = None
            raise
        owner = calls.owner(call)
        handler = None if owner is None else owner.handler
        name = "the bus" if owner is None else owner.description.name
        if self._tracker is not None:
            self._tracker.errors.append(exc)
        if self._strict:
            self._raised.append(exc)
        self._report(exc, f"{name} failed on {_name(event)}", event, handler, self._sender)

    def _delivery_failed(self, delivery: Delivery, exc: BaseException) -> None:
        subscription = delivery.queue.subscription
        if self._strict:
            self._raised_async.append(exc)
        context = f"{subscription.description.name} failed on {_name(delivery.event)}"
        sender = delivery.queue.sender
        self._report(exc, context, delivery.event, subscription.handler, sender)

    def _report(
        self, exc: BaseException, context: str, event: Any, handler: Any, sender: Any
    ) -> None:
        """Count a failure, and publish it, unless it happened while handling one."""
        self._crashed += 1
        if isinstance(event, RealtimeModelExceptionEvent):
            logger.error(
                "a handler of RealtimeModelExceptionEvent failed itself",
                extra={"handler": None if handler is None else handler_name(handler)},
                exc_info=exc,
            )
            return
        self._publish_own(
            RealtimeModelExceptionEvent(exc, context, event=event, handler=handler, sender=sender)
        )

    def _dropped(self, queue: MailboxQueue, count: int, event: Any) -> None:
        """Say that a mailbox had no room: to the publisher, or once a burst to everybody."""
        self._deliveries.dropped += count
        subscription, settings = queue.subscription, queue.settings
        name = subscription.description.name
        msg = (
            f"The mailbox of {name} is full with {settings.capacity} events; "
            f"{_CONSEQUENCES[settings.overflow]}. Make the handler quicker or the mailbox larger."
        )
        full = MailboxFull(msg, handler=subscription.handler, capacity=settings.capacity)
        if settings.overflow is Overflow.RAISE and self._may_raise:
            self._full.append(full)
        elif not queue.in_burst:
            queue.in_burst = True
            self._publish_own(
                RealtimeModelExceptionEvent(
                    full,
                    f"the mailbox of {name} is full",
                    event=event,
                    handler=subscription.handler,
                    sender=queue.sender,
                )
            )

    def _raise_what_is_due(self) -> None:
        full, self._full = self._full, []
        raised, self._raised = self._raised, []
        if full:
            for other in full[1:]:
                full[0].add_note(str(other))
            raised.append(full[0])
        raise_together("handlers failed", raised)

    # --- compiling ----------------------------------------------------------------------

    def _find(self, event_type: type[Any], sender: Any) -> _Calls:
        """
        Return the calls for events of *event_type* from *sender*.

        Raises:
            BusNotRunning: They need a running bus.
        """
        table = self._shared
        if sender is not None:
            key = sender_key(sender)
            if key in self._registry.senders:
                table = self._of_sender.setdefault(key, {})
        calls = table.get(event_type)
        if calls is None:
            with self._registry.lock:
                calls = self._compile(event_type, sender)
                table[event_type] = calls
                self._keep_fast(event_type, calls, table)
        if calls.needs_loop and self._runner is None:
            msg = (
                f"{event_type.__qualname__} has an async handler, and the bus isn't running; "
                f"publish inside 'async with bus:'."
            )
            raise BusNotRunning(msg)
        return calls

    def _keep_fast(
        self, event_type: type[Any], calls: _Calls, table: dict[type[Any], _Calls]
    ) -> None:
        """Let `publish` run *calls* by itself, if nothing speaks against it."""
        is_open = self._state is State.RUNNING or (
            self._state is State.IDLE and not calls.needs_loop
        )
        if table is self._shared and calls.is_fast and is_open and not self._strict:
            self._fast[event_type] = calls

    def _compile(self, event_type: type[Any], sender: Any) -> _Calls:
        calls = self._compile_route(event_type, sender)
        if self._chain is not None:
            inner, calls = calls, _Calls()
            calls.include(inner, self._chain)
        calls.tally += _PUBLISHED
        return calls

    def _compile_route(self, event_type: type[Any], sender: Any) -> _Calls:
        registry = self._registry
        route = find_route(event_type, lambda cls: registry.subscriptions_for(cls, sender))
        calls = _Calls()
        purged = registry.purged_by(event_type, sender)
        if purged:
            calls.append(lambda _: self._deliveries.purge(purged, self._sender_key))
        if any(s.description.wants_context for s in (*route.direct, *route.fallback)):
            calls.append(self._begin_context)
        for subscription in route.direct:
            self._append(calls, subscription)
        if route.wrap is not None:
            wrap, inner = route.wrap, _Calls()
            for subscription in route.fallback:
                self._append(inner, subscription)
            calls.tally += inner.tally
            calls.include(inner, lambda event: self._run_calls(inner, wrap(event)))
        elif not route.is_handled:
            calls.tally += _UNHANDLED
            if issubclass(event_type, RealtimeModelExceptionEvent):
                calls.append(_log_exception_event)
            elif not issubclass(event_type, RealtimeModelRawServerEvent):
                calls.append(_log_unhandled)
        return calls

    def _append(self, calls: _Calls, subscription: Subscription) -> None:
        """Compile one subscription into one call."""
        options, handler = subscription.options, subscription.description
        if handler.is_async:
            calls.needs_loop = True
            if options.mailbox is not None and options.mailbox.overflow is Overflow.RAISE:
                calls.is_fast = False
            calls.append(self._async_call(subscription), subscription)
        elif (
            options.once
            or options.when is not None
            or options.weak
            or handler.wants_context
            or self._observers
        ):
            calls.append(self._sync_call(subscription), subscription)
        else:
            calls.append(subscription.target, subscription)
            calls.tally += _DELIVERED

    def _sync_call(self, subscription: Subscription) -> Callable[[Any], object]:
        options, wants_context = subscription.options, subscription.description.wants_context
        when, once = options.when, options.once

        def call(event: Any) -> None:
            if when is not None and not when(event):
                return
            if once and not self._spend(subscription):
                return
            handler = subscription.handler if options.weak else subscription.target
            if handler is None:  # its object is gone, and the collector has not said so yet
                return
            self._tally += _DELIVERED
            args = (event, self._make_context()) if wants_context else (event,)
            if self._observers:
                self._observe(subscription, handler, args)
            else:
                handler(*args)

        return call

    def _async_call(self, subscription: Subscription) -> Callable[[Any], object]:
        options, wants_context = subscription.options, subscription.description.wants_context
        when, once, is_observed = options.when, options.once, bool(self._observers)
        put = self._deliveries.put

        def call(event: Any) -> None:
            if when is not None and not when(event):
                return
            if once and not self._spend(subscription):
                return
            put(
                subscription,
                event,
                self._sender,
                self._sender_key,
                self._make_context() if wants_context else None,
                self._tracker,
                is_observed=is_observed,
            )

        return call

    def _spend(self, subscription: Subscription) -> bool:
        """Use up a subscription that is good for one event; whether it was still good."""
        with self._registry.lock:
            if not subscription.is_active:
                return False
            self._registry.expire(subscription)
            return True

    async def _call_async(self, delivery: Delivery) -> None:
        subscription = delivery.queue.subscription
        handler = subscription.handler if subscription.options.weak else subscription.target
        if handler is None:
            return
        event, context = delivery.event, delivery.context
        args = (event,) if context is None else (event, context)
        if self._observers:
            await self._observe_async(delivery, handler, args)
        else:
            await handler(*args)

    def _begin_context(self, _: object) -> None:
        self._context = None

    def _make_context(self) -> Context:
        """Return the present event's Context: the same one for all of its handlers."""
        if self._context is None:
            published_ns = self._published_ns
            self._context = Context(
                self._sender,
                self._tally & _MASK,
                time.time_ns() if published_ns is None else published_ns,
                self,  # type: ignore[arg-type]  # an EventBus is one of these
            )
        return self._context

    # --- middleware and observers -------------------------------------------------------

    def _link(self, middleware: tuple[Middleware, ...]) -> Callable[[Any], None] | None:
        """Fold *middleware* into one call, each of them isolated."""
        if not middleware:
            return None
        call_next: CallNext = self._pass_middleware
        for function in reversed(middleware):
            call_next = self._link_one(function, call_next)
        first = call_next

        def begin(event: Any) -> None:
            self._context = None
            first(event)

        return begin

    def _link_one(self, middleware: Any, call_next: CallNext) -> CallNext:
        wants_context = takes_context(middleware)

        def link(event: Any) -> None:
            try:
                if wants_context:
                    middleware(event, call_next, self._make_context())
                else:
                    middleware(event, call_next)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as exc:  # noqa: BLE001  # the middleware's, and it is reported
                if self._strict:
                    self._raised.append(exc)
                context = f"middleware {handler_name(middleware)} failed on {_name(event)}"
                self._report(exc, context, event, middleware, self._sender)

        return link

    def _pass_middleware(self, event: Any) -> None:
        """Take what the last middleware passes on to its handlers."""
        event = _wrap_payload(event)
        key = self._sender_key if self._sender_key in self._registry.senders else None
        table = self._inner.setdefault(key, {})
        calls = table.get(type(event))
        if calls is None:
            with self._registry.lock:
                calls = table[type(event)] = self._compile_route(type(event), self._sender)
        if calls.needs_loop and self._runner is None:
            msg = f"{_name(event)} has an async handler, and the bus isn't running."
            raise BusNotRunning(msg)
        assert self._current is not None
        self._current.inner = calls
        self._tally += calls.tally
        self._run_calls(calls, event)

    def _observe(
        self, subscription: Subscription, handler: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        call = HandlerCall(handler, args[0], self._sender)
        started_ns = self._tell_started(call)
        try:
            handler(*args)
        except BaseException as exc:
            self._tell_finished(call, started_ns, exc)
            raise
        self._tell_finished(call, started_ns, None)

    async def _observe_async(
        self, delivery: Delivery, handler: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        queued_ns = time.perf_counter_ns() - delivery.queued_ns
        call = HandlerCall(handler, args[0], delivery.queue.sender, queued_ns)
        started_ns = self._tell_started(call)
        try:
            await handler(*args)
        except BaseException as exc:
            self._tell_finished(call, started_ns, exc)
            raise
        self._tell_finished(call, started_ns, None)

    def _tell_started(self, call: HandlerCall) -> int:
        for observer in self._observers:
            try:
                observer.handler_started(call)
            except Exception:
                _log_observer(observer)
        return time.perf_counter_ns()

    def _tell_finished(
        self, call: HandlerCall, started_ns: int, error: BaseException | None
    ) -> None:
        call = attrs.evolve(call, run_ns=time.perf_counter_ns() - started_ns, error=error)
        for observer in self._observers:
            try:
                observer.handler_finished(call)
            except Exception:
                _log_observer(observer)

    # --- running and closing ------------------------------------------------------------

    async def _start(self) -> Runner:
        """Run in the event loop that this is awaited in."""
        if self._runner is not None:
            msg = "The bus is running already; enter another one, or close this one first."
            raise EventBusError(msg)
        while self._current is not None:  # a thread is in the middle of a dispatch
            await anyio.lowlevel.checkpoint()
        runner = Runner(
            is_quiet=lambda: not self._handed_over,
            on_abort=self._deliveries.abort,
            on_end=self._end,
        )
        self._runner = self._deliveries.runner = runner
        self._thread = runner.thread
        self._state = State.RUNNING
        self._forget_routes()  # what async handlers are in can be fast now
        return runner

    def _end(self, runner: Runner) -> None:
        """Be closed, once nothing runs in *runner* any more, or is waited for."""
        if self._runner is not runner:
            return
        self._runner = self._deliveries.runner = None
        self._thread = None
        self._state = State.CLOSED
        self._forget_routes()
        for parked in tuple(self._parked):
            parked.abort()

    async def aclose(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """
        Close the bus; after it, `publish` raises `BusClosed`.

        With *drain*, events that are queued are handled first, and those that handlers publish
        meanwhile; everybody else's publish is refused at once. Without it, or when the time is
        up, handlers are cancelled, and what is queued is dropped. In the end iterators stop,
        and who waits gets `BusClosed`.

        It may be called from several tasks, and again later. Called in a handler, it returns at
        once, and the bus closes when it can. If it is cancelled, the bus is closed without
        draining.

        Args:
            drain: Whether to handle what is queued.
            timeout:
                Seconds for all of it, after which handlers that ignore their cancellation are
                left behind. None is as long as it takes to drain, and two seconds to cancel.

        Raises:
            EventBusError: The bus runs in another thread's event loop.
        """
        runner = self._runner
        if runner is None:
            self._state = State.CLOSED
            self._forget_routes()
            return
        if self._thread != get_ident():
            msg = "The bus runs in another thread's event loop; await aclose() there."
            raise EventBusError(msg)
        self._state = State.CLOSING
        self._fast.clear()
        if self._is_inside_handler():
            runner.request_stop(drain=drain, timeout=timeout)
            return
        await runner.stop(drain=drain, timeout=timeout)
        self._end(runner)

    @contextlib.contextmanager
    def _attach(
        self,
        handler: Handler,
        event_types: tuple[type[Any], ...],
        options: Options,
        parked: Parked,
    ) -> Iterator[Subscription]:
        """Subscribe on behalf of a task that waits for events, while it does."""
        if self._runner is None:
            msg = f"{handler.name} waits for events, and the bus isn't running; enter it first."
            raise BusNotRunning(msg)
        self._parked.add(parked)
        try:
            with self._registry.add(handler, event_types, options) as subscription:
                yield subscription
        finally:
            self._parked.discard(parked)

    # --- changes of the books -----------------------------------------------------------

    def _subscriptions_changed(self, sender: Any) -> None:
        if sender is ANY:
            self._forget_routes()
        else:
            key = sender_key(sender)
            self._of_sender.pop(key, None)
            self._inner.pop(key, None)

    def _subscription_cancelled(self, subscription: Subscription) -> None:
        current = self._current
        if current is not None:
            current.strike(subscription, self._uncount)
        self._deliveries.forget(subscription)

    def _uncount(self, _: object) -> None:
        """Stand in for a call that was counted in advance, and isn't made."""
        self._tally -= _DELIVERED

    def _forget_routes(self) -> None:
        self._fast.clear()
        self._shared.clear()
        self._of_sender.clear()
        self._inner.clear()


_DISPATCHING: Final = frozenset({Dispatcher.publish.__code__, Dispatcher._run.__code__})  # noqa: SLF001

_CONSEQUENCES: Final = {
    Overflow.DROP_OLDEST: "the oldest is dropped for each new one",
    Overflow.DROP_NEWEST: "new ones are dropped",
    Overflow.LATEST: "all of them were dropped for the latest",
    Overflow.RAISE: "the new one was dropped",
}


def raise_together(message: str, errors: list[BaseException]) -> None:
    """Raise the one error that there is, or a group of them; nothing if there is none."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup(message, errors)


def _name(event: object) -> str:
    return type(event).__qualname__


def _wrap_payload(event: Any) -> Any:
    return RealtimeModelRawServerEvent(event) if type(event) in PAYLOAD_TYPES else event


def _log_unhandled(event: object) -> None:
    logger.debug("no handler took an event", extra={"event_type": _name(event)})


def _log_exception_event(event: RealtimeModelExceptionEvent) -> None:
    logger.error(
        "a failure that no handler of RealtimeModelExceptionEvent took",
        extra={"context": event.context},
        exc_info=event.exception,
    )


def _log_observer(observer: object) -> None:
    logger.exception("an observer failed", extra={"observer": type(observer).__qualname__})

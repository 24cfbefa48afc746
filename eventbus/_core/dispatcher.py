"""
Running a route: each call isolated, one event at a time, in order.

Rules
-----
1. One event at a time, in the order of publication (see `turn`).
2. A failure becomes an event of its own, published the same way. A failure while handling
   such an event is logged, and that is the end of it.
3. An async handler never runs here: the event goes into its mailbox (see `delivery`).
4. A bus that runs belongs to its loop's thread; events from other threads are handed over to it.
   A bus that doesn't run takes them from any thread.

How it is fast
--------------
A route is compiled once into a list of calls (see `compiler`). The publish methods of the bus and
of a scope find the list by the event's class and sender (see `routes`) and make the calls
themselves, in one function; `Dispatcher.publish` is for all else: an event that isn't known yet,
that comes from inside a handler or from another thread, or that middleware must pass first.
"""

from __future__ import annotations

import contextlib
import logging
import os
import weakref
from collections import deque
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from ..events import RealtimeModelExceptionEvent, RealtimeModelRawServerEvent
from ..exceptions import (
    BusClosed,
    BusNotRunning,
    EventBusError,
    EventTypeError,
    HandlerError,
    MailboxFull,
    is_exit,
)
from ..mailbox import Overflow
from ..middleware import EventsDropped
from .calls import Calls
from .chain import chain
from .compiler import Compiler, Dispatch, log_exception_event
from .delivery import Deliveries, Tracker
from .failures import Failures
from .observing import check_observer, stamp_of, tell_dropped
from .registry import Registry, Subscription, sender_key
from .routes import Routes
from .signatures import PAYLOAD_TYPES, handler_name
from .turn import DELIVERED, PUBLISHED, Published, Turn, dispatches
from .waiting import Waiters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..context import Publisher
    from ..middleware import DropReason, Middleware, Observer
    from .delivery import Item
    from .queue import MailboxQueue
    from .workers import Runner

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


@attrs.frozen
class BusStats:
    """
    The counts of a bus so far.

    Attributes:
        published: Events that were published, those that the bus published itself included.
        delivered: Handler calls that were started.
        unhandled: Events that no handler took.
        crashed: Handler and middleware calls that failed, timeouts included.
        timed_out: Handler calls that were cancelled by their timeout.
        dropped: Events that a handler did not get because its mailbox was full, or because the
            bus was closed without draining.
        purged: Events that a handler did not get because one of its ``purged_by`` came first.
        cancelled: Events that a handler did not get because its subscription or its scope ended
            while they waited.
        pending: Events that wait for an async handler, or are being handled by one.
    """

    published: int
    delivered: int
    unhandled: int
    crashed: int
    timed_out: int
    dropped: int
    purged: int
    cancelled: int
    pending: int


class Dispatcher:
    """
    The publishing half of one bus.

    Args:
        bus: The bus, which handlers find in their Context.
        middleware: The functions that each published event passes first, in this order.
        observers: The observers of handler calls.
        strict: True to raise the failures of handlers, too.

    Attributes:
        turn: The turn to dispatch.
        routes: The compiled routes.
        registry: The subscriptions.
        deliveries: The queues of async handlers.
        dispatch: The circumstances of the event that is being dispatched.
        waiters: The tasks that wait for events.
        raised_async: Failures of async handlers of a strict bus, to be raised when it is left.
        runner: Has the workers, while the bus runs.
        is_closing: True if the bus drains, and only its handlers may publish.
        is_closed: True if the bus was closed, and not entered again.
    """

    def __init__(
        self,
        bus: Publisher,
        *,
        middleware: Iterable[Middleware] = (),
        observers: Iterable[Observer] = (),
        strict: bool = False,
    ) -> None:
        self.turn = Turn(self._dispatch_waiting, self._give_up)
        self.registry = Registry(
            on_change=lambda sender: self.routes.forget(sender),  # noqa: PLW0108  # made below
            on_cancel=self._subscription_cancelled,
            on_dead=lambda: self.routes.forget_all(),  # noqa: PLW0108  # made below
        )
        self.dispatch = Dispatch()
        self.deliveries = Deliveries(
            call=lambda queue, item: self._compiler.call_async(queue, item),  # noqa: PLW0108
            on_failure=self._delivery_failed,
            on_drop=self.dropped,
            on_discard=self._discarded,
        )
        self._compiler = Compiler(
            bus, self.registry, self.deliveries, self.dispatch, self.turn, run=self._run_calls
        )
        observers = _several(observers, "observers")
        for observer in observers:
            check_observer(observer)
        self._compiler.observe(observers)
        self._chain = chain(
            _several(middleware, "middleware"),
            self._pass_middleware,
            on_failure=self._middleware_failed,
            begin_context=self._begin_middleware,
            make_context=self._compiler.make_context,
        )
        self.routes = Routes(
            self.registry,
            self._compile,
            self._compile_own,
            self._unhandled_classes,
            lambda event_type, sender: self._compiler.compile(event_type, sender, begins=False),
        )
        self.waiters = Waiters(self.registry, self.deliveries)
        self._strict = strict
        self.routes.may_be_fast = not strict
        self.runner: Runner | None = None
        self.is_closing = self.is_closed = False

        # Failures of the present dispatch, and whether its publisher can be told.
        self._may_raise = True
        self._full: list[MailboxFull] = []
        self._raised = Failures()
        self.raised_async = Failures()

        self.handed_over: deque[Published] = deque()
        self._is_handing_over = False
        self._crashed = 0
        self._entered: Any = None  # the latest event that middleware was called with
        _dispatchers.add(self)

    # --- publishing ---------------------------------------------------------------------

    @dispatches
    def publish(  # noqa: C901  # each case is a line, and the order of them matters
        self, event: Any, sender: Any, tracker: Tracker | None = None
    ) -> None:
        """Publish with all that the publish of the bus has no time for."""
        turn = self.turn
        self.check_open()
        if isinstance(event, type):
            msg = f"publish takes an event, and got the class {event.__qualname__}; call it."
            raise EventTypeError(msg, event_type=event)
        if turn.thread is not None and turn.thread != get_ident():
            self._hand_over(Published(event, sender))
            return
        event = wrap_payload(event)
        if turn.is_waited_for and turn.current is None:
            turn.work_off()  # the events that a KeyboardInterrupt has left behind come first
        calls: Calls | None = self.routes.find(event, sender)
        if turn.current is None:
            turn.current = calls
        elif turn.thread is not None or turn.is_dispatching_here():
            turn.queue_up(Published(event, sender, tracker))
            return
        elif self.registry.is_held_here():
            # A finalizer that runs while subscriptions change: the other thread may need the lock.
            turn.queue_up(Published(event, sender, tracker))
            turn.work_off()
            return
        else:
            turn.wait()
            calls = None  # it may be another one by now
        try:
            if calls is None:
                turn.current = calls = self.routes.find(event, sender)
            self._may_raise = True
            self._run(calls, event, sender, tracker)
            turn.current = None
        except BaseException:
            turn.give_up()
            raise
        if turn.is_waited_for:
            turn.work_off()
        if self._full or self._raised:
            self._raise_failures()

    def publish_tracked(self, event: Any, sender: Any, *, waits_for_handlers: bool) -> Tracker:
        """Publish, and return the tracker of the event; see `Tracker`."""
        thread = self.turn.thread
        if thread is not None and thread != get_ident():
            msg = "The bus runs in another thread's event loop; await this there, or use publish."
            raise EventBusError(msg)
        tracker = Tracker(self.deliveries.blocked(), waits_for_handlers=waits_for_handlers)
        self.publish(event, sender, tracker)
        return tracker

    def publish_own(self, event: RealtimeModelExceptionEvent) -> None:
        """Publish a report of the bus itself; that never fails."""
        self.turn.queue_up(Published(event, event.sender))
        if self.turn.current is None:
            self.turn.work_off()
            self._raised.move_to(self.raised_async)

    def check_open(self) -> None:
        """
        Check that the present code may publish.

        Raises:
            BusClosed: The bus is closed, or it drains and this is not one of its handlers.
        """
        runner = self.runner
        if runner is not None and runner.backend.is_gone:
            self.end(runner)
        if self.is_closed:
            msg = "The bus is closed; to publish again, enter it again: async with bus."
            raise BusClosed(msg)
        if self.is_closing and not self.is_inside_handler():
            msg = "The bus is closing: until it has drained, only its handlers can publish."
            raise BusClosed(msg)

    def is_inside_handler(self) -> bool:
        """Return True if this is called in a handler of the bus."""
        if self.turn.thread == get_ident() and self.turn.current is not None:
            return True
        return self.deliveries.current() is not None

    def _run(
        self,
        calls: Calls,
        event: Any,
        sender: Any,
        tracker: Tracker | None,
        published_ns: int | None = None,
    ) -> None:
        """Dispatch *event*; the turn is this thread's."""
        self.turn.tally += calls.tally
        dispatch = self.dispatch
        if sender is not None:
            dispatch.sender, dispatch.key = sender, sender_key(sender)
        dispatch.tracker, dispatch.published_ns = tracker, published_ns
        try:
            self._run_calls(calls, event)
        finally:
            dispatch.clear()
            if tracker is not None:
                tracker.end(None)

    def _run_calls(self, calls: Calls, event: Any) -> None:
        for call in calls.calls:
            try:
                call(event)
            except BaseException as exc:
                if not self.isolate(calls, call, event, self.dispatch.sender, exc):
                    raise

    # --- events that have waited --------------------------------------------------------

    def _dispatch_waiting(self, published: Published) -> None:
        """Dispatch an event after its publisher has gone on: nobody is left to raise to."""
        event, sender = wrap_payload(published.event), published.sender
        self._may_raise = False
        try:
            calls = self.routes.find(event, sender)
        except BusNotRunning as exc:
            if published.tracker is not None:
                published.tracker.end(None)
            self.report_lost(event, exc)
        else:
            self.turn.current = calls
            self._run(calls, event, sender, published.tracker, published.time_ns)

    def _give_up(self) -> None:
        self._full.clear()
        self._raised.take()
        self.routes.forget_fast()  # a fast route begins without a look at the queue

    def report_lost(self, event: Any, reason: BusNotRunning) -> None:
        """Log an event that found an async handler, and no loop to run it in."""
        if isinstance(event, RealtimeModelExceptionEvent):
            log_exception_event(event)
        else:
            logger.error(
                "an event was lost: the bus stopped running before it was dispatched",
                extra={"event_type": _name(event)},
                exc_info=reason,
            )

    def _hand_over(self, published: Published) -> None:
        """Give an event to the loop's thread; from any other."""
        runner = self.runner
        if runner is None:
            msg = "The bus was closed a moment ago; to publish again, enter it again."
            raise BusClosed(msg)
        self.handed_over.append(published)
        if not self._is_handing_over:
            self._is_handing_over = True
            try:
                runner.backend.call_soon(self._take_over)
            except BusClosed:
                self._is_handing_over = False
                self.handed_over.clear()
                raise

    def _take_over(self) -> None:
        """Dispatch the events of other threads; called in the loop's."""
        # Before the queue is looked at: an event that comes from now on calls again. So this ends,
        # even if another thread publishes without a pause.
        self._is_handing_over = False
        try:
            for _ in range(len(self.handed_over)):
                self.turn.queue_up(self.handed_over.popleft())
                self.turn.work_off()
        except BaseException as exc:
            if self.runner is None or not is_exit(exc):
                raise
            self.runner.fail(exc)
        finally:
            self._raised.move_to(self.raised_async)
            if self.runner is not None:
                self.runner.notice()

    # --- failures -----------------------------------------------------------------------

    def isolate(
        self,
        calls: Calls,
        call: Callable[[Any], object],
        event: Any,
        sender: Any,
        exc: BaseException,
    ) -> bool:
        """Report an exception of *call*; False if it is not to be kept, and must be raised."""
        if is_exit(exc):
            return False
        owner = calls.owner(call)
        handler = None if owner is None else owner.handler
        name = "the bus" if owner is None else owner.description.name
        if self.dispatch.tracker is not None:
            self.dispatch.tracker.errors.append(exc)
        if self._strict:
            self._raised.append(exc)
        self._report(exc, f"{name} failed on {_name(event)}", event, handler, sender)
        return True

    def _delivery_failed(self, queue: MailboxQueue, event: Any, exc: BaseException) -> None:
        subscription = queue.subscription
        if self._strict:
            self.raised_async.append(exc)
        context = f"{subscription.description.name} failed on {_name(event)}"
        self._report(exc, context, event, subscription.handler, queue.sender)

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
        self.publish_own(
            RealtimeModelExceptionEvent(exc, context, event=event, handler=handler, sender=sender)
        )

    def dropped(self, queue: MailboxQueue, count: int, event: Any) -> None:
        """Report that a mailbox had no room: to the publisher, or once a burst as an event."""
        self.deliveries.dropped += count
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
            self.publish_own(
                RealtimeModelExceptionEvent(
                    full,
                    f"the mailbox of {name} is full",
                    event=event,
                    handler=subscription.handler,
                    sender=queue.sender,
                )
            )

    def _discarded(self, queue: MailboxQueue, items: Sequence[Item], reason: DropReason) -> None:
        """Report to the observers the events that a handler will not get."""
        observers, handler = self._compiler.observers, queue.subscription.handler
        for tap in self._compiler.taps:
            stamps = [stamp_of(item[4], tap) for item in items]
            tap.items_dropped(handler, queue.sender, stamps, reason)
        if len(observers) > len(self._compiler.taps):
            noted = [stamp_of(item[4], None) for item in items]
            numbers = tuple(0 if stamp is None else stamp[1] for stamp in noted)
            events = tuple(item[0] for item in items)
            dropped = EventsDropped(handler, queue.sender, events, numbers, reason)
            tell_dropped(observers, dropped)

    def _raise_failures(self) -> None:
        full, self._full = self._full, []
        if full:
            for other in full[1:]:
                full[0].add_note(str(other))
            self._raised.append(full[0])
        self._raised.raise_all()

    # --- routes -------------------------------------------------------------------------

    def _compile(self, event_type: type[Any], sender: Any) -> Calls:
        calls = self._compiler.compile(event_type, sender)
        if self._chain is not None:
            inner, calls = calls, Calls()
            self._compiler.announce(calls, event_type)
            calls.include(inner, self._chain)
            calls.is_fast = False  # middleware may make another event of it, for which it isn't
        calls.tally += PUBLISHED
        return calls

    def _compile_own(
        self, classes: frozenset[type[Any]], sender: Any
    ) -> Iterable[tuple[type[Any], Calls]]:
        return () if self._chain is not None else self._compiler.compile_own(classes, sender)

    def _unhandled_classes(self) -> Mapping[type[Any], Calls]:
        return {} if self._chain is not None else self._compiler.unhandled_classes()

    def _middleware_failed(self, middleware: Any, event: Any, exc: BaseException) -> None:
        if self._strict:
            self._raised.append(exc)
        context = f"middleware {handler_name(middleware)} failed on {_name(event)}"
        self._report(exc, context, event, middleware, self.dispatch.sender)

    def _begin_middleware(self, event: Any) -> None:
        self._entered = event
        self._compiler.begin_context(event)

    def _pass_middleware(self, event: Any) -> None:
        """Give an event that the last middleware passes on to its handlers."""
        if event is not self._entered:
            self._compiler.report_replacement(event)
        event, current = wrap_payload(event), self.turn.current
        if current is None:
            msg = "call_next was called too late: it works until the middleware has returned."
            raise EventBusError(msg)
        calls = self.routes.find_inner(event, self.dispatch.sender, self.dispatch.key)
        current.inner = calls
        self.turn.tally += calls.tally
        self._run_calls(calls, event)

    # --- observers and stats ------------------------------------------------------------

    def add_observer(self, observer: Observer) -> None:
        """Let *observer* see the handler calls of the events that are published from now on."""
        check_observer(observer)
        self._compiler.observe((*self._compiler.observers, observer))
        self.routes.forget_all()

    def remove_observer(self, observer: Observer) -> None:
        """Undo the last `add_observer` of *observer*."""
        observers = list(self._compiler.observers)
        last = max(i for i, other in enumerate(observers) if other is observer)
        del observers[last]
        self._compiler.observe(tuple(observers))
        self.routes.forget_all()

    def stats(self) -> BusStats:
        """Return the counts so far."""
        deliveries, turn = self.deliveries, self.turn
        return BusStats(
            published=turn.published,
            delivered=turn.delivered + deliveries.delivered,
            unhandled=turn.unhandled,
            crashed=self._crashed,
            timed_out=deliveries.timed_out,
            dropped=deliveries.dropped,
            purged=deliveries.purged,
            cancelled=deliveries.cancelled,
            pending=deliveries.pending,
        )

    # --- the states of the bus ----------------------------------------------------------

    def begin(self, runner: Runner) -> None:
        """Run, with the workers of *runner*; the turn is nobody's."""
        self.runner = self.deliveries.runner = runner
        self.turn.thread = runner.thread
        self.is_closing = self.is_closed = False
        self.routes.may_be_fast = not self._strict
        self.routes.may_be_async = True
        self.routes.forget_all()  # a route with async handlers can be fast now

    def is_idle(self) -> bool:
        """Return True if no event is queued, or on its way from another thread."""
        return not self.deliveries.queues and not self.handed_over

    def let_go(self) -> None:
        """End the waits of handlers for events that nobody can publish any more."""
        if not self.handed_over:
            self.waiters.let_go()

    def drain(self) -> None:
        """Refuse the events that are not published by a handler."""
        self.is_closing = True
        self.routes.may_be_fast = False
        self.routes.forget_fast()

    def close(self) -> None:
        """Refuse all events."""
        self.is_closing, self.is_closed = False, True
        self.routes.may_be_fast = self.routes.may_be_async = False
        self.routes.forget_all()

    def end(self, runner: Runner) -> None:
        """Be closed, now that nothing runs in *runner* any more, or is waited for."""
        if self.runner is not runner:
            return
        self.runner = None
        self.turn.thread = None
        self.close()
        is_gone = runner.backend.is_gone
        self.deliveries.end()
        # There is nothing left, unless it was closed without draining.
        self.deliveries.dropped += len(self.handed_over) + len(self.turn.waiting)
        self.handed_over.clear()
        self.turn.waiting.clear()
        self._is_handing_over = self.turn.is_waited_for = False
        self.waiters.abort(is_gone=is_gone)

    # --- changes of subscriptions -------------------------------------------------------

    def _subscription_cancelled(self, subscription: Subscription) -> None:
        current, runner = self.turn.current, self.runner
        if current is not None:
            current.drop(subscription, self._uncount)
        if runner is None or self.turn.thread == get_ident():
            self.deliveries.forget(subscription)
        else:  # its queues belong to the loop's thread, whose workers skip a cancelled one
            with contextlib.suppress(BusClosed):
                runner.backend.call_soon(lambda: self.deliveries.forget(subscription))

    def _uncount(self, _: object) -> None:
        """Stand in for a call that was counted in advance, and isn't made."""
        self.turn.tally -= DELIVERED

    # --- forks --------------------------------------------------------------------------

    def after_fork(self) -> None:
        """Be right in the child of a fork, which has but one of the threads, and no loop."""
        if not self.registry.is_held_here():
            self.registry.lock = RLock()
        self.turn.after_fork()
        runner = self.runner
        if runner is not None:
            self.runner = self.deliveries.runner = self.turn.thread = None
            self.is_closing = False
            self.routes.may_be_fast, self.routes.may_be_async = not self._strict, False
            self.handed_over.clear()
            self._is_handing_over = False
            self.waiters.abort(is_gone=True)
            self.deliveries.end()
        self.routes.forget_all()


_dispatchers: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


def _after_fork() -> None:
    for dispatcher in tuple(_dispatchers):
        dispatcher.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_after_fork)


_CONSEQUENCES: Final = {
    Overflow.DROP_OLDEST: "the oldest is dropped for each new one",
    Overflow.DROP_NEWEST: "new ones are dropped",
    Overflow.LATEST: "all of them were dropped for the latest",
    Overflow.RAISE: "the new one was dropped",
}


def _several(given: Iterable[_T], option: str) -> tuple[_T, ...]:
    """Return the members of an option; a HandlerError if it was given one, and not in a list."""
    try:
        return tuple(given)
    except TypeError:
        msg = f"{option}= takes a list, like {option}=[...], and not {handler_name(given)} itself."
        raise HandlerError(msg, handler=given) from None


def _name(event: object) -> str:
    return type(event).__qualname__


def wrap_payload(event: Any) -> Any:
    """Return the event that a bare payload is published as; any other event as it is."""
    return RealtimeModelRawServerEvent(event) if type(event) in PAYLOAD_TYPES else event

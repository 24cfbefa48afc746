"""
Running a route: each call isolated, one event at a time, in order.

Rules
-----
1. One event at a time, in the order of publication (see `turns`).
2. A failure becomes an event of its own, published the same way. A failure while handling
   such an event is logged, and that is the end of it.
3. An async handler never runs here: the event goes into its mailbox (see `delivery`).
4. A bus that runs is its loop's thread's; events from other threads are handed over to it. A bus
   that doesn't run takes them from any thread.

How it is fast
--------------
A route is compiled once into a list of calls (see `compiling`). `Dispatcher.publish` finds the
list by the event's class and makes the calls; `_publish_of` does the same for a sender. All that
they can't decide in a few loads is left to `_publish`.
"""

from __future__ import annotations

import contextlib
import enum
import logging
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

import anyio.lowlevel
import attrs
from blinker import ANY

from ..events import RealtimeModelExceptionEvent, RealtimeModelRawServerEvent
from ..exceptions import (
    BusClosed,
    BusNotRunning,
    EventBusError,
    EventTypeError,
    MailboxFull,
    is_exit,
)
from ..handlers import PAYLOAD_TYPES, handler_name
from ..mailbox import MailboxQueue, Overflow
from ..middleware import EventsDropped, chain, check_observer, tell_dropped
from .calls import Calls
from .compiler import DELIVERED, MASK, PUBLISHED, Compiler, Moment, log_exception_event
from .delivery import Deliveries, DropReason, Item, Tracker, waits_for
from .registry import Registry, Subscription, sender_key
from .routing import route_class
from .turn import Published, Turns
from .workers import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from ..handlers import Handler, Options
    from ..middleware import Middleware, Observer
    from .waiting import Parked

__all__ = ["BusStats", "Dispatcher", "State"]

logger = logging.getLogger(__name__)


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


class Dispatcher(Turns):
    """
    Publishes events. `eventbus.EventBus` is one, with the registering around it.

    Args:
        middleware: What each published event passes first, in this order.
        observers: What sees each handler call.
        strict: Whether failures of handlers are raised, too.
    """

    __slots__ = ("__weakref__", "_chain", "_compiler", "_crashed", "_deliveries", "_fast",
                 "_fast_of", "_full", "_handed_over", "_inner", "_is_handing_over", "_may_raise",
                 "_moment", "_of_sender", "_parked", "_raised", "_raised_async", "_registry",
                 "_runner", "_shared", "_state", "_strict", "_taken", "_tally",
                 "_thread")  # fmt: skip

    def __init__(
        self,
        *,
        middleware: Iterable[Middleware] = (),
        observers: Iterable[Observer] = (),
        strict: bool = False,
    ) -> None:
        super().__init__()
        self._registry = Registry(
            on_change=self._subscriptions_changed,
            on_cancel=self._subscription_cancelled,
            on_dead=self._forget_routes,
        )
        self._moment = Moment()
        self._deliveries = Deliveries(
            call=lambda queue, item: self._compiler.call_async(queue, item),  # noqa: PLW0108  # later
            on_failure=self._delivery_failed,
            on_drop=self._dropped,
            on_discard=self._discarded,
        )
        self._compiler = Compiler(
            self,
            self._registry,
            self._deliveries,
            self._moment,
            count_published=lambda: self._tally & MASK,
            run=self._run_calls,
        )
        self._compiler.observers = tuple(observers)
        for observer in self._compiler.observers:
            check_observer(observer)
        self._chain = chain(
            middleware,
            self._pass_middleware,
            on_failure=self._middleware_failed,
            begin_context=self._compiler.begin_context,
            make_context=self._compiler.make_context,
        )
        self._strict = strict
        self._state = State.IDLE
        self._runner: Runner | None = None
        self._thread: int | None = None  # the loop's, while there is one

        # Compiled routes by class, for senders without subscriptions of their own; by sender, for
        # those that have some; of both, what the fast path may run; and what is behind the
        # middleware, by sender too.
        self._shared: dict[type[Any], Calls] = {}
        self._of_sender: dict[Hashable, dict[type[Any], Calls]] = {}
        self._fast: dict[type[Any], Calls] = {}
        self._fast_of: dict[Hashable, dict[type[Any], Calls]] = {}
        self._inner: dict[Hashable, dict[type[Any], Calls]] = {}
        # Whether somebody takes events of a class as they are, by sender; see `has_handlers`.
        self._taken: dict[Hashable, dict[type[Any], bool]] = {}

        # Failures of the present dispatch, and who can be told.
        self._may_raise = True
        self._full: list[MailboxFull] = []
        self._raised: list[BaseException] = []

        self._handed_over: deque[Published] = deque()
        self._is_handing_over = False
        self._raised_async: list[BaseException] = []
        # What waits for the bus, and in the handler of which queue, if it is one of a handler.
        self._parked: dict[Parked, MailboxQueue | None] = {}
        self._tally = 0
        self._crashed = 0

    # --- publishing ---------------------------------------------------------------------

    # Give sender by its name; it isn't keyword-only just because CPython calls a function that
    # has keyword-only defaults the slow way, which is a tenth of the time that this takes.
    def publish(self, event: Any, sender: Any = None) -> None:  # noqa: C901  # in one frame
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
            if sender is None or not self._publish_of(event, sender):
                self._publish(event, sender)
            return
        try:
            self._current = calls
            self._tally += calls.tally
            only = calls.only
            if only is not None:  # an iterator for one call takes longer than the call
                try:
                    only(event)
                except BaseException as exc:
                    if not self._isolate(calls, only, event, exc):
                        raise
            else:
                for call in calls.calls:
                    try:
                        call(event)
                    except BaseException as exc:
                        if not self._isolate(calls, call, event, exc):
                            raise
            self._current = None
        except BaseException:
            self._give_up_turn()
            raise
        if self._is_waited_for:
            self._work_off()

    def _publish_of(self, event: Any, sender: Any) -> bool:
        """Publish as the fast path does, for a sender; False if that can't be."""
        key = sender if type(sender) is str else sender_key(sender)
        table = self._fast_of.get(key)
        if table is None:
            if key in self._registry.senders:
                return False
            table = self._fast
        calls = table.get(type(event))
        if (
            calls is None
            or (self._thread is not None and self._thread != get_ident())
            or self._current is not None
        ):
            return False
        moment = self._moment
        try:
            self._current = calls
            self._tally += calls.tally
            moment.sender, moment.key = sender, key
            self._run_calls(calls, event)
            moment.sender = moment.key = None
            self._current = None
        except BaseException:
            moment.clear()
            self._give_up_turn()
            raise
        if self._is_waited_for:
            self._work_off()
        return True

    async def publish_async(self, event: Any, *, sender: Any = None) -> None:
        """
        Publish *event*, and wait until no full mailbox with `Overflow.BLOCK` got it.

        It returns before async handlers have run. If it is cancelled, the event has been
        published all the same. A handler does not wait for room in its own mailbox, nor in that
        of a handler that waits for it.

        Args:
            event: As in `publish`.
            sender: As in `publish`.

        Raises:
            BusNotRunning, MailboxFull, BusClosed, EventTypeError: As in `publish`.
        """
        tracker = self._publish_tracked(event, sender)
        full = [q for q in tracker.over_capacity if not waits_for(q, tracker.blocked)]
        if not full:
            await anyio.lowlevel.checkpoint()
            return
        with self._deliveries.waiting_for(tracker):
            for queue in full:
                await queue.wait_room()
        if tracker.was_aborted:
            msg = f"The bus was closed before there was room for {_name(event)}."
            raise BusClosed(msg)

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
        self._parked[tracker] = None
        try:
            with self._deliveries.waiting_for(tracker):
                await tracker.wait()
        finally:
            del self._parked[tracker]
        if tracker.was_aborted:
            msg = f"The bus was closed before all handlers of {_name(event)} had finished."
            raise BusClosed(msg)
        # Taken out: an error's traceback leads back to the tracker, and that would be a cycle.
        errors, tracker.errors = tracker.errors, []
        if raise_errors and errors:
            msg = f"handlers of {_name(event)} failed"
            raise BaseExceptionGroup(msg, errors)

    @property
    def stats(self) -> BusStats:
        """What the bus has done so far; a snapshot."""
        deliveries = self._deliveries
        return BusStats(
            published=self._tally & MASK,
            delivered=(self._tally >> 64 & MASK) + deliveries.delivered,
            unhandled=self._tally >> 128,
            crashed=self._crashed,
            timed_out=deliveries.timed_out,
            dropped=deliveries.dropped,
            purged=deliveries.purged,
            pending=deliveries.pending,
        )

    # As with `publish`, sender isn't keyword-only, which costs.
    def count_unseen(self, event_type: type[Any], sender: Any = None) -> bool:
        """
        Count an event of *event_type* as published if nothing would see it, else return False.

        An event is seen by handlers, fallbacks, middleware and event observers. For publishers
        of events that are expensive to make: if it returns False, make the event and publish
        it. It may return False for an event that would not be seen, before the first one of its
        class, for example.

        Args:
            event_type: The class of the event.
            sender: The session that the event would belong to, as in `publish`.
        """
        table = self._fast
        if sender is not None:
            key = sender if type(sender) is str else sender_key(sender)
            of_sender = self._fast_of.get(key)
            if of_sender is not None:
                table = of_sender
            elif key in self._registry.senders:
                return False
        calls = table.get(event_type)
        if (
            calls is None
            or calls.calls
            or self._current is not None
            or (self._thread is not None and self._thread != get_ident())
        ):
            return False
        self._tally += calls.tally
        return True

    def has_handlers(self, event_type: type[Any], *, sender: Any = None) -> bool:
        """
        Return whether an event of *event_type* would reach a handler as it is.

        That is one of the class or of a base of it, ``object`` included; a fallback is none. For
        whoever publishes what only repeats another event, and so is worth the trouble only where
        somebody gets it. It takes no longer than a look-up, until a subscription changes.

        Args:
            event_type: The class of the event.
            sender: The session that the event would belong to, as in `publish`.
        """
        key = None if sender is None else sender_key(sender)
        table = self._taken.get(key if key in self._registry.senders else None)
        is_taken = None if table is None else table.get(event_type)
        if is_taken is not None:
            return is_taken
        registry = self._registry
        with registry.lock:  # which is held while subscriptions change, and tables are forgotten
            table = self._taken.setdefault(key if key in registry.senders else None, {})
            table[event_type] = is_taken = any(
                True
                for base in event_type.__mro__
                for _ in registry.subscriptions_for(base, sender)
            )
        return is_taken

    @contextlib.contextmanager
    def observe(self, observer: Observer) -> Iterator[None]:
        """
        Let *observer* see each handler call, while this is entered; more, if it wants to.

        For who hasn't made the bus: ``EventBus(observers=[...])`` is there for who has. A handler
        that is working through its mailbox is seen from when it has run dry.

        Args:
            observer: Sees them after the observers that there are.

        Raises:
            HandlerError: It lacks a method of an observer.
        """
        check_observer(observer)
        self._compiler.observers = (*self._compiler.observers, observer)
        self._forget_routes()
        try:
            yield
        finally:
            observers = list(self._compiler.observers)
            # The last one that it is: it may have been given more than once.
            last = max(i for i, other in enumerate(observers) if other is observer)
            del observers[last]
            self._compiler.observers = tuple(observers)
            self._forget_routes()

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
            self._hand_over(Published(event, sender))
            return
        event = _wrap_payload(event)
        if self._is_waited_for and self._current is None:
            self._work_off()  # what a KeyboardInterrupt has left behind comes first
        calls: Calls | None = self._find(event, sender)
        if self._current is None:
            self._current = calls
        elif self._thread is not None or self._is_dispatching_here():
            self._wait_in_queue(Published(event, sender, tracker))
            return
        else:
            self._wait_for_turn()
            calls = None  # it may be another one by now
        try:
            if calls is None:
                self._current = calls = self._find(event, sender)
            self._may_raise = True
            self._run(calls, event, sender, tracker)
            self._current = None
        except BaseException:
            self._give_up_turn()
            raise
        if self._is_waited_for:
            self._work_off()
        if self._full or self._raised:
            self._raise_what_is_due()

    def _publish_own(self, event: RealtimeModelExceptionEvent) -> None:
        """Publish what the bus itself has to say; that never fails."""
        self._wait_in_queue(Published(event, event.sender))
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
        return self._deliveries.current() is not None

    def _run(
        self,
        calls: Calls,
        event: Any,
        sender: Any,
        tracker: Tracker | None,
        published_ns: int | None = None,
    ) -> None:
        """Dispatch *event*; the turn is this thread's."""
        self._tally += calls.tally
        moment = self._moment
        if sender is not None:
            moment.sender, moment.key = sender, sender_key(sender)
        moment.tracker, moment.published_ns = tracker, published_ns
        try:
            self._run_calls(calls, event)
        finally:
            moment.clear()
            if tracker is not None:
                tracker.end(None)

    def _run_calls(self, calls: Calls, event: Any) -> None:
        for call in calls.calls:
            try:
                call(event)
            except BaseException as exc:
                if not self._isolate(calls, call, event, exc):
                    raise

    # --- events that have waited --------------------------------------------------------

    def _run_published(self, published: Published) -> None:
        """Dispatch an event whose publisher has gone on: there is nobody to raise to."""
        event, sender = _wrap_payload(published.event), published.sender
        self._may_raise = False
        try:
            calls = self._find(event, sender)
        except BusNotRunning as exc:
            if published.tracker is not None:
                published.tracker.end(None)
            self._report_lost(event, exc)
        else:
            self._current = calls
            self._run(calls, event, sender, published.tracker, published.time_ns)

    def _give_up_turn(self) -> None:
        self._full.clear()
        self._raised.clear()
        self._forget_fast()  # which begins without a look at what is left in the queue
        super()._give_up_turn()

    def _report_lost(self, event: Any, reason: BusNotRunning) -> None:
        """Say that an event found an async handler, and no loop to run it in."""
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
        runner = self._runner
        if runner is None:
            msg = "The bus was closed a moment ago; to publish again, enter it again."
            raise BusClosed(msg)
        self._handed_over.append(published)
        if not self._is_handing_over:
            self._is_handing_over = True
            try:
                runner.call_soon(self._take_over)
            except BusClosed:
                self._is_handing_over = False
                self._handed_over.clear()
                raise

    def _take_over(self) -> None:
        """Dispatch what other threads have published; called in the loop's."""
        # Before the queue is looked at: what comes from now on calls again. So this ends, even
        # if another thread publishes without a pause.
        self._is_handing_over = False
        try:
            for _ in range(len(self._handed_over)):
                self._wait_in_queue(self._handed_over.popleft())
                self._work_off()
        except BaseException as exc:
            if self._runner is None or not is_exit(exc):
                raise
            self._runner.fail(exc)
        finally:
            self._raised_async += self._raised
            self._raised.clear()
            if self._runner is not None:
                self._runner.notice()

    # --- failures -----------------------------------------------------------------------

    def _isolate(
        self, calls: Calls, call: Callable[[Any], object], event: Any, exc: BaseException
    ) -> bool:
        """Report what *call* raised; False if that is nobody's to keep, and must be raised."""
        if is_exit(exc):
            return False
        owner = calls.owner(call)
        handler = None if owner is None else owner.handler
        name = "the bus" if owner is None else owner.description.name
        if self._moment.tracker is not None:
            self._moment.tracker.errors.append(exc)
        if self._strict:
            self._raised.append(exc)
        self._report(exc, f"{name} failed on {_name(event)}", event, handler, self._moment.sender)
        return True

    def _delivery_failed(self, queue: MailboxQueue, event: Any, exc: BaseException) -> None:
        subscription = queue.subscription
        if self._strict:
            self._raised_async.append(exc)
        context = f"{subscription.description.name} failed on {_name(event)}"
        self._report(exc, context, event, subscription.handler, queue.sender)

    def _report(
        self, exc: BaseException, context: str, event: Any, handler: Any, sender: Any
    ) -> None:
        """Count a failure, and publish it, unless it happened while handling one."""
        self._crashed += 1
        if isinstance(event, RealtimeModelExceptionEvent):
            logger.error(
                "what was to deal with a RealtimeModelExceptionEvent failed itself",
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

    def _discarded(self, queue: MailboxQueue, items: Iterable[Item], reason: DropReason) -> None:
        """Let the observers see what a handler will not get."""
        if self._compiler.observers:
            events, numbers = [], []
            for event, _, _, _, queued in items:
                events.append(event)
                numbers.append(0 if queued is None else queued[1])
            handler = queue.subscription.handler
            dropped = EventsDropped(handler, queue.sender, tuple(events), tuple(numbers), reason)
            tell_dropped(self._compiler.observers, dropped)

    def _raise_what_is_due(self) -> None:
        full, self._full = self._full, []
        raised, self._raised = self._raised, []
        if full:
            for other in full[1:]:
                full[0].add_note(str(other))
            raised.append(full[0])
        raise_together("handlers failed", raised)

    # --- compiling ----------------------------------------------------------------------

    def _find(self, event: Any, sender: Any) -> Calls:
        """
        Return the calls for *event* from *sender*.

        Raises:
            BusNotRunning: They need a running bus.
        """
        event_type = route_class(event)
        table, fast = self._shared, self._fast
        if sender is not None:
            key = sender_key(sender)
            if key in self._registry.senders:
                table = self._of_sender.setdefault(key, {})
                fast = self._fast_of.setdefault(key, {})
        calls = table.get(event_type)
        if calls is None:
            with self._registry.lock:
                calls = table[event_type] = self._compile(event_type, sender)
        if calls.is_fast and self._may_be_fast(calls):
            published_type = type(event)
            if published_type is not event_type:
                # The fast path looks up the class itself. It may find the route of a decoder's
                # Other there if any other one takes the same: none falls back.
                other = table.get(published_type)
                if other is None:
                    with self._registry.lock:
                        other = table[published_type] = self._compile(published_type, sender)
                calls = other if other.is_fast else calls
                event_type = published_type if other.is_fast else event_type
            fast.setdefault(event_type, calls)
        if calls.needs_loop and self._runner is None:
            msg = (
                f"{_name(event)} has an async handler, and the bus isn't running; "
                f"publish inside 'async with bus:'."
            )
            raise BusNotRunning(msg)
        return calls

    def _may_be_fast(self, calls: Calls) -> bool:
        """Whether the fast path, which asks for nothing, may run *calls* as things are."""
        if self._strict or self._state in (State.CLOSING, State.CLOSED):
            return False
        return self._runner is not None or not calls.needs_loop

    def _compile(self, event_type: type[Any], sender: Any) -> Calls:
        calls = self._compiler.compile(event_type, sender)
        if self._chain is not None:
            inner, calls = calls, Calls()
            self._compiler.announce(calls)
            calls.include(inner, self._chain)
            calls.is_fast = False  # middleware may make another event of it, for which it isn't
        calls.tally += PUBLISHED
        return calls

    # --- middleware -------------------------------------------------------

    def _middleware_failed(self, middleware: Any, event: Any, exc: BaseException) -> None:
        if self._strict:
            self._raised.append(exc)
        context = f"middleware {handler_name(middleware)} failed on {_name(event)}"
        self._report(exc, context, event, middleware, self._moment.sender)

    def _pass_middleware(self, event: Any) -> None:
        """Take what the last middleware passes on to its handlers."""
        event, moment = _wrap_payload(event), self._moment
        key = moment.key if moment.key in self._registry.senders else None
        table = self._inner.setdefault(key, {})
        event_type = route_class(event)
        calls = table.get(event_type)
        if calls is None:
            with self._registry.lock:
                calls = table[event_type] = self._compiler.compile(
                    event_type, moment.sender, begins=False
                )
        if calls.needs_loop and self._runner is None:
            msg = f"{_name(event)} has an async handler, and the bus isn't running."
            raise BusNotRunning(msg)
        if self._current is None:
            msg = "call_next was called too late: it works until the middleware has returned."
            raise EventBusError(msg)
        self._current.inner = calls
        self._tally += calls.tally
        self._run_calls(calls, event)

    # --- running and closing ------------------------------------------------------------

    async def _start(self) -> Runner:
        """Run in the event loop that this is awaited in."""
        if self._runner is not None and self._runner.is_gone:
            self._parked.clear()  # there is nobody left who could be told
            self._end(self._runner)
        if self._runner is not None:
            msg = "The bus is running already; enter another one, or close this one first."
            raise EventBusError(msg)
        while self._current is not None:  # a thread is in the middle of a dispatch
            await anyio.lowlevel.checkpoint()
        runner = Runner(
            is_quiet=lambda: not self._handed_over,
            on_drain=self._let_go,
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
        self._runner = None
        self._thread = None
        self._state = State.CLOSED
        self._forget_routes()
        self._deliveries.end()
        # There is nothing left, unless it was closed without draining.
        self._deliveries.dropped += len(self._handed_over) + len(self._queue)
        self._handed_over.clear()
        self._queue.clear()
        self._is_handing_over = self._is_waited_for = False
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
                Seconds to drain in, or without *drain*, to cancel in; None is as long as it takes
                to drain, and two seconds to cancel. Handlers that ignore their cancellation for
                so long are left behind; after a drain that ran out of time, for two seconds.

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
        self._forget_fast()
        if self._is_inside_handler():
            runner.request_stop(drain=drain, timeout=timeout)
            return
        try:
            await runner.stop(drain=drain, timeout=timeout)
        finally:
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
        if self._state is State.CLOSED:
            self._check_open()
        if self._runner is None:
            msg = f"{handler.name} waits for events, and the bus isn't running; enter it first."
            raise BusNotRunning(msg)
        self._parked[parked] = self._deliveries.current()
        try:
            with self._registry.add(handler, event_types, options) as subscription:
                self._note_waiting()
                yield subscription
        finally:
            del self._parked[parked]

    def _note_waiting(self) -> None:
        """Look, while the bus drains, whether all handlers that are left wait for events."""
        if self._state is State.CLOSING and self._runner is not None:
            self._runner.notice()

    def _let_go(self) -> None:
        """
        End the waiting of handlers for events that nobody can publish any more.

        While the bus drains only handlers can: if each of those that are left waits for an event,
        or for one that does, then none will ever come.
        """
        waiting = {q for parked, q in self._parked.items() if q is not None and parked.is_waiting}
        if waiting and not self._handed_over and self._deliveries.are_stuck(waiting):
            for parked, queue in tuple(self._parked.items()):
                if queue is not None and parked.is_waiting:
                    parked.abort()

    # --- changes of the books -----------------------------------------------------------

    def _subscriptions_changed(self, sender: Any) -> None:
        if sender is ANY:
            self._forget_routes()
        else:
            key = sender_key(sender)
            self._of_sender.pop(key, None)
            self._fast_of.pop(key, None)
            self._inner.pop(key, None)
            self._taken.pop(key, None)

    def _subscription_cancelled(self, subscription: Subscription) -> None:
        current, runner = self._current, self._runner
        if current is not None:
            current.strike(subscription, self._uncount)
        if runner is None or self._thread == get_ident():
            self._deliveries.forget(subscription)
        else:  # another thread's: its queues are the loop's, whose workers skip what is cancelled
            with contextlib.suppress(BusClosed):
                runner.call_soon(lambda: self._deliveries.forget(subscription))

    def _uncount(self, _: object) -> None:
        """Stand in for a call that was counted in advance, and isn't made."""
        self._tally -= DELIVERED

    def _forget_fast(self) -> None:
        self._fast.clear()
        self._fast_of.clear()

    def _forget_routes(self) -> None:
        self._forget_fast()
        self._shared.clear()
        self._of_sender.clear()
        self._inner.clear()
        self._taken.clear()

    # A finalizer may publish while the queue is being worked off, between two dispatches.
    _dispatching = frozenset(
        {publish.__code__, _run.__code__, Turns._work_off.__code__}  # noqa: SLF001  # our base
    )


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

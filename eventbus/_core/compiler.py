"""
Compiling a route into calls: the options of a handler become part of a closure, or of none.

A sync handler that takes nothing but the event is called as it is, and counted in advance, with
all others of the route; everything else is a closure that counts itself. A closure
finds the circumstances of the event that is being dispatched in the `Dispatch`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextvars import copy_context
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from ..context import Context, Publisher
from ..events import (
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
)
from ..exceptions import HandlerError
from ..mailbox import Overflow
from ..middleware import Observer
from .calls import Calls
from .delivery import timeout_error
from .observing import (
    Tap,
    Watch,
    combined,
    is_tap,
    log_failure,
    observe,
    observe_async,
    observes_calls,
    observes_events,
)
from .queue import DEFAULT_MAILBOX, MailboxQueue
from .routing import NO_OVERVIEW, find_route, in_order, overview, published_class, wants_context
from .turn import DELIVERED, PUBLISHED

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable, Iterator
    from collections.abc import Set as AbstractSet

    from .delivery import Deliveries, Item, Tracker
    from .registry import Registry, Subscription
    from .turn import Turn

logger = logging.getLogger(__name__)


class Dispatch:
    """
    The circumstances of the event that is being dispatched.

    Attributes:
        sender: Its sender; None if there is none.
        key: The key of that sender; None if there is none.
        tracker: The tracker of the publisher that waits for it; None if none does.
        published_ns: The time of the publish, if that was before the dispatch began.
        context: Its Context, once a handler has asked for it.
    """

    __slots__ = ("context", "key", "published_ns", "sender", "tracker")

    def __init__(self) -> None:
        self.context: Context | None = None
        self.clear()

    def clear(self) -> None:
        """Reset to the circumstances of an event without sender or tracker."""
        self.sender: Any = None
        self.key: Hashable = None
        self.tracker: Tracker | None = None
        self.published_ns: int | None = None


class Compiler:
    """
    The compiler of one bus's routes.

    Args:
        bus: The bus, which handlers find in their Context.
        registry: The subscriptions.
        deliveries: Takes the events for async handlers.
        dispatch: The circumstances of the event that is being dispatched.
        turn: The turn to dispatch, which counts the events.
        run: Makes the calls that it is given, with an event.

    Attributes:
        observers: The observers, in the order in which they are told; `observe` sets them.
        taps: Those of them that are compiled in.
        call_observers: Those that are told of handler calls.
    """

    def __init__(
        self,
        bus: Publisher,
        registry: Registry,
        deliveries: Deliveries,
        dispatch: Dispatch,
        turn: Turn,
        *,
        run: Callable[[Calls, Any], None],
    ) -> None:
        self.observers: tuple[Observer, ...] = ()
        self.taps: tuple[Tap, ...] = ()
        self.call_observers: tuple[Observer, ...] = ()
        self._overview = NO_OVERVIEW
        self._unhandled: dict[type[Any], Calls] = {}
        self._seen_at = -1
        self._bus = bus
        self._registry = registry
        self._deliveries = deliveries
        self._dispatch = dispatch
        self._turn = turn
        self._run = run

    def observe(self, observers: tuple[Observer, ...]) -> None:
        """Let these be the observers, in routes that are compiled from now on."""
        every: tuple[Any, ...] = observers
        self.observers = observers
        self.taps = tuple(each for each in every if is_tap(each))
        self.call_observers = tuple(each for each in every if observes_calls(each))

    def count_published(self) -> int:
        """Return how many events were published."""
        return self._turn.published

    def compile(self, event_type: type[Any], sender: Any, *, begins: bool = True) -> Calls:
        """
        Return the calls for events of *event_type* from *sender*.

        Args:
            begins: True if these calls are the first that are made with an event; behind
                middleware they aren't, and an event has one Context all the way.
        """
        registry, dispatch, deliveries = self._registry, self._dispatch, self._deliveries
        route = find_route(event_type, lambda cls: registry.subscriptions_for(cls, sender))
        calls = Calls()
        if begins:
            self.announce(calls, event_type)
        purged = registry.purged_by(event_type, sender)
        if purged:
            calls.append(lambda _: deliveries.purge(purged, dispatch.key))
        if begins and route.wants_context:
            calls.append(self.begin_context)
        for subscription in route.direct:
            self._append(calls, subscription)
        if route.wrap is not None:
            wrap, inner = route.wrap, Calls()
            for subscription in route.fallback:
                self._append(inner, subscription)
            calls.tally += inner.tally
            calls.include(inner, lambda event: self._run(inner, wrap(event)))
            if issubclass(event_type, RealtimeModelOtherEvent):
                calls.is_fast = False  # the Other events of a decoder take another route
        elif not route.is_handled:
            is_announced = begins and not purged and not route.direct
            self._append_unhandled(calls, event_type)
            if is_announced and event_type is RealtimeModelRawServerEvent:
                calls.take_frame = self._frame_taker()
        return calls

    def _frame_taker(self) -> Callable[[bytes, int, Any, Any], None] | None:
        """Return the function that takes a frame, if taps are all that would see its raw event."""
        raw = RealtimeModelRawServerEvent
        for observer in self.observers:
            methods = ("event_published", "event_unhandled")
            is_told = any(hasattr(observer, method) for method in methods)
            if not is_tap(observer) and is_told and observes_events(observer, raw):
                return None
        takers = [tap.take_frame for tap in self.taps]
        if len(takers) < 2:
            return takers[0] if takers else None

        def take(raw: bytes, mark: int, sender: Any, event: Any) -> None:
            for taker in takers:
                taker(raw, mark, sender, event)

        return take

    def unhandled_classes(self) -> Mapping[type[Any], Calls]:
        """
        Return the calls for the classes of the vocabulary that nobody has subscribed to.

        Those are most classes in most sessions, and few calls serve them all. A bus of a session's
        own sees each for the first time: to compile a route for each would take a good part of a
        short session.
        """
        return self._unhandled if self._sees_all() else {}

    def compile_own(
        self, classes: AbstractSet[type[Any]], sender: Any
    ) -> Iterator[tuple[type[Any], Calls]]:
        """
        Yield those of *classes* that handlers have by themselves, with the calls for events.

        A handler of a base, a fallback and whatever else may be told of an event is looked for
        once for all of them.
        """
        if not self._sees_all():
            return
        subscriptions_for = self._registry.subscriptions_for
        for event_type in self._overview.own & classes:
            subscriptions = subscriptions_for(event_type, sender)
            if not subscriptions:
                continue  # they are other senders'
            calls = Calls()
            if wants_context(subscriptions):
                calls.append(self.begin_context)
            for subscription in in_order(subscriptions):
                self._append(calls, subscription)
            calls.tally += PUBLISHED
            yield event_type, calls

    def _sees_all(self) -> bool:
        """Return whether subscriptions are all that events reach; note which classes have some."""
        registry = self._registry
        if self.observers or registry.has_purging:
            return False
        if self._seen_at != registry.class_count:
            self._seen_at = registry.class_count
            self._overview = overview(registry.subscribed_classes())
            self._unhandled = dict.fromkeys(self._overview.unhandled, self._unhandled_calls(object))
            if self._unhandled:
                raw = RealtimeModelRawServerEvent
                self._unhandled[raw] = self._unhandled_calls(raw)
        return True

    def _unhandled_calls(self, event_type: type[Any]) -> Calls:
        calls = Calls()
        self._append_unhandled(calls, event_type)
        calls.tally += PUBLISHED
        return calls

    def _append_unhandled(self, calls: Calls, event_type: type[Any]) -> None:
        calls.is_unseen = not calls.calls
        calls.append(self._count_unhandled)
        self._report_to_observers(calls, event_type, "event_unhandled")
        if issubclass(event_type, RealtimeModelExceptionEvent):
            calls.append(log_exception_event)
        elif issubclass(event_type, RealtimeModelErrorEvent):
            calls.append(_log_error_event)
        elif not issubclass(event_type, RealtimeModelRawServerEvent):
            calls.append(_log_unhandled)
        calls.is_unseen &= len(calls.calls) == 1

    def announce(self, calls: Calls, event_type: type[Any]) -> None:
        """Add the calls that report each event to the taps and the event observers."""
        published = published_class(event_type)
        for tap in self.taps:
            calls.append(tap.watch_events(published, self._dispatch))
        self._report_to_observers(calls, event_type, "event_published")

    def report_replacement(self, event: Any) -> None:
        """Report to the observers that have the method that a middleware has replaced the event."""
        for observer in self.observers:
            tell = getattr(observer, "event_replaced", None)
            if tell is not None:
                try:
                    tell(event, self._dispatch.sender, self.count_published())
                except Exception as exc:  # noqa: BLE001  # other people's code, and it is logged
                    log_failure(observer, exc)

    def _report_to_observers(self, calls: Calls, event_type: type[Any], method: str) -> None:
        """Add the call of *method* of the observers that have it, and want events of the class."""
        if not self.observers:
            return
        dispatch, count = self._dispatch, self.count_published
        published = published_class(event_type)
        told = [
            (observer, getattr(observer, method))
            for observer in self.observers
            if not is_tap(observer)
            and hasattr(observer, method)
            and observes_events(observer, published)
        ]

        def report(event: Any) -> None:
            for observer, tell in told:
                try:
                    tell(event, dispatch.sender, count())
                except Exception as exc:  # noqa: BLE001  # other people's code, and it is logged
                    log_failure(observer, exc)

        if told:
            calls.append(report)

    def _count_unhandled(self, _: object) -> None:
        self._turn.unhandled += 1

    def _append(self, calls: Calls, subscription: Subscription) -> None:
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
            or self.call_observers
        ):
            calls.append(self._sync_call(subscription), subscription)
        else:
            call = target = self._watched(subscription.target)
            if not subscription.is_checked:
                call = _FirstCall(self._turn, subscription, target)
            calls.append(call, subscription, counted=True)
            calls.tally += DELIVERED

    def _watched(self, handler: Callable[..., object]) -> Callable[..., object]:
        """Return the function that calls a sync handler, and lets the observers see it."""
        call, observers = handler, self.call_observers
        if observers:
            dispatch, count = self._dispatch, self.count_published

            def call(*args: Any) -> object:
                return observe(observers, handler, args, dispatch.sender, count())

        for tap in self.taps:
            call = tap.watch_call(handler, call)
        return call

    def _sync_call(self, subscription: Subscription) -> Callable[[Any], object]:
        options, wants_context = subscription.options, subscription.description.wants_context
        when, once, deliveries = options.when, options.once, self._deliveries
        target = None if options.weak else self._watched(subscription.target)

        def call(event: Any) -> None:
            if when is not None and not when(event):
                return
            if once and not self._spend(subscription):
                return
            present = target
            if present is None:
                handler = subscription.handler
                if handler is None:  # its object is gone, and the collector has not said so yet
                    return
                present = self._watched(handler)
            deliveries.delivered += 1
            result = present(event, self.make_context()) if wants_context else present(event)
            if result is not None:
                _refuse_coroutine(subscription, result)

        return call

    def _watch(self, subscription: Subscription) -> Watch | None:
        """Return the watch of all observers over the calls of an async handler."""
        handler = subscription.handler or subscription.target
        watches, count = [], self.count_published
        if self.call_observers:
            watches.append(
                Watch(
                    lambda: (time.perf_counter_ns(), count()),
                    lambda *args: observe_async(self.call_observers, *args),
                )
            )
        watches += [tap.watch_async_call(handler) for tap in self.taps]
        return combined(watches)

    def _async_call(self, subscription: Subscription) -> Callable[[Any], object]:
        options, wants_context = subscription.options, subscription.description.wants_context
        when, once, watch = options.when, options.once, self._watch(subscription)
        dispatch, deliveries, queues = self._dispatch, self._deliveries, subscription.queues
        capacity = (options.mailbox or DEFAULT_MAILBOX).capacity
        is_direct = watch is None or (watch.first_step is not None and options.timeout is None)
        subscription.direct = subscription.target if is_direct and not options.weak else None

        def call(event: Any) -> None:
            if when is not None and not when(event):
                return
            if once and not self._spend(subscription):
                return
            queue = queues.get(dispatch.key)
            if queue is None:
                queue = deliveries.open(subscription, dispatch.sender, dispatch.key)
            tracker = dispatch.tracker
            item = (
                event,
                copy_context(),
                self.make_context() if wants_context else None,
                tracker,
                None if watch is None else (watch, watch.stamp()),
            )
            if tracker is None and len(queue.items) < capacity:
                queue.items.append(item)
            else:
                deliveries.put(queue, item)

        return call

    def call_async(self, queue: MailboxQueue, item: Item) -> Coroutine[Any, Any, object]:
        """Return the call of an async handler that may be gone, or is observed."""
        subscription = queue.subscription
        handler = subscription.handler if subscription.options.weak else subscription.target
        if handler is None:
            return _do_nothing()
        event, _, context, _, queued = item
        args = (event,) if context is None else (event, context)

        def failure(exc: BaseException) -> BaseException:
            # A cancellation, seen from inside; from outside, the handler's time is up.
            is_late = queue.scope is not None and queue.scope.cancel_called
            return timeout_error(queue) if is_late else exc

        if queued is not None and self.observers:
            watch, stamp = queued
            return watch.run(handler, args, stamp, queue.sender, failure)
        if self.call_observers:  # they came after the event
            queued_now = time.perf_counter_ns(), 0
            return observe_async(
                self.call_observers, handler, args, queued_now, queue.sender, failure
            )
        call: Coroutine[Any, Any, object] = handler(*args)
        return call

    def _spend(self, subscription: Subscription) -> bool:
        """Use up a subscription that is good for one event; False if it was used up already."""
        with self._registry.lock:
            if not subscription.is_active:
                return False
            self._registry.expire(subscription)
            return True

    def begin_context(self, _: object) -> None:
        """Forget the Context of the event before; the first call of an event that may need one."""
        self._dispatch.context = None

    def make_context(self) -> Context:
        """Return the present event's Context: the same one for all of its handlers."""
        dispatch = self._dispatch
        if dispatch.context is None:
            published_ns = dispatch.published_ns
            if published_ns is None:
                published_ns = time.time_ns()
            dispatch.context = Context(
                dispatch.sender, self.count_published(), published_ns, self._bus
            )
        return dispatch.context


class _FirstCall:
    """
    The first call of a sync handler, which shows whether its result is a coroutine.

    The handler itself takes its place from the second call on, so that the test costs nothing.
    """

    __slots__ = ("_subscription", "_target", "_turn")

    def __init__(
        self, turn: Turn, subscription: Subscription, target: Callable[[Any], object]
    ) -> None:
        self._turn = turn
        self._subscription = subscription
        self._target = target

    def __call__(self, event: Any) -> None:
        subscription = self._subscription
        result = self._target(event)
        if result is not None:
            _refuse_coroutine(subscription, result)
        subscription.is_checked = True
        current = self._turn.current
        if current is not None:
            current.replace(self, self._target)


async def _do_nothing() -> None:
    """Stand in for the call of a handler that is gone."""


def _refuse_coroutine(subscription: Subscription, result: object) -> None:
    """Raise HandlerError if *result* is a coroutine, that would never run."""
    if isinstance(result, CoroutineType):
        result.close()
        msg = (
            f"{subscription.description.name} is a sync callable that returned a coroutine, which "
            f"nothing awaits, so its code did not run. Subscribe the 'async def' function itself, "
            f"or call it from an 'async def' handler."
        )
        raise HandlerError(msg, handler=subscription.handler)


def _log_unhandled(event: object) -> None:
    logger.debug("no handler took an event", extra={"event_type": type(event).__qualname__})


def _log_error_event(event: RealtimeModelErrorEvent) -> None:
    error = event.error
    code, message = (
        error.get(name) if isinstance(error, Mapping) else getattr(error, name, None)
        for name in ("code", "message")
    )
    # In the message too: without any set-up, logging shows nothing else.
    logger.warning(
        "the service reported an error, and no handler of RealtimeModelErrorEvent took it: "
        "code %s: %r",
        code,
        message,
        extra={"code": code, "error_message": message},
    )


def log_exception_event(event: RealtimeModelExceptionEvent) -> None:
    """Log a failure that no handler was told of."""
    logger.error(
        "a failure, and no handler of RealtimeModelExceptionEvent took it",
        extra={"context": event.context},
        exc_info=event.exception,
    )

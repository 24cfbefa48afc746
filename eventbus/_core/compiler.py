"""
Compiling a route into calls: each wish of a handler becomes part of a closure, or of none.

A sync handler that wants nothing but the event is called as it is, and counted in advance, by
the tally that comes with the calls; everything else is a closure that counts itself. What a
closure has to know of the event that is being dispatched, besides the event, is the `Moment`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

from ..events import (
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
)
from ..handlers import Context
from ..mailbox import DEFAULT_MAILBOX, MailboxQueue, Overflow
from ..middleware import (
    Observer,
    log_failed_observer,
    observe,
    observe_async,
)
from .calls import Calls
from .delivery import timeout_error
from .routing import find_route

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from .delivery import Deliveries, Item, Tracker
    from .registry import Registry, Subscription

__all__ = ["DELIVERED", "MASK", "PUBLISHED", "UNHANDLED", "Compiler", "Moment"]

logger = logging.getLogger(__name__)

# The fields of a tally: one integer that counts three things with one addition.
MASK: Final = (1 << 64) - 1
PUBLISHED: Final = 1
DELIVERED: Final = 1 << 64
UNHANDLED: Final = 1 << 128


class Moment:
    """
    The circumstances of the event that is being dispatched.

    Attributes:
        sender: Its sender; None if there is none.
        key: What tells that sender from others; None if there is none.
        tracker: Who waits for it; None if nobody does.
        published_ns: When it was published, if that was before the dispatch began.
        context: Its Context, once a handler wanted it.
    """

    __slots__ = ("context", "key", "published_ns", "sender", "tracker")

    def __init__(self) -> None:
        self.context: Context | None = None
        self.clear()

    def clear(self) -> None:
        """Be that of an event without a sender, published now, that nobody waits for."""
        self.sender: Any = None
        self.key: Hashable = None
        self.tracker: Tracker | None = None
        self.published_ns: int | None = None


class Compiler:
    """
    Makes `Calls` for one bus.

    Args:
        bus: The bus, which handlers find in their Context.
        registry: Who subscribed to what.
        deliveries: Where events for async handlers go.
        moment: What is being dispatched.
        count_published: Returns how many events were published.
        run: Makes the calls that it is given, with an event.

    Attributes:
        observers: What sees each handler call.
    """

    def __init__(
        self,
        bus: Any,
        registry: Registry,
        deliveries: Deliveries,
        moment: Moment,
        *,
        count_published: Callable[[], int],
        run: Callable[[Calls, Any], None],
    ) -> None:
        self.observers: tuple[Observer, ...] = ()
        self._bus = bus
        self._registry = registry
        self._deliveries = deliveries
        self._moment = moment
        self._count_published = count_published
        self._run = run

    def compile(self, event_type: type[Any], sender: Any, *, begins: bool = True) -> Calls:
        """
        Return the calls for events of *event_type* from *sender*.

        Args:
            begins: Whether these calls are the first that are made with an event; behind
                middleware they aren't, and an event has one Context all the way.
        """
        registry, moment, deliveries = self._registry, self._moment, self._deliveries
        route = find_route(event_type, lambda cls: registry.subscriptions_for(cls, sender))
        calls = Calls()
        if begins:
            self.announce(calls)
        purged = registry.purged_by(event_type, sender)
        if purged:
            calls.append(lambda _: deliveries.purge(purged, moment.key))
        takers = (*route.direct, *route.fallback)
        if begins and any(taker.description.wants_context for taker in takers):
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
            self._append_unhandled(calls, event_type)
        return calls

    def _append_unhandled(self, calls: Calls, event_type: type[Any]) -> None:
        calls.tally += UNHANDLED
        self._report_to_observers(calls, "event_unhandled")
        if issubclass(event_type, RealtimeModelExceptionEvent):
            calls.append(log_exception_event)
        elif issubclass(event_type, RealtimeModelErrorEvent):
            calls.append(_log_error_event)
        elif not issubclass(event_type, RealtimeModelRawServerEvent):
            calls.append(_log_unhandled)

    def announce(self, calls: Calls) -> None:
        """Add the call that reports each event to the event observers."""
        self._report_to_observers(calls, "event_published")

    def _report_to_observers(self, calls: Calls, method: str) -> None:
        """Add the call of *method* of the observers that have it."""
        moment, count = self._moment, self._count_published
        told = [
            (observer, getattr(observer, method))
            for observer in self.observers
            if hasattr(observer, method)
        ]

        def report(event: Any) -> None:
            for observer, tell in told:
                try:
                    tell(event, moment.sender, count())
                except Exception as exc:  # noqa: BLE001  # other people's code, and it is logged
                    log_failed_observer(observer, exc)

        if told:
            calls.append(report)

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
            or self.observers
        ):
            calls.append(self._sync_call(subscription), subscription)
        else:
            calls.append(subscription.target, subscription)
            calls.tally += DELIVERED

    def _sync_call(self, subscription: Subscription) -> Callable[[Any], object]:
        options, wants_context = subscription.options, subscription.description.wants_context
        when, once, observers = options.when, options.once, self.observers
        moment, deliveries = self._moment, self._deliveries

        def call(event: Any) -> None:
            if when is not None and not when(event):
                return
            if once and not self._spend(subscription):
                return
            handler = subscription.handler if options.weak else subscription.target
            if handler is None:  # its object is gone, and the collector has not said so yet
                return
            deliveries.delivered += 1
            args = (event, self.make_context()) if wants_context else (event,)
            if observers:
                observe(observers, handler, args, moment.sender, self._count_published())
            else:
                handler(*args)

        return call

    def _async_call(self, subscription: Subscription) -> Callable[[Any], object]:
        options, wants_context = subscription.options, subscription.description.wants_context
        when, once, is_observed = options.when, options.once, bool(self.observers)
        moment, deliveries, queues = self._moment, self._deliveries, subscription.queues
        capacity = (options.mailbox or DEFAULT_MAILBOX).capacity
        subscription.direct = None if options.weak or is_observed else subscription.target

        def call(event: Any) -> None:
            if when is not None and not when(event):
                return
            if once and not self._spend(subscription):
                return
            queue = queues.get(moment.key)
            if queue is None:
                queue = deliveries.open(subscription, moment.sender, moment.key)
            tracker = moment.tracker
            item = (
                event,
                copy_context(),
                self.make_context() if wants_context else None,
                tracker,
                (time.perf_counter_ns(), self._count_published()) if is_observed else None,
            )
            if tracker is None and len(queue.items) < capacity:
                queue.items.append(item)
            else:
                deliveries.put(queue, item)

        return call

    async def call_async(self, queue: MailboxQueue, item: Item) -> None:
        """Call an async handler that may be gone, or is observed."""
        subscription = queue.subscription
        handler = subscription.handler if subscription.options.weak else subscription.target
        if handler is None:
            return
        event, _, context, _, queued = item
        args = (event,) if context is None else (event, context)
        if self.observers:

            def failure(exc: BaseException) -> BaseException:
                # A cancellation, seen from inside; from outside, the handler's time is up.
                is_late = queue.scope is not None and queue.scope.cancel_called
                return timeout_error(queue) if is_late else exc

            await observe_async(self.observers, handler, args, queue.sender, queued, failure)
        else:
            await handler(*args)

    def _spend(self, subscription: Subscription) -> bool:
        """Use up a subscription that is good for one event; whether it was still good."""
        with self._registry.lock:
            if not subscription.is_active:
                return False
            self._registry.expire(subscription)
            return True

    def begin_context(self, _: object) -> None:
        """Forget the Context of the event before; the first of the calls that may want one."""
        self._moment.context = None

    def make_context(self) -> Context:
        """Return the present event's Context: the same one for all of its handlers."""
        moment = self._moment
        if moment.context is None:
            published_ns = moment.published_ns
            if published_ns is None:
                published_ns = time.time_ns()
            moment.context = Context(
                moment.sender, self._count_published(), published_ns, self._bus
            )
        return moment.context


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
    """Log a failure that would otherwise be nowhere."""
    logger.error(
        "a failure that no handler of RealtimeModelExceptionEvent took",
        extra={"context": event.context},
        exc_info=event.exception,
    )

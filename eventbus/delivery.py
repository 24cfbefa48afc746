"""
The async half: an event's way through a mailbox to its handler.

Each async handler has one queue for each sender, and each queue that isn't empty is one job of
the `Runner`: its events are handled one after another, in order, and nobody else waits for
them. A queue is made by the first event and forgotten when it has run dry, so ten thousand
quiet calls have none.

An event that somebody waits for may go to a handler that itself waits for that event
(`EventBus.publish_and_wait` from inside a handler). Queueing it there would wait forever, so it
is handled beside the call that waits.
"""

from __future__ import annotations

import math
from contextvars import Context as Variables
from contextvars import ContextVar, copy_context
from functools import partial
from time import perf_counter_ns
from types import coroutine
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from .mailbox import DEFAULT_MAILBOX, MailboxQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Hashable, Iterable

    from .handlers import Context
    from .registry import Subscription
    from .runner import Runner

__all__ = ["Deliveries", "Delivery", "Tracker", "current_delivery"]


class Tracker:
    """
    What became of one event that somebody waits for.

    Attributes:
        blocked: The queues whose handlers wait for it, directly or not.
        errors: What its handlers raised.
        over_capacity: Queues that it went into although they were full.
        was_aborted: Whether the bus was closed before all of its handlers had run.
    """

    __slots__ = ("_done", "_waiting", "blocked", "errors", "over_capacity", "was_aborted")

    def __init__(self, blocked: frozenset[MailboxQueue]) -> None:
        self.blocked = blocked
        self.errors: list[BaseException] = []
        self.over_capacity: list[MailboxQueue] = []
        self.was_aborted = False
        self._waiting = 0
        self._done = anyio.Event()

    def begin(self) -> None:
        """Note that one more handler has it before it."""
        self._waiting += 1

    def end(self) -> None:
        """Note that a handler has finished with it, or will never get it."""
        self._waiting -= 1
        if self._waiting == 0:
            self._done.set()

    def abort(self) -> None:
        """Wait no longer: the bus was closed."""
        self.was_aborted = True
        self._done.set()

    async def wait(self) -> None:
        """Wait until each `begin` has had its `end`."""
        if self._waiting:
            await self._done.wait()
        else:
            await anyio.lowlevel.checkpoint()


class Delivery:
    """One event on its way to one async handler."""

    __slots__ = ("context", "event", "is_running", "queue", "queued_ns", "tracker", "variables")

    def __init__(
        self,
        event: Any,
        queue: MailboxQueue,
        context: Context | None,
        tracker: Tracker | None,
        queued_ns: int,
    ) -> None:
        self.event = event
        self.queue = queue
        self.context = context
        self.tracker = tracker
        self.queued_ns = queued_ns
        self.variables: Variables | None = copy_context()
        self.is_running = False


# The delivery whose handler this code runs in, the tasks that the handler started included.
_current: ContextVar[Delivery | None] = ContextVar("eventbus_delivery", default=None)


def current_delivery(owner: Deliveries) -> Delivery | None:
    """Return the delivery of *owner*'s whose handler this code runs in, if it still runs."""
    delivery = _current.get()
    if delivery is None or not delivery.is_running or delivery.queue.owner is not owner:
        return None
    return delivery


def _first_step(coro: Coroutine[Any, Any, object], delivery: Delivery) -> object:
    _current.set(delivery)
    return coro.send(None)


@coroutine
def _run_in(
    variables: Variables, coro: Coroutine[Any, Any, object], delivery: Delivery
) -> Generator[Any, Any, None]:
    """Await *coro*, each step of it in *variables*, whichever task it is awaited in."""
    try:
        awaited = variables.run(_first_step, coro, delivery)
        while True:
            try:
                sent = yield awaited
            except BaseException as exc:  # noqa: BLE001  # for the coroutine to deal with
                awaited = variables.run(coro.throw, exc)
            else:
                awaited = variables.run(coro.send, sent)
    except StopIteration:
        return


class Deliveries:
    """
    The queues of one bus, and the handling of what is in them.

    Args:
        call: Makes the coroutine for one delivery.
        on_failure: Called with a delivery and what its handler raised.
        on_drop: Called with a queue, how many events it had no room for, and the first of them.

    Attributes:
        runner: Runs the queues, while the bus runs.
        delivered: Handler calls that were started.
        timed_out: Handler calls that were cancelled by their timeout.
        dropped: Deliveries that found no room, which *on_drop* counts, or the bus closed.
        purged: Deliveries that an event of ``Mailbox.purged_by`` did away with.
    """

    __slots__ = ("_call", "_on_drop", "_on_failure", "_queues", "delivered", "dropped", "purged",
                 "runner", "timed_out")  # fmt: skip

    def __init__(
        self,
        *,
        call: Callable[[Delivery], Coroutine[Any, Any, object]],
        on_failure: Callable[[Delivery, BaseException], None],
        on_drop: Callable[[MailboxQueue, int, Any], None],
    ) -> None:
        self._call = call
        self._on_failure = on_failure
        self._on_drop = on_drop
        self._queues: set[MailboxQueue] = set()
        self.runner: Runner | None = None
        self.delivered = self.timed_out = self.dropped = self.purged = 0

    @property
    def pending(self) -> int:
        """How many events wait for an async handler, or are being handled by one."""
        return sum(len(queue.items) + queue.running for queue in self._queues)

    def put(
        self,
        subscription: Subscription,
        event: Any,
        sender: Any,
        key: Hashable,
        context: Context | None,
        tracker: Tracker | None,
        *,
        is_observed: bool,
    ) -> None:
        """Queue *event* for the handler of *subscription*; only while there is a runner."""
        assert self.runner is not None
        queue = subscription.queues.get(key)
        is_new = queue is None
        if queue is None:
            mailbox = subscription.options.mailbox or DEFAULT_MAILBOX
            queue = MailboxQueue(mailbox, self, subscription, sender, key)
            subscription.queues[key] = queue
            self._queues.add(queue)
        delivery = Delivery(event, queue, context, tracker, perf_counter_ns() if is_observed else 0)
        if tracker is not None:
            tracker.begin()
            if queue in tracker.blocked:
                self.runner.schedule(partial(self._deliver, delivery))
                return
        dropped = queue.put(delivery)
        if is_new:
            self.runner.schedule(partial(self._work_off, queue))
        if dropped:
            _end_all(dropped)
            self._on_drop(queue, len(dropped), dropped[0].event)
        elif tracker is not None and queue.is_over_capacity:
            tracker.over_capacity.append(queue)

    def purge(self, subscriptions: Iterable[Subscription], key: Hashable) -> None:
        """Empty the queues of *subscriptions* for the sender with that *key*."""
        for subscription in subscriptions:
            queue = subscription.queues.get(key)
            if queue is not None:
                purged = queue.clear()
                self.purged += len(purged)
                _end_all(purged)

    def forget(self, subscription: Subscription) -> None:
        """Do away with what waits for a subscription that was cancelled."""
        for queue in subscription.queues.values():
            _end_all(queue.clear())

    def abort(self) -> None:
        """Do away with everything that waits; what runs is somebody else's to cancel."""
        for queue in self._queues:
            self._drop_all(queue)

    def _drop_all(self, queue: MailboxQueue) -> None:
        rest = queue.clear()
        self.dropped += len(rest)
        for delivery in rest:
            if delivery.tracker is not None:
                delivery.tracker.was_aborted = True
        _end_all(rest)

    def blocked(self) -> frozenset[MailboxQueue]:
        """Return the queues that wait for whatever is awaited where this is called."""
        delivery = current_delivery(self)
        if delivery is None:
            return frozenset()
        further = delivery.tracker.blocked if delivery.tracker is not None else frozenset()
        return further | {delivery.queue}

    async def _work_off(self, queue: MailboxQueue) -> None:
        """Handle what is in *queue*, one after another, until it is empty."""
        items = queue.items
        try:
            while items:
                delivery = items.popleft()
                if queue.room is not None:
                    queue.make_room()
                await self._deliver(delivery)
        finally:
            # Empty, unless the bus is being closed without draining.
            self._queues.discard(queue)
            del queue.subscription.queues[queue.key]
            self._drop_all(queue)

    async def _deliver(self, delivery: Delivery) -> None:
        """Handle one event; whatever its handler raises is dealt with."""
        variables, delivery.variables = delivery.variables, None
        assert variables is not None
        queue, tracker = delivery.queue, delivery.tracker
        timeout = queue.subscription.options.timeout
        self.delivered += 1
        queue.running += 1
        delivery.is_running = True
        try:
            if timeout is None:
                await _run_in(variables, self._call(delivery), delivery)
            else:
                await self._deliver_in_time(timeout, variables, delivery)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:  # noqa: BLE001  # a handler's, and it is reported
            if not isinstance(exc, Exception) and _is_cancelled():
                if tracker is not None:
                    tracker.was_aborted = True
                raise
            if tracker is not None:
                tracker.errors.append(exc)
            self._on_failure(delivery, exc)
        finally:
            delivery.is_running = False
            queue.running -= 1
            if tracker is not None:
                tracker.end()

    async def _deliver_in_time(
        self, timeout: float, variables: Variables, delivery: Delivery
    ) -> None:
        error: BaseException | None = None
        with anyio.move_on_after(timeout) as scope:
            try:
                await _run_in(variables, self._call(delivery), delivery)
            except Exception as exc:
                if not scope.cancel_called:
                    raise
                error = exc  # it failed while it was cancelled: too late all the same
        if scope.cancel_called:
            self.timed_out += 1
            msg = f"{queue_name(delivery.queue)} took longer than its timeout of {timeout} s"
            raise TimeoutError(msg) from error


def queue_name(queue: MailboxQueue) -> str:
    """Return what messages call the handler behind *queue*."""
    return str(queue.subscription.description.name)


def _end_all(deliveries: Iterable[Delivery]) -> None:
    for delivery in deliveries:
        if delivery.tracker is not None:
            delivery.tracker.end()


def _is_cancelled() -> bool:
    """Whether a scope around this task was cancelled: else the cancellation is a handler's own."""
    return anyio.current_effective_deadline() == -math.inf

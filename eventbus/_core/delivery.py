"""
The async half: an event's way through a mailbox to its handler.

Each async handler has one queue for each sender. A queue is made by the first event and forgotten
when it has run dry, so ten thousand quiet calls have none.

How the queues are served
-------------------------
1. A queue that gets its first event goes to the end of the list of ready queues.
2. One worker of the `Runner`, the driver, takes the first queue of the list, handles one event of
   it, and puts the queue to the end of the list if there are more: queues are served in turn. Only
   while no other queue is ready it goes on with the same one.
3. Most handlers of most events never wait. When one does, the driver hands the list on to another
   worker before it waits with the handler, so a slow handler delays its own queue, and no other.
4. A worker that has finished with a handler becomes the driver, if there is none and a queue is
   ready; else it parks.

An event that `EventBus.publish_and_wait` waits for may go to a handler that itself waits for that
event, or for a handler that waits for it, and so on. Queueing it there would wait forever, so it
is handled beside the call that waits. Nothing else is.
"""

from __future__ import annotations

import contextlib
from contextvars import Context as Variables
from contextvars import ContextVar
from types import coroutine
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio
import anyio.lowlevel

from ..exceptions import is_exit
from ..middleware import DropReason
from .observing import Queued
from .queue import DEFAULT_MAILBOX, MailboxQueue

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Coroutine,
        Generator,
        Hashable,
        Iterable,
        Iterator,
        Sequence,
    )

    from ..context import Context
    from .registry import Subscription
    from .workers import Runner

# Handled events between two looks at the event loop, less one, for handlers that never wait.
_BREATHER: Final = 0xFF


class Tracker:
    """
    The progress of one event that its publisher waits for.

    Attributes:
        blocked: The queues of the handlers that wait for it, directly or not.
        waits_for_handlers: True if the publisher waits until all handlers have finished; False
            if it waits for room only.
        queues: The queues that the publisher still waits for; None is the dispatch itself, which
            calls the sync handlers.
        errors: The exceptions of its handlers.
        over_capacity: Queues that it went into although they were full.
        was_aborted: True if the bus was closed before that.
    """

    __slots__ = ("_done", "blocked", "errors", "over_capacity", "queues", "waits_for_handlers",
                 "was_aborted")  # fmt: skip

    def __init__(self, blocked: frozenset[MailboxQueue], *, waits_for_handlers: bool) -> None:
        self.blocked = blocked
        self.waits_for_handlers = waits_for_handlers
        self.queues: list[MailboxQueue | None] = [None]
        self.errors: list[BaseException] = []
        self.over_capacity: list[MailboxQueue] = []
        self.was_aborted = False
        self._done = anyio.Event()

    is_waiting = False  # for the events that handlers wait for: that depends on its own handlers

    def begin(self, queue: MailboxQueue) -> None:
        """Note that one more handler will get it."""
        self.queues.append(queue)

    def end(self, queue: MailboxQueue | None) -> None:
        """Note that a handler, or the dispatch, has finished with it, or will never get it."""
        self.queues.remove(queue)
        if not self.queues:
            self._done.set()

    def abort(self) -> None:
        """End the wait: the bus was closed."""
        if self.queues:
            self.was_aborted = True
            self._done.set()

    async def wait(self) -> None:
        """Wait until the dispatch and each `begin` have had their `end`."""
        if self.queues:
            await self._done.wait()
        else:
            await anyio.lowlevel.checkpoint()

    async def wait_room(self) -> None:
        """Wait until the queues that were full have room; not for those that wait for this."""
        full = [q for q in self.over_capacity if not waits_for(q, self.blocked)]
        if not full:
            await anyio.lowlevel.checkpoint()
        self.queues += full
        for queue in full:
            await queue.wait_room()
            self.was_aborted |= queue.was_closed
            self.queues.remove(queue)


Item: TypeAlias = "tuple[Any, Variables, Context | None, Tracker | None, Queued | None]"
"""
An item of a queue: an event, the publisher's context variables, the `Context` if the handler
takes it, the tracker of a publisher that waits for it, and its `Queued` if there are observers.
"""

# The handler call that this code runs in, also in a task that the handler has started: its queue,
# and the number of the call.
_current: ContextVar[tuple[MailboxQueue, int] | None] = ContextVar("eventbus_call", default=None)


_DONE: Final = object()


def _first_step(steps: Generator[Any, None, object], queue: MailboxQueue) -> object:
    # Not coro.send(None): a handler that never waits would end in a StopIteration, and to raise
    # and catch that takes longer than all the rest. next() with a default never makes one.
    _current.set((queue, queue.serial))
    return next(steps, _DONE)


@coroutine
def _go_on(
    variables: Variables, steps: Generator[Any, Any, object], awaited: object
) -> Generator[Any, Any, None]:
    """Await the rest of *steps*, each of them in *variables*."""
    try:
        while awaited is not _DONE:
            try:
                sent = yield awaited
            except BaseException as exc:  # noqa: BLE001  # for the coroutine to deal with
                awaited = variables.run(steps.throw, exc)
            else:
                if sent is None:  # always, on asyncio; it ends without a StopIteration, as above
                    awaited = variables.run(next, steps, _DONE)
                else:
                    awaited = variables.run(steps.send, sent)
    except StopIteration:
        return


class Deliveries:
    """
    The queues of one bus, and the handling of their events.

    Args:
        call: Makes the coroutine for one item of a queue, where it is not just the handler's.
        on_failure: Called with a queue, an event from it, and the exception of its handler.
        on_drop: Called with a queue, how many events it had no room for, and the first of them.
        on_discard: Called with a queue, the items that were taken out of it, and the reason.

    Attributes:
        runner: Has the workers, while the bus runs.
        queues: The queues with events that wait or are being handled.
        delivered: Handler calls that were started.
        timed_out: Handler calls that were cancelled by their timeout.
        dropped: Events that found no room, which *on_drop* counts, or the bus closed.
        purged: Events that were taken out by one of ``Mailbox.purged_by``.
        cancelled: Events of subscriptions that ended before they were handled.
    """

    __slots__ = ("_call", "_handled", "_on_discard", "_on_drop", "_on_failure", "cancelled",
                 "delivered", "dropped", "purged", "queues", "runner", "timed_out")  # fmt: skip

    def __init__(
        self,
        *,
        call: Callable[[MailboxQueue, Item], Coroutine[Any, Any, object]],
        on_failure: Callable[[MailboxQueue, Any, BaseException], None],
        on_drop: Callable[[MailboxQueue, int, Any], None],
        on_discard: Callable[[MailboxQueue, Sequence[Item], DropReason], None],
    ) -> None:
        self._call = call
        self._on_failure = on_failure
        self._on_drop = on_drop
        self._on_discard = on_discard
        self._handled = 0
        self.queues: set[MailboxQueue] = set()
        self.runner: Runner | None = None
        self.delivered = self.timed_out = self.dropped = self.purged = self.cancelled = 0

    @property
    def pending(self) -> int:
        """The number of events that wait for an async handler, or are being handled by one."""
        return sum(len(queue.items) + queue.is_running for queue in tuple(self.queues))

    # --- putting ------------------------------------------------------------------------

    def open(self, subscription: Subscription, sender: Any, key: Hashable) -> MailboxQueue:
        """Return a new queue for *subscription*, to put an event into it right away."""
        mailbox = subscription.options.mailbox or DEFAULT_MAILBOX
        queue = MailboxQueue(mailbox, self, subscription, sender, key)
        subscription.queues[key] = queue
        self._schedule(queue)
        return queue

    def put(self, queue: MailboxQueue, item: Item) -> None:
        """Put *item* into *queue*, as its tracker and the room in the queue demand."""
        tracker = item[3]
        if tracker is not None:
            if not tracker.waits_for_handlers:
                item = (*item[:3], None, item[4])
            elif tracker.blocked and waits_for(queue, tracker.blocked):
                beside = MailboxQueue(
                    queue.settings, self, queue.subscription, queue.sender, queue.key
                )
                tracker.begin(beside)
                beside.items.append(item)
                self._schedule(beside)
                return
            else:
                tracker.begin(queue)
        dropped = queue.put(item)
        if dropped:
            _end_all(queue, dropped)
            self._discard(queue, dropped, "full")
            self._on_drop(queue, len(dropped), dropped[0][0])
        elif tracker is not None and queue.is_over_capacity:
            tracker.over_capacity.append(queue)

    def _schedule(self, queue: MailboxQueue) -> None:
        assert self.runner is not None
        self.queues.add(queue)
        self.runner.schedule(queue)

    # --- taking away --------------------------------------------------------------------

    def purge(self, subscriptions: Iterable[Subscription], key: Hashable) -> None:
        """Empty the queues of *subscriptions* for the sender with that *key*."""
        for subscription in subscriptions:
            queue = subscription.queues.get(key)
            if queue is not None:
                purged = queue.clear()
                _end_all(queue, purged)
                self._discard(queue, purged, "purged")

    def forget(self, subscription: Subscription) -> None:
        """Take out the events that wait for a subscription that was cancelled."""
        for queue in tuple(subscription.queues.values()):
            rest = queue.clear()
            _end_all(queue, rest)
            self._discard(queue, rest, "cancelled")

    def abort(self) -> None:
        """Take out all events that wait; the running handlers are cancelled by the runner."""
        for queue in tuple(self.queues):
            self._drop_all(queue)

    def _drop_all(self, queue: MailboxQueue) -> None:
        queue.was_closed = True
        rest = queue.clear()
        for _, _, _, tracker, _ in rest:
            if tracker is not None:
                tracker.was_aborted = True
        _end_all(queue, rest)
        self._discard(queue, rest, "closed")

    def _discard(self, queue: MailboxQueue, items: list[Item], reason: DropReason) -> None:
        """Count and report items that were taken out of *queue* and will not be handled."""
        if not items:
            return
        match reason:
            case "purged":
                self.purged += len(items)
            case "cancelled":
                self.cancelled += len(items)
            case "closed":
                self.dropped += len(items)
            case "full":  # counted by on_drop, which counts those of a stream too
                pass
        self._on_discard(queue, items, reason)

    def end(self) -> None:
        """End without a runner: events that are still queued will never be handled."""
        runner, self.runner = self.runner, None
        for queue in tuple(self.queues):
            if runner is not None and not runner.backend.is_gone:
                self._drop_all(queue)  # and wake the publishers that wait
            self._forget(queue)

    def _forget(self, queue: MailboxQueue) -> None:
        self.queues.discard(queue)
        queues = queue.subscription.queues
        if queues.get(queue.key) is queue:
            del queues[queue.key]

    def _retire(self, queue: MailboxQueue) -> None:
        """Forget a queue that has run dry."""
        self._forget(queue)
        if not queue.items:
            return
        # A signal handler has published before it was forgotten: take it back.
        other = queue.subscription.queues.setdefault(queue.key, queue)
        if other is queue:
            self._schedule(queue)
        else:  # one more event has come since, and it comes after these
            other.items.extendleft(reversed(queue.clear()))

    # --- waiting ---------------------------------------------------------------------

    def current(self) -> MailboxQueue | None:
        """Return the queue of the handler that this is called in, if there is one."""
        call = _current.get()
        if call is None:
            return None
        queue, serial = call
        # A task that a handler started may live longer than the call of that handler.
        is_present = queue.owner is self and queue.is_running and queue.serial == serial
        return queue if is_present else None

    def blocked(self) -> frozenset[MailboxQueue]:
        """Return the queues of the handlers that wait as long as the present one does."""
        queue = self.current()
        if queue is None:
            return frozenset()
        further = frozenset() if queue.tracker is None else queue.tracker.blocked
        return further | {queue}

    def are_stuck(self, waiting: set[MailboxQueue]) -> bool:
        """Return True if every queue is one of *waiting*, or waits for one of them."""
        stuck = set(waiting)
        while True:
            further = {
                queue
                for queue in self.queues - stuck
                if queue.awaited
                and all(other in stuck for tracker in queue.awaited for other in tracker.queues)
            }
            if not further:
                return self.queues <= stuck
            stuck |= further

    @contextlib.contextmanager
    def waiting_for(self, tracker: Tracker) -> Iterator[None]:
        """Note that the present handler waits for *tracker*, while this is entered."""
        queue = self.current()
        if queue is None:
            yield
            return
        queue.awaited = (*queue.awaited, tracker)
        try:
            yield
        finally:
            queue.awaited = tuple(other for other in queue.awaited if other is not tracker)

    # --- handling -----------------------------------------------------------------------

    async def drive(self, worker: object) -> None:
        """Handle the events of ready queues, until another worker drives or none is ready."""
        runner = self.runner
        assert runner is not None
        ready = runner.ready
        while True:
            while ready:
                queue = ready.popleft()
                queue.is_running = True
                try:
                    await self._serve(queue, runner, worker)
                except BaseException:
                    queue.is_running = False
                    self._forget(queue)
                    self._drop_all(queue)
                    raise
                queue.is_running = False
                if queue.items:
                    ready.append(queue)
                else:
                    self._retire(queue)
                if runner.driver is not worker:
                    if runner.driver is not None:
                        return
                    runner.driver = worker
            # In this order: a queue that becomes ready in between finds no driver, and gets one.
            runner.driver = None
            if not ready or runner.driver is not None:
                return
            runner.driver = worker

    # One loop, which each event goes through: a coroutine more for each would be felt.
    async def _serve(  # noqa: C901, PLR0912
        self, queue: MailboxQueue, runner: Runner, worker: object
    ) -> None:
        """Handle one event of *queue*; more of them only while no other queue is ready."""
        items, subscription = queue.items, queue.subscription
        handler, timeout = subscription.direct, subscription.options.timeout
        ready = runner.ready
        while items:
            item = items.popleft()
            event, variables, context, tracker, queued = item
            if queue.room is not None:
                queue.make_room()
            queue.tracker = tracker
            try:
                if subscription.is_cancelled:
                    self._discard(queue, [item], "cancelled")
                    continue
                self.delivered = queue.serial = self.delivered + 1
                if (
                    queued is not None
                    and handler is not None
                    and timeout is None
                    and (first_step := queued[0].first_step) is not None
                ):
                    args = (event,) if context is None else (event, context)
                    variables.run(_current.set, (queue, queue.serial))
                    waiting = variables.run(first_step, handler, args, queued[1])
                    if waiting is not None:
                        if runner.driver is worker:
                            runner.hand_on()
                        await _go_on(variables, *waiting)
                else:
                    if handler is None:
                        coro = self._call(queue, item)
                    elif context is None:
                        coro = handler(event)
                    else:
                        coro = handler(event, context)
                    if timeout is None:
                        steps = coro.__await__()
                        awaited = variables.run(_first_step, steps, queue)
                        if awaited is not _DONE:
                            if runner.driver is worker:
                                runner.hand_on()
                            await _go_on(variables, steps, awaited)
                    else:
                        await self._run_in_time(timeout, variables, coro, queue, worker)
            except BaseException as exc:
                if not self._isolate(runner, queue, event, exc):
                    raise
            finally:
                if tracker is not None:
                    tracker.end(queue)
            self._handled = handled = self._handled + 1
            if not handled & _BREATHER:
                await anyio.lowlevel.checkpoint()
            if ready:
                return  # the others have their turn

    def _isolate(
        self, runner: Runner | None, queue: MailboxQueue, event: Any, exc: BaseException
    ) -> bool:
        """Report an exception of a handler; False if it isn't its own, and must be raised."""
        if is_exit(exc):
            return False
        if not isinstance(exc, Exception) and (runner is None or runner.is_cancelled()):
            if queue.tracker is not None:
                queue.tracker.was_aborted = True
            return False
        if queue.tracker is not None:
            queue.tracker.errors.append(exc)
        self._on_failure(queue, event, exc)
        return True

    async def _run_in_time(
        self,
        timeout: float,
        variables: Variables,
        coro: Coroutine[Any, Any, object],
        queue: MailboxQueue,
        worker: object,
    ) -> None:
        error: BaseException | None = None
        with anyio.move_on_after(timeout) as scope:
            queue.scope = scope
            try:
                steps = coro.__await__()
                awaited = variables.run(_first_step, steps, queue)
                if awaited is not _DONE:
                    if self.runner is not None and self.runner.driver is worker:
                        self.runner.hand_on()
                    await _go_on(variables, steps, awaited)
            except Exception as exc:
                if not scope.cancel_called:
                    raise
                error = exc  # it failed while it was cancelled: too late all the same
        queue.scope = None
        if scope.cancel_called:
            self.timed_out += 1
            try:
                raise timeout_error(queue) from error
            finally:
                del error  # whose traceback leads back here: that would be a cycle


def _end_all(queue: MailboxQueue, items: Iterable[Item]) -> None:
    for _, _, _, tracker, _ in items:
        if tracker is not None:
            tracker.end(queue)


def timeout_error(queue: MailboxQueue) -> TimeoutError:
    """Return the failure of a handler that has taken too long."""
    subscription = queue.subscription
    name, timeout = subscription.description.name, subscription.options.timeout
    return TimeoutError(f"{name} took longer than its timeout of {timeout} s")


def waits_for(queue: MailboxQueue, blocked: frozenset[MailboxQueue]) -> bool:
    """Return True if *queue* gets no further before one of *blocked* does."""
    seen: set[MailboxQueue] = set()
    to_do: list[MailboxQueue | None] = [queue]
    while to_do:
        waiting = to_do.pop()
        if waiting in blocked:
            return True
        if waiting is not None and waiting not in seen:
            seen.add(waiting)
            for tracker in waiting.awaited:
                to_do += tracker.queues
    return False

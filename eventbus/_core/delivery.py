"""
The async half: an event's way through a mailbox to its handler.

Each async handler has one queue for each sender, and each queue that isn't empty is one job of
the `Runner`: its events are handled one after another, in order, and nobody else waits for
them. A queue is made by the first event and forgotten when it has run dry, so ten thousand
quiet calls have none.

An event that somebody waits for may go to a handler that itself waits for that event
(`EventBus.publish_and_wait` from inside a handler), or for a handler that waits for it, and so
on. Queueing it there would wait forever, so it is handled beside the call that waits.
"""

from __future__ import annotations

import contextlib
from contextvars import Context as Variables
from contextvars import ContextVar
from functools import partial
from types import coroutine
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import anyio
import anyio.lowlevel

from ..exceptions import is_exit
from ..mailbox import DEFAULT_MAILBOX, MailboxQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Hashable, Iterable, Iterator

    from ..handlers import Context
    from .registry import Subscription
    from .workers import Runner

__all__ = [
    "Deliveries",
    "DropReason",
    "Item",
    "Queued",
    "Tracker",
    "timeout_error",
    "waits_for",
]

# Handled events between two looks at the event loop, less one, for handlers that never wait.
_BREATHER: Final = 0xFF


class Tracker:
    """
    What became of one event that somebody waits for.

    Attributes:
        blocked: The queues whose handlers wait for it, directly or not.
        queues: The queues that it is in, or being handled from; None is the dispatch itself,
            which calls the sync handlers.
        errors: What its handlers raised.
        over_capacity: Queues that it went into although they were full.
        was_aborted: Whether the bus was closed before all of its handlers had run.
    """

    __slots__ = ("_done", "blocked", "errors", "over_capacity", "queues", "was_aborted")

    def __init__(self, blocked: frozenset[MailboxQueue]) -> None:
        self.blocked = blocked
        self.queues: list[MailboxQueue | None] = [None]
        self.errors: list[BaseException] = []
        self.over_capacity: list[MailboxQueue] = []
        self.was_aborted = False
        self._done = anyio.Event()

    def begin(self, queue: MailboxQueue) -> None:
        """Note that one more handler has it before it."""
        self.queues.append(queue)

    def end(self, queue: MailboxQueue | None) -> None:
        """Note that a handler, or the dispatch, has finished with it, or will never get it."""
        self.queues.remove(queue)
        if not self.queues:
            self._done.set()

    is_waiting = False  # for the events that handlers wait for: that depends on what handles it

    def abort(self) -> None:
        """Wait no longer: the bus was closed."""
        if self.queues:
            self.was_aborted = True
            self._done.set()

    async def wait(self) -> None:
        """Wait until the dispatch and each `begin` have had their `end`."""
        if self.queues:
            await self._done.wait()
        else:
            await anyio.lowlevel.checkpoint()


DropReason: TypeAlias = Literal["full", "purged", "closed", "cancelled"]
"""Why a handler will not get an event; see `eventbus.middleware.EventsDropped`."""

Queued: TypeAlias = tuple[int, int]
"""When an event was queued (`time.perf_counter_ns`), and its number (`Context.sequence`)."""

Item: TypeAlias = "tuple[Any, Variables, Context | None, Tracker | None, Queued | None]"
"""
What is in a queue: an event, the publisher's context variables, the `Context` if the handler
wants it, who waits for it, and when it was queued as which event, if somebody observes.
"""

# The call that this code runs in, the tasks that the handler started included: the queue that
# the handler works through, and which of its calls.
_current: ContextVar[tuple[MailboxQueue, int] | None] = ContextVar("eventbus_call", default=None)


_DONE: Final = object()


def _first_step(steps: Generator[Any, None, object], queue: MailboxQueue) -> object:
    # Not coro.send(None): a handler that never waits would end in a StopIteration, and to raise
    # and catch that takes longer than all the rest. next() with a default never makes one.
    _current.set((queue, queue.serial))
    return next(steps, _DONE)


@coroutine
def _go_on(
    variables: Variables, coro: Coroutine[Any, Any, object], awaited: object
) -> Generator[Any, Any, None]:
    """Await the rest of *coro*, each step in *variables*, whichever task that happens in."""
    try:
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
        call: Makes the coroutine for one item of a queue, where it is not just the handler's.
        on_failure: Called with a queue, an event from it, and what its handler raised.
        on_drop: Called with a queue, how many events it had no room for, and the first of them.
        on_discard: Called with a queue, what was taken out of it, and why.

    Attributes:
        runner: Runs the queues, while the bus runs.
        delivered: Handler calls that were started.
        timed_out: Handler calls that were cancelled by their timeout.
        dropped: Events that found no room, which *on_drop* counts, or the bus closed.
        purged: Events that one of ``Mailbox.purged_by`` did away with.
    """

    __slots__ = ("_call", "_on_discard", "_on_drop", "_on_failure", "_queues", "delivered",
                 "dropped", "purged", "runner", "timed_out")  # fmt: skip

    def __init__(
        self,
        *,
        call: Callable[[MailboxQueue, Item], Coroutine[Any, Any, object]],
        on_failure: Callable[[MailboxQueue, Any, BaseException], None],
        on_drop: Callable[[MailboxQueue, int, Any], None],
        on_discard: Callable[[MailboxQueue, Iterable[Item], DropReason], None],
    ) -> None:
        self._call = call
        self._on_failure = on_failure
        self._on_drop = on_drop
        self._on_discard = on_discard
        self._queues: set[MailboxQueue] = set()
        self.runner: Runner | None = None
        self.delivered = self.timed_out = self.dropped = self.purged = 0

    @property
    def pending(self) -> int:
        """How many events wait for an async handler, or are being handled by one."""
        return sum(len(queue.items) + queue.is_running for queue in self._queues)

    # --- putting ------------------------------------------------------------------------

    def open(self, subscription: Subscription, sender: Any, key: Hashable) -> MailboxQueue:
        """Return a new queue for *subscription*, for something to be put into it right away."""
        mailbox = subscription.options.mailbox or DEFAULT_MAILBOX
        queue = MailboxQueue(mailbox, self, subscription, sender, key)
        subscription.queues[key] = queue
        self._schedule(queue)
        return queue

    def put(self, queue: MailboxQueue, item: Item) -> None:
        """Put *item* into *queue*, minding who waits for it, and what there is room for."""
        tracker = item[3]
        if tracker is not None:
            if tracker.blocked and waits_for(queue, tracker.blocked):
                beside = MailboxQueue(
                    queue.settings, self, queue.subscription, queue.sender, queue.key
                )
                tracker.begin(beside)
                beside.items.append(item)
                self._schedule(beside)
                return
            tracker.begin(queue)
        dropped = queue.put(item)
        if dropped:
            _end_all(queue, dropped)
            self._on_discard(queue, dropped, "full")
            self._on_drop(queue, len(dropped), dropped[0][0])
        elif tracker is not None and queue.is_over_capacity:
            tracker.over_capacity.append(queue)

    def _schedule(self, queue: MailboxQueue) -> None:
        assert self.runner is not None
        self._queues.add(queue)
        self.runner.schedule(partial(self._work_off, queue))

    # --- taking away --------------------------------------------------------------------

    def purge(self, subscriptions: Iterable[Subscription], key: Hashable) -> None:
        """Empty the queues of *subscriptions* for the sender with that *key*."""
        for subscription in subscriptions:
            queue = subscription.queues.get(key)
            if queue is not None:
                purged = queue.clear()
                self.purged += len(purged)
                _end_all(queue, purged)
                if purged:
                    self._on_discard(queue, purged, "purged")

    def forget(self, subscription: Subscription) -> None:
        """Do away with what waits for a subscription that was cancelled."""
        for queue in subscription.queues.values():
            rest = queue.clear()
            _end_all(queue, rest)
            if rest:
                self._on_discard(queue, rest, "cancelled")

    def abort(self) -> None:
        """Do away with everything that waits; what runs is somebody else's to cancel."""
        for queue in self._queues:
            self._drop_all(queue)

    def _drop_all(self, queue: MailboxQueue) -> None:
        rest = queue.clear()
        self.dropped += len(rest)
        for _, _, _, tracker, _ in rest:
            if tracker is not None:
                tracker.was_aborted = True
        _end_all(queue, rest)
        if rest:
            self._on_discard(queue, rest, "closed")

    def end(self) -> None:
        """Be without a runner: what a queue has not worked off yet, it never will."""
        runner, self.runner = self.runner, None
        for queue in tuple(self._queues):
            if runner is not None and not runner.is_gone:
                self._drop_all(queue)  # and wake who waits for it
            self._forget(queue)

    def _forget(self, queue: MailboxQueue) -> None:
        self._queues.discard(queue)
        queues = queue.subscription.queues
        if queues.get(queue.key) is queue:
            del queues[queue.key]

    # --- who is who ---------------------------------------------------------------------

    def current(self) -> MailboxQueue | None:
        """Return the queue whose handler this is called in, if it is one of these."""
        call = _current.get()
        if call is None:
            return None
        queue, serial = call
        # A task that a handler started may live longer than the call of that handler.
        is_present = queue.owner is self and queue.is_running and queue.serial == serial
        return queue if is_present else None

    def blocked(self) -> frozenset[MailboxQueue]:
        """Return the queues that wait for whatever is awaited where this is called."""
        queue = self.current()
        if queue is None:
            return frozenset()
        further = frozenset() if queue.tracker is None else queue.tracker.blocked
        return further | {queue}

    def are_stuck(self, waiting: set[MailboxQueue]) -> bool:
        """Whether nothing goes on but what waits: *waiting*, and what waits for those."""
        stuck = set(waiting)
        while True:
            further = {
                queue
                for queue in self._queues - stuck
                if queue.awaited
                and all(other in stuck for tracker in queue.awaited for other in tracker.queues)
            }
            if not further:
                return self._queues <= stuck
            stuck |= further

    @contextlib.contextmanager
    def waiting_for(self, tracker: Tracker) -> Iterator[None]:
        """Let the others know what the handler waits for, if this is entered in one."""
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

    # One loop, which each event goes through: a coroutine more for each would be felt.
    async def _work_off(self, queue: MailboxQueue) -> None:  # noqa: C901, PLR0912
        """Handle what is in *queue*, one after another, until it is empty."""
        items, subscription = queue.items, queue.subscription
        handler, timeout = subscription.direct, subscription.options.timeout
        runner = self.runner
        queue.is_running = True
        handled = 0
        try:
            while items:
                item = items.popleft()
                event, variables, context, tracker, _ = item
                if queue.room is not None:
                    queue.make_room()
                queue.tracker = tracker
                try:
                    if subscription.is_cancelled:
                        continue
                    self.delivered = queue.serial = self.delivered + 1
                    if handler is None:
                        coro = self._call(queue, item)
                    else:
                        coro = handler(event) if context is None else handler(event, context)
                    if timeout is None:
                        # Most handlers of most events never wait: those are done right here.
                        awaited = variables.run(_first_step, coro.__await__(), queue)
                        if awaited is not _DONE:
                            await _go_on(variables, coro, awaited)
                    else:
                        await self._run_in_time(timeout, variables, coro, queue)
                except BaseException as exc:
                    if not self._isolate(runner, queue, event, exc):
                        raise
                finally:
                    if tracker is not None:
                        tracker.end(queue)
                handled += 1
                if not handled & _BREATHER:
                    await anyio.lowlevel.checkpoint()
        finally:
            # Empty, unless the bus is being closed without draining.
            queue.is_running = False
            self._forget(queue)
            self._drop_all(queue)

    def _isolate(
        self, runner: Runner | None, queue: MailboxQueue, event: Any, exc: BaseException
    ) -> bool:
        """Report what a handler raised; False if it isn't the handler's own, and must be raised."""
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
    ) -> None:
        error: BaseException | None = None
        with anyio.move_on_after(timeout) as scope:
            queue.scope = scope
            try:
                awaited = variables.run(_first_step, coro.__await__(), queue)
                if awaited is not _DONE:
                    await _go_on(variables, coro, awaited)
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
    """Return the failure of a handler whose time is up."""
    subscription = queue.subscription
    name, timeout = subscription.description.name, subscription.options.timeout
    return TimeoutError(f"{name} took longer than its timeout of {timeout} s")


def waits_for(queue: MailboxQueue, blocked: frozenset[MailboxQueue]) -> bool:
    """Whether *queue* gets no further before one of *blocked* does."""
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

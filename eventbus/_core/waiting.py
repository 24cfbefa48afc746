"""
Waiting for events in a task: one of them, or all of them in a loop.

Both are subscriptions on the task's behalf, and handle the events that they get: an event that
only a stream sees is handled. Both need a running bus, and neither outlives it: an iterator ends
when it has given out all events that it had, and a task that waits gets `BusClosed`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import anyio

from ..exceptions import BusClosed, BusNotRunning, EventBusError, OptionError
from ..mailbox import Mailbox, Overflow
from .options import Options
from .queue import DEFAULT_MAILBOX, MailboxQueue
from .signatures import Handler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from .delivery import Deliveries, Tracker
    from .registry import Registry, Subscription

EventT_co = TypeVar("EventT_co", covariant=True)


class Parked(Protocol):
    """Something that waits for events, and must stop when the bus does."""

    @property
    def is_waiting(self) -> bool:
        """True if it gets no further before an event comes."""
        ...

    def abort(self) -> None:
        """End the wait: the bus was closed."""


class Attach(Protocol):
    """Subscribes on behalf of a task that waits, for a while."""

    def __call__(
        self,
        handler: Handler,
        event_types: tuple[type[Any], ...],
        options: Options,
        parked: Parked,
        /,
    ) -> AbstractContextManager[Subscription]:
        """
        Return a context manager that subscribes *handler* while it is entered.

        Raises:
            BusNotRunning: The bus doesn't run.
        """
        ...


class _Waiter:
    """A task that waits for one event."""

    def __init__(self, when: Callable[[Any], object] | None) -> None:
        self.when = when
        self.happened = anyio.Event()
        self.events: list[Any] = []
        self.error: BaseException | None = None

    @property
    def is_waiting(self) -> bool:
        return not self.happened.is_set()

    def take(self, event: Any) -> None:
        if self.happened.is_set():
            return
        try:
            if self.when is not None and not self.when(event):
                return
        except Exception as exc:  # noqa: BLE001  # the waiter's own predicate: it is told
            self.error = exc
        else:
            self.events.append(event)
        self.happened.set()

    def abort(self) -> None:
        if not self.happened.is_set():
            self.error = BusClosed("The bus or the scope was closed while an event was waited for.")
            self.happened.set()


async def expect(
    attach: Attach,
    event_types: tuple[type[Any], ...],
    *,
    sender: Any,
    when: Callable[[Any], object] | None,
    timeout: float | None,
) -> Any:
    """Wait for one event; see `eventbus.EventBus.expect`."""
    waiter = _Waiter(when)
    names = _names(event_types)
    handler = Handler(waiter.take, f"expect({names})", is_async=False, wants_context=False)
    with attach(handler, event_types, Options(sender=sender), waiter):
        with anyio.move_on_after(timeout):
            await waiter.happened.wait()
    if waiter.error is not None:
        raise waiter.error
    if not waiter.events:
        msg = f"No {names} within {timeout} s."
        raise TimeoutError(msg)
    return waiter.events[0]


class Stream(Generic[EventT_co]):
    """
    Events as an async iterator, in the order of publication; `eventbus.EventBus.stream` makes it.

    It gets the events that are published while it is entered, each one once, and has a buffer
    of its own. It ends when the bus is closed, and everything that it had has been given out.
    """

    def __init__(
        self,
        attach: Attach,
        event_types: tuple[type[Any], ...],
        *,
        sender: Any,
        when: Callable[[Any], object] | None,
        mailbox: Mailbox | None,
        on_drop: Callable[[MailboxQueue, int, Any], None],
        on_wait: Callable[[], None],
    ) -> None:
        mailbox = mailbox or DEFAULT_MAILBOX
        if mailbox.overflow in (Overflow.BLOCK, Overflow.RAISE) or mailbox.purged_by:
            msg = (
                "The mailbox of a stream can drop events, with DROP_OLDEST, DROP_NEWEST or "
                "LATEST; to BLOCK, to RAISE or to be purged, it takes an async handler."
            )
            raise OptionError(msg, option="mailbox")
        handler = Handler(
            self._take, f"stream({_names(event_types)})", is_async=False, wants_context=False
        )
        self._attachment = attach(handler, event_types, Options(sender=sender, when=when), self)
        self._on_drop = on_drop
        self._on_wait = on_wait
        self._mailbox = mailbox
        self._queue: MailboxQueue | None = None
        self._news = anyio.Event()
        self._waiting = 0  # tasks
        self._is_over = False

    @property
    def is_waiting(self) -> bool:
        """True if a task waits, and there is nothing to give it."""
        return self._waiting > 0 and self._queue is not None and not self._queue.items

    async def __aenter__(self) -> Self:
        if self._queue is not None:
            msg = "A stream is entered once; ask the bus for another one."
            raise EventBusError(msg)
        subscription = self._attachment.__enter__()
        self._queue = MailboxQueue(self._mailbox, self, subscription, None, None)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._attachment.__exit__(exc_type, exc, traceback)
        if self._queue is not None:  # both lead back here, and what is in it should go with it
            self._queue.owner = self._queue.subscription = None
        self.abort()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EventT_co:
        if self._queue is None:
            msg = "Enter the stream before iterating: async with bus.stream(...) as events."
            raise EventBusError(msg)
        while not self._queue.items:
            if self._is_over:
                raise StopAsyncIteration
            if self._news.is_set():
                self._news = anyio.Event()
            self._waiting += 1
            try:
                self._on_wait()
                await self._news.wait()
            finally:
                self._waiting -= 1
        event: EventT_co = self._queue.items.popleft()
        if not self._queue.items:
            self._queue.in_burst = False
        return event

    def abort(self) -> None:
        """End the iteration, once everything has been given out."""
        self._is_over = True
        self._news.set()

    def _take(self, event: Any) -> None:
        assert self._queue is not None
        dropped = self._queue.put(event)
        self._news.set()
        if dropped:
            self._on_drop(self._queue, len(dropped), dropped[0])


def _names(event_types: tuple[type[Any], ...]) -> str:
    return ", ".join(event_type.__qualname__ for event_type in event_types)


class Waiters:
    """
    The tasks of one bus that wait for events, or for handlers.

    Args:
        registry: The subscriptions.
        deliveries: The queues of async handlers.
    """

    def __init__(self, registry: Registry, deliveries: Deliveries) -> None:
        self._registry = registry
        self._deliveries = deliveries
        # Each with the queue of the handler that it is in, if it is in one.
        self._parked: dict[Parked, MailboxQueue | None] = {}

    @contextlib.contextmanager
    def attached(
        self,
        handler: Handler,
        event_types: tuple[type[Any], ...],
        options: Options,
        parked: Parked,
    ) -> Iterator[Subscription]:
        """
        Subscribe on behalf of a task that waits for events, while this is entered.

        Raises:
            BusNotRunning: The bus doesn't run.
        """
        if self._deliveries.runner is None:
            msg = f"{handler.name} waits for events, and the bus isn't running; enter it first."
            raise BusNotRunning(msg)
        self._parked[parked] = self._deliveries.current()
        try:
            with self._registry.add(handler, event_types, options) as subscription:
                self.notice()
                yield subscription
        finally:
            self._parked.pop(parked, None)

    async def wait_for(self, tracker: Tracker) -> None:
        """Wait until the handlers of a tracked event have finished, or the bus was closed."""
        self._parked[tracker] = None
        try:
            with self._deliveries.waiting_for(tracker):
                await tracker.wait()
        finally:
            self._parked.pop(tracker, None)

    def notice(self) -> None:
        """Look, while the bus drains, whether all handlers that are left wait for events."""
        runner = self._deliveries.runner
        if runner is not None:
            runner.notice()

    def let_go(self) -> None:
        """
        End the waits of handlers for events that nobody can publish any more.

        While the bus drains only handlers can: if each of those that are left waits for an event,
        or for one that does, then none will ever come.
        """
        waiting = {q for parked, q in self._parked.items() if q is not None and parked.is_waiting}
        if waiting and self._deliveries.are_stuck(waiting):
            for parked, queue in tuple(self._parked.items()):
                if queue is not None and parked.is_waiting:
                    parked.abort()

    def abort(self, *, is_gone: bool) -> None:
        """End all waits: the bus was closed, or its loop *is gone*, with all tasks in it."""
        if is_gone:
            self._parked.clear()
        for parked in tuple(self._parked):
            parked.abort()

"""
Waiting for events in a task: one of them, or all of them in a loop.

Both are subscriptions on the task's behalf, and like any handler they take what they get: an
event that only a stream sees is handled. Both need a running bus, and neither outlives it: an
iterator ends when it has given out what it had, and who waits gets `BusClosed`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import anyio

from ..exceptions import BusClosed, EventBusError, OptionError
from ..handlers import Handler, Options
from ..mailbox import DEFAULT_MAILBOX, Mailbox, MailboxQueue, Overflow

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from .registry import Subscription

__all__ = ["Attach", "Stream", "expect"]

EventT_co = TypeVar("EventT_co", covariant=True)


class Parked(Protocol):
    """Something that waits for events, and must wait no longer than there is a bus."""

    @property
    def is_waiting(self) -> bool:
        """Whether it gets no further before an event comes."""
        ...

    def abort(self) -> None:
        """Wait no longer: the bus was closed."""


class Attach(Protocol):
    """What a bus lets a stream do: subscribe for a while."""

    def __call__(
        self,
        handler: Handler,
        event_types: tuple[type[Any], ...],
        options: Options,
        parked: Parked,
        /,
    ) -> AbstractContextManager[Subscription]:
        """
        Return what subscribes *handler* while it is entered.

        Raises:
            BusNotRunning: The bus doesn't run.
        """
        ...


class _Waiter:
    """Somebody who waits for one event."""

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
        """Whether a task waits, and there is nothing to give it."""
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

"""
Who subscribed to what: one blinker `Signal` per event class.

blinker keeps the books, with entries for subscriptions as receivers and sessions as senders; its
``receiver_connected`` and ``receiver_disconnected`` tell when a route has become stale. Its
dispatch is not used (see the module `dispatch`).

Three habits of blinker's shape this module:

* It holds receivers weakly by default, and a lambda would be gone at once: always
  ``weak=False``. A subscription with ``weak=True`` watches its object itself.
* It tells senders apart by `id`, strings and integers by value, and takes the integer 0 for
  ``ANY``: integers are given to it as strings.
* ``disconnect(receiver, sender)`` is quick but leaves an empty entry behind for both, and
  ``disconnect(receiver)`` leaves nothing but visits every sender. Ten thousand calls come and
  go, so the books strike out the quick way, and are written anew once more than half of them
  is struck out.
"""

from __future__ import annotations

import inspect
import weakref
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from blinker import ANY, Signal

from ..exceptions import DuplicateSubscriptionError
from ..handlers import Handler, Options

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

__all__ = ["Registration", "Subscription"]

_REWRITE_FROM: Final = 64


def sender_key(sender: object) -> Hashable:
    """Return what tells *sender* from others: the value of a string or number, else the id."""
    if isinstance(sender, str):
        return sender
    if isinstance(sender, int):
        return f"\0{sender}"
    return id(sender)


def _key(sender: object) -> Hashable:
    return ANY if sender is ANY else sender_key(sender)


def _blinker_sender(sender: Any) -> Any:
    return f"\0{sender}" if isinstance(sender, int) else sender


def handler_identity(handler: Any) -> Hashable:
    """Return what makes two callables the same handler: of a method, its object and function."""
    bound_to = getattr(handler, "__self__", None)
    if inspect.ismethod(handler):
        return id(bound_to), id(handler.__func__)
    if inspect.isbuiltin(handler) and bound_to is not None:
        return id(bound_to), handler.__name__  # "seen.append" is a new object each time
    return id(handler)


class _Entry:
    """
    What blinker has of a subscription.

    Struck out, it may stay in blinker's books for a while, and must keep nothing alive: neither
    the handler nor the sender.
    """

    __slots__ = ("subscription",)

    def __init__(self, subscription: Subscription) -> None:
        self.subscription: Subscription | None = subscription


class Subscription:
    """
    One handler's wish for the events of some classes; `cancel` ends it.

    Works as a context manager that cancels at exit.

    Attributes:
        handler: The callable, as it was given; of a weak subscription whose object is gone, None.
        event_types: The classes that it was subscribed to.
        options: What it was subscribed with.
        is_active: Whether it still gets events.
        is_cancelled: Whether what is queued for it was given up, too.
    """

    __slots__ = ("__weakref__", "_ref", "_registry", "description", "direct", "entry",
                 "event_types", "identity", "is_active", "is_cancelled", "options", "order",
                 "queues", "target")  # fmt: skip

    def __init__(
        self,
        registry: Registry,
        description: Handler,
        event_types: tuple[type[Any], ...],
        options: Options,
        order: int,
    ) -> None:
        self._registry = registry
        self.description = description
        self.identity = handler_identity(description.call)
        self.event_types = event_types
        self.options = options
        self.order = order
        self.entry = _Entry(self)
        self.is_active = True
        self.is_cancelled = False
        # Queues of its events, by sender key; only those that aren't empty.
        self.queues: dict[Hashable, Any] = {}
        # What is called: the handler, unless the bus subscribed on somebody's behalf.
        self.target: Callable[..., Any] = description.call
        # What a worker may call without asking anybody; set by the bus.
        self.direct: Callable[..., Any] | None = None
        self._ref: weakref.WeakMethod[Any] | None = None
        if options.weak:
            self._ref = weakref.WeakMethod(description.call, self._forget)
            self.description = Handler(
                _gone, description.name, description.is_async, description.wants_context
            )
            self.target = _gone

    @property
    def handler(self) -> Callable[..., Any] | None:
        """The callable, as it was given; None if it was held weakly and is gone."""
        return self.description.call if self._ref is None else self._ref()

    def cancel(self) -> None:
        """
        End it: from now on the handler never starts again, also for events already queued.

        A call that runs finishes. Cancelling again does nothing.
        """
        self._registry.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    def __repr__(self) -> str:
        state = "" if self.is_active else ", cancelled"
        types = ", ".join(event_type.__qualname__ for event_type in self.event_types)
        return f"<Subscription of {self.description.name} to {types}{state}>"

    def _forget(self, _: object) -> None:
        # Runs whenever the collector does, perhaps in the middle of a change of the books.
        self._registry.bury(self)


def _gone(*_: object) -> None:
    """Stand in for a method whose object is gone."""


class Registration:
    """
    What `EventBus.register` subscribed; `cancel` undoes it.

    Works as a context manager that cancels at exit.

    Attributes:
        subscriptions: The subscriptions, in the order of registration.
    """

    __slots__ = ("subscriptions",)

    def __init__(self, subscriptions: Iterable[Subscription]) -> None:
        self.subscriptions = tuple(subscriptions)

    def cancel(self) -> None:
        """End all of it, as `Subscription.cancel` does."""
        for subscription in self.subscriptions:
            subscription.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<Registration of {len(self.subscriptions)} subscriptions>"


class Registry:
    """
    The books.

    Args:
        on_change: Called with the sender (or `ANY`) after subscriptions to it have changed.
        on_cancel: Called with a subscription that has just been cancelled.
        on_dead: Called, at any time at all, when the object of a weak subscription is gone.

    Attributes:
        lock: Held while the books are being changed; to be held while they are being read.
        senders: How many subscriptions each sender has of its own, by sender key.
    """

    def __init__(
        self,
        *,
        on_change: Callable[[Any], None],
        on_cancel: Callable[[Subscription], None],
        on_dead: Callable[[], None],
    ) -> None:
        self._signals: dict[type[Any], Signal] = {}
        self._struck_out: dict[type[Any], int] = {}
        # Handler -> class and sender -> subscription.
        self._known: dict[Hashable, dict[tuple[type[Any], Hashable], Subscription]] = {}
        self._purged_by: dict[type[Any], dict[Subscription, None]] = {}
        self._dead: list[Subscription] = []
        self._order = 0
        self.lock = RLock()
        self.senders: dict[Hashable, int] = {}
        self._on_change = on_change
        self._on_cancel = on_cancel
        self._on_dead = on_dead

    def add(
        self, description: Handler, event_types: tuple[type[Any], ...], options: Options
    ) -> Subscription:
        """
        Subscribe, all or nothing, and return the subscription.

        Classes that the handler is subscribed to already, for this sender, stay with the
        subscription that they have; if that is all of them, it is returned.

        Raises:
            DuplicateSubscriptionError: The handler is subscribed already, with other options.
        """
        with self.lock:
            return self._add(description, event_types, options)

    def _add(
        self, description: Handler, event_types: tuple[type[Any], ...], options: Options
    ) -> Subscription:
        self._remove_dead()
        sender = _key(options.sender)
        identity = handler_identity(description.call)
        known = self._known.get(identity, {})
        found = [known.get((event_type, sender)) for event_type in event_types]
        for subscription, event_type in zip(found, event_types, strict=True):
            if subscription is not None and subscription.options != options:
                msg = (
                    f"{description.name} is subscribed to {event_type.__qualname__} already, with "
                    f"other options; cancel that subscription first, or give the same options."
                )
                raise DuplicateSubscriptionError(msg, handler=description.call)
        new = tuple(t for t, existing in zip(event_types, found, strict=True) if existing is None)
        if not new:
            assert found[0] is not None
            return found[0]
        self._order += 1
        subscription = Subscription(self, description, new, options, self._order)
        self._known[identity] = known
        if sender is not ANY:
            self.senders[sender] = self.senders.get(sender, 0) + 1
        for event_type in new:
            known[event_type, sender] = subscription
            self._connect(event_type, subscription)
        for event_type in options.mailbox.purged_by if options.mailbox else ():
            self._purged_by.setdefault(event_type, {})[subscription] = None
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """End *subscription*, and what is queued for it; does nothing if it has ended."""
        with self.lock:
            self.expire(subscription)
            if not subscription.is_cancelled:
                subscription.is_cancelled = True
                self._on_cancel(subscription)

    def expire(self, subscription: Subscription) -> None:
        """Strike *subscription* out of the books; what is queued for it is still delivered."""
        if not subscription.is_active:
            return
        subscription.is_active = False
        subscription.entry.subscription = None
        options = subscription.options
        receiver: Any = subscription.entry
        for event_type in subscription.event_types:
            signal = self._signals[event_type]
            signal.disconnect(receiver, sender=_blinker_sender(options.sender))
            self._strike_out(event_type, signal)
        for event_type in options.mailbox.purged_by if options.mailbox else ():
            waiting = self._purged_by[event_type]
            del waiting[subscription]
            if not waiting:
                del self._purged_by[event_type]
        known = self._known[subscription.identity]
        for event_type in subscription.event_types:
            del known[event_type, _key(options.sender)]
        if not known:
            del self._known[subscription.identity]
        senders = self.senders
        if options.sender is not ANY:
            key = sender_key(options.sender)
            senders[key] -= 1
            if not senders[key]:
                del senders[key]

    def bury(self, subscription: Subscription) -> None:
        """Note that a weak subscription's object is gone; it is removed before the next look."""
        self._dead.append(subscription)
        self._on_dead()

    def find(self, handler: object) -> list[Subscription]:
        """Return the subscriptions of *handler*, in the order of registration."""
        found = set(self._known.get(handler_identity(handler), {}).values())
        return sorted(found, key=lambda subscription: subscription.order)

    def subscriptions_for(self, event_type: type[Any], sender: object) -> Iterator[Subscription]:
        """Yield who subscribed to exactly *event_type*, for *sender* or for any."""
        self._remove_dead()
        signal = self._signals.get(event_type)
        if signal is not None:
            entries: Any = signal.receivers_for(_blinker_sender(sender))
            for entry in entries:
                yield entry.subscription

    def purged_by(self, event_type: type[Any], sender: object) -> list[Subscription]:
        """Return whose queues of *sender* an event of *event_type* empties."""
        key = sender_key(sender)
        return [
            subscription
            for base in event_type.__mro__
            for subscription in self._purged_by.get(base, ())
            if subscription.options.sender is ANY or sender_key(subscription.options.sender) == key
        ]

    def _connect(self, event_type: type[Any], subscription: Subscription) -> None:
        receiver: Any = subscription.entry
        self._signal(event_type).connect(
            receiver, sender=_blinker_sender(subscription.options.sender), weak=False
        )

    def _signal(self, event_type: type[Any]) -> Signal:
        signal = self._signals.get(event_type)
        if signal is None:
            signal = self._signals[event_type] = Signal()
            signal.receiver_connected.connect(self._changed, weak=False)
            signal.receiver_disconnected.connect(self._changed, weak=False)
        return signal

    def _changed(self, _: Signal, *, sender: Any, **__: object) -> None:
        self._on_change(sender)

    def _strike_out(self, event_type: type[Any], signal: Signal) -> None:
        """Note that an entry was struck out; write the books anew once most of them are."""
        struck_out = self._struck_out.get(event_type, 0) + 1
        if struck_out >= _REWRITE_FROM and struck_out * 2 >= len(signal.receivers):
            struck_out = 0
            del self._signals[event_type]
            entries: list[Any] = list(signal.receivers.values())
            for entry in entries:
                if entry.subscription is not None:
                    self._connect(event_type, entry.subscription)
        self._struck_out[event_type] = struck_out

    def _remove_dead(self) -> None:
        while self._dead:
            self.remove(self._dead.pop())

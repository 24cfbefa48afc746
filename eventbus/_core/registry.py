"""
The subscriptions of a bus: one blinker `Signal` per event class.

blinker keeps the books, with entries for subscriptions as receivers and sessions as senders; its
``receiver_connected`` and ``receiver_disconnected`` tell when a route has become stale. Its
dispatch is not used (see `dispatcher`).

Three habits of blinker's shape this module:

* It holds receivers weakly by default, and a lambda would be gone at once: always
  ``weak=False``. A subscription with ``weak=True`` watches its object itself.
* It tells senders apart by `id`, strings and integers by value, and takes the integer 0 for
  ``ANY``: integers are given to it as strings.
* ``disconnect(receiver, sender)`` is quick but leaves an empty entry behind for both, and
  ``disconnect(receiver)`` leaves nothing but visits every sender. Ten thousand calls come and
  go, so the quick way is used, and a signal is made anew once more than half of its entries are
  empty.

A change takes several steps, and a KeyboardInterrupt can come between any two of them:

* A subscription counts from the one step that sets `Subscription.is_active`, and no longer from
  the one that takes it back. Anything else that is noted of it before or after does no harm.
* Routes are forgotten before or after the step, and none is made meanwhile: that takes the lock.
* An ending that was interrupted is noted, and finished by the next change.
"""

from __future__ import annotations

import inspect
import weakref
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from blinker import ANY, Signal

from ..exceptions import DuplicateSubscriptionError
from .options import Options
from .signatures import Handler

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, KeysView, Sequence
    from typing import Self

_REWRITE_FROM: Final = 64


def sender_key(sender: object) -> Hashable:
    """Return the key of *sender*: the value of a string or number, of other objects the id."""
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
    """Return a key that is equal for equal handlers: of a method, its object and function."""
    bound_to = getattr(handler, "__self__", None)
    if inspect.ismethod(handler):
        return id(bound_to), id(handler.__func__)
    if inspect.isbuiltin(handler) and bound_to is not None:
        return id(bound_to), handler.__name__  # "seen.append" is a new object each time
    return id(handler)


class _Entry:
    """
    The receiver that blinker has for a subscription.

    An empty one may stay with blinker for a while, and keeps nothing alive: neither the handler
    nor the sender.
    """

    __slots__ = ("subscription",)

    def __init__(self, subscription: Subscription) -> None:
        self.subscription: Subscription | None = subscription


class Subscription:
    """
    The subscription of one handler to some event classes; `cancel` ends it.

    Works as a context manager that cancels at exit.

    Attributes:
        handler: The callable, as it was given; None if it was weak, and its object is gone.
        event_types: The classes that it was subscribed to.
        options: The options that it was subscribed with.
        is_active: True if it still gets events.
        is_cancelled: True if the events that were queued for it were given up, too.
    """

    __slots__ = ("__weakref__", "_ref", "_registry", "description", "direct", "entry",
                 "event_types", "identity", "is_active", "is_cancelled", "is_checked",
                 "is_removed", "options", "order", "queues", "target")  # fmt: skip

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
        self.is_active = self.is_cancelled = self.is_removed = False
        self.is_checked = False  # that a call of it gives no coroutine, if it is sync
        # Queues of its events, by sender key; only those that aren't empty.
        self.queues: dict[Hashable, Any] = {}
        # The handler; of a weak subscription, a stand-in.
        self.target: Callable[..., Any] = description.call
        # The handler, if a worker may call it without asking anybody; set by the compiler.
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

    def __exit__(self, *exc_info: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        state = "" if self.is_active else ", cancelled"
        types = ", ".join(event_type.__qualname__ for event_type in self.event_types)
        return f"<Subscription of {self.description.name} to {types}{state}>"

    def _forget(self, _: object) -> None:
        # Runs whenever the collector does, perhaps in the middle of a change.
        self._registry.mark_dead(self)


def _gone(*_: object) -> None:
    """Stand in for a method of an object that is gone."""


class Registration:
    """
    The subscriptions of one `EventBus.register`; `cancel` ends them.

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

    def __exit__(self, *exc_info: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<Registration of {len(self.subscriptions)} subscriptions>"


class Registry:
    """
    The subscriptions of one bus.

    Args:
        on_change: Called with the sender (or `ANY`) after subscriptions to it have changed.
        on_cancel: Called with a subscription that has just been cancelled.
        on_dead: Called, at any moment at all, when the object of a weak subscription is gone.

    Attributes:
        lock: Held while subscriptions change; to be held while they are being read.
        senders: The subscriptions that each sender has of its own, by sender key.
    """

    def __init__(
        self,
        *,
        on_change: Callable[[Any], None],
        on_cancel: Callable[[Subscription], None],
        on_dead: Callable[[], None],
    ) -> None:
        self._signals: dict[type[Any], Signal] = {}
        # Of all signals: a signal's sender is the one that has changed.
        self._connected, self._disconnected = Signal(), Signal()
        self._connected.connect(self._changed, weak=False)
        self._disconnected.connect(self._changed, weak=False)
        self._emptied: dict[type[Any], int] = {}
        # Handler -> class and sender -> subscription.
        self._known: dict[Hashable, dict[tuple[type[Any], Hashable], Subscription]] = {}
        self._purged_by: dict[type[Any], dict[Subscription, None]] = {}
        self._dead: list[Subscription] = []
        self._ending: dict[Subscription, None] = {}
        self._order = 0
        self.lock = RLock()
        self.senders: dict[Hashable, set[Subscription]] = {}
        self._on_change = on_change
        self._on_cancel = on_cancel
        self._on_dead = on_dead

    # --- changes ------------------------------------------------------------------------

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
            self._finish()
            sender = _key(options.sender)
            identity = handler_identity(description.call)
            known = self._known.get(identity, {})
            found = [known.get((event_type, sender)) for event_type in event_types]
            for existing, event_type in zip(found, event_types, strict=True):
                if existing is not None and existing.options != options:
                    msg = (
                        f"{description.name} is subscribed to {event_type.__qualname__} already, "
                        f"with other options; cancel that subscription first, or give the same "
                        f"options."
                    )
                    raise DuplicateSubscriptionError(msg, handler=description.call)
            new = tuple(t for t, s in zip(event_types, found, strict=True) if s is None)
            if not new:
                assert found[0] is not None
                return found[0]
            self._order += 1
            subscription = Subscription(self, description, new, options, self._order)
            try:
                self._note(subscription, sender)
                subscription.is_active = True
                self._on_change(options.sender)
            except BaseException:
                self.expire(subscription)
                raise
        return subscription

    def _note(self, subscription: Subscription, sender: Hashable) -> None:
        options = subscription.options
        if sender is not ANY:
            self.senders.setdefault(sender, set()).add(subscription)
        known = self._known.setdefault(subscription.identity, {})
        for event_type in subscription.event_types:
            known[event_type, sender] = subscription
            self._connect(self._signal(event_type), subscription)
        for event_type in options.mailbox.purged_by if options.mailbox else ():
            self._purged_by.setdefault(event_type, {})[subscription] = None

    def remove(self, subscription: Subscription) -> None:
        """End *subscription*, and the events that are queued for it; again, it does nothing."""
        with self.lock:
            self.expire(subscription)
            if not subscription.is_cancelled:
                self._on_cancel(subscription)
                subscription.is_cancelled = True

    def expire(self, subscription: Subscription) -> None:
        """End *subscription*; the events that are queued for it are still delivered."""
        if subscription.is_removed:
            self._ending.pop(subscription, None)
            return
        options = subscription.options
        self._ending[subscription] = None
        self._on_change(options.sender)
        subscription.is_active = False
        # From here on each step may be made twice: the first time may have been interrupted, by
        # an exception or by a signal handler that publishes.
        subscription.entry.subscription = None
        receiver: Any = subscription.entry
        for event_type in subscription.event_types:
            signal = self._signals.get(event_type)
            if signal is not None:
                signal.disconnect(receiver, sender=_blinker_sender(options.sender))
                self._count_emptied(event_type, signal)
        for event_type in options.mailbox.purged_by if options.mailbox else ():
            _discard(self._purged_by, event_type, subscription)
        sender = _key(options.sender)
        known = self._known.get(subscription.identity, {})
        for event_type in subscription.event_types:
            if known.get((event_type, sender)) is subscription:
                known.pop((event_type, sender), None)
        if not known:
            self._known.pop(subscription.identity, None)
        own = self.senders.get(sender)
        if own is not None:
            own.discard(subscription)
            if not own:
                self.senders.pop(sender, None)
        self._on_change(options.sender)
        subscription.is_removed = True
        self._ending.pop(subscription, None)

    def _finish(self) -> None:
        """Finish the endings that were interrupted, and those of objects that are gone."""
        while self._ending:
            self.expire(next(iter(self._ending)))
        while self._dead:
            dead = self._dead[0]
            self.remove(dead)
            if dead in self._dead:
                self._dead.remove(dead)

    def mark_dead(self, subscription: Subscription) -> None:
        """Note that a weak subscription's object is gone; it is removed before the next look."""
        self._dead.append(subscription)
        self._on_dead()

    # --- looks --------------------------------------------------------------------------

    def is_held_here(self) -> bool:
        """Return True if this thread holds the lock: it is in the middle of a change or a look."""
        lock: Any = self.lock
        return bool(lock._is_owned())  # noqa: SLF001  # as threading.Condition does

    @property
    def has_purging(self) -> bool:
        """True if any subscription has a mailbox with ``purged_by``."""
        return bool(self._purged_by)

    @property
    def class_count(self) -> int:
        """The number of classes that there ever was a subscription to."""
        return len(self._signals)

    def subscribed_classes(self) -> KeysView[type[Any]]:
        """Return the classes that there ever was a subscription to."""
        return self._signals.keys()

    def find(self, handler: object) -> list[Subscription]:
        """Return the subscriptions of *handler*, in the order of registration."""
        with self.lock:
            self._finish()
            found = set(self._known.get(handler_identity(handler), {}).values())
        return sorted(found, key=lambda subscription: subscription.order)

    def subscriptions_for(self, event_type: type[Any], sender: object) -> Sequence[Subscription]:
        """Return the subscriptions to exactly *event_type*, for *sender* or for any."""
        if self._dead:
            self._finish()
        signal = self._signals.get(event_type)
        if signal is None:
            return ()
        entries: Any
        if self.senders:
            entries = signal.receivers_for(_blinker_sender(sender))
        else:  # all receivers get the events of any sender
            entries = tuple(signal.receivers.values())
        return [s for entry in entries if (s := entry.subscription) is not None and s.is_active]

    def purged_by(self, event_type: type[Any], sender: object) -> list[Subscription]:
        """Return the subscriptions that an event of *event_type* empties the queues of."""
        if not self._purged_by:
            return []
        key = sender_key(sender)
        return [
            subscription
            for base in event_type.__mro__
            for subscription in self._purged_by.get(base, ())
            if subscription.is_active
            and (
                subscription.options.sender is ANY or sender_key(subscription.options.sender) == key
            )
        ]

    # --- blinker ------------------------------------------------------------------------

    def _connect(self, signal: Signal, subscription: Subscription) -> None:
        receiver: Any = subscription.entry
        sender = _blinker_sender(subscription.options.sender)
        signal.connect(receiver, sender=sender, weak=False)

    def _signal(self, event_type: type[Any]) -> Signal:
        signal = self._signals.get(event_type)
        if signal is None:
            signal = self._signals[event_type] = self._watched(Signal())
        return signal

    def _watched(self, signal: Signal) -> Signal:
        signal.receiver_connected = self._connected
        signal.receiver_disconnected = self._disconnected
        return signal

    def _changed(self, _: Signal, *, sender: Any, **__: object) -> None:
        self._on_change(sender)

    def _count_emptied(self, event_type: type[Any], signal: Signal) -> None:
        """Note that an entry is empty; make the signal anew once most of its entries are."""
        emptied = self._emptied.get(event_type, 0) + 1
        if emptied >= _REWRITE_FROM and emptied * 2 >= len(signal.receivers):
            emptied = 0
            new = Signal()
            entries: list[Any] = list(signal.receivers.values())
            for entry in entries:
                if entry.subscription is not None:
                    self._connect(new, entry.subscription)
            self._signals[event_type] = self._watched(new)
        self._emptied[event_type] = emptied


def _discard(
    table: dict[type[Any], dict[Subscription, None]], key: type[Any], subscription: Subscription
) -> None:
    entries = table.get(key)
    if entries is not None:
        entries.pop(subscription, None)
        if not entries:
            table.pop(key, None)

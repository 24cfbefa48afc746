"""
The compiled routes of a bus: found once per event class and sender, used until they are stale.

Senders without subscriptions of their own share one table; each of the others has one. Beside
each table stands its *fast* one, with the calls that the publish of the bus may run without asking
anybody: it finds them by the event's class alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blinker import ANY

from ..exceptions import BusNotRunning
from .registry import sender_key
from .routing import VOCABULARY, published_class, route_class

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from .calls import Calls
    from .registry import Registry


class Routes:
    """
    The compiled routes of one bus.

    Args:
        registry: The subscriptions.
        compile_route: Returns the calls for events of a class from a sender.
        compile_own: Yields those of some classes that have handlers by themselves, with the calls
            for events from a sender.
        unhandled_classes: Returns the calls for classes that nobody has subscribed to, by class.
        compile_inner: Returns the calls behind the middleware.

    Attributes:
        fast: The fast routes of senders without subscriptions of their own, by class.
        fast_of: The fast routes of each other sender, by sender key and class.
        may_be_fast: True if events may take a fast route, as things are.
        may_be_async: True if events can reach an async handler: the bus runs.
        state: An object that is replaced by another one whenever routes have been forgotten.
    """

    __slots__ = (
        "_compile",
        "_compile_inner",
        "_compile_own",
        "_inner",
        "_is_new",
        "_new_senders",
        "_of_sender",
        "_registry",
        "_shared",
        "_taken",
        "_unhandled_classes",
        "fast",
        "fast_of",
        "may_be_async",
        "may_be_fast",
        "state",
    )

    def __init__(
        self,
        registry: Registry,
        compile_route: Callable[[type[Any], Any], Calls],
        compile_own: Callable[[frozenset[type[Any]], Any], Iterable[tuple[type[Any], Calls]]],
        unhandled_classes: Callable[[], Mapping[type[Any], Calls]],
        compile_inner: Callable[[type[Any], Any], Calls],
    ) -> None:
        self._registry = registry
        self._compile = compile_route
        self._compile_own = compile_own
        self._unhandled_classes = unhandled_classes
        self._compile_inner = compile_inner
        self._is_new = True
        self._new_senders: set[Hashable] = set()
        self.may_be_fast = True
        self.may_be_async = False
        self.state = object()
        self.fast: dict[type[Any], Calls] = {}
        self.fast_of: dict[Hashable, dict[type[Any], Calls]] = {}
        self._shared: dict[type[Any], Calls] = {}
        self._of_sender: dict[Hashable, dict[type[Any], Calls]] = {}
        self._inner: dict[Hashable, dict[type[Any], Calls]] = {}
        # Whether a handler takes events of a class as they are, by sender key.
        self._taken: dict[Hashable, dict[type[Any], bool]] = {}

    def find(self, event: Any, sender: Any) -> Calls:
        """
        Return the calls for *event* from *sender*.

        Raises:
            BusNotRunning: They need a running bus.
        """
        event_type = route_class(event)
        key = None if sender is None else sender_key(sender)
        if key in self._registry.senders:
            table, fast = self._of_sender.get(key), self.fast_of.get(key)
        else:
            table, fast = self._shared, self.fast
        calls = None if table is None else table.get(event_type)
        if calls is None or (
            calls.is_fast and self.may_be_fast and fast is not None and type(event) not in fast
        ):
            calls = self._make(event_type, sender, key)
        if calls.needs_loop and not self.may_be_async:
            msg = (
                f"{type(event).__qualname__} has an async handler, and the bus isn't running; "
                f"publish inside 'async with bus:'."
            )
            raise BusNotRunning(msg)
        return calls

    def find_fast(self, event_type: type[Any], sender: Any) -> Calls | None:
        """Return the fast route for events of *event_type* from *sender*, if they may take one."""
        key = None if sender is None else sender_key(sender)
        calls = self.fast_of.get(key, self.fast).get(event_type)
        if calls is not None:
            return calls
        table = self._of_sender.get(key, {}) if key in self._registry.senders else self._shared
        if not self.may_be_fast or event_type in table:  # it is known, and isn't fast
            return None
        self._make(event_type, sender, key)
        return self.fast_of.get(key, self.fast).get(event_type)

    def _make(self, event_type: type[Any], sender: Any, key: Hashable) -> Calls:
        # With the lock, no subscription changes between the look at them and the note of it.
        with self._registry.lock:
            if key in self._registry.senders:
                table = self._of_sender.setdefault(key, {})
                fast = self.fast_of.setdefault(key, {})
            else:
                table, fast = self._shared, self.fast
            unhandled = self._unhandled_classes()
            if fast is self.fast and self.may_be_fast and not fast:
                fast.update(unhandled)  # a sender has them, 2 kB, as soon as it publishes one
            subscribed = self._subscribed_at_first(key)
            if subscribed:
                for own, calls in self._compile_own(subscribed, sender):
                    table[own] = calls
                    if self._is_fast(calls):
                        fast[own] = calls
                for each in subscribed - table.keys():
                    self._make_in(table, fast, each, sender, unhandled)
            return self._make_in(table, fast, event_type, sender, unhandled)

    def _subscribed_at_first(self, key: Hashable) -> frozenset[type[Any]]:
        """
        Return the classes that have handlers, at the first event of a bus or of a sender.

        A session sees each of them for the first time: to come here for each would take longer.
        Later on, when subscriptions have changed, only the routes that are used are made.
        """
        if key in self._new_senders:
            self._new_senders.discard(key)
            own = self._registry.senders.get(key, ())
            return VOCABULARY & {cls for each in tuple(own) for cls in each.event_types}
        if self._is_new and key not in self._registry.senders:
            self._is_new = False
            return VOCABULARY & self._registry.subscribed_classes()
        return frozenset()

    def _make_in(
        self,
        table: dict[type[Any], Calls],
        fast: dict[type[Any], Calls],
        event_type: type[Any],
        sender: Any,
        unhandled: Mapping[type[Any], Calls],
    ) -> Calls:
        """Note the route of *event_type* in *table*, and if it is fast, in that table too."""
        published_type = published_class(event_type)
        calls = unhandled.get(published_type)
        if calls is not None:
            table[event_type] = calls
            if self.may_be_fast and published_type not in fast:
                fast.update(unhandled)
            return calls
        calls = table.get(event_type)
        if calls is None:
            calls = table[event_type] = self._compile(event_type, sender)
        if published_type is not event_type and published_type not in table:
            table[published_type] = self._compile(published_type, sender)
        # A fast route is found by the class of the event itself. Where that of a decoder's
        # Other is another one than that of the others, because those fall back, none is fast.
        fast_calls = table[published_type]
        if self._is_fast(fast_calls):
            fast[published_type] = fast_calls
        return calls

    def _is_fast(self, calls: Calls) -> bool:
        """Return whether events can take such a route without asking anybody, as things are."""
        return calls.is_fast and self.may_be_fast and (self.may_be_async or not calls.needs_loop)

    def find_inner(self, event: Any, sender: Any, key: Hashable) -> Calls:
        """
        Return the calls for *event* behind the middleware.

        Raises:
            BusNotRunning: They need a running bus.
        """
        event_type = route_class(event)
        key = key if key in self._registry.senders else None
        table = self._inner.get(key)
        calls = None if table is None else table.get(event_type)
        if calls is None:
            with self._registry.lock:
                table = self._inner.setdefault(key, {})
                calls = table[event_type] = self._compile_inner(event_type, sender)
        if calls.needs_loop and not self.may_be_async:
            msg = f"{type(event).__qualname__} has an async handler, and the bus isn't running."
            raise BusNotRunning(msg)
        return calls

    def has_handlers(self, event_type: type[Any], sender: Any) -> bool:
        """Return True if an event of *event_type* would reach a handler as it is."""
        key = None if sender is None else sender_key(sender)
        registry = self._registry
        table = self._taken.get(key if key in registry.senders else None)
        is_taken = None if table is None else table.get(event_type)
        if is_taken is not None:
            return is_taken
        with registry.lock:
            table = self._taken.setdefault(key if key in registry.senders else None, {})
            table[event_type] = is_taken = any(
                registry.subscriptions_for(base, sender) for base in event_type.__mro__
            )
        return is_taken

    # --- forgetting: at any moment, also in the middle of all of the above -----------------

    def forget_fast(self) -> None:
        """Forget the fast routes: each event is to be looked at again."""
        self.fast.clear()
        for table in tuple(self.fast_of.values()):
            table.clear()
        self.state = object()

    def forget_all(self) -> None:
        """Forget all routes."""
        self.forget_fast()
        self._shared.clear()
        self._of_sender.clear()
        self._inner.clear()
        self._taken.clear()
        self.state = object()  # last: what was found before is out of date

    def forget(self, sender: Any) -> None:
        """Forget the routes that subscriptions to *sender*, or to `ANY`, are in."""
        if sender is ANY:
            self.forget_all()
            return
        key = sender_key(sender)
        if key in self._registry.senders:
            if key not in self.fast_of:
                self._new_senders.add(key)
            self.fast_of[key] = {}  # without one, it would take the routes of all the others
        else:
            self._new_senders.discard(key)
            self.fast_of.pop(key, None)
        self._of_sender.pop(key, None)
        self._inner.pop(key, None)
        self._taken.pop(key, None)
        self.state = object()

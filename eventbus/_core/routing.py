"""
Event class -> its handlers, in order, and the form of the event; nothing is called here.

1. An event goes to each handler of its class or of a base of it: class identity decides.
2. ``object`` is every class's base and the catch-all: it gets everything, and handles nothing.
3. An event without a handler goes to the handlers of `RealtimeModelOtherEvent`, wrapped in one.
   If there are none either, an event of a class outside the vocabulary goes to the handlers of
   `RealtimeModelRawServerEvent`, wrapped in that. A fallback has no fallback of its own.
4. An event of the vocabulary stops at Other, and so does an Other event that a decoder made: its
   frame has been published as a Raw event already, and a handler of Raw gets each frame once.
   Only an Other event that was published by hand goes on to Raw.
5. A `RealtimeModelExceptionEvent` has no fallback: a crash does not belong among the vendor's
   events. Nor has a class with ``falls_back = False``, like the events of a live session, which
   repeat a model's events.
6. Higher priority first, then the order of registration; each subscription once.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import attrs

from .._event_base import mark_of
from ..events import (
    RealtimeModelErrorEvent,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from .registry import Subscription

VOCABULARY: Final = frozenset(get_args(RealtimeModelEvent))

DERIVED: Final = {
    base: frozenset(cls for cls in VOCABULARY if issubclass(cls, base))
    for base in {base for cls in VOCABULARY for base in cls.__mro__}
}
"""The classes of the vocabulary by each of their bases; each class is a base of itself."""


class Overview(NamedTuple):
    """
    The vocabulary, as far as it can be seen from the classes that have subscriptions.

    Attributes:
        unhandled: The classes that nobody takes, not even as a fallback.
        own: The classes with subscriptions to exactly them, and to none of their bases.
    """

    unhandled: frozenset[type[Any]]
    own: frozenset[type[Any]]


NO_OVERVIEW: Final = Overview(frozenset(), frozenset())


def overview(subscribed: Collection[type[Any]]) -> Overview:
    """Return the overview over a bus or a sender with subscriptions to these classes."""
    return _overview(frozenset(DERIVED.keys() & subscribed))


@functools.lru_cache(maxsize=64)  # the buses of a program are much alike
def _overview(subscribed: frozenset[type[Any]]) -> Overview:
    handled = {cls for base in subscribed for cls in DERIVED[base]}
    if RealtimeModelRawServerEvent in handled:
        unhandled: frozenset[type[Any]] = frozenset()
    elif RealtimeModelOtherEvent in handled:
        unhandled = frozenset({RealtimeModelRawServerEvent})
    else:
        unhandled = VOCABULARY - handled - {RealtimeModelErrorEvent, RealtimeModelExceptionEvent}
    own = {cls for cls in VOCABULARY & subscribed if len(subscribed.intersection(cls.__mro__)) == 1}
    return Overview(unhandled, frozenset(own))


class _DecodedOther(RealtimeModelOtherEvent):
    """The route of an Other event that a decoder made: it has no fallback."""

    falls_back = False


def route_class(event: object) -> type[Any]:
    """Return the class to route *event* by: its own, but for an Other of a decoder."""
    if type(event) is RealtimeModelOtherEvent and mark_of(event) is not None:
        return _DecodedOther
    return type(event)


def published_class(event_type: type[Any]) -> type[Any]:
    """Return the class of the events that take the route of *event_type*; see `route_class`."""
    return RealtimeModelOtherEvent if event_type is _DecodedOther else event_type


@attrs.define
class Route:
    """
    The subscriptions to events of one class, from one sender.

    Attributes:
        direct: Those that get the event as it is.
        fallback: Those that get it wrapped.
        wrap: Makes the wrapped event, if there is a fallback.
        is_handled: True if a handler takes it; the catch-all doesn't count.
    """

    direct: tuple[Subscription, ...]
    fallback: tuple[Subscription, ...] = ()
    wrap: Callable[[Any], object] | None = None
    is_handled: bool = True

    @property
    def wants_context(self) -> bool:
        """True if a handler takes the `Context` of the event."""
        return wants_context(self.direct) or wants_context(self.fallback)


def wants_context(subscriptions: Iterable[Subscription]) -> bool:
    """Return True if one of the handlers takes the `Context` of the event."""
    for subscription in subscriptions:  # noqa: SIM110  # any() takes longer than the rest of a route
        if subscription.description.wants_context:
            return True
    return False


def find_route(
    event_type: type[Any], subscriptions_for: Callable[[type[Any]], Iterable[Subscription]]
) -> Route:
    """
    Return the route of *event_type*.

    Args:
        event_type: The class of the event.
        subscriptions_for: Returns the subscriptions to exactly the class that it is given.
    """
    handlers = _takers(event_type, subscriptions_for)
    direct = in_order([*handlers, *subscriptions_for(object)])
    if handlers:
        return Route(direct)
    for fallback_type, wrap in _fallbacks(event_type):
        takers = _takers(fallback_type, subscriptions_for)
        fallback = [taker for taker in takers if taker not in direct]
        if fallback:
            return Route(direct, in_order(fallback), wrap)
    return Route(direct, is_handled=False)


def _takers(
    event_type: type[Any], subscriptions_for: Callable[[type[Any]], Iterable[Subscription]]
) -> list[Subscription]:
    """Return the subscriptions to *event_type* and its bases, but for the catch-all."""
    takers: list[Subscription] = []
    for base in event_type.__mro__:
        if base is not object:
            takers += subscriptions_for(base)
    return takers


def _fallbacks(
    event_type: type[Any],
) -> Iterable[tuple[type[Any], Callable[[Any], object]]]:
    """Yield the class and the maker of each fallback event, the first choice first."""
    if getattr(event_type, "falls_back", True) is False:
        return
    if issubclass(event_type, (RealtimeModelRawServerEvent, RealtimeModelExceptionEvent)):
        return
    if issubclass(event_type, RealtimeModelOtherEvent):
        yield RealtimeModelRawServerEvent, lambda other: RealtimeModelRawServerEvent(other.data)
        return
    yield RealtimeModelOtherEvent, RealtimeModelOtherEvent
    if event_type in VOCABULARY:
        return
    yield RealtimeModelRawServerEvent, RealtimeModelRawServerEvent


def in_order(subscriptions: Sequence[Subscription]) -> tuple[Subscription, ...]:
    """Return the subscriptions in the order in which they are called."""
    if len(subscriptions) < 2:
        return tuple(subscriptions)
    unique = dict.fromkeys(subscriptions)
    return tuple(sorted(unique, key=lambda s: (-s.options.priority, s.order)))

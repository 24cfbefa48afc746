"""
Event class -> who gets the event, in which order, and as what. Pure: nothing is called here.

1. An event goes to whoever subscribed to its class or a base of it: class identity decides.
2. ``object`` is everybody's base and the catch-all: it gets everything, and handles nothing.
3. What nobody handles goes to the handlers of `RealtimeModelOtherEvent`, wrapped in one; what
   they don't exist for, to those of `RealtimeModelRawServerEvent`, wrapped in that. It stops
   there: a fallback has no fallback.
4. A `RealtimeModelExceptionEvent` has no fallback either: nobody should have to look for a
   crash among the vendor's events. Nor has a class that says so, with ``falls_back = False``:
   what is made of a model's events has nothing to do there that these have not.
5. Higher priority first, then the order of registration; each subscription once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from ..events import (
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .registry import Subscription

__all__ = ["Route", "find_route"]


@attrs.frozen
class Route:
    """
    Where events of one class, from one sender, go.

    Attributes:
        direct: Who gets the event as it is.
        fallback: Who gets it wrapped.
        wrap: Makes the wrapped event, if there is a fallback.
        is_handled: Whether somebody takes it; the catch-all doesn't count.
    """

    direct: tuple[Subscription, ...]
    fallback: tuple[Subscription, ...] = ()
    wrap: Callable[[Any], object] | None = None
    is_handled: bool = True


def find_route(
    event_type: type[Any], subscriptions_for: Callable[[type[Any]], Iterable[Subscription]]
) -> Route:
    """
    Return the route of *event_type*.

    Args:
        event_type: The class of the event.
        subscriptions_for: Returns who subscribed to exactly the class that it is given.
    """

    def takers(cls: type[Any]) -> list[Subscription]:
        return [s for base in cls.__mro__ if base is not object for s in subscriptions_for(base)]

    handlers = takers(event_type)
    direct = _in_order([*handlers, *subscriptions_for(object)])
    if handlers:
        return Route(direct)
    for fallback_type, wrap in _fallbacks(event_type):
        fallback = [s for s in takers(fallback_type) if s not in direct]
        if fallback:
            return Route(direct, _in_order(fallback), wrap)
    return Route(direct, is_handled=False)


def _fallbacks(
    event_type: type[Any],
) -> Iterable[tuple[type[Any], Callable[[Any], object]]]:
    """Yield what an event that nobody handles is wrapped in, the best first."""
    if getattr(event_type, "falls_back", True) is False:
        return
    if issubclass(event_type, (RealtimeModelRawServerEvent, RealtimeModelExceptionEvent)):
        return
    if issubclass(event_type, RealtimeModelOtherEvent):
        yield RealtimeModelRawServerEvent, lambda other: RealtimeModelRawServerEvent(other.data)
        return
    yield RealtimeModelOtherEvent, RealtimeModelOtherEvent
    yield RealtimeModelRawServerEvent, RealtimeModelRawServerEvent


def _in_order(subscriptions: Iterable[Subscription]) -> tuple[Subscription, ...]:
    unique = dict.fromkeys(subscriptions)
    return tuple(sorted(unique, key=lambda s: (-s.options.priority, s.order)))

"""
The same publish, while the rest of the bus is small and while it is large.

Ten of the senders or classes take turns in both cases, so that both have the same memory in the
processor's caches: the comparison shows whether anything grows with the books. Where that matters
to a server that has all of its calls at once, another row lets all of them take turns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from measuring import Comparison, Effort, Side, calling, compare
from publishing import EVENT, no_op_handlers

from eventbus import EventBus
from eventbus.events import RealtimeModelTranscriptDeltaEvent

__all__ = ["GROWING", "LARGE", "SMALL", "grow"]

SMALL = "10"
LARGE = "many"

_TURNS = 10


def _scopes(count: int, turns: int) -> tuple[Callable[[Any], object], list[Any]]:
    """Calls that each have a handler of their own."""
    bus = EventBus()
    scopes = [bus.scope(f"call-{number}").__enter__() for number in range(count)]
    for scope, handler in zip(scopes, no_op_handlers(count), strict=True):
        scope.subscribe(handler, RealtimeModelTranscriptDeltaEvent)
        scope.publish(EVENT)  # the first one compiles its route, once for each scope
    return lambda scope: scope.publish(EVENT), scopes[:turns]


def _classes(count: int, turns: int) -> tuple[Callable[[Any], object], list[Any]]:
    """Event classes that each have a handler."""
    bus = EventBus()
    classes = [attrs.make_class(f"Event{number}", {}) for number in range(count)]
    for cls, handler in zip(classes, no_op_handlers(count), strict=True):
        bus.subscribe(handler, cls)
    return bus.publish, [cls() for cls in classes[:turns]]


def _subscriptions(count: int, turns: int) -> tuple[Callable[[Any], object], list[Any]]:
    """Handlers, all of another event than the one that is published."""
    bus = EventBus()
    other = attrs.make_class("Other", {})
    for handler in no_op_handlers(count):
        bus.subscribe(handler, other)
    for handler in no_op_handlers(1):
        bus.subscribe(handler, RealtimeModelTranscriptDeltaEvent)
    return bus.publish, [EVENT]


@attrs.frozen
class Growing:
    """
    A part of the books that grows.

    Attributes:
        name: Its name in the table.
        build: Makes a bus with so many of them, and returns the function to call, and arguments.
        all_take_turns: Whether all of them take turns, or only ten.
    """

    name: str
    build: Callable[[int, int], tuple[Callable[[Any], object], list[Any]]]
    all_take_turns: bool = False


GROWING = (
    Growing("scopes", _scopes),
    Growing("scopes, all in turn", _scopes, all_take_turns=True),
    Growing("classes", _classes),
    Growing("subscriptions", _subscriptions),
)


async def grow(growing: Growing, effort: Effort) -> Comparison:
    """Compare a publish with ten of them to one with many."""
    sides: list[Side] = []
    for name, count in ((SMALL, _TURNS), (LARGE, effort.scale)):
        turns = count if growing.all_take_turns else _TURNS
        call, items = growing.build(count, turns)
        sides.append(calling(name, call, items))
    return await compare(sides, effort)

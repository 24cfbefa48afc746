"""
The memory of one scope that nothing happens in, as `tracemalloc` counts it.

The count is that of Python's objects, per scope, with many of them open at once; without the
reserve of the allocator. Senders are strings that exist already.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import attrs
from publishing import EVENT, no_op_handlers

from eventbus import EventBus, Scope
from eventbus.events import RealtimeModelTranscriptDeltaEvent

__all__ = ["IDLE_SCOPES", "bytes_per_scope"]


def _open(scope: Scope) -> None:
    pass


def _subscribe(scope: Scope) -> None:
    scope.subscribe(no_op_handlers(1)[0], RealtimeModelTranscriptDeltaEvent)


def _subscribe_and_publish(scope: Scope) -> None:
    _subscribe(scope)
    scope.publish(EVENT)


@attrs.frozen
class IdleScope:
    """
    The use of a scope before it became idle.

    Attributes:
        name: Its name in the table.
        use: Uses it.
    """

    name: str
    use: Callable[[Scope], None]


IDLE_SCOPES = (
    IdleScope("entered", _open),
    IdleScope("with a handler", _subscribe),
    IdleScope("with a handler, after an event", _subscribe_and_publish),
)


def bytes_per_scope(idle: IdleScope, count: int) -> float:
    """Return the bytes of each of so many idle scopes."""
    bus = EventBus()
    senders = [f"call-{number}" for number in range(count)]
    idle.use(bus.scope("before").__enter__())  # what the first one needs, and the others share
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        scopes = [bus.scope(sender).__enter__() for sender in senders]
        for scope in scopes:
            idle.use(scope)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) / count

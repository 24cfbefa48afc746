"""
A short session on a bus of its own, which sees each event class for the first time.

The session is the project's recording of one spoken turn, as it is, and with its speech repeated
until it lasts two seconds. It is decoded and published on a bus with five handlers; the same
session on a bus that has had one before is the other side. Making the bus and subscribing its
handlers is measured by a side of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import perf_counter
from typing import Any, Final

from decoding import SESSION_CLASSES
from frames import sessions
from measuring import Comparison, Effort, Side, compare
from publishing import no_op_handlers

from eventbus import EventBus, Scope
from eventbus.wire.openai import OpenAIRealtimeDecoder

__all__ = ["IN_NEW_SCOPE", "LENGTHS", "ON_NEW_BUS", "ON_WARM_BUS", "WITH_MAKING", "publish_session"]

ON_WARM_BUS: Final = "eventbus, on a warm bus"
ON_NEW_BUS: Final = "eventbus, on a new bus"
IN_NEW_SCOPE: Final = "eventbus, in a new scope"
WITH_MAKING: Final = "eventbus, making the bus, too"

LENGTHS: Final = {"as recorded": 1, "two seconds of speech": 25}
"""How often each piece of speech is repeated, by the name of the session."""


def _frames(repeats: int) -> Sequence[bytes]:
    frames: list[bytes] = []
    for frame in sessions()["OpenAI"]:
        frames += [frame] * (repeats if b'"response.output_audio.delta"' in frame else 1)
    return frames


def _subscribe(bus: EventBus | Scope) -> None:
    handlers = no_op_handlers(len(SESSION_CLASSES))
    for handler, event_type in zip(handlers, SESSION_CLASSES, strict=True):
        bus.subscribe(handler, event_type)


def _new_bus() -> EventBus:
    bus = EventBus()
    _subscribe(bus)
    return bus


def _side(name: str, begin: Callable[[], Any], frames: Sequence[bytes], *, timed: bool) -> Side:
    async def measure(units: int) -> float:
        seconds = 0.0
        for _ in range(units):
            start = perf_counter()
            bus = begin()
            if not timed:
                start = perf_counter()
            publish = OpenAIRealtimeDecoder().publish_to
            for frame in frames:
                publish(bus, frame)
            seconds += perf_counter() - start
        return seconds

    return Side(name, measure)


async def publish_session(repeats: int, effort: Effort) -> Comparison:
    """Compare the same session on a warm bus, on new ones, and in new scopes of one bus."""
    frames, warm, shared = _frames(repeats), _new_bus(), EventBus()
    stack = ExitStack()

    def new_scope() -> Scope:
        stack.close()  # the one before
        scope = stack.enter_context(shared.scope("call-42"))
        _subscribe(scope)
        return scope

    with stack:
        return await compare(
            [
                _side(ON_WARM_BUS, lambda: warm, frames, timed=False),
                _side(ON_NEW_BUS, _new_bus, frames, timed=False),
                _side(IN_NEW_SCOPE, new_scope, frames, timed=False),
                _side(WITH_MAKING, _new_bus, frames, timed=True),
            ],
            effort,
        )

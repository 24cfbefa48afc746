"""
Common parts of several test modules: small events, a handler that fails, and an observer.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import NoReturn

import attrs

from eventbus.events import RealtimeModelExceptionEvent


@attrs.frozen
class Ping:
    """
    An event that is nobody's vocabulary.
    """

    name: str = ""


@attrs.frozen
class Pong:
    """
    Another one, unrelated.
    """

    name: str = ""


@attrs.frozen
class LoudPing(Ping):
    """
    A Ping by inheritance.
    """


class Watcher:
    """
    An observer that does nothing.
    """

    def handler_started(self, call):
        pass

    def handler_finished(self, call):
        pass


def raiser(error: BaseException) -> Callable[[object], NoReturn]:
    """
    Return a new handler that raises *error*.
    """

    def fail(event: object) -> NoReturn:
        raise error

    return fail


def crashes(bus) -> list[RealtimeModelExceptionEvent]:
    """
    Return a list that fills with the failures on *bus* from now on.
    """
    seen: list[RealtimeModelExceptionEvent] = []
    bus.subscribe(seen.append, RealtimeModelExceptionEvent)
    return seen


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """
    Keep the cyclic collector from tidying up: an object that is gone in here was not part of a
    cycle.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

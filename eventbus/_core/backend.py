"""
The two event loops, asyncio and trio, where anyio lacks a function that the bus needs.

The bus starts a task that belongs to no task group of the user's, wakes its tasks from code that
runs in no task, takes calls from other threads, and must know when the loop is gone. This is the
only module that knows which of the two it is.

Code that runs in no task is a plain callback, a finalizer, or a signal handler that has
interrupted the loop anywhere: perhaps while it sleeps, or in the middle of its own bookkeeping.
Then a task is woken the way that another thread would do it, which works at any moment.
"""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any, Protocol

import anyio.lowlevel

from ..exceptions import BusClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Backend(Protocol):
    """One running event loop."""

    @property
    def is_gone(self) -> bool:
        """True if the loop was closed, and the tasks in it never ended."""
        ...

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> object:
        """Start a task outside of all task groups, and return it."""
        ...

    def was_cancelled(self, task: Any, /) -> bool:
        """Return True if *task* was cancelled by other means than a scope of anyio's."""
        ...

    def call_soon(self, function: Callable[[], object]) -> None:
        """
        Have *function* called in the loop; callable from any thread, and at any moment.

        Raises:
            BusClosed: The loop is gone.
        """

    def parking(self) -> Any:
        """Return an object for one task to wait for, once."""
        ...

    async def park(self, parking: Any) -> None:
        """Wait until `wake` is called with *parking*."""

    def wake(self, parking: Any) -> None:
        """
        Wake the task that waits for *parking*, or will; from the loop's thread, at any moment.

        Raises:
            BusClosed: The loop is gone.
        """

    def on_gone(self, function: Callable[[], object], /) -> object:
        """Have *function* called when the loop is closed, if that can be; keep the result."""
        ...


def current_backend() -> Backend:
    """Return the backend of the loop that runs."""
    native: Any = anyio.lowlevel.current_token().native_token
    return _Asyncio(native) if hasattr(native, "create_task") else _Trio(native)


def _is_gone() -> BusClosed:
    return BusClosed(
        "The event loop that the bus ran in is gone; enter the bus in a loop that runs."
    )


class _Asyncio:
    """An asyncio loop; a parking is a future."""

    __slots__ = ("_current_task", "_loop")

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        # Taken from there: a program that runs on trio needs no asyncio.
        self._current_task = sys.modules["asyncio"].current_task

    @property
    def is_gone(self) -> bool:
        return bool(self._loop.is_closed())

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> object:
        return self._loop.create_task(function(), name="eventbus")

    def was_cancelled(self, task: Any, /) -> bool:
        return bool(task.cancelling())

    def call_soon(self, function: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError as exc:
            raise _is_gone() from exc

    def parking(self) -> Any:
        return self._loop.create_future()

    async def park(self, parking: Any) -> None:
        await parking

    def wake(self, parking: Any) -> None:
        if self._current_task(self._loop) is None:
            self.call_soon(lambda: parking.done() or parking.set_result(None))
        elif not parking.done():
            parking.set_result(None)

    def on_gone(self, function: Callable[[], object]) -> object:
        # A loop that is closed tells nobody, but the loops of the standard library let go of
        # their selector. Without one, the next publish that looks finds out.
        selector = getattr(self._loop, "_selector", None)
        try:
            return weakref.ref(selector, lambda _: function())
        except TypeError:
            return None


class _Trio:
    """A run of trio; a parking is one of its events."""

    __slots__ = ("_token", "_trio")

    is_gone = False  # trio ends each of its tasks before it ends

    def __init__(self, token: Any) -> None:
        self._token = token
        self._trio: Any = sys.modules["trio"]  # its token is here, so it is

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> object:
        return self._trio.lowlevel.spawn_system_task(function, name="eventbus")

    def was_cancelled(self, _: Any) -> bool:
        return False

    def call_soon(self, function: Callable[[], object]) -> None:
        try:
            self._token.run_sync_soon(function)
        except RuntimeError as exc:
            raise _is_gone() from exc

    def parking(self) -> Any:
        return self._trio.Event()

    async def park(self, parking: Any) -> None:
        await parking.wait()

    def wake(self, parking: Any) -> None:
        # Always: a signal handler may have interrupted trio while it puts this very task to sleep,
        # and trio takes nothing else then.
        self.call_soon(parking.set)

    def on_gone(self, _: Callable[[], object]) -> object:
        return None

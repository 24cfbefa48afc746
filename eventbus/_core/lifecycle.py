"""
Starting and closing a bus: its runner while it runs, and the errors to raise at its end.
"""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING

import anyio.lowlevel

from ..exceptions import EventBusError
from .workers import Runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from .dispatcher import Dispatcher


class Lifecycle:
    """The starting and closing of one bus; see `EventBus` for the rules."""

    __slots__ = ("_dispatcher", "_entered")

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._entered: Runner | None = None

    async def start(self) -> None:
        """
        Run in the present event loop.

        Raises:
            EventBusError: The bus runs already.
        """
        dispatcher = self._dispatcher
        if self._runner() is not None:
            msg = "The bus is running already; enter another one, or close this one first."
            raise EventBusError(msg)
        while dispatcher.turn.current is not None:  # a thread is in the middle of a dispatch
            await anyio.lowlevel.checkpoint()
        self._entered = runner = Runner(
            drive=dispatcher.deliveries.drive,
            is_idle=dispatcher.is_idle,
            on_drain=dispatcher.let_go,
            on_abort=dispatcher.deliveries.abort,
            on_end=dispatcher.end,
        )
        dispatcher.begin(runner)

    async def leave(self, exc: BaseException | None, on_closed: Callable[[], None]) -> bool:
        """
        Close the bus at the end of its ``async with``, and raise the errors that are left.

        Args:
            exc: The exception that the body has raised.
            on_closed: Called after the bus has closed, before anything is raised.

        Returns:
            True if *exc* is the cancellation by which the bus itself has ended the body.
        """
        runner, self._entered = self._entered, None
        assert runner is not None
        error = exc
        try:
            await self.close(drain=exc is None or isinstance(exc, Exception))
        except BaseException as closing:  # noqa: BLE001  # raised below, if it is not our own
            error = closing
        on_closed()
        is_ours = runner.leave_host(error)
        failures = self._dispatcher.raised_async
        if runner.fatal is not None:
            failures.take()
            raise runner.fatal
        if error is not exc and error is not None and not is_ours:
            failures.take()
            raise error
        if error is None or is_ours:
            failures.raise_all()
        failures.take()
        return is_ours

    async def close(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """Close the bus; see `EventBus.aclose`."""
        dispatcher, runner = self._dispatcher, self._runner()
        if runner is None:
            dispatcher.close()
            return
        if runner.thread != get_ident():
            msg = "The bus runs in another thread's event loop; await aclose() there."
            raise EventBusError(msg)
        dispatcher.drain()
        if dispatcher.is_inside_handler():
            runner.request_stop(drain=drain, timeout=timeout)
            return
        try:
            await runner.stop(drain=drain, timeout=timeout)
        finally:
            dispatcher.end(runner)

    def _runner(self) -> Runner | None:
        """Return the bus's runner, if its event loop is still there."""
        runner = self._dispatcher.runner
        if runner is not None and runner.backend.is_gone:
            self._dispatcher.end(runner)
            return None
        return runner

"""
The bus's own tasks in one event loop: what runs async handlers.

Jobs are run by workers. A job is scheduled from any code of the loop's thread, also from a
plain callback, where no task is current and a task group can't start one; so one task of the
runner's own starts the workers, and a worker that has nothing to do parks, to be handed the
next job directly. There are as many workers as there are jobs that wait for something at the
same time; how many may be parked is bounded, so that a quiet runner costs next to nothing.

The tasks belong to no scope of the user's: `stop` returns in time even if a handler swallows
its cancellation. Where anyio has no word for that, and for a call from another thread, the few
lines per backend are here and nowhere else.
"""

from __future__ import annotations

import logging
import math
import sys
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel

from ..exceptions import BusClosed, is_exit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

__all__ = ["Runner"]

logger = logging.getLogger(__name__)

_MAX_PARKED: Final = 64

GRACE: Final = 2.0
"""Seconds that cancelled handlers get for their cleanup, where the caller named no time."""


class _Parking:
    """A worker without a job."""

    __slots__ = ("event", "job")

    def __init__(self, event: anyio.Event) -> None:
        self.event = event
        self.job: Callable[[], Awaitable[None]] | None = None


class Runner:
    """
    Workers in the event loop that it is made in.

    Args:
        is_quiet: Whether nothing is on its way to becoming a job; asked while draining.
        on_drain: Called while draining, whenever there may be less to do than before.
        on_abort: Called when jobs are about to be cancelled.
        on_end: Called in the loop, with the runner, when no job runs any more.

    Attributes:
        thread: The identifier of the loop's thread.
        fatal: The KeyboardInterrupt or SystemExit that a job raised, if one did.
    """

    def __init__(
        self,
        *,
        is_quiet: Callable[[], bool],
        on_drain: Callable[[], None],
        on_abort: Callable[[], None],
        on_end: Callable[[Runner], None],
    ) -> None:
        self.thread = get_ident()
        self.fatal: BaseException | None = None
        self._is_quiet = is_quiet
        self._on_drain = on_drain
        self._on_abort = on_abort
        self._on_end = on_end
        self._tasks: TaskGroup = anyio.create_task_group()
        self._native: Any = anyio.lowlevel.current_token().native_token
        self._ready: deque[Callable[[], Awaitable[None]]] = deque()
        self._parked: list[_Parking] = []
        self._busy = 0
        self._wake = anyio.Event()
        self._stopping = False
        self._draining = True
        self._finished = anyio.Event()
        # That of the backend: anyio.Event itself looks for the backend each time, and that takes
        # longer than all else that it takes to park.
        self._event_class = type(self._finished)
        # The scope of whoever entered "async with bus": a KeyboardInterrupt in a job ends it.
        self._host = anyio.CancelScope()
        self._host_task = anyio.get_current_task().id
        self._host.__enter__()
        self._task = self._spawn()

    # --- the backends -------------------------------------------------------------------

    def _spawn(self) -> object:
        if hasattr(self._native, "create_task"):  # an asyncio loop; a task is held weakly there
            return self._native.create_task(self._main(), name="eventbus")
        trio = sys.modules["trio"]  # a trio token, so trio is there
        return trio.lowlevel.spawn_system_task(self._main, name="eventbus")

    @property
    def is_gone(self) -> bool:
        """Whether the loop was closed, and nobody has told the bus; trio always does."""
        is_closed = getattr(self._native, "is_closed", None)
        return is_closed is not None and bool(is_closed())

    def is_cancelled(self) -> bool:
        """
        Whether a cancellation in the present worker is the runner's or the loop's.

        Else it is the own idea of whoever raised it. The end of `asyncio.run` knows nothing of
        scopes: it cancels all tasks there are, and marks each of them before any of them runs.
        """
        if anyio.current_effective_deadline() == -math.inf:
            return True
        cancelling = getattr(self._task, "cancelling", None)  # an asyncio task's
        return cancelling is not None and cancelling() > 0

    def call_soon(self, function: Callable[[], None]) -> None:
        """
        Have *function* called in the loop's thread; callable from any thread.

        Raises:
            BusClosed: The loop is gone.
        """
        call_soon = getattr(self._native, "call_soon_threadsafe", None)
        try:
            if call_soon is not None:
                call_soon(function)
            else:
                self._native.run_sync_soon(function)
        except RuntimeError as exc:
            msg = "The event loop that the bus ran in is gone; enter the bus in a loop that runs."
            raise BusClosed(msg) from exc

    # --- jobs ---------------------------------------------------------------------------

    def schedule(self, job: Callable[[], Awaitable[None]]) -> None:
        """Have *job* run by a worker; from the loop's thread only, but from any code there."""
        self._busy += 1
        if self._parked:
            parking = self._parked.pop()
            parking.job = job
            parking.event.set()
        else:
            self._ready.append(job)
            self._wake.set()

    async def _main(self) -> None:
        try:
            async with self._tasks as tasks:
                while not self._is_done():
                    await self._wake.wait()
                    self._wake = anyio.Event()
                    while self._ready:
                        tasks.start_soon(self._work, self._ready.popleft())
                    if self._stopping and self._draining:
                        self._on_drain()
                tasks.cancel_scope.cancel()
        finally:
            self._finished.set()
            self._on_end(self)

    def _is_done(self) -> bool:
        if not self._stopping:
            return False
        return not self._draining or (self._busy == 0 and self._is_quiet())

    async def _work(self, job: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await job()
            except BaseException as exc:
                if not is_exit(exc):
                    raise
                self.fail(exc)
                return
            finally:
                self._busy -= 1
                if self._stopping:
                    self._wake.set()
            if len(self._parked) >= _MAX_PARKED:
                return
            del job  # and with it what it has worked on
            parking = _Parking(self._event_class())
            self._parked.append(parking)
            await parking.event.wait()
            assert parking.job is not None
            job = parking.job

    # --- the end ------------------------------------------------------------------------

    def fail(self, exc: BaseException) -> None:
        """
        End whoever runs the bus, with a KeyboardInterrupt or a SystemExit.

        A task group would wrap it, and in a callback it would be nobody's.
        """
        self.fatal = exc
        self._host.cancel()

    def request_stop(self, *, drain: bool, timeout: float | None = None) -> None:
        """
        Begin to stop; a second call can only make it quicker.

        Args:
            drain: Run what is scheduled, and what that schedules, first.
            timeout: Seconds to drain in; to be given in a task only.
        """
        self._stopping = True
        if self._draining and not drain:
            self._draining = False
            self._on_abort()
        self._wake.set()
        if drain and timeout is not None:
            self._tasks.start_soon(self._stop_draining, timeout)

    async def _stop_draining(self, timeout: float) -> None:
        await anyio.sleep(timeout)
        self.request_stop(drain=False)

    def notice(self) -> None:
        """Look again whether there is nothing left to drain."""
        if self._stopping:
            self._wake.set()

    async def stop(self, *, drain: bool, timeout: float | None) -> None:
        """
        Stop, and return when no job runs any more, or when there is no more time.

        Cancelling it stops at once, without draining.

        Args:
            drain: Run what is scheduled, and what that schedules, first.
            timeout: Seconds for all of it; None is as long as it takes to drain, and `GRACE`
                to cancel.
        """
        self.request_stop(drain=drain)
        try:
            if drain:
                with anyio.move_on_after(timeout):
                    await self._finished.wait()
        finally:
            if not self._finished.is_set():
                self.request_stop(drain=False)
                grace = GRACE if drain or timeout is None else timeout
                with anyio.move_on_after(grace, shield=True):
                    await self._finished.wait()
                if not self._finished.is_set():
                    logger.warning(
                        "handlers ignored their cancellation, and were left behind",
                        extra={"handlers": self._busy},
                    )

    def leave_host(self, exc: BaseException | None) -> bool:
        """
        Leave the scope that was entered with the runner; whether *exc* was its cancellation.

        In another task than the one that entered it, which a test's fixture may be, there is
        no scope to leave.
        """
        if anyio.get_current_task().id != self._host_task:
            return False
        traceback = None if exc is None else exc.__traceback__
        return bool(self._host.__exit__(type(exc) if exc else None, exc, traceback))

"""
The bus's own tasks in one event loop: they run the async handlers.

Ready queues are in one list, and one worker at a time, the driver, works through it; see
`delivery`. There are as many workers as there are handlers that wait for something at the same
time; how many may be parked is bounded, so that a quiet runner costs next to nothing.

A queue becomes ready in any code of the loop's thread, also in a plain callback, where no task is
current and a task group can't start one; so one task of the runner's own starts the workers.

The tasks belong to no scope of the user's: `stop` returns in time even if a handler swallows
its cancellation.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

import anyio

from ..exceptions import is_exit
from .backend import current_backend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from anyio.abc import TaskGroup

    from .queue import MailboxQueue

logger = logging.getLogger(__name__)

_MAX_PARKED: Final = 64

GRACE: Final = 2.0
"""Seconds that cancelled handlers get for their cleanup, where the caller named no time."""


class _Worker:
    """One task that runs handlers; *parking* is the one it waits for, while it has no work."""

    __slots__ = ("parking",)

    parking: Any


class Runner:
    """
    Workers in the event loop that it is made in.

    Args:
        drive: Works through `ready`, given a worker, for as long as that worker is the driver.
        is_idle: Returns True if no event is queued or on its way; asked while draining.
        on_drain: Called while draining, whenever there may be less to do than before.
        on_abort: Called when handlers are about to be cancelled.
        on_end: Called in the loop, with the runner, when no handler runs any more.

    Attributes:
        backend: The event loop.
        thread: The identifier of the loop's thread.
        fatal: The KeyboardInterrupt or SystemExit that a handler raised, if one did.
        ready: The queues with events that wait, in the order in which they are served.
        driver: The worker that works through them; None if there is nothing to do.
    """

    def __init__(
        self,
        *,
        drive: Callable[[object], Awaitable[None]],
        is_idle: Callable[[], bool],
        on_drain: Callable[[], None],
        on_abort: Callable[[], None],
        on_end: Callable[[Runner], None],
    ) -> None:
        self.backend = current_backend()
        self.thread = get_ident()
        self.fatal: BaseException | None = None
        self.ready: deque[MailboxQueue] = deque()
        self.driver: object = None
        self._drive = drive
        self._is_idle = is_idle
        self._on_drain = on_drain
        self._on_abort = on_abort
        self._on_end = on_end
        self._tasks: TaskGroup = anyio.create_task_group()
        self._parked: list[_Worker] = []
        self._new: list[_Worker] = []
        self._starting: dict[_Worker, Coroutine[Any, Any, None]] = {}
        self._working = 0
        self._wake = self.backend.parking()
        self._stopping = False
        self._draining = True
        self._finished = anyio.Event()
        # The scope around the body of "async with bus": a KeyboardInterrupt in a handler ends it.
        self._host = anyio.CancelScope()
        self._host_task = anyio.get_current_task().id
        self._host.__enter__()
        self._task = self.backend.spawn(self._main)
        self._gone = self.backend.on_gone(lambda: on_end(self))

    def is_cancelled(self) -> bool:
        """
        Return True if a cancellation in the present worker is the runner's or the loop's.

        Else the handler has raised it by itself. The end of `asyncio.run` knows nothing of
        scopes: it cancels all tasks there are, and marks each of them before any of them runs.
        """
        if anyio.current_effective_deadline() == -math.inf:
            return True
        return self.backend.was_cancelled(self._task)

    # --- work ---------------------------------------------------------------------------

    def schedule(self, queue: MailboxQueue) -> None:
        """
        Have *queue* served; from the loop's thread only, but from any code there.

        Raises:
            BusClosed: The loop is gone.
        """
        self.ready.append(queue)
        if self.driver is None:
            self.hand_on()

    def hand_on(self) -> None:
        """Make another worker the driver, if a queue is ready."""
        # In this order: a signal handler may schedule a queue in between.
        self.driver = None
        if not self.ready or self.driver is not None:
            return
        if self._parked:
            self.driver = worker = self._parked.pop()
            self.backend.wake(worker.parking)
        else:
            self.driver = worker = _Worker()
            self._new.append(worker)
            self.backend.wake(self._wake)

    async def _main(self) -> None:
        try:
            async with self._tasks as tasks:
                while not self._is_done():
                    await self.backend.park(self._wake)
                    self._wake = self.backend.parking()
                    while self._new:
                        self._start(tasks, self._new.pop())
                    if self._stopping and self._draining:
                        self._on_drain()
                tasks.cancel_scope.cancel()
        finally:
            for coroutine in self._starting.values():
                coroutine.close()
            self._finished.set()
            self._on_end(self)

    def _start(self, tasks: TaskGroup, worker: _Worker) -> None:
        # The end of asyncio.run cancels a task that has not begun, and anyio never awaits its
        # coroutine then: it is closed above.
        self._starting[worker] = coroutine = self._work(worker)
        self._working += 1
        tasks.start_soon(lambda: coroutine, name="eventbus worker")

    def _is_done(self) -> bool:
        if not self._stopping:
            return False
        return not self._draining or self._is_idle()

    async def _work(self, worker: _Worker) -> None:
        self._starting.pop(worker, None)
        try:
            while True:
                try:
                    await self._drive(worker)
                finally:
                    self._working -= 1
                    self.notice()
                if len(self._parked) >= _MAX_PARKED:
                    return
                worker.parking = self.backend.parking()
                self._parked.append(worker)
                await self.backend.park(worker.parking)
                self._working += 1
        except BaseException as exc:
            if worker in self._parked:
                self._parked.remove(worker)
            if self.driver is worker:
                self.hand_on()  # the others go on
            if not is_exit(exc):
                raise
            self.fail(exc)

    # --- the end ------------------------------------------------------------------------

    def fail(self, exc: BaseException) -> None:
        """
        End the body of ``async with bus``, with a KeyboardInterrupt or a SystemExit.

        A task group would wrap it, and in a callback it would be lost.
        """
        self.fatal = exc
        self._host.cancel()

    def request_stop(self, *, drain: bool, timeout: float | None = None) -> None:
        """
        Begin to stop; a second call can only make it quicker.

        Args:
            drain: Handle the queued events, and those that they lead to, first.
            timeout: Seconds to drain in; to be given in a task only.
        """
        self._stopping = True
        if self._draining and not drain:
            self._draining = False
            self._on_abort()
        self.notice()
        if drain and timeout is not None:
            self._tasks.start_soon(self._stop_draining, timeout)

    async def _stop_draining(self, timeout: float) -> None:
        await anyio.sleep(timeout)
        self.request_stop(drain=False)

    def notice(self) -> None:
        """Look again whether there is nothing left to drain, if it is stopping."""
        if self._stopping:
            self.backend.wake(self._wake)

    async def stop(self, *, drain: bool, timeout: float | None) -> None:
        """
        Stop, and return when no handler runs any more, or when there is no more time.

        Cancelling it stops at once, without draining.

        Args:
            drain: Handle the queued events, and those that they lead to, first.
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
                        extra={"handlers": self._working},
                    )

    def leave_host(self, exc: BaseException | None) -> bool:
        """
        Leave the scope that was entered with the runner; True if *exc* was its cancellation.

        In another task than the one that entered it, which a test's fixture may be, there is
        no scope to leave.
        """
        if anyio.get_current_task().id != self._host_task:
            return False
        traceback = None if exc is None else exc.__traceback__
        return bool(self._host.__exit__(type(exc) if exc else None, exc, traceback))

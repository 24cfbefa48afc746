"""
One event at a time: who may dispatch, and what waits for it.

``_current`` is what is being dispatched, and the lock at once: it is tested and set without a
call or a backward jump in between, the only places where the interpreter switches threads.
(CPython without the GIL is not supported.) Who finds it set puts what it has into the queue:

* An event that was published inside a dispatch. The dispatch works the queue off when it is
  done: first in, first out, in a loop, not by recursion.
* A thread, while another one dispatches on a bus that doesn't run. It is handed the turn by
  whoever is done, in the same order.

A KeyboardInterrupt can end a dispatch anywhere, and the turn is given back all the same. What is
still queued then is dispatched before anything else, by the next who has the turn.

Nobody may be forgotten. Who queues up first puts itself into the queue and sets the flag, then
looks whether the turn is free; who is done first gives the turn back, then looks at the flag.
So one of them sees the other.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from contextvars import copy_context
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Final

from .calls import Calls

if TYPE_CHECKING:
    from types import CodeType

    from .delivery import Tracker

__all__ = ["Published", "Turns"]

_TAKEN: Final = Calls()
"""What ``_current`` is while a thread has the turn, and has not begun yet."""


class Published:
    """An event that waits for its turn; or a thread that does, if it has a *turn* to wait on."""

    __slots__ = ("event", "must_queue_again", "sender", "time_ns", "tracker", "turn", "variables")

    def __init__(
        self,
        event: Any = None,
        sender: Any = None,
        tracker: Tracker | None = None,
        turn: Lock | None = None,
    ) -> None:
        self.event = event
        self.sender = sender
        self.tracker = tracker
        self.turn = turn
        self.must_queue_again = False
        self.time_ns = time.time_ns()
        self.variables = copy_context()


class Turns:
    """
    Something that dispatches one event at a time.

    """

    __slots__ = ("_current", "_is_waited_for", "_queue")

    # The code of the functions that dispatch: in their frames, ``self`` is one of these.
    _dispatching: ClassVar[frozenset[CodeType]] = frozenset()

    def __init__(self) -> None:
        self._current: Calls | None = None
        self._queue: deque[Published] = deque()
        self._is_waited_for = False  # what the queue tells, for less time than it takes to ask

    def _run_published(self, published: Published) -> None:
        """Dispatch what has waited; the turn is this thread's."""
        raise NotImplementedError

    def _wait_in_queue(self, published: Published) -> None:
        self._queue.append(published)
        self._is_waited_for = True

    def _work_off(self) -> None:
        """Dispatch what waits, up to a thread, which is handed the turn."""
        while True:
            while self._queue:
                has_turn = False
                try:
                    if self._current is not None:
                        break
                    self._current, has_turn = _TAKEN, True
                    # Only who has the turn takes out, but somebody else may just have had it.
                    published = self._queue.popleft() if self._queue else None
                    if published is not None and published.turn is not None:
                        has_turn = False
                        published.turn.release()
                        return
                    if published is not None:
                        published.variables.run(self._run_published, published)
                    self._current = None
                except BaseException:
                    if has_turn:
                        self._give_up_turn()
                    raise
            # What is queued between these two lines set the flag before it was taken down.
            self._is_waited_for = False
            if not self._queue:
                return
            self._is_waited_for = True
            if self._current is not None:
                return

    def _wait_for_turn(self) -> None:
        """Wait until the thread that dispatches hands the turn to this one."""
        is_waiting = True
        while is_waiting:
            turn = Lock()
            turn.acquire()
            waiting = Published(turn=turn)
            try:
                self._wait_in_queue(waiting)
                self._work_off()
                turn.acquire()
            except BaseException:  # a KeyboardInterrupt, while it waits
                try:
                    self._queue.remove(waiting)
                except ValueError:  # too late: it has the turn, or was told to queue again
                    if not waiting.must_queue_again:
                        self._give_up_turn()
                raise
            is_waiting = waiting.must_queue_again

    def _give_up_turn(self) -> None:
        """
        Give the turn back in the middle of it, because of a KeyboardInterrupt.

        If a thread waits, it is woken to queue again, and so to work off the queue: here nobody
        does, and the next publish may never come.
        """
        waiting = next((entry for entry in tuple(self._queue) if entry.turn is not None), None)
        if waiting is not None:
            try:
                self._queue.remove(waiting)
            except ValueError:  # it was interrupted as well, and waits no more
                waiting = None
        self._current = None
        if waiting is not None and waiting.turn is not None:
            waiting.must_queue_again = True
            waiting.turn.release()

    def _is_dispatching_here(self) -> bool:
        """
        Whether this thread is inside a dispatch.

        A dispatch has no time to note its thread, and only a publish that finds another one
        going on must know: it looks for that one further up its own stack.
        """
        # The second frame up may be the publish that asks, which dispatches nothing yet.
        frame = sys._getframe(1).f_back  # noqa: SLF001  # documented, if specific to CPython
        frame = None if frame is None else frame.f_back
        while frame is not None:
            if frame.f_code in self._dispatching and frame.f_locals["self"] is self:
                return True
            frame = frame.f_back
        return False

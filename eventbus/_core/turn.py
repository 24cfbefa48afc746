"""
One event at a time: the turn to dispatch, and the events and threads that wait for it.

``current`` holds the calls that are being dispatched, and is the lock at once: it is tested and
set without a call or a backward jump in between, the only places where the interpreter switches
threads or runs a signal handler. (CPython without the GIL is not supported.) A publish that finds
it set queues up:

* An event that was published inside a dispatch. The dispatch works the queue off when it is
  done: first in, first out, in a loop, not by recursion.
* A thread, while another one dispatches on a bus that doesn't run. It is handed the turn by the
  one that is done, in the same order.

A KeyboardInterrupt can end a dispatch anywhere, and the turn is given back all the same. The
events that are still queued then are dispatched before anything else, by the next one that has
the turn.

None may be forgotten. A publish that queues up first adds itself to the queue and sets the flag,
then looks whether the turn is free; a dispatch that is done first gives the turn back, then looks
at the flag. So one of them sees the other.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from contextvars import copy_context
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .calls import Calls

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from .delivery import Tracker

F = TypeVar("F", bound="Callable[..., Any]")

# The two fields of a tally: together they fit into three digits of CPython's integers.
_BITS: Final = 45
PUBLISHED: Final = 1
DELIVERED: Final = 1 << _BITS

_TAKEN: Final = Calls()
"""The value of ``current`` while a thread has the turn, and has not begun yet."""

_dispatching: Final[set[CodeType]] = set()


def dispatches(function: F) -> F:
    """Mark a function that dispatches while it has the turn: its ``turn``, or itself a `Turn`."""
    _dispatching.add(function.__code__)
    return function


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


class Turn:
    """
    The turn of one bus.

    Args:
        dispatch: Dispatches an event that has waited.
        on_give_up: Called when a KeyboardInterrupt has ended a dispatch.

    Attributes:
        current: The calls that are being dispatched; None while nobody has the turn.
        is_waited_for: True if somebody may wait. The queue says so too, but takes longer.
        thread: The identifier of the only thread that may dispatch; None if any may.
        tally: How many events were published, and how many calls of sync handlers were started
            that are counted in advance; in one number, since one addition takes half of two.
        unhandled: How many events no handler took.
        waiting: The events and threads that wait, in order.
    """

    __slots__ = ("_dispatch", "_on_give_up", "current", "is_waited_for", "tally", "thread",
                 "unhandled", "waiting")  # fmt: skip

    def __init__(
        self, dispatch: Callable[[Published], None], on_give_up: Callable[[], None]
    ) -> None:
        self._dispatch = dispatch
        self._on_give_up = on_give_up
        self.current: Calls | None = None
        self.is_waited_for = False
        self.thread: int | None = None
        self.tally = self.unhandled = 0
        self.waiting: deque[Published] = deque()

    @property
    def published(self) -> int:
        """The number of events that were published."""
        return self.tally & (DELIVERED - 1)

    @property
    def delivered(self) -> int:
        """The number of calls that were started and are counted in advance."""
        return self.tally >> _BITS

    def queue_up(self, published: Published) -> None:
        """Add to the events and threads that wait."""
        self.waiting.append(published)
        self.is_waited_for = True

    # A finalizer may publish while the queue is being worked off, between two dispatches.
    @dispatches
    def work_off(self) -> None:
        """Dispatch the events that wait, up to a thread, which is handed the turn."""
        while True:
            while self.waiting:
                has_turn = False
                try:
                    if self.current is not None:
                        break
                    self.current, has_turn = _TAKEN, True
                    # Only the one with the turn takes out, but another may just have had it.
                    published = self.waiting.popleft() if self.waiting else None
                    if published is not None and published.turn is not None:
                        has_turn = False
                        published.turn.release()
                        return
                    if published is not None:
                        published.variables.run(self._dispatch, published)
                    self.current = None
                except BaseException:
                    if has_turn:
                        self.give_up()
                    raise
            # An event that is queued between these two lines set the flag before it was taken down.
            self.is_waited_for = False
            if not self.waiting:
                return
            self.is_waited_for = True
            if self.current is not None:
                return

    def wait(self) -> None:
        """Wait until the thread that dispatches hands the turn to this one."""
        is_waiting = True
        while is_waiting:
            turn = Lock()
            turn.acquire()
            waiting = Published(turn=turn)
            try:
                self.queue_up(waiting)
                self.work_off()
                turn.acquire()
            except BaseException:  # a KeyboardInterrupt, while it waits
                try:
                    self.waiting.remove(waiting)
                except ValueError:  # too late: it has the turn, or was told to queue again
                    if not waiting.must_queue_again:
                        self.give_up()
                raise
            is_waiting = waiting.must_queue_again

    def give_up(self) -> None:
        """
        Give the turn back in the middle of it, because of a KeyboardInterrupt.

        If a thread waits, it is woken to queue again, and so to work off the queue: here nobody
        does, and the next publish may never come.
        """
        self._on_give_up()
        waiting = next((entry for entry in tuple(self.waiting) if entry.turn is not None), None)
        if waiting is not None:
            try:
                self.waiting.remove(waiting)
            except ValueError:  # it was interrupted as well, and waits no more
                waiting = None
        self.current = None
        if waiting is not None and waiting.turn is not None:
            waiting.must_queue_again = True
            waiting.turn.release()

    def is_dispatching_here(self) -> bool:
        """
        Return True if this thread is inside a dispatch.

        A dispatch has no time to note its thread, and only a publish that finds another one
        going on must know: it looks for that one further up its own stack.
        """
        # The second frame up may be the publish that asks, which dispatches nothing yet.
        frame = sys._getframe(1).f_back  # noqa: SLF001  # documented, if specific to CPython
        return self._is_dispatching_in(None if frame is None else frame.f_back)

    def _is_dispatching_in(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if frame.f_code in _dispatching:
                variables = frame.f_locals
                if variables.get("turn", variables.get("self")) is self:
                    return True
            frame = frame.f_back
        return False

    def after_fork(self) -> None:
        """
        Be right in the child of a fork, which has but one of the threads.

        A dispatch of another thread ends nowhere here, and its queue is the parent's business.
        """
        if self.current is None or self._is_dispatching_in(sys._getframe(1)):  # noqa: SLF001
            events = [entry for entry in self.waiting if entry.turn is None]
            self.waiting = deque(events if self.current is not None else ())
        else:
            self.current = None
            self.waiting = deque()
        self.is_waited_for = bool(self.waiting)

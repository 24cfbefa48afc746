"""
The lag of the event loop that a bus runs in, measured from another thread.

A beat is a callback that is handed to the loop, as another thread does it. The time until it runs
is the lag: how late any callback, timer or frame is at that moment. There is one beat at a time.
"""

from __future__ import annotations

import contextlib
import time
from typing import Final

from ..bus import EventBus
from ..exceptions import BusClosed
from ._file import JournalView

_NOTED_NS: Final = 2_000_000
"""Less is the time that it takes to wake a loop that sleeps."""


class Heartbeat:
    """
    Beats of the event loop that a bus runs in, while it runs.

    Args:
        bus: The bus.
        view: Takes the lags.
    """

    def __init__(self, bus: EventBus, view: JournalView) -> None:
        self._bus = bus
        self._view = view
        self._sent_ns = 0
        self._number = 0

    def beat(self) -> None:
        """Send a beat, unless one is under way; from any thread."""
        runner = self._bus._dispatcher.runner  # noqa: SLF001  # the core's, as this package is ours
        if runner is None:
            self._sent_ns = 0  # a beat of a loop that has ended never comes
            return
        if self._sent_ns:
            return
        self._sent_ns, self._number = time.monotonic_ns(), self._number + 1
        sent_ns, number = self._sent_ns, self._number
        with contextlib.suppress(BusClosed):
            runner.backend.call_soon(lambda: self._beaten(sent_ns, number))

    def _beaten(self, sent_ns: int, number: int) -> None:
        now_ns = time.monotonic_ns()
        if number == self._number:
            self._sent_ns = 0
        if now_ns - sent_ns >= _NOTED_NS:
            self._view.lags.append((now_ns, now_ns - sent_ns))

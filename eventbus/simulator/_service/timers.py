"""
Timers: processes, each a generator that yields its waits.

::

    def cough() -> Iterator[float]:
        yield 250  # milliseconds
        emit("cough")

A process is due 250 ms after it was started, not 250 ms after somebody looked: waits add up
exactly, even if `Timers.run` is called late. There is no clock here; the caller tells the time.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeAlias

Process: TypeAlias = Generator[float, None, None]
"""Yields milliseconds to wait, and goes on when they are over."""


class Timers:
    """The processes of one session."""

    def __init__(self) -> None:
        # In the order in which they were started, which decides between equal times.
        self._due: dict[Process, float] = {}

    @property
    def deadline(self) -> float | None:
        """The time at which the next process goes on, in milliseconds; None if there is none."""
        return min(self._due.values(), default=None)

    def start(self, process: Process, now_ms: float) -> None:
        """Begin *process* with the next `run`."""
        self._due[process] = now_ms

    def stop(self, process: Process) -> None:
        """End *process* where it waits; one that has ended is no error."""
        if self._due.pop(process, None) is not None:
            process.close()

    def run(self, now_ms: float) -> None:
        """Resume the processes that are due by *now_ms*, in the order of their times."""
        while self._due:
            process = min(self._due, key=self._due.__getitem__)
            due = self._due[process]
            if due > now_ms:
                return
            try:
                wait = next(process)
            except StopIteration:
                self._due.pop(process, None)
            else:
                if process in self._due:  # it may have been stopped by what it did
                    self._due[process] = due + wait

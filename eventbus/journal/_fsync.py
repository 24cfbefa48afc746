"""
The thread that writes journals and makes them durable, so that no event loop waits for a disk.

Theory of operation
-------------------

One thread serves all the files of a recorder. Noting a file for it takes no lock: a signal
handler or a finalizer may record at any bytecode, also while this thread or the interrupted code
is in the middle of noting another one. So there are only operations that CPython makes in one
step: appending to a `deque`, and `SimpleQueue.put`, which is documented as reentrant.

Once woken, the thread waits 5 ms for more, and then writes the batches of up to twenty files that
were noted, those first that have waited longest. Where that were more than ten, it waits longer
the next time, 0.5 ms for each: a call of ``write`` for each frame of each of 200 journals would
take longer than all else. Twenty files take about a millisecond, and an event loop may have to
wait for as long: after a call of ``write`` this thread has the interpreter again before another one
has woken up. On Linux it has the scheduling policy ``SCHED_BATCH``: when it wakes up, it waits for
a processor rather than interrupt an event loop in its turn.

Then written files are made durable, those first that have waited longest. It is the turn of each
file once in `INTERVAL`, or in `PER_FILE` for each file if that is longer: many journals cost no
more calls of ``fsync`` than 200 a second. Where these take long, so that it is late for others,
more files are written in between, with a pause of 1 ms after twenty.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections import deque
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Final, Literal, Protocol, TypeAlias

logger = logging.getLogger(__name__)

FsyncPolicy: TypeAlias = Literal["interval", "group", "every", "none"]
"""
When written records are made durable; recording waits for none of it.

``interval``: 50 ms after they were written, or 5 ms for each journal of the recorder if that is
longer: 1 s for 200, and more if the disk takes longer than that for a file. A power failure costs
no more than the records since. They are written each 5 ms, or 0.5 ms for each journal: 100 ms for
200; the end of the process costs those since.
``group``: at once; the records that come meanwhile are next, all of them together. ``every``: each
record by itself, before the next one is written. ``none``: when the system thinks fit; written
records survive the end of the process, not that of the machine.
"""

BATCH: Final = 0.005
"""Seconds in which records are collected for one batch."""

PER_BATCH: Final = 0.0005
"""Seconds in which they are collected for each journal, if there are many."""

INTERVAL: Final = 0.05
PER_FILE: Final = 0.005

_AT_ONCE: Final = 20  # files that are written without a pause
_BREATH: Final = 0.001  # seconds of a pause if there are more to be written


class Syncable(Protocol):
    """A file of a `Syncer`."""

    def flush(self) -> object:
        """Write the records that wait."""

    def sync(self) -> object:
        """Write the records that wait, and make all of them durable."""

    @property
    def needs_sync(self) -> bool:
        """True if written records are to be made durable, or a failure is to be retried."""
        ...


class Syncer:
    """
    One thread for any number of files.

    Args:
        interval: Seconds between two rounds of syncing; 0 to sync after each batch.
        batch: Seconds to collect records.
    """

    def __init__(self, interval: float = INTERVAL, batch: float = BATCH) -> None:
        self._interval = interval
        self._batch = batch
        self._noted: deque[Syncable] = deque()
        # The same files, each once: one is noted again if a sync has written its records.
        self._waiting: dict[Syncable, None] = {}
        self._wakeups: SimpleQueue[None] = SimpleQueue()
        self._is_awake = False
        self._stopping = threading.Event()
        self._written = 0  # files at the latest time
        self._late = 0.0  # seconds by which the last syncing has taken too long
        self._next_sync = 0.0
        self._behind: dict[Syncable, None] = {}
        # Started here: Thread.start() takes locks, and so must not happen while recording.
        self._thread = threading.Thread(target=self._run, name="eventbus-journal", daemon=True)
        self._thread.start()

    def note(self, file: Syncable) -> None:
        """Note that *file* has records to be written; from anywhere, a signal handler included."""
        self._noted.append(file)
        if not self._is_awake:
            self._is_awake = True
            self._wakeups.put(None)

    def stop(self) -> None:
        """Stop the thread; records that wait are left so."""
        self._stopping.set()
        self._wakeups.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        _give_way()
        while not self._stopping.is_set():
            if self._wait_noted():
                for_many = PER_BATCH * self._written if self._interval else 0.0
                # Not an event, which could end it sooner: to wait for one takes longer.
                time.sleep(max(self._batch, for_many))
                self._write()
            self._sync()

    def _wait_noted(self) -> bool:
        """Wait until there is something to be written; False: or to be made durable."""
        if not self._waiting and not self._noted:
            self._is_awake = False
            # Between the two lines one may have been noted without a wake-up.
            if not self._noted:
                pause = max(0.0, self._next_sync - time.monotonic()) if self._behind else None
                try:
                    self._wakeups.get(timeout=pause)
                except Empty:
                    return False
            self._is_awake = True
        return not self._stopping.is_set()

    def _write(self) -> None:
        """Write the records of files that were noted, of more if it is late for them."""
        self._write_some()
        late = int(self._late / (PER_BATCH * _AT_ONCE))
        for _ in range(min(late, -(-len(self._waiting) // _AT_ONCE))):
            time.sleep(_BREATH)
            self._write_some()

    def _write_some(self) -> None:
        """Write the records of up to twenty files."""
        waiting = self._waiting
        while self._noted:
            waiting[self._noted.popleft()] = None
        files = list(islice(waiting, _AT_ONCE))
        self._written = len(files)
        for file in files:
            del waiting[file]
            try:
                file.flush()
                if file.needs_sync:
                    self._behind.setdefault(file)
            except Exception:
                logger.exception("a journal could not be written")

    def _sync(self) -> None:
        """Make the files durable whose turn it is, for no longer than records are collected."""
        began = now = time.monotonic()
        while self._behind and self._next_sync <= now < began + self._batch:
            # Turns that were missed, while records were collected or written, are made up for.
            missed = max(self._next_sync, now - INTERVAL)
            self._next_sync = missed + self._sync_next()
            now = time.monotonic()
        self._late = now - began - self._batch

    def _sync_next(self) -> float:
        """Make the file durable that has waited longest; return the seconds until the next one."""
        pause = max(PER_FILE, self._interval / len(self._behind)) if self._interval else 0.0
        file = next(iter(self._behind))
        del self._behind[file]
        try:
            file.sync()
        except Exception:
            logger.exception("a journal could not be made durable")
        if file.needs_sync:  # it fails: not so soon again
            self._behind[file] = None
            pause = max(pause, INTERVAL)
        return pause


def _give_way() -> None:
    """Let this thread interrupt no other one when it wakes up, where the system has a way to."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # not each libc has it, nor each container allows it
            if os.sched_getscheduler(0) == os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class NoSyncer(Syncer):
    """Stands in for the thread, where the caller writes."""

    def __init__(self) -> None:
        """Start nothing."""

    def note(self, file: Syncable) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

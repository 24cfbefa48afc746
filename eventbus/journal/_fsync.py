"""
The thread that makes files durable, so that nobody else has to wait for a disk.
"""

from __future__ import annotations

import logging
import threading
from typing import Final, Literal, Protocol, TypeAlias

__all__ = ["FsyncPolicy", "Syncer"]

logger = logging.getLogger(__name__)

FsyncPolicy: TypeAlias = Literal["interval", "group", "every", "none"]
"""
When what was written is made durable.

``interval``: 50 ms after something was written, in a thread; a power failure costs no more than
what happened since. ``group``: at once, in a thread; what is written meanwhile is next, all of it
together. ``every``: each record by itself, before it is gone on: who records waits for the disk.
``none``: when the system thinks fit; what was written survives the end of the process, not that
of the machine.
"""

_INTERVAL: Final = 0.05


class Syncable(Protocol):
    """What a `Syncer` takes care of."""

    def sync(self) -> object:
        """Write what waits, and make it durable."""


class Syncer:
    """
    One thread for any number of files; it starts when it is first needed.

    Args:
        interval: Seconds to wait after something was written, for more to be written.
    """

    def __init__(self, interval: float = _INTERVAL) -> None:
        self._interval = interval
        self._dirty: set[Syncable] = set()
        self._has_work = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def note(self, file: Syncable) -> None:
        """Take note that something was written to *file*, or is to be tried again."""
        if file in self._dirty and self._has_work.is_set():
            return  # the thread clears that before it takes what is dirty
        with self._lock:
            self._dirty.add(file)
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(
                    target=self._run, name="eventbus-journal", daemon=True
                )
                self._thread.start()
        self._has_work.set()

    def stop(self) -> None:
        """Stop the thread; what is dirty is left so."""
        self._stopping.set()
        self._has_work.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._has_work.wait()
            self._stopping.wait(self._interval)
            if self._stopping.is_set():
                return
            self._has_work.clear()
            with self._lock:
                dirty, self._dirty = self._dirty, set()
            for file in dirty:
                try:
                    file.sync()
                except Exception:
                    logger.exception("a journal could not be made durable")

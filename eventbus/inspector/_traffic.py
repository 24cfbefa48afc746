"""
The requests of pages, and the reading of journals, which makes way for them.

Both are threads of one interpreter: a request that comes while a journal is read would wait for
the interpreter at each of its steps, and then for the journal. So reading pauses while there are
requests, for a moment: one that takes long, like a search, doesn't stop it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

_PATIENCE_S = 0.05


class Traffic:
    """
    The requests that are being answered; of one event loop, apart from *is_busy*.

    Attributes:
        is_busy: Whether there are any; may be read in any thread.
        asked_at: When the latest one came, or when a stream last went on.
        is_read: Set when the journals have been read as far as they were when they were opened.
    """

    def __init__(self) -> None:
        self.is_busy = False
        self.asked_at = float("-inf")
        self.is_read = asyncio.Event()
        self._count = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def note(self) -> None:
        """Note that a page is open."""
        self.asked_at = time.monotonic()

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Count a request as long as this is entered."""
        self._count += 1
        self.is_busy = True
        self._is_idle.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self.is_busy = False
                self._is_idle.set()

    async def wait_idle(self) -> bool:
        """Wait until there are no requests, for a moment; return whether there are none."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_idle.wait(), _PATIENCE_S)
        return not self.is_busy

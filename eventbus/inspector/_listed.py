"""
A call of a running bus as the list has it: nothing of it is analysed until a page shows it.
"""

from __future__ import annotations

import time
from typing import Final

import attrs

from ..journal import Record, StatusRecord

_WANTED_S: Final = 10.0
_NS_PER_MS: Final = 1_000_000


@attrs.define(eq=False)
class Listed:
    """
    The part of a call that the list shows, and how far its analysis is.

    Attributes:
        start_ms, end_ms: Its first and its last record, since the journal's beginning.
        last_seq: The number of its last record.
        status: The state of its connection, if that was recorded.
        read_seq: The number of the latest record of the journal that its analysis has seen.
        is_followed: Whether its analysis gets each record as it comes.
        wanted_at: When a page asked for the call the last time.
    """

    read_seq: int
    start_ms: float | None = None
    end_ms: float = 0.0
    last_seq: int = 0
    record_count: int = 0
    status: str | None = None
    is_followed: bool = False
    wanted_at: float = float("-inf")

    def note(self, record: Record, since_ns: int) -> None:
        """Note the next record."""
        at_ms = since_ns / _NS_PER_MS
        if self.start_ms is None:
            self.start_ms = at_ms
        if at_ms > self.end_ms:  # noqa: PLR1730  # a call of max() takes longer
            self.end_ms = at_ms
        self.last_seq = record.seq
        self.record_count += 1
        if isinstance(record, StatusRecord):
            self.status = record.status

    @property
    def is_wanted(self) -> bool:
        """Whether a page shows the call, as far as is known."""
        return time.monotonic() - self.wanted_at < _WANTED_S

    @property
    def progress(self) -> float:
        """The part of the call that has been read, if it is wanted; else 1."""
        if self.is_followed or self.read_seq >= self.last_seq or not self.is_wanted:
            return 1.0
        return self.read_seq / self.last_seq

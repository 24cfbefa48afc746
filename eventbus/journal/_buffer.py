"""
Records on their way from the code that appends them to the thread that writes them.

Appending takes a number and puts the record's elements into a list: no lock, no system call, no
wait, from any thread and from signal handlers. Each of the operations is one step of CPython:
``append`` of a list, ``next`` of a count, ``setdefault`` of a dict; the writer takes from the
front. The buffer is bounded in bytes: a record that doesn't fit is lost, and its number is not
given again. A gap takes the place of the lost ones when the others are taken out.

The recorder's tap does what `RecordBuffer.put` does in its own code, for the usual records. It may,
as CPython switches threads and runs signal handlers at calls and backward jumps only: between the
look at the room and the note of it there is none.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final, TypeAlias

from ._batches import GAP
from ._derivation import StreamName

BUFFER_BYTES: Final = 1 << 25
"""The default bound of the buffer."""

ENTRY_BYTES: Final = 96
"""About the bytes of an entry in memory, besides its data."""

_NO_ROOM: Final = 1 << 62  # bytes that nothing fits into

_LATE_NS: Final = 100_000_000  # that a number may be taken before its record comes

Entry: TypeAlias = tuple[Any, ...]
"""The elements of a record, as in ``_batches``."""

_number: Final[Callable[[Entry], int]] = itemgetter(1)


class RecordBuffer:
    """
    The buffer of one journal.

    Args:
        limit: Its bound, in bytes.
        clock_ns: The clock of the records.
        note: Called when there is something to write, and there was nothing before.
        on_full: Called when records begin to be lost because it is full.
        now_ns: A clock for waits, which goes on where that of the records stands.

    Attributes:
        next_seq: Returns the number for the next record.
        append, extend: Put entries in that the room was taken for.
        room: The free bytes.
        is_noted: Whether *note* was called since records were last taken out.
        numbers: The numbers of names.
        losses: How often records were lost: a stream of frames with a hole is not derived.
        is_closed: Whether nothing is taken any more.
    """

    __slots__ = (
        "_clock_ns", "_entries", "_held", "_held_ns", "_last_seq", "_limit", "_lost", "_new_names",
        "_next_number", "_note", "_now_ns", "_on_full", "_retired", "append", "extend",
        "is_closed", "is_noted", "losses", "next_seq", "numbers", "room",
    )  # fmt: skip

    def __init__(
        self,
        limit: int,
        clock_ns: Callable[[], int],
        *,
        note: Callable[[], object],
        on_full: Callable[[], object],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._limit = limit
        self._clock_ns = clock_ns
        self._note = note
        self._on_full = on_full
        self._now_ns = now_ns
        self.next_seq: Callable[[], int] = itertools.count(1).__next__
        self.losses = 0
        self.is_closed = False
        self._entries: list[Entry] = []  # always this list
        self.append, self.extend = self._entries.append, self._entries.extend
        self.room = limit
        self.is_noted = False
        self._last_seq = 0  # of the records that were taken out or lost
        self._lost: tuple[int, int] | None = None  # numbers between which records didn't fit
        self._held: list[Entry] = []  # whose predecessors haven't come yet
        self._held_ns = 0
        self.numbers: dict[Any, int] = {}
        self._next_number = itertools.count(1).__next__
        self._new_names: list[tuple[int, Any]] = []
        self._retired: deque[tuple[int, int]] = deque()  # numbers of names, behind those of records

    # --- for the one who appends ------------------------------------------------------------

    def put(self, entry: Entry, size: int = ENTRY_BYTES) -> None:
        """
        Put a record in.

        Args:
            entry: Its elements; its number is from ``next_seq``.
            size: The bytes that it takes in memory.
        """
        self.room = room = self.room - size
        if room < 0:
            self.room += size
            self._lose(entry[1])
            return
        self.append(entry)
        if not self.is_noted:
            self.note()

    def note(self) -> None:
        """Tell that there is something to write."""
        self.is_noted = True
        self._note()

    @property
    def last_seq(self) -> int:
        """The number of the last record that was put in, or lost."""
        try:
            waiting: int = self._entries[-1][1]
        except IndexError:
            return self._last_seq
        return max(self._last_seq, waiting)

    def pass_seq(self, seq: int) -> None:
        """Note that a record with a number was put in, or written without."""
        self._last_seq = max(self._last_seq, seq)

    def close(self) -> None:
        """Take nothing more; what comes is lost without a word."""
        if not self.is_closed:
            self.is_closed = True
            self.room -= _NO_ROOM

    def number_of(self, name: Any) -> int:
        """Return the number of a name, which is a string or a ``StreamName``."""
        number = self.numbers.get(name)
        if number is None:
            new = self._next_number()
            number = self.numbers.setdefault(name, new)
            if number == new:
                value = name.value if isinstance(name, StreamName) else name
                self._new_names.append((number, value))
        return number

    def retire(self, name: Any, seq: int) -> None:
        """Note that a name isn't used by records from number *seq* on."""
        number = self.numbers.pop(name, None)
        if number is not None:
            self._retired.append((seq, number))

    def _lose(self, seq: int) -> None:
        """Lose a record that doesn't fit."""
        self.pass_seq(seq)
        if self.is_closed:
            return
        self.losses += 1
        lost = self._lost
        self._lost = (seq, seq) if lost is None else (min(lost[0], seq), max(lost[1], seq))
        self._on_full()

    # --- for the one who writes -------------------------------------------------------------

    @property
    def is_holding(self) -> bool:
        """True if records have been taken out that wait for their predecessors."""
        return bool(self._held)

    @property
    def has_lost(self) -> bool:
        """True if records have been lost, and no gap tells of that yet."""
        return self._lost is not None

    @property
    def data_bytes(self) -> int:
        """About the bytes of the records that wait."""
        return self._limit - self.room - (_NO_ROOM if self.is_closed else 0)

    def begin_taking(self) -> int:
        """Have the next record noted again; return the bytes of those that wait, for `free`."""
        self.is_noted = False
        return self.data_bytes

    def free(self, size: int) -> None:
        """Make room, now that all is written that had waited."""
        self.room += size

    def take(self, expected: int) -> list[Entry]:
        """Take the records that can be written now, in order, from number *expected* on."""
        entries = self._entries
        count = len(entries)
        taken = entries[:count]
        if taken:
            self.pass_seq(taken[-1][1])
        del entries[:count]
        numbers = list(map(_number, taken))
        is_whole = self._lost is None and not self._held
        if is_whole and numbers == list(range(expected, expected + count)):
            return taken
        return self._sort(taken, expected)

    def _sort(self, taken: list[Entry], expected: int) -> list[Entry]:
        """Sort the records, and hold those back that may still get a predecessor."""
        waiting = sorted((*self._held, *taken), key=_number)
        self._held = []
        ready: list[Entry] = []
        for index, entry in enumerate(waiting):
            seq = entry[1]
            if seq < expected:  # it came too late: it has been counted as lost
                continue
            if seq > expected and not self._is_lost(expected, seq - 1):
                self._held = waiting[index:]
                break
            if seq > expected:
                ready.append(gap_entry(expected, seq - 1, self.gap_reason(), entry[2]))
            ready.append(entry)
            expected = seq + 1
        lost = self._lost
        if not self._held:
            self._held_ns = 0
            if lost is not None and lost[1] >= expected:
                ready.append(gap_entry(expected, lost[1], self.gap_reason(), self._clock_ns()))
        return ready

    def _is_lost(self, first: int, last: int) -> bool:
        """Return whether records with these numbers won't come any more."""
        lost = self._lost
        if self.is_closed or (lost is not None and lost[0] <= first and last <= lost[1]):
            return True
        now = self._now_ns()
        self._held_ns = self._held_ns or now
        return now - self._held_ns > _LATE_NS

    def gap_reason(self) -> str:
        """Return why records are missing."""
        return "recording was interrupted" if self._lost is None else "the file can't keep up"

    def settle(self, written_seq: int) -> bool:
        """Forget the loss of records up to a number; return whether there was one."""
        lost = self._lost
        if lost is None or self._held or lost[1] > written_seq:
            return False
        self._lost = None
        return True

    def drop_all(self) -> int:
        """Take all records out, to be lost; return the greatest number so far."""
        count = len(self._entries)
        for entry in (*self._entries[:count], *self._held):
            self.pass_seq(entry[1])
        del self._entries[:count]
        self._held = []
        return self.last_seq

    def clear(self) -> None:
        """Forget the records that wait."""
        self.pass_seq(self.last_seq)
        self._entries.clear()

    def take_names(self) -> list[tuple[int, Any]]:
        """Take the names that were given since the last time."""
        count = len(self._new_names)
        names = self._new_names[:count]
        del self._new_names[:count]
        return names

    def retired_names(self, written_seq: int) -> set[int]:
        """Return the numbers of names that no record behind a number has; each time only once."""
        found = set()
        while self._retired and self._retired[0][0] <= written_seq + 1:
            found.add(self._retired.popleft()[1])
        return found

    def return_names(self, names: list[tuple[int, Any]]) -> None:
        """Put names back that weren't written."""
        self._new_names[:0] = names


def gap_entry(first: int, last: int, reason: str, mono_ns: int) -> Entry:
    """Return the elements of a gap."""
    return (GAP, last, mono_ns, 0, 0, first, last, reason)

"""
The queue between a model's speech and the loudspeaker.

A service sends speech faster than it is spoken, so it waits here. The loudspeaker takes as much as
it plays, in a thread of its own, and learns which pieces of which items that was. An interruption
empties the queue.
"""

from __future__ import annotations

import threading
from collections import deque

import attrs


@attrs.frozen
class Played:
    """
    A piece of speech on its way to the loudspeaker.

    Attributes:
        item_id: The item that it belongs to.
        content_index: Index of the audio part in the item's content.
        data: 16-bit mono PCM.
    """

    item_id: str
    content_index: int
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")


class PlayoutQueue:
    """
    Speech that waits to be played; safe to use from two threads.

    Attributes:
        underruns: Number of times that the queue ran empty in the middle of an item: the listener
            heard a gap within a sentence.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pieces: deque[Played] = deque()
        self._offset = 0  # number of bytes of the first piece that have been taken
        self._size = 0
        self._starved: tuple[str, int] | None = None  # the part that was played when it ran empty
        self._last: tuple[str, int] | None = None
        self.underruns = 0

    def __len__(self) -> int:
        """Return the number of bytes that wait."""
        return self._size

    def add(self, piece: Played) -> None:
        """Append *piece*."""
        with self._lock:
            if self._starved == (piece.item_id, piece.content_index):
                self.underruns += 1
            self._starved = None
            self._pieces.append(piece)
            self._size += len(piece.data)

    def take(self, size: int) -> tuple[bytes, list[Played]]:
        """
        Return the next *size* bytes, silence where nothing waits, and the pieces they consist of.

        Args:
            size: In bytes; an even number.
        """
        taken: list[Played] = []
        missing = size
        with self._lock:
            while missing and self._pieces:
                first = self._pieces[0]
                data = first.data[self._offset : self._offset + missing]
                taken.append(attrs.evolve(first, data=data))
                missing -= len(data)
                self._offset += len(data)
                if self._offset >= len(first.data):
                    self._pieces.popleft()
                    self._offset = 0
            self._size -= size - missing
            if taken:
                self._last = (taken[-1].item_id, taken[-1].content_index)
            if missing and self._last is not None:
                self._starved, self._last = self._last, None
        return b"".join([*(piece.data for piece in taken), bytes(missing)]), taken

    def clear(self) -> None:
        """Drop all that waits; the gap that follows is not an underrun."""
        with self._lock:
            self._pieces.clear()
            self._offset = self._size = 0
            self._starved = self._last = None

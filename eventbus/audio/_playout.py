"""
What is to be heard of a model's speech, in the order in which it is to be heard.

A service sends speech faster than it sounds, so it waits here. A loudspeaker takes what it can
play, at its own pace, and so learns which pieces of which items that was; an interruption
empties the queue. The loudspeaker may take it from another thread.
"""

from __future__ import annotations

import threading
from collections import deque

import attrs

__all__ = ["Played", "PlayoutQueue"]


@attrs.frozen
class Played:
    """
    A piece that was handed to the loudspeaker.

    Attributes:
        item_id: The item that it belongs to.
        content_index: Index of the audio part in the item's content.
        data: The piece.
    """

    item_id: str
    content_index: int
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")


class PlayoutQueue:
    """Audio that waits to be heard; safe to use from two threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pieces: deque[Played] = deque()
        self._offset = 0  # how much of the first piece has been taken
        self._size = 0

    def __len__(self) -> int:
        """How many bytes wait."""
        return self._size

    def add(self, piece: Played) -> None:
        """Let *piece* be heard after what waits already."""
        with self._lock:
            self._pieces.append(piece)
            self._size += len(piece.data)

    def take(self, size: int) -> tuple[bytes, list[Played]]:
        """
        Return the next *size* bytes, silence where nothing waits, and what they are made of.

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
        return b"".join([*(piece.data for piece in taken), bytes(missing)]), taken

    def clear(self) -> None:
        """Let nothing more be heard."""
        with self._lock:
            self._pieces.clear()
            self._offset = self._size = 0

"""
What waits to be sent, bounded: the queue between who sends and a network that may be slow.

Rules
-----

* First in, first out: nothing overtakes anything.
* The bound is in bytes. Where there is no room, audio gives way, the oldest first: what the
  user said a minute ago, the model needs least. Everything else is never dropped.
* What is never dropped has the same bound: who sends it waits for room. A single message that
  is larger than the bound goes when nothing of its kind waits.
* A burst of drops begins with the first, and ends when the outbox has run empty.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["Letter", "Outbox"]


@attrs.frozen(eq=False)
class Letter:
    """
    One message.

    Attributes:
        frame: As it is sent.
        message: The same, as a mapping.
        is_audio: Whether it may be dropped.
        outlives_session: Whether it means something in another session, too.
    """

    frame: str
    message: Mapping[str, Any]
    is_audio: bool = False
    outlives_session: bool = False


class Outbox:
    """
    A bounded queue of letters.

    Args:
        max_bytes: Of all that waits.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # Ordered, as audio is taken out of the middle, and the front must stay cheap to reach.
        self._letters: OrderedDict[int, Letter] = OrderedDict()
        self._audio: deque[int] = deque()
        self._next_number = 0
        self._bytes = 0
        self._audio_bytes = 0
        self._is_dropping = False

    def __len__(self) -> int:
        return len(self._letters)

    @property
    def byte_count(self) -> int:
        """How many bytes wait."""
        return self._bytes

    def has_room(self, letter: Letter) -> bool:
        """Whether a letter that is never dropped can be put in now."""
        kept = self._bytes - self._audio_bytes
        return not kept or kept + len(letter.frame) <= self._max_bytes

    def put(self, letter: Letter) -> bool:
        """Append *letter*; True if audio was dropped, for the first time in this burst."""
        number = self._next_number
        self._next_number += 1
        self._letters[number] = letter
        size = len(letter.frame)
        self._bytes += size
        if letter.is_audio:
            self._audio.append(number)
            self._audio_bytes += size
        if self._bytes <= self._max_bytes:
            return False
        return self._drop_audio()

    def take(self) -> Letter | None:
        """Remove and return the letter that is next; None if there is none."""
        if not self._letters:
            return None
        _, letter = self._letters.popitem(last=False)
        size = len(letter.frame)
        self._bytes -= size
        if letter.is_audio:
            self._audio.popleft()
            self._audio_bytes -= size
        if not self._letters:
            self._is_dropping = False
        return letter

    def clear(self) -> list[Letter]:
        """Remove and return all."""
        letters = list(self._letters.values())
        self._letters.clear()
        self._audio.clear()
        self._bytes = self._audio_bytes = 0
        self._is_dropping = False
        return letters

    def _drop_audio(self) -> bool:
        dropped = False
        while self._bytes > self._max_bytes and self._audio:
            letter = self._letters.pop(self._audio.popleft())
            self._bytes -= len(letter.frame)
            self._audio_bytes -= len(letter.frame)
            dropped = True
        is_first = dropped and not self._is_dropping
        self._is_dropping = self._is_dropping or dropped
        return is_first

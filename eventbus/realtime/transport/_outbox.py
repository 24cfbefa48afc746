"""
The bounded queue between the callers that send and a network that may be slow.

Rules
-----

* First in, first out: no message overtakes another.
* The bound is in bytes. When the queue is full, the oldest audio is dropped first: the model
  needs least what the user said longest ago. Other messages are never dropped.
* Messages that are never dropped have the same bound: their senders wait for room. A single
  message larger than the bound is sent when no other message of that kind is queued.
* A burst of drops begins with the first drop and ends when the queue is empty.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from typing import Any

import attrs


@attrs.define(eq=False)  # a frozen one takes longer to make than to queue
class OutgoingMessage:
    """
    A message to the service.

    Attributes:
        frame: The frame that is sent: UTF-8 text.
        message: The same as a mapping; its audio may be missing.
        audio_bytes: The size of the audio in it; None if it is no audio.
        outlives_session: Whether it makes sense in another session of the service, too.
    """

    frame: bytes = attrs.field(repr=lambda frame: f"<{len(frame)} bytes>")
    message: Mapping[str, Any] = attrs.field(repr=lambda message: f"<{message.get('type')}>")
    audio_bytes: int | None = None
    outlives_session: bool = False

    @property
    def is_audio(self) -> bool:
        """True if it may be dropped."""
        return self.audio_bytes is not None


class Outbox:
    """
    A bounded queue of messages.

    Args:
        max_bytes: The bound of all queued frames together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # Ordered, as audio is taken out of the middle, and the front must stay cheap to reach.
        self._messages: OrderedDict[int, OutgoingMessage] = OrderedDict()
        self._audio: deque[int] = deque()
        self._next_number = 0
        self._bytes = 0
        self._audio_bytes = 0
        self._is_dropping = False

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[OutgoingMessage]:
        return iter(self._messages.values())

    @property
    def byte_count(self) -> int:
        """The size of all queued frames."""
        return self._bytes

    def has_room(self, message: OutgoingMessage) -> bool:
        """Return whether a message that is never dropped can be queued now."""
        kept = self._bytes - self._audio_bytes
        return not kept or kept + len(message.frame) <= self._max_bytes

    def put(self, message: OutgoingMessage) -> bool:
        """Append *message*; return True if that began a burst of drops."""
        number = self._next_number
        self._next_number += 1
        self._messages[number] = message
        size = len(message.frame)
        self._bytes += size
        if message.audio_bytes is not None:
            self._audio.append(number)
            self._audio_bytes += size
        if self._bytes <= self._max_bytes:
            return False
        return self._drop_audio()

    def take(self) -> OutgoingMessage | None:
        """Remove and return the next message; None if the queue is empty."""
        if not self._messages:
            return None
        _, message = self._messages.popitem(last=False)
        size = len(message.frame)
        self._bytes -= size
        if message.audio_bytes is not None:
            self._audio.popleft()
            self._audio_bytes -= size
        if not self._messages:
            self._is_dropping = False
        return message

    def clear(self) -> list[OutgoingMessage]:
        """Remove and return all messages."""
        messages = list(self._messages.values())
        self._messages.clear()
        self._audio.clear()
        self._bytes = self._audio_bytes = 0
        self._is_dropping = False
        return messages

    def _drop_audio(self) -> bool:
        dropped = False
        while self._bytes > self._max_bytes and self._audio:
            message = self._messages.pop(self._audio.popleft())
            self._bytes -= len(message.frame)
            self._audio_bytes -= len(message.frame)
            dropped = True
        is_first = dropped and not self._is_dropping
        self._is_dropping = self._is_dropping or dropped
        return is_first

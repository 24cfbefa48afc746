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

from collections import deque
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

    Attributes:
        byte_count: The size of all queued frames.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._messages: deque[OutgoingMessage] = deque()
        self.byte_count = 0
        self._audio_bytes = 0
        self._is_dropping = False

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[OutgoingMessage]:
        return iter(self._messages)

    def has_room(self, message: OutgoingMessage) -> bool:
        """Return whether a message that is never dropped can be queued now."""
        kept = self.byte_count - self._audio_bytes
        return not kept or kept + len(message.frame) <= self._max_bytes

    def put(self, message: OutgoingMessage) -> bool:
        """Append *message*; return True if that began a burst of drops."""
        self._messages.append(message)
        size = len(message.frame)
        self.byte_count = byte_count = self.byte_count + size
        if message.audio_bytes is not None:
            self._audio_bytes += size
        return byte_count > self._max_bytes and self._drop_audio()

    def take(self) -> OutgoingMessage | None:
        """Remove and return the next message; None if the queue is empty."""
        if not self._messages:
            return None
        message = self._messages.popleft()
        size = len(message.frame)
        self.byte_count -= size
        if message.audio_bytes is not None:
            self._audio_bytes -= size
        if not self._messages:
            self._is_dropping = False
        return message

    def clear(self) -> list[OutgoingMessage]:
        """Remove and return all messages."""
        messages = list(self._messages)
        self._messages.clear()
        self.byte_count = self._audio_bytes = 0
        self._is_dropping = False
        return messages

    def _drop_audio(self) -> bool:
        excess, oldest = self.byte_count - self._max_bytes, []
        for message in self._messages:
            if message.audio_bytes is not None:
                oldest.append(message)
                excess -= len(message.frame)
                if excess <= 0:
                    break
        for message in oldest:  # all of them are near the front
            self._messages.remove(message)
            self.byte_count -= len(message.frame)
            self._audio_bytes -= len(message.frame)
        was_dropping = self._is_dropping
        self._is_dropping = was_dropping or bool(oldest)
        return self._is_dropping and not was_dropping

"""
Frames in the form in which OpenAI's service sends them, written by the project.

Each frame of a series differs from the next where those of a session do, in the event's id and
in the content, so that nothing can be remembered that couldn't be in a session either.
"""

from __future__ import annotations

import base64
import itertools
import json
import random
import string
from collections.abc import Callable
from typing import Any

import attrs

__all__ = ["SERIES", "Series"]

_BYTES_PER_MS = 48  # signed 16-bit samples at 24 kHz
_TEXT = "well then the parcel left our depot early this morning and should reach you soon"


@attrs.frozen
class Series:
    """
    Frames of one kind.

    Attributes:
        name: What the table calls them.
        event: The type of the model event that they mean.
        frames: The frames, as they come over the socket.
    """

    name: str
    event: str
    frames: tuple[bytes, ...]


class _Writer:
    """Writes the frames of one answer, with new ids and new content each time."""

    def __init__(self) -> None:
        self._random = random.Random(960)  # the same frames in every run
        self._response_id = self._id("resp")
        self._item_id = self._id("item")
        self._words = itertools.cycle(_TEXT.split())

    def _id(self, kind: str) -> str:
        return (
            kind + "_" + "".join(self._random.choices(string.ascii_letters + string.digits, k=21))
        )

    def _frame(self, kind: str, **fields: Any) -> bytes:
        frame = {"type": kind, "event_id": self._id("event"), **fields}
        return json.dumps(frame, separators=(",", ":")).encode()

    def _delta(self, kind: str, delta: str, **fields: Any) -> bytes:
        return self._frame(
            kind,
            response_id=self._response_id,
            item_id=self._item_id,
            output_index=0,
            content_index=0,
            delta=delta,
            **fields,
        )

    def audio(self, ms: int) -> bytes:
        """Return a delta with so many milliseconds of noise."""
        samples = self._random.randbytes(ms * _BYTES_PER_MS)
        return self._delta("response.output_audio.delta", base64.b64encode(samples).decode())

    def transcript(self) -> bytes:
        """Return a delta with the next word, and the padding that hides its length."""
        word = " " + next(self._words)
        return self._delta(
            "response.output_audio_transcript.delta",
            word,
            obfuscation=self._id("")[len(word) :],
        )

    def message(self) -> bytes:
        """Return a message item that is done, with a sentence or two."""
        words = itertools.islice(self._words, self._random.randint(10, 20))
        item = {
            "id": self._id("item"),
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_audio", "transcript": " ".join(words)}],
        }
        return self._frame(
            "response.output_item.done", response_id=self._response_id, output_index=0, item=item
        )


def _series(name: str, event: str, write: Callable[[], bytes], count: int = 64) -> Series:
    return Series(name, event, tuple(write() for _ in range(count)))


_writer = _Writer()

SERIES = (
    _series("audio, 20 ms", "audio", lambda: _writer.audio(20)),
    _series("audio, 200 ms", "audio", lambda: _writer.audio(200)),
    _series("transcript delta", "transcript_delta", _writer.transcript),
    _series("message item", "item_updated", _writer.message),
)
"""The frames that the table has a row for."""

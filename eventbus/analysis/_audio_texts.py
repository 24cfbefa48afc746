"""
The caller's audio in messages to the service: texts in base64, found and decoded in bulk.

Rules
-----

* One message is parsed; the next ones have the same bytes around their audio, and are only
  compared with it. Between those bytes is one JSON string, as it has no quote, and it is the audio,
  as no other string may differ.
* Texts are decoded together, and one by one only where one of them is padded, has the other
  alphabet or isn't base64.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

import pybase64

from ..audio._formats import AudioFormat
from ..journal._records import SentRecord
from ..wire._audio_text import caller_audio, caller_rate, decode_base64
from ._record_view import RecordView

_LEAST: Final = 64  # characters of audio that tell its place
_QUOTE: Final = b'"'
_ESCAPE: Final = b"\\"


class AudioTexts:
    """
    Finds the caller's audio in messages that are much alike.

    Attributes:
        type: The type of the latest message.
        rate: The rate of its audio, if it says it itself.
    """

    def __init__(self) -> None:
        self.type = ""
        self.rate: int | None = None
        # The bytes before and after the audio of a message, its type and its rate.
        self._head, self._tail = b"", b""
        self._start = 0  # of the audio
        self._alike: tuple[str, int | None] = "", None

    def text_of(self, record: SentRecord) -> bytes:
        """Return the audio of a message, in base64; empty if it has none, or can't be read."""
        data, start, tail = record.data, self._start, self._tail
        end = data.find(_QUOTE, start)
        if (
            start < end == len(data) - len(tail)
            and data.endswith(tail)
            and data.startswith(self._head)
            and data.find(_ESCAPE, start, end) < 0
        ):
            self.type, self.rate = self._alike
            return data[start:end]
        return self._parsed(record)

    def _parsed(self, record: SentRecord) -> bytes:
        """Return the audio of a message, and remember the bytes around it."""
        facts, data = RecordView(record), record.data
        text = (caller_audio(facts.data) or "").encode()
        self.type, self.rate = facts.type or "", caller_rate(data)
        head, found, tail = data.partition(text) if len(text) >= _LEAST else (b"",) * 3
        is_all = head.endswith(_QUOTE) and tail.startswith(_QUOTE)
        if found and is_all and text not in tail and _ESCAPE not in head:
            self._head, self._tail, self._start = head, tail, len(head)
            self._alike = self.type, self.rate
        return text


def audio_of(record: SentRecord) -> bytes | None:
    """Return the caller's audio in a message; None if it isn't there."""
    audio = caller_audio(RecordView(record).data)
    data = None if audio is None else _from_base64(audio.encode())
    return data if data is not None and len(data) == record.audio_bytes else None


@functools.lru_cache(8)
def pcm_at(rate: int) -> AudioFormat:
    """Return PCM of a rate, and the same object each time."""
    return AudioFormat(rate=rate)


def _from_base64(text: bytes) -> bytes | None:
    try:
        return decode_base64(text.decode())
    except ValueError:
        return None


def decode_each(texts: Sequence[bytes], sizes: Sequence[int], unit: int = 1) -> list[bytes | None]:
    """
    Return the audio of texts, as one piece or one for each text.

    Args:
        texts: Audio in base64.
        sizes: The bytes that each of them should have.
        unit: The bytes of a sample; a text that ends within one is decoded by itself.

    Returns:
        Pieces in order; None for each text that is of another size, or isn't base64.
    """
    if all(
        4 * size == 3 * len(text) and not size % unit
        for text, size in zip(texts, sizes, strict=True)
    ):
        try:
            data = pybase64.b64decode(b"".join(texts), validate=True)
        except ValueError:  # one is padded, or has another alphabet
            data = b""
        if data and len(data) == sum(sizes):
            return [data]
    parts = zip(map(_from_base64, texts), sizes, strict=True)
    return [part if part is not None and len(part) == size else None for part, size in parts]

"""
The waveform of the caller's audio, which comes in more messages than anything else.

Rules
-----

* One message is parsed; the next ones have the same bytes around their audio, and are only
  compared with it. Between those bytes is one JSON string, as it has no quote, and it is the audio,
  as no other string may differ.
* Audio is decoded for a second of the call at a time, and for whoever looks at it before.
"""

from __future__ import annotations

from typing import Final

from ..analysis import RecordView
from ..analysis._sound import from_base64, said_text
from ..audio._formats import PCM16, AudioFormat
from ..journal import SentRecord
from ._tracks import PEAK_MS, Peaks

_AT_ONCE: Final = 64  # messages
_APART_NS: Final = PEAK_MS * 1_000_000 // 4  # no more than a waveform can show
_LEAST: Final = 64  # characters of audio that tell its place
_QUOTE: Final = b'"'


class SaidAudio:
    """
    The caller's audio, message by message.

    Args:
        peaks: Gets the waveform.
    """

    def __init__(self, peaks: Peaks) -> None:
        self._peaks = peaks
        # The bytes before and after the audio of a message, and its type.
        self._head, self._tail, self._type = b"", b"", ""
        # The audio that isn't decoded yet, in base64, and its place and format.
        self._texts: list[bytes] = []
        self._sizes: list[int] = []
        self._start_ns = self._end_ns = 0
        self._form = PCM16

    def take(
        self, record: SentRecord, size: int, times_ns: tuple[int, int], form: AudioFormat
    ) -> str:
        """
        Take a message; return its type.

        Args:
            record: The message.
            size: The bytes of audio in it.
            times_ns: When this audio begins and ends, since the journal's beginning.
            form: Its format.
        """
        data, head, tail = record.data, self._head, self._tail
        name = self._type
        text = data[len(head) : -len(tail)] if tail else b""
        if not text or _QUOTE in text or not (data.startswith(head) and data.endswith(tail)):
            name, text = self._parsed(record)
        if not text:
            return name
        start_ns, end_ns = times_ns
        apart_ns = start_ns - self._end_ns
        if (
            len(self._texts) >= _AT_ONCE
            or not -_APART_NS <= apart_ns <= _APART_NS
            or form is not self._form
        ):
            self.flush()
        if not self._texts:
            self._start_ns = self._end_ns = start_ns
            self._form = form
        self._end_ns += end_ns - start_ns
        self._texts.append(text)
        self._sizes.append(size)
        return name

    def flush(self) -> None:
        """Decode the audio that has come."""
        if not self._texts:
            return
        data = from_base64(b"".join(self._texts))
        if len(data) != sum(self._sizes):  # padded, or not base64
            parts = zip(map(from_base64, self._texts), self._sizes, strict=True)
            data = b"".join(part if len(part) == size else bytes(size) for part, size in parts)
        self._texts.clear()
        self._sizes.clear()
        self._peaks.add(self._start_ns, data, self._form)

    def _parsed(self, record: SentRecord) -> tuple[str, bytes]:
        """Return the type and the audio of a message, and remember the bytes around that."""
        facts = RecordView(record)
        text = said_text(facts)
        name = facts.type or ""
        head, found, tail = record.data.partition(text) if len(text) >= _LEAST else (b"",) * 3
        if found and text not in tail and b"\\" not in head and head.endswith(_QUOTE):
            self._head, self._tail, self._type = head, tail, name
        return name, text

"""
A part of a call as sound, for a page that plays one part after the other.

A call of two hours would be 700 MB in one piece.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Iterable, Iterator
from typing import Final

from ..analysis import RecordView
from ..exceptions import ExportError
from ..export import write_wav

LEAD_MS: Final = 60_000
"""How long before a part its records are read: speech is heard later than it comes."""

_NS_PER_MS: Final = 1_000_000


def write_part(
    facts: Iterable[RecordView],
    session: RecordView | None,
    origin_ns: int,
    from_ms: float,
    to_ms: float,
) -> bytes:
    """
    Return the sound from one time to another as a WAV file; silence, if there is none.

    Args:
        facts: The records of the call, from `LEAD_MS` before the part on.
        session: The record that has the audio's formats, if one was before.
        origin_ns: The ``mono_ns`` that times are counted from.
        from_ms, to_ms: The part.
    """
    begin_ms = max(0.0, from_ms - LEAD_MS)
    begin_ns = origin_ns + round(begin_ms * _NS_PER_MS)
    file = io.BytesIO()
    try:
        write_wav(_shifted(facts, session, begin_ns, to_ms - begin_ms), file)
    except ExportError:
        return _wav(b"", 24_000, 1, to_ms - from_ms)
    file.seek(0)
    with wave.open(file) as whole:
        rate, channels = whole.getframerate(), whole.getnchannels()
        whole.setpos(min(whole.getnframes(), round((from_ms - begin_ms) * rate / 1000)))
        data = whole.readframes(round((to_ms - from_ms) * rate / 1000))
    return _wav(data, rate, channels, to_ms - from_ms)


def _shifted(
    facts: Iterable[RecordView], session: RecordView | None, begin_ns: int, length_ms: float
) -> Iterator[RecordView]:
    """Yield the records as if the call had begun at *begin_ns*."""
    if session is not None:
        yield RecordView(session.record, session.record.mono_ns)
    for each in facts:
        view = RecordView(each.record, begin_ns)
        if view.since_ns > length_ms * _NS_PER_MS:
            return
        if view.since_ns >= 0:
            yield view


def _wav(data: bytes, rate: int, channels: int, length_ms: float) -> bytes:
    """Return a file with *data*, and silence behind it for the rest of its length."""
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(channels)
        made.setsampwidth(2)
        made.setframerate(rate)
        made.writeframes(data.ljust(round(length_ms * rate / 1000) * 2 * channels, b"\0"))
    return file.getvalue()

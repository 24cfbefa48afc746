"""
A call as captions, in the format of SubRip.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import IO, Final

from ..analysis._record_view import RecordView
from ..analysis._sound import CallSound, sound_of
from ..journal._records import Record

_NS_PER_S: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000

_LINE_WIDTH: Final = 42  # two lines of 42 characters are taken to be readable
_LINES: Final = 2
_JOINERS: Final = "\u200c\u200d"  # part of words, though they aren't printable
_TAG: Final = re.compile(r"<(?=/?[A-Za-z])|\{(?=\\)")  # players obey <font>, and {\an8}


def write_srt(records: Iterable[Record | RecordView], file: IO[str]) -> None:
    """
    Write the transcripts as captions, at the times of `write_wav`.

    A caption of the model's has the time in which it was heard. If that ended early, it has the
    words that were said by then, estimated by their share of the time.

    Args:
        records: The records of one call; a `Journal`, records, or views of them.
        file: A file that is open for writing text.

    Raises:
        ExportError: There is more than one call in it.
    """
    sound = sound_of(records, "a file of captions", keeps_audio=False)
    lines = sorted(_lines(sound), key=lambda line: line[0])
    number = 0
    for start_ns, end_ns, speaker, text in lines:
        if not text:
            continue
        for first_ns, last_ns, part in _captions(start_ns, end_ns, f"{speaker}: {text}"):
            number += 1
            file.write(f"{number}\n{_srt_time(first_ns)} --> {_srt_time(last_ns)}\n{part}\n\n")


def _lines(sound: CallSound) -> Iterator[tuple[int, int, str, str]]:
    for line in sound.caller.values():
        yield line.start_ns, line.end_ns or line.start_ns, "Caller", line.text
    for item_id, text in sound.model.items():
        stretches = [each for each in sound.playback.stretches if each.item_id == item_id]
        heard = [stretch for stretch in stretches if stretch.heard_ns]
        if heard:
            heard_ns = sum(stretch.heard_ns for stretch in heard)
            received_ns = sum(stretch.received_ns for stretch in stretches)
            said = text.strip() if heard_ns == received_ns else _cut(text, heard_ns / received_ns)
            yield heard[0].start_ns, heard[-1].start_ns + heard[-1].heard_ns, "Model", said


def _cut(text: str, share: float) -> str:
    """Return about so much of *text*, in whole words."""
    kept = text[: round(len(text) * share)]
    if len(kept) < len(text) and not text[len(kept)].isspace():
        kept = kept.rpartition(" ")[0]
    return f"{kept.rstrip()}…" if kept.strip() else ""


def _captions(start_ns: int, end_ns: int, text: str) -> Iterator[tuple[int, int, str]]:
    """Yield captions of two lines at most, each with its share of the time."""
    lines = textwrap.wrap(_plain(text), _LINE_WIDTH) or [""]
    parts = ["\n".join(lines[i : i + _LINES]) for i in range(0, len(lines), _LINES)]
    # A caption that is over at once can't be read; and the next speaker's may overlap it.
    duration_ns = max(end_ns - start_ns, len(parts) * _NS_PER_S)
    total, done = sum(map(len, parts)), 0
    for part in parts:
        first_ns = start_ns + duration_ns * done // total
        done += len(part)
        yield first_ns, start_ns + duration_ns * done // total, part


def _plain(text: str) -> str:
    """
    Return *text* as one line, without anything that a player or a terminal obeys.

    Control characters are left out, those for the direction of writing among them; a tag's bracket
    is replaced by one that looks the same.
    """
    words = " ".join(text.split())
    if not words.isprintable():
        words = "".join(c for c in words if c.isprintable() or c in _JOINERS)
    return _TAG.sub(lambda found: "\u2039" if found[0] == "<" else "(", words)


def _srt_time(ns: int) -> str:
    ms = max(0, round(ns / _NS_PER_MS))
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02},{ms:03}"

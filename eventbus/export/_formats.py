"""
A journal for other programs: audio, captions, lines, a table, a trace.

======================  ========================================================================
`write_wav`             what could be heard: the caller on the left, the model on the right
`write_srt`             captions for it, at the same times
`write_jsonl`           a record a line
`write_csv`             a record a row, without content
`write_chrome_trace`    handler calls, for Perfetto and ``chrome://tracing``
======================  ========================================================================

Each reads records once, in their order, and writes to a file that is open. Times are counted from
the journal's beginning. Sound is where it was heard, as `eventbus.analysis._timeline` reckons.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any, Final

import attrs

from ..analysis._record_view import RecordView, views
from ..journal._records import Record
from ._chrome_trace import write_chrome_trace
from ._rows import COLUMNS, record_json, record_row
from ._srt import write_srt
from ._wav import write_wav

__all__ = [
    "FORMATS",
    "Format",
    "write_chrome_trace",
    "write_csv",
    "write_jsonl",
    "write_srt",
    "write_wav",
]


def write_jsonl(records: Iterable[Record | RecordView], file: IO[str]) -> None:
    """Write each record as a line of JSON; see `eventbus.export._rows`."""
    for each in views(records):
        file.write(f"{record_json(each)}\n")


def write_csv(records: Iterable[Record | RecordView], file: IO[str]) -> None:
    """Write each record as a row, under a row with the names of the columns (RFC 4180)."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    writer.writerows(map(_safe_row, map(record_row, views(records))))


_FORMULA: Final = frozenset("=+-@\t\r")


def _safe_row(row: Sequence[object]) -> list[object]:
    """Return *row* with no text that a spreadsheet would take for a formula."""
    return [
        f"'{value}" if isinstance(value, str) and value[:1] in _FORMULA else value for value in row
    ]


# --- by name ----------------------------------------------------------------------------------


@attrs.frozen
class Format:
    """
    A format that a journal can be exported to.

    Attributes:
        name: What it is called.
        suffix: What its files' names end with.
        is_binary: Whether it is no text.
        write: Writes it.
    """

    name: str
    suffix: str
    write: Callable[[Iterable[Record | RecordView], Any], None] = attrs.field(repr=False)
    is_binary: bool = False


FORMATS: Final[Mapping[str, Format]] = {
    each.name: each
    for each in (
        Format("wav", ".wav", write_wav, is_binary=True),
        Format("srt", ".srt", write_srt),
        Format("jsonl", ".jsonl", write_jsonl),
        Format("csv", ".csv", write_csv),
        Format("chrome-trace", ".trace.json", write_chrome_trace),
    )
}
"""The formats, by name."""

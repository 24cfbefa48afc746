"""
The export formats by name, and those that need no module of their own: JSON lines and CSV.
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


def write_jsonl(records: Iterable[Record | RecordView], file: IO[str]) -> None:
    """
    Write each record as a line of JSON; ``docs/reference/journal-json.md`` describes them.

    Args:
        records: A `Journal`, records, or views of them.
        file: A file that is open for writing text.
    """
    for each in views(records):
        file.write(f"{record_json(each)}\n")


def write_csv(records: Iterable[Record | RecordView], file: IO[str]) -> None:
    """
    Write each record as a row, below a row with the names of the columns (RFC 4180).

    There is no content in it. Text that a spreadsheet would take for a formula gets an apostrophe.

    Args:
        records: A `Journal`, records, or views of them.
        file: A file that is open for writing text, without translation of line ends.
    """
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    writer.writerows(map(_safe_row, map(record_row, views(records))))


_FORMULA: Final = frozenset("=+-@\t\r")


def _safe_row(row: Sequence[object]) -> list[object]:
    """Return *row* with an apostrophe before text that a spreadsheet takes for a formula."""
    return [
        f"'{value}" if isinstance(value, str) and value[:1] in _FORMULA else value for value in row
    ]


# --- by name ----------------------------------------------------------------------------------


@attrs.frozen
class Format:
    """
    An export format.

    Attributes:
        name: The format's name.
        suffix: The end of its file names.
        write: The function that writes it.
        is_binary: Whether its files are binary.
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

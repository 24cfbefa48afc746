"""
Exports of a journal: audio, captions, JSON lines, a table, a trace.

======================  ========================================================================
`write_wav`             the audible call: the caller on the left, the model on the right
`write_srt`             captions for it, at the same times
`write_jsonl`           a record a line
`write_csv`             a record a row, without content
`write_chrome_trace`    handler calls, for Perfetto and ``chrome://tracing``
======================  ========================================================================

Each reads a `Journal`, records, or views of them once, in order, and writes to an open file::

    with open("call.srt", "w", encoding="utf-8") as file:
        write_srt(open_journal("call.journal"), file)

Times are counted from the journal's beginning.
"""

from __future__ import annotations

from ._chrome_trace import write_chrome_trace
from ._formats import FORMATS, Format, write_csv, write_jsonl
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

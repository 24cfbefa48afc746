"""
Journals for other programs: audio, captions, lines, a table, a trace.
"""

from __future__ import annotations

from ._formats import (
    FORMATS,
    Format,
    write_chrome_trace,
    write_csv,
    write_jsonl,
    write_srt,
    write_wav,
)

__all__ = [
    "FORMATS",
    "Format",
    "write_chrome_trace",
    "write_csv",
    "write_jsonl",
    "write_srt",
    "write_wav",
]

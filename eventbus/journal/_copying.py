"""
Copies of journals: fewer records, or less in them.

Records keep their numbers and times, so what one refers to by its cause is the same in a copy, if
it is there. The original is never changed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

import attrs

from ..exceptions import JournalWriteError
from ._records import EndRecord, HeaderRecord, Record
from ._redaction import Withholding
from ._segments import segment_paths
from ._writer import JournalWriter

__all__ = ["write_copy"]


@attrs.define
class _Clock:
    """Stands at the time of the record that is being copied."""

    mono_ns: int
    wall_ns: int


def write_copy(
    records: Iterable[Record],
    path: str | os.PathLike[str],
    *,
    header: HeaderRecord,
    withholding: Withholding | None = None,
) -> int:
    """
    Write records to a new journal, and return how many there were.

    Where it fails or is interrupted, no file is left: half a copy could be taken for a whole one.

    Args:
        records: What to copy; headers among them are left out.
        path: Where to.
        header: What the original says of itself; the copy begins at its time.
        withholding: What to leave out of each record.

    Raises:
        JournalWriteError: It can't be written, or there is a file already.
        Exception: What *records* has raised.
    """
    clock = _Clock(header.mono_ns, header.wall_ns)
    failures: list[JournalWriteError] = []
    writer = JournalWriter(
        path,
        header=_header_of(header, withholding),
        fsync="none",
        clock_ns=lambda: clock.mono_ns,
        wall_ns=lambda: clock.wall_ns,
        on_failure=failures.append,
    )
    try:
        count = 0
        for record in records:
            if isinstance(record, (HeaderRecord, EndRecord)):
                continue
            clock.mono_ns, clock.wall_ns = record.mono_ns, record.wall_ns
            writer.write(record if withholding is None else withholding.apply(record))
            count += 1
            if failures:
                break
        writer.close()
        _raise_first(failures, path)
    except BaseException:
        writer.close(end=False)
        with contextlib.suppress(OSError):  # then it has no end, at least
            for written in segment_paths(path):  # there was none before: the writer refuses that
                written.unlink(missing_ok=True)
        raise
    return count


def _raise_first(failures: list[JournalWriteError], path: str | os.PathLike[str]) -> None:
    """Raise what has failed first, if anything has; in words for a copy, which nobody resumes."""
    for failure in failures:
        reason = getattr(failure.__cause__, "strerror", None) or str(failure)
        msg = (
            f"{os.fspath(path)} can't be written: {reason}. No part of it is left; make room, or "
            f"give another path."
        )
        raise JournalWriteError(msg, path=os.fspath(path)) from failure


def _header_of(header: HeaderRecord, withholding: Withholding | None) -> HeaderRecord:
    """Return the header of a copy, which is a journal of its own."""
    if withholding is None:
        return attrs.evolve(header, journal_id="")
    news = tuple(name for name in withholding.redacted if name not in header.redacted)
    return attrs.evolve(
        header,
        journal_id="",
        has_audio=header.has_audio and withholding.has_audio,
        has_content=header.has_content and withholding.has_content,
        redacted=(*header.redacted, *news),
    )

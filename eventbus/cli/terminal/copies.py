"""
Shared parts of the commands that write a journal from another one.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import attrs
import click

from ...exceptions import JournalWriteError
from ...journal._copying import write_copy
from ...journal._redaction import Withholding
from .escaping import printable
from .exits import ExitCode, unwritable
from .journals import JournalInput, read_filter
from .outputs import (
    journal_beside,
    prepare_output,
    tell_written,
)

__all__ = ["copy_journal"]


def copy_journal(
    journal: Path,
    terms: tuple[str, ...],
    *,
    to: Path,
    is_forced: bool,
    is_json: bool,
    withholding: Withholding | None = None,
    is_part: bool = False,
) -> ExitCode:
    """
    Write the records that the filter lets through to a journal of their own, and say so.

    Args:
        journal, terms, to, is_forced, is_json: The arguments and options of the command.
        withholding: The parts to leave out of each record.
        is_part: True if the new journal begins with the first of its records, not with the
            beginning of the call.

    Returns:
        The exit code of the command; nothing is written if no record matches.

    Raises:
        BadInput, click.ClickException: The journal can't be read, or the copy can't be written.
    """
    where = read_filter(terms)
    source = JournalInput(journal)
    prepare_output(to, source.journal.paths, is_forced=is_forced)
    records, header = source.records(where), source.journal.header
    first = next(records, None)
    if first is None and terms:
        return source.tell_no_match()
    if first is not None:
        records = itertools.chain([first], records)
        if is_part:
            header = attrs.evolve(header, mono_ns=first.mono_ns, wall_ns=first.wall_ns)
    try:
        with journal_beside(to) as part:
            count = write_copy(records, part, header=header, withholding=withholding)
    except JournalWriteError as exc:
        raise click.ClickException(printable(str(exc))) from exc
    except OSError as exc:
        raise unwritable(to, exc) from exc
    tell_written(to, count, is_json=is_json)
    return source.exit_code

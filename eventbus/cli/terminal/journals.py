"""
Shared parts of the commands that read a journal: opening it, filters, exit codes.

A problem of the input is one line on stderr, and exit code 3. Reading goes on after
damage: each place is named, and the exit code is 3 all the same. A record that a crash has cut
short is named, too, and is no error.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from ...analysis._filters import Filter, closest_type, parse_filter
from ...analysis._record_view import RecordView
from ...exceptions import FilterError, JournalDamaged, JournalError
from ...journal import Journal, open_journal
from ...journal._records import HeaderRecord, Record
from .console import Bar
from .escaping import printable
from .exits import BadInput, ExitCode, unreadable

__all__ = [
    "JournalInput",
    "damage_text",
    "is_same_file",
    "read_filter",
]

_MAX_DAMAGES: Final = 10
"""Number of places of damage that are named; the rest are counted."""


def read_filter(terms: tuple[str, ...]) -> Filter:
    """
    Return the filter that the command line has.

    Raises:
        BadInput: It is none.
    """
    try:
        return parse_filter(" ".join(terms))
    except FilterError as exc:
        raise BadInput(str(exc)) from exc


class JournalInput:
    """
    A journal that a command reads.

    Args:
        path: The journal's path.
        label: The text of a progress bar; None for no bar.
        is_live: True if it is being written, so that its end may well be incomplete.

    Attributes:
        journal: The journal.
        name: Its name in messages.

    Raises:
        BadInput: It can't be read at all.
    """

    def __init__(self, path: Path, *, label: str | None = "reading", is_live: bool = False) -> None:
        self.name = str(path)
        self._damages = 0
        self._is_live = is_live
        try:
            self.journal: Journal = open_journal(path, on_damage=self._report)
        except JournalError as exc:
            raise BadInput(str(exc)) from exc
        except OSError as exc:
            raise unreadable(path, exc) from exc
        self._bar = Bar(self.journal.size_bytes, is_wanted=label is not None, label=label or "")

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command, as far as its input goes."""
        return ExitCode.BAD_INPUT if self._damages else ExitCode.OK

    def facts(self, where: Filter | None = None) -> Iterator[RecordView]:
        """
        Yield the records that the filter lets through, and show the progress.

        Args:
            where: The filter; None for all, headers included.
        """
        origin_ns = self.journal.header.mono_ns
        last_ns = None if where is None else where.last_ns
        unseen = {} if where is None else _meant_types(where)
        if where is not None and where.first_ns:
            self.journal.seek(time=where.first_ns / 1e9)
        with self._bar.shown():
            for record in self.journal:
                self._bar.update(self.journal.position_bytes)
                facts = RecordView(record, origin_ns)
                if last_ns is not None and facts.since_ns > last_ns:
                    break
                for name in unseen and {*unseen}.intersection(map(_folded, facts.types)):
                    del unseen[name]
                if where is None or (facts.kind != "header" and where.matches(facts)):
                    yield facts
        self._report_rest()
        for name, meant in unseen.values():
            text = f"No record has the type {name!r}; did you mean type:{meant}?"
            click.echo(printable(text), err=True)

    def records(self, where: Filter | None = None) -> Iterator[Record]:
        """Yield the records themselves, as `facts` does."""
        return (facts.record for facts in self.facts(where))

    def find(self, seq: int) -> RecordView | None:
        """Return the record of that number; None if there is none."""
        record = next(iter(self.journal.seek(seq=seq)), None)
        if record is None or record.seq != seq:
            return None
        return RecordView(record, self.journal.header.mono_ns)

    def tell_no_match(self) -> ExitCode:
        """Write to stderr that no record matches, and the range of those there are."""
        header, last = self.journal.header, self.journal.last
        records = (each for each in self.journal.seek(seq=0) if not isinstance(each, HeaderRecord))
        first = next(records, None)
        text = f"{self.name}: no record matches, so nothing is written"
        if first is not None and last is not None:
            begin, end = (_seconds(each.mono_ns - header.mono_ns) for each in (first, last))
            text += f"; it has the records {first.seq} to {last.seq}, from t:{begin} to t:{end}"
        click.echo(printable(f"{text}."), err=True)
        return self.exit_code or ExitCode.NO

    def _report(self, damage: JournalDamaged) -> None:
        self._damages += 1
        if self._damages <= _MAX_DAMAGES:
            click.echo(printable(damage_text(damage)), err=True)

    def _report_rest(self) -> None:
        more = self._damages - _MAX_DAMAGES
        if more > 0:
            click.echo(printable(f"{self.name}: and {more} more damaged places"), err=True)
        for tail in () if self._is_live else self.journal.torn_tails:
            text = (
                f"{tail.path}: ends in a record that is cut short, {tail.size} bytes at offset "
                f"{tail.offset}; all before it was read. eventbus validate --repair cuts it off."
            )
            click.echo(printable(text), err=True)


def _meant_types(where: Filter) -> dict[str, tuple[str, str]]:
    """Return the types of a filter that seem misspelt, by their folded form, with those meant."""
    meant = {name: closest_type(name) for name in where.types}
    return {_folded(name): (name, other) for name, other in meant.items() if other is not None}


def _seconds(duration_ns: int) -> str:
    """Return a time as filters have it, to the millisecond."""
    return f"{duration_ns / 1e9:.3f}".rstrip("0").rstrip(".") + "s"


def _folded(name: str | None) -> str:
    return (name or "").casefold()


def damage_text(damage: JournalDamaged) -> str:
    """Return the description of a damaged place, for messages."""
    if damage.problem:
        return damage.problem
    is_end = damage.resume_at is None
    rest = "nothing can be read after it" if is_end else f"it goes on at {damage.resume_at}"
    return f"{damage.path} is damaged at offset {damage.offset}; {rest}."


def is_same_file(path: Path, other: Path) -> bool:
    """Return True if two paths lead to the same file."""
    try:
        return path.samefile(other)
    except OSError:  # one of them isn't there
        return False

"""
``eventbus tail``.
"""

from __future__ import annotations

import attrs
import pytest

from eventbus.cli.usage import tail
from eventbus.journal import Journal, JournalWriter
from tests.cli.journals import new_runner, write_journal
from tests.journal.stories import spoken_turn


def seqs(result):
    return [int(line.split()[0]) for line in result.stdout.splitlines()]


@pytest.fixture
def path(tmp_path):
    return write_journal(tmp_path / "call.journal")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["-n", "3"], [117, 118, 119]),
        (["-n", "0"], []),
        (["-n", "2", "is:frame"], [114, 116]),
        (["-n", "500", "type:audio"], [112]),
    ],
)
def test_last_records_are_written(path, args, expected):
    """
    The last records that match are written; a journal that is closed ends it.
    """
    result = new_runner().invoke(tail.command, [str(path), *args])

    assert (result.exit_code, seqs(result)) == (0, expected)


def test_new_records_are_written_when_they_come(tmp_path, monkeypatch):
    """
    New records of a journal are written as soon as they are there, until it is closed.
    """
    path = tmp_path / "call.journal"
    records = spoken_turn().records[1:6]
    writer = JournalWriter(path, fsync="none")
    writer.write(records[0])
    writer.sync()
    follow = Journal.follow

    def write_and_follow(journal, **options):
        for record in records[1:]:
            writer.write(attrs.evolve(record))
        writer.close()
        return follow(journal, **options)

    monkeypatch.setattr(Journal, "follow", write_and_follow)
    result = new_runner().invoke(tail.command, [str(path), "!is:end"])

    assert seqs(result) == [1, 2, 3, 4, 5]


def test_no_follow_ends_at_the_end(tmp_path):
    """
    With --no-follow a journal that is being written is not waited for.
    """
    path = tmp_path / "call.journal"
    with JournalWriter(path, fsync="none") as writer:
        writer.write(spoken_turn().records[1])
        writer.sync()
        result = new_runner().invoke(tail.command, [str(path), "--no-follow"])

    assert seqs(result) == [1]

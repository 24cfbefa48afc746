"""
``eventbus trim``.
"""

from __future__ import annotations

import pytest

from eventbus.cli.usage.trim import command
from eventbus.journal import open_journal
from tests.cli.journals import new_runner, write_journal


@pytest.fixture
def path(tmp_path):
    return write_journal(tmp_path / "call.journal")


def trimmed(path, *terms):
    """
    Return the result, and the records of the copy but the header and the end.
    """
    copy = path.with_name("part.journal")
    result = new_runner().invoke(command, [str(path), *terms, "-o", str(copy)])
    journal = open_journal(copy)
    return result, journal, list(journal)[1:-1]


def test_part_has_the_records_that_match(path):
    """
    Records keep their numbers and causes; the journal begins with the first of them.
    """
    _, journal, records = trimmed(path, "t:2.2s..2.5s")

    assert [record.seq for record in records] == [109, 110, 111, 112]
    assert records[1].cause == 109
    assert journal.header.mono_ns == records[0].mono_ns


def test_nothing_that_matches_is_an_empty_journal(path):
    """
    A part without records is a journal all the same.
    """
    result, _, records = trimmed(path, "is:crash")

    assert (result.exit_code, records) == (0, [])
    assert "0 records" in result.stdout


def test_what_is_there_stays(path):
    """
    A journal is not written over another one.
    """
    trimmed(path, "is:event")
    before = path.with_name("part.journal").read_bytes()
    result, *_ = trimmed(path, "is:frame")

    assert result.exit_code == 2
    assert path.with_name("part.journal").read_bytes() == before

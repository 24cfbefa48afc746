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


@pytest.mark.parametrize("terms", [["is:crash"], ["t:99s.."], ["type:audio", "t:..0s"]])
def test_filter_that_nothing_matches_is_exit_code_1(path, terms):
    """
    As grep has it; nothing is written, and one line has the range of the journal.
    """
    part = path.with_name("part.journal")
    part.write_bytes(before := b"something else")
    result = new_runner().invoke(command, [str(path), *terms, "-o", str(part), "--force"])

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"{path}: no record matches, so nothing is written; it has the records 1 to 119, "
        f"from t:0s to t:2.6s.\n"
    )
    assert part.read_bytes() == before


def test_what_is_there_stays(path):
    """
    A journal is not written over another one.
    """
    trimmed(path, "is:event")
    before = path.with_name("part.journal").read_bytes()
    result, *_ = trimmed(path, "is:frame")

    assert result.exit_code == 2
    assert path.with_name("part.journal").read_bytes() == before

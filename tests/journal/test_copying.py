"""
`eventbus.journal.copying`: copies of journals.
"""

from __future__ import annotations

import pytest

from eventbus.exceptions import JournalWriteError
from eventbus.journal import EventRecord, open_journal
from eventbus.journal.copying import write_copy
from eventbus.journal.stats import measure
from eventbus.journal.withholding import Withholding
from tests.journal.stories import spoken_turn


@pytest.fixture
def records():
    return spoken_turn().records


def test_copy_has_the_same_records(tmp_path, records):
    """
    Numbers, times, senders and causes are those of the original; the copy has an end of its own.
    """
    path = tmp_path / "copy.journal"

    assert write_copy(records, path, header=records[0]) == len(records) - 1
    journal = open_journal(path)

    assert list(journal)[1:-1] == records[1:]
    assert (journal.header.mono_ns, journal.is_closed) == (records[0].mono_ns, True)
    assert journal.header.journal_id != records[0].journal_id


def test_withheld_content_is_not_in_the_file(tmp_path, records):
    """
    What is withheld is in no byte of the copy, whose header says so; the figures are the same.
    """
    path = tmp_path / "copy.journal"
    write_copy(records, path, header=records[0], withholding=Withholding(content=False))
    copy = list(open_journal(path))

    assert b"Hello there" not in path.read_bytes()
    assert (copy[0].has_content, copy[0].has_audio) == (False, False)
    assert measure(copy).calls[0].turns == measure(records).calls[0].turns
    assert [r.audio_bytes for r in copy if isinstance(r, EventRecord) and r.audio_bytes] == [48_000]


def test_redacted_names_add_up(tmp_path, records):
    """
    A copy of a copy says what both have left out, each once.
    """
    first, second = tmp_path / "1.journal", tmp_path / "2.journal"
    write_copy(records, first, header=records[0], withholding=Withholding(redact=["transcript"]))
    once = list(open_journal(first))
    more = Withholding(redact=["transcript", "usage"])
    write_copy(once, second, header=once[0], withholding=more)

    assert open_journal(second).header.redacted == ("transcript", "usage")


def test_file_that_is_there_is_kept(tmp_path, records):
    """
    A copy is never written over something.
    """
    path = tmp_path / "copy.journal"
    path.write_text("mine")

    with pytest.raises(JournalWriteError):
        write_copy(records, path, header=records[0])
    assert path.read_text() == "mine"

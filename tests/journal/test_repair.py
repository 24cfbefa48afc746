"""
Repairing cuts off torn tails, and nothing else.
"""

from __future__ import annotations

import pytest

from eventbus.exceptions import JournalEmpty, JournalWriteError
from eventbus.journal import FrameRecord, JournalWriter, open_journal, repair_journal


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "call.journal"
    with JournalWriter(path, fsync="none", segment_bytes=400) as writer:
        for seq in range(1, 8):
            writer.write(FrameRecord(seq=seq, data=bytes(60)))
            writer.flush()
    return path


def seqs(path):
    return [record.seq for record in open_journal(path, on_damage=lambda _: None)]


def test_whole_journal_is_left_alone(path):
    """
    Nothing is cut off a whole journal.
    """
    before = [each.read_bytes() for each in open_journal(path).paths]

    assert repair_journal(path) == []
    assert [each.read_bytes() for each in open_journal(path).paths] == before


def test_torn_tails_of_all_segments_are_cut_off(path):
    """
    Afterwards each file ends with a whole record, and all that was whole is still there.
    """
    paths = open_journal(path).paths
    for each in (paths[0], paths[-1]):
        each.write_bytes(each.read_bytes()[:-3])
    expected = seqs(path)

    tails = repair_journal(path)

    assert [tail.path for tail in tails] == [str(paths[-1]), str(paths[0])]
    assert seqs(path) == expected
    assert repair_journal(path) == []


def test_damage_is_left_as_it_is(path):
    """
    Bytes that are wrong before other records stay: they tell that something was there.
    """
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)

    assert repair_journal(path) == []
    assert path.read_bytes() == data


def test_segment_of_another_journal_isnt_touched(path, tmp_path):
    """
    A file that lies where the journal would go on, torn as it is, stays as it is.
    """
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "call.journal"
    with JournalWriter(other, fsync="none") as writer:
        writer.write(FrameRecord(seq=1, data=bytes(60)))
    stale = path.with_name("call.99999.journal")
    stale.write_bytes(before := other.read_bytes()[:-3])

    assert repair_journal(path) == []
    assert stale.read_bytes() == before


def test_what_is_no_journal_isnt_touched(tmp_path):
    """
    Repairing refuses the files that reading refuses.
    """
    path = tmp_path / "call.journal"
    path.write_bytes(b"")

    with pytest.raises(JournalEmpty):
        repair_journal(path)


def test_journal_that_is_being_written_is_refused(tmp_path):
    """
    Nothing is cut off under a recorder at work, and afterwards the journal can be repaired.
    """
    path = tmp_path / "live.journal"
    with JournalWriter(path, fsync="none") as writer:
        writer.write(FrameRecord(seq=1, data=bytes(60)))
        writer.flush()
        before = path.read_bytes()
        with pytest.raises(JournalWriteError, match="being written; end the recording"):
            repair_journal(path)
        assert path.read_bytes() == before

    assert repair_journal(path) == []


def test_zeros_behind_the_end_are_skipped_without_reading_them(path):
    """
    A file that a crash has left with ten gigabytes of nothing is opened at once.
    """
    last = open_journal(path).paths[-1]
    expected = seqs(path)
    with last.open("r+b") as file:
        file.truncate(last.stat().st_size + 10_000_000_000)

    journal = open_journal(path, on_damage=lambda _: None)

    assert journal.last.seq == expected[-1]
    assert seqs(path) == expected

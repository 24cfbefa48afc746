"""
`eventbus.journal._copying`: copies of journals.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import attrs
import pytest

from eventbus.analysis import measure
from eventbus.exceptions import JournalWriteError
from eventbus.journal import EventRecord, Withholding, open_journal
from eventbus.journal._copying import write_copy
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
    Withheld data is in no byte of the copy, and its header says so; the figures are the same.
    """
    path = tmp_path / "copy.journal"
    write_copy(records, path, header=records[0], withholding=Withholding(content=False))
    copy = list(open_journal(path))

    assert b"Hello there" not in path.read_bytes()
    assert (copy[0].has_content, copy[0].has_audio) == (False, False)
    # Without the audio, the end of speech is only estimated.
    (turn,) = measure(records).calls[0].turns
    assert measure(copy).calls[0].turns == (attrs.evolve(turn, is_estimated=True),)
    assert [r.audio_bytes for r in copy if isinstance(r, EventRecord) and r.audio_bytes] == [48_000]


def test_redacted_names_add_up(tmp_path, records):
    """
    A copy of a copy names the omissions of both, each once.
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


def test_copy_that_fails_leaves_no_file(tmp_path, records):
    """
    A copy that stops half-way is an error, and leaves nothing that could be taken for the whole.
    """

    def failing():
        for number, record in enumerate(records * 20):
            if number == 2_000:
                raise ValueError("the source is broken")
            yield record

    with pytest.raises(ValueError, match="source is broken"):
        write_copy(failing(), tmp_path / "copy.journal", header=records[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("times", [1, 20])
def test_copy_onto_a_full_disk_leaves_no_file(tmp_path, records, monkeypatch, times):
    """
    A disk without room, be it met while records are written or at the end, is an error.
    """
    write, left = os.write, [20_000]

    def write_some(fd, data):
        if len(data) > left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= len(data)
        return write(fd, data)

    monkeypatch.setattr(os, "write", write_some)

    with pytest.raises(JournalWriteError, match="No space left on device"):
        write_copy(records * times, tmp_path / "copy.journal", header=records[0])
    assert list(tmp_path.iterdir()) == []


def test_copy_that_fails_and_cant_be_deleted_has_no_end(tmp_path, records, monkeypatch):
    """
    Where the file can't be deleted, it is the first failure that is told, and the part that is left
    isn't closed.
    """

    def failing():
        yield from records
        raise ValueError("the source is broken")

    def refuse(path, **_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "unlink", refuse)

    with pytest.raises(ValueError, match="source is broken"):
        write_copy(failing(), tmp_path / "copy.journal", header=records[0])
    assert not open_journal(tmp_path / "copy.journal").is_closed

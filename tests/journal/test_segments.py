"""
The files of a journal: their names and their ends.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from eventbus.journal import EndRecord, FrameRecord, JournalWriter
from eventbus.journal._assembly import Assembler
from eventbus.journal._format import FILE_HEADER_BYTES
from eventbus.journal._segments import Segment, SegmentFile, segment_path, segment_paths


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "call.journal"
    with JournalWriter(path, fsync="none") as writer:
        for seq in range(1, 6):
            writer.write(FrameRecord(seq=seq, mono_ns=seq, data=bytes(100)))
            writer.flush()
    return path


def test_segments_are_numbered_behind_the_name():
    """
    The first has the name that was given, the others a number of five digits or more.
    """
    path = Path("calls/call.journal")

    assert segment_path(path, 1) == path
    assert segment_path(path, 2) == Path("calls/call.00002.journal")
    assert segment_path(path, 123456) == Path("calls/call.123456.journal")


def test_only_segments_of_that_journal_are_found(tmp_path):
    """
    Other files in the folder aren't taken for segments, and numbers are in the order of numbers.
    """
    names = ["a.journal", "a.100000.journal", "a.00002.journal", "a.2.journal", "ab.00002.journal",
             "a.00003.txt", "xa.00004.journal"]  # fmt: skip
    for name in names:
        (tmp_path / name).touch()

    found = [path.name for path in segment_paths(tmp_path / "a.journal")]

    assert found == ["a.journal", "a.00002.journal", "a.100000.journal"]
    assert segment_paths(tmp_path / "b.journal") == []
    assert segment_paths(tmp_path / "no folder" / "b.journal") == []


def test_end_is_read_from_the_end(path):
    """
    The last record is known, and that nothing comes after it.
    """
    _, payload, tail = Segment.open(path).read_end()

    assert isinstance(list(Assembler().records(payload))[-1], EndRecord)
    assert tail is None


def test_segment_without_a_record_has_no_end(path):
    """
    A file that ends in its first record has none, and the part of it is a torn tail.
    """
    path.write_bytes(path.read_bytes()[: FILE_HEADER_BYTES + 5])

    _, payload, tail = Segment.open(path).read_end()

    assert payload is None
    assert (tail.offset, tail.size) == (FILE_HEADER_BYTES, 5)
    assert Segment.open(path).header is None


def test_batches_are_found_from_anywhere(path):
    """
    From each offset the next batch is found, up to a limit.
    """
    segment = Segment.open(path)
    with segment.reading() as file:
        ((start, payloads),) = list(file.walk(FILE_HEADER_BYTES))
        places = [start]
        for payload in payloads[:-1]:
            places.append(places[-1] + 16 + len(payload))
        for offset in range(FILE_HEADER_BYTES, file.size):
            expected = next((place for place in places if place >= offset), None)
            assert file.find(offset) == expected
            assert file.find(offset, expected) is None or expected is None


def test_marker_across_the_border_of_a_window_is_found(tmp_path):
    """
    A batch is found wherever its marker lies in one read.
    """
    path = tmp_path / "call.journal"
    for size in range((1 << 16) - 500, (1 << 16) - 100, 7):
        with JournalWriter(path, fsync="none") as writer:
            writer.write(FrameRecord(seq=1, data=bytes(size)))
            writer.flush()
            writer.write(FrameRecord(seq=2, data=b"y"))
            writer.flush()
            writer.close(end=False)
        segment = Segment.open(path)
        place = segment.locate(3, lambda batch: batch.first_seq)
        with segment.reading() as file:
            found = file.find(FILE_HEADER_BYTES + 400)
            assert place == found > size
            assert b"y" in file.batch_at(found)
        path.unlink()


def test_deleted_segment_has_no_size(path):
    """
    A file that was deleted meanwhile counts for nothing.
    """
    segment = Segment.open(path)
    assert segment.size == path.stat().st_size

    path.unlink()

    assert segment.size == 0


def test_short_reads_are_completed(path):
    """
    `read_at` gives the bytes that were asked for, or all there are.
    """
    data = path.read_bytes()
    with SegmentFile(path, b"") as file:
        assert file.read_at(0, 1 << 30) == data
        assert file.read_at(10, 5) == data[10:15]
        assert file.read_at(len(data), 5) == b""

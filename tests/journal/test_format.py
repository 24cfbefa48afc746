"""
Records lie in a file so that each can be recognised by itself, from anywhere.
"""

from __future__ import annotations

import struct
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.exceptions import (
    JournalDamaged,
    JournalEmpty,
    JournalTooNew,
    JournalTooOld,
    NotAJournal,
)
from eventbus.journal._format import (
    BATCH_HEADER_BYTES,
    FILE_HEADER_BYTES,
    MAGIC,
    MAX_PAYLOAD_BYTES,
    VERSION,
    bytes_needed,
    file_header,
    make_batch,
    make_marker,
    read_batch,
    read_file_header,
    split_batches,
)

MARKER = b"\x01marker\x02"


def batch(payload: bytes, offset: int, marker: bytes = MARKER) -> bytes:
    return make_batch(payload, marker, offset)


def test_headers_are_as_long_as_they_say():
    """
    A file begins with 64 bytes, a batch with 16.
    """
    assert len(file_header(MARKER, "eventbus 1.0")) == FILE_HEADER_BYTES == 64
    assert len(batch(b"", 0)) == BATCH_HEADER_BYTES == 16


def test_marker_is_read_back():
    """
    The file header has the marker that the segment's batches begin with.
    """
    assert read_file_header(file_header(MARKER, "eventbus 1.0"), "x") == MARKER


def test_markers_differ():
    """
    Two segments have different markers.
    """
    assert make_marker() != make_marker()


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(0, 1 << 40))
def test_records_are_split_as_they_were_joined(payloads, base):
    """
    Payloads come out as they went in, wherever in a file they are; behind 4 GiB, too.
    """
    data = b""
    for payload in payloads:
        data += make_batch(payload, MARKER, base + len(data))

    assert split_batches(data, base, MARKER) == (payloads, len(data))


@given(st.binary(max_size=30), st.integers(0, 1 << 34), st.integers(0, 1 << 34))
def test_copy_of_a_record_is_none(payload, offset, other):
    """
    The same bytes at another place in the file are no record.
    """
    copy = batch(payload, offset)

    found = read_batch(copy, 0, other, MARKER)

    assert found == (payload if (other - offset) % (1 << 32) == 0 else None)


def test_record_of_another_segment_is_none():
    """
    The marker of another journal's batches begins none here.
    """
    assert read_batch(batch(b"abc", 0, b"another1"), 0, 0, MARKER) is None


@given(st.binary(max_size=20), st.data())
def test_flipped_bit_is_noticed(payload, data):
    """
    No record with a single wrong bit passes.
    """
    whole = batch(payload, 64)
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8

    assert read_batch(bytes(damaged), 0, 64, MARKER) is None


@given(st.binary(max_size=20), st.data())
def test_part_of_a_record_is_none(payload, data):
    """
    A record that is cut short isn't given, and how much it takes is known from its head.
    """
    whole = batch(payload, 64)
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]

    assert read_batch(part, 0, 64, MARKER) is None
    assert split_batches(part, 64, MARKER) == ([], 0)
    assert bytes_needed(part, 0, MARKER) in (BATCH_HEADER_BYTES, len(whole))


def test_no_record_is_longer_than_records_can_be():
    """
    A length that no record has is not waited for.
    """
    head = batch(b"", 0)
    longest = head[:8] + MAX_PAYLOAD_BYTES.to_bytes(4, "little") + head[12:]
    too_long = head[:8] + (MAX_PAYLOAD_BYTES + 1).to_bytes(4, "little") + head[12:]

    assert bytes_needed(longest, 0, MARKER) == BATCH_HEADER_BYTES + MAX_PAYLOAD_BYTES
    assert bytes_needed(too_long, 0, MARKER) == 0


@pytest.mark.parametrize("size", range(FILE_HEADER_BYTES))
def test_beginning_of_a_file_header_is_an_empty_journal(size):
    """
    A file that ends before its file header does has nothing in it, and says so.
    """
    with pytest.raises(JournalEmpty, match=r"x\.journal is empty") as caught:
        read_file_header(file_header(MARKER, "eventbus 1.0")[:size], "x.journal")
    assert caught.value.path == "x.journal"


@given(st.binary(max_size=200).filter(lambda data: not MAGIC.startswith(data[: len(MAGIC)])))
def test_other_file_is_no_journal(data):
    """
    A file that begins with something else is told apart, however long it is.
    """
    with pytest.raises(NotAJournal, match="not a journal"):
        read_file_header(data, "x.png")


def test_journal_that_went_through_text_mode_is_none():
    """
    Line ends that were changed on the way show in the first bytes.
    """
    changed = file_header(MARKER, "eventbus 1.0").replace(b"\r\n", b"\n")

    with pytest.raises(NotAJournal):
        read_file_header(changed, "x.journal")


@pytest.mark.parametrize("version", [0, 1])
def test_version_that_the_rest_of_the_header_contradicts_is_damage(version):
    """
    A header of this version's layout and checksum has this version's number, or isn't to be read.
    """
    head = struct.pack("<8sHH8s40s", MAGIC, version, 0, MARKER, b"eventbus 1.0")
    head += struct.pack("<I", zlib.crc32(head))

    with pytest.raises(JournalDamaged, match="offset 0") as caught:
        read_file_header(head + batch(b"x", FILE_HEADER_BYTES), "x")

    assert (caught.value.offset, caught.value.marker) == (0, MARKER)


def test_newer_version_is_refused():
    """
    A journal of a later version names the program that wrote it, and the remedy.
    """
    newer = bytearray(file_header(MARKER, "eventbus 9.1"))
    newer[8] = VERSION + 1
    newer[60:] = zlib.crc32(newer[:60]).to_bytes(4, "little")

    with pytest.raises(JournalTooNew, match=r"by eventbus 9\.1.*upgrade eventbus") as caught:
        read_file_header(bytes(newer), "x.journal")
    assert (caught.value.version, caught.value.creator) == (VERSION + 1, "eventbus 9.1")


def old_journal(creator):
    """Return the beginning of a journal of version 1, which had a checksum for each record."""
    head = b"\x89EVJ\r\n\x1a\n" + struct.pack("<HH8s", 1, 0, MARKER)
    head += struct.pack("<I", zlib.crc32(head))
    payload = msgspec.msgpack.encode([0, 0, 5, 6, None, 0, "id", 1, 1, creator, True, True, []])
    return head + batch(payload, len(head))


@pytest.mark.parametrize(
    ("data", "creator"),
    [
        (old_journal("eventbus 0.1.0"), "eventbus 0.1.0"),
        (old_journal("eventbus 0.1.0")[:24], "an older eventbus"),
        (old_journal(5), "an older eventbus"),
        (old_journal("\x1b[31m"), "an older eventbus"),
        (old_journal("eventbus 0.1.0")[:-1], "an older eventbus"),
    ],
)
def test_older_version_is_refused(data, creator):
    """
    A journal of version 1 is one line that names the eventbus that wrote it, and the remedy.
    """
    with pytest.raises(JournalTooOld, match=f"was written by {creator}.*read it with") as caught:
        read_file_header(data, "x.journal")
    assert (caught.value.version, caught.value.creator) == (1, creator)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bit", range(8 * FILE_HEADER_BYTES))
def test_damaged_file_header_leaves_the_marker_to_be_found(bit):
    """
    Whichever bit of the file header is wrong, the first record still has the marker.
    """
    data = bytearray(file_header(MARKER, "eventbus 1.0") + batch(b"first", FILE_HEADER_BYTES))
    data[bit // 8] ^= 1 << bit % 8

    with pytest.raises(JournalDamaged, match="offset 0") as caught:
        read_file_header(bytes(data), "x.journal")
    assert (caught.value.offset, caught.value.resume_at) == (0, FILE_HEADER_BYTES)
    assert caught.value.marker == MARKER

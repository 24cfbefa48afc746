"""
How records lie in a file; pure functions over bytes.

::

    segment   = file header, record, record, ...
    file header (24 bytes)  magic 8 | version u16 | 0 u16 | marker 8 | CRC-32 of these u32
    record (16 bytes and the payload)  marker 8 | length u32 | checksum u32 | payload

Numbers are little-endian. The marker is drawn at random for each segment. A record's checksum is
the CRC-32 of its payload, XORed with the low 32 bits of the offset in the file at which it ends.

Theory of operation
-------------------

A record can be recognised from anywhere in the file: look for the next marker, and see whether
the checksum fits. That alone would take the copy of a record for a record, where a payload carries
another journal, or stale bytes of a deleted one show up. But no other segment has the marker, and
a copy doesn't end where its checksum says.

Two things follow. After damage, reading goes on with the next record that there is, and never
with a wrong one. And since records are in order, a place is found by bisection of the file: no
index has to be written, kept in step, or rebuilt after a crash.

The end is where a crash leaves its mark: a record that is cut short, or was never filled, with
no record after it, is a torn tail. The same before another record is damage.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from struct import Struct
from typing import Final, NoReturn, cast
from zlib import crc32

from ..exceptions import JournalDamaged, JournalEmpty, JournalTooNew, NotAJournal

__all__ = [
    "FILE_HEADER_BYTES",
    "MAGIC",
    "MAX_PAYLOAD_BYTES",
    "RECORD_HEADER_BYTES",
    "VERSION",
    "bytes_needed",
    "file_header",
    "join_records",
    "make_marker",
    "read_file_header",
    "read_record",
    "split_records",
]

MAGIC: Final = b"\x89EVJ\r\n\x1a\n"
"""Like PNG's: shows what it is, and whether it was taken for text on its way."""

VERSION: Final = 1
"""The version of the format that is written, and the newest that can be read."""

MAX_PAYLOAD_BYTES: Final = 1 << 26
"""No payload is longer: what says it is, is damaged."""

_FILE_HEADER: Final = Struct("<8sHH8s")
_U32: Final = Struct("<I")
_RECORD_HEADER: Final = Struct("<8sII")
_LOW_32: Final = 0xFFFFFFFF

FILE_HEADER_BYTES: Final = _FILE_HEADER.size + 4
RECORD_HEADER_BYTES: Final = _RECORD_HEADER.size


def make_marker() -> bytes:
    """Return a new marker."""
    return secrets.token_bytes(8)


def file_header(marker: bytes) -> bytes:
    """Return the beginning of a segment."""
    head = _FILE_HEADER.pack(MAGIC, VERSION, 0, marker)
    return head + _U32.pack(crc32(head))


def join_records(payloads: Iterable[bytes], marker: bytes, offset: int) -> bytes:
    """Return the records that have *payloads*, to be written at *offset*, one after the other."""
    pack, checksum_of = _RECORD_HEADER.pack, crc32
    parts: list[bytes] = []
    for payload in payloads:
        length = len(payload)
        offset += RECORD_HEADER_BYTES + length
        parts.append(pack(marker, length, checksum_of(payload) ^ (offset & _LOW_32)))
        parts.append(payload)
    return b"".join(parts)


def read_file_header(head: bytes, path: str) -> bytes:
    """
    Return the marker of the segment that begins with *head*.

    Args:
        head: The first bytes of the file: all of it, or enough for the first record.
        path: The file, for the message of an error.

    Raises:
        JournalEmpty: There is nothing in it, or no more than a part of the file header.
        NotAJournal: It is something else.
        JournalTooNew: A newer version of eventbus has written it.
        JournalDamaged: The file header is damaged; if ``marker`` isn't None, that is the marker,
            which the first record has as well.
    """
    if len(head) < FILE_HEADER_BYTES and MAGIC.startswith(head[: len(MAGIC)]):
        msg = (
            f"{path} is empty: whoever began it wrote no more than {len(head)} bytes. "
            f"There is nothing to read; it can be deleted."
        )
        raise JournalEmpty(msg, path=path)
    magic, version, _, marker = _FILE_HEADER.unpack_from(head.ljust(FILE_HEADER_BYTES, b"\0"))
    (checksum,) = _U32.unpack_from(head.ljust(FILE_HEADER_BYTES, b"\0"), _FILE_HEADER.size)
    if checksum != crc32(head[: _FILE_HEADER.size]):
        _raise_unreadable(head, path)
    if magic != MAGIC:
        raise _not_a_journal(path)
    if version > VERSION:
        msg = (
            f"{path} has version {version} of the journal format, and this eventbus reads up to "
            f"{VERSION}; upgrade eventbus."
        )
        raise JournalTooNew(msg, path=path, version=version)
    return cast("bytes", marker)


def _raise_unreadable(head: bytes, path: str) -> NoReturn:
    """Tell a journal whose file header is damaged from a file that is none."""
    marker = head[FILE_HEADER_BYTES : FILE_HEADER_BYTES + 8]
    has_record = read_record(head, FILE_HEADER_BYTES, 0, marker) is not None
    if not has_record and not head.startswith(MAGIC):
        raise _not_a_journal(path)
    msg = f"{path} is damaged at offset 0: the file header, {FILE_HEADER_BYTES} bytes."
    raise JournalDamaged(
        msg,
        path=path,
        offset=0,
        resume_at=FILE_HEADER_BYTES if has_record else None,
        marker=marker if has_record else None,
    )


def _not_a_journal(path: str) -> NotAJournal:
    msg = f"{path} is no journal: it doesn't begin like one. Name the file that a Recorder wrote."
    return NotAJournal(msg, path=path)


def read_record(data: bytes, place: int, base: int, marker: bytes) -> bytes | None:
    """
    Return the payload of the record at *place* in *data*, if a whole record is there.

    Args:
        data: A part of the segment.
        place: Where in it to look.
        base: The offset of the part in the segment.
        marker: The segment's.
    """
    start = place + RECORD_HEADER_BYTES
    if start > len(data):
        return None
    found, length, checksum = _RECORD_HEADER.unpack_from(data, place)
    if found != marker or length > len(data) - start:
        return None
    payload = data[start : start + length]
    end = base + start + length
    return payload if crc32(payload) ^ (end & _LOW_32) == checksum else None


def split_records(data: bytes, base: int, marker: bytes) -> tuple[list[bytes], int]:
    """
    Return the payloads of whole records, one right after the other, and where the last one ends.

    Args:
        data: A part of the segment, from the beginning of a record on.
        base: The offset of the part in the segment.
        marker: The segment's.
    """
    # As read_record, with everything at hand: this is what reading a journal spends its time on.
    unpack, checksum_of, size = _RECORD_HEADER.unpack_from, crc32, len(data)
    payloads: list[bytes] = []
    place = 0
    while (start := place + RECORD_HEADER_BYTES) <= size:
        found, length, checksum = unpack(data, place)
        end = start + length
        if found != marker or end > size:
            break
        payload = data[start:end]
        if checksum_of(payload) ^ ((base + end) & _LOW_32) != checksum:
            break
        payloads.append(payload)
        place = end
    return payloads, place


def bytes_needed(data: bytes, place: int, marker: bytes) -> int:
    """
    Return how many bytes from *place* on it takes to read the record that begins there.

    It is 0 if none does: there is no marker, or a length that no record has.
    """
    head = data[place : place + RECORD_HEADER_BYTES]
    if len(head) < RECORD_HEADER_BYTES:
        return RECORD_HEADER_BYTES if marker.startswith(head[: len(marker)]) else 0
    found, length, _ = _RECORD_HEADER.unpack(head)
    return RECORD_HEADER_BYTES + length if found == marker and length <= MAX_PAYLOAD_BYTES else 0

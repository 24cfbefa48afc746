"""
The layout of a journal's files: a file header, then batches; pure functions over bytes.

::

    segment   = file header, batch, batch, ...
    file header (64 bytes)  magic 8 | version u16 | 0 u16 | marker 8 | creator 40 | CRC-32 u32
    batch (16 bytes and the payload)  marker 8 | length u32 | checksum u32 | payload

Numbers are little-endian. The marker is drawn at random for each segment. A batch's checksum is
the CRC-32 of its payload, XORed with the low 32 bits of the offset in the file at which it ends.
The records in a payload are described in `eventbus.journal._batches`.

Theory of operation
-------------------

A batch can be recognised from anywhere in the file: look for the next marker, and check the
checksum. Neither the copy of a batch within a payload nor stale bytes of a deleted file pass: no
other segment has the marker, and a copy doesn't end where its checksum says.

Two things follow. After damage, reading goes on with the next whole batch, and never with a wrong
one. And since batches are in order, a place is found by bisection of the file: no index has to be
written, kept in step, or rebuilt after a crash.

A crash leaves its mark at the end: a batch that is cut short, or was never filled, with no batch
after it, is a torn tail. The same before another batch is damage.
"""

from __future__ import annotations

import secrets
from struct import Struct
from typing import Any, Final, NoReturn, cast
from zlib import crc32

import msgspec

from ..exceptions import (
    JournalDamaged,
    JournalEmpty,
    JournalTooNew,
    JournalTooOld,
    NotAJournal,
)

MAGIC: Final = b"\x89EVJ\r\n\x1a\n"
"""Like PNG's: shows the kind of file, and whether it was taken for text on its way."""

VERSION: Final = 2
"""The version of the format that is written, and the only one that is read."""

MAX_PAYLOAD_BYTES: Final = 1 << 26
"""The longest payload; a greater length is damage."""

_FILE_HEADER: Final = Struct("<8sHH8s40s")
_OLD_FILE_HEADER: Final = Struct("<8sHH8s")  # of version 1, which had no creator there
_U32: Final = Struct("<I")
_BATCH_HEADER: Final = Struct("<8sII")
_LOW_32: Final = 0xFFFFFFFF

FILE_HEADER_BYTES: Final = _FILE_HEADER.size + 4
BATCH_HEADER_BYTES: Final = _BATCH_HEADER.size
CREATOR_BYTES: Final = 40


def make_marker() -> bytes:
    """Return a new marker."""
    return secrets.token_bytes(8)


def file_header(marker: bytes, creator: str) -> bytes:
    """Return the beginning of a segment."""
    name = creator.encode("ascii", "replace")[:CREATOR_BYTES]
    head = _FILE_HEADER.pack(MAGIC, VERSION, 0, marker, name)
    return head + _U32.pack(crc32(head))


def make_batch(payload: bytes, marker: bytes, offset: int) -> bytes:
    """Return the batch with *payload*, to be written at *offset*."""
    length = len(payload)
    end = offset + BATCH_HEADER_BYTES + length
    return _BATCH_HEADER.pack(marker, length, crc32(payload) ^ (end & _LOW_32)) + payload


def read_file_header(head: bytes, path: str) -> bytes:
    """
    Return the marker of the segment that begins with *head*.

    Args:
        head: The first bytes of the file: all of it, or enough for the first batch.
        path: The file, for the message of an error.

    Raises:
        JournalEmpty: The file is empty, or has no more than a part of the file header.
        NotAJournal: The file is something else.
        JournalTooNew, JournalTooOld: Another version of eventbus has written it.
        JournalDamaged: The file header is damaged; if ``marker`` isn't None, that is the marker,
            taken from the first batch.
    """
    if len(head) >= _OLD_FILE_HEADER.size + 4 and head.startswith(MAGIC):
        _refuse_other_versions(head, path)
    if len(head) < FILE_HEADER_BYTES and MAGIC.startswith(head[: len(MAGIC)]):
        msg = (
            f"{path} is empty: its recorder wrote no more than {len(head)} bytes. There is "
            f"nothing to read; it can be deleted."
        )
        raise JournalEmpty(msg, path=path)
    magic, version, _, marker, _ = _FILE_HEADER.unpack_from(head.ljust(FILE_HEADER_BYTES, b"\0"))
    (checksum,) = _U32.unpack_from(head.ljust(FILE_HEADER_BYTES, b"\0"), _FILE_HEADER.size)
    # The checksum covers the version: no recorder has written another one in this layout.
    if checksum != crc32(head[: _FILE_HEADER.size]) or (magic == MAGIC and version != VERSION):
        _raise_unreadable(head, path)
    if magic != MAGIC:
        raise _not_a_journal(path)
    return cast("bytes", marker)


def _refuse_other_versions(head: bytes, path: str) -> None:
    """
    Raise the error of a file that another version of eventbus has written.

    The version and the creator keep their places in all versions after the first.
    """
    _, version, _, marker = _OLD_FILE_HEADER.unpack_from(head)
    if version == 1 and _has_checksum(head, _OLD_FILE_HEADER.size):
        creator = _creator_of_old(head, marker)
        msg = (
            f"{path} was written by {creator}, in version 1 of the journal format, which this "
            f"eventbus doesn't read; read it with {creator}, or record the call again."
        )
        raise JournalTooOld(msg, path=path, version=version, creator=creator)
    if version > VERSION and len(head) >= FILE_HEADER_BYTES:
        if not _has_checksum(head, _FILE_HEADER.size):
            return
        name = _FILE_HEADER.unpack_from(head)[4].rstrip(b"\0").decode("ascii", "replace")
        creator = name if name.isprintable() and name else "a newer eventbus"
        msg = (
            f"{path} was written by {creator}, in version {version} of the journal format, and "
            f"this eventbus reads version {VERSION}; upgrade eventbus."
        )
        raise JournalTooNew(msg, path=path, version=version, creator=creator)


def _has_checksum(head: bytes, size: int) -> bool:
    (checksum,) = _U32.unpack_from(head, size)
    return bool(checksum == crc32(head[:size]))


def _creator_of_old(head: bytes, marker: bytes) -> str:
    """Return the program that the first record of a journal of version 1 names."""
    payload = read_batch(head, _OLD_FILE_HEADER.size + 4, 0, marker)
    try:
        fields: Any = None if payload is None else msgspec.msgpack.decode(payload)
        creator = fields[9]
    except (ValueError, TypeError, IndexError, KeyError):
        return "an older eventbus"
    is_name = isinstance(creator, str) and creator.isprintable() and len(creator) <= CREATOR_BYTES
    return creator if is_name else "an older eventbus"


def _raise_unreadable(head: bytes, path: str) -> NoReturn:
    """Tell a journal whose file header is damaged from another kind of file."""
    marker = head[FILE_HEADER_BYTES : FILE_HEADER_BYTES + 8]
    has_batch = read_batch(head, FILE_HEADER_BYTES, 0, marker) is not None
    if not has_batch and not head.startswith(MAGIC):
        raise _not_a_journal(path)
    msg = f"{path} is damaged at offset 0: the file header, {FILE_HEADER_BYTES} bytes."
    raise JournalDamaged(
        msg,
        path=path,
        offset=0,
        resume_at=FILE_HEADER_BYTES if has_batch else None,
        marker=marker if has_batch else None,
    )


def _not_a_journal(path: str) -> NotAJournal:
    msg = f"{path} is not a journal: it doesn't begin like one. Name a file that a Recorder wrote."
    return NotAJournal(msg, path=path)


def read_batch(data: bytes, place: int, base: int, marker: bytes) -> bytes | None:
    """
    Return the payload of the batch at *place* in *data*, if a whole batch is there.

    Args:
        data: A part of the segment.
        place: The place in it.
        base: The offset of the part in the segment.
        marker: The segment's.
    """
    start = place + BATCH_HEADER_BYTES
    if start > len(data):
        return None
    found, length, checksum = _BATCH_HEADER.unpack_from(data, place)
    if found != marker or length > len(data) - start:
        return None
    payload = data[start : start + length]
    end = base + start + length
    return payload if crc32(payload) ^ (end & _LOW_32) == checksum else None


def split_batches(data: bytes, base: int, marker: bytes) -> tuple[list[bytes], int]:
    """
    Return the payloads of whole batches, one right after the other, and the end of the last one.

    Args:
        data: A part of the segment, from the beginning of a batch on.
        base: The offset of the part in the segment.
        marker: The segment's.
    """
    payloads: list[bytes] = []
    place = 0
    while (payload := read_batch(data, place, base, marker)) is not None:
        payloads.append(payload)
        place += BATCH_HEADER_BYTES + len(payload)
    return payloads, place


def bytes_needed(data: bytes, place: int, marker: bytes) -> int:
    """
    Return how many bytes from *place* on it takes to read the batch that begins there.

    It is 0 if none does: there is no marker, or a length that no batch has.
    """
    head = data[place : place + BATCH_HEADER_BYTES]
    if len(head) < BATCH_HEADER_BYTES:
        return BATCH_HEADER_BYTES if marker.startswith(head[: len(marker)]) else 0
    found, length, _ = _BATCH_HEADER.unpack(head)
    return BATCH_HEADER_BYTES + length if found == marker and length <= MAX_PAYLOAD_BYTES else 0

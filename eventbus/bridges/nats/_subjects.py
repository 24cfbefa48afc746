"""
Subjects: the partition, call and type of an event as tokens that no id can break.

Rules
-----

* An event's subject is ``PREFIX.<partition>.<call>.<type>``: four tokens, whatever the call's id.
* A token has letters, digits, ``-`` and ``_``; any other byte of the UTF-8 text is ``%XX``. So an
  id can have no dot, wildcard, space or line break of the protocol.
* ``%`` alone is the token of events without a call, ``%%`` that of an empty text.
* A text whose token would be longer than 120 characters is cut, and ends in ``%`` and a digest.
  Messages carry the call's id in a header too, so nothing depends on the cut.
* The partition is CRC-32 of the call's id in UTF-8, modulo the number of partitions: the same in
  each process, version and language.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import Final
from urllib.parse import unquote

NO_CALL: Final = "%"
EMPTY: Final = "%%"

_MAX_TOKEN: Final = 120
_DIGEST: Final = 32

_unsafe: Final = re.compile(rb"[^A-Za-z0-9_-]")
_unsafe_in_header: Final = re.compile(rb"[^!-$&-~]")  # printable ASCII but % itself


def token(text: str | None) -> str:
    """Return *text* as one token of a subject; None is an event without a call."""
    if text is None:
        return NO_CALL
    if not text:
        return EMPTY
    if text.isalnum() and text.isascii() and len(text) <= _MAX_TOKEN:
        return text
    data = text.encode(errors="surrogatepass")
    encoded = _escape(_unsafe, data)
    if len(encoded) <= _MAX_TOKEN:
        return encoded
    digest = hashlib.sha256(data).hexdigest()[:_DIGEST]
    head = encoded[: _MAX_TOKEN - _DIGEST - 1]
    return f"{head.rstrip('%')}%{digest}"


def text_of(encoded: str) -> str | None:
    """Return the text of a token; of one that was cut, the token."""
    if encoded == NO_CALL:
        return None
    if encoded == EMPTY:
        return ""
    return unquote(encoded, errors="replace")


def header_text(text: str) -> str:
    """Return *text* as the value of a header: printable ASCII without spaces."""
    return _escape(_unsafe_in_header, text.encode(errors="surrogatepass"))


def text_of_header(value: str) -> str:
    """Return the text that `header_text` encoded."""
    return unquote(value, errors="surrogatepass") if "%" in value else value


def partition_of(call: str | None, partitions: int) -> int:
    """Return the partition of a call."""
    return zlib.crc32((call or "").encode(errors="surrogatepass")) % partitions


def _escape(unsafe: re.Pattern[bytes], data: bytes) -> str:
    return unsafe.sub(lambda match: b"%%%02X" % match[0][0], data).decode("ascii")


class Subjects:
    """
    The subjects of one bridge.

    Args:
        stream: The stream's name.
        prefix: The first token of its subjects.
        partitions: How many partitions calls are spread over.
    """

    def __init__(self, stream: str, prefix: str, partitions: int) -> None:
        self.stream = stream
        self.prefix = prefix
        self.partitions = partitions
        self.bucket = f"{stream}_bridge"
        self.dead_stream = f"{stream}_dead"

    @property
    def events(self) -> str:
        """The subjects of all events."""
        return f"{self.prefix}.*.*.*"

    @property
    def dead(self) -> str:
        """The subjects of all dead letters."""
        return f"{self.prefix}_dead.>"

    def of_call(self, call: str | None) -> str:
        """Return the subject of a call's events without their type: ``calls.7.call-42``."""
        return f"{self.prefix}.{partition_of(call, self.partitions)}.{token(call)}"

    def of_partition(self, partition: int) -> str:
        """Return the subjects of a partition's events."""
        return f"{self.prefix}.{partition}.*.*"

    def dead_letter(self, group: str, subject: str) -> str:
        """Return the subject of a dead letter: that of the event, within its group."""
        return f"{self.prefix}_dead.{token(group)}.{subject.partition('.')[2]}"

    def command(self, call: str) -> str:
        """Return the subject of a call's commands."""
        return f"{self.prefix}_commands.{token(call)}"

    def tool(self, name: str) -> str:
        """Return the subject of a tool's calls."""
        return f"{self.prefix}_tools.{token(name)}"

    def tool_cancelled(self, name: str) -> str:
        """Return the subject of cancellations of a tool's calls."""
        return f"{self.prefix}_tools_cancelled.{token(name)}"

    def key(self, *parts: str) -> str:
        """Return the subject of a key in the bucket."""
        return ".".join((f"$KV.{self.bucket}", *parts))

"""
Reads files of frames: one JSON object a line.

Rules
-----

* A line is a frame as the service sent it, and goes to the decoder as it is, unparsed.
* Or it is an envelope: an object without a ``type``, whose ``frame`` is the frame. It may say
  when that came, ``"t"`` (seconds, from any origin), and which way it went, ``"direction"``
  (``received`` or ``sent``). What the client has sent is passed over, unless it is asked for.
* Blank lines are passed over; a byte order mark at the beginning, too.
* What can't be an envelope is for the decoder to judge. `BadLine` is for what is nobody's frame.
* A line is kept in memory up to `MAX_LINE` bytes, whatever the file is.

No line is quoted in a message: it may be what a caller said.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Final, Protocol, TypeAlias

import anyio
import attrs
import msgspec

MAX_LINE: Final = 64 * 1024 * 1024
"""The longest line that is read, in bytes; the rest of a longer one is thrown away."""

_CHUNK: Final = 256 * 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@attrs.frozen
class FrameLine:
    """
    A frame of the file.

    Attributes:
        number: The line, from 1.
        frame: The frame, as it came.
        seconds: When it came, if the file says so; from any origin.
        is_sent: Whether the client has sent it.
    """

    number: int
    frame: bytes = attrs.field(repr=lambda frame: f"<{len(frame)} bytes>")
    seconds: float | None = None
    is_sent: bool = False


@attrs.frozen
class BadLine:
    """
    A line that is no frame.

    Attributes:
        number: The line, from 1.
        reason: What is wrong with it, for people; quotes nothing of it.
    """

    number: int
    reason: str


_Lines: TypeAlias = AsyncGenerator[FrameLine | BadLine, None]


class LineSplitter:
    """Makes lines of chunks that end anywhere; in linear time, however long a line is."""

    def __init__(self, max_bytes: int = MAX_LINE) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes | None]:
        """Yield the lines that end in *chunk*; None for one that was too long to keep."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._keep(end)
            yield self._take()
        self._keep(rest)

    def end(self) -> Iterator[bytes | None]:
        """Yield the last line, if the file doesn't end with a line feed."""
        if self._size:
            yield self._take()

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._max_bytes:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _take(self) -> bytes | None:
        line = b"".join(self._parts) if self._size <= self._max_bytes else None
        self._parts.clear()
        self._size = 0
        return line


class _Envelope(msgspec.Struct):
    """What a line may be instead of a frame; everything in it is checked by `parse_line`."""

    type: Any = msgspec.UNSET
    frame: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    direction: Any = None
    t: Any = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def parse_line(number: int, line: bytes, *, with_sent: bool = False) -> FrameLine | BadLine | None:
    """
    Return what is in a line, or None if it has nothing to replay.

    Args:
        number: The line, from 1.
        line: The line, without its line feed.
        with_sent: Return what the client has sent, too.
    """
    if number == 1:
        line = line.removeprefix(_BYTE_ORDER_MARK)
    line = line.strip()
    if not line:
        return None
    if b'"frame"' not in line:  # quicker than parsing what the decoder parses again
        return FrameLine(number, line)
    try:
        envelope = _decode_envelope(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return FrameLine(number, line)
    if envelope.frame is msgspec.UNSET or envelope.type is not msgspec.UNSET:
        return FrameLine(number, line)
    is_sent = envelope.direction == "sent"
    if is_sent and not with_sent:
        return None
    if envelope.direction not in (None, "received", "sent"):
        return BadLine(number, "The envelope's direction must be 'received' or 'sent'.")
    seconds = envelope.t
    if seconds is not None and not (
        type(seconds) in (int, float) and math.isfinite(seconds)  # bool is an int, and no time
    ):
        return BadLine(number, "The envelope's t must be a number of seconds.")
    return FrameLine(number, bytes(envelope.frame), seconds, is_sent)


class _Readable(Protocol):
    """The part of a binary file that is needed here; `io.BytesIO` has it as well."""

    def read1(self, size: int, /) -> bytes: ...

    def fileno(self) -> int: ...


class FrameFile:
    """
    A file of frames that is being read.

    Args:
        file: Open for binary reading: a file, a pipe, a terminal.
        name: What messages call it.

    Attributes:
        name: What messages call it.
        size: Its length in bytes, if it is a regular file.
        bytes_read: How much of it has been read.
    """

    def __init__(self, file: _Readable, name: str) -> None:
        self._file = file
        self.name = name
        self.bytes_read = 0
        try:
            status = os.fstat(file.fileno())
        except OSError:  # no file of the system's
            self.size, self._may_block = None, False
        else:
            is_regular = stat.S_ISREG(status.st_mode)
            self.size = status.st_size if is_regular else None
            # Elsewhere only sockets can be waited for; there, handlers wait for the input.
            self._may_block = not is_regular and sys.platform != "win32"

    async def lines(
        self, before_wait: Callable[[], object] = lambda: None, *, with_sent: bool = False
    ) -> _Lines:
        """
        Yield what is in the file, line by line, as soon as it is there.

        Args:
            before_wait: Called before each look for more, which may take time.
            with_sent: Yield what the client has sent, too.
        """
        splitter, number = LineSplitter(), 0
        is_open = True
        while is_open:
            before_wait()
            try:
                chunk = await self._read()
            except OSError as exc:
                yield BadLine(number + 1, f"The file can't be read any further: {exc.strerror}.")
                return
            is_open = bool(chunk)
            for line in splitter.feed(chunk) if is_open else splitter.end():
                number += 1
                if line is None:
                    yield BadLine(number, f"The line is longer than {MAX_LINE} bytes.")
                    continue
                parsed = parse_line(number, line, with_sent=with_sent)
                if parsed is not None:
                    yield parsed

    async def _read(self) -> bytes:
        """Return what there is, and let the event loop run until there is something."""
        if self._may_block:
            try:
                await anyio.wait_readable(self._file.fileno())
            except OSError:  # /dev/null can't be waited for, and needn't be
                self._may_block = False
        chunk = self._file.read1(_CHUNK)
        self.bytes_read += len(chunk)
        return chunk

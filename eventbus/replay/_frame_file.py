"""
Files of frames: one JSON object a line.

Rules
-----

* A line is a frame as the service sent it, and goes to the decoder as it is, unparsed.
* Or it is an envelope: an object without a ``type`` that has the frame in ``frame``. It may have
  the time, ``"t"`` (seconds, from any origin), and the ``"direction"`` (``received`` or ``sent``).
  The client's messages are skipped, unless they are asked for.
* Blank lines are skipped, and so is a byte order mark at the beginning.
* A line that can't be an envelope goes to the decoder, which reports it. `BadLine` is for lines
  that can't be anybody's frame.
* A line is kept in memory up to `MAX_LINE` bytes, even if the file is a device.

No line is quoted in a message: it may be a transcript.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Final, TypeAlias

import anyio
import attrs
import msgspec

MAX_LINE: Final = 64 * 1024 * 1024
"""The longest line that is read, in bytes; a longer one is skipped."""

# From 1970 to 2106; the difference of any two of them in ns, added to the time of day, has 64 bits.
_MAX_SECONDS: Final = 1 << 32
_CHUNK: Final = 256 * 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@attrs.frozen
class FrameLine:
    """
    A line of a file of frames.

    Attributes:
        number: The line's number, from 1.
        frame: The frame's bytes.
        seconds: The time in its envelope, from any origin; None without one.
        is_sent: Whether it is a message of the client's, not a frame of the service's.
    """

    number: int
    frame: bytes = attrs.field(repr=lambda frame: f"<{len(frame)} bytes>")
    seconds: float | None = None
    is_sent: bool = False


@attrs.frozen
class BadLine:
    """
    A line that is not a frame, or one that the decoder can't read.

    Attributes:
        number: The line's number, from 1.
        reason: The problem as a sentence, which quotes nothing of the line.
    """

    number: int
    reason: str


_Lines: TypeAlias = AsyncGenerator[FrameLine | BadLine, None]


class LineSplitter:
    """Splits chunks that end anywhere into lines, in time linear in their length."""

    def __init__(self, max_bytes: int = MAX_LINE) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes | None]:
        """Yield the lines that end in *chunk*; None for a line that is too long."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._keep(end)
            yield self._take()
        self._keep(rest)

    def end(self) -> Iterator[bytes | None]:
        """Yield the last line, if the file ends without a line feed."""
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
    """An envelope; `parse_line` checks its fields."""

    type: Any = msgspec.UNSET
    frame: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    direction: Any = None
    t: Any = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def parse_line(number: int, line: bytes, *, with_sent: bool = False) -> FrameLine | BadLine | None:
    """
    Parse a line; return None if there is nothing to replay in it.

    Args:
        number: The line's number, from 1.
        line: The line, without its line feed.
        with_sent: Whether to return the client's messages.
    """
    if number == 1:
        line = line.removeprefix(_BYTE_ORDER_MARK)
    line = line.strip()
    if not line:
        return None
    if b'"frame"' not in line:  # faster than parsing, which the decoder does again
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
        type(seconds) in (int, float) and abs(seconds) <= _MAX_SECONDS  # bool is an int
    ):
        return BadLine(number, "The envelope's t must be a number of seconds, below 2**32.")
    return FrameLine(number, bytes(envelope.frame), seconds, is_sent)


class FrameFile:
    """
    An open file of frames.

    Args:
        file: A file, pipe or terminal, open for binary reading.
        name: Its name in messages.

    Attributes:
        name: Its name in messages.
        size: Its length in bytes, if it is a regular file.
        bytes_read: Number of bytes that were read so far.
    """

    def __init__(self, file: io.BufferedIOBase, name: str) -> None:
        self._file = file
        self.name = name
        self.bytes_read = 0
        try:
            status = os.fstat(file.fileno())
        except OSError:  # not a file of the system's
            self.size, self._may_block = None, False
        else:
            is_regular = stat.S_ISREG(status.st_mode)
            self.size = status.st_size if is_regular else None
            # On Windows only sockets can be waited for; there, handlers wait for the input.
            self._may_block = not is_regular and sys.platform != "win32"

    async def lines(
        self, before_wait: Callable[[], object] = lambda: None, *, with_sent: bool = False
    ) -> _Lines:
        """
        Yield the file's lines, each as soon as it is there.

        Args:
            before_wait: Called before each read, which may take time.
            with_sent: Whether to yield the client's messages.
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
        """Wait for input, and return it; the event loop runs meanwhile."""
        if self._may_block:
            try:
                await anyio.wait_readable(self._file.fileno())
            except OSError:  # /dev/null can't be waited for
                self._may_block = False
        chunk = self._file.read1(_CHUNK)
        self.bytes_read += len(chunk)
        return chunk

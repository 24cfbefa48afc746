"""
A file of the frames of all clients, for clients in other languages.
"""

from __future__ import annotations

import io
import logging
import os
import time
from pathlib import Path

import msgspec

_log = logging.getLogger(__name__)


class FrameLog:
    """
    Writes frames to a file, one JSON object a line.

    ``{"t": 1.5, "direction": "sent", "connection": 1, "frame": {…}}`` is a frame of the client;
    ``received`` is one that it got. The time is in seconds since the epoch. A frame that isn't JSON
    is a string. Files of frames are such envelopes, so `eventbus.replay` reads it.

    Args:
        path: The file; it is replaced, unless it is a device or a pipe.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: io.FileIO | None = None

    def open(self) -> None:
        """
        Begin a new file, which only its owner can read: it may hold voices.

        Raises:
            OSError: It can't be written; the path is the error's ``filename``.
        """
        flags = os.O_WRONLY
        if self._path.is_file() or not self._path.exists():
            self._path.unlink(missing_ok=True)
            flags |= os.O_CREAT | os.O_EXCL
        self._file = io.FileIO(os.open(self._path, flags, 0o600), "w")

    def close(self) -> None:
        """Close the file; doing it again does no harm."""
        if self._file is not None:
            self._file.close()

    def write(self, connection: int, direction: str, frame: str | bytes) -> None:
        """
        Append a frame; *direction* is the client's.

        If it can't be written, the log ends with an error in the program's own, and the
        conversation goes on.
        """
        if self._file is None or self._file.closed:
            return
        try:
            data: object = msgspec.Raw(frame.encode() if isinstance(frame, str) else frame)
            msgspec.json.decode(frame)
        except (ValueError, RecursionError):
            data = frame if isinstance(frame, str) else frame.decode(errors="replace")
        line = {
            "t": round(time.time(), 6),
            "direction": direction,
            "connection": connection,
            "frame": data,
        }
        try:
            self._file.write(msgspec.json.encode(line) + b"\n")
        except OSError as exc:
            self._file.close()
            reason = str(exc.strerror or exc)
            _log.error("The frames can't be written any more.", extra={"reason": reason})

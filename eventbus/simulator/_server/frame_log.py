"""
A file of the frames of all clients, for clients in other languages.
"""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import msgspec

from ...exceptions import RealtimeConnectionError


class FrameLog:
    """
    Writes frames to a file, one JSON object a line.

    ``{"t": 1.5, "direction": "sent", "connection": 1, "frame": {…}}`` is a frame of the client;
    ``received`` is one that it got. The time is in seconds since the epoch. A frame that isn't JSON
    is a string. Files of frames are such envelopes, so `eventbus.replay` reads it.

    Args:
        path: The file; it is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: io.FileIO | None = None

    def open(self) -> None:
        """
        Begin a new file, which only its owner can read: it may hold voices.

        Raises:
            RealtimeConnectionError: It can't be written.
        """
        try:
            self._path.unlink(missing_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as exc:
            reason = str(exc.strerror or exc)
            msg = f"The log {self._path} can't be written: {reason}. Give another file."
            raise RealtimeConnectionError(msg, reason=reason) from exc
        self._file = io.FileIO(descriptor, "w")

    def close(self) -> None:
        """Close the file; doing it again does no harm."""
        if self._file is not None:
            self._file.close()

    def write(self, connection: int, direction: str, frame: str | bytes) -> None:
        """Append a frame; *direction* is the client's."""
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
        self._file.write(msgspec.json.encode(line) + b"\n")

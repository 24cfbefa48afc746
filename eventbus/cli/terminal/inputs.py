"""
Files of frames that commands read; one that can't be opened is one line, and exit code 3.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...replay._frame_file import FrameFile
from ...replay._player import is_journal
from .exits import unreadable

__all__ = ["is_stdin", "opened_frames", "seems_journal"]


def is_stdin(file: Path) -> bool:
    """Return True if *file* stands for the standard input."""
    return str(file) == "-"


@contextlib.contextmanager
def opened_frames(file: Path) -> Iterator[FrameFile]:
    """
    Open a file of frames, while this is entered.

    Raises:
        BadInput: It can't be read.
    """
    if is_stdin(file):
        stdin: Any = sys.stdin.buffer  # its declared type doesn't tell of read1
        yield FrameFile(stdin, "stdin")
        return
    try:
        opened = file.open("rb")
    except OSError as exc:
        raise unreadable(file, exc) from exc
    with opened:
        yield FrameFile(opened, str(file))


def seems_journal(file: Path) -> bool:
    """
    Return True if *file* is a journal, not a file of frames.

    Raises:
        BadInput: It can't be read.
    """
    try:
        # No look into a pipe: its first byte may take its time, and a journal can't come through.
        is_pipe = file.exists() and not file.is_file() and not file.is_dir()
        return not is_stdin(file) and not is_pipe and is_journal(file)
    except OSError as exc:
        raise unreadable(file, exc) from exc

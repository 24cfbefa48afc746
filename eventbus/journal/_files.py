"""
The files of a journal that is written: made new, written whole, locked, and made durable.

A segment that can't be made durable is written again beside it, made durable, and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
from pathlib import Path
from typing import Final

from ..exceptions import JournalWriteError
from ._segments import segment_paths

try:
    import fcntl
except ImportError:  # not a POSIX system: there, nothing tells that a journal is being written
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

_READ_BYTES: Final = 1 << 20
_NEW: Final = (
    os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND
    | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
)  # fmt: skip
# What a folder says that can't be synced, as on CIFS and FUSE, or that can't be opened for it.
_UNSUPPORTED: Final = frozenset(
    {errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES,
     errno.EPERM, errno.EISDIR}
)  # fmt: skip


def write_all(fd: int, data: bytes) -> None:
    """Write *data*; all of it, or raise `OSError`."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def new_file(path: Path, head: bytes) -> int:
    """Make a file that begins with *head*, if there is none."""
    fd = os.open(path, _NEW, 0o600)
    try:
        _lock(fd)
        write_all(fd, head)
    except OSError:
        os.close(fd)
        path.unlink(missing_ok=True)
        raise
    return fd


def replace_with(path: Path, head: bytes) -> int:
    """Put a new file that begins with *head* in the place of a journal."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = new_file(beside, head)
    try:
        old = [each for each in segment_paths(path) if each != path]
        beside.replace(path)
        for each in old:
            each.unlink(missing_ok=True)
    except OSError:
        os.close(fd)
        beside.unlink(missing_ok=True)
        raise
    return fd


def _lock(fd: int) -> None:
    """Let others see that the file is being written; see `eventbus.journal._repair`."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # not on every filesystem
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sync_file(fd: int, path: Path) -> None:
    """Make a file durable that is complete; write it again, if the system can't."""
    try:
        os.fsync(fd)
    except OSError as exc:
        os.close(written_again(fd, path, exc))


def written_again(fd: int, path: Path, failure: OSError) -> int:
    """
    Write a file again, beside it, make that durable, and put it in its place; return its handle.

    Raises:
        OSError: *failure*, if that can't be done either; then the file is as it was.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        copy = os.open(beside, _NEW, 0o600)
    except OSError:
        raise failure from None
    try:
        _lock(copy)
        offset = 0
        while data := os.pread(fd, _READ_BYTES, offset):
            write_all(copy, data)
            offset += len(data)
        os.fsync(copy)
        beside.replace(path)
    except OSError:
        os.close(copy)
        beside.unlink(missing_ok=True)
        raise failure from None
    return copy


_unsynced_folders: Final[set[Path]] = set()


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable, where the system has a way to."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as exc:
        if exc.errno not in _UNSUPPORTED:
            raise
        if folder not in _unsynced_folders:
            _unsynced_folders.add(folder)
            logger.warning(
                "a folder can't be made durable, and neither can the names of its journals",
                extra={"folder": str(folder), "reason": exc.strerror},
            )


def write_error(path: Path, exc: OSError) -> JournalWriteError:
    reason = exc.strerror or type(exc).__name__
    msg = f"{path} can't be written: {reason}. Give a path in a folder that is there and has room."
    return JournalWriteError(msg, path=str(path))

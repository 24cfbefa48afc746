"""
The files of a journal that is written: made new, appended to, checked, locked, and made durable.

A file that was deleted, replaced, cut or extended by another program isn't written to any more:
writing would succeed, and the records be lost. A name is written before the first record that
refers to it, again in the next batch, and 64 kB later, so that a damaged batch takes no names with
it. A segment that can't be made durable is written again beside it, made durable, and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import secrets
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

from ..exceptions import JournalError, JournalWriteError
from ._batches import decode_batch
from ._format import FILE_HEADER_BYTES, make_batch
from ._segments import Segment, segment_paths

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


_LOOK_NS: Final = 500_000_000
_NAMES_AGAIN: Final = 1 << 16
_ROOM: Final = bytes(1 << 18)  # that much must fit before anything is written after a failure

_Names: TypeAlias = list[tuple[int, Any]]


class Gone(OSError):
    """The file isn't the one that was written; *last_seq* is the last record that it still has."""

    def __init__(self, reason: str, last_seq: int) -> None:
        super().__init__(errno.ESTALE, reason)
        self.reason = reason
        self.last_seq = last_seq


class OpenSegment:
    """
    The file that a journal is being written to.

    Args:
        path: Its path.
        marker: The segment's.
        head: Its beginning: the file header and the first batch.
        first_seq: The number of its first record.
        began_ns: When it was begun, by the clock of the records.
        has_names: Whether the first batch has names.
        replaces: Whether to take the place of a journal.
        now_ns: The clock by which it is checked from time to time.

    Attributes:
        path, first_seq, began_ns: As given.
        size: The number of its bytes.
        names_at: The offset of the last batch that has names; 0 if there is none.

    Raises:
        JournalWriteError: It can't be made, or there is one.
    """

    def __init__(
        self,
        path: Path,
        marker: bytes,
        head: bytes,
        *,
        first_seq: int,
        began_ns: int,
        has_names: bool,
        replaces: bool,
        now_ns: Callable[[], int],
    ) -> None:
        try:
            self.fd = replace_with(path, head) if replaces else new_file(path, head)
        except OSError as exc:
            raise write_error(path, exc) from exc
        self.path = path
        self.first_seq = first_seq
        self.began_ns = began_ns
        self.size = len(head)
        self.names_at = FILE_HEADER_BYTES if has_names else 0
        self._marker = marker
        self._now_ns = now_ns
        self._looked_ns = now_ns()
        self._fresh: _Names = []  # of the batch before: the next one has them, too
        self._again: deque[tuple[int, tuple[int, Any]]] = deque()  # names, behind their offsets

    # --- appending --------------------------------------------------------------------------

    def names_with(self, new: _Names) -> _Names:
        """Return the names for the next batch, which has some for the first time."""
        return [*self._due_names(), *self._fresh, *new]

    def names_again(self) -> _Names:
        """Return the names that have not been written again."""
        return [name for _, name in self._again]

    def _due_names(self) -> _Names:
        due = self.size - _NAMES_AGAIN
        return [name for _, name in itertools.takewhile(lambda each: each[0] <= due, self._again)]

    def append(self, payload: bytes, new: _Names | None = None) -> None:
        """
        Write a batch to the end of the file.

        Args:
            payload: The batch's.
            new: The names in it that weren't written before, if it has those of `names_with`.
        """
        offset = self.size
        data = make_batch(payload, self._marker, offset)
        write_all(self.fd, data)
        due = [] if new is None else self._due_names()
        self.size += len(data)
        if new is None:
            return
        if due or self._fresh or new:
            self.names_at = offset
        self._fresh = new
        self._again.extend((offset, name) for name in new)
        for _ in due:
            self._again.popleft()

    def cut_back(self) -> None:
        """
        Leave no part of a batch in the file.

        Raises:
            OSError: That can't be done.
        """
        if os.fstat(self.fd).st_size > self.size:
            os.ftruncate(self.fd, self.size)

    def try_room(self) -> None:
        """
        Check that there is room for more than the record of a gap.

        Raises:
            OSError: There isn't.
        """
        write_all(self.fd, _ROOM)
        os.ftruncate(self.fd, self.size)

    # --- checking ---------------------------------------------------------------------------

    def check(self, written_seq: int) -> None:
        """
        Check that the file is as it was written, and from time to time that it is in its place.

        Args:
            written_seq: The number of the last record in it.

        Raises:
            OSError: It isn't; writing to it would succeed all the same.
        """
        size = os.fstat(self.fd).st_size
        if size != self.size:
            is_longer = size > self.size
            reason = f"another program has {'written to' if is_longer else 'cut'} the file"
            raise Gone(reason, written_seq if is_longer else self._readable_seq())
        now = self._now_ns()
        if now - self._looked_ns >= _LOOK_NS:
            self._looked_ns = now
            self.check_name()

    def check_name(self) -> None:
        """
        Check that the file is in its place.

        Raises:
            OSError: It isn't.
        """
        try:
            is_there = os.path.samestat(self.path.stat(), os.fstat(self.fd))
            reason = "another program has replaced the file"
        except FileNotFoundError as exc:
            is_there, reason = False, exc.strerror or "the file is gone"
        if not is_there:
            raise Gone(reason, self.first_seq - 1)

    def _readable_seq(self) -> int:
        """Return the number of the last record that can still be read in this segment."""
        last = self.first_seq - 1
        try:
            segment = Segment.open(self.path)
            if segment.marker != self._marker:
                return last
            with segment.reading() as file:
                for _, payload in file.places(FILE_HEADER_BYTES):
                    last = max(last, last_seq_in(payload))
        except (OSError, JournalError):
            return self.first_seq - 1
        return last

    # --- the end ----------------------------------------------------------------------------

    def sync(self) -> None:
        """
        Make it durable; write it again, if the system can't.

        Raises:
            OSError: That can't be done either.
        """
        try:
            os.fsync(self.fd)
        except OSError as exc:
            # The system may have forgotten what it couldn't write, and a second call succeed.
            fd = written_again(self.fd, self.path, exc)
            os.close(self.fd)
            self.fd = fd
            sync_folder(self.path.parent)

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)


def last_seq_in(payload: bytes) -> int:
    """Return the number of the last record of a batch; 0 if it has none."""
    decoded = decode_batch(payload)
    numbers = [] if decoded is None else [getattr(entry, "seq", 0) for entry in decoded[2]]
    return max(numbers, default=0)


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
    """
    Put a new file that begins with *head* in the place of a journal.

    Raises:
        OSError: It can't be made, or there is a pipe or a device, which are nobody's to replace.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "It is a pipe or a device", str(path))
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


def cause_of(exc: BaseException) -> BaseException:
    """Return the system's error behind one of a journal's."""
    return exc.__cause__ if isinstance(exc, JournalError) and exc.__cause__ else exc


def reason_of(exc: BaseException) -> str:
    """Return an error as the system says it."""
    cause = cause_of(exc)
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__

"""
Cutting off the ends of a journal's files that a crash has cut short.
"""

from __future__ import annotations

import os

from ..exceptions import JournalWriteError
from ._reader import open_journal
from ._segments import TornTail, path_of

try:
    import fcntl
except ImportError:  # not a POSIX system: nothing tells there that a journal is being written
    fcntl = None  # type: ignore[assignment]


def repair_journal(path: str | os.PathLike[str]) -> list[TornTail]:
    """
    Cut off the torn tails of a journal, so that each file ends with a whole record.

    Nothing is lost by it that could be read. Damage elsewhere is left as it is: reading goes on
    after it as well as it would if it were cut out, and it can be told from a hole.

    Args:
        path: As for `open_journal`.

    Returns:
        The tails that were cut off.

    Raises:
        JournalWriteError: The journal is being written; nothing was cut off.
        FileNotFoundError, JournalEmpty, NotAJournal, JournalTooNew, JournalTooOld,
        JournalDamaged: As `open_journal` does, damage of the records apart.
    """
    path = path_of(path, "repair_journal")
    last = str(open_journal(path, on_damage=lambda _: None).paths[-1])
    descriptor = os.open(last, os.O_RDWR)
    try:
        _check_idle(descriptor, last)
        journal = open_journal(path, on_damage=lambda _: None)
        for _ in journal.read():
            pass
        for tail in journal.torn_tails:
            os.truncate(tail.path, tail.offset)
    finally:
        os.close(descriptor)
    return list(journal.torn_tails)


def _check_idle(descriptor: int, path: str) -> None:
    """Refuse a file that a writer holds, and hold it until the descriptor is closed."""
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        msg = f"{path} is being written; end the recording before you repair it."
        raise JournalWriteError(msg, path=path) from None
    except OSError:  # the filesystem has no locks
        return

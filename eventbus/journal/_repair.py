"""
Cuts off what a crash has left at the end of a journal's files.
"""

from __future__ import annotations

import os

from ._reader import open_journal
from ._segments import TornTail

__all__ = ["repair_journal"]


def repair_journal(path: str | os.PathLike[str]) -> list[TornTail]:
    """
    Cut off the torn tails of a journal, so that each file ends with a whole record.

    Nothing is lost by it that could be read. Damage elsewhere is left as it is: reading goes on
    after it as well as it would if it were cut out, and it can be told from what was never there.

    Args:
        path: As for `open_journal`. Nobody may be writing to it.

    Returns:
        What was cut off.

    Raises:
        FileNotFoundError, JournalEmpty, NotAJournal, JournalTooNew, JournalDamaged: As
            `open_journal` does, damage of the records apart.
    """
    journal = open_journal(path, on_damage=lambda _: None)
    for _ in journal.read():
        pass
    for tail in journal.torn_tails:
        os.truncate(tail.path, tail.offset)
    return list(journal.torn_tails)

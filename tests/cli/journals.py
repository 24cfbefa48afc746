"""
Journals for the tests of commands, and the runner of those.
"""

from __future__ import annotations

from inspect import signature
from pathlib import Path

from click.testing import CliRunner

from eventbus.journal._copying import write_copy
from tests.journal.stories import Story, spoken_turn

__all__ = ["damaged", "new_runner", "torn", "write_journal"]

# Before click 8.2, stderr went into stdout unless one asked for it not to.
_APART = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}


def new_runner() -> CliRunner:
    """
    Return click's runner of commands in this process, which keeps stdout and stderr apart.
    """
    return CliRunner(**_APART)


def write_journal(path: Path, story: Story | None = None) -> Path:
    """
    Write a journal of *story*; of one spoken turn, if it is left out.
    """
    records = (spoken_turn() if story is None else story).records
    write_copy(records, path, header=records[0])
    return path


def torn(path: Path) -> Path:
    """
    Cut off the last bytes of a journal, as a crash does.
    """
    path.write_bytes(path.read_bytes()[:-10])
    return path


def damaged(path: Path) -> Path:
    """
    Flip a bit in the middle of a journal.
    """
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path

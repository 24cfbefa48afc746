"""
`eventbus.cli.terminal.copies`: rules for every command that copies a journal.
"""

from __future__ import annotations

import errno
import os

import pytest

from eventbus.cli.terminal import copies
from eventbus.cli.usage import redact, trim
from eventbus.journal import open_journal
from tests.cli.journals import new_runner, write_journal

COMMANDS = pytest.mark.parametrize(
    ("command", "options"),
    [(trim.command, []), (redact.command, ["--redact", "usage"])],
    ids=["trim", "redact"],
)


@pytest.fixture
def path(tmp_path):
    return write_journal(tmp_path / "call.journal")


@COMMANDS
def test_copy_that_finds_no_room_is_one_line_and_no_file(path, monkeypatch, command, options):
    """
    A disk that is full half-way leaves nothing of the copy; stderr says why, and the exit code is
    1.
    """
    copy, write = path.with_name("part.journal"), os.write
    begun = []

    def write_once(fd, data):
        if begun:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        begun.append(fd)
        return write(fd, data)

    monkeypatch.setattr(os, "write", write_once)
    result = new_runner().invoke(command, [str(path), *options, "-o", str(copy)])

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert f"{copy} can't be written: No space left on device" in line
    assert not copy.exists()


@COMMANDS
def test_only_a_part_begins_later_than_the_original(path, command, options):
    """
    A trimmed journal begins with its first record; in a redacted one, times count as before.
    """
    copy = path.with_name("part.journal")
    new_runner().invoke(command, [str(path), *options, "t:2.2s..2.5s", "-o", str(copy)])
    header, first, *_ = open_journal(copy)
    original = open_journal(path).header

    begins = first if command is trim.command else original
    assert (header.mono_ns, header.wall_ns) == (begins.mono_ns, begins.wall_ns)
    assert original.mono_ns < first.mono_ns


@COMMANDS
def test_copy_replaces_another_journal_when_it_is_whole(path, monkeypatch, command, options):
    """
    With --force, the old one stays until then: a failure half-way costs nothing.
    """
    copy = path.with_name("part.journal")
    args = [str(path), *options, "-o", str(copy), "--force"]
    assert new_runner().invoke(command, args).exit_code == 0
    before = copy.read_bytes()

    with monkeypatch.context() as patch:
        patch.setattr(copies, "write_copy", interrupted)
        assert new_runner().invoke(command, args, standalone_mode=False).exit_code == 1
    assert copy.read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == ["call.journal", "part.journal"]

    assert new_runner().invoke(command, args).exit_code == 0
    assert open_journal(copy).is_closed


def interrupted(records, to, **_):
    """
    Write half a copy.
    """
    to.write_bytes(b"half")
    raise KeyboardInterrupt

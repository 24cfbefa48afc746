"""
`eventbus.cli.terminal.outputs`: files that commands write.
"""

from __future__ import annotations

import errno
import os
import tempfile

import click
import pytest

from eventbus.cli.terminal.outputs import (
    journal_beside,
    prepare_file,
    prepare_output,
    written_beside,
)
from eventbus.cli.terminal.record_options import read_recording
from eventbus.exceptions import JournalWriteError
from eventbus.journal import JournalWriter


def texts(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_nothing_there_is_no_matter(tmp_path):
    """
    A file that isn't there needs no room.
    """
    prepare_output(tmp_path / "call.journal", (), is_forced=False)


@pytest.mark.parametrize("is_forced", [False, True])
def test_what_is_being_read_is_never_deleted(tmp_path, is_forced):
    """
    The input is refused as output, by any path that leads to it.
    """
    path = tmp_path / "call.journal"
    path.write_bytes(b"mine")
    same = tmp_path / "." / ".." / tmp_path.name / "call.journal"

    with pytest.raises(click.BadParameter, match="is what is being read"):
        prepare_output(same, [path], is_forced=is_forced)
    assert path.read_bytes() == b"mine"


def test_journal_that_finds_no_room_is_told_by_its_own_name(tmp_path, monkeypatch):
    """
    The error names the path that the user gave, whether the new folder beside it or the file in
    the folder has no room, and the old journal stays.
    """

    def no_room(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "call.journal"
    path.write_bytes(b"old")
    errors = []
    for owner, name in [(tempfile, "mkdtemp"), (os, "write")]:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, no_room)
            with pytest.raises(JournalWriteError) as caught, journal_beside(path) as part:
                JournalWriter(part).close()
        errors.append(caught.value)

    for error in errors:
        assert str(error).startswith(f"{path} can't be written: No space left on device.")
        assert error.path == str(path)
    assert texts(tmp_path) == {"call.journal": "old"}


@pytest.mark.parametrize(
    "prepare",
    [
        lambda path: prepare_output(path, (), is_forced=False),
        lambda path: prepare_file(path, (), is_forced=False),
        lambda path: read_recording(path, no_audio=False, no_content=False, fields=()),
    ],
    ids=["output", "file", "recording"],
)
def test_folder_that_may_not_be_read_is_told_with_the_file(tmp_path, monkeypatch, prepare):
    """
    A folder that its owner lets nobody look into takes no file, and the error names the file.
    """

    def refused(path, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path))

    for name in ("listdir", "stat"):
        monkeypatch.setattr(os, name, refused)
    with pytest.raises(click.ClickException) as caught:
        prepare(tmp_path / "call.journal")
    monkeypatch.undo()

    assert caught.value.exit_code == 1
    assert caught.value.message.startswith(
        f"{tmp_path / 'call.journal'} can't be written: Permission denied."
    )


def test_journal_takes_the_place_of_all_files_of_another(tmp_path):
    """
    With force, the old journal goes with all of its files once the new one is whole.
    """
    names = ["call.journal", "call.00002.journal", "call.00003.journal", "call.00002.wav"]
    for name in [*names, "other.journal"]:
        (tmp_path / name).write_text("old")

    prepare_output(tmp_path / "call.journal", (), is_forced=True)
    with journal_beside(tmp_path / "call.journal") as part:
        part.write_text("new")
        part.with_name("call.00002.journal").write_text("new")
        assert texts(tmp_path)["call.journal"] == "old"

    assert texts(tmp_path) == {
        "call.journal": "new",
        "call.00002.journal": "new",
        "call.00002.wav": "old",
        "other.journal": "old",
    }


def test_journal_that_was_not_finished_takes_nobody_s_place(tmp_path):
    """
    A copy that is interrupted leaves the old journal, and nothing of its own.
    """
    for name in ("call.journal", "call.00002.journal"):
        (tmp_path / name).write_text("old")

    def fail(part):
        part.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), journal_beside(tmp_path / "call.journal") as part:
        fail(part)

    assert texts(tmp_path) == {"call.journal": "old", "call.00002.journal": "old"}


def test_one_file_is_replaced_alone(tmp_path):
    """
    Other files than journals have no segments; one stays until another can take its place.
    """
    for name in ("call.wav", "call.00002.wav"):
        (tmp_path / name).write_text("old")

    prepare_file(tmp_path / "call.wav", [tmp_path / "call.journal"], is_forced=True)
    with written_beside(tmp_path / "call.wav") as file:
        file.write(b"new")
        assert (tmp_path / "call.wav").read_text() == "old"

    assert texts(tmp_path) == {"call.wav": "new", "call.00002.wav": "old"}


def test_file_that_was_not_finished_takes_nobody_s_place(tmp_path):
    """
    A file that fails half-way leaves the old one, and nothing of its own.
    """
    path = tmp_path / "call.wav"
    path.write_text("old")

    def fail(file):
        file.write(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), written_beside(path) as file:
        fail(file)

    assert texts(tmp_path) == {"call.wav": "old"}


def test_files_are_private(tmp_path):
    """
    They hold voices and transcripts: nobody else can read them, at no time.
    """
    path = tmp_path / "call.wav"
    with written_beside(path) as file:
        (part,) = tmp_path.iterdir()
        assert (part.stat().st_mode & 0o777, file.fileno() > 0) == (0o600, True)

    assert path.stat().st_mode & 0o777 == 0o600

    with journal_beside(tmp_path / "call.journal") as part:
        assert part.parent.stat().st_mode & 0o777 == 0o700
        part.write_text("new")


def test_links_that_were_planted_are_not_followed(tmp_path):
    """
    Neither one in place of the file, nor one under the name that an older version used.
    """
    victim = tmp_path / "victim"
    victim.write_text("mine")
    links = [tmp_path / "call.wav", tmp_path / f".eventbus-{os.getpid()}.part"]
    for link in links:
        link.symlink_to(victim)

    with written_beside(links[0]) as file:
        file.write(b"new")

    assert victim.read_text() == "mine"
    assert (links[0].is_symlink(), links[0].read_text()) == (False, "new")


def test_two_files_at_once_do_not_collide(tmp_path):
    """
    Each has a name of its own; the last one to end stays.
    """
    path = tmp_path / "call.wav"
    with written_beside(path) as first, written_beside(path) as second:
        first.write(b"first")
        second.write(b"second")

    assert texts(tmp_path) == {"call.wav": "first"}


@pytest.mark.parametrize("source", ["call.journal", "call.00002.journal"])
def test_no_file_of_the_input_makes_room(tmp_path, source):
    """
    A journal isn't written over any of the files that are being read, be it forced.
    """
    paths = [tmp_path / "call.journal", tmp_path / "call.00002.journal"]
    for path in paths:
        path.touch()

    for prepare in (prepare_output, prepare_file):
        with pytest.raises(click.BadParameter, match="is what is being read"):
            prepare(tmp_path / source, paths, is_forced=True)

    assert all(path.exists() for path in paths)


def test_device_or_pipe_is_never_deleted(tmp_path):
    """
    Another file can be written into it, asked for or not; a journal can't.
    """
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    for is_forced in (False, True):
        prepare_file(pipe, (), is_forced=is_forced)
        with pytest.raises(click.BadParameter, match="is not a file"):
            prepare_output(pipe, (), is_forced=is_forced)

    assert pipe.is_fifo()

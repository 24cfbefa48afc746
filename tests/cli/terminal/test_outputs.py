"""
`eventbus.cli.terminal.outputs`: files that commands write.
"""

from __future__ import annotations

import os

import click
import pytest

from eventbus.cli.terminal.outputs import prepare_file, prepare_output, written_beside


def test_nothing_there_is_no_matter(tmp_path):
    """
    A file that isn't there needs no room.
    """
    prepare_output(tmp_path / "call.journal", (), is_forced=False)


@pytest.mark.parametrize("is_forced", [False, True])
def test_what_is_being_read_is_never_deleted(tmp_path, is_forced):
    """
    The input is refused as output, by whatever path it is named.
    """
    path = tmp_path / "call.journal"
    path.write_bytes(b"mine")
    same = tmp_path / "." / ".." / tmp_path.name / "call.journal"

    with pytest.raises(click.BadParameter, match="is what is being read"):
        prepare_output(same, [path], is_forced=is_forced)
    assert path.read_bytes() == b"mine"


def test_all_files_of_a_journal_make_room(tmp_path):
    """
    With force, a journal goes with all of its files, and no other file does.
    """
    names = ["call.journal", "call.00002.journal", "call.00002.wav", "other.journal"]
    for name in names:
        (tmp_path / name).touch()

    prepare_output(tmp_path / "call.journal", (), is_forced=True)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["call.00002.wav", "other.journal"]


def test_one_file_is_replaced_alone(tmp_path):
    """
    What is no journal is one file; it stays until another one can take its place.
    """
    for name in ("call.wav", "call.00002.wav"):
        (tmp_path / name).write_text("old")

    prepare_file(tmp_path / "call.wav", [tmp_path / "call.journal"], is_forced=True)
    with written_beside(tmp_path / "call.wav") as part:
        part.write_text("new")
        assert (tmp_path / "call.wav").read_text() == "old"

    texts = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert texts == {"call.wav": "new", "call.00002.wav": "old"}


def test_file_that_was_not_finished_takes_nobody_s_place(tmp_path):
    """
    What fails half-way leaves the old file, and nothing of its own.
    """
    path = tmp_path / "call.wav"
    path.write_text("old")

    def fail(part):
        part.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), written_beside(path) as part:
        fail(part)

    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


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
        with pytest.raises(click.BadParameter, match="is no file"):
            prepare_output(pipe, (), is_forced=is_forced)

    assert pipe.is_fifo()

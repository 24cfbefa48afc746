"""
`eventbus.cli.terminal.inputs`: journals, files of frames, and files that are neither.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from eventbus.cli.terminal.exits import BadInput
from eventbus.cli.terminal.inputs import opened_frames, seems_journal
from tests.cli.journals import write_journal


def test_file_of_frames_is_closed_at_the_end(write_frames):
    """
    Its name and its size are known while it is open.
    """
    path = write_frames({"type": "ping"})

    with opened_frames(path) as frames:
        assert (frames.name, frames.size) == (str(path), path.stat().st_size)
        file = frames._file

    assert file.closed


def test_dash_is_stdin_and_stays_open(monkeypatch):
    """
    The standard input is somebody else's to close.
    """
    stdin = io.TextIOWrapper(io.BytesIO(b"{}\n"))
    monkeypatch.setattr(sys, "stdin", stdin)

    with opened_frames(Path("-")) as frames:
        assert frames.name == "stdin"

    assert not stdin.closed


@pytest.mark.parametrize(
    ("name", "problem"),
    [("nowhere", "there is no such file"), ("call.jsonl/x", "no such file"), (".", "is a folder")],
)
@pytest.mark.parametrize("use", [seems_journal, lambda path: opened_frames(path).__enter__()])
def test_what_cannot_be_read_is_bad_input(write_frames, use, name, problem):
    """
    The error names it, and the problem.
    """
    path = write_frames().parent / name

    with pytest.raises(BadInput, match=problem) as caught:
        use(path)

    assert str(path) in caught.value.message


def test_journal_is_told_from_frames(tmp_path, write_frames):
    """
    A journal seems to be one, frames and the standard input don't.
    """
    assert seems_journal(write_journal(tmp_path / "call.bin"))
    assert not seems_journal(write_frames({"type": "ping"}))
    assert not seems_journal(Path("-"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX")
def test_pipe_is_not_looked_into(tmp_path):
    """
    A pipe that nobody writes to is no journal, and isn't waited for.
    """
    os.mkfifo(tmp_path / "pipe.journal")

    assert not seems_journal(tmp_path / "pipe.journal")

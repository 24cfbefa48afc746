"""
``eventbus redact``.
"""

from __future__ import annotations

import pytest

from eventbus.cli.usage.redact import command
from eventbus.journal import open_journal
from tests.cli.journals import new_runner, write_journal


@pytest.fixture
def path(tmp_path):
    return write_journal(tmp_path / "call.journal")


def run(*args):
    return new_runner().invoke(command, [*map(str, args)])


@pytest.mark.parametrize(
    ("options", "words", "audio"),
    [
        (["--no-audio"], True, False),
        (["--no-content"], False, False),
        (["--redact", "transcript"], False, True),
    ],
)
def test_what_is_left_out_is_in_no_byte(path, tmp_path, options, words, audio):
    """
    The copy has neither the words nor the audio that were to be left out; the original has both.
    """
    before, copy = path.read_bytes(), tmp_path / "copy.journal"
    result = run(path, "-o", copy, *options)

    assert result.exit_code == 0
    assert (b"Hello there" in copy.read_bytes()) == words
    assert (b"\x10\x00" * 100 in copy.read_bytes()) == audio
    assert path.read_bytes() == before


def test_something_must_be_left_out(path, tmp_path):
    """
    A copy of everything is no redaction.
    """
    result = run(path, "-o", tmp_path / "copy.journal")

    assert result.exit_code == 2
    assert "--no-audio" in result.stderr


def test_names_that_were_redacted_are_in_the_header(path, tmp_path):
    """
    The copy lists the data that it lacks.
    """
    copy = tmp_path / "copy.journal"
    run(path, "-o", copy, "--no-audio", "--redact", "usage", "is:event")
    header = open_journal(copy).header

    assert (header.has_audio, header.has_content, header.redacted) == (False, True, ("usage",))


def test_filter_that_nothing_matches_is_exit_code_1(path):
    """
    No journal is written, not even an empty one.
    """
    copy = path.with_name("copy.journal")
    result = run(path, "t:99s..", "--no-audio", "-o", copy)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "no record matches" in result.stderr
    assert not copy.exists()

"""
`eventbus.cli.terminal.journals`: common behaviour of the commands that read a journal.
"""

from __future__ import annotations

import json
import re
import sys

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.cli import main as main_module
from eventbus.cli.usage import (
    diff,
    export,
    grep,
    record,
    redact,
    replay,
    stats,
    tail,
    trim,
    validate,
)
from eventbus.cli.usage import show as show_event
from tests.cli.journals import damaged, new_runner, torn, write_journal
from tests.journal.stories import Story

# Each command, with what it needs besides a journal; "-o" stands for an output of its own.
COMMANDS = {
    "diff": (diff.command, ["{}"]),
    "export": (export.command, ["--to", "csv", "-o", "-"]),
    "grep": (grep.command, []),
    "redact": (redact.command, ["--no-audio", "-o", "out.journal"]),
    "show": (show_event.command, ["1"]),
    "stats": (stats.command, []),
    "tail": (tail.command, ["--no-follow"]),
    "trim": (trim.command, ["-o", "out.journal"]),
    "validate": (validate.command, []),
}
OF_FRAMES = {
    "record": (record.command, ["-o", "out.journal"]),
    "replay": (replay.command, []),
}
FILTERED = [name for name in COMMANDS if name not in ("show", "validate")]


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """
    Run a command by its name on a path, in an empty directory, as a process would.
    """
    monkeypatch.chdir(tmp_path)

    def run(name, path, *more):
        command, args = {**COMMANDS, **OF_FRAMES}[name]
        filled = [arg.format(path) for arg in args]
        # An OSError becomes a line in `main`, which runs the group of commands.
        monkeypatch.setattr(main_module, "cli", command)
        whole = click.Command("eventbus", callback=main_module.main)
        monkeypatch.setattr(sys, "argv", ["eventbus", str(path), *filled, *more])
        result = new_runner().invoke(whole, [])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        (b"", "is empty"),
        (b"\x89EVJ", "is empty"),
        (b"RIFF....WAVEfmt ", "is not a journal"),
        (b'{"type": "session.created"}\n', "is not a journal"),
    ],
)
def test_what_is_no_journal_is_one_line(invoke, tmp_path, name, content, words):
    """
    A file that is missing, empty or something else gives one line, and exit code 3.
    """
    path = tmp_path / "call.journal"
    if content is not None:
        path.write_bytes(content)

    result = invoke(name, path)

    assert result.exit_code == 3
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize("name", [*COMMANDS, *OF_FRAMES])
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("nowhere.journal", "there is no such file; check its path"),
        ("call.jsonl/x", "there is no such file; check its path"),
        ("folder", "is a folder; name a file in it"),
    ],
)
def test_what_cannot_be_opened_is_one_line(invoke, tmp_path, name, place, words):
    """
    It gives one line with its name and the remedy, exit code 3, and no output.
    """
    (tmp_path / "call.jsonl").touch()
    (tmp_path / "folder").mkdir()

    result = invoke(name, place)

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"Error: {place}")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out.journal").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_stdin_is_no_journal(invoke, name):
    """
    A journal has to be a file, and the message says so.
    """
    result = invoke(name, "-")

    assert result.exit_code == 3
    assert "stdin won't do here" in result.stderr


@pytest.mark.parametrize(
    ("name", "option"),
    [("record", "-o"), ("redact", "-o"), ("trim", "-o"), ("export", "-o"), ("stats", "--junit")],
)
@pytest.mark.parametrize("place", ["none/out", "call.journal/out"])
def test_output_that_cannot_be_written_is_told(invoke, tmp_path, name, option, place):
    """
    The exit code is 1, and one line names it with its remedy.
    """
    write_journal(tmp_path / "call.journal")
    (tmp_path / "call.jsonl").write_text("{}\n", encoding="utf-8")

    result = invoke(name, "call.jsonl" if name == "record" else "call.journal", option, place)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {place} can't be written: ")
    assert "Give a path in a folder that is there and has room." in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("show", "tail")])
def test_damage_is_named_and_the_rest_is_read(invoke, tmp_path, name):
    """
    Damage is named with its offset, and the intact records are used; the exit code is 3.
    """
    result = invoke(name, damaged(write_journal(tmp_path / "call.journal")))

    assert result.exit_code == 3
    assert "is damaged at offset" in result.stdout + result.stderr


@pytest.mark.parametrize("name", [n for n in COMMANDS if n not in ("show", "validate", "diff")])
def test_torn_tail_is_named_and_no_error(invoke, tmp_path, name):
    """
    A record that a crash has cut short is named, and all before it is used.
    """
    result = invoke(name, torn(write_journal(tmp_path / "call.journal")))

    assert result.exit_code == 0
    assert "cut short" in result.stderr


@pytest.mark.parametrize("name", FILTERED)
def test_wrong_filter_is_one_line(invoke, tmp_path, name):
    """
    A filter that can't be read gives one line with the place, and exit code 3.
    """
    result = invoke(name, write_journal(tmp_path / "call.journal"), "is:angry")

    assert result.exit_code == 3
    assert "at character 1" in result.stderr
    assert result.stderr.count("\n") == 1


@settings(max_examples=25)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_flipped_bit_is_survived(tmp_path_factory, place, bit):
    """
    Whichever bit of a journal is wrong, no command ends with a traceback.
    """
    path = tmp_path_factory.getbasetemp() / "flipped.journal"
    path.unlink(missing_ok=True)
    story = Story()
    story.session()
    story.audio(20)
    data = bytearray(write_journal(path, story).read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)

    for command, args in ((grep.command, ["-c"]), (stats.command, []), (validate.command, [])):
        result = new_runner().invoke(command, [str(path), *args])
        assert isinstance(result.exception, (SystemExit, type(None)))
        assert result.exit_code in (0, 3)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("export", "diff")])
def test_json_has_a_versioned_schema(invoke, tmp_path, name):
    """
    With --json each line is an object with the name and version of its schema.
    """
    lines = invoke(name, write_journal(tmp_path / "call.journal"), "--json").stdout.splitlines()

    assert lines
    for line in lines:
        assert re.fullmatch(r"eventbus\.[a-z]+/1", json.loads(line)["schema"])

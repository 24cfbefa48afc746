"""
``eventbus export``.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
import wave

import click
import pytest

from eventbus.cli.usage import redact
from eventbus.cli.usage.export import command
from eventbus.export import FORMATS
from eventbus.inspector import write_html
from eventbus.journal import open_journal
from tests.cli.journals import new_runner, write_journal
from tests.journal.stories import Story


@pytest.fixture
def path(tmp_path):
    return write_journal(tmp_path / "call.journal")


def run(*args):
    return new_runner().invoke(command, [*map(str, args)])


@pytest.mark.parametrize("name", FORMATS)
def test_file_is_named_as_the_journal_is(path, name):
    """
    Without -o, the file is beside the journal, with the format's suffix.
    """
    result = run(path, "--to", name)
    file = path.with_suffix(FORMATS[name].suffix)

    assert result.exit_code == 0
    assert result.stdout == f"{file}: 119 records\n"
    assert file.stat().st_size > 50


def test_dash_is_stdout(path):
    """
    To - the format is written to stdout, and nothing else is.
    """
    assert run(path, "--to", "srt", "-o", "-").stdout.startswith("1\n00:00:00,600 --> ")
    assert run(path, "--to", "wav", "-o", "-").stdout_bytes.startswith(b"RIFF")


@pytest.mark.parametrize("target", ["-", "out.txt"])
@pytest.mark.parametrize("name", [*FORMATS, "html"])
def test_filter_that_nothing_matches_is_exit_code_1(path, name, target):
    """
    As grep has it; nothing is written, and one line has the range of the journal.
    """
    file = path.with_name(target) if target != "-" else target
    result = run(path, "t:99s..", "--to", name, "-o", file)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"{path}: no record matches, so nothing is written; it has")
    assert not path.with_name("out.txt").exists()


NO_SERVER = """
import sys

for name in ("starlette", "uvicorn"):
    sys.modules[name] = None
from eventbus.cli.main import main

main()
"""


def test_page_is_written_without_a_server(path, environment):
    """
    The extra inspect, which has the inspector's server, is for serving.
    """
    result = subprocess.run(
        [sys.executable, "-c", NO_SERVER, "export", path, "--to", "html"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, result.stderr) == (0, "")
    page = path.with_suffix(".html").read_text(encoding="utf-8")
    assert '<script type="application/json" id="recording">' in page


class Terminal(io.TextIOWrapper):
    """
    A standard output that claims to be a terminal.
    """

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8")

    def isatty(self):
        return True


@pytest.mark.parametrize("name", ["srt", "jsonl", "csv", "chrome-trace"])
def test_terminal_gets_no_control_characters(tmp_path, name):
    """
    To a terminal each text format is written with control characters escaped, those for the
    direction of writing included; the lines stay.
    """
    story = Story(sender="call\x1b[2J\u202e1")
    story.frame("response.created", response={"id": "resp_1"})
    story.audio(1_000)
    done = {"item_id": "item_a", "response_id": "resp_1", "content_index": 0}
    said = "Good \u202egninrom\x9b2J"
    story.frame("response.output_audio_transcript.done", **done, transcript=said)
    path = write_journal(tmp_path / "call.journal", story)

    with contextlib.redirect_stdout(Terminal()) as terminal:
        command.main([str(path), "--to", name, "-o", "-"], standalone_mode=False)
        shown = terminal.buffer.getvalue().decode()

    assert shown.count("\n") > 3 or name == "chrome-trace"
    assert re.sub(r"[\r\n\t]", "", shown).isprintable()


def test_sound_is_not_written_to_a_terminal(path):
    """
    A WAV file for a terminal is a wrong argument: it would be noise on the screen.
    """
    with (
        contextlib.redirect_stdout(Terminal()),
        pytest.raises(click.BadParameter, match="name a file"),
    ):
        command.main([str(path), "--to", "wav", "-o", "-"], standalone_mode=False)


def test_what_is_there_is_overwritten_with_force_only(path, tmp_path):
    """
    A file that is there stays, unless --force is given.
    """
    file = tmp_path / "mine.csv"
    file.write_text("mine")

    assert run(path, "--to", "csv", "-o", file).exit_code == 2
    assert file.read_text() == "mine"
    assert run(path, "--to", "csv", "-o", file, "--force").exit_code == 0
    assert file.read_text().startswith("seq,")


def test_journal_is_never_overwritten_by_its_export(path):
    """
    Not even --force lets an export overwrite its journal.
    """
    before = path.read_bytes()

    assert run(path, "--to", "csv", "-o", path, "--force").exit_code == 2
    assert path.read_bytes() == before


def test_what_cannot_be_exported_is_one_line(tmp_path):
    """
    A journal without audio gives no WAV file, but one line, and exit code 3.
    """
    result = run(write_journal(tmp_path / "mute.journal", Story()), "--to", "wav")

    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "mute.wav").exists()


def test_what_cannot_be_exported_overwrites_nothing(tmp_path):
    """
    With --force, a file stays as it is if there is nothing to put in its place.
    """
    journal = write_journal(tmp_path / "call.journal", Story())
    old = tmp_path / "old.wav"
    old.write_bytes(b"mine")

    assert run(str(journal), "--to", "wav", "-o", str(old), "--force").exit_code == 3
    assert old.read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["call.journal", "old.wav"]


def test_filter_picks_a_call(tmp_path):
    """
    Of several calls, the filter picks the one to hear.
    """
    story = Story()
    story.audio(100)
    story.sender = "call-2"
    story.audio(200)
    path = write_journal(tmp_path / "calls.journal", story)

    assert run(path, "--to", "wav").exit_code == 3
    assert run(path, "--to", "wav", "sender:call-2").exit_code == 0
    with wave.open(str(tmp_path / "calls.wav")) as wav:
        assert wav.getnframes() == 200 * 24


def test_json_says_what_was_written(path):
    """
    With --json the file, its format and the number of records are an object.
    """
    data = json.loads(run(path, "--to", "csv", "--json").stdout)

    assert data == {
        "schema": "eventbus.written/1",
        "path": str(path.with_suffix(".csv")),
        "records": 119,
        "format": "csv",
    }


def recording_of(page):
    """
    Return the data of a page of its own.
    """
    _, _, rest = page.partition('<script type="application/json" id="recording">')
    return json.loads(rest.partition("</script>")[0])


@pytest.mark.parametrize("option", ["--no-audio", "--no-content"])
def test_page_of_a_journal_without_audio_says_so_and_has_no_sound(path, option):
    """
    A page has the journal's own header, of the command as well as of `write_html`: when it was
    recorded, and what was left out.
    """
    public = path.with_name("public.journal")
    new_runner().invoke(redact.command, [str(path), option, "-o", str(public)])
    own = io.StringIO()

    result = run(public, "--to", "html", "-o", "-", "t:0s..")
    write_html(open_journal(public), own)

    for page in (result.stdout, own.getvalue()):
        recording = recording_of(page)
        overview = recording["overview"]
        assert recording["audio"] is None
        assert (overview["has_audio"], overview["has_content"]) == (False, option == "--no-audio")
        assert overview["wall"].startswith("2023-11-14T22:13:20")

"""
``eventbus demo``: the call, its application, and its output.
"""

from __future__ import annotations

import re
import shlex
import sys

import pytest

from eventbus.cli.main import cli

TOLD = [
    "picks up",
    "Where is order 1042?",
    "measure: ZeroDivisionError",
    'look_up_order({"order": 1042}) …',
    "look_up_order = 'left this morning'",
    "It left this morning.",
    "Can I still send it back?",
    "Yes, of course.",
    "interrupted:",
    "Good, thank you!",
    "Goodbye!",
    "RealtimeModelAudioEvent",
    "PhoneAgent.play",
    "crashes: 1",
    "ZeroDivisionError: division by zero",
    "purged: ",
]


@pytest.fixture(scope="module")
def result(runner):
    return runner.invoke(cli, ["demo", "--speed", "max"])


def test_demo_shows_transcripts_tool_interruption_crash_and_summary(result):
    """
    Everything of the call is shown, in order, and then the summary with the crash; the code is 0.
    """
    assert result.exit_code == 0
    places = [result.stdout.find(each) for each in TOLD]
    assert -1 not in places, TOLD[places.index(-1)]
    assert places == sorted(places)
    assert len(re.findall(r"^RealtimeModelToolCallEvent +1 ", result.stdout, re.MULTILINE)) == 1


def test_demo_is_over_in_about_ten_seconds(result):
    """
    The last line of the call is said within ten seconds of its own time, however fast it goes by.
    """
    *_, last = re.findall(r"^ +(\d+\.\d) s  ", result.stdout, re.MULTILINE)

    assert 7 < float(last) < 10


def test_demo_says_that_it_is_synthetic_and_that_the_crash_is_on_purpose(result):
    """
    Text that isn't data goes to stderr: the notes about the voices, the app and its crash.
    """
    assert "synthetic" in result.stderr
    assert "demo_app.py" in result.stderr
    assert "crashed on purpose" in result.stderr
    assert "on purpose" not in result.stdout


def test_what_nobody_can_have_forgotten_is_not_unhandled(result):
    """
    Frames that repeat what others say stand below the table, and not in it.
    """
    table = result.stdout.partition("\nevents ")[2].partition("\nhandler calls")[0]

    assert re.search(r"and \d+ that repeat what others say", table)
    assert "RealtimeModelOtherEvent" not in table


def test_interruption_cuts_off_speech_that_was_sent(result):
    """
    The service had sent seconds of speech that the caller never heard.
    """
    (seconds,) = re.findall(r"interrupted: (\d+\.\d) s of speech is not played", result.stdout)

    assert float(seconds) > 1


def test_terminal_shows_lines_as_they_grow(terminal, monkeypatch):
    """
    On a terminal the demo moves the cursor, and ends with the summary within the width.
    """
    monkeypatch.setenv("COLUMNS", "80")

    with terminal.used():
        cli.main(["demo", "--speed", "max"], standalone_mode=False)

    out = terminal.getvalue()
    assert "\x1b[2K" in out, "a line was written anew"
    assert "Where is …" in out
    assert max(map(len, out.partition("\nevents")[2].splitlines())) <= 80


def test_missing_extra_is_one_line_with_what_to_install(run, monkeypatch):
    """
    Without a package of its extras, the demo names the extra to install, and has no traceback.
    """
    monkeypatch.setitem(sys.modules, "websockets", None)
    package = "eventbus.realtime.openai"
    for name in ("eventbus.cli.commands.demo", package, f"{package}._model"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    result = run("demo")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        (
            "Error: eventbus demo needs the package websockets: "
            "pip install 'eventbus[cli,openai,sim]', "
            "or in a clone of eventbus: pip install '.[cli,openai,sim]'."
        )
    ]


@pytest.mark.slow
def test_commands_that_the_demo_ends_with_work(result, start):
    """
    The last lines name commands to go on with, and each of them answers.
    """
    lines = [line.strip() for line in result.stderr.splitlines()]
    commands = [line.split(" ", 1)[1] for line in lines if line.startswith("eventbus ")]
    assert [shlex.split(each)[0] for each in commands] == ["run", "run"]

    for command in commands:
        with start(*shlex.split(command)) as process:
            out, err = process.communicate(b"Hello\n")

        assert process.returncode == 0, err
        assert b"agent   " in out

"""
The command as a process: its exit codes, and its use of stdout and stderr.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCHEMA = r"(eventbus\.[a-z]+/\d+)"
TURN = {"type": "response.created", "response": {"id": "resp_1"}}

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals, pipes and terminals of POSIX")


@pytest.fixture
def run_in_terminal(tmp_path, environment):
    """
    Run with stdout on a terminal, stderr too if wanted, and return its output, and the code.
    """
    pty = pytest.importorskip("pty")

    def run(*args, **variables):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "eventbus", *args],
            cwd=tmp_path,
            env={**environment, "COLUMNS": "80", **variables},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        chunks = []
        try:
            while chunk := os.read(ours, 65_536):
                chunks.append(chunk)
        except OSError:  # what Linux says when nobody has the terminal open any more
            pass
        os.close(ours)
        return b"".join(chunks).decode(), process.wait()

    return run


def test_version_is_told(run):
    """
    --version names the program and says its version, or that it isn't installed.
    """
    result = run("--version")

    assert result.exit_code == 0
    assert result.stdout.startswith("eventbus ")


@pytest.mark.parametrize("command", ["grep", "trim", "redact", "export"])
def test_help_has_the_exit_code_of_a_filter_that_matches_nothing(run, command):
    """
    The help of a command with a filter tells its exit code if no record matches.
    """
    result = run(command, "--help")

    assert re.search(r"^ +1  no record matches, or", result.stdout, re.MULTILINE)


def test_each_schema_is_on_the_page(checkout):
    """
    The page on JSON has a section for each schema of the commands, and for nothing else.
    """
    page = (checkout / "docs" / "reference" / "journal-json.md").read_text(encoding="utf-8")
    # The inspector's is between its page and its server, and no command writes it.
    sources = [
        path.read_text(encoding="utf-8")
        for path in (checkout / "eventbus").rglob("*.py")
        if "inspector" not in path.relative_to(checkout).parts
    ]
    written = {name for source in sources for name in re.findall(SCHEMA, source)}

    assert written == set(re.findall(f"^## {SCHEMA}$", page, re.MULTILINE))
    assert written <= set(re.findall(rf"\| `{SCHEMA}` \|", page))


def test_usage_error_of_a_process_ends_with_2(start):
    """
    Wrong arguments end the process with 2, an error on stderr and nothing on stdout.
    """
    with start("nonsense") as process:
        out, err = process.communicate()

    assert (process.returncode, out) == (2, b"")
    assert b"Error: " in err


@pytest.mark.slow
def test_exit_code_reaches_the_shell(start, write_frames):
    """
    The process ends with the code that the replay has.
    """
    with start("replay", str(write_frames("nonsense"))) as process:
        process.communicate()

    assert process.returncode == 3


@posix
@pytest.mark.slow
def test_interrupt_ends_with_130_and_the_summary_so_far(start):
    """
    Ctrl-C while input is waited for: no traceback, the summary so far, and 130.
    """
    with start("replay", "-") as process:
        process.stdin.write(json.dumps(TURN).encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline(), "the event is shown while more is waited for"

        process.send_signal(signal.SIGINT)
        out, err = process.communicate()

    assert process.returncode == 130
    assert b"RealtimeModelTurnStartedEvent" in out
    assert b"interrupted" in out
    assert err == b""


@posix
@pytest.mark.slow
def test_interrupt_in_a_handler_ends_with_130(start, write_module, write_frames):
    """
    A KeyboardInterrupt that leaves a sync handler is the same as one between two frames.
    """
    write_module(
        "agent", "@on(RealtimeModelTurnStartedEvent)\ndef begin(event): raise KeyboardInterrupt\n"
    )
    path = write_frames(TURN, TURN)

    with start("replay", str(path), "--app", "agent", "--json") as process:
        out, err = process.communicate()

    assert (process.returncode, err) == (130, b"")
    assert json.loads(out)["summary"]["was_interrupted"]


@posix
@pytest.mark.parametrize("args", [["replay", "call.jsonl"], ["replay", "call.jsonl", "--json"]])
@pytest.mark.slow
def test_broken_pipe_is_quiet(start, write_frames, args):
    """
    When nobody reads stdout any more, the process ends and says nothing.
    """
    write_frames(*[TURN] * 5_000)  # more than a pipe takes

    with start(*args) as process:
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()

    assert err == b""
    assert process.returncode == 1


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="a device of Linux, which is always full")
@pytest.mark.parametrize(
    "args",
    [["replay", "call.jsonl"], ["replay", "call.jsonl", "--json"], ["--help"]],
    ids=" ".join,
)
@pytest.mark.slow
def test_full_disk_is_one_line(start, write_frames, args):
    """
    Output that can't be written ends the process with 1, and stderr says why in one line.
    """
    write_frames(*[TURN] * 1_000)

    with FULL.open("wb") as full, start(*args, stdout=full) as process:
        _, err = process.communicate()

    assert process.returncode == 1
    (line,) = err.decode().splitlines()
    assert line.startswith("Error: ")
    assert "No space left" in line


@posix
@pytest.mark.slow
def test_terminal_gets_colour(run_in_terminal):
    """
    On a terminal the list of events is coloured.
    """
    out, code = run_in_terminal("events")

    assert code == 0
    assert "\x1b[" in out


@posix
@pytest.mark.slow
def test_no_escape_codes_with_no_color(run_in_terminal, write_frames):
    """
    With NO_COLOR set, a terminal gets no escape codes at all: one in a frame is shown as a number.
    """
    write_frames(TURN, {"type": "\x1b[31mred"})

    out, code = run_in_terminal("replay", "call.jsonl", NO_COLOR="1")

    assert code == 0
    assert "turn_started" in out
    assert "\\x1b[31mred" in out
    assert "\x1b" not in out


@pytest.mark.slow
def test_pipe_gets_neither_colour_nor_characters_that_it_lacks(start, write_frames, environment):
    """
    A pipe gets no colour, and characters that ASCII lacks as escapes.
    """
    path = write_frames({"type": "response.created", "response": {"id": "é"}})
    ascii_only = {**environment, "PYTHONIOENCODING": "ascii"}

    with start("replay", str(path), env=ascii_only) as process:
        out, _ = process.communicate()

    assert b"turn_started" in out
    assert b"\x1b" not in out
    assert b"\\xe9" in out


@pytest.mark.slow
def test_json_is_utf_8_whatever_stdout_is(start, write_frames, environment):
    """
    A stdout in ASCII changes nothing of the JSON.
    """
    path = write_frames({"type": "response.created", "response": {"id": "é"}})
    ascii_only = {**environment, "PYTHONIOENCODING": "ascii"}

    with start("replay", str(path), "--json", env=ascii_only) as process:
        out, _ = process.communicate()

    assert "é" in out.decode("utf-8").splitlines()[0]


@pytest.mark.parametrize("package", ["click", "rich"])
def test_missing_extra_is_named_with_its_remedy(start, tmp_path, environment, package):
    """
    Without click or rich there is one line that names the extra to install, and no traceback.
    """
    blocker = f"import sys; sys.modules[{package!r}] = None\n"
    (tmp_path / "sitecustomize.py").write_text(blocker, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])

    with start("demo", env={**environment, "PYTHONPATH": path}) as process:
        out, err = process.communicate()

    assert process.returncode == 1
    assert out == b""
    assert err.decode().splitlines() == [
        (
            f"The command line needs {package}: pip install 'eventbus[cli]', "
            "or in a clone of eventbus: pip install '.[cli]'."
        )
    ]


def test_interrupt_while_it_starts_ends_with_130(start, tmp_path, environment):
    """
    Ctrl-C before there is a command to interrupt is quiet, too.
    """
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])

    with start("demo", env={**environment, "PYTHONPATH": path}) as process:
        out, err = process.communicate()

    assert (process.returncode, out, err) == (130, b"", b"")

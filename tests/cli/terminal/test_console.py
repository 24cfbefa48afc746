"""
`eventbus.cli.terminal.console`: stdout, stderr, and whether somebody looks.
"""

from __future__ import annotations

import pytest
from rich.text import Text

from eventbus.cli.terminal import console
from eventbus.cli.terminal.console import Bar, LiveScreen, Output, PlainScreen


@pytest.fixture
def now(monkeypatch):
    """
    A clock that stands still until it is set.
    """
    time = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: time[0])
    return time


def test_line_is_cut_to_the_terminal(terminal):
    """
    A line that is too long for the terminal ends with an ellipsis.
    """
    with terminal.used():
        Output().line("x" * 50)

    assert terminal.getvalue() == "x" * 39 + "…\n"


def test_line_into_a_pipe_is_whole(capsys):
    """
    A line that goes to no terminal is written as it is, however long.
    """
    Output().line("x" * 500)

    assert capsys.readouterr().out == "x" * 500 + "\n"


def test_json_line_is_always_utf_8(capfdbinary, monkeypatch):
    """
    JSON is written in UTF-8, after the text before it; half a surrogate pair is escaped.
    """
    output = Output()

    output.line("first")
    output.json_line('"é\ud800"')
    output.flush()

    assert capfdbinary.readouterr().out == b'first\n"\xc3\xa9\\ud800"\n'


def test_bar_waits_until_it_takes_long(terminal, now):
    """
    The bar appears after a second, and is gone at the end.
    """
    with terminal.used(), Bar(200).shown() as bar:
        now[0] = 0.5
        bar.update(50)
        assert terminal.getvalue() == ""
        now[0] = 1.5
        bar.update(100)
        assert "50 %" in terminal.getvalue()

    assert terminal.getvalue().endswith("\x1b[2K"), "the bar's line is erased"


@pytest.mark.parametrize(("total", "is_wanted"), [(None, True), (100, False)])
def test_bar_stays_away_where_it_would_tell_nothing(terminal, now, total, is_wanted):
    """
    A pipe of unknown length has no bar; nor has a command that shows its own progress.
    """
    with terminal.used(), Bar(total, is_wanted=is_wanted).shown() as bar:
        now[0] = 5
        bar.update(10)

    assert terminal.getvalue() == ""


def test_bar_is_for_terminals_only(capsys, now):
    """
    A stderr that goes to a file gets no bar.
    """
    with Bar(100).shown() as bar:
        now[0] = 5
        bar.update(10)

    assert capsys.readouterr().err == ""


def test_plain_screen_shows_complete_lines_only(capsys):
    """
    Into a pipe goes a line when it is complete, with its time.
    """
    with PlainScreen(Output(), lambda: 1.25) as screen:
        screen.growing("caller", "Hel")
        screen.line("caller", "Hello")

    assert capsys.readouterr().out == "  1.2 s  caller  Hello\n"


def test_live_screen_shows_what_grows_below_what_is_complete(terminal):
    """
    On a terminal an unfinished line is shown, and makes way for the finished one.
    """
    with terminal.used(), LiveScreen(Output(), lambda: 2.0) as screen:
        screen.growing("agent", "Good")
        screen.growing("agent", "Good day")
        grown = terminal.getvalue()
        screen.line("agent", "Good day to you")

    assert "Good day …" in grown
    rest = terminal.getvalue()[len(grown) :]
    assert "  2.0 s  agent   Good day to you" in rest
    assert "…" not in rest


def test_live_screen_indents_what_it_wraps(terminal):
    """
    The second line of a long text begins below its first word.
    """
    with terminal.used(), LiveScreen(Output(), lambda: 2.0) as screen:
        screen.line("agent", "one two three four five six")

    lines = [line.rstrip() for line in terminal.getvalue().splitlines()]
    first = next(
        index for index, line in enumerate(lines) if line.endswith("one two three four five")
    )
    assert lines[first + 1] == " " * 17 + "six"


def test_forced_colour_goes_into_pipes_and_lines_stay_whole(capsys, monkeypatch):
    """
    With FORCE_COLOR a pipe gets colour; NO_COLOR goes before it.
    """
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    Output().line(Text("x" * 100, "bold red"))
    coloured = capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    Output().line(Text("x" * 100, "bold red"))

    assert "\x1b[1;31m" in coloured
    assert "x" * 100 in coloured
    assert capsys.readouterr().out == "x" * 100 + "\n"

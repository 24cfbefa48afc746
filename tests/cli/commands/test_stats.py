"""
``eventbus stats``.
"""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from eventbus.cli.usage.stats import command
from tests.cli.journals import new_runner, write_journal
from tests.journal.stories import Story


@pytest.fixture
def path(tmp_path):
    return str(write_journal(tmp_path / "call.journal"))


def run(*args):
    return new_runner().invoke(command, [*args])


def test_figures_are_a_table(path):
    """
    Each figure is a row with its count and percentiles; handlers and the call follow.
    """
    result = run(path)

    assert "turn latency                          1    820 ms    820 ms    820 ms" in result.stdout
    assert "  endpointing                         1    450 ms" in result.stdout
    assert "tokens: input 10, output 20, cached 0" in result.stdout
    assert "app.play" in result.stdout
    assert result.exit_code == 0


def test_plots_are_plain_text_in_a_pipe(path):
    """
    The bar of a turn has a letter for each part, and there are no escape codes.
    """
    lines = run(path).stdout.splitlines()

    (bar,) = [line for line in lines if "eeemm" in line]
    letters = bar.split()[-1]
    assert sorted(set(letters), key=letters.index) == ["e", "m", "f", "d"]
    assert "━" in "".join(lines)
    assert "\x1b" not in "".join(lines)


def test_json_has_all_of_it(path):
    """
    With --json there is one object with figures, counts, calls, turns and handlers.
    """
    data = json.loads(run(path, "--json").stdout)

    assert data["schema"] == "eventbus.stats/1"
    assert data["figures"]["turn_latency"]["p95"] == 820.0
    assert data["calls"][0]["turns"][0]["endpointing_ms"] == 450.0
    assert data["counts"]["tokens.total"] == 30
    assert [handler["handler"] for handler in data["handlers"]] == ["app.play"]


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("turn_latency.p95=820ms", 0),
        ("turn_latency.p95=800ms", 1),
        ("crashes=0", 0),
        ("tool_time.p95=1s", 1),
        ("tokens.total=29", 1),
    ],
)
def test_limit_decides_the_exit_code(path, limit, code):
    """
    A figure that is over its limit, or has no values, ends with code 1.
    """
    assert run(path, "--fail-over", limit).exit_code == code


@pytest.mark.parametrize(("options", "code"), [([], 1), (["--allow-estimated"], 0)])
def test_limit_of_an_estimate_has_to_be_allowed(tmp_path, options, code):
    """
    Without the caller's audio the latency is an estimate, and ends with code 1 by itself.
    """
    story = Story()
    story.at(1_000).frame("input_audio_buffer.speech_stopped", item_id="u", audio_end_ms=900)
    story.frame("response.created", response={"id": "resp_1"})
    story.at(1_200).audio(100)
    path = write_journal(tmp_path / "call.journal", story)
    result = run(str(path), "--fail-over", "turn_latency.p95=5s", *options)

    assert result.exit_code == code
    assert "1 of its 1 values are estimates" in result.stdout


def test_all_limits_must_be_kept(path):
    """
    Of several limits, one that is exceeded is enough; each is told.
    """
    result = run(path, "--fail-over", "crashes=0", "--fail-over", "turn_latency.max=1ms")

    assert result.exit_code == 1
    assert "ok    crashes is 0, which is within 0" in result.stdout
    assert "over  turn_latency.max is 820 ms, which is over 1.00 ms" in result.stdout


@pytest.mark.parametrize("limit", ["turn_latency.p95=fast", "turn_latency=1s", "x=1"])
def test_wrong_limit_is_a_wrong_argument(path, limit):
    """
    A limit that can't be parsed is a wrong argument: exit code 2, with the reason on stderr.
    """
    result = run(path, "--fail-over", limit)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"'--fail-over': {limit!r}" in result.stderr.splitlines()[-1]


def test_junit_has_a_case_for_each_limit(path, tmp_path):
    """
    With --junit each limit is a test case, and one that is exceeded a failure.
    """
    report = tmp_path / "report.xml"
    run(path, "--fail-over", "crashes=0", "--fail-over", "turn_latency.max=1ms",
        "--junit", str(report))  # fmt: skip

    suite = ET.parse(report).getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    cases = suite.findall("testcase")
    assert [case.find("failure") is not None for case in cases] == [False, True]


def test_filter_picks_a_call(path):
    """
    With a filter by another sender there is nothing to measure.
    """
    assert "nothing was measured" in run(path, "sender:call-2").stdout


def test_played_by_picks_the_player(path):
    """
    With --played-by other handlers don't count as playing.
    """
    data = json.loads(run(path, "--played-by", "*.nobody", "--json").stdout)

    assert data["calls"][0]["turns"][0]["dispatch_ms"] is None


def test_what_went_wrong_is_told(tmp_path):
    """
    Crashes, calls that never ended and drops are told with their handler.
    """
    story = Story()
    event = story.frame("response.created", response={"id": "resp_1"})
    story.call("app.bad", event, error="no")
    story.call("app.hung", event, run_ms=None)
    story.drop("app.slow", 3)
    result = run(str(write_journal(tmp_path / "call.journal", story)))

    assert "crashes: 1, unfinished: 1, drops: 3" in result.stdout
    assert "1 crashed" in result.stdout
    assert "3 dropped" in result.stdout


def test_report_is_never_written_over_the_journal(path):
    """
    --junit refuses the journal itself, and says so.
    """
    before = Path(path).read_bytes()
    result = run(path, "--fail-over", "crashes=0", "--junit", path)

    assert result.exit_code == 2
    assert "is what is being read" in result.stderr
    assert Path(path).read_bytes() == before


def test_report_that_cant_be_written_is_one_line(path):
    """
    It is named with the remedy, and the exit code is 1.
    """
    result = run(path, "--junit", "no/such/folder.xml")

    assert result.exit_code == 1
    assert result.stderr == (
        "Error: no/such/folder.xml can't be written: No such file or directory. "
        "Give a path in a folder that is there and has room.\n"
    )


def test_tables_fit_into_80_columns(path, terminal, monkeypatch):
    """
    On a terminal of the usual width no line is cut off.
    """
    monkeypatch.setenv("COLUMNS", "80")
    with terminal.used():
        command.main([path], standalone_mode=False)

    assert "queued p95\n" in terminal.getvalue()
    assert "…" not in terminal.getvalue()

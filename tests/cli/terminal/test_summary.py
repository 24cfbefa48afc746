"""
`eventbus.cli.terminal.summary`: the lines at the end.
"""

from __future__ import annotations

import json

import attrs

from eventbus.cli.terminal.summary import summary_json, summary_lines
from eventbus.telemetry import CallSummary, CrashSummary, EventSummary, Summary

NOTHING = Summary((), (), (), 0, 0, 0, (), 0)
MUCH = Summary(
    events=(
        EventSummary("Frame", 12, 11, is_raw=True),
        EventSummary("Audio", 10, 2),
        EventSummary("Text", 3, 3),
        EventSummary("Other", 4, 0, repeating=4),
    ),
    calls=(CallSummary("agent.deeply.nested.module.Listener.play", 8, 0.012, 5.5, 20_400.0),),
    crashes=(
        CrashSummary("agent.play", "Audio", "ValueError: no", "agent.py:7", 2),
        CrashSummary("agent.stop", "Text", "TimeoutError", None, 1),
    ),
    published=31,
    crashed=4,
    dropped=6,
    dropped_by=("agent.play",),
    purged=5,
    bad_lines=2,
    was_interrupted=True,
)


def lines_of(summary, width=None):
    return [line.plain for line in summary_lines(summary, width)]


def test_summary_of_nothing_says_so():
    """
    A replay without events has a summary without tables of calls, crashes and drops.
    """
    assert lines_of(NOTHING)[-2:] == ["crashes: none", "drops: none"]


def test_summary_tells_everything():
    """
    Events, calls with their times, crashes with their place, drops and the rest are all told.
    """
    told = [" ".join(line.split()) for line in lines_of(MUCH)]

    assert told[1:] == [
        "events count handled unhandled",
        "Audio 10 8 2",
        "Text 3 0 3",
        "all 13 8 5",
        "and 12 raw events (frames), 1 of them handled",
        "and 4 that repeat what others say, and need no handler",
        "and 2 that middleware kept back",
        "",
        "handler calls count p50 p95 max",
        "agent.deeply.nested.module.Listener.play 8 12 µs 5.50 ms 20.4 s",
        "",
        "crashes: 4",
        "agent.play on Audio, 2 times",
        "ValueError: no (agent.py:7)",
        "agent.stop on Text, once",
        "TimeoutError",
        "and 1 that middleware kept back",
        "drops: 6, in the mailboxes of agent.play",
        "purged: 5 that a later event made obsolete while they waited",
        "bad lines: 2",
        "interrupted: this is what had happened by then",
    ]


def test_tables_fit_the_terminal_and_keep_their_numbers():
    """
    In a narrow terminal names lose their beginning, and no number is lost.
    """
    tables = lines_of(MUCH, 60)[1:11]

    assert max(map(len, tables)) <= 60
    assert "…" in tables[-1]
    assert "Listener.play" in tables[-1]
    assert tables[-1].endswith("20.4 s")


def test_json_has_the_same_facts():
    """
    As JSON the summary is one object in one line, with everything that the text tells.
    """
    text = summary_json(MUCH)
    data = json.loads(text)["summary"]

    assert "\n" not in text
    assert data["events"][:2] == [
        {"event": "Frame", "count": 12, "handled": 1, "unhandled": 11, "repeating": 0},
        {"event": "Audio", "count": 10, "handled": 8, "unhandled": 2, "repeating": 0},
    ]
    assert data["calls"] == [attrs.asdict(MUCH.calls[0])]
    assert data["crashes"][0]["where"] == "agent.py:7"
    assert (data["handled"], data["unhandled"], data["dropped"]) == (8, 5, 6)
    assert data["repeating"] == 4

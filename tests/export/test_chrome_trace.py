"""
`eventbus.export._chrome_trace`: handler calls, for trace viewers.
"""

from __future__ import annotations

import io
import json

from eventbus.analysis import RecordView
from eventbus.export import write_chrome_trace
from eventbus.journal import GapRecord
from tests.journal.stories import BEGINNING, Story, spoken_turn


def trace(*stories):
    file = io.StringIO()
    records = [record for story in stories for record in story.records]
    write_chrome_trace([RecordView(record, BEGINNING) for record in records], file)
    return json.loads(file.getvalue())["traceEvents"]


def test_call_is_complete_with_its_time():
    """
    A call is an entry with its beginning and duration in microseconds.
    """
    (call,) = [entry for entry in trace(spoken_turn()) if entry["ph"] == "X"]

    assert (call["name"], call["ts"], call["dur"]) == ("app.play", 2_520_000.0, 10_000.0)


def test_sessions_are_processes_and_handlers_their_threads():
    """
    Each session has a process with its name, each handler a thread of it.
    """
    entries = trace(spoken_turn(), spoken_turn(), Story("call-2").at(0))
    other = Story("call-2")
    other.call("app.play", 1)
    entries = trace(spoken_turn(), other)
    names = {
        (entry["name"], entry["pid"], entry["args"]["name"])
        for entry in entries
        if entry["ph"] == "M"
    }

    assert {name for name in names if name[0] == "process_name"} == {
        ("process_name", 1, "call-1"),
        ("process_name", 2, "call-2"),
    }
    assert ("thread_name", 2, "app.play") in names


def test_call_that_never_ended_has_only_begun():
    """
    A call without an end is an entry that is never closed, one with two records is complete.
    """
    story = Story()
    story.at(1).call("app.hung", 1, run_ms=None)
    (entry,) = [entry for entry in trace(story) if entry["ph"] in "BX"]

    assert (entry["ph"], entry["ts"]) == ("B", 1_000.0)


def test_crash_names_its_class_and_not_what_it_said():
    """
    A trace has no content.
    """
    story = Story()
    story.call("app.play", 1, error="secret")
    (call,) = [entry for entry in trace(story) if entry["ph"] == "X"]

    assert call["args"]["error"] == "builtins.ValueError"
    assert "secret" not in json.dumps(trace(story))


def test_nothing_is_a_trace_too():
    """
    Without records, or with a gap alone, it is valid JSON.
    """
    story = Story()
    story.add(GapRecord)

    assert trace() == []
    assert [entry["s"] for entry in trace(story) if entry["ph"] == "i"] == ["g"]

"""
`eventbus.analysis._stats`: figures of a journal.
"""

from __future__ import annotations

import pytest

from eventbus.analysis import measure, parse_filter
from eventbus.events import RealtimeModelExceptionEvent, RealtimeModelToolCallEvent
from eventbus.journal import GapRecord
from tests.journal.stories import Story, spoken_turn


def test_calls_are_measured_by_sender():
    """
    Each session is a call of its own, and the totals are over all of them.
    """
    first, second = spoken_turn(), Story("call-2")
    second.at(3_000).session()
    records = [*first.records, *second.records[1:]]
    figures = measure(records)

    assert [call.sender for call in figures.calls] == ["call-1", "call-2"]
    assert (figures.calls[1].start_ms, figures.calls[1].duration_ms) == (3_000.0, 0.0)
    assert figures.totals.counts["turns"] == 1
    assert figures.totals.counts["tokens.total"] == 30


def test_handlers_are_measured_by_name():
    """
    Queue and run time, crashes, drops and calls that never ended are counted for each handler.
    """
    story = Story()
    event = story.frame("response.created", response={"id": "resp_1"})
    for ms in (1, 2, 3):
        story.at(ms).call("app.slow", event, queued_ms=ms * 10, run_ms=ms)
    story.call("app.slow", event, run_ms=4, error="no")
    story.call("app.hung", event, run_ms=None)
    story.drop("app.slow", 7)
    story.drop("app.slow", 100, reason="purged")
    slow, hung = measure(story.records).handlers

    assert (slow.count, slow.crashes, slow.drops, slow.unfinished) == (4, 1, 7, 0)
    assert (slow.queued.p50, slow.queued.count, slow.run.max) == (20.0, 3, 4.0)
    assert (hung.count, hung.unfinished, hung.run) == (1, 1, None)


def test_call_with_two_records_counts_once():
    """
    The record of a call's beginning is forgotten when that of its end comes.
    """
    story = Story()
    event = story.frame("response.created", response={"id": "resp_1"})
    call = story.call("app.slow", event, run_ms=None)
    story.at(5).call("app.slow", event, run_ms=5)
    (begun, ended) = story.records[-2:]
    story.records[-1] = type(ended)(**{**_fields(ended), "call": call})
    (slow,) = measure(story.records).handlers

    assert begun.state == "started"
    assert (slow.count, slow.unfinished) == (1, 0)


def _fields(record):
    return {name: getattr(record, name) for name in ("seq", "mono_ns", "sender", "cause")} | {
        "handler": record.handler,
        "started_ns": record.started_ns,
        "run_ns": record.run_ns,
    }


def test_gaps_are_counted():
    """
    Figures of a journal that lacks records say so.
    """
    story = spoken_turn()
    story.add(GapRecord, first_seq=3, last_seq=4, sender=None)

    assert measure(story.records).totals.counts["gaps"] == 1


def test_filter_picks_what_counts():
    """
    With a filter by sender, the other calls are as if they weren't there.
    """
    records = [*spoken_turn().records, *Story("call-2").at(9_000).records]
    figures = measure(records, where=parse_filter("sender:call-1").matches)

    assert [call.sender for call in figures.calls] == ["call-1"]


def test_nothing_has_no_figures():
    """
    Without records there are no calls, no times, and counts of zero.
    """
    figures = measure([])

    assert (figures.calls, figures.handlers, dict(figures.totals.figures)) == ((), (), {})
    assert set(figures.totals.counts.values()) == {0}


def test_tool_calls_that_failed_are_counted():
    """
    An exception that the session reports of a tool counts, a handler's of the same event doesn't.
    """
    story = Story()
    calls = [
        RealtimeModelToolCallEvent(name, f"call-{name}", "{}") for name in ("find", "book", "ring")
    ]
    for call in calls:
        story.event(call)
    for call, context in zip(
        calls, ("running the tool find", "app.show failed on it", ""), strict=True
    ):
        story.event(RealtimeModelExceptionEvent(ValueError("no"), context, event=call))
    story.event(RealtimeModelExceptionEvent(ValueError("no"), "running the tool of nobody"))

    figures = measure(story.records)

    failed = {tool.name for tool in figures.calls[0].tool_calls if tool.is_failed}
    assert failed == {"find", "ring"}  # the context of the last was withheld
    assert figures.totals.counts["tool_failures"] == 2


@pytest.mark.parametrize("given", ["call.journal", 5, None], ids=str)
def test_path_is_not_taken_for_records(given):
    """
    The error says how to open one.
    """
    with pytest.raises(TypeError, match=r"records of one, not .*open_journal\(\)"):
        measure(given)

"""
`eventbus.replay._diff`: two journals, beside each other.
"""

from __future__ import annotations

import pytest

from eventbus.analysis import RecordView
from eventbus.events import RealtimeModelOtherEvent, RealtimeModelTurnStartedEvent
from eventbus.journal import StatusRecord
from eventbus.replay import differences
from eventbus.replay._diff import MAX_ALIGNED
from tests.journal.stories import Story, spoken_turn


def facts(story):
    return [RecordView(record) for record in story.records]


def told(left, right, **options):
    """
    Return the differences: kind, the field, and the two values.
    """
    found = differences(facts(left), facts(right), **options)
    return [(each.kind, each.field, each.detail) for each in found]


def story_of(*events):
    story = Story()
    for event in events:
        story.event(event)
    return story


def test_same_journal_has_no_difference():
    """
    A journal is the same as itself.
    """
    assert told(spoken_turn(), spoken_turn(), calls=True) == []


def test_times_and_ids_do_not_count():
    """
    Another run of the same, with other ids at another time, is the same, unless ids count.
    """
    left, right = Story("a"), Story("b")
    for story, name in ((left, "x"), (right, "y")):
        story.at(len(name) * 7).frame("response.created", response={"id": name})
        story.at(90).audio(20, item=f"item_{name}", response=name)

    assert told(left, right) == []
    assert [field for _, field, _ in told(left, right, ids=True)] == ["response_id"] * 2


def test_ids_that_belong_together_do_count():
    """
    An id that is another one's where it was the same before is a difference.
    """
    left = story_of(*map(RealtimeModelTurnStartedEvent, ("a", "b", "a")))
    right = story_of(*map(RealtimeModelTurnStartedEvent, ("a", "b", "b")))

    assert told(left, right) == [("changed", "response_id", ("'#1'", "'#2'"))]


def test_change_names_the_field():
    """
    Two events of one type in the same place are one change, told without content.
    """
    left = story_of(RealtimeModelOtherEvent({"note": "Hello"}))
    right = story_of(RealtimeModelOtherEvent({"note": "Goodbye"}))

    assert told(left, right) == [("changed", "data.note", ("<5 characters>", "<7 characters>"))]


def test_missing_and_added_events_are_found():
    """
    An additional event is reported in its place, and the rest is equal.
    """
    ping = RealtimeModelOtherEvent("ping")
    begun = RealtimeModelTurnStartedEvent()
    left, right = story_of(ping, begun, ping, ping), story_of(ping, ping, ping, begun)

    assert told(left, right) == [("removed", "", ("", "")), ("added", "", ("", ""))]


def test_status_of_the_connection_counts():
    """
    A change of the connection is compared, too.
    """
    left, right = Story(), Story()
    left.add(StatusRecord, status="connected")
    right.add(StatusRecord, status="disconnected")

    assert told(left, right) == [("changed", "status", ("'connected'", "'disconnected'"))]


@pytest.mark.parametrize(("calls", "count"), [(False, 0), (True, 1)])
def test_handler_calls_count_if_that_is_asked_for(calls, count):
    """
    With calls, a call that is missing is a difference.
    """
    left, right = Story(), Story()
    left.call("app.play", 1)

    assert len(told(left, right, calls=calls)) == count


def test_long_differences_are_not_aligned():
    """
    Of journals that have little in common, the first difference is told, and that there are more.
    """
    many = [RealtimeModelOtherEvent(number) for number in range(MAX_ALIGNED + 1)]
    found = list(
        differences(facts(story_of(*many)), facts(story_of(*map(type(many[0]), "x" * 2_100))))
    )

    assert [each.is_last for each in found] == [True]

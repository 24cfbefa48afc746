"""
``eventbus show``.
"""

from __future__ import annotations

import json

import pytest

from eventbus.cli.usage.show import command
from eventbus.events import RealtimeModelOtherEvent
from eventbus.journal import CallRecord
from tests.cli.journals import new_runner, write_journal
from tests.journal.stories import Story


@pytest.fixture
def story():
    """
    A frame, its event, a handler call for that, and the events that the handler published.
    """
    story = Story()
    story.at(10).audio(200)
    call = story.at(20).call("app.play", 2)
    story.event(RealtimeModelOtherEvent("from the handler"), cause=call)
    story.event(RealtimeModelOtherEvent("from elsewhere"))
    return story


@pytest.fixture
def path(tmp_path, story):
    return str(write_journal(tmp_path / "call.journal", story))


def test_event_is_shown_between_its_causes_and_effects(path):
    """
    The frame comes first, then the event with its content, then the call and its effects.
    """
    lines = new_runner().invoke(command, [path, "2"]).stdout.splitlines()

    numbered = [line.split()[0] for line in lines if line[:7].strip().isdigit()]
    assert numbered == ["1", "2", "3", "4"]
    assert '           "data": "<9600 bytes>",' in lines


def test_causes_of_a_call_lead_back_to_the_frame(path):
    """
    An event that a handler published leads back to the call, its event and the frame.
    """
    data = json.loads(new_runner().invoke(command, [path, "4", "--json"]).stdout)

    assert [cause["kind"] for cause in data["causes"]] == ["frame", "event", "call"]
    assert data["record"]["seq"] == 4
    assert data["effects"] == []


def test_crash_is_shown_with_its_message(tmp_path):
    """
    A call that failed is a line with its exception.
    """
    story = Story()
    story.call("app.play", 0, error="no speaker")
    path = write_journal(tmp_path / "call.journal", story)

    assert "crashed: builtins.ValueError: no speaker" in (
        new_runner().invoke(command, [str(path), "1"]).stdout
    )


def test_number_that_is_not_there_is_one_line(path):
    """
    A number beyond the end is an error that names the last one.
    """
    result = new_runner().invoke(command, [path, "99"])

    assert result.exit_code == 3
    assert "has no record 99; its last one is 6" in result.stderr


def late_story():
    """
    A frame with an event that is handled a second later, and once more after two minutes.
    """
    story = Story()
    event = story.at(10).audio(200)
    story.at(1_000).call("app.soon", event)
    for ms in range(2_000, 120_000, 1_000):
        story.at(ms).frame("response.created", response={"id": "resp_2"})
    story.at(120_000).call("app.late", event)
    return story


@pytest.mark.parametrize(
    ("options", "handlers"), [([], ["app.soon"]), (["--all"], ["app.soon", "app.late"])]
)
def test_effects_are_looked_for_while_there_may_be_some(tmp_path, options, handlers):
    """
    A long journal is not read to its end for one record, unless that is asked for.
    """
    path = write_journal(tmp_path / "call.journal", late_story())
    data = json.loads(new_runner().invoke(command, [str(path), "2", "--json", *options]).stdout)

    assert [effect["handler"] for effect in data["effects"]] == handlers


def test_end_of_a_call_is_looked_for_however_late_it_is(tmp_path):
    """
    A call that was running has its end among the effects.
    """
    story = Story()
    event = story.at(10).audio(200)
    call = story.call("app.slow", event, run_ms=None)
    for ms in range(2_000, 120_000, 1_000):
        story.at(ms).frame("response.created", response={"id": "resp_2"})
    story.add(CallRecord, cause=event, call=call, handler="app.slow", run_ns=119_990_000_000)
    path = write_journal(tmp_path / "call.journal", story)
    data = json.loads(new_runner().invoke(command, [str(path), "2", "--json"]).stdout)

    assert [effect["state"] for effect in data["effects"]] == ["started", "finished"]

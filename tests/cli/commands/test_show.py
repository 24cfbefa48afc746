"""
``eventbus show``.
"""

from __future__ import annotations

import json

import pytest

from eventbus.cli.commands.show import command
from eventbus.events import RealtimeModelOtherEvent
from tests.cli.journals import new_runner, write_journal
from tests.journal.stories import Story


@pytest.fixture
def story():
    """
    A frame, its event, a call of a handler for that, and what the handler has published.
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
    The frame comes first, then the event with its content, then the call and what came of it.
    """
    lines = new_runner().invoke(command, [path, "2"]).stdout.splitlines()

    numbered = [line.split()[0] for line in lines if line[:7].strip().isdigit()]
    assert numbered == ["1", "2", "3", "4"]
    assert '           "data": "<9600 bytes>",' in lines


def test_causes_of_a_call_lead_back_to_the_frame(path):
    """
    What a handler has published leads back to the call, its event and the frame.
    """
    data = json.loads(new_runner().invoke(command, [path, "4", "--json"]).stdout)

    assert [cause["kind"] for cause in data["causes"]] == ["frame", "event", "call"]
    assert data["record"]["seq"] == 4
    assert data["effects"] == []


def test_crash_is_shown_with_its_message(tmp_path):
    """
    A call that failed is a line with what was raised.
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

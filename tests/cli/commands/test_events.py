"""
``eventbus events``.
"""

from __future__ import annotations

import json

import pytest

from eventbus.events import EVENT_TYPES, RealtimeModelAudioEvent


def test_every_class_is_listed_in_a_line_with_tabs(run):
    """
    Into a pipe each class is one line: type name, class, fields, source.
    """
    result = run("events")

    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [row[0] for row in rows] == [*EVENT_TYPES]
    assert [
        "audio",
        "RealtimeModelAudioEvent",
        "data, response_id, item_id, content_index",
        "OpenAI response.output_audio.delta; beta response.audio.delta",
    ] in rows


def test_every_class_has_a_source(run):
    """
    No docstring of the vocabulary lacks its section Source.
    """
    rows = [line.split("\t") for line in run("events").stdout.splitlines()]

    # Other tests of the same process may have registered classes of their own.
    ours = {name for name, cls in EVENT_TYPES.items() if cls.__module__ == "eventbus.events"}
    assert [row[0] for row in rows if row[0] in ours and not row[3]] == []


def test_json_has_an_object_for_each_class(run):
    """
    With --json each line is an object with the same facts, and the first line of the class's
    docstring.
    """
    rows = [json.loads(line) for line in run("events", "--json").stdout.splitlines()]

    assert [row["type"] for row in rows] == [*EVENT_TYPES]
    (audio,) = [row for row in rows if row["class"] == RealtimeModelAudioEvent.__name__]
    assert audio["fields"] == ["data", "response_id", "item_id", "content_index"]
    assert audio["about"].startswith("A piece of the model's speech")


def test_events_of_sessions_are_listed():
    """
    The classes that a session publishes are there, with names that begin with session.
    """
    rows = {name: cls.__name__ for name, cls in EVENT_TYPES.items()}

    assert rows["session.tool_end"] == "RealtimeToolEnd"


def test_names_pick_events(run):
    """
    Events are picked by type or class, in that order.
    """
    result = run("events", "turn_ended", "RealtimeToolEnd")

    assert [line.split("\t")[1] for line in result.stdout.splitlines()] == [
        "RealtimeModelTurnEndedEvent",
        "RealtimeToolEnd",
    ]


@pytest.mark.parametrize(
    ("name", "hint"), [("turn_endet", "did you mean turn_ended?"), ("xyz", "lists them")]
)
def test_unknown_event_has_a_suggestion(run, name, hint):
    """
    A name that is misspelt ends with code 2 and the nearest one.
    """
    result = run("events", name)

    assert result.exit_code == 2
    assert hint in result.stderr

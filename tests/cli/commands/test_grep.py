"""
``eventbus grep``.
"""

from __future__ import annotations

import json

import pytest

from eventbus.cli.usage.grep import command
from tests.cli.journals import new_runner, write_journal


@pytest.fixture
def path(tmp_path):
    return str(write_journal(tmp_path / "call.journal"))


def test_matching_records_are_lines(path):
    """
    Each record that matches all the terms is a line with its number, time, session and kind.
    """
    result = new_runner().invoke(command, [path, "is:event", "hello"])

    (line,) = result.stdout.splitlines()
    assert line.split()[1:6] == [
        "2.600",
        "s",
        "call-1",
        "event",
        "input_audio_transcription_completed",
    ]
    assert result.exit_code == 0


def test_nothing_found_is_exit_code_1(path):
    """
    As with grep, the exit code tells whether there is a match.
    """
    result = new_runner().invoke(command, [path, "is:crash"])

    assert (result.exit_code, result.stdout) == (1, "")


def test_count_is_a_number(path):
    """
    With --count only the number of matches is written; as JSON, with its schema.
    """
    assert new_runner().invoke(command, [path, "is:sent", "--count"]).stdout == "100\n"
    result = new_runner().invoke(command, [path, "is:crash", "-c", "--json"])
    assert json.loads(result.stdout) == {"schema": "eventbus.count/1", "records": 0}


def test_json_is_a_record_a_line(path):
    """
    With --json each match is an object with the record's data.
    """
    result = new_runner().invoke(command, [path, "handler:app.*", "--json"])

    assert [json.loads(line)["handler"] for line in result.stdout.splitlines()] == ["app.play"]


def test_time_is_counted_from_the_beginning(path):
    """
    A journal is read only where a filter by time can match, and its times stay the same.
    """
    result = new_runner().invoke(command, [path, "t:2.5s..2.55s"])

    assert [line.split()[1] for line in result.stdout.splitlines()] == ["2.500", "2.500", "2.530"]


@pytest.mark.parametrize(
    ("term", "meant"),
    [
        ("type:audoi", "audio"),
        ("type:transcript_dleta,usage_", "transcript_delta"),
        ("type:RealtimeModelAudioEvnt", "RealtimeModelAudioEvent"),
        ("type:response.output_audio.detla", "response.output_audio.delta"),
        ("type:serverContent.modelTrun", "serverContent.modelTurn"),
        ("type:session.output_transcript.detla", "session.output_transcript.delta"),
    ],
)
def test_type_that_may_be_misspelled_is_asked_about(path, term, meant):
    """
    If nothing matches, stderr names a known type that is close to the given one.
    """
    result = new_runner().invoke(command, [path, term])

    assert result.exit_code == 1
    assert f"did you mean type:{meant}?" in result.stderr


def test_type_that_nothing_has_is_asked_about_beside_one_that_is_there(path):
    """
    One of several names may be misspelled, and records of the others are found all the same.
    """
    result = new_runner().invoke(command, [path, "type:audio,transcript_dleta"])

    assert result.exit_code == 0
    assert result.stdout
    assert result.stderr == (
        "No record has the type 'transcript_dleta'; did you mean type:transcript_delta?\n"
    )


@pytest.mark.parametrize("term", ["type:usage", "type:audio*", "type:my.own.Event", "!type:audoi"])
def test_type_that_may_be_meant_is_not_asked_about(path, term):
    """
    Neither is a known type, one with a wildcard, nor a class that nobody here knows.
    """
    assert new_runner().invoke(command, [path, term, "is:event"]).stderr == ""

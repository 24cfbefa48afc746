"""
``eventbus diff``.
"""

from __future__ import annotations

import json

import pytest

from eventbus.cli.usage.diff import command
from eventbus.events import RealtimeModelOtherEvent
from tests.cli.journals import damaged, new_runner, write_journal
from tests.journal.stories import Story, spoken_turn


@pytest.fixture
def paths(tmp_path):
    """
    Two journals: one event is otherwise in the second, and one is not there.
    """
    left, right = Story(), Story()
    for story, note in ((left, "Hello"), (right, "Bye")):
        story.event(RealtimeModelOtherEvent({"note": note}))
    left.at(20).event(RealtimeModelOtherEvent(None))
    return [
        str(write_journal(tmp_path / "a.journal", left)),
        str(write_journal(tmp_path / "b.journal", right)),
    ]


def test_equal_journals_have_no_output(tmp_path):
    """
    Two journals of the same call give nothing, and exit code 0.
    """
    story = spoken_turn()
    story.sender = "another"
    paths = [write_journal(tmp_path / name) for name in ("a.journal", "b.journal")]
    result = new_runner().invoke(command, [*map(str, paths)])

    assert (result.exit_code, result.output) == (0, "")


def test_differences_are_lines(paths):
    """
    A changed event has both lines and its field, without content; a removed one has one line.
    """
    result = new_runner().invoke(command, paths)
    lines = result.stdout.splitlines()

    assert result.exit_code == 1
    assert [line[:2].strip() for line in lines] == ["-", "+", "", "-"]
    assert lines[2] == "    data.note: <5 characters>, then <3 characters>"


def test_json_is_a_difference_a_line(paths):
    """
    With --json each difference is an object.
    """
    result = new_runner().invoke(command, [*paths, "--json"])
    changed, removed = map(json.loads, result.stdout.splitlines())

    assert (changed["kind"], changed["field"]) == ("changed", "data.note")
    assert (removed["kind"], removed["right"], removed["left"]["t_ms"]) == ("removed", None, 20.0)


def test_no_more_than_asked_for(paths):
    """
    With -n so many differences are written, and that there are more is said on stderr.
    """
    result = new_runner().invoke(command, [*paths, "-n", "1"])

    assert len(result.stdout.splitlines()) == 3
    assert "more than 1 differences" in result.stderr


def test_filter_leaves_out_differences(paths):
    """
    Records that don't match the filter are not compared.
    """
    result = new_runner().invoke(command, [*paths, "!type:other"])

    assert result.exit_code == 0


def test_damage_of_either_is_exit_code_3(paths, tmp_path):
    """
    If one of them is damaged, the answer can't be trusted.
    """
    path = damaged(write_journal(tmp_path / "c.journal"))

    assert new_runner().invoke(command, [paths[0], str(path)]).exit_code == 3

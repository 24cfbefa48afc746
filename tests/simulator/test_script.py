"""
The parts of a scenario are checked when it is made.
"""

from __future__ import annotations

import datetime as dt

import pytest

from eventbus.exceptions import ScenarioError
from eventbus.simulator import Fault
from eventbus.simulator.scenario import Call, Pace, Turn, When


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (When, "It has no condition; there are text, matches, turn, tool, output"),
        (lambda: When(matches="("), "matches is no regular expression: missing \\)"),
        (lambda: When(turn=0), "turn is a whole number from 1 on, not 0"),
        (lambda: Turn(then=Turn(say="x")), "then comes after a tool's output"),
        (lambda: Turn(call=Call("a"), then=Turn(hear="x")), "then has no when and no hear"),
        (
            lambda: Turn(call=Call("a"), then=Turn(when=When(turn=1))),
            "then has no when and no hear",
        ),
        (lambda: Turn(hear="x", when=When(text="y")), "hear decides what the words are"),
        (lambda: Turn(faults="drop@2"), "drop@2 can't be a fault of a turn.*or write drop."),
        (lambda: Turn(faults="drop@frame:1"), "can't be a fault of a turn"),
        (lambda: Turn(faults="refuse"), "can't be a fault of a turn"),
        (
            lambda: Call("a", {"day": dt.date(2026, 1, 1)}),
            "date is not JSON serializable; put quotes",
        ),
        (lambda: Call("a", {"b": float("nan")}), "can't be written as JSON"),
        (lambda: Call("a", 3), "arguments is a mapping, or a text"),
        (lambda: Pace(chunk_ms=1), "chunk_ms is a whole number from 10 to 10000"),
        (lambda: Pace(jitter=1.5), "jitter is a number from 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    """
    Each is a ScenarioError with the remedy in its message.
    """
    with pytest.raises(ScenarioError, match=message):
        make()


def test_one_call_needs_no_list():
    """
    One call or several: a turn has a tuple of them, and of faults, which may be text.
    """
    turn = Turn(call=Call("a"), faults="drop")

    assert turn.call == (Call("a"),)
    assert turn.faults == (Fault("drop"),)


@pytest.mark.parametrize(
    ("turn", "path"),
    [
        (Turn(say="{usr}"), "say"),
        (Turn(call=[Call("a"), Call("{usr}")]), "call[1].tool"),
        (Turn(call=Call("a", {"b": {"c": ["{usr}"]}})), "call[0].arguments.b.c[0]"),
        (Turn(call=Call("a"), then=Turn(say="{usr}")), "then.say"),
    ],
)
def test_unknown_placeholder_is_found_anywhere(turn, path):
    """
    In words, in names and arguments, and in the words after the call.
    """
    with pytest.raises(ScenarioError, match=r"There is no placeholder \{usr\}; ") as caught:
        turn.check_placeholders()

    assert caught.value.path == path


def test_groups_are_placeholders_of_the_turn_and_of_what_follows():
    """
    A named group of matches can be used in the turn, its calls and its then.
    """
    turn = Turn(
        when=When(matches="to (?P<city>.*)"),
        call=Call("fly", {"to": "{city}"}),
        then=Turn(say="{city}"),
    )

    turn.check_placeholders()


def test_arguments_that_are_text_have_no_placeholders():
    """
    Such a text is sent as it is, without filling in placeholders.
    """
    Turn(call=Call("a", "{nonsense}")).check_placeholders()

"""
Placeholders are filled in, and unknown ones are found before anything is said.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.exceptions import ScenarioError
from eventbus.simulator._script.placeholders import check, fill, fill_all

VALUES = {"user": "Ann", "output": {"days": [{"t": 4.5}], "rain": True}, "turn": 2}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Hi {user}!", "Hi Ann!"),
        ("{output.days.0.t} degrees", "4.5 degrees"),
        ("{output.days}", '[{"t": 4.5}]'),
        ("rain: {output.rain}", "rain: true"),
        ("{output.snow} of it", "(no output.snow) of it"),
        ("{output.days.7}", "(no output.days.7)"),
        ("{{user}} is {user}", "{user} is Ann"),
        ('{"a": 1}', '{"a": 1}'),
        ("{ user }", "{ user }"),
    ],
)
def test_placeholders_are_filled_in(text, filled):
    """
    Names and ways into a value are looked up; other braces are just braces.
    """
    assert fill(text, VALUES) == filled


def test_text_that_is_one_placeholder_keeps_its_type():
    """
    A number stays a number, however deep; within a longer text it becomes text.
    """
    given_ = {"n": "{turn}", "list": ["{output.days}", 3, None, "nr {turn}"]}

    assert fill_all(given_, VALUES) == {"n": 2, "list": [[{"t": 4.5}], 3, None, "nr 2"]}


@settings(max_examples=30)
@given(st.text())
def test_words_of_a_user_are_never_filled_in(words):
    """
    Braces in a value stay as they are: the words of users aren't part of a scenario.
    """
    assert fill("{user}", {"user": words}) == words


def test_unknown_placeholder_is_found_with_its_path():
    """
    The message has the nearest name, the path leads to the text.
    """
    with pytest.raises(
        ScenarioError, match=r"no placeholder {usr}; did you mean {user}\?"
    ) as caught:
        check({"a": ["{user}", "{usr}"]}, ["user", "turn"])

    assert caught.value.path == "a[1]"

"""
A fault knows the way from the whole to the value.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.codec._faults import Fault, each, each_value, part, shown, unexpected


def refuse_three(value):
    if value == 3:
        msg = "three"
        raise Fault(msg)
    return value


@pytest.mark.parametrize(
    ("function", "path"),
    [
        (lambda: each(refuse_three, [1, 2, 3]), "$[2]"),
        (lambda: each_value(refuse_three, {"a": 1, "b": 3}), "$.b"),
        (lambda: part({"a": 3}, "a", refuse_three), "$.a"),
        (lambda: part({}, "a", refuse_three), "$.a"),
        (
            lambda: each(lambda inner: each_value(refuse_three, inner), [{}, {"x y": 3}]),
            "$[1]['x y']",
        ),
    ],
)
def test_path_has_each_step_to_the_value(function, path):
    """
    Indexes and keys stand in the order in which one follows them.
    """
    with pytest.raises(Fault) as caught:
        function()

    assert caught.value.path == path


@given(st.lists(st.text() | st.integers()))
def test_path_can_be_printed_anywhere(steps):
    """
    With any keys, the path is ASCII without a line break, or has letters of an identifier.
    """
    path = Fault("", *steps).path

    path.encode()
    assert path.isprintable()


def test_shown_value_is_short_and_ascii():
    """
    A message has the start of a long value, and no character that a terminal can't show.
    """
    text = shown("\ud800" * 1000)

    assert text.isascii()
    assert len(text) < 70


def test_unexpected_value_is_not_quoted():
    """
    The message has the value's class, and nothing of the value.
    """
    assert unexpected("secret", "int").problem == "expected int, not str."

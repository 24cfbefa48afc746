"""
`eventbus.cli.exits`: which code it is, if several could be.
"""

from __future__ import annotations

import attrs
import pytest

from eventbus.cli.exits import exit_code
from eventbus.cli.recorder import Summary

FINE = Summary((), (), (), 0, 0, 0, (), 0)


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({}, 0),
        ({"dropped": 3, "purged": 2}, 0),
        ({"crashed": 1}, 5),
        ({"bad_lines": 1}, 3),
        ({"bad_lines": 1, "crashed": 1}, 3),
        ({"was_interrupted": True, "bad_lines": 1, "crashed": 1}, 130),
    ],
)
def test_worst_outcome_decides(facts, code):
    """
    An interruption comes before bad input, and that before a crash; drops are no failure.
    """
    assert exit_code(attrs.evolve(FINE, **facts)) == code

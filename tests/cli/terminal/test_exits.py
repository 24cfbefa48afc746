"""
`eventbus.cli.terminal.exits`: which code it is, if several could be.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.cli.terminal.exits import exit_code, unreadable, unwritable
from eventbus.telemetry import Summary

ERRORS = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.ENOSPC, errno.EIO)
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


@given(
    name=st.text(min_size=1).filter(lambda name: "\0" not in name), number=st.sampled_from(ERRORS)
)
def test_input_and_output_end_with_one_line(name, number):
    """
    With any name and reason, the line can be printed, and the codes are 3 and 1.
    """
    error = OSError(number, os.strerror(number))

    for end, code in ((unreadable(Path(name), error), 3), (unwritable(Path(name), error), 1)):
        assert end.exit_code == code
        assert end.message.isprintable()


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (errno.ENOENT, "there is no such file; check its path."),
        (errno.ENOTDIR, "there is no such file; check its path."),
        (errno.EACCES, "can't be read: Permission denied; its owner can change that."),
        (errno.EIO, "can't be read: Input/output error; try a copy of it."),
    ],
)
def test_input_is_named_with_a_remedy(number, problem):
    """
    The remedy depends on the problem.
    """
    end = unreadable(Path("call.journal"), OSError(number, os.strerror(number)))

    assert end.message.startswith("call.journal")
    assert end.message.endswith(problem)

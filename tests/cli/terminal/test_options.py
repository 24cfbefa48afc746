"""
`eventbus.cli.terminal.options`: accepted and refused values of options.
"""

from __future__ import annotations

import math

import click
import pytest

from eventbus.cli.terminal.options import read_speed
from eventbus.cli.usage import proxy, record, redact, run


@pytest.mark.parametrize(
    ("text", "speed"), [("1x", 1.0), ("2.5x", 2.5), ("3", 3.0), ("max", math.inf)]
)
def test_speed_is_a_factor_or_max(text, speed):
    """
    A speed is a positive factor, with or without an x; max is infinite.
    """
    assert read_speed(None, None, text) == speed


@pytest.mark.parametrize("text", ["0", "-1x", "nan", "inf", "fast", "", "x"])
def test_what_is_no_speed_is_refused(text):
    """
    A speed that can't be waited by is a usage error that shows a valid one.
    """
    with pytest.raises(click.BadParameter, match=r"1x or 0\.5x, or max"):
        read_speed(None, None, text)


def test_what_a_journal_lacks_is_asked_for_alike():
    """
    Each command that writes a journal has the same options for it, with the same help.
    """
    names = ["no_audio", "no_content", "fields"]

    def told(module):
        options = {each.name: each for each in module.command.params}
        return [(options[name].opts, options[name].help) for name in names]

    assert told(run) == told(proxy) == told(record) == told(redact)

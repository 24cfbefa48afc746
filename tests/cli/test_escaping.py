"""
`eventbus.cli.escaping`: what a terminal would obey is not shown to it.
"""

from __future__ import annotations

import pytest

from eventbus.cli.escaping import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain, é, 日本", "plain, é, 日本"), ("a\tb", "a\\tb"), ("\x1b[2J", "\\x1b[2J")],
)
def test_only_what_cannot_be_printed_is_escaped(text, shown):
    """
    Letters of any script stay as they are; control characters become escapes.
    """
    assert printable(text) == shown

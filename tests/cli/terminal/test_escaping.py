"""
`eventbus.cli.terminal.escaping`: what a terminal would obey is not shown to it.
"""

from __future__ import annotations

import json

import pytest

from eventbus.cli.terminal.escaping import printable, printable_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain, é, 日本", "plain, é, 日本"), ("a\tb", "a\\tb"), ("\x1b[2J", "\\x1b[2J")],
)
def test_only_what_cannot_be_printed_is_escaped(text, shown):
    """
    Letters of any script stay as they are; control characters become escapes.
    """
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text", ["\x9b2J", "\x7f", "\u2028", "\u202e", "\ud800", "\U000e0001", "é 日本"]
)
def test_json_says_the_same_in_printable_characters(text):
    """
    What a terminal would obey, or a reader take for the end of a line, is escaped as JSON does it.
    """
    shown = printable_json(json.dumps(text, ensure_ascii=False))

    assert shown.isprintable()
    assert json.loads(shown) == text

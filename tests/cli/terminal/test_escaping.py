"""
`eventbus.cli.terminal.escaping`: text from outside has no control characters on a terminal.
"""

from __future__ import annotations

import json

import pytest

from eventbus.cli.terminal.escaping import printable, printable_json, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, é, 日本", "plain, é, 日本"),
        ("日本\u3000日本", "日本\u3000日本"),
        ("क्\u200dष", "क्\u200dष"),
        ("a\tb\n", "a\\tb\\n"),
        ("\x1b[2J\x9b2J", "\\x1b[2J\\x9b2J"),
        ("pay \u202e001", "pay \\u202e001"),
        ("\u2066x\u2069\u200e\u061c", "\\u2066x\\u2069\\u200e\\u061c"),
        ("\u2028\ufeff\u00ad", "\\u2028\\ufeff\\xad"),
    ],
)
def test_control_characters_are_escaped_and_nothing_else(text, shown):
    """
    Letters of any script stay as they are; control characters, those for the direction of writing
    included, become escapes.
    """
    assert printable(text) == shown


def test_message_of_several_lines_keeps_them():
    """
    Line ends and tabs of a message of the program's own stay, and nothing else of that kind.
    """
    assert printable_lines("one\n\ttwo\x1b") == "one\n\ttwo\\x1b"


@pytest.mark.parametrize(
    "text", ["\x9b2J", "\x7f", "\u2028", "\u202e", "\ud800", "\U000e0001", "é 日本"]
)
def test_json_says_the_same_in_printable_characters(text):
    """
    Characters that a terminal would obey, or a reader take for the end of a line, are escaped as in
    JSON.
    """
    shown = printable_json(json.dumps(text, ensure_ascii=False))

    assert shown.isprintable()
    assert json.loads(shown) == text

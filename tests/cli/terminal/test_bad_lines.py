"""
`eventbus.cli.terminal.bad_lines`: which lines are named, and which only counted.
"""

from __future__ import annotations

import pytest

from eventbus.cli.terminal.bad_lines import BadLines
from eventbus.replay import BadLine


@pytest.fixture
def said(capsys):
    """
    The text on stderr after these lines, and the rest of them.
    """

    def report(*lines):
        bad_lines = BadLines("call.jsonl")
        for line in lines:
            bad_lines.report(line)
        bad_lines.report_rest()
        return capsys.readouterr().err.splitlines()

    return report


def test_few_lines_are_named_with_their_reasons(said):
    """
    Three lines of a kind are named in full, and nothing more is said.
    """
    assert said(*(BadLine(number, "It is empty.") for number in (2, 5, 9))) == [
        "call.jsonl:2: It is empty.",
        "call.jsonl:5: It is empty.",
        "call.jsonl:9: It is empty.",
    ]


@pytest.mark.parametrize(
    ("count", "rest"),
    [(4, "and 1 more line like line 1"), (65, "and 62 more lines like line 1")],
)
def test_many_lines_of_a_kind_are_counted(said, count, rest):
    """
    Of more lines the number is said, once, wherever in the line the parser gave up.
    """
    lines = [BadLine(number, f"It is no JSON (byte {number})") for number in range(1, count + 1)]

    assert said(*lines)[3:] == [f"call.jsonl: {rest}"]


def test_kinds_are_counted_apart(said):
    """
    However often one thing is wrong, the first line with another problem is named.
    """
    assert (
        said(
            *(BadLine(number, "It is empty.") for number in range(1, 9)), BadLine(9, "It is odd.")
        )[3]
        == "call.jsonl:9: It is odd."
    )

"""
The tables of protocols, dialects and rules: each cell names a test, and each test exists.
"""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from eventbus.wire.openai import DIALECTS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reference" / "protocols.md").read_text("utf-8")
CELL = re.compile(r"(?:yes|same|frames|no) `(t\d+)`")
RULES_PAGE = (ROOT / "docs" / "explanation" / "gemini-decoder.md").read_text("utf-8")
TESTS = dict(re.findall(r"^\| `(t\d+)` \| `([^`]+)` \|$", PAGE, re.MULTILINE))


def table():
    """
    Return the rows of the table of features, the heading first.
    """
    lines = PAGE[PAGE.index("| feature |") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@functools.cache
def functions_of(path):
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def test_each_dialect_has_a_column():
    """
    Those of the table in the code, and GPT-Live.
    """
    heading, _, *rows = table()

    assert len(heading) == 1 + len(DIALECTS) + 1
    assert all(len(row) == len(heading) for row in rows)


def test_each_cell_names_a_test():
    """
    A cell is a word and the letter of a test that is listed below the table.
    """
    cells = [cell for _, *row in table()[2:] for cell in row]
    found = [CELL.fullmatch(cell) for cell in cells]

    assert [cell for cell, match in zip(cells, found, strict=True) if match is None] == []
    assert {match[1] for match in found if match} == TESTS.keys()


@pytest.mark.parametrize("name", TESTS.values())
def test_the_tests_exist(name):
    """
    A test that is renamed or removed has to leave the page, too.
    """
    path, _, function = name.partition("::")

    assert function in functions_of(path)


def test_each_rule_of_gemini_names_tests_that_exist():
    """
    Each row of the page's table has at least one, and so has what is said below it.
    """
    start = RULES_PAGE.index("| | field |")
    rows = RULES_PAGE[start:].split("\n\n")[0].splitlines()[2:]
    named = [re.findall(r"`(test_\w+)`", row.split("|")[4]) for row in rows]

    assert all(named)
    found = set(re.findall(r"`(test_\w+)`", RULES_PAGE))
    assert found <= functions_of("tests/wire/gemini/test_decoder.py")

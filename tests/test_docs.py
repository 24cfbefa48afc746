"""
Every Python block in the README and in `docs/` runs, and prints what the page says.

A page is read like one script: its blocks run from top to bottom and share their names, and
``await`` may stand at the top level. There is no way to skip a block. What a reader need not
see, such as a stand-in for a loudspeaker, goes into a comment::

    <!-- invisible-code-block: python
    speaker = io.BytesIO()
    -->

A ``text`` block below the comment ``<!-- prints -->`` is the output of the blocks above it,
since the last such comment.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import itertools
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from sybil import Document, Example, Region
from sybil.parsers.myst import CodeBlockParser

from eventbus.realtime import proxy as proxy_module
from tests.bridges.servers import NO_SERVER, find_server

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted(path for path in ROOT.glob("docs/**/*.md") if "_build" not in path.parts),
]

PRINTS = re.compile(r"^<!-- prints -->\n+```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PYTHON_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})[ \t]*(\{[\w-]+\}[ \t]*)?(py|doctest)")

page_parameter = pytest.mark.parametrize(
    "path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix()
)


class Script:
    """Runs the blocks of one page in one module, and keeps their output."""

    def __init__(self) -> None:
        # As __main__, because that is what a script's own classes and functions say they are in.
        self.module = types.ModuleType("__main__")
        self.output = io.StringIO()

    def run(self, example: Example) -> None:
        source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
        code = compile(
            source, example.path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
        )
        with contextlib.redirect_stdout(self.output):
            result = eval(code, self.module.__dict__)
            if inspect.iscoroutine(result):
                asyncio.run(result)

    def compare(self, example: Example) -> None:
        printed, self.output = self.output.getvalue(), io.StringIO()
        assert printed == example.parsed, f"{example.path}:{example.line}"

    def find_prints(self, document: Document) -> Iterator[Region]:
        for match in PRINTS.finditer(document.text):
            yield Region(*match.span(), parsed=match[1], evaluator=self.compare)


def parse(path: Path, script: Script) -> Document:
    return Document.parse(str(path), CodeBlockParser("python", script.run), script.find_prints)


@page_parameter
@pytest.mark.slow
def test_python_blocks_run(path, tmp_path, monkeypatch):
    """
    The blocks of a page work in the order in which they are read, and print the text that it shows.
    """
    if "eventbus.bridges.nats" in path.read_text(encoding="utf-8"):
        pytest.importorskip("nats", reason="the page needs the extra nats")
        if find_server() is None:
            pytest.skip(NO_SERVER)
    script = Script()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "__main__", script.module)
    # Each page is a process of its own to its reader, whose first connection has the first number.
    monkeypatch.setattr(proxy_module, "_numbers", itertools.count(1))
    known = set(sys.modules)

    try:
        for example in parse(path, script):
            example.evaluate()
    finally:
        # Stand-ins that a page has made: to the next test, they would be the real thing.
        for name in set(sys.modules) - known:
            if sys.modules[name].__spec__ is None:
                del sys.modules[name]


@page_parameter
def test_no_python_block_is_overlooked(path):
    """
    Every block that looks like Python is fenced as ``python``, and so is run by the tests.
    """
    found = {example.line for example in parse(path, Script())}

    overlooked = [
        f"{path.name}:{number} {line}"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if PYTHON_FENCE.match(line) and number not in found
    ]

    assert overlooked == []


FENCED = re.compile(r"^[ \t>]*(`{3,}|~{3,}).*?^[ \t>]*\1[ \t]*$", re.DOTALL | re.MULTILINE)


def prose(path):
    """Return a page without its fenced blocks, and with as many lines."""
    text = path.read_text(encoding="utf-8")
    return FENCED.sub(lambda match: "\n" * match[0].count("\n"), text)


@page_parameter
def test_headings_are_whole(path):
    """
    No heading ends with a full stop or is a bare number: one sentence a line is for the text.
    """
    headings = re.findall(r"^#+[ \t]*(.*)$", prose(path), re.MULTILINE)

    assert headings
    assert [h for h in headings if h.endswith(".") or not re.search(r"[^\W\d]", h)] == []


@page_parameter
def test_links_have_a_text(path):
    """
    No link is left to Sphinx to name: on a code host it would be invisible.
    """
    assert re.findall(r".*(?<!!)\[\]\(.*", prose(path)) == []


DOCS = ROOT / "docs"
API = DOCS / "reference" / "api"
LINK = re.compile(r"\[[^\]]+\]\(([^)#:]+)\.md\)")
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_index_has_a_link_to_every_page():
    """
    Each page can be reached from the index, or from the one of the API, without Sphinx.
    """
    indexes = [DOCS / "index.md", API / "index.md"]
    pages = {path for path in PAGES if path not in (ROOT / "README.md", indexes[0])}

    targets = {
        (index.parent / f"{target}.md").resolve()
        for index in indexes
        for target in LINK.findall(prose(index))
    }

    assert targets == pages


@pytest.mark.parametrize("index", [DOCS / "index.md", API / "index.md"], ids=["index", "api"])
def test_sidebar_has_the_order_of_the_index(index):
    """
    The trees that Sphinx makes the sidebar of list the pages in the order of the page's links.
    """
    text = index.read_text(encoding="utf-8")

    listed = [line for tree in TOCTREE.findall(text) for line in tree.splitlines()]

    assert [line for line in listed if line and line[0] != ":"] == LINK.findall(prose(index))

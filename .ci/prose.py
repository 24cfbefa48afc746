"""
Measure the prose of docstrings and pages, and fail where it reads like a riddle: ``prose.py``.

Two habits make a native reader read a sentence twice, and both can be counted: a clause with
*what*, *who* or *whoever*, and a docstring that begins with a question word instead of a noun or
a verb. Well-read libraries have none to one of the first in 1,000 words.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

MAX_CLAUSES = 2.0  # in 1,000 words
MAX_QUESTIONS = 1.5  # per cent of the docstrings

CLAUSE = re.compile(r"\b(?:what|who(?:m|se)?|whoever|whatever)\b", re.IGNORECASE)
QUESTION = re.compile(r"(?:what|who|where|whether|how)", re.IGNORECASE)
FENCED = re.compile(r"^[ \t>]*(`{3,}|~{3,}).*?^[ \t>]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(folder: str) -> Iterator[tuple[Path, str]]:
    """Yield each docstring of the modules below *folder*, with its file."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None
            if text:
                yield path, text


def pages() -> Iterator[tuple[Path, str]]:
    """Yield the README and each page of the documentation, without code and comments."""
    paths = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    for path in [*paths, *sorted((ROOT / "docs").rglob("*.md"))]:
        if "_build" not in path.parts:
            yield path, COMMENT.sub("", FENCED.sub("", path.read_text("utf-8")))


def clauses(name: str, texts: list[tuple[Path, str]]) -> bool:
    """Print how many such clauses there are in *texts*; return whether that is too many."""
    words = sum(len(text.split()) for _, text in texts)
    found = sum(len(CLAUSE.findall(text)) for _, text in texts)
    rate = 1000 * found / words
    print(f"{name}: {rate:.1f} clauses in 1,000 words with what or who (at most {MAX_CLAUSES})")
    if rate <= MAX_CLAUSES:
        return False
    counts: dict[Path, int] = {}
    for path, text in texts:
        counts[path] = counts.get(path, 0) + len(CLAUSE.findall(text))
    for path, count in sorted(counts.items(), key=lambda item: -item[1])[:10]:
        print(f"  {path.relative_to(ROOT)}: {count}")
    return True


def questions(name: str, texts: list[tuple[Path, str]]) -> bool:
    """Print how many of *texts* begin with a question word; return whether that is too many."""
    found = [(path, text) for path, text in texts if QUESTION.match(text.split(maxsplit=1)[0])]
    rate = 100 * len(found) / len(texts)
    print(f"{name}: {rate:.1f} % begin with a question word (at most {MAX_QUESTIONS} %)")
    if rate <= MAX_QUESTIONS:
        return False
    for path, text in found[:10]:
        print(f"  {path.relative_to(ROOT)}: {text.splitlines()[0]}")
    return True


def main() -> int:
    """Measure; return the exit code."""
    too_many = [clauses("pages", list(pages()))]
    for name, folder in {"docstrings": "eventbus", "docstrings of tests": "tests"}.items():
        texts = list(docstrings(folder))
        too_many += [clauses(name, texts), questions(name, texts)]
    return int(any(too_many))


if __name__ == "__main__":
    sys.exit(main())

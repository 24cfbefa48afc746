"""
The modules of the page: those without a document by themselves, and all of them in one file.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from eventbus.inspector._page import _MODULES, _STATIC

HERE = Path(__file__).parent


def test_modules_without_a_document_do_what_their_tests_say(node):
    """
    Time scale, windows, address and keys are pure, and tested by themselves.
    """
    files = sorted((HERE / "page").glob("*.test.mjs"))
    result = subprocess.run(
        [node, "--test", *files], capture_output=True, check=False, encoding="utf-8"
    )

    assert len(files) == 3
    assert result.returncode == 0, result.stdout


def test_modules_can_be_joined_into_one():
    """
    Names don't clash, and each module comes after those that it imports.
    """
    names, before = [], set()
    for module in _MODULES:
        text = (_STATIC / module).read_text("utf-8")
        declared = r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+)"
        names += re.findall(declared, text, re.MULTILINE)
        imported = set(re.findall(r'^import .* from "\./([\w.]+)";$', text, re.MULTILINE))
        assert imported <= before, module
        before.add(module)

    assert len(names) == len(set(names))
    assert before == {path.name for path in _STATIC.iterdir() if path.name.endswith(".js")}


def test_modules_are_short():
    """
    Nobody has to read a long one, since nothing is generated.
    """
    lengths = {name: (_STATIC / name).read_text("utf-8").count("\n") for name in _MODULES}

    assert {name: length for name, length in lengths.items() if length > 300} == {}

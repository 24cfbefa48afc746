"""
The modules of the page: those without a document by themselves, and all of them in one file.
"""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import eventbus.inspector
from eventbus.analysis import views
from eventbus.inspector import write_html
from eventbus.journal import open_journal

HERE = Path(__file__).parent
MODULES = {
    path.name: path.read_text("utf-8")
    for path in (Path(eventbus.inspector.__file__).parent / "static").glob("*.js")
}
DECLARED = re.compile(
    r"^(?:export )?((?:async )?(?:function|const|let|class) (\w+))\b", re.MULTILINE
)


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


def test_modules_can_be_joined_into_one(journal):
    """
    All of them are in the page of one file; names don't clash, and each module comes after those
    that it imports.
    """
    page = io.StringIO()
    write_html([view for view in views(open_journal(journal)) if view.sender == "call-1"], page)
    _, _, script = page.getvalue().partition('<script type="module">')
    places = {}
    for module, text in MODULES.items():
        declaration, _ = DECLARED.findall(text)[0]
        assert script.count(f"\n{declaration}") == 1, module
        places[module] = script.index(f"\n{declaration}")

    names = [name for text in MODULES.values() for _, name in DECLARED.findall(text)]
    assert len(names) == len(set(names))
    for module, text in MODULES.items():
        for imported in re.findall(r'^import .* from "\./([\w.]+)";$', text, re.MULTILINE):
            assert places[imported] < places[module], (module, imported)


def test_modules_are_short():
    """
    Nobody has to read a long one, since nothing is generated.
    """
    lengths = {name: text.count("\n") for name, text in MODULES.items()}

    assert {name: length for name, length in lengths.items() if length > 300} == {}

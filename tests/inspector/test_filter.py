"""
The filter in the page answers as that of the command line.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import eventbus.inspector
from eventbus.analysis import parse_filter
from eventbus.inspector._file import JournalView
from eventbus.inspector._page import _row

HERE = Path(__file__).parent
STATIC = Path(eventbus.inspector.__file__).parent / "static"

SCRIPT = """
import { parseFilter } from %s;
let text = "";
for await (const piece of process.stdin) text += piece;
const { rows, filters } = JSON.parse(text);
const answers = filters.map((filter) => rows.filter(parseFilter(filter)).map((row) => row.seq));
console.log(JSON.stringify(answers));
"""


def run_node(script, given, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node on this machine")
    file = tmp_path / "script.mjs"
    file.write_text(script, encoding="utf-8")
    result = subprocess.run(
        [node, file], input=json.dumps(given), capture_output=True, check=True, encoding="utf-8"
    )
    return json.loads(result.stdout)


def test_both_parsers_find_the_same_records(journal, tmp_path):
    """
    Each vector finds the same records in Python and in the page.
    """
    filters = json.loads((HERE / "filter_vectors.json").read_text("utf-8"))
    view = JournalView(journal)
    view.update()
    (call,) = (call for call in view.calls.values() if call.sender == "call-1")
    views = list(view.details(call))

    expected = [[v.seq for v in views if parse_filter(text).matches(v)] for text in filters]
    script = SCRIPT % json.dumps((STATIC / "filter.js").as_uri())
    found = run_node(script, {"rows": [_row(v) for v in views], "filters": filters}, tmp_path)

    assert dict(zip(filters, found, strict=True)) == dict(zip(filters, expected, strict=True))
    assert [text for text, seqs in zip(filters, expected, strict=True) if not seqs] == [
        "sender:other",
        "is:drop",
    ]


def test_time_scale_is_pure_and_exact(tmp_path):
    """
    A place on the screen and its time lead to each other; zoom and pan stay within the call.
    """
    address = (STATIC / "scale.js").as_uri()
    script = f"""
    import {{ shownTime, ticks, timeScale, within, zoomed }} from {json.dumps(address)};
    const scale = timeScale({{ from: 1000, to: 3000 }}, 500);
    const whole = {{ from: 0, to: 10000 }};
    console.log(JSON.stringify([scale.x(2000), scale.ms(125), ticks({{ from: 0, to: 10000 }}, 500),
      zoomed({{ from: 0, to: 10000 }}, 0.5, 9000, whole),
      within({{ from: 9000, to: 12000 }}, whole),
      zoomed({{ from: 0, to: 10 }}, 0.001, 5, whole), shownTime(62345)]));
    """

    assert run_node(script, None, tmp_path) == [
        250,
        1500,
        [0, 2000, 4000, 6000, 8000, 10000],
        {"from": 4500, "to": 9500},
        {"from": 7000, "to": 10000},
        {"from": 2.5, "to": 7.5},
        "1:02.345",
    ]

"""
The filter in the page answers as that of the command line.
"""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import eventbus.inspector
from eventbus.analysis import parse_filter, views
from eventbus.inspector import write_html
from eventbus.journal import open_journal

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


def run_node(node, script, given, tmp_path):
    file = tmp_path / "script.mjs"
    file.write_text(script, encoding="utf-8")
    result = subprocess.run(
        [node, file], input=json.dumps(given), capture_output=True, check=True, encoding="utf-8"
    )
    return json.loads(result.stdout)


def rows_of(records):
    """
    Return the rows of a page of its own.
    """
    file = io.StringIO()
    write_html(records, file)
    _, _, rest = file.getvalue().partition('<script type="application/json" id="recording">')
    recording = json.loads(rest.partition("</script>")[0])
    return [row for row, _ in recording["rows"]]


def test_both_parsers_find_the_same_records(journal, node, tmp_path):
    """
    Each vector finds the same records in Python and in the page.
    """
    filters = json.loads((HERE / "filter_vectors.json").read_text("utf-8"))
    records = [view for view in views(open_journal(journal)) if view.sender == "call-1"]
    rows = rows_of(records)
    shown = {row["seq"] for row in rows}
    records = [view for view in records if view.seq in shown]

    expected = [[v.seq for v in records if parse_filter(text).matches(v)] for text in filters]
    script = SCRIPT % json.dumps((STATIC / "filter.js").as_uri())
    found = run_node(node, script, {"rows": rows, "filters": filters}, tmp_path)

    assert dict(zip(filters, found, strict=True)) == dict(zip(filters, expected, strict=True))
    assert [text for text, seqs in zip(filters, expected, strict=True) if not seqs] == [
        "sender:other",
        "is:drop",
    ]

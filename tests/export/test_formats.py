"""
`eventbus.export._formats`: journals for other programs, as far as no module has it to itself.
"""

from __future__ import annotations

import csv
import io
import json

import attrs
import pytest

from eventbus.analysis import RecordView
from eventbus.events import RealtimeModelOtherEvent
from eventbus.export import FORMATS, write_csv, write_jsonl
from eventbus.export._rows import COLUMNS
from eventbus.journal import HeaderRecord
from tests.journal.stories import BEGINNING, Story, spoken_turn


def facts(records):
    return [RecordView(record, BEGINNING) for record in records]


def written(write, records):
    file = io.StringIO(newline="")
    write(facts(records), file)
    return file.getvalue()


def test_jsonl_has_a_record_a_line():
    """
    Each record is one line of JSON, with the schema's version.
    """
    records = spoken_turn().records
    lines = [json.loads(line) for line in written(write_jsonl, records).splitlines()]

    assert [line["seq"] for line in lines] == [record.seq for record in records]
    assert {line["schema"] for line in lines} == {"eventbus.record/1"}


def test_csv_has_a_record_a_row():
    """
    Below the names of the columns there is a row for each record, without content.
    """
    records = spoken_turn().records
    text = written(write_csv, records)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))

    assert [row["seq"] for row in rows] == [str(record.seq) for record in records]
    assert list(rows[0]) == list(COLUMNS)
    assert "Hello" not in text
    (call,) = [row for row in rows if row["kind"] == "call"]
    assert (call["handler"], call["run_ms"], call["t_ms"]) == ("app.play", "10.0", "2530.0")


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@x", "\tx"])
def test_csv_has_no_formulas(name):
    """
    A name that a spreadsheet would compute is text there, too.
    """
    story = Story(name)
    story.event(RealtimeModelOtherEvent(None))
    rows = csv.DictReader(io.StringIO(written(write_csv, story.records[1:]), newline=""))

    assert [row["sender"] for row in rows] == [f"'{name}"]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "wav"])
def test_every_format_takes_any_journal(name):
    """
    A journal of nothing, and one of strange records, can be written in each format of text.
    """
    story = spoken_turn()
    story.frame("session.created", session=None)
    story.frame("response.output_audio.delta", delta="!")
    story.send({"type": "conversation.item.truncate", "audio_end_ms": None})
    story.call("app.hung", 1, run_ms=None)

    assert written(FORMATS[name].write, [HeaderRecord()]) is not None
    assert written(FORMATS[name].write, story.records)


def test_every_format_takes_the_corpus(corpus):
    """
    Recorded sessions can be written in each format of text.
    """
    for path in sorted(corpus.glob("openai_*.frames.jsonl")):
        story = Story()
        for line in path.read_bytes().splitlines():
            frame = json.loads(line)
            story.at(story.now_ms + 20).frame(frame.pop("type"), **frame)
        records = [attrs.evolve(record, sender=None) for record in story.records]
        for form in FORMATS.values():
            if not form.is_binary:
                assert isinstance(written(form.write, records), str)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("given", ["call.journal", 5, None], ids=str)
def test_path_is_not_taken_for_records(name, given):
    """
    The error says how to open one.
    """
    file = io.BytesIO() if FORMATS[name].is_binary else io.StringIO()

    with pytest.raises(TypeError, match=r"records of one, not .*open_journal\(\)"):
        FORMATS[name].write(given, file)

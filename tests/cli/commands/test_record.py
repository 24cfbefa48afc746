"""
``eventbus record``.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import pytest

from eventbus import JournalWriteError
from eventbus.cli.usage import record, replay, stats
from eventbus.export import FORMATS
from eventbus.journal import CallRecord, FrameRecord, SentRecord, open_journal
from tests.cli.journals import new_runner

CREATED = {"type": "response.created", "response": {"id": "resp_1"}}


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """
    Run the command in an empty directory; the modules that it imports are forgotten after.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(*args, **more):
        try:
            return new_runner().invoke(record.command, [*map(str, args)], **more)
        finally:
            sys.modules.pop("agent", None)

    return run


def records_in(path):
    return list(open_journal(path))


def test_frames_become_records_at_their_own_times(invoke, write_frames):
    """
    Frames, events and sent messages are recorded, at the times that the lines have.
    """
    path = write_frames(
        {"t": 7.0, "frame": CREATED},
        {"t": 7.5, "direction": "sent", "frame": {"type": "response.cancel"}},
        {"t": 8.0, "direction": "received", "frame": CREATED},
    )
    result = invoke(path, "-o", "call.journal", "--sender", "call-1")
    header, *records, _end = records_in("call.journal")

    assert (result.exit_code, result.stdout) == (0, "call.journal: 6 records\n")
    assert [type(each).__name__ for each in records] == [
        "FrameRecord",
        "EventRecord",
        "SentRecord",
        "FrameRecord",
        "EventRecord",
    ]
    times = [(each.mono_ns - header.mono_ns) / 1e9 for each in records]
    assert times == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert {each.sender for each in records} == {"call-1"}
    assert (
        next(r for r in records if isinstance(r, SentRecord)).message["type"] == "response.cancel"
    )


def test_calls_of_the_app_are_recorded(invoke, write_frames, write_module):
    """
    With --app its handlers run, and their calls are in the journal; a crash ends with code 5.
    """
    write_module(
        "agent",
        "@on(RealtimeModelTurnStartedEvent)\ndef begin(event): raise LookupError('no')\n",
    )
    result = invoke(write_frames(CREATED), "-o", "call.journal", "--app", "agent")
    calls = [each for each in records_in("call.journal") if isinstance(each, CallRecord)]

    assert result.exit_code == 5
    assert [(call.handler, call.state) for call in calls] == [("agent.begin", "crashed")]


def test_bad_lines_are_named_and_the_rest_is_recorded(invoke, write_frames):
    """
    A line that is no frame is named on stderr; the exit code is 3.
    """
    result = invoke(write_frames("{", CREATED), "-o", "call.journal")

    assert result.exit_code == 3
    assert "call.jsonl:1: " in result.stderr
    assert any(isinstance(each, FrameRecord) for each in records_in("call.journal"))


def test_foreign_file_is_asked_about(invoke, write_frames):
    """
    If no line has a type that the service sends, stderr says so.
    """
    result = invoke(write_frames({"event": "media"}), "-o", "call.journal")

    assert "is this a file of their frames?" in result.stderr


def test_journal_is_refused(invoke, write_frames):
    """
    A journal has no lines to record: one line says so, and nothing is written.
    """
    invoke(write_frames(CREATED), "-o", "call.journal")

    result = invoke("call.journal", "-o", "other.journal")

    assert result.exit_code == 3
    assert "call.journal is a journal already" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("other.journal").exists()


def test_stdin_is_recorded(invoke):
    """
    A file named - is the standard input.
    """
    result = invoke("-", "-o", "call.journal", "--json", input=json.dumps(CREATED))

    assert result.exit_code == 0
    assert json.loads(result.stdout)["path"] == "call.journal"


def test_withheld_content_is_not_written(invoke, write_frames):
    """
    Data that is left out never gets into the file.
    """
    delta = {"type": "response.output_text.delta", "item_id": "a", "response_id": "r"}
    path = write_frames({**delta, "delta": "a secret"})
    invoke(path, "-o", "call.journal", "--no-content")

    with open("call.journal", "rb") as file:  # noqa: PTH123  # in the test's directory
        assert b"a secret" not in file.read()


def test_journal_that_is_there_stays(invoke, write_frames):
    """
    A journal is overwritten with --force only.
    """
    path = write_frames(CREATED)
    invoke(path, "-o", "call.journal")

    assert invoke(path, "-o", "call.journal").exit_code == 2
    assert invoke(path, "-o", "call.journal", "--force").exit_code == 0
    assert [each.name for each in Path().iterdir()].count("call.journal") == 1
    assert not [*Path().glob(".eventbus*")]


@pytest.mark.slow
def test_corpus_is_imported_replayed_and_exported(corpus, invoke, tmp_path):
    """
    Recorded sessions become journals that are measured, replayed strictly, and exported.
    """
    for path in sorted(corpus.glob("*.session.jsonl")):
        journal = tmp_path / f"{path.stem}.journal"
        assert invoke(path, "-o", journal).exit_code == 0
        frames = sum(isinstance(each, FrameRecord) for each in open_journal(journal))
        lines = path.read_text(encoding="utf-8").splitlines()
        assert frames == sum(json.loads(line)["direction"] == "received" for line in lines)

        assert new_runner().invoke(replay.command, [str(journal), "--strict"]).exit_code == 0
        assert new_runner().invoke(stats.command, [str(journal)]).exit_code == 0
        with (tmp_path / "out").open("w", encoding="utf-8") as file:
            for form in FORMATS.values():
                if not form.is_binary:
                    form.write(open_journal(journal), file)


def test_records_that_are_lost_are_no_success(invoke, write_frames, monkeypatch):
    """
    With a disk that gets full, the command fails with the reason; the records before it are there.
    """
    written = []

    def write(fd, data):
        written.append(data)
        if len(written) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_write(fd, data)

    real_write = os.write
    path = write_frames(CREATED)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        result = invoke(path, "-o", "call.journal")

    assert isinstance(result.exception, JournalWriteError)
    assert "No space left on device" in str(result.exception)
    assert result.stdout == ""
    assert open_journal("call.journal").header.seq == 0


def test_app_that_isnt_there_costs_no_journal(invoke, write_frames):
    """
    Even with --force, a journal goes only when there is something to write in its place.
    """
    path = write_frames(CREATED)
    invoke(path, "-o", "call.journal")
    before = Path("call.journal").read_bytes()

    result = invoke(path, "-o", "call.journal", "--force", "--app", "nobody")

    assert result.exit_code == 2
    assert Path("call.journal").read_bytes() == before

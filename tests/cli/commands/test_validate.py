"""
``eventbus validate``.
"""

from __future__ import annotations

import json

import pytest

from eventbus import EventBus
from eventbus.cli.usage.validate import command
from eventbus.exceptions import CodecError
from eventbus.journal import FrameRecord, GapRecord, JournalWriter, Recorder, open_journal
from eventbus.wire.openai import OpenAIRealtimeDecoder
from tests.cli.journals import damaged, new_runner, torn, write_journal
from tests.journal.stories import Story


@pytest.fixture
def path(tmp_path):
    return write_journal(tmp_path / "call.journal")


def run(*args):
    return new_runner().invoke(command, [*map(str, args)])


def test_whole_journal_is_exit_code_0(path):
    """
    The written records are there, counted by their kind.
    """
    result = run(path)

    assert result.exit_code == 0
    assert "120 records (1 header, 8 frame, 9 event, 100 sent, 1 call, 1 end)" in result.stdout
    assert "It is whole." in result.stdout


def test_damage_is_named_with_where_it_goes_on(path):
    """
    A damaged place is told with its offset, and the exit code is 3.
    """
    result = run(damaged(path), "--json")
    data = json.loads(result.stdout)

    assert result.exit_code == 3
    ((offset, resume_at),) = [(each["offset"], each["resume_at"]) for each in data["damages"]]
    assert offset < path.stat().st_size // 2 < resume_at


def test_torn_tail_is_cut_off_by_repair(tmp_path):
    """
    A record that is cut short is an error until it was cut off; then the journal is whole.
    """
    path = tmp_path / "call.journal"
    with JournalWriter(path, fsync="none") as writer:
        writer.append(FrameRecord.kind, "call-1", 0, b"{}")
    torn(path)

    assert run(path).exit_code == 3
    repaired = run(path, "--repair")
    assert (repaired.exit_code, "cut off" in repaired.stdout) == (0, True)
    again = json.loads(run(path, "--json").stdout)
    assert (again["is_whole"], again["is_closed"], again["torn_tails"]) == (True, False, [])


def test_damage_is_not_repaired(path):
    """
    --repair changes nothing but a torn tail.
    """
    before = damaged(path).read_bytes()

    assert run(path, "--repair").exit_code == 3
    assert path.read_bytes() == before


def test_segment_of_another_journal_is_named(path, tmp_path):
    """
    A file of another journal beside this one is told as that, read by nobody, and left alone.
    """
    (tmp_path / "other").mkdir()
    stale = path.with_name("call.00002.journal")
    write_journal(tmp_path / "other" / "call.journal").rename(stale)
    before = torn(stale).read_bytes()

    result = run(path, "--repair")
    data = json.loads(run(path, "--json").stdout)

    assert result.exit_code == 3
    assert "call.00002.journal belongs to another journal" in result.stdout
    assert "120 records" in result.stdout
    assert (data["files"], data["is_whole"]) == ([str(path)], False)
    assert [each["path"] for each in data["damages"]] == [str(stale)]
    assert stale.read_bytes() == before


def test_segment_that_is_missing_is_told_with_what_is_lost(tmp_path):
    """
    If a file between two others was deleted, the numbers of the records around it are named.
    """
    path = tmp_path / "call.journal"
    with JournalWriter(path, fsync="none", segment_bytes=450) as writer:
        for seq in range(1, 10):
            writer.write(FrameRecord(seq=seq, data=bytes(100)))
            writer.flush()
    path.with_name("call.00002.journal").unlink()

    result = run(path)

    assert result.exit_code == 3
    assert "call.00003.journal begins with record 5, and the one before is 2" in result.stdout
    assert "A segment was deleted" in result.stdout


def test_gaps_are_told(tmp_path):
    """
    Records that could not be written are no damage, and are told.
    """
    story = Story()
    story.add(GapRecord, first_seq=1, last_seq=3, reason="No space left on device", seq=4)
    result = run(write_journal(tmp_path / "call.journal", story))

    assert result.exit_code == 0
    assert "Records 1 to 3 are missing: No space left on device" in result.stdout


def test_copy_without_an_end_was_cut_short(tmp_path):
    """
    The rest of a copy that was killed on the way isn't taken for a whole journal.
    """
    path = write_journal(tmp_path / "call.journal")
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(data[12:20])])  # without its last batch, the end

    result = run(path)

    assert result.exit_code == 3
    assert "a copy that was cut short" in result.stdout
    assert "It is whole" not in result.stdout


class ElsewhereDecoder(OpenAIRealtimeDecoder):
    """A decoder that nobody has registered here."""

    name = "elsewhere"


def test_decoder_that_is_not_known_here_is_told(tmp_path):
    """
    Frames and calls are readable, and why the events are not is said.
    """
    path, bus, decoder = tmp_path / "call.journal", EventBus(), ElsewhereDecoder()
    with Recorder(path, fsync="none") as recorder, recorder.attach(bus):
        decoder.publish_to(bus, b'{"type":"response.created","response":{"id":"r-1"}}')

    result = run(path)
    frame, event = (r for r in open_journal(path) if r.seq in (1, 2))

    assert result.exit_code == 0
    assert f"The decoder {decoder.name} {decoder.version} is not known here" in result.stdout
    assert frame.event.data["type"] == "response.created"
    assert event.problem == f"the decoder {decoder.name} {decoder.version} is not known here"
    assert (event.document, event.class_name) == (None, "RealtimeModelTurnStartedEvent")
    with pytest.raises(CodecError, match="is not known here"):
        _ = event.event

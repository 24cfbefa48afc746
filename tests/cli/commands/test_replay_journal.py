"""
``eventbus replay`` of a journal.
"""

from __future__ import annotations

import json
import sys

import attrs
import msgspec
import pytest

from eventbus.cli.usage.replay import command
from eventbus.codec import loads
from eventbus.events import RealtimeModelAudioEvent
from eventbus.journal._copying import write_copy
from tests.cli.journals import damaged, new_runner, write_journal
from tests.journal.stories import spoken_turn


@pytest.fixture
def path(tmp_path):
    return str(write_journal(tmp_path / "call.journal"))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """
    Run the command in an empty directory; the modules that it imports are forgotten after.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def invoke(*args):
        try:
            return new_runner().invoke(command, [*args])
        finally:
            sys.modules.pop("agent", None)

    return invoke


@pytest.fixture
def changed(tmp_path):
    """
    A journal in which an event is otherwise than the decoder makes it.
    """
    records = spoken_turn().records
    index = next(i for i, r in enumerate(records) if getattr(r, "type_name", "") == "audio")
    document = msgspec.msgpack.encode({**records[index].fields, "item_id": "item_x"})
    records[index] = attrs.evolve(records[index], document=document)
    path = tmp_path / "changed.journal"
    write_copy(records, path, header=records[0])
    return str(path)


def test_journal_is_replayed_like_a_file_of_frames(run, path):
    """
    Without an app each event is shown with its record's number, and at the end is the summary.
    """
    result = run(path, "type:turn_*")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].split() == ["110", "turn_started", "resp_1"]
    assert "RealtimeModelTurnStartedEvent" in result.stdout


def test_filter_by_time_and_class_picks_events(run, path):
    """
    The terms of a filter pick the events; in JSON they are as the codec writes them.
    """
    result = run(path, "t:2.2s..2.5s", "type:audio", "--json")
    event, summary = result.stdout.splitlines()

    assert isinstance(loads(event), RealtimeModelAudioEvent)
    assert json.loads(summary)["summary"]["published"] == 1


def test_slow_handlers_are_waited_for(run, path, write_module):
    """
    At the speed max no mailbox overflows, as the replay waits for the handlers.
    """
    write_module(
        "agent",
        "import anyio\n"
        "bus = EventBus()\n"
        "@bus.on(object, mailbox=Mailbox(1))\n"
        "async def slow(event): await anyio.sleep(0.001)\n",
    )
    summary = json.loads(run(path, "--app", "agent:bus", "--json").stdout)["summary"]

    assert (summary["dropped"], summary["calls"][0]["count"]) == (0, 17)


@pytest.mark.parametrize("handler", ["def", "async def"])
def test_crash_ends_with_5(run, path, write_module, handler):
    """
    A crash of a strict bus's handler, too, is reported, and the replay goes on.
    """
    write_module(
        "agent",
        "bus = EventBus(strict=True)\n"
        "@bus.on(RealtimeModelTurnStartedEvent)\n"
        f"{handler} begin(event): raise LookupError('no')\n",
    )
    result = run(path, "--app", "agent:bus")

    assert result.exit_code == 5
    assert "crash: agent.begin" in result.stderr
    assert "RealtimeModelTurnEndedEvent" in result.stdout


def test_app_may_close_the_bus(run, path, write_module):
    """
    A handler that has had enough ends the replay.
    """
    write_module(
        "agent",
        "bus = EventBus()\n"
        "@bus.on(RealtimeModelTurnStartedEvent)\n"
        "async def end(event): await bus.aclose()\n",
    )

    assert run(path, "--app", "agent:bus", "--speed", "1000x").exit_code == 0


def test_strict_is_fine_where_nothing_has_changed(run, path):
    """
    A journal of this decoder's is replayed to its end.
    """
    assert run(path, "--strict").exit_code == 0


def test_strict_ends_with_1_at_the_first_difference(run, changed):
    """
    A difference is one line with the frame and the field, and exit code 1.
    """
    result = run(changed, "--strict")

    assert result.exit_code == 1
    assert "Record 111, response.output_audio.delta" in result.stderr
    assert "item_id: 'item_a', and it was 'item_x'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_decode_publishes_what_the_decoder_gives(run, changed):
    """
    With --decode the events are those that the frames mean now.
    """
    assert "item_x" in run(changed, "type:audio").stdout
    assert "item_a" in run(changed, "--decode").stdout


def test_damage_is_exit_code_3(run, path, tmp_path):
    """
    The undamaged records are replayed.
    """
    result = run(str(damaged(tmp_path / "call.journal")))

    assert result.exit_code == 3
    assert "turn_ended" in result.stdout


@pytest.mark.parametrize("option", ["--decode", "type:audio"])
def test_frames_file_has_no_records_to_filter(run, tmp_path, option):
    """
    A filter, or --decode, of a file of frames is a wrong argument.
    """
    frames = tmp_path / "call.jsonl"
    frames.write_text("{}\n")

    assert run(str(frames), option).exit_code == 2


def test_wrong_filter_is_one_line(run, path):
    """
    A filter that can't be read ends with code 3.
    """
    result = run(path, "t:3x")

    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)

"""
Forwarding a journal: all that it holds reaches the stream, each event once, in spite of kills.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import nats
import pytest

from eventbus import EventBus, JournalError
from eventbus.bridges.nats import NatsBridge
from eventbus.cli.main import cli
from eventbus.codec import unpacks
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelTranscriptDoneEvent,
)
from eventbus.journal import Recorder
from tests.bridges.collecting import Collector, said, until
from tests.bridges.test_forwarding import stored
from tests.cli.journals import new_runner


def write(path: Path, numbers: range) -> None:
    """
    Record events of two calls.
    """
    bus = EventBus()
    with Recorder(path) as recorder, recorder.attach(bus):
        for number in numbers:
            bus.publish(RealtimeModelRawServerEvent({"type": "x"}), sender="a")
            bus.publish(RealtimeModelAudioEvent(b"\0\0", "r", "i", 0), sender="a")
            bus.publish(said(number), sender="a" if number % 2 else "b")


async def test_the_events_of_a_journal_are_forwarded_with_their_calls(url, stream, tmp_path):
    """
    A journal's events are in the stream in order, with call, record number, time and origin.
    """
    path = tmp_path / "calls.journal"
    write(path, range(100))
    async with NatsBridge(url, stream=stream) as bridge:
        forwarding = bridge.forward_journal(path)
        await forwarding.wait_done()
        assert forwarding.stats.stored == 100

    messages = await stored(url, stream)
    assert [unpacks(m.data) for m in messages if m.headers["Eventbus-Call"] == "a"] == [
        said(number) for number in range(1, 100, 2)
    ]
    assert messages[0].headers["Eventbus-Origin"].startswith("journal-")
    assert int(messages[0].headers["Eventbus-Time"]) > 0


async def test_another_run_begins_after_the_last_event_that_is_stored(url, stream, tmp_path):
    """
    A journal that was forwarded is not read again, and its events are not stored again.
    """
    path = tmp_path / "calls.journal"
    write(path, range(50))
    async with NatsBridge(url, stream=stream) as bridge:
        await bridge.forward_journal(path).wait_done()
    async with NatsBridge(url, stream=stream) as bridge:
        forwarding = bridge.forward_journal(path)
        await forwarding.wait_done()
        assert forwarding.stats.forwarded == 0

    assert len(await stored(url, stream)) == 50


async def test_a_receiver_handles_events_of_a_repeated_run_once(url, stream, tmp_path):
    """
    Events that another run stores again are dropped by the receiver, by call and sequence.
    """
    path = tmp_path / "calls.journal"
    write(path, range(20))
    bus = EventBus()
    seen = Collector(bus)
    async with bus, NatsBridge(url, stream=stream, duplicate_window=0.1) as bridge:
        receiving = bridge.receive(bus)
        await receiving.wait_ready()
        await bridge.forward_journal(path).wait_done()
        await seen.wait(20)
        client = await nats.connect(url)  # the note of how far it is gets lost
        await client.jetstream().purge_stream(f"KV_{stream}_bridge")
        await client.close()
        forwarding = bridge.forward_journal(path)
        await forwarding.wait_done()
        again = forwarding.stats.stored - forwarding.stats.duplicates
        assert forwarding.stats.stored == 20
        await until(lambda: receiving.stats.received == 20 + again)
        assert receiving.stats.duplicates == again

    assert len(seen.got) == 20


async def test_a_journal_is_followed_while_it_is_written(url, stream, tmp_path):
    """
    New records of this or another process are forwarded, until the recorder closes the journal.
    """
    path = tmp_path / "calls.journal"
    bus, other = EventBus(), EventBus()
    seen = Collector(other)
    async with other, NatsBridge(url, stream=stream) as bridge:
        await bridge.receive(other).wait_ready()
        with Recorder(path) as recorder, recorder.attach(bus):
            bus.publish(said(0), sender="a")
            await recorder.flush()
            forwarding = bridge.forward_journal(path)
            await seen.wait(1)
            for number in range(1, 50):
                bus.publish(said(number), sender="a")
            await seen.wait(50)
        await forwarding.wait_done()

    assert seen.of("a") == list(range(50))


@pytest.mark.slow
async def test_what_a_killed_process_has_recorded_reaches_the_stream(url, stream, tmp_path):
    """
    After kill -9 of the recording process, the journal has its events, and the stream gets them.
    """
    path = tmp_path / "calls.journal"
    script = Path(__file__).with_name("recording_process.py")
    process = subprocess.Popen(  # noqa: ASYNC220  # it is waited for by reading its output
        [sys.executable, str(script), str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        with process.stdout:
            told = [int(process.stdout.readline()) for _ in range(6)]
            process.kill()
    finally:
        process.kill()
        process.wait()
    async with NatsBridge(url, stream=stream) as bridge:
        await bridge.forward_journal(path, follow=False).wait_done()

    numbers = [int(unpacks(message.data).delta) for message in await stored(url, stream)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > told[-1]


async def test_a_file_that_is_no_journal_is_refused(url, stream, tmp_path):
    """
    A missing file and one that isn't a journal are the errors of `open_journal`, at once.
    """
    path = tmp_path / "no.journal"
    async with NatsBridge(url, stream=stream) as bridge:
        with pytest.raises(FileNotFoundError):
            bridge.forward_journal(path)
        path.write_bytes(b"something else, and long enough to be a header" * 10)
        with pytest.raises(JournalError):
            bridge.forward_journal(path)


def test_the_command_forwards_a_journal(url, stream, tmp_path):
    """
    ``eventbus forward`` says how many events the stream has got, and ends with 0; none, the second
    time.
    """
    path = tmp_path / "calls.journal"
    write(path, range(10))

    command = ["forward", str(path), "--to", url, "--stream", stream]
    first, second = (new_runner().invoke(cli, command) for _ in range(2))

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stderr == f"10 events were forwarded to the stream {stream}.\n"
    assert second.stderr == f"0 events were forwarded to the stream {stream}, which has them all.\n"


def test_a_name_that_no_stream_has_is_a_wrong_argument(tmp_path):
    """
    ``eventbus forward`` refuses it with 2, before it looks for the server.
    """
    path = tmp_path / "calls.journal"
    write(path, range(1))

    result = new_runner().invoke(cli, ["forward", str(path), "--stream", "a b"])

    assert result.exit_code == 2
    assert "Error: stream='a b' has to be a name without spaces" in result.stderr


@pytest.mark.slow
def test_the_command_names_what_is_wrong(url, stream, tmp_path):
    """
    A missing journal ends with 3, a server that isn't there with 4; each in one line.
    """
    path = tmp_path / "calls.journal"

    missing = new_runner().invoke(cli, ["forward", str(path), "--to", url, "--stream", stream])
    assert missing.exit_code == 3
    assert missing.stderr.count("\n") == 1
    write(path, range(1))
    away = new_runner().invoke(cli, ["forward", str(path), "--to", "nats://127.0.0.1:1"])
    assert away.exit_code == 4
    assert "nats-server -js" in away.stderr


@pytest.mark.slow
async def test_the_demo_forwards_its_call(url):
    """
    With ``eventbus demo --forward``, another process gets the call's events, under its id.
    """
    bus = EventBus()
    spoken = []

    @bus.on(RealtimeModelTranscriptDoneEvent)
    def note(event: RealtimeModelTranscriptDoneEvent, context) -> None:
        spoken.append((context.sender, event.transcript))

    async with bus, NatsBridge(url) as bridge:
        await bridge.receive(bus).wait_ready()
        arguments = ["demo", "--speed", "8x", "--forward", url]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "eventbus", *arguments, stdout=-3, stderr=-1
        )
        _, told = await process.communicate()
        await until(lambda: len(spoken) >= 3)

    assert process.returncode == 0
    (call,) = {sender for sender, _ in spoken}
    assert f"Forwarding the call {call} to the stream calls." in told.decode()
    assert spoken[0][1] == "It left this morning."


def test_the_demo_needs_real_time_to_forward(url):
    """
    ``eventbus demo --forward`` can't run in virtual time, and says so.
    """
    result = new_runner().invoke(cli, ["demo", "--speed", "max", "--forward", url])

    assert result.exit_code == 2
    assert "real time" in result.stderr

"""
Attacks on journals: kills, power failures, wrong bits and bytes, and signals while recording.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import struct
import sys
import time
from pathlib import Path

import msgspec
import pytest

from eventbus import EventBus
from eventbus.events import RealtimeModelAudioEvent, RealtimeModelTranscriptDeltaEvent
from eventbus.exceptions import EventBusError
from eventbus.journal import (
    CallRecord,
    EndRecord,
    EventRecord,
    FrameRecord,
    GapRecord,
    HeaderRecord,
    JournalWriter,
    Recorder,
    open_journal,
    repair_journal,
)
from eventbus.journal._batches import encode_batch
from eventbus.journal._format import FILE_HEADER_BYTES, make_batch
from eventbus.journal._fsync import NoSyncer
from eventbus.journal._segments import Segment
from eventbus.wire.openai import OpenAIRealtimeDecoder

pytestmark = pytest.mark.slow

DELTA = (
    b'{"type":"response.output_audio_transcript.delta","event_id":"e","response_id":"r-1",'
    b'"item_id":"i-1","output_index":0,"content_index":0,"delta":"hello"}'
)
AUDIO = (
    b'{"type":"response.output_audio.delta","event_id":"e","response_id":"r-1","item_id":"i-1",'
    b'"output_index":0,"content_index":0,"delta":"' + b"QUJD" * 80 + b'"}'
)
SECOND = 1_000_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "call.journal"


def record_call(path, frames=40, **options):
    """Record frames of a call with a handler, and return the journal."""
    bus, decoder = EventBus(), OpenAIRealtimeDecoder()
    bus.subscribe(lambda event: None, RealtimeModelTranscriptDeltaEvent)
    with Recorder(path, fsync="none", **options) as recorder, recorder.attach(bus):
        for number in range(frames):
            decoder.publish_to(bus, DELTA if number % 4 else AUDIO, sender="call-1")
            if not number % 5:
                recorder.sync()
    return list(open_journal(path))


# --- kill -9 ----------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a process of its own")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("policy", ["none", "interval", "group", "every"])
def test_what_was_reported_durable_survives_a_kill(tmp_path, policy):
    """
    A process that records a call is killed at any moment: each record that was reported durable is
    read again, no record is wrong, and there is at most one torn tail for each file.
    """
    for number in range(10):
        path = tmp_path / f"{number}.journal"
        reader, reports = os.pipe()
        child = os.fork()
        if not child:
            _record_until_killed(path, policy, reports)
        os.close(reports)
        for _ in range(1 + number):
            reported = os.read(reader, 8)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while last := os.read(reader, 8):
            reported = last
        os.close(reader)

        (durable,) = struct.unpack("<Q", reported[-8:])
        journal = open_journal(path)
        records = [record for record in journal if record.seq]
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        assert len(records) >= durable > 0
        assert not journal.is_closed
        for record in journal.read(EventRecord):
            assert record.event.response_id == "r-1"
        assert repair_journal(path) == journal.torn_tails


def _record_until_killed(path, policy, reports):
    """Record as fast as it can, and tell again and again the durable position; never return."""
    try:
        bus, decoder = EventBus(), OpenAIRealtimeDecoder()
        bus.subscribe(lambda event: None, RealtimeModelTranscriptDeltaEvent)
        recorder = Recorder(path, fsync=policy, segment_bytes=200_000)
        recorder.attach(bus)
        while True:
            for number in range(20):
                decoder.publish_to(bus, DELTA if number % 4 else AUDIO, sender="call-1")
            time.sleep(0.002)
            if recorder.durable_seq:
                os.write(reports, struct.pack("<Q", recorder.durable_seq))
    finally:
        os._exit(1)


# --- power failures ---------------------------------------------------------------------------


class Recording:
    """
    The order in which a writer has written, synced, renamed and cut, as a power failure sees it.
    """

    def __init__(self, monkeypatch):
        self.steps = []
        self._names = {}
        for name in ("write", "fsync", "ftruncate"):
            self._wrap(monkeypatch, name)
        opened = os.open

        def record_open(path, flags, *mode):
            fd = opened(path, flags, *mode)
            self._names[fd] = str(path)
            if flags & os.O_CREAT:
                self.steps.append(("create", str(path), None))
            return fd

        monkeypatch.setattr(os, "open", record_open)

    def _wrap(self, monkeypatch, name):
        real = getattr(os, name)

        def call(fd, *args):
            result = real(fd, *args)
            if fd in self._names:
                self.steps.append((name, self._names[fd], args[0] if args else None))
            return result

        monkeypatch.setattr(os, name, call)

    def states(self, until, draw):
        """
        Yield one state of the disk after *until* steps: data that was synced is there, of data that
        wasn't any part may be, and any length; a name is there if it was synced, or may be.
        """
        files, synced = {}, {}
        for name, path, argument in self.steps[:until]:
            if name == "create":
                files[path] = bytearray()
                synced[path] = 0
            elif name == "write":
                files[path] += argument
            elif name == "ftruncate":
                del files[path][argument:]
            elif name == "fsync" and path in files:
                synced[path] = len(files[path])
        for path, data in files.items():
            safe = min(synced[path], len(data))
            length = draw.randint(safe, len(data))
            state = bytearray(data[:length])
            for block in range(safe // 512 * 512, length, 512):
                start = max(block, safe)
                if draw.random() < 0.3:  # allocated, and never written
                    state[start : min(block + 512, length)] = bytes(
                        min(block + 512, length) - start
                    )
            yield path, bytes(state)


@pytest.mark.parametrize("seed", range(4))
def test_what_was_reported_durable_survives_a_power_failure(tmp_path, monkeypatch, seed):
    """
    After any step of a recording, in any state that the disk may be in, each record that was
    reported durable can be read; and none that is read is wrong.
    """
    draw = random.Random(seed)
    path = tmp_path / "call.journal"
    recording = Recording(monkeypatch)
    writer = JournalWriter(path, syncer=NoSyncer(), segment_bytes=2500)
    durable_at = []
    for _ in range(60):
        writer.append(FrameRecord.kind, "call-1", 0, draw.randbytes(draw.randint(1, 300)))
        if draw.random() < 0.5:
            writer.flush()
        if draw.random() < 0.3:
            writer.sync()
        durable_at.append((len(recording.steps), writer.durable_seq))
    writer.close()
    monkeypatch.undo()
    expected = {r.seq: r for r in open_journal(path) if r.seq}
    tries = 0
    folder = tmp_path / "state"
    for steps, durable in durable_at:
        for _ in range(3):
            folder.mkdir(exist_ok=True)
            for old in folder.iterdir():
                old.unlink()
            for name, data in recording.states(steps, draw):
                (folder / Path(name).name).write_bytes(data)
            tries += 1
            try:
                journal = open_journal(folder / "call.journal", on_damage=lambda _: None)
                records = {r.seq: r for r in journal if r.seq}
            except (EventBusError, FileNotFoundError):
                records = {}
            assert all(expected[seq] == record for seq, record in records.items())
            assert set(range(1, durable + 1)) <= set(records), (steps, durable)

    assert tries == 180


# --- wrong bits and bytes ---------------------------------------------------------------------


def test_journal_with_a_wrong_bit_anywhere_gives_no_wrong_record(path):
    """
    Whichever bit is wrong, only the records of its batch are missing; all others are as they were.
    """
    whole = record_call(path, frames=10)
    data = path.read_bytes()
    for bit in range(0, 8 * len(data), 61):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        journal = open_journal(path, on_damage=lambda _: None)
        records = {record.seq: record for record in journal}
        for record in whole:
            found = records.get(record.seq)
            if isinstance(record, (FrameRecord, CallRecord)) and found is not None:
                assert found == record, bit
        assert len(records) >= len({record.seq for record in whole}) - 30, bit


def test_journal_that_is_cut_anywhere_gives_what_is_whole(path):
    """
    At whichever offset it ends, the whole batches before are read, and repairing keeps them.
    """
    record_call(path, frames=10)
    data = path.read_bytes()
    with Segment.open(path).reading() as file:
        ends = [place for place, _ in file.places(FILE_HEADER_BYTES)]
    for size in range(FILE_HEADER_BYTES, len(data), 13):
        path.write_bytes(data[:size])
        journal = open_journal(path)
        before = [record.seq for record in journal]
        whole = max((end for end in ends if end <= size), default=FILE_HEADER_BYTES)
        for tail in journal.torn_tails:
            assert tail.offset >= whole or tail.offset in ends
        repair_journal(path)
        assert [record.seq for record in open_journal(path)] == before


WRONG = [None, True, 1.5, "text", b"bytes", [], {}, -1, 1 << 63, [[]], {"a": 1}]


def test_records_of_wrong_types_are_damage_and_nothing_else(path):
    """
    Each element of each record in turn is of each wrong type, with the right checksum: the journal
    gives damage with an offset or a record that can be shown, and never another error.
    """
    record_call(path, frames=3)
    data = path.read_bytes()
    marker = data[12:20]
    with Segment.open(path).reading() as file:
        payloads = [msgspec.msgpack.decode(payload) for _, payload in file.places(64)]
    tries = damages = 0
    for number, payload in enumerate(payloads):
        for place in _places(payload):
            for wrong in WRONG:
                changed = _changed(payload, place, wrong)
                parts = [*payloads[:number], changed, *payloads[number + 1 :]]
                whole = data[:64]
                for part in parts:
                    try:
                        packed = msgspec.msgpack.encode(part)
                    except OverflowError:
                        break
                    whole += make_batch(packed, marker, len(whole))
                else:
                    path.write_bytes(whole)
                    tries += 1
                    damages += _read_all(path)
    assert tries > 500
    assert damages > tries / 3


def _places(payload):
    """Yield the paths of all elements of a payload but those within events."""
    for index, element in enumerate(payload):
        yield (index,)
        if isinstance(element, list):
            for inner, each in enumerate(element):
                yield (index, inner)
                if isinstance(each, list):
                    yield from ((index, inner, last) for last in range(len(each)))


def _changed(payload, place, wrong):
    copy = msgspec.msgpack.decode(msgspec.msgpack.encode(payload))
    target = copy
    for index in place[:-1]:
        target = target[index]
    target[place[-1]] = wrong
    return copy


def _read_all(path):
    """Read all that there is in a journal, and return the number of damages."""
    try:
        journal = open_journal(path, on_damage=lambda _: None)
        for record in journal:
            repr(record)
            if isinstance(record, EventRecord):
                _ = record.document, record.problem, record.fields
                with contextlib.suppress(EventBusError):
                    _ = record.event
    except EventBusError:
        return 1
    return len(journal.damages)


def test_batch_of_another_shape_is_damage(path):
    """
    A payload that isn't a batch at all is reported, and reading goes on behind it.
    """
    with JournalWriter(path, fsync="none", syncer=NoSyncer()) as writer:
        writer.append(FrameRecord.kind, None, 0, b"first")
        writer.flush()
        size = path.stat().st_size
        marker = path.read_bytes()[12:20]
        strange = make_batch(msgspec.msgpack.encode({"a": 1}), marker, size)
        with path.open("ab") as file:
            file.write(strange)
        after = encode_batch(2, 1, 1, 0, [], [[1, 2, 1, 0, 0, b"second"]])
        with path.open("ab") as file:
            file.write(make_batch(after, marker, size + len(strange)))
    journal = open_journal(path, on_damage=lambda _: None)

    assert [record.data for record in journal.read(FrameRecord)][:2] == [b"first", b"second"]
    assert [damage.offset for damage in journal.damages][:1] == [size]


# --- signals ----------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="sends itself signals")
def test_signal_handler_that_publishes_never_waits(path):
    """
    A handler of a signal publishes, at 3 kHz, while the main thread publishes and the other one
    writes: nothing waits for ever, and each record is there once.
    """
    bus, decoder = EventBus(), OpenAIRealtimeDecoder()
    bus.subscribe(lambda event: None, RealtimeModelAudioEvent)
    count = 0

    def handle(*_):
        nonlocal count
        count += 1
        recorder.sent({"type": "response.create", "n": count}, "signals")

    with Recorder(path, fsync="interval") as recorder, recorder.attach(bus):
        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
        try:
            while count < 1_000:
                decoder.publish_to(bus, AUDIO, sender="call-1")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    journal = open_journal(path)
    seqs = [r.seq for r in journal if not isinstance(r, HeaderRecord)]
    assert seqs == sorted(set(seqs))
    gaps = sum(g.last_seq - g.first_seq + 1 for g in journal.read(GapRecord))
    sent = sum(1 for r in journal.read(sender="signals"))
    assert sent + gaps >= count >= 1_000
    assert isinstance(journal.last, EndRecord)


def test_finalizer_that_publishes_never_waits(path):
    """
    A ``__del__`` publishes wherever the collector runs, in the thread that writes, too.
    """
    bus, count = EventBus(), 0

    class Loud:
        def __init__(self):
            self.me = self  # a cycle, so that only the collector finds it

        def __del__(self):
            nonlocal count
            count += 1
            recorder.sent({"n": count}, "finalizers")

    with Recorder(path, fsync="none") as recorder, recorder.attach(bus):
        for _ in range(20_000):
            Loud()
            recorder.sent({"n": 0}, "main")

    assert count > 1000
    assert not sys.is_finalizing()
    finalizers = sum(1 for _ in open_journal(path).read(sender="finalizers"))
    assert finalizers > 1000

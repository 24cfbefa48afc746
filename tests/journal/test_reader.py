"""
Reading gives the written records, or nothing; in order, from any place, and while it is written.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import secrets
import shutil
import zlib

import anyio
import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventbus.codec import packs
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelTranscriptDeltaEvent,
)
from eventbus.exceptions import (
    EventBusError,
    JournalDamaged,
    JournalEmpty,
    JournalTooNew,
    NotAJournal,
)
from eventbus.journal import (
    EndRecord,
    EventRecord,
    FrameRecord,
    HeaderRecord,
    Journal,
    JournalWriter,
    Recorder,
    SentRecord,
    StatusRecord,
    TornTail,
    open_journal,
    repair_journal,
)
from eventbus.journal._format import FILE_HEADER_BYTES
from eventbus.journal._segments import Segment, SegmentFile

SECOND = 1_000_000_000


def frames(count, size=10, **common):
    """Return so many frames, a second apart."""
    return [
        FrameRecord(seq=n, mono_ns=n * SECOND, wall_ns=n * SECOND, data=b"x" * size, **common)
        for n in range(1, count + 1)
    ]


def write(path, records, *, end=True, **options):
    """Write a journal with these records, and a first header of time 0."""
    options = {"fsync": "none", "clock_ns": lambda: 1, "wall_ns": lambda: 1, **options}
    with JournalWriter(path, **options) as writer:
        for record in records:
            writer.write(record)
            writer.flush()
        writer.close(end=end)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "call.journal"


def seqs(records):
    return [record.seq for record in records]


# --- in order --------------------------------------------------------------------------------


def test_records_come_in_the_order_in_which_they_were_written(path):
    """
    Iterating gives the header, then every record, then the end.
    """
    records = frames(3)

    header, *rest, end = open_journal(write(path, records))

    assert isinstance(header, HeaderRecord)
    assert rest == records
    assert isinstance(end, EndRecord)


def test_journal_can_be_read_again(path):
    """
    Each iteration begins at the beginning, also while another one goes on.
    """
    journal = open_journal(write(path, frames(3)))

    assert [(a.seq, b.seq) for a, b in zip(journal, journal, strict=True)] == [
        (n, n) for n in (0, 1, 2, 3, 4)
    ]


def test_segments_are_one_journal(path):
    """
    Records of all segments come one after the other, each segment with its header.
    """
    write(path, frames(9, size=100), segment_bytes=500)

    journal = open_journal(path)

    headers = list(journal.read(HeaderRecord))
    assert len(journal.paths) == len(headers) > 2
    assert [header.segment for header in headers] == list(range(1, len(headers) + 1))
    assert len({header.journal_id for header in headers}) == 1
    assert seqs(journal.read(FrameRecord)) == list(range(1, 10))


def test_first_segments_may_be_gone(path):
    """
    A journal that has lost its oldest files is read from the rest of it.
    """
    write(path, frames(9, size=100), segment_bytes=500)
    path.unlink()

    journal = open_journal(path)

    assert seqs(journal.read(FrameRecord)) == list(range(journal.header.first_seq, 10))


def test_segment_can_be_read_alone(path):
    """
    The path of a later segment opens that one.
    """
    write(path, frames(9, size=100), segment_bytes=500)
    second = open_journal(path).paths[1]

    assert {r.segment for r in open_journal(second).read(HeaderRecord)} == {2}


def test_what_a_journal_tells_without_being_read(path):
    """
    Opening tells the creator, the length in bytes and in time, and if it was closed.
    """
    journal = open_journal(write(path, frames(3)))

    assert journal.header.creator.startswith("eventbus")
    assert journal.size_bytes == path.stat().st_size
    assert journal.is_closed
    assert journal.duration_ns == 3 * SECOND - 1
    assert journal.position_bytes == 0
    assert list(journal)
    assert journal.position_bytes == journal.size_bytes
    assert repr(journal) == f"<Journal {str(path)!r}, {journal.size_bytes} bytes>"


def test_journal_without_an_end_was_not_closed(path):
    """
    Its writer has died, or still writes.
    """
    journal = open_journal(write(path, frames(2), end=False))

    assert not journal.is_closed
    assert journal.last.seq == 2


# --- seeking ---------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"segment_bytes": 200_000}], ids=["one file", "many"])
def test_seeking_finds_any_record(path, options):
    """
    After a seek the first record is the one that was asked for, wherever it is.
    """
    journal = open_journal(write(path, frames(300, size=2000), **options))

    for seq in (1, 2, 77, 150, 299, 300, 301):
        assert next(r.seq for r in journal.seek(seq=seq) if r.seq) == seq
    for seq in (1, 100, 300):
        assert next(r.seq for r in journal.seek(time=seq - 1e-9) if r.seq) == seq
    assert seqs(journal.seek(seq=400)) == []
    assert len(list(journal.seek(seq=0).read(FrameRecord))) == 300


def test_seeking_reads_little(path, monkeypatch):
    """
    A place is found without reading everything before it.
    """
    write(path, frames(2000, size=2000))
    read = []
    read_at = SegmentFile.read_at
    monkeypatch.setattr(
        SegmentFile,
        "read_at",
        lambda self, offset, count: read.append(count) or read_at(self, offset, count),
    )

    journal = open_journal(path).seek(seq=1234)

    assert sum(read) < path.stat().st_size / 4
    assert next(iter(journal)).seq == 1234


def test_time_between_two_segments_is_found_in_the_second(path):
    """
    After the last record of a segment and before the first of the next, nothing is missing.
    """
    journal = open_journal(write(path, frames(9, size=100), segment_bytes=500))
    (last, *_) = [r.seq for r in open_journal(journal.paths[1]).read(FrameRecord)]

    got = journal.seek(time=last - 1.5).read(FrameRecord)

    assert seqs(got) == list(range(last - 1, 10))
    assert seqs(journal.seek(time=last - 0.5).read(FrameRecord)) == list(range(last, 10))
    assert seqs(journal.seek(time=last - 0.5).follow(FrameRecord)) == list(range(last, 10))


def test_time_may_be_a_time_of_day(path):
    """
    A datetime means the clock at the beginning of the journal; it must have a time zone.
    """
    journal = open_journal(write(path, frames(5)))
    moment = dt.datetime.fromtimestamp(3, dt.UTC)

    assert next(iter(journal.seek(time=moment))).seq == 3
    with pytest.raises(TypeError, match="no time zone"):
        journal.seek(time=moment.replace(tzinfo=None))


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf])
def test_time_that_is_no_time_is_refused(path, seconds):
    """
    The error names the argument and its value.
    """
    journal = open_journal(write(path, frames(5)))

    with pytest.raises(ValueError, match=rf"^time= is a finite .*not {seconds}"):
        journal.seek(time=seconds)


@pytest.mark.parametrize(
    "place",
    [{"time": True}, {"time": "1"}, {"seq": True}, {"seq": "1"}, {"seq": 1.5}, {"seq": math.nan}],
    ids=str,
)
def test_place_of_another_type_is_refused(path, place):
    """
    Neither a truth value nor a text is a number of seconds, or of a record.
    """
    journal = open_journal(write(path, frames(5)))
    ((name, value),) = place.items()

    with pytest.raises(TypeError, match=rf"^{name}= is .*not {value!r}"):
        journal.seek(**place)


@pytest.mark.parametrize("great", [1e15, 1e300, 10**400], ids=lambda value: str(value)[:9])
def test_place_far_outside_is_before_all_records_or_behind_them(path, great):
    """
    However great the number is.
    """
    journal = open_journal(write(path, frames(5)))

    assert seqs(journal.seek(time=great)) == []
    assert len(seqs(journal.seek(time=-great))) == len(seqs(journal.seek(seq=0)))
    assert seqs(journal.seek(seq=int(great))) == []
    assert len(seqs(journal.seek(seq=-int(great)))) == len(seqs(journal.seek(seq=0)))


@pytest.mark.parametrize(
    "poll", [-1, math.nan, math.inf, 10**400, True, "1"], ids=lambda v: str(v)[:9]
)
async def test_time_between_looks_is_a_number(path, poll):
    """
    Refused at once, and not when the first wait is due.
    """
    journal = open_journal(write(path, frames(5)))

    with pytest.raises(ValueError, match=r"^poll= is a number of seconds"):
        next(journal.follow(poll=poll))
    with pytest.raises(ValueError, match=r"^poll= is a number of seconds"):
        await anext(journal.follow_async(poll=poll))


@pytest.mark.parametrize("given", [5, None, b"call.journal", Recorder], ids=str)
def test_path_of_another_type_is_named(given):
    """
    By each function that reads a journal.
    """
    for read in (open_journal, repair_journal):
        with pytest.raises(TypeError, match=rf"^{read.__name__}\(\) takes the path of a journal"):
            read(given)


def test_report_of_damage_that_cannot_be_called_is_refused(path):
    """
    When the journal is opened, and not where it is damaged.
    """
    with pytest.raises(TypeError, match="on_damage= is a function"):
        open_journal(write(path, frames(5)), on_damage=5)


def test_seek_takes_one_of_both(path):
    """
    A sequence number or a time, not none.
    """
    with pytest.raises(TypeError, match="one of seq= and time="):
        open_journal(write(path, frames(1))).seek()


# --- filters ---------------------------------------------------------------------------------


def test_filters_by_class_sender_item_and_response(path):
    """
    Only selected records are given: by record class, event class, sender, item or response.
    """
    audio = RealtimeModelAudioEvent(b"\0\0", "r-1", "i-1", 0)
    delta = RealtimeModelTranscriptDeltaEvent("i-2", "hello", "r-1")
    frame = b'{"type":"x","item":{"id":"i-2"},"response_id":"r-9"}'
    records = [
        EventRecord(1, 1, 1, "a", 0, "RealtimeModelAudioEvent", "audio", packs(audio)),
        EventRecord(
            2, 2, 2, "b", 0, "RealtimeModelTranscriptDeltaEvent", "transcript_delta", packs(delta)
        ),
        FrameRecord(3, 3, 3, "b", 0, frame),
        SentRecord(4, 4, 4, None, 0, b'{"type":"y","item_id":"i-1"}'),
        StatusRecord(5, 5, 5, "a", 0, "connected"),
        FrameRecord(6, 6, 6, "b", 0, b"no JSON, but i-2"),
    ]
    journal = open_journal(write(path, records, end=False))

    def read(*classes, **options):
        return [seq for seq in seqs(journal.read(*classes, **options)) if seq]

    assert read(EventRecord) == [1, 2]
    assert read(RealtimeModelAudioEvent) == [1]
    assert read(RealtimeModelAudioEvent, SentRecord) == [1, 4]
    assert read(RealtimeModelRawServerEvent) == [3, 6]
    assert read(RealtimeModelConnectionStatusEvent) == [5]
    assert read(sender="b") == [2, 3, 6]
    assert read(sender=None) == [4]
    assert read(EventRecord, sender="b") == [2]
    assert read(item="i-2") == [2, 3]
    assert read(item="i-1") == [1, 4]
    assert read(response="r-1") == [1, 2]
    assert read(response="r-9") == [3]
    with pytest.raises(TypeError, match="not 'audio'"):
        next(journal.read("audio"))


# --- bad input -------------------------------------------------------------------------------


def test_missing_file_is_the_systems_error(path):
    """
    There is no journal of our own errors for a path that isn't there.
    """
    with pytest.raises(FileNotFoundError):
        open_journal(path)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", JournalEmpty),
        (b"\x89EVJ", JournalEmpty),
        (b"\x89PNG\r\n\x1a\n and a picture", NotAJournal),
        (b'{"type":"session.created"}\n', NotAJournal),
    ],
)
def test_each_kind_of_file_that_is_no_journal_has_its_error(path, content, error):
    """
    An empty file and a foreign one are told apart, before anything is read.
    """
    path.write_bytes(content)

    with pytest.raises(error) as caught:
        open_journal(path)
    assert caught.value.path == str(path)


@pytest.fixture
def small(path):
    """
    A small journal with records of several kinds, as bytes, and its records.
    """
    event = RealtimeModelTranscriptDeltaEvent("i-1", "hello", "r-1")
    records = [
        FrameRecord(1, 2, 3, "a", 0, b'{"type":"x"}'),
        EventRecord(2, 3, 4, "a", 1, "RealtimeModelTranscriptDeltaEvent", "t", packs(event)),
        StatusRecord(3, 4, 5, "a", 0, "connected"),
        SentRecord(4, 5, 6, "a", 0, b"{}"),
    ]
    data = write(path, records, end=False).read_bytes()
    return data, [*open_journal(path)]


def outcome(path):
    """Return the outcome of reading a file: an error, or records and a torn tail."""
    try:
        journal = open_journal(path)
        return list(journal), journal.torn_tails
    except EventBusError as exc:
        return exc


def ends(path):
    """Return where each batch of a journal ends; there is one for each record."""
    with Segment.open(path).reading() as file:
        places = [place for place, _ in file.places(FILE_HEADER_BYTES)]
        return [*places, file.size]


def test_journal_that_is_cut_anywhere_loses_the_torn_record_only(path, small, caplog):
    """
    At whichever offset the file ends, all whole records are given, and the rest is reported.
    """
    data, records = small
    places = ends(path)
    assert len(places) == len(records) + 1
    for size in range(len(data)):
        path.write_bytes(data[:size])
        got = outcome(path)
        if size < FILE_HEADER_BYTES:
            assert isinstance(got, JournalEmpty), size
            continue
        whole = [place for place in places if place <= size]
        tail = [TornTail(str(path), whole[-1], size - whole[-1])] if size > whole[-1] else []
        assert got == (records[: len(whole) - 1], tail), size


@pytest.mark.parametrize("mask", [0x01, 0xFF])
@pytest.mark.slow
def test_journal_with_a_wrong_byte_anywhere_gives_no_wrong_record(path, small, mask):
    """
    Whichever byte is wrong, there is an error that names the record's offset; or, in the last
    one, a torn tail. With *on_damage* every other record is given.
    """
    data, records = small
    places = ends(path)
    for offset in range(len(data)):
        damaged = bytearray(data)
        damaged[offset] ^= mask
        path.write_bytes(damaged)
        got = outcome(path)
        index = sum(place <= offset for place in places) - 1
        found = []
        if index < 0:
            assert isinstance(got, JournalDamaged), offset
            assert got.offset == 0
            expected = records
        elif index == len(records) - 1:
            assert got == (
                records[:-1],
                [TornTail(str(path), places[-2], 16 + places[-1] - places[-2] - 16)],
            )
            continue
        else:
            assert isinstance(got, JournalDamaged), offset
            assert (got.offset, got.resume_at) == (places[index], places[index + 1])
            expected = records[:index] + records[index + 1 :]
        journal = open_journal(path, on_damage=found.append)
        assert list(journal) == expected, offset
        assert journal.damages == found
        assert [damage.offset for damage in found] == [max(0, got.offset)]


def test_record_within_a_damaged_record_is_not_taken_for_one(path):
    """
    A frame that carries a whole journal, marker and all, gives no record of that when damaged.
    """
    inner = write(path, frames(3), end=False).read_bytes()
    path.unlink()
    write(path, [FrameRecord(1, data=b""), FrameRecord(2, data=b"y")], end=False)
    data = path.read_bytes()
    marker = data[12:20]
    inner = inner.replace(inner[12:20], marker)
    path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "token_bytes", lambda _: marker)
        write(path, [FrameRecord(1, data=inner), FrameRecord(2, data=b"y")], end=False)
    data = bytearray(path.read_bytes())
    data[data.find(inner) - 3] ^= 1
    path.write_bytes(data)

    journal = open_journal(path, on_damage=lambda _: None)

    assert [r.data for r in journal.read(FrameRecord)] == [b"y"]
    assert len(journal.damages) == 1


def test_damage_is_met_where_it_is(path):
    """
    Records before the damage are given before it is raised.
    """
    write(path, frames(3))
    data = bytearray(path.read_bytes())
    place = data.find(b"xxxxxxxxxx", data.find(b"xxxxxxxxxx") + 10)
    data[place] ^= 1
    path.write_bytes(data)
    seen = []

    with pytest.raises(JournalDamaged, match=r"damaged at offset \d+"):
        seen.extend(open_journal(path).read(FrameRecord))

    assert seqs(seen) == [1]
    assert seqs(open_journal(path).seek(seq=3).read(FrameRecord)) == [3]


def test_damage_doesnt_keep_a_seek_from_finding_what_is_behind_it(path):
    """
    A megabyte of zeros in the middle is skipped by seeking.
    """
    write(path, frames(2000, size=2000))
    data = bytearray(path.read_bytes())
    data[1_000_000:2_000_000] = bytes(1_000_000)
    path.write_bytes(data)

    journal = open_journal(path, on_damage=lambda _: None)

    assert next(iter(journal.seek(seq=1500))).seq == 1500
    assert next(iter(journal.seek(seq=100))).seq == 100
    assert next(iter(journal.seek(seq=700))).seq > 700
    assert len(list(journal.seek(seq=1).read(FrameRecord))) < 2000
    assert len({damage.offset for damage in journal.damages}) == 1


def test_damaged_header_of_a_record_file_leaves_other_segments(path):
    """
    A segment that can't be read at all is reported, and then the records that are missing.
    """
    write(path, frames(9, size=100), segment_bytes=500)
    _, second, third, *_ = open_journal(path).paths
    second.write_bytes(second.read_bytes()[:10] + bytes(60))
    found = []

    journal = open_journal(path, on_damage=found.append)

    assert {1, 9} < set(seqs(journal))
    assert [damage.path for damage in found] == [str(second), str(third)]


@pytest.mark.parametrize("segment_bytes", [500, 1 << 20])
@pytest.mark.parametrize("offset", [30, FILE_HEADER_BYTES + 20])
def test_times_count_from_the_beginning_though_the_first_header_is_damaged(
    path, offset, segment_bytes
):
    """
    A damaged file header or header record leaves offsets in time that begin near 0, in a journal
    whose clock began long before, with its machine.
    """
    booted = 10**6 * SECOND
    later = [attrs.evolve(each, mono_ns=each.mono_ns + booted) for each in frames(9, size=100)]
    clock = {"clock_ns": lambda: booted, "wall_ns": lambda: 7 * SECOND}
    write(path, later, segment_bytes=segment_bytes, **clock)
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)

    journal = open_journal(path, on_damage=lambda _: None)

    assert booted <= journal.header.mono_ns <= booted + SECOND
    assert seqs(journal.read(FrameRecord)) == list(range(1, 10))
    assert next(journal.seek(time=4.5).read(FrameRecord)).seq in {5, 6}


def test_settings_are_known_though_the_file_header_is_damaged(path):
    """
    A header record that is whole is read behind a damaged file header.
    """
    header = HeaderRecord(journal_id="j", has_audio=False, clock="virtual")
    write(path, frames(2), header=header)
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)

    found = open_journal(path, on_damage=lambda _: None).header

    assert (found.journal_id, found.has_audio, found.clock) == ("j", False, "virtual")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_pipe_is_not_a_journal(path):
    """
    A named pipe is refused at once, and not waited for; as a later segment it is damage.
    """
    os.mkfifo(path)
    with pytest.raises(NotAJournal, match="can't be read from a pipe"):
        open_journal(path)

    path.unlink()
    write(path, frames(3))
    os.mkfifo(path.with_name("call.00002.journal"))
    journal = open_journal(path, on_damage=lambda _: None)

    assert seqs(journal.read(FrameRecord)) == [1, 2, 3]
    assert len(journal.damages) == 1


def test_journal_with_no_file_that_can_be_read_is_damaged(path):
    """
    Unreadable file headers of all segments are damage, not a missing file.
    """
    write(path, frames(9, size=100), segment_bytes=500)
    for each in open_journal(path).paths:
        each.write_bytes(each.read_bytes()[:10] + bytes(60))

    with pytest.raises(JournalDamaged):
        open_journal(path, on_damage=lambda _: None)


@pytest.mark.parametrize("size", [None, 0, 10, 64, 70, "half"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_segment_that_is_missing_is_damage(path, number, size):
    """
    One that was deleted, emptied or cut short anywhere is no silent loss; the first may be deleted,
    as the oldest are.
    """
    write(path, frames(12, size=100), segment_bytes=500)
    paths = open_journal(path).paths
    lost = paths[number]
    if size is None:
        lost.unlink()
    else:
        data = lost.read_bytes()
        last_record = data.rfind(data[12:20])  # its marker
        os.truncate(lost, last_record if size == "half" else size)
    found = []

    journal = open_journal(path, on_damage=found.append)
    records = seqs(journal)

    if number == 0 and size is None:
        assert found == []
        return
    (damage,) = found
    assert damage.path == str(paths[number + 1])
    assert records[-1] == 13
    with pytest.raises(JournalDamaged, match="begins with record"):
        list(open_journal(path))
    with pytest.raises(JournalDamaged, match="begins with record"):
        list(open_journal(path).follow())


@pytest.fixture
def foreign(tmp_path):
    """
    A segment of another journal, as bytes.
    """
    folder = tmp_path / "other"
    folder.mkdir()
    write(folder / "call.journal", frames(12, size=100), segment_bytes=500)
    return (folder / "call.00002.journal").read_bytes()


def test_segment_of_another_journal_is_skipped_loudly(path, foreign):
    """
    A file that only has the right name isn't read as if the journal went on in it: the error names
    it and the remedy; with *on_damage* the rest is read.
    """
    write(path, frames(3))
    stale = path.with_name("call.00002.journal")
    stale.write_bytes(foreign)
    found = []

    with pytest.raises(JournalDamaged, match=r"belongs to another journal.*Move it") as caught:
        open_journal(path)
    journal = open_journal(path, on_damage=found.append)

    assert (caught.value.path, caught.value.journal_id) == (
        str(stale),
        open_journal(stale).header.journal_id,
    )
    assert seqs(journal) == [0, 1, 2, 3, 4]
    assert (journal.paths, journal.is_closed, journal.last.seq) == ([path], True, 4)
    assert [damage.path for damage in found] == [str(stale)]


def newer(data):
    """Return the bytes of a journal as one of a newer version."""
    head = data[:8] + b"\x09" + data[9:60]
    return head + zlib.crc32(head).to_bytes(4, "little") + data[64:]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: b"notes\n", "doesn't begin like a journal"),
        (lambda _: bytes(500), "doesn't begin like a journal"),
        (newer, "has version 9 of the journal format"),
    ],
    ids=["text", "zeros", "newer"],
)
def test_later_file_that_is_no_segment_is_skipped_loudly(path, change, reason):
    """
    A file with the name of a segment that can't be one is damage: with *on_damage* the rest is
    read. By its own name, it is what it is.
    """
    write(path, frames(3))
    stale = path.with_name("call.00002.journal")
    stale.write_bytes(change(path.read_bytes()))

    with pytest.raises(JournalDamaged, match=reason) as caught:
        open_journal(path)
    journal = open_journal(path, on_damage=lambda _: None)

    assert (caught.value.path, caught.value.journal_id) == (str(stale), None)
    assert seqs(journal) == [0, 1, 2, 3, 4]
    assert [damage.path for damage in journal.damages] == [str(stale)]
    with pytest.raises((NotAJournal, JournalTooNew)):
        open_journal(stale)


def test_journal_of_which_only_later_segments_are_left_knows_its_own(path, foreign):
    """
    If the first segment was deleted, the oldest one that is left has the journal's id.
    """
    write(path, frames(9, size=100), segment_bytes=500)
    path.unlink()
    path.with_name("call.99999.journal").write_bytes(foreign)
    journal = open_journal(path, on_damage=lambda _: None)

    assert seqs(journal.read(FrameRecord)) == list(range(journal.header.first_seq, 10))
    assert [damage.journal_id is None for damage in journal.damages] == [False]


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(fates=st.lists(st.sampled_from(["kept", "deleted", "foreign"]), min_size=3, max_size=3))
def test_whatever_becomes_of_segments_no_foreign_record_is_given(tmp_path, foreign, fates):
    """
    With any segments after the first deleted or replaced, the rest is read, and each
    foreign file and each place where records are missing is told once.
    """
    folder = tmp_path / "-".join(fates)
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    path = write(folder / "call.journal", frames(12, size=100), segment_bytes=500)
    whole = open_journal(path)
    records = []
    for record in whole:
        if isinstance(record, HeaderRecord):
            records.append([])
        records[-1].append(record)
    expected, damages, is_hole = records[0], [], False
    fates = [*fates, *["kept"] * (len(records) - 1 - len(fates))]
    for each, own, fate in zip(whole.paths[1:], records[1:], fates, strict=True):
        if fate == "kept":
            expected = expected + own
            damages += [str(each)] if is_hole else []
        elif fate == "deleted":
            each.unlink()
        else:
            each.write_bytes(foreign)
            damages.append(str(each))
        is_hole = fate != "kept"

    journal = open_journal(path, on_damage=lambda _: None)

    assert list(journal) == expected
    assert sorted(damage.path for damage in journal.damages) == sorted(damages)


def test_journal_whose_only_segments_are_empty_is_empty(path):
    """
    There is nothing to read in it, for any number of files.
    """
    path.touch()
    path.with_name("call.00002.journal").touch()

    with pytest.raises(JournalEmpty):
        open_journal(path)


def test_record_that_becomes_whole_while_it_is_read_is_no_damage(path, monkeypatch):
    """
    A reader that has met the half of a record, and then finds all of it and more, goes on.
    """
    data = write(path, frames(3)).read_bytes()
    whole = seqs(open_journal(path))
    path.write_bytes(data[: len(data) // 2])
    find = SegmentFile.find

    def find_later(self, offset, stop=None):
        path.write_bytes(data)
        return find(self, offset, stop)

    journal, follower = open_journal(path), open_journal(path)
    monkeypatch.setattr(SegmentFile, "find", find_later)

    assert seqs(journal) == whole
    path.write_bytes(data[: len(data) // 2])
    assert seqs(follower.follow()) == whole


def test_long_record_is_read(path):
    """
    A record that is longer than one read is whole all the same.
    """
    record = FrameRecord(seq=1, data=bytes(3 << 20))

    journal = open_journal(write(path, [record, FrameRecord(seq=2, data=b"y")]))

    assert list(journal.read(FrameRecord)) == [record, FrameRecord(seq=2, data=b"y")]
    assert journal.seek(seq=2)
    assert next(iter(journal)).seq == 2


def test_end_is_found_behind_a_long_torn_tail(path):
    """
    The last whole record is known, however much of a longer one comes after it.
    """
    write(path, [FrameRecord(seq=1, data=b"y"), FrameRecord(seq=2, data=bytes(1 << 19))], end=False)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)

    journal = open_journal(path)

    assert journal.last.seq == 1
    assert [tail.size for tail in journal.torn_tails] == [
        path.stat().st_size - journal.torn_tails[0].offset
    ]


# --- following -------------------------------------------------------------------------------


def test_following_gives_what_is_written_later(path, monkeypatch):
    """
    A follower sees records as they are written, across segments, and ends with the journal.
    """
    writer = JournalWriter(path, fsync="none", segment_bytes=200)
    later = iter(range(2, 8))

    def write_more(_):
        number = next(later, None)
        if number is None:
            writer.close()
        else:
            writer.write(FrameRecord(seq=number, data=bytes(60)))
            writer.flush()

    writer.write(FrameRecord(seq=1, data=b"first"))
    writer.flush()
    monkeypatch.setattr("time.sleep", write_more)

    assert seqs(open_journal(path).follow(FrameRecord)) == [1, 2, 3, 4, 5, 6, 7]
    assert len(open_journal(path).paths) > 1


def test_following_without_waiting_gives_none_where_there_is_no_more(path):
    """
    `Journal.follow_nowait` gives None as often as it is asked, then what has come meanwhile, and
    stops at the end.
    """
    with JournalWriter(path) as writer:
        writer.append(FrameRecord.kind, "call-1", 0, b"{}")
        writer.sync()
        records = open_journal(path).follow_nowait()
        assert [next(records).seq for _ in range(2)] == [0, 1]
        assert [next(records), next(records)] == [None, None]
        writer.append(FrameRecord.kind, "call-1", 0, b"{}")
        writer.sync()
        assert next(records).seq == 2
    assert [type(record) for record in records if record is not None] == [EndRecord]


def test_following_waits_for_the_rest_of_a_record(path, monkeypatch):
    """
    A record of which only a part has been written is given when it is whole.
    """
    whole = write(path, frames(2)).read_bytes()
    sizes = iter(range(len(whole) - 80, len(whole) + 1))
    path.write_bytes(whole[: next(sizes)])
    monkeypatch.setattr("time.sleep", lambda _: path.write_bytes(whole[: next(sizes)]))

    assert seqs(open_journal(path).follow(FrameRecord)) == [1, 2]


def test_following_skips_a_segment_of_another_journal(path, foreign, monkeypatch):
    """
    A foreign file that appears is told once, however often it is seen; the journal's own file that
    takes its place later is read.
    """
    own = [write(path, frames(9, size=100), segment_bytes=500)]
    own += open_journal(path).paths[1:]
    second, *rest = [each.read_bytes() for each in own[1:]]
    for each in own[1:]:
        each.unlink()
    steps = iter([foreign[:30], foreign, foreign, second[:30], second, second])
    found = []

    def step(_):
        data = next(steps, None)
        if data is not None:
            own[1].write_bytes(data)
        for each, late in zip(own[2:], rest if data is None else (), strict=False):
            each.write_bytes(late)

    monkeypatch.setattr("time.sleep", step)

    assert seqs(open_journal(path, on_damage=found.append).follow(FrameRecord)) == [*range(1, 10)]
    assert [damage.path for damage in found] == [str(own[1])]


def test_follower_that_takes_no_damage_stops_at_another_journals_segment(
    path, foreign, monkeypatch
):
    """
    Without *on_damage*, the error is raised where the file appears, after the records before it.
    """
    write(path, frames(3), end=False)
    seen = []
    monkeypatch.setattr(
        "time.sleep",
        lambda _: path.with_name("call.00002.journal").write_bytes(foreign),
    )

    with pytest.raises(JournalDamaged, match="belongs to another journal"):
        seen.extend(open_journal(path).follow(FrameRecord))
    assert seqs(seen) == [1, 2, 3]


def test_follower_goes_on_after_a_new_segment_whose_header_is_damaged(path, monkeypatch):
    """
    A segment that appears is treated as one that was there: its damage goes to *on_damage*.
    """
    write(path, frames(9, size=100), segment_bytes=500)
    late = {each: each.read_bytes() for each in open_journal(path).paths[1:]}
    for each in late:
        each.unlink()

    def appear(_):
        for number, (each, data) in enumerate(late.items()):
            each.write_bytes(data if number else b"?" + data[1:])

    monkeypatch.setattr("time.sleep", appear)
    journal = open_journal(path, on_damage=lambda _: None)

    assert seqs(journal.follow(FrameRecord)) == [*range(1, 10)]
    assert [damage.offset for damage in journal.damages] == [0]


async def test_following_in_an_event_loop(tmp_path):
    """
    The async follower waits on the loop, and sees the same.
    """
    path = tmp_path / "call.journal"
    writer = JournalWriter(path, fsync="none")
    seen = []

    async def follow():
        async for record in Journal(path).follow_async(FrameRecord, poll=0):
            seen.append(record.seq)
            if record.seq == 1:
                writer.write(FrameRecord(seq=2))
                writer.close()

    writer.write(FrameRecord(seq=1))
    writer.flush()
    with anyio.fail_after(10):
        await follow()

    assert seen == [1, 2]


def test_follower_goes_on_after_damage(path):
    """
    Damage is reported to a follower as to a reader.
    """
    write(path, frames(3))
    data = bytearray(path.read_bytes())
    data[data.find(b"xxxxxxxxxx")] ^= 1
    path.write_bytes(data)

    with pytest.raises(JournalDamaged):
        list(open_journal(path).follow())
    assert seqs(open_journal(path, on_damage=lambda _: None).follow(FrameRecord)) == [2, 3]


def test_newer_journal_is_refused(path):
    """
    A version that isn't known is an error of its own.
    """
    path.write_bytes(newer(write(path, frames(1)).read_bytes()))

    with pytest.raises(JournalTooNew, match="version 9"):
        open_journal(path)


def test_copy_of_a_journal_is_a_journal(path):
    """
    The place of the file doesn't matter.
    """
    shutil.copy(write(path, frames(2)), other := path.with_name("other.bin"))

    assert list(open_journal(other)) == list(open_journal(path))

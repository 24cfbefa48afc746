"""
Writing loses nothing that it has reported durable, and appending never raises.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import struct
import threading
import time

import pytest

from eventbus.exceptions import JournalWriteError, RemoteException
from eventbus.journal import (
    CallRecord,
    EndRecord,
    FrameRecord,
    GapRecord,
    HeaderRecord,
    JournalWriter,
    open_journal,
)
from eventbus.journal import _writer as module
from eventbus.journal._fsync import NoSyncer

SECOND = 1_000_000_000


class Clock:
    """A clock in nanoseconds that stands still until it is moved."""

    def __init__(self):
        self.now = SECOND

    def __call__(self):
        return self.now


class Disk:
    """The system as the writer sees it: it can fail."""

    def __init__(self, monkeypatch):
        self.room = None
        self.synced = []
        self.fails_to_sync = self.fails_to_cut = self.fail_once = False
        self._write, self._fsync, self._cut = os.write, os.fsync, os.ftruncate
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "ftruncate", self.ftruncate)

    def write(self, fd, data):
        if self.room is not None:
            if not self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[: self.room]
            self.room -= len(data)
        return self._write(fd, data)

    def fsync(self, fd):
        if self.fails_to_sync or self.fail_once:
            self.fail_once = False
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.synced.append(fd)
        self._fsync(fd)

    def ftruncate(self, fd, size):
        if self.fails_to_cut:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._cut(fd, size)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "call.journal"


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "_now_ns", clock)  # by which it is tried again
    return clock


def make(path, **options):
    """Return a writer that only writes when it is flushed or synced."""
    return JournalWriter(path, syncer=NoSyncer(), **options)


def frame(writer, data=b"x" * 100):
    return writer.append(FrameRecord.kind, "call-1", 0, data)


def shape(path):
    """Return the records of a journal, in short."""
    return [
        f"{r.first_seq}-{r.last_seq}" if isinstance(r, GapRecord) else r.seq
        for r in open_journal(path)
        if not isinstance(r, HeaderRecord | EndRecord)
    ]


# --- files -----------------------------------------------------------------------------------


def test_file_is_for_its_owner_only(path):
    """
    With any umask, the files are readable for nobody else.
    """
    before = os.umask(0)
    try:
        with JournalWriter(path, segment_bytes=200) as writer:
            for _ in range(5):
                frame(writer)
                writer.flush()
    finally:
        os.umask(before)

    assert {stat.S_IMODE(each.stat().st_mode) for each in open_journal(path).paths} == {0o600}


def test_journal_is_never_overwritten(path):
    """
    A file that is there is refused, and stays as it is; so does one of which segments are left.
    """
    path.write_bytes(b"something")
    with pytest.raises(JournalWriteError, match="never overwritten"):
        JournalWriter(path)
    assert path.read_bytes() == b"something"

    path.rename(path.with_name("call.00002.journal"))
    with pytest.raises(JournalWriteError, match="never overwritten"):
        JournalWriter(path)


def test_folder_must_be_there(tmp_path):
    """
    A path that can't be written is an error at once, with the reason.
    """
    with pytest.raises(JournalWriteError, match="No such file or directory") as caught:
        JournalWriter(tmp_path / "no folder" / "call.journal")
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_policy_is_one_of_four(path):
    """
    A policy that isn't known is refused before a file is made.
    """
    with pytest.raises(ValueError, match="'often'"):
        JournalWriter(path, fsync="often")
    assert not path.exists()


def test_numbers_and_times_never_fall(path):
    """
    Records are numbered from 1 on, and the clock that goes back stands still in the journal.
    """
    times = iter([5, 9, 7, 8, 6, 12, 4, 11, *range(20, 40)])
    with make(path, fsync="none", clock_ns=lambda: next(times)) as writer:
        for number in range(1, 4):
            assert frame(writer) == writer.last_seq == number
            writer.flush()

    times = [record.mono_ns for record in open_journal(path)]
    assert times == sorted(times)


def test_copy_keeps_numbers_and_times(path):
    """
    Records of another journal are written as they are, under its header.
    """
    with JournalWriter(path, fsync="none") as writer:
        for _ in range(5):
            frame(writer)
    source = open_journal(path)
    copy = path.with_name("copy.journal")

    with JournalWriter(copy, header=source.header, fsync="none") as writer:
        for record in source:
            if not isinstance(record, HeaderRecord):
                writer.write(record)

    assert list(open_journal(copy)) == list(source)


def test_record_that_is_too_long_is_refused(path, monkeypatch):
    """
    A copy that nobody could read isn't written.
    """
    monkeypatch.setattr(module, "MAX_DATA_BYTES", 100)
    writer = JournalWriter(path, fsync="none")
    with pytest.raises(ValueError, match="more than 100"):
        writer.write(FrameRecord(seq=1, data=bytes(101)))
    writer.close()


def test_segments_begin_by_size_and_by_age(path, clock):
    """
    A segment that is long enough or old enough is followed by another one.
    """
    with make(path, fsync="none", segment_bytes=1000, segment_seconds=60, clock_ns=clock) as writer:
        frame(writer)
        writer.flush()
        assert len(open_journal(path).paths) == 1
        clock.now += 60 * SECOND
        frame(writer)
        writer.flush()
        assert len(open_journal(path).paths) == 2
        frame(writer, bytes(1000))
        writer.flush()
        assert len(open_journal(path).paths) == 3

    headers = list(open_journal(path).read(HeaderRecord))
    assert [header.first_seq for header in headers] == [1, 3, 4]
    assert shape(path) == [1, 2, 3]


def test_closing_twice_is_fine(path):
    """
    The second time does nothing; nor does the syncer's thread live on.
    """
    writer = JournalWriter(path)
    frame(writer)
    writer.flush()
    writer.close()
    writer.close()

    assert open_journal(path).is_closed
    assert not any(t.name == "eventbus-journal" for t in threading.enumerate())


def test_record_that_cant_be_encoded_has_its_defaults(path):
    """
    A value that MessagePack can't have costs the fields of that record, and nothing else.
    """
    with make(path, fsync="none") as writer:
        writer.append(FrameRecord.kind, "a", 0, object())
        writer.append(CallRecord.kind, "a", 0, 0, "play", "crashed", 0, 0, 0, ERROR)
        writer.append(FrameRecord.kind, "a", 0, b"next")

    first, second, third = list(open_journal(path))[1:-1]
    assert (first.data, first.problem) == (b"", "it can't be written")
    assert (second.handler, second.error) == ("play", None)
    assert third.data == b"next"


ERROR = RemoteException("ValueError", object())


def test_what_comes_after_the_end_is_ignored(path):
    """
    A call that ends when the journal is closed already raises nothing, and changes nothing.
    """
    writer = JournalWriter(path)
    frame(writer)
    writer.close()
    before = path.read_bytes()

    for _ in range(600):
        frame(writer)
    writer.flush()
    writer.sync()

    assert path.read_bytes() == before


# --- durability ------------------------------------------------------------------------------


def test_batch_is_written_by_one_call(path, monkeypatch):
    """
    Appended records are in memory until they are flushed.
    """
    writer, written, write = make(path, fsync="none"), [], os.write
    monkeypatch.setattr(os, "write", lambda fd, data: written.append(data) or write(fd, data))
    for _ in range(10):
        frame(writer)
    assert written == []
    writer.flush()

    assert len(written) == 1
    assert shape(path) == list(range(1, 11))
    writer.close()


def test_records_are_written_without_being_asked_for(path):
    """
    A thread writes appended records a moment later.
    """
    with JournalWriter(path, fsync="none") as writer:
        frame(writer)
        until(lambda: shape(path) == [1])


def until(is_true):
    """Wait for a thread, ten seconds at most."""
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_every_makes_each_record_durable(path, disk):
    """
    With ``every``, each record is synced before the next one is written.
    """
    writer = make(path, fsync="every")
    for _ in range(3):
        frame(writer)
    before = len(disk.synced)

    assert writer.sync() == 3
    assert len(disk.synced) - before >= 3
    writer.close()


def test_none_never_syncs(path, disk):
    """
    With ``none``, records that were handed to the system count as durable.
    """
    writer = JournalWriter(path, fsync="none")
    frame(writer)
    assert writer.durable_seq == 0
    writer.flush()
    assert writer.durable_seq == 1
    writer.close()

    assert disk.synced == []


@pytest.mark.parametrize("policy", ["interval", "group", "every"])
def test_thread_makes_it_durable(path, policy):
    """
    Nobody has to ask: a little later it is.
    """
    with JournalWriter(path, fsync=policy) as writer:
        frame(writer)
        until(lambda: writer.durable_seq == 1)


def test_sync_says_what_is_durable(path):
    """
    `sync` writes the records that wait, and returns the number up to which all are durable.
    """
    with JournalWriter(path) as writer:
        frame(writer)
        frame(writer)
        assert writer.sync() == writer.durable_seq == 2


def test_retired_segments_are_synced_as_well(path, disk):
    """
    The records of a full segment are as durable as the rest, once that is reported.
    """
    with make(path, segment_bytes=300) as writer:
        for _ in range(3):
            frame(writer)
            writer.flush()
        before = len(disk.synced)
        assert writer.sync() == 3
        assert len(disk.synced) - before >= 4


@pytest.mark.parametrize("call", ["write", "fsync", "fstat"])
@pytest.mark.parametrize("policy", ["none", "interval", "group", "every"])
def test_appending_doesnt_wait_for_the_disk(path, monkeypatch, policy, call):
    """
    While the system stands still, records are taken; they are written when it goes on.
    """
    is_waiting, may_go_on = threading.Event(), threading.Event()
    real = getattr(os, call)

    def stand_still(*args):
        if threading.current_thread().name == "eventbus-journal":
            is_waiting.set()
            assert may_go_on.wait(10)
        return real(*args)

    writer = JournalWriter(path, fsync=policy)
    if policy == "none" and call == "fsync":
        writer.close()
        return
    monkeypatch.setattr(os, call, stand_still)
    frame(writer)
    assert is_waiting.wait(10)
    for _ in range(1000):
        frame(writer)
    may_go_on.set()
    writer.close()

    assert shape(path) == list(range(1, 1002))


def test_threads_append_to_one_journal(path):
    """
    Records of several threads are whole, and numbered in the order in which they are written.
    """
    writer = JournalWriter(path, fsync="none")

    def work():
        for _ in range(200):
            frame(writer)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()

    assert shape(path) == list(range(1, 801))


# --- failures --------------------------------------------------------------------------------


def test_full_disk_is_a_gap(path, disk, clock):
    """
    Records that found no room are counted; when there is room again, a gap names them.
    """
    failures = []
    writer = make(path, fsync="none", clock_ns=clock, on_failure=failures.append)
    frame(writer)
    writer.flush()
    disk.room = 50
    for _ in range(3):
        frame(writer)
        writer.flush()
    disk.room = None
    frame(writer)
    writer.sync()
    assert shape(path) == [1]
    clock.now += SECOND
    writer.sync()
    frame(writer)
    writer.close()

    assert shape(path) == [1, "2-5", 6]
    (gap,) = open_journal(path).read(GapRecord)
    assert (gap.seq, gap.reason) == (5, "No space left on device")
    assert [type(failure) for failure in failures] == [JournalWriteError]
    assert failures[0].__cause__.errno == errno.ENOSPC
    assert open_journal(path).torn_tails == []


def test_disk_that_stays_full_is_one_failure_and_one_gap(path, disk, clock):
    """
    A full disk may well have room for a record as short as a gap's: that isn't taken for room.
    """
    failures = []
    writer = make(path, fsync="none", clock_ns=clock, on_failure=failures.append)
    frame(writer)
    writer.flush()
    size = path.stat().st_size
    for _ in range(5):
        disk.room = 3_000
        frame(writer, bytes(4_000))
        writer.flush()
        clock.now += SECOND
        writer.sync()
        assert path.stat().st_size == size
    disk.room = None
    clock.now += SECOND
    writer.sync()
    frame(writer)
    writer.close()

    assert shape(path) == [1, "2-6", 7]
    assert len(failures) == 1
    assert open_journal(path).torn_tails == []


def test_gap_is_told_at_the_end_if_there_is_room_for_that(path, disk, clock):
    """
    A journal that is closed on a disk that is nearly full still gets the gap into the file.
    """
    writer = make(path, fsync="none", clock_ns=clock)
    disk.room = 0
    frame(writer)
    writer.flush()
    disk.room = 200
    writer.close()

    assert shape(path) == ["1-1"]


def test_new_trouble_is_told_again(path, disk, clock):
    """
    Each time that writing begins to fail is one failure.
    """
    failures = []
    writer = make(path, fsync="none", clock_ns=clock, on_failure=failures.append)
    for _ in range(2):
        disk.room = 0
        for _ in range(2):
            frame(writer)
            writer.flush()
        clock.now += SECOND
        writer.sync()
        disk.room = None
        clock.now += SECOND
        writer.sync()
    writer.close()

    assert len(failures) == 2
    assert shape(path) == ["1-2", "3-4"]


def test_file_that_cant_be_cut_back_is_left(path, disk, clock):
    """
    If a part of a record stays in the file, the next records go into another one.
    """
    writer = make(path, fsync="none", clock_ns=clock)
    frame(writer)
    writer.flush()
    disk.room, disk.fails_to_cut = 50, True
    frame(writer)
    writer.flush()
    disk.room, disk.fails_to_cut = None, False
    clock.now += SECOND
    writer.sync()
    frame(writer)
    writer.close()

    assert shape(path) == [1, "2-2", 3]
    journal = open_journal(path)
    assert list(journal)
    assert [tail.size for tail in journal.torn_tails] == [50]


def test_failed_sync_loses_nothing_that_can_be_read(path, disk, clock):
    """
    After an fsync that failed, the file is written again beside itself, and durable when it is.
    """
    failures = []
    writer = make(path, clock_ns=clock, on_failure=failures.append)
    frame(writer)
    assert writer.sync() == 1
    disk.fails_to_sync = True
    frame(writer)
    assert writer.sync() == 1
    assert shape(path) == [1, 2]
    disk.fails_to_sync = False
    inode = path.stat().st_ino
    disk.fail_once = True
    assert writer.sync() == 2
    assert path.stat().st_ino != inode
    frame(writer)
    writer.close()

    assert shape(path) == [1, 2, 3]
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert len(failures) == 1
    assert open_journal(path).is_closed


def test_failed_sync_of_a_full_segment_names_nothing_that_is_there(path, disk, clock):
    """
    A segment that can't be made durable when the next one is begun isn't reported as missing.
    """
    writer = make(path, clock_ns=clock, segment_bytes=300)
    frame(writer)
    assert writer.sync() == 1
    for _ in range(3):
        frame(writer)
        writer.flush()
    disk.fails_to_sync = True
    assert writer.sync() == 1
    disk.fails_to_sync, disk.fail_once = False, True
    assert writer.sync() == 4
    writer.close()

    assert shape(path) == [1, 2, 3, 4]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EACCES])
def test_folder_that_cant_be_synced_is_noted_once(tmp_path, monkeypatch, caplog, number):
    """
    CIFS and FUSE sync no folders: the journal is as durable as it can be, and whole.
    """
    folder = tmp_path / str(number)
    folder.mkdir()
    real = os.fsync

    def fsync(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(number, os.strerror(number))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    failures = []
    for name in ("a.journal", "b.journal"):
        with make(folder / name, on_failure=failures.append, segment_bytes=300) as writer:
            for count in range(1, 5):
                frame(writer)
                assert writer.sync() == count
        assert shape(folder / name) == [1, 2, 3, 4]

    assert failures == []
    assert caplog.text.count("a folder can't be made durable") == 1


def test_folder_whose_sync_fails_is_told_and_tried_again(path, monkeypatch):
    """
    An I/O error of the folder isn't taken for a missing ability: nothing is durable until it works.
    """
    real, is_broken = os.fsync, True

    def fsync(fd):
        if is_broken and stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    failures = []
    writer = make(path, on_failure=failures.append)
    frame(writer)
    assert writer.sync() == writer.sync() == 0
    is_broken = False
    assert writer.sync() == 1
    writer.close()

    assert len(failures) == 1
    assert shape(path) == [1]


def test_name_of_a_file_that_was_written_again_is_durable(path, monkeypatch):
    """
    The new file has the old one's name only once the folder is synced.
    """
    real, synced, fails = os.fsync, [], False

    def fsync(fd):
        nonlocal fails
        if fails:
            fails = False
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        synced.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with make(path) as writer:
        frame(writer)
        assert writer.sync() == 1
        frame(writer)
        fails = True
        assert writer.sync() == 2
        assert synced == ["file", "folder"] * 2


def test_vanished_folder_is_noticed(tmp_path, clock):
    """
    A file that was deleted takes writes all the same; the journal begins anew where it was.
    """
    path = tmp_path / "calls" / "call.journal"
    path.parent.mkdir()
    failures = []
    writer = make(path, clock_ns=clock, on_failure=failures.append)
    frame(writer)
    writer.sync()
    shutil.rmtree(path.parent)
    clock.now += SECOND
    frame(writer)
    writer.flush()
    clock.now += SECOND
    writer.sync()
    assert len(failures) == 1
    path.parent.mkdir()
    clock.now += SECOND
    writer.sync()
    frame(writer)
    writer.close()

    assert shape(path) == ["1-2", 3]
    assert open_journal(path).header.segment == 1


def test_journal_that_is_made_later_begins_with_a_gap_if_it_cant_be(tmp_path, clock):
    """
    A file that can't be created is tried again, if it was asked for in the middle of a call.
    """
    path = tmp_path / "calls" / "call.journal"
    failures = []
    writer = make(path, opens="later", fsync="none", clock_ns=clock, on_failure=failures.append)
    frame(writer)
    writer.flush()
    path.parent.mkdir()
    clock.now += SECOND
    writer.sync()
    frame(writer)
    writer.close()

    assert len(failures) == 1
    assert shape(path) == ["1-1", 2]


def test_memory_is_bounded_in_bytes(path):
    """
    If the file can't keep up, records are lost and counted, instead of filling the memory.
    """
    failures = []
    writer = make(path, fsync="none", on_failure=failures.append, buffer_bytes=10_000)
    for _ in range(30):
        frame(writer, bytes(1000))
    assert (
        sum(len(entry[5]) for entry in writer.buffer._entries) <= 10_000
    )  # there is no other sign
    assert len(failures) == 1
    writer.flush()
    frame(writer)
    writer.close()

    (gap,) = open_journal(path).read(GapRecord)
    assert (gap.last_seq, gap.reason) == (30, "the file can't keep up")
    assert [r.seq for r in open_journal(path).read(FrameRecord)] == [*range(1, gap.first_seq), 31]
    assert len(failures) == 1


def test_record_that_comes_late_is_waited_for(path):
    """
    A number may be taken by one thread when another one has written the next; it isn't a gap yet.
    """
    writer = make(path, fsync="none")
    first = writer.buffer.next_seq()
    frame(writer)
    writer.flush()
    assert shape(path) == []
    writer.buffer.put((FrameRecord.kind, first, writer.clock_ns(), 0, 0, b"late"))
    writer.flush()

    assert shape(path) == [1, 2]
    writer.close()


def test_record_that_never_comes_is_a_gap(path, clock):
    """
    A number that was taken by code that was interrupted costs that record only.
    """
    writer = make(path, fsync="none")
    writer.buffer.next_seq()
    frame(writer)
    writer.flush()
    clock.now += SECOND
    writer.flush()
    assert shape(path) == ["1-1", 2]
    frame(writer)
    writer.close()

    assert shape(path) == ["1-1", 2, 3]


def test_journal_may_be_replaced_when_that_is_asked_for(path):
    """
    With *overwrite*, the new file takes the place of the old one and of its further segments.
    """
    with make(path, fsync="none", segment_bytes=300) as writer:
        for _ in range(4):
            frame(writer)
            writer.flush()
    old = open_journal(path)
    assert len(old.paths) > 1
    with make(path, fsync="none", overwrite=True) as writer:
        frame(writer)

    assert shape(path) == [1]
    assert open_journal(path).header.journal_id != old.header.journal_id
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_pipe_is_never_replaced(path):
    """
    Not even with *overwrite* does a file take the place of a pipe or a device, like /dev/null.
    """
    os.mkfifo(path)

    with pytest.raises(JournalWriteError, match="can't be written: It is a pipe or a device"):
        JournalWriter(path, overwrite=True)

    assert path.is_fifo()
    assert [*path.parent.iterdir()] == [path]


# --- other programs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda path: os.truncate(path, 0), ["1-3", 4, 5]),
        (lambda path: os.truncate(path, path.stat().st_size - 1), [1, 2, "3-3", 4, 5]),
        (lambda path: path.write_bytes(path.read_bytes() + b"garbage"), [1, 2, 3, 4, 5]),
        (lambda path: path.unlink(), ["1-3", 4, 5]),
        (lambda path: path.rename(path.with_name("moved")), ["1-3", 4, 5]),
    ],
    ids=["emptied", "cut", "extended", "deleted", "moved"],
)
@pytest.mark.parametrize("policy", ["none", "interval"])
def test_file_that_another_program_has_changed_is_left_alone(path, clock, policy, change, expected):
    """
    The records that are no longer there are a gap, and it goes on in another segment.
    """
    failures = []
    writer = make(path, fsync=policy, clock_ns=clock, on_failure=failures.append)
    for _ in range(3):
        frame(writer)
        writer.sync()
    change(path)
    clock.now += SECOND
    for _ in range(2):
        frame(writer)
        writer.sync()
    writer.close()

    journal = open_journal(path, on_damage=lambda _: None)
    seqs = [
        f"{r.first_seq}-{r.last_seq}" if isinstance(r, GapRecord) else r.seq
        for r in journal
        if not isinstance(r, HeaderRecord | EndRecord)
    ]
    assert seqs == expected
    assert len(failures) == (isinstance(expected[0], str) or isinstance(expected[2], str))


def test_durable_records_dont_rise_over_a_file_that_was_emptied(path):
    """
    Records that are reported durable after the file was emptied can be read again.
    """
    writer = make(path)
    frame(writer)
    writer.sync()
    os.truncate(path, 0)

    frame(writer)
    durable = writer.sync()

    assert durable == 2
    seqs = [r.seq for r in open_journal(path, on_damage=lambda _: None).read(FrameRecord)]
    assert seqs == [2]
    writer.close()


def test_segment_that_cant_be_begun_leaves_the_present_one(path, disk, clock, caplog):
    """
    When there is no room for another file, the old one goes on.
    """
    writer = make(path, fsync="none", segment_bytes=300, clock_ns=clock)
    for _ in range(3):
        frame(writer)
    opened = os.open
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(OSError(errno.EMFILE, "many")))
        writer.flush()
    assert os.open is opened
    frame(writer)
    writer.close()

    assert shape(path) == [1, 2, 3, 4]
    assert "a segment could not be begun" in caplog.text


def test_closing_while_it_fails_ends_quietly(path, disk, clock):
    """
    A disk that stays full costs the records that were not written, and no exception.
    """
    writer = make(path, clock_ns=clock)
    frame(writer)
    writer.sync()
    disk.room = 0
    frame(writer)
    writer.close()

    assert shape(path) == [1]
    assert not open_journal(path).is_closed


def test_closed_journal_is_left_alone(path, disk, clock):
    """
    The thread may come to it after that; though the disk works again, nothing is written.
    """
    writer = make(path, clock_ns=clock)
    frame(writer)
    writer.sync()
    disk.room = 0
    frame(writer)
    writer.close()
    disk.room = None
    clock.now += 2 * SECOND
    writer.flush()
    writer.sync()

    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert not writer.needs_sync


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a process of its own")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("policy", "kills"), [("group", 20), ("every", 15), ("none", 12), ("interval", 3)]
)
@pytest.mark.slow
def test_what_was_reported_durable_survives_a_kill(tmp_path, policy, kills):
    """
    Killed in the middle of writing, fifty times: records that were reported durable are read again.
    """
    for number in range(kills):
        path = tmp_path / f"{number}.journal"
        reader, reports = os.pipe()
        child = os.fork()
        if not child:
            _write_until_killed(path, policy, reports)
        os.close(reports)
        for _ in range(1 + 3 * number):
            reported = os.read(reader, 8)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while last := os.read(reader, 8):
            reported = last
        os.close(reader)

        (durable,) = struct.unpack("<Q", reported)
        found = [record.seq for record in open_journal(path).read(FrameRecord)]
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= durable > 0


def _write_until_killed(path, policy, reports):
    """Write as fast as it can, and report the durable records after each one; never return."""
    try:
        writer = JournalWriter(path, fsync=policy, segment_bytes=20_000)
        while True:
            frame(writer)
            time.sleep(0.0001)
            if writer.durable_seq:
                os.write(reports, struct.pack("<Q", writer.durable_seq))
    finally:
        os._exit(1)


def test_process_that_is_forked_off_writes_nothing(path):
    """
    The file has a position and checksums that only one process can keep: the child's records
    don't get in, and the parent's aren't damaged.
    """
    writer = JournalWriter(path, fsync="none")
    frame(writer)
    child = os.fork()
    if not child:
        try:
            frame(writer)
            writer.flush()
            writer.sync()
            writer.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    frame(writer)
    writer.close()

    assert shape(path) == [1, 2]
    assert open_journal(path).is_closed


def test_file_in_the_way_of_the_next_segment_is_passed_by(path):
    """
    A foreign file there, like a segment of an older journal, stays; the next number is free.
    """
    stale = path.with_name("call.00002.journal")
    with make(path, fsync="none", segment_bytes=300) as writer:
        stale.write_bytes(b"stale")
        for _ in range(3):
            frame(writer)
            writer.flush()
    stale_bytes = stale.read_bytes()
    stale.unlink()

    assert stale_bytes == b"stale"
    assert [each.name for each in open_journal(path).paths[:2]] == [path.name, "call.00003.journal"]
    assert shape(path) == [1, 2, 3]


def test_name_that_is_too_long_or_a_link_to_nowhere_is_an_error_of_the_journals(tmp_path):
    """
    The system's error of the path is told as any other failure to begin a file.
    """
    link = tmp_path / "call.journal"
    link.symlink_to(tmp_path / "nowhere")

    with pytest.raises(JournalWriteError, match="too long"):
        JournalWriter(tmp_path / ("x" * 300))
    with pytest.raises(JournalWriteError, match="exists"):
        JournalWriter(link)


def test_segment_that_was_deleted_leaves_a_gap_and_no_hole(path, clock):
    """
    The one that is begun in its place goes on where the segment before has ended.
    """
    with make(path, fsync="none", clock_ns=clock, segment_bytes=300) as writer:
        for _ in range(2):
            frame(writer)
            writer.flush()
        path.with_name("call.00003.journal").unlink()
        clock.now += SECOND
        frame(writer)
        writer.flush()
        clock.now += SECOND
        writer.sync()
        frame(writer)

    assert shape(path) == [1, 2, 3, 4]

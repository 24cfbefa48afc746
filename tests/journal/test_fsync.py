"""
One thread writes and waits for the disk, so that no event loop has to.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from functools import partial

import pytest

from eventbus.journal import _fsync
from eventbus.journal._fsync import NoSyncer, Syncer


class File:
    """
    Something to be written and synced.
    """

    def __init__(self, error=None):
        self.flushed, self.synced = threading.Semaphore(0), threading.Semaphore(0)
        self.error = error
        self.thread = None
        self.needs_sync = False

    def flush(self):
        self.thread = threading.current_thread()
        self.needs_sync = True
        self.flushed.release()

    def sync(self):
        self.needs_sync = False
        self.synced.release()
        if self.error is not None:
            raise self.error


class Clock:
    """
    A clock that goes on by the time that the thread sleeps, as soon as it is told to.
    """

    def __init__(self):
        self.now = 0.0
        self._pauses, self._may_go_on = queue.SimpleQueue(), threading.Semaphore(0)
        self._is_free = False

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self._pauses.put(seconds)
        if not self._is_free:
            assert self._may_go_on.acquire(timeout=10)
        self.now += seconds

    def wait_sleeping(self):
        return self._pauses.get(timeout=10)

    def go_on(self, *, forever=False):
        self._is_free = forever
        self._may_go_on.release()


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_fsync, "time", clock)
    return clock


def test_files_that_are_noted_are_written_and_synced_in_a_thread():
    """
    Each file that was noted is written, by the same thread, and again if it is noted again.
    """
    syncer = Syncer(0)
    one, two = File(), File()
    for _ in range(2):
        syncer.note(one)
        syncer.note(two)
        for each in (one, two):
            assert each.flushed.acquire(timeout=10)
            assert each.synced.acquire(timeout=10)
    syncer.stop()

    assert one.thread is two.thread is not threading.current_thread()
    assert not one.thread.is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such policy")
def test_thread_takes_no_processor_from_an_event_loop():
    """
    It is scheduled as work in the background, and nothing else of the process is.
    """
    syncer, file = Syncer(0), File()
    syncer.note(file)
    assert file.flushed.acquire(timeout=10)
    policy = os.sched_getscheduler(file.thread.native_id)
    syncer.stop()

    assert policy == os.SCHED_BATCH
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.skipif(sys.platform != "linux", reason="as above")
def test_system_that_refuses_a_policy_is_fine(monkeypatch):
    """
    A container may allow none, and a libc have none.
    """

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    syncer, file = Syncer(0), File()
    syncer.note(file)
    assert file.flushed.acquire(timeout=10)
    syncer.stop()


def test_failure_of_one_file_keeps_none_from_being_synced(caplog):
    """
    An error of a file's sync is logged, and the thread goes on.
    """
    syncer = Syncer(0)
    bad, good = File(ValueError("boom")), File()
    syncer.note(bad)
    assert bad.synced.acquire(timeout=10)
    syncer.note(good)
    assert good.synced.acquire(timeout=10)
    syncer.stop()

    assert "could not be made durable" in caplog.text


def test_files_take_turns_in_being_synced():
    """
    No file is synced a second time before all others that were written have been.
    """
    syncer, order = Syncer(0.001), []
    files = [File() for _ in range(3)]
    for number, file in enumerate(files):
        file.sync = lambda number=number: order.append(number)
        file.needs_sync = True
        file.flush = file.flushed.release
        syncer.note(file)
    for file in files:
        assert file.flushed.acquire(timeout=10)
    while len(order) < 6:
        time.sleep(0.001)
    syncer.stop()

    assert order[:6] == [*range(3)] * 2


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="sends itself signals")
def test_signal_handler_may_note_at_any_bytecode():
    """
    A handler that runs in the middle of noting notes, too; nothing waits for a lock.
    """
    syncer, file = Syncer(0), File()
    count = 0

    def handle(*_):
        nonlocal count
        count += 1
        syncer.note(file)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
    try:
        for _ in range(200_000):
            syncer.note(file)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert file.flushed.acquire(timeout=10)
    syncer.stop()

    assert count > 10


def test_without_a_thread_nothing_is_done():
    """
    Noting starts no thread if the caller writes.
    """
    before = threading.active_count()
    syncer = NoSyncer()
    syncer.note(File())
    syncer.stop()

    assert threading.active_count() == before


def test_many_files_are_written_twenty_at_a_time(clock):
    """
    After twenty files there is a pause, as long as half a millisecond for each of them.
    """
    syncer = Syncer(0.05)
    files = [File() for _ in range(50)]
    syncer.note(files[0])
    assert clock.wait_sleeping() == 0.005
    for file in files[1:]:
        syncer.note(file)

    for written in (20, 40):
        clock.go_on()
        assert clock.wait_sleeping() == 0.01
        assert sum(file.flushed.acquire(blocking=False) for file in files) == 20, written
    clock.go_on()
    assert files[-1].flushed.acquire(timeout=10)
    syncer.stop()


def test_file_that_is_noted_often_has_one_turn(clock):
    """
    A file is noted again if syncing has written its records meanwhile: no other waits for that.
    """
    syncer = Syncer(0.05)
    files = [File() for _ in range(41)]
    for file in (*files[:40] * 50, files[40]):
        syncer.note(file)
    for _ in range(3):
        clock.wait_sleeping()
        clock.go_on()

    assert files[40].flushed.acquire(timeout=5)
    clock.go_on(forever=True)
    syncer.stop()


def test_slow_disk_does_not_keep_files_from_being_written(clock):
    """
    Where making one file durable takes 0.1 s, all others are written before the next one.
    """
    syncer, written_at = Syncer(0.05), {}
    files = [File() for _ in range(200)]

    def note_time(file):
        file.needs_sync = True
        written_at.setdefault(file, clock.now)
        syncer.note(file)

    def be_slow(file):
        file.needs_sync = False
        clock.now += 0.1

    for file in files:
        file.flush, file.sync = partial(note_time, file), partial(be_slow, file)
        syncer.note(file)
    while len(written_at) < len(files):
        clock.wait_sleeping()
        clock.go_on()
    clock.go_on(forever=True)
    syncer.stop()

    assert max(written_at.values()) < 0.25


def test_files_that_are_always_written_to_have_their_turns_of_syncing(clock):
    """
    Of 200 files that are noted again at once, each is made durable within a second.
    """
    syncer, synced_at = Syncer(0.05), {}
    files = [File() for _ in range(200)]

    def note_again(file):
        file.needs_sync = True
        syncer.note(file)

    def note_time(file):
        file.needs_sync = False
        synced_at.setdefault(file, clock.now)

    for file in files:
        file.flush = partial(note_again, file)
        file.sync = partial(note_time, file)
        syncer.note(file)
    while clock.now < 1.2:
        clock.wait_sleeping()
        clock.go_on()
    clock.go_on(forever=True)
    syncer.stop()

    # The first ones are written after five milliseconds, the last ones ten rounds later.
    assert max(synced_at.values()) < 1.02
    assert len(synced_at) == 200

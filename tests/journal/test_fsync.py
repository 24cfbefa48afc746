"""
One thread waits for the disk, so that nobody else has to.
"""

from __future__ import annotations

import threading

from eventbus.journal._fsync import Syncer


class File:
    """
    Something to be synced.
    """

    def __init__(self, error=None):
        self.synced = threading.Semaphore(0)
        self.error = error
        self.thread = None

    def sync(self):
        self.thread = threading.current_thread()
        self.synced.release()
        if self.error is not None:
            raise self.error


def test_what_is_noted_is_synced_in_a_thread():
    """
    Each file that was noted is synced, by the same thread, and again if it is noted again.
    """
    syncer = Syncer(0)
    one, two = File(), File()
    syncer.note(one)
    syncer.note(two)
    assert one.synced.acquire(timeout=10)
    assert two.synced.acquire(timeout=10)
    syncer.note(one)
    assert one.synced.acquire(timeout=10)
    syncer.stop()

    assert one.thread is two.thread is not threading.current_thread()
    assert not one.thread.is_alive()


def test_failure_of_one_file_keeps_none_from_being_synced(caplog):
    """
    What a file's sync raises is logged, and the thread goes on.
    """
    syncer = Syncer(0)
    bad, good = File(ValueError("boom")), File()
    syncer.note(bad)
    assert bad.synced.acquire(timeout=10)
    syncer.note(good)
    assert good.synced.acquire(timeout=10)
    syncer.stop()

    assert "could not be made durable" in caplog.text


def test_no_thread_before_there_is_work():
    """
    A syncer that was never needed has no thread, and stopping it is fine.
    """
    before = threading.active_count()
    syncer = Syncer()

    assert threading.active_count() == before
    syncer.stop()
    syncer.note(File())
    assert threading.active_count() == before

"""
`eventbus.cli.waking`: a signal ends every wait of a command.

Python is told of a signal that is not sent, so no system call is ended by it. That is also what
happens when a signal comes just before the call.
"""

from __future__ import annotations

import _thread
import signal
import threading

import anyio
import anyio.lowlevel
import pytest

from eventbus.cli.waking import run_loop, wait_for_interrupt


@pytest.fixture
def signalling():
    """Return a function that tells Python of a signal, from another thread."""
    threads = []

    def start(number):
        threads.append(threading.Thread(target=_thread.interrupt_main, args=(number,)))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


def test_interruption_ends_the_wait(signalling):
    """
    KeyboardInterrupt is raised, and nothing of the wait remains.
    """

    def wait():
        signalling(signal.SIGINT)
        wait_for_interrupt()

    with pytest.raises(KeyboardInterrupt):
        wait()

    assert signal.set_wakeup_fd(-1) == -1


def test_wait_goes_on_after_other_signals(signalling):
    """
    Their handlers run at once, each.
    """
    seen = []

    def note(number, _):
        seen.append(number)
        signalling(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, note)

    def wait():
        signalling(signal.SIGTERM)
        wait_for_interrupt()

    try:
        with pytest.raises(KeyboardInterrupt):
            wait()
    finally:
        signal.signal(signal.SIGTERM, before)

    assert seen == [signal.SIGTERM]


def test_interruption_wakes_an_event_loop_with_nothing_to_do(signalling):
    """
    Its main task is cancelled, so that its cleanup can await, and KeyboardInterrupt is raised.
    """
    done = []

    async def main(name):
        try:
            signalling(signal.SIGINT)
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            done.append(name)

    with pytest.raises(KeyboardInterrupt):
        run_loop(main, "a call")

    assert done == ["a call"]
    assert signal.set_wakeup_fd(-1) == -1


def test_loop_returns_the_result():
    """
    That of its coroutine.
    """

    async def main(a, b):
        return a + b

    assert run_loop(main, 1, 2) == 3


def test_loop_runs_in_another_thread():
    """
    There it gets no signals: these are the main thread's.
    """
    results = []

    async def main():
        results.append(threading.current_thread() is threading.main_thread())

    thread = threading.Thread(target=run_loop, args=(main,))
    thread.start()
    thread.join()

    assert results == [False]

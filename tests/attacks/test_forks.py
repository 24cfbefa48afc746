"""
The child of a fork has a bus that works, though other threads of the parent were at work then.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings

import anyio
import pytest

from eventbus import BusNotRunning, EventBus
from tests.support import Ping, Pong

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork"),
]


def in_child(function):
    """
    Call *function* in a child of this process, and return its result, a small number.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of 3.12, about threads: the subject
        child = os.fork()
    if child == 0:
        signal.alarm(20)  # one that hangs is killed
        try:
            os._exit(function())
        except BaseException:  # noqa: BLE001 - nothing of it may go on in the child
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(99)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def publish_and_count(bus, event):
    seen = []
    with bus.subscribe(seen.append, type(event)):
        bus.publish(event)
    return len(seen)


def test_child_publishes_while_a_thread_of_the_parent_dispatches():
    """
    A dispatch of another thread doesn't exist in the child, whose first publish runs at once.
    """
    bus, is_inside, may_go = EventBus(), threading.Event(), threading.Event()

    @bus.on(Ping)
    def stay(event):
        is_inside.set()
        may_go.wait(60)

    thread = threading.Thread(target=bus.publish, args=(Ping(),), daemon=True)
    thread.start()
    assert is_inside.wait(20)
    try:
        code = in_child(lambda: publish_and_count(bus, Pong()))
    finally:
        may_go.set()
    thread.join(20)

    assert code == 1
    assert publish_and_count(bus, Pong()) == 1


def test_child_subscribes_while_a_thread_of_the_parent_does():
    """
    A lock that another thread of the parent held is free in the child.
    """
    bus, has_lock, may_go = EventBus(), threading.Event(), threading.Event()

    def hold():
        with bus._dispatcher.registry.lock:  # what a change holds for a moment
            has_lock.set()
            may_go.wait(60)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert has_lock.wait(20)
    try:
        code = in_child(lambda: publish_and_count(bus, Pong()))
    finally:
        may_go.set()
    thread.join(20)

    assert code == 1


def test_child_of_a_handler_goes_on_in_it():
    """
    A fork inside a handler leaves the child in the same dispatch: its events come after the
    present one.
    """
    bus, order, codes = EventBus(), [], []
    bus.subscribe(order.append, Pong)

    def child():
        bus.publish(Pong())
        return len(order)

    @bus.on(Ping)
    def fork(event):
        codes.append(in_child(child))

    bus.publish(Ping())

    assert codes == [0]
    assert order == []


async def test_child_has_no_running_bus(anyio_backend):
    """
    The loop doesn't run in the child: sync handlers get events there, and one for an async handler
    is refused.
    """
    seen = []

    async def handle(event):
        seen.append(event)

    def child():
        try:
            bus.publish(Ping())
        except BusNotRunning:
            return publish_and_count(bus, Pong())
        return 50

    async with EventBus() as bus:
        bus.subscribe(handle, Ping)
        assert in_child(child) == 1
        await bus.publish_and_wait(Ping())

    assert len(seen) == 1
    await anyio.lowlevel.checkpoint()

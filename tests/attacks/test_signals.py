"""
Code that may run at any moment publishes: signal handlers, finalizers, callbacks of weakrefs.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import weakref

import anyio
import pytest

from eventbus import EventBus, Mailbox, Overflow
from tests.support import Ping, Pong

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers as signals"),
]

SECONDS = 1.0
HERTZ = 3_000


@contextlib.contextmanager
def signals(handle):
    """
    Call *handle* in a signal handler, some thousand times a second; yields the counts of calls.
    """
    calls = []

    def on_signal(number, frame):
        calls.append(handle())

    before = signal.signal(signal.SIGALRM, on_signal)
    signal.setitimer(signal.ITIMER_REAL, 1 / HERTZ, 1 / HERTZ)
    try:
        yield calls
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_signal_handler_publishes_beside_everything():
    """
    Each event of a signal handler reaches each handler once, whatever it interrupts: publishing,
    subscribing, cancelling, scopes that come and go.
    """
    bus, pings, pongs = EventBus(), [], []
    bus.subscribe(pings.append, Ping)
    bus.subscribe(pongs.append, Pong)
    published = 0

    with signals(lambda: bus.publish(Ping("signal"))) as calls:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            bus.publish(Pong())
            published += 1
            with bus.scope(f"call-{published % 7}") as scope:
                scope.subscribe(lambda event: None, Ping, Pong)
                scope.publish(Pong())
                published += 1
            bus.has_handlers(Ping)
    bus.publish(Pong())

    assert len(calls) > 50
    assert len(pings) == len(calls)
    assert len(pongs) == published + 1


def test_signal_handler_and_threads_publish_on_a_bus_that_does_not_run():
    """
    With other threads publishing as well, nothing is lost, doubled or stuck.
    """
    bus, seen, published = EventBus(), [], [0, 0]
    bus.subscribe(seen.append, Ping)
    is_over = threading.Event()

    def publish(index):
        while not is_over.is_set():
            bus.publish(Ping(str(index)))
            published[index] += 1
            with bus.subscribe(lambda event: None, Pong):
                bus.publish(Pong())

    threads = [threading.Thread(target=publish, args=(index,), daemon=True) for index in (0, 1)]
    with signals(lambda: bus.publish(Ping("signal"))) as calls:
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with bus.subscribe(lambda event: None, Pong):
                bus.publish(Pong())
    is_over.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a publish hangs"
    bus.publish(Pong())

    names = [event.name for event in seen]
    assert names.count("signal") == len(calls) > 50
    assert [names.count("0"), names.count("1")] == published


async def test_signal_handler_publishes_to_async_handlers(anyio_backend):
    """
    Each event reaches each async handler once and in the order of publication, whatever of the bus
    or of the loop was interrupted: also while the loop sleeps.
    """
    seen, order, numbers = [], [], iter(range(1_000_000))

    async def handle(event):
        seen.append(event)
        if int(event.name) % 3 == 0:
            await anyio.lowlevel.checkpoint()

    async with EventBus() as bus:
        bus.subscribe(order.append, Ping)
        bus.subscribe(handle, Ping, mailbox=Mailbox(overflow=Overflow.BLOCK))
        with signals(lambda: bus.publish(Ping(str(next(numbers))))) as calls:
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                for _ in range(20):
                    bus.publish(Pong())
                    await anyio.lowlevel.checkpoint()
                await anyio.sleep(0.001)

    assert len(calls) > 50
    assert seen == order
    assert {event.name for event in order} == {str(number) for number in range(len(calls))}


async def test_signal_wakes_a_loop_that_sleeps(anyio_backend):
    """
    An async handler gets the event of a signal handler at once, though nothing else happens in the
    loop.
    """
    got = anyio.Event()

    async def handle(event):
        got.set()

    async with EventBus() as bus:
        bus.subscribe(handle, Ping)
        before = signal.signal(signal.SIGALRM, lambda number, frame: bus.publish(Ping()))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            with anyio.fail_after(20):
                await got.wait()
        finally:
            signal.signal(signal.SIGALRM, before)


class Finalized:
    pass


def test_finalizer_publishes_in_the_middle_of_a_change():
    """
    A weak reference's callback publishes while subscriptions change and another thread dispatches:
    neither waits for the other for ever.
    """
    bus, seen = EventBus(), []
    bus.subscribe(seen.append, Ping)
    is_over = threading.Event()
    publishing = threading.Event()

    @bus.on(Pong)
    def subscribe_in_handler(event):
        publishing.set()
        with bus.subscribe(lambda event: None, Ping):
            pass

    def dispatch():
        while not is_over.is_set():
            bus.publish(Pong())

    class Sender(str):
        __slots__ = ()

    thread = threading.Thread(target=dispatch, daemon=True)
    thread.start()
    assert publishing.wait(20)
    count = 0
    deadline = time.monotonic() + SECONDS
    references = []
    while time.monotonic() < deadline:
        gone = Finalized()
        references.append(weakref.ref(gone, lambda _: bus.publish(Ping())))

        def when(event, gone=gone):
            return gone is not None

        # Its last reference goes away inside of the change.
        with bus._dispatcher.registry.lock:  # the moment that is hard to meet from outside
            del when, gone
        count += 1
    is_over.set()
    thread.join(30)
    bus.publish(Pong())

    assert not thread.is_alive(), "a publish hangs"
    assert len(seen) == count

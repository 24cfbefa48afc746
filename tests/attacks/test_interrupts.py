"""
A KeyboardInterrupt at each point of a change or a publish leaves the bus as it should be.
"""

from __future__ import annotations

import dis
import sys
from pathlib import Path

import blinker
import pytest

import eventbus
from eventbus import EventBus, Mailbox, on
from tests.support import Ping, Pong

pytestmark = pytest.mark.slow

# The interrupt can come wherever the interpreter looks for signals, in blinker's code as well.
FOLDERS = (str(Path(eventbus.__file__).parent), str(Path(blinker.__file__).parent))


# After these instructions the interpreter looks for signals, and nowhere else.
CHECKED = ("RESUME", "CALL", "JUMP_BACKWARD", "POP_JUMP_BACKWARD")


class _Interrupt:
    """
    Raises KeyboardInterrupt at the nth place where the code under attack may get a signal.
    """

    def __init__(self, at: int):
        self.at = at
        self.count = 0
        self.last = {}

    def trace(self, frame, event, arg):
        if not frame.f_code.co_filename.startswith(FOLDERS):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self.step

    def step(self, frame, event, arg):
        if event == "opcode":
            code = frame.f_code.co_code
            before = self.last.get(frame)
            self.last[frame] = frame.f_lasti
            if before is not None and dis.opname[code[before]].startswith(CHECKED):
                self.count += 1
                if self.count == self.at:
                    sys.settrace(None)
                    raise KeyboardInterrupt
        return self.step


def interrupted(function, at):
    """
    Call *function*, and interrupt it at place *at*; False if it has fewer.
    """
    interrupt = _Interrupt(at)
    before = sys.gettrace()
    sys.settrace(interrupt.trace)
    try:
        function()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


class Subject:
    """
    A bus with a handler beside the one that is attacked, which must go on in any case.
    """

    def __init__(self):
        self.bus = EventBus()
        self.seen, self.beside = [], []
        self.bus.subscribe(self.beside.append, Ping)

    def handle(self, event):
        self.seen.append(event)

    def publish(self, cls=Ping):
        """
        Return how many times the attacked handler and the one beside it got an event.
        """
        self.seen.clear()
        self.beside.clear()
        self.bus.publish(cls())
        return len(self.seen), len(self.beside)


def each_place(make, act):
    """
    Yield a subject for each place in *act*, after an interrupt there.
    """
    at = 1
    while True:
        subject = make()
        if not interrupted(lambda subject=subject: act(subject), at):
            assert at > 20, "nothing was attacked"
            return
        yield at, subject
        at += 1


@pytest.mark.parametrize("sender", [None, "call-1"])
def test_interrupted_cancel_can_be_repeated(sender):
    """
    After an interrupt in `Subscription.cancel` the handler is subscribed or not, the class has all
    its other handlers, and cancelling again ends it.
    """

    def make():
        subject = Subject()
        options = {} if sender is None else {"sender": sender}
        subject.subscription = subject.bus.subscribe(subject.handle, Ping, Pong, **options)
        subject.publish()
        return subject

    for at, subject in each_place(make, lambda subject: subject.subscription.cancel()):
        subject.seen.clear()
        subject.bus.publish(Ping(), sender=sender)
        assert len(subject.seen) == subject.subscription.is_active, at
        subject.subscription.cancel()
        assert subject.publish() == (0, 1), at
        subject.bus.subscribe(subject.handle, Ping)
        assert subject.publish() == (1, 1), at


@pytest.mark.parametrize("sender", [None, "call-1"])
def test_interrupted_subscribe_is_all_or_nothing(sender):
    """
    After an interrupt in `subscribe` the handler gets events of all its classes or of none, and can
    be subscribed afterwards.
    """
    options = {} if sender is None else {"sender": sender}

    def subscribe(subject):
        subject.bus.subscribe(subject.handle, Ping, Pong, mailbox=None, priority=1, **options)

    for at, subject in each_place(Subject, subscribe):
        subject.bus.publish(Ping(), sender=sender)
        subject.bus.publish(Pong(), sender=sender)
        assert len(subject.seen) in (0, 2), at
        subject.bus.subscribe(subject.handle, Ping, Pong, priority=1, **options)
        subject.seen.clear()
        subject.bus.publish(Ping(), sender=sender)
        assert len(subject.seen) == 1, at
        subject.bus.unsubscribe(subject.handle)
        assert subject.publish() == (0, 1), at


class Listener:
    def __init__(self):
        self.seen = []

    @on(Ping)
    def ping(self, event):
        self.seen.append(event)

    @on(Pong)
    def pong(self, event):
        self.seen.append(event)


def test_interrupted_register_is_all_or_nothing():
    """
    After an interrupt in `register` all handlers of the listener are registered, or none.
    """

    def make():
        subject = Subject()
        subject.listener = Listener()
        return subject

    for at, subject in each_place(make, lambda s: s.bus.register(s.listener)):
        subject.bus.publish(Ping())
        subject.bus.publish(Pong())
        assert len(subject.listener.seen) in (0, 2), at
        registration = subject.bus.register(subject.listener)
        registration.cancel()
        subject.listener.seen.clear()
        assert subject.publish() == (0, 1), at
        assert subject.listener.seen == [], at


def test_interrupted_scope_exit_can_be_repeated():
    """
    After an interrupt at the exit of a scope, exiting again ends its subscriptions, and the bus
    goes on for all others.
    """

    def make():
        subject = Subject()
        subject.scope = subject.bus.scope("call-1").__enter__()
        subject.scope.subscribe(subject.handle, Ping)
        subject.scope.subscribe(subject.seen.append, Pong)
        subject.scope.publish(Ping())
        return subject

    for at, subject in each_place(make, lambda s: s.scope.__exit__(None, None, None)):
        subject.scope.publish(Ping())
        subject.scope.__exit__(None, None, None)
        subject.seen.clear()
        subject.scope.publish(Ping())
        subject.scope.publish(Pong())
        assert subject.seen == [], at
        assert subject.publish() == (0, 1), at
        with subject.bus.scope("call-1") as scope:
            scope.subscribe(subject.handle, Ping)
            scope.publish(Ping())
        assert len(subject.seen) == 1, at


@pytest.mark.parametrize("sender", [None, "call-1"])
@pytest.mark.parametrize("is_known", [False, True])
def test_interrupted_publish_leaves_the_turn_free(sender, is_known):
    """
    After an interrupt in `publish` the next one reaches each handler once, in order.
    """

    def make():
        subject = Subject()
        subject.bus.subscribe(subject.handle, Ping)
        subject.bus.subscribe(lambda event: subject.bus.publish(Pong()), Ping)
        if is_known:
            subject.bus.publish(Ping(), sender=sender)
        return subject

    for at, subject in each_place(make, lambda s: s.bus.publish(Ping(), sender=sender)):
        assert subject.publish() == (1, 1), at
        assert subject.bus.stats.pending == 0


async def test_interrupted_cancel_of_an_async_handler_starts_no_call(anyio_backend):
    """
    After an interrupt in the cancel of an async handler, a second cancel takes out its events.
    """
    seen = []

    async def handle(event):
        seen.append(event)

    at = 1
    async with EventBus() as bus:
        while True:
            subscription = bus.subscribe(handle, Ping, mailbox=Mailbox(purged_by=(Pong,)))
            bus.publish(Ping())
            was_interrupted = interrupted(subscription.cancel, at)
            subscription.cancel()
            bus.publish(Pong())
            assert bus.stats.pending == 0, at
            if not was_interrupted:
                break
            at += 1

    assert seen == []
    assert at > 20

"""
Random programs: subscribe, publish, cancel, scopes and closing, in any order, on both event loops.

Each handler does at random what an application does in one: it waits, fails, publishes, cancels
a subscription or makes another one. The rules that hold for every program are checked.
"""

from __future__ import annotations

import contextlib
import random

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus import BusClosed, EventBus, Mailbox, MailboxFull, Overflow
from eventbus.events import (
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
)
from tests.support import LoudPing, Ping

CLASSES = [
    Ping,
    LoudPing,
    object,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelExceptionEvent,
]
SENDERS = [None, "call-1", "call-2", 7]
MOST_EVENTS = 150
MOST_HANDLERS = 8


class Program:
    """
    A program that is made up while it runs, and a list of the rules that it saw broken.
    """

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.bus = EventBus()
        self.handlers = []
        self.events = 0
        self.broken = []

    def chance(self, probability):
        return self.random.random() < probability

    def publish(self, sender=None, scope=None):
        if self.events == MOST_EVENTS:
            return
        self.events += 1
        event = self.random.choice([Ping, LoudPing])(self.events)
        with contextlib.suppress(MailboxFull, BusClosed):
            if scope is not None:
                scope.publish(event)
            else:
                self.bus.publish(event, sender=sender)

    def subscribe(self, scope=None):
        handler = Handler(self)
        options = {"priority": self.random.randrange(3), "once": self.chance(0.1)}
        if scope is None and self.chance(0.4):
            options["sender"] = self.random.choice(SENDERS[1:])
        if is_async := self.chance(0.6):
            purged_by = self.random.choice([(), (LoudPing,)])
            overflow = self.random.choice(list(Overflow))
            options["mailbox"] = Mailbox(self.random.choice([1, 3, 50]), overflow, purged_by)
        call = handler.wait if is_async else handler.run
        classes = self.random.sample(CLASSES, 2)
        handler.subscription = (scope or self.bus).subscribe(call, *classes, **options)
        self.handlers.append(handler)
        return handler

    def cancel(self):
        if self.handlers:
            self.handlers.pop(self.random.randrange(len(self.handlers))).cancel()

    def act(self, sender):
        if self.chance(0.1):
            self.publish(sender)
        if self.chance(0.03):
            self.cancel()
        if self.chance(0.03) and len(self.handlers) < MOST_HANDLERS:
            self.subscribe()
        if self.chance(0.05):
            msg = "boom"
            raise ValueError(msg)

    async def step(self):
        sender = self.random.choice(SENDERS)
        match self.random.randrange(8):
            case 0 if len(self.handlers) < MOST_HANDLERS:
                self.subscribe()
            case 1:
                self.cancel()
            case 2 if sender is not None:
                with self.bus.scope(sender) as scope:
                    handler = self.subscribe(scope)
                    self.publish(scope=scope)
                    if self.chance(0.5):
                        await anyio.lowlevel.checkpoint()
                handler.is_cancelled = True
            case 3:
                await anyio.lowlevel.checkpoint()
            case 4:
                with contextlib.suppress(MailboxFull):
                    await self.bus.publish_async(Ping(0), sender=sender)
            case _:
                self.publish(sender)

    async def run(self, steps):
        async with self.bus:
            for _ in range(steps):
                await self.step()
            if self.chance(0.3):
                await self.bus.aclose(drain=False)


class Handler:
    """
    A handler that checks the rules about the calls of one handler.
    """

    def __init__(self, program):
        self.program = program
        self.subscription = None
        self.is_cancelled = False
        self.running = set()
        self.latest = {}

    def cancel(self):
        self.subscription.cancel()
        self.is_cancelled = True

    def note(self, event, sender):
        broken = self.program.broken
        if self.is_cancelled:
            broken.append("started after it was cancelled")
        if sender in self.running:
            broken.append("two calls at once for one sender")
        event = getattr(event, "data", event)
        if isinstance(event, Ping) and event.name:
            if event.name <= self.latest.get(sender, 0):
                broken.append("an event twice, or out of order")
            self.latest[sender] = event.name

    def run(self, event, context):
        self.note(event, context.sender)
        if not isinstance(event, RealtimeModelExceptionEvent):
            self.program.act(context.sender)

    async def wait(self, event, context):
        self.note(event, context.sender)
        self.running.add(context.sender)
        try:
            for _ in range(self.program.random.randrange(4)):
                await anyio.lowlevel.checkpoint()
            if not isinstance(event, RealtimeModelExceptionEvent):
                self.program.act(context.sender)
        finally:
            self.running.discard(context.sender)


@pytest.mark.slow
@settings(max_examples=100)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 40))
async def test_rules_hold_for_any_program(seed, steps):
    """
    A handler gets the events of a sender in order, each once, one at a time, and none after it was
    cancelled or its scope has ended; nothing is pending after the bus has closed, also if it is
    run again.
    """
    program = Program(seed)

    for _ in range(2):
        with anyio.fail_after(60):
            await program.run(steps)
        assert program.broken == []
        assert program.bus.stats.pending == 0

"""
At the first event of a bus, the routes of all its subscriptions are made in one look at them.

They are the ones that would be made one by one, as they are while something observes the bus.
"""

from __future__ import annotations

import random
from contextlib import ExitStack

from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus import Context, EventBus
from eventbus.events import (
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
)
from eventbus.wire.openai import OpenAIRealtimeDecoder
from tests.support import Ping, Watcher
from tests.test_events import EXAMPLES

FALLBACKS = [
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
]
BASES = [base for cls in map(type, EXAMPLES) for base in cls.__mro__[1:]]
FRAMES = [
    b'{"type":"weather.changed"}',
    b'{"type":"error","error":{"message":"no such voice"}}',
    b'{"type":"response.created","response":{"id":"resp_1"}}',
    b"[]",
]
SENDERS = [None, "call-1", "call-2", "call-3"]


class Program:
    """
    Subscriptions and events that follow from a seed, and what came of them.
    """

    def __init__(self, seed, *, is_observed):
        self.random = random.Random(seed)
        self.bus = EventBus()
        self.told = []
        self.subscriptions = []
        self.events = self.random.sample(EXAMPLES, 8)
        self.events += [event for event in EXAMPLES if type(event) in FALLBACKS]
        self.decoder = OpenAIRealtimeDecoder()
        with ExitStack() as stack:
            if is_observed:
                stack.enter_context(self.bus.observe(Watcher()))
            self.run()
        stats = self.bus.stats
        self.counts = stats.published, stats.delivered, stats.unhandled

    def run(self):
        for _ in range(self.random.randrange(6)):
            self.subscribe()
        for _ in range(self.random.randrange(1, 20)):
            match self.random.randrange(8):
                case 0:
                    self.subscribe()
                case 1 if self.subscriptions:
                    self.random.choice(self.subscriptions).cancel()
                case 2:
                    frame = self.random.choice(FRAMES)
                    self.decoder.publish_to(self.bus, frame, self.random.choice(SENDERS))
                case 3:
                    with self.bus.scope(self.random.choice(SENDERS[1:])) as scope:
                        scope.publish(self.random.choice(self.events))
                case _:
                    event = self.random.choice([*self.events, Ping()])
                    self.bus.publish(event, sender=self.random.choice(SENDERS))

    def subscribe(self):
        number = len(self.subscriptions)

        def take(event):
            self.told.append((number, type(event)))

        def take_with_context(event, context: Context):
            self.told.append((number, type(event), context.sender))

        def fail(event):
            self.told.append((number, type(event)))
            raise ValueError(number)

        classes = [type(self.random.choice(self.events)) for _ in range(2)]
        if self.random.random() < 0.2:
            classes = [self.random.choice([object, Ping, *BASES])]
        handler = self.random.choice([take, take_with_context, fail])
        options = {"priority": self.random.randrange(2), "sender": self.random.choice(SENDERS)}
        self.subscriptions.append(self.bus.subscribe(handler, *dict.fromkeys(classes), **options))


@settings(max_examples=300)
@given(st.integers(0, 2**64))
def test_routes_that_are_made_together_are_those_that_are_made_one_by_one(seed):
    """
    Each handler is told the same, in the same order, and each count is the same.
    """
    plain, observed = (Program(seed, is_observed=each) for each in (False, True))

    assert (plain.told, plain.counts) == (observed.told, observed.counts)

"""
What type checkers make of the public API: checked by mypy --strict and by pyright, never run.

A line that is wrong on purpose says which rule of each checker it breaks. Both checkers report an
ignore that nothing needs, so this file has errors as soon as one of them stops complaining, and
`tests/test_typing.py` takes the ignores away to see each complaint. The comment above a wrong
line says what is wrong with it. The few that have an ignore for one checker only are errors that
the other one doesn't see.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Literal, assert_never, assert_type

import anyio
import attrs
import trio

from eventbus import (
    ANY,
    BusStats,
    Context,
    EventBus,
    HandlerCall,
    LoggingMiddleware,
    Mailbox,
    Observer,
    Overflow,
    Publisher,
    Registration,
    Scope,
    Stream,
    Subscription,
    on,
)
from eventbus import events as vocabulary
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTurnEndedEvent,
    register_event,
)
from eventbus.middleware import CallNext, Middleware
from eventbus.realtime import (
    Attachment,
    RealtimeModel,
    RealtimeModelSendAudio,
    RealtimeSession,
    Tool,
    ToolContext,
    tool,
)
from eventbus.realtime.events import RealtimeAudio, RealtimeSessionEvent, RealtimeToolEnd
from eventbus.testing import Capture, FakeClock, capture


@attrs.frozen
class Change:
    """
    A base of events, like users write them.
    """

    by: str


@attrs.frozen
class Added(Change):
    amount: int


@attrs.frozen
class Removed(Change):
    reason: str


@register_event
@attrs.frozen
class Ordered:
    number: int
    type: Literal["shop.ordered"] = "shop.ordered"


@register_event(name="shop.paid", replace=True)
@attrs.frozen
class Paid:
    cents: int


class Plain:
    """
    Any class at all can be an event.
    """


bus = EventBus()


# --- @bus.on: the handlers that it takes -----------------------------------------------------


@bus.on(Added)
def same_class(event: Added) -> int:
    return event.amount


@bus.on(Added)
def base_class(event: Change) -> None: ...


@bus.on(Added)
def anything(event: object) -> None: ...


@bus.on(Added)
def without_annotations(event):  # type: ignore[no-untyped-def]  # a user who doesn't annotate
    return event


@bus.on(Added, priority=1, once=True, sender="call-42", timeout=1.5, weak=False)
async def asynchronous(event: Added) -> str:
    return event.by


@bus.on(Added)
def with_context(event: Added, context: Context) -> None:
    assert_type(context.sequence, int)
    assert_type(context.time_ns, int)
    assert_type(context.bus, Publisher)


@bus.on(Added)
async def asynchronous_with_context(event: Change, context: object) -> None: ...


@bus.on(Added)
def with_default(event: Added, factor: int = 2) -> int:
    return event.amount * factor


@bus.on(Added, Removed)
def two_classes(event: Added | Removed) -> str:
    return event.by


@bus.on(Added, Removed)
def base_of_two(event: Change) -> None: ...


@bus.on(Added, Removed, Ordered)
def three_classes(event: Added | Removed | Ordered) -> None: ...


@bus.on(Added, Removed, Ordered, Paid)
def four_classes(event: Added | Removed | Ordered | Paid) -> None: ...


@bus.on(Added, Removed, Ordered, Paid, Plain)
def five_classes(event: Added | Removed | Ordered | Paid | Plain, context: Context) -> None: ...


@bus.on(Added | Removed)
def union(event: Added | Removed) -> str:
    return event.by


Line = Added | Removed


@bus.on(Line)
def named_union(event: Line) -> str:
    return event.by


@bus.on(RealtimeModelEvent)
def whole_vocabulary(event: RealtimeModelEvent) -> None: ...


@bus.on(RealtimeModelEvent, timeout=5)
async def whole_vocabulary_async(event: RealtimeModelEvent, context: Context) -> None: ...


@bus.on(object)
def catch_all(event: object) -> None: ...


@bus.on(Plain)
def plain(event: Plain) -> None: ...


class CallableHandler:
    def __call__(self, event: Added) -> None: ...


seen: list[object] = []
bus.on(Added)(lambda event: event.amount)
bus.on(Added)(seen.append)
bus.on(Added)(print)
bus.on(Added)(CallableHandler())
bus.on(Added)(functools.partial(with_default, factor=3))
bus.on(Added | Removed)(lambda event: event.by)


# --- @bus.on: the handlers that it refuses ---------------------------------------------------


# It gets Added, and takes Removed.
@bus.on(Added)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
def wrong_class(event: Removed) -> None: ...


# The same for async handlers.
@bus.on(Added)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
async def wrong_class_async(event: Removed) -> None: ...


# It gets any Change, and takes Added only.
@bus.on(Change)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
def subclass(event: Added) -> None: ...


# It gets Removed, too.
@bus.on(Added, Removed)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
def one_of_two(event: Added) -> None: ...


# It gets Ordered, too.
@bus.on(Added, Removed, Ordered)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
def two_of_three(event: Added | Removed) -> None: ...


# It gets an event, and takes nothing.
@bus.on(Added)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
def no_argument() -> None: ...


# Nor does a handler of a union.
@bus.on(Line)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
def no_argument_for_a_union() -> None: ...


# The second argument is a Context.
@bus.on(Added)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
def wrong_context(event: Added, context: str) -> None: ...


# Nothing gives a third one.
@bus.on(Added)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
def too_many_arguments(event: Added, context: Context, more: int) -> None: ...


# Nothing gives a keyword argument.
@bus.on(Added)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
def keyword_only(event: Added, *, more: int) -> None: ...


# On a bus, a method has no object that it could be called on: use bus.register.
class NotOnABus:
    @bus.on(Added)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    def method(self, event: Added) -> None: ...


# --- what on() itself takes ------------------------------------------------------------------

bus.on(Added, when=lambda event: event.amount > 3)
bus.on(Added, Removed, when=lambda event: event.by == "me")
bus.on(Added, Removed, Ordered, Paid, when=lambda event: event.by == "me")
bus.on(Line, when=lambda event: event.by == "me")
bus.on(Added, sender=ANY, mailbox=Mailbox(capacity=10, overflow=Overflow.LATEST))
bus.on(Added, mailbox=Mailbox(purged_by=RealtimeModelAudioInterruptedEvent))
bus.on(Added, mailbox=Mailbox(purged_by=(RealtimeModelAudioInterruptedEvent, Plain)))
bus.on(Added, mailbox=Mailbox(purged_by=[Plain]))


def is_large(event: Added) -> bool:
    return event.amount > 100


bus.on(Added, when=is_large)

# No class at all.
bus.on()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
# An event instead of its class.
bus.on(Plain())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
# Its name instead of the class.
bus.on("Added")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
# A predicate of another class.
bus.on(Removed, when=is_large)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
# A predicate of one of two classes.
bus.on(Added, Removed, when=is_large)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
# A predicate that looks for what isn't there.
bus.on(Added, when=lambda event: event.reason)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
# There is no such option.
bus.on(Added, prioritty=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
# It is a number.
bus.on(Added, priority="high")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
# It is a Mailbox.
bus.on(Added, mailbox=100)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
# It is a member of Overflow.
Mailbox(overflow="latest")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
# It has classes, not their names.
Mailbox(purged_by="Plain")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- the decorated name keeps its own type ---------------------------------------------------

added = Added("me", 1)
removed = Removed("me", "broken")

assert_type(same_class(added), int)
assert_type(same_class(event=added), int)
assert_type(with_default(added, factor=3), int)
assert_type(with_default(added), int)
assert_type(two_classes(event=removed), str)
assert_type(union(event=removed), str)
assert_type(named_union(event=removed), str)
base_class(event=removed)

# It takes Added.
same_class(removed)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
# Its parameter is called event.
same_class(evt=added)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
# It takes Added or Removed.
union(Plain())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
# It needs its Context.
with_context(added)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# --- @on: functions and methods --------------------------------------------------------------


@on(Added, timeout=3)
async def marked(event: Added) -> int:
    return event.amount


@on(Removed)
@on(Added, priority=2)
def marked_twice(event: Change) -> str:
    return event.by


class Listener:
    @on(Added)
    def method(self, event: Added) -> int:
        return event.amount

    @on(Added)
    def method_with_base(self, event: Change) -> None: ...

    @on(Added, when=lambda event: event.amount > 3)
    async def coroutine_method(self, event: Added) -> int:
        return event.amount

    @on(Added)
    def method_with_context(self, event: Added, context: Context) -> str:
        return event.by

    @on(Added, Removed)
    def method_of_two(self, event: Added | Removed) -> str:
        return event.by

    @on(Added | Removed)
    def method_of_union(self, event: Added | Removed) -> str:
        return event.by

    @on(RealtimeModelEvent)
    async def method_of_vocabulary(self, event: RealtimeModelEvent) -> None: ...

    @on(Added, Removed, Ordered, Paid)
    def method_of_four(self, event: Added | Removed | Ordered | Paid) -> None: ...

    @staticmethod
    @on(Added)
    def static_method(event: Added) -> int:
        return event.amount

    @classmethod
    @on(Added)
    def class_method(cls, event: Added) -> int:
        return event.amount

    # It gets Added, and takes Removed.
    @on(Added)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    def wrong_class(self, event: Removed) -> None: ...

    # The same for async methods.
    @on(Added)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    async def wrong_class_async(self, event: Removed) -> None: ...

    # It gets an event, and takes nothing.
    @on(Added)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    def no_argument(self) -> None: ...

    # The second argument is a Context.
    @on(Added)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    def wrong_context(self, event: Added, context: str) -> None: ...

    # It gets Removed, too.
    @on(Added, Removed)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    def one_of_two(self, event: Added) -> None: ...


# It gets Added, and takes Removed.
@on(Added)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
def marked_wrong(event: Removed) -> None: ...


listener = Listener()
assert_type(marked_twice(event=removed), str)
assert_type(listener.method(event=added), int)
assert_type(listener.method_of_two(event=removed), str)
assert_type(listener.method_of_union(event=removed), str)
assert_type(Listener.static_method(event=added), int)
assert_type(listener.class_method(event=added), int)
assert_type(Listener.method(listener, event=added), int)
# It takes Added.
listener.method(removed)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
# It needs its Context.
listener.method_with_context(added)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

bus.on(Added)(listener.method)
# A bound method takes what it takes.
bus.on(Removed)(listener.method)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


# --- register, subscribe, unsubscribe --------------------------------------------------------

assert_type(bus.register(listener), Registration)
assert_type(bus.register(vocabulary), Registration)
assert_type(bus.register(marked), Registration)
assert_type(bus.load_plugins(["mine"], exclude=["other"]), dict[str, Registration])
assert_type(bus.subscribe(listener.method, Added), Subscription)

bus.subscribe(same_class, Added, once=True)
bus.subscribe(base_class, Added)
bus.subscribe(asynchronous, Added, timeout=2, mailbox=Mailbox())
bus.subscribe(with_context, Added)
bus.subscribe(listener.method, Added, weak=True)
bus.subscribe(two_classes, Added, Removed)
bus.subscribe(two_classes, Added | Removed)
bus.subscribe(two_classes, Line)
bus.subscribe(three_classes, Added, Removed, Ordered)
bus.subscribe(four_classes, Added, Removed, Ordered, Paid)
bus.subscribe(whole_vocabulary, RealtimeModelEvent)
bus.subscribe(lambda event: event.amount, Added)
bus.subscribe(seen.append, Added)
bus.subscribe(CallableHandler(), Added)
bus.subscribe(same_class, Added, when=lambda event: event.amount > 3)
bus.unsubscribe(same_class)

with bus.subscribe(same_class, Added) as subscription:
    assert_type(subscription, Subscription)
with bus.register(listener) as registration:
    assert_type(registration, Registration)

removals: list[Removed] = []
# It gets Removed, and takes Added.
bus.subscribe(same_class, Removed)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
# The same for async handlers.
bus.subscribe(asynchronous, Removed)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
# It gets Removed, too.
bus.subscribe(same_class, Added, Removed)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
# A list of Removed isn't one of Added.
bus.subscribe(removals.append, Added)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
# No class at all.
bus.subscribe(same_class)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
# Only a lambda's body is wrong, and mypy does not know that it must be of an Added.
bus.subscribe(lambda event: event.reason, Added)  # pyright: ignore[reportAttributeAccessIssue]
# There is no such option.
bus.subscribe(same_class, Added, prioritty=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


async def awaiting() -> None:
    assert_type(await asynchronous(event=added), str)
    assert_type(await marked(event=added), int)
    assert_type(await listener.coroutine_method(event=added), int)


# --- publish, expect, stream -----------------------------------------------------------------


async def publishing() -> None:
    async with bus as entered:
        assert_type(entered, EventBus)
        bus.publish(added)
        bus.publish({"type": "anything"}, sender="call-42")
        await bus.publish_async(added, sender=object())
        await bus.publish_and_wait(added, raise_errors=True)
        await bus.aclose(drain=False, timeout=1)
    assert_type(bus.stats, BusStats)
    assert_type(bus.stats.dropped, int)
    assert_type(bus.is_running, bool)


async def expecting() -> None:
    assert_type(await bus.expect(Added), Added)
    assert_type(await bus.expect(Added, when=lambda event: event.amount > 3, timeout=1), Added)
    assert_type(await bus.expect(Added, when=is_large), Added)
    assert_type(await bus.expect(Added, Removed, sender="call-42"), Added | Removed)
    assert_type(await bus.expect(Added, Removed, Ordered), Added | Removed | Ordered)
    assert_type(await bus.expect(Added, Removed, Ordered, Paid), Any)
    assert_type(await bus.expect(Line), Any)
    either: Added | Removed = await bus.expect(Added | Removed)
    assert either.by
    # A predicate of another class.
    await bus.expect(Removed, when=is_large)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    # What it gives has no such attribute.
    (await bus.expect(Added)).reason  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # noqa: B018
    # No class at all.
    await bus.expect()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


async def streaming() -> None:
    assert_type(bus.stream(Added), Stream[Added])
    assert_type(bus.stream(Added, when=lambda event: event.amount > 3), Stream[Added])
    assert_type(bus.stream(Added, Removed, Ordered), Stream[Added | Removed | Ordered])
    assert_type(bus.stream(RealtimeModelEvent), Stream[Any])
    async with bus.stream(Added, Removed, mailbox=Mailbox(capacity=9)) as changes:
        assert_type(changes, Stream[Added | Removed])
        async for change in changes:
            assert_type(change, Added | Removed)
    async with bus.stream(Added | Removed) as either:
        async for event in either:
            line: Added | Removed = event
            assert line.by
    # A predicate of another class.
    bus.stream(Removed, when=is_large)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    async with bus.stream(Added) as additions:
        async for addition in additions:
            # What it gives has no such attribute.
            assert addition.reason  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


# --- scopes ----------------------------------------------------------------------------------


async def scoped() -> None:
    with bus.scope("call-42") as call:
        assert_type(call, Scope)

        @call.on(Added)
        def scoped_handler(event: Added) -> int:
            return event.amount

        # It gets Added, and takes Removed.
        @call.on(Added)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
        def scoped_wrong(event: Removed) -> None: ...

        assert_type(scoped_handler(event=added), int)
        assert_type(call.subscribe(same_class, Added), Subscription)
        assert_type(call.register(listener), Registration)
        assert_type(await call.expect(Added), Added)
        assert_type(await call.expect(Added, Removed, timeout=3), Added | Removed)
        assert_type(call.stream(Added), Stream[Added])
        call.publish(added)
        await call.publish_async(added)
        await call.publish_and_wait(added)
        takes_a_bus: Publisher = call
        takes_a_bus.publish(added)
        # It gets Removed, and takes Added.
        call.subscribe(same_class, Removed)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]


# --- middleware and observers ----------------------------------------------------------------


def passing(event: Any, call_next: CallNext) -> None:
    call_next(event)


def passing_with_context(event: object, call_next: CallNext, context: Context) -> int:
    call_next(event)
    return context.sequence


class PassingObject:
    def __call__(self, event: Any, call_next: CallNext) -> None:
        call_next(event)


def not_passing(event: Any) -> None: ...


def passing_with_wrong_context(event: Any, call_next: CallNext, context: str) -> None: ...


class Tracer:
    def handler_started(self, call: HandlerCall) -> None:
        assert_type(call.queued_ns, int)
        assert_type(call.run_ns, int | None)
        assert_type(call.error, BaseException | None)

    def handler_finished(self, call: HandlerCall) -> None: ...


class HalfATracer:
    def handler_started(self, call: HandlerCall) -> None: ...


middleware: Middleware = passing_with_context
observer: Observer = Tracer()

EventBus(middleware=[passing, passing_with_context, PassingObject(), LoggingMiddleware()])
EventBus(observers=(Tracer(), observer), strict=True)

# It can't pass anything on.
EventBus(middleware=[not_passing])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
# The third argument is a Context.
EventBus(middleware=[passing_with_wrong_context])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
# It lacks handler_finished.
EventBus(observers=[HalfATracer()])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
# One is no list.
EventBus(middleware=passing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- events ----------------------------------------------------------------------------------

# register_event gives the class back.
assert_type(Ordered(1), Ordered)
assert_type(Ordered(1).number, int)
assert_type(Paid(100).cents, int)
# It has a number.
Ordered("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
# Events are frozen.
RealtimeModelTurnEndedEvent().status = "done"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def narrow_by_type(event: RealtimeModelEvent) -> None:
    if event.type == "audio":
        assert_type(event, RealtimeModelAudioEvent)
        assert_type(event.data, bytes)
    elif event.type == "function_call":
        assert_type(event, RealtimeModelToolCallEvent)
        assert_type(event.arguments, str)
    elif event.type == "exception":
        assert_type(event, RealtimeModelExceptionEvent)
    else:
        # Only audio has data in bytes, and no other event than a tool call has arguments.
        event.arguments  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]  # noqa: B018


def narrow_by_class(event: RealtimeModelEvent) -> None:
    if isinstance(event, RealtimeModelAudioEvent | RealtimeModelAudioInterruptedEvent):
        assert_type(event, RealtimeModelAudioEvent | RealtimeModelAudioInterruptedEvent)
        assert_type(event.content_index, int)


def exhaust_two_types(event: Ordered | RealtimeModelAudioEvent) -> int:
    if event.type == "shop.ordered":
        return event.number
    if event.type == "audio":
        return len(event.data)
    assert_never(event)


def exhaust_the_vocabulary(event: RealtimeModelEvent) -> str:
    match event:
        case (
            vocabulary.RealtimeModelErrorEvent()
            | vocabulary.RealtimeModelExceptionEvent()
            | vocabulary.RealtimeModelInputAudioTranscriptionFailedEvent()
        ):
            return "failure"
        case (
            vocabulary.RealtimeModelAudioEvent()
            | vocabulary.RealtimeModelAudioInterruptedEvent()
            | vocabulary.RealtimeModelAudioDoneEvent()
        ):
            return "speech"
        case (
            vocabulary.RealtimeModelTranscriptDeltaEvent()
            | vocabulary.RealtimeModelTranscriptDoneEvent()
            | vocabulary.RealtimeModelOutputTextDeltaEvent()
            | vocabulary.RealtimeModelOutputTextDoneEvent()
        ):
            return "text"
        case (
            vocabulary.RealtimeModelInputSpeechStartedEvent()
            | vocabulary.RealtimeModelInputSpeechStoppedEvent()
            | vocabulary.RealtimeModelInputAudioCommittedEvent()
            | vocabulary.RealtimeModelInputAudioTimeoutTriggeredEvent()
            | vocabulary.RealtimeModelInputTranscriptDeltaEvent()
            | vocabulary.RealtimeModelInputTranscriptUpdatedEvent()
            | vocabulary.RealtimeModelInputAudioTranscriptionCompletedEvent()
        ):
            return "user"
        case (
            vocabulary.RealtimeModelToolCallEvent()
            | vocabulary.RealtimeModelToolCallDeltaEvent()
            | vocabulary.RealtimeModelToolCallCancelledEvent()
            | vocabulary.RealtimeModelDelegationEvent()
        ):
            return "tool"
        case (
            vocabulary.RealtimeModelItemUpdatedEvent()
            | vocabulary.RealtimeModelItemDeletedEvent()
            | vocabulary.RealtimeModelItemTruncatedEvent()
        ):
            return "item"
        case (
            vocabulary.RealtimeModelTurnStartedEvent()
            | vocabulary.RealtimeModelTurnEndedEvent()
            | vocabulary.RealtimeModelUsageEvent()
        ):
            return "turn"
        case (
            vocabulary.RealtimeModelConnectionStatusEvent()
            | vocabulary.RealtimeModelSessionUpdatedEvent()
            | vocabulary.RealtimeModelRateLimitsEvent()
            | vocabulary.RealtimeModelSessionExpiringEvent()
            | vocabulary.RealtimeModelEndOfStreamEvent()
        ):
            return "session"
        case vocabulary.RealtimeModelOtherEvent() | vocabulary.RealtimeModelRawServerEvent():
            return "other"
        case _:
            assert_never(event)


def forget_one(event: RealtimeModelAudioEvent | RealtimeModelToolCallEvent) -> None:
    match event:
        case RealtimeModelAudioEvent():
            return
        case _:
            # A tool call gets here.
            assert_never(event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- testing ---------------------------------------------------------------------------------


async def testing() -> None:
    with capture(bus) as everything:
        assert_type(everything, Capture[Any])
    with capture(bus, Added, Removed, sender="call-42") as changes:
        assert_type(changes.events, list[Added | Removed])
    with capture(bus, Line) as lines:
        assert_type(lines, Capture[Any])
    assert_type(changes.assert_published(Added, amount=1), Added)
    assert_type(changes.assert_order(Added, lambda event: event.by), list[Added | Removed])
    assert_type(await everything.wait_for(Added, lambda event: event.amount > 3), Added)
    # A predicate of another class.
    await changes.wait_for(Removed, is_large)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with FakeClock(autojump=True) as clock:
        await clock.advance(1.5)
        assert_type(clock.now, float)


def running() -> None:
    clock = FakeClock()
    trio.run(testing, clock=clock)
    anyio.run(testing, backend="trio", backend_options={"clock": clock})
    asyncio.run(testing())


# --- live sessions ---------------------------------------------------------------------------


@tool
async def weather(city: str) -> str:
    return city


@tool(timeout=3)
def order(number: int) -> str:
    return str(number)


assert_type(weather, Tool)
assert_type(order, Tool)


async def talking(model: RealtimeModel) -> None:
    session = RealtimeSession(model, bus, tools=[weather, order.function], sender="call-42")

    @session.tool(needs_approval=True)
    async def pay(ctx: ToolContext, cents: int) -> None: ...

    @session.tool
    def hang_up() -> int:
        return 1

    assert_type(hang_up(), int)
    async with session as entered:
        assert_type(entered, RealtimeSession)
        await session.send_message("Hello!")
        await session.send_message(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await session.update_settings({"instructions": "Be brief."})
        # A setting that there is none of.
        await session.update_settings({"instuctions": ""})  # type: ignore[typeddict-unknown-key]  # pyright: ignore[reportArgumentType]
    with model.attach(bus, sender="call-42") as attachment:
        assert_type(attachment, Attachment)
    await model.send_event(RealtimeModelSendAudio(b""))


def narrow_session_event(event: RealtimeSessionEvent) -> None:
    if event.type == "tool_end":
        assert_type(event, RealtimeToolEnd)
    elif event.type == "audio":
        assert_type(event, RealtimeAudio)
    assert_type(bus.has_handlers(RealtimeAudio, sender="call-42"), bool)

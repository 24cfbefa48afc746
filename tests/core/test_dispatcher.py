"""
A publish before it returns: one event at a time, in order, each call isolated.

Nothing here needs an event loop: the handlers are sync ones, and the bus doesn't run.
"""

from __future__ import annotations

import _thread
import asyncio
import linecache
import logging
import sys
import threading
import time
import weakref
from collections import deque
from contextvars import ContextVar
from functools import partial

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus import BusNotRunning, EventBus, EventTypeError, HandlerError
from eventbus._core import dispatcher as dispatch
from eventbus._core import turn as turns
from eventbus.events import (
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
)
from tests.support import LoudPing, Ping, Pong, crashes, raiser, without_collector

VAR: ContextVar[str] = ContextVar("VAR", default="unset")

EXITS = [
    KeyboardInterrupt(),
    SystemExit(3),
    BaseExceptionGroup("several", [ValueError("boom"), KeyboardInterrupt()]),
]


@attrs.define
class Countdown:
    """
    An event that asks to be published again, one less.
    """

    left: int


# --- order -----------------------------------------------------------------------------------


def test_sync_handlers_have_run_when_publish_returns(bus):
    """
    A publish outside of any handler returns after the last sync handler.
    """
    seen = []
    bus.subscribe(lambda event: seen.append("first"), Ping)
    bus.subscribe(lambda event: seen.append("second"), Ping)

    bus.publish(Ping())

    assert seen == ["first", "second"]


def test_publish_in_a_handler_returns_before_its_handlers_run(bus):
    """
    An event that a handler publishes is dispatched after the present one, not within it.
    """
    seen = []

    @bus.on(Ping)
    def answer(event):
        bus.publish(Pong())
        seen.append("published")

    bus.subscribe(lambda event: seen.append("ping, too"), Ping)
    bus.subscribe(lambda event: seen.append("pong"), Pong)

    bus.publish(Ping())

    assert seen == ["published", "ping, too", "pong"]


def test_nested_events_are_dispatched_first_in_first_out(bus):
    """
    Events published in handlers are dispatched in the order of publication, over generations.
    """
    seen = []

    @bus.on(Ping)
    def branch(event):
        seen.append(event.name)
        if len(event.name) < 3:
            bus.publish(Ping(event.name + "a"))
            bus.publish(Ping(event.name + "b"))

    bus.publish(Ping("x"))

    assert seen == ["x", "xa", "xb", "xaa", "xab", "xba", "xbb"]


def test_outermost_publish_returns_after_nested_events(bus):
    """
    When the first publish returns, the events that its handlers have published are dispatched, too.
    """
    seen = []
    bus.subscribe(lambda event: bus.publish(Pong()), Ping)
    bus.subscribe(seen.append, Pong)

    bus.publish(Ping())

    assert seen == [Pong()]


def test_chain_of_50_000_nested_publishes_is_safe(bus):
    """
    A handler that publishes the next event, 50,000 times, doesn't exhaust the stack.
    """
    ends = []

    @bus.on(Countdown)
    def go_on(event):
        if event.left:
            bus.publish(Countdown(event.left - 1))
        else:
            ends.append(event)

    bus.publish(Countdown(50_000))

    assert ends == [Countdown(0)]


def test_nested_event_keeps_its_sender(bus):
    """
    A nested publish belongs to the sender given to it, and not to the present one.
    """
    seen = []

    @bus.on(Ping)
    def answer(event, context):
        bus.publish(Pong("with"), sender="other")
        bus.publish(Pong("without"))

    bus.subscribe(lambda event, context: seen.append((event.name, context.sender)), Pong)

    bus.publish(Ping(), sender="one")

    assert seen == [("with", "other"), ("without", None)]


def test_exception_event_comes_after_what_was_published_before_the_crash(bus):
    """
    The report of a crash stands in line like any nested event.
    """
    seen = []

    @bus.on(Ping)
    def publish_and_crash(event):
        bus.publish(Pong("before"))
        raise ValueError("boom")

    bus.subscribe(lambda event: bus.publish(Pong("after")), Ping)
    bus.subscribe(lambda event: seen.append(event.name), Pong)
    bus.subscribe(lambda event: seen.append("crash"), RealtimeModelExceptionEvent)

    bus.publish(Ping())

    assert seen == ["before", "crash", "after"]


Tree = st.recursive(
    st.just(()), lambda children: st.lists(children, max_size=3).map(tuple), max_leaves=12
)


@given(tree=Tree, priorities=st.lists(st.integers(-2, 2), min_size=1, max_size=4))
def test_every_handler_sees_the_order_of_publication(tree, priorities):
    """
    All handlers see the same order, which is that of publication, and each event by descending
    priority, with any nested publishes and priorities.
    """
    bus = EventBus()
    calls = []
    published = []

    def publish(node, path):
        published.append(path)
        bus.publish(Ping((node, path)))

    def make(index):
        def handler(event):
            node, path = event.name
            calls.append((path, index))
            # Each handler publishes its share of the children.
            for number, child in enumerate(node):
                if number % len(priorities) == index:
                    publish(child, (*path, number))

        return handler

    for index, priority in enumerate(priorities):
        bus.subscribe(make(index), Ping, priority=priority)

    publish(tree, ())

    by_priority = sorted(range(len(priorities)), key=lambda index: -priorities[index])
    assert calls == [(path, index) for path in published for index in by_priority]


# --- asking who would get an event -------------------------------------------------------------


@pytest.mark.parametrize("sender", [None, "call-1"])
def test_count_unseen_knows_the_first_event_of_a_class(sender):
    """
    Events that nothing would see are counted from the first one on, and none that would be seen.
    """
    bus = EventBus()
    assert bus.count_unseen(RealtimeModelRawServerEvent, sender)
    assert (bus.stats.published, bus.stats.unhandled) == (1, 1)

    with bus.subscribe(lambda event: None, RealtimeModelRawServerEvent):
        assert not bus.count_unseen(RealtimeModelRawServerEvent, sender)
    with bus.scope("call-1") as scope:
        scope.subscribe(lambda event: None, RealtimeModelRawServerEvent)
        assert bus.count_unseen(RealtimeModelRawServerEvent, sender) is (sender is None)
    passed = EventBus(middleware=[lambda event, call_next: call_next(event)])
    assert not passed.count_unseen(RealtimeModelRawServerEvent, sender)


def test_has_handlers_is_about_the_class_and_its_bases(bus):
    """
    A handler of the class or of a base counts, of `object` too; a fallback's doesn't.
    """
    assert not bus.has_handlers(LoudPing)
    bus.subscribe(lambda event: None, RealtimeModelOtherEvent)
    bus.subscribe(lambda event: None, LoudPing)

    assert (bus.has_handlers(LoudPing), bus.has_handlers(Ping)) == (True, False)
    with bus.subscribe(lambda event: None, Ping):
        assert bus.has_handlers(Ping)
    assert not bus.has_handlers(Ping)
    assert not bus.has_handlers(Pong)
    bus.subscribe(lambda event: None, object)
    assert bus.has_handlers(Pong)


def test_has_handlers_is_about_one_sender(bus):
    """
    Another session's handlers don't count; those of all sessions do.
    """

    def answers():
        return [bus.has_handlers(Ping, sender=sender) for sender in (None, "call-1", "call-2")]

    assert answers() == [False, False, False]
    with bus.subscribe(lambda event: None, Ping, sender="call-1"):
        assert answers() == [False, True, False]
        with bus.subscribe(lambda event: None, Ping):
            assert answers() == [True, True, True]
    assert answers() == [False, False, False]


@pytest.mark.slow
def test_has_handlers_leaves_out_a_weak_handler_that_is_gone(bus):
    """
    Once the object of a weak subscription is gone, it takes nothing.
    """

    class Player:
        def play(self, event):
            pass

    player = Player()
    bus.subscribe(player.play, Ping, weak=True)
    assert bus.has_handlers(Ping)

    with without_collector():
        del player

    assert not bus.has_handlers(Ping)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([Ping, LoudPing, Pong, object]),
            st.sampled_from([None, "call-1", 7]),
            st.booleans(),
        )
    )
)
@pytest.mark.slow
def test_has_handlers_agrees_with_publish(changes):
    """
    The answer is that of a publish, after any subscriptions and cancellations.
    """
    bus, subscriptions, seen = EventBus(), {}, []
    for event_type, sender, is_new in changes:
        if not is_new:
            if (event_type, sender) in subscriptions:
                subscriptions.pop((event_type, sender)).cancel()
        elif (event_type, sender) not in subscriptions:
            options = {} if sender is None else {"sender": sender}
            subscriptions[event_type, sender] = bus.subscribe(
                partial(seen.append), event_type, **options
            )
        for event in (Ping(), LoudPing(), Pong()):
            for publisher in (None, "call-1", 7, "call-2"):
                seen.clear()
                bus.publish(event, sender=publisher)
                assert bus.has_handlers(type(event), sender=publisher) == bool(seen)


# --- crashes ---------------------------------------------------------------------------------


def test_failing_handler_does_not_stop_the_next(bus):
    """
    Handlers that come after one that raises still get the event.
    """
    seen = []
    bus.subscribe(raiser(ValueError("boom")), Ping)
    bus.subscribe(seen.append, Ping)
    crashes(bus)

    bus.publish(Ping("p1"))

    assert seen == [Ping("p1")]


def test_crash_becomes_an_exception_event(bus):
    """
    The event of a crash has the exception itself, the handled event, its handler and its sender.
    """
    seen = crashes(bus)
    error = ValueError("boom")
    handler = raiser(error)
    bus.subscribe(handler, Ping)

    bus.publish(Ping("p1"), sender="call-1")

    [crash] = seen
    assert crash.exception is error
    assert crash.exception.__traceback__ is not None
    assert crash.event == Ping("p1")
    assert crash.handler is handler
    assert crash.sender == "call-1"


def test_crash_context_names_handler_and_event(bus):
    """
    ``context`` of a crash names the failed handler, and the event.
    """
    seen = crashes(bus)
    bus.subscribe(raiser(ValueError("boom")), Ping)

    bus.publish(Ping())

    assert "raiser.<locals>.fail" in seen[0].context
    assert "Ping" in seen[0].context


@pytest.mark.parametrize(
    "error",
    [
        TypeError("takes 1 positional argument"),
        StopIteration(),
        GeneratorExit(),
        asyncio.CancelledError(),
        BaseException("own"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_unusual_exception_is_a_crash_like_any_other(bus, error):
    """
    Every exception of a handler is isolated and reported, except those that end the program.
    """
    seen = crashes(bus)
    others = []
    bus.subscribe(raiser(error), Ping)
    bus.subscribe(others.append, Ping)

    bus.publish(Ping())

    assert [crash.exception for crash in seen] == [error]
    assert others == [Ping()]


def test_exception_group_is_kept_whole(bus):
    """
    A group that a handler raises is one crash, and the group itself.
    """
    seen = crashes(bus)
    group = ExceptionGroup("two", [ValueError("a"), TypeError("b")])
    bus.subscribe(raiser(group), Ping)

    bus.publish(Ping())

    assert [crash.exception for crash in seen] == [group]


def test_crash_without_exception_handler_is_logged_with_traceback(bus, caplog):
    """
    With no handler of RealtimeModelExceptionEvent, a crash is one ERROR with its traceback.
    """
    bus.subscribe(raiser(ValueError("boom")), Ping)

    bus.publish(Ping())

    [record] = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.exc_info[0] is ValueError
    assert record.exc_info[2] is not None


def test_handled_crash_is_not_logged(bus, caplog):
    """
    A crash that a handler of RealtimeModelExceptionEvent takes leaves no record.
    """
    crashes(bus)
    bus.subscribe(raiser(ValueError("boom")), Ping)

    bus.publish(Ping())

    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_crash_while_handling_a_crash_is_logged_once_and_not_published(bus, caplog):
    """
    A handler of RealtimeModelExceptionEvent that fails does not start an endless loop.
    """
    calls = []

    @bus.on(RealtimeModelExceptionEvent)
    def fail_too(event):
        calls.append(event.exception.args)
        raise RuntimeError("again")

    bus.subscribe(raiser(ValueError("boom")), Ping)

    bus.publish(Ping())

    assert calls == [("boom",)]
    [record] = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.exc_info[1].args == ("again",)


def test_crash_of_the_catch_all_on_an_exception_event_is_not_published(bus, caplog):
    """
    A crash while handling an Exception event ends there, also if the handler takes everything.
    """
    seen = []

    @bus.on(object)
    def watch(event):
        seen.append(type(event))
        raise RuntimeError("always")

    bus.publish(Ping())

    assert seen == [Ping, RealtimeModelExceptionEvent]


def test_other_exception_handlers_run_when_one_fails(bus):
    """
    A failing handler of RealtimeModelExceptionEvent doesn't keep the event from the next.
    """
    bus.subscribe(raiser(RuntimeError("again")), RealtimeModelExceptionEvent)
    seen = crashes(bus)
    bus.subscribe(raiser(ValueError("boom")), Ping)

    bus.publish(Ping())

    assert [crash.exception.args for crash in seen] == [("boom",)]


def test_crash_is_counted(bus):
    """
    ``stats.crashed`` counts every failure, also that of a handler of Exception events.
    """
    bus.subscribe(raiser(ValueError("boom")), Ping)
    bus.subscribe(raiser(RuntimeError("again")), RealtimeModelExceptionEvent)

    bus.publish(Ping())
    bus.publish(Ping())

    assert bus.stats.crashed == 4


def test_handler_that_raises_nothing_new_can_be_called_again(bus):
    """
    A handler is not suspended for crashing: the next event reaches it.
    """
    seen = crashes(bus)
    bus.subscribe(raiser(ValueError("boom")), Ping)

    for _ in range(3):
        bus.publish(Ping())

    assert len(seen) == 3


def wait_until_queued(bus):
    """
    Return when a thread waits for its turn, which nothing but the queue tells.
    """
    deadline = time.monotonic() + 10
    while not any(entry.turn for entry in tuple(bus._dispatcher.turn.waiting)):
        assert time.monotonic() < deadline, "no thread waits"


# --- what ends the program ---------------------------------------------------------------------


@pytest.mark.parametrize("error", EXITS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("sender", [None, "call-1"])
def test_exit_leaves_publish(bus, error, sender):
    """
    KeyboardInterrupt and SystemExit, also within a group, leave the publish.
    """
    seen = crashes(bus)
    bus.subscribe(raiser(error), Ping)

    with pytest.raises(type(error)) as caught:
        bus.publish(Ping(), sender=sender)

    assert caught.value is error
    assert seen == []


def test_exit_of_a_nested_event_leaves_the_outermost_publish(bus):
    """
    A KeyboardInterrupt from an event that a handler published leaves the publish that runs it.
    """
    bus.subscribe(lambda event: bus.publish(Pong()), Ping)
    bus.subscribe(raiser(KeyboardInterrupt()), Pong)

    with pytest.raises(KeyboardInterrupt):
        bus.publish(Ping())


def test_handlers_after_an_exit_do_not_run(bus):
    """
    A KeyboardInterrupt is not isolated: it skips the handlers that would come next.
    """
    seen = []
    bus.subscribe(raiser(KeyboardInterrupt()), Ping)
    bus.subscribe(seen.append, Ping)

    with pytest.raises(KeyboardInterrupt):
        bus.publish(Ping())

    assert seen == []


@pytest.mark.parametrize("sender", [None, "call-1"])
def test_bus_works_after_an_exit(bus, sender):
    """
    After a caught KeyboardInterrupt, the bus can publish again.
    """
    seen = []
    bus.subscribe(raiser(KeyboardInterrupt()), Ping)
    bus.subscribe(seen.append, Pong)
    with pytest.raises(KeyboardInterrupt):
        bus.publish(Ping(), sender=sender)

    bus.publish(Pong())

    assert seen == [Pong()]


def test_what_was_queued_at_an_exit_comes_before_the_next_event(bus):
    """
    Events that were published before a KeyboardInterrupt are not overtaken by later ones.
    """
    seen = []

    @bus.on(Ping)
    def publish_and_leave(event):
        bus.publish(Pong("queued"))
        raise KeyboardInterrupt

    bus.subscribe(lambda event: seen.append(event.name), Pong)
    bus.publish(Pong("warm"))  # the next one takes the short way through publish
    with pytest.raises(KeyboardInterrupt):
        bus.publish(Ping())

    bus.publish(Pong("next"))

    assert seen == ["warm", "queued", "next"]


def test_exit_lets_waiting_threads_go_on(bus):
    """
    A thread that waits for the end of a dispatch gets its turn when a KeyboardInterrupt ends it.
    """
    begun, seen = threading.Event(), []
    thread = threading.Thread(target=lambda: bus.publish(Pong("waited")), daemon=True)

    @bus.on(Ping)
    def leave(event):
        bus.publish(Pong("queued"))
        thread.start()
        begun.set()
        wait_until_queued(bus)
        raise KeyboardInterrupt

    bus.subscribe(lambda event: seen.append(event.name), Pong)

    with pytest.raises(KeyboardInterrupt):
        bus.publish(Ping())
    thread.join(10)

    assert not thread.is_alive()
    assert seen == ["queued", "waited"]


def run_until_line(function, number):
    """
    Call *function*, raising KeyboardInterrupt at the *number*-th line of ours that it runs.

    Return that line, or None if it had fewer.
    """
    left, place = number, None

    def trace(frame, what, argument):
        nonlocal left, place
        file = frame.f_code.co_filename
        if file not in {dispatch.__file__, turns.__file__}:
            return None
        # At a bare "try:" nothing is executed, so no signal is looked for there.
        if what == "line" and linecache.getline(file, frame.f_lineno).strip() != "try:":
            left -= 1
            if left == 0:
                sys.settrace(None)
                place = f"{frame.f_code.co_name}, line {frame.f_lineno}"
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return place


@pytest.mark.parametrize("sender", [None, "call-1"])
def test_interrupt_at_any_line_leaves_a_bus_that_works(sender):
    """
    Ctrl-C may come between any two lines of a dispatch; the next publish works all the same.
    """
    number = 0
    while True:
        number += 1
        bus = EventBus()
        seen = []
        bus.subscribe(lambda event, bus=bus: bus.publish(Pong()), Ping)
        bus.subscribe(lambda event: None, Ping, Pong)
        bus.publish(Ping())
        place = run_until_line(lambda bus=bus: bus.publish(Ping(), sender=sender), number)
        bus.subscribe(seen.append, LoudPing)

        # In another thread: a turn that was never given back would make it wait forever.
        thread = threading.Thread(target=bus.publish, args=(LoudPing("still"),), daemon=True)
        thread.start()
        thread.join(10)

        assert not thread.is_alive(), f"interrupted in {place}"
        assert seen == [LoudPing("still")]
        if place is None:
            break
    assert number > 10


# --- changes while an event is dispatched ------------------------------------------------------


def test_handler_cancelled_during_a_dispatch_does_not_start(bus):
    """
    After ``cancel()`` the handler never starts again, also not for the present event.
    """
    seen = []
    bus.subscribe(lambda event: later.cancel(), Ping)
    later = bus.subscribe(seen.append, Ping)

    bus.publish(Ping())

    assert seen == []


def test_cancelling_an_earlier_handler_skips_no_other(bus):
    """
    A handler that ends its own subscription, or an earlier one, costs nobody the event.
    """
    seen = []
    first = bus.subscribe(lambda event: seen.append("first"), Ping)

    @bus.on(Ping)
    def second(event):
        first.cancel()
        bus.unsubscribe(second)
        seen.append("second")

    bus.subscribe(lambda event: seen.append("third"), Ping)

    bus.publish(Ping())
    bus.publish(Ping())

    assert seen == ["first", "second", "third", "third"]


def test_handler_subscribed_during_a_dispatch_starts_with_the_next_event(bus):
    """
    The handlers of an event are settled when its dispatch begins.
    """
    seen = []
    bus.subscribe(lambda event: bus.subscribe(seen.append, Ping), Ping, once=True)

    bus.publish(Ping("present"))
    bus.publish(Ping("next"))

    assert seen == [Ping("next")]


def test_nested_event_reaches_handlers_subscribed_before_its_dispatch(bus):
    """
    A handler that is subscribed after a nested publish, but before its dispatch, gets the event.
    """
    seen = []

    @bus.on(Ping)
    def publish_first(event):
        bus.publish(Pong())
        bus.subscribe(seen.append, Pong)

    bus.publish(Ping())

    assert seen == [Pong()]


def test_once_handler_runs_once_even_if_it_publishes_its_event(bus):
    """
    The one event of a ``once`` handler is used up before the handler runs.
    """
    seen = []

    @bus.on(Ping, once=True)
    def again(event):
        seen.append(event.name)
        bus.publish(Ping("again"))

    bus.publish(Ping("first"))

    assert seen == ["first"]


def test_once_handler_that_crashes_is_used_up(bus):
    """
    A ``once`` handler has had its event, even if it failed on it.
    """
    seen = crashes(bus)
    bus.subscribe(raiser(ValueError("boom")), Ping, once=True)

    bus.publish(Ping())
    bus.publish(Ping())

    assert len(seen) == 1


# --- not running -------------------------------------------------------------------------------


def test_async_handler_of_an_idle_bus_refuses_before_any_handler_runs(bus):
    """
    BusNotRunning is raised with no sync handler called, at any priority.
    """
    seen = []
    bus.subscribe(seen.append, Ping, priority=10)

    @bus.on(Ping)
    async def slow(event): ...

    with pytest.raises(BusNotRunning, match="async with bus"):
        bus.publish(Ping())

    assert seen == []


def test_events_without_async_handlers_pass_an_idle_bus(bus):
    """
    That another class has an async handler keeps nothing from being published.
    """
    seen = []
    bus.subscribe(seen.append, Pong)

    @bus.on(Ping)
    async def slow(event): ...

    bus.publish(Pong())

    assert seen == [Pong()]


def test_nested_event_with_an_async_handler_fails_in_its_publisher(bus):
    """
    In a handler, too, BusNotRunning leaves the publish: there, it is a crash of the handler.
    """
    seen = crashes(bus)
    bus.subscribe(lambda event: bus.publish(Pong()), Ping)

    @bus.on(Pong)
    async def slow(event): ...

    bus.publish(Ping())

    assert [type(crash.exception) for crash in seen] == [BusNotRunning]


def test_class_is_no_event(bus):
    """
    Publishing a class, which is a forgotten pair of brackets, is refused.
    """
    with pytest.raises(EventTypeError, match="Ping"):
        bus.publish(Ping)


# --- strict ------------------------------------------------------------------------------------


def test_strict_bus_raises_after_all_handlers_have_run():
    """
    With ``strict=True`` a failure is raised, but costs no other handler the event.
    """
    bus = EventBus(strict=True)
    seen = []
    error = ValueError("boom")
    bus.subscribe(raiser(error), Ping)
    bus.subscribe(seen.append, Ping)
    reported = crashes(bus)

    with pytest.raises(ValueError, match="boom") as caught:
        bus.publish(Ping())

    assert caught.value is error
    assert seen == [Ping()]
    assert [crash.exception for crash in reported] == [error]


def test_strict_bus_raises_several_failures_as_one_group():
    """
    Two failures of one publish leave it together.
    """
    bus = EventBus(strict=True)
    bus.subscribe(raiser(ValueError("a")), Ping)
    bus.subscribe(raiser(TypeError("b")), Ping)
    crashes(bus)

    with pytest.raises(ExceptionGroup) as caught:
        bus.publish(Ping())

    assert [type(error) for error in caught.value.exceptions] == [ValueError, TypeError]


def test_strict_bus_raises_failures_of_nested_events():
    """
    A failure on an event that a handler published leaves the outermost publish.
    """
    bus = EventBus(strict=True)
    bus.subscribe(lambda event: bus.publish(Pong()), Ping)
    bus.subscribe(raiser(ValueError("boom")), Pong)
    crashes(bus)

    with pytest.raises(ValueError, match="boom"):
        bus.publish(Ping())


def test_strict_bus_raises_a_failure_once():
    """
    A failure that was raised isn't raised again by the next publish.
    """
    bus = EventBus(strict=True)
    bus.subscribe(raiser(ValueError("boom")), Ping, once=True)
    crashes(bus)
    with pytest.raises(ValueError, match="boom"):
        bus.publish(Ping())

    bus.publish(Ping())


def test_strict_bus_forgets_failures_at_an_exit():
    """
    A failure beside a KeyboardInterrupt isn't raised by a later publish that has no part in it.
    """
    bus = EventBus(strict=True)
    bus.subscribe(raiser(ValueError("boom")), Ping)
    bus.subscribe(raiser(KeyboardInterrupt()), Ping)
    crashes(bus)
    with pytest.raises(KeyboardInterrupt):
        bus.publish(Ping())

    bus.publish(Pong())


# --- context variables -------------------------------------------------------------------------


def test_sync_handler_runs_in_the_context_of_its_publisher(bus):
    """
    A sync handler sees the publisher's context variables, and the variables that it sets stay set.
    """
    seen = []

    @bus.on(Ping)
    def swap(event):
        seen.append(VAR.get())
        VAR.set("handler's")

    token = VAR.set("publisher's")
    try:
        bus.publish(Ping())
        assert seen == ["publisher's"]
        assert VAR.get() == "handler's"
    finally:
        VAR.reset(token)


def test_nested_event_sees_context_variables_as_they_were_at_its_publish(bus):
    """
    An event that a handler publishes carries the variables of that moment, not of its dispatch.
    """
    seen = []

    @bus.on(Ping)
    def publish_two(event):
        for name in ("one", "two"):
            token = VAR.set(name)
            bus.publish(Pong())
            VAR.reset(token)

    bus.subscribe(lambda event: seen.append(VAR.get()), Pong)

    bus.publish(Ping())

    assert seen == ["one", "two"]


# --- threads -----------------------------------------------------------------------------------


@pytest.fixture
def switching():
    """
    Threads that take turns a thousand times as often as usual.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def run_threads(*functions):
    """
    Run *functions* at once, each in a thread, and return when all are done.
    """
    barrier = threading.Barrier(len(functions))
    errors = []

    def run(function):
        barrier.wait()
        try:
            function()
        except BaseException as exc:  # noqa: BLE001  # for the test to see
            errors.append(exc)

    threads = [threading.Thread(target=run, args=(f,), daemon=True) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "a thread waits forever"
    assert errors == []


@attrs.frozen
class Numbered:
    """
    An event with the name of its publisher, and its number there.
    """

    thread: int
    number: int


@pytest.mark.parametrize("with_sender", [False, True], ids=["no sender", "sender"])
def test_threads_never_run_two_handlers_at_once(switching, bus, with_sender):
    """
    A bus with sync handlers only is used from any thread, and handles one event at a time.
    """
    inside, overlaps, seen, missing = [], [], [], []

    def handler(event):
        inside.append(event)
        if len(inside) > 1:
            overlaps.append(tuple(inside))
        seen.append(event)
        inside.remove(event)

    bus.subscribe(handler, Numbered)

    def publish(thread):
        for number in range(400):
            event = Numbered(thread, number)
            bus.publish(event, sender=f"call-{thread}" if with_sender else None)
            if event not in seen[-50:] and event not in seen:  # the handler had to have run
                missing.append(event)

    run_threads(*(lambda thread=thread: publish(thread) for thread in range(4)))

    assert overlaps == []
    assert missing == []
    assert len(seen) == 1600
    for thread in range(4):
        assert [e.number for e in seen if e.thread == thread] == list(range(400))


def test_threads_lose_no_nested_event(switching, bus):
    """
    Events that handlers publish are dispatched exactly once, with many threads at it.
    """
    pongs = deque()

    @bus.on(Numbered)
    def answer(event):
        bus.publish(Pong((event.thread, event.number)))

    bus.subscribe(lambda event: pongs.append(event.name), Pong)

    def publish(thread):
        for number in range(400):
            bus.publish(Numbered(thread, number))

    run_threads(*(lambda thread=thread: publish(thread) for thread in range(4)))

    assert sorted(pongs) == [(thread, number) for thread in range(4) for number in range(400)]
    assert bus.stats.published == 3200


def test_threads_see_crashes_of_their_own_events_reported(switching, bus):
    """
    Crashes in several threads are each reported once.
    """
    seen = crashes(bus)
    bus.subscribe(raiser(ValueError("boom")), Numbered)

    def publish(thread):
        for number in range(200):
            bus.publish(Numbered(thread, number))

    run_threads(*(lambda thread=thread: publish(thread) for thread in range(3)))

    assert len(seen) == 600
    assert len({(crash.event.thread, crash.event.number) for crash in seen}) == 600


def test_threads_subscribe_while_others_publish(switching, bus):
    """
    Subscriptions may come and go while threads publish; steady handlers miss nothing.
    """
    seen = []
    bus.subscribe(seen.append, Numbered)

    def publish(thread):
        for number in range(300):
            bus.publish(Numbered(thread, number))

    def subscribe():
        for _ in range(150):
            with bus.subscribe(lambda event: None, Numbered):
                pass
            with bus.scope("call") as call:
                call.on(Numbered)(lambda event: None)

    run_threads(lambda: publish(0), lambda: publish(1), subscribe)

    assert len(seen) == 600


def test_thread_is_refused_without_blocking_the_others(bus):
    """
    A thread that waited for its turn, and then finds an async handler, gets BusNotRunning, and
    the bus works on.
    """
    refused, seen = [], []

    def publish():
        try:
            bus.publish(Pong())
        except BusNotRunning as exc:
            refused.append(exc)

    thread = threading.Thread(target=publish, daemon=True)

    @bus.on(Ping)
    def subscribe_meanwhile(event):
        thread.start()
        wait_until_queued(bus)

        @bus.on(Pong)
        async def slow(event): ...

    bus.publish(Ping())
    thread.join(10)
    after = threading.Thread(target=lambda: bus.publish(LoudPing()), daemon=True)
    bus.unsubscribe(subscribe_meanwhile)
    bus.subscribe(seen.append, LoudPing)
    after.start()
    after.join(10)

    assert [type(exc) for exc in refused] == [BusNotRunning]
    assert seen == [LoudPing()]


def test_finalizer_may_publish(bus):
    """
    An object that publishes when it is collected, even in the middle of a dispatch, is no danger.
    """
    seen = []

    class Session:
        def __del__(self):
            bus.publish(Pong("gone"))

    @bus.on(Countdown)
    def go_on(event):
        if event.left:
            bus.publish(Countdown(event.left - 1))
            bus.publish(Ping(Session()))

    bus.subscribe(lambda event: seen.append(event.name), Pong)

    thread = threading.Thread(target=lambda: bus.publish(Countdown(5)), daemon=True)
    thread.start()
    thread.join(10)

    assert not thread.is_alive()
    assert seen == ["gone"] * 5


# --- what it costs -----------------------------------------------------------------------------


class Tracked:
    """
    An event that can be watched.
    """


@pytest.mark.parametrize("sender", [None, "call-1"])
@pytest.mark.slow
def test_bus_keeps_no_event(bus, sender):
    """
    A delivered event is gone at once, without help from the collector.
    """
    bus.subscribe(lambda event: bus.publish(Pong()), Tracked)
    bus.subscribe(lambda event, context: None, Tracked)
    event = Tracked()
    watched = weakref.ref(event)

    with without_collector():
        bus.publish(event, sender=sender)
        del event

        assert watched() is None


def test_bus_keeps_no_event_that_crashed(bus):
    """
    With the Exception event, the event that caused it is gone, too.
    """
    watched = []

    @bus.on(Tracked)
    def crash(event):
        watched.append(weakref.ref(event))
        raise ValueError("boom")

    bus.subscribe(lambda event: None, RealtimeModelExceptionEvent)

    with without_collector():
        bus.publish(Tracked())

        assert [ref() for ref in watched] == [None]


def test_stats_count_what_happened(bus):
    """
    Published, delivered and unhandled are the sums over all publishes.
    """
    bus.subscribe(lambda event: None, Ping)
    bus.subscribe(lambda event: bus.publish(Pong()), Ping)

    bus.publish(Ping())
    bus.publish(RealtimeModelAudioInterruptedEvent("item", 0))

    stats = bus.stats
    assert (stats.published, stats.delivered, stats.unhandled) == (3, 2, 2)
    assert (stats.crashed, stats.dropped, stats.pending) == (0, 0, 0)


# --- who failed, and who publishes from nowhere ---------------------------------------------------


@attrs.define(eq=True)
class EqualToAll:
    """
    A handler that is equal to any other of its class, as attrs makes it.
    """

    error: Exception = attrs.field(eq=False)

    def __call__(self, event):
        raise self.error


def test_failure_is_that_of_the_handler_and_not_of_its_equal(bus):
    """
    Of two handlers that are equal, each one's failure names that one.
    """
    seen = crashes(bus)
    handlers = [EqualToAll(ValueError("first")), EqualToAll(ValueError("second"))]
    for handler in handlers:
        bus.subscribe(handler, Ping)

    bus.publish(Ping())

    assert [crash.handler is handler for crash, handler in zip(seen, handlers, strict=True)] == [
        True,
        True,
    ]


def test_publish_may_be_the_first_frame_of_a_thread(bus):
    """
    A thread that runs nothing but publish waits for its turn like any other.
    """
    seen, is_done = [], threading.Event()

    @bus.on(Ping)
    def busy(event):
        _thread.start_new_thread(bus.publish, (Pong("p2"),))
        wait_until_queued(bus)

    @bus.on(Pong)
    def last(event):
        seen.append(event)
        is_done.set()

    bus.publish(Ping("p1"))

    assert is_done.wait(10)
    assert seen == [Pong("p2")]


# --- sync callables that return coroutines ---------------------------------------------------


async def never_awaited(event):
    raise AssertionError("nothing awaits this")


@pytest.mark.parametrize("options", [{}, {"once": True}, {"when": bool}])
def test_sync_callable_that_returns_a_coroutine_is_told(options):
    """
    A lambda around an async function never runs it: that is a failure of the handler, and the
    message names the remedy.
    """
    bus = EventBus()
    failures = crashes(bus)
    bus.subscribe(lambda event: never_awaited(event), Ping, **options)  # noqa: PLW0108

    bus.publish(Ping())

    (failure,) = failures
    assert isinstance(failure.exception, HandlerError)
    assert "returned a coroutine" in str(failure.exception)
    assert "'async def'" in str(failure.exception)


def test_sync_callable_that_returns_a_coroutine_is_told_of_each_time():
    """
    It is told for each event, not only the first: no event reaches its code.
    """
    bus = EventBus()
    failures = crashes(bus)
    bus.subscribe(lambda event: never_awaited(event), Ping)  # noqa: PLW0108

    for _ in range(3):
        bus.publish(Ping())

    assert len(failures) == 3


def test_result_of_a_sync_handler_may_be_anything_else():
    """
    Any other result is ignored, in the first call as in later ones.
    """
    bus, seen = EventBus(), []
    failures = crashes(bus)
    bus.subscribe(lambda event: seen.append(event) or seen, Ping)

    for _ in range(3):
        bus.publish(Ping())

    assert len(seen) == 3
    assert failures == []
    assert bus.stats.delivered == 3


# --- what a strict bus keeps -----------------------------------------------------------------


async def test_strict_bus_keeps_the_first_failures_only():
    """
    Of 1,500 failures of async handlers the first 32 are raised at the end, and the others counted:
    each would keep its event alive.
    """

    async def fail(event):
        raise ValueError(event.name)

    bus = EventBus(strict=True)
    bus.subscribe(fail, Ping)
    bus.subscribe(lambda event: None, RealtimeModelExceptionEvent)

    async def publish_all():
        async with bus:
            for number in range(1_500):
                bus.publish(Ping(str(number)))

    with pytest.raises(ExceptionGroup) as caught:
        await publish_all()

    assert [str(error) for error in caught.value.exceptions] == [str(n) for n in range(32)]
    assert "1468 more failures" in caught.value.__notes__[0]
    assert bus.stats.crashed == 1_500

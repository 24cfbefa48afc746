"""
Middleware passes, replaces or drops each event once; observers see each call; logs keep quiet.
"""

from __future__ import annotations

import functools
import json
import logging

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus import (
    BusNotRunning,
    Context,
    EventBus,
    EventBusError,
    HandlerCall,
    HandlerError,
    LoggingMiddleware,
    Mailbox,
    MailboxFull,
    Overflow,
)
from eventbus.events import (
    RealtimeError,
    RealtimeModelAudioEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelOutputTextDeltaEvent,
    RealtimeModelOutputTextDoneEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallDeltaEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
)
from eventbus.items import AssistantAudio, AssistantMessageItem, RealtimeToolCallItem
from tests.support import LoudPing, Ping, Pong, crashes, raiser


def passing(seen, name=None):
    """
    Return middleware that notes each event, or *name*, and passes it on.
    """

    def middleware(event, call_next):
        seen.append(event if name is None else name)
        call_next(event)

    return middleware


# --- middleware ------------------------------------------------------------------------------


def test_middleware_runs_once_for_each_event_whoever_takes_it():
    """
    Neither the number of handlers nor a fallback changes how often it runs.
    """
    seen = []
    bus = EventBus(middleware=[passing(seen)])
    bus.subscribe(lambda event: None, Ping)
    bus.subscribe(lambda event: None, Ping)
    bus.subscribe(lambda event: None, RealtimeModelOtherEvent)

    for event in (Ping("p1"), Pong("p2"), Ping("p3")):
        bus.publish(event)

    assert seen == [Ping("p1"), Pong("p2"), Ping("p3")]


def test_middleware_sees_events_that_nobody_handles():
    """
    It stands before the route.
    """
    seen = []
    bus = EventBus(middleware=[passing(seen)])

    bus.publish(Ping())

    assert seen == [Ping()]
    assert bus.stats.unhandled == 1


def test_middleware_sees_payloads_as_raw():
    """
    A bare payload is an event before the first middleware.
    """
    seen = []
    bus = EventBus(middleware=[passing(seen)])

    bus.publish({"type": "x"})

    assert seen == [RealtimeModelRawServerEvent({"type": "x"})]


def test_middleware_runs_in_the_order_given():
    """
    The first one is the outermost, and handlers are inside of all.
    """
    order = []

    def around(name):
        def middleware(event, call_next):
            order.append(f"{name} before")
            call_next(event)
            order.append(f"{name} after")

        return middleware

    bus = EventBus(middleware=[around("a"), around("b")])
    bus.subscribe(lambda event: order.append("handler"), Ping)

    bus.publish(Ping())

    assert order == ["a before", "b before", "handler", "b after", "a after"]


def test_middleware_can_replace_an_event():
    """
    The event that it passes on reaches the next one and the handlers, routed by its own class.
    """
    seen, pings, pongs = [], [], []
    bus = EventBus(middleware=[lambda event, call_next: call_next(Pong(event.name)), passing(seen)])
    bus.subscribe(pings.append, Ping)
    bus.subscribe(pongs.append, Pong)

    bus.publish(Ping("p1"))

    assert (seen, pings, pongs) == ([Pong("p1")], [], [Pong("p1")])


def test_replaced_event_keeps_its_sender_and_number():
    """
    The handler's Context is that of the event that was published.
    """
    seen = []
    bus = EventBus(middleware=[lambda event, call_next: call_next(Pong())])
    bus.subscribe(lambda event, context: seen.append(context), Pong)
    bus.subscribe(lambda event: seen.append("call-1"), Pong, sender="call-1")
    bus.subscribe(lambda event: seen.append("never"), Pong, sender="call-2")

    bus.publish(Ping(), sender="call-1")

    assert [context.sender for context in seen[:1]] == ["call-1"]
    assert seen[0].sequence == 1
    assert seen[1:] == ["call-1"]


def test_replacing_with_a_payload_makes_it_raw():
    """
    A bare payload is treated alike, wherever it comes from.
    """
    raws = []
    bus = EventBus(middleware=[lambda event, call_next: call_next({"was": event.name})])
    bus.subscribe(raws.append, RealtimeModelRawServerEvent)

    bus.publish(Ping("p1"))

    assert raws == [RealtimeModelRawServerEvent({"was": "p1"})]


def test_middleware_can_drop_an_event():
    """
    An event that isn't passed on reaches no further middleware, no handler, no fallback, and is
    counted as published only.
    """
    seen = []

    def no_loud_ones(event, call_next):
        if not isinstance(event, LoudPing):
            call_next(event)

    bus = EventBus(middleware=[no_loud_ones, passing(seen)])
    bus.subscribe(seen.append, object)
    bus.subscribe(seen.append, RealtimeModelOtherEvent)

    bus.publish(LoudPing())

    assert seen == []
    stats = bus.stats
    assert (stats.published, stats.delivered, stats.unhandled) == (1, 0, 0)


def test_middleware_may_take_a_context():
    """
    A third argument is the event's Context, the same that its handlers get.
    """
    seen = []

    def middleware(event, call_next, context):
        seen.append(context)
        call_next(event)

    bus = EventBus(middleware=[middleware])
    bus.subscribe(lambda event, context: seen.append(context), Ping)

    bus.publish(Ping(), sender="call-1")

    assert isinstance(seen[0], Context)
    assert seen[0].sender == "call-1"
    assert seen[0] == seen[1]


def test_third_argument_with_a_default_is_not_a_context():
    """
    As for handlers, parameters with a default are the caller's own business.
    """
    seen = []

    def middleware(event, call_next, more="mine"):
        seen.append(more)

    EventBus(middleware=[middleware]).publish(Ping())

    assert seen == ["mine"]


class Gate:
    """
    Middleware that is an object, and has a method that could be middleware.
    """

    def __init__(self, seen):
        self.seen = seen

    def __call__(self, event, call_next):
        self.seen.append("call")
        call_next(event)

    def method(self, event, call_next):
        self.seen.append("method")
        call_next(event)


def test_middleware_may_be_any_sync_callable():
    """
    Objects, bound methods and partials are called alike.
    """
    seen = []
    gate = Gate(seen)

    def with_options(options, event, call_next):
        seen.append(options)
        call_next(event)

    partial = functools.partial(with_options, "partial")

    EventBus(middleware=[gate, gate.method, partial]).publish(Ping())

    assert seen == ["call", "method", "partial"]


async def async_middleware(event, call_next):
    pass


class AsyncGate:
    async def __call__(self, event, call_next):
        pass


@pytest.mark.parametrize(
    ("middleware", "message"),
    [
        (None, r"NoneType can't be middleware"),
        (Gate, r"Gate can't be middleware"),
        (async_middleware, r"async_middleware can't be middleware, which is a sync function"),
        (AsyncGate(), r"AsyncGate can't be middleware"),
        (functools.partial(AsyncGate()), r"AsyncGate can't be middleware"),
        (lambda event: None, r"<lambda> can't be middleware: it must take \(event, call_next\)"),
        (lambda a, b, c, d: None, r"it must take \(event, call_next\), not \(a, b, c, d\)"),
    ],
)
def test_what_cannot_be_middleware_is_refused(middleware, message):
    """
    The bus isn't made, and the error names the culprit and how it should look.
    """
    with pytest.raises(HandlerError, match=message) as refusal:
        EventBus(middleware=[middleware])

    assert refusal.value.handler is middleware


@pytest.mark.parametrize("option", ["middleware", "observers"])
@pytest.mark.parametrize("given", [lambda event, call_next: None, None])
def test_one_where_a_list_is_expected_is_refused(option, given):
    """
    The error shows the list that was meant.
    """
    with pytest.raises(HandlerError, match=rf"{option}= takes a list, like {option}=\[") as refusal:
        EventBus(**{option: given})

    assert refusal.value.handler is given


def crashing_on_ping(error, *, first_pass_on=False):
    """
    Return middleware that fails on a Ping.
    """

    def middleware(event, call_next):
        if isinstance(event, Ping) and not first_pass_on:
            raise error
        call_next(event)
        if isinstance(event, Ping):
            raise error

    return middleware


@pytest.mark.parametrize("first_pass_on", [True, False])
def test_crash_of_middleware_becomes_an_event(first_pass_on):
    """
    Like a handler's: publish doesn't raise, and the Exception event names the middleware and the
    event.
    """
    error = ValueError("boom")
    middleware = crashing_on_ping(error, first_pass_on=first_pass_on)
    bus = EventBus(middleware=[middleware])
    failures = crashes(bus)

    bus.publish(Ping("p1"), sender="call-1")

    (failure,) = failures
    assert failure.exception is error
    assert (failure.event, failure.handler, failure.sender) == (Ping("p1"), middleware, "call-1")
    assert failure.context.startswith("middleware ")
    assert "crashing_on_ping" in failure.context
    assert bus.stats.crashed == 1


def test_crash_of_middleware_after_passing_on_changes_nothing():
    """
    The handlers have had the event, and the outer middleware goes on.
    """
    seen = []
    outer = []

    def around(event, call_next):
        call_next(event)
        outer.append(event)

    bus = EventBus(middleware=[around, crashing_on_ping(ValueError(), first_pass_on=True)])
    bus.subscribe(seen.append, Ping)
    crashes(bus)

    bus.publish(Ping("p1"))

    assert seen == [Ping("p1")]
    assert Ping("p1") in outer


def test_crash_of_middleware_does_not_stop_the_event():
    """
    An event that it could not pass on goes on as it came, to the next middleware and the handlers.
    """
    seen = []
    inner = []

    def note(event, call_next):
        inner.append(event)
        call_next(event)

    bus = EventBus(middleware=[crashing_on_ping(ValueError("boom")), note])
    bus.subscribe(seen.append, Ping)
    crashes(bus)

    bus.publish(Ping("p1"))

    assert seen == [Ping("p1")]
    assert inner[0] == Ping("p1")


def test_crash_of_middleware_does_not_stop_later_events():
    """
    The next event passes as if nothing had been.
    """
    seen = []
    bus = EventBus(middleware=[crashing_on_ping(ValueError("boom"))])
    bus.subscribe(seen.append, Pong)
    crashes(bus)

    bus.publish(Ping())
    bus.publish(Pong("p2"))

    assert seen == [Pong("p2")]


def test_middleware_that_crashes_on_everything_ends_in_the_log(caplog):
    """
    A failure on the Exception event about the first failure is logged, and is no event itself.
    """
    bus = EventBus(middleware=[lambda event, call_next: 1 / 0])

    bus.publish(Ping())

    # The middleware's on the Exception event, and that event, which has no handler.
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert bus.stats.crashed == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_middleware_can_be_interrupted(error):
    """
    KeyboardInterrupt and SystemExit leave publish from middleware, too, and the bus works on.
    """
    seen = []
    bus = EventBus(middleware=[crashing_on_ping(error())])
    bus.subscribe(seen.append, Pong)

    with pytest.raises(error):
        bus.publish(Ping())
    bus.publish(Pong())

    assert seen == [Pong()]


def test_passing_on_too_late_is_refused():
    """
    After the middleware has returned, call_next says that it is too late, and delivers nothing.
    """
    kept, seen = [], []
    bus = EventBus(middleware=[lambda event, call_next: kept.append((event, call_next))])
    bus.subscribe(seen.append, Ping)

    bus.publish(Ping())
    event, call_next = kept[0]

    with pytest.raises(EventBusError, match="too late"):
        call_next(event)
    assert seen == []


def test_crash_of_a_handler_does_not_reach_middleware():
    """
    A handler behind middleware is isolated there: ``call_next`` returns.
    """
    seen = []

    def middleware(event, call_next):
        call_next(event)
        seen.append(event)

    bus = EventBus(middleware=[middleware])
    crashes(bus)
    bus.subscribe(raiser(ValueError("boom")), Ping)

    bus.publish(Ping())

    assert seen[0] == Ping()


def test_publishing_in_middleware_comes_after_the_present_event():
    """
    As in a handler, an event published inside waits its turn, and passes all middleware itself.
    """
    order = []

    def middleware(event, call_next):
        if isinstance(event, Ping):
            bus.publish(Pong())
        call_next(event)

    bus = EventBus(middleware=[middleware, passing(order)])
    bus.subscribe(lambda event: order.append("handled"), Ping)

    bus.publish(Ping())

    assert order == [Ping(), "handled", Pong()]


def test_handler_cancelled_in_middleware_does_not_start():
    """
    ``cancel`` holds for the very event that is on its way.
    """
    seen = []

    def middleware(event, call_next):
        subscription.cancel()
        call_next(event)

    bus = EventBus(middleware=[middleware])
    subscription = bus.subscribe(seen.append, Ping)

    bus.publish(Ping())

    assert seen == []


def test_async_handler_behind_middleware_needs_a_running_bus():
    """
    The publisher is told before any middleware has run.
    """
    seen = []
    bus = EventBus(middleware=[passing(seen)])

    @bus.on(Ping)
    async def play(event):
        pass

    with pytest.raises(BusNotRunning):
        bus.publish(Ping())

    assert seen == []


async def test_mailbox_that_raises_does_so_behind_middleware():
    """
    The publisher of an event that middleware makes another one of gets `MailboxFull` for that.
    """
    bus = EventBus(middleware=[lambda event, call_next: call_next(Pong())])
    bus.subscribe(lambda event: None, Ping)

    @bus.on(Pong, mailbox=Mailbox(capacity=1, overflow=Overflow.RAISE))
    async def play(event):
        pass

    async with bus:
        bus.publish(Ping())
        with pytest.raises(MailboxFull):
            bus.publish(Ping())


# --- observers -------------------------------------------------------------------------------


class Recorder:
    """
    An observer that notes its calls.
    """

    def __init__(self):
        self.started: list[HandlerCall] = []
        self.finished: list[HandlerCall] = []

    def handler_started(self, call):
        self.started.append(call)

    def handler_finished(self, call):
        self.finished.append(call)


def test_observer_sees_each_call_before_and_after():
    """
    With handler, event, sender, and afterwards the time that it took.
    """
    recorder = Recorder()
    bus = EventBus(observers=[recorder])
    seen = []

    def play(event):
        seen.append((len(recorder.started), len(recorder.finished)))

    bus.subscribe(play, Ping)
    bus.subscribe(play, Ping, sender="call-1")

    bus.publish(Ping("p1"), sender="call-1")

    assert seen == [(1, 0), (2, 1)]
    assert recorder.started == [HandlerCall(play, Ping("p1"), "call-1", sequence=1)] * 2
    for call in recorder.finished:
        assert attrs.evolve(call, run_ns=None) == HandlerCall(
            play, Ping("p1"), "call-1", sequence=1
        )
        assert call.run_ns >= 0
        assert (call.queued_ns, call.error) == (0, None)


def test_observer_sees_how_a_call_failed():
    """
    The error is the handler's exception itself, which is reported as ever.
    """
    recorder, error = Recorder(), ValueError("boom")
    bus = EventBus(observers=[recorder])
    failures = crashes(bus)
    bus.subscribe(raiser(error), Ping)

    bus.publish(Ping())

    assert recorder.finished[0].error is error
    assert failures[0].exception is error


def test_observer_sees_what_the_handler_gets():
    """
    Of an event that fell back to Other, the wrapped one; of one that was replaced, the new one.
    """
    recorder = Recorder()
    bus = EventBus(middleware=[lambda event, call_next: call_next(Pong())], observers=[recorder])
    bus.subscribe(lambda event: None, RealtimeModelOtherEvent)

    bus.publish(Ping())

    assert [call.event for call in recorder.started] == [RealtimeModelOtherEvent(Pong())]


def test_observer_sees_no_call_that_is_not_made():
    """
    A predicate's no, a spent ``once``, an event without a handler are no calls; nor is middleware.
    """
    recorder = Recorder()
    bus = EventBus(middleware=[passing([])], observers=[recorder])
    bus.subscribe(lambda event: None, Ping, when=lambda event: False)
    bus.subscribe(lambda event: None, Pong, once=True)

    for event in (Ping(), Pong(), Pong(), 5):
        bus.publish(event)

    assert [call.event for call in recorder.started] == [Pong()]
    assert len(recorder.finished) == 1


def test_observers_do_not_count_as_handling():
    """
    An event that only an observer could see is unhandled.
    """
    bus = EventBus(observers=[Recorder()])

    bus.publish(Ping())

    assert bus.stats.unhandled == 1


def test_observer_sees_all_kinds_of_handlers():
    """
    With a Context, weakly held, of one event, of everything.
    """

    class Listener:
        def play(self, event):
            pass

    recorder, listener = Recorder(), Listener()
    bus = EventBus(observers=[recorder])
    bus.subscribe(lambda event, context: None, Ping)
    bus.subscribe(listener.play, Ping, weak=True)
    bus.subscribe(lambda event: None, Ping, once=True)
    bus.subscribe(lambda event: None, object)

    bus.publish(Ping())

    assert len(recorder.finished) == 4
    assert recorder.finished[1].handler == listener.play


def test_observer_that_fails_harms_nobody(caplog):
    """
    The handler runs, the other observers see it, and the log tells which one failed.
    """

    class Broken:
        def handler_started(self, call):
            raise ValueError("started")

        def handler_finished(self, call):
            raise ValueError("finished")

    seen, recorder = [], Recorder()
    bus = EventBus(observers=[Broken(), recorder])
    bus.subscribe(seen.append, Ping)

    bus.publish(Ping())

    assert seen == [Ping()]
    assert (len(recorder.started), len(recorder.finished)) == (1, 1)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert all("Broken" in record.observer for record in caplog.records)


async def test_observer_sees_async_calls_with_their_time_in_the_mailbox():
    """
    The time between publish and start is in the record of an async handler's call.
    """
    recorder = Recorder()
    bus = EventBus(observers=[recorder])

    @bus.on(Ping)
    async def play(event):
        if event.name == "p2":
            raise ValueError("boom")

    failures = crashes(bus)
    async with bus:
        bus.publish(Ping("p1"), sender="call-1")
        bus.publish(Ping("p2"), sender="call-1")

    calls = [call for call in recorder.finished if call.handler is play]
    assert [(call.event, call.sender) for call in calls] == [
        (Ping("p1"), "call-1"),
        (Ping("p2"), "call-1"),
    ]
    assert all(call.queued_ns > 0 and call.run_ns > 0 for call in calls)
    assert [call.error for call in calls] == [None, failures[0].exception]


# --- logging ---------------------------------------------------------------------------------


def everything_in(record: logging.LogRecord) -> str:
    """
    Return a record as a handler that writes all extras would: message, and each attribute.
    """
    return json.dumps({"text": record.getMessage(), **vars(record)}, default=repr)


def logged(caplog, *events, **options):
    """
    Return the records of a bus that logs *events*.
    """
    caplog.clear()
    bus = EventBus(middleware=[LoggingMiddleware(**options)])
    bus.subscribe(lambda event: None, object)
    for event in events:
        bus.publish(event, sender="call-1")
    return [record for record in caplog.records if record.getMessage() == "event published"]


def test_log_record_has_the_facts_as_extras(caplog):
    """
    One record an event, with a constant message; class, fields, sender and number are attributes.
    """
    caplog.set_level(logging.INFO)

    audio = RealtimeModelAudioEvent(bytes(9600), "resp_1", "item_1", 0)
    first, second = logged(caplog, audio, Ping("p2"))

    assert (first.getMessage(), second.getMessage()) == ("event published", "event published")
    assert (first.name, first.levelno) == ("eventbus.events", logging.INFO)
    assert (first.event_type, second.event_type) == ("RealtimeModelAudioEvent", "Ping")
    assert (first.sender, first.sequence, second.sequence) == ("call-1", 1, 2)
    assert first.event_fields == {
        "data": "<9600 bytes>",
        "response_id": "resp_1",
        "item_id": "item_1",
        "content_index": 0,
    }


def test_logging_passes_events_on():
    """
    Handlers get the very event, whether it is logged or not.
    """
    for level in (logging.DEBUG, logging.CRITICAL):
        seen = []
        bus = EventBus(middleware=[LoggingMiddleware(level=level)])
        bus.subscribe(seen.append, Ping)

        bus.publish(Ping("p1"))

        assert seen == [Ping("p1")]


def test_logger_and_level_can_be_chosen(caplog):
    """
    Records go to the given logger, at the given level.
    """
    caplog.set_level(logging.DEBUG)

    (record,) = logged(
        caplog, Ping(), logger=logging.getLogger("shop.calls"), level=logging.WARNING
    )

    assert (record.name, record.levelno) == ("shop.calls", logging.WARNING)


def test_level_that_is_no_number_is_refused():
    """
    ``level="INFO"`` is an error where the middleware is made.
    """
    with pytest.raises(TypeError, match=r"level= is a number like logging\.INFO, not 'INFO'"):
        LoggingMiddleware(level="INFO")


def test_nothing_is_looked_at_while_nobody_logs(caplog):
    """
    A logger that is quiet at this level costs no look at the event's fields.
    """
    caplog.set_level(logging.ERROR)

    class Delicate:
        def __len__(self):
            raise AssertionError("somebody looked")

    assert logged(caplog, RealtimeModelRawServerEvent(Delicate())) == []


def test_content_is_logged_on_request(caplog):
    """
    With ``content=True`` texts are in the record; bytes are counted all the same.
    """
    caplog.set_level(logging.INFO)

    said, audio = logged(
        caplog,
        RealtimeModelTranscriptDeltaEvent("item_1", "Gladly.", "resp_1"),
        RealtimeModelAudioEvent(bytes(9600), "resp_1", "item_1", 0),
        content=True,
    )

    assert said.event_fields["delta"] == "Gladly."
    assert audio.event_fields["data"] == "<9600 bytes>"


def test_events_of_any_class_are_logged(caplog):
    """
    An event without fields is logged by its class, and content of an unknown kind is left out.
    """
    caplog.set_level(logging.INFO)

    (record,) = logged(caplog, ValueError("my card number"))

    assert (record.event_type, record.event_fields) == ("ValueError", {})
    assert "card number" not in everything_in(record)


# Long enough not to be part of anything else in a record, and of no letters that are.
secrets = st.text(alphabet="ÄÖÜßñéøЖЩ€漢字", min_size=6, max_size=40)


def events_with(secret: str) -> list[object]:
    """
    Return events of every class that has content, each with *secret* as that.
    """
    as_json = json.dumps({"card": secret}, ensure_ascii=False)
    spoken = AssistantMessageItem("item_1", (AssistantAudio(transcript=secret),))
    call = RealtimeToolCallItem("item_1", "call_1", "pay", as_json, output=secret)
    return [
        RealtimeModelTranscriptDeltaEvent("item_1", secret, "resp_1"),
        RealtimeModelTranscriptDoneEvent("item_1", secret, "resp_1"),
        RealtimeModelInputTranscriptDeltaEvent("item_1", secret, 0),
        RealtimeModelInputAudioTranscriptionCompletedEvent("item_1", secret),
        RealtimeModelOutputTextDeltaEvent("item_1", secret, "resp_1"),
        RealtimeModelOutputTextDoneEvent("item_1", secret, "resp_1"),
        RealtimeModelToolCallDeltaEvent("call_1", "item_1", as_json, "resp_1"),
        RealtimeModelToolCallEvent("pay", "call_1", as_json),
        RealtimeModelAudioEvent(secret.encode(), "resp_1", "item_1", 0),
        RealtimeModelItemUpdatedEvent(spoken),
        RealtimeModelItemUpdatedEvent(call),
        RealtimeModelSessionUpdatedEvent({"instructions": secret}, created=True),
        RealtimeModelErrorEvent(RealtimeError(secret)),
        RealtimeModelErrorEvent(secret),
        RealtimeModelErrorEvent({"message": secret}),
        RealtimeModelTurnEndedEvent("resp_1", "failed", RealtimeError(secret)),
        RealtimeModelOtherEvent({"type": "weather.changed", "said": secret}),
        RealtimeModelOtherEvent([secret]),
        RealtimeModelRawServerEvent({"delta": secret}),
        RealtimeModelRawServerEvent(secret.encode()),
        RealtimeModelRawServerEvent(bytearray(secret.encode())),
        secret,
        {"delta": secret},
        RealtimeModelExceptionEvent(ValueError(secret), "a test", event=Ping(secret)),
        RealtimeModelOtherEvent(RealtimeModelTranscriptDeltaEvent("item_1", secret, "resp_1")),
    ]


class Collector(logging.Handler):
    """
    Keeps the log records.
    """

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


@given(secret=secrets)
def test_logs_have_no_content_by_default(secret):
    """
    Neither spoken or written words, nor a tool's arguments, nor audio is in any attribute of any
    record, with any event and any handler.
    """
    collector = Collector()
    logger = logging.Logger("shop.calls")  # noqa: LOG001  # of this example only, with no parent
    logger.addHandler(collector)
    bus = EventBus(middleware=[LoggingMiddleware(logger)])
    bus.subscribe(lambda event: None, object)
    bus.subscribe(lambda event: None, RealtimeModelExceptionEvent)

    events = events_with(secret)
    for event in events:
        bus.publish(event)

    assert len(collector.records) == len(events)
    hidden = (secret, ascii(secret)[1:-1], repr(secret.encode())[2:-1])
    for record in collector.records:
        written = json.dumps({**vars(record)}, default=repr, ensure_ascii=False)
        assert not any(form in written for form in hidden), record.event_type


def test_bus_logs_no_content_of_what_nobody_takes(caplog):
    """
    The bus's own records, about events that are unhandled, have no content either; a service's
    words in an Error event are for the log.
    """
    caplog.set_level(logging.DEBUG)
    bus = EventBus()

    for event in events_with("Ж漢字ñéø"):
        if not isinstance(event, (RealtimeModelExceptionEvent, RealtimeModelErrorEvent)):
            bus.publish(event)

    assert caplog.records
    assert not [record for record in caplog.records if "漢字" in str(vars(record))]


class Selective(Recorder):
    """
    Observes events of one class, and calls if that is wanted.
    """

    def __init__(self, event_type, *, calls=False):
        super().__init__()
        self.observes_calls = calls
        self.asked = []
        self.seen = []
        self._event_type = event_type

    def observes(self, event_type):
        self.asked.append(event_type)
        return issubclass(event_type, self._event_type)

    def event_published(self, event, sender, sequence):
        self.seen.append((event, sender, sequence))


def test_observer_sees_only_events_that_it_wants():
    """
    It is asked once for each class, and told of no call if it wants none.
    """
    observer = Selective(Ping)
    bus = EventBus(observers=[observer])
    bus.subscribe(repr, Ping)

    for _ in range(3):
        bus.publish(Pong(), sender="call-1")
        bus.publish(Ping("p1"), sender="call-1")

    assert observer.seen == [(Ping("p1"), "call-1", number) for number in (2, 4, 6)]
    assert sorted(cls.__name__ for cls in observer.asked) == ["Ping", "Pong"]
    assert observer.started == []


def test_no_raw_event_is_made_for_an_observer_that_wants_none():
    """
    A decoder that publishes on the bus finds that nothing sees its raw events.
    """
    bus = EventBus(observers=[Selective(Ping)])
    bus.publish(RealtimeModelRawServerEvent({}), sender="call-1")

    assert bus.count_unseen(RealtimeModelRawServerEvent, "call-1")


async def test_observer_that_wants_no_calls_is_told_of_no_async_ones():
    """
    Async handlers run as without it; another observer of calls is told.
    """
    without, other = Selective(Ping), Selective(Pong, calls=True)
    bus = EventBus(observers=[without, other])

    @bus.on(Ping)
    async def handle(_):
        pass

    async with bus:
        await bus.publish_and_wait(Ping("p1"))

    assert without.finished == []
    assert [call.event for call in other.finished] == [Ping("p1")]
    assert (len(without.seen), len(other.seen)) == (1, 0)

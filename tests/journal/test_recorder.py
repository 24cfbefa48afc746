"""
A recorder sees all events and calls of a bus, records their causes, and disturbs nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import os
import sys
import threading
import types

import anyio
import attrs
import pytest
import trio

from eventbus import EventBus, Mailbox, Overflow
from eventbus.events import (
    EVENT_TYPES,
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnStartedEvent,
)
from eventbus.exceptions import EventBusError, JournalWriteError
from eventbus.journal import (
    CallRecord,
    DropRecord,
    EndRecord,
    EventRecord,
    FrameRecord,
    GapRecord,
    Recorder,
    SentRecord,
    StatusRecord,
    open_journal,
)
from eventbus.journal import _writer as writer_module
from eventbus.realtime.events import (
    RealtimeAudioEnd,
    RealtimeAudioInterrupted,
    RealtimeRawModelEvent,
)
from eventbus.testing import FakeClock
from eventbus.wire._frames import Frame
from eventbus.wire.openai import OpenAIRealtimeDecoder

from ..realtime.scripted_model import ScriptedModel
from ..support import Ping, Pong, raiser

SECOND = 1_000_000_000
DELTA = RealtimeModelTranscriptDeltaEvent("i-1", "hello", "r-1")
RAW = RealtimeModelRawServerEvent(Frame(b'{"type":"x"}'))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "call.journal"


def record(path, bus, **options):
    """Return a recorder of *bus*, to be entered; it is attached."""
    recorder = Recorder(path, fsync="none", **options)
    recorder._tap = recorder.attach(bus)
    recorder._tap.__enter__()
    return recorder


def stop(recorder):
    recorder._tap.__exit__(None, None, None)
    recorder.close()


def read(path, *classes):
    return list(open_journal(path).read(*classes))


def shown(path):
    """Return a line for each record of a journal."""
    lines = []
    for each in open_journal(path):
        match each:
            case FrameRecord():
                text = "frame"
            case EventRecord():
                text = each.type_name or each.class_name.rpartition(".")[2]
            case CallRecord():
                text = f"{each.handler.rpartition('.')[2]} {each.state} #{each.call}"
            case DropRecord():
                text = f"{each.count} {each.reason} {list(each.events)}"
            case SentRecord():
                text = "sent"
            case StatusRecord():
                text = each.status
            case _:
                continue
        lines.append(f"{each.seq} {text} <- {each.cause}")
    return lines


# --- what is recorded ------------------------------------------------------------------------


def test_frames_events_and_calls_are_recorded_with_what_led_to_them(path, bus):
    """
    A frame leads to its events, an event to its calls, a call to its handler's events.
    """
    bus.subscribe(lambda event: bus.publish(Ping(), sender="call-1"), type(DELTA))
    bus.subscribe(handle := lambda event: None, Ping)
    handle.__qualname__ = "handle"
    recorder = record(path, bus)

    for event in (RAW, DELTA, DELTA):
        bus.publish(event, sender="call-1")
    bus.publish(RAW, sender="call-2")
    bus.publish(Pong(), sender="call-2")
    stop(recorder)

    assert shown(path) == [
        "1 frame <- 0",
        "2 transcript_delta <- 1",
        "3 <lambda> finished #3 <- 2",
        "4 Ping <- 3",
        "5 handle finished #5 <- 4",
        "6 transcript_delta <- 1",
        "7 <lambda> finished #7 <- 6",
        "8 Ping <- 7",
        "9 handle finished #9 <- 8",
        "10 frame <- 0",
        "11 Pong <- 0",
    ]
    assert {r.sender for r in open_journal(path) if r.seq and r.seq < 10} == {"call-1"}
    assert read(path)[-1].seq == 12
    assert isinstance(read(path)[-1], EndRecord)


def test_frame_is_recorded_as_it_came(path, bus):
    """
    Byte for byte, in any form; a bare payload too.
    """
    recorder = record(path, bus)
    for data in (b'{ "type" :"x"}', b"\xff", "text"):
        bus.publish(data if data == "text" else RealtimeModelRawServerEvent(data))
    for event in OpenAIRealtimeDecoder().decode(b'{ "type" :"x"}'):
        bus.publish(event)
    bus.publish({"type": "y"})
    stop(recorder)

    frames = read(path, FrameRecord)
    assert [(f.data, f.form) for f in frames] == [
        (b'{ "type" :"x"}', "bytes"),
        (b"\xff", "bytes"),
        (b"text", "str"),
        (b'{ "type" :"x"}', "json"),
        (b'{"type": "y"}', "json"),
    ]


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_whole_vocabulary_comes_back(path, checkout, name):
    """
    Each event that the decoder makes of the recorded frames is read again as it was published.
    """
    if "." in name:
        pytest.skip("a class of another test's")
    bus, decoder, published = EventBus(), OpenAIRealtimeDecoder(), []
    recorder = record(path, bus)
    lines = (checkout / "tests" / "data" / "openai_ga_types.jsonl").read_bytes().splitlines()
    for line in lines:
        for event in decoder.decode(line):
            if event.type == name:
                published.append(event)
                bus.publish(event)
    stop(recorder)

    found = [r.event for r in open_journal(path) if hasattr(r, "event")]
    if name == "exception":
        assert [str(e.exception) for e in found] == [str(e.exception) for e in published]
    else:
        assert found == published


def test_event_that_cant_be_written_is_recorded_by_name(path, bus):
    """
    An object of any class is in the journal, with the reason why it is only named.
    """
    recorder = record(path, bus)
    bus.publish(Ping("p1"))
    bus.publish(RealtimeModelOtherEvent(object()))
    stop(recorder)

    ping, other = read(path, EventRecord)
    assert ping.class_name.endswith("support.Ping")
    assert "register it" in ping.problem
    assert (other.type_name, other.document) == ("other", None)


def test_value_that_isnt_of_its_fields_type_is_the_codecs_to_judge(path, bus):
    """
    An event with fields that aren't of their declared types is written, or named with a reason.
    """
    recorder = record(path, bus)
    half = RealtimeModelTranscriptDeltaEvent("i-1", "half \ud800", "r-1")
    wrong = RealtimeModelTranscriptDeltaEvent("i-1", object(), "r-1")
    audio = RealtimeModelAudioEvent(bytearray(b"ab"), "r-1", "i-1", 0)
    for event in (half, wrong, audio):
        bus.publish(event)
    audio.data[0] = 0
    stop(recorder)

    first, second, third = read(path, EventRecord)
    assert first.event == half
    assert (second.document, second.type_name) == (None, "transcript_delta")
    assert "$.delta" in second.problem
    assert third.event.data == b"ab"


def test_event_that_is_too_long_is_recorded_by_name(path, bus, monkeypatch):
    """
    An event that no record can hold is named, and so is the reason.
    """
    monkeypatch.setattr("eventbus.journal._encoding.MAX_DATA_BYTES", 800)
    recorder = record(path, bus)
    bus.publish(RealtimeModelTranscriptDeltaEvent("i-1", "x" * 1000, "r-1"))
    bus.publish(DELTA)
    stop(recorder)

    long, short = read(path, EventRecord)
    assert (long.document, long.problem) == (None, "it is longer than a record can be")
    assert short.event == DELTA


def test_what_is_sent_is_recorded(path, bus):
    """
    A message to the service is in the journal, with the call that sent it and its audio's length.
    """
    recorder = record(path, bus)
    message = {"type": "input_audio_buffer.append", "audio": "AAAA"}
    bus.subscribe(lambda event: recorder.sent(message, sender="call-1"), Ping)
    bus.publish(Ping(), sender="call-1")
    recorder.sent('{"type": "response.create"}')
    recorder.sent(5)
    stop(recorder)

    sent = read(path, SentRecord)
    assert [s.sender for s in sent] == ["call-1", None, None]
    assert sent[0].message == message
    assert sent[0].audio_bytes == 3
    assert sent[1].message == '{"type": "response.create"}'
    assert "int is not a message" in sent[2].problem
    (start, end) = read(path, CallRecord)
    assert (start.state, sent[0].cause) == ("started", start.seq)
    assert end.call == start.seq


def test_audio_to_gemini_is_recorded_with_its_length(path, bus):
    """
    The length of audio is known in each spelling of the message; other input has none.
    """
    audio = {"mimeType": "audio/pcm;rate=16000", "data": "AAAA"}
    picture = {"mime_type": "image/jpeg", "data": "AAAA"}
    messages = [
        {"realtimeInput": {"audio": audio}},
        {"realtime_input": {"audio": {"data": "_-8=", "mime_type": "audio/pcm"}}},
        {"realtimeInput": {"mediaChunks": [audio]}},
        {"realtime_input": {"media_chunks": [picture, audio]}},
        {"realtimeInput": {"mediaChunks": [picture]}},
        {"realtimeInput": {"video": picture}},
        {"realtimeInput": {"text": "realtimeInput"}},
        {"realtimeInput": {"audio": {"mimeType": "audio/pcm"}}},
        {"realtimeInput": None},
        {"clientContent": {"turns": [{"parts": [{"inlineData": audio}]}]}},
    ]
    recorder = record(path, bus)
    for message in messages:
        recorder.sent(message)
    stop(recorder)

    lengths = [each.audio_bytes for each in read(path, SentRecord)]
    assert lengths == [3, 2, 3, 3, None, None, None, None, None, None]


def test_strange_message_about_audio_is_recorded(path, bus):
    """
    One that is nested too deeply to be read has no length, and less than a byte is none.
    """
    deep = b'{"realtimeInput":{"audio":%b%b}}' % (b"[" * 100_000, b"]" * 100_000)
    messages = [
        deep,
        {"realtimeInput": {"audio": {"mimeType": "audio/pcm", "data": "="}}},
        {"type": "input_audio_buffer.append", "audio": "=="},
        {"realtimeInput": {"audio": {"mimeType": "audio/pcm", "data": 5}}},
    ]
    recorder = record(path, bus)
    for message in messages:
        recorder.sent(message)
    stop(recorder)

    sent = read(path, SentRecord)
    assert [each.audio_bytes for each in sent] == [None, 0, 0, None]
    assert sent[0].data == deep


def test_status_of_the_connection_is_recorded(path, bus):
    """
    It is no frame's doing.
    """
    recorder = record(path, bus)
    bus.publish(RAW)
    bus.publish(RealtimeModelConnectionStatusEvent("disconnected"))
    stop(recorder)

    (status,) = read(path, StatusRecord)
    assert (status.status, status.cause) == ("disconnected", 0)


def test_crash_is_recorded_with_the_event_that_it_becomes(path, bus):
    """
    A failure names its class and traceback; the Exception event names the call.
    """
    bus.subscribe(raiser(ValueError("boom")), Ping)
    bus.subscribe(lambda event: None, RealtimeModelExceptionEvent)
    recorder = record(path, bus)
    bus.publish(Ping())
    stop(recorder)

    crash, report = read(path, CallRecord)
    (event,) = read(path, RealtimeModelExceptionEvent)
    assert (crash.state, crash.error.type_name, crash.error.message) == (
        "crashed", "ValueError", "boom",
    )  # fmt: skip
    assert "raise error" in crash.error.traceback_text
    assert event.cause == crash.seq
    assert report.cause == event.seq


def test_crashes_of_a_method_of_two_objects_are_told_apart(path, bus):
    """
    Each report of a failure names its own call, though both handlers have one name.
    """

    class Agent:
        def hear(self, event):
            raise ValueError(str(id(self)))

    agents = Agent(), Agent()
    bus.subscribe(agents[0].hear, Ping)
    bus.subscribe(agents[1].hear, Ping, weak=True)
    recorder = record(path, bus)
    bus.publish(Ping())
    stop(recorder)

    assert shown(path) == [
        "1 Ping <- 0",
        "2 hear crashed #2 <- 1",
        "3 hear crashed #3 <- 1",
        "4 exception <- 2",
        "5 exception <- 3",
    ]


def test_repeat_names_its_event_whatever_handlers_did_in_between(path, bus):
    """
    A session's repeat names neither an event of a handler nor the report of its crash.
    """

    def answer(event):
        bus.publish(DELTA, sender="s")
        raise ValueError("boom")

    bus.subscribe(answer, RealtimeModelAudioDoneEvent)
    recorder = record(path, bus)
    done = RealtimeModelAudioDoneEvent("i-1", 0)
    bus.publish(done, sender="s")
    bus.publish(RealtimeRawModelEvent.repeating(done), sender="s")
    bus.publish(RealtimeAudioEnd.repeating(done), sender="s")
    stop(recorder)

    (first, *_) = read(path, EventRecord)
    assert [(r.type_name, r.cause) for r in read(path, EventRecord) if r.is_repeat] == [
        ("session.raw_model_event", first.seq),
        ("session.audio_end", first.seq),
    ]


def test_repeat_in_a_handlers_call_names_the_event_that_came_in_that_call(path, bus):
    """
    A model may emit while a handler sends something: that event is repeated, and no earlier one.
    """

    def interrupt(event):
        cut = RealtimeModelAudioInterruptedEvent("i-1", 0)
        bus.publish(cut, sender="s")
        bus.publish(RealtimeAudioInterrupted.repeating(cut), sender="s")

    bus.subscribe(interrupt, Ping)
    recorder = record(path, bus)
    bus.publish(RealtimeModelAudioInterruptedEvent("i-0", 0), sender="s")
    bus.publish(Ping())
    stop(recorder)

    assert shown(path)[-2:] == ["4 audio_interrupted <- 3", "5 session.audio_interrupted <- 4"]


def test_what_says_something_else_than_the_latest_event_is_no_repeat(path, bus):
    """
    A session's event about another item than the model's latest is recorded whole.
    """
    recorder = record(path, bus)
    other = RealtimeAudioEnd.repeating(RealtimeModelAudioDoneEvent("i-0", 0))
    bus.publish(RealtimeModelAudioDoneEvent("i-1", 0))
    bus.publish(other)
    stop(recorder)

    (_, end) = read(path, EventRecord)
    assert not end.is_repeat
    assert end.event == other


@pytest.mark.parametrize("run", ["tasks", "threads"])
def test_event_of_a_later_task_isnt_taken_for_what_a_frame_means(path, bus, run):
    """
    A task or a thread may get the place in memory, and so the id, of one that is over.
    """

    def publish(event):
        async def main():
            bus.publish(event)

        if run == "tasks":
            asyncio.run(main())
            return
        thread = threading.Thread(target=bus.publish, args=(event,))
        thread.start()
        thread.join()

    recorder = record(path, bus)
    for _ in range(20):
        publish(RAW)
        publish(DELTA)
    stop(recorder)

    assert {each.cause for each in read(path, EventRecord)} == {0}


def test_secret_in_the_arguments_of_a_tool_isnt_written(path, bus):
    """
    An event of which nothing else is left out is looked into for secrets all the same.
    """
    recorder = record(path, bus)
    bus.publish(RealtimeModelToolCallEvent("login", "c-1", '{"api_key": "0123456789"}'))
    stop(recorder)

    assert b"0123456789" not in path.read_bytes()
    (call,) = read(path, EventRecord)
    assert call.event.arguments == '{"api_key":""}'


def test_event_is_seen_before_middleware(path):
    """
    An event that a middleware drops or changes is recorded as it was published.
    """
    bus = EventBus(middleware=[lambda event, call_next: None])
    recorder = record(path, bus)
    bus.publish(DELTA)
    stop(recorder)

    (found,) = read(path, EventRecord)
    assert found.event == DELTA


def test_replacement_by_middleware_is_stored_and_called(path):
    """
    The event that a middleware passes on instead is stored behind the published one, and the calls
    name it; an event that is passed on as it came isn't stored again.
    """

    def shout(event, call_next):
        if isinstance(event, RealtimeModelTranscriptDeltaEvent):
            event = attrs.evolve(event, delta=event.delta.upper())
        call_next(event)

    bus, decoder = EventBus(middleware=[shout]), OpenAIRealtimeDecoder()
    bus.subscribe(lambda event: None, RealtimeModelTranscriptDeltaEvent)
    recorder = record(path, bus)
    decoder.publish_to(bus, TRANSCRIPT)
    bus.publish(Ping())
    stop(recorder)

    assert shown(path) == [
        "1 frame <- 0",
        "2 transcript_delta <- 1",
        "3 transcript_delta <- 2",
        "4 <lambda> finished #4 <- 3",
        "5 Ping <- 0",
    ]
    published, replacement = read(path, RealtimeModelTranscriptDeltaEvent)
    assert (published.is_derived, replacement.is_derived) == (True, False)
    assert (published.event.delta, replacement.event.delta) == ("hello", "HELLO")


TRANSCRIPT = (
    b'{"type":"response.output_audio_transcript.delta","event_id":"e","response_id":"r-1",'
    b'"item_id":"i-1","output_index":0,"content_index":0,"delta":"hello"}'
)


def test_events_of_a_decoder_are_derived_and_others_are_stored(path, bus):
    """
    Only the very event that the decoder made is derived from its frame, and only once.
    """
    decoder = OpenAIRealtimeDecoder()
    recorder = record(path, bus)
    raw, delta = decoder.decode(TRANSCRIPT)
    for event in (raw, delta, delta, attrs.evolve(delta)):
        bus.publish(event)
    stop(recorder)

    records = read(path, EventRecord)
    assert [record.is_derived for record in records] == [True, False, False]
    assert [record.event for record in records] == [delta] * 3
    assert [record.document for record in records] == [records[0].document] * 3
    assert path.read_bytes().count(b"hello") == 3


def test_events_can_be_stored_for_fixtures(path, bus):
    """
    With ``events="stored"`` nothing depends on a decoder, and the header says so.
    """
    decoder = OpenAIRealtimeDecoder()
    recorder = record(path, bus, events="stored")
    decoder.publish_to(bus, TRANSCRIPT)
    stop(recorder)

    (stored,) = read(path, EventRecord)
    assert not stored.is_derived
    assert (stored.cause, stored.event.delta) == (1, "hello")
    assert open_journal(path).header.events == "stored"
    with pytest.raises(ValueError, match="'never'"):
        Recorder(path, events="never")


def test_recorder_that_came_later_stores_the_events(path, bus):
    """
    A decoder that has had frames that aren't in the journal can't be set to work again.
    """
    decoder = OpenAIRealtimeDecoder()
    decoder.publish_to(bus, TRANSCRIPT)
    recorder = record(path, bus)
    decoder.publish_to(bus, TRANSCRIPT, sender="a")
    new = OpenAIRealtimeDecoder()
    new.publish_to(bus, TRANSCRIPT, sender="a")
    stop(recorder)

    records = read(path, EventRecord)
    assert [record.is_derived for record in records] == [False, True]
    assert [record.cause for record in records] == [1, 3]


def test_events_are_stored_after_a_frame_was_lost(path, bus):
    """
    A frame that didn't fit into the buffer is missing, so later events can't be derived.
    """
    decoder = OpenAIRealtimeDecoder()
    recorder = Recorder(path, fsync="none", buffer_bytes=4000)
    recording = recorder.attach(bus)
    decoder.publish_to(bus, TRANSCRIPT)
    recorder.sync()
    bus.publish({"type": "x", "data": "x" * 5000})
    decoder.publish_to(bus, TRANSCRIPT)
    recording.detach()
    recorder.close()

    records = read(path, EventRecord)
    assert [record.is_derived for record in records if record.type_name == "transcript_delta"] == [
        True,
        False,
    ]
    (gap,) = read(path, GapRecord)
    assert (gap.first_seq, gap.last_seq) == (3, 3)


def test_frame_is_recorded_where_its_event_does_not_fit(path, bus):
    """
    A frame that the buffer has room for is in the journal; its event, which is lost, is a gap.
    """
    decoder = OpenAIRealtimeDecoder()
    long = TRANSCRIPT.replace(b'"delta"', b'"x": "' + bytes(100).hex().encode() + b'", "delta"')
    recorder = Recorder(path, fsync="none", buffer_bytes=len(long) + 100)
    recording = recorder.attach(bus)
    for frame in (TRANSCRIPT, long):
        decoder.publish_to(bus, frame)
        recorder.sync()
    recording.detach()
    recorder.close()

    assert [record.data for record in read(path, FrameRecord)] == [TRANSCRIPT, long]
    assert [record.cause for record in read(path, EventRecord)] == [1]
    (gap,) = read(path, GapRecord)
    assert (gap.first_seq, gap.last_seq) == (4, 5)  # and the report that records are lost


def test_scope_is_recorded_without_the_others(path, bus):
    """
    Of a scope, only the events, calls and drops of its sender are recorded.
    """
    bus.subscribe(lambda event: None, Ping)
    with Recorder(path, fsync="none") as recorder, bus.scope("a") as scope:
        with recorder.attach(scope):
            bus.publish(Ping())
            bus.publish(Ping(), sender="b")
            scope.publish(Ping())
        scope.publish(Ping())

    records = [record for record in open_journal(path) if record.seq][:-1]
    assert [record.sender for record in records] == ["a", "a"]
    assert [type(record) for record in records] == [EventRecord, CallRecord]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"path": 5}, "path of a journal.*not 5"),
        ({"path": b"call.journal"}, "path of a journal.*not b'call"),
        ({"redact": 5}, "redact= is a list.*not 5"),
        ({"redact": ["a", 5]}, "redact= takes names.*not 5"),
        ({"redact": "a"}, "redact= takes several"),
    ],
)
def test_argument_of_another_type_is_named(tmp_path, options, told):
    """
    Before there is a file.
    """
    with pytest.raises(TypeError, match=told):
        Recorder(**{"path": tmp_path / "call.journal", **options})

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("without", [5, print, None], ids=str)
def test_handlers_to_leave_out_are_a_list(path, bus, without):
    """
    One that isn't would fail in the middle of a call, with each handler's.
    """
    with Recorder(path, fsync="none") as recorder:
        with pytest.raises(TypeError, match=r"without= is a list of handlers, like \[show\]"):
            recorder.attach(bus, without=without)
        recorder.attach(bus)


@pytest.mark.parametrize(
    ("first", "second"),
    [(None, None), (None, "a"), ("a", None), ("a", "a"), (7, 7)],
    ids=str,
)
def test_nothing_can_be_recorded_twice_by_one_recorder(path, bus, first, second):
    """
    Attaching to what is recorded already is refused, and changes nothing; after `detach` it works.
    """

    def part(sender):
        return bus if sender is None else bus.scope(sender)

    with Recorder(path, fsync="none") as recorder:
        recording = recorder.attach(part(first))
        with pytest.raises(EventBusError, match=r"already.* detach\(\)"):
            recorder.attach(part(second))
        bus.publish(Ping(), sender=first)
        recording.detach()
        with recorder.attach(part(second)):
            bus.publish(Ping(), sender=second)

    assert len(read(path, EventRecord)) == 2


def test_several_scopes_of_a_bus_are_recorded_by_one_recorder(path, bus):
    """
    Each sender's events are recorded once, a number's apart from those of the same text.
    """
    with Recorder(path, fsync="none") as recorder:
        for sender in ("a", "b", 7, "7"):
            recorder.attach(bus.scope(sender))
        for sender in ("a", "b", 7, "7", "c"):
            bus.publish(Ping(), sender=sender)

    assert [record.sender for record in read(path, EventRecord)] == ["a", "b", 7, "7"]


def test_messages_of_a_model_are_recorded_once(path):
    """
    Listening to a model a second time is refused until the first recording is detached.
    """
    model = ScriptedModel()
    with Recorder(path, fsync="none") as recorder:
        recording = recorder.listen(model)
        with pytest.raises(EventBusError, match="already"):
            recorder.listen(model, "call-1")
        model.tell_sent({"type": "response.create"})
        recording.detach()
        with recorder.listen(model):
            model.tell_sent({"type": "response.create"})

    assert len(read(path, SentRecord)) == 2


@pytest.mark.parametrize("given", [None, 5, "call-1", EventBus], ids=str)
def test_recorder_takes_a_bus_a_scope_or_a_model_and_nothing_else(path, given):
    """
    The error names the argument and its value, and the recorder can be used as before.
    """
    with Recorder(path, fsync="none") as recorder:
        with pytest.raises(
            TypeError, match=r"EventBus or a Scope; bus= is .*(None|5|call-1|class)"
        ):
            recorder.attach(given)
        with pytest.raises(TypeError, match=r"model with add_listener.*(None|5|call-1|class)"):
            recorder.listen(given)
        bus = EventBus()
        recorder.attach(bus)
        bus.publish(Ping())

    assert len(read(path, EventRecord)) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_virtual_times_are_the_loops(path, backend):
    """
    A handler that sleeps ten virtual seconds took ten seconds, and the header says that they were.
    """
    bus, decoder, clock = EventBus(), OpenAIRealtimeDecoder(), FakeClock(autojump=True)

    @bus.on(RealtimeModelTranscriptDeltaEvent)
    async def slow(event):
        await anyio.sleep(10)

    async def main():
        with clock if backend == "asyncio" else contextlib.nullcontext():
            async with Recorder(path, fsync="none") as recorder:
                with recorder.attach(bus):
                    async with bus:
                        for _ in range(2):
                            decoder.publish_to(bus, TRANSCRIPT)

    if backend == "trio":
        trio.run(main, clock=clock)
    else:
        anyio.run(main)

    journal = open_journal(path)
    assert journal.header.clock == "virtual"
    calls = [call for call in journal.read(CallRecord) if call.state == "finished"]
    assert [round(call.run_ns / SECOND, 3) for call in calls] == [10, 10]
    assert [round(call.queued_ns / SECOND, 3) for call in calls] == [0, 10]
    assert round(journal.duration_ns / SECOND, 3) == 20


def test_real_times_are_the_systems(path):
    """
    Without a loop the clock is the system's.
    """
    Recorder(path).close()

    assert open_journal(path).header.clock == "monotonic"


def test_recorder_handles_nothing(path, bus):
    """
    An event that nobody takes is still unhandled, and goes to the fallback.
    """
    others = []
    bus.subscribe(others.append, RealtimeModelOtherEvent)
    recorder = record(path, bus)
    bus.publish(Ping())
    stop(recorder)

    assert others == [RealtimeModelOtherEvent(Ping())]
    assert [call.cause for call in read(path, CallRecord)] == [1]


def test_payload_that_changes_later_is_recorded_as_it_was(path, bus):
    """
    A handler that changes a mutable payload doesn't change the journal.
    """
    bus.subscribe(lambda event: event.data.clear(), RealtimeModelRawServerEvent)
    recorder = record(path, bus)
    bus.publish({"type": "y"})
    stop(recorder)

    assert [frame.data for frame in read(path, FrameRecord)] == [b'{"type": "y"}']


def test_withholding_is_done_before_writing(path, bus):
    """
    With audio off and a field redacted, neither is in the file at all.
    """
    recorder = record(path, bus, audio=False, redact=["delta"])
    recorder.sent({"type": "input_audio_buffer.append", "audio": "QUJD" * 8})
    for line in (
        b'{"type":"response.output_audio.delta","delta":"QUJDQUJDQUJD"}',
        b'{"type":"response.output_audio_transcript.delta","delta":"my words"}',
    ):
        bus.publish(RealtimeModelRawServerEvent(Frame(line)))
    bus.publish(RealtimeModelAudioEvent(b"ABCABCABC", "r-1", "i-1", 0))
    bus.publish(DELTA)
    stop(recorder)

    data = path.read_bytes()
    assert not any(part in data for part in (b"QUJD", b"ABC", b"words", b"hello"))
    header = open_journal(path).header
    assert (header.has_audio, header.has_content, header.redacted) == (False, True, ("delta",))
    assert [record.audio_bytes for record in read(path, RealtimeModelAudioEvent)] == [9]
    assert [record.audio_bytes for record in read(path, SentRecord)] == [24]


# --- async handlers --------------------------------------------------------------------------


async def test_call_that_runs_on_is_recorded_twice(tmp_path):
    """
    A call that is still running when others are recorded has a record then, and another at its end.
    """
    path, bus, gate = tmp_path / "call.journal", EventBus(), anyio.Event()

    async def slow(event):
        await gate.wait()

    async def quick(event):
        pass

    bus.subscribe(slow, Ping)
    bus.subscribe(quick, Pong)
    async with Recorder(path, fsync="none") as recorder:
        with recorder.attach(bus):
            async with bus:
                bus.publish(Ping(), sender="a")
                bus.publish(Pong(), sender="a")
                await anyio.wait_all_tasks_blocked()
                assert await recorder.flush() == recorder.durable_seq
                before = shown(path)
                gate.set()

    assert before[:2] == ["1 Ping <- 0", "2 Pong <- 0"]
    assert sorted(line.split()[1:3] for line in before[2:]) == [
        ["quick", "finished"],
        ["slow", "started"],
    ]
    (start, end) = (r for r in read(path, CallRecord) if "slow" in r.handler)
    assert (start.state, start.cause, end.state, end.call) == ("started", 1, "finished", start.seq)


async def test_queued_events_know_what_they_were(tmp_path):
    """
    Each call of a mailbox names the event that it was made with, and how long that had waited.
    """
    path, bus = tmp_path / "call.journal", EventBus()

    async def handle(event):
        await anyio.lowlevel.checkpoint()

    bus.subscribe(handle, Ping)
    with Recorder(path, fsync="none") as recorder, recorder.attach(bus):
        async with bus:
            for number in range(5):
                bus.publish(Ping(str(number)), sender="a")

    calls = [call for call in read(path, CallRecord) if call.state == "finished"]
    assert [call.cause for call in calls] == [1, 2, 3, 4, 5]
    assert all(call.queued_ns > 0 and call.run_ns > 0 for call in calls)
    assert all(call.started_ns <= call.mono_ns for call in calls)


async def test_time_of_a_handler_that_crashes_is_not_that_of_a_mailbox(tmp_path):
    """
    An event waits in a mailbox from when it was put in, however long handlers before it took.
    """
    path, bus, now = tmp_path / "call.journal", EventBus(), [0]
    event = RealtimeModelTurnStartedEvent()

    def run_long(_):
        now[0] += 10 * SECOND
        raise ValueError

    async def handle(_):
        await anyio.lowlevel.checkpoint()

    bus.subscribe(run_long, RealtimeModelTurnStartedEvent)
    bus.subscribe(handle, RealtimeModelTurnStartedEvent)
    bus.subscribe(repr, RealtimeModelExceptionEvent)
    with Recorder(path, fsync="none", clock_ns=lambda: now[0]) as recorder, recorder.attach(bus):
        async with bus:
            bus.publish(event, sender="a")

    calls = {call.handler.rpartition(".")[2]: call for call in read(path, CallRecord)}
    assert calls["run_long"].run_ns == 10 * SECOND
    assert calls["handle"].queued_ns == 0


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.markcoroutinefunction is new there")
async def test_handler_that_is_marked_as_async_may_return_any_awaitable(tmp_path):
    """
    A recorded call awaits whatever the handler returns, as the bus does by itself.
    """
    path, bus, seen = tmp_path / "call.journal", EventBus(), []

    class Step:
        def __await__(self):
            seen.append(self)
            return iter(())

    @types.coroutine
    def generate(event):
        yield from anyio.lowlevel.checkpoint().__await__()
        seen.append(event)

    def step(_):
        return Step()

    def steps(event):
        return generate(event)

    for handler in (step, steps):
        bus.subscribe(vars(inspect)["markcoroutinefunction"](handler), Ping)
    with Recorder(path, fsync="none") as recorder, recorder.attach(bus):
        async with bus:
            bus.publish(Ping("1"))

    assert len(seen) == 2
    ended = [call for call in read(path, CallRecord) if call.state != "started"]
    assert [call.state for call in ended] == ["finished", "finished"]


async def test_tasks_of_a_handler_belong_to_its_call(tmp_path):
    """
    An event of a handler's task names the call, also after that has ended.
    """
    path, bus = tmp_path / "call.journal", EventBus()

    async def handle(event):
        async def later():
            await anyio.wait_all_tasks_blocked()
            bus.publish(Pong())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later)

    bus.subscribe(handle, Ping)
    with Recorder(path, fsync="none") as recorder, recorder.attach(bus):
        async with bus:
            bus.publish(Ping())

    start = next(call for call in read(path, CallRecord) if call.state == "started")
    pong = read(path, EventRecord)[1]
    assert pong.cause == start.seq


async def test_drops_are_recorded(tmp_path):
    """
    Events that find no room, or are purged, are named, with the handler that misses them.
    """
    path, bus = tmp_path / "call.journal", EventBus()

    async def handle(event):
        pass

    bus.subscribe(
        handle,
        RealtimeModelTurnStartedEvent,
        mailbox=Mailbox(
            2, overflow=Overflow.DROP_OLDEST, purged_by=(RealtimeModelAudioInterruptedEvent,)
        ),
    )
    bus.subscribe(lambda event: None, RealtimeModelExceptionEvent)
    with Recorder(path, fsync="none") as recorder, recorder.attach(bus):
        async with bus:
            for number in range(3):
                bus.publish(RealtimeModelTurnStartedEvent(str(number)), sender="a")
            bus.publish(RealtimeModelAudioInterruptedEvent("i-1", 0), sender="a")

    full, purged = read(path, DropRecord)
    assert (full.reason, full.count, full.events, full.cause) == ("full", 1, (1,), 1)
    assert (purged.reason, purged.count, purged.events) == ("purged", 2, (2, 3))
    assert full.handler.endswith("handle")
    (report,) = read(path, RealtimeModelExceptionEvent)
    assert report.cause == full.seq


def test_recording_works_from_any_thread(path, bus):
    """
    An event of a thread is in the file a moment later.
    """
    recorder = record(path, bus)
    thread = threading.Thread(target=lambda: bus.publish(Ping()))
    thread.start()
    thread.join()
    recorder.sync()

    assert shown(path) == ["1 Ping <- 0"]
    stop(recorder)


def test_loop_that_ended_early_leaves_nothing_unwritten(path, bus):
    """
    A record of an event loop that has ended is written all the same.
    """
    recorder = record(path, bus)

    async def publish():
        bus.publish(Ping())

    loop = asyncio.new_event_loop()
    task = loop.create_task(publish())
    task.add_done_callback(lambda _: loop.stop())
    loop.run_forever()
    loop.close()
    bus.publish(Pong())
    recorder.sync()

    assert shown(path) == ["1 Ping <- 0", "2 Pong <- 0"]
    stop(recorder)


# --- several journals, several buses ---------------------------------------------------------


class Session:
    """
    A sender that is no string.
    """


def test_each_session_can_have_a_journal(tmp_path):
    """
    With ``{sender}`` in the name there is a file for each, and one for events without a sender.
    """
    bus, session = EventBus(), Session()
    bus.subscribe(lambda event: None, Ping)
    recorder = record(tmp_path / "{sender}.journal", bus)
    for sender in ("call/42", "call/42", 7, session, None):
        bus.publish(Ping(), sender=sender)
    recorder.sent({"type": "x"}, sender="call/42")
    assert recorder.sync() == recorder.last_seq == 2 * 5 + 1
    recorder.end("call/42")
    recorder.end("nobody")
    bus.publish(Ping(), sender="call/42")
    stop(recorder)

    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "7.journal", "Session_1.journal", "call_42-2.journal", "call_42.journal", "none.journal",
    ]  # fmt: skip
    assert len(read(tmp_path / "call_42.journal", EventRecord)) == 2
    assert [r.sender for r in read(tmp_path / "call_42.journal", SentRecord)] == ["call/42"]
    assert [r.sender for r in read(tmp_path / "Session_1.journal", EventRecord)] == ["Session#1"]


def test_session_gets_no_name_that_a_journal_has(tmp_path, bus):
    """
    One whose first segment is gone has its name, too; a journal may have no suffix, or several.
    """
    for name in ("a.00002.journal", "b.txt.00010", "c.journal", "c-2.00003.journal"):
        (tmp_path / name).touch()
    recorder = record(tmp_path / "{sender}.journal", bus)
    for sender in ("a", "b", "c", "a.00002"):
        bus.publish(Ping(), sender=sender)
    stop(recorder)

    begun = {path.name for path in tmp_path.iterdir() if path.stat().st_size}
    assert begun == {"a-2.journal", "b.journal", "c-3.journal", "a.00002-2.journal"}


def test_session_gets_no_name_whose_first_segment_was_deleted_meanwhile(tmp_path, bus):
    """
    A journal of the same recorder, of which only the second segment is left.
    """
    recorder = record(tmp_path / "{sender}.journal", bus, segment_bytes=1)
    for _ in range(3):
        bus.publish(Ping(), sender="a")
        recorder.sync()
    recorder.end("a")
    (tmp_path / "a.journal").unlink()
    bus.publish(Ping(), sender="a")
    stop(recorder)

    assert (tmp_path / "a.00002.journal").exists()
    assert len(read(tmp_path / "a-2.journal", EventRecord)) == 1


def test_folder_is_listed_once_for_all_sessions(tmp_path, bus, monkeypatch):
    """
    It may hold the journals of a year.
    """
    listed = []
    list_folder = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: listed.append(folder) or list_folder(folder))
    recorder = record(tmp_path / "{sender}.journal", bus)
    for number in range(20):
        bus.publish(Ping(), sender=number)
    recorder.sync()
    recorder.end(0)
    bus.publish(Ping(), sender=0)
    stop(recorder)

    assert listed == [tmp_path]
    assert len(list_folder(tmp_path)) == 21
    assert (tmp_path / "0-2.journal").exists()


def test_one_recorder_serves_several_buses(path):
    """
    Events of two buses are in one journal, each call with its own event.
    """
    one, two = EventBus(), EventBus()
    for bus in (one, two):
        bus.subscribe(lambda event: None, Ping)
    with Recorder(path, fsync="none") as recorder, recorder.attach(one), recorder.attach(two):
        one.publish(Ping())
        two.publish(Ping())

    assert [call.cause for call in read(path, CallRecord)] == [1, 3]


def test_nothing_is_recorded_of_a_bus_that_was_left(path, bus):
    """
    After the block the bus is as it was.
    """
    with Recorder(path, fsync="none") as recorder:
        with recorder.attach(bus):
            bus.publish(Ping())
        bus.publish(Ping())
        assert recorder.last_seq == 1
    assert repr(recorder) == f"<Recorder {str(path)!r}>"
    with pytest.raises(JournalWriteError, match="closed"):
        recorder.attach(bus)


def test_bus_is_recorded_until_it_is_detached_or_the_recorder_is_closed(tmp_path):
    """
    Attaching records from there on, without a block, too, and closing leaves no bus behind.
    """
    one, two = EventBus(), EventBus()
    recorder = Recorder(tmp_path / "call.journal", fsync="none")
    recording = recorder.attach(one)
    recorder.attach(two)

    one.publish(Ping())
    recording.detach()
    recording.detach()
    one.publish(Ping())
    two.publish(Ping())
    recorder.close()
    two.publish(Ping())

    assert len(read(tmp_path / "call.journal", EventRecord)) == 2
    for bus in (one, two):
        assert bus._dispatcher._compiler.observers == ()  # there is no other sign of it


def test_path_that_cant_be_written_is_an_error_at_once(tmp_path):
    """
    Making the recorder fails, before the call has begun.
    """
    with pytest.raises(JournalWriteError):
        Recorder(tmp_path / "no folder" / "call.journal")


# --- trouble ---------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = SECOND

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(writer_module, "_now_ns", clock)  # by which it is tried again
    return clock


def test_full_disk_is_one_event_and_the_call_goes_on(path, bus, clock, monkeypatch):
    """
    However long the disk is full, there is one Exception event; the gap is in the file.
    """
    failures, seen = [], []
    bus.subscribe(failures.append, RealtimeModelExceptionEvent)
    bus.subscribe(seen.append, Ping)
    recorder = record(path, bus, clock_ns=clock)
    bus.publish(Ping())
    recorder.sync()
    with monkeypatch.context() as patch:

        def write(fd, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(os, "write", write)
        for _ in range(5):
            bus.publish(Ping())
            recorder.sync()
    clock.now += SECOND
    recorder.sync()
    bus.publish(Ping())
    stop(recorder)

    assert len(seen) == 7
    assert [type(failure.exception) for failure in failures] == [JournalWriteError]
    assert failures[0].context == f"recording to {path}"
    (gap,) = read(path, GapRecord)
    assert gap.first_seq == 3
    assert gap.reason == "No space left on device"
    assert [r.seq for r in read(path, EventRecord)] == [1, gap.seq + 1]


def test_bus_that_cant_be_told_is_logged(path, clock, monkeypatch, caplog):
    """
    A failure that no bus takes is in the log, and raises nothing.
    """
    recorder = Recorder(path, fsync="none", clock_ns=clock)
    bus = EventBus()

    async def never(event):
        pass

    bus.subscribe(never, RealtimeModelExceptionEvent)
    with recorder.attach(bus), monkeypatch.context() as patch:

        def write(fd, data):
            raise OSError(errno.EIO, "broken")

        patch.setattr(os, "write", write)
        bus.publish(Ping())
        recorder.sync()
    recorder.close()

    assert "no bus can be told" in caplog.text


def test_file_of_a_session_that_cant_be_made_doesnt_stop_the_call(tmp_path, bus, clock):
    """
    A session's own journal that can't be begun is an Exception event, too.
    """
    folder = tmp_path / "calls"
    folder.mkdir()
    failures = []
    bus.subscribe(failures.append, RealtimeModelExceptionEvent)
    recorder = record(folder / "{sender}.journal", bus, clock_ns=clock)
    folder.rmdir()
    bus.publish(Ping(), sender="a")
    recorder.sync()
    folder.mkdir()
    clock.now += SECOND
    recorder.sync()
    stop(recorder)

    assert "a" in failures[0].context
    assert isinstance(failures[0].exception, JournalWriteError)
    (gap,) = read(folder / "a.journal", GapRecord)
    assert gap.first_seq == 1


def test_sender_and_handler_of_any_kind_are_recorded(path, bus):
    """
    Nothing about a call keeps it from being recorded.
    """

    class Handler:
        __hash__ = None

        def __call__(self, event):
            pass

    bus.subscribe(Handler(), Ping)
    recorder = record(path, bus)
    bus.publish(Ping(), sender="half \ud800")
    stop(recorder)

    (call,) = read(path, CallRecord)
    assert call.handler.endswith("Handler")
    assert call.sender == "half \\ud800"


def test_long_name_of_a_session_is_cut_in_its_files(tmp_path, bus):
    """
    Two sessions with names that differ at the end only get two journals.
    """
    recorder = record(tmp_path / "{sender}.journal", bus)
    for sender in ("é" * 300, "é" * 300 + "!"):
        bus.publish(Ping(), sender=sender)
    stop(recorder)

    found = [read(each, EventRecord) for each in sorted(tmp_path.iterdir())]
    assert sorted(len(r.sender) for (r,) in found) == [300, 301]


def test_no_more_open_files_is_an_event_for_each_session(tmp_path, bus, monkeypatch):
    """
    If neither a folder can be read nor a file be opened, a call goes on and is told of it, once;
    and the journal that would record that failure fails as well.
    """
    failures = []
    bus.subscribe(failures.append, RealtimeModelExceptionEvent)
    recorder = record(tmp_path / "{sender}.journal", bus)

    def fail(*args):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", fail)
        for _ in range(2):
            bus.publish(Ping(), sender="a")
            recorder.sync()
            recorder.sync()
    stop(recorder)

    assert [f.exception.__cause__.errno for f in failures] == [errno.EMFILE] * 2


# --- several recorders -----------------------------------------------------------------------


def test_recorders_of_one_bus_dont_know_of_each_other(tmp_path, bus):
    """
    Each has the calls once, and names its own records as the causes.
    """
    answers = []
    bus.subscribe(answers.append, Pong)

    def answer(event):
        bus.publish(Pong())

    bus.subscribe(answer, Ping)
    paths = [tmp_path / "1.journal", tmp_path / "2.journal"]
    first, second = (record(path, bus) for path in paths)
    bus.publish(Ping())
    stop(first)
    stop(second)

    for path in paths:
        ping, pong = read(path, EventRecord)
        calls = read(path, CallRecord)
        assert (ping.cause, pong.cause) == (0, calls[0].seq)
        assert [call.cause for call in calls] == [ping.seq, pong.seq]


async def test_timeout_holds_for_an_event_that_was_queued_while_it_was_recorded(path):
    """
    Nothing is recorded any more when the handler gets it, and its time is up all the same.
    """
    bus = EventBus()

    async def wait(event):
        await anyio.sleep_forever()

    bus.subscribe(wait, Ping, timeout=0.001)
    with anyio.fail_after(30), Recorder(path, fsync="none") as recorder:
        async with bus:
            with recorder.attach(bus):
                bus.publish(Ping())
            bus.publish(Ping())
    assert bus.stats.timed_out == 2


async def test_failure_of_a_call_that_took_too_long_names_the_call(tmp_path):
    """
    The exception that is published isn't the one that the call has ended with.
    """
    path, bus = tmp_path / "call.journal", EventBus()
    failed = anyio.Event()

    async def wait(event):
        await anyio.sleep(10)

    def fail(event):
        failed.set()

    bus.subscribe(wait, Ping, timeout=0.001)
    bus.subscribe(fail, RealtimeModelExceptionEvent)
    with Recorder(path, fsync="none") as recorder, recorder.attach(bus):
        async with bus:
            bus.publish(Ping())
            await failed.wait()

    (failure,) = (r for r in read(path, EventRecord) if r.type_name == "exception")
    (call,) = (r for r in read(path, CallRecord) if r.state == "crashed")
    assert failure.cause == call.call


@pytest.mark.parametrize("name", ["call.journal", "{sender}.journal"])
@pytest.mark.parametrize(
    "setting",
    [
        {"events": "some"},
        {"fsync": "often"},
        {"segment_bytes": -1},
        {"segment_seconds": 0},
        {"segment_seconds": float("nan")},
        {"segment_seconds": float("inf")},
        {"segment_seconds": 1e300},
        {"segment_seconds": True},
        {"segment_seconds": "1"},
        {"segment_bytes": float("nan")},
        {"segment_bytes": 1.5},
        {"segment_bytes": True},
        {"buffer_bytes": 0},
        {"buffer_bytes": float("inf")},
        {"buffer_bytes": "1"},
    ],
    ids=str,
)
def test_setting_that_records_nothing_is_refused_at_once(tmp_path, name, setting):
    """
    Also where the files are made later: with the first event of a sender it would be too late.
    """
    with pytest.raises(ValueError, match=rf"^{next(iter(setting))}= is "):
        Recorder(tmp_path / name, **setting)

    assert list(tmp_path.iterdir()) == []

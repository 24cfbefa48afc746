"""
`eventbus.replay._player`: recordings, played again.
"""

from __future__ import annotations

import json
import math
from datetime import timedelta
from functools import partial

import anyio
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus import EventBus, Mailbox, MailboxFull, Overflow
from eventbus.analysis import parse_filter
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from eventbus.exceptions import (
    BusClosed,
    EventBusError,
    JournalEmpty,
    JournalError,
    ReplayDifference,
)
from eventbus.journal import EventRecord, FrameRecord, Recorder, StatusRecord
from eventbus.journal._format import MAGIC
from eventbus.replay import Player, ReplayReport, is_journal, replay
from eventbus.testing import FakeClock, capture
from eventbus.wire.openai import OpenAIRealtimeDecoder
from tests.journal.stories import Story, spoken_turn

RESPONSE = {"type": "response.created", "response": {"id": "resp_1"}}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(autojump=True)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request, clock):
    """
    Both event loops; trio is started with the clock, asyncio gets it when a test enters it.
    """
    return "asyncio" if request.param == "asyncio" else ("trio", {"clock": clock})


def story_of(*times):
    """
    Return a call in which a response begins at each of those milliseconds.
    """
    story = Story()
    for number, ms in enumerate(times, 1):
        story.at(ms).frame("response.created", response={"id": f"resp_{number}"})
    return story


def begins(bus, clock):
    """
    Return a list that fills with the responses that begin, and the seconds when they do.
    """
    seen = []
    bus.subscribe(lambda e: seen.append((clock.now, e.response_id)), RealtimeModelTurnStartedEvent)
    return seen


# --- what is published -----------------------------------------------------------------------


async def test_handlers_get_the_recorded_events_in_their_order(bus):
    """
    Raw events and typed ones are published as they were, with their sender.
    """
    seen = []
    bus.subscribe(lambda event, context: seen.append((type(event), context.sender)), object)

    report = await replay(story_of(0, 100).records, bus, speed=math.inf)

    assert (
        seen
        == [
            (RealtimeModelRawServerEvent, "call-1"),
            (RealtimeModelTurnStartedEvent, "call-1"),
        ]
        * 2
    )
    assert (report.published, report.unreadable, report.overtaken, report.last) == (4, 0, 0, 4)


async def test_what_happens_again_by_itself_is_left_out(bus):
    """
    Events of handlers, and the bus's reports of their failures, are not published.
    """
    story = Story()
    event = story.frame("response.created", response={"id": "resp_1"})
    call = story.call("app.begin", event, error="no")
    failure = RealtimeModelExceptionEvent(ValueError("no"), handler=begins)
    story.event(failure, cause=call)
    story.event(RealtimeModelOtherEvent("by a handler"), cause=call)
    story.event(failure, cause=event)
    story.event(RealtimeModelTurnEndedEvent("from outside"))
    wanted = capture(bus, RealtimeModelTurnEndedEvent, RealtimeModelOtherEvent)
    with wanted as captured, capture(bus, RealtimeModelExceptionEvent) as failures:
        await replay(story.records, bus, speed=math.inf)

    assert captured.events == [RealtimeModelTurnEndedEvent("from outside")]
    assert failures.events == []


async def test_status_of_the_connection_is_published(bus):
    """
    A change of the connection's status is an event again.
    """
    story = Story()
    story.add(StatusRecord, status="disconnected")
    with capture(bus) as captured:
        await replay(story.records, bus, speed=math.inf)

    assert [event.status for event in captured.events] == ["disconnected"]


async def test_event_that_is_only_named_is_counted(bus):
    """
    Events that could not be written can't be published; the report has their number.
    """
    story = Story()
    story.add(EventRecord, class_name="shop.Order", problem="can't be written")

    report = await replay(story.records, bus, speed=math.inf)

    assert (report.published, report.unreadable) == (0, 1)


async def test_decode_publishes_what_frames_mean_now(bus):
    """
    With decode=True the recorded events are ignored, those of no frame apart.
    """
    story = Story()
    frame = story.add(FrameRecord, data=json.dumps(RESPONSE).encode())
    story.event(RealtimeModelOtherEvent("as it was decoded once"), cause=frame)
    story.event(RealtimeModelTurnEndedEvent("from outside"))
    with capture(bus) as captured:
        await replay(story.records, bus, speed=math.inf, decode=True)

    assert [type(event).__name__ for event in captured.events] == [
        "RealtimeModelRawServerEvent",
        "RealtimeModelTurnStartedEvent",
        "RealtimeModelTurnEndedEvent",
    ]


async def test_filter_picks_the_records(bus):
    """
    Only events whose record matches are published.
    """
    with capture(bus) as captured:
        where = parse_filter("type:audio").matches
        await replay(spoken_turn().records, bus, speed=math.inf, where=where)

    assert {type(event) for event in captured.events} == {RealtimeModelAudioEvent}


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (None, None, [1, 2, 3]),
        (3, None, [2, 3]),
        (None, 4, [1, 2]),
        (timedelta(milliseconds=800), None, [2, 3]),
        (timedelta(milliseconds=801), timedelta(milliseconds=2_300), [3]),
        (timedelta(seconds=60), None, []),
    ],
)
async def test_replay_begins_and_ends_at_a_point(bus, start, stop, expected, clock):
    """
    A number is a sequence number, a timedelta the time since the beginning; both are included.
    """
    seen = begins(bus, clock)

    await replay(story_of(300, 800, 2_300).records, bus, speed=math.inf, start=start, stop=stop)

    assert [response for _, response in seen] == [f"resp_{number}" for number in expected]


async def test_decoder_is_told_of_what_comes_before_the_start(bus):
    """
    With decode=True, frames before the start are decoded, and not published.
    """
    story = Story()
    story.session()
    story.frame("response.created", response={"id": "resp_1"})
    story.audio(100)
    last = story.frame("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
    with capture(bus) as captured:
        await replay(story.records, bus, speed=math.inf, decode=True, start=last - 2)

    assert [event.type for event in captured.events] == [
        "raw_server_event",
        "input_speech_started",
        "audio_interrupted",
    ]


async def test_recorded_call_is_the_same_again(tmp_path, clock):
    """
    A call with handlers that publish and crash gives the same events with these handlers again.
    """

    def make_bus(seen):
        bus = EventBus()

        @bus.on(RealtimeModelTurnStartedEvent)
        async def answer(event):
            bus.publish(RealtimeModelOtherEvent(event.response_id))

        @bus.on(RealtimeModelTurnStartedEvent)
        def crash(event):
            raise LookupError(event.response_id)

        bus.subscribe(lambda event: seen.append(type(event)), object)
        return bus

    first, again = [], []
    with clock:
        bus = make_bus(first)
        with Recorder(tmp_path / "call.journal") as recorder, recorder.attach(bus):
            async with bus:
                for frame in (RESPONSE, RESPONSE):
                    for event in OpenAIRealtimeDecoder().decode(frame):
                        await bus.publish_and_wait(event)
        async with make_bus(again) as bus:
            await replay(tmp_path / "call.journal", bus, speed=math.inf)

    assert len(first) == 8
    assert again == first


# --- a file of frames ------------------------------------------------------------------------


@pytest.fixture
def frames_file(tmp_path):
    """
    Two frames, half a second apart, and a line that is none between them.
    """
    path = tmp_path / "call.jsonl"
    first, second = ({"t": t, "frame": RESPONSE} for t in (7.0, 7.5))
    path.write_text(f"{json.dumps(first)}\n{{\n{json.dumps(second)}\n", encoding="utf-8")
    return path


async def test_frames_file_is_decoded_and_paced(bus, clock, frames_file):
    """
    Of a file of frames the events are published at the times of its lines.
    """
    seen = begins(bus, clock)
    with clock:
        report = await replay(frames_file, bus)

    assert seen == [(0.0, "resp_1"), (0.5, "resp_1")]
    assert report.last == 3


async def test_strict_stops_at_a_line_that_cannot_be_read(bus, frames_file):
    """
    With strict=True, the first bad line of a file of frames is raised, with its number.
    """
    with pytest.raises(JournalError, match=r"call\.jsonl, line 2: "):
        await replay(frames_file, bus, speed=math.inf, strict=True)


@pytest.mark.parametrize("content", [b"", b"\x89EVJ"])
async def test_empty_journal_is_no_empty_file_of_frames(bus, tmp_path, content):
    """
    A file that is named like a journal, or begins like one, and ends there, is an empty journal.
    """
    path = tmp_path / ("call.jsonl" if content else "call.journal")
    path.write_bytes(content)

    with pytest.raises(JournalEmpty, match="is empty"):
        await replay(path, bus)


async def test_empty_file_of_frames_has_no_events(bus, tmp_path):
    """
    An empty file of any other name is replayed, and nothing is published.
    """
    (tmp_path / "call.jsonl").touch()

    assert await replay(tmp_path / "call.jsonl", bus) == ReplayReport()


@pytest.mark.parametrize("is_there", [True, False])
def test_later_segments_tell_a_journal(tmp_path, is_there):
    """
    If the first segment is empty or gone, a later one shows that it was a journal's.
    """
    first, later = tmp_path / "call.evj", tmp_path / "call.00002.evj"
    if is_there:
        first.touch()
    later.write_bytes(b"{}\n")
    (tmp_path / "call.00003.evj").mkdir()
    assert not (is_there and is_journal(first)), "files of frames have numbers, too"

    later.write_bytes(MAGIC)

    assert is_journal(first)


def test_file_that_is_not_there_is_no_journal(tmp_path):
    """
    Its name alone tells nothing.
    """
    with pytest.raises(FileNotFoundError):
        is_journal(tmp_path / "call.journal")


@given(content=st.binary(min_size=1, max_size=20), name=st.sampled_from(["a.journal", "a.jsonl"]))
def test_what_does_not_begin_like_a_journal_is_none(tmp_path_factory, content, name):
    """
    The beginning of the file decides, not its name.
    """
    path = tmp_path_factory.getbasetemp() / name
    for data in (content, MAGIC + content, MAGIC[: len(content)]):
        path.write_bytes(data)
        size = min(len(data), len(MAGIC))
        assert is_journal(path) == (data[:size] == MAGIC[:size])


async def test_corpus_is_replayed(bus, corpus):
    """
    Recorded sessions of each dialect are played in full.
    """
    for path in sorted(corpus.glob("*.frames.jsonl")):
        with capture(bus, RealtimeModelRawServerEvent) as captured:
            await replay(path, bus, speed=math.inf)

        assert len(captured.events) == len(path.read_bytes().splitlines())


# --- time ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("speed", "expected"), [(1.0, [0.0, 0.5, 2.0]), (2.0, [0.0, 0.25, 1.0])])
async def test_speed_paces_by_the_recorded_times(bus, clock, speed, expected):
    """
    Events come as long after the first one as they did, divided by the speed.
    """
    seen = begins(bus, clock)
    with clock:
        await replay(story_of(300, 800, 2_300).records, bus, speed=speed)

    assert [time for time, _ in seen] == expected


async def test_pause_stops_time_and_resume_goes_on(bus, clock):
    """
    An event that was due in one second at the pause is due one second after it.
    """
    seen = begins(bus, clock)
    player = Player(story_of(0, 3_000).records, bus)
    with clock:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(player.run)
            await anyio.sleep(2)
            player.pause()
            assert player.is_paused
            await anyio.sleep(60)
            player.resume()

    assert [time for time, _ in seen] == [0.0, 63.0]


async def test_speed_can_be_changed_on_the_way(bus, clock):
    """
    From a change of the speed on, the rest of the recording goes by at the new one.
    """
    seen = begins(bus, clock)
    player = Player(story_of(0, 3_000).records, bus)
    with clock:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(player.run)
            await anyio.sleep(1)
            player.speed = 4.0

    assert [time for time, _ in seen] == [0.0, 1.5]
    assert player.speed == 4.0


async def test_step_publishes_so_many_events_at_once(bus, clock):
    """
    A step doesn't wait until the event is due, and the replay is paused after it.
    """
    player = Player(story_of(0, 60_000).records, bus, is_paused=True)
    with clock, capture(bus) as captured:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(player.run)
            await player.step()
            assert len(captured.events) == 1
            await player.step(2)
            assert len(captured.events) == 3
            assert (clock.now, player.is_paused) == (0.0, True)
            await player.step(100)
            assert player.report.published == 4


async def test_stop_ends_the_replay(bus, clock):
    """
    After stop() nothing more is published, and run() returns.
    """
    seen = begins(bus, clock)
    player = Player(story_of(0, 1_000, 2_000).records, bus)
    with clock:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(player.run)
            await anyio.sleep(1.5)
            player.stop()
            assert clock.now == 1.5

    assert len(seen) == 2


async def test_player_runs_once(bus):
    """
    A second run is refused.
    """
    player = Player([], bus)
    await player.run()

    with pytest.raises(EventBusError, match="runs once"):
        await player.run()


@pytest.mark.parametrize(
    "options",
    [
        *({"speed": value} for value in (0, -1, math.nan, -math.inf, 10**400, True, "1")),
        *({"patience": value} for value in (-1, math.nan, 10**400, True, "1")),
    ],
    ids=lambda options: str(options)[:20],
)
def test_wrong_arguments_are_refused(bus, options):
    """
    A speed that isn't above 0, or a patience that is below, is a ValueError.
    """
    with pytest.raises(ValueError, match=r"^(speed|patience)= is"):
        Player([], bus, **options)


@pytest.mark.parametrize(
    "options",
    [
        *({"start": value} for value in (math.nan, 1.5, True, "1")),
        *({"stop": value} for value in (math.inf, True)),
        {"where": 5},
        {"decoder": "openai"},
        {"on_event": 5},
        {"on_sent": 5},
    ],
    ids=str,
)
def test_arguments_of_another_type_are_named(bus, options):
    """
    When the replay is made, and not in the middle of it.
    """
    with pytest.raises(TypeError, match=rf"^{next(iter(options))}= is "):
        Player([], bus, **options)


@pytest.mark.parametrize("source", [5, None, b"call.journal", EventBus], ids=str)
async def test_source_that_is_no_recording_is_named(bus, source):
    """
    Neither is a bus that isn't one.
    """
    with pytest.raises(TypeError, match="recording, or a journal, not"):
        await replay(source, bus)
    with pytest.raises(TypeError, match="EventBus; bus= is"):
        await replay([], source)


async def test_scope_is_refused_and_the_error_names_its_bus(bus):
    """
    The events of a recording have senders of their own.
    """
    with bus.scope("call-42") as scope, pytest.raises(TypeError, match=r"scope\.bus"):
        await replay([], scope)


@pytest.mark.parametrize("count", [0, -1, 1.5, math.nan, True, "1"], ids=str)
async def test_step_of_no_events_is_refused(bus, count):
    """
    A step is of one event or more.
    """
    with pytest.raises(ValueError, match=r"^count= is a whole number"):
        await Player([], bus).step(count)


async def test_speed_near_the_greatest_can_be_changed_while_it_plays(bus):
    """
    The time that has passed is more than a number can tell then.
    """
    records = story_of(0, 100, 200).records
    expected = await replay(records, bus, speed=math.inf)
    player = Player(records, bus, speed=1e308)
    bus.subscribe(lambda event: setattr(player, "speed", 1e307), object)

    assert await player.run() == expected


# --- as fast as possible ---------------------------------------------------------------------


async def test_nothing_is_lost_however_small_the_mailbox(bus, clock):
    """
    At an infinite speed a slow handler gets every event, though its mailbox holds one.
    """
    seen = []
    records = story_of(*range(100)).records

    @bus.on(RealtimeModelTurnStartedEvent, mailbox=Mailbox(1, overflow=Overflow.DROP_NEWEST))
    async def slow(event):
        await anyio.sleep(0.5)
        seen.append(event.response_id)

    with clock:
        async with bus:
            report = await replay(records, bus, speed=math.inf)

    assert len(seen) == 100
    assert (bus.stats.dropped, report.overtaken) == (0, 0)


async def test_same_journal_gives_the_same_calls_twice(clock):
    """
    Two replays through the same handlers, sync and async, make the same calls in the same order.
    """

    async def calls():
        bus, story = EventBus(), []

        @bus.on(RealtimeModelTurnStartedEvent)
        async def slow(event):
            story.append(("slow", event.response_id))
            await anyio.sleep(0.2)
            story.append(("slow is done", event.response_id))

        @bus.on(object)
        def quick(event):
            story.append(("quick", type(event)))

        async with bus:
            await replay(story_of(0, 1, 2, 3).records, bus, speed=math.inf)
        return story

    with clock:
        assert await calls() == await calls()


async def test_handler_may_wait_for_a_later_event(bus, clock):
    """
    A handler that waits for a later event is overtaken when patience is over, and counted.
    """
    story = story_of(0)
    story.frame("response.done", response={"id": "resp_1", "status": "completed"})
    done = []

    @bus.on(RealtimeModelTurnStartedEvent)
    async def wait(_event):
        done.append(await bus.expect(RealtimeModelTurnEndedEvent))

    with clock:
        async with bus:
            report = await replay(story.records, bus, speed=math.inf, patience=3)

    assert [event.response_id for event in done] == ["resp_1"]
    assert (report.overtaken, clock.now) == (1, 3.0)


async def test_patience_wears_thin(bus, clock):
    """
    A handler that never ends delays the rest by two patiences at most.
    """

    @bus.on(RealtimeModelTurnStartedEvent)
    async def hang(_event):
        await anyio.sleep_forever()

    with clock:
        async with bus:
            report = await replay(story_of(*range(50)).records, bus, speed=math.inf, patience=5)
            waited = clock.now
            await bus.aclose(drain=False, timeout=1)

    assert waited == pytest.approx(10, abs=0.1)
    assert report.overtaken == 50


async def test_what_publishing_raises_ends_the_replay_or_is_reported(bus):
    """
    Without on_error a full mailbox is raised; with it, the replay goes on.
    """
    records = story_of(0, 1, 2).records

    @bus.on(RealtimeModelTurnStartedEvent, mailbox=Mailbox(1, overflow=Overflow.RAISE))
    async def slow(_event):
        await anyio.sleep_forever()

    errors = []
    async with bus:
        player = Player(records, bus, speed=1000.0, on_error=errors.append)
        report = await player.run()
        with pytest.raises(MailboxFull):
            await replay(records, bus, speed=1000.0)
        await bus.aclose(drain=False, timeout=0)

    assert [type(error) for error in errors] == [MailboxFull]
    assert report.published == 6


async def test_bus_that_is_closed_ends_the_replay(bus):
    """
    BusClosed is raised even where other errors are only reported.
    """
    await bus.aclose()

    with pytest.raises(BusClosed):
        await Player(story_of(0).records, bus, on_error=lambda _: None).run()


# --- strict ----------------------------------------------------------------------------------


async def test_strict_passes_what_the_decoder_gives_as_before(bus):
    """
    A journal with the events that the decoder makes now is played to its end.
    """
    report = await replay(spoken_turn().records, bus, speed=math.inf, strict=True)

    assert report.published > 10


async def test_strict_raises_the_first_difference(bus):
    """
    With strict=True a recorded event that the decoder wouldn't make is raised.
    """
    records = spoken_turn().records
    index = next(i for i, r in enumerate(records) if getattr(r, "type_name", None) == "audio")
    records[index] = attrs.evolve(
        records[index], class_name="RealtimeModelOtherEvent", type_name="other"
    )

    with pytest.raises(ReplayDifference) as caught:
        await replay(records, bus, speed=math.inf, strict=True)

    assert (caught.value.field, caught.value.seq) == ("class", records[index].cause)


def test_replay_works_in_both_loops(bus):
    """
    A replay needs nothing of the loop but its clock.
    """
    for backend in ("asyncio", "trio"):
        run = partial(replay, story_of(0, 10).records, bus, speed=100.0)
        assert anyio.run(run, backend=backend).published == 4


@pytest.mark.parametrize(
    "first",
    [
        {"setupComplete": {}},
        {"server_content": {"turn_complete": False}},
        {"serverContent": {}, "usageMetadata": {}},
    ],
)
async def test_a_file_of_gemini_is_known_by_the_fields_of_its_first_frame(bus, tmp_path, first):
    """
    Its frames have no type; the client's messages before them are no frames.
    """
    path = tmp_path / "call.jsonl"
    sent = {"direction": "sent", "frame": {"setup": {"model": "models/gemini"}}}
    frames = [first, {"serverContent": {"outputTranscription": {"text": "Hello!"}}}]
    received = [{"direction": "received", "frame": frame} for frame in frames]
    path.write_text("\n".join(map(json.dumps, [sent, *received])), "utf-8")

    with capture(bus) as captured:
        await replay(path, bus, speed=math.inf)

    assert [event.type for event in captured.events][-2:] == ["turn_started", "transcript_delta"]


@pytest.mark.parametrize("first", ['{"somethingElse": 1}', '{"type": 1, "setupComplete": {}}', "{"])
async def test_a_file_of_neither_protocol_is_read_as_openai(bus, tmp_path, first):
    """
    A frame that can't be read, or one with a type, is none of Gemini's.
    """
    path = tmp_path / "call.jsonl"
    created = {"type": "response.created", "response": {"id": "resp_1"}}
    path.write_text(f"{first}\n{json.dumps(created)}\n", "utf-8")

    with capture(bus) as captured:
        await replay(path, bus, speed=math.inf)

    assert captured.events[-1].response_id == "resp_1"


async def test_a_file_of_gpt_live_is_known_by_its_first_frame(bus, tmp_path):
    """
    A file that begins with session.started is decoded as GPT-Live, frames that were sent or not.
    """
    path = tmp_path / "call.jsonl"
    sent = {"direction": "sent", "t": 1, "frame": {"type": "session.start"}}
    started = {"type": "session.started", "session": {"id": "s"}}
    words = {
        "type": "session.output_transcript.delta",
        "delta": "Hello!",
        "start_ms": 0,
        "end_ms": 500,
    }
    path.write_text("\n".join(map(json.dumps, [sent, started, words])), "utf-8")

    with capture(bus) as captured:
        await replay(path, bus, speed=math.inf)

    kinds = [event.type for event in captured.events if event.type != "raw_server_event"]
    assert kinds == ["session_updated", "turn_started", "transcript_delta"]

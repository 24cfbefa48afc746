from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.live import server_event
from pydantic import TypeAdapter

from eventbus import EventBus
from eventbus.codec import dumps, loads
from eventbus.events import (
    RealtimeError,
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelDelegationEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
    RealtimeModelUsageEvent,
    Usage,
    UsageInputTokensDetails,
)
from eventbus.items import (
    AssistantAudio,
    AssistantMessageItem,
    InputAudio,
    RealtimeToolCallItem,
    UserMessageItem,
)
from eventbus.wire import find_decoder
from eventbus.wire.openai import GPTLiveDecoder, RealtimeModelSilenceEvent
from eventbus.wire.openai._gpt_live import LIVE_TABLE

DATA = Path(__file__).parents[2] / "data"
FRAMES = (DATA / "gpt_live_types.jsonl").read_text("utf-8").splitlines()
BY_TYPE = {json.loads(line)["type"]: json.loads(line) for line in FRAMES}
SERVER_TYPES = {
    get_args(member.model_fields["type"].annotation)[0]
    for member in get_args(get_args(server_event.ServerEvent)[0])
}

# Types that mean an event of their own; the others are Other.
TYPED = {
    "session.started",
    "session.updated",
    "session.usage.updated",
    "error",
    "session.output_audio.delta",
    "session.output_transcript.delta",
    "session.input_transcript.delta",
    "session.delegation.created",
    "response.event",
}


@pytest.fixture
def decoder():
    """
    The decoder of a session that has just begun.
    """
    return GPTLiveDecoder()


def meaning(decoder, frame):
    return list(decoder.decode(frame))[1:]


def sound(ms, sample=1000):
    """
    Return a frame with so many milliseconds of audio at 24 kHz.
    """
    samples = sample.to_bytes(2, "little", signed=True) * 24 * ms
    return {"type": "session.output_audio.delta", "delta": base64.b64encode(samples).decode()}


def silence(ms):
    return sound(ms, 0)


def said(delta, start_ms, end_ms):
    return {
        "type": "session.output_transcript.delta",
        "event_id": "e",
        "delta": delta,
        "start_ms": start_ms,
        "end_ms": end_ms,
    }


def heard(delta, start_ms, end_ms):
    return {**said(delta, start_ms, end_ms), "type": "session.input_transcript.delta"}


CLOSED = {"type": "session.closed", "reason": "close_requested", "usage": {"seconds": 4}}


def kinds(decoder, *frames):
    return [event.type for frame in frames for event in meaning(decoder, frame)]


# --- all types -------------------------------------------------------------------------------


def test_table_and_frames_have_each_type_of_the_sdk():
    """
    The 28 types of openai's own union are in the table, with a frame each that the SDK accepts.
    """
    union = TypeAdapter(server_event.ServerEvent)

    assert SERVER_TYPES == LIVE_TABLE.keys() == BY_TYPE.keys()
    assert len(SERVER_TYPES) == 28
    for type_, frame in BY_TYPE.items():
        if type_ not in {"decision.event", "decision.item.deleted"}:  # ours are shorter
            assert union.validate_python(frame).type == type_


@pytest.mark.parametrize("line", FRAMES, ids=lambda line: json.loads(line)["type"])
def test_every_type_gives_its_raw_event_and_a_meaning(decoder, line):
    """
    A type that has no event of its own is Other.
    """
    raw, *others = decoder.decode(line)

    assert raw == RealtimeModelRawServerEvent(json.loads(line))
    assert others
    assert RealtimeModelExceptionEvent not in map(type, others)
    if json.loads(line)["type"] not in TYPED:
        assert type(others[-1]) is RealtimeModelOtherEvent
        bus, seen = EventBus(), []
        bus.subscribe(seen.append, RealtimeModelRawServerEvent)
        bus.publish(others[-1])
        assert seen == []  # the raw event of the frame is the only one


@pytest.mark.parametrize(
    ("frame", "events"),
    [
        (
            BY_TYPE["session.started"],
            [RealtimeModelSessionUpdatedEvent(BY_TYPE["session.started"]["session"], created=True)],
        ),
        (
            BY_TYPE["session.updated"],
            [
                RealtimeModelSessionUpdatedEvent(
                    BY_TYPE["session.updated"]["session"], created=False
                )
            ],
        ),
        (
            BY_TYPE["session.delegation.created"],
            [RealtimeModelDelegationEvent("del_01", "responses", 2200, "resp_01")],
        ),
        (
            BY_TYPE["session.usage.updated"],
            [RealtimeModelUsageEvent(Usage(seconds=30.0, is_cumulative=True))],
        ),
    ],
)
def test_frame_means_its_event(decoder, frame, events):
    """
    The event has the values of the frame.
    """
    assert meaning(decoder, frame) == events


def test_error_names_the_client_event_that_caused_it(decoder):
    """
    The protocol has its id inside the error.
    """
    (event,) = meaning(decoder, BY_TYPE["error"])

    assert type(event) is RealtimeModelErrorEvent
    assert isinstance(event.error, RealtimeError)
    assert (event.error.code, event.error.event_id) == ("unknown_parameter", "mine_4")


# --- delegated work --------------------------------------------------------------------------


def call_frame(**changes):
    frame = json.loads(FRAMES[17])
    frame["event"]["item"].update(changes)
    return frame


def test_tool_call_of_a_delegated_response_is_a_tool_call(decoder):
    """
    Its item has the id of the delegation.
    """
    arguments = '{"name":"Ada"}'

    updated, call = meaning(decoder, call_frame())

    extra = {"delegation_id": "del_01"}
    assert updated == RealtimeModelItemUpdatedEvent(
        RealtimeToolCallItem("fc_01", "call_01", "find_order", arguments, extra=extra)
    )
    assert call == RealtimeModelToolCallEvent("find_order", "call_01", arguments, "fc_01")


def test_tool_call_is_made_once(decoder):
    """
    A call that is sent again updates its item only.
    """
    meaning(decoder, call_frame())

    assert kinds(decoder, call_frame(), call_frame(call_id="call_02")) == [
        "item_updated",
        "item_updated",
        "function_call",
    ]


def test_usage_of_a_delegated_response_is_in_tokens(decoder):
    """
    It is that response's own, not a sum.
    """
    (event,) = meaning(decoder, FRAMES[18])

    assert event.usage.total_tokens == 52
    assert event.usage.input_tokens_details == UsageInputTokensDetails(8)
    assert event.usage.output_tokens_details.reasoning_tokens == 3
    assert not event.usage.is_cumulative


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.output_text.delta", "delta": "x"},
        {"type": "response.output_item.done", "item": {"type": "message"}},
        {"type": "response.completed", "response": {}},
        {},
    ],
)
def test_rest_of_a_delegated_response_is_other(decoder, event):
    """
    Handlers of Other find it inside of the frame.
    """
    (other,) = meaning(decoder, {"type": "response.event", "event": event})

    assert type(other) is RealtimeModelOtherEvent
    assert other.data["event"] == event


# --- turns -----------------------------------------------------------------------------------


def test_conversation_has_turns(decoder):
    """
    Each side's speech begins and ends, with ids that are counted.
    """
    frames = [
        heard("Is my cake", 200, 600),
        heard(" ready?", 600, 900),
        silence(1000),
        sound(200),
        said("Yes.", 1000, 1200),
        silence(900),
    ]

    events = [event for frame in frames for event in meaning(decoder, frame)]

    assert events == [
        RealtimeModelInputSpeechStartedEvent("live-u1", 200),
        RealtimeModelInputTranscriptDeltaEvent("live-u1", "Is my cake", 0),
        RealtimeModelInputTranscriptDeltaEvent("live-u1", " ready?", 0),
        RealtimeModelSilenceEvent(bytes(48_000)),
        RealtimeModelInputSpeechStoppedEvent("live-u1", 900),
        RealtimeModelInputAudioTranscriptionCompletedEvent("live-u1", "Is my cake ready?"),
        RealtimeModelItemUpdatedEvent(
            UserMessageItem(
                "live-u1", (InputAudio(transcript="Is my cake ready?"),), status="completed"
            )
        ),
        RealtimeModelTurnStartedEvent("live-r1"),
        RealtimeModelAudioEvent(b"\xe8\x03" * 4800, "live-r1", "live-a1", 0),
        RealtimeModelTranscriptDeltaEvent("live-a1", "Yes.", "live-r1"),
        RealtimeModelAudioDoneEvent("live-a1", 0),
        RealtimeModelTranscriptDoneEvent("live-a1", "Yes.", "live-r1"),
        RealtimeModelItemUpdatedEvent(
            AssistantMessageItem(
                "live-a1", (AssistantAudio(transcript="Yes."),), status="completed"
            )
        ),
        RealtimeModelTurnEndedEvent("live-r1", inferred=True),
        RealtimeModelSilenceEvent(bytes(900 * 48)),
    ]


def test_pause_shorter_than_the_gap_ends_nothing(decoder):
    """
    Audio after a breath belongs to the same turn, and after the gap to the next one.
    """
    frames = [sound(100), silence(780), sound(100), silence(800), sound(100)]

    ids = [
        event.response_id
        for frame in frames
        for event in meaning(decoder, frame)
        if type(event) is RealtimeModelAudioEvent
    ]

    assert ids == ["live-r1", "live-r1", "live-r2"]


def test_a_sentence_is_told_from_the_one_before(decoder):
    """
    The first fragment of a sentence lacks the space before it; a fragment inside a word has none.
    """
    frames = [said("It is up.", 0, 300), said("It's done", 300, 600), said("ish.", 600, 700)]

    events = [event for frame in [*frames, CLOSED] for event in meaning(decoder, frame)]

    [done] = [e for e in events if type(e) is RealtimeModelTranscriptDoneEvent]
    deltas = [e.delta for e in events if type(e) is RealtimeModelTranscriptDeltaEvent]
    assert done.transcript == "".join(deltas) == "It is up. It's doneish."


def test_each_session_of_a_call_has_ids_of_its_own():
    """
    From the second session on, its number is in the ids, and in the header of a journal.
    """
    decoder = GPTLiveDecoder(number=2)
    again = find_decoder(decoder.name)(**decoder.options)

    for each in (decoder, again):
        [started, _] = meaning(each, said("Hi", 0, 100))
        assert started.response_id == "live2-r1"
    with pytest.raises(ValueError, match="number is 0"):
        GPTLiveDecoder(number=0)


def test_gap_is_an_option_and_part_of_the_header():
    """
    A reader of a journal makes a decoder with the same gap.
    """
    decoder = GPTLiveDecoder(gap_ms=100)
    again = find_decoder(decoder.name)(**decoder.options)

    for each in (decoder, again):
        assert kinds(each, sound(20), silence(100))[-2:] == ["turn_ended", "silence"]
    with pytest.raises(ValueError, match="above 0"):
        GPTLiveDecoder(gap_ms=0)


def test_speech_over_the_other_side_does_not_end_its_turn(decoder):
    """
    Full duplex: a word of assent between leaves the model's turn as it is.
    """
    frames = [
        sound(500),
        heard("Mhm.", 300, 500),
        sound(500),
        said("so", 0, 1000),
        silence(900),
    ]

    assert kinds(decoder, *frames) == [
        "turn_started",
        "audio",
        "input_speech_started",
        "input_transcript_delta",
        "audio",
        "transcript_delta",
        "input_speech_stopped",
        "input_audio_transcription_completed",
        "item_updated",
        "audio_done",
        "transcript_done",
        "item_updated",
        "turn_ended",
        "silence",
    ]


@pytest.mark.parametrize(
    ("first", "second", "ended"),
    [
        (heard("Hi.", 0, 100), said("Hello.", 200, 300), "input_audio_transcription_completed"),
        (said("Hello.", 0, 100), heard("Hi.", 200, 300), "turn_ended"),
    ],
)
def test_change_of_speaker_ends_a_segment(decoder, first, second, ended):
    """
    The other side's first word after it is the end, without a gap.
    """
    meaning(decoder, first)

    assert ended in kinds(decoder, second)


def test_closed_session_ends_what_is_open_and_gives_the_final_usage(decoder):
    """
    The reason is in the frame, and no event of it is missing an end.
    """
    meaning(decoder, heard("Bye.", 100, 400))
    meaning(decoder, said("Goodbye.", 300, 600))

    events = meaning(decoder, CLOSED)

    assert [event.type for event in events] == [
        "input_speech_stopped",
        "input_audio_transcription_completed",
        "item_updated",
        "transcript_done",
        "item_updated",
        "turn_ended",
        "usage",
        "other",
    ]
    assert events[-1].data["reason"] == "close_requested"


def test_malformed_close_ends_the_turn_all_the_same(decoder):
    """
    Code that waits for the end of a turn doesn't wait for ever.
    """
    meaning(decoder, said("Goodbye.", 300, 600))

    _, *events = decoder.decode('{"type":"session.closed","reason":"\\ud800"}')

    assert [event.type for event in events] == [
        "exception",
        "transcript_done",
        "item_updated",
        "turn_ended",
    ]


def test_closed_session_with_malformed_usage_ends_the_turn_all_the_same(decoder):
    """
    The exception takes the place of the usage, and of nothing else.
    """
    meaning(decoder, said("Goodbye.", 300, 600))

    events = meaning(decoder, {**CLOSED, "usage": {"seconds": "4"}})

    assert [event.type for event in events] == [
        "transcript_done",
        "item_updated",
        "turn_ended",
        "exception",
        "other",
    ]


@pytest.mark.parametrize(
    ("audio_format", "silent", "loud"),
    [
        (
            {"type": "audio/pcm", "rate": 24000},
            b"\x10\x00\xf0\xff" * 480,
            b"\x10\x00\x00\x10" * 480,
        ),
        ({"type": "audio/pcm", "rate": 16000}, bytes(640), b"\x00\x10" * 320),
        ({"type": "audio/pcmu", "rate": 8000}, b"\xff\x7f\xfe" * 50, b"\xff\x10" * 80),
        ({"type": "audio/pcma", "rate": 8000}, b"\xd5\x55\xd4" * 50, b"\xd5\x10" * 80),
    ],
)
def test_silence_is_told_from_sound_in_each_format(decoder, audio_format, silent, loud):
    """
    The noise of a quiet line is silence.
    """
    meaning(decoder, {"type": "session.started", "session": {"audio": {"format": audio_format}}})
    frames = [
        {"type": "session.output_audio.delta", "delta": base64.b64encode(data).decode()}
        for data in (silent, loud)
    ]

    assert kinds(decoder, *frames) == ["silence", "turn_started", "audio"]


def test_silence_falls_back_to_nothing(decoder):
    """
    A bus without handlers of it counts it as unhandled, and gives it to no handler of Other or Raw.
    """
    bus, seen = EventBus(), []
    bus.subscribe(lambda event: seen.append(event.type), RealtimeModelOtherEvent)
    bus.subscribe(lambda event: seen.append(event.type), RealtimeModelRawServerEvent)

    decoder.publish_to(bus, silence(20))

    assert seen == ["raw_server_event"]
    assert loads(dumps(RealtimeModelSilenceEvent(b"\0"))) == RealtimeModelSilenceEvent(b"\0")


def test_one_loud_sample_is_no_silence(decoder):
    """
    Wherever in the piece it is.
    """
    for at in (0, 7, 479):
        samples = bytearray(960)
        samples[2 * at + 1] = 0x10
        frame = {"type": "session.output_audio.delta", "delta": base64.b64encode(samples).decode()}

        assert "audio" in kinds(GPTLiveDecoder(), frame)


def test_sideband_tells_the_times_of_audio(decoder):
    """
    Frames that were dropped there leave gaps that the times show.
    """
    first = {**sound(20), "start_ms": 0, "end_ms": 20}
    second = {**sound(20), "start_ms": 5_000, "end_ms": 5_020}

    assert kinds(decoder, first, second) == [
        "turn_started",
        "audio",
        "audio_done",
        "item_updated",
        "turn_ended",
        "turn_started",
        "audio",
    ]


# --- unreadable frames, and any frame --------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ({"type": "session.output_audio.delta"}, "delta"),
        ({"type": "session.output_audio.delta", "delta": "A"}, "delta"),
        ({"type": "session.input_transcript.delta", "delta": "x", "start_ms": 1}, "end_ms"),
        ({"type": "session.delegation.created", "delegation": {"id": "d"}}, "delegation.target"),
        ({"type": "session.usage.updated", "usage": {"seconds": "3"}}, "usage.seconds"),
        ({"type": "session.usage.updated", "usage": {"seconds": 10**400}}, "usage.seconds"),
        ({"type": "response.event"}, "event"),
        ({"type": "error"}, "error"),
    ],
)
def test_wrong_field_is_named(decoder, frame, field):
    """
    The decoder goes on after it.
    """
    (event,) = meaning(decoder, frame)

    assert event.exception.field == field
    assert kinds(decoder, sound(20)) == ["turn_started", "audio"]


speech = st.one_of(
    st.builds(sound, st.integers(0, 1200), st.sampled_from([0, 40, 3000])),
    st.builds(
        lambda make, start, length: make("x", start, start + length),
        st.sampled_from([said, heard]),
        st.integers(0, 10_000),
        st.integers(0, 2_000),
    ),
    st.sampled_from(FRAMES).map(json.loads),
)


@given(st.lists(speech, max_size=25))
@pytest.mark.slow
def test_same_frames_give_the_same_events_and_whole_turns(frames):
    """
    A replay repeats ids and turns, and each beginning has one end, before the next of its kind.
    """
    frames = [*frames, CLOSED]
    first, second = (
        [list(d.decode(f)) for f in frames] for d in (GPTLiveDecoder(), GPTLiveDecoder())
    )
    events = [event for each in first for event in each]

    assert first == second
    turns = [e for e in events if e.type in ("turn_started", "turn_ended")]
    assert [e.type for e in turns] == ["turn_started", "turn_ended"] * (len(turns) // 2)
    assert [e.response_id for e in turns[::2]] == [e.response_id for e in turns[1::2]]
    spoken = [e for e in events if e.type in ("input_speech_started", "input_speech_stopped")]
    assert [e.item_id for e in spoken[::2]] == [e.item_id for e in spoken[1::2]]
    assert len(spoken) % 2 == 0
    words = "".join(e.delta for e in events if e.type == "transcript_delta")
    assert words == "".join(e.transcript for e in events if e.type == "transcript_done")


@given(
    st.sampled_from(sorted(LIVE_TABLE)),
    st.dictionaries(
        st.sampled_from(["delta", "start_ms", "session", "usage", "event", "delegation", "error"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda each: st.lists(each) | st.dictionaries(st.text(max_size=5), each),
            max_leaves=8,
        ),
    ),
)
@pytest.mark.slow
def test_frame_with_any_fields_is_decoded(type_, fields):
    """
    Nothing in a frame makes the decoder fail.
    """
    raw, *others = GPTLiveDecoder().decode({**fields, "type": type_})

    assert type(raw) is RealtimeModelRawServerEvent
    assert others


def test_frames_are_published_in_one_step():
    """
    The protocol goes the same way to a bus as the other one.
    """
    bus, seen = EventBus(), []
    bus.subscribe(lambda event: seen.append(event.type), RealtimeModelTurnStartedEvent)
    bus.subscribe(lambda event: seen.append(event.type), RealtimeModelAudioEvent)
    decoder = GPTLiveDecoder()

    for frame in itertools.repeat(json.dumps(sound(20)).encode(), 3):
        decoder.publish_to(bus, frame)

    assert seen == ["turn_started", "audio", "audio", "audio"]

"""
The lanes of a call, as data: each from records of its own.
"""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path
from time import monotonic
from typing import get_args

import attrs
import pytest

from eventbus import EventBus, events
from eventbus.events import RealtimeModelEvent
from eventbus.inspector import Inspector
from eventbus.inspector._file import JournalView
from eventbus.inspector._marks import UNDRAWN
from eventbus.inspector._tracks import MAX_MARKS
from eventbus.items import AssistantMessageItem
from eventbus.wire.openai import GPTLiveDecoder
from tests.cli.journals import write_journal
from tests.journal.stories import WALL, Story, spoken_turn, voice

FRAMES = Path(__file__).parents[1] / "data" / "gpt_live_types.jsonl"


@pytest.fixture
def shown(tmp_path):
    """
    Return a function that gives the view and the call of a story.
    """

    def show(story):
        view = JournalView(write_journal(tmp_path / "call.journal", story))
        view.update()
        return view, max(view.calls.values(), key=lambda call: call.record_count)

    return show


def model_speech(story, ms):
    """
    Receive so much of the model's speech, as loud as a voice.
    """
    return story.frame(
        "response.output_audio.delta",
        response_id="resp_1",
        item_id="item_a",
        output_index=0,
        content_index=0,
        delta=base64.b64encode(voice(ms)).decode(),
    )


def test_audible_gap_is_measured_in_the_audio(shown):
    """
    The silence from the end of the caller's voice to the model's is an answer's gap, whatever the
    service reports.
    """
    story = Story()
    story.session()
    story.say(1_000, is_voiced=True)
    model_speech(story.at(2_200), 1_000)

    view, call = shown(story)

    assert view.window(call, 0, 10_000)["gaps"] == [[1_000, 2_200, "answer"]]


def caller_waveform(shown, messages):
    """
    Return the caller's waveform and the types of the list's lines, for 20 ms of audio a message.
    """
    story = Story()
    story.session()
    for number, message in enumerate(messages, 1):
        story.at(20 * number).send(message, audio_bytes=960)
    view, call = shown(story)
    types = [line[5] for line in view.lines(call)["lines"] if line[4] == "sent"]
    view.path.unlink()
    return view.window(call, 0, 20 * len(messages))["peaks"]["caller"], types


def test_waveform_does_not_depend_on_the_form_of_messages(shown):
    """
    The caller's audio is the same in messages that differ around it.
    """
    name, other = "input_audio_buffer.append", "session.input_audio.append"
    audio = [
        base64.b64encode(voice(20) if number % 9 < 5 else bytes(960)).decode()
        for number in range(150)
    ]
    plain = [{"type": name, "audio": each} for each in audio]
    ids = [{"event_id": f"e{n}", "type": name, "audio": each} for n, each in enumerate(audio)]
    behind = [{"audio": each, "type": name, "at": n // 7} for n, each in enumerate(audio)]
    rate = "audio/pcm;rate=24000"
    gemini = [{"realtimeInput": {"audio": {"data": each, "mimeType": rate}}} for each in audio]
    mixed = [{"type": name if n % 7 else other, "audio": a} for n, a in enumerate(audio)]

    expected, types = caller_waveform(shown, plain)

    assert types == [name]
    assert len(set(base64.b64decode(expected))) == 2
    assert caller_waveform(shown, ids) == (expected, [name])
    assert caller_waveform(shown, gemini) == (expected, ["realtimeInput.audio"])
    assert caller_waveform(shown, behind) == (expected, [name])
    waveform, types = caller_waveform(shown, mixed)
    assert waveform == expected
    assert types[:3] == [other, name, other]


def test_audio_that_is_not_there_is_silence(shown):
    """
    A message whose audio is withheld, or isn't base64, is silent, and moves no other.
    """
    name = "input_audio_buffer.append"
    loud = base64.b64encode(voice(20)).decode()
    messages = [{"type": name, "audio": loud} for _ in range(40)]
    for lost in ("", "?" * len(loud), loud[:100]):
        some = [*messages[:10], *({"type": name, "audio": lost} for _ in range(20))]
        waveform, types = caller_waveform(shown, [*some, *messages[30:]])
        peaks = base64.b64decode(waveform)
        assert types == [name]
        assert all(peaks[:4])
        assert not any(peaks[5:12])
        assert all(peaks[12:16])


def test_speech_of_both_sides_at_once_is_told(shown):
    """
    Where the caller and the model are both heard, they overlap; audio that was cut off is not.
    """
    story = Story()
    story.session()
    story.say(500, is_voiced=True)
    model_speech(story.at(1_500), 2_000)
    story.at(2_000).say(1_000, is_voiced=True)
    item = {"item_id": "item_a", "content_index": 0, "audio_end_ms": 1_000}
    story.frame("conversation.item.truncated", **item)

    view, call = shown(story)

    overlaps = [gap for gap in view.window(call, 0, 10_000)["gaps"] if gap[2] == "overlap"]
    assert overlaps == [[2_000, 2_500, "overlap"]]


def test_transcript_is_interim_until_it_is_final(shown):
    """
    The caller's words are shown while they are recognized, and marked until that is over.
    """
    story = Story()
    story.session()
    story.at(500).frame("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    name = "conversation.item.input_audio_transcription"
    story.at(800).frame(f"{name}.delta", item_id="item_u", content_index=0, delta="Where is")
    view, call = shown(story)
    assert [caption[2:] for caption in call.captions()] == [
        ["caller", "Where is", "item_u", False],
    ]

    words = {"item_id": "item_u", "content_index": 0, "transcript": "Where is it?"}
    story.at(900).frame(f"{name}.completed", **words)
    view.path.unlink()
    view, call = shown(story)
    assert [caption[2:] for caption in call.captions()] == [
        ["caller", "Where is it?", "item_u", True],
    ]


def test_session_limit_counts_down(shown):
    """
    The service's end of the session is a time in the call.
    """
    story = Story()
    expires_at = WALL // 1_000_000_000 + 3_600
    story.at(1_000).frame("session.created", session={"id": "s", "expires_at": expires_at})

    view, call = shown(story)

    assert view.overview(call)["expires_ms"] == pytest.approx(3_600_000)


def test_delegation_is_followed_until_it_is_spoken_of(shown):
    """
    A task that GPT-Live hands on begins, is worked on, and ends with the model's next words; its
    turns are inferred.
    """
    story = Story(decoder=GPTLiveDecoder())
    for number, line in enumerate(FRAMES.read_text("utf-8").splitlines()):
        frame = json.loads(line)
        story.at(100 * number).frame(frame.pop("type"), **frame)

    view, call = shown(story)

    overview = view.overview(call)
    assert overview["is_duplex"]
    assert overview["totals"]["delegations"] == 1
    ((at, end, target, work, spoken),) = view.window(call, 0, 10_000)["delegations"]
    assert (at, target, work) == (1_300, "responses", 1_700)  # the call of its tool
    assert (end, spoken) == (None, None)  # nothing was said of it


def test_sync_handler_that_blocks_the_loop_is_told(shown):
    """
    A sync handler that runs for long stands in the lane of the event loop; an async one doesn't.
    """
    story = Story()
    story.session()
    event = story.at(500).audio(100)
    story.at(600).call("shop.slow", event, run_ms=80)
    story.at(700).call("shop.patient", event, run_ms=80, queued_ms=1)

    view, call = shown(story)

    assert view.window(call, 0, 1_000)["blocks"] == [[520, 600, "shop.slow ran", 80]]


def test_handler_that_never_ends_is_running(shown):
    """
    A call without an end is shown as one that runs.
    """
    story = Story()
    story.session()
    story.at(500).call("shop.stuck", story.audio(100), run_ms=None)

    view, call = shown(story)

    ((handler, at, _),) = view.window(call, 0, 1_000)["running"]
    assert (handler, at) == ("shop.stuck", 500)


def test_window_has_the_longest_marks_and_not_too_many(shown):
    """
    Of thousands of calls in a window there are at most a thousand, and the slow one is there.
    """
    story = Story()
    story.session()
    event = story.at(500).audio(100)
    for number in range(3_000):
        run_ms = 50 if number == 1_234 else 0.1
        story.at(1_000 + number).call("shop.play", event, run_ms=run_ms, queued_ms=0.1)

    view, call = shown(story)

    calls = view.window(call, 0, 5_000)["handlers"]["shop.play"]
    assert len(calls) <= MAX_MARKS
    assert max(run for _, _, run, _, _ in calls) == 50
    assert len(view.window(call, 0, 5_000, is_whole=True)["handlers"]["shop.play"]) == 3_000
    assert len(view.window(call, 1_000, 1_099)["handlers"]["shop.play"]) == 150


def test_spoken_turn_has_every_lane(shown):
    """
    The lanes of a turn show the times that the analysis measures.
    """
    view, call = shown(spoken_turn())
    window = view.window(call, 0, 5_000)

    (turn,) = window["turns"]
    assert turn[1] - turn[0] == turn[2]["latency_ms"]
    assert window["responses"] == [[2_250, 2_600, "completed", "resp_1"]]
    assert window["model"] == [[2_500, 3_500, 3_500, "item_a"]]
    assert window["received"] == [[2_500, 2_500]]
    assert window["captions"][0][3] == "Hello there"


async def test_lag_of_a_live_loop_is_measured(anyio_backend):
    """
    While the loop is blocked, a beat waits, and its lag is told afterwards.
    """
    from anyio import sleep

    bus = EventBus()
    with Inspector(bus, port=0) as inspector:
        (view,) = inspector._views
        async with bus:
            end = monotonic() + 60
            while not any(lag_ns > 100_000_000 for _, lag_ns in view.lags):
                assert monotonic() < end
                threading.Event().wait(0.25)  # which blocks the loop
                await sleep(0.01)


# One event of each type, which happens in the middle of the call below.
MOMENTS = (
    events.RealtimeModelErrorEvent({"code": "unknown", "message": "no"}),
    events.RealtimeModelToolCallEvent("look", "call_1", "{}"),
    events.RealtimeModelAudioEvent(voice(100), "resp_1", "item_a", 0),
    events.RealtimeModelAudioInterruptedEvent("item_a", 0),
    events.RealtimeModelAudioDoneEvent("item_a", 0),
    events.RealtimeModelInputAudioTranscriptionCompletedEvent("item_u", "Where is it?"),
    events.RealtimeModelInputAudioTimeoutTriggeredEvent("item_u", 0, 100),
    events.RealtimeModelTranscriptDeltaEvent("item_a", "Here", "resp_1"),
    events.RealtimeModelOutputTextDeltaEvent("item_a", "Here", "resp_1"),
    events.RealtimeModelItemUpdatedEvent(AssistantMessageItem("item_a", status="in_progress")),
    events.RealtimeModelItemDeletedEvent("item_a"),
    events.RealtimeModelEndOfStreamEvent(),
    events.RealtimeModelTurnStartedEvent("resp_2"),
    events.RealtimeModelUsageEvent(events.Usage(1, 1, 2)),
    events.RealtimeModelTurnEndedEvent("resp_1", "cancelled"),
    events.RealtimeModelOtherEvent({"type": "news"}),
    events.RealtimeModelExceptionEvent(ValueError("no"), "handling it"),
    events.RealtimeModelSessionUpdatedEvent({"expires_at": WALL / 1e9 + 60}, created=False),
    events.RealtimeModelInputSpeechStartedEvent("item_v", 0),
    events.RealtimeModelInputSpeechStoppedEvent("item_u", 900),
    events.RealtimeModelInputAudioCommittedEvent("item_u", None),
    events.RealtimeModelInputTranscriptDeltaEvent("item_u", "Where", 0),
    events.RealtimeModelInputAudioTranscriptionFailedEvent("item_u", {"message": "no"}),
    events.RealtimeModelTranscriptDoneEvent("item_a", "Here.", "resp_1"),
    events.RealtimeModelOutputTextDoneEvent("item_a", "Here.", "resp_1"),
    events.RealtimeModelToolCallDeltaEvent("call_1", "item_t", "{", "resp_1"),
    events.RealtimeModelItemTruncatedEvent("item_a", 0, 100),
    events.RealtimeModelRateLimitsEvent([]),
    events.RealtimeModelInputTranscriptUpdatedEvent("item_u", "Where is"),
    events.RealtimeModelToolCallCancelledEvent(["call_1"]),
    events.RealtimeModelSessionExpiringEvent(50),
    events.RealtimeModelDelegationEvent("d1", "backend", 0),
)
RECORDED_OTHERWISE = {"connection_status", "raw_server_event"}  # as a status, and as a frame


def lanes_of(shown, moment):
    """
    Return all that the lanes of a call show in which an event happens, or none.
    """
    story = Story()
    story.session()
    story.say(400, is_voiced=True)
    story.at(500).frame("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    story.at(900).frame("response.created", response={"id": "resp_1"})
    model_speech(story.at(1_000), 1_000)
    if moment is not None:
        story.at(1_500).event(moment)
    story.at(3_000).send({"type": "input_audio_buffer.clear"})
    view, call = shown(story)
    overview = view.overview(call)
    view.path.unlink()
    return view.window(call, 0, 10_000), overview["expires_ms"]


def test_every_event_of_the_vocabulary_is_drawn_or_named(shown):
    """
    An event changes what lanes show, or is one of those for which a reason is given.
    """
    types = {moment.type for moment in MOMENTS} | RECORDED_OTHERWISE
    assert types == {attrs.fields(cls).type.default for cls in get_args(RealtimeModelEvent)}
    assert types >= UNDRAWN.keys()

    nothing = lanes_of(shown, None)

    undrawn = {moment.type for moment in MOMENTS if lanes_of(shown, moment) == nothing}
    assert undrawn == UNDRAWN.keys() - RECORDED_OTHERWISE


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        ({"type": "input_audio_buffer.dtmf_event_received", "event": "5"}, "key 5"),
        ({"type": "transport.dtmf.received", "event": "#"}, "key #"),
        ({"type": "transport.dtmf.sent", "event": "1"}, "sent key 1"),
        ({"type": "transport.dtmf.sent"}, "sent key"),
    ],
)
def test_key_of_a_phone_is_a_mark(shown, frame, text):
    """
    A pressed key is a mark at its time, with the key.
    """
    story = Story()
    story.session()
    story.at(1_200).frame(frame.pop("type"), **frame)
    view, call = shown(story)

    assert view.window(call, 0, 10_000)["marks"] == [[1_200, 1_200, text]]
    assert view.overview(call)["totals"]["marks"] == 1

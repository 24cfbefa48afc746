from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus import EventBus
from eventbus._event_base import mark_of
from eventbus.events import (
    RealtimeError,
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelCachedTokensDetails,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelInputTokensDetails,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelInputTranscriptUpdatedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelOutputTextDeltaEvent,
    RealtimeModelOutputTextDoneEvent,
    RealtimeModelOutputTokensDetails,
    RealtimeModelRawServerEvent,
    RealtimeModelSessionExpiringEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallCancelledEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
    RealtimeModelUsageEvent,
    Usage,
    UsageInputTokensDetails,
    UsageOutputTokensDetails,
)
from eventbus.items import (
    AssistantAudio,
    AssistantMessageItem,
    AssistantText,
    RealtimeToolCallItem,
)
from eventbus.wire import find_decoder
from eventbus.wire.gemini import GeminiDecoder
from eventbus.wire.gemini._rules import RULES

DATA = Path(__file__).parents[2] / "data"
NAMES = (
    "gemini_rules.jsonl",
    "gemini_audio_turn.jsonl",
    "gemini_barge_in.jsonl",
    "vertex_tool_call.jsonl",
)
FRAMES = {name: (DATA / name).read_text("utf-8").splitlines() for name in NAMES}
ALL = [line for lines in FRAMES.values() for line in lines]

SOUND = b"\x01\x02" * 60
PCM = "audio/pcm;rate=24000"


@pytest.fixture
def decoder():
    """
    The decoder of a session that has just begun.
    """
    return GeminiDecoder()


def meaning(decoder, *frames):
    """
    Return the events of frames without the raw ones.
    """
    return [event for frame in frames for event in list(decoder.decode(frame))[1:]]


def kinds(decoder, *frames):
    return [event.type for event in meaning(decoder, *frames)]


def content(**fields):
    return {"serverContent": fields}


def parts(*parts):
    return content(modelTurn={"parts": list(parts)})


def blob(data=SOUND, mime_type=PCM):
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}}


def sound(data=SOUND, mime_type=PCM):
    return parts(blob(data, mime_type))


def said(text):
    return content(outputTranscription={"text": text})


def heard(text, **fields):
    return content(inputTranscription={"text": text, **fields})


def voice(kind, offset=None):
    activity = {"voiceActivityType": f"ACTIVITY_{kind}"}
    return {"voiceActivity": activity if offset is None else {**activity, "audioOffset": offset}}


def signal(kind):
    return {"voiceActivityDetectionSignal": {"vadSignalType": f"VAD_SIGNAL_TYPE_{kind}"}}


def call(**fields):
    return {"toolCall": {"functionCalls": [{"id": "call-1", "name": "find_order", **fields}]}}


GENERATED = content(generationComplete=True)
COMPLETE = content(turnComplete=True)
INTERRUPTED = content(interrupted=True)
STARTED = RealtimeModelTurnStartedEvent("gem-r1")
AUDIO = RealtimeModelAudioEvent(SOUND, "gem-r1", "gem-a1", 0)


# --- each rule -------------------------------------------------------------------------------


def test_frames_have_each_rule():
    """
    The project's own frames have every field that has a rule.
    """
    fields = set()
    for line in ALL:
        frame = json.loads(line)
        fields |= frame.keys()
        fields |= {f"serverContent.{name}" for name in frame.get("serverContent", ())}

    assert RULES.keys() <= fields
    assert fields - RULES.keys() == {"serverContent"}


@pytest.mark.parametrize("name", NAMES)
def test_every_frame_gives_its_raw_event_and_a_meaning(decoder, name):
    """
    The raw event comes first, and none of the frames is unreadable.
    """
    for line in FRAMES[name]:
        raw, *others = decoder.decode(line)

        assert raw == RealtimeModelRawServerEvent(json.loads(line))
        assert others
        assert RealtimeModelExceptionEvent not in map(type, others)


@pytest.mark.parametrize("settings", [{}, {"sessionId": "0f1e"}])
def test_setup_is_a_session_that_begins(decoder, settings):
    """
    The settings are those of the frame; Vertex AI has the session's id there.
    """
    (event,) = meaning(decoder, {"setupComplete": settings})

    assert event == RealtimeModelSessionUpdatedEvent(settings, created=True)


def test_voice_activity_is_speech_with_its_place(decoder):
    """
    The offset is a text of seconds; where it is missing, the place isn't known.
    """
    frames = [voice("START", "1.24s"), voice("END", "3s"), voice("START"), voice("END")]

    assert meaning(decoder, *frames) == [
        RealtimeModelInputSpeechStartedEvent("gem-u1", 1240),
        RealtimeModelInputSpeechStoppedEvent("gem-u1", 3000),
        RealtimeModelInputSpeechStartedEvent("gem-u2", None),
        RealtimeModelInputSpeechStoppedEvent("gem-u2", None),
    ]


def test_voice_signals_are_speech_without_a_place(decoder):
    """
    Start and end of a sentence, as allow-listed sessions get them.
    """
    assert meaning(decoder, signal("SOS"), signal("EOS")) == [
        RealtimeModelInputSpeechStartedEvent("gem-u1", None),
        RealtimeModelInputSpeechStoppedEvent("gem-u1", None),
    ]


def test_speech_that_is_told_in_two_ways_is_one(decoder):
    """
    The second signal of the same speech is Other, at its beginning and at its end.
    """
    frames = [voice("START", "1s"), signal("SOS"), voice("END", "2s"), signal("EOS")]

    assert kinds(decoder, *frames) == [
        "input_speech_started",
        "other",
        "input_speech_stopped",
        "other",
    ]


@pytest.mark.parametrize(
    "frame",
    [
        {"voiceActivity": {"voiceActivityType": "TYPE_UNSPECIFIED"}},
        {"voiceActivity": {}},
        {"voiceActivityDetectionSignal": {"vadSignalType": "VAD_SIGNAL_TYPE_UNSPECIFIED"}},
        voice("END"),
        signal("EOS"),
    ],
)
def test_voice_activity_that_says_nothing_is_other(decoder, frame):
    """
    An unknown kind, or the end of speech that has not begun.
    """
    assert kinds(decoder, frame) == ["other"]


def test_interim_transcript_replaces_the_one_before(decoder):
    """
    It belongs to the item that the final words are of.
    """
    frames = [
        content(interimInputTranscription={"text": "read me"}),
        content(interimInputTranscription={"text": "read me the"}),
        heard("Read me the menu."),
    ]

    assert meaning(decoder, *frames) == [
        RealtimeModelInputTranscriptUpdatedEvent("gem-u1", "read me"),
        RealtimeModelInputTranscriptUpdatedEvent("gem-u1", "read me the"),
        RealtimeModelInputTranscriptDeltaEvent("gem-u1", "Read me the menu.", 0),
    ]


@pytest.mark.parametrize(
    "ends",
    [
        [heard(" now?", finished=True)],
        [heard(" now?"), content(inputTranscription={"finished": True})],
        [heard(" now?"), voice("START")],
        [heard(" now?"), COMPLETE],
    ],
)
def test_input_transcript_is_completed(decoder, ends):
    """
    When the service says so, when other speech begins, and when the turn ends.
    """
    *_, delta, completed = [
        event
        for event in meaning(decoder, heard("Is it ready"), *ends)
        if event.type.startswith("input_") and "speech" not in event.type
    ]

    assert delta == RealtimeModelInputTranscriptDeltaEvent("gem-u1", " now?", 0)
    assert completed == RealtimeModelInputAudioTranscriptionCompletedEvent(
        "gem-u1", "Is it ready now?"
    )


def test_input_transcript_opens_no_turn_and_goes_on_during_it(decoder):
    """
    Its words may come after the first of the model's, and are still those before it.
    """
    frames = [heard("Is it"), sound(), heard(" ready?"), COMPLETE, heard("Thanks.")]

    events = meaning(decoder, *frames)

    assert events[:3] == [
        RealtimeModelInputTranscriptDeltaEvent("gem-u1", "Is it", 0),
        STARTED,
        AUDIO,
    ]
    assert RealtimeModelInputAudioTranscriptionCompletedEvent("gem-u1", "Is it ready?") in events
    assert events[-1] == RealtimeModelInputTranscriptDeltaEvent("gem-u2", "Thanks.", 0)


def test_speech_during_a_turn_is_not_completed_with_it(decoder):
    """
    The next turn answers it.
    """
    frames = [
        voice("START"),
        heard("Hi."),
        voice("END"),
        sound(),
        voice("START"),
        heard("Wait,"),
        INTERRUPTED,
        COMPLETE,
        heard(" please."),
        voice("END"),
        said("Yes?"),
        COMPLETE,
    ]

    completed = [
        (event.item_id, event.transcript)
        for event in meaning(decoder, *frames)
        if type(event) is RealtimeModelInputAudioTranscriptionCompletedEvent
    ]

    assert completed == [("gem-u1", "Hi."), ("gem-u2", "Wait, please.")]


def test_audio_begins_a_turn(decoder):
    """
    The first piece begins it, and the next ones belong to it.
    """
    assert meaning(decoder, sound(), sound(b"\0\0")) == [
        STARTED,
        AUDIO,
        RealtimeModelAudioEvent(b"\0\0", "gem-r1", "gem-a1", 0),
    ]


def test_text_of_the_model_is_output_text(decoder):
    """
    It has its own end, and its own part of the item.
    """
    assert meaning(decoder, parts({"text": "It is"}, {"text": " up."}), GENERATED, COMPLETE) == [
        STARTED,
        RealtimeModelOutputTextDeltaEvent("gem-a1", "It is", "gem-r1"),
        RealtimeModelOutputTextDeltaEvent("gem-a1", " up.", "gem-r1"),
        RealtimeModelOutputTextDoneEvent("gem-a1", "It is up.", "gem-r1"),
        RealtimeModelItemUpdatedEvent(
            AssistantMessageItem("gem-a1", (AssistantText("It is up."),), status="completed")
        ),
        RealtimeModelTurnEndedEvent("gem-r1", "completed"),
    ]


def test_thought_is_other_and_begins_no_turn(decoder):
    """
    The text of a thought is not said, and audio beside it is.
    """
    thought = {"text": "Hm.", "thought": True}

    (other,) = meaning(decoder, parts(thought))
    assert type(other) is RealtimeModelOtherEvent
    assert other.data == parts(thought)
    assert kinds(decoder, parts(thought, blob(), thought)) == ["turn_started", "audio", "other"]


@pytest.mark.parametrize(
    "part",
    [
        {"executableCode": {"code": "1"}},
        {"codeExecutionResult": {"output": "1"}},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"unheardOf": 1},
    ],
)
def test_other_parts_are_other_and_begin_a_turn(decoder, part):
    """
    The model has begun to answer.
    """
    assert kinds(decoder, parts(part)) == ["turn_started", "other"]


def test_output_transcript_begins_a_turn(decoder):
    """
    It may come before the audio, or with it, and is all that there is of a model without audio.
    """
    both = content(outputTranscription={"text": "It"}, modelTurn={"parts": [blob()]})

    assert meaning(decoder, said("Yes."), COMPLETE, both) == [
        STARTED,
        RealtimeModelTranscriptDeltaEvent("gem-a1", "Yes.", "gem-r1"),
        RealtimeModelTranscriptDoneEvent("gem-a1", "Yes.", "gem-r1"),
        RealtimeModelItemUpdatedEvent(
            AssistantMessageItem("gem-a1", (AssistantAudio(transcript="Yes."),), status="completed")
        ),
        RealtimeModelTurnEndedEvent("gem-r1", "completed"),
        RealtimeModelTurnStartedEvent("gem-r2"),
        RealtimeModelAudioEvent(SOUND, "gem-r2", "gem-a2", 0),
        RealtimeModelTranscriptDeltaEvent("gem-a2", "It", "gem-r2"),
    ]
    assert kinds(decoder, content(outputTranscription={"finished": True})) == ["other"]


def test_interruption_stops_the_audio_and_cancels_the_turn(decoder):
    """
    No generationComplete follows, so the ends come with the end of the turn.
    """
    meaning(decoder, said("Cakes"), sound())

    assert meaning(decoder, INTERRUPTED, COMPLETE) == [
        RealtimeModelAudioInterruptedEvent("gem-a1", 0),
        RealtimeModelAudioDoneEvent("gem-a1", 0),
        RealtimeModelTranscriptDoneEvent("gem-a1", "Cakes", "gem-r1"),
        RealtimeModelItemUpdatedEvent(
            AssistantMessageItem(
                "gem-a1", (AssistantAudio(transcript="Cakes"),), status="incomplete"
            )
        ),
        RealtimeModelTurnEndedEvent("gem-r1", "cancelled"),
    ]
    assert kinds(decoder, sound(), COMPLETE)[-1] == "turn_ended"
    assert meaning(decoder, sound(), COMPLETE)[-1].status == "completed"


def test_interruption_and_end_in_one_message(decoder):
    """
    The interruption comes before the end, whatever the order of the fields.
    """
    meaning(decoder, sound())

    assert kinds(decoder, content(turnComplete=True, interrupted=True)) == [
        "audio_interrupted",
        "audio_done",
        "item_updated",
        "turn_ended",
    ]


def test_interruption_without_a_turn_is_other(decoder):
    """
    It may come when nothing is said any more.
    """
    assert kinds(decoder, INTERRUPTED) == ["other"]
    meaning(decoder, sound(), COMPLETE)
    assert kinds(decoder, INTERRUPTED) == ["other"]


@pytest.mark.parametrize(
    "frame",
    [
        content(groundingMetadata={}),
        content(urlContextMetadata={"urlMetadata": []}),
        content(waitingForInput=True),
        content(interactionStatus="IDLE"),
        content(turnCompleteReason="RESPONSE_REJECTED"),
        content(somethingNew=1),
        {"sessionResumptionUpdate": {}},
        {"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}},
        {"somethingNew": {}},
        {"error": {"code": 503, "message": "overloaded"}},
        content(),
        {},
    ],
)
def test_frames_without_an_event_of_their_own_are_other(decoder, frame):
    """
    Handlers of Other get the frame once, and those of Raw don't get it again.
    """
    raw, other = decoder.decode(frame)
    bus, seen = EventBus(), []
    bus.subscribe(seen.append, RealtimeModelRawServerEvent)

    bus.publish(other)

    assert type(other) is RealtimeModelOtherEvent
    assert raw.data == other.data == frame
    assert seen == []


def test_tool_call_begins_a_turn(decoder):
    """
    Each call is an item, with the arguments as compact JSON.
    """
    frame = {
        "toolCall": {
            "functionCalls": [
                {"id": "call-1", "name": "find", "args": {"name": "Ada", "count": 2.0}},
                {"name": "now"},
            ]
        }
    }

    assert meaning(decoder, frame) == [
        STARTED,
        RealtimeModelItemUpdatedEvent(
            RealtimeToolCallItem("gem-t1", "call-1", "find", '{"name":"Ada","count":2.0}')
        ),
        RealtimeModelToolCallEvent("find", "call-1", '{"name":"Ada","count":2.0}', "gem-t1"),
        RealtimeModelItemUpdatedEvent(RealtimeToolCallItem("gem-t2", "gem-c2", "now", "{}")),
        RealtimeModelToolCallEvent("now", "gem-c2", "{}", "gem-t2"),
    ]


def test_tool_call_keeps_its_other_fields(decoder):
    """
    They are in the extra of its item.
    """
    _, updated, _ = meaning(decoder, call(thoughtSignature="c2ln"))

    assert updated.item.extra == {"thoughtSignature": "c2ln"}


@pytest.mark.parametrize(
    "piece",
    [
        {"name": "find", "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.name", "stringValue": "A"}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.name", "stringValue": "A"}]},
        {},
    ],
)
def test_piece_of_a_tool_call_is_other(decoder, piece):
    """
    Nobody may run a tool with a part of its arguments.
    """
    assert kinds(decoder, {"toolCall": {"functionCalls": [piece]}}) == ["other"]


def test_tool_round_of_vertex_has_two_turns(decoder):
    """
    There, a turn ends with its tool call.
    """
    ids = [
        (event.type, event.response_id)
        for event in meaning(decoder, *FRAMES["vertex_tool_call.jsonl"])
        if event.type in ("turn_started", "turn_ended", "audio")
    ]

    assert ids == [
        ("turn_started", "gem-r1"),
        ("turn_ended", "gem-r1"),
        ("turn_started", "gem-r2"),
        ("audio", "gem-r2"),
        ("audio", "gem-r2"),
        ("turn_ended", "gem-r2"),
    ]


def test_cancellation_names_the_calls(decoder):
    """
    An empty one names none, and is Other.
    """
    (event,) = meaning(decoder, {"toolCallCancellation": {"ids": ["call-1", "call-2"]}})

    assert event == RealtimeModelToolCallCancelledEvent(("call-1", "call-2"))
    assert kinds(decoder, {"toolCallCancellation": {"ids": []}}) == ["other"]


@pytest.mark.parametrize("name", ["response", "candidates"])
def test_usage_of_both_services(decoder, name):
    """
    The Gemini API and Vertex AI have other names for the output; thoughts are not part of it.
    """
    usage = {
        "promptTokenCount": 1197,
        f"{name}TokenCount": 37,
        "totalTokenCount": 1234,
        "thoughtsTokenCount": 28,
        "cachedContentTokenCount": 64,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 1000},
            {"modality": "AUDIO", "tokenCount": 100},
            {"modality": "IMAGE", "tokenCount": 50},
            {"modality": "VIDEO", "tokenCount": 47},
            {"modality": "DOCUMENT", "tokenCount": 1},
        ],
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 64}],
        f"{name}TokensDetails": [{"modality": "AUDIO", "tokenCount": 37}],
    }

    (event,) = meaning(decoder, {"usageMetadata": usage})

    assert event == RealtimeModelUsageEvent(
        Usage(1, 1197, 37, 1234, UsageInputTokensDetails(64), UsageOutputTokensDetails(28)),
        RealtimeModelInputTokensDetails(
            1000, 100, 97, 64, RealtimeModelCachedTokensDetails(text_tokens=64)
        ),
        RealtimeModelOutputTokensDetails(audio_tokens=37),
    )


def test_counts_of_usage_may_be_spelled_as_fractions(decoder):
    """
    JSON has one kind of number, so 26.0 is a whole one, in the totals as in the breakdowns.
    """
    tokens = {"modality": "AUDIO", "tokenCount": 26.0}
    usage = {"promptTokenCount": 26.0, "promptTokensDetails": [tokens]}

    (event,) = meaning(decoder, {"usageMetadata": usage})

    assert event.usage.input_tokens == 26
    assert event.input_tokens_details == RealtimeModelInputTokensDetails(audio_tokens=26)


def test_usage_without_a_total_is_the_sum(decoder):
    """
    A count that is missing is 0, and a breakdown that can't be read is left out.
    """
    usage = {"promptTokenCount": 5, "promptTokensDetails": [7, {"modality": 1}]}

    (event,) = meaning(decoder, {"usageMetadata": usage})

    assert event.usage.total_tokens == 5
    assert event.output_tokens_details is None
    assert event.input_tokens_details == RealtimeModelInputTokensDetails()


def test_generation_ends_audio_and_transcript(decoder):
    """
    The end of the turn doesn't tell them again, and comes after the usage of its frame.
    """
    meaning(decoder, said("Yes."), sound())

    assert kinds(decoder, GENERATED) == ["audio_done", "transcript_done"]
    assert kinds(decoder, GENERATED) == ["other"]
    assert kinds(decoder, {**COMPLETE, "usageMetadata": {"promptTokenCount": 1}}) == [
        "usage",
        "item_updated",
        "turn_ended",
    ]
    assert kinds(decoder, GENERATED) == ["other"]


def test_what_comes_after_its_end_has_an_end_again(decoder):
    """
    The transcript is whole each time.
    """
    frames = [said("Yes,"), GENERATED, said(" it is."), COMPLETE]

    done = [e for e in meaning(decoder, *frames) if type(e) is RealtimeModelTranscriptDoneEvent]

    assert [event.transcript for event in done] == ["Yes,", "Yes, it is."]


@pytest.mark.parametrize(
    ("reason", "status", "error"),
    [
        (None, "completed", None),
        ("TURN_COMPLETE_REASON_UNSPECIFIED", "completed", None),
        ("NEED_MORE_INPUT", "completed", None),
        ("RESPONSE_REJECTED", "failed", RealtimeError(code="RESPONSE_REJECTED")),
        ("SOMETHING_NEW", "failed", RealtimeError(code="SOMETHING_NEW")),
    ],
)
def test_turn_that_fails_has_the_reason(decoder, reason, status, error):
    """
    A reason that is none is no failure, and neither is waiting for the user.
    """
    *_, ended = meaning(decoder, sound(), content(turnComplete=True, turnCompleteReason=reason))

    assert ended == RealtimeModelTurnEndedEvent("gem-r1", status, error)


def test_turn_that_goes_on_by_itself_expects_more(decoder):
    """
    The rest is another turn.
    """
    more = content(turnComplete=True, interactionStatus="IN_PROGRESS")

    *_, ended, started, _ = meaning(decoder, sound(), more, sound())

    assert ended == RealtimeModelTurnEndedEvent("gem-r1", "completed", more_expected=True)
    assert started == RealtimeModelTurnStartedEvent("gem-r2")


def test_turn_with_nothing_in_it_begins_at_its_end(decoder):
    """
    Code that waits for the answer doesn't wait for ever.
    """
    failed = content(turnComplete=True, turnCompleteReason="MALFORMED_FUNCTION_CALL")

    assert meaning(decoder, COMPLETE) == [
        STARTED,
        RealtimeModelTurnEndedEvent("gem-r1", "completed"),
    ]
    assert kinds(decoder, failed) == ["turn_started", "turn_ended"]


def test_tools_alone_make_no_item_of_the_model(decoder):
    """
    The items are those of the calls.
    """
    assert kinds(decoder, call(), COMPLETE) == [
        "turn_started",
        "item_updated",
        "function_call",
        "turn_ended",
    ]


@pytest.mark.parametrize(
    ("go_away", "seconds"),
    [
        ({"timeLeft": "50s"}, 50.0),
        ({"timeLeft": "9.5s"}, 9.5),
        ({"timeLeft": "-1s"}, 0.0),
        ({}, 0.0),
    ],
)
def test_session_that_ends_soon(decoder, go_away, seconds):
    """
    Where the time is missing, it may end at once.
    """
    assert meaning(decoder, {"goAway": go_away}) == [RealtimeModelSessionExpiringEvent(seconds)]


def test_frame_with_several_fields_gives_the_events_of_each(decoder):
    """
    In the order of the rules; Other comes once, where the first field asks for it.
    """
    frame = {
        "somethingNew": {},
        "goAway": {"timeLeft": "5s"},
        "usageMetadata": {"promptTokenCount": 1},
        "serverContent": {
            "turnComplete": True,
            "generationComplete": True,
            "groundingMetadata": {},
            "outputTranscription": {"text": "Hi."},
            "modelTurn": {"parts": [blob()]},
            "inputTranscription": {"text": "Hello."},
        },
        "setupComplete": {},
    }

    assert kinds(decoder, frame) == [
        "session_updated",
        "input_transcript_delta",
        "turn_started",
        "audio",
        "transcript_delta",
        "other",
        "usage",
        "audio_done",
        "transcript_done",
        "input_audio_transcription_completed",
        "item_updated",
        "turn_ended",
        "session_expiring",
    ]


# --- ids, options, connections ---------------------------------------------------------------


def test_ids_are_counted_and_repeated_by_a_replay(decoder):
    """
    Two decoders make the same events of the same frames.
    """
    events = meaning(decoder, *ALL)

    assert events == meaning(GeminiDecoder(), *ALL)
    ids = dict.fromkeys(
        getattr(event, name)
        for event in events
        for name in ("response_id", "item_id")
        if hasattr(event, name)
    )
    assert [each for each in ids if each.startswith("gem-r")] == [
        f"gem-r{n + 1}" for n in range(sum(each.startswith("gem-r") for each in ids))
    ]


def test_prefix_is_an_option_and_part_of_the_header():
    """
    A session that follows another one in a call has ids of its own, also when a journal is read.
    """
    decoder = GeminiDecoder(id_prefix="gem2")
    again = find_decoder(decoder.name)(**decoder.options)

    for each in (decoder, again):
        started, audio, updated, called = meaning(each, sound(), call(id=None))[:4]
        assert (started.response_id, audio.item_id) == ("gem2-r1", "gem2-a1")
        assert (updated.item.item_id, called.call_id) == ("gem2-t1", "gem2-c1")
        (words,) = meaning(each, heard("Hi."))
        assert words.item_id == "gem2-u1"
    with pytest.raises(ValueError, match="id_prefix is empty"):
        GeminiDecoder(id_prefix="")


def test_resumed_connection_goes_on_counting(decoder):
    """
    What the lost connection has left open ends; the ids of the next are new ones.
    """
    meaning(decoder, voice("START"), heard("Hi"), said("Hel"))

    events = meaning(decoder, {"setupComplete": {}}, said("Hello."))

    assert events == [
        RealtimeModelInputAudioTranscriptionCompletedEvent("gem-u1", "Hi"),
        RealtimeModelTranscriptDoneEvent("gem-a1", "Hel", "gem-r1"),
        RealtimeModelItemUpdatedEvent(
            AssistantMessageItem("gem-a1", (AssistantAudio(transcript="Hel"),), status="incomplete")
        ),
        RealtimeModelTurnEndedEvent("gem-r1", "incomplete"),
        RealtimeModelSessionUpdatedEvent({}, created=True),
        RealtimeModelTurnStartedEvent("gem-r2"),
        RealtimeModelTranscriptDeltaEvent("gem-a2", "Hello.", "gem-r2"),
    ]


# --- forms of a frame ------------------------------------------------------------------------


def pretty(line):
    """
    Return a frame as the service writes it: indented JSON, sent as a binary message.
    """
    return (json.dumps(json.loads(line), indent=2) + "\n").encode()


def snake(value):
    """
    Return a frame with the names that clients in Python use.
    """
    if isinstance(value, dict):
        return {
            "".join(f"_{c.lower()}" if c.isupper() else c for c in name): snake(each)
            for name, each in value.items()
        }
    return [snake(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("form", [pretty, str, str.encode, json.loads], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_form_of_a_frame_makes_no_difference(decoder, name, form):
    """
    Binary or text, indented or not, parsed or not.
    """
    assert meaning(decoder, *map(form, FRAMES[name])) == meaning(GeminiDecoder(), *FRAMES[name])


@pytest.mark.parametrize("name", NAMES)
def test_names_may_be_those_of_python(decoder, name):
    """
    A frame in snake case means the same, and its raw event has it as it came.
    """
    for line in FRAMES[name]:
        frame = snake(json.loads(line))
        raw, *events = decoder.decode(frame)
        assert raw.data == frame
        for event in events:
            if type(event) is RealtimeModelOtherEvent:
                assert event.data == frame
    events, same = (
        [e for e in meaning(GeminiDecoder(), *frames) if e.type not in ("other", "session_updated")]
        for frames in (FRAMES[name], [snake(json.loads(line)) for line in FRAMES[name]])
    )
    assert same == events


@pytest.mark.parametrize("is_reversed", [False, True])
def test_field_with_both_names_has_the_value_of_the_protocols_own(decoder, is_reversed):
    """
    Whatever their order; the other one isn't lost, but is a field that isn't known.
    """
    meaning(decoder, said("Bye."))
    fields = [
        ("serverContent", {"turnComplete": True}),
        ("server_content", {"outputTranscription": {"text": "Hello."}}),
    ]

    seen = kinds(decoder, dict(reversed(fields) if is_reversed else fields))

    assert seen == ["transcript_done", "item_updated", "turn_ended", "other"]


@pytest.mark.parametrize(
    "content",
    ['"turn_complete":false,"turnComplete":true', '"turnComplete":true,"turn_complete":false'],
)
@pytest.mark.parametrize("rest", ["", ',"x":1,"x":2'])
def test_turn_ends_with_both_names_in_any_order(decoder, content, rest):
    """
    Also in a frame that is refused.
    """
    assert "turn_ended" in kinds(decoder, f'{{"server_content":{{{content}{rest}}}}}')


def test_arguments_keep_their_names(decoder):
    """
    Names inside of them are the tool's.
    """
    frame = {"tool_call": {"function_calls": [{"name": "f", "args": {"mime_type": 1}}]}}

    assert meaning(decoder, frame)[-1].arguments == '{"mime_type":1}'


@pytest.mark.parametrize(
    "encode",
    [
        base64.b64encode,
        base64.urlsafe_b64encode,
        lambda data: base64.urlsafe_b64encode(data).rstrip(b"="),
        lambda data: base64.b64encode(data).rstrip(b"="),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 2, 3, 960])
def test_base64_of_both_alphabets(decoder, encode, size):
    """
    With padding or without, as the JSON form of protocol buffers allows it.
    """
    data = (b"\xfb\xff\xbe" * 320)[:size]
    frame = sound()
    frame["serverContent"]["modelTurn"]["parts"][0]["inlineData"]["data"] = encode(data).decode()

    assert (
        meaning(decoder, frame, frame)[1:]
        == [RealtimeModelAudioEvent(data, "gem-r1", "gem-a1", 0)] * 2
    )


def rate_of(settings):
    return settings["audio"]["output"]["format"]


def test_rate_is_read_from_the_type_of_the_audio(decoder):
    """
    24 kHz is what events mean without being told; another rate is told before its first audio.
    """
    frames = [sound(), sound(mime_type="audio/pcm;rate=16000"), sound(mime_type="audio/pcm")]
    frames += [sound(mime_type=""), sound(mime_type="audio/PCM; Rate=24000")]

    events = meaning(decoder, *frames)

    assert [event.type for event in events] == [
        *("turn_started", "audio"),
        *("session_updated", "audio", "audio", "audio"),
        *("session_updated", "audio"),
    ]
    told = [rate_of(e.session) for e in events if type(e) is RealtimeModelSessionUpdatedEvent]
    assert told == [{"type": "audio/pcm", "rate": 16000}, {"type": "audio/pcm", "rate": 24000}]


def test_new_connection_has_the_usual_rate(decoder):
    """
    Its settings take the place of those before.
    """
    slow = sound(mime_type="audio/pcm;rate=16000")

    assert kinds(decoder, slow, {"setupComplete": {}}, slow)[-3:] == [
        "turn_started",
        "session_updated",
        "audio",
    ]


# --- unreadable frames -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "frame_type", "field"),
    [
        ({"setupComplete": 1}, "setupComplete", "setupComplete"),
        ({"serverContent": [1]}, "serverContent", "serverContent"),
        (content(modelTurn="x"), "serverContent", "modelTurn"),
        (content(modelTurn={"parts": {}}), "serverContent.modelTurn", "parts"),
        (parts(1), "serverContent.modelTurn", "parts"),
        (parts({"text": 1}), "serverContent.modelTurn", "parts.text"),
        (parts({"inlineData": 1}), "serverContent.modelTurn", "parts.inlineData"),
        (parts({"inlineData": {}}), "serverContent.modelTurn", "parts.inlineData.data"),
        (
            parts({"inlineData": {"mimeType": PCM, "data": "A"}}),
            "serverContent.modelTurn",
            "parts.inlineData.data",
        ),
        (said(1), "serverContent.outputTranscription", "text"),
        (heard(1), "serverContent.inputTranscription", "text"),
        (
            content(interimInputTranscription={"text": 1}),
            "serverContent.interimInputTranscription",
            "text",
        ),
        (content(interrupted="yes"), "serverContent", "interrupted"),
        (content(generationComplete=1), "serverContent", "generationComplete"),
        (content(turnComplete="true"), "serverContent", "turnComplete"),
        ({"toolCall": {"functionCalls": 1}}, "toolCall", "functionCalls"),
        ({"toolCall": {"functionCalls": [1]}}, "toolCall", "functionCalls"),
        ({"toolCall": {"functionCalls": [{"id": "x"}]}}, "toolCall", "functionCalls.name"),
        (call(id=1), "toolCall", "functionCalls.id"),
        (call(args="{}"), "toolCall", "functionCalls.args"),
        ({"toolCallCancellation": {"ids": "x"}}, "toolCallCancellation", "ids"),
        ({"toolCallCancellation": {"ids": [1]}}, "toolCallCancellation", "ids"),
        ({"usageMetadata": {"promptTokenCount": "x"}}, "usageMetadata", "promptTokenCount"),
        ({"usageMetadata": {"candidatesTokenCount": 1.5}}, "usageMetadata", "candidatesTokenCount"),
    ],
)
def test_wrong_field_is_named(decoder, frame, frame_type, field):
    """
    The error names the field, quotes nothing, and the decoder goes on.
    """
    raw, event = decoder.decode(frame)

    assert raw.data == frame
    assert type(event) is RealtimeModelExceptionEvent
    assert (event.exception.frame_type, event.exception.field) == (frame_type, field)
    assert event.context == f"decoding {frame_type}, field {field}"
    assert kinds(decoder, sound()) == ["turn_started", "audio"]


@pytest.mark.parametrize(
    ("frame", "events"),
    [
        *(
            (voice("START", offset), ["exception", "input_speech_started"])
            for offset in (
                "soon",
                "s",
                ".s",
                "-s",
                "1e3s",
                "1_0s",
                "\u0661s",
                f"{'9' * 400}s",
                "5",
                "nans",
            )
        ),
        ({"goAway": {"timeLeft": 50}}, ["exception", "session_expiring"]),
        ({"goAway": "now"}, ["exception", "session_expiring"]),
        (parts({"text": 1}, blob()), ["exception", "turn_started", "audio"]),
        (
            {"toolCall": {"functionCalls": [1, {"name": "f"}]}},
            ["exception", "turn_started", "item_updated", "function_call"],
        ),
        (
            {"usageMetadata": 1, "serverContent": {"turnComplete": True, "modelTurn": 1}},
            ["exception", "exception", "turn_started", "turn_ended"],
        ),
    ],
)
def test_rest_of_a_frame_is_read_all_the_same(decoder, frame, events):
    """
    A field that can't be read costs its own event only.
    """
    assert kinds(decoder, frame) == events


@pytest.mark.parametrize(
    "frame",
    [
        '{"serverContent":{"turnComplete":true,"x":"\\ud800"}}',
        '{"serverContent":{"turnComplete":true,"x":NaN}}',
        '{"serverContent":{"turnComplete":true,"x":1,"x":2}}',
        '{"server_content":{"turn_complete":true,"x":1,"x":2}}',
        '{"usageMetadata":{},"serverContent":{"turnComplete":true,"turnComplete":true}}',
        '{"serverContent":{"turnComplete":true},"x":' + "[" * 200 + "]" * 200 + "}",
    ],
)
def test_refused_frame_ends_the_turn_all_the_same(decoder, frame):
    """
    Code that waits for the end of a turn doesn't wait for ever.
    """
    meaning(decoder, said("Bye."))

    raw, refused, *ends = decoder.decode(frame)

    assert type(raw) is RealtimeModelRawServerEvent
    assert type(refused) is RealtimeModelExceptionEvent
    assert refused.exception.frame_type is not None
    assert [event.type for event in ends] == ["transcript_done", "item_updated", "turn_ended"]


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[]",
        b"\xff",
        '{"serverContent":{"turnComplete":false,"x":NaN}}',
        '{"toolCall":{"functionCalls":[],"functionCalls":[]}}',
    ],
)
def test_other_refused_frames_end_nothing(decoder, frame):
    """
    The turn goes on.
    """
    meaning(decoder, said("Bye."))

    assert kinds(decoder, frame) == ["exception"]
    assert kinds(decoder, said(" Now.")) == ["transcript_delta"]


# --- any frame -------------------------------------------------------------------------------

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each),
    max_leaves=8,
)
VALUES = {
    "setupComplete": st.just({}) | st.just({"sessionId": "s"}),
    "voiceActivity": st.fixed_dictionaries(
        {"voiceActivityType": st.sampled_from(["ACTIVITY_START", "ACTIVITY_END", "x"])},
        optional={"audioOffset": st.sampled_from(["0s", "-1.5s", ".s"]) | st.text("0123.-s")},
    ),
    "voiceActivityDetectionSignal": st.fixed_dictionaries(
        {"vadSignalType": st.sampled_from(["VAD_SIGNAL_TYPE_SOS", "VAD_SIGNAL_TYPE_EOS"])}
    ),
    "toolCall": st.fixed_dictionaries(
        {
            "functionCalls": st.lists(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "id": st.just("c"),
                        "name": st.just("f"),
                        "args": st.just({"a": 1}),
                        "willContinue": st.booleans(),
                    },
                ),
                max_size=2,
            )
        }
    ),
    "toolCallCancellation": st.fixed_dictionaries(
        {"ids": st.lists(st.text(max_size=3), max_size=2)}
    ),
    "usageMetadata": st.fixed_dictionaries(
        {}, optional={"promptTokenCount": st.integers(), "responseTokenCount": st.integers()}
    ),
    "sessionResumptionUpdate": st.just({}),
    "goAway": st.fixed_dictionaries(
        {"timeLeft": st.sampled_from(["1s", "x", ""]) | st.text("0123.-s")}
    ),
    "unknown": plain,
}
texts = st.fixed_dictionaries({}, optional={"text": st.text(max_size=4), "finished": st.booleans()})
part = st.one_of(
    st.builds(blob, st.binary(max_size=4), st.sampled_from([PCM, "audio/pcm;rate=8000", "x", ""])),
    st.fixed_dictionaries({"text": st.text(max_size=4)}, optional={"thought": st.booleans()}),
    st.just({"executableCode": {}}),
    plain,
)
CONTENT_VALUES = {
    "interimInputTranscription": texts,
    "inputTranscription": texts,
    "modelTurn": st.fixed_dictionaries({"parts": st.lists(part, max_size=3)}),
    "outputTranscription": texts,
    "interrupted": st.booleans(),
    "groundingMetadata": st.just({}),
    "urlContextMetadata": st.just({}),
    "waitingForInput": st.booleans(),
    "generationComplete": st.booleans(),
    "turnComplete": st.booleans(),
    "turnCompleteReason": st.sampled_from(["NEED_MORE_INPUT", "BLOCKLIST"]),
    "interactionStatus": st.sampled_from(["IDLE", "IN_PROGRESS"]),
    "unknown": plain,
}


def chosen(values):
    """
    Return some of the fields, each with a value of its own or with any.
    """
    return st.fixed_dictionaries(
        {}, optional={name: st.one_of(value, value, value, plain) for name, value in values.items()}
    )


message = chosen({**VALUES, "serverContent": chosen(CONTENT_VALUES)}) | chosen(CONTENT_VALUES).map(
    lambda fields: {"serverContent": fields}
)
spoken = st.sampled_from(ALL).map(json.loads)


def told(events):
    """
    Return events as they can be compared: an exception by its text.
    """
    return [
        (event.context, str(event.exception))
        if isinstance(event, RealtimeModelExceptionEvent)
        else event
        for event in events
    ]


@given(st.lists(message | spoken, max_size=12))
@pytest.mark.slow
def test_any_combination_of_fields_is_decoded_and_turns_are_whole(frames):
    """
    Nothing raises, the raw event is first, and each turn that begins ends at most once.
    """
    first, second = GeminiDecoder(), GeminiDecoder()
    turns, spoken = [], []
    for frame in frames:
        raw, *events = first.decode(frame)

        assert type(raw) is RealtimeModelRawServerEvent
        assert raw.data == frame
        assert events
        assert sum(type(event) is RealtimeModelOtherEvent for event in events) <= 1
        assert told(second.decode(json.dumps(frame, indent=1).encode())[1:]) == told(events)
        turns += [e for e in events if e.type in ("turn_started", "turn_ended")]
        spoken += [e for e in events if type(e) is RealtimeModelAudioEvent]

    *_, last = [e.type for e in first.decode(COMPLETE)]
    assert last == "turn_ended"
    assert [e.type for e in turns] == (["turn_started", "turn_ended"] * len(turns))[: len(turns)]
    ids = [e.response_id for e in turns]
    assert ids[::2][: len(ids) // 2] == ids[1::2]
    assert len(set(ids[::2])) == len(ids[::2])
    assert {e.response_id for e in spoken} <= set(ids)


@given(st.dictionaries(st.text(max_size=8) | st.sampled_from([*VALUES, "serverContent"]), plain))
@pytest.mark.slow
def test_any_object_is_decoded(frame):
    """
    Nothing in a frame makes the decoder fail.
    """
    raw, *others = GeminiDecoder().decode(frame)

    assert type(raw) is RealtimeModelRawServerEvent
    assert others


# --- the short ways --------------------------------------------------------------------------

SPACES = [(",", ":"), (", ", ": "), (" ,", " : ")]


def encoded(frame, form):
    """
    Return a frame as bytes: indented, or with certain separators.
    """
    if form == "indent":
        return (json.dumps(frame, indent=2) + "\n").encode()
    return json.dumps(frame, separators=form, ensure_ascii=False).encode()


numbers = itertools.count()


def words(name):
    """
    Return a frame with a transcript.
    """
    return {"serverContent": {name: {"text": "Yes"}}}


def one_by_one(frames):
    """
    Return the events of each frame, decoded by a decoder that has seen no audio in bytes.

    Its state is that of the decoder before, and no frame before ends in the same spaces: so each
    frame is parsed.
    """
    decoder, found = GeminiDecoder(), []
    for frame in frames:
        spaces = f"{next(numbers):024b}".replace("0", " ").replace("1", "\t").encode()
        events = decoder.decode(frame + spaces)
        found.append(told(events[1:]))
        state, decoder = decoder.state_at(mark_of(events[0])), GeminiDecoder()
        decoder.restore(state)
    return found


odd_audio = st.builds(
    lambda data, mime, extra: {
        "serverContent": {
            "modelTurn": {"parts": [{"inlineData": {"mimeType": mime, "data": data}, **extra}]}
        }
    },
    st.binary(max_size=9).map(lambda data: base64.b64encode(data).decode())
    | st.sampled_from(["", "A", "-_-_", "AA=A", "AAAA\n", '"', "\\", "é"]),
    st.sampled_from([PCM, "audio/pcm;rate=16000", "text/plain"]),
    st.sampled_from([{}, {}, {"data": "AAAA"}, {"note": "a:b"}, {"thought": True}]),
)


@given(
    st.lists(
        st.tuples(
            odd_audio | odd_audio | spoken | message,
            st.sampled_from([*SPACES, SPACES[0], "indent"]),
        ),
        max_size=12,
    )
)
@pytest.mark.slow
def test_frames_are_read_alike_with_and_without_the_shortcut(frames):
    """
    Any audio after any other gives the events, and the refusals, of a frame that is parsed.
    """
    raw = [encoded(*each) for each in frames]
    decoder = GeminiDecoder()

    assert [told(decoder.decode(frame)[1:]) for frame in raw] == one_by_one(raw)


alike = st.builds(
    lambda name, words, extra: {"serverContent": {name: {"text": words, **extra}}},
    st.sampled_from(["inputTranscription", "interimInputTranscription", "outputTranscription"]),
    st.text(max_size=4) | st.sampled_from(['"', "\\", "a:b", '","text":"', "\n", "\x7f", "é"]),
    st.sampled_from([{}, {}, {}, {"languageCode": "de"}, {"finished": True}, {"text": 1}]),
) | st.sampled_from(
    [
        {"serverContent": {"modelTurn": {"parts": [{"text": "Yes."}]}}},
        {"serverContent": {"modelTurn": {"parts": [{"text": "Hm", "thought": True}]}}},
        {"serverContent": {"modelTurn": {"parts": [{"text": "A"}, {"text": "b"}]}}},
        {"serverContent": {"interrupted": True}},
        {"serverContent": {"generationComplete": True}},
        {"serverContent": {"turnComplete": True}},
        {"voiceActivityDetectionSignal": {"vadSignalType": "VAD_SIGNAL_TYPE_SOS"}},
        {"voiceActivityDetectionSignal": {"vadSignalType": "VAD_SIGNAL_TYPE_EOS"}},
        {"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}},
    ]
)


@given(
    st.lists(
        st.tuples(
            alike,
            st.sampled_from([SPACES[0], SPACES[0], "indent"]),
            st.sampled_from(
                [
                    (b"", b""),
                    (b"", b""),
                    (b'"text"', b'"te\\u0078t"'),
                    (b'"text"', b'"tent"'),
                    (b'"text"', b'"text":"x","text"'),
                    (b'"}', b'","text":null}'),
                    (b'"serverContent"', b'"serverContent":1,"serverContent"'),
                    (b"true", b"false"),
                    (b"}", b"}}"),
                    (b'"', b""),
                    (b":", b": "),
                    (b"e", b"\xff"),
                ]
            ),
        ),
        max_size=16,
    )
)
@pytest.mark.slow
def test_frame_like_one_before_is_read_like_any_other(frames):
    """
    Frames with the same bytes around another text give the events of frames that are parsed.
    """
    raw = [encoded(frame, form).replace(*change, 1) for frame, form, change in frames]
    decoder = GeminiDecoder()

    assert [told(decoder.decode(frame)[1:]) for frame in raw] == one_by_one(raw)


@pytest.mark.parametrize("form", [*SPACES, "indent"])
@pytest.mark.parametrize(
    ("old", "new"), [(b'"text"', b'"tent"'), (b"Transcription", b"transcription")]
)
def test_field_of_another_name_is_not_read_like_one_before(decoder, form, old, new):
    """
    A frame that differs in a name alone from the one before has another meaning.
    """
    raw = encoded(words("outputTranscription"), form)
    meaning(decoder, raw, raw)

    (event,) = meaning(decoder, raw.replace(old, new))

    assert type(event) is RealtimeModelOtherEvent


def test_frame_that_another_session_had_belongs_to_its_own():
    """
    Frames that are the same in two sessions give the ids of each.
    """
    lines = [line.encode() for line in FRAMES["gemini_audio_turn.jsonl"]]
    one, two = GeminiDecoder(id_prefix="one"), GeminiDecoder(id_prefix="two")

    first = [meaning(one, line) for line in lines]

    second = [meaning(two, line) for line in lines]
    assert str(first).replace("one-", "two-") == str(second)


@pytest.mark.parametrize("form", [*SPACES, "indent"])
@pytest.mark.parametrize(
    ("frame", "old", "new"),
    [
        (words("outputTranscription"), b'"text"', b'"text":"No","text"'),
        (words("outputTranscription"), b'"text"', b'"text":{},"text"'),
        (words("inputTranscription"), b'"inputT', b'"inputTranscription":{},"inputT'),
        (words("interimInputTranscription"), b'"serverC', b'"serverContent":1,"serverC'),
        ({"serverContent": {"interrupted": True}}, b'"interr', b'"interrupted":false,"interr'),
        ({"serverContent": {"turnComplete": True}}, b"true", b'true,"turnComplete":true'),
    ],
)
def test_no_name_comes_twice_in_a_frame_like_one_before(form, frame, old, new):
    """
    A frame that is refused is refused also after one of the same form that isn't.
    """
    decoder, raw = GeminiDecoder(), encoded(frame, form)
    meaning(decoder, raw, raw)

    error, *_ = meaning(decoder, raw.replace(old, new, 1))

    assert type(error) is RealtimeModelExceptionEvent
    assert "has a name twice in one object" in str(error.exception)


@pytest.mark.parametrize("form", [*SPACES, "indent"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"mimeType"', b'"data":"AAAA","mimeType"'),
        (b'"modelTurn"', b'"modelTurn":{},"modelTurn"'),
        (b'"serverContent"', b'"serverContent":1,"serverContent"'),
        (b'"parts"', b'"parts":[],"parts"'),
    ],
)
def test_no_name_comes_twice(form, old, new):
    """
    Also not in audio that comes after audio without one.
    """
    decoder, frame = GeminiDecoder(), encoded(sound(), form)
    meaning(decoder, frame, frame)

    (event,) = meaning(decoder, frame.replace(old, new))

    assert type(event) is RealtimeModelExceptionEvent
    assert "has a name twice in one object" in str(event.exception)


def test_events_are_published_in_one_step():
    """
    The protocol goes the same way to a bus as the others, large frames and small ones.
    """
    for form in (*SPACES, "indent"):
        bus, seen = EventBus(), []
        bus.subscribe(lambda event, seen=seen: seen.append(event), object)
        decoder = GeminiDecoder()
        frames = [encoded(json.loads(line), form) for line in ALL]
        frames += [encoded(sound(bytes(960)), form)] * 3

        for frame in frames:
            decoder.publish_to(bus, frame)

        again = GeminiDecoder()
        assert seen == [event for frame in frames for event in again.decode(frame)]
        quiet, heard = EventBus(), []
        quiet.subscribe(heard.append, RealtimeModelAudioEvent)
        decoder = GeminiDecoder()
        for frame in frames:
            decoder.publish_to(quiet, frame)
        assert heard == [event for event in seen if type(event) is RealtimeModelAudioEvent]
        assert quiet.stats.published == bus.stats.published

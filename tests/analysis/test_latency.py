"""
`eventbus.analysis.measure`: turns, their latency and its parts, interruptions, tools.
"""

from __future__ import annotations

import base64

import msgspec
import pytest

from eventbus.analysis import Tokens, measure
from eventbus.codec import packs
from eventbus.events import RealtimeModelUsageEvent, Usage
from eventbus.journal import EventRecord
from eventbus.wire.gemini import GeminiDecoder
from eventbus.wire.openai import GPTLiveDecoder
from tests.journal.stories import Story, spoken_turn, voice

PARTS = ("endpointing_ms", "model_ms", "tool_ms", "first_audio_ms", "dispatch_ms")


def call_of(story):
    (call,) = measure(story.records).calls
    return call


def turn_of(story):
    (turn,) = call_of(story).turns
    return turn


def parts(turn):
    return tuple(getattr(turn, name) for name in PARTS)


def asked(story, *, at_ms=1_000):
    """
    Let the caller stop speaking; nothing that was sent is in the journal.
    """
    story.at(at_ms).frame("input_audio_buffer.speech_stopped", item_id="u", audio_end_ms=900)


def begin(story, ms, response="resp_1"):
    story.at(ms).frame("response.created", response={"id": response})


def end(story, ms, response="resp_1", status="completed"):
    story.at(ms).frame("response.done", response={"id": response, "status": status, "output": []})


def call_tool(story, ms, call_id="c1", response="resp_1"):
    item = {"type": "function_call", "status": "completed", "id": f"item_{call_id}"}
    item |= {"call_id": call_id, "name": "weather", "arguments": "{}"}
    story.at(ms).frame("response.output_item.done", response_id=response, item=item)


def answer_tool(story, ms, call_id="c1"):
    item = {"type": "function_call_output", "call_id": call_id, "output": "{}"}
    story.at(ms).send({"type": "conversation.item.create", "item": item})


def barge_in(story, ms, audio_start_ms):
    name = "input_audio_buffer.speech_started"
    return story.at(ms).frame(name, item_id="u2", audio_start_ms=audio_start_ms)


# --- turns -----------------------------------------------------------------------------------


def test_turn_begins_with_the_last_voiced_sample():
    """
    The silence that ended the turn is no part of the speech: it counts as waiting.
    """
    turn = turn_of(spoken_turn())

    assert (turn.at_ms, turn.latency_ms, turn.is_estimated) == (1_700.0, 820.0, False)
    assert parts(turn) == (450.0, 100.0, 0.0, 250.0, 20.0)


def test_end_of_speech_is_estimated_where_nothing_was_sent():
    """
    Without the caller's audio, speech ended so long before its end was told as the silence lasts.
    """
    story = Story()
    story.session(silence_ms=300)
    asked(story)
    begin(story, 1_100)
    story.at(1_200).audio(100)
    turn = turn_of(story)

    assert (turn.at_ms, turn.latency_ms, turn.is_estimated) == (700.0, 500.0, True)
    assert parts(turn) == (300.0, 100.0, 0.0, 100.0, None)


def test_tools_are_a_part_of_their_own():
    """
    The model has the time until it calls a tool and after the last output, the tools have theirs.
    """
    story = Story()
    story.session(silence_ms=0)
    asked(story)
    begin(story, 1_010)
    call_tool(story, 1_100, "c1")
    call_tool(story, 1_150, "c2")
    end(story, 1_160)
    answer_tool(story, 1_500, "c1")
    answer_tool(story, 1_700, "c2")
    begin(story, 1_800, "resp_2")
    story.at(2_000).audio(100, response="resp_2")
    call = call_of(story)

    assert parts(call.turns[0]) == (0.0, 100.0 + 100.0, 600.0, 200.0, None)
    assert call.turns[0].latency_ms == 1_000.0
    assert [(tool.name, tool.time_ms) for tool in call.tool_calls] == [
        ("weather", 400.0),
        ("weather", 550.0),
    ]


def test_tool_without_an_output_takes_until_the_next_response():
    """
    If the output was not recorded, the tool's part ends where a response begins; its time is None.
    """
    story = Story()
    asked(story)
    begin(story, 1_000)
    call_tool(story, 1_100)
    end(story, 1_100)
    begin(story, 1_900, "resp_2")
    story.audio(100, response="resp_2")
    call = call_of(story)

    assert call.turns[0].tool_ms == 800.0
    assert call.tool_calls[0].time_ms is None


def test_committed_audio_is_a_turn_without_detection():
    """
    A turn that the application commits begins with the last audio that was sent.
    """
    story = Story()
    story.say(500)
    story.at(600).frame("input_audio_buffer.committed", item_id="u", previous_item_id=None)
    begin(story, 700)
    story.at(900).audio(100)
    turn = turn_of(story)

    assert (turn.at_ms, turn.latency_ms, turn.is_estimated) == (500.0, 400.0, True)


def test_committed_audio_begins_a_turn_with_its_last_voiced_sample():
    """
    A button that is let go late counts as waiting, in each turn by itself.
    """
    story = Story()
    for beginning in (0, 2_000):
        story.at(beginning).say(200)
        story.say(300, is_voiced=True)
        story.say(200)
        item = f"u{beginning}"
        story.frame("input_audio_buffer.committed", item_id=item, previous_item_id=None)
        begin(story, beginning + 800, item)
        story.at(beginning + 900).audio(100, response=item)
        end(story, beginning + 950, item)
    turns = call_of(story).turns

    assert [turn.at_ms for turn in turns] == [500.0, 2_500.0]
    assert [turn.latency_ms for turn in turns] == [400.0, 400.0]
    assert [turn.endpointing_ms for turn in turns] == [200.0, 200.0]
    assert not any(turn.is_estimated for turn in turns)


def test_written_message_is_a_turn():
    """
    A message that the user has written counts from when it was sent.
    """
    story = Story()
    item = {"type": "message", "role": "user", "content": []}
    story.at(100).send({"type": "conversation.item.create", "item": item})
    story.at(150).send({"type": "response.create"})
    begin(story, 200)
    story.at(400).audio(100)
    turn = turn_of(story)

    assert (turn.kind, turn.at_ms, turn.latency_ms) == ("text", 100.0, 300.0)
    assert parts(turn) == (50.0, 50.0, 0.0, 200.0, None)


def test_greeting_is_no_turn():
    """
    A response that nobody has asked for answers nothing.
    """
    story = Story()
    story.send({"type": "response.create"})
    begin(story, 200)
    story.audio(100)

    assert call_of(story).turns == ()


@pytest.mark.parametrize(
    ("happens", "outcome"),
    [
        (lambda story: end(story, 1_200), "silent"),
        (lambda story: end(story, 1_200, status="failed"), "failed"),
        (lambda story: end(story, 1_200, status="cancelled"), "abandoned"),
        (lambda story: barge_in(story, 1_200, 1_000), "abandoned"),
        (lambda story: None, "open"),
    ],
)
def test_turn_without_audio_has_an_outcome_and_no_latency(happens, outcome):
    """
    Turns that were not answered aloud are told apart, and are no part of the latency.
    """
    story = Story()
    asked(story)
    begin(story, 1_100)
    happens(story)
    figures = measure(story.records)

    assert [(turn.outcome, turn.latency_ms) for turn in figures.calls[0].turns] == [(outcome, None)]
    assert "turn_latency" not in figures.totals.figures


def test_late_end_of_another_response_is_not_taken_for_this_one():
    """
    Events of the response before don't end the turn.
    """
    story = Story()
    asked(story)
    begin(story, 1_100)
    barge_in(story, 1_200, 1_000)
    asked(story, at_ms=1_500)
    end(story, 1_600, status="cancelled")
    begin(story, 1_700, "resp_2")
    story.at(1_800).audio(100, response="resp_2")

    assert [turn.outcome for turn in call_of(story).turns] == ["abandoned", "answered"]


def test_only_the_player_counts_as_playing():
    """
    Of several handlers that get the audio, played_by= says which plays it; else it is the first.
    """
    story = spoken_turn()
    audio = next(r.seq for r in story.records if getattr(r, "type_name", None) == "audio")
    story.at(2_700).call("app.speaker.write", audio, run_ms=100)

    (first,) = measure(story.records).calls[0].turns
    (played,) = measure(story.records, played_by="*.write").calls[0].turns

    assert (first.dispatch_ms, played.dispatch_ms) == (20.0, 100.0)


# --- interruptions ---------------------------------------------------------------------------


def test_interruption_lasts_until_the_handler_has_stopped_the_audio():
    """
    It counts from the caller's first voiced sample to the end of the handler's call.
    """
    story = Story()
    story.session(padding_ms=300)
    story.frame("response.created", response={"id": "resp_1"})
    story.audio(5_000)
    story.say(640)
    story.say(360, is_voiced=True)
    event = barge_in(story, 1_000, 400)
    story.at(1_030).call("app.stop", event, run_ms=10)
    (cut,) = call_of(story).interruptions

    assert (cut.at_ms, cut.latency_ms, cut.is_latency_estimated) == (1_000.0, 390.0, False)
    assert (cut.unheard_ms, cut.is_unheard_estimated) == (4_000.0, True)


def test_beginning_of_an_interruption_is_estimated_without_a_voice_in_the_audio():
    """
    Without a voice in the audio, it is taken to begin behind the padding.
    """
    story = Story()
    story.session(padding_ms=300)
    story.frame("response.created", response={"id": "resp_1"})
    story.audio(5_000)
    story.say(1_000)
    barge_in(story, 1_000, 400)
    (cut,) = call_of(story).interruptions

    assert (cut.latency_ms, cut.is_latency_estimated) == (300.0, True)


def test_unheard_audio_is_what_the_session_says():
    """
    If the item was truncated, that counts, not the estimate.
    """
    story = Story()
    story.session()
    story.frame("response.created", response={"id": "resp_1"})
    story.audio(5_000)
    story.say(1_000)
    barge_in(story, 1_000, 700)
    truncate = {"type": "conversation.item.truncate", "item_id": "item_a", "content_index": 0}
    story.send({**truncate, "audio_end_ms": 800})
    (cut,) = call_of(story).interruptions

    assert (cut.unheard_ms, cut.is_unheard_estimated) == (4_200.0, False)


def test_speech_after_the_audio_was_heard_is_no_interruption():
    """
    Speech after the model has been heard to its end is not an interruption.
    """
    story = Story()
    story.session()
    story.frame("response.created", response={"id": "resp_1"})
    story.audio(500)
    barge_in(story, 900, 700)

    assert call_of(story).interruptions == ()


# --- the rest --------------------------------------------------------------------------------


def test_transcription_delay_begins_with_the_end_of_speech():
    """
    The delay of a transcript is that from the message that speech has stopped.
    """
    assert measure(spoken_turn().records).totals.figures["transcription_delay"].max == 450.0


def test_spans_are_what_was_heard():
    """
    The timeline has the caller's speech, the model's as heard, and the tools.
    """
    call = call_of(spoken_turn())

    assert [(span.lane, span.start_ms, span.end_ms) for span in call.spans] == [
        ("caller", 400.0, 1_700.0),
        ("model", 2_500.0, 3_500.0),
    ]


def test_strange_data_is_no_crash():
    """
    Fields that a service never sends as they should be are passed over.
    """
    story = Story()
    story.frame("session.created", session={"audio": 3, "turn_detection": []})
    story.frame("input_audio_buffer.speech_stopped", item_id=3)
    story.frame("response.done", response=None)
    story.send({"type": "conversation.item.create", "item": None})
    story.send({"type": "conversation.item.truncate", "audio_end_ms": "x"})

    assert call_of(story).turns == ()


# --- tokens ----------------------------------------------------------------------------------


def test_tokens_of_responses_are_added_up():
    """
    Each response has its own.
    """
    story = Story()
    for number in (1, 2):
        usage = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}
        response = {"id": f"resp_{number}", "status": "completed", "usage": usage, "output": []}
        story.frame("response.done", response=response)

    assert call_of(story).tokens == Tokens(20, 40, 60, 0)


def test_cumulative_usage_is_not_added_up():
    """
    Where a service sends the sum so far, the last one counts.
    """
    story = Story()
    for total in (30, 50):
        document = packs(RealtimeModelUsageEvent(Usage(1, 10, total - 10, total)))
        plain = msgspec.msgpack.decode(document)
        plain["usage"]["is_cumulative"] = True
        story.add(
            EventRecord,
            class_name="RealtimeModelUsageEvent",
            type_name="usage",
            document=plain,
        )

    assert call_of(story).tokens == Tokens(10, 40, 50, 0)


# --- a protocol without turns ----------------------------------------------------------------


def test_inferred_turns_have_figures():
    """
    Where the decoder concludes the turns from transcripts, the voice is measured all the same.
    """
    story = Story(decoder=GPTLiveDecoder())
    story.frame("session.started", session={"id": "sess_1"})
    story.say(300, type_name="session.input_audio.append")
    story.say(700, is_voiced=True, type_name="session.input_audio.append")
    story.frame("session.input_transcript.delta", delta="Hello", start_ms=300, end_ms=1_000)
    story.say(500, type_name="session.input_audio.append")
    story.at(1_500).frame(
        "session.output_transcript.delta", delta="Hi", start_ms=1_500, end_ms=1_600
    )
    story.at(1_520).frame("session.output_audio.delta", delta=base64.b64encode(voice(200)).decode())
    turn = turn_of(story)

    assert (turn.at_ms, turn.latency_ms, turn.is_estimated) == (1_000.0, 520.0, False)


def test_silence_is_not_speech():
    """
    Silence that a decoder marks as such neither answers a turn nor is heard.
    """
    story = Story(decoder=GPTLiveDecoder())
    story.frame("session.started", session={"id": "sess_1"})
    silence = base64.b64encode(bytes(48 * 200)).decode()
    for ms in range(0, 1_000, 200):
        story.at(ms).frame("session.output_audio.delta", delta=silence)
    call = call_of(story)

    assert (call.spans, call.turns) == ((), ())


# --- Gemini Live -----------------------------------------------------------------------------


def to_gemini():
    story = Story(decoder=GeminiDecoder())
    story.receive({"setupComplete": {}})
    return story


def model_turn(story, ms):
    """
    Receive the first audio of an answer.
    """
    data = base64.b64encode(bytes(4_800)).decode()
    blob = {"mimeType": "audio/pcm;rate=24000", "data": data}
    story.at(ms).receive({"serverContent": {"modelTurn": {"parts": [{"inlineData": blob}]}}})


def test_turn_of_gemini_begins_with_the_last_voiced_sample():
    """
    Without a word of the service about speech, it is found when the answer begins, once.
    """
    story = to_gemini()
    story.say(200, to_gemini=True)
    story.say(600, is_voiced=True, to_gemini=True)
    story.say(300, to_gemini=True)
    model_turn(story, 1_500)
    story.receive({"serverContent": {"turnComplete": True}})
    story.say(300, to_gemini=True)
    model_turn(story, 2_500)
    call = call_of(story)

    (turn,) = call.turns
    assert (turn.kind, turn.at_ms, turn.latency_ms, turn.is_estimated) == (
        "speech",
        800.0,
        700.0,
        False,
    )
    assert parts(turn) == (700.0, 0.0, 0.0, 0.0, None)
    spans = [(span.start_ms, span.end_ms) for span in call.spans if span.lane == "caller"]
    assert spans == [(200.0, 800.0)]


def test_rate_of_audio_that_is_sent_to_gemini_counts():
    """
    The same bytes at 16 kHz last longer than at 24 kHz, whatever the session's format is.
    """
    story = to_gemini()
    for _ in range(10):
        data = base64.b64encode(voice(100)).decode()  # 150 ms at 16 kHz
        blob = {"mimeType": "audio/pcm;rate=16000", "data": data}
        story.at(story.now_ms + 150).send({"realtimeInput": {"audio": blob}}, audio_bytes=4_800)
    model_turn(story, 2_000)
    call = call_of(story)

    (span,) = [span for span in call.spans if span.lane == "caller"]
    assert (span.start_ms, span.end_ms) == (0.0, 1_500.0)


def test_words_of_gemini_about_speech_are_believed():
    """
    A session that tells when the caller begins and stops to speak is measured by that.
    """
    story = to_gemini()
    story.say(500, is_voiced=True, to_gemini=True)
    activity = {"voiceActivityType": "ACTIVITY_START", "audioOffset": "0s"}
    story.receive({"voiceActivity": activity})
    story.say(300, to_gemini=True)
    activity = {"voiceActivityType": "ACTIVITY_END", "audioOffset": "0.8s"}
    story.receive({"voiceActivity": activity})
    model_turn(story, 1_000)
    story.receive({"serverContent": {"turnComplete": True}})
    story.say(300, is_voiced=True, to_gemini=True)
    model_turn(story, 1_400)

    assert len(call_of(story).turns) == 1


def test_end_of_speech_by_the_application_begins_a_turn_of_gemini():
    """
    ``activityEnd`` is to Gemini what a commit is to OpenAI.
    """
    story = to_gemini()
    story.say(500, is_voiced=True, to_gemini=True)
    story.at(600).send({"realtimeInput": {"activityEnd": {}}})
    model_turn(story, 900)

    turn = turn_of(story)
    assert (turn.at_ms, turn.latency_ms) == (500.0, 400.0)
    assert parts(turn) == (100.0, 300.0, 0.0, 0.0, None)


@pytest.mark.parametrize(
    "message",
    [
        {"clientContent": {"turns": [], "turnComplete": True}},
        {"client_content": {"turns": [], "turn_complete": True}},
        {"realtime_input": {"text": "Hello"}},
    ],
)
def test_text_to_gemini_begins_a_turn(message):
    """
    A text that is to be answered begins a turn, in any spelling.
    """
    story = to_gemini()
    story.send({"clientContent": {"turns": [], "turnComplete": False}})
    story.at(100).send(message)
    model_turn(story, 400)

    turn = turn_of(story)
    assert (turn.kind, turn.at_ms, turn.latency_ms) == ("text", 100.0, 300.0)


@pytest.mark.parametrize(
    "names",
    [("toolResponse", "functionResponses"), ("tool_response", "function_responses")],
)
def test_tools_of_gemini_are_a_part_of_their_own(names):
    """
    A tool takes from its call until its answer is sent, in any spelling.
    """
    outer, inner = names
    story = to_gemini()
    story.at(0).send({"clientContent": {"turnComplete": True}})
    call = {"functionCalls": [{"name": "weather", "args": {}, "id": "c1"}]}
    story.at(200).receive({"toolCall": call})
    story.at(700).send({outer: {inner: [{"id": "c1", "response": {}}, {"id": 5}, None]}})
    model_turn(story, 1_000)
    measured = call_of(story)

    assert [(tool.name, tool.time_ms) for tool in measured.tool_calls] == [("weather", 500.0)]
    assert measured.turns[0].tool_ms == 500.0

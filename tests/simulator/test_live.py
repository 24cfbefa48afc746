"""
A simulated GPT-Live session: messages and audio in, events out, as openai's types have them.
"""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.audio import AudioFormat
from eventbus.simulator import Scenario, load_scenario
from eventbus.simulator._live.service import LiveService
from eventbus.simulator._service.fault_plan import Close, Drop
from eventbus.simulator.scenario import Call, Turn
from eventbus.simulator.speech import silence, speak
from tests.simulator.live_talk import (
    RESPONSES,
    LiveTalk,
    delegated,
    heard,
    kinds,
    only_error,
    words,
)

WEATHER = Scenario(
    turns=[
        Turn(
            say="One moment.",
            call=[Call("get_weather", {"city": "Oslo"})],
            then=Turn(say="In Oslo: {output}."),
        )
    ]
)
STORY = "Once upon a time there was a telephone. " * 6


@pytest.fixture
def talk():
    """
    A session that repeats the user's words.
    """
    talk = LiveTalk()
    talk.start()
    return talk


def test_the_first_event_answers_the_start():
    """
    Nothing comes before session.start; then comes the whole session, with defaults.
    """
    talk = LiveTalk(wall_time=1_800_000_000)
    assert talk.wait(10_000) == []

    [started] = talk.send("session.start", session={"model": "gpt-live-1"}, event_id="e1")

    assert started["client_event_id"] == "e1"
    assert started["session"]["model"] == "gpt-live-1"
    assert started["session"]["expires_at"] == 1_800_007_200
    assert started["session"]["audio"]["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert started["session"]["delegation"] == {"type": "client"}


def test_start_comes_first_and_once(talk):
    """
    Another message before session.start is an error, and so is a second start.
    """
    early = LiveTalk().send("session.input_audio.mute", event_id="e7")
    twice = talk.send("session.start", session={"model": "gpt-live-1"})

    assert only_error(early)["code"] == "session_not_started"
    assert only_error(early)["client_event_id"] == "e7"
    assert only_error(twice)["code"] == "session_already_started"


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"type": "session.close", "reason": "done"}, "reason"),
        ({"type": "session.update", "session": {"instructions": "Hi"}}, "session.instructions"),
        ({"type": "session.update", "session": {"audio": {}}}, "session.audio"),
        ({"type": "session.commentary.append", "content": "Hi"}, "delegation_id"),
        ({"type": "input_audio_buffer.commit"}, "type"),
        ({"type": "response.cancel"}, "type"),
        ({"type": "session.input_audio.append", "audio": "?"}, "audio"),
        (
            {"type": "session.update", "session": {"delegation": {"type": "responses"}}},
            "session.delegation.responses.model",
        ),
        (
            {"type": "session.update", "session": {"delegation": {"type": "decisions"}}},
            "session.delegation",
        ),
        (
            {"type": "session.thinking.append", "content": "x" * 2_100, "delegation_id": None},
            "content",
        ),
        ({"type": "session.thinking.append", "content": " ", "delegation_id": None}, "content"),
        (
            {"type": "session.commentary.append", "content": "x", "delegation_id": "dlg_9"},
            "delegation_id",
        ),
        ({"type": "response.create"}, "type"),
        ({"type": "session.output_audio.fixture.play", "audio": ""}, "audio"),
    ],
)
def test_what_the_service_refuses(talk, message, param):
    """
    Unknown fields, settings that can't change, messages of the other protocol: an error names them.
    """
    error = only_error(talk.send(**{"type_": message.pop("type"), **message}))

    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({}, "session.model"),
        ({"model": "gpt-live-1", "turn_detection": None}, "session.turn_detection"),
        (
            {"model": "gpt-live-1", "audio": {"format": {"type": "audio/pcm"}}},
            "session.audio.format.rate",
        ),
        (
            {"model": "gpt-live-1", "audio": {"format": {"type": "audio/pcm", "rate": 22_050}}},
            "session.audio.format.rate",
        ),
        (
            {"model": "gpt-live-1", "audio": {"output": {"voice": "nobody"}}},
            "session.audio.output.voice",
        ),
        ({"model": "gpt-live-1", "tools": []}, "session.tools"),
    ],
)
def test_settings_that_the_service_refuses(session, param):
    """
    A session starts with known settings only.
    """
    assert only_error(LiveTalk().send("session.start", session=session))["param"] == param


def test_speech_is_heard_and_answered(talk):
    """
    The user's words come as they are spoken, then the model's, with the sound that says them.
    """
    frames = talk.speak(speak("Is my cake ready?") + silence(4_000))

    assert kinds(frames) == ["session.input_transcript.delta", "session.output_transcript.delta"]
    assert words(frames, "input") == "Is my cake ready?"
    assert words(frames) == heard(frames) == "You said: Is my cake ready?"
    spans = [(frame["start_ms"], frame["end_ms"]) for frame in frames if "start_ms" in frame]
    assert spans == sorted(spans)


def test_sound_has_the_duration_of_the_audio_sent(talk):
    """
    Each piece of audio is answered with as much sound: silence, where nothing is said.
    """
    frames = talk.listen(2_000)

    assert {frame["type"] for frame in frames} == {"session.output_audio.delta"}
    assert sum(len(base64.b64decode(frame["delta"])) for frame in frames) == 2 * 48_000
    assert heard(frames) is None


def test_without_audio_the_timeline_stands_still(talk):
    """
    A commentary is neither acknowledged nor spoken until audio flows.
    """
    talk.send("session.commentary.append", content="Welcome!", delegation_id=None)
    assert talk.wait(60_000) == []

    frames = talk.listen(3_000)

    assert kinds(frames) == ["session.commentary.appended", "session.output_transcript.delta"]
    assert words(frames) == "Welcome!"


def test_a_burst_of_audio_lasts_as_long_as_it_is_heard(talk):
    """
    Audio that is sent at once is taken in real time.
    """
    talk.append(silence(1_000))

    assert len(talk.wait(400)) == 2
    assert len(talk.wait(10_000)) == 2


def test_words_over_the_model_stop_it():
    """
    Some words of the user over the model's speech end it; the answer to them follows.
    """
    talk = LiveTalk(Scenario(turns=[Turn(say=STORY), Turn(say="Yes?")]))
    talk.start()
    talk.speak(speak("Tell me a story") + silence(3_000))

    frames = talk.speak(speak("Stop it please") + silence(4_000))

    assert words(talk.frames).startswith("Once upon a time")
    assert len(words(talk.frames)) < len(STORY)
    assert words(frames).endswith("Yes?")


def test_a_word_of_assent_stops_nobody():
    """
    One short word over the model's speech doesn't end it.
    """
    talk = LiveTalk(Scenario(turns=[Turn(say=STORY), Turn(say="Yes?")]))
    talk.start()
    talk.speak(speak("Tell me a story") + silence(3_000))

    talk.speak(speak("yes") + silence(20_000))

    assert words(talk.frames).startswith(STORY.strip())


def test_a_muted_user_is_not_heard(talk):
    """
    Muting and unmuting are acknowledged, and speech between them has no words.
    """
    [muted] = talk.send("session.input_audio.mute", event_id="m1")
    frames = talk.speak(speak("Nobody hears this") + silence(1_500))
    [unmuted] = talk.send("session.input_audio.unmute")

    assert (muted["type"], muted["client_event_id"]) == ("session.input_audio.muted", "m1")
    assert unmuted["type"] == "session.input_audio.unmuted"
    assert kinds(frames) == []


def test_a_responses_backend_calls_tools():
    """
    Delegated work: a call, its output, response.create, and the answer is spoken.
    """
    talk = LiveTalk(WEATHER)
    talk.start(delegation=RESPONSES)
    frames = talk.speak(speak("How is the weather?") + silence(3_000))

    [created] = [f for f in frames if f["type"] == "session.delegation.created"]
    [call] = [e["item"] for e in delegated(frames, "response.output_item.done")]
    [response] = [e["response"] for e in delegated(frames, "response.created")]
    assert created["delegation"]["target"] == "responses"
    assert created["delegation"]["response_id"] == response["id"]
    assert json.loads(call["arguments"]) == {"city": "Oslo"}
    assert words(frames) == "One moment."
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}
    assert talk.send("response.item.create", item=output) == []
    talk.send("response.create")

    frames = talk.listen()

    assert [e["response"]["status"] for e in delegated(frames, "response.completed")] == [
        "completed"
    ]
    assert words(frames) == "In Oslo: rain."


def test_a_response_waits_for_all_outputs():
    """
    response.create before the output of each call, and an output of no call, are errors.
    """
    calls = [Call("get_weather", {"city": "Oslo"}), Call("get_weather", {"city": "Bergen"})]
    talk = LiveTalk(Scenario(turns=[Turn(call=calls)]))
    talk.start(delegation=RESPONSES)
    frames = talk.speak(speak("How is the weather?") + silence(2_000))
    first, second = [e["item"] for e in delegated(frames, "response.output_item.done")]
    item = {"type": "function_call_output", "output": "rain"}
    talk.send("response.item.create", item={**item, "call_id": first["call_id"]})

    early = talk.send("response.create")
    unknown = talk.send("response.item.create", item={**item, "call_id": "call_9"})

    assert second["call_id"] in only_error(early)["message"]
    assert only_error(unknown)["param"] == "item.call_id"


def test_typed_text_is_answered_by_the_backend():
    """
    A message for the backend and response.create: a delegation under the id of the request.
    """
    talk = LiveTalk()
    talk.start(delegation=RESPONSES)
    part = {"type": "input_text", "text": "Hello"}
    talk.send("response.item.create", item={"type": "message", "role": "user", "content": [part]})

    [created, *_] = talk.send("response.create", event_id="r1")
    frames = talk.listen()

    assert created["client_event_id"] == "r1"
    assert words(frames) == "You said: Hello"


def test_a_client_does_delegated_work_itself():
    """
    Client delegation: an id without a task; the commentary for it is spoken as it is.
    """
    talk = LiveTalk(WEATHER)
    talk.start()
    frames = talk.speak(speak("How is the weather?") + silence(2_000))
    [created] = [f["delegation"] for f in frames if f["type"] == "session.delegation.created"]
    talk.send("session.commentary.append", content="It rains in Oslo.", delegation_id=created["id"])

    assert created == {"id": created["id"], "type": "delegation", "target": "client"}
    assert words(talk.listen()) == "It rains in Oslo."


def test_updates_are_sparse():
    """
    An update of the backend keeps the fields that it doesn't name.
    """
    talk = LiveTalk()
    talk.start(delegation=RESPONSES)

    [updated] = talk.send(
        "session.update",
        session={"delegation": {"type": "responses", "responses": {"instructions": "Be brief."}}},
    )

    backend = updated["session"]["delegation"]["responses"]
    assert backend == {**RESPONSES["responses"], "instructions": "Be brief."}


def test_appended_instructions_are_seen_by_scenarios():
    """
    A turn for certain instructions is performed once they were appended.
    """
    spec = {"turns": [{"when": {"instructions": "pirate"}, "say": "Arrr."}], "otherwise": "Yes?"}

    talk = LiveTalk(load_scenario(spec))
    talk.start()
    talk.send("session.instructions.append", content="Be a pirate.", delegation_id=None)

    assert words(talk.speak(speak("Hello there") + silence(3_000))) == "Arrr."


def test_a_fixture_is_played_instead_of_the_voice(talk):
    """
    A fixture is acknowledged, heard as it is, and announced as played; texts are refused meanwhile.
    """
    fixture = speak("Please hold the line.")
    encoded = base64.b64encode(fixture).decode()
    [playing] = talk.send("session.output_audio.fixture.play", audio=encoded, event_id="f1")
    refused = talk.send("session.thinking.append", content="Hm.", delegation_id=None)

    frames = talk.listen()

    assert playing["type"] == "session.output_audio.fixture.playing"
    assert only_error(refused)["code"] == "fixture_active"
    assert kinds(frames) == ["session.output_audio.fixture.played"]
    assert heard(frames) == "Please hold the line."


def test_usage_is_cumulative(talk):
    """
    The seconds so far come now and then, and at the end.
    """
    frames = talk.listen(21_000)
    (closed,) = talk.send("session.close", event_id="c1")

    reports = [f["usage"]["seconds"] for f in frames if f["type"] == "session.usage.updated"]
    assert reports == [10, 20]
    assert closed["usage"] == {"seconds": 21}
    assert (closed["reason"], closed["client_event_id"]) == ("close_requested", "c1")
    assert isinstance(talk.steps[-1], Close)


def test_a_session_expires():
    """
    A session ends by itself, and says why.
    """
    talk = LiveTalk(max_seconds=5)
    talk.start()

    [closed] = talk.wait(5_000)

    assert closed["reason"] == "expired"
    assert talk.steps[-1] == Close(1000, "expired")


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_telephone_formats(kind):
    """
    G.711 is heard and spoken as PCM is.
    """
    form = AudioFormat(kind, 8_000)
    talk = LiveTalk()
    talk.start(audio={"format": {"type": kind, "rate": 8_000}})
    audio = speak("Hello there", audio_format=form) + silence(3_000, audio_format=form)
    for start in range(0, len(audio), 800):
        talk.append(audio[start : start + 800])
        talk.wait(100)

    assert words(talk.frames) == "You said: Hello there"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("fail", ["session.output_transcript.delta", "error"]),
        ("error", ["session.output_transcript.delta", "error", "session.output_transcript.delta"]),
        ("incomplete", ["session.output_transcript.delta"]),
        ("no-transcript", ["session.output_transcript.delta"]),
    ],
)
def test_faults_of_a_reply(fault, expected):
    """
    The simulator's faults happen in this protocol too.
    """
    talk = LiveTalk(Scenario(turns=[Turn(say=STORY)], faults=[fault]))
    talk.start()

    frames = talk.speak(speak("A story please") + silence(20_000))

    told = kinds(frames)
    assert told == (
        expected if fault == "no-transcript" else ["session.input_transcript.delta", *expected]
    )
    assert (words(frames) == STORY) == (fault in {"error", "no-transcript"})


def test_a_dropped_connection():
    """
    A drop comes after the first piece of the reply's sound.
    """
    talk = LiveTalk(Scenario(turns=[Turn(say=STORY)], faults=["drop"]))
    talk.start()

    talk.speak(speak("A story please") + silence(3_000))

    assert any(isinstance(step, Drop) for step in talk.steps)


def test_equal_seeds_give_equal_sessions():
    """
    Same seed, messages and times: same events, to the byte; another seed differs.
    """

    def session(**options):
        talk = LiveTalk(WEATHER, **options)
        talk.start(delegation=RESPONSES)
        talk.speak(speak("How is the weather?") + silence(2_000))
        return json.dumps(talk.frames)

    assert session(seed=1) == session(seed=1)
    assert session(seed=1) != session(seed=2)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
_TYPES = ["session.start", "session.update", "session.commentary.append", "response.item.create"]
_FIELDS = st.sampled_from(["session", "content", "delegation_id", "item", "event_id", "audio"])


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.sampled_from(_TYPES), st.dictionaries(_FIELDS, _JSON))
def test_no_frame_breaks_a_session(type_, fields):
    """
    The SDK accepts the answers to any messages of a client.
    """
    talk = LiveTalk()
    talk.start(delegation=RESPONSES)

    talk.send(type_, **fields)

    assert LiveService(Scenario()).receive("{", 0)
    assert kinds(talk.listen(200)) in ([], ["session.commentary.appended"])

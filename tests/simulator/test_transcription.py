"""
Transcription sessions: transcripts without answers, also while the caller speaks.
"""

from __future__ import annotations

import json

import pytest

from eventbus.simulator import Scenario
from eventbus.simulator.scenario import Turn
from eventbus.simulator.speech import speak
from tests.simulator.talk import Talk, error, one, silence, tone, types

TRANSCRIPTION = "conversation.item.input_audio_transcription"


def talk_with(model, scenario=None, **options):
    talk = Talk(scenario, is_transcription=True, **options)
    audio = {"input": {"transcription": {"model": model}}}
    talk.send("session.update", session={"type": "transcription", "audio": audio})
    return talk


def test_session_is_one_that_transcribes():
    """
    It begins as such, without a voice, instructions or tools, and has no responses.
    """
    talk = Talk(is_transcription=True)
    session = one(talk.frames, "session.created")["session"]

    assert (session["type"], session["object"]) == (
        "transcription",
        "realtime.transcription_session",
    )
    assert session.keys() == {"type", "object", "id", "expires_at", "audio", "include"}
    assert session["audio"].keys() == {"input"}
    assert error(talk.send("response.create"))["code"] == "invalid_event"


def test_turn_is_transcribed_and_not_answered():
    """
    Server VAD ends the turn; its transcript comes in pieces and whole; the next one has its own.
    """
    scenario = Scenario(turns=[Turn(hear="One two."), Turn(hear="Three.")])
    talk = talk_with("gpt-4o-transcribe", scenario)

    transcripts = []
    for _ in range(2):
        frames = talk.append(silence(400) + tone(800) + silence(700)) + talk.finish()
        transcripts.append(one(frames, f"{TRANSCRIPTION}.completed")["transcript"])
        assert types(frames) == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            f"{TRANSCRIPTION}.delta",
            f"{TRANSCRIPTION}.completed",
        ]

    assert transcripts == ["One two.", "Three."]


@pytest.mark.parametrize("scenario", [None, Scenario(turns=[Turn(hear="one two three four five")])])
def test_words_come_while_they_are_spoken(scenario):
    """
    Of gpt-realtime-whisper, deltas come before the item exists; at the end they are the transcript.
    """
    talk = talk_with("gpt-realtime-whisper", scenario)
    speech = speak("one two three four five")

    early = [talk.append(speech[start : start + 9_600]) for start in range(0, len(speech), 9_600)]
    late = talk.send("input_audio_buffer.commit") + talk.finish()

    early = [frame for frames in early for frame in frames]
    assert types(early) == [f"{TRANSCRIPTION}.delta"]
    assert len(early) > 1
    committed = one(late, "input_audio_buffer.committed")["item_id"]
    deltas = [f for f in early + late if f["type"] == f"{TRANSCRIPTION}.delta"]
    assert {frame["item_id"] for frame in deltas} == {committed}
    assert "".join(frame["delta"] for frame in deltas) == "one two three four five"
    assert one(late, f"{TRANSCRIPTION}.completed")["transcript"] == "one two three four five"


def test_model_that_streams_takes_no_turn_detection():
    """
    Its turn detection is off, and asking for one is refused.
    """
    talk = talk_with("gpt-realtime-whisper")
    assert talk.last["session"]["audio"]["input"]["turn_detection"] is None

    audio = {
        "input": {
            "transcription": {"model": "gpt-realtime-whisper"},
            "turn_detection": {"type": "server_vad"},
        }
    }
    session = {"type": "transcription", "audio": audio}
    refusal = error(talk.send("session.update", session=session))
    assert refusal["param"] == "session.audio.input.turn_detection"


def test_conversation_is_not_what_it_becomes():
    """
    A session of the type transcription doesn't take the settings of a conversation.
    """
    talk = Talk(is_transcription=True)

    steps = talk.service.receive(
        json.dumps({"type": "session.update", "session": {"type": "realtime"}}), 0
    )

    assert steps[0].frame["error"]["code"] == "invalid_model"


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        ("whisper-1", {"type": "duration", "seconds": 2}),
        ("gpt-realtime-whisper", {"type": "duration", "seconds": 2}),
        (
            "gpt-4o-mini-transcribe",
            {
                "type": "tokens",
                "total_tokens": 17,
                "input_tokens": 15,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 15},
                "output_tokens": 2,
            },
        ),
    ],
)
def test_usage_is_whole_seconds_or_tokens(model, usage):
    """
    Models are billed by the time of the audio, in whole seconds, or by tokens.
    """
    talk = Talk(Scenario(turns=[Turn(hear="One two.")]))
    talk.update(audio={"input": {"turn_detection": None, "transcription": {"model": model}}})
    talk.append(tone(1_500))
    talk.send("input_audio_buffer.commit")

    assert one(talk.finish(), f"{TRANSCRIPTION}.completed")["usage"] == usage


def test_logprobs_come_when_they_are_included():
    """
    Each piece has the probability of its token, and the whole transcript those of all.
    """
    talk = Talk(Scenario(turns=[Turn(hear="One twö.")]))
    talk.update(
        audio={"input": {"turn_detection": None, "transcription": {"model": "gpt-4o-transcribe"}}},
        include=["item.input_audio_transcription.logprobs"],
    )
    talk.append(tone(500))
    talk.send("input_audio_buffer.commit")
    frames = talk.finish()

    deltas = [f for f in frames if f["type"] == f"{TRANSCRIPTION}.delta"]
    completed = one(frames, f"{TRANSCRIPTION}.completed")
    assert [frame["logprobs"][0]["token"] for frame in deltas] == ["One", " twö."]
    assert [p["bytes"] for p in completed["logprobs"]] == [list(b"One"), list(" twö.".encode())]

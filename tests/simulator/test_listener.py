"""
The user's turns: found, committed, transcribed, waited for.
"""

from __future__ import annotations

import pytest

from eventbus.audio import AudioFormat
from eventbus.simulator import Scenario
from eventbus.simulator.scenario import Pace, Turn
from tests.simulator.talk import Talk, one, silence, tone, types

SCENARIO = Scenario(
    turns=[
        Turn(hear="Good morning to you.", say="And to you, my dear and only friend."),
        Turn(hear="What?", say="Good morning."),
    ],
)
BEGIN = "input_audio_buffer.speech_started"
END = "input_audio_buffer.speech_stopped"
TURN = [
    END,
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
]
TRANSCRIPT = "conversation.item.input_audio_transcription"


def spoken(talk, duration_ms=600):
    """
    Say something, and return the events until the turn is over.
    """
    return talk.append(silence(400) + tone(duration_ms) + silence(600))


def detection(**settings):
    return {"input": {"turn_detection": {"type": "server_vad", **settings}}}


def test_spoken_turn_is_answered():
    """
    Speech is noticed, its end commits it, and a response follows by itself.
    """
    talk = Talk(SCENARIO)

    frames = spoken(talk)

    assert types(frames) == [BEGIN, *TURN]
    assert len({frame["item_id"] for frame in frames[:3]}) == 1
    assert one(frames, "conversation.item.done")["item"]["role"] == "user"
    assert types(talk.finish())[-1] == "response.done"


def test_speech_is_where_it_was():
    """
    A turn begins its padding before the sound and ends with the silence after it.
    """
    talk = Talk(SCENARIO)
    talk.update(audio=detection(prefix_padding_ms=100, silence_duration_ms=300))

    frames = spoken(talk)

    assert abs(one(frames, BEGIN)["audio_start_ms"] - 300) <= 20
    assert abs(one(frames, END)["audio_end_ms"] - 1_300) <= 20


def test_how_audio_was_cut_makes_no_difference():
    """
    The same audio gives the same turns, in pieces of 20 ms as in one.
    """
    audio = silence(400) + tone(600) + silence(600)
    whole, pieces = Talk(SCENARIO), Talk(SCENARIO)

    at_once = whole.append(audio)
    one_by_one = []
    for start in range(0, len(audio), 960):
        one_by_one += pieces.append(audio[start : start + 960])

    assert at_once == one_by_one


@pytest.mark.parametrize("encoding", ["audio/pcmu", "audio/pcma"])
def test_telephone_is_understood(encoding):
    """
    G.711 is heard like PCM, at the same times.
    """
    phone = AudioFormat(encoding, 8_000)
    talk = Talk(SCENARIO)
    talk.update(audio={"input": {"format": {"type": encoding}}})
    pcm = silence(400, 8_000) + tone(600, 8_000) + silence(600, 8_000)

    frames = talk.append(phone.from_pcm16(pcm))

    assert types(frames) == [BEGIN, *TURN]
    assert abs(one(frames, BEGIN)["audio_start_ms"] - 100) <= 20


def test_speech_interrupts_the_response():
    """
    While the user speaks, the assistant is silent: its response ends as cancelled.
    """
    talk = Talk(SCENARIO)
    spoken(talk)
    talk.until("response.output_audio.delta")

    frames = talk.append(silence(100) + tone(300))

    assert frames[0]["type"] == BEGIN
    done = one(frames, "response.done")["response"]
    assert done["status"] == "cancelled"
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert talk.finish() == []


def test_response_that_may_not_be_interrupted_goes_on():
    """
    Without interrupt_response the answer is finished, and the new turn waits for an answer.
    """
    talk = Talk(SCENARIO)
    talk.update(audio=detection(interrupt_response=False))
    spoken(talk)
    talk.until("response.output_audio.delta")

    frames = spoken(talk)

    assert types(frames) == [BEGIN, *TURN[:-1]]
    assert one(talk.finish(), "response.done")["response"]["status"] == "completed"


def test_application_may_answer_itself():
    """
    Without create_response a turn is committed, and nothing else happens.
    """
    talk = Talk(SCENARIO)
    talk.update(audio=detection(create_response=False))

    assert types(spoken(talk)) == [BEGIN, *TURN[:-1]]


def test_application_may_find_the_turns_itself():
    """
    Without turn detection, the client's commit ends a turn, and speech isn't noticed.
    """
    talk = Talk(SCENARIO)
    talk.update(audio={"input": {"turn_detection": None}})
    assert spoken(talk) == []

    frames = talk.send("input_audio_buffer.commit")

    assert types(frames) == TURN[1:4]
    assert talk.finish() == []


def test_commit_in_the_middle_of_speech_is_the_turn():
    """
    The item that speech_started announced is the one that is committed, by whomever.
    """
    talk = Talk(SCENARIO)
    [begun] = talk.append(silence(400) + tone(600))

    frames = talk.send("input_audio_buffer.commit")

    assert one(frames, "input_audio_buffer.committed")["item_id"] == begun["item_id"]
    assert talk.append(silence(1_000)) == []


def test_cleared_speech_never_was():
    """
    Cleared audio makes no turn, and its end isn't noticed.
    """
    talk = Talk(SCENARIO)
    talk.append(silence(400) + tone(600))

    assert types(talk.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert talk.append(silence(1_000)) == []


def test_transcript_comes_beside_the_answer():
    """
    The scenario's words arrive piece by piece, then as a whole, and then the item has them.
    """
    talk = Talk(SCENARIO)
    talk.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    item_id = one(spoken(talk), "input_audio_buffer.committed")["item_id"]

    frames = [frame for frame in talk.finish() if frame["type"].startswith(TRANSCRIPT)]

    *deltas, completed = frames
    assert "".join(delta["delta"] for delta in deltas) == completed["transcript"]
    assert completed["transcript"] == "Good morning to you."
    assert completed["item_id"] == item_id
    assert completed["usage"]["seconds"] > 0.6
    retrieved = one(
        talk.send("conversation.item.retrieve", item_id=item_id), "conversation.item.retrieved"
    )
    assert retrieved["item"]["content"][0]["transcript"] == "Good morning to you."


def test_no_transcript_unless_it_is_wanted():
    """
    Without transcription in the session's settings there is no event of one.
    """
    talk = Talk(SCENARIO)
    spoken(talk)

    assert not [frame for frame in talk.finish() if frame["type"].startswith(TRANSCRIPT)]


def test_transcription_may_fail():
    """
    On request the transcript fails, and the answer comes all the same.
    """
    talk = Talk(Scenario(turns=SCENARIO.turns, faults="no-transcript"))
    talk.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    spoken(talk)

    frames = talk.finish()

    assert one(frames, f"{TRANSCRIPT}.failed")["error"]["message"]
    assert one(frames, "response.done")["response"]["status"] == "completed"


def test_deleted_turn_has_no_transcript():
    """
    Once the client has deleted the item, no event is about it any more.
    """
    talk = Talk(SCENARIO)
    talk.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    item_id = one(spoken(talk), "input_audio_buffer.committed")["item_id"]
    talk.send("conversation.item.delete", item_id=item_id)

    assert not [frame for frame in talk.finish() if frame.get("item_id") == item_id]


def test_silent_user_is_asked():
    """
    When the user says nothing for so long after the answer was heard, the assistant speaks again.
    """
    talk = Talk(SCENARIO)
    talk.update(audio=detection(idle_timeout_ms=5_000))
    spoken(talk)
    talk.finish()
    heard_ms = talk.service.idle_deadline - 5_000
    assert heard_ms > talk.now_ms  # the answer came faster than it is heard

    talk.append(silence(8_000))
    assert talk.wait(heard_ms + 4_999 - talk.now_ms) == []
    frames = talk.wait(1)

    assert types(frames) == ["input_audio_buffer.timeout_triggered", *TURN[1:]]
    timeout = frames[0]
    assert timeout["audio_end_ms"] - timeout["audio_start_ms"] == 5_000
    assert timeout["item_id"] == one(frames, "input_audio_buffer.committed")["item_id"]


@pytest.mark.parametrize("what", ["speech", "response", "settings"])
def test_user_who_does_something_is_not_asked(what):
    """
    Speech, a response that was asked for, and turning the timeout off end the waiting.
    """
    talk = Talk(Scenario(turns=SCENARIO.turns, pace=Pace(first_output_ms=60_000)))
    talk.update(audio=detection(idle_timeout_ms=5_000))
    talk.ask()
    talk.finish()
    assert talk.service.idle_deadline is not None

    if what == "speech":
        talk.append(tone(300))
    elif what == "response":
        talk.ask()
    else:
        talk.update(audio=detection(idle_timeout_ms=None))

    assert talk.service.idle_deadline is None
    talk.wait(30_000)
    assert "input_audio_buffer.timeout_triggered" not in types(talk.frames)


def test_nobody_waits_before_the_first_answer():
    """
    A session in which nothing was said yet may stay silent for as long as it likes.
    """
    talk = Talk(SCENARIO)
    talk.update(audio=detection(idle_timeout_ms=5_000))

    assert talk.service.idle_deadline is None

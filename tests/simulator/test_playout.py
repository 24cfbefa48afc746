"""
The service's own playing, and the caller's keys, as a scenario asks for them.
"""

from __future__ import annotations

import pytest

from eventbus import ScenarioError
from eventbus.simulator import load_scenario
from tests.simulator.talk import Talk, error, one, silence, tone, types

LONG = "Once upon a time there was a telephone."


def talk_of(**more):
    turns = [{"say": LONG}]
    return Talk(load_scenario({"turns": turns, "output_audio_buffer": True, **more}))


def of_buffer(frames):
    return [f["type"] for f in frames if f["type"].startswith("output_audio_buffer.")]


def test_buffer_is_played_after_the_answer_was_made():
    """
    It starts with the first audio, and stops when that was heard: after response.done.
    """
    talk = talk_of()
    response_id = talk.ask()
    frames = talk.finish()

    order = [t for t in types(frames) if t.startswith("output") or t.endswith(".done")]
    assert order[0] == "output_audio_buffer.started"
    assert order[-2:] == ["response.done", "output_audio_buffer.stopped"]
    assert one(frames, "output_audio_buffer.stopped")["response_id"] == response_id
    length_ms = sum(len(f["delta"]) for f in frames if f["type"] == "response.output_audio.delta")
    assert talk.now_ms == pytest.approx(300 + length_ms * 3 / 4 / 48, abs=2)


def test_speech_clears_the_buffer_and_truncates_the_item():
    """
    Speech during the playout cuts the item at the place that was heard, even if it was complete.
    """
    talk = talk_of()
    talk.ask()
    talk.until("response.done")
    talk.append(silence(500))
    frames = talk.append(tone(500))

    cleared = ["input_audio_buffer.speech_started", "output_audio_buffer.cleared"]
    assert types(frames) == [*cleared, "conversation.item.truncated"]
    [delta] = [f for f in talk.frames if f["type"] == "output_audio_buffer.started"]
    assert delta["response_id"] == one(frames, "output_audio_buffer.cleared")["response_id"]
    assert 0 < one(frames, "conversation.item.truncated")["audio_end_ms"] <= talk.now_ms
    assert of_buffer(talk.finish()) == []


def test_speech_ends_the_answer_first():
    """
    While the answer is made, it is cancelled, and its item truncated after it is closed.
    """
    talk = talk_of()
    talk.ask()
    talk.until("response.output_audio.delta")
    talk.append(silence(500))
    frames = talk.append(tone(500))

    assert one(frames, "response.done")["response"]["status"] == "cancelled"
    assert types(frames)[-2:] == ["output_audio_buffer.cleared", "conversation.item.truncated"]


def test_client_clears_the_buffer():
    """
    The client's message cuts the playing off; with nothing to play it says nothing.
    """
    talk = talk_of()
    assert talk.send("output_audio_buffer.clear") == []
    talk.ask()
    talk.until("response.done")

    frames = talk.send("output_audio_buffer.clear")

    assert types(frames) == ["output_audio_buffer.cleared"]
    assert of_buffer(talk.finish()) == []


def test_without_the_setting_the_client_plays():
    """
    Over a WebSocket there is no such buffer, and the refusal names the setting.
    """
    talk = Talk()
    refusal = error(talk.send("output_audio_buffer.clear"))
    talk.say("Hello")
    talk.ask()

    assert "output_audio_buffer: true" in refusal["message"]
    assert of_buffer(talk.finish()) == []


def test_keys_are_pressed_at_their_times():
    """
    Each key is an event without an id, at its time.
    """
    talk = talk_of(keys=[{"key": "1", "at_ms": 200}, {"key": "#", "at_ms": 700}])
    first, second = talk.wait(500), talk.wait(500)

    type_ = "input_audio_buffer.dtmf_event_received"
    assert [(f["type"], f["event"]) for f in (*first, *second)] == [(type_, "1"), (type_, "#")]
    assert "event_id" not in first[0]


def test_key_that_no_telephone_has_is_a_mistake():
    """
    A scenario with an unknown key names the place, and the keys.
    """
    with pytest.raises(ScenarioError, match=r"keys\[0\].key: .*one of 0, 1.*not 'x'"):
        load_scenario({"keys": [{"key": "x"}]})

"""
Responses: the order and the times of their events, and their ends.
"""

from __future__ import annotations

import base64

import pytest

from eventbus.audio import AudioFormat
from eventbus.simulator import Scenario
from eventbus.simulator.scenario import Call, Pace, Turn, Usage
from eventbus.simulator.speech import is_synthetic
from tests.simulator.talk import Talk, error, one, types

SAY = "Hello, and welcome to the place where nobody ever speaks, not even the echo."
CALLS = [Call("weather", {"city": "Oslo"}), Call("time", {})]
OPEN = ["response.output_item.added", "conversation.item.added"]
CLOSE = ["conversation.item.done", "response.output_item.done"]
TEXT = [
    *OPEN,
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    *CLOSE,
]
CALL = [
    *OPEN,
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    *CLOSE,
]
AUDIO_END = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    *CLOSE,
    "response.done",
]


def talk_of(*turns, **options):
    return Talk(Scenario(turns=turns, **options))


def of_type(frames, type_):
    return [frame for frame in frames if frame["type"] == type_]


def audio_of(frames):
    deltas = of_type(frames, "response.output_audio.delta")
    return b"".join(base64.b64decode(delta["delta"]) for delta in deltas)


def test_spoken_answer():
    """
    The item opens, words and audio come, the item closes, the response is done.
    """
    talk = talk_of(Turn(say=SAY))
    talk.ask()

    frames = talk.finish()

    assert types(frames)[:3] == [*OPEN, "response.content_part.added"]
    assert [frame["type"] for frame in frames[-6:]] == AUDIO_END
    words = of_type(frames, "response.output_audio_transcript.delta")
    assert "".join(word["delta"] for word in words) == SAY
    assert one(frames, "response.output_audio_transcript.done")["transcript"] == SAY
    [item] = one(frames, "response.done")["response"]["output"]
    assert item["content"] == [{"type": "output_audio", "transcript": SAY}]
    assert item["status"] == "completed"


def test_written_answer():
    """
    In a text session the same answer comes as text, and without audio.
    """
    talk = talk_of(Turn(say=SAY))
    talk.update(output_modalities=["text"])
    talk.ask()

    frames = talk.finish()

    assert types(frames) == [*TEXT, "response.done"]
    pieces = of_type(frames, "response.output_text.delta")
    assert "".join(piece["delta"] for piece in pieces) == SAY
    assert one(frames, "response.output_text.done")["text"] == SAY
    assert one(frames, "response.done")["response"]["output_modalities"] == ["text"]


def test_calls_come_after_what_is_said():
    """
    One response can say something and call several tools; each is an item of its own.
    """
    talk = talk_of(Turn(say=SAY, call=CALLS))
    talk.ask(output_modalities=["text"])

    frames = talk.finish()

    assert types(frames) == [*TEXT, *CALL, *CALL, "response.done"]
    assert [f["output_index"] for f in of_type(frames, OPEN[0])] == [0, 1, 2]
    output = one(frames, "response.done")["response"]["output"]
    done = of_type(frames, "response.function_call_arguments.done")
    assert [call["name"] for call in done] == ["weather", "time"]
    assert [call["arguments"] for call in done] == [item["arguments"] for item in output[1:]]
    assert len({call["call_id"] for call in done}) == 2


def test_arguments_are_the_sum_of_their_pieces():
    """
    The pieces of a call's arguments make up its arguments.
    """
    talk = talk_of(Turn(call=Call("weather", {"city": "Oslo", "days": [1, 2, 3]})))
    talk.ask()

    frames = talk.finish()

    pieces = of_type(frames, "response.function_call_arguments.delta")
    whole = one(frames, "response.function_call_arguments.done")["arguments"]
    assert len(pieces) > 1
    assert "".join(piece["delta"] for piece in pieces) == whole


def test_answer_without_anything():
    """
    A turn in which the model does nothing is a response without output.
    """
    talk = talk_of(Turn(say=""))
    talk.ask()

    [done] = talk.finish()

    assert done["response"]["status"] == "completed"
    assert done["response"]["output"] == []


def test_audio_comes_after_a_while_and_faster_than_it_is_heard():
    """
    Nothing comes before the latency is over; then the pace says how fast audio is made.
    """
    pace = Pace(first_output_ms=500, chunk_ms=100, generation_speed=2)
    talk = talk_of(Turn(say=SAY), pace=pace)
    talk.ask()

    assert talk.wait(499) == []
    assert "response.output_audio.delta" in types(talk.wait(1))
    assert talk.wait(49) == []
    assert types(talk.wait(1))[-1] == "response.output_audio.delta"
    talk.finish()
    heard_ms = len(audio_of(talk.frames)) / 48
    assert talk.now_ms == pytest.approx(500 + heard_ms / 2, abs=50)


def test_words_run_ahead_of_their_sound():
    """
    The transcript is complete before the audio is.
    """
    talk = talk_of(Turn(say=SAY))
    talk.ask()

    order = [frame["type"] for frame in talk.finish()]

    last_word = len(order) - order[::-1].index("response.output_audio_transcript.delta")
    assert "response.output_audio.delta" in order[last_word:]
    assert order.index("response.output_audio.delta") > 4


@pytest.mark.parametrize("encoding", ["audio/pcm", "audio/pcmu", "audio/pcma"])
def test_audio_is_in_the_sessions_format(encoding):
    """
    Audio comes in the session's format, and is marked as synthetic.
    """
    talk = talk_of(Turn(say=SAY), Turn(say=SAY))
    talk.update(audio={"output": {"format": {"type": encoding}}})
    talk.ask()
    talk.finish()

    audio_format = AudioFormat.of(encoding)
    audio = audio_of(talk.frames)

    assert is_synthetic(audio, audio_format=audio_format)
    tokens = talk.last["response"]["usage"]["output_token_details"]["audio_tokens"]
    assert tokens == pytest.approx(audio_format.duration_ms(len(audio)) / 50, abs=1)
    response = talk.last["response"]
    assert response["audio"]["output"]["format"]["type"] == encoding


def test_response_is_as_it_was_ordered():
    """
    The overrides of response.create count for that response only.
    """
    talk = talk_of(Turn(say=SAY), Turn(say=SAY))
    talk.ask(
        output_modalities=["text"],
        metadata={"topic": "t"},
        max_output_tokens=4_000,
        audio={"output": {"voice": "ash", "format": {"type": "audio/pcmu"}}},
    )
    talk.finish()
    first = talk.last["response"]
    talk.ask()
    talk.finish()
    second = talk.last["response"]

    assert first["metadata"] == {"topic": "t"}
    assert first["audio"]["output"] == {"format": {"type": "audio/pcmu"}, "voice": "ash"}
    assert (first["output_modalities"], first["max_output_tokens"]) == (["text"], 4_000)
    assert second["metadata"] is None
    assert second["audio"]["output"]["voice"] == "alloy"
    assert (second["output_modalities"], second["max_output_tokens"]) == (["audio"], "inf")


@pytest.mark.parametrize("modality", ["audio", "text"])
def test_too_long_answer_is_incomplete(modality):
    """
    At the limit of its tokens a response ends, with the reason, and its item is incomplete.
    """
    talk = talk_of(Turn(say=SAY * 3))
    talk.ask(max_output_tokens=20, output_modalities=[modality])
    talk.finish()

    response = talk.last["response"]

    assert response["status"] == "incomplete"
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"
    assert 20 <= response["usage"]["output_tokens"] < 40


@pytest.mark.parametrize(
    ("fault", "status", "detail"),
    [
        ("fail=rate_limit_exceeded", "failed", "rate_limit_exceeded"),
        ("incomplete=content_filter", "incomplete", "content_filter"),
    ],
)
@pytest.mark.parametrize("turn", [Turn(say=SAY), Turn(call=CALLS), Turn(say="")])
def test_response_may_end_badly(fault, status, detail, turn):
    """
    On request a response ends after its first piece, and its item with it.
    """
    talk = talk_of(turn, faults=fault)
    talk.ask()
    talk.finish()

    response = talk.last["response"]

    assert response["status"] == status
    assert detail in str(response["status_details"])
    assert all(item["status"] == "incomplete" for item in response["output"])
    assert len(response["output"]) <= 1


def test_cancelled_answer_is_closed_where_it_is():
    """
    A cancelled response closes its item with the part that was sent, and nothing comes after.
    """
    talk = talk_of(Turn(say=SAY))
    talk.ask()
    talk.until("response.output_audio.delta")

    frames = talk.send("response.cancel")

    assert [frame["type"] for frame in frames] == AUDIO_END
    response = frames[-1]["response"]
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    [item] = response["output"]
    assert item["status"] == "incomplete"
    said = item["content"][0]["transcript"]
    assert said
    assert SAY.startswith(said)
    assert said != SAY
    assert talk.finish() == []


def test_half_a_call_is_nobodys_to_make():
    """
    A call that is cancelled never says that its arguments are done.
    """
    talk = talk_of(Turn(call=CALLS))
    talk.ask()
    talk.until("response.function_call_arguments.delta")

    assert types(talk.send("response.cancel")) == [*CLOSE, "response.done"]


def test_cancelled_before_its_first_word():
    """
    A response that has no output yet ends without any.
    """
    talk = talk_of(Turn(say=SAY))
    talk.ask()

    [done] = talk.send("response.cancel")

    assert done["response"]["status"] == "cancelled"
    assert done["response"]["output"] == []


def test_what_was_heard_can_be_truncated():
    """
    After an interruption the item can be cut to the part that was heard, and no longer.
    """
    talk = talk_of(Turn(say=SAY))
    talk.ask()
    item_id = talk.until("response.output_audio.delta")["item_id"]
    talk.send("response.cancel")
    sent_ms = len(audio_of(talk.frames)) // 48
    about = {"item_id": item_id, "content_index": 0}

    too_long = talk.send("conversation.item.truncate", **about, audio_end_ms=sent_ms + 1)
    assert f"{sent_ms}ms is already shorter" in error(too_long)["message"]

    [truncated] = talk.send("conversation.item.truncate", **about, audio_end_ms=sent_ms - 50)
    assert truncated["audio_end_ms"] == sent_ms - 50
    [retrieved] = talk.send("conversation.item.retrieve", item_id=item_id)
    [part] = retrieved["item"]["content"]
    assert "transcript" not in part
    assert len(base64.b64decode(part["audio"])) == (sent_ms - 50) * 48


def test_truncated_while_it_is_spoken():
    """
    The transcript of a truncated item doesn't come back with the words that follow.
    """
    talk = talk_of(Turn(say=SAY))
    talk.ask()
    item_id = talk.until("response.output_audio.delta")["item_id"]
    talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=10)

    frames = talk.finish()

    assert one(frames, "conversation.item.done")["item"]["content"] == [{"type": "output_audio"}]


def test_deleted_while_it_is_spoken():
    """
    The response goes on, and the conversation, which hasn't got the item, says no more of it.
    """
    talk = talk_of(Turn(say=SAY))
    talk.ask()
    item_id = talk.until("response.output_audio.delta")["item_id"]
    talk.send("conversation.item.delete", item_id=item_id)

    frames = talk.finish()

    assert "conversation.item.done" not in types(frames)
    assert one(frames, "response.done")["response"]["status"] == "completed"


def test_usage_grows_with_the_conversation():
    """
    The conversation is read again by the next response, and the part read before is cached.
    """
    talk = talk_of(Turn(say=SAY * 4), Turn(say=SAY))
    talk.say("Good morning! " * 30)
    talk.ask()
    talk.finish()
    first = talk.last["response"]["usage"]
    talk.ask()
    talk.finish()
    second = talk.last["response"]["usage"]

    assert first["input_token_details"]["cached_tokens"] == 0
    assert second["input_tokens"] > first["input_tokens"]
    assert second["input_token_details"]["audio_tokens"] > 0
    assert 0 < second["input_token_details"]["cached_tokens"] <= first["input_tokens"]


def test_scenario_may_say_what_it_cost():
    """
    Tokens that the scenario gives are those of the response.
    """
    usage = Usage(
        input_text_tokens=100,
        input_audio_tokens=30,
        cached_tokens=64,
        output_text_tokens=5,
        output_audio_tokens=50,
    )
    talk = talk_of(Turn(say=SAY, usage=usage))
    talk.ask()
    talk.finish()

    told = talk.last["response"]["usage"]

    assert (told["input_tokens"], told["output_tokens"], told["total_tokens"]) == (130, 55, 185)
    assert told["input_token_details"]["cached_tokens"] == 64


def test_interleaved_outputs():
    """
    A message that is commentary is open while the call is made, and closed before it.
    """
    turn = Turn(say="Let me see.", call=Call("f", {}), interleaved=True)
    talk = talk_of(turn)
    talk.update(output_modalities=["text"])
    talk.ask()

    frames = [f for f in talk.finish() if f["type"].startswith("response.output_item")]

    assert [(f["type"].rpartition(".")[2], f["item"]["type"]) for f in frames] == [
        ("added", "message"),
        ("added", "function_call"),
        ("done", "message"),
        ("done", "function_call"),
    ]
    message, call = talk.last["response"]["output"]
    assert (message["phase"], message["status"]) == ("commentary", "completed")
    assert "phase" not in call


@pytest.mark.parametrize(
    ("model", "usage", "expected"),
    [
        ("gpt-realtime", Usage(), None),
        ("gpt-realtime-2", Usage(), 0),
        ("gpt-realtime-2", Usage(reasoning_tokens=12), 12),
    ],
)
def test_reasoning_is_counted(model, usage, expected):
    """
    The usage of a model that reasons has the tokens of it, which are among the output's.
    """
    talk = Talk(Scenario(turns=[Turn(say="Hi", usage=usage)]), model=model)
    talk.update(output_modalities=["text"])
    talk.ask()
    talk.finish()

    told = talk.last["response"]["usage"]
    details = told["output_token_details"]
    assert details.get("reasoning_tokens") == expected
    assert told["output_tokens"] == details["text_tokens"] + (expected or 0)

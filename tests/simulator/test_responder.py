"""
The responses of a session, and the messages that each of them answers.
"""

from __future__ import annotations

import json

import pytest

from eventbus.simulator import Scenario, load_scenario
from eventbus.simulator.scenario import Call, Turn, When
from tests.simulator.talk import Talk, error, one, types

ECHO = Scenario(otherwise=Turn(say="{user}"))


def answer(talk, **response):
    """
    Ask, and return the answer's text.
    """
    talk.ask(output_modalities=["text"], **response)
    [item] = one(talk.finish(), "response.done")["response"]["output"]
    return item["content"][0]["text"]


def out_of_band(**response):
    return {"conversation": "none", "output_modalities": ["text"], **response}


def test_one_response_at_a_time():
    """
    While a response writes into the conversation, a second one is refused, by its id.
    """
    talk = Talk(ECHO)
    talk.say("Hi")
    first = talk.ask()

    refused = error(talk.send("response.create", event_id="e2"))

    assert refused["code"] == "conversation_already_has_active_response"
    assert refused["event_id"] == "e2"
    assert first in refused["message"]
    talk.finish()
    talk.ask()


def test_cancelled_response_makes_room():
    """
    Once a response was cancelled, the next one may begin at once.
    """
    talk = Talk(ECHO)
    talk.say("Hi")
    talk.ask()
    talk.send("response.cancel")

    talk.say("Hello")
    assert answer(talk) == "Hello"


def test_nothing_to_cancel():
    """
    Cancelling without a response, or one that is done or unknown, is an error.
    """
    talk = Talk(ECHO)
    talk.say("Hi")

    assert error(talk.send("response.cancel"))["code"] == "response_cancel_not_active"

    done = talk.ask()
    talk.finish()
    refused = error(talk.send("response.cancel", response_id=done))
    assert (refused["code"], refused["param"]) == ("response_cancel_not_active", "response_id")


def test_response_answers_what_is_new():
    """
    A response is about everything that was said since the last one.
    """
    talk = Talk(ECHO)
    talk.say("Good")
    talk.say("morning")
    assert answer(talk) == "Good morning"

    talk.say("Bye")
    assert answer(talk) == "Bye"


def test_deleted_words_are_not_answered():
    """
    An item that a client deletes before it asks is ignored.
    """
    talk = Talk(ECHO)
    talk.say("No!", id="item_no")
    talk.say("Yes.")
    talk.send("conversation.item.delete", item_id="item_no")

    assert answer(talk) == "Yes."


def test_spoken_words_and_written_ones_are_words():
    """
    The words of audio that a client puts into the conversation are those of its transcript.
    """
    talk = Talk(ECHO)
    part = {"type": "input_audio", "audio": "AAA=", "transcript": "Good"}
    talk.send(
        "conversation.item.create", item={"type": "message", "role": "user", "content": [part]}
    )
    talk.say("night")

    assert answer(talk) == "Good night"


def test_output_of_a_tool_is_answered():
    """
    A tool's output is matched by the name of the tool that was called.
    """
    scenario = Scenario(
        turns=[
            Turn(call=Call("weather", {})),
            Turn(when=When(tool="weather"), say="It is {output}."),
        ]
    )
    talk = Talk(scenario)
    talk.say("How is it outside?")
    talk.ask()
    call_id = talk.until("response.function_call_arguments.done")["call_id"]
    talk.finish()
    output = {"type": "function_call_output", "call_id": call_id, "output": "cold"}
    talk.send("conversation.item.create", item=output)

    assert answer(talk) == "It is cold."


def test_tools_are_not_offered_if_none_may_be_called():
    """
    With the tool choice "none" the model doesn't know of any tool.
    """
    talk = Talk(Scenario(turns=[Turn(when=When(mentions_tool=True), call=Call("{tool}"))]))
    talk.update(tools=[{"type": "function", "name": "get_weather"}])
    talk.say("How is the weather?")

    talk.ask(tool_choice="none")
    assert "response.function_call_arguments.done" not in types(talk.finish())

    talk.say("How is the weather?")
    talk.ask()
    assert "response.function_call_arguments.done" in types(talk.finish())


def test_out_of_band_response_leaves_no_trace():
    """
    It comes beside the other one, its items are in no conversation, and it uses up no words.
    """
    talk = Talk(ECHO)
    talk.say("Hi")
    first = talk.ask(output_modalities=["text"])
    aside = talk.ask(**out_of_band(metadata={"topic": "aside"}))

    frames = talk.finish()

    done = {f["response"]["id"]: f["response"] for f in frames if f["type"] == "response.done"}
    assert done.keys() == {first, aside}
    assert done[aside]["conversation_id"] is None
    assert done[aside]["metadata"] == {"topic": "aside"}
    item_id = done[aside]["output"][0]["id"]
    assert item_id not in [f["item"]["id"] for f in frames if f["type"].startswith("conversation")]
    gone = error(talk.send("conversation.item.retrieve", item_id=item_id))
    assert gone["code"] == "item_retrieve_invalid_item_id"


def test_out_of_band_response_can_be_cancelled_by_its_id():
    """
    A cancel without an id is for the conversation's response, one with an id for that one.
    """
    talk = Talk(ECHO)
    aside = talk.ask(**out_of_band())
    first = talk.ask()

    assert talk.send("response.cancel")[-1]["response"]["id"] == first
    assert error(talk.send("response.cancel"))["code"] == "response_cancel_not_active"
    assert talk.send("response.cancel", response_id=aside)[-1]["response"]["id"] == aside
    assert talk.finish() == []


def test_input_replaces_the_conversation():
    """
    With an input of its own, a response answers that, and reads nothing else.
    """
    talk = Talk(ECHO)
    item = one(talk.say("Good"), "conversation.item.done")["item"]
    talk.say("long " * 1_000)
    written = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "day"}],
    }
    reference = {"type": "item_reference", "id": item["id"]}

    assert answer(talk, conversation="none", input=[reference, written]) == "Good day"

    assert talk.last["response"]["usage"]["input_tokens"] < 100


def test_input_refers_to_what_is_there():
    """
    A reference to an item that isn't there is refused, with its place, and nothing begins.
    """
    talk = Talk(ECHO)

    refused = error(
        talk.send("response.create", response={"input": [{"type": "item_reference", "id": "x"}]})
    )

    assert refused["param"] == "response.input[0].id"
    assert talk.finish() == []


def test_modalities_of_a_response():
    """
    A response has one modality, like the session.
    """
    refused = error(Talk().send("response.create", response={"output_modalities": []}))

    assert refused["param"] == "response.output_modalities"


def test_limits_are_told_with_each_response():
    """
    Rate limits come at the end of a response, after response.done.
    """
    talk = Talk(ECHO)
    talk.say("Hi")
    talk.ask()
    talk.finish()

    done, limits = talk.frames[-2:]

    assert done["type"] == "response.done"
    assert [limit["name"] for limit in limits["rate_limits"]] == ["requests", "tokens"]
    assert limits["rate_limits"][0]["remaining"] == 999


def test_voice_is_fixed_by_the_first_sound():
    """
    As soon as the assistant is heard, also in the middle of the response, its voice can't change.
    """
    talk = Talk(ECHO)
    ash, echo = ({"output": {"voice": voice}} for voice in ("ash", "echo"))
    talk.say("Hi")
    talk.ask()
    assert types(talk.update(audio=ash)) == ["session.updated"]

    talk.until("response.output_audio.delta")
    assert error(talk.update(audio=echo))["code"] == "cannot_update_voice"
    talk.finish()
    assert error(talk.update(audio=echo))["code"] == "cannot_update_voice"
    assert types(talk.update(audio=ash)) == ["session.updated"]


def test_response_of_a_tool_that_is_not_offered_is_refused():
    """
    A response can be made to call a tool of its own or of the session's, and no other.
    """
    talk = Talk()
    talk.update(tools=[{"type": "function", "name": "f"}])
    choice = {"type": "function", "name": "g"}

    refusal = error(talk.send("response.create", response={"tool_choice": choice}))
    assert (refusal["code"], refusal["param"]) == ("invalid_value", "response.tool_choice")
    talk.ask(tool_choice=choice, tools=[{"type": "function", "name": "g"}])


def test_nulls_of_a_response_are_no_overrides():
    """
    A client that writes null for each option of a response gets the session's settings.
    """
    talk = Talk()
    talk.update(instructions="Be brief.", output_modalities=["text"])
    talk.say("Hello")
    options = ("instructions", "tools", "tool_choice", "output_modalities", "audio", "input")
    talk.ask(**dict.fromkeys(options), conversation=None, metadata=None, max_output_tokens=None)

    assert one(talk.finish(), "response.output_text.done")["text"] == "You said: Hello"


TOOLS = [
    {
        "type": "function",
        "name": name,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    }
    for name in ("get_news", "get_weather")
]


def calls_of(talk):
    """
    Return the names of the functions that the last response has called, and its words.
    """
    output = talk.last["response"]["output"]
    said = [item["content"][0].get("transcript") for item in output if item["type"] == "message"]
    return [item["name"] for item in output if item["type"] == "function_call"], said


@pytest.mark.parametrize(
    ("choice", "calls", "said"),
    [
        ("auto", [], ["Let me see."]),
        ("none", [], ["Let me see."]),
        ("required", ["get_weather"], ["Let me see."]),
        ({"type": "function", "name": "get_news"}, ["get_news"], []),
    ],
)
@pytest.mark.parametrize("is_session", [True, False])
def test_tool_choice_is_honoured(choice, calls, said, is_session):
    """
    A response has to call a tool where one is required or forced, of the session or the response.
    """
    talk = Talk(Scenario(otherwise=Turn(say="Let me see.")))
    talk.update(tools=TOOLS, **({"tool_choice": choice} if is_session else {}))
    talk.say("How is the weather in Oslo?")
    talk.ask(**({} if is_session else {"tool_choice": choice}))
    talk.finish()

    assert calls_of(talk) == (calls, said)
    if calls:
        call = talk.last["response"]["output"][-1]
        assert json.loads(call["arguments"]) == {"city": "Oslo"}


def test_tool_choice_filters_what_a_turn_calls():
    """
    Of a turn's calls only the forced one is made; with "none", none; and its then comes after.
    """
    turn = Turn(
        when=When(text="go"), call=(Call("get_news"), Call("get_weather")), then=Turn(say="Done.")
    )
    talk = Talk(Scenario(turns=[turn]))
    talk.update(tools=TOOLS)
    talk.say("go")
    talk.ask(tool_choice="none")
    talk.finish()
    assert calls_of(talk) == ([], [])

    talk.say("go")
    talk.ask(tool_choice={"type": "function", "name": "get_weather"})
    talk.finish()
    assert calls_of(talk) == (["get_weather"], [])

    call_id = talk.last["response"]["output"][0]["call_id"]
    output = {"type": "function_call_output", "call_id": call_id, "output": "sun"}
    talk.send("conversation.item.create", item=output)
    talk.ask()
    talk.finish()
    assert calls_of(talk) == ([], ["Done."])


def test_scenario_sees_the_settings():
    """
    Instructions, the session's settings and the tool choice decide which turn is performed.
    """
    marin = {"audio": {"output": {"voice": "marin"}}}
    scenario = load_scenario(
        {
            "turns": [
                {"when": {"instructions": "PIRATE"}, "say": "Arr."},
                {"when": {"session": marin}, "say": "I'm Marin."},
                {"when": {"tool_choice": "required"}, "say": "I must."},
                {"when": {"tool_choice": {"name": "get_news"}}, "call": "get_news"},
            ],
            "otherwise": "Hm.",
        }
    )
    talk = Talk(scenario)
    talk.update(output_modalities=["text"], tools=TOOLS)
    said = []
    for response, session in (
        ({}, {}),
        ({"instructions": "Talk like a pirate."}, {}),
        ({"tool_choice": "required"}, {}),
        ({"tool_choice": {"type": "function", "name": "get_news"}}, {}),
        ({}, {"audio": {"output": {"voice": "marin"}}}),
    ):
        talk.update(**session)
        talk.say("Hello")
        talk.ask(**response)
        talk.finish()
        first = talk.last["response"]["output"][0]
        said.append(first["content"][0]["text"] if "content" in first else first["name"])

    assert said == ["Hm.", "Arr.", "I must.", "get_news", "I'm Marin."]

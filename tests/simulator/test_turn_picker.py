"""
The next turn depends on the user's words, on tools' outputs, and on the order of the turns.
"""

from __future__ import annotations

import json

import pytest

from eventbus.audio import G711_ULAW
from eventbus.simulator import Scenario
from eventbus.simulator.scenario import Call, Pace, Prompt, ToolOutput, Turn, Usage, When
from eventbus.simulator.speech import silence, speak

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def begin(*turns, **more):
    return Scenario(turns=turns, **more).begin()


def said(progress, text="", *outputs):
    """
    Return the model's words after these words, or after outputs of the tool ``get_weather``.
    """
    outputs = [ToolOutput("get_weather", output) for output in outputs]
    return progress.answer(Prompt(text=text, outputs=outputs)).say


def test_turns_without_a_condition_come_in_order_once():
    """
    After the last of them, it is otherwise's turn.
    """
    progress = begin(Turn(say="one"), Turn(say="two"))

    assert [said(progress, text) for text in ("a", "b", "c")] == ["one", "two", "You said: c"]


def test_conditions_go_before_the_order():
    """
    The first turn with a true condition is performed, each time that it is true.
    """
    progress = begin(
        Turn(say="first"),
        Turn(when=When(text="Bye"), say="bye"),
        Turn(when=When(text="b"), say="b"),
    )

    assert [said(progress, text) for text in ("bye!", "GOODBYE", "b", "x")] == [
        "bye",
        "bye",
        "b",
        "first",
    ]


def test_all_conditions_have_to_be_true():
    """
    Text, expression and number of the turn: one that is false is enough.
    """
    progress = begin(Turn(when=When(text="a", matches="^a", turn=2), say="yes"), otherwise=Turn())

    assert [said(progress, text) for text in ("a", "ba", "a")] == ["", "", ""]
    assert [said(begin(Turn(when=When(turn=1, matches="^a"), say="yes")), "a")] == ["yes"]


def test_groups_of_the_expression_are_placeholders():
    """
    The words that matched are filled in, and stay for the words after the call.
    """
    progress = begin(
        Turn(
            when=When(matches=r"in (?P<city>[A-Z]\w+)"),
            call=Call("get_weather", {"city": "{city}", "days": 2}),
            then=Turn(say="{city}: {output.t} ({user})"),
        )
    )

    answer = progress.answer(Prompt(text="Weather in Oslo?"))

    assert answer.calls[0].arguments == '{"city":"Oslo","days":2}'
    assert said(progress, "", '{"t": 4}') == "Oslo: 4 (Weather in Oslo?)"


def test_then_waits_for_all_outputs():
    """
    While an output is missing the model says nothing; then it speaks of all of them.
    """
    progress = begin(
        Turn(call=[Call("a"), Call("b")], then=Turn(say="{outputs.a} and {outputs.b}"))
    )
    progress.answer(Prompt(text="go"))

    first = progress.answer(Prompt(outputs=[ToolOutput("a", "1")]))
    second = progress.answer(Prompt(outputs=[ToolOutput("b", "two")]))

    assert (first.say, second.say) == ("", "1 and two")


def test_words_while_a_tool_runs_do_not_lose_what_comes_then():
    """
    The user may go on talking; the output is still answered.
    """
    progress = begin(
        Turn(when=When(text="go"), call=Call("get_weather"), then=Turn(say="It is {output}"))
    )
    progress.answer(Prompt(text="go"))

    assert said(progress, "Hello?") == "You said: Hello?"
    assert said(progress, "", "rain") == "It is rain"


def test_condition_on_a_tools_output():
    """
    A turn may be about one tool's output, or its content; other outputs are read out.
    """
    progress = begin(
        Turn(when=When(tool="get_weather", output="rain"), say="Take an umbrella."),
        Turn(when=When(text="weather"), call=Call("get_weather")),
    )

    assert said(progress, "weather") == ""
    assert said(progress, "", "much rain") == "Take an umbrella."
    assert said(progress, "", "sun") == "The tool says: sun"


@pytest.mark.parametrize("output", ["[" * 100_000, "[" * 900 + "]" * 900, '{"a": NaN}', "\ud800"])
def test_any_output_can_be_answered(output):
    """
    A client may send any text as a tool's output, and none ends the session.
    """
    assert said(begin(), "", output).startswith("The tool says: ")


def test_output_alone_is_no_turn_of_the_user():
    """
    It neither counts as one nor uses up a turn of the order.
    """
    progress = begin(Turn(say="{turn}"), Turn(say="{turn}"))

    assert [said(progress, "a"), said(progress, "", "x"), said(progress, "b")] == [
        "1",
        "The tool says: x",
        "2",
    ]


def test_answer_without_anything_new_is_the_next_turn():
    """
    An application may let the model begin.
    """
    assert said(begin(Turn(say="Welcome!"))) == "Welcome!"


def test_tool_that_is_mentioned_is_called_with_made_up_arguments():
    """
    A word of its name is enough; a text argument is the user's last word.
    """
    progress = begin(Turn(when=When(mentions_tool=True), call=Call("{tool}")))

    answer = progress.answer(Prompt(text="Any weather in Oslo?", tools=[WEATHER]))
    silent = progress.answer(Prompt(text="Do get me one", tools=[WEATHER]))

    assert (answer.calls[0].tool, answer.calls[0].arguments) == ("get_weather", '{"city":"Oslo"}')
    assert silent.calls == ()


def test_tool_that_is_not_on_offer_is_called_all_the_same():
    """
    The scenario decides; arguments that it leaves open are none.
    """
    answer = begin(Turn(call=Call("nothing"))).answer(Prompt(text="x"))

    assert json.loads(answer.calls[0].arguments) == {}


def test_arguments_as_text_are_sent_as_they_are():
    """
    A scenario may have the model send arguments that aren't JSON.
    """
    answer = begin(Turn(call=Call("a", '{"city": '))).answer(Prompt(text="x"))

    assert answer.calls[0].arguments == '{"city": '


def test_answer_has_the_turns_own_pace_usage_and_faults():
    """
    A value that a turn doesn't give is the scenario's.
    """
    slow, usage = Pace(first_output_ms=2_000), Usage(input_text_tokens=7)
    progress = begin(Turn(pace=slow, usage=usage, faults="drop"), Turn(), pace=Pace(jitter=0.5))

    first, second = (progress.answer(Prompt(text="x")) for _ in range(2))

    assert (first.pace, first.usage, [fault.name for fault in first.faults]) == (
        slow,
        usage,
        ["drop"],
    )
    assert (second.pace, second.usage, second.faults) == (Pace(jitter=0.5), Usage(), ())


def test_scenario_says_what_was_heard():
    """
    The next turn's hear goes before the words of synthetic speech.
    """
    progress = begin(Turn(hear="Good day"), Turn(), Turn(when=When(turn=3), hear="Third"))

    heard = []
    for _ in range(3):
        heard.append(progress.hear(speak("Hello")))
        progress.answer(Prompt(text=heard[-1]))

    assert heard == ["Good day", "Hello", "Third"]


@pytest.mark.parametrize(
    ("audio", "options", "heard"),
    [
        (speak("Hello"), {}, "Hello"),
        (speak("Hello", audio_format=G711_ULAW), {"audio_format": G711_ULAW}, "Hello"),
        (silence(1_250), {}, "(speech of 1.2 s)"),
        (b"", {}, "(speech of 0.0 s)"),
    ],
)
def test_speech_that_nobody_wrote_down(audio, options, heard):
    """
    Synthetic speech is understood; of any other the length is told.
    """
    assert begin().hear(audio, **options) == heard


def test_waits_are_repeated_with_the_seed():
    """
    Jitter stays within its part, is the same for the same seed, and other for another.
    """
    pace = Pace(jitter=0.2)

    def waits(seed):
        progress = Scenario().begin(seed=seed)
        return [progress.delay(100, pace) for _ in range(20)]

    assert waits(1) == waits(1) != waits(2)
    assert all(0.08 <= wait <= 0.12 for wait in waits(1))
    assert len(set(waits(1))) > 1
    assert Scenario().begin().delay(100, Pace()) == 0.1


def test_words_are_not_in_a_repr():
    """
    The words of users and tools stay out of logs.
    """
    prompt = Prompt(text="my secret", outputs=[ToolOutput("a", "its secret")])

    assert "secret" not in repr(prompt)

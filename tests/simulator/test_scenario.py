"""
Scenarios are read from names, files and mappings; a mistake is told with file, line and remedy.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.exceptions import ScenarioError
from eventbus.simulator import Scenario, load_scenario
from eventbus.simulator import scenario as module
from eventbus.simulator._vad import VadSettings
from eventbus.simulator.scenario import Call, Pace, Prompt, ToolOutput, Turn, When, scenario_names
from tests.simulator.talk import Talk, one

WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}

# For each scenario that ships: what is said to it, in an order that performs all its turns, and
# the answers. What follows an arrow is a tool's output.
DIALOGUES = {
    "default": [
        ("Hello", "You said: Hello"),
        ("And the weather?", ""),
        ("-> rain", "get_weather says: rain"),
    ],
    "weather": [
        ("Hello", "Hello! Ask me for the weather."),
        ("How is it in Bergen?", "One moment, please."),
        ("-> rain", "In Bergen, this is the weather: rain."),
        ("And the weather?", ""),
        ("-> sun", "In Oslo, this is the weather: sun."),
        ("Who are you?", "I only know the weather. Which city shall it be?"),
        ("Goodbye", "Goodbye!"),
    ],
    "barge_in": [
        ("Tell me a story", "That is a long story, "),
        ("Stop", "Of course. What would you like to know?"),
        ("Nothing", "All right: Nothing"),
    ],
    "text_only": [
        ("Hello", "I answer in writing."),
        ("What time is it?", ""),
        ("-> noon", "It is noon."),
        ("Thanks", "You wrote: Thanks"),
    ],
}


def bomb(form):
    """
    A scenario of twelve lines with arguments that would fill the memory if aliases were written
    out.
    """
    lines = ["turns:", "- call:", "    tool: t", "    arguments:", "      a0: &a0 {x: 1}"]
    for level in range(1, 12):
        inner = form.format(", ".join([f"*a{level - 1}"] * 9))
        lines.append(f"      a{level}: &a{level} {inner}")
    return "\n".join(lines)


@pytest.fixture
def write(tmp_path):
    """
    Write a scenario file, and return its path.
    """

    def write(text: str, name: str = "mine.yaml") -> Path:
        path = tmp_path / name
        path.write_text(dedent(text), encoding="utf-8")
        return path

    return write


# --- those that ship -------------------------------------------------------------------------


def test_each_scenario_that_ships_has_a_dialogue_here():
    """
    The tests below are about all of them.
    """
    assert scenario_names() == sorted(DIALOGUES)
    assert all(load_scenario(name).description for name in scenario_names())


@pytest.mark.parametrize("modality", ["audio", "text"])
@pytest.mark.parametrize("name", DIALOGUES)
def test_scenario_that_ships_says_what_it_should(name, modality):
    """
    In audio and in text, and every event of it is one that the official SDK accepts.
    """
    talk = Talk(load_scenario(name))
    talk.update(output_modalities=[modality], tools=[WEATHER])
    call_id = ""
    for words, expected in DIALOGUES[name]:
        if words.startswith("-> "):
            item = {"type": "function_call_output", "call_id": call_id, "output": words[3:]}
            talk.send("conversation.item.create", item=item)
        else:
            talk.say(words)
        talk.ask()
        done = one(talk.finish(), "response.done")
        output = done["response"]["output"]
        parts = [part for item in output for part in item.get("content", ())]
        said = "".join(part.get("transcript", part.get("text")) for part in parts)
        assert said.startswith(expected)
        assert bool(said) == bool(expected)
        call_id = next((item["call_id"] for item in output if "call_id" in item), "")


# --- where they come from --------------------------------------------------------------------


def test_nothing_is_the_scenario_that_answers_anything():
    """
    Without a source it is the one called default.
    """
    assert load_scenario() == load_scenario(None) == load_scenario("default")


def test_yaml_and_python_say_the_same(write):
    """
    A file has the names of the classes' fields, and some of them may be left out.
    """
    path = write(
        """
        description: An example.
        seed: 7
        pace: {first_output_ms: 500, jitter: 0.1}
        vad: {silence_duration_ms: 300}
        faults: [drop@2, unknown]
        turns:
          - hear: What is the weather in Oslo?
            call: {tool: get_weather, arguments: {city: Oslo}}
            then: It is {output.temperature} degrees.
          - when: goodbye
            say: Goodbye!
            call: [hang_up, {tool: log}]
            faults: close=1000
          - Just words
        otherwise: I only know the weather.
        """
    )

    assert (
        load_scenario(path)
        == load_scenario(str(path))
        == Scenario(
            name="mine",
            description="An example.",
            seed=7,
            pace=Pace(first_output_ms=500, jitter=0.1),
            vad=VadSettings(silence_duration_ms=300),
            faults="drop@2 unknown",
            turns=[
                Turn(
                    hear="What is the weather in Oslo?",
                    call=Call("get_weather", {"city": "Oslo"}),
                    then=Turn(say="It is {output.temperature} degrees."),
                ),
                Turn(
                    when=When(text="goodbye"),
                    say="Goodbye!",
                    call=[Call("hang_up"), Call("log")],
                    faults="close=1000",
                ),
                Turn(say="Just words"),
            ],
            otherwise=Turn(say="I only know the weather."),
        )
    )


def test_example_in_the_docstring_is_a_scenario(write):
    """
    The first scenario that users read can be copied.
    """
    example = module.__doc__.partition("::\n")[2].partition("\n``progress``")[0]
    progress = load_scenario(write(example)).begin()

    assert progress.answer(Prompt(text="")).calls[0].arguments == '{"city":"Oslo"}'
    outputs = [ToolOutput("get_weather", '{"temperature": 4}')]
    assert progress.answer(Prompt(outputs=outputs)).say == "It is 4 degrees in Oslo."


def test_mapping_is_read_as_a_file_is():
    """
    Plain data needs no file; its mistakes have a path and no line.
    """
    assert load_scenario({"turns": ["Hi"]}) == Scenario(turns=[Turn(say="Hi")])
    with pytest.raises(ScenarioError) as caught:
        load_scenario({"turns": [{"say": 3}]})
    assert str(caught.value).startswith("turns[0].say: say is a text, not 3")
    assert caught.value.line is None


def test_python_file(write):
    """
    The one scenario in it is taken, or the one called scenario.
    """
    head = "from eventbus.simulator.scenario import Scenario\n"

    one_ = load_scenario(write(f"{head}mine = Scenario(name='mine')", "one.py"))
    several = load_scenario(
        write(f"{head}a = Scenario()\nscenario = Scenario(name='chosen')", "several.py")
    )

    assert (one_.name, several.name) == ("mine", "chosen")


def test_module_and_attribute(write, monkeypatch):
    """
    A module beside the user's is found, as by python -m.
    """
    path = write(
        "from eventbus.simulator.scenario import Scenario\ns = Scenario(name='mine')",
        "scenarios_of_mine.py",
    )
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    assert load_scenario("scenarios_of_mine:s").name == "mine"
    del sys.modules["scenarios_of_mine"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("wether", "There is no scenario wether; did you mean weather?"),
        ("xyz", "There is no scenario xyz; there are barge_in, default, text_only, weather."),
        ("nowhere.yaml", "nowhere.yaml can't be read: No such file or directory."),
        ("nowhere.py", "nowhere.py can't be read: No such file or directory."),
        (".", ". can't be read: Is a directory."),
        ("no_such_module:x", "no_such_module:x can't be loaded: ModuleNotFoundError: "),
        ("math:no", "math:no can't be loaded: AttributeError: "),
        ("math:pi", "math:pi is a float, not a scenario; make it a Scenario(…)."),
    ],
)
def test_source_that_is_none(source, message, tmp_path, monkeypatch):
    """
    The message names the scenario, and lists those that exist.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    with pytest.raises(ScenarioError) as caught:
        load_scenario(source)

    assert str(caught.value).startswith(message)
    assert caught.value.source == source


def test_path_is_never_a_name(tmp_path, monkeypatch):
    """
    A name is a text; a path object is a file, even if it has a scenario's name.
    """
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ScenarioError, match="weather can't be read: No such file"):
        load_scenario(Path("weather"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "has 0 scenarios; write one"),
        ("x = ", "can't be loaded: SyntaxError"),
        ("raise ValueError('no')", "can't be loaded: ValueError: no"),
        ("raise SystemExit(5)", "can't be loaded: SystemExit: 5"),
    ],
)
def test_python_file_without_a_scenario(write, text, message):
    """
    Any mistake in it is one error.
    """
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(text, "bad.py"))

    assert message in str(caught.value)


# --- mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "path", "problem"),
    [
        ("turns:\n  - say: Hi\n    tool: x\n", 3, "turns[0].tool", "There is no 'tool' here;"),
        ("trns: []", 1, "trns", "There is no 'trns' here; did you mean turns?"),
        ("turns:\n  - say: yes\n", 2, "turns[0].say", "say is a text, not true; put quotes"),
        (
            "turns:\n  - Hi\n  - call:\n      tool: a\n      argumets: {}\n",
            5,
            "turns[1].call.argumets",
            "There is no 'argumets' here; did you mean arguments?",
        ),
        (
            "turns:\n  - call:\n      tool: a\n      arguments:\n        city: '{usr}'\n",
            5,
            "turns[0].call[0].arguments.city",
            "There is no placeholder {usr}; did you mean {user}?",
        ),
        ("turns:\n - call: [{}]\n", 2, "turns[0].call[0]", "tool is missing"),
        ("vad:\n\n  threshold: 2", 3, "vad.threshold", "threshold is a number from 0 to 1"),
        ("faults: dorp", 1, "faults", "There is no fault 'dorp'; did you mean drop?"),
        ("turns:\n- faults: drop@2", 2, "turns[0].faults", "drop@2 can't be a fault of a turn"),
        ("turns:\n- when: {}", 2, "turns[0].when", "It has no condition"),
        ("otherwise: {hear: x}", 1, "otherwise", "otherwise has no when and no hear"),
        ("turns: Hi", 1, "turns", "turns is a list, not 'Hi'"),
        ("turns:\n  - say: {a: b\n", 3, "", "It is no YAML: expected ',' or '}'"),
        ("a: !!python/object:os.x {}", 1, "", "It is no YAML: could not determine a constructor"),
        ("turns: []\nname: x\nturns: []", 3, "", "turns is there twice; leave out one of them."),
        ("name: *nobody", 1, "", "It is no YAML: found undefined alias"),
        ("", None, "", "A scenario is a mapping with turns; begin with 'turns:'."),
        ("- Hi", None, "", "A scenario is a mapping with turns"),
        ("\0", None, "", "It can't be read as YAML: unacceptable character #x0000"),
        (
            "turns:\n  - {call: a, then: &t {call: b, then: *t}}",
            2,
            "",
            "It contains itself",
        ),
        (bomb("[{}]"), 10, "", "Its aliases stand for more than 100000 values"),
        (bomb("{{<<: [{}]}}"), 10, "", "Its aliases stand for more than 100000 values"),
    ],
)
def test_mistake_in_a_file_is_told_in_one_line(write, text, line, path, problem):
    """
    Source, line and path are in the message and in attributes; the problem has its remedy.
    """
    file = write(text)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(file)

    error = caught.value
    where = ", ".join(filter(None, [str(file), f"line {line}" if line else "", path]))
    assert str(error).startswith(f"{where}: {problem}")
    assert (error.source, error.line, error.path) == (str(file), line, path)
    assert "\n" not in str(error)


def test_arguments_that_share_their_parts_are_measured_in_python_too():
    """
    A mapping made in Python may share its parts, or contain itself: it is an error, at once.
    """
    shared = {"x": 1}
    for _ in range(30):
        shared = {"a": shared, "b": shared}
    endless = {}
    endless["x"] = endless
    for arguments in (shared, endless):
        with pytest.raises(ScenarioError, match="more than 100000 values, or contains itself"):
            Call("t", arguments)
        with pytest.raises(ScenarioError, match="more than 100000 values, or contains itself"):
            load_scenario({"turns": [{"call": {"tool": "t", "arguments": arguments}}]})


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=3) | st.just("drop"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["turns", "say", "call", "tool", "when", "then", "text", "faults", "pace"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=25)
@given(st.dictionaries(st.sampled_from(["turns", "otherwise", "vad", "pace", "name"]), PLAIN))
def test_any_data_is_a_scenario_or_a_scenario_error(data):
    """
    Any mapping gives a scenario or this one error.
    """
    try:
        scenario = load_scenario(data)
    except ScenarioError:
        return
    scenario.begin().answer(Prompt(text="Hello"))


def test_missing_package_is_told_with_its_remedy(monkeypatch):
    """
    Without PyYAML, the import names the package to install.
    """
    monkeypatch.setitem(sys.modules, "yaml", None)
    # Under another name: the module itself keeps its classes, which other tests compare.
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_again", module.__file__)

    with pytest.raises(ModuleNotFoundError) as caught:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))

    assert caught.value.msg == (
        "Scenarios need the PyYAML package: pip install 'eventbus[sim]', "
        "or pip install '.[sim]' in a clone."
    )
    assert caught.value.name == "yaml"

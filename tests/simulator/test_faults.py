"""
Faults are read from text, and an error lists the faults that exist.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.exceptions import ScenarioError
from eventbus.simulator import Fault
from eventbus.simulator import faults as module
from eventbus.simulator.faults import parse_faults

# The table in the docstring: what users are told that there is.
DOCUMENTED = re.findall(r"^``([a-z-]+)``  ", module.__doc__, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("drop", Fault("drop")),
        ("drop@2", Fault("drop", number=2)),
        ("drop@response:2", Fault("drop", number=2)),
        ("malformed@frame:3", Fault("malformed", number=3, is_frame=True)),
        ("close", Fault("close", 1011)),
        ("close=4000@2", Fault("close", 4000, 2)),
        ("stall=2s", Fault("stall", 2.0)),
        ("stall=500ms@every", Fault("stall", 0.5, 0)),
        ("stall=1.5", Fault("stall", 1.5)),
        ("fail=rate_limit_exceeded@1", Fault("fail", "rate_limit_exceeded")),
        ("incomplete=content_filter", Fault("incomplete", "content_filter")),
        ("no-transcript@transcription:2", Fault("no-transcript", number=2)),
        ("refuse=401@connection:1", Fault("refuse", 401)),
    ],
)
def test_fault_is_what_its_text_says(text, fault):
    """
    Name, value and time are read, and written again they read the same.
    """
    assert Fault.parse(text) == fault
    assert Fault.parse(str(fault)) == fault


def test_documented_faults_are_those_that_there_are():
    """
    The module's table has every fault, and each of them is one by its name alone.
    """
    with pytest.raises(ScenarioError) as caught:
        Fault.parse("?")
    [listed] = re.findall("there are (.*)[.]", str(caught.value))

    assert listed.split(", ") == DOCUMENTED
    assert [Fault.parse(name).name for name in DOCUMENTED] == DOCUMENTED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dorp@2", "There is no fault 'dorp@2'; did you mean drop?"),
        ("=3", "There is no fault '=3'; there are drop, "),
        ("drop=3", "'drop=3' has a value, and drop takes none; write drop."),
        ("close=99", "'99' in the fault 'close=99' is not a WebSocket close code like 1011."),
        ("close=1_000", "is not a WebSocket close code"),
        ("close=1006", "is not a WebSocket close code"),
        ("stall=2h", "'2h' in the fault 'stall=2h' is not a duration like 2s or 500ms."),
        ("refuse=200", "is not an HTTP status from 400 to 599."),
        ("incomplete=hungry", "is not max_output_tokens or content_filter."),
        ("fail=a b", "is not an error's code"),
        ("drop@0", "is no time for it; write @2, @response:2, @frame:2, @every."),
        ("fail@frame:2", "is no time for it; write @2, @response:2, @every."),
        ("refuse@response:1", "is no time for it; write @2, @connection:2, @every."),
        ("drop@", "is no time for it"),
    ],
)
def test_mistake_is_told_with_its_remedy(text, message):
    """
    The message names the wrong part and the allowed spellings.
    """
    with pytest.raises(ScenarioError, match=re.escape(message)):
        Fault.parse(text)


@settings(max_examples=50)
@given(st.text(max_size=30))
def test_any_text_is_a_fault_or_a_scenario_error(text):
    """
    Any text gives faults or this one error.
    """
    try:
        faults = parse_faults(text)
    except ScenarioError:
        return
    assert all(isinstance(fault, Fault) for fault in faults)


def test_several_faults_in_one_text():
    """
    Commas and white space separate, and lists may be nested in lists.
    """
    drop, stall = Fault("drop"), Fault("stall", 2.0)

    assert parse_faults("drop, stall=2s") == (drop, stall)
    assert parse_faults(["drop stall=2s", drop, ()]) == (drop, stall, drop)
    assert parse_faults(drop) == (drop,)
    assert parse_faults("") == ()


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "dorp"},
        {"name": "stall", "value": "x"},
        {"name": "drop", "value": 3},
        {"name": "close", "value": "1011"},
        {"name": "close", "value": 99},
    ],
)
def test_wrong_fault_made_in_python_is_refused(arguments):
    """
    The constructor takes the same values as the text, and nothing else.
    """
    with pytest.raises(ScenarioError):
        Fault(**arguments)


def test_fault_that_cannot_come_between_frames_counts_none():
    """
    A response fails; a frame doesn't.
    """
    with pytest.raises(ScenarioError, match="fail doesn't come between frames"):
        Fault("fail", is_frame=True)

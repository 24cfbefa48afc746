"""
``eventbus demo``: the call, its application, and what somebody sees.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

import eventbus.cli
from eventbus.cli.frames import parse_line
from eventbus.wire.openai_realtime import OpenAIRealtimeDecoder

CALL = Path(eventbus.cli.__file__).with_name("demo.jsonl")


@pytest.fixture(scope="module")
def frames():
    lines = CALL.read_bytes().splitlines()
    return [parse_line(number, line) for number, line in enumerate(lines, 1)]


@pytest.fixture(scope="module")
def events(frames):
    decoder = OpenAIRealtimeDecoder()
    return [event for line in frames for event in decoder.decode(line.frame)]


def test_call_is_what_its_script_writes():
    """
    The file that is shipped is the output of the script beside this test, to the byte.
    """
    path = Path(__file__).with_name("make_demo.py")
    spec = importlib.util.spec_from_file_location("make_demo", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    assert CALL.read_text(encoding="utf-8") == "".join(script.lines())


def test_call_says_that_it_is_synthetic(frames):
    """
    The first frame, that of the session, is marked as made up.
    """
    session = json.loads(frames[0].frame)["session"]

    assert session["metadata"]["synthetic"] == "true"


def test_call_is_over_in_about_ten_seconds(frames):
    """
    At normal speed the last frame is due before ten seconds are over, and the file is small.
    """
    times = [line.seconds for line in frames]

    assert times == sorted(times)
    assert 9 < times[-1] < 10
    assert CALL.stat().st_size < 150_000


def test_call_has_two_turns_a_tool_call_and_an_interruption(events):
    """
    What the demo is to show is there, decoded without a single Exception event.
    """
    types = [event.type for event in events]

    assert types.count("function_call") == 1
    assert types.count("turn_ended") == 3, "a tool call, an answer, and one that is cut off"
    assert [event.status for event in events if event.type == "turn_ended"] == [
        "completed",
        "completed",
        "cancelled",
    ]
    assert types.count("item_truncated") == 1
    assert "exception" not in types


def test_late_audio_of_the_interrupted_answer_is_fenced(frames, events):
    """
    Some audio comes after the interruption, and gives no event.
    """
    sent = sum(b'"response.output_audio.delta"' in line.frame for line in frames)

    assert sum(event.type == "audio" for event in events) < sent


def test_demo_shows_transcripts_tool_crash_and_summary(run):
    """
    Everything of the call is shown, in order, and then the summary with the crash; the code is 0.
    """
    result = run("demo", "--speed", "max")

    assert result.exit_code == 0
    told = [
        "Hello, where is my order?",
        "measure: ZeroDivisionError",
        "look_up_order(1042) =",
        "It left our warehouse",
        "Can I still send it back?",
        "interrupted:",
        "Thank you!",
        "RealtimeModelAudioEvent",
        "PhoneAgent.play",
        "crashes: 1",
        "ZeroDivisionError: division by zero",
    ]
    places = [result.stdout.find(each) for each in told]
    assert -1 not in places
    assert places == sorted(places)


def test_demo_says_that_the_crash_is_on_purpose(run):
    """
    What is no data goes to stderr: where the app is, and that it crashes on purpose.
    """
    result = run("demo", "--speed", "max")

    assert "demo_app.py" in result.stderr
    assert "crashed on purpose" in result.stderr
    assert "on purpose" not in result.stdout


def test_demo_at_speed_plays_and_purges(run):
    """
    Where playing takes time, the interruption does away with audio that is not played yet.
    """
    result = run("demo", "--speed", "20x")

    assert "purged: " in result.stdout
    assert "interrupted: 0.0 s" not in result.stdout

"""
``eventbus replay``.
"""

from __future__ import annotations

import json

import pytest

from eventbus.codec import loads
from eventbus.events import RealtimeModelTurnStartedEvent
from tests.cli.journals import write_journal

PING = {"type": "ping"}


def turn(number):
    return {"type": "response.created", "response": {"id": f"resp_{number}"}}


def shown(result):
    """Return the number of the line and the type of each event shown."""
    lines = result.stdout.partition("\n\n")[0].splitlines()
    return [tuple(line.split()[:2]) for line in lines]


def summary_of(result):
    return json.loads(result.stdout.splitlines()[-1])["summary"]


# --- what is shown ---------------------------------------------------------------------------


def test_events_are_shown_with_their_lines(run, write_frames):
    """
    Without an app each event is a line, with the number of the line that it came from.
    """
    result = run("replay", str(write_frames(turn(1), "", PING)))

    assert result.exit_code == 0
    assert shown(result) == [("1", "turn_started"), ("3", "other")]
    assert "RealtimeModelTurnStartedEvent" in result.stdout, "and then there is the summary"
    assert result.stderr == ""


def test_dash_is_stdin(run):
    """
    A file named - is the standard input.
    """
    result = run("replay", "-", input=json.dumps(turn(1)))

    assert shown(result) == [("1", "turn_started")]


def test_envelopes_are_opened_and_what_was_sent_is_passed_over(run, write_frames):
    """
    A recording of both directions is replayed like the frames that were received.
    """
    path = write_frames(
        {"direction": "received", "frame": turn(1)}, {"direction": "sent", "frame": PING}
    )

    assert shown(run("replay", str(path))) == [("1", "turn_started")]


def test_json_events_can_be_loaded_by_the_codec(run, write_frames):
    """
    With --json each line but the last is an event that the codec loads, the last the summary.
    """
    result = run("replay", str(write_frames(turn(1), PING)), "--json")

    first, second, last = result.stdout.splitlines()
    assert loads(first) == RealtimeModelTurnStartedEvent("resp_1")
    assert loads(second).data["type"] == "ping"
    assert list(json.loads(last)) == ["schema", "summary"]


def test_summary_counts_frames_and_events(run, write_frames):
    """
    The summary has the raw events, one a frame, and the typed ones, which alone are in its totals.
    """
    summary = summary_of(run("replay", str(write_frames(turn(1), PING)), "--json"))

    assert {row["event"]: row["count"] for row in summary["events"]} == {
        "RealtimeModelRawServerEvent": 2,
        "RealtimeModelTurnStartedEvent": 1,
        "RealtimeModelOtherEvent": 1,
    }
    assert (summary["handled"], summary["unhandled"]) == (0, 2)


@pytest.mark.parametrize("lines", [[], ["", " "], [{"direction": "sent", "frame": PING}]])
def test_file_without_frames_is_fine_and_told(run, write_frames, lines):
    """
    Without a single frame there is a summary of nothing, and one line that says so.
    """
    path = write_frames(*lines)

    result = run("replay", str(path))

    assert result.exit_code == 0
    assert "crashes: none" in result.stdout
    assert result.stderr == f"{path}: 0 events; it has no frame that a service has sent\n"


def test_stdin_without_frames_is_told(run):
    """
    An empty pipe is fine, too.
    """
    result = run("replay", "-", input="")

    assert result.exit_code == 0
    assert result.stderr.startswith("stdin: 0 events")


def test_speed_paces_by_the_times_of_the_lines(run, write_frames):
    """
    At a finite speed the frames still come all, in order.
    """
    path = write_frames({"t": 1.0, "frame": turn(1)}, {"t": 1.5, "frame": turn(2)})

    result = run("replay", str(path), "--speed", "100x")

    assert shown(result) == [("1", "turn_started"), ("2", "turn_started")]


# --- apps ------------------------------------------------------------------------------------


def test_app_gets_the_events_and_what_it_prints_is_shown(run, write_frames, write_module):
    """
    With an app its handlers get the events; stdout has their output, then the summary.
    """
    write_module(
        "agent",
        "bus = EventBus()\n"
        "@bus.on(RealtimeModelTurnStartedEvent)\n"
        "async def begin(event): print('began', event.response_id)\n",
    )

    result = run("replay", str(write_frames(turn(1))), "--app", "agent:bus")

    assert result.exit_code == 0
    assert result.stdout.startswith("began resp_1\n\nevents")
    assert "agent.begin" in result.stdout


@pytest.mark.slow
def test_with_json_what_the_app_prints_goes_to_stderr(start, write_frames, write_module):
    """
    With --json stdout is JSON and nothing else, also where the app prints.
    """
    write_module(
        "agent",
        "print('imported')\n@on(RealtimeModelTurnStartedEvent)\ndef begin(event): print('began')\n",
    )

    with start("replay", str(write_frames(turn(1))), "--app", "agent", "--json") as process:
        out, err = process.communicate()

    assert [*json.loads(out)] == ["schema", "summary"]
    assert err.decode().splitlines() == ["imported", "began"]


def test_crash_ends_with_5_and_is_named(run, write_frames, write_module):
    """
    A handler that crashes is named on stderr when it does, once, and in the summary.
    """
    write_module(
        "agent",
        "@on(RealtimeModelTurnStartedEvent)\n"
        "def begin(event): raise LookupError(event.response_id)\n",
    )

    result = run("replay", str(write_frames(turn(1), turn(2))), "--app", "agent")

    assert result.exit_code == 5
    assert result.stderr == (
        "crash: agent.begin on RealtimeModelTurnStartedEvent: LookupError: resp_1 (agent.py:4)\n"
    )
    assert "agent.begin on RealtimeModelTurnStartedEvent, 2 times" in result.stdout


@pytest.mark.parametrize("handler", ["def", "async def"])
def test_strict_bus_is_replayed_to_the_end(run, write_frames, write_module, handler):
    """
    A strict bus gets all the frames, too, and the exit code is 5.
    """
    write_module(
        "agent",
        "bus = EventBus(strict=True)\n"
        "@bus.on(RealtimeModelTurnStartedEvent)\n"
        f"{handler} begin(event): raise ValueError\n",
    )

    result = run("replay", str(write_frames(turn(1), turn(2))), "--app", "agent:bus", "--json")

    assert result.exit_code == 5
    assert summary_of(result)["calls"][0]["count"] == 2


def test_full_mailbox_that_raises_is_a_drop(run, write_frames, write_module):
    """
    At a finite speed, a full mailbox with Overflow.RAISE loses the event, and the replay goes on.
    """
    write_module(
        "agent",
        "import anyio\n"
        "bus = EventBus()\n"
        "@bus.on(RealtimeModelOtherEvent, mailbox=Mailbox(1, overflow=Overflow.RAISE))\n"
        "async def slow(event): await anyio.sleep(0.01)\n",
    )

    result = run("replay", str(write_frames(*[PING] * 20)), "--app", "agent:bus", "--json",
                 "--speed", "1000x")  # fmt: skip

    assert result.exit_code == 0
    assert summary_of(result)["dropped"] > 0


def test_full_mailbox_that_blocks_is_waited_for(run, write_frames, write_module):
    """
    A mailbox with Overflow.BLOCK loses nothing, however fast the file is read.
    """
    write_module(
        "agent",
        "import anyio\n"
        "bus = EventBus()\n"
        "@bus.on(RealtimeModelOtherEvent, mailbox=Mailbox(1, overflow=Overflow.BLOCK))\n"
        "async def slow(event): await anyio.lowlevel.checkpoint()\n",
    )

    result = run("replay", str(write_frames(*[PING] * 20)), "--app", "agent:bus", "--json")

    summary = summary_of(result)
    assert (summary["dropped"], summary["calls"][0]["count"]) == (0, 20)


def test_app_may_close_its_bus(run, write_frames, write_module):
    """
    A handler that closes the bus ends the replay, and that is fine.
    """
    write_module(
        "agent",
        "bus = EventBus()\n"
        "@bus.on(RealtimeModelTurnStartedEvent)\n"
        "async def begin(event): await bus.aclose()\n",
    )

    result = run("replay", str(write_frames(turn(1), *[PING] * 50)), "--app", "agent:bus")

    assert result.exit_code == 0


def test_handlers_may_publish(run, write_frames, write_module):
    """
    Events that handlers publish are in the summary, under their own class.
    """
    write_module(
        "agent",
        "class Own: pass\n"
        "bus = EventBus()\n"
        "@bus.on(RealtimeModelTurnStartedEvent)\n"
        "def begin(event): bus.publish(Own())\n",
    )

    result = run("replay", str(write_frames(turn(1))), "--app", "agent:bus", "--json")

    [own] = [row for row in summary_of(result)["events"] if row["event"] == "Own"]
    assert (own["count"], own["unhandled"]) == (1, 1)


# --- bad input -------------------------------------------------------------------------------

BAD_LINES = [
    pytest.param("secret words", "not valid JSON", id="no JSON"),
    pytest.param('"secret words"', "not a JSON object", id="no object"),
    pytest.param(
        {"type": "response.created", "response": "secret words"}, "field response", id="wrong field"
    ),
    pytest.param({"frame": {}, "direction": "secret words"}, "direction", id="envelope"),
    pytest.param({"frame": {}, "t": "secret words"}, "envelope's t", id="time"),
    pytest.param('{"type": "x", "secret words": 1, "secret words": 2}', "twice", id="duplicate"),
    pytest.param("[" * 100_000, "nested deeper", id="nesting"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_bad_line_is_named_and_the_others_are_replayed(run, write_frames, line, reason):
    """
    File, line and reason are on stderr, without a caller's words; good lines give their events.
    """
    path = write_frames(turn(1), line, turn(2))

    result = run("replay", str(path))

    assert result.exit_code == 3
    (error,) = result.stderr.splitlines()
    assert error.startswith(f"{path}:2: ")
    assert reason in error
    assert "secret" not in error
    assert "raw event" not in error, "that is for programs"
    assert error.endswith(".")
    assert [row for row in shown(result) if row[1] == "turn_started"] == [
        ("1", "turn_started"),
        ("3", "turn_started"),
    ]
    assert "bad lines: 1" in result.stdout


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_strict_stops_at_the_first_bad_line(run, write_frames, line, reason):
    """
    With --strict neither the bad line nor the lines after it give events.
    """
    result = run("replay", str(write_frames(turn(1), line, turn(2), line)), "--strict")

    assert result.exit_code == 3
    assert len(result.stderr.splitlines()) == 1
    assert shown(result) == [("1", "turn_started")]


def test_bad_input_outranks_a_crash(run, write_frames, write_module):
    """
    With a bad line and a crash the code is that of the bad input.
    """
    write_module("agent", "@on(RealtimeModelTurnStartedEvent)\ndef begin(event): 1 / 0\n")

    result = run("replay", str(write_frames(turn(1), "nonsense")), "--app", "agent")

    assert result.exit_code == 3
    assert "crashes: 1" in result.stdout


def test_unknown_frame_is_no_bad_input(run, write_frames):
    """
    A frame of a type that nobody knows is an Other event, and fine.
    """
    assert run("replay", str(write_frames({"type": "vendor.new"}))).exit_code == 0


@pytest.mark.parametrize("args", [[], ["type:audio"], ["--decode"], ["--app", "nobody"]])
def test_empty_journal_is_no_empty_file_of_frames(run, tmp_path, args):
    """
    An empty file that is named like a journal ends with 3, as it does for other commands.
    """
    (tmp_path / "call.journal").touch()

    result = run("replay", "call.journal", *args)

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == run("stats", "call.journal").stderr
    assert "call.journal is empty" in result.stderr


def test_journal_whose_first_segment_is_gone_is_replayed(run, tmp_path):
    """
    As other commands do, it takes the path that the recorder was given.
    """
    write_journal(tmp_path / "call.00002.journal")

    result = run("replay", "call.journal")

    assert result.exit_code == run("stats", "call.journal").exit_code == 0
    assert "turn_ended" in result.stdout


def test_stdin_is_named_in_errors(run):
    """
    A bad line of the standard input is named by its number, too.
    """
    assert run("replay", "-", input="nonsense\n").stderr.startswith("stdin:1: ")


def test_lines_with_the_same_problem_are_counted(run, write_frames):
    """
    After three lines of a kind the rest is a number, and all of them are in the summary.
    """
    path = write_frames(turn(1), *[f"{'x' * n} nonsense" for n in range(40)])

    result = run("replay", str(path))

    assert result.stderr.splitlines()[3:] == [f"{path}: and 37 more lines like line 2"]
    assert "bad lines: 40" in result.stdout


FOREIGN = "is this a file of their frames?"


@pytest.mark.parametrize("lines", [["nonsense"], [{"event": "media"}], [{"type": ["x"]}, "[]"]])
def test_file_of_something_else_is_asked_about(run, write_frames, lines):
    """
    If no line is a frame of a known service, the last line of stderr asks about the file.
    """
    path = write_frames(*lines)

    assert run("replay", str(path)).stderr.splitlines()[-1].startswith(f"{path}: ")
    assert run("replay", str(path)).stderr.endswith(f"{FOREIGN}\n")


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [PING, turn(1)],
        [{"type": "response.created", "response": "wrong"}],
        [{"type": "response.content_part.added"}],
        [{"type": "session.started", "session": {}}],
        [{"serverContent": {"waitingForInput": True}}],
        [{"serverContent": {"modelTurn": "wrong"}}],
    ],
    ids=["empty", "one known", "broken", "without a class", "GPT-Live", "Gemini", "its broken"],
)
def test_file_with_one_known_type_is_not_asked_about(run, write_frames, lines):
    """
    One line of a known type is enough, also if it is broken or has no class of its own.
    """
    assert FOREIGN not in run("replay", str(write_frames(*lines))).stderr


# --- usage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ([], "FILE"),
        (["-", "--speed", "fast"], "'fast' is not a valid speed"),
        (["-", "--app"], "--app"),
        (["-", "--unknown"], "--unknown"),
    ],
)
def test_wrong_arguments_end_with_2(run, args, named):
    """
    Wrong arguments are named on stderr, and nothing is replayed.
    """
    result = run("replay", *args)

    assert (result.exit_code, result.stdout) == (2, "")
    assert named in result.stderr


# --- recorded sessions -----------------------------------------------------------------------


def test_recorded_sessions_are_replayed_without_a_bad_line(run, corpus):
    """
    Sessions of each service have no bad line, with the client's messages or without.
    """
    paths = sorted(corpus.glob("*.jsonl"))

    results = {path.name: run("replay", str(path), "--json") for path in paths}

    assert paths
    assert {name: result.stderr for name, result in results.items() if result.exit_code} == {}
    for path in corpus.glob("*.frames.jsonl"):
        if path.name in results:
            other = results[path.name.replace(".frames.", ".session.")]
            assert summary_of(other) == summary_of(results[path.name])

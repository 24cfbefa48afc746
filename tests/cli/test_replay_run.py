"""
`eventbus.cli.replay_run`: a replay, watched.
"""

from __future__ import annotations

import io
import json
import math

from eventbus import EventBus
from eventbus.cli.replay_run import ReplayRun
from eventbus.events import RealtimeModelRawServerEvent, RealtimeModelTurnStartedEvent
from eventbus.replay import FrameFile
from eventbus.telemetry import SummaryObserver

MS = 1_000_000


def file_of(*lines):
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return FrameFile(io.BytesIO("\n".join(texts).encode()), "call.jsonl")


def turn(number, seconds=None):
    frame = {"type": "response.created", "response": {"id": f"resp_{number}"}}
    return frame if seconds is None else {"t": seconds, "frame": frame}


def play(*lines, bus=None, speed=math.inf, **more):
    bus = EventBus() if bus is None else bus
    return ReplayRun(file_of(*lines), bus, SummaryObserver(bus), speed=speed, **more).run()


def test_raw_event_is_published_and_not_shown():
    """
    Handlers get the raw event of each frame first; on_event gets the typed ones, with the line.
    """
    bus, published, shown = EventBus(), [], []
    bus.subscribe(published.append, RealtimeModelRawServerEvent, RealtimeModelTurnStartedEvent)

    play(turn(1), turn(2), bus=bus, on_event=lambda *args: shown.append(args))

    assert [type(event).__name__ for event in published] == [
        "RealtimeModelRawServerEvent",
        "RealtimeModelTurnStartedEvent",
    ] * 2
    assert shown == [(1, published[1]), (2, published[3])]


def test_clock_is_told_before_the_events_of_a_frame():
    """
    on_time comes before the frame's events, with nanoseconds from the first one on.
    """
    story = []

    play(
        turn(1, 10.0),
        turn(2, 10.25),
        speed=1000.0,
        on_time=lambda ns: story.append(ns // MS),
        on_event=lambda number, event: story.append(event.response_id),
    )

    # Each frame has its raw event, too, which is not shown.
    assert story == [0, 0, "resp_1", 250, 250, "resp_2"]


def test_output_is_handed_on_before_anything_takes_time():
    """
    before_wait comes between two frames of which the second isn't due yet.
    """
    story = []

    play(
        turn(1, 0.0),
        turn(2, 0.5),
        speed=100.0,
        on_event=lambda number, event: story.append(event.response_id),
        before_wait=lambda: story.append("flush"),
    )

    assert "flush" in story[story.index("resp_1") : story.index("resp_2")]


def test_handlers_have_finished_at_the_end():
    """
    The summary has the calls of async handlers for the last frame, too.
    """
    bus = EventBus()

    async def handler(event):
        pass

    bus.subscribe(handler, RealtimeModelTurnStartedEvent)

    summary = play(turn(1), turn(2), bus=bus)

    assert [call.count for call in summary.calls] == [2]


def test_bus_can_be_played_on_again():
    """
    A second replay on the same bus has a summary of its own.
    """
    bus = EventBus()

    first, second = play(turn(1), turn(2), bus=bus), play(turn(3), bus=bus)

    assert (first.count, second.count) == (4, 2)


def test_line_with_several_problems_is_one_bad_line(capsys):
    """
    Bad lines are counted, not their problems.
    """
    summary = play("[", turn(1), "{")

    assert summary.bad_lines == 2
    assert [line.split(":")[1] for line in capsys.readouterr().err.splitlines()] == ["1", "3"]


def test_clients_messages_are_given_when_they_are_due():
    """
    They are not published, and come between the events at their own time.
    """
    story = []
    sent = {"t": 10.1, "direction": "sent", "frame": {"type": "response.cancel"}}

    play(
        turn(1, 10.0),
        sent,
        turn(2, 10.25),
        on_sent=lambda line: story.append(line.frame),
        on_event=lambda number, event: story.append(event.response_id),
    )

    assert story == ["resp_1", b'{"type": "response.cancel"}', "resp_2"]

"""
Faults happen at their time, once or every time, and change frames as their names say.
"""

from __future__ import annotations

import pytest

from eventbus.simulator import Fault
from eventbus.simulator._service.fault_plan import (
    Close,
    Drop,
    Ending,
    FaultPlan,
    Send,
    SendText,
    Wait,
)
from eventbus.simulator.faults import parse_faults
from tests.simulator.strict import strict_server_event

SESSION = {"type": "session.created", "event_id": "event_1", "session": {}}


def response(number: int, *, audio: int = 2) -> list[dict]:
    """
    Return the frames of a response, as far as faults look at them.
    """
    name = f"resp_{number}"
    return [
        {"type": "response.created", "response": {"id": name}},
        {"type": "response.output_audio_transcript.delta", "response_id": name, "delta": "Hi"},
        *(
            {"type": "response.output_audio.delta", "response_id": name, "delta": str(piece)}
            for piece in range(audio)
        ),
        {"type": "response.output_audio.done", "response_id": name},
        {"type": "response.done", "response": {"id": name}},
    ]


def play(connection, frames, *, faults=()):
    """
    Return the steps for *frames*: those that aren't the frames themselves, with their places.
    """
    if frames[0]["type"] == "response.created":
        connection.begin_response(faults)
    steps = [step for frame in frames for step in connection.steps(frame)]
    expected = [Send(frame) for frame in frames]
    return steps, [
        (place, step) for place, step in enumerate(steps) if step not in expected[: place + 1]
    ]


def of(text):
    return FaultPlan(parse_faults(text)).connection()


def test_without_faults_each_frame_is_sent():
    """
    A plan without faults changes nothing.
    """
    frames = [SESSION, *response(1), *response(2)]

    assert play(of(""), frames)[0] == [Send(frame) for frame in frames]


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("drop", Drop()),
        ("close=4000", Close(4000, "The fault close=4000@1 was asked for.")),
        ("stall=500ms", Wait(0.5)),
    ],
)
def test_fault_comes_after_the_first_audio(text, step):
    """
    A fault between frames happens once, when the client has heard something.
    """
    connection = of(text)

    assert play(connection, response(1))[1] == [(3, step)]
    assert play(connection, response(2))[1] == []


def test_stall_may_be_whole_seconds():
    """
    In Python code, two seconds are two seconds with or without a point.
    """
    assert play(FaultPlan([Fault("stall", 2)]).connection(), response(1))[1] == [(3, Wait(2))]


def test_fault_of_a_later_response():
    """
    ``@2`` is in the second response, and in no other.
    """
    connection = of("drop@2")

    assert [len(play(connection, response(number))[1]) for number in (1, 2, 3)] == [0, 1, 0]


def test_fault_of_every_response():
    """
    ``@every`` is in each.
    """
    connection = of("drop@every")

    assert [len(play(connection, response(number))[1]) for number in (1, 2, 3)] == [1, 1, 1]


def test_response_without_output_has_its_fault_before_it_is_done():
    """
    If there is no piece of output to come after, the fault comes before response.done.
    """
    created, *_, done = response(1)

    assert play(of("drop"), [created, done])[0] == [Send(created), Drop(), Send(done)]


def test_fault_after_a_frame():
    """
    ``@frame:2`` comes after the second frame of a connection, of the first that has so many.
    """
    plan = FaultPlan(parse_faults("drop@frame:2"))

    first, second = plan.connection(), plan.connection()

    assert play(first, [SESSION, SESSION, SESSION])[0][2] == Drop()
    assert play(second, [SESSION, SESSION, SESSION])[1] == []


def test_responses_are_counted_over_all_connections():
    """
    A client that connects again gets further: a fault that has happened doesn't happen again.
    """
    plan = FaultPlan(parse_faults("drop@1, stall@2"))

    assert play(plan.connection(), response(1))[1] == [(3, Drop())]
    assert play(plan.connection(), response(1))[1] == [(3, Wait(2.0))]


def test_malformed_frame_is_no_json():
    """
    It is sent as text, in addition to all others.
    """
    steps, [(_, step)] = play(of("malformed"), response(1))

    assert isinstance(step, SendText)
    assert len(steps) == len(response(1)) + 1


def test_unknown_event_and_error_are_whole_events():
    """
    One has a type that the protocol doesn't have, the other is the protocol's own.
    """
    _, [(_, unknown), (_, error)] = play(of("unknown, error=session_expired"), response(1))

    assert unknown.frame["type"] == "response.mumble.delta"
    assert strict_server_event(error.frame).error.code == "session_expired"


def test_duplicate_audio_comes_twice_in_a_row():
    """
    Every piece of audio does, and nothing else.
    """
    frames = response(1)
    steps, _ = play(of("duplicate-audio"), frames)

    assert [frames.index(step.frame) for step in steps] == [0, 1, 2, 2, 3, 3, 4, 5]


def test_late_audio_comes_after_the_response():
    """
    The last piece comes once more when the response is done; without audio nothing does.
    """
    connection = of("late-audio@every")
    frames = response(1)

    assert [frames.index(step.frame) for step in play(connection, frames)[0]] == [*range(6), 3]
    assert len(play(connection, response(2, audio=0))[0]) == 4


def test_response_without_its_end():
    """
    All of it comes but response.done.
    """
    steps, _ = play(of("no-done"), response(1))

    assert [step.frame["type"] for step in steps][-1] == "response.output_audio.done"


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("fail", Ending("failed", "server_error")),
        ("fail=rate_limit_exceeded", Ending("failed", "rate_limit_exceeded")),
        ("incomplete", Ending("incomplete", "max_output_tokens")),
        ("drop", None),
    ],
)
def test_ending_is_that_of_the_response_that_was_begun(text, ending):
    """
    The engine is told how to end the response, and the next one ends well.
    """
    connection = of(text)

    connection.begin_response()
    assert connection.ending == ending
    connection.begin_response()
    assert connection.ending is None


def test_turn_has_its_faults_once():
    """
    A turn's fault is in the response that performs it, the first time; ``@every`` each time.
    """
    once, always = parse_faults("drop"), parse_faults("drop@every")
    connection = of("")

    found = [
        len(play(connection, response(number), faults=faults)[1])
        for number, faults in enumerate([once, once, always, always, ()])
    ]

    assert found == [1, 0, 1, 1, 0]


def test_responses_side_by_side_have_their_own_faults():
    """
    An out-of-band response doesn't take the faults of the one that goes on.
    """
    connection = of("drop@2")
    first, second = response(1), response(2)
    connection.begin_response()
    steps = [*connection.steps(first[0])]
    connection.begin_response()
    steps += connection.steps(second[0])
    steps += connection.steps(first[2])
    assert Drop() not in steps

    assert Drop() in connection.steps(second[2])


def test_transcription_fails():
    """
    The second one does, for ``@2``.
    """
    connection = of("no-transcript@2")

    assert [connection.begin_transcription() for _ in range(3)] == [False, True, False]


def test_connection_is_refused():
    """
    The first connection is refused with the status; the next attempt is accepted.
    """
    plan = FaultPlan(parse_faults("refuse=429"))

    assert [plan.refusal() for _ in range(3)] == [429, None, None]

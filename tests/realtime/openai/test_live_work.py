"""
The rounds of delegated work: when the backend is asked to go on.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventbus.realtime.openai._live_work import DelegatedWork


def event(kind, delegation="d"):
    return {"type": "response.event", "delegation_id": delegation, "event": {"type": kind}}


def test_a_round_without_calls_is_followed_by_nothing():
    """
    The backend's answer in words ends the work.
    """
    work = DelegatedWork()

    assert not work.note_event(event("response.created"))
    assert not work.note_event(event("response.completed"))
    assert not work.is_busy


def test_outputs_of_a_failed_response_are_not_wanted():
    """
    They would be an error of the service.
    """
    work = DelegatedWork()
    work.note_event(event("response.created"))
    work.note_call("c", "d")

    assert not work.note_event(event("response.failed"))
    assert not work.is_wanted("c")
    assert not work.note_output("c")


@given(st.data(), st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(1, 3))
def test_each_round_is_asked_for_once_and_not_too_early(data, rounds, delegations):
    """
    In any order of outputs and ends: one request a round, after its end and its last output.
    """
    work = DelegatedWork()
    for number, calls in enumerate(rounds):
        for name in map(str, range(delegations)):
            work.note_event(event("response.created", name))
            ids = [f"{name}/{number}/{call}" for call in range(calls)]
            steps = data.draw(st.permutations([*ids, "end"]))
            # A call is known before its output, and before the end of the response.
            for call_id in ids:
                work.note_call(call_id, name)
            asked = []
            for step in steps:
                if step == "end":
                    asked.append(work.note_event(event("response.completed", name)))
                else:
                    assert work.is_wanted(step)
                    asked.append(work.note_output(step))

            assert asked == [False] * calls + [True]

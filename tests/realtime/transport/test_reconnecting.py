from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.realtime.transport import ReconnectPolicy


@pytest.mark.parametrize("code", [1001, 1006, 1011, 1012, 1013, 1014])
def test_accidents_are_worth_another_attempt(code):
    """
    A server that restarts, or a network that breaks, is no decision against us.
    """
    assert ReconnectPolicy().allows(code)


@pytest.mark.parametrize(
    "code", [1000, 1002, 1003, 1005, 1007, 1008, 1009, 1010, 1015, 3000, 4000, 4001, 4999]
)
def test_decisions_and_mistakes_are_final(code):
    """
    An end that was intended, or would happen again, is not followed by an attempt.
    """
    assert not ReconnectPolicy().allows(code)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *((code, True) for code in (None, 408, 429, 500, 503, 1006)),
        *((code, False) for code in (400, 401, 403, 404, 1015)),
    ],
)
def test_refusal_that_may_pass_is_tried_again(code, expected):
    """
    A server that is busy or in trouble may take us the next time; one that refuses us won't.
    """
    assert ReconnectPolicy().allows_after_failure(code) is expected


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_delay_is_drawn_from_nothing_to_a_bound(attempt, drawn):
    """
    The bound doubles with each attempt, and doesn't exceed max_delay.
    """
    policy = ReconnectPolicy(initial_delay=0.5, max_delay=8.0, random=lambda: drawn)

    assert policy.delay(attempt) == drawn * min(0.5 * 2.0 ** min(attempt - 1, 10), 8.0)


@pytest.mark.parametrize("name", ["max_attempts", "initial_delay", "max_delay"])
def test_policy_that_does_nothing_is_refused(name):
    """
    To turn it off, there is None.
    """
    with pytest.raises(ValueError, match=f"{name}.*reconnect=None"):
        ReconnectPolicy(**{name: 0})

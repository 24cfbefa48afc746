"""
`eventbus.analysis._figures`: figures as data, and their limits.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.analysis import (
    COUNTS,
    FIGURES,
    Distribution,
    Totals,
    parse_limit,
    percentile,
)

TOTALS = Totals({"turn_latency": Distribution(3, 1.0, 2.0, 3.0)}, {"crashes": 4})


@given(st.lists(st.integers(), min_size=1), st.integers(1, 100))
@pytest.mark.slow
def test_percentile_is_a_value_that_so_many_do_not_exceed(values, percent):
    """
    At least *percent* of the values are at most the percentile, and of less than it, fewer.
    """
    found = percentile(sorted(values), percent)

    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_distribution_of_nothing_is_none():
    """
    Without values, there is no distribution.
    """
    assert Distribution.of([]) is None
    assert Distribution.of([3.0, 1.0, 2.0]) == Distribution(3, 2.0, 3.0, 3.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("turn_latency.p50", 1.0),
        ("turn_latency.max", 3.0),
        ("turn_latency.count", 3),
        ("crashes", 4),
        ("tool_time.p95", None),
        ("tool_time.count", 0),
    ],
)
def test_totals_give_one_number(name, expected):
    """
    A figure and its statistic name one number; it is None without values.
    """
    assert TOTALS.get(name) == expected


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("turn_latency.p95=800ms", "turn_latency.p95", 800.0),
        (" tool_time.max <= 1.5s ", "tool_time.max", 1_500.0),
        ("crashes=0", "crashes", 0),
        ("tokens.total=5000", "tokens.total", 5_000),
        ("unheard_audio.count=3", "unheard_audio.count", 3),
    ],
)
def test_limit_is_read(text, name, value):
    """
    Times are limited with their unit, counts with a number.
    """
    limit = parse_limit(text)

    assert (limit.name, limit.value) == (name, value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("turn_latency=800ms", "limit one of turn_latency.p50"),
        ("turn_latency.p99=800ms", "there is no figure"),
        ("turn_latency.p95=800", "with its unit"),
        ("turn_latency.p95", "is not a limit"),
        ("crashes=1s", "is a number"),
        ("speed.p95=1s", "there are turn_latency"),
        ("", "is not a limit"),
    ],
)
def test_wrong_limit_says_what_would_do(text, words):
    """
    A text that is not a limit is a ValueError with an example of one.
    """
    with pytest.raises(ValueError, match=words):
        parse_limit(text)


@pytest.mark.parametrize("name", [*(f"{name}.p95" for name in FIGURES), *COUNTS])
def test_every_figure_can_be_limited(name):
    """
    Every listed figure can be limited.
    """
    assert parse_limit(f"{name}={'1s' if name.endswith('.p95') else 1}").name == name

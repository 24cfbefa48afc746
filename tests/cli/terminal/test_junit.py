"""
`eventbus.cli.terminal.junit`: limits, as CI services show them.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from eventbus.analysis import Distribution, Totals, parse_limit
from eventbus.cli.terminal.junit import judge, junit_xml

TOTALS = Totals({"turn_latency": Distribution(3, 500.0, 900.0, 1_000.0)}, {"crashes": 2})


def verdicts(*texts):
    return judge(TOTALS, [parse_limit(text) for text in texts])


def test_limit_itself_is_allowed():
    """
    A figure that equals its limit is within it.
    """
    kept, over = verdicts("turn_latency.p95=900ms", "turn_latency.p95=899ms")

    assert (kept.is_kept, over.is_kept) == (True, False)


def test_figure_over_its_limit_is_told_as_more():
    """
    However close they are, a figure and the limit that it exceeds aren't told as the same time.
    """
    (verdict,) = verdicts("turn_latency.p95=899.999ms")

    assert verdict.text == "turn_latency.p95 is 900.0 ms, which is over 899.999 ms"


def test_big_number_is_told_in_full():
    """
    A count has all of its digits, however many they are.
    """
    (verdict,) = judge(
        Totals({}, {"tokens.total": 1_234_568}), [parse_limit("tokens.total=1234567")]
    )

    assert verdict.text == "tokens.total is 1234568, which is over 1234567"


def test_figure_without_values_keeps_no_limit():
    """
    What was not measured can't be within a limit: a test that shows nothing must not pass.
    """
    (verdict,) = verdicts("tool_time.p50=1s")

    assert not verdict.is_kept
    assert "has no values" in verdict.text


@given(st.text())
def test_report_is_xml_whatever_the_name(name):
    """
    Any file name gives a report that can be parsed.
    """
    root = ET.fromstring(junit_xml(name, verdicts("crashes=1")))

    assert root.find("testsuite/testcase/failure").get("message") == "crashes is 2, which is over 1"

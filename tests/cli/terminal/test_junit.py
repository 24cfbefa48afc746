"""
`eventbus.cli.terminal.junit`: limits, as CI services show them.
"""

from __future__ import annotations

import re
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
    A figure without values can't be within a limit: a test that shows nothing must not pass.
    """
    (verdict,) = verdicts("tool_time.p50=1s")

    assert not verdict.is_kept
    assert "has no values" in verdict.text


ESTIMATED = Totals({"turn_latency": Distribution(4, 500.0, 900.0, 1_000.0, estimated=3)}, {})


def test_estimated_figure_keeps_no_limit():
    """
    Nobody has measured it, so that it can't be within a limit; the sentence names the option.
    """
    (verdict,) = judge(ESTIMATED, [parse_limit("turn_latency.p95=1s")])

    assert not verdict.is_kept
    assert verdict.text == (
        "turn_latency.p95 is 900 ms, which is within 1000 ms; "
        "3 of its 4 values are estimates, which --allow-estimated accepts"
    )


def test_estimated_figure_can_be_allowed():
    """
    Then its limit counts, and the sentence still says that it is an estimate.
    """
    limits = [parse_limit("turn_latency.p95=1s"), parse_limit("turn_latency.max=1ms")]
    kept, over = judge(ESTIMATED, limits, allow_estimated=True)

    assert (kept.is_kept, over.is_kept) == (True, False)
    assert "3 of its 4 values are estimates" in kept.text


def test_number_of_values_is_never_an_estimate():
    """
    The number of turns is known even if their latency is estimated.
    """
    (verdict,) = judge(ESTIMATED, [parse_limit("turn_latency.count=4")])

    assert verdict.is_kept


# Ant's JUnit schema: for each element its attributes, all required, and its children, in order.
SCHEMA = {
    "testsuites": ("", "testsuite*"),
    "testsuite": (
        "name package id hostname timestamp tests failures errors time",
        "properties testcase* system-out system-err",
    ),
    "properties": ("", ""),
    "testcase": ("name classname time", "failure?"),
    "failure": ("message type", ""),
    "system-out": ("", ""),
    "system-err": ("", ""),
}


def offences(element):
    """
    Return the elements with attributes or children that the schema doesn't allow.
    """
    attributes, children = SCHEMA[element.tag]
    pattern = "".join(
        f"(?:{name.rstrip('*?')} ){name[len(name.rstrip('*?')) :]}" for name in children.split()
    )
    tags = "".join(f"{child.tag} " for child in element)
    is_valid = set(element.keys()) == set(attributes.split()) and re.fullmatch(pattern, tags)
    found = [] if is_valid else [element.tag]
    return found + [offence for child in element for offence in offences(child)]


def test_report_keeps_to_the_schema():
    """
    Names, order and numbers are those that the strictest schema wants.
    """
    limits = ("crashes=1", "crashes=2", "tool_time.p50=1s")
    root = ET.fromstring(junit_xml("call.journal", verdicts(*limits), 1_700_000_000_000_000_000))

    assert offences(root) == []
    [suite] = root
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "2", "0")
    assert suite.get("timestamp") == "2023-11-14T22:13:20"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))


@given(st.text())
def test_report_is_xml_whatever_the_name(name):
    """
    Any file name gives a report that can be parsed.
    """
    root = ET.fromstring(junit_xml(name, verdicts("crashes=1")))

    assert root.find("testsuite/testcase/failure").get("message") == "crashes is 2, which is over 1"

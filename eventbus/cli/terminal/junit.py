"""
Limits of figures as a JUnit report, which CI services show: a test case for each limit.

The report is valid for the strictest schema in use, that of Ant's JUnit task, and so for those of
Jenkins, GitLab and others, which demand less.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import attrs

from ...analysis._figures import Limit, Totals
from .summary import short_time


@attrs.frozen
class Verdict:
    """
    The outcome of one limit.

    Attributes:
        limit: The limit.
        value: The figure; None if the journal has no values for it.
        count: How many values it is made of.
        estimated: How many of them are estimates.
        allows_estimated: Whether estimates are accepted.
    """

    limit: Limit
    value: float | None
    count: int = 0
    estimated: int = 0
    allows_estimated: bool = False

    @property
    def is_within(self) -> bool:
        """True if the figure is there and not above the limit."""
        return self.value is not None and self.value <= self.limit.value

    @property
    def is_kept(self) -> bool:
        """True if the figure is within the limit, and was measured rather than estimated."""
        return self.is_within and (not self.estimated or self.allows_estimated)

    @property
    def text(self) -> str:
        """The outcome as a sentence, without its full stop."""
        name = self.limit.name
        if self.value is None:
            return f"{name} has no values in this journal, so that nothing is shown by it"
        relation = "is within" if self.is_within else "is over"
        value, limit = self._told(self.value), self._told(self.limit.value)
        if value == limit and not self.is_within:  # rounded, 800.4 ms would be over 800 ms
            value, limit = f"{self.value} ms", f"{self.limit.value} ms"
        text = f"{name} is {value}, which {relation} {limit}"
        if not self.estimated:
            return text
        text = f"{text}; {self.estimated} of its {self.count} values are estimates"
        if self.allows_estimated or not self.is_within:
            return text
        return f"{text}, which --allow-estimated accepts"

    def _told(self, value: float) -> str:
        return short_time(value) if self.limit.is_time else f"{value:.0f}"


def judge(
    totals: Totals, limits: Sequence[Limit], *, allow_estimated: bool = False
) -> list[Verdict]:
    """
    Return the outcome of each limit.

    Args:
        totals: The figures.
        limits: Their limits.
        allow_estimated: Whether a figure with estimates among its values can be within a limit.
    """
    return [
        Verdict(
            limit,
            totals.get(limit.name),
            int(totals.get(f"{limit.name.rpartition('.')[0]}.count") or 0),
            totals.estimated(limit.name),
            allow_estimated,
        )
        for limit in limits
    ]


def junit_xml(name: str, verdicts: Sequence[Verdict], wall_ns: int = 0) -> bytes:
    """
    Return the report.

    Args:
        name: The name of the journal that was measured.
        verdicts: The outcome of each limit.
        wall_ns: When the journal begins, in nanoseconds since the epoch.
    """
    failures = [verdict for verdict in verdicts if not verdict.is_kept]
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(len(failures)),
        "errors": "0",
        "time": "0",
    }
    root = ET.Element("testsuites")
    about = {
        "name": "eventbus.stats",
        "package": "eventbus",
        "id": "0",
        "hostname": "localhost",
        "timestamp": _timestamp(wall_ns),
    }
    suite = ET.SubElement(root, "testsuite", {**about, **counts})
    ET.SubElement(suite, "properties")
    for verdict in verdicts:
        case = ET.SubElement(
            suite,
            "testcase",
            {"classname": _printable(name), "name": verdict.limit.text, "time": "0"},
        )
        if not verdict.is_kept:
            failure = ET.SubElement(case, "failure", {"message": verdict.text, "type": "limit"})
            failure.text = verdict.text
    kept = [verdict.text for verdict in verdicts if verdict.is_kept]
    ET.SubElement(suite, "system-out").text = "\n".join(kept)
    ET.SubElement(suite, "system-err")
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _timestamp(wall_ns: int) -> str:
    """Return a time in the schema's form, which has no time zone."""
    try:
        return datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):  # a clock that was never set
        return "1970-01-01T00:00:00"


def _printable(text: str) -> str:
    """Return *text* without the characters that XML can't have."""
    return "".join(c if c.isprintable() else "?" for c in text)

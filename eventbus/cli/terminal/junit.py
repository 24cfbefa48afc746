"""
Limits of figures as a JUnit report, which CI services show: a test case for each limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

import attrs

from ...analysis._figures import Limit, Totals
from .summary import short_time

__all__ = ["Verdict", "judge", "junit_xml"]


@attrs.frozen
class Verdict:
    """
    What a limit has said.

    Attributes:
        limit: The limit.
        value: The figure; None if the journal has no values for it.
    """

    limit: Limit
    value: float | None

    @property
    def is_kept(self) -> bool:
        """Whether the figure is within the limit; one that isn't there is not."""
        return self.value is not None and self.value <= self.limit.value

    @property
    def text(self) -> str:
        """What it says, for people."""
        name = self.limit.name
        if self.value is None:
            return f"{name} has no values in this journal, so that nothing is shown by it"
        relation = "is within" if self.is_kept else "is over"
        value, limit = self._told(self.value), self._told(self.limit.value)
        if value == limit and not self.is_kept:  # rounded, 800.4 ms would be over 800 ms
            value, limit = f"{self.value} ms", f"{self.limit.value} ms"
        return f"{name} is {value}, which {relation} {limit}"

    def _told(self, value: float) -> str:
        return short_time(value) if self.limit.is_time else f"{value:.0f}"


def judge(totals: Totals, limits: Sequence[Limit]) -> list[Verdict]:
    """Return what each limit says of *totals*."""
    return [Verdict(limit, totals.get(limit.name)) for limit in limits]


def junit_xml(name: str, verdicts: Sequence[Verdict]) -> bytes:
    """
    Return the report.

    Args:
        name: What was measured.
        verdicts: What the limits say.
    """
    failures = [verdict for verdict in verdicts if not verdict.is_kept]
    counts = {"tests": str(len(verdicts)), "failures": str(len(failures)), "errors": "0"}
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": "eventbus.stats", **counts})
    for verdict in verdicts:
        case = ET.SubElement(
            suite, "testcase", {"classname": _printable(name), "name": verdict.limit.text}
        )
        if not verdict.is_kept:
            ET.SubElement(case, "failure", {"message": verdict.text})
        else:
            ET.SubElement(case, "system-out").text = verdict.text
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _printable(text: str) -> str:
    """Return *text* without what XML can't have."""
    return "".join(c if c.isprintable() else "?" for c in text)

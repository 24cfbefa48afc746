"""
Figures of a recorded call, and filters of its records.

`measure` reads a journal once, and gives latencies, turns, interruptions, tool calls and tokens::

    figures = measure(open_journal("call.journal"))
    print(figures.totals.get("turn_latency.p95"))

`parse_filter` reads a filter like ``is:error sender:call-42``, which picks records by their
`RecordView`; `views` makes those of a journal.
"""

from __future__ import annotations

from ._figures import (
    COUNTS,
    FIGURES,
    CallFigures,
    Distribution,
    Figures,
    HandlerFigures,
    Interruption,
    Limit,
    Outcome,
    Span,
    Tokens,
    ToolCall,
    Totals,
    Turn,
    parse_limit,
    percentile,
)
from ._filters import Filter, parse_filter
from ._record_view import RecordView, views
from ._stats import measure

__all__ = [
    "COUNTS",
    "FIGURES",
    "CallFigures",
    "Distribution",
    "Figures",
    "Filter",
    "HandlerFigures",
    "Interruption",
    "Limit",
    "Outcome",
    "RecordView",
    "Span",
    "Tokens",
    "ToolCall",
    "Totals",
    "Turn",
    "measure",
    "parse_filter",
    "parse_limit",
    "percentile",
    "views",
]

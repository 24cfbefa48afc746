"""
Figures of a recorded call: latency, turns, interruptions, tokens; and filters of records.
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

"""
Observers that count: the summary of a run.
"""

from __future__ import annotations

from ._summary import CallSummary, CrashSummary, EventSummary, Summary, SummaryObserver

__all__ = ["CallSummary", "CrashSummary", "EventSummary", "Summary", "SummaryObserver"]

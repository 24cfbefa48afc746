"""
Observers that count: the summary of a run.
"""

from __future__ import annotations

from ._summary import CallSummary, CrashSummary, EventSummary, Recorder, Summary

__all__ = ["CallSummary", "CrashSummary", "EventSummary", "Recorder", "Summary"]

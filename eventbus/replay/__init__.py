"""
Play a recording on a bus: a journal or a file of frames; compare, and diff.
"""

from __future__ import annotations

from ._diff import Difference, differences
from ._player import Player, Point, ReplayReport, Source, is_journal, replay

__all__ = [
    "Difference",
    "Player",
    "Point",
    "ReplayReport",
    "Source",
    "differences",
    "is_journal",
    "replay",
]

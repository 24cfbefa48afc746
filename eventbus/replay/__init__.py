"""
Play a recording on a bus: a journal or a file of frames; compare, and diff.
"""

from __future__ import annotations

from ._diff import Difference, differences
from ._frame_file import BadLine, FrameFile, FrameLine
from ._player import Player, Point, ReplayReport, Source, is_journal, replay
from ._strict import check_decoder

__all__ = [
    "BadLine",
    "Difference",
    "FrameFile",
    "FrameLine",
    "Player",
    "Point",
    "ReplayReport",
    "Source",
    "check_decoder",
    "differences",
    "is_journal",
    "replay",
]

"""
Playing a recording on a bus, and comparing recordings.

`replay` plays a journal or a file of frames to its end; a `Player` can also pause, step and stop::

    bus = EventBus()
    async with bus:
        await replay("call.journal", bus, speed=math.inf)

`check_decoder` and *strict* find a decoder that has changed; `differences` compares two
journals of the same call.
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

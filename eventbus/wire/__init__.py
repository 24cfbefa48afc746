"""
Other people's formats: bytes in, events out, no I/O.

A decoder turns the frames of one vendor's protocol into events. There is one
module per protocol, and one decoder object per session, because what a frame
means can depend on the frames before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..events import RealtimeModelEvent

__all__ = ["Decoder"]


class Decoder(Protocol):
    """Whatever makes events of the frames of one session."""

    def decode(self, frame: bytes | str | Mapping[str, Any]) -> Sequence[RealtimeModelEvent]:
        """
        Return the events that *frame* means.

        The first one is always the `RealtimeModelRawServerEvent` of the frame.
        Nothing that a frame can contain makes it raise: what can't be read is
        a `RealtimeModelExceptionEvent`, and the next frame is decoded as usual.
        """
        ...

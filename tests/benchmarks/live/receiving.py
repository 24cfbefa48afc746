"""
When a frame arrived, and when its first handler started; both by one clock, in one process.

A frame has arrived when websockets' protocol is given the bytes that complete it: the method
that asyncio calls first after it has read from the socket. Each side here sits on websockets,
so its class is where arrivals are noted, and this costs each the same. How long bytes lay in the
socket before asyncio read them, that time doesn't tell; the stamp of a frame does (`stamped`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from time import perf_counter_ns
from typing import Any

import attrs
from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame

from .stamped import FRAME_BYTES, STAMP_SLICE, Stamp

__all__ = ["Log", "Waits", "noting_arrivals"]


@attrs.frozen
class Waits:
    """
    The time that frames waited for their handler, in nanoseconds, ascending.

    Attributes:
        arrived: Since they arrived.
        sent: Since they were sent.
    """

    arrived: list[int]
    sent: list[int]


class Log:
    """
    The times of the frames of one round; `started` is for handlers.

    Attributes:
        started: Handlers append when they started, and the stamp of the frame.
    """

    def __init__(self) -> None:
        self.started: list[tuple[int, bytes | str]] = []
        self._arrived: list[tuple[int, bytes]] = []
        self.note_arrival: Callable[[tuple[int, bytes]], None] = self._arrived.append

    def clear(self) -> None:
        """Forget everything."""
        self.started.clear()
        self._arrived.clear()

    def waits(self, warm_up: int) -> Waits:
        """
        Return how long each frame had to wait, but for the first *warm_up* of each session.

        A frame that has arrived and still waits counts with the time until now.
        """
        now = perf_counter_ns()
        started = {Stamp.read(raw): at for at, raw in self.started}
        arrived, sent = [], []
        for at, raw in self._arrived:
            stamp = Stamp.read(raw)
            if stamp.number >= warm_up:
                end = started.get(stamp, now)
                arrived.append(end - at)
                sent.append(end - stamp.sent_ns)
        return Waits(sorted(arrived), sorted(sent))


@contextlib.contextmanager
def noting_arrivals(log: Log) -> Iterator[list[ClientConnection]]:
    """Note in *log* each arrival at connections that are opened from now on; yield those."""
    connections: list[ClientConnection] = []
    made, received = ClientConnection.connection_made, ClientConnection.data_received
    processed = ClientConnection.process_event
    note, clock = log.note_arrival, perf_counter_ns

    def connection_made(self: Any, transport: Any) -> None:
        connections.append(self)
        made(self, transport)

    def data_received(self: Any, data: bytes) -> None:
        self.benchmark_ns = clock()
        received(self, data)

    def process_event(self: Any, event: Any) -> None:
        if isinstance(event, Frame) and len(event.data) == FRAME_BYTES:
            note((self.benchmark_ns, bytes(event.data[STAMP_SLICE])))
        processed(self, event)

    patched = {
        "connection_made": connection_made,
        "data_received": data_received,
        "process_event": process_event,
    }
    own = {name: vars(ClientConnection).get(name) for name in patched}
    for name, function in patched.items():
        setattr(ClientConnection, name, function)
    try:
        yield connections
    finally:
        for name, function in own.items():
            if function is None:
                delattr(ClientConnection, name)  # it is inherited
            else:
                setattr(ClientConnection, name, function)

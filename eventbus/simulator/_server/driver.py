"""
The driver of a session: between a `Session`, a socket and the event loop's clock.

One task does everything: it takes the steps that are due, then waits for the client or for the
service's next deadline, whichever is first. All waiting is done on the event loop's clock, so
time can be virtual (`eventbus.testing.FakeClock`).

A stall holds up the frames to the client, and nothing else: the service goes on, and listens. So
a client that cancels or hangs up meanwhile is heard at once, and sees the effect later.

With an infinite speed nothing waits: the next process is due now, and the client is looked
at in between. Silence has no length then, so no idle timeout ever comes, and no session ends.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from .._service.fault_plan import Close, Drop, Send, SendText, Step, Wait


class Transport(Protocol):
    """The transport of a WebSocket connection, as asyncio has it."""

    def abort(self) -> None:
        """Cut the connection."""


class Socket(Protocol):
    """The part of a WebSocket connection that is needed; those of websockets have it."""

    @property
    def transport(self) -> Transport:
        """The transport."""
        ...

    async def recv(self) -> str | bytes:
        """Return the next frame; if it is cancelled, nothing is lost."""
        ...

    async def send(self, message: str, /) -> None:
        """Send a text frame."""

    async def close(self, code: int, reason: str) -> None:
        """Close the connection properly."""

    async def wait_closed(self) -> None:
        """Wait until the connection is no more."""


class Session(Protocol):
    """One session of a service."""

    @property
    def deadline(self) -> float | None:
        """The time of its next action, in milliseconds; None if there is none."""
        ...

    @property
    def idle_deadline(self) -> float | None:
        """The time of its next timeout, in milliseconds; None if there is none."""
        ...

    @property
    def responses(self) -> int:
        """The number of responses so far."""
        ...

    def receive(self, frame: str | bytes, now_ms: float) -> Sequence[Step]:
        """Return the steps that follow from a frame of the client."""
        ...

    def advance(self, now_ms: float) -> Sequence[Step]:
        """Return the steps that are due."""
        ...


class Driver:
    """
    One session and its socket.

    Args:
        service: The session.
        socket: Its client.
        speed: How many times faster than the event loop's time the session's is.
        on_received: Called with each frame from the client.
        on_sent: Called with each frame that was sent.
    """

    def __init__(
        self,
        service: Session,
        socket: Socket,
        speed: float,
        *,
        on_received: Callable[[str | bytes], None],
        on_sent: Callable[[str], None],
    ) -> None:
        self._service = service
        self._socket = socket
        self._is_timeless = speed == math.inf
        self._clock = _Clock(speed)
        self._on_received = on_received
        self._on_sent = on_sent
        self._steps: deque[Step] = deque()
        self._stalled_until: float | None = None  # milliseconds, like the service's times

    async def run(self) -> int | None:
        """
        Be the service, until it ends the connection.

        Returns:
            The code that it was closed with; None if it was cut.

        Raises:
            ConnectionClosed: The client has ended it; websockets' own.
        """
        self._steps += self._service.advance(self._clock.now_ms)
        while True:
            while self._steps and not self._is_stalled:
                match self._steps.popleft():
                    case Send(event):
                        await self._send(msgspec.json.encode(event).decode())
                    case SendText(text):
                        await self._send(text)
                    case Wait(seconds):
                        self._stalled_until = self._clock.now_ms + seconds * 1000
                    case Close(code, reason):
                        await self._socket.close(code, reason)
                        return code
                    case Drop():
                        self._socket.transport.abort()
                        await self._socket.wait_closed()
                        return None
            await self._hear()

    @property
    def _is_stalled(self) -> bool:
        return self._stalled_until is not None and self._clock.now_ms < self._stalled_until

    async def _hear(self) -> None:
        """Hand the client's next frame to the service, or advance it to its next deadline."""
        deadlines = [self._service.deadline]
        if self._is_stalled:
            deadlines.append(self._stalled_until)
        if not self._is_timeless:
            deadlines.append(self._service.idle_deadline)
        due_ms = min((due for due in deadlines if due is not None), default=None)
        try:
            async with asyncio.timeout_at(self._clock.when(due_ms)):
                frame = await self._socket.recv()
        except TimeoutError:
            self._clock.reach(due_ms or 0)
            self._steps += self._service.advance(self._clock.now_ms)
        else:
            self._on_received(frame)
            self._steps += self._service.receive(frame, self._clock.now_ms)

    async def _send(self, frame: str) -> None:
        await self._socket.send(frame)
        self._on_sent(frame)


class _Clock:
    """The time of one connection: that of the event loop, *speed* times as fast."""

    def __init__(self, speed: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._speed = speed
        self._reached_ms = 0.0

    @property
    def now_ms(self) -> float:
        """Milliseconds of the service's time since the connection was opened."""
        if self._speed == math.inf:
            return self._reached_ms
        elapsed_ms = (self._loop.time() - self._start) * 1000 * self._speed
        return max(elapsed_ms, self._reached_ms)

    def when(self, due_ms: float | None) -> float | None:
        """Return when *due_ms* is, in the loop's time; None if it is None."""
        if due_ms is None:
            return None
        return self._start + due_ms / 1000 / self._speed

    def reach(self, due_ms: float) -> None:
        """Set the time to *due_ms* at least, so that a wait isn't short by a rounding error."""
        self._reached_ms = max(self._reached_ms, due_ms)

"""
The writing side of a session: messages are queued, and one task writes them.

A caller never waits for the network to take a message, only for room in the queue, and only with
a message that is never dropped. Messages are written in the order of the calls.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from ...exceptions import ModelNotConnected, RealtimeConnectionError
from ._outbox import Outbox, OutgoingMessage

_YIELD_BYTES: Final = 64 * 1024


class Connection(Protocol):
    """The part of a WebSocket connection that a session needs."""

    def receive(self) -> Awaitable[bytes]:
        """Return the next frame."""
        ...

    def send(self, frame: bytes, /) -> Awaitable[None]:
        """Send a text frame."""
        ...

    async def ping(self) -> None:
        """Return once the peer has answered a ping."""

    def close(self) -> Awaitable[None]:
        """Close the connection with a close frame."""
        ...


class Sender:
    """
    The queue of messages to the service, its waiting callers and its writer.

    Args:
        max_bytes: The bound of the queue.
        send_timeout: Seconds that `send` waits for room.

    Attributes:
        max_bytes: The bound of the queue.
        is_open: Whether a message can be sent, now or when there is a connection again.
        is_linked: Whether there is a connection.
        is_held: Whether messages are queued and not written: another connection takes over.
    """

    def __init__(self, *, max_bytes: int, send_timeout: float) -> None:
        self.is_open = False
        self.is_linked = False
        self.is_held = False
        self.max_bytes = max_bytes
        self._send_timeout = send_timeout
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(max_bytes)
        self._news: asyncio.Future[None] | None = None  # the writer's, while it waits for it
        self._room = asyncio.Event()
        self._turn = asyncio.Lock()
        self._waiting_callers = 0
        self._is_losing_audio = False

    def open(self, messages: list[OutgoingMessage]) -> None:
        """Note that there is a connection; *messages* are sent before all later ones."""
        for message in messages:
            self.put(message)
        self._is_losing_audio = self.is_held = False
        self.is_linked = self.is_open = True

    def close(self) -> None:
        """Send nothing more, and release the waiting callers."""
        self.is_open = self.is_linked = False
        self.clear()

    def queued(self) -> list[OutgoingMessage]:
        """Return the queued messages."""
        return list(self._outbox)

    def hold(self, *, is_held: bool = True) -> None:
        """Queue everything and write nothing, or go on writing."""
        self.is_held = is_held
        self._wake()

    def clear(self) -> list[OutgoingMessage]:
        """Remove and return the queued messages."""
        self._room.set()
        return self._outbox.clear()

    async def write(
        self,
        connection: Connection,
        ended: type[Exception],
        on_sent: Callable[[bytes], None],
    ) -> None:
        """
        Write messages until the connection ends, which its reader finds out as well.

        Args:
            ended: The exception of a connection that has ended.
            on_sent: Called with each frame that was handed to the connection.
        """
        take, send, new_future = self._outbox.take, connection.send, self._loop.create_future
        with contextlib.suppress(ended):
            while True:
                message = None if self.is_held else take()
                if message is None:
                    # Not an asyncio.Event, which takes three times as long, for each message.
                    self._news = news = new_future()
                    await news
                    continue
                if self._waiting_callers:
                    self._room.set()
                await send(message.frame)
                on_sent(message.frame)

    def put(self, message: OutgoingMessage) -> bool:
        """Queue a message without waiting for room; return True if that began a burst of drops."""
        has_dropped = self._outbox.put(message)
        if self._news is not None:
            self._wake()
        return has_dropped

    def _wake(self) -> None:
        """Let the writer look for messages, if it waits."""
        news, self._news = self._news, None
        if news is not None and not news.done():  # it may be cancelled
            news.set_result(None)

    def put_audio(self, message: OutgoingMessage) -> str | None:
        """
        Queue audio, or drop some; return the problem to report, once in a row.

        A caller that may send a whole file awaits `let_write` after it.
        """
        if not self.is_linked and not self.is_held:
            # Once there is a connection again, the conversation has moved on.
            is_first, self._is_losing_audio = not self._is_losing_audio, True
            problem = "The connection is lost; audio is dropped until there is one again."
        elif self._waiting_callers:
            # It must not overtake them, and there is no room behind them.
            is_first, self._is_losing_audio = not self._is_losing_audio, True
            problem = "The network is slower than speech; the newest audio is dropped."
        else:
            self._is_losing_audio = False
            is_first = self.put(message)
            problem = "The network is slower than speech; the oldest audio is dropped."
        return problem if is_first else None

    @property
    def is_crowded(self) -> bool:
        """True if so much is queued that `let_write` waits."""
        return self._outbox.byte_count > _YIELD_BYTES

    async def let_write(self) -> None:
        """Let the writer run, if much is queued."""
        if self.is_crowded:
            await asyncio.sleep(0)

    async def send(self, message: OutgoingMessage) -> None:
        """
        Queue a message, behind those that wait for room already.

        Raises:
            ModelNotConnected: The connection has ended before there was room.
            RealtimeConnectionError: There was no room in time.
        """
        if not self._waiting_callers and self._outbox.has_room(message):
            self.put(message)
            return
        self._waiting_callers += 1
        try:
            async with asyncio.timeout(self._send_timeout), self._turn:
                await self._wait_room(message)
                self.put(message)
        except TimeoutError:
            msg = (
                f"The network took nothing for {self._send_timeout:g} s, and "
                f"{self._outbox.byte_count} bytes wait; {message.message['type']} was not sent."
            )
            raise RealtimeConnectionError(msg) from None
        finally:
            self._waiting_callers -= 1

    async def _wait_room(self, message: OutgoingMessage) -> None:
        while not self._outbox.has_room(message):
            self._room.clear()
            await self._room.wait()
        if not self.is_open:
            msg = "The connection has ended before there was room to send; connect again."
            raise ModelNotConnected(msg)

"""
The writing side of a session: what was handed over waits here, and one task writes it.

Who sends never waits for the network to take a message, only for room in the outbox, and only
with what is never dropped. The order of what is written is that of the calls.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from ...exceptions import ModelNotConnected, RealtimeConnectionError
from ..openai._messages import frame_of, outlives_session
from ._outbox import Letter, Outbox

__all__ = ["Connection", "Post", "letter_of"]

_YIELD_BYTES: Final = 64 * 1024


class Connection(Protocol):
    """What is needed of a WebSocket; the openai SDK's connection has it."""

    def recv_bytes(self) -> Awaitable[bytes]:
        """Return the next frame."""
        ...

    def send_raw(self, data: str, /) -> Awaitable[None]:
        """Send a text frame."""
        ...

    def close(self) -> Awaitable[None]:
        """Close it in order."""
        ...


def letter_of(message: Mapping[str, Any]) -> Letter:
    """
    Return *message* as a letter that is never dropped.

    Raises:
        TypeError: Something in it can't be JSON.
    """
    return Letter(frame_of(message), message, outlives_session=outlives_session(message))


class Post:
    """
    The outbox, who waits for room in it, and who writes what is in it.

    Args:
        max_bytes: Of what waits.
        send_timeout: Seconds that `post_in_turn` waits for room.

    Attributes:
        is_open: Whether something can be sent, now or when there is a connection again.
        is_linked: Whether there is a connection.
    """

    def __init__(self, *, max_bytes: int, send_timeout: float) -> None:
        self.is_open = False
        self.is_linked = False
        self._send_timeout = send_timeout
        self._outbox = Outbox(max_bytes)
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._turn = asyncio.Lock()
        self._waiting_senders = 0
        self._is_losing_audio = False

    def open(self, first: Mapping[str, Any], kept: list[Letter]) -> None:
        """There is a connection: *first* goes before *kept*, and before all that comes."""
        self.post(first)
        for letter in kept:
            self.put(letter)
        self._is_losing_audio = False
        self.is_linked = self.is_open = True

    def close(self) -> None:
        """Send nothing more, and let nobody wait."""
        self.is_open = self.is_linked = False
        self.clear()

    def clear(self) -> list[Letter]:
        """Return what waits, which is sent only if it is put in again."""
        self._room.set()
        return self._outbox.clear()

    async def write(
        self,
        connection: Connection,
        ended: type[Exception],
        on_sent: Callable[[Mapping[str, Any]], None],
    ) -> None:
        """
        Write what comes, until the connection ends; whoever reads it finds that out as well.

        Args:
            ended: What the connection raises when it has ended.
            on_sent: Called with each message that was handed to the connection.
        """
        take, send = self._outbox.take, connection.send_raw
        with contextlib.suppress(ended):
            while True:
                letter = take()
                if letter is None:
                    self._news.clear()
                    await self._news.wait()
                    continue
                self._room.set()
                await send(letter.frame)
                on_sent(letter.message)

    def put(self, letter: Letter) -> bool:
        """Put a letter into the outbox; True if that has begun a burst of drops."""
        has_dropped = self._outbox.put(letter)
        self._news.set()
        return has_dropped

    def post(self, message: Mapping[str, Any]) -> None:
        """Send a message of our own: small, and not to wait for anything."""
        self.put(letter_of(message))

    async def post_audio(self, letter: Letter) -> str | None:
        """Send audio, or drop some; return what is to be told of that, once in a row."""
        if not self.is_linked:
            # By the time there is a connection again, nobody is talking about that any more.
            is_first, self._is_losing_audio = not self._is_losing_audio, True
            problem = "The connection is lost; what is said until there is one again is dropped."
        elif self._waiting_senders:
            # It must not overtake them, and there is no room behind them.
            is_first, self._is_losing_audio = not self._is_losing_audio, True
            problem = "The network is slower than speech; audio is dropped, the newest."
        else:
            self._is_losing_audio = False
            is_first = self.put(letter)
            problem = "The network is slower than speech; audio is dropped, the oldest."
        if self._outbox.byte_count > _YIELD_BYTES:
            await asyncio.sleep(0)  # who sends a whole file in one go lets it be written as well
        return problem if is_first else None

    async def post_in_turn(self, message: Mapping[str, Any]) -> None:
        """
        Send what somebody gave to us; wait for room, behind those who wait already.

        Raises:
            ModelNotConnected: The connection has ended before there was room.
            RealtimeConnectionError: There was no room in time.
            TypeError: Something in it can't be JSON.
        """
        letter = letter_of(message)
        if not self._waiting_senders and self._outbox.has_room(letter):
            self.put(letter)
            return
        self._waiting_senders += 1
        try:
            async with asyncio.timeout(self._send_timeout), self._turn:
                await self._wait_for_room(letter)
                self.put(letter)
        except TimeoutError:
            msg = (
                f"The network took nothing for {self._send_timeout:g} s, and "
                f"{self._outbox.byte_count} bytes wait; {message['type']} was not sent."
            )
            raise RealtimeConnectionError(msg) from None
        finally:
            self._waiting_senders -= 1

    async def _wait_for_room(self, letter: Letter) -> None:
        while not self._outbox.has_room(letter):
            self._room.clear()
            await self._room.wait()
        if not self.is_open:
            msg = "The connection has ended before there was room to send; connect again."
            raise ModelNotConnected(msg)

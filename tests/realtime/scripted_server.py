"""
A WebSocket server that follows a test's script, and remembers the messages sent to it.

Unlike the simulator it knows nothing of the protocol: it is for behaviour that a correct service
never shows, such as refusing, hanging up, or not reading at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeAlias

import attrs
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

__all__ = ["Peer", "Script", "ScriptedServer", "scripted_server"]

# At DEBUG it would log headers with keys, and tests look for those in the log.
_LOGGER = logging.getLogger("scripted_server")
_LOGGER.setLevel(logging.WARNING)


@attrs.define(eq=False)
class Peer:
    """
    One connection, as the server sees it.

    Attributes:
        server: The server that it is a connection of.
        number: From 0, in the order of the connections.
        messages: What was received, parsed.
    """

    server: ScriptedServer
    connection: ServerConnection
    number: int
    messages: list[dict[str, Any]] = attrs.field(factory=list)
    _news: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def send(self, message_type: str, **fields: Any) -> None:
        """Send a server event."""
        await self.connection.send(json.dumps({"type": message_type, "event_id": "ev", **fields}))

    async def receive(self, message_type: str, count: int = 1) -> dict[str, Any]:
        """Wait until *count* messages of a type have come; return the last of them."""
        while True:
            found = [each for each in self.messages if each["type"] == message_type]
            if len(found) >= count:
                return found[count - 1]
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 30)

    async def read(self) -> None:
        """Note each message, until the connection ends."""
        with contextlib.suppress(ConnectionClosed):
            async for frame in self.connection:
                self.messages.append(json.loads(frame))
                self._news.set()

    async def hang_up(self) -> None:
        """End the connection without a close frame."""
        self.connection.transport.abort()
        await self.connection.wait_closed()

    @property
    def types(self) -> list[str]:
        """The types of the received messages, in order."""
        return [each["type"] for each in self.messages]


Script: TypeAlias = Callable[[Peer], Awaitable[None]]


@attrs.define(eq=False)
class ScriptedServer:
    """
    A server on loopback.

    Attributes:
        refuse_with: The HTTP status that it refuses connections with; None accepts them.
        peers: Its connections.
        requests: The requests that opened them, or tried to.
    """

    script: Script
    refuse_with: int | None = None
    does_read: bool = True
    peers: list[Peer] = attrs.field(factory=list)
    requests: list[Request] = attrs.field(factory=list)
    port: int = 0
    _news: asyncio.Event = attrs.field(factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/realtime"

    async def peer(self, number: int = 0) -> Peer:
        """Wait for a connection."""
        while len(self.peers) <= number:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 30)
        return self.peers[number]

    def process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if self.refuse_with is None:
            return None
        status = HTTPStatus(self.refuse_with)
        return connection.respond(status, f"no: {request.headers.get('Authorization')}\n")

    async def serve(self, connection: ServerConnection) -> None:
        peer = Peer(self, connection, len(self.peers))
        self.peers.append(peer)
        self._news.set()
        reader = asyncio.create_task(peer.read()) if self.does_read else None
        try:
            with contextlib.suppress(ConnectionClosed):
                await self.script(peer)
            if reader is not None:
                await reader
            else:
                await connection.wait_closed()
        finally:
            if reader is not None:
                reader.cancel()


async def _silent(_peer: Peer) -> None:
    """Say nothing."""


@contextlib.asynccontextmanager
async def scripted_server(
    script: Script = _silent, *, refuse_with: int | None = None, does_read: bool = True
) -> AsyncIterator[ScriptedServer]:
    """
    Run a server while it is entered.

    Args:
        script: What it does with each connection; when that is done, it goes on reading.
        does_read: Whether it reads at all.
    """
    scripted = ScriptedServer(script, refuse_with, does_read)
    options: dict[str, Any] = {
        "close_timeout": 0.2,
        "ping_interval": None,
        "logger": _LOGGER,
    }
    server: Server
    async with serve(
        scripted.serve,
        "127.0.0.1",
        0,
        process_request=scripted.process_request,
        max_queue=None if does_read else 1,
        **options,
    ) as server:
        scripted.port = next(iter(server.sockets)).getsockname()[1]
        try:
            yield scripted
        finally:
            for peer in scripted.peers:
                peer.connection.transport.abort()

"""
A relay between a client and a simulator, which fails at a chosen frame of a chosen connection.

The simulator's own faults count over all its connections; a renewal has two at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

_OPTIONS: Final[dict[str, Any]] = {"ping_interval": None, "compression": None, "close_timeout": 0.2}


class Relay:
    """
    Relays connections to a simulator.

    Args:
        url: The simulator's address.
        connection: The number of the connection that fails, from 1.
        frame: The number of the service's frame, from 1, before which it fails; 0 is the handshake.
        fault: The failure: ``cut``, ``close=CODE``, ``silence``, ``refuse=STATUS``, or the JSON of
            a frame, which comes in between.
        on_fault: Called at that moment, before the failure.

    Attributes:
        happened: Set when it has failed.
        received: The types of the messages that came from the client, by connection.
        sent: The types of the frames that came from the service, by connection.
    """

    def __init__(
        self,
        url: str,
        *,
        connection: int,
        frame: int,
        fault: str,
        on_fault: Callable[[Relay], Awaitable[None]] | None = None,
    ) -> None:
        self.happened = asyncio.Event()
        self.received: list[list[str]] = []
        self.sent: list[list[str]] = []
        self._url = url
        self._place = connection, frame
        self._fault = fault
        self._on_fault = on_fault
        self._tried = 0
        self._clients: list[ServerConnection] = []
        self._port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/v1/realtime"

    def cut(self, connection: int) -> None:
        """
        Cut a connection, without a close frame.
        """
        self._clients[connection - 1].transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._relay, "127.0.0.1", 0, process_request=self._admit, **_OPTIONS
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for client in self._clients:
            client.transport.abort()
        await self._server.wait_closed()

    async def _admit(self, connection: ServerConnection, _request: object) -> Any:
        self._tried += 1
        if self._place != (self._tried, 0):
            return None
        await self._note()
        kind, _, value = self._fault.partition("=")
        if kind == "refuse":
            return connection.respond(HTTPStatus(int(value)), "no\n")
        if kind == "silence":
            await connection.wait_closed()
        else:
            connection.transport.abort()
        return None

    async def _note(self) -> None:
        self.happened.set()
        if self._on_fault is not None:
            await self._on_fault(self)

    async def _relay(self, client: ServerConnection) -> None:
        self._clients.append(client)
        self.received.append(received := [])
        self.sent.append(sent := [])
        number = self._tried
        query = client.request.path.partition("?")[2]
        async with connect(f"{self._url}?{query}", **_OPTIONS) as service:
            upward = asyncio.create_task(_copy(client, service, received))
            try:
                async for frame in service:
                    if self._place == (number, len(sent) + 1):
                        await self._note()
                        if not await self._fail(client):
                            return
                    sent.append(json.loads(frame)["type"])
                    await client.send(frame)
                await client.close(service.close_code or 1000, service.close_reason or "")
            except ConnectionClosed as exc:
                if exc.rcvd is None:
                    client.transport.abort()
                else:
                    await client.close(exc.rcvd.code, exc.rcvd.reason)
            finally:
                upward.cancel()

    async def _fail(self, client: ServerConnection) -> bool:
        """
        Fail; return whether the connection goes on.
        """
        kind, _, value = self._fault.partition("=")
        match kind:
            case "cut":
                client.transport.abort()
            case "close":
                await client.close(int(value), "a reason")
            case "silence":
                await client.wait_closed()
            case _:
                await client.send(self._fault)
                return True
        return False


async def _copy(client: ServerConnection, service: ClientConnection, received: list[str]) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in client:
            received.append(json.loads(message)["type"])
            await service.send(message)
    await service.close()

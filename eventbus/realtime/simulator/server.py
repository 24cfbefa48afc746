"""
The simulator's server: a WebSocket on loopback, and a `Service` behind each connection.

One task per connection does everything: it takes steps until there are none, then waits for the
client or for the service's next deadline, whichever is first. All waiting is done on the event
loop's clock, so time can be virtual (`eventbus.testing.FakeClock`).

With an infinite speed nothing waits: whatever is due next is due now, and the client is looked
at in between. Silence has no length then, so no idle timeout ever comes, and no session ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
import math
import time
from collections.abc import Iterable, Mapping
from os import PathLike
from types import TracebackType
from typing import Any, Final, Self
from weakref import WeakKeyDictionary

import msgspec

from ...exceptions import RealtimeConnectionError
from .fault_plan import Close, Drop, FaultPlan, Send, SendText, Step, Wait
from .faults import Fault, parse_faults
from .handshake import Admission, Refusal, admit
from .scenario import Scenario, load_scenario
from .service import Service

try:
    from websockets.asyncio.server import Server, ServerConnection, serve
    from websockets.datastructures import Headers
    from websockets.exceptions import ConnectionClosed
    from websockets.http11 import Request, Response
except ModuleNotFoundError as exc:
    if exc.name != "websockets":  # websockets is there, something it needs isn't
        raise
    msg = "The simulator needs the websockets package: pip install 'eventbus[sim]'."
    raise ModuleNotFoundError(msg, name="websockets") from exc

__all__ = ["Simulator"]

_log = logging.getLogger(__name__)

_MAX_FRAME_BYTES: Final = 32 * 1024 * 1024  # 15 MiB of audio in base64, with room to be refused
_CLOSE_SECONDS: Final = 2  # for a client that doesn't answer a close
_REFUSALS: Final[Mapping[int, str]] = {
    401: "invalid_api_key",
    403: "forbidden",
    429: "rate_limit_exceeded",
}


class _ErrorsOnly(logging.LoggerAdapter[logging.Logger]):
    """For websockets: below ERROR it logs requests with their headers, and so the key."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's name
        return level >= logging.ERROR and super().isEnabledFor(level)


class Simulator:
    """
    A server that speaks the Realtime protocol, while it is entered.

    ::

        async with Simulator("weather") as sim:
            client = AsyncOpenAI(base_url=sim.base_url, api_key="none")

    It takes any number of connections; each has a session of its own.

    Args:
        scenario: What the model does: see `load_scenario`.
        host: Where it listens; other than loopback only if you say so.
        port: 0 takes one that is free.
        speed: How many times faster than real time it is; ``math.inf`` waits for nothing.
        seed: Replaces the scenario's: for other ids, sounds and waits.
        faults: What is to go wrong, like ``"drop@2"``.
        api_key: The only key that it accepts; None accepts any, and none.
        max_session: After so many seconds a session is over; the service's last an hour.
        record: Whether `received` and `sent` are filled, which takes memory as long as it runs.

    Attributes:
        received: The messages of all clients that were JSON objects, in order.
        sent: The frames to all clients, in order.
        connections: How many there have been.

    Raises:
        ScenarioError: The scenario or a fault has a mistake.
        ValueError: The speed isn't above 0.
    """

    def __init__(
        self,
        scenario: str | PathLike[str] | Mapping[str, Any] | Scenario | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float = 1.0,
        seed: int | None = None,
        faults: str | Fault | Iterable[str | Fault] = (),
        api_key: str | None = None,
        max_session: float | None = None,
        record: bool = True,
    ) -> None:
        if not speed > 0:
            msg = f"The speed of a simulator is above 0, and {speed!r} isn't; 1 is real time."
            raise ValueError(msg)
        self.scenario = load_scenario(scenario)
        self.received: list[dict[str, Any]] = []
        self.sent: list[str] = []
        self.connections = 0
        self._host = host
        self._wanted_port = self._port = port
        self._speed = speed
        self._seed = seed
        self._api_key = api_key
        self._max_session = max_session
        self._is_recording = record
        self._plan = FaultPlan([*self.scenario.faults, *parse_faults(faults)])
        self._server: Server | None = None
        self._admissions: WeakKeyDictionary[ServerConnection, Admission] = WeakKeyDictionary()

    @property
    def port(self) -> int:
        """The port that it listens at; before it is entered, the one that it was given."""
        return self._port

    @property
    def url(self) -> str:
        """Where a WebSocket client connects."""
        return f"ws://{self._authority}/v1/realtime"

    @property
    def base_url(self) -> str:
        """What the openai SDK takes as its *base_url*."""
        return f"http://{self._authority}/v1"

    @property
    def _authority(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._port}"

    async def __aenter__(self) -> Self:
        """
        Listen.

        Raises:
            RealtimeConnectionError: The port is in use, or the host is none of this machine's.
            RuntimeError: It listens already, or this is no asyncio.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError as exc:
            msg = (
                "The simulator runs on asyncio only; from trio, connect to one that runs in "
                "another process: eventbus sim."
            )
            raise RuntimeError(msg) from exc
        if self._server is not None:
            msg = "This simulator listens already; make another one for another port."
            raise RuntimeError(msg)
        try:
            self._server = await serve(
                self._converse,
                self._host,
                self._wanted_port,
                process_request=self._admit,
                select_subprotocol=self._select_subprotocol,
                max_size=_MAX_FRAME_BYTES,
                compression=None,  # costs more than loopback does
                open_timeout=None,  # in virtual time, a timer would be over at once
                ping_interval=None,
                close_timeout=_CLOSE_SECONDS,
                logger=_ErrorsOnly(_log),
            )
        except OSError as exc:
            msg = (
                f"The simulator can't listen at {self._authority}: {exc.strerror or exc}. "
                f"Is another one running there? Port 0 takes one that is free."
            )
            raise RealtimeConnectionError(msg, reason=str(exc.strerror or exc)) from exc
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """
        Close all connections, with code 1001, and stop to listen; doing it again does no harm.

        If it is cancelled, the connections are closed in the background.
        """
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await server.wait_closed()

    # --- the handshake ------------------------------------------------------------------

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        offered = ",".join(request.headers.get_all("Sec-WebSocket-Protocol")).split(",")
        found = admit(request.path, headers, map(str.strip, offered), self._api_key)
        if isinstance(found, Admission):
            status = self._plan.refusal()
            if status is None:
                self._admissions[connection] = found
                return None
            code = _REFUSALS.get(status, "server_error" if status >= 500 else "refused")
            found = Refusal(status, code, "The simulator was told to refuse this connection.")
        facts = {"status": found.status, "code": found.code}
        _log.info("A connection was refused.", extra=facts)
        body = found.to_json()
        response_headers = Headers(
            {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                "Connection": "close",
            }
        )
        return Response(found.status, _phrase(found.status), response_headers, body)

    def _select_subprotocol(self, connection: ServerConnection, _offered: object) -> Any:
        return self._admissions[connection].subprotocol

    # --- a connection -------------------------------------------------------------------

    async def _converse(self, connection: ServerConnection) -> None:
        """Open a session for one connection, and close it when that ends."""
        admission = self._admissions.pop(connection)
        self.connections = number = self.connections + 1
        _log.info("A client has connected.", extra={"connection": number, "model": admission.model})
        service = Service(
            self.scenario,
            faults=self._plan.connection(),
            model=admission.model,
            seed=self._seed,
            number=number,
            wall_time=time.time(),
            max_seconds=self._max_session,
        )
        close = None
        try:
            await self._serve(service, connection)
        except ConnectionClosed as closed:
            close = closed.rcvd or closed.sent
        finally:
            facts = {
                "connection": number,
                "close_code": close.code if close else None,
                "responses": service.responses,
            }
            _log.info("A connection has ended.", extra=facts)

    async def _serve(self, service: Service, connection: ServerConnection) -> None:
        """Be the service, until the connection is closed, which raises."""
        clock = _Clock(self._speed)
        await self._take(service.advance(clock.now_ms), connection)
        while True:
            frame = await self._next_frame(service, clock, connection)
            if frame is None:
                steps = service.advance(clock.now_ms)
            else:
                self._keep(frame)
                steps = service.receive(frame, clock.now_ms)
            await self._take(steps, connection)

    async def _next_frame(
        self, service: Service, clock: _Clock, connection: ServerConnection
    ) -> str | bytes | None:
        """Return what the client sends next; None if something is due before."""
        deadlines = [service.deadline]
        if self._speed < math.inf:
            deadlines.append(service.idle_deadline)
        due_ms = min((due for due in deadlines if due is not None), default=None)
        try:
            async with asyncio.timeout_at(clock.when(due_ms)):
                return await connection.recv()  # which loses nothing if it is cancelled
        except TimeoutError:
            clock.reach(due_ms or 0)
            return None

    async def _take(self, steps: Iterable[Step], connection: ServerConnection) -> None:
        for step in steps:
            match step:
                case Send(frame):
                    await self._send(msgspec.json.encode(frame).decode(), connection)
                case SendText(text):
                    await self._send(text, connection)
                case Wait(seconds):
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(seconds / self._speed):
                            await connection.wait_closed()
                case Close(code, reason):
                    await connection.close(code, reason)
                    return
                case Drop():
                    connection.transport.abort()
                    return

    async def _send(self, frame: str, connection: ServerConnection) -> None:
        if self._is_recording:
            self.sent.append(frame)
        await connection.send(frame)

    def _keep(self, frame: str | bytes) -> None:
        if not self._is_recording:
            return
        try:
            message = msgspec.json.decode(frame)
        except (ValueError, RecursionError):  # the service answers what is none
            return
        if isinstance(message, dict):
            self.received.append(message)


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
        """Let it be *due_ms* at least; what was waited for isn't early by a rounding error."""
        self._reached_ms = max(self._reached_ms, due_ms)


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Refused"

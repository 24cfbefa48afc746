"""
The simulator's server: a WebSocket on loopback, and a session behind each connection.

A request is admitted or refused (`handshake`), and then a `Driver` has the connection. Requests of
web pages, and those for another host's name, are refused: see `_local_requests`. A client that
doesn't send its request in time, or doesn't close in time, is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from weakref import WeakKeyDictionary

import msgspec

from ..._local_requests import RequestGuard
from ..._origins import read_hosts, read_origins
from ...exceptions import RealtimeConnectionError
from .._live.service import LiveService
from .._service.fault_plan import FaultPlan
from .._service.service import Service
from ..faults import Fault, parse_faults
from ..scenario import Scenario, load_scenario
from .client_secrets import ClientSecrets
from .driver import Driver, Session
from .endpoints import Endpoints
from .frame_log import FrameLog
from .handshake import ANY_MODEL, LIVE_PATH, Admission, Refusal, Secret, admit
from .http import HttpAnswer, HttpExchange, HttpRequest

try:
    from websockets.asyncio.server import Server, ServerConnection, serve
    from websockets.datastructures import Headers
    from websockets.exceptions import ConnectionClosed, WebSocketException
    from websockets.http11 import Request, Response
except ModuleNotFoundError as exc:
    if exc.name != "websockets":  # websockets is there, something it needs isn't
        raise
    msg = (
        "The simulator needs the websockets package: pip install 'eventbus[sim]', "
        "or pip install '.[sim]' in a clone."
    )
    raise ModuleNotFoundError(msg, name="websockets") from exc

if TYPE_CHECKING:
    from ..._local_tls import LocalCertificate

_log = logging.getLogger(__name__)

_MAX_FRAME_BYTES: Final = 32 * 1024 * 1024  # 15 MiB of audio in base64, with room to be refused
_MAX_HEAD_BYTES: Final = 64 * 1024
_UPGRADE: Final = re.compile(rb"^upgrade:[ \t]*websocket", re.IGNORECASE | re.MULTILINE)
_OPEN_SECONDS: Final = 10  # for a client that doesn't send its request
_CLOSE_SECONDS: Final = 2  # for a client that doesn't answer a close
# A machine that has gone without a word: TCP asks after half a minute, and gives up after one.
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_OF_ALL_INTERFACES: Final[Mapping[str, str]] = {
    "": "127.0.0.1",
    "0.0.0.0": "127.0.0.1",
    "::": "::1",
}
_PATHS: Final[Mapping[str, str]] = {"azure": "/openai/v1", "azure-voice-live": "/voice-live"}
_REFUSALS: Final[Mapping[int, str]] = {
    401: "invalid_api_key",
    403: "forbidden",
    429: "rate_limit_exceeded",
}


class _OwnErrorsOnly(logging.LoggerAdapter[logging.Logger]):
    """
    The logger of websockets, which keeps only errors of the simulator itself.

    Below ERROR it logs requests with their headers, and so the key. That somebody doesn't get
    through the handshake it takes for an error, with a traceback; a look at the port is enough.
    """

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's name
        is_own = not isinstance(sys.exc_info()[1], (WebSocketException, OSError))
        return level >= logging.ERROR and is_own and super().isEnabledFor(level)


class _Connection(ServerConnection):
    """
    A client's connection, which doesn't stay open if nobody is there.

    websockets' own keepalive would do for that, too, but its timers mean nothing in virtual time,
    and a client that is being debugged doesn't answer its pings. TCP answers for its machine.
    """

    answer: Callable[[HttpRequest], HttpAnswer]
    clients: set[_Connection]
    _begun: bytes | None = b""  # until it is known whether websockets can read the request
    _http: HttpExchange | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the timers of a new connection."""
        super().connection_made(transport)
        self.clients.add(self)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):  # not on each system
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        # A virtual clock is set on the loop itself, and would be past any deadline at once.
        if "time" not in getattr(self.loop, "__dict__", {}):
            self.loop.call_later(_OPEN_SECONDS, self._cut_off_half_open)

    def data_received(self, data: bytes) -> None:
        """Hand data to websockets, if it asks for a WebSocket, or to `HttpExchange`."""
        if self._begun is not None:
            data = self._begun + data
            head, end, _ = data[:_MAX_HEAD_BYTES].partition(b"\r\n\r\n")
            if not end and len(data) < _MAX_HEAD_BYTES and data[:1].isupper():
                self._begun = data
                return
            self._begun = None
            if not _UPGRADE.search(head):
                self._http = HttpExchange(self.answer)
        if self._http is None:
            super().data_received(data)
            return
        answer, is_last = self._http.receive(data)
        transport = self.transport
        assert isinstance(transport, asyncio.Transport)
        transport.write(answer)
        if is_last:
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.clients.discard(self)
        super().connection_lost(exc)

    def _cut_off_half_open(self) -> None:
        if self.request is None:
            self.transport.abort()


class Simulator:
    """
    A server that speaks the Realtime and the GPT-Live protocol, while it is entered.

    ::

        async with Simulator("weather") as sim:
            client = AsyncOpenAI(base_url=sim.base_url, api_key="none")

    It takes any number of connections; each has a session of its own.

    Args:
        scenario: The model's behaviour: see `load_scenario`.
        host: The address to listen at; other than loopback's only if you say so.
        port: The port to listen at; 0 takes one that is free.
        tls: Whether to speak TLS, with a certificate of its own making, whose ``ca_file`` clients
            have to trust; or the server's side of TLS with a certificate of yours.
        speed: A factor of real time; ``math.inf`` waits for nothing.
        seed: Replaces the scenario's: for other ids, sounds and waits.
        faults: Faults to simulate, like ``"drop@2"``.
        api_key: The only key that it accepts; None accepts any, and none.
        allow_origin: Origins whose web pages may connect, like ``http://localhost:3000``; a
            request with another ``Origin`` header is refused.
        allow_host: Further names by which clients may call it: a ``Host`` header that is neither
            localhost nor the address that it listens at is refused.
        allow_model: Names of models to take beside those of the services' own families, like the
            name of a deployment; ``*`` takes any. The addresses of Azure take any name.
        max_session: After so many seconds a session is over; the service's last an hour.
        record: Whether ``received`` and ``sent`` are filled, which takes memory as long as it runs.
        log: A file for the messages of both directions, one JSON object a line: see ``FrameLog``.
        on_frame: Called with each of them: the number of the connection, ``sent`` for a message of
            the client or ``received`` for one that it gets, and the message.

    Attributes:
        received: The messages of all clients that were JSON objects, in order.
        sent: The events to all clients that were JSON objects, in order.
        connections: The number of connections so far.
        ca_file: The certificate to trust, in PEM, while it speaks TLS with one of its own making.

    Raises:
        ScenarioError: The scenario or a fault has a mistake.
        ValueError: The speed isn't above 0, or an origin isn't one.
    """

    def __init__(
        self,
        scenario: str | PathLike[str] | Mapping[str, Any] | Scenario | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool | SSLContext = False,
        speed: float = 1.0,
        seed: int | None = None,
        faults: str | Fault | Iterable[str | Fault] = (),
        api_key: str | None = None,
        allow_origin: str | Iterable[str] = (),
        allow_host: str | Iterable[str] = (),
        allow_model: str | Iterable[str] = (),
        max_session: float | None = None,
        record: bool = True,
        log: str | PathLike[str] | None = None,
        on_frame: Callable[[int, str, str | bytes], object] | None = None,
    ) -> None:
        if not speed > 0:
            msg = f"The speed of a simulator is above 0, and {speed!r} isn't; 1 is real time."
            raise ValueError(msg)
        self.scenario = load_scenario(scenario)
        self.received: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.connections = 0
        self.ca_file: Path | None = None
        self._host = host
        self._wanted_port = self._port = port
        self._speed = speed
        self._seed = seed
        self._api_key = api_key
        self._guard = RequestGuard(host, read_origins(allow_origin), read_hosts(allow_host))
        self._models = {allow_model} if isinstance(allow_model, str) else {*allow_model}
        self._max_session = max_session
        self._is_recording = record
        self._plan = FaultPlan([*self.scenario.faults, *parse_faults(faults)])
        self._tls = tls
        self._certificate: LocalCertificate | None = None
        self._clients: set[_Connection] = set()
        self._secrets = ClientSecrets()
        self._endpoints = Endpoints(
            self._secrets, api_key, self._now, self.scenario.vad, self._about
        )
        self._log = None if log is None else FrameLog(Path(log))
        self._on_frame = on_frame
        self._server: Server | None = None
        self._admissions: WeakKeyDictionary[ServerConnection, Admission] = WeakKeyDictionary()

    @property
    def port(self) -> int:
        """The port that it listens at; before it is entered, the given one."""
        return self._port

    @property
    def url(self) -> str:
        """The URL for WebSocket clients; with a model, without which the service refuses them."""
        scheme = "wss" if self._tls else "ws"
        path = _PATHS.get(self.scenario.dialect, "/v1")
        version = "api-version=2025-10-01&" if path == "/voice-live" else ""
        return f"{scheme}://{self._authority}{path}/realtime?{version}model={ANY_MODEL}"

    @property
    def live_url(self) -> str:
        """The URL for WebSocket clients that speak GPT-Live."""
        scheme = "wss" if self._tls else "ws"
        return f"{scheme}://{self._authority}/v1{LIVE_PATH}"

    @property
    def base_url(self) -> str:
        """The *base_url* of the openai SDK, for both protocols."""
        path = _PATHS.get(self.scenario.dialect, "/v1")
        return f"{'https' if self._tls else 'http'}://{self._authority}{path}"

    @property
    def _authority(self) -> str:
        host = _OF_ALL_INTERFACES.get(self._host, self._host)
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    async def __aenter__(self) -> Self:
        """
        Listen.

        Raises:
            RealtimeConnectionError: The port is in use, or the host is none of this machine's.
            OSError: The log can't be written.
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
            msg = "This simulator listens already; create another one for another port."
            raise RuntimeError(msg)
        if self._log is not None:
            self._log.open()
        try:
            await self._listen()
        except BaseException:
            self._release()
            raise
        return self

    async def _listen(self) -> None:
        context = self._tls if isinstance(self._tls, SSLContext) else None
        if self._tls is True:
            self._certificate = new_certificate([self._host, *self._guard.hosts])
            self.ca_file = self._certificate.ca_file
            context = self._certificate.context
        own = {"answer": staticmethod(self._answer), "clients": self._clients}
        connection = type("Connection", (_Connection,), own)
        try:
            self._server = await serve(
                self._converse,
                self._host,
                self._wanted_port,
                process_request=self._admit,
                select_subprotocol=self._select_subprotocol,
                max_size=_MAX_FRAME_BYTES,
                compression=None,  # costs more than loopback does
                create_connection=connection,
                ssl=context,
                ssl_handshake_timeout=None if context is None else _OPEN_SECONDS,
                open_timeout=None,  # see `_Connection`
                ping_interval=None,
                close_timeout=_CLOSE_SECONDS,
                logger=_OwnErrorsOnly(_log),
            )
        except OSError as exc:
            reason = str(exc.strerror or exc)
            if exc.errno is not None and not isinstance(exc, socket.gaierror):
                reason = os.strerror(exc.errno)  # asyncio tells the address once more
            msg = f"The simulator can't listen at {self._authority}: {reason}. {_remedy(exc)}"
            raise RealtimeConnectionError(msg, reason=reason) from exc
        # A name may be several addresses, and then each has a free port of its own.
        first = min(self._server.sockets, key=lambda each: each.family != socket.AF_INET)
        self._port = first.getsockname()[1]

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

        Clients have two seconds to close, too; then they are cut off. If it is cancelled, they
        are cut off at once.
        """
        server, self._server = self._server, None
        self._release()
        if server is None:
            return
        server.close()
        _cut_off(client for client in self._clients if client.request is None)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await server.wait_closed()
        finally:
            _cut_off(self._clients)
        await server.wait_closed()

    def _release(self) -> None:
        if self._certificate is not None:
            self._certificate.close()
        self._certificate = self.ca_file = None
        if self._log is not None and self._server is None:
            self._log.close()

    # --- the handshake, and other requests ----------------------------------------------

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _about(self) -> str:
        return (
            f"The simulator of eventbus, a realtime service for tests, with the scenario "
            f"{self.scenario.name or 'without a name'}.\n"
            f"WebSockets: {self.url}, and {self.live_url} for GPT-Live\n"
            f"For the SDKs of OpenAI: OPENAI_BASE_URL={self.base_url}\n"
            f"Ephemeral keys: POST {self.base_url}/realtime/client_secrets\n"
        )

    def _answer(self, request: HttpRequest) -> HttpAnswer:
        """Return the answer to a request that opens no WebSocket."""
        refused = self._guard.refusal(request.headers.items())
        if refused is not None:
            return HttpAnswer.error(refused.status, "request_not_allowed", refused.message)
        return self._endpoints.answer(request)

    def _find_secret(self, key: str) -> Secret:
        secret = self._secrets.find(key, self._now())
        if secret is not None:
            return secret.session
        return False if key in self._secrets else None

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        offered = ",".join(request.headers.get_all("Sec-WebSocket-Protocol")).split(",")
        refused = self._guard.refusal(request.headers.raw_items(), connection.local_address[0])
        found: Admission | Refusal
        if refused is not None:
            found = Refusal(refused.status, "request_not_allowed", refused.message)
        else:
            found = admit(
                request.path,
                headers,
                map(str.strip, offered),
                self._api_key,
                self._find_secret,
                self.scenario.dialect,
                self._models,
            )
        if isinstance(found, Admission):
            status = self._plan.refusal()
            if status is None:
                self._admissions[connection] = found
                return None
            code = _REFUSALS.get(status, "server_error" if status >= 500 else "refused")
            found = Refusal(status, code, "The simulator was told to refuse this connection.")
        facts = {"status": found.status, "code": found.code}
        _log.info("A connection was refused.", extra=facts)
        return _response(HttpAnswer.error(found.status, found.code, found.message))

    def _select_subprotocol(self, connection: ServerConnection, _offered: object) -> Any:
        return self._admissions[connection].subprotocol

    # --- a connection -------------------------------------------------------------------

    async def _converse(self, connection: ServerConnection) -> None:
        """Open a session for one connection, and close it when that ends."""
        admission = self._admissions.pop(connection)
        self.connections = number = self.connections + 1
        _log.info("A client has connected.", extra={"connection": number, "model": admission.model})
        service = self._new_session(admission, number)
        driver = Driver(
            service,
            connection,
            self._speed,
            on_received=partial(self._keep, number, "sent", self.received),
            on_sent=partial(self._keep, number, "received", self.sent),
        )
        close_code = None
        try:
            close_code = await driver.run()
        except ConnectionClosed as closed:
            close = closed.rcvd or closed.sent
            close_code = close.code if close else None
        finally:
            facts = {
                "connection": number,
                "close_code": close_code,
                "responses": service.responses,
            }
            _log.info("A connection has ended.", extra=facts)

    def _new_session(self, admission: Admission, number: int) -> Session:
        if admission.is_live:
            return LiveService(
                self.scenario,
                plan=self._plan,
                seed=self._seed,
                number=number,
                wall_time=time.time(),
                max_seconds=self._max_session,
            )
        return Service(
            self.scenario,
            faults=self._plan.connection(),
            model=admission.model,
            seed=self._seed,
            number=number,
            wall_time=time.time(),
            max_seconds=self._max_session,
            error=admission.error,
            session=admission.session,
            is_transcription=admission.is_transcription,
            dialect=admission.dialect,
        )

    def _keep(
        self, number: int, direction: str, kept: list[dict[str, Any]], frame: str | bytes
    ) -> None:
        """Keep a frame in *kept* and in the log; the *direction* is the client's."""
        if self._log is not None:
            self._log.write(number, direction, frame)
        if self._on_frame is not None:
            self._on_frame(number, direction, frame)
        if not self._is_recording:
            return
        try:
            message = msgspec.json.decode(frame)
        except (ValueError, RecursionError):  # not a message: the service answers with an error
            return
        if isinstance(message, dict):
            kept.append(message)


def new_certificate(names: Iterable[str]) -> LocalCertificate:
    """Return a certificate for TLS, which needs a package of its own."""
    from ..._local_tls import LocalCertificate  # noqa: PLC0415  # for those who want TLS only

    return LocalCertificate(names)


def _cut_off(clients: Iterable[ServerConnection]) -> None:
    for client in tuple(clients):
        client.transport.abort()


def _remedy(exc: OSError) -> str:
    # From 3.13 on, asyncio skips addresses that aren't there, and has no number when none is left.
    if isinstance(exc, socket.gaierror) or exc.errno in {errno.EADDRNOTAVAIL, None}:
        return "The host is an address of this machine; without it, it is 127.0.0.1."
    if exc.errno == errno.EACCES:
        return "Ports below 1024 are the system's; port 0 takes one that is free."
    return "Is another one running there? Port 0 takes one that is free."


def _response(answer: HttpAnswer) -> Response:
    headers = Headers(answer.all_headers())
    return Response(answer.status, answer.reason, headers, answer.body)

"""
A WebSocket proxy between any client and a realtime service, which publishes both directions.

Rules:

* Messages go through unchanged: text as text, binary as binary, in the same order.
* The service is asked first. The client is accepted once the service has accepted; if the service
  refuses, the client gets its status and its words, and 502 if it can't be reached. A redirect is
  a refusal like any other: it isn't followed, as the client's key would go to another place. Its
  ``Location`` isn't handed on either, for the same reason.
* The client's query, headers and subprotocols go to the service as they are, without the headers
  of a single connection, and without ``Origin``, ``Cookie`` and ``Set-Cookie``, which are between
  a browser and the proxy. The proxy has no key of its own: the client brings it.
* Requests of web pages, and those for another host's name, are refused: see ``_local_requests``.
* The path at the service tells the protocol, and so the decoder: Gemini Live ends in
  ``BidiGenerateContent``, GPT-Live in ``/live/sessions``, and any other is OpenAI Realtime.
* A message is forwarded first and published then, and publishing never fails a connection. As
  everywhere on a bus, an async handler delays nobody; a sync one that blocks, blocks the loop.
* Nothing piles up: a message is read once the one before it was handed on, so a slow reader
  slows down the writer.
* A close code of one side is told to the other. A close without a code that can be told, as of a
  connection that broke off, becomes 1014 for the client, and 1001 for the service.
* The proxy answers the pings of either side, so it pings both sides itself, and ends the call if
  one of them is dead: see ``_Keepalive``.

The events of a connection have its id as their sender: ``connection-1``, and so on. First comes
the status connecting, then connected; then the decoder's events of the service's frames, and
each message of the client's as `RealtimeModelRawClientEvent`; at the end an Exception event, if
the connection didn't end well, the status disconnected, and the end of the stream.
"""

from __future__ import annotations

import asyncio
import http
import ipaddress
import itertools
import logging
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from ssl import SSLContext, SSLError
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit, urlunsplit

import attrs

from .._local_requests import RequestGuard
from .._origins import read_hosts, read_origins
from ..bus import EventBus, Scope
from ..events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelExceptionEvent,
)
from ..exceptions import RealtimeConnectionError
from ..wire import Decoder
from ..wire._frames import Frame
from ..wire._guessing import decoder_at
from ..wire._intake import to_bytes
from ..wire._strict import read_object
from .events import RealtimeModelRawClientEvent
from .transport._websocket import discreet_logger

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.asyncio.connection import Connection
    from websockets.asyncio.server import Server, ServerConnection, serve
    from websockets.datastructures import Headers
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.http11 import Request, Response
    from websockets.typing import Subprotocol
except ModuleNotFoundError as exc:
    if exc.name != "websockets":  # websockets is there, something it needs isn't
        raise
    msg = (
        "RealtimeProxy needs the websockets package: pip install 'eventbus[sim]', "
        "or pip install '.[sim]' in a clone."
    )
    raise ModuleNotFoundError(msg, name="websockets") from exc

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .._local_tls import LocalCertificate

__all__ = ["RealtimeProxy"]

_Socket: TypeAlias = "_ServiceConnection | _ClientConnection"
_Side: TypeAlias = Literal["client", "service"]

# Those of one connection (RFC 9110, 7.6.1), and those of its opening handshake (RFC 6455, 4).
_OF_ONE_CONNECTION: Final = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

# Those between a browser and the server that it talks to, and those that lead to another server.
_OF_THE_BROWSER: Final = frozenset({"cookie", "location", "origin", "set-cookie", "set-cookie2"})

# RFC 6455, 7.4: the codes that a close frame may carry. The others stand for there being none.
_SENDABLE: Final = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
_GOING_AWAY: Final = 1001
_BAD_GATEWAY: Final = 1014
_GOOD_ENDS: Final = frozenset({1000, 1001, 1005})

_MAX_BYTES: Final = 32 * 1024 * 1024
_OPEN_TIMEOUT: Final = 10.0
_CLOSE_TIMEOUT: Final = 2.0

# Those of websockets and of the openai SDK, so that a client that is used to them is told in time.
_PING_INTERVAL: Final = 20.0
_PING_TIMEOUT: Final = 20.0
# In bytes a second: PCM16 at 24 kHz in base64 is 64,000, and its JSON comes on top.
_SPEECH_RATE: Final = 96_000

# For all proxies of the process: two of them may publish on one bus.
_numbers = itertools.count(1)

_logger = logging.getLogger(__name__)


class _WithoutRedirects(connect):
    """Connects to the service itself, or not at all."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Take a redirect for the refusal that it is to a WebSocket client."""
        return exc


class _SignsOfLife(Connection):
    """
    A connection that knows when its other end last gave a sign of life, for ``_Keepalive``.

    Attributes:
        alive_at: The time of the last one, in the event loop's time.
        read_by: The time by which a reader that keeps up with speech has read all that was sent.
        is_held_up: Whether a message from it waits for the other side, so that it isn't read.
    """

    alive_at = 0.0
    read_by = 0.0
    is_held_up = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        super().connection_made(transport)
        self.note_life()

    def data_received(self, data: bytes) -> None:
        """Take data of any kind, also half a message or a pong, as a sign of life."""
        self.note_life()
        super().data_received(data)

    def resume_writing(self) -> None:
        """Take room for more data, which was used up, as a sign of life."""
        self.note_life()
        super().resume_writing()

    def note_life(self) -> None:
        """Note a sign of life."""
        self.alive_at = asyncio.get_running_loop().time()

    def note_sent(self, byte_count: int) -> None:
        """Note that there is more to read for the other end."""
        now = asyncio.get_running_loop().time()
        self.read_by = max(self.read_by, now) + byte_count / _SPEECH_RATE


class _ServiceConnection(_SignsOfLife, ClientConnection):
    """The connection to the service."""


class _ClientConnection(_SignsOfLife, ServerConnection):
    """The connection of a client."""


@attrs.frozen
class _Keepalive:
    """
    Finds out that one end of a call is dead, in the time in which a direct client would.

    websockets sends a ping every *interval*. An end that has given no sign of life for so long,
    and for *timeout* after it, is dead. A slow reader isn't:

    * The data that it has still to read is before the ping, so it gets time for it at the rate of
      speech first. For an end that gets no more than speech, that is no time at all.
    * Room that it makes for more data is a sign of life, like any byte that it sends.
    * While a message from it waits for the other side, the proxy doesn't read its answers.
    """

    interval: float
    timeout: float

    async def watch(self, connection: _Socket) -> None:
        """Return when the other end of *connection* is dead."""
        loop = asyncio.get_running_loop()
        while True:
            alive_at = connection.alive_at
            await asyncio.sleep(alive_at + self.interval - loop.time())
            if connection.is_held_up:
                connection.note_life()
            if connection.alive_at != alive_at:
                continue
            await asyncio.sleep(max(connection.read_by - loop.time(), 0) + self.timeout)
            if connection.alive_at == alive_at and not connection.is_held_up:
                return


class RealtimeProxy:
    """
    A WebSocket server that hands every connection on to a service, and publishes both directions.

    An async context manager: it listens while it is entered. asyncio only, as websockets is.
    Async handlers need a bus that runs::

        async with bus, RealtimeProxy("wss://api.openai.com/v1/realtime", bus) as proxy:
            print(proxy.url)
            await asyncio.Event().wait()

    Args:
        upstream:
            The service: ``wss://…`` or ``https://…``. Its path counts, and the client's if it has
            none. Its query, if there is one, comes before the client's.
        bus: The bus that events are published on.
        host: The address to listen at. Whoever reaches another one than loopback's can use the
            proxy.
        port: The port to listen at; 0 is any port that is free.
        tls: Whether clients speak TLS with the proxy, which has a certificate of its own making,
            whose ``ca_file`` they have to trust; or the server's side of TLS with one of yours.
        allow_origin: Origins whose web pages may connect, like ``http://localhost:3000``; a
            request with another ``Origin`` header is refused.
        allow_host: Further names by which clients may call the proxy: a ``Host`` header that is
            neither localhost nor the address that it listens at is refused.
        max_bytes: A longer message closes its connection.
        ping_interval: Both sides are pinged after so many seconds.
        ping_timeout: A side that gives no sign of life for so many seconds after that is dead.

    Attributes:
        ca_file: The certificate to trust, in PEM, while it speaks TLS with one of its own making.

    Raises:
        ValueError: *upstream* isn't such a URL, or an origin isn't one.
    """

    def __init__(
        self,
        upstream: str,
        bus: EventBus,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool | SSLContext = False,
        allow_origin: str | Iterable[str] = (),
        allow_host: str | Iterable[str] = (),
        max_bytes: int = _MAX_BYTES,
        ping_interval: float = _PING_INTERVAL,
        ping_timeout: float = _PING_TIMEOUT,
    ) -> None:
        self._upstream = _read_url(upstream)
        self._guard = RequestGuard(host, read_origins(allow_origin), read_hosts(allow_host))
        self._keepalive = _Keepalive(ping_interval, ping_timeout)
        self._bus = bus
        self._host = host
        self._port = port
        self._max_bytes = max_bytes
        self._tls = tls
        self._certificate: LocalCertificate | None = None
        self.ca_file: Path | None = None
        self._server: Server | None = None
        # Calls that the service has accepted, until the client is accepted too.
        self._waiting: dict[ServerConnection, _Call] = {}
        self._connecting: set[asyncio.Task[_ServiceConnection]] = set()
        self._watching: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port that it listens at; the given one, if it doesn't listen."""
        sockets = () if self._server is None else tuple(self._server.sockets)
        port: int = sockets[0].getsockname()[1] if sockets else self._port
        return port

    @property
    def url(self) -> str:
        """The URL for clients: ``ws://127.0.0.1:PORT/v1/realtime``."""
        return f"{'wss' if self._tls else 'ws'}://{self._authority}/v1/realtime"

    @property
    def base_url(self) -> str:
        """The same for the openai SDK: ``AsyncOpenAI(base_url=…)``."""
        return f"{'https' if self._tls else 'http'}://{self._authority}/v1"

    async def __aenter__(self) -> Self:
        """
        Listen.

        Raises:
            RealtimeConnectionError: The port is in use, or the address isn't this machine's.
            RuntimeError: The event loop is not asyncio's.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError as exc:
            msg = "RealtimeProxy runs on asyncio only, as websockets does."
            raise RuntimeError(msg) from exc
        context = self._tls if isinstance(self._tls, SSLContext) else None
        if self._tls is True:
            from .._local_tls import LocalCertificate  # noqa: PLC0415  # needs a package of its own

            self._certificate = LocalCertificate([self._host, *self._guard.hosts])
            self.ca_file = self._certificate.ca_file
            context = self._certificate.context
        try:
            await self._listen(context)
        except BaseException:
            self._release()
            raise
        return self

    async def _listen(self, context: SSLContext | None) -> None:
        try:
            self._server = await serve(
                self._handle,
                self._host,
                self._port,
                process_request=self._open,
                process_response=self._hand_headers_back,
                select_subprotocol=self._select_subprotocol,
                server_header=None,  # the service's own goes through
                create_connection=_ClientConnection,
                ssl=context,
                # The handshake takes as long as the one with the service does.
                open_timeout=_OPEN_TIMEOUT + 5,
                **self._socket_options(),
            )
        except socket.gaierror as exc:
            msg = f"The proxy can't listen at {self._host}: that isn't an address of this machine."
            raise RealtimeConnectionError(msg, reason=str(exc.strerror)) from exc
        except OSError as exc:
            # Not its strerror, in which asyncio tells the address once more.
            reason = os.strerror(exc.errno) if exc.errno is not None else str(exc)
            msg = (
                f"The proxy can't listen at {self._host}, port {self._port}: {reason}. "
                f"Give another port; 0 is any that is free."
            )
            raise RealtimeConnectionError(msg, reason=reason) from exc

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Listen no more, and close every connection with 1001."""
        server, self._server = self._server, None
        assert server is not None
        server.close()
        for task in self._connecting:
            task.cancel()
        await server.wait_closed()
        while self._watching:
            await asyncio.wait(self._watching)
        self._release()

    def _release(self) -> None:
        if self._certificate is not None:
            self._certificate.close()
        self._certificate = self.ca_file = None

    def __repr__(self) -> str:
        # Without the query: a service may take its key there.
        return f"<RealtimeProxy of {_shown(self._upstream)}>"

    @property
    def _authority(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self.port}"

    def _socket_options(self) -> dict[str, Any]:
        """Return the options of both sides; no default of the library is left to chance."""
        return {
            "compression": None,
            "max_size": self._max_bytes,
            "ping_interval": self._keepalive.interval,
            "ping_timeout": None,  # which would close on a slow reader: see ``_Keepalive``
            "close_timeout": _CLOSE_TIMEOUT,
            "logger": discreet_logger(__name__),
        }

    # --- the opening handshake: with the service, then with the client

    async def _open(self, client: ServerConnection, request: Request) -> Response | None:
        """Connect to the service; return the client's refusal, or None to accept it."""
        refusal = self._guard.refusal(request.headers.raw_items(), client.local_address[0])
        if refusal is not None:
            _logger.warning("a request was refused: %s", refusal.message)
            return client.respond(http.HTTPStatus(refusal.status), f"{refusal.message}\n")
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return None  # websockets refuses it, with 426
        call = _Call(self._bus, urlsplit(self._target(request.path)).path)
        call.publish(RealtimeModelConnectionStatusEvent("connecting"))
        task = asyncio.ensure_future(self._connect(request))
        self._connecting.add(task)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            call.fail("The client's time was up before the service had answered.", None, "")
            raise
        finally:
            self._connecting.discard(task)
            task.cancel()  # if the client's time is up
        if task.cancelled():
            call.fail("The proxy was closed before the service had answered.", None, "")
            return client.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "The proxy is closing.\n")
        error = task.exception()
        if error is not None:
            if isinstance(error, InvalidStatus):
                call.end("service", error.response.status_code, error.response.reason_phrase)
                return _refusal(error.response)
            problem = self._problem(error)
            response = client.respond(http.HTTPStatus.BAD_GATEWAY, f"{problem}\n")
            call.fail(problem, response.status_code, _reason(error))
            return response
        call.service = task.result()
        self._waiting[client] = call
        watching = asyncio.ensure_future(self._watch(client))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        return None

    async def _connect(self, request: Request) -> _ServiceConnection:
        connection = await _WithoutRedirects(
            self._target(request.path),
            additional_headers=_handed_on(request.headers),
            user_agent_header=None,  # the client's own is among them
            subprotocols=_subprotocols(request.headers) or None,
            create_connection=_ServiceConnection,
            # The environment's HTTP proxy, except to this machine, where it can't connect.
            proxy=None if _is_loopback(self._upstream) else True,
            open_timeout=_OPEN_TIMEOUT,
            **self._socket_options(),
        )
        assert isinstance(connection, _ServiceConnection)
        return connection

    def _target(self, path: str) -> str:
        """Return the service's URL for a client that asks for *path*, its query included."""
        asked, upstream = urlsplit(path), self._upstream
        query = "&".join(filter(None, (upstream.query, asked.query)))
        path = upstream.path if upstream.path.strip("/") else asked.path
        return urlunsplit((upstream.scheme, upstream.netloc, path, query, ""))

    def _problem(self, exc: BaseException) -> str:
        return f"The proxy can't reach {_shown(self._upstream)}: {_reason(exc)}."

    def _select_subprotocol(
        self, client: ServerConnection, _offered: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        call = self._waiting.get(client)
        return None if call is None or call.service is None else call.service.subprotocol

    def _hand_headers_back(
        self, client: ServerConnection, _request: Request, response: Response
    ) -> None:
        """Hand on the headers of the service's response, like a request's id."""
        call = self._waiting.get(client)
        if call is not None and call.service is not None and call.service.response is not None:
            response.headers.update(_handed_on(call.service.response.headers))

    async def _watch(self, client: ServerConnection) -> None:
        """End the call of a client that has gone before it was accepted."""
        await client.wait_closed()
        call = self._waiting.pop(client, None)
        if call is not None and call.service is not None:
            await call.service.close(_GOING_AWAY)
            call.end("client", None, "")

    # --- the call

    async def _handle(self, client: ServerConnection) -> None:
        assert isinstance(client, _ClientConnection)
        call = self._waiting.pop(client, None)
        if call is None or call.service is None:  # `_watch` was quicker
            return
        call.publish(RealtimeModelConnectionStatusEvent("connected"))
        try:
            async with asyncio.TaskGroup() as tasks:
                watches = [
                    tasks.create_task(call.watch(client, "client", self._keepalive)),
                    tasks.create_task(call.watch(call.service, "service", self._keepalive)),
                ]
                async with asyncio.TaskGroup() as pumps:
                    pumps.create_task(call.pump(client, call.service, "client"))
                    pumps.create_task(call.pump(call.service, client, "service"))
                for watch in watches:
                    watch.cancel()
        finally:
            # Nothing to wait for, unless this was cancelled.
            await call.service.close(_GOING_AWAY)
            call.end_as_noted()


@attrs.define(eq=False)
class _Call:
    """
    One client's connection, and the one to the service that belongs to it.

    Attributes:
        bus: The bus that its events are published on.
        path: The path at the service, which tells the protocol.
        service: The connection to the service, once there is one.
    """

    bus: EventBus
    path: str
    service: _ServiceConnection | None = None
    _scope: Scope = attrs.field(init=False)
    _decoder: Decoder = attrs.field(init=False)
    _ended: tuple[_Side, int | None, str] | None = attrs.field(init=False, default=None)
    _failures: set[type[Exception]] = attrs.field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        self._scope = self.bus.scope(f"connection-{next(_numbers)}")
        self._decoder = decoder_at(self.path)

    async def pump(self, source: _Socket, target: _Socket, side: _Side) -> None:
        """Hand on the messages of *source* until it closes; then close *target* in the same way."""
        code, reason = None, ""
        try:
            while True:
                message = await source.recv()
                source.is_held_up = True
                if not await self._forward(message, target, side):
                    return  # the pump the other way has the target's code, and tells the source
                source.is_held_up = False
                source.note_life()
        except ConnectionClosed as exc:
            said = exc.rcvd or exc.sent
            if said is not None:
                code, reason = said.code, said.reason
        if self._ended is None:
            self._ended = (side, code, reason)
        await target.close(*_closing(code, reason, side))

    async def watch(self, connection: _Socket, side: _Side, keepalive: _Keepalive) -> None:
        """End the call if the other end of *connection* is dead."""
        await keepalive.watch(connection)
        if self._ended is None:
            self._ended = (side, None, "it gives no sign of life")
        connection.transport.abort()

    async def _forward(self, message: str | bytes, target: _Socket, side: _Side) -> bool:
        """Hand on and publish *message*; return whether *target* has taken it."""
        target.note_sent(len(message))
        try:
            await target.send(message)
        except ConnectionClosed:
            return False
        finally:
            self._publish_message(message, side)
        return True

    def publish(self, event: object) -> None:
        """Publish *event*; an error of that is logged, the first one of each kind."""
        try:
            self._scope.publish(event)
        except Exception as exc:  # noqa: BLE001  # a handler on a strict bus, a full mailbox
            self._log_failure(exc, type(event).__qualname__)

    def _log_failure(self, exc: Exception, event_type: str) -> None:
        if type(exc) not in self._failures:
            self._failures.add(type(exc))
            _logger.error(
                "publishing failed; the connection goes on",
                extra={"sender": self._scope.sender, "event_type": event_type},
                exc_info=exc,
            )

    def end(self, side: _Side, code: int | None, reason: str) -> None:
        """Publish the end of the call, and how *side* has ended it."""
        if code not in _GOOD_ENDS:
            how = f"with {code}" if code is not None else "without a word"
            why = f": {reason}" if reason else ""
            msg = f"The {side} has ended the connection {how}{why}."
            self._publish_failure(msg, code, reason)
        self._publish_end()

    def fail(self, problem: str, code: int | None, reason: str) -> None:
        """Publish the end of a call that has not begun; neither side has ended it."""
        self._publish_failure(problem, code, reason)
        self._publish_end()

    def _publish_failure(self, problem: str, code: int | None, reason: str) -> None:
        error = RealtimeConnectionError(problem, code=code, reason=reason)
        self.publish(RealtimeModelExceptionEvent(error, context=problem))

    def _publish_end(self) -> None:
        self.publish(RealtimeModelConnectionStatusEvent("disconnected"))
        self.publish(RealtimeModelEndOfStreamEvent())

    def end_as_noted(self) -> None:
        """Publish the end of the call, as it was noted first."""
        self.end(*(self._ended or ("service", _GOING_AWAY, "")))

    def _publish_message(self, message: str | bytes, side: _Side) -> None:
        if side == "client":
            self.publish(RealtimeModelRawClientEvent(_as_data(message)))
            return
        try:
            self._decoder.publish_to(self._scope, message)
        except Exception as exc:  # noqa: BLE001  # as above
            self._log_failure(exc, "frame")


def _read_url(url: str) -> SplitResult:
    """Return the parts of the service's URL, in the scheme of WebSockets."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises, if it isn't a number
    except ValueError as exc:
        msg = "upstream isn't a URL; write something like wss://api.openai.com/v1/realtime."
        raise ValueError(msg) from exc
    if parts.username is not None or parts.password is not None:
        msg = "upstream has a name or password in it; let clients send an Authorization header."
        raise ValueError(msg)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in {"ws", "wss"} or not parts.hostname or parts.fragment:
        msg = (
            f"upstream is {_shown(parts)!r}; it takes wss://, ws://, https:// or http://, "
            f"and a host, like wss://api.openai.com/v1/realtime."
        )
        raise ValueError(msg)
    return parts._replace(scheme=scheme)


def _refusal(theirs: Response) -> Response:
    """Return the service's own refusal as the client gets it."""
    headers = _handed_on(theirs.headers)
    body = bytes(theirs.body or b"")
    headers["Content-Length"] = str(len(body))
    headers["Connection"] = "close"
    return Response(theirs.status_code, theirs.reason_phrase, headers, body)


def _reason(exc: BaseException) -> str:
    """Return why the service can't be reached, without what a message of websockets' may quote."""
    if not isinstance(exc, OSError):
        return type(exc).__name__  # its message may have a header, and a key with it
    if exc.errno is not None and not isinstance(exc, (socket.gaierror, SSLError)):
        return os.strerror(exc.errno)  # asyncio tells the address instead
    return exc.strerror or str(exc) or type(exc).__name__


def _shown(url: SplitResult) -> str:
    """Return *url* without its query, which may contain a key."""
    return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))


def _is_loopback(url: SplitResult) -> bool:
    host = url.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _handed_on(headers: Headers) -> Headers:
    return Headers(
        (name, value)
        for name, value in headers.raw_items()
        if name.lower() not in _OF_ONE_CONNECTION | _OF_THE_BROWSER
    )


def _subprotocols(headers: Headers) -> list[Subprotocol]:
    return list(_split(headers.get_all("Sec-WebSocket-Protocol")))


def _split(values: Sequence[str]) -> Iterator[Subprotocol]:
    for value in values:
        for name in value.split(","):
            if name.strip():
                yield Subprotocol(name.strip())


def _as_data(message: str | bytes) -> Any:
    """Return a client's message as handlers get it: as a mapping, if it is a JSON object."""
    raw, error = to_bytes(message)
    if error is None:
        _, error = read_object(raw)
    return message if error is not None else Frame(raw)


def _closing(code: int | None, reason: str, side: _Side) -> tuple[int, str]:
    """Return the code and reason to close one side with, when *side*, the other, gave these."""
    if code == 1005:  # a close frame without a code: the same as a good end
        return 1000, ""
    if code is not None and code in _SENDABLE:
        return code, reason
    if side == "client":
        return _GOING_AWAY, "the client is gone"
    return _BAD_GATEWAY, "the connection to the service is gone"

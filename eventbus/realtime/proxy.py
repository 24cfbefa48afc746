"""
Stands between any client and a realtime service, and publishes what goes by.

Rules
-----

* What goes through is not changed: text stays text, binary stays binary, in the same order.
* The service is asked first. Only when it has accepted the connection is the client accepted;
  if it refuses, the client gets its status and its words, and 502 if it can't be reached.
* The client's query, headers and subprotocols go to the service as they are, those apart that
  belong to one connection by their nature. The proxy has no key of its own: the client brings it.
* A message is forwarded first and published then, and publishing never fails a connection. As
  everywhere on a bus, an async handler delays nobody; a sync one that blocks, blocks the loop.
* Nothing piles up: a message is read when the one before it was handed on, so whoever reads
  slowly slows down who writes.
* What one side says when it closes, the other side is told. What can't be said as it is (a
  connection that broke off has no code) becomes 1014 for the client, and 1001 for the service.

The events of a connection have its id as their sender: ``connection-1``, and so on. First comes
the status connecting, then connected; then what the decoder makes of the service's frames, and
each message of the client's as `RealtimeModelRawClientEvent`; at the end an Exception event, if
it was no good end, the status disconnected, and the end of the stream.
"""

from __future__ import annotations

import asyncio
import http
import itertools
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit, urlunsplit

import attrs

from ..bus import EventBus, Scope
from ..events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelExceptionEvent,
)
from ..exceptions import RealtimeConnectionError
from ..wire._frames import Frame
from ..wire._intake import to_bytes
from ..wire._strict import read_object
from ..wire.openai._decoder import OpenAIRealtimeDecoder
from .events import RealtimeModelRawClientEvent
from .transport._discretion import discreet_logger

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.asyncio.server import Server, ServerConnection, serve
    from websockets.datastructures import Headers
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.http11 import Request, Response
    from websockets.typing import Subprotocol
except ModuleNotFoundError as exc:
    if exc.name != "websockets":  # websockets is there, something it needs isn't
        raise
    msg = "RealtimeProxy needs the websockets package: pip install 'eventbus[sim]'."
    raise ModuleNotFoundError(msg, name="websockets") from exc

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["RealtimeProxy"]

_Socket: TypeAlias = ClientConnection | ServerConnection
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
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

# RFC 6455, 7.4: what a close frame may carry. The others are made up where there was none.
_SENDABLE: Final = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
_GOING_AWAY: Final = 1001
_BAD_GATEWAY: Final = 1014
_GOOD_ENDS: Final = frozenset({1000, 1001, 1005})

_MAX_BYTES: Final = 32 * 1024 * 1024
_OPEN_TIMEOUT: Final = 10.0
_CLOSE_TIMEOUT: Final = 2.0

# For all proxies of the process: two of them may publish on one bus.
_numbers = itertools.count(1)

_logger = logging.getLogger(__name__)


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
        bus: Where events are published.
        host: Where to listen. Anybody who reaches another address than the loopback interface's
            can use the proxy, and reads and writes without TLS.
        port: Where to listen; 0 is any port that is free.
        max_bytes: A longer message closes its connection.

    Raises:
        ValueError: *upstream* is no such URL.
    """

    def __init__(
        self,
        upstream: str,
        bus: EventBus,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        self._upstream = _read_url(upstream)
        self._bus = bus
        self._host = host
        self._port = port
        self._max_bytes = max_bytes
        self._server: Server | None = None
        # Calls that the service has accepted, until the client is accepted too.
        self._waiting: dict[ServerConnection, _Call] = {}
        self._connecting: set[asyncio.Task[ClientConnection]] = set()
        self._watching: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port that it listens at; as given to it, if it doesn't listen."""
        sockets = () if self._server is None else tuple(self._server.sockets)
        port: int = sockets[0].getsockname()[1] if sockets else self._port
        return port

    @property
    def url(self) -> str:
        """What a client connects to: ``ws://127.0.0.1:PORT/v1/realtime``."""
        return f"ws://{self._authority}/v1/realtime"

    @property
    def base_url(self) -> str:
        """The same for the openai SDK: ``AsyncOpenAI(base_url=…)``."""
        return f"http://{self._authority}/v1"

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
        try:
            self._server = await serve(
                self._handle,
                self._host,
                self._port,
                process_request=self._open,
                process_response=self._hand_headers_back,
                select_subprotocol=self._select_subprotocol,
                # The handshake takes as long as the one with the service does.
                open_timeout=_OPEN_TIMEOUT + 5,
                **self._socket_options(),
            )
        except socket.gaierror as exc:
            msg = f"The proxy can't listen at {self._host}: that is no address of this machine."
            raise RealtimeConnectionError(msg, reason=str(exc.strerror)) from exc
        except OSError as exc:
            # Not its strerror, in which asyncio tells the address once more.
            reason = os.strerror(exc.errno) if exc.errno is not None else str(exc)
            msg = (
                f"The proxy can't listen at {self._host}, port {self._port}: {reason}. "
                f"Give another port; 0 is any that is free."
            )
            raise RealtimeConnectionError(msg, reason=reason) from exc
        return self

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

    def __repr__(self) -> str:
        # Without the query: a service may take its key there.
        return f"<RealtimeProxy of {_shown(self._upstream)}>"

    @property
    def _authority(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self.port}"

    def _socket_options(self) -> dict[str, Any]:
        """Return what holds for both sides."""
        return {
            "compression": None,
            "max_size": self._max_bytes,
            # A ping shows a middlebox that somebody is there. Its answer comes behind whatever
            # the other side has not read yet, so who waits for it would close on a slow reader.
            "ping_timeout": None,
            "close_timeout": _CLOSE_TIMEOUT,
            "logger": discreet_logger(__name__),
        }

    # --- the opening handshake: with the service, then with the client

    async def _open(self, client: ServerConnection, request: Request) -> Response | None:
        """Connect to the service; return what refuses the client, or None to accept it."""
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return None  # websockets refuses it, with 426
        call = _Call(self._bus)
        call.publish(RealtimeModelConnectionStatusEvent("connecting"))
        task = asyncio.ensure_future(self._connect(request))
        self._connecting.add(task)
        try:
            await asyncio.wait({task})
        finally:
            self._connecting.discard(task)
            task.cancel()  # if the client's time is up
        if task.cancelled():
            return client.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "The proxy is closing.\n")
        error = task.exception()
        if error is not None:
            response = self._refusal(client, error)
            call.end("service", response.status_code, response.reason_phrase)
            return response
        call.service = task.result()
        self._waiting[client] = call
        watching = asyncio.ensure_future(self._watch(client))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        return None

    async def _connect(self, request: Request) -> ClientConnection:
        return await connect(
            self._target(request.path),
            additional_headers=_handed_on(request.headers),
            user_agent_header=None,  # the client's own is among them
            subprotocols=_subprotocols(request.headers) or None,
            open_timeout=_OPEN_TIMEOUT,
            **self._socket_options(),
        )

    def _target(self, path: str) -> str:
        """Return the service's URL for a client that asks for *path*, its query included."""
        asked, upstream = urlsplit(path), self._upstream
        query = "&".join(filter(None, (upstream.query, asked.query)))
        path = upstream.path if upstream.path.strip("/") else asked.path
        return urlunsplit((upstream.scheme, upstream.netloc, path, query, ""))

    def _refusal(self, client: ServerConnection, exc: BaseException) -> Response:
        """Return the service's own refusal, or 502 if there is none."""
        if isinstance(exc, InvalidStatus):
            theirs = exc.response
            headers = _handed_on(theirs.headers)
            body = bytes(theirs.body or b"")
            headers["Content-Length"] = str(len(body))
            headers["Connection"] = "close"
            return Response(theirs.status_code, theirs.reason_phrase, headers, body)
        # A message of websockets' may quote a header, and a key with it.
        reason = type(exc).__name__
        if isinstance(exc, OSError):
            reason = exc.strerror or str(exc) or reason
        text = f"The proxy can't reach {_shown(self._upstream)}: {reason}.\n"
        return client.respond(http.HTTPStatus.BAD_GATEWAY, text)

    def _select_subprotocol(
        self, client: ServerConnection, _offered: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        call = self._waiting.get(client)
        return None if call is None or call.service is None else call.service.subprotocol

    def _hand_headers_back(
        self, client: ServerConnection, _request: Request, response: Response
    ) -> None:
        """Let the client see what the service says in its headers, like a request's id."""
        call = self._waiting.get(client)
        if call is not None and call.service is not None and call.service.response is not None:
            response.headers.update(_handed_on(call.service.response.headers))

    async def _watch(self, client: ServerConnection) -> None:
        """End a call whose client has gone before it was accepted."""
        await client.wait_closed()
        call = self._waiting.pop(client, None)
        if call is not None and call.service is not None:
            await call.service.close(_GOING_AWAY)
            call.end("client", None, "")

    # --- the call

    async def _handle(self, client: ServerConnection) -> None:
        call = self._waiting.pop(client, None)
        if call is None or call.service is None:  # `_watch` was quicker
            return
        call.publish(RealtimeModelConnectionStatusEvent("connected"))
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(call.pump(client, call.service, "client"))
                pumps.create_task(call.pump(call.service, client, "service"))
        finally:
            # Nothing to wait for, unless this was cancelled.
            await call.service.close(_GOING_AWAY)
            call.end_as_noted()


@attrs.define(eq=False)
class _Call:
    """
    One client's connection, and the one to the service that belongs to it.

    Attributes:
        bus: Where its events are published.
        service: The connection to the service, once there is one.
    """

    bus: EventBus
    service: ClientConnection | None = None
    _scope: Scope = attrs.field(init=False)
    _decoder: OpenAIRealtimeDecoder = attrs.field(init=False, factory=OpenAIRealtimeDecoder)
    _ended: tuple[_Side, int | None, str] | None = attrs.field(init=False, default=None)
    _failures: set[type[Exception]] = attrs.field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        self._scope = self.bus.scope(f"connection-{next(_numbers)}")

    async def pump(self, source: _Socket, target: _Socket, side: _Side) -> None:
        """Hand on what *source* says, until it says no more; then close *target* as it was."""
        code, reason = None, ""
        try:
            while True:
                message = await source.recv()
                if not await self._forward(message, target, side):
                    return  # the pump the other way has the target's code, and tells the source
        except ConnectionClosed as exc:
            said = exc.rcvd or exc.sent
            if said is not None:
                code, reason = said.code, said.reason
        if self._ended is None:
            self._ended = (side, code, reason)
        await target.close(*_closing(code, reason, side))

    async def _forward(self, message: str | bytes, target: _Socket, side: _Side) -> bool:
        """Hand on and publish *message*; return whether *target* has taken it."""
        try:
            await target.send(message)
        except ConnectionClosed:
            return False
        finally:
            self._publish_message(message, side)
        return True

    def publish(self, event: object) -> None:
        """Publish *event*; what goes wrong with that is logged, the first time of each kind."""
        try:
            self._scope.publish(event)
        except Exception as exc:  # a handler on a strict bus, a full mailbox
            if type(exc) not in self._failures:
                self._failures.add(type(exc))
                _logger.exception(
                    "publishing failed; the connection goes on",
                    extra={"sender": self._scope.sender, "event_type": type(event).__qualname__},
                )

    def end(self, side: _Side, code: int | None, reason: str) -> None:
        """Publish that the call is over, and how *side* has ended it."""
        if code not in _GOOD_ENDS:
            how = f"with {code}" if code is not None else "without a word"
            why = f": {reason}" if reason else ""
            msg = f"The {side} has ended the connection {how}{why}."
            error = RealtimeConnectionError(msg, code=code, reason=reason)
            self.publish(RealtimeModelExceptionEvent(error, context=msg))
        self.publish(RealtimeModelConnectionStatusEvent("disconnected"))
        self.publish(RealtimeModelEndOfStreamEvent())

    def end_as_noted(self) -> None:
        """Publish that the call is over, as the first pump that ended has found."""
        self.end(*(self._ended or ("service", _GOING_AWAY, "")))

    def _publish_message(self, message: str | bytes, side: _Side) -> None:
        if side == "client":
            self.publish(RealtimeModelRawClientEvent(_as_data(message)))
            return
        for event in self._decoder.decode(message):
            self.publish(event)


def _read_url(url: str) -> SplitResult:
    """Return the parts of the service's URL, in the scheme of WebSockets."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises, if it is none
    except ValueError as exc:
        msg = "upstream is no URL; write something like wss://api.openai.com/v1/realtime."
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


def _shown(url: SplitResult) -> str:
    """Return *url* as it may be told: a query can have a key in it."""
    return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))


def _handed_on(headers: Headers) -> Headers:
    return Headers(
        (name, value)
        for name, value in headers.raw_items()
        if name.lower() not in _OF_ONE_CONNECTION
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
    """Return the code and reason that close one side, when the other, *side*, has said these."""
    if code == 1005:  # a close frame without a code: the same as a good end
        return 1000, ""
    if code is not None and code in _SENDABLE:
        return code, reason
    if side == "client":
        return _GOING_AWAY, "the client is gone"
    return _BAD_GATEWAY, "the connection to the service is gone"

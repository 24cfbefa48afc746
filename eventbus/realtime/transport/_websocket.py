"""
WebSocket connections with the ``websockets`` package, as every vendor's live session needs them.

* No redirect is followed: `websockets` would send all headers, the key among them, to the new
  address. A redirect is an answer like any other refusal.
* At DEBUG `websockets` logs headers and frames, which have keys and callers' words in them;
  `discreet_logger` keeps those out of the log.
* Errors name the problem and the remedy, and withhold keys.

Importing this module takes longer than an event loop should stand still: import it in a thread.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from ...exceptions import RealtimeConnectionError
from ._reconnecting import NO_CLOSE_FRAME, TLS_FAILURE, End

try:
    import websockets
    import websockets.asyncio.client
except ModuleNotFoundError as exc:
    if exc.name != "websockets":  # something that it needs, which isn't ours to explain
        raise
    msg = (
        "A live session needs the websockets package: pip install 'eventbus[openai]', "
        "or pip install '.[openai]' in a clone."
    )
    raise ModuleNotFoundError(msg, name=exc.name) from exc

if TYPE_CHECKING:
    from websockets.datastructures import HeadersLike

    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter

_MIN_SECRET: Final = 6  # a shorter word keeps no secret, and may be part of any other

_REFUSALS: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "refused the request; check the model's name and the headers",
        401: "refused the key; check that it is right, and one of this service",
        403: "refused the key; check that it may use this model, from this country",
        404: "knows no such path or model; check the URL and the model's name",
        429: "takes no more requests, or the quota is used up; wait, or look at the account",
    }
)


class _DiscreetLogger(_Adapter):
    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's name
        return level > logging.DEBUG and super().isEnabledFor(level)


def discreet_logger(name: str) -> logging.LoggerAdapter[logging.Logger]:
    """Return a logger like the one called *name* that logs nothing at DEBUG."""
    return _DiscreetLogger(logging.getLogger(name), {})


class DirectConnection(websockets.asyncio.client.ClientConnection):
    """A client's connection that follows no redirect."""

    async def handshake(self, *args: Any, **kwargs: Any) -> None:
        """Shake hands; a redirect raises ``InvalidStatus`` and has no target."""
        try:
            await super().handshake(*args, **kwargs)
        except websockets.InvalidStatus as exc:
            # `websockets.connect` follows a Location, with every header it was given.
            exc.response.headers.pop("Location", None)
            raise


class WebSocket:
    """A connection as `transport` uses it."""

    def __init__(self, connection: websockets.asyncio.client.ClientConnection) -> None:
        self._connection = connection
        self.receive: Callable[[], Awaitable[bytes]] = functools.partial(
            cast("Any", connection.recv), decode=False
        )
        # Text, and never decoded and encoded.
        self.send: Callable[[bytes], Awaitable[None]] = functools.partial(
            connection.send, text=True
        )
        self.close = connection.close

    async def ping(self) -> None:
        """Return once the peer has answered a ping."""
        await (await self._connection.ping())


def ended() -> type[Exception]:
    """Return the exception of a connection that has ended."""
    return websockets.ConnectionClosed


_new_tls_context = functools.cache(ssl.create_default_context)


async def tls_context() -> ssl.SSLContext:
    """Return the context of all connections; the first call reads the certificates in a thread."""
    if not _new_tls_context.cache_info().currsize:
        await asyncio.get_running_loop().run_in_executor(None, _new_tls_context)
    return _new_tls_context()


async def open_websocket(
    url: str, headers: HeadersLike, options: Mapping[str, Any]
) -> websockets.asyncio.client.ClientConnection:
    """Open a connection; *options* are more options of ``websockets.connect``."""
    options = {"create_connection": DirectConnection, **options}
    return await websockets.asyncio.client.connect(url, additional_headers=headers, **options)


class ConnectionCapture:
    """
    A ``create_connection`` for `websockets.connect` that keeps the connection it makes.

    So a client library that hides its connection can open it.
    """

    def __init__(self, create: Callable[..., Any] | None = None) -> None:
        self._create = create or DirectConnection
        self._made: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make a connection."""
        self._made = self._create(*args, **kwargs)
        return self._made

    @property
    def connection(self) -> WebSocket:
        """The connection that was made last."""
        return WebSocket(self._made)


def end_of(exc: Exception, secrets: Iterable[object]) -> End:
    """Return the end of a connection that has raised *exc*."""
    assert isinstance(exc, websockets.ConnectionClosed)
    close = exc.rcvd
    if exc.sent is not None and (close is None or not exc.rcvd_then_sent):
        close = exc.sent  # our side found the fault: a frame too big, a ping unanswered
    if close is None:
        return End(NO_CLOSE_FRAME, "")
    return End(close.code, withhold(close.reason, secrets))


# --- errors ------------------------------------------------------------------------------


def explain(
    exc: Exception,
    shown: str,
    timeout: float,
    secrets: Iterable[object],
    telling: tuple[type[Exception], ...] = (),
) -> RealtimeConnectionError:
    """
    Return the error for a connection that can't be opened: the problem, and the remedy.

    Args:
        exc: The exception of the attempt.
        shown: The address, for people.
        timeout: Seconds that the attempt was given.
        secrets: Words that must not be in the error.
        telling: Exceptions with a message that names the remedy.
    """
    code: int | None = None
    reason = ""
    if isinstance(exc, websockets.InvalidStatus):
        code = exc.response.status_code
        reason = _phrase(code)
        told = f"{shown} {_refusal(code)} (HTTP {code})."
    elif isinstance(exc, ssl.SSLError):
        code = TLS_FAILURE
        # Which of them is there depends on where in the handshake it was.
        reason = getattr(exc, "verify_message", "") or getattr(exc, "reason", "") or "no TLS"
        told = (
            f"{shown} can't be reached over TLS ({reason}); check its certificate, and whether it "
            f"is wss:// or ws://."
        )
    elif isinstance(exc, TimeoutError):
        reason = "timeout"
        told = (
            f"{shown} did not answer within {timeout:g} s; check the URL and the network, or raise "
            f"open_timeout."
        )
    elif isinstance(exc, OSError):
        reason, told = _explain_os(exc, shown)
    elif isinstance(exc, (websockets.InvalidHandshake, websockets.InvalidURI, EOFError)):
        reason = "no WebSocket"
        told = f"The server at {shown} is not a realtime service; check the URL, and any proxy."
    else:
        reason = type(exc).__qualname__
        # These name the remedy. Any other one may say anything.
        is_telling = isinstance(exc, (ImportError, TypeError, *telling))
        text = f": {withhold(str(exc), secrets)}" if is_telling else ""
        told = f"{shown} could not be connected to ({reason}{text}); check the options."
    return RealtimeConnectionError(told, code=code, reason=reason)


def withhold(text: str, secrets: Iterable[object]) -> str:
    """Return *text* as one line without the secrets."""
    for secret in secrets:
        if isinstance(secret, str) and len(secret) >= _MIN_SECRET:
            text = text.replace(secret, "<withheld>")
    return " ".join(text.split())


def _explain_os(exc: OSError, shown: str) -> tuple[str, str]:
    if isinstance(exc, socket.gaierror):
        return "unknown host", f"The host of {shown} is unknown; check the URL and the network."
    if isinstance(exc, ConnectionRefusedError):
        reason = "connection refused"
        return reason, f"Nothing listens at {shown}; check host and port, or start the server."
    if isinstance(exc, ConnectionResetError):
        told = f"The server at {shown} hangs up; check the URL, and whether it is wss:// or ws://."
        return "connection reset", told
    reason = exc.strerror or "unreachable"
    return reason, f"{shown} can't be reached ({reason}); check the URL and the network."


def _refusal(status: int) -> str:
    if status in _REFUSALS:
        return _REFUSALS[status]
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return "redirects, and no redirect is followed with a key; give the final URL"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "is in trouble; try again later"
    return "refused the connection; check the URL and the headers"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP {status}"

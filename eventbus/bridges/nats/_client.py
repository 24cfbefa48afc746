"""
The connection to a NATS server: opening it, asking JetStream, and following reconnects.

Rules
-----

* The options of `nats.connect` pass through as they are. No message of an error and no log has
  them, nor the user and password of a URL.
* A bridge's own connection never gives up: it reconnects for as long as the bridge is open. The
  first connection must succeed in time, so that a wrong address is an error at once.
* JetStream's API is asked with plain JSON requests. The client's wrappers hide fields that are
  needed here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

try:
    import nats
except ModuleNotFoundError as exc:
    if exc.name != "nats":  # nats is there, but something that it needs isn't
        raise
    msg = (
        "NatsBridge needs the nats-py package: pip install 'eventbus[nats]', "
        "or pip install '.[nats]' in a clone."
    )
    raise ModuleNotFoundError(msg, name="nats") from exc

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ...exceptions import BridgeConnectionError, BridgeError, BridgeSetupError

logger = logging.getLogger(__name__)

Servers: TypeAlias = str | Sequence[str] | Client

API_TIMEOUT: Final = 5.0

_CLOSE_TIMEOUT: Final = 0.5

_MIN_VERSION: Final = (2, 10)


class JetStreamError(BridgeError):
    """
    JetStream refused a request.

    Attributes:
        code: Its code, like one of HTTP.
        err_code: The number of the error.
        description: Its text.
    """

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.code = int(error.get("code", 0))
        self.err_code = int(error.get("err_code", 0))
        self.description = str(error.get("description", ""))
        super().__init__(f"JetStream: {self.description} ({self.code}, {self.err_code})")


class _RefusedError(Exception):
    """Each server has refused the connection, and will do so again."""


class Connection:
    """
    A connection to NATS with JetStream.

    Args:
        client: A connected client.
        is_ours: Whether `aclose` closes it.
    """

    def __init__(self, client: Client, *, is_ours: bool) -> None:
        self.client = client
        self.is_ours = is_ours

    @property
    def is_up(self) -> bool:
        """True while the client is connected."""
        return self.client.is_connected

    @property
    def generation(self) -> int:
        """A number that grows with each reconnect."""
        return int(self.client.stats["reconnects"])

    @property
    def max_payload(self) -> int:
        """The most bytes that a message may have, headers included."""
        return int(self.client.max_payload)

    async def api(
        self,
        subject: str,
        request: Mapping[str, Any] | None = None,
        *,
        timeout: float = API_TIMEOUT,
    ) -> dict[str, Any]:
        """
        Ask JetStream's API, and return its answer.

        Raises:
            JetStreamError: It refused.
            BridgeConnectionError: There was no answer.
        """
        payload = json.dumps(request).encode() if request is not None else b""
        answer = await self.request(f"$JS.API.{subject}", payload, timeout=timeout)
        return _checked(answer.data)

    async def put(
        self,
        subject: str,
        payload: bytes,
        headers: dict[str, str] | None = None,
        *,
        timeout: float = API_TIMEOUT,
    ) -> int:
        """
        Store a message, and return its number in its stream.

        Raises:
            JetStreamError: The stream refused it.
            BridgeConnectionError: There was no answer; it may have been stored all the same.
        """
        answer = await self.request(subject, payload, headers=headers, timeout=timeout)
        return int(_checked(answer.data)["seq"])

    async def request(
        self,
        subject: str,
        payload: bytes,
        *,
        headers: dict[str, str] | None = None,
        timeout: float = API_TIMEOUT,
    ) -> Msg:
        """
        Send a request, and return the answer.

        Raises:
            BridgeConnectionError: There was none.
        """
        try:
            return await self.client.request(subject, payload, timeout=timeout, headers=headers)
        except (nats.errors.Error, OSError) as exc:
            msg = f"The NATS server gave no answer: {reason(exc)}."
            raise BridgeConnectionError(msg) from exc

    async def settle(self) -> None:
        """
        Wait until the server has all that was sent before, like a subscription.

        A ping of the client may overtake it; a request doesn't.
        """
        with contextlib.suppress(BridgeError):
            await self.api("INFO")

    async def drain(self, subscription: Subscription) -> None:
        """End a subscription, once the messages that the server sent for it are worked off."""
        if not self.is_up:
            return
        with contextlib.suppress(nats.errors.Error, OSError):
            # The client's own drain sends its ping before it ends the subscription: a request
            # that comes between the two would be dropped without an answer.
            await self.client._send_unsubscribe(subscription._id)  # noqa: SLF001
            await self.settle()
            await subscription.drain()  # type: ignore[no-untyped-call]  # it has no types

    async def aclose(self) -> None:
        """Close the client, if it is the bridge's own."""
        if self.is_ours:
            with contextlib.suppress(Exception):  # the client's, which is being thrown away
                await asyncio.wait_for(self.client.close(), 2.0)


def _checked(data: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(data)
    error = answer.get("error")
    if error:
        raise JetStreamError(error)
    return answer


async def connect(servers: Servers, *, timeout: float, options: Mapping[str, Any]) -> Connection:
    """
    Return a connection that has been checked.

    Args:
        servers: One or several URLs, or a client that is connected.
        timeout: Seconds for the first connection.
        options: Options of `nats.connect`.

    Raises:
        BridgeConnectionError: No server can be reached, or it refuses the connection.
        BridgeSetupError: The server is too old, or has no JetStream.
    """
    if isinstance(servers, Client):
        if not servers.is_connected:
            msg = "The NATS client isn't connected; await nats.connect(...) first, or pass a URL."
            raise BridgeConnectionError(msg)
        connection = Connection(servers, is_ours=False)
    else:
        connection = await _open(servers, timeout, options)
    try:
        await _check(connection)
    except BaseException:
        await connection.aclose()
        raise
    return connection


async def _open(
    servers: str | Sequence[str], timeout: float, options: Mapping[str, Any]
) -> Connection:
    addresses = [servers] if isinstance(servers, str) else list(servers)
    shown = ", ".join(map(_shown, addresses)) or "(no address)"
    errors: list[Exception] = []
    is_open = False
    warned_of = -1

    async def note(exc: Exception) -> None:
        nonlocal warned_of
        if not is_open:
            errors.append(exc)
            if sum(map(_is_refusal, errors)) >= len(addresses):
                raise _RefusedError from exc  # it ends the client's attempts
            return
        connections = int(client.stats["reconnects"])
        level = logging.DEBUG if warned_of == connections else logging.WARNING
        warned_of = connections  # once for each time without a connection
        logger.log(level, "NATS connection error", extra={"error": reason(exc)})

    client = Client()
    settings: dict[str, Any] = {
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.2,
        "connect_timeout": max(1, round(timeout)),
        "ping_interval": 5,
        "max_outstanding_pings": 2,
        "error_cb": note,
        **options,
    }
    try:
        await asyncio.wait_for(client.connect(addresses, **settings), timeout)
    except (TimeoutError, nats.errors.Error, OSError, ValueError, _RefusedError) as exc:
        with contextlib.suppress(Exception):  # the client's, which is being thrown away
            # It waits for ever for a connection whose TLS handshake has failed, which is closed.
            await asyncio.wait_for(client.close(), _CLOSE_TIMEOUT)
        refusals = list(filter(_is_refusal, errors))
        shown_error = (refusals or errors or [exc])[-1]
        text = reason(shown_error)
        if isinstance(shown_error, ssl.SSLError):
            advice = (
                "check tls=: its context has to trust the CA of the server's certificate, which "
                "is for that host, and to have a certificate of its own if the server wants one"
            )
        elif refusals:
            advice = "check the credentials: user and password, token=, user_credentials= or tls="
        else:
            advice = "start one with: nats-server -js, or check the address"
        msg = f"No connection to a NATS server at {shown} ({text}); {advice}."
        raise BridgeConnectionError(msg) from None  # the client's error may show the URL
    is_open = True
    return Connection(client, is_ours=True)


def _is_refusal(error: Exception) -> bool:
    """Return whether another attempt with the same options will fail as well."""
    return isinstance(error, ssl.SSLError) or "auth" in reason(error).lower()


async def _check(connection: Connection) -> None:
    version = connection.client.connected_server_version
    if (version.major, version.minor) < _MIN_VERSION:
        msg = (
            f"The NATS server, version {version.major}.{version.minor}.{version.patch}, is too old "
            f"for a bridge; upgrade it to {'.'.join(map(str, _MIN_VERSION))} or later."
        )
        raise BridgeSetupError(msg)
    try:
        await connection.api("INFO")
    except BridgeConnectionError as exc:
        cause = exc.__cause__
        if not isinstance(cause, nats.errors.NoRespondersError):
            raise
        problem = "has no JetStream"
    except JetStreamError as exc:
        problem = f"has no JetStream for this account: {exc.description}"
    else:
        return
    msg = f"The NATS server {problem}; start it with -js, or enable JetStream in its configuration."
    raise BridgeSetupError(msg)


def reason(exc: BaseException) -> str:
    """Return the message of a client's error, without its prefix."""
    if isinstance(exc, (asyncio.TimeoutError, TimeoutError)) and not isinstance(exc, OSError):
        return "no answer in time"
    text = str(exc).removeprefix("nats: ").strip()
    return text or type(exc).__name__


def _shown(address: str) -> str:
    """Return an address without user, password and query."""
    try:
        parts = urlsplit(address if "://" in address else f"nats://{address}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(an address that can't be read)"
    return f"{parts.scheme}://{parts.hostname or ''}{port}"

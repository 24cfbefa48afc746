"""
A live session with OpenAI's Realtime API, and with whoever speaks its protocol.

The connection is the official ``openai`` SDK's, so that base URLs, Azure, proxies, organizations
and keys are its business. Its frames come to us as they are, and go to our decoder.

No key, and none of the caller's words, is in a log, an error or a repr.

What is here is the face, `OpenAIRealtimeModel`, and how a connection is opened or fails to be.
What lasts from `OpenAIRealtimeModel.connect` to the last event is in `live`; what goes on in a
session, in `dialogue`; and what is decided there, with no I/O, in modules of their own: when to
ask for a response (`sequencer`), where to cut off speech (`interruption`), what gives way on a
slow network (`outbox`), whether to try again (`reconnecting`), what to say (`client_messages`).
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from ...exceptions import ModelNotConnected, RealtimeConnectionError
from ..model import (
    RealtimeModel,
    RealtimeModelConfig,
    RealtimeModelListener,
    RealtimeModelSendEvent,
)
from ..transport._connection import MAX_FRAME_BYTES, End, Live, Tuning
from ..transport._discretion import discreet_logger
from ..transport._listeners import Listeners
from ..transport._reconnecting import NO_CLOSE_FRAME, TLS_FAILURE, ReconnectPolicy
from ._addresses import Address, without_secrets

try:
    import openai
    import openai.resources.realtime.realtime  # else it is loaded while the first session waits
    import websockets
    import websockets.asyncio.client  # the same
except ModuleNotFoundError as exc:
    if exc.name not in {"openai", "websockets"}:  # what they need isn't ours to explain
        raise
    msg = "OpenAIRealtimeModel needs the openai package: pip install 'eventbus[openai]'."
    raise ModuleNotFoundError(msg, name=exc.name) from exc

if TYPE_CHECKING:
    from openai.resources.realtime.realtime import AsyncRealtimeConnection

__all__ = ["DEFAULT_MODEL", "OpenAIRealtimeModel"]

DEFAULT_MODEL: Final = "gpt-realtime"
"""The model, where neither the settings nor the URL name one."""

_FRAMING_BYTES: Final = 64 * 1024  # a frame that the decoder refuses doesn't end the connection

_MIN_SECRET: Final = 6  # what is shorter keeps no secret, and may be part of any word

_ENVIRONMENT: Final = ("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY")

_REFUSALS: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "refused the request; check the model's name and the headers",
        401: "refused the key; check that it is right, and one of this service",
        403: "refused the key; check that it may use this model, from this country",
        404: "knows no such path or model; check the URL and the model's name",
        429: "takes no more requests, or the quota is used up; wait, or look at the account",
    }
)


class OpenAIRealtimeModel(RealtimeModel):
    """
    A session with OpenAI's Realtime API over a WebSocket; for asyncio.

    ::

        model = OpenAIRealtimeModel()
        model.attach(bus)
        await model.connect({"initial_model_settings": {"instructions": "Be brief."}})
        await model.send_event(RealtimeModelSendUserInput("Hello!"))

    Once closed, or when the connection has ended, it can be connected again.

    Args:
        client:
            The SDK's client to connect with: an ``AsyncOpenAI``, or an ``AsyncAzureOpenAI`` for
            Azure. Without it, one is made of the options of `connect`.
        reconnect: What to do when a connection is lost; None is to give up at once.
        open_timeout: Seconds that opening the connection may take.
        close_timeout: Seconds that the service has to answer when the connection is closed.
        send_timeout: Seconds that `send_event` waits for room when the network is slow.
        response_timeout: Seconds without a frame, after which a response that another one waits
            for is taken to be over: its end was lost.
        max_buffered_bytes: Of what waits to be sent; 4 MiB is a minute of speech at 24 kHz.
        websocket_options: More options of ``websockets.connect``, which go before ours.
    """

    def __init__(
        self,
        *,
        client: openai.AsyncOpenAI | None = None,
        reconnect: ReconnectPolicy | None = ReconnectPolicy(),  # noqa: B008  # it is frozen
        open_timeout: float = 10.0,
        close_timeout: float = 2.0,
        send_timeout: float = 10.0,
        response_timeout: float = 30.0,
        max_buffered_bytes: int = 4 * 1024 * 1024,
        websocket_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._tuning = Tuning(
            reconnect=reconnect,
            close_timeout=close_timeout,
            send_timeout=send_timeout,
            response_timeout=response_timeout,
            max_buffered_bytes=max_buffered_bytes,
        )
        self._client = client
        self._open_timeout = open_timeout
        self._websocket_options: Mapping[str, Any] = {
            "compression": None,  # as the SDK: base64 of speech doesn't get smaller
            "max_size": MAX_FRAME_BYTES + _FRAMING_BYTES,
            "open_timeout": open_timeout,
            "close_timeout": close_timeout,
            "logger": discreet_logger("websockets.client"),
            **(websocket_options or {}),
        }
        self._listeners = Listeners()
        self._live: Live | None = None

    async def connect(self, options: RealtimeModelConfig) -> None:
        """
        Open the connection, and keep it open until `close`; return once it is open.

        The settings are on their way when it returns. If it is cancelled, there is no connection,
        and nothing is left of the attempt.

        Args:
            options:
                ``url`` may be the address of the WebSocket (``wss://host/v1/realtime``) or a
                base URL (``https://host/v1``); its query is kept. With ``headers`` that
                authenticate (``Authorization``, ``api-key``) no key is needed.

        Raises:
            RealtimeConnectionError: It can't be opened, or the model is connected already.
            AudioFormatError: A format in the settings is none that is known.
            ValueError: A model is named, and a call as well, which has its own.
        """
        _check_asyncio()
        if self._live is not None and not self._live.is_over:
            msg = "The model is connected already; close() it first, or use another one."
            raise RealtimeConnectionError(msg)
        dialing = _dialing(options, self._client, self._open_timeout, self._websocket_options)
        live = Live(dialing, options, self._tuning, self._listeners)
        self._live = live
        await live.open()

    def add_listener(self, listener: RealtimeModelListener) -> None:
        """Let *listener* have the events from the next one on; twice is once."""
        self._listeners.add(listener)

    def remove_listener(self, listener: RealtimeModelListener) -> None:
        """Let *listener* have no more events; one that has none already is fine."""
        self._listeners.remove(listener)

    async def send_event(self, event: RealtimeModelSendEvent) -> None:
        """
        Send *event*; return when it waits for its turn at the network.

        What is sent keeps the order of the calls. On a network that is too slow audio is
        dropped, the oldest first, and that is reported once in a row; anything else waits here.
        If it is cancelled while it waits, it is not sent.

        Raises:
            ModelNotConnected: There is no connection.
            RealtimeConnectionError: There was no room in time.
            AudioFormatError: A format in the settings is none that is known.
            TypeError: It is nothing that can be sent.
            ValueError: Its parts contradict each other.
        """
        if self._live is None or not self._live.is_open:
            msg = "The model is not connected; await model.connect(...) first."
            raise ModelNotConnected(msg)
        await self._live.send(event)

    async def close(self) -> None:
        """
        Close the connection, if there is one; return when the last event has been emitted.

        After it, nothing is emitted but ``disconnected`` and the end of the stream. From inside a
        listener it returns at once, and they follow when the listener returns. If it is
        cancelled, the connection is closed all the same.
        """
        if self._live is not None:
            await self._live.close()

    def __repr__(self) -> str:
        if self._live is None:
            return f"<{type(self).__qualname__}, not connected>"
        return f"<{type(self).__qualname__} {self._live.shown}>"


# --- opening a connection --------------------------------------------------------------------


@attrs.frozen
class _Dialing:
    """
    How to open a connection, as often as need be.

    Attributes:
        shown: Where to, for people.
        model: The model; None leaves it to the URL, or to the call.
    """

    shown: str
    model: str | None
    _options: RealtimeModelConfig = attrs.field(repr=False)
    _address: Address | None = attrs.field(repr=False)
    _given_client: openai.AsyncOpenAI | None = attrs.field(repr=False)
    _open_timeout: float = attrs.field(repr=False)
    _websocket_options: Mapping[str, Any] = attrs.field(repr=False)
    _secrets: list[object] = attrs.field(factory=list, init=False, repr=False)

    @property
    def ended(self) -> type[Exception]:
        """What a connection raises when it has ended."""
        return websockets.ConnectionClosed

    def end_of(self, exc: Exception) -> End:
        """Return how a connection has ended that has raised *exc*."""
        assert isinstance(exc, websockets.ConnectionClosed)
        close = exc.rcvd
        if exc.sent is not None and (close is None or not exc.rcvd_then_sent):
            close = exc.sent  # we have found fault with it: a frame too big, a ping unanswered
        if close is None:
            return End(NO_CLOSE_FRAME, "")
        return End(close.code, _withhold(close.reason, self._secrets))

    async def open(self) -> AsyncRealtimeConnection:
        """Open a connection; raises RealtimeConnectionError, with nothing in it that tells."""
        opened = await self._attempt()
        if isinstance(opened, RealtimeConnectionError):
            # From here, as a traceback may be shown with the variables of its frames, and not
            # while the cause is being handled: it would be chained, with all that it holds.
            raise opened
        return opened

    async def _attempt(self) -> AsyncRealtimeConnection | RealtimeConnectionError:
        """Return a connection, or why there is none."""
        headers = dict(self._options.get("headers") or {})
        # A value such as "Bearer …" may be quoted without its first word.
        self._secrets[:] = [word for value in headers.values() for word in str(value).split()]
        try:
            _check_headers(headers)
            key = await self._key(headers)
            client = self._client(key)
            self._secrets.append(client.api_key)
            manager = client.realtime.connect(
                model=self.model if self.model is not None else openai.omit,
                call_id=self._options.get("call_id", openai.omit),
                extra_headers=cast("Any", self._headers(headers)),
                websocket_connection_options=cast("Any", dict(self._websocket_options)),
            )
            connection = await manager.enter()
        except RealtimeConnectionError as exc:
            return exc.with_traceback(None)
        except Exception as exc:  # noqa: BLE001  # from the SDK, websockets, ssl and the system
            return _explain(exc, self.shown, self._open_timeout, self._secrets)
        self._secrets.append(client.api_key)  # it may have come from a function by now
        return connection

    async def _key(self, headers: Mapping[str, str]) -> str | None:
        """Return the key, None if there is no need for one of ours."""
        given = self._options.get("api_key")
        if callable(given):
            given = await _call(given)
        if given is None and (self._given_client is not None or _authenticate(headers)):
            return None
        key = given if given is not None else os.environ.get("OPENAI_API_KEY")
        if not key:
            msg = (
                f"There is no API key for {self.shown}; give api_key=... to connect(), or set "
                f"OPENAI_API_KEY."
            )
            raise RealtimeConnectionError(msg)
        if not _is_printable(key) or " " in key:
            msg = (
                "The API key has a character that no key has, often a line break at its end; "
                "check where it comes from."
            )
            raise RealtimeConnectionError(msg)
        return key

    def _client(self, key: str | None) -> openai.AsyncOpenAI:
        client = self._given_client
        changes: dict[str, Any] = {}
        if key is not None:
            changes["api_key"] = key
        if self._address is not None:
            changes["websocket_base_url"] = self._address.base_url
        if client is None:
            client = _template(_environment())
        return client.with_options(**changes) if changes else client

    def _headers(self, headers: Mapping[str, str]) -> dict[str, Any]:
        if self._given_client is None and _authenticate(headers):
            # They say it themselves: the SDK must not add a key of its own.
            return {"Authorization": openai.omit, **headers}
        return dict(headers)


def _dialing(
    options: RealtimeModelConfig,
    client: openai.AsyncOpenAI | None,
    open_timeout: float,
    websocket_options: Mapping[str, Any],
) -> _Dialing:
    """Read the options; raises as `OpenAIRealtimeModel.connect` does."""
    url = options.get("url")
    address = None if url is None else Address.of(url)
    model = options.get("initial_model_settings", {}).get("model_name")
    if "call_id" in options and model is not None:
        msg = "A call has its model already; give call_id, or a model_name."
        raise ValueError(msg)
    if model is None and "call_id" not in options and not (address and address.names_model):
        model = DEFAULT_MODEL
    shown = (
        address.shown if address is not None else _shown_url(client or _template(_environment()))
    )
    return _Dialing(shown, model, options, address, client, open_timeout, websocket_options)


def _check_asyncio() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        return
    msg = "OpenAIRealtimeModel needs asyncio, as websockets does; run it with asyncio.run()."
    raise RealtimeConnectionError(msg)


async def _call(provider: Callable[[], str | Awaitable[str]]) -> str:
    try:
        returned = provider()
        return await returned if inspect.isawaitable(returned) else returned
    except Exception as exc:  # noqa: BLE001  # it is the application's
        # Not a word of it, nor the exception itself: it may well have the key.
        failure = type(exc).__qualname__
    msg = f"The function that gives the API key has failed ({failure}); call it to see why."
    raise RealtimeConnectionError(msg)


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _is_printable(name) or not _is_printable(value):
            msg = (
                "A header has a character that no header has, often a line break at the end of a "
                "key; check where it comes from."
            )
            raise RealtimeConnectionError(msg)


def _is_printable(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _authenticate(headers: Mapping[str, str]) -> bool:
    return any(name.lower() in {"authorization", "api-key"} for name in headers)


def _environment() -> tuple[str | None, ...]:
    return tuple(os.environ.get(name) for name in _ENVIRONMENT)


@functools.lru_cache(maxsize=1)
def _template(_environment: tuple[str | None, ...]) -> openai.AsyncOpenAI:
    """
    Return a client to make others of.

    Making one takes tens of milliseconds, for certificates that a WebSocket has no use for, in
    which every other session of the process would stand still. A copy shares them.
    """
    return openai.AsyncOpenAI(api_key="to-be-given")


def _shown_url(client: openai.AsyncOpenAI) -> str:
    return without_secrets(str(client.websocket_base_url or client.base_url)).rstrip("/")


def _explain(
    exc: Exception, shown: str, timeout: float, secrets: Iterable[object]
) -> RealtimeConnectionError:
    """Return the error that tells what went wrong, and what to do; never what was sent."""
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
        told = f"What answers at {shown} is no realtime service; check the URL, and any proxy."
    else:
        reason = type(exc).__qualname__
        # These say what to install, to set or to correct. Any other one may say anything.
        is_telling = isinstance(exc, (ImportError, TypeError, openai.OpenAIError))
        text = f": {_withhold(str(exc), secrets)}" if is_telling else ""
        told = f"{shown} could not be connected to ({reason}{text}); check the options."
    return RealtimeConnectionError(told, code=code, reason=reason)


def _withhold(text: str, secrets: Iterable[object]) -> str:
    """Return *text*, which is somebody else's, as one line without what must not be in it."""
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
        told = (
            f"What answers at {shown} hangs up; check the URL, and whether it is wss:// or ws://."
        )
        return "connection reset", told
    reason = exc.strerror or "unreachable"
    return reason, f"{shown} can't be reached ({reason}); check the URL and the network."


def _refusal(status: int) -> str:
    if status in _REFUSALS:
        return _REFUSALS[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "is in trouble; try again later"
    return "refused the connection; check the URL and the headers"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP {status}"

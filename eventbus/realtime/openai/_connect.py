"""
Opening a connection to OpenAI's Realtime API, or to a service that speaks its protocol.

openai-agents takes the whole address of the WebSocket, ``wss://host/v1/realtime?model=…``; the
openai SDK takes the base URL, and adds ``/realtime`` and the query itself. Both are fine here.

Without a client of the SDK, the connection is opened directly: importing the SDK and making its
HTTP client would stop the event loop for longer than a call can bear. The SDK's environment
variables ``OPENAI_API_KEY``, ``OPENAI_BASE_URL``, ``OPENAI_ORG_ID`` and ``OPENAI_PROJECT_ID``
are read all the same. With a client, the SDK opens the connection, so that Azure, its keys and
its headers are the SDK's business.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import urllib.parse
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from ...exceptions import NotSupported, RealtimeConnectionError
from ...wire.openai import DIALECTS, Dialect
from .._secrets import Secret
from ._rules import choose_dialect

if TYPE_CHECKING:
    import openai

    from .._secrets import ConnectOptions
    from ..transport._reconnecting import End
    from ..transport._sender import Connection

DEFAULT_MODEL: Final = "gpt-realtime"
"""The model, where neither the settings nor the URL name one."""

DEFAULT_URL: Final = "https://api.openai.com/v1"

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
"""The largest frame that is decoded."""

_FRAMING_BYTES: Final = 64 * 1024  # a frame that the decoder refuses doesn't end the connection

_BEARER: Final = "Authorization"

_SCHEMES: Final = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
REALTIME_PATH: Final = "/realtime"
LIVE_PATH: Final = "/live/sessions"

# Parts of a URL's query that name the model: OpenAI's word, Azure's, that of a call.
_MODEL_NAMES: Final = frozenset({"model", "deployment", "call_id"})


# --- addresses -------------------------------------------------------------------------------


@attrs.frozen
class Address:
    """
    A service's address.

    Attributes:
        base_url: Without the protocol's own end of the path; it keeps its query.
        shown: For people: without the query, which may have a key in it.
        names_model: Whether the query names the model.
    """

    base_url: str = attrs.field(repr=False)
    shown: str
    names_model: bool

    @classmethod
    def of(cls, url: str) -> Address:
        """
        Return the address that *url* is.

        Raises:
            RealtimeConnectionError: It is not an address.
        """
        try:
            parts = urllib.parse.urlsplit(url)
            host, _ = parts.hostname, parts.port  # the port is checked when it is read
        except ValueError:
            host, parts = None, None
        if parts is None or not host or parts.scheme not in _SCHEMES:
            msg = (
                f"{without_secrets(url)!r} is not the address of a realtime service; it looks like "
                f"wss://api.openai.com/v1/realtime, or like https://api.openai.com/v1."
            )
            raise RealtimeConnectionError(msg)
        path = parts.path.rstrip("/")
        for end in (*{each.path_end for each in DIALECTS.values()}, LIVE_PATH):
            path = path.removesuffix(end)
        base = parts._replace(path=path, fragment="")
        query = urllib.parse.parse_qs(parts.query)
        return cls(base.geturl(), without_secrets(url), bool(_MODEL_NAMES & query.keys()))

    def websocket_url(self, path: str, **query: str | None) -> str:
        """Return the address of the protocol with that *path*, with *query* added to its own."""
        parts = urllib.parse.urlsplit(self.base_url)
        added = urllib.parse.urlencode({name: value for name, value in query.items() if value})
        return parts._replace(
            scheme=_SCHEMES[parts.scheme],
            path=parts.path.rstrip("/") + path,
            query="&".join(filter(None, (parts.query, added))),
        ).geturl()


def without_secrets(url: str) -> str:
    """Return *url* without its possible secrets: the user, the password and the query."""
    front = url.partition("?")[0].partition("#")[0]
    scheme, separator, rest = front.partition("://")
    if not separator:  # not an address, so the place of a secret is unknown
        return front.rpartition("@")[2]
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


# --- opening ---------------------------------------------------------------------------------


@attrs.frozen
class OpenAIDialer:
    """
    Opens connections to one address, any number of times.

    Attributes:
        shown: The address, for people.
        model: The model; None leaves it to the URL, to the call, or to the first message.
        dialect: The service's form of the protocol.
    """

    shown: str
    model: str | None
    _options: ConnectOptions = attrs.field(repr=False)
    _address: Address | None = attrs.field(repr=False)
    _given_client: openai.AsyncOpenAI | None = attrs.field(repr=False)
    _open_timeout: float = attrs.field(repr=False)
    _websocket_options: Mapping[str, Any] = attrs.field(repr=False)
    _path: str = attrs.field(default=REALTIME_PATH, repr=False)
    dialect: Dialect = attrs.field(default=DIALECTS["openai"], repr=False)
    _secrets: list[object] = attrs.field(factory=list, init=False, repr=False)

    @property
    def ended(self) -> type[Exception]:
        """The exception of a connection that has ended."""
        from ..transport import _websocket  # noqa: PLC0415

        return _websocket.ended()

    def end_of(self, exc: Exception) -> End:
        """Return the end of a connection that has raised *exc*."""
        from ..transport import _websocket  # noqa: PLC0415

        return _websocket.end_of(exc, self._secrets)

    def withhold(self, text: str) -> str:
        """Return a text of the service without the keys that it may quote."""
        from ..transport import _websocket  # noqa: PLC0415

        return _websocket.withhold(text, self._secrets)

    async def open(self) -> Connection:
        """Open a connection; raises RealtimeConnectionError, without a key in it."""
        await _load_websocket()
        try:
            opened = await self._attempt()
        except BaseException as exc:  # noqa: BLE001  # raised again
            # A cancellation: its traceback has frames with the headers in their variables.
            raise exc.with_traceback(None) from None
        if isinstance(opened, RealtimeConnectionError):
            # Raised here, as a traceback may be shown with the variables of its frames, and not
            # while the cause is being handled: it would be chained, with all that it holds.
            raise opened
        return opened

    async def _attempt(self) -> Connection | RealtimeConnectionError:
        """Return a connection, or the error that explains why there is none."""
        headers = self._options.headers.reveal()
        # A value such as "Bearer …" may be quoted without its first word.
        self._secrets[:] = [word for value in headers.values() for word in str(value).split()]
        try:
            _check_headers(headers)
            key = await self._key(headers)
            self._secrets.append(key.reveal() if key else None)
            if self._given_client is None:
                return await self._open_directly(key, headers)
            return await self._open_with_client(self._given_client, key, headers)
        except RealtimeConnectionError as exc:
            return exc.with_traceback(None)
        except Exception as exc:  # noqa: BLE001  # from websockets, ssl, the system and the SDK
            from ..transport import _websocket  # noqa: PLC0415

            return _websocket.explain(
                exc, self.shown, self._open_timeout, self._secrets, _sdk_errors()
            )

    async def _open_directly(
        self, key: Secret[Any] | None, headers: Mapping[str, str]
    ) -> Connection:
        from ..transport import _websocket  # noqa: PLC0415

        assert self._address is not None
        address = self._address
        url = address.websocket_url(self._path, **self._query)
        added: dict[str, str | None] = {}
        if self.dialect.name == "openai":
            added["OpenAI-Organization"] = os.environ.get("OPENAI_ORG_ID")
            added["OpenAI-Project"] = os.environ.get("OPENAI_PROJECT_ID")
        # Headers that authenticate are the caller's choice: no key is added to them.
        if key and not _authenticate(headers):
            scheme = self.dialect.auth_scheme if self.dialect.auth_header == _BEARER else ""
            added[self.dialect.auth_header] = f"{scheme} {key.reveal()}".lstrip()
        given = {name.lower() for name in headers}
        sent = {name: value for name, value in added.items() if value and name.lower() not in given}
        options = self._all_options()
        if url.startswith("wss:"):
            options = {"ssl": await _websocket.tls_context(), **options}
        connection = await _websocket.open_websocket(url, {**sent, **headers}, options)
        return _websocket.WebSocket(connection)

    @property
    def _query(self) -> dict[str, str | None]:
        assert self._address is not None
        given = urllib.parse.parse_qs(urllib.parse.urlsplit(self._address.base_url).query)
        own = {
            name: uuid.uuid4().hex if value == "{session}" else value
            for name, value in self.dialect.query.items()
            if name not in given
        }
        named = None if self.dialect.model_in == "session" else self.model
        return {**own, "model": named, "call_id": self._options.call_id}

    async def _open_with_client(
        self, client: openai.AsyncOpenAI, key: Secret[Any] | None, headers: Mapping[str, str]
    ) -> Connection:
        from ..transport import _websocket  # noqa: PLC0415

        changes: dict[str, Any] = {}
        if key is not None:
            changes["api_key"] = key.reveal()
        if self._address is not None:
            changes["websocket_base_url"] = self._address.base_url
        if changes:
            client = client.with_options(**changes)
        self._secrets.append(client.api_key)
        options: Any = self._all_options()
        capture = _websocket.ConnectionCapture(options.get("create_connection"))
        options["create_connection"] = capture
        await self._manager(client, headers, options).enter()
        self._secrets.append(client.api_key)  # it may have come from a function by now
        return capture.connection

    def _manager(self, client: openai.AsyncOpenAI, headers: Any, options: Any) -> Any:
        """Return the SDK's way to connect with the protocol."""
        import openai  # noqa: PLC0415  # it is loaded, as there is a client

        shared: dict[str, Any] = {
            "extra_headers": dict(headers),
            "websocket_connection_options": options,
        }
        if self._path == LIVE_PATH:
            return client.live.connect(**shared)
        call_id = self._options.call_id
        return client.realtime.connect(
            model=self.model if self.model is not None else openai.omit,
            call_id=call_id if call_id is not None else openai.omit,
            **shared,
        )

    def _all_options(self) -> dict[str, Any]:
        from ..transport import _websocket  # noqa: PLC0415

        return {
            "compression": None,  # as the SDK: base64 of speech doesn't get smaller
            "max_size": MAX_FRAME_BYTES + _FRAMING_BYTES,
            "open_timeout": self._open_timeout,
            "logger": _websocket.discreet_logger("websockets.client"),
            **self._websocket_options,
        }

    async def _key(self, headers: Mapping[str, str]) -> Secret[Any] | None:
        """Return the key; None if the headers or the client have one."""
        given: Any = self._options.api_key
        if isinstance(given, Secret):
            given = given.reveal()
        if callable(given):
            given = await _call(cast("Callable[[], str | Awaitable[str]]", given))
        if given is None and (self._given_client is not None or _authenticate(headers)):
            return None
        name = self.dialect.key_name
        key: Secret[Any] = Secret(given if given is not None else os.environ.get(name))
        del given
        if not key.reveal():
            msg = (
                f"There is no API key for {self.shown}; give api_key=... to connect(), or set "
                f"{name}."
            )
            raise RealtimeConnectionError(msg)
        if not _is_printable(key.reveal()) or " " in key.reveal():
            msg = (
                "The API key has a character that no key has, often a line break at its end; "
                "check where it comes from."
            )
            raise RealtimeConnectionError(msg)
        return key


def _import_websocket() -> None:
    from ..transport import _websocket  # noqa: F401, PLC0415


async def _load_websocket() -> None:
    """
    Import the module of WebSockets, in a thread the first time.

    It takes longer than an event loop should stand still, so nothing here imports it at the top.
    """
    if "websockets.asyncio.client" not in sys.modules:
        await asyncio.get_running_loop().run_in_executor(None, _import_websocket)


def _sdk_errors() -> tuple[type[Exception], ...]:
    sdk = sys.modules.get("openai")
    return () if sdk is None else (sdk.OpenAIError,)


def new_dialer(
    options: ConnectOptions,
    client: openai.AsyncOpenAI | None,
    open_timeout: float,
    websocket_options: Mapping[str, Any],
    dialect_name: str | None = None,
) -> OpenAIDialer:
    """Return the dialer for *options*; raises as `OpenAIRealtimeModel.connect` does."""
    url = options.url.reveal()
    if url is None:
        url = _url_of(client, dialect_name)
        address = None if client is not None else Address.of(url)
    else:
        address = Address.of(url)
    dialect = choose_dialect(dialect_name, url)
    model = options.settings.get("model_name")
    if options.call_id is not None and model is not None:
        msg = "A call has its model already; give call_id, or a model_name."
        raise ValueError(msg)
    if model is None and options.call_id is None and not (address and address.names_model):
        model = dialect.model or None
        if model is None and dialect.model_in == "url":
            msg = f"{dialect.title} has no model by default; give the setting model_name."
            raise ValueError(msg)
    shown = address.shown if address is not None else _shown_url(url)
    return OpenAIDialer(
        shown,
        model,
        options,
        address,
        client,
        open_timeout,
        websocket_options,
        dialect.path_end,
        dialect,
    )


def _url_of(client: openai.AsyncOpenAI | None, dialect_name: str | None) -> str:
    """Return the address where none is given: the client's, the dialect's, or OpenAI's."""
    if client is not None:
        return str(client.websocket_base_url or client.base_url)
    if dialect_name not in (None, "openai"):
        dialect = choose_dialect(dialect_name, None)
        if not dialect.url:
            msg = f"Each customer of {dialect.title} has an address of their own; give url=."
            raise ValueError(msg)
        return dialect.url
    return os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL


def new_live_dialer(
    options: ConnectOptions,
    client: openai.AsyncOpenAI | None,
    open_timeout: float,
    websocket_options: Mapping[str, Any],
) -> OpenAIDialer:
    """Return the dialer of GPT-Live for *options*; raises as `GPTLiveModel.connect` does."""
    if options.call_id is not None:
        msg = "GPT-Live has no call to attach to over a WebSocket; leave out call_id."
        raise NotSupported(msg, service="GPT-Live", feature="call_id")
    url = options.url.reveal() or _url_of(client, None)
    address = Address.of(url) if options.url.reveal() or client is None else None
    shown = address.shown if address is not None else _shown_url(url)
    return OpenAIDialer(
        shown, None, options, address, client, open_timeout, websocket_options, LIVE_PATH
    )


def _shown_url(url: str) -> str:
    return without_secrets(url).rstrip("/")


async def _call(provider: Callable[[], str | Awaitable[str]]) -> str:
    try:
        returned = provider()
        return await returned if inspect.isawaitable(returned) else returned
    except Exception as exc:  # noqa: BLE001  # it is the application's
        # Neither its text nor the exception itself: it may well have the key.
        failure = type(exc).__qualname__
    msg = f"The function that gives the API key has failed ({failure}); call it to see why."
    raise RealtimeConnectionError(msg)


def _check_headers(headers: Mapping[str, str]) -> None:
    if not all(_is_printable(name) and _is_printable(value) for name, value in headers.items()):
        msg = (
            "A header has a character that no header has, often a line break at the end of a "
            "key; check where it comes from."
        )
        raise RealtimeConnectionError(msg)


def _is_printable(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _authenticate(headers: Mapping[str, str]) -> bool:
    return any(name.lower() in {"authorization", "api-key", "xi-api-key"} for name in headers)


def check_asyncio(model: str) -> None:
    """
    Check that *model* is used on asyncio.

    Raises:
        RealtimeConnectionError: It isn't.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        return
    msg = f"{model} needs asyncio, as websockets does; run it with asyncio.run()."
    raise RealtimeConnectionError(msg)

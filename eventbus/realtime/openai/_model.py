"""
A live session with OpenAI's Realtime API, or with a service that speaks its protocol.

No key and no caller's words are in a log, an error or a repr.

`OpenAIRealtimeModel` puts the parts together. `_connect` opens connections; `_dialogue` watches
the events and makes the messages; `eventbus.realtime.transport` has the part that is the same
for every vendor.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from ...wire.openai import Dialect, OpenAIRealtimeDecoder
from .._secrets import ConnectOptions
from ..inputs import RealtimeModelSendEvent
from ..model import RealtimeModelConfig, wrong_config
from ..transport._connection import SessionConnection
from ..transport._model import ConnectedModel
from ..transport._reconnecting import ReconnectPolicy
from ..transport._renewal import RenewalPolicy
from ..transport._roles import Host, Timeouts, check_seconds, checked_options
from ..transport._sender import Sender
from ._connect import MAX_FRAME_BYTES, check_asyncio, new_dialer
from ._dialogue import OpenAIDialogue
from ._rules import DialectRules, choose_dialect

if TYPE_CHECKING:
    import openai

if importlib.util.find_spec("websockets") is None:  # imported when the first session connects
    msg = (
        "OpenAIRealtimeModel needs the websockets package: pip install 'eventbus[openai]', "
        "or pip install '.[openai]' in a clone."
    )
    raise ModuleNotFoundError(msg, name="websockets")


class OpenAIRealtimeModel(ConnectedModel):
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
            A client of the openai SDK to connect with: an ``AsyncOpenAI``, or an
            ``AsyncAzureOpenAI`` for Azure. Without one, the options of `connect` are all.
        dialect: A name of `eventbus.wire.openai.DIALECTS`, for a service other than OpenAI; by
            default that of the URL, if it is known. It decides about the address and the header
            of the key, the form of the settings, and what is refused.
        reconnect: The policy for a lost connection; None gives up at once.
        renewal: The policy for a session that the service will end. With a memory, which a
            `RealtimeSession` gives, the session is renewed before; without one, only
            `RealtimeModelSessionExpiringEvent` is emitted. None does neither.
        open_timeout: Seconds that opening the connection may take.
        close_timeout: Seconds that the service has to answer when the connection is closed.
        send_timeout: Seconds that `send_event` waits for room when the network is slow.
        response_timeout: Seconds without a frame, after which a response that another one waits
            for is taken to be over: its end was lost.
        max_buffered_bytes: Limit of the queue of messages; 4 MiB is a minute of speech at 24 kHz.
        websocket_options: More options of ``websockets.connect``, which go before ours.

    Raises:
        TypeError: A policy or *websocket_options* is something else.
        ValueError: A time or a limit is not a number, or below its least value; or *dialect* is
            unknown.
    """

    def __init__(
        self,
        *,
        client: openai.AsyncOpenAI | None = None,
        dialect: str | None = None,
        reconnect: ReconnectPolicy | None = ReconnectPolicy(),  # noqa: B008  # it is frozen
        renewal: RenewalPolicy | None = RenewalPolicy(),  # noqa: B008  # it is frozen
        open_timeout: float = 10.0,
        close_timeout: float = 2.0,
        send_timeout: float = 10.0,
        response_timeout: float = 30.0,
        max_buffered_bytes: int = 4 * 1024 * 1024,
        websocket_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            Timeouts(
                reconnect=reconnect,
                renewal=renewal,
                close_timeout=close_timeout,
                send_timeout=send_timeout,
                max_buffered_bytes=max_buffered_bytes,
            )
        )
        self._client = client
        self._dialect = dialect
        choose_dialect(dialect, None)  # raises now if there is none of that name
        check_seconds("open_timeout", open_timeout)
        self._open_timeout = open_timeout
        check_seconds("response_timeout", response_timeout)
        self._response_timeout = response_timeout
        self._websocket_options: Mapping[str, Any] = {
            "close_timeout": close_timeout,
            **checked_options(websocket_options),
        }

    async def connect(self, options: RealtimeModelConfig) -> None:
        """
        Open the connection, and keep it open until `close`; return once it is open.

        The service has answered, or has been silent for a second, when it returns. If it is
        cancelled, there is no connection, and nothing is left of the attempt.

        Args:
            options:
                ``url`` may be the address of the WebSocket (``wss://host/v1/realtime``) or a
                base URL (``https://host/v1``); its query is kept. With ``headers`` that
                authenticate (``Authorization``, ``api-key``) no key is needed.

        Raises:
            RealtimeConnectionError: It can't be opened, the service answers with an error, or
                the model is connected already.
            AudioFormatError: A format in the settings is not a known one.
            NotSupported: The service lacks a setting.
            ValueError: An option or a setting is unknown, or both a model and a call are named.
        """
        problem = wrong_config(options)
        given = ConnectOptions.of({} if problem else options)
        del options  # a traceback may be shown with the variables of its frames
        if problem is not None:
            raise ValueError(problem)
        check_asyncio(type(self).__name__)
        self._check_not_connected()
        dialer = new_dialer(
            given, self._client, self._open_timeout, self._websocket_options, self._dialect
        )
        rules = DialectRules(dialer.dialect, dialer.model)

        def new_dialogue(sender: Sender, host: Host) -> OpenAIDialogue:
            return OpenAIDialogue(
                given.settings,
                model=dialer.model,
                rules=rules,
                tracker=given.playback_tracker,
                memory=self._memory,
                sender=sender,
                host=host,
                response_timeout=self._response_timeout,
            )

        new_decoder = functools.partial(OpenAIRealtimeDecoder, max_bytes=MAX_FRAME_BYTES)
        connection = SessionConnection(
            dialer,
            new_decoder,
            new_dialogue,
            _with_limit(self._timeouts, dialer.dialect),
            self._listeners,
            renews=self._memory is not None,
        )
        self._connection = connection
        await connection.open()

    async def send_event(self, event: RealtimeModelSendEvent) -> None:
        """
        Send *event*; return when it is queued for the network.

        Messages keep the order of the calls. On a network that is too slow audio is
        dropped, the oldest first, and that is reported once in a row; any other message waits
        here. If it is cancelled while it waits, it is not sent.

        Raises:
            ModelNotConnected: There is no connection.
            NotSupported: The service can't do it; nothing was sent.
            RealtimeConnectionError: There was no room in time.
            AudioFormatError: A format in the settings is not a known one, or audio ends with half
                a sample of 16 bits.
            TypeError: It is not a request, its audio isn't bytes, or something in it can't be
                JSON.
            ValueError: Its parts contradict each other.
        """
        await self._open_connection().send(event)

    async def close(self) -> None:
        """
        Close the connection, if there is one; return when the last event has been emitted.

        After it, only ``disconnected`` and the end of the stream are emitted. From inside a
        listener it returns at once, and they follow when the listener returns. If it is
        cancelled, the connection is closed all the same.
        """
        if self._connection is not None:
            await self._connection.close()


def _with_limit(timeouts: Timeouts, dialect: Dialect) -> Timeouts:
    """Return *timeouts* with the limit of a service that doesn't tell the end of its sessions."""
    renewal = timeouts.renewal
    if renewal is None or renewal.max_session is not None or dialect.name in _TELL_THE_END:
        return timeouts
    limit = None if dialect.max_seconds is None else float(dialect.max_seconds)
    return attrs.evolve(timeouts, renewal=attrs.evolve(renewal, max_session=limit))


_TELL_THE_END: Final = frozenset({"openai", "azure"})

"""
A live session with GPT-Live, OpenAI's second voice protocol: full duplex, without turns.

`GPTLiveModel` puts the parts together, as `OpenAIRealtimeModel` does for the Realtime protocol:
they share the connection (`eventbus.realtime.transport`) and the way to open it (`_connect`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pybase64

from ...wire.openai import GPTLiveDecoder
from .._secrets import ConnectOptions
from ..inputs import (
    RealtimeModelRawClientMessage,
    RealtimeModelSendEvent,
    RealtimeModelSendRawMessage,
)
from ..model import RealtimeModelConfig, wrong_config
from ..transport._connection import SessionConnection
from ..transport._model import ConnectedModel
from ..transport._reconnecting import ReconnectPolicy
from ..transport._renewal import RenewalPolicy
from ..transport._roles import Host, Timeouts, check_seconds, checked_options
from ..transport._sender import Sender
from ._connect import MAX_FRAME_BYTES, check_asyncio, new_live_dialer
from ._live_dialogue import GPTLiveDialogue
from ._live_messages import DEFAULT_BACKEND, append_text
from ._messages import check_audio

if TYPE_CHECKING:
    import openai


class GPTLiveModel(ConnectedModel):
    """
    A session with GPT-Live over a WebSocket; for asyncio.

    ::

        model = GPTLiveModel(greeting="Welcome to the bakery!")
        session = RealtimeSession(model, bus, tools=[find_order])

    The voice speaks, listens and takes turns; a Responses model, the *backend*, does the
    work that the voice delegates, and calls the tools. Turns, items and their ids are inferred:
    see `eventbus.wire.openai.GPTLiveDecoder`.

    Args:
        client: A client of the openai SDK to connect with, as for `OpenAIRealtimeModel`.
        backend:
            The Responses model that does delegated work; None leaves it to the application, which
            gets a `RealtimeModelDelegationEvent` and answers with `say`.
        greeting: Spoken when the call begins.
        idle_audio:
            Whether silence is sent while the application sends no audio. GPT-Live speaks only
            while audio flows, and bills what flows.
        gap_ms: Milliseconds without speech of a side that end its turn.
        reconnect: The policy for a lost connection; None gives up at once.
        renewal: The policy for a session that the service will end, after two hours.
        open_timeout: Seconds that opening the connection may take.
        close_timeout: Seconds that the service has to close the session, and the connection.
        send_timeout: Seconds that `send_event` waits for room when the network is slow.
        max_buffered_bytes: Limit of the queue of messages.
        websocket_options: More options of ``websockets.connect``, which go before ours.

    Raises:
        TypeError: A policy or *websocket_options* is something else.
        ValueError: A time or a limit is not a number, or below its least value.
    """

    def __init__(
        self,
        *,
        client: openai.AsyncOpenAI | None = None,
        backend: str | None = DEFAULT_BACKEND,
        greeting: str = "",
        idle_audio: bool = True,
        gap_ms: int = 800,
        reconnect: ReconnectPolicy | None = ReconnectPolicy(),  # noqa: B008  # it is frozen
        renewal: RenewalPolicy | None = RenewalPolicy(),  # noqa: B008  # it is frozen
        open_timeout: float = 10.0,
        close_timeout: float = 2.0,
        send_timeout: float = 10.0,
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
        self._backend = backend
        self._greeting = greeting
        self._idle_audio = idle_audio
        self._gap_ms = gap_ms
        check_seconds("open_timeout", open_timeout)
        self._open_timeout = open_timeout
        self._websocket_options: Mapping[str, Any] = {
            "close_timeout": close_timeout,
            **checked_options(websocket_options),
        }
        self._dialogue: GPTLiveDialogue | None = None
        self._numbers = itertools.count(1)
        GPTLiveDecoder(gap_ms=gap_ms)  # raises now if it isn't above 0

    @property
    def sequences_tool_outputs(self) -> bool:
        """True: the backend is asked to go on once it has the outputs of all calls."""
        return True

    @property
    def close_reason(self) -> str | None:
        """The service's reason for the end of the session, like ``expired``; None before it."""
        return None if self._dialogue is None else self._dialogue.close_reason

    async def connect(self, options: RealtimeModelConfig) -> None:
        """
        Open the connection, start the session, and keep it until `close`; return once it is open.

        Args:
            options:
                As for `OpenAIRealtimeModel.connect`; ``url`` may be the address of the WebSocket
                (``wss://host/v1/live/sessions``) or a base URL. The settings are sent as the
                start of the session, and ``extra_settings`` with them.

        Raises:
            RealtimeConnectionError: It can't be opened, the service answers with an error, or
                the model is connected already.
            AudioFormatError: A format in the settings is not a known one.
            NotSupported: GPT-Live lacks a setting.
            ValueError: An option or a setting is unknown.
        """
        problem = wrong_config(options)
        given = ConnectOptions.of({} if problem else options)
        del options  # a traceback may be shown with the variables of its frames
        if problem is not None:
            raise ValueError(problem)
        check_asyncio(type(self).__name__)
        self._check_not_connected()
        dialer = new_live_dialer(given, self._client, self._open_timeout, self._websocket_options)

        def new_dialogue(sender: Sender, host: Host) -> GPTLiveDialogue:
            self._dialogue = GPTLiveDialogue(
                given.settings,
                backend=self._backend,
                greeting=self._greeting,
                idle_audio=self._idle_audio,
                tracker=given.playback_tracker,
                memory=self._memory,
                sender=sender,
                host=host,
            )
            return self._dialogue

        connection = SessionConnection(
            dialer,
            self._new_decoder,
            new_dialogue,
            self._timeouts,
            self._listeners,
            renews=self._memory is not None,
        )
        self._connection = connection
        await connection.open()

    def _new_decoder(self) -> GPTLiveDecoder:
        return GPTLiveDecoder(
            gap_ms=self._gap_ms, number=next(self._numbers), max_bytes=MAX_FRAME_BYTES
        )

    async def send_event(self, event: RealtimeModelSendEvent) -> None:
        """
        Send *event*; return when it is queued for the network.

        Typed messages go to the backend. An interruption cuts off the audio here, and drops the
        rest of the present turn: the service can't be told. New instructions are appended to
        those of the start.

        Raises:
            ModelNotConnected: There is no connection.
            NotSupported: GPT-Live can't do it; nothing was sent.
            RealtimeConnectionError: There was no room in time.
            AudioFormatError: Its audio ends with half a sample of 16 bits.
            TypeError: It is not a request, its audio isn't bytes, or something in it can't be
                JSON.
            ValueError: Its parts contradict each other.
        """
        await self._open_connection().send(event)

    # --- commands of this protocol -------------------------------------------------------------

    async def say(self, content: str, *, delegation_id: str | None = None) -> None:
        """
        Let the voice say something, in its own words: a greeting, or the result of work.

        Args:
            content: At most 500 tokens.
            delegation_id: The work that it is the result of, where the application does it.

        Raises:
            ModelNotConnected: There is no connection.
            TypeError: *content* is not a text.
        """
        await self._send(append_text("commentary", content, delegation_id))

    async def think(self, content: str, *, delegation_id: str | None = None) -> None:
        """Tell the voice something that it doesn't say; arguments and errors as for `say`."""
        await self._send(append_text("thinking", content, delegation_id))

    async def instruct(self, content: str, *, delegation_id: str | None = None) -> None:
        """Append to the instructions; arguments and errors as for `say`."""
        await self._send(append_text("instructions", content, delegation_id))

    async def mute(self) -> None:
        """Let the model hear nothing of the audio that is sent; a later session is muted, too."""
        await self._send({"type": "session.input_audio.mute"})

    async def unmute(self) -> None:
        """Let the model hear the audio again."""
        await self._send({"type": "session.input_audio.unmute"})

    async def play(self, audio: bytes) -> None:
        """
        Play a recording instead of the voice; meanwhile the user isn't heard.

        Args:
            audio: 16-bit PCM at 24 kHz, at most 30 seconds.

        Raises:
            AudioFormatError: It ends with half a sample.
            ModelNotConnected: There is no connection.
            TypeError: It isn't bytes.
        """
        check_audio(audio, is_pcm=True)
        encoded = pybase64.b64encode(audio).decode("ascii")
        await self._send({"type": "session.output_audio.fixture.play", "audio": encoded})

    async def _send(self, message: Mapping[str, Any]) -> None:
        fields = {name: value for name, value in message.items() if name != "type"}
        raw: RealtimeModelRawClientMessage = {"type": message["type"], "other_data": fields}
        await self.send_event(RealtimeModelSendRawMessage(raw))

    async def close(self) -> None:
        """
        Close the session and the connection; return when the last event has been emitted.

        The service is asked first: its answer has the final usage and the reason, and a
        connection that ends without it leaves the session unfinished. From inside a listener it
        returns at once.
        """
        connection, dialogue = self._connection, self._dialogue
        if connection is None or dialogue is None:
            return
        if connection.is_open and not connection.is_in_own_task and dialogue.request_close():
            try:
                async with asyncio.timeout(self._timeouts.close_timeout):
                    await dialogue.closed.wait()
            except TimeoutError:
                pass
            except asyncio.CancelledError:
                await connection.close()
                raise
        await connection.close()

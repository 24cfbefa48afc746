"""
A phone call, as Twilio's Media Streams bring it to an agent: a WebSocket with G.711 µ-law.

The caller is Twilio's side. It connects, announces the stream, sends a piece each 20 ms, plays
what it gets, returns each mark when it is reached, or at once when the audio is cleared, and says
stop when it hangs up.

Source: "Media Streams - WebSocket Messages" of Twilio's documentation, as of 2026-11.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import msgspec

from ..audio._formats import G711_ULAW, AudioFormat
from ..exceptions import RealtimeConnectionError
from ._hearing import Ear

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
except ModuleNotFoundError as exc:
    if exc.name != "websockets":  # websockets is there, something it needs isn't
        raise
    msg = (
        "TwilioLine needs the websockets package: pip install 'eventbus[sim]', "
        "or pip install '.[sim]' in a clone."
    )
    raise ModuleNotFoundError(msg, name="websockets") from exc

_PIECE_MS: Final = 20


class TwilioLine:
    """
    A phone call to a server for Twilio's Media Streams; asyncio only.

    Args:
        url: The address of the agent's WebSocket, which a ``<Stream>`` would name.
        parameters: The stream's custom parameters.
        call_sid: The call's id.

    Attributes:
        received: The messages of the agent, in order.
    """

    def __init__(
        self,
        url: str,
        *,
        parameters: Mapping[str, str] | None = None,
        call_sid: str = "CA" + "0" * 32,
    ) -> None:
        self.received: list[dict[str, Any]] = []
        self._url = url
        self._parameters = dict(parameters or {})
        self._call_sid = call_sid
        self._stream_sid = "MZ" + "0" * 32
        self._numbers = itertools.count(1)
        self._pieces = itertools.count()
        self._marks: deque[tuple[float, str]] = deque()  # when each is reached
        self._socket: ClientConnection | None = None
        self._is_over = False

    @property
    def audio_format(self) -> AudioFormat:
        """G.711 µ-law, as Twilio has it."""
        return G711_ULAW

    @asynccontextmanager
    async def connect(self, ear: Ear) -> AsyncIterator[None]:
        """
        Call, and let *ear* play the agent's audio; hang up in the end.

        Raises:
            RealtimeConnectionError: Nobody answers at the address.
        """
        try:
            self._socket = await connect(self._url, compression=None, ping_interval=None)
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as exc:
            msg = f"Nobody answers the phone at {self._url}: {exc}. Is the agent's server running?"
            raise RealtimeConnectionError(msg, reason=str(exc)) from exc
        listening = asyncio.ensure_future(self._listen(self._socket, ear))
        try:
            await self._begin()
            yield
            await self._say("stop", stop={"callSid": self._call_sid, "accountSid": "AC1"})
        finally:
            self._is_over = True
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
            await self._socket.close()

    async def _begin(self) -> None:
        await self._write({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        await self._say(
            "start",
            start={
                "accountSid": "AC1",
                "streamSid": self._stream_sid,
                "callSid": self._call_sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": self._parameters,
            },
        )

    async def _listen(self, socket: ClientConnection, ear: Ear) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                message = msgspec.json.decode(text)
                self.received.append(message)
                match message["event"]:
                    case "media":
                        audio = base64.b64decode(message["media"]["payload"])
                        ear.receive(audio, anyio.current_time())
                    case "mark":
                        self._marks.append((ear.plays_until, message["mark"]["name"]))
                    case "clear":
                        ear.clear(anyio.current_time())
                        await self._return_marks(float("inf"))
                    case _:
                        pass
        self._is_over = True
        ear.hang_up()

    async def send(self, audio: bytes) -> None:
        """Send 20 ms of audio, and the marks that were reached; after the call, nothing."""
        number = next(self._pieces)
        media = {
            "track": "inbound",
            "chunk": str(number + 1),
            "timestamp": str(number * _PIECE_MS),
            "payload": base64.b64encode(audio).decode(),
        }
        await self._return_marks(anyio.current_time())
        await self._say("media", media=media)

    async def press(self, key: str) -> None:
        """Press a key."""
        await self._say("dtmf", dtmf={"track": "inbound_track", "digit": key})

    async def _return_marks(self, now: float) -> None:
        while self._marks and self._marks[0][0] <= now:
            await self._say("mark", mark={"name": self._marks.popleft()[1]})

    async def _say(self, event: str, **more: Any) -> None:
        number = str(next(self._numbers))
        stream = {"streamSid": self._stream_sid}
        await self._write({"event": event, "sequenceNumber": number, **stream, **more})

    async def _write(self, message: dict[str, Any]) -> None:
        if self._is_over or self._socket is None:
            return
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(msgspec.json.encode(message).decode())

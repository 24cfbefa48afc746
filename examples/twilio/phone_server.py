"""
An agent that answers the phone, through Twilio Media Streams; see README.md beside this file.

Twilio asks ``/answer`` what to do with a call, and is told to connect it to ``/call``, a
WebSocket. There it sends the caller's audio, and plays what it gets; both are G.711 µ-law, which
the model speaks too, so nothing is converted.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import logging
import os
import sys
from collections import deque
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from eventbus import EventBus, Mailbox
from eventbus.audio import G711_ULAW
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelTranscriptDoneEvent,
)
from eventbus.exceptions import ModelNotConnected, RealtimeConnectionError
from eventbus.realtime.inputs import RealtimeModelSendRawMessage
from eventbus.realtime.model import RealtimeModelConfig
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.realtime.playback import RealtimePlaybackTracker
from eventbus.realtime.session import RealtimeSession
from eventbus.realtime.settings import RealtimeSessionModelSettings
from eventbus.simulator import Simulator

SETTINGS: RealtimeSessionModelSettings = {
    "instructions": "You answer the phone of a flower shop. Be brief. Say goodbye, then hang up.",
    "audio": {
        "input": {"format": G711_ULAW, "transcription": {"model": "gpt-4o-mini-transcribe"}},
        "output": {"format": G711_ULAW},
    },
}

logger = logging.getLogger("twilio")


class PhoneCall:
    """One call: Twilio's stream on one side, a session with the model on the other."""

    def __init__(
        self, socket: ServerConnection, bus: EventBus, config: RealtimeModelConfig
    ) -> None:
        self.socket = socket
        self.bus = bus
        self.tracker = RealtimePlaybackTracker()
        self.config: RealtimeModelConfig = {
            "initial_model_settings": SETTINGS,
            **config,
            "playback_tracker": self.tracker,
        }
        self.stream_sid = ""
        # What Twilio was sent and hasn't played yet: the marks, in order.
        self.unheard: deque[tuple[str, RealtimeModelAudioEvent]] = deque()
        self.marks = 0
        self.all_heard = asyncio.Event()
        self.all_heard.set()

    async def run(self) -> None:
        """Serve the call until one side hangs up."""
        messages = self.messages()
        async for message in messages:
            if message["event"] == "start":
                break
        else:
            return  # the caller has hung up before it began
        self.stream_sid = message["start"]["streamSid"]
        call_sid = message["start"]["callSid"]
        with self.bus.scope(call_sid) as scope:
            scope.subscribe(
                self.play,
                RealtimeModelAudioEvent,
                RealtimeModelAudioInterruptedEvent,
                mailbox=Mailbox(purged_by=(RealtimeModelAudioInterruptedEvent,)),
            )
            session = RealtimeSession(OpenAIRealtimeModel(), scope, config=self.config)
            session.tool(self.hang_up)
            try:
                async with session:
                    # The agent speaks first.
                    greet = RealtimeModelSendRawMessage({"type": "response.create"})
                    await session.model.send_event(greet)
                    async for message in messages:
                        await self.take(message, session)
            except RealtimeConnectionError as exc:
                logger.warning("call %s: no connection to the model: %s", call_sid, exc)
            except ModelNotConnected:
                logger.warning("call %s: the connection to the model has ended", call_sid)
        logger.info("call %s is over", call_sid)

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield Twilio's messages, until the call is over or the stream breaks off."""
        with contextlib.suppress(ConnectionClosed):
            async for text in self.socket:
                message = json.loads(text)
                if message["event"] == "stop":
                    return
                yield message

    async def take(self, message: dict[str, Any], session: RealtimeSession) -> None:
        """Handle one message of Twilio's."""
        match message["event"]:
            case "media":
                await session.send_audio(base64.b64decode(message["media"]["payload"]))
            case "mark":
                await self.heard(message["mark"]["name"])
            case "dtmf":
                digit = message["dtmf"]["digit"]
                await session.send_message(f"The caller has pressed the key {digit}.")
            case _:
                pass

    async def play(
        self, event: RealtimeModelAudioEvent | RealtimeModelAudioInterruptedEvent
    ) -> None:
        """Send audio to Twilio, with a mark behind it, or clear its buffer."""
        with contextlib.suppress(ConnectionClosed):
            if isinstance(event, RealtimeModelAudioInterruptedEvent):
                self.unheard.clear()  # Twilio returns their marks all the same
                self.all_heard.set()
                await self.send("clear")
                return
            self.marks += 1
            name = str(self.marks)
            self.unheard.append((name, event))
            self.all_heard.clear()
            await self.send("media", media={"payload": base64.b64encode(event.data).decode()})
            await self.send("mark", mark={"name": name})

    async def heard(self, name: str) -> None:
        """Note that Twilio has played the audio before a mark."""
        if not any(name == mark for mark, _ in self.unheard):
            return  # it was cleared, not played
        mark = ""
        while mark != name:
            mark, event = self.unheard.popleft()
            self.tracker.on_play_bytes(event.item_id, event.content_index, event.data)
        if not self.unheard:
            self.all_heard.set()

    async def hang_up(self) -> str:
        """End the call, after goodbye was said."""
        await self.all_heard.wait()
        await self.socket.close()  # Twilio hangs up: nothing follows <Connect>
        return "done"

    async def send(self, event: str, **more: Any) -> None:
        """Send a message to Twilio."""
        await self.socket.send(json.dumps({"event": event, "streamSid": self.stream_sid, **more}))


def answer(connection: ServerConnection, request: Request) -> Response | None:
    """Tell Twilio to connect a call to the WebSocket; let the WebSocket itself pass."""
    if request.path.startswith("/call"):
        return None
    if not request.path.startswith("/answer"):
        return connection.respond(HTTPStatus.NOT_FOUND, "Only /answer and /call are here.\n")
    url = f"wss://{request.headers['Host']}/call"
    twiml = f'<Response><Connect><Stream url="{url}"/></Connect></Response>'
    headers = Headers({"Content-Type": "text/xml", "Content-Length": str(len(twiml))})
    return Response(200, "OK", headers, twiml.encode())


@contextlib.asynccontextmanager
async def serving(bus: EventBus, config: RealtimeModelConfig, port: int) -> AsyncIterator[Server]:
    """Answer calls while this is entered."""

    async def take_call(socket: ServerConnection) -> None:
        await PhoneCall(socket, bus, config).run()

    async with bus, serve(take_call, "127.0.0.1", port, process_request=answer) as server:
        yield server


def new_bus() -> EventBus:
    """Return a bus that prints the words of each call."""
    bus = EventBus()

    @bus.on(RealtimeModelInputAudioTranscriptionCompletedEvent, RealtimeModelTranscriptDoneEvent)
    def log(
        event: RealtimeModelInputAudioTranscriptionCompletedEvent
        | RealtimeModelTranscriptDoneEvent,
    ) -> None:
        who = "agent" if isinstance(event, RealtimeModelTranscriptDoneEvent) else "caller"
        print(f"{who}: {event.transcript}", flush=True)

    return bus


async def main(*, port: int, is_simulated: bool) -> None:
    """Answer calls until Ctrl-C."""
    config: RealtimeModelConfig = {}
    async with contextlib.AsyncExitStack() as stack:
        if is_simulated:
            service = await stack.enter_async_context(Simulator())
            config = {"url": service.url, "api_key": "none"}
        try:
            await stack.enter_async_context(serving(new_bus(), config, port))
        except OSError as exc:
            raise SystemExit(f"Port {port} can't be used: {exc.strerror}. Try --port.") from exc
        print(f"Waiting for calls at http://127.0.0.1:{port}/answer", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description="An agent that answers the phone.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--sim", action="store_true", help="a simulated model, without a key")
    arguments = parser.parse_args()
    if not arguments.sim and not os.environ.get("OPENAI_API_KEY"):
        sys.exit("There is no key: set OPENAI_API_KEY, or try --sim.")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(port=arguments.port, is_simulated=arguments.sim))

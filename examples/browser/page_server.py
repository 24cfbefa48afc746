"""
A page that talks: the browser has microphone and loudspeaker, and this server the model.

The page and the server share one WebSocket. Binary messages are audio, 16-bit PCM at 24 kHz: from
the page it is the microphone; from the server it is speech, with the item that it belongs to in
front. Text messages are JSON: captions and interruptions to the page, and from the page what it
has played, so that the model learns what was heard.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import struct
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from socket import create_server
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from eventbus import EventBus, Mailbox
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelTranscriptDoneEvent,
)
from eventbus.exceptions import ModelNotConnected, RealtimeConnectionError
from eventbus.realtime.model import RealtimeModelConfig
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.realtime.playback import RealtimePlaybackTracker
from eventbus.realtime.session import RealtimeSession
from eventbus.realtime.settings import RealtimeSessionModelSettings
from eventbus.simulator import Simulator

FOLDER = Path(__file__).parent

SETTINGS: RealtimeSessionModelSettings = {
    "instructions": "You are a friendly assistant. Be brief.",
    "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}},
}

PageEvent = (
    RealtimeModelAudioEvent
    | RealtimeModelAudioInterruptedEvent
    | RealtimeModelInputAudioTranscriptionCompletedEvent
    | RealtimeModelTranscriptDoneEvent
)


class Conversation:
    """One page: its WebSocket on one side, a session with the model on the other."""

    def __init__(self, socket: WebSocket, bus: EventBus, config: RealtimeModelConfig) -> None:
        self.socket = socket
        self.bus = bus
        self.tracker = RealtimePlaybackTracker()
        self.config: RealtimeModelConfig = {
            "initial_model_settings": SETTINGS,
            **config,
            "playback_tracker": self.tracker,
        }

    async def run(self) -> None:
        """Talk until the page is closed."""
        await self.socket.accept()
        # The page is the sender: a page that reconnects is another call, with another session.
        with self.bus.scope(f"page-{id(self.socket):x}") as scope:
            mailbox = Mailbox(purged_by=(RealtimeModelAudioInterruptedEvent,))
            scope.subscribe(
                self.send,
                RealtimeModelAudioEvent,
                RealtimeModelAudioInterruptedEvent,
                RealtimeModelInputAudioTranscriptionCompletedEvent,
                RealtimeModelTranscriptDoneEvent,
                mailbox=mailbox,
            )
            session = RealtimeSession(OpenAIRealtimeModel(), scope, config=self.config)
            try:
                async with session:
                    await self.tell("ready")
                    while True:
                        await self.take(await self.socket.receive(), session)
            except WebSocketDisconnect:
                pass
            except (RealtimeConnectionError, ModelNotConnected) as exc:
                with contextlib.suppress(Exception):  # the page may be gone
                    await self.tell("problem", text=f"There is no connection to the model: {exc}")
                    await self.socket.close()

    async def take(self, message: Any, session: RealtimeSession) -> None:
        """Handle one message of the page's."""
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        if message.get("bytes") is not None:
            await session.send_audio(message["bytes"])
        else:
            played = json.loads(message["text"])
            self.tracker.on_play_ms(played["item"], played["index"], played["ms"])

    async def send(self, event: PageEvent) -> None:
        """Send an event to the page."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the page is gone
            match event:
                case RealtimeModelAudioEvent():
                    item = event.item_id.encode()
                    head = struct.pack("<HH", event.content_index, len(item)) + item
                    # Samples begin at an even place, so that the page needs no copy.
                    await self.socket.send_bytes(head + bytes(len(head) % 2) + event.data)
                case RealtimeModelAudioInterruptedEvent():
                    await self.tell("clear")
                case RealtimeModelTranscriptDoneEvent():
                    await self.tell("caption", who="agent", text=event.transcript)
                case _:
                    await self.tell("caption", who="you", text=event.transcript)

    async def tell(self, kind: str, **more: str) -> None:
        """Send JSON to the page."""
        await self.socket.send_json({"kind": kind, **more})


def new_app(connect: Callable[[], contextlib.AbstractAsyncContextManager[Any]]) -> Starlette:
    """
    Return the application.

    Args:
        connect: Returns a context manager that gives the config of the sessions.
    """
    bus = EventBus()
    config: RealtimeModelConfig = {}

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with connect() as given, bus:
            config.update(given)
            yield

    async def talk(socket: WebSocket) -> None:
        await Conversation(socket, bus, config).run()

    async def page(_request: Any) -> FileResponse:
        return FileResponse(FOLDER / "page.html")

    async def worklet(_request: Any) -> FileResponse:
        return FileResponse(FOLDER / "audio.js", media_type="text/javascript")

    routes = [Route("/", page), Route("/audio.js", worklet), WebSocketRoute("/talk", talk)]
    return Starlette(routes=routes, lifespan=lifespan)


@contextlib.asynccontextmanager
async def openai() -> AsyncIterator[RealtimeModelConfig]:
    """Give the config for OpenAI, whose key is in OPENAI_API_KEY."""
    yield {}


@contextlib.asynccontextmanager
async def simulator() -> AsyncIterator[RealtimeModelConfig]:
    """Give the config for a simulator."""
    async with Simulator() as service:
        yield {"url": service.url, "api_key": "none"}


def main() -> None:
    """Serve the page until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A page that talks.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--sim", action="store_true", help="a simulated model, without a key")
    arguments = parser.parse_args()
    if not arguments.sim and not os.environ.get("OPENAI_API_KEY"):
        sys.exit("There is no key: set OPENAI_API_KEY, or try --sim.")
    try:
        listener = create_server(("127.0.0.1", arguments.port))
    except (OSError, OverflowError) as exc:
        sys.exit(f"Port {arguments.port} can't be used ({exc}); choose another one with --port.")
    app = new_app(simulator if arguments.sim else openai)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with contextlib.suppress(KeyboardInterrupt):
        port = listener.getsockname()[1]
        print(f"The page is at http://127.0.0.1:{port}; Ctrl-C ends it.", flush=True)
        server.run(sockets=[listener])


if __name__ == "__main__":
    main()

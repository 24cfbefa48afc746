"""
From a frame to a handler: what a session's every frame costs.

The handler does nothing, and wants one kind of event. Everybody starts from what their own
socket gives them: openai-agents from text, the openai SDK and eventbus from bytes. The SDKs'
own classes do the work, as their own loops over a socket do it; only the socket is missing.

* *openai-agents*: ``json.loads``, ``OpenAIRealtimeWebSocketModel._handle_ws_event``, and a
  listener that looks at the event's type and calls the handler.
* *openai SDK*: ``AsyncRealtimeConnection.parse_event``, its handlers by type of event, and
  base64, which it leaves to the handler.
* *msgspec*: what nobody can be faster than who decodes JSON and base64 and calls a handler with
  what he finds, untyped, unchecked, and by a function that knows which kind of frame comes.
* *msgspec, typed*: the same, but with only the fields that are needed declared beforehand.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pybase64
from agents.realtime.model import RealtimeModelListener
from agents.realtime.openai_realtime import OpenAIRealtimeWebSocketModel
from frames import Series
from measuring import Comparison, Effort, Side, awaiting, calling, compare
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelTranscriptDeltaEvent,
)
from eventbus.wire.openai import OpenAIRealtimeDecoder

__all__ = ["AGENTS", "LIMIT", "OURS", "OURS_TEXT", "SDK", "TYPED_LIMIT", "decode_and_publish"]

OURS = "eventbus"
OURS_TEXT = "eventbus, str frames"
LIMIT = "msgspec"
TYPED_LIMIT = "msgspec, typed"
AGENTS = "openai-agents"
SDK = "openai SDK"

_CLASSES = {
    "audio": RealtimeModelAudioEvent,
    "transcript_delta": RealtimeModelTranscriptDeltaEvent,
    "item_updated": RealtimeModelItemUpdatedEvent,
}


def _handler() -> Callable[[Any], None]:
    def handler(event: Any) -> None:
        pass

    return handler


def _ours(series: Series, bus: EventBus) -> Callable[[Any], object]:
    bus.subscribe(_handler(), _CLASSES[series.event])
    decode, publish = OpenAIRealtimeDecoder().decode, bus.publish

    def receive(frame: bytes | str) -> None:
        for event in decode(frame):
            publish(event)

    return receive


def _limit(series: Series) -> Callable[[bytes], object]:
    decode, b64decode, handler = msgspec.json.Decoder().decode, pybase64.b64decode, _handler()

    def receive_audio(frame: bytes) -> None:
        handler(b64decode(decode(frame)["delta"], None, True))

    def receive_transcript(frame: bytes) -> None:
        handler(decode(frame)["delta"])

    def receive_item(frame: bytes) -> None:
        handler(decode(frame)["item"])

    return {
        "audio": receive_audio,
        "transcript_delta": receive_transcript,
        "item_updated": receive_item,
    }[series.event]


class _Audio(msgspec.Struct, tag_field="type", tag="response.output_audio.delta"):
    response_id: str
    item_id: str
    content_index: int
    delta: str


class _Transcript(msgspec.Struct, tag_field="type", tag="response.output_audio_transcript.delta"):
    response_id: str
    item_id: str
    delta: str


class _Part(msgspec.Struct):
    type: str
    transcript: str


class _Item(msgspec.Struct):
    id: str
    role: str
    status: str
    content: list[_Part]


class _ItemDone(msgspec.Struct, tag_field="type", tag="response.output_item.done"):
    item: _Item


def _typed_limit(series: Series) -> Callable[[bytes], object]:
    decode = msgspec.json.Decoder(_Audio | _Transcript | _ItemDone).decode
    b64decode, handler = pybase64.b64decode, _handler()

    def receive_audio(frame: bytes) -> None:
        handler(b64decode(decode(frame).delta, None, True))

    def receive(frame: bytes) -> None:
        handler(decode(frame))

    return receive_audio if series.event == "audio" else receive


class _Listener(RealtimeModelListener):
    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._handler = _handler()

    async def on_event(self, event: Any) -> None:
        if event.type == self._wanted:
            self._handler(event)


def _agents(series: Series) -> Callable[[str], Awaitable[object]]:
    model = OpenAIRealtimeWebSocketModel()
    model.add_listener(_Listener(series.event))
    loads, handle = json.loads, model._handle_ws_event

    async def receive(frame: str) -> None:
        await handle(loads(frame))

    return receive


class _NoSocket:
    """What the SDK's connection is a connection over."""


def _sdk(series: Series) -> Callable[[bytes], object]:
    types = {
        "audio": "response.output_audio.delta",
        "transcript_delta": "response.output_audio_transcript.delta",
        "item_updated": "response.output_item.done",
    }
    connection = AsyncRealtimeConnection(_NoSocket())  # type: ignore[arg-type]  # it isn't used
    handler, b64decode = _handler(), base64.b64decode

    def take_audio(event: Any) -> None:
        handler(b64decode(event.delta))

    connection.on(types[series.event], take_audio if series.event == "audio" else handler)
    parse, handlers_of = connection.parse_event, connection._event_handler_registry.get_handlers

    def receive(frame: bytes) -> None:  # as in its dispatch_events()
        event = parse(frame)
        specific, generic = handlers_of(event.type), handlers_of("event")
        for handler in specific:
            result = handler(event)
            assert not asyncio.iscoroutine(result)
        for handler in generic:
            handler(event)

    return receive


async def decode_and_publish(series: Series, effort: Effort) -> Comparison:
    """Compare what it takes from each frame of *series* to its handler."""
    text = [frame.decode() for frame in series.frames]
    async with EventBus() as bus, EventBus() as text_bus:
        sides: list[Side] = [
            calling(OURS, _ours(series, bus), series.frames),
            calling(LIMIT, _limit(series), series.frames),
            calling(TYPED_LIMIT, _typed_limit(series), series.frames),
            awaiting(AGENTS, _agents(series), text),
            calling(SDK, _sdk(series), series.frames),
            calling(OURS_TEXT, _ours(series, text_bus), text),
        ]
        return await compare(sides, effort)

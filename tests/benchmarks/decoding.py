"""
From a frame to a handler: the cost of each frame of a session.

The handler does nothing, and wants one kind of event. Each side starts from the form that its own
socket gives: openai-agents from text, the openai SDK and eventbus from bytes. The SDKs' own
classes do the work, as their own loops over a socket do it; only the socket is missing.

* *openai-agents*: ``json.loads``, ``OpenAIRealtimeWebSocketModel._handle_ws_event``, and a
  listener that looks at the event's type and calls the handler.
* *openai SDK*: ``AsyncRealtimeConnection.parse_event``, its handlers by type of event, and
  base64, which it leaves to the handler.
* *msgspec*: the lower bound, which decodes JSON and base64 and calls a handler with the result,
  untyped, unchecked, by a function that knows the kind of the frame.
* *msgspec, typed*: the same, but with only the fields that are needed declared beforehand.

The SDKs don't speak the beta protocol, so beside Voice Live's and xAI's frames they get OpenAI's,
with the same content.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pybase64
from agents.realtime.model import RealtimeModelListener
from agents.realtime.openai_realtime import OpenAIRealtimeWebSocketModel
from frames import Series
from measuring import Comparison, Effort, Side, awaiting, calling, compare
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from parsers import parsers

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnEndedEvent,
)
from eventbus.wire.openai import OpenAIRealtimeDecoder

__all__ = [
    "AGENTS",
    "LIMIT",
    "OURS",
    "OURS_TEXT",
    "SDK",
    "SESSION_CLASSES",
    "TYPED_LIMIT",
    "decode_and_publish",
    "decode_session",
    "decode_type",
]

OURS = "eventbus"
OURS_TEXT = "eventbus, str frames"
LIMIT = "msgspec"
TYPED_LIMIT = "msgspec, typed"
AGENTS = "openai-agents"
SDK = "openai SDK"

SESSION_CLASSES = (
    RealtimeModelAudioEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelTurnEndedEvent,
)
"""The five handlers of a whole session."""

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
    publish_to = OpenAIRealtimeDecoder().publish_to

    def receive(frame: Any) -> None:
        publish_to(bus, frame)

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
    """Stands in for the socket of the SDK's connection."""


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
    """Compare the ways from each frame of *series* to its handler."""
    text = [frame.decode() for frame in series.frames]
    theirs = [frame.decode() for frame in series.openai_frames]
    async with EventBus() as bus, EventBus() as text_bus:
        sides: list[Side] = [
            calling(OURS, _ours(series, bus), series.frames),
            calling(LIMIT, _limit(series), series.frames),
            awaiting(AGENTS, _agents(series), theirs),
            calling(SDK, _sdk(series), series.openai_frames),
            calling(OURS_TEXT, _ours(series, text_bus), text),
        ]
        if b'"response.output_' in series.frames[0]:
            sides.append(calling(TYPED_LIMIT, _typed_limit(series), series.frames))
        return await compare(sides, effort)


async def decode_type(frame: bytes, effort: Effort) -> Comparison:
    """Compare the way from a frame of one type to a handler with plain msgspec."""
    decode, handler = msgspec.json.Decoder().decode, _handler()
    async with EventBus() as bus:
        decoder = OpenAIRealtimeDecoder()
        for event in decoder.decode(frame)[1:]:
            bus.subscribe(_handler(), type(event))

        def limit(frame: bytes) -> None:
            handler(decode(frame))

        sides = [
            calling(OURS, functools.partial(decoder.publish_to, bus), [frame]),
            calling(LIMIT, limit, [frame]),
        ]
        return await compare(sides, effort)


def _session_ours(bus: EventBus) -> Callable[[Sequence[bytes]], None]:
    for event_type in SESSION_CLASSES:
        bus.subscribe(_handler(), event_type)

    def receive(frames: Sequence[bytes]) -> None:
        publish = OpenAIRealtimeDecoder().publish_to
        for frame in frames:
            publish(bus, frame)

    return receive


def _session_limit() -> Callable[[Sequence[bytes]], None]:
    decode, handler = msgspec.json.Decoder().decode, _handler()

    def receive(frames: Sequence[bytes]) -> None:
        for frame in frames:
            handler(decode(frame))

    return receive


def _session_agents() -> Callable[[Sequence[str]], Awaitable[None]]:
    wanted = [name for cls in SESSION_CLASSES if (name := cls.__attrs_attrs__.type.default)]

    async def receive(frames: Sequence[str]) -> None:
        model = OpenAIRealtimeWebSocketModel()
        for event_type in wanted:
            model.add_listener(_Listener(event_type))
        for frame in frames:
            await model._handle_ws_event(json.loads(frame))

    return receive


def _session_sdk() -> Callable[[Sequence[bytes]], None]:
    parse = AsyncRealtimeConnection(_NoSocket()).parse_event  # type: ignore[arg-type]  # not used
    handler = _handler()

    def receive(frames: Sequence[bytes]) -> None:
        for frame in frames:
            handler(parse(frame))

    return receive


async def decode_session(
    frames: Sequence[bytes], openai_frames: Sequence[bytes], effort: Effort
) -> Comparison:
    """
    Compare the ways from the frames of a whole session to five handlers, session after session.

    Args:
        frames: The frames of a dialect.
        openai_frames: The frames of a session with the same content as OpenAI sends them.
        effort: The time that it may take.
    """
    theirs = [frame.decode() for frame in openai_frames]
    async with EventBus() as bus:
        sides = [
            calling(OURS, _session_ours(bus), [frames]),
            calling(LIMIT, _session_limit(), [frames]),
            awaiting(AGENTS, _session_agents(), [theirs]),
            calling(SDK, _session_sdk(), [openai_frames]),
            *(calling(name, parse, [theirs]) for name, parse in parsers()),
        ]
        return await compare(sides, effort)

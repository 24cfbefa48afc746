"""
The cost of Gemini Live's frames, from a frame to a handler.

The frames are indented, as the service writes them, and written by the project.

* *msgspec*: the lower bound, which decodes JSON, and base64 for audio, and calls a handler with the
  result, untyped, unchecked, by a function that knows the kind of the frame.
* *google-genai, parsing*: the work of the SDK's ``AsyncSession._receive`` after the socket, where
  it is installed: ``json.loads``, its converter, and the model ``LiveServerMessage``. No handler is
  called. pydantic-ai and pipecat read what this returns, so neither has a line of its own.
"""

from __future__ import annotations

import base64
import importlib
import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec
import pybase64
from measuring import Comparison, Effort, Side, calling, compare

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnEndedEvent,
)
from eventbus.wire.gemini import GeminiDecoder

__all__ = ["LIMIT", "OURS", "RULES", "SDK", "SERIES", "decode_frames", "decode_session"]

OURS: Final = "eventbus"
LIMIT: Final = "msgspec"
SDK: Final = "google-genai, parsing"

_SESSION: Final = Path(__file__).parents[1] / "data" / "gemini_audio_turn.jsonl"
_CLASSES: Final = (
    RealtimeModelAudioEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelTurnEndedEvent,
)
_BYTES_PER_MS: Final = 48  # signed 16-bit samples at 24 kHz
_TEXT: Final = "well then the parcel left our depot early this morning and should reach you soon"

_random = random.Random(960)  # the same frames in every run
_words = itertools.cycle(_TEXT.split())


def _encoded(frame: Any) -> bytes:
    return (json.dumps(frame, indent=2) + "\n").encode()


def _content(**fields: Any) -> dict[str, Any]:
    return {"serverContent": fields}


def _part(**part: Any) -> dict[str, Any]:
    return {"modelTurn": {"parts": [part]}}


def _audio(ms: int) -> dict[str, Any]:
    data = base64.b64encode(_random.randbytes(ms * _BYTES_PER_MS)).decode()
    return _part(inlineData={"mimeType": "audio/pcm;rate=24000", "data": data})


def _said() -> dict[str, Any]:
    return {"outputTranscription": {"text": f" {next(_words)}"}}


def _usage() -> dict[str, Any]:
    counts = {"promptTokenCount": 310, "responseTokenCount": 42, "totalTokenCount": 352}
    return {
        **counts,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 210},
            {"modality": "AUDIO", "tokenCount": 100},
        ],
        "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 42}],
    }


@attrs.frozen
class Series:
    """
    Frames that come one after the other, round and round, while a turn is open.

    Attributes:
        name: Their name in the table.
        frames: The frames, as they come over the socket.
        limit: Does with a frame what cannot be avoided, and calls the handler.
    """

    name: str
    frames: tuple[bytes, ...]
    limit: Callable[[Callable[[Any], None]], Callable[[bytes], None]]


_decode = msgspec.json.Decoder().decode


def _audio_limit(handler: Callable[[Any], None]) -> Callable[[bytes], None]:
    b64decode = pybase64.b64decode

    def receive(frame: bytes) -> None:
        part = _decode(frame)["serverContent"]["modelTurn"]["parts"][0]
        handler(b64decode(part["inlineData"]["data"], None, True))

    return receive


def _limit(handler: Callable[[Any], None]) -> Callable[[bytes], None]:
    def receive(frame: bytes) -> None:
        handler(_decode(frame))

    return receive


def _series(name: str, make: Callable[[], dict[str, Any]]) -> Series:
    frames = tuple(_encoded(_content(**make())) for _ in range(64))
    return Series(name, frames, _audio_limit if name.startswith("audio") else _limit)


SERIES: Final = (
    _series("audio, 20 ms, Gemini", lambda: _audio(20)),
    _series("audio, 200 ms, Gemini", lambda: _audio(200)),
    _series("audio, 40 ms, with a transcript, Gemini", lambda: {**_audio(40), **_said()}),
    _series("transcript delta, Gemini", _said),
)
"""The frames that the table has rows for."""

_BEGUN: Final = _content(outputTranscription={"text": "It is"})
_COMPLETE: Final = {**_content(turnComplete=True), "usageMetadata": _usage()}
_CALL: Final = {"id": "call-1", "name": "find_order", "args": {"name": "Ada", "number": 17}}

# A field with a rule -> the frames with it, and those that it needs to mean something.
_CYCLES: Final[dict[str, list[dict[str, Any]]]] = {
    "setupComplete": [{"setupComplete": {"sessionId": "0f1e2d3c"}}],
    "voiceActivity": [
        {"voiceActivity": {"voiceActivityType": "ACTIVITY_START", "audioOffset": "1.24s"}},
        {"voiceActivity": {"voiceActivityType": "ACTIVITY_END", "audioOffset": "3.5s"}},
    ],
    "voiceActivityDetectionSignal": [
        {"voiceActivityDetectionSignal": {"vadSignalType": "VAD_SIGNAL_TYPE_SOS"}},
        {"voiceActivityDetectionSignal": {"vadSignalType": "VAD_SIGNAL_TYPE_EOS"}},
    ],
    "interimInputTranscription": [_content(interimInputTranscription={"text": "read me the menu"})],
    "inputTranscription": [_content(inputTranscription={"text": " the menu"})],
    "modelTurn, audio": [_content(**_audio(20))],
    "modelTurn, text": [_content(**_part(text=" a piece of it"))],
    "modelTurn, thought": [_content(**_part(text="**Looking at the order**", thought=True))],
    "modelTurn, code": [_content(**_part(executableCode={"language": "PYTHON", "code": "1 + 1"}))],
    "outputTranscription": [_content(**_said())],
    "interrupted": [_BEGUN, _content(interrupted=True), _content(turnComplete=True)],
    "groundingMetadata": [_content(groundingMetadata={"webSearchQueries": ["cake"]})],
    "urlContextMetadata": [_content(urlContextMetadata={"urlMetadata": []})],
    "waitingForInput": [_content(waitingForInput=True)],
    "toolCall": [{"toolCall": {"functionCalls": [_CALL]}}],
    "toolCallCancellation": [{"toolCallCancellation": {"ids": ["call-1", "call-2"]}}],
    "usageMetadata": [{"usageMetadata": _usage()}],
    "generationComplete": [_BEGUN, _content(generationComplete=True), _content(turnComplete=True)],
    "turnComplete": [_BEGUN, _COMPLETE],
    "sessionResumptionUpdate": [{"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}}],
    "goAway": [{"goAway": {"timeLeft": "50s"}}],
}
RULES: Final = tuple(
    Series(name, tuple(map(_encoded, frames)), _audio_limit if "audio" in name else _limit)
    for name, frames in _CYCLES.items()
)
"""The frames of each rule."""


def _handler() -> Callable[[Any], None]:
    def handler(event: Any) -> None:
        pass

    return handler


def _sdk() -> Iterator[Callable[[bytes], object]]:
    """Yield the parsing of the SDK, if it is installed."""
    try:
        types = importlib.import_module("google.genai.types")
        converters = importlib.import_module("google.genai._live_converters")
    except ModuleNotFoundError:
        return
    loads, convert = json.loads, converters._LiveServerMessage_from_mldev
    make, kwargs = types.LiveServerMessage._from_response, types.LiveServerMessage().model_dump()

    def receive(frame: bytes) -> object:
        return make(response=convert(loads(frame)), kwargs=kwargs)

    yield receive


def _ours(bus: EventBus, frames: Sequence[bytes]) -> Callable[[bytes], None]:
    """Return the way of a frame to a bus that takes every event of *frames* but the raw one."""
    decoder, begun = GeminiDecoder(), _encoded(_BEGUN)
    decoder.decode(begun)
    again = GeminiDecoder()
    again.decode(begun)
    for kind in {type(event) for frame in frames for event in again.decode(frame)}:
        if kind is not RealtimeModelRawServerEvent:
            bus.subscribe(_handler(), kind)
    publish_to = decoder.publish_to

    def receive(frame: bytes) -> None:
        publish_to(bus, frame)

    return receive


async def decode_frames(series: Series, effort: Effort) -> Comparison:
    """Compare the ways from each frame of *series* to its handlers."""
    async with EventBus() as bus:
        sides: list[Side] = [
            calling(OURS, _ours(bus, series.frames), series.frames),
            calling(LIMIT, series.limit(_handler()), series.frames),
            *(calling(SDK, parse, series.frames) for parse in _sdk()),
        ]
        return await compare(sides, effort)


def _with_audio(frame: dict[str, Any]) -> dict[str, Any]:
    """Return a frame with 20 ms where it has audio."""
    parts = frame.get("serverContent", {}).get("modelTurn", {}).get("parts", ())
    return {**frame, **_content(**_audio(20))} if "inlineData" in str(parts) else frame


async def decode_session(effort: Effort) -> Comparison:
    """Compare the ways from the frames of a session to five handlers, session after session."""
    lines = _SESSION.read_text("utf-8").splitlines()
    frames = [_encoded(_with_audio(json.loads(line))) for line in lines]
    decode, handler = _decode, _handler()

    def limit(frames: Sequence[bytes]) -> None:
        for frame in frames:
            handler(decode(frame))

    async with EventBus() as bus:
        for event_type in _CLASSES:
            bus.subscribe(_handler(), event_type)

        def ours(frames: Sequence[bytes]) -> None:
            publish = GeminiDecoder().publish_to
            for frame in frames:
                publish(bus, frame)

        def sdk(parse: Callable[[bytes], object]) -> Callable[[Sequence[bytes]], None]:
            def receive(frames: Sequence[bytes]) -> None:
                for frame in frames:
                    parse(frame)

            return receive

        sides = [
            calling(OURS, ours, [frames]),
            calling(LIMIT, limit, [frames]),
            *(calling(SDK, sdk(parse), [frames]) for parse in _sdk()),
        ]
        return await compare(sides, effort)

"""
Calls as records, made up moment by moment, as a Recorder would have written them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from eventbus.codec import packs
from eventbus.events import RealtimeModelRawServerEvent
from eventbus.exceptions import RemoteException
from eventbus.journal import (
    CallRecord,
    DropRecord,
    EventRecord,
    FrameRecord,
    HeaderRecord,
    Record,
    SentRecord,
)
from eventbus.wire import Decoder
from eventbus.wire.openai import OpenAIRealtimeDecoder

MS = 1_000_000
BEGINNING = 5_000 * MS
"""The monotonic clock's reading when a story begins: any number will do but 0."""

WALL = 1_700_000_000_000 * MS


def speech(ms: int) -> bytes:
    """
    Return so much 16-bit audio at 24 kHz.
    """
    return b"\x10\x00" * (24 * ms)


def voice(ms: int) -> bytes:
    """
    Return so much 16-bit audio at 24 kHz, as loud as a voice: a rectangle of 250 Hz.
    """
    period = b"\xa0\x0f" * 48 + b"\x60\xf0" * 48
    return (period * (ms // 4 + 1))[: 48 * ms]


class Story:
    """
    Records of one session, each made at ``now_ms``.
    """

    def __init__(self, sender: str | None = "call-1", decoder: Decoder | None = None) -> None:
        self.sender = sender
        self.now_ms = 0.0
        self.records: list[Record] = []
        self._decoder = decoder or OpenAIRealtimeDecoder()
        self.add(HeaderRecord, journal_id="story", sender=None, seq=0)

    def add(self, cls: type[Record], **fields: Any) -> int:
        """
        Append a record, and return its number.
        """
        now_ns = round(self.now_ms * MS)
        common = {
            "seq": len(self.records),
            "mono_ns": BEGINNING + now_ns,
            "wall_ns": WALL + now_ns,
            "sender": self.sender,
        }
        record = cls(**{**common, **fields})
        self.records.append(record)
        return record.seq

    def at(self, ms: float) -> Story:
        """
        Go to that time.
        """
        self.now_ms = ms
        return self

    def frame(self, type_name: str, **fields: Any) -> int:
        """
        Receive a frame, and publish its events; return the number of the last one.
        """
        return self.receive({"type": type_name, **fields})

    def receive(self, frame: Mapping[str, Any]) -> int:
        """
        Receive a frame of any protocol, as `frame` does.
        """
        data = json.dumps(frame).encode()
        seq = cause = self.add(FrameRecord, data=data)
        for event in self._decoder.decode(data):
            if not isinstance(event, RealtimeModelRawServerEvent):
                seq = self.event(event, cause=cause)
        return seq

    def event(self, event: Any, *, cause: int = 0) -> int:
        """
        Publish an event.
        """
        audio = getattr(event, "data", None) if event.type == "audio" else None
        return self.add(
            EventRecord,
            cause=cause,
            class_name=type(event).__qualname__,
            type_name=event.type,
            document=packs(event),
            audio_bytes=None if audio is None else len(audio),
        )

    def send(self, message: Mapping[str, Any], **fields: Any) -> int:
        """
        Send a message to the service.
        """
        return self.add(SentRecord, data=json.dumps(message).encode(), **fields)

    def say(
        self,
        ms: int,
        *,
        chunk_ms: int = 20,
        is_voiced: bool = False,
        type_name: str = "input_audio_buffer.append",
        to_gemini: bool = False,
    ) -> None:
        """
        Send so much of the caller's audio, chunk by chunk, each when it has been recorded.

        To Gemini, every piece has the rate with it, and the other alphabet of base64.
        """
        for _ in range(0, ms, chunk_ms):
            self.now_ms += chunk_ms
            audio = voice(chunk_ms) if is_voiced else speech(chunk_ms)
            message: dict[str, Any]
            if to_gemini:
                text = base64.urlsafe_b64encode(audio).decode()
                blob = {"data": text, "mime_type": "audio/pcm;rate=24000"}
                message = {"realtime_input": {"audio": blob}}
            else:
                message = {"type": type_name, "audio": base64.b64encode(audio).decode()}
            self.send(message, audio_bytes=len(audio))

    def audio(self, ms: int, item: str = "item_a", response: str = "resp_1") -> int:
        """
        Receive so much of the model's speech.
        """
        return self.frame(
            "response.output_audio.delta",
            response_id=response,
            item_id=item,
            output_index=0,
            content_index=0,
            delta=base64.b64encode(speech(ms)).decode(),
        )

    def call(
        self,
        handler: str,
        event: int,
        *,
        queued_ms: float = 0,
        run_ms: float | None = 1,
        error: str | None = None,
    ) -> int:
        """
        Call a handler, which ends now; with *run_ms* None, it begins now and never ends.
        """
        run_ns = None if run_ms is None else round(run_ms * MS)
        seq = len(self.records)
        state = "started" if run_ns is None else "finished" if error is None else "crashed"
        return self.add(
            CallRecord,
            cause=event,
            call=seq,
            handler=handler,
            state=state,
            queued_ns=round(queued_ms * MS),
            started_ns=BEGINNING + round(self.now_ms * MS) - (run_ns or 0),
            run_ns=run_ns,
            error=None if error is None else RemoteException("builtins.ValueError", error),
        )

    def drop(self, handler: str, count: int, reason: str = "full") -> int:
        """
        Lose events in front of a handler.
        """
        return self.add(DropRecord, handler=handler, count=count, reason=reason)

    def session(self, *, silence_ms: int = 200, padding_ms: int = 300) -> int:
        """
        Begin the session, with a turn detection.
        """
        detection = {
            "type": "server_vad",
            "silence_duration_ms": silence_ms,
            "prefix_padding_ms": padding_ms,
            "interrupt_response": True,
        }
        session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        return self.frame("session.created", session=session)


def spoken_turn() -> Story:
    """
    Return a call with one turn: 2 s of audio, of which the first 400 ms and the last 300 ms are
    silence; then 150 ms to notice, 100 ms to begin, 250 ms to the first audio, and 20 ms to the
    speaker.
    """
    story = Story()
    story.session(silence_ms=300)
    story.say(400)
    story.say(200, is_voiced=True)
    story.frame("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=100)
    story.say(1_100, is_voiced=True)
    story.say(300)
    story.at(2_150).frame("input_audio_buffer.speech_stopped", item_id="item_u", audio_end_ms=2000)
    story.frame("input_audio_buffer.committed", item_id="item_u", previous_item_id=None)
    story.at(2_250).frame("response.created", response={"id": "resp_1"})
    event = story.at(2_500).audio(1_000)
    story.at(2_530).call("app.play", event, run_ms=10)
    transcript = {"item_id": "item_u", "content_index": 0, "transcript": "Hello there"}
    name = "conversation.item.input_audio_transcription.completed"
    story.at(2_600).frame(name, **transcript)
    usage = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}
    response = {"id": "resp_1", "status": "completed", "usage": usage, "output": []}
    story.frame("response.done", response=response)
    return story

"""
Frames in the forms in which OpenAI, Azure Voice Live and xAI send them, written by the project.

Each frame of a series differs from the next where those of a session do, in the event's id and
in the content, so that nothing can be remembered that couldn't be in a session either. Azure
OpenAI sends the same frames as OpenAI.
"""

from __future__ import annotations

import base64
import itertools
import json
import random
import string
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from eventbus.wire.openai import BETA_TYPES

__all__ = ["SERIES", "Series", "frames_by_type", "sessions"]

_DATA = Path(__file__).parents[1] / "data"
_BETA = {name: beta for beta, name in BETA_TYPES.items()}
_SESSIONS = {
    "OpenAI": "openai_audio_turn.jsonl",
    "Azure": "azure_audio_turn.jsonl",
    "Voice Live": "voice_live_audio_turn.jsonl",
    "xAI": "xai_audio_turn.jsonl",
}

_BYTES_PER_MS = 48  # signed 16-bit samples at 24 kHz
_TEXT = "well then the parcel left our depot early this morning and should reach you soon"


@attrs.frozen
class Series:
    """
    Frames of one kind.

    Attributes:
        name: Their name in the table.
        event: The type of the model event that they mean.
        frames: The frames, as they come over the socket.
        openai_frames: Frames with the same content as OpenAI sends them, for peers that read no
            others.
    """

    name: str
    event: str
    frames: tuple[bytes, ...]
    openai_frames: tuple[bytes, ...]


class Writer:
    """
    Writes the frames of one answer, with new ids and new content each time.

    Args:
        dialect: ``OpenAI``, ``Voice Live`` or ``xAI``.
    """

    def __init__(self, dialect: str = "OpenAI") -> None:
        self._dialect = dialect
        self._random = random.Random(960)  # the same frames in every run
        self._response_id = self._id("resp")
        self._item_id = self._id("item")
        self._words = itertools.cycle(_TEXT.split())

    def _id(self, kind: str) -> str:
        if self._dialect == "xAI":
            return str(uuid.UUID(bytes=self._random.randbytes(16), version=4))
        # Voice Live's are of varying length.
        size = self._random.choice((20, 21, 22)) if self._dialect == "Voice Live" else 21
        characters = string.ascii_letters + string.digits
        return kind + "_" + "".join(self._random.choices(characters, k=size))

    def _frame(self, kind: str, **fields: Any) -> bytes:
        frame = {"type": kind, "event_id": self._id("event"), **fields}
        if self._dialect == "Voice Live":
            frame = {"event_id": frame["event_id"], "type": _BETA.get(kind, kind), **fields}
        elif self._dialect == "xAI":
            frame["previous_item_id"] = None
        return json.dumps(frame, separators=(",", ":")).encode()

    def _delta(self, kind: str, delta: str, **fields: Any) -> bytes:
        place = {"response_id": self._response_id, "item_id": self._item_id}
        part = {"output_index": 0, "content_index": 0}
        if self._dialect == "xAI":
            part = {"content_index": 0, "output_index": 0, "rid": self._id("")}
            return self._frame(kind, **place, delta=delta, **part, **fields)
        return self._frame(kind, **place, **part, delta=delta, **fields)

    def audio(self, ms: int) -> bytes:
        """Return a delta with so many milliseconds of noise."""
        samples = self._random.randbytes(ms * _BYTES_PER_MS)
        delta = base64.b64encode(samples).decode()
        fields: dict[str, object] = {}
        if self._dialect == "xAI":
            latency = {"latency": "0.65"} if self._random.random() < 0.2 else {}
            ts = 1785214086092 + self._random.randrange(100_000)
            fields = {**latency, "audio_duration_ms": self._random.randrange(900), "ts": ts}
        return self._delta("response.output_audio.delta", delta, **fields)

    def transcript(self) -> bytes:
        """Return a delta with the next word, and OpenAI's padding that hides its length."""
        word = " " + next(self._words)
        fields = {"obfuscation": "x" * (24 - len(word))} if self._dialect == "OpenAI" else {}
        return self._delta("response.output_audio_transcript.delta", word, **fields)

    def arguments(self) -> bytes:
        """Return a delta of a tool call's arguments."""
        return self._frame(
            "response.function_call_arguments.delta",
            response_id=self._response_id,
            item_id=self._item_id,
            output_index=0,
            call_id="call_gjTmnRCz6ans0s2H",
            delta='"' + next(self._words) + '":',
        )

    def message(self, *, has_object: bool = False, has_colons: bool = False) -> bytes:
        """Return a message item that is done, with a sentence or two."""
        words = itertools.islice(self._words, self._random.randint(10, 20))
        text = " ".join(words) + (" at 3:30: be there" if has_colons else "")
        item = {
            "id": self._id("item"),
            **({"object": "realtime.item"} if has_object else {}),
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_audio", "transcript": text}],
        }
        return self._frame(
            "response.output_item.done", response_id=self._response_id, output_index=0, item=item
        )


def _series(
    name: str,
    event: str,
    write: Callable[[Writer], bytes],
    dialect: str = "OpenAI",
    count: int = 64,
) -> Series:
    writer, theirs = Writer(dialect), Writer()
    frames = tuple(write(writer) for _ in range(count))
    return Series(name, event, frames, tuple(write(theirs) for _ in range(count)))


SERIES = (
    *(
        _series(f"audio, {ms} ms, {dialect}", "audio", lambda w, ms=ms: w.audio(ms), dialect)
        for dialect in ("OpenAI", "Voice Live", "xAI")
        for ms in (20, 200)
    ),
    *(
        _series(f"transcript delta, {dialect}", "transcript_delta", Writer.transcript, dialect)
        for dialect in ("OpenAI", "Voice Live", "xAI")
    ),
    _series("message item", "item_updated", Writer.message),
    _series("message item with object", "item_updated", lambda w: w.message(has_object=True)),
    _series("message item, colons", "item_updated", lambda w: w.message(has_colons=True)),
)
"""The frames that the table has rows for."""


def frames_by_type() -> dict[str, bytes]:
    """Return a frame of each of the 46 types; of several, the last one."""
    lines = (_DATA / "openai_ga_types.jsonl").read_text("utf-8").splitlines()
    frames = map(json.loads, lines)
    return {frame["type"]: json.dumps(frame, separators=(",", ":")).encode() for frame in frames}


def sessions() -> dict[str, tuple[bytes, ...]]:
    """Return the project's own recordings of a spoken turn by dialect, with 20 ms in each delta."""
    return {
        dialect: tuple(
            json.dumps(_with_audio(json.loads(line)), separators=(",", ":")).encode()
            for line in (_DATA / name).read_text("utf-8").splitlines()
        )
        for dialect, name in _SESSIONS.items()
    }


def _with_audio(frame: dict[str, Any]) -> dict[str, Any]:
    if frame["type"] in ("response.output_audio.delta", "response.audio.delta"):
        samples = base64.b64decode(frame["delta"])
        samples = (samples * (20 * _BYTES_PER_MS // len(samples) + 1))[: 20 * _BYTES_PER_MS]
        frame["delta"] = base64.b64encode(samples).decode()
    return frame

"""
Frames of 20 ms of audio, as OpenAI's service sends them, with a stamp where the audio begins.

A stamp says when the frame was sent, by which session and as which of its frames. It lies in
the audio, as that is the part that each handler gets: in the frame and in the SDK's event as 16
characters of base64, elsewhere as 12 bytes. All frames are equally long and their stamps
stand at the same place, so that neither costs a search. All else differs from frame to frame
where it does in a session: in the event's id and in the audio.
"""

from __future__ import annotations

import base64
import json
import random
import struct
from typing import Final

import attrs

__all__ = ["FRAME_BYTES", "STAMP_BYTES", "STAMP_CHARS", "STAMP_SLICE", "Stamp", "Writer"]

_AUDIO_BYTES: Final = 960  # 20 ms of signed 16-bit samples at 24 kHz
_LAYOUT: Final = struct.Struct("<QHH")
STAMP_BYTES: Final = _LAYOUT.size
STAMP_CHARS: Final = STAMP_BYTES * 4 // 3
_VARIANTS: Final = 64


@attrs.frozen
class Stamp:
    """
    The stamp of a frame.

    Attributes:
        sent_ns: When it was sent, by `time.perf_counter_ns`, which all processes share.
        session: The number of the session that sent it.
        number: Which frame of the session it is, from 0 on.
    """

    sent_ns: int
    session: int
    number: int

    @classmethod
    def read(cls, stamp: bytes | str) -> Stamp:
        """Return the meaning of *stamp*, as it stands in a frame or in its audio."""
        return cls(*_LAYOUT.unpack(stamp if len(stamp) == STAMP_BYTES else base64.b64decode(stamp)))


def _frame(session: int, event: str, stamp: str, audio: str) -> bytes:
    frame = {
        "type": "response.output_audio.delta",
        "event_id": f"event_{event}",
        "response_id": f"resp_{session:021}",
        "item_id": f"item_{session:021}",
        "output_index": 0,
        "content_index": 0,
        "delta": stamp + audio,
    }
    return json.dumps(frame, separators=(",", ":")).encode()


def _noise() -> list[bytes]:
    noise = random.Random(960)  # the same audio in every run
    rest = _AUDIO_BYTES - STAMP_BYTES
    return [base64.b64encode(noise.randbytes(rest)) for _ in range(_VARIANTS)]


_NOISE: Final = _noise()
# Where something else goes, in a frame that is like all others.
_EVENT: Final = "E" * 21
_STAMP: Final = "S" * STAMP_CHARS
_AUDIO: Final = "A" * len(_NOISE[0])
_SAMPLE: Final = _frame(0, _EVENT, _STAMP, _AUDIO)

FRAME_BYTES: Final = len(_SAMPLE)
STAMP_SLICE: Final = slice(_SAMPLE.index(_STAMP.encode()), _SAMPLE.index(_AUDIO.encode()))
"""Where in a frame its stamp stands."""


class Writer:
    """Writes the frames of one session."""

    def __init__(self, session: int) -> None:
        self._session = session
        sample = _frame(session, _EVENT, _STAMP, _AUDIO)
        self._before, rest = sample.split(_EVENT.encode())
        self._between, rest = rest.split(_STAMP.encode())
        _, self._after = rest.split(_AUDIO.encode())

    def frame(self, number: int, sent_ns: int) -> bytes:
        """Return the session's frame with this *number*."""
        session = self._session
        return b"".join(
            (
                self._before,
                b"%09d%012d" % (session, number),
                self._between,
                base64.b64encode(_LAYOUT.pack(sent_ns, session, number)),
                _NOISE[(session + number) % _VARIANTS],
                self._after,
            )
        )

    def opening(self) -> list[bytes]:
        """Return the frames that come before the audio: a session, and its response."""
        session, response = f"{self._session:021}", f"resp_{self._session:021}"
        audio = {"format": {"type": "audio/pcm", "rate": 24_000}}
        frames = (
            {
                "type": "session.created",
                "session": {
                    "type": "realtime",
                    "object": "realtime.session",
                    "id": f"sess_{session}",
                    "model": "gpt-realtime",
                    "output_modalities": ["audio"],
                    "audio": {"input": audio, "output": {**audio, "voice": "alloy"}},
                },
            },
            {
                "type": "response.created",
                "response": {
                    "object": "realtime.response",
                    "id": response,
                    "status": "in_progress",
                    "output": [],
                },
            },
            {
                "type": "response.output_item.added",
                "response_id": response,
                "output_index": 0,
                "item": {
                    "object": "realtime.item",
                    "id": f"item_{session}",
                    "type": "message",
                    "status": "in_progress",
                    "role": "assistant",
                    "content": [],
                },
            },
        )
        return [
            json.dumps({"event_id": f"event_{session[1:]}{number}", **frame}).encode()
            for number, frame in enumerate(frames)
        ]

r"""
Audio in Gemini's messages: its format, its base64, and a shortcut for frames of nothing else.

Rules
-----

* The format is in each ``mimeType``, like ``audio/pcm;rate=24000``. Where there is no rate, it is
  the one before.
* Base64 may be of the standard or of the URL-safe alphabet, with or without padding, as the JSON
  form of protocol buffers has it; anything else is refused.
* The shortcut takes a frame only if the event that it makes is the one that parsing the frame
  would give, and leaves all other frames alone.

Theory of operation
-------------------

Consecutive frames of audio are the same bytes, except for the audio itself::

    {"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm;rate=24000",
    "data":"AAAA"}}]}}}

So one frame is parsed, and its head and its tail are remembered. In the next frame they must be
there byte for byte, whatever the spaces. The text between them is decoded as strict base64, which
has no quote and no backslash, so it is one JSON string. The frame says nothing else, so the event
follows from the turn that is open.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

import pybase64

from ..._fast_init import constructor
from ...events import RealtimeModelAudioEvent
from ._around import around

AudioFormat: TypeAlias = tuple[str, int]
"""Type and samples per second."""

DEFAULT_FORMAT: Final[AudioFormat] = ("audio/pcm", 24_000)
"""The format that is meant where a session names none."""

_RATE: Final = re.compile(r"rate\s*=\s*\"?([1-9][0-9]{0,8})\"?")

_b64decode = pybase64.b64decode
_new_audio = constructor(RealtimeModelAudioEvent)


def format_in(mime_type: str, before: AudioFormat) -> AudioFormat | None:
    """
    Return the format that a ``mimeType`` names; None if it isn't that of audio.

    Args:
        mime_type: The type, perhaps with parameters; empty if it was withheld.
        before: The format of the audio before.
    """
    kind, *parameters = (part.strip() for part in mime_type.lower().split(";"))
    if not kind:
        return before
    if not kind.startswith("audio/"):
        return None
    for parameter in parameters:
        rate = _RATE.fullmatch(parameter)
        if rate is not None:
            return kind, int(rate[1])
    return kind, before[1]


class AudioLayout:
    """
    The form of the latest frame of audio, and the place of its audio.

    Attributes:
        place: Response and item of the audio; None while a frame of audio means more than its
            audio, like the beginning of a turn.
    """

    __slots__ = ("head", "place", "start", "tail", "tail_size")

    def __init__(self) -> None:
        self.place: tuple[str, str] | None = None
        self.forget()

    def forget(self) -> None:
        """Take no frame until the next one has been parsed."""
        self.head = self.tail = b""
        self.start = self.tail_size = 0

    def learn(self, frame: bytes, data: str) -> None:
        """Take frames like this one, with that text in base64, from now on."""
        found = around(frame, "data", data)
        if found is not None and data:
            self.head, self.tail = found
            self.start, self.tail_size = len(self.head), len(self.tail)

    def event_in(self, frame: bytes) -> RealtimeModelAudioEvent | None:
        """Return the event of a *frame* that begins with the head; None if it must be parsed."""
        start, place = self.start, self.place
        end = len(frame) - self.tail_size
        if place is None or not start or end < start or frame[end:] != self.tail:
            return None
        try:
            audio = _b64decode(frame[start:end], None, True)
        except ValueError:
            return None
        return _new_audio(audio, place[0], place[1], 0)

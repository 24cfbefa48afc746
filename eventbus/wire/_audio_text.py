"""
Audio as text: base64, and the place of the caller's audio in messages to a service.

OpenAI's messages have a type for it, and the session has its format. Those of Gemini Live have the
format in a MIME type, and base64 of either alphabet; old clients call the field ``mediaChunks``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import pybase64

APPENDS: Final = ("input_audio_buffer.append", "session.input_audio.append")
"""The types of messages with the caller's audio, of the Realtime and the GPT-Live protocol."""

GEMINI_INPUTS: Final = ("realtimeInput", "realtime_input")
"""The names that clients write of Gemini's messages with the caller's audio."""

_OPENING: Final = b'"realtime'
_OPENING_BYTES: Final = 30  # in which the name of a message is, as it has only one
_EDGE: Final = 200  # bytes at the beginning and at the end, in one of which the MIME type is
_RATE: Final = re.compile(rb"\brate\s*=\s*([1-9][0-9]{0,8})")
_RATES: Final = range(1_000, 192_001)  # others are mistakes: at 1 Hz, a piece lasts for hours
_DEFAULT_RATE: Final = 16_000  # Gemini's, where a message has none, or an impossible one

_STANDARD: Final = str.maketrans("-_", "+/")
_b64decode = pybase64.b64decode


def decode_base64(text: str) -> bytes:
    """
    Return the bytes of a text in base64, of either alphabet, with or without padding.

    Raises:
        ValueError: It isn't that.
    """
    try:
        return _b64decode(text, None, True)
    except ValueError:
        padding = "" if text.endswith("=") else "=" * (-len(text) % 4)
        return _b64decode(text.translate(_STANDARD) + padding, None, True)


def caller_audio(message: Mapping[str, Any]) -> str | None:
    """Return the caller's audio in a message to a service, in base64; None if it has none."""
    if message.get("type") in APPENDS:
        audio = message.get("audio")
        return audio if isinstance(audio, str) else None
    given = next((message[name] for name in GEMINI_INPUTS if name in message), None)
    if not isinstance(given, Mapping):
        return None
    chunks = given.get("mediaChunks", given.get("media_chunks"))
    blobs = [given.get("audio"), *(chunks if isinstance(chunks, list) else ())]
    texts = [blob.get("data") for blob in blobs if isinstance(blob, Mapping) and _is_audio(blob)]
    return texts[0] if len(texts) == 1 and isinstance(texts[0], str) else None


def _is_audio(blob: Mapping[str, Any]) -> bool:
    mime_type = blob.get("mimeType", blob.get("mime_type"))
    return isinstance(mime_type, str) and mime_type.startswith("audio/")


def caller_rate(data: bytes) -> int | None:
    """
    Return the samples per second of the caller's audio in a message, if it says them itself.

    Args:
        data: The message, as `caller_audio` takes it.
    """
    if _OPENING not in data[:_OPENING_BYTES]:  # the beginning of both names
        return None
    found = _RATE.search(data[:_EDGE]) or _RATE.search(data[-_EDGE:])
    rate = int(found[1]) if found else 0
    return rate if rate in _RATES else _DEFAULT_RATE

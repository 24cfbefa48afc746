"""
Tokens: the usage of a response, and the rest of the rate limits.

The counts are plausible, not those of a tokenizer: a token is about four characters of text,
100 ms of the user's audio, 50 ms of the assistant's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs
import msgspec

from .conversation import Item

_USER_MS: Final = 100
_ASSISTANT_MS: Final = 50
_IMAGE_TOKENS: Final = 258
_CACHE_BLOCK: Final = 64  # prompts are cached in blocks of so many tokens
_FRAMING_TOKENS: Final = 3  # of each item: its role, its beginning and its end
# Billed by the time of the audio, the others by tokens: the models' pages, and recordings.
_TIMED_MODELS: Final = {None, "whisper-1", "gpt-realtime-whisper"}


@attrs.frozen
class Tokens:
    """Counts of tokens, by their kind."""

    text: int = 0
    audio: int = 0
    image: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.text + other.text, self.audio + other.audio, self.image + other.image)

    @property
    def total(self) -> int:
        """All of them."""
        return self.text + self.audio + self.image


def text_tokens(text: str) -> int:
    """Return how many tokens *text* has, about."""
    return math.ceil(len(text) / 4)


def audio_tokens(duration_ms: float, *, is_user: bool) -> int:
    """Return how many tokens so much audio has; the user's is coarser."""
    return math.ceil(duration_ms / (_USER_MS if is_user else _ASSISTANT_MS))


def input_tokens(
    instructions: str, tools: Iterable[Mapping[str, Any]], items: Iterable[Item]
) -> Tokens:
    """Return the tokens of a model's input."""
    schemas = sum(text_tokens(msgspec.json.encode(tool).decode()) for tool in tools)
    return sum(map(_item_tokens, items), Tokens(text=text_tokens(instructions) + schemas))


def _item_tokens(item: Item) -> Tokens:
    data = item.data
    count = Tokens(text=_FRAMING_TOKENS)
    for name in ("name", "arguments", "output"):
        count += Tokens(text=text_tokens(data.get(name, "")))
    for part in data.get("content", ()):
        match part["type"]:
            case "input_audio" | "output_audio":
                is_user = data["role"] == "user"
                count += Tokens(audio=audio_tokens(item.audio_ms, is_user=is_user))
            case "input_image":
                count += Tokens(image=_IMAGE_TOKENS)
            case _:
                count += Tokens(text=text_tokens(part["text"]))
    return count


def usage_object(
    given: Tokens, made: Tokens, cached: int | None, reasoning: int | None = None
) -> dict[str, Any]:
    """
    Return the ``usage`` of a response.

    Args:
        given: The input.
        made: The output, without reasoning.
        cached: Input tokens that an earlier response had read; less is told than in whole blocks.
        reasoning: Tokens of thinking, of a model that reasons.
    """
    details = {"text_tokens": made.text, "audio_tokens": made.audio}
    if reasoning is not None:
        details["reasoning_tokens"] = reasoning
    output_tokens = made.total + (reasoning or 0)
    cached = min((cached or 0) // _CACHE_BLOCK * _CACHE_BLOCK, given.total)
    cached_text = min(cached, given.text)
    cached_audio = min(cached - cached_text, given.audio)
    return {
        "total_tokens": given.total + output_tokens,
        "input_tokens": given.total,
        "output_tokens": output_tokens,
        "input_token_details": {
            "text_tokens": given.text,
            "audio_tokens": given.audio,
            "image_tokens": given.image,
            "cached_tokens": cached,
            "cached_tokens_details": {
                "text_tokens": cached_text,
                "audio_tokens": cached_audio,
                "image_tokens": cached - cached_text - cached_audio,
            },
        },
        "output_token_details": details,
    }


def transcription_usage(model: str | None, words: str, audio_ms: float) -> dict[str, Any]:
    """Return the ``usage`` of a transcript: by time, in whole seconds, or by tokens."""
    if model in _TIMED_MODELS:
        return {"type": "duration", "seconds": math.ceil(audio_ms / 1000)}
    heard, written = audio_tokens(audio_ms, is_user=True), text_tokens(words)
    return {
        "type": "tokens",
        "total_tokens": heard + written,
        "input_tokens": heard,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
        "output_tokens": written,
    }


class RateLimits:
    """
    The rest of a minute's requests and tokens; it fills up again as time passes.

    The simulator counts, and refuses nothing.
    """

    _REQUESTS: Final = 1_000
    _TOKENS: Final = 250_000

    def __init__(self) -> None:
        self._used = {"requests": 0.0, "tokens": 0.0}
        self._at_ms = 0.0

    def take(self, tokens: int, now_ms: float) -> list[dict[str, Any]]:
        """Count a response that reads *tokens*, and return the limits as the event has them."""
        minutes = max(now_ms - self._at_ms, 0) / 60_000
        self._at_ms = now_ms
        limits = []
        for name, limit, taken in (
            ("requests", self._REQUESTS, 1),
            ("tokens", self._TOKENS, tokens),
        ):
            used = max(self._used[name] - limit * minutes, 0) + taken
            self._used[name] = used = min(used, limit)
            limits.append(
                {
                    "name": name,
                    "limit": limit,
                    "remaining": int(limit - used),
                    "reset_seconds": round(used / limit * 60, 3),
                }
            )
        return limits

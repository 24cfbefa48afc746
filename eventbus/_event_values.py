"""
Values in the vocabulary's events: errors, and figures of usage.

They are public in `eventbus.events`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs


@attrs.frozen(weakref_slot=False)
class RealtimeError:
    """
    An error of a service; reads as attributes and as a mapping.

    Attributes:
        message: For people; may quote the client.
        type: The kind of error, like ``invalid_request_error``.
        code: A stable name of the error, if it has one.
        event_id: The client's event that caused it, if one did.
        param: The parameter that was wrong, if one was.
        extra: Other fields that the vendor sent, by name.
    """

    message: str | None = None
    type: str | None = None
    code: str | None = None
    event_id: str | None = None
    param: str | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True, hash=False)

    def keys(self) -> Iterator[str]:
        """Yield the names of the fields that the service sent."""
        for name in ("message", "type", "code", "event_id", "param"):
            if getattr(self, name) is not None:
                yield name
        yield from self.extra

    def get(self, name: str, default: Any = None) -> Any:
        """Return the field *name* as the service sent it, or *default*."""
        try:
            return self[name]
        except KeyError:
            return default

    def __getitem__(self, name: str) -> Any:
        if name in self.extra:
            return self.extra[name]
        if name not in ("message", "type", "code", "event_id", "param"):
            raise KeyError(name)
        return getattr(self, name)


@attrs.frozen(weakref_slot=False)
class RealtimeModelCachedTokensDetails:
    """Cached input tokens, by modality."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


@attrs.frozen(weakref_slot=False)
class RealtimeModelInputTokensDetails:
    """Input tokens, by modality; ``cached_tokens`` are among the others."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens: int | None = None
    cached_tokens_details: RealtimeModelCachedTokensDetails | None = None


@attrs.frozen(weakref_slot=False)
class RealtimeModelOutputTokensDetails:
    """Output tokens, by modality."""

    text_tokens: int | None = None
    audio_tokens: int | None = None


@attrs.frozen(weakref_slot=False)
class UsageInputTokensDetails:
    """Details of the input tokens of a `Usage`."""

    cached_tokens: int = 0


@attrs.frozen(weakref_slot=False)
class UsageOutputTokensDetails:
    """Details of the output tokens of a `Usage`."""

    reasoning_tokens: int = 0


@attrs.frozen(weakref_slot=False)
class Usage:
    """
    Tokens that were used, in the totals that bills are made of.

    Attributes:
        requests: How many responses this sums up.
        total_tokens: As the service counts; the sum of both if it didn't say.
        seconds: Seconds of audio, where the service bills those.
        is_cumulative: True if it is the sum for the session so far: don't add it up.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_tokens_details: UsageInputTokensDetails = attrs.field(factory=UsageInputTokensDetails)
    output_tokens_details: UsageOutputTokensDetails = attrs.field(factory=UsageOutputTokensDetails)
    seconds: float | None = attrs.field(default=None, kw_only=True)
    is_cumulative: bool = attrs.field(default=False, kw_only=True)

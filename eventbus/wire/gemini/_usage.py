"""
Converts the usage in Gemini's messages.

Vertex AI says ``candidatesTokenCount`` where the Gemini API says ``responseTokenCount``. Both count
thoughts apart from the output.
"""

from __future__ import annotations

from typing import Any, Final

from ..._fast_init import constructor
from ...events import (
    RealtimeModelCachedTokensDetails,
    RealtimeModelInputTokensDetails,
    RealtimeModelOutputTokensDetails,
    RealtimeModelUsageEvent,
    Usage,
    UsageInputTokensDetails,
    UsageOutputTokensDetails,
)
from .._fields import Fields, integer_if_any

# A video is pictures, and is billed as such; documents have no class of their own.
_MODALITIES: Final = {"TEXT": 0, "MODALITY_UNSPECIFIED": 0, "AUDIO": 1, "IMAGE": 2, "VIDEO": 2}

_new_usage_event = constructor(RealtimeModelUsageEvent)
_new_usage = constructor(Usage)
_new_input = constructor(UsageInputTokensDetails)
_new_output = constructor(UsageOutputTokensDetails)
_new_input_details = constructor(RealtimeModelInputTokensDetails)
_new_cached_details = constructor(RealtimeModelCachedTokensDetails)
_new_output_details = constructor(RealtimeModelOutputTokensDetails)


def usage_event(usage: dict[str, Any]) -> RealtimeModelUsageEvent:
    """Return the cost of a turn; a breakdown that can't be read is left out."""
    input_tokens = usage.get("promptTokenCount")
    output_tokens = usage.get("responseTokenCount", usage.get("candidatesTokenCount"))
    total_tokens = usage.get("totalTokenCount")
    if not type(input_tokens) is type(output_tokens) is type(total_tokens) is int:
        fields = Fields(usage, "usageMetadata", "")
        input_tokens = fields.optional_integer("promptTokenCount") or 0
        output_tokens = fields.optional_integer("responseTokenCount")
        if output_tokens is None:
            output_tokens = fields.optional_integer("candidatesTokenCount") or 0
        total_tokens = fields.optional_integer("totalTokenCount")
        if total_tokens is None:
            total_tokens = input_tokens + output_tokens
    cached = integer_if_any(usage, "cachedContentTokenCount")
    thoughts = integer_if_any(usage, "thoughtsTokenCount")
    totals = _new_usage(
        1,
        input_tokens,
        output_tokens,
        total_tokens,
        _new_input(cached or 0),
        _new_output(thoughts or 0),
        None,
        False,
    )
    return _new_usage_event(totals, _input_details(usage, cached), _output_details(usage))


def _input_details(
    usage: dict[str, Any], cached: int | None
) -> RealtimeModelInputTokensDetails | None:
    counts = _by_modality(usage.get("promptTokensDetails"))
    of_cache = _by_modality(usage.get("cacheTokensDetails"))
    if counts is None:
        return None
    return _new_input_details(
        *counts, cached, None if of_cache is None else _new_cached_details(*of_cache)
    )


def _output_details(usage: dict[str, Any]) -> RealtimeModelOutputTokensDetails | None:
    details = usage.get("responseTokensDetails", usage.get("candidatesTokensDetails"))
    counts = _by_modality(details)
    return None if counts is None else _new_output_details(counts[0], counts[1])


def _by_modality(details: object) -> list[int | None] | None:
    """Return the tokens of text, audio and pictures; None if there is no breakdown."""
    if type(details) is not list:
        return None
    counts: list[int | None] = [None, None, None]
    for each in details:
        if type(each) is not dict:
            continue
        modality, count = each.get("modality", "TEXT"), each.get("tokenCount")
        place = _MODALITIES.get(modality) if type(modality) is str else None
        if type(count) is not int:
            count = integer_if_any(each, "tokenCount")
        if place is not None and count is not None:
            counts[place] = (counts[place] or 0) + count
    return counts

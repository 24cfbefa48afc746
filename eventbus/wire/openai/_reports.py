"""
Converts the errors, the rate limits and the usage in OpenAI's frames.

Names and totals are those of the openai-agents SDK. Frames with limits, and those with an error of
the usual fields, are read into structs, like messages; see `_items`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from ..._fast_init import constructor
from ...events import (
    RealtimeError,
    RealtimeModelCachedTokensDetails,
    RealtimeModelErrorEvent,
    RealtimeModelInputAudioTranscriptionFailedEvent,
    RealtimeModelInputTokensDetails,
    RealtimeModelOutputTokensDetails,
    RealtimeModelRateLimitsEvent,
    RealtimeModelUsageEvent,
    Usage,
    UsageInputTokensDetails,
    UsageOutputTokensDetails,
)
from .._fields import Fields, integer_if_any, text_if_any
from .._frames import ReadOnlyDict, freeze
from .._strict import count_in, has_pairs

_ERROR_NAMES = ("message", "type", "code", "event_id", "param")
_ERROR_FIELDS = frozenset(_ERROR_NAMES)
_NONE: ReadOnlyDict[str, Any] = ReadOnlyDict()

_COLON = ord(":")

_new_error = constructor(RealtimeError)
_new_error_event = constructor(RealtimeModelErrorEvent)
_new_input_failed = constructor(RealtimeModelInputAudioTranscriptionFailedEvent)
_new_rate_limits = constructor(RealtimeModelRateLimitsEvent, late=freeze)
_new_usage_event = constructor(RealtimeModelUsageEvent)
_new_usage = constructor(Usage)
_new_input = constructor(UsageInputTokensDetails)
_new_output = constructor(UsageOutputTokensDetails)
_new_input_details = constructor(RealtimeModelInputTokensDetails)
_new_cached_details = constructor(RealtimeModelCachedTokensDetails)
_new_output_details = constructor(RealtimeModelOutputTokensDetails)


def error_from(value: object) -> RealtimeError | None:
    """
    Return the error that a service describes, or None if there is no description.

    An object or, from some services, only a text. A known field that isn't a string goes to
    ``extra``.
    """
    if isinstance(value, str):
        return RealtimeError(message=value)
    if not isinstance(value, dict):
        return None
    message, kind, code = value.get("message"), value.get("type"), value.get("code")
    event_id, param = value.get("event_id"), value.get("param")
    is_plain = (
        (type(message) is str or message is None)
        and (type(kind) is str or kind is None)
        and (type(code) is str or code is None)
        and (type(event_id) is str or event_id is None)
        and (type(param) is str or param is None)
    )
    if is_plain and _ERROR_FIELDS.issuperset(value):
        return _new_error(message, kind, code, event_id, param, _NONE)
    strings = [text_if_any(value, name) for name in _ERROR_NAMES]
    extra = {
        name: freeze(each)
        for name, each in value.items()
        if name not in _ERROR_FIELDS or (each is not None and type(each) is not str)
    }
    return _new_error(*strings, ReadOnlyDict(extra))


def usage_event(
    usage: dict[str, Any], frame_type: object, name: str = "response.usage"
) -> RealtimeModelUsageEvent:
    """
    Return the cost of a response; a breakdown that can't be read is left out.

    Args:
        usage: The totals, and perhaps breakdowns.
        frame_type: The type of the frame.
        name: The field that has them.
    """
    input_tokens = usage.get("input_tokens")
    output_tokens = usage.get("output_tokens")
    total_tokens = usage.get("total_tokens")
    if not type(input_tokens) is type(output_tokens) is type(total_tokens) is int:
        fields = Fields(usage, frame_type, name)
        input_tokens = fields.optional_integer("input_tokens") or 0
        output_tokens = fields.optional_integer("output_tokens") or 0
        total_tokens = fields.optional_integer("total_tokens")
        if total_tokens is None:
            total_tokens = input_tokens + output_tokens
    input_details = usage.get("input_token_details")
    output_details = usage.get("output_token_details")
    cached = reasoning = None
    if type(input_details) is dict:
        cached = integer_if_any(input_details, "cached_tokens")
    if type(output_details) is dict:
        reasoning = integer_if_any(output_details, "reasoning_tokens")
    totals = _new_usage(
        1,
        input_tokens,
        output_tokens,
        total_tokens,
        _new_input(cached or 0),
        _new_output(reasoning or 0),
        None,
        False,
    )
    return _new_usage_event(totals, _input_details(input_details), _output_details(output_details))


def responses_usage_event(usage: dict[str, Any], frame_type: object) -> RealtimeModelUsageEvent:
    """Return the cost of a response of the Responses API, which names the breakdowns otherwise."""
    renamed = {
        **usage,
        "input_token_details": usage.get("input_tokens_details"),
        "output_token_details": usage.get("output_tokens_details"),
    }
    return usage_event(renamed, frame_type, "event.response.usage")


def _input_details(details: object) -> RealtimeModelInputTokensDetails | None:
    if type(details) is not dict:
        return None
    cached = details.get("cached_tokens_details")
    return _new_input_details(
        integer_if_any(details, "text_tokens"),
        integer_if_any(details, "audio_tokens"),
        integer_if_any(details, "image_tokens"),
        integer_if_any(details, "cached_tokens"),
        None
        if type(cached) is not dict
        else _new_cached_details(
            integer_if_any(cached, "text_tokens"),
            integer_if_any(cached, "audio_tokens"),
            integer_if_any(cached, "image_tokens"),
        ),
    )


def _output_details(details: object) -> RealtimeModelOutputTokensDetails | None:
    if type(details) is not dict:
        return None
    return _new_output_details(
        integer_if_any(details, "text_tokens"), integer_if_any(details, "audio_tokens")
    )


# --- from the frame itself -------------------------------------------------------------------


class _Error(msgspec.Struct, gc=False):
    message: str | None
    type: str | None
    code: str | None
    param: str | None
    event_id: str | UnsetType | None = UNSET


class _ErrorFrame(msgspec.Struct, gc=False):
    type: Literal["error"]
    event_id: str
    error: _Error


class _FailedFrame(msgspec.Struct, gc=False):
    type: Literal["conversation.item.input_audio_transcription.failed"]
    event_id: str
    item_id: str
    content_index: int
    error: _Error


class _LimitsFrame(msgspec.Struct, gc=False):
    type: Literal["rate_limits.updated"]
    event_id: str
    rate_limits: list[dict[str, str | int | float | bool | None]]


_decode_error = msgspec.json.Decoder(_ErrorFrame).decode
_decode_failed = msgspec.json.Decoder(_FailedFrame).decode
_decode_limits = msgspec.json.Decoder(_LimitsFrame).decode


def read_error(frame: bytes, _size: int, _session: object) -> RealtimeModelErrorEvent | None:
    """Return the event of a frame with an error; None if another way must be taken."""
    try:
        data = _decode_error(frame)
    except (ValueError, RecursionError):
        return None
    error = _only_error(frame, data.error, 7, data.event_id)
    return None if error is None else _new_error_event(error)


def read_transcription_failed(
    frame: bytes, _size: int, _session: object
) -> RealtimeModelInputAudioTranscriptionFailedEvent | None:
    """Return the event of a transcription that failed; None if another way must be taken."""
    try:
        data = _decode_failed(frame)
    except (ValueError, RecursionError):
        return None
    error = _only_error(frame, data.error, 9, data.event_id, data.item_id)
    return None if error is None else _new_input_failed(data.item_id, error)


def read_rate_limits(
    frame: bytes, _size: int, _session: object
) -> RealtimeModelRateLimitsEvent | None:
    """Return the event of a frame with rate limits; None if another way must be taken."""
    try:
        limits = _decode_limits(frame).rate_limits
    except (ValueError, RecursionError):
        return None
    if count_in(frame, b":") != 3 + sum(map(len, limits)):
        return None
    return _new_rate_limits(limits)


def _only_error(frame: bytes, error: _Error, pairs: int, *ids: str) -> RealtimeError | None:
    """
    Return the error of a frame; None if the frame has other pairs than these.

    Args:
        pairs: The number of pairs in the frame, without an ``event_id`` of the error.
        ids: The strings in the frame besides the error.
    """
    message, kind, code, param = error.message, error.type, error.code, error.param
    event_id = error.event_id
    if event_id is UNSET:
        event_id = None
    else:
        pairs += 1
    if frame.count(_COLON) != pairs:
        texts = (text or "" for text in (message, kind, code, param, event_id))
        if not has_pairs(frame, pairs, *texts, *ids):
            return None
    return _new_error(message, kind, code, event_id, param, _NONE)

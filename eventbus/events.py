"""
The vocabulary: the events of a session with a realtime model.

Names and fields follow the openai-agents SDK (`agents.realtime.model_events`);
events that it drops have classes of our own, in the same style. Every class is
frozen, and its ``type`` is a constant that is part of the value, so that type
checkers narrow `RealtimeModelEvent` by ``event.type == "audio"`` as well as by
`isinstance`.

Any other class can be published too. One that is to travel through
`eventbus.codec` joins the registry with `register_event`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, TypeVar, overload

import attrs

from ._event_base import Late, Markable
from ._event_values import (
    RealtimeError,
    RealtimeModelCachedTokensDetails,
    RealtimeModelInputTokensDetails,
    RealtimeModelOutputTokensDetails,
    Usage,
    UsageInputTokensDetails,
    UsageOutputTokensDetails,
)
from .exceptions import DuplicateEventTypeError, EventTypeError
from .items import RealtimeItem

__all__ = [
    "EVENT_TYPES",
    "RealtimeConnectionStatus",
    "RealtimeError",
    "RealtimeModelAudioDoneEvent",
    "RealtimeModelAudioEvent",
    "RealtimeModelAudioInterruptedEvent",
    "RealtimeModelCachedTokensDetails",
    "RealtimeModelConnectionStatusEvent",
    "RealtimeModelDelegationEvent",
    "RealtimeModelEndOfStreamEvent",
    "RealtimeModelErrorEvent",
    "RealtimeModelEvent",
    "RealtimeModelExceptionEvent",
    "RealtimeModelInputAudioCommittedEvent",
    "RealtimeModelInputAudioTimeoutTriggeredEvent",
    "RealtimeModelInputAudioTranscriptionCompletedEvent",
    "RealtimeModelInputAudioTranscriptionFailedEvent",
    "RealtimeModelInputSpeechStartedEvent",
    "RealtimeModelInputSpeechStoppedEvent",
    "RealtimeModelInputTokensDetails",
    "RealtimeModelInputTranscriptDeltaEvent",
    "RealtimeModelInputTranscriptUpdatedEvent",
    "RealtimeModelItemDeletedEvent",
    "RealtimeModelItemTruncatedEvent",
    "RealtimeModelItemUpdatedEvent",
    "RealtimeModelOtherEvent",
    "RealtimeModelOutputTextDeltaEvent",
    "RealtimeModelOutputTextDoneEvent",
    "RealtimeModelOutputTokensDetails",
    "RealtimeModelRateLimitsEvent",
    "RealtimeModelRawServerEvent",
    "RealtimeModelSessionExpiringEvent",
    "RealtimeModelSessionUpdatedEvent",
    "RealtimeModelToolCallCancelledEvent",
    "RealtimeModelToolCallDeltaEvent",
    "RealtimeModelToolCallEvent",
    "RealtimeModelTranscriptDeltaEvent",
    "RealtimeModelTranscriptDoneEvent",
    "RealtimeModelTurnEndedEvent",
    "RealtimeModelTurnStartedEvent",
    "RealtimeModelUsageEvent",
    "Usage",
    "UsageInputTokensDetails",
    "UsageOutputTokensDetails",
    "register_event",
]

RealtimeConnectionStatus: TypeAlias = Literal["connecting", "connected", "disconnected"]


# --- the events of the openai-agents SDK -----------------------------------------------------


@attrs.frozen
class RealtimeModelErrorEvent(Markable):
    """
    The service reports an error; the session goes on unless the connection ends.

    Attributes:
        error: The error, usually a `RealtimeError`.

    Source:
        OpenAI ``error``.
    """

    error: Any
    type: Literal["error"] = "error"


@attrs.frozen
class RealtimeModelToolCallEvent(Markable):
    """
    The model has called a tool, and its arguments are complete.

    Attributes:
        name: The tool's name.
        call_id: The id that the output names to answer this call.
        arguments: The arguments as JSON text, as the model wrote it; not validated.
        id: The id of the conversation item that is the call.
        previous_item_id: The item that the call follows, if the service said so.

    Source:
        OpenAI ``response.output_item.done`` (and ``.added``) with a completed function call.
    """

    name: str
    call_id: str
    arguments: str
    id: str | None = None
    previous_item_id: str | None = None
    type: Literal["function_call"] = "function_call"


@attrs.frozen
class RealtimeModelAudioEvent(Markable):
    """
    A piece of the model's speech; pieces of one item arrive in playing order.

    Attributes:
        data:
            Audio in the session's output format, as the service sent it: for
            ``audio/pcm``, signed 16-bit little-endian mono samples at 24 kHz;
            for ``audio/pcmu`` and ``audio/pcma``, one byte a sample at 8 kHz.
        response_id: The response that speaks.
        item_id: The item that is spoken.
        content_index: Index of the audio part in the item's content.

    Source:
        OpenAI ``response.output_audio.delta``; beta ``response.audio.delta``.
    """

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    response_id: str
    item_id: str
    content_index: int
    type: Literal["audio"] = "audio"


@attrs.frozen
class RealtimeModelAudioInterruptedEvent(Markable):
    """
    The user has begun to speak over this audio: stop playing it.

    The item is the last one that audio came for since the previous
    interruption. Whether any of it is still audible, only the player knows.

    Attributes:
        content_index: Index of the audio part in the item's content.

    Source:
        OpenAI ``input_audio_buffer.speech_started``.
    """

    item_id: str
    content_index: int
    type: Literal["audio_interrupted"] = "audio_interrupted"


@attrs.frozen
class RealtimeModelAudioDoneEvent(Markable):
    """
    No more audio comes for this part.

    Attributes:
        content_index: Index of the audio part in the item's content.

    Source:
        OpenAI ``response.output_audio.done``; beta ``response.audio.done``.
    """

    item_id: str
    content_index: int
    type: Literal["audio_done"] = "audio_done"


@attrs.frozen
class RealtimeModelInputAudioTranscriptionCompletedEvent(Markable):
    """
    The transcript of the user's speech is complete.

    Attributes:
        transcript: The whole transcript of the item's audio.

    Source:
        OpenAI ``conversation.item.input_audio_transcription.completed``.
    """

    item_id: str
    transcript: str
    type: Literal["input_audio_transcription_completed"] = "input_audio_transcription_completed"


@attrs.frozen
class RealtimeModelInputAudioTimeoutTriggeredEvent(Markable):
    """
    The user said nothing for the idle timeout of the turn detection.

    Attributes:
        audio_start_ms: Milliseconds from the session's first input audio to the wait's start.
        audio_end_ms: Milliseconds from the session's first input audio to the wait's end.

    Source:
        OpenAI ``input_audio_buffer.timeout_triggered``.
    """

    item_id: str
    audio_start_ms: int
    audio_end_ms: int
    type: Literal["input_audio_timeout_triggered"] = "input_audio_timeout_triggered"


@attrs.frozen
class RealtimeModelTranscriptDeltaEvent(Markable):
    """
    A piece of the transcript of the model's speech.

    Attributes:
        delta: Text to append; transcripts run ahead of the audio.

    Source:
        OpenAI ``response.output_audio_transcript.delta``; beta ``response.audio_transcript.delta``.
    """

    item_id: str
    delta: str
    response_id: str
    type: Literal["transcript_delta"] = "transcript_delta"


@attrs.frozen
class RealtimeModelOutputTextDeltaEvent(Markable):
    """
    A piece of text that the model writes.

    Attributes:
        delta: Text to append.

    Source:
        OpenAI ``response.output_text.delta``; beta ``response.text.delta``.
    """

    item_id: str
    delta: str
    response_id: str
    type: Literal["output_text_delta"] = "output_text_delta"


@attrs.frozen
class RealtimeModelItemUpdatedEvent(Markable):
    """
    An item has been added to the conversation, or has changed.

    Attributes:
        item: The item as it is now; a field that it leaves out has not been removed.

    Source:
        OpenAI ``conversation.item.added``, ``.created`` and ``.retrieved``, and
        ``response.output_item.added`` and ``.done``.
    """

    item: RealtimeItem
    type: Literal["item_updated"] = "item_updated"


@attrs.frozen
class RealtimeModelItemDeletedEvent(Markable):
    """
    An item has been deleted from the conversation.

    Source:
        OpenAI ``conversation.item.deleted``.
    """

    item_id: str
    type: Literal["item_deleted"] = "item_deleted"


@attrs.frozen
class RealtimeModelConnectionStatusEvent(Markable):
    """
    The connection to the service has changed.

    Source:
        The transport; no frame says it.
    """

    status: RealtimeConnectionStatus
    type: Literal["connection_status"] = "connection_status"


@attrs.frozen
class RealtimeModelEndOfStreamEvent(Markable):
    """
    The session is over; no event of it follows.

    Source:
        The transport; no frame says it.
    """

    type: Literal["end_of_stream"] = "end_of_stream"


@attrs.frozen
class RealtimeModelTurnStartedEvent(Markable):
    """
    The model has begun a response.

    Source:
        OpenAI ``response.created``.
    """

    response_id: str | None = None
    type: Literal["turn_started"] = "turn_started"


@attrs.frozen
class RealtimeModelUsageEvent(Markable):
    """
    The tokens that a response has used.

    Attributes:
        usage: The totals.
        input_tokens_details: The input by modality, if the service said so.
        output_tokens_details: The output by modality, if the service said so.

    Source:
        OpenAI ``response.done``, its ``usage``.
    """

    usage: Usage
    input_tokens_details: RealtimeModelInputTokensDetails | None = None
    output_tokens_details: RealtimeModelOutputTokensDetails | None = None
    type: Literal["usage"] = "usage"


@attrs.frozen
class RealtimeModelTurnEndedEvent(Markable):
    """
    The model has ended a response, well or not.

    Attributes:
        status:
            ``completed``, ``cancelled``, ``incomplete`` or ``failed``; None if
            the service didn't say.
        error: Why it failed, usually a `RealtimeError`; None if it didn't.
        inferred:
            True if the protocol has no turns, and the decoder concluded the end
            from the stream.
        more_expected:
            True if the service says that it goes on by itself, as after a tool
            call that it does not wait for.

    Source:
        OpenAI ``response.done``; Gemini ``turnComplete``, with an
        ``interactionStatus`` for more that is expected.
    """

    response_id: str | None = None
    status: str | None = None
    error: Any = None
    inferred: bool = attrs.field(default=False, kw_only=True)
    more_expected: bool = attrs.field(default=False, kw_only=True)
    type: Literal["turn_ended"] = "turn_ended"


@attrs.frozen
class RealtimeModelOtherEvent(Late):
    """
    Something that has no class of its own, or an event that no handler took.

    Attributes:
        data:
            From a decoder, the frame as a read-only mapping. From the bus, the
            event that no handler is registered for.

    Source:
        Any frame of a ``type`` that the decoder has no class for.
    """

    data: Any
    type: Literal["other"] = "other"


@attrs.frozen
class RealtimeModelExceptionEvent(Markable):
    """
    Something of the application's has failed, and the session goes on.

    Attributes:
        exception: The exception, with its traceback; an ExceptionGroup is kept whole.
        context: The activity that failed, for people.
        event: The event that was being handled, if one was.
        handler: The handler or middleware that failed, if one did.
        sender: The session that it happened in, if there was one.

    Source:
        The bus (a handler, a middleware, a mailbox that dropped events) and
        decoders (a frame that could not be read).
    """

    exception: BaseException
    context: str | None = None
    event: object = attrs.field(
        default=None,
        kw_only=True,
        repr=lambda event: "None" if event is None else f"<{type(event).__qualname__}>",
    )
    handler: Callable[..., object] | None = attrs.field(default=None, kw_only=True)
    sender: object = attrs.field(default=None, kw_only=True)
    type: Literal["exception"] = "exception"


@attrs.frozen
class RealtimeModelRawServerEvent(Late):
    """
    A frame as the service sent it, before anything is made of it.

    Attributes:
        data:
            The frame as a read-only mapping, parsed when it is first looked at;
            a frame that is no JSON object is given as it came. From the bus, a
            bare payload that was published, or an event that nobody else took.

    Source:
        Every frame.
    """

    data: Any
    type: Literal["raw_server_event"] = "raw_server_event"


# --- events of our own ------------------------------------------------------------------------


@attrs.frozen
class RealtimeModelSessionUpdatedEvent(Late):
    """
    The session's configuration, as it is now.

    Attributes:
        session: The configuration, as the service sent it.
        created: Whether the session has just begun.

    Source:
        OpenAI ``session.created``, ``session.updated``.
    """

    session: Mapping[str, Any]
    created: bool
    type: Literal["session_updated"] = "session_updated"


@attrs.frozen
class RealtimeModelInputSpeechStartedEvent(Markable):
    """
    The user has begun to speak.

    Attributes:
        item_id: The item that the speech will become.
        audio_start_ms:
            Milliseconds from the session's first input audio to the start of
            the speech, padding included; None if the service didn't say.

    Source:
        OpenAI ``input_audio_buffer.speech_started``; Gemini ``voiceActivity``.
    """

    item_id: str
    audio_start_ms: int | None
    type: Literal["input_speech_started"] = "input_speech_started"


@attrs.frozen
class RealtimeModelInputSpeechStoppedEvent(Markable):
    """
    The user has stopped speaking.

    Attributes:
        item_id: The item that the speech will become.
        audio_end_ms:
            Milliseconds from the session's first input audio to the end of the
            speech, padding included; None if the service didn't say.

    Source:
        OpenAI ``input_audio_buffer.speech_stopped``; Gemini ``voiceActivity``.
    """

    item_id: str
    audio_end_ms: int | None
    type: Literal["input_speech_stopped"] = "input_speech_stopped"


@attrs.frozen
class RealtimeModelInputAudioCommittedEvent(Markable):
    """
    The user's audio has become an item of the conversation.

    Attributes:
        previous_item_id: The item that the new one follows, if there is one.

    Source:
        OpenAI ``input_audio_buffer.committed``.
    """

    item_id: str
    previous_item_id: str | None
    type: Literal["input_audio_committed"] = "input_audio_committed"


@attrs.frozen
class RealtimeModelInputTranscriptDeltaEvent(Markable):
    """
    A piece of the transcript of the user's speech.

    Attributes:
        delta: Text to append.
        content_index: Index of the audio part in the item's content, if the service said so.

    Source:
        OpenAI ``conversation.item.input_audio_transcription.delta``.
    """

    item_id: str
    delta: str
    content_index: int | None
    type: Literal["input_transcript_delta"] = "input_transcript_delta"


@attrs.frozen
class RealtimeModelInputAudioTranscriptionFailedEvent(Markable):
    """
    The user's speech could not be transcribed.

    Attributes:
        error: Why, usually a `RealtimeError`.

    Source:
        OpenAI ``conversation.item.input_audio_transcription.failed``.
    """

    item_id: str
    error: Any
    type: Literal["input_audio_transcription_failed"] = "input_audio_transcription_failed"


@attrs.frozen
class RealtimeModelTranscriptDoneEvent(Markable):
    """
    The transcript of the model's speech is complete.

    Attributes:
        transcript: The whole transcript of the part; shorter than the sum of
            the deltas if the item was truncated.

    Source:
        OpenAI ``response.output_audio_transcript.done``; beta ``response.audio_transcript.done``.
    """

    item_id: str
    transcript: str
    response_id: str
    type: Literal["transcript_done"] = "transcript_done"


@attrs.frozen
class RealtimeModelOutputTextDoneEvent(Markable):
    """
    The text that the model writes is complete.

    Attributes:
        text: The whole text of the part.

    Source:
        OpenAI ``response.output_text.done``; beta ``response.text.done``.
    """

    item_id: str
    text: str
    response_id: str
    type: Literal["output_text_done"] = "output_text_done"


@attrs.frozen
class RealtimeModelToolCallDeltaEvent(Markable):
    """
    A piece of the arguments of a tool call that is being written.

    Attributes:
        delta: JSON text to append.

    Source:
        OpenAI ``response.function_call_arguments.delta``.
    """

    call_id: str
    item_id: str
    delta: str
    response_id: str
    type: Literal["tool_call_delta"] = "tool_call_delta"


@attrs.frozen
class RealtimeModelItemTruncatedEvent(Markable):
    """
    The model's speech has been cut to the part that the user heard.

    Attributes:
        content_index: Index of the audio part in the item's content.
        audio_end_ms: Milliseconds of the part that remain.

    Source:
        OpenAI ``conversation.item.truncated``.
    """

    item_id: str
    content_index: int
    audio_end_ms: int
    type: Literal["item_truncated"] = "item_truncated"


@attrs.frozen
class RealtimeModelRateLimitsEvent(Late):
    """
    The limits of the account, and the rest of each.

    Attributes:
        limits:
            One mapping a limit, as the service sent it: ``name``, ``limit``,
            ``remaining`` and ``reset_seconds``.

    Source:
        OpenAI ``rate_limits.updated``.
    """

    limits: Sequence[Mapping[str, Any]]
    type: Literal["rate_limits"] = "rate_limits"


# --- events that other services have in common ------------------------------------------------


@attrs.frozen
class RealtimeModelInputTranscriptUpdatedEvent(Markable):
    """
    The transcript of the user's speech so far, while the user is still speaking.

    Attributes:
        transcript: The whole transcript so far; it replaces the one before.

    Source:
        xAI ``conversation.item.input_audio_transcription.updated``, Gemini
        ``interimInputTranscription``, ElevenLabs ``tentative_user_transcript``.
    """

    item_id: str
    transcript: str
    type: Literal["input_transcript_updated"] = "input_transcript_updated"


@attrs.frozen
class RealtimeModelToolCallCancelledEvent(Markable):
    """
    Tool calls that the model no longer wants an output of.

    Attributes:
        call_ids: The ids of the calls, as in ``RealtimeModelToolCallEvent.call_id``.

    Source:
        Gemini ``toolCallCancellation``, Deepgram ``FunctionCallCancelled``; the transport,
        when it gives a call up.
    """

    call_ids: tuple[str, ...] = attrs.field(converter=tuple)
    type: Literal["tool_call_cancelled"] = "tool_call_cancelled"


@attrs.frozen
class RealtimeModelSessionExpiringEvent(Markable):
    """
    The service will end the session soon.

    Attributes:
        seconds_left: Seconds until it does, as the service estimates.

    Source:
        Gemini ``goAway``; the transport, when OpenAI's ``expires_at`` comes near.
    """

    seconds_left: float
    type: Literal["session_expiring"] = "session_expiring"


@attrs.frozen
class RealtimeModelDelegationEvent(Markable):
    """
    The model has handed a task to another model or to the client.

    Attributes:
        delegation_id: The id that further messages about the task carry.
        target: The receiver of the task: ``client``, ``responses`` or ``decisions``.
        offset_ms: Milliseconds from the start of the session.
        response_id: The response that works on the task, if the service said so.

    Source:
        GPT-Live ``session.delegation.created``.
    """

    delegation_id: str
    target: str
    offset_ms: int
    response_id: str | None = None
    type: Literal["delegation"] = "delegation"


RealtimeModelEvent: TypeAlias = (
    RealtimeModelErrorEvent
    | RealtimeModelToolCallEvent
    | RealtimeModelAudioEvent
    | RealtimeModelAudioInterruptedEvent
    | RealtimeModelAudioDoneEvent
    | RealtimeModelInputAudioTranscriptionCompletedEvent
    | RealtimeModelInputAudioTimeoutTriggeredEvent
    | RealtimeModelTranscriptDeltaEvent
    | RealtimeModelOutputTextDeltaEvent
    | RealtimeModelItemUpdatedEvent
    | RealtimeModelItemDeletedEvent
    | RealtimeModelConnectionStatusEvent
    | RealtimeModelEndOfStreamEvent
    | RealtimeModelTurnStartedEvent
    | RealtimeModelUsageEvent
    | RealtimeModelTurnEndedEvent
    | RealtimeModelOtherEvent
    | RealtimeModelExceptionEvent
    | RealtimeModelRawServerEvent
    | RealtimeModelSessionUpdatedEvent
    | RealtimeModelInputSpeechStartedEvent
    | RealtimeModelInputSpeechStoppedEvent
    | RealtimeModelInputAudioCommittedEvent
    | RealtimeModelInputTranscriptDeltaEvent
    | RealtimeModelInputAudioTranscriptionFailedEvent
    | RealtimeModelTranscriptDoneEvent
    | RealtimeModelOutputTextDoneEvent
    | RealtimeModelToolCallDeltaEvent
    | RealtimeModelItemTruncatedEvent
    | RealtimeModelRateLimitsEvent
    | RealtimeModelInputTranscriptUpdatedEvent
    | RealtimeModelToolCallCancelledEvent
    | RealtimeModelSessionExpiringEvent
    | RealtimeModelDelegationEvent
)
"""Every event of the vocabulary."""


# --- the registry ----------------------------------------------------------------------------

_event_types: dict[str, type[Any]] = {}

EVENT_TYPES: Mapping[str, type[Any]] = MappingProxyType(_event_types)
"""Type name -> class, for every class that `eventbus.codec` can load."""

_T = TypeVar("_T", bound=type[Any])


@overload
def register_event(event_type: _T, /, *, name: str | None = None, replace: bool = False) -> _T: ...
@overload
def register_event(
    event_type: None = None, /, *, name: str | None = None, replace: bool = False
) -> Callable[[_T], _T]: ...
def register_event(
    event_type: _T | None = None, /, *, name: str | None = None, replace: bool = False
) -> _T | Callable[[_T], _T]:
    """
    Make a class known by its type name, so that `eventbus.codec` can load it.

    Works as a decorator, with or without arguments.

    Args:
        event_type: An attrs class.
        name:
            Its type name; by default the default of its ``type`` field. Names
            without a dot are the vocabulary's: call yours ``shop.order_placed``.
        replace: Take the name from the class that has it.

    Raises:
        EventTypeError: It is no attrs class, or has no type name.
        DuplicateEventTypeError: The name belongs to another class.
    """
    if event_type is None:
        return lambda cls: register_event(cls, name=name, replace=replace)
    if isinstance(event_type, str):
        msg = f"register_event takes a class; give the name as name=: name={event_type!r}."
        raise EventTypeError(msg, event_type=event_type)
    if not (isinstance(event_type, type) and hasattr(event_type, "__attrs_attrs__")):
        msg = f"{event_type!r} is not an attrs class; put @attrs.frozen below @register_event."
        raise EventTypeError(msg, event_type=event_type)
    if name is None:
        field = attrs.fields_dict(event_type).get("type")
        name = field.default if field is not None and isinstance(field.default, str) else None
    if name is None:
        msg = (
            f"{event_type.__qualname__} has no type name; give it a field like "
            f'\'type: Literal["shop.order_placed"] = "shop.order_placed"\', or pass name=.'
        )
        raise EventTypeError(msg, event_type=event_type)
    known = _event_types.get(name)
    if known is not None and known is not event_type and not replace:
        msg = (
            f"The type name {name!r} of {event_type.__qualname__} belongs to {known.__qualname__}; "
            f"choose another, or pass replace=True to take it."
        )
        raise DuplicateEventTypeError(msg, event_type=event_type)
    _event_types[name] = event_type
    return event_type


for _event_type in RealtimeModelEvent.__args__:
    register_event(_event_type)

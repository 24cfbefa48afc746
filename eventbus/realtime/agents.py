"""
An openai-agents app on a bus: its models' and sessions' events, as our classes.

For the events of the model, a listener, beside whatever the app does with its session::

    session.model.add_listener(AgentsListener(bus, sender="call-42"))

For those of the session as well, one of these, by whether the app has a loop of its own over the
session: iterators of one session share a queue, and so take each other's events::

    async for event in published(session, bus, sender="call-42"): ...  # instead of: in session
    await pump(session, bus, sender="call-42")                         # where there is no loop

Either is enough: with a listener and one of these, the model's events are published twice.

Handlers never touch the call: an async one runs by itself, however slow it is, and a handler's
exception stays on the bus. (A sync handler runs in the loop; one that takes its time stalls that.)
Published objects are our own: items, errors and frames are copied, since openai-agents goes on
changing its own. Agents, tools, guardrail results and contexts are their objects as they are. An
event of a class that isn't known here comes as `RealtimeModelOtherEvent`.

Names: an event's class here has the name that it has there, in `eventbus.events` for the model's
and in `eventbus.realtime.events` for the session's.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from typing import Any, Final, cast

try:
    from agents.realtime import events as their_events
    from agents.realtime import items as their_items
    from agents.realtime import model_events as theirs
    from agents.realtime.model import RealtimeModelListener
except ModuleNotFoundError as exc:
    if exc.name is None or exc.name.partition(".")[0] != "agents":  # something that it needs
        raise
    msg = (
        "AgentsListener needs the openai-agents package: pip install 'eventbus[agents]', "
        "or pip install '.[agents]' in a clone."
    )
    raise ModuleNotFoundError(msg, name="agents") from exc

from .. import events as ours
from .. import items as our_items
from ..bus import EventBus
from ..wire._frames import freeze
from ..wire._origin import decoded_other
from ..wire.openai._reports import error_from
from . import events as our_events
from .session import SessionPublisher

__all__ = ["AgentsListener", "published", "pump"]


class AgentsListener(RealtimeModelListener):
    """
    Publishes the events of a model of openai-agents; for its ``add_listener``.

    Args:
        bus: Where to; as the app's loop runs it, or another thread's.
        sender: The session that the events belong to, as for `EventBus.publish`.
    """

    def __init__(self, bus: EventBus, sender: Any = None) -> None:
        self._feed = _Feed(bus, sender)

    async def on_event(self, event: theirs.RealtimeModelEvent) -> None:
        """Publish *event*; it never waits, and never raises because of a handler."""
        self._feed.take_model_event(event)


async def published(
    session: AsyncIterable[their_events.RealtimeSessionEvent],
    bus: EventBus,
    *,
    sender: Any = None,
    model_events: bool = True,
) -> AsyncIterator[their_events.RealtimeSessionEvent]:
    """
    Yield the events of a session as they are, each after it was published.

    Args:
        session: The ``RealtimeSession`` of openai-agents; nobody else iterates over it.
        bus: Where to.
        sender: The session that the events belong to, as for `EventBus.publish`.
        model_events: Whether those of the model are published, too; not if an `AgentsListener`
            does it.

    Raises:
        Exception: The session has raised it at the end of its events.
    """
    feed = _Feed(bus, sender, model_events=model_events)
    async for event in session:
        feed.take_session_event(event)
        yield event


async def pump(
    session: AsyncIterable[their_events.RealtimeSessionEvent],
    bus: EventBus,
    *,
    sender: Any = None,
    model_events: bool = True,
) -> None:
    """
    Publish the events of a session until it ends.

    If the session ends with an exception, that is a `RealtimeModelExceptionEvent` and no
    exception here. Cancelling it leaves the session as it is.

    Args:
        session: As in `published`, and so are the others.
    """
    feed = _Feed(bus, sender, model_events=model_events)
    try:
        async for event in session:
            feed.take_session_event(event)
    except Exception as exc:  # noqa: BLE001  # openai-agents' and its app's, and it is reported
        feed.report(exc, "the session of openai-agents ended")


class _Feed:
    """Converts and publishes the events of one session."""

    def __init__(self, bus: EventBus, sender: Any, *, model_events: bool = True) -> None:
        self._publisher = SessionPublisher(bus, sender)
        self._publish = self._publisher.publish
        self._sender = sender
        self._model_events = model_events
        self._reported: BaseException | None = None
        self._last_error: object = None

    def take_model_event(self, event: Any) -> ours.RealtimeModelEvent | None:
        """Publish *event* as our class, and return that; None if it can't be read."""
        converted = self._convert(_model_event, event)
        if converted is not None and self._model_events:
            if isinstance(converted, ours.RealtimeModelExceptionEvent):
                self._reported = converted.exception
            self._publish(converted)
        return cast("ours.RealtimeModelEvent | None", converted)

    def take_session_event(self, event: Any) -> None:
        """Publish *event* as our class; a repetition only if a handler gets it."""
        if isinstance(event, their_events.RealtimeRawModelEvent):
            self._last_error = getattr(event.data, "error", None)
            data = self.take_model_event(event.data)
            if data is not None and self._publisher.is_wanted(our_events.RealtimeRawModelEvent):
                self._publish(our_events.RealtimeRawModelEvent(data, _info(event.info)))
            return
        kind = _kind_of(event, _IF_WANTED)
        is_repeated = kind is not None and (
            kind is not their_events.RealtimeError or event.error is self._last_error
        )
        if kind is not None and is_repeated and not self._publisher.is_wanted(_IF_WANTED[kind]):
            return
        converted = self._convert(_session_event, event)
        if converted is not None:
            self._publish(converted)

    def report(self, exc: Exception, context: str) -> None:
        """Publish a failure, unless the model's events had it."""
        if exc is not self._reported:
            self._publish(ours.RealtimeModelExceptionEvent(exc, context, sender=self._sender))

    def _convert(self, convert: Callable[[Any], object], event: Any) -> object:
        try:
            return convert(event)
        except Exception as exc:  # noqa: BLE001  # of an event with other fields than its class has
            self.report(exc, f"reading a {type(event).__qualname__} of openai-agents")
            return None


def _kind_of(event: object, kinds: Mapping[type[Any], Any]) -> type[Any] | None:
    """Return the class in *kinds* that *event* is an instance of, its own before a base's."""
    return next((cls for cls in type(event).__mro__ if cls in kinds), None)


# --- events of the model ---------------------------------------------------------------------


def _model_event(event: Any) -> object:
    kind = _kind_of(event, _MODEL_EVENTS)
    return ours.RealtimeModelOtherEvent(event) if kind is None else _MODEL_EVENTS[kind](event)


def _item_updated(event: theirs.RealtimeModelItemUpdatedEvent) -> object:
    item = _item(event.item)
    if item is None:
        return ours.RealtimeModelOtherEvent(event)
    return ours.RealtimeModelItemUpdatedEvent(item)


def _usage(event: theirs.RealtimeModelUsageEvent) -> object:
    usage = event.usage
    cached = getattr(usage.input_tokens_details, "cached_tokens", None) or 0
    reasoning = getattr(usage.output_tokens_details, "reasoning_tokens", None) or 0
    return ours.RealtimeModelUsageEvent(
        ours.Usage(
            usage.requests,
            usage.input_tokens,
            usage.output_tokens,
            usage.total_tokens,
            ours.UsageInputTokensDetails(cached),
            ours.UsageOutputTokensDetails(reasoning),
        ),
        _input_details(event.input_tokens_details),
        _output_details(event.output_tokens_details),
    )


def _input_details(
    details: theirs.RealtimeModelInputTokensDetails | None,
) -> ours.RealtimeModelInputTokensDetails | None:
    if details is None:
        return None
    cached = details.cached_tokens_details
    return ours.RealtimeModelInputTokensDetails(
        details.text_tokens,
        details.audio_tokens,
        details.image_tokens,
        details.cached_tokens,
        None
        if cached is None
        else ours.RealtimeModelCachedTokensDetails(
            cached.text_tokens, cached.audio_tokens, cached.image_tokens
        ),
    )


def _output_details(
    details: theirs.RealtimeModelOutputTokensDetails | None,
) -> ours.RealtimeModelOutputTokensDetails | None:
    if details is None:
        return None
    return ours.RealtimeModelOutputTokensDetails(details.text_tokens, details.audio_tokens)


def _error(error: Any) -> Any:
    """Return an error as our class, if it has a message; an exception as it is."""
    if isinstance(error, BaseException):
        return error
    dump = getattr(error, "model_dump", None)
    said = dump() if callable(dump) else error
    return error_from(said) or error


_MODEL_EVENTS: Final[Mapping[type[Any], Callable[[Any], object]]] = {
    theirs.RealtimeModelErrorEvent: lambda e: ours.RealtimeModelErrorEvent(_error(e.error)),
    theirs.RealtimeModelToolCallEvent: lambda e: ours.RealtimeModelToolCallEvent(
        e.name, e.call_id, e.arguments, e.id, e.previous_item_id
    ),
    theirs.RealtimeModelAudioEvent: lambda e: ours.RealtimeModelAudioEvent(
        bytes(e.data), e.response_id, e.item_id, e.content_index
    ),
    theirs.RealtimeModelAudioInterruptedEvent: lambda e: ours.RealtimeModelAudioInterruptedEvent(
        e.item_id, e.content_index
    ),
    theirs.RealtimeModelAudioDoneEvent: lambda e: ours.RealtimeModelAudioDoneEvent(
        e.item_id, e.content_index
    ),
    theirs.RealtimeModelInputAudioTranscriptionCompletedEvent: lambda e: (
        ours.RealtimeModelInputAudioTranscriptionCompletedEvent(e.item_id, e.transcript)
    ),
    theirs.RealtimeModelInputAudioTimeoutTriggeredEvent: lambda e: (
        ours.RealtimeModelInputAudioTimeoutTriggeredEvent(
            e.item_id, e.audio_start_ms, e.audio_end_ms
        )
    ),
    theirs.RealtimeModelTranscriptDeltaEvent: lambda e: ours.RealtimeModelTranscriptDeltaEvent(
        e.item_id, e.delta, e.response_id
    ),
    theirs.RealtimeModelOutputTextDeltaEvent: lambda e: ours.RealtimeModelOutputTextDeltaEvent(
        e.item_id, e.delta, e.response_id
    ),
    theirs.RealtimeModelItemUpdatedEvent: _item_updated,
    theirs.RealtimeModelItemDeletedEvent: lambda e: ours.RealtimeModelItemDeletedEvent(e.item_id),
    theirs.RealtimeModelConnectionStatusEvent: lambda e: ours.RealtimeModelConnectionStatusEvent(
        e.status
    ),
    theirs.RealtimeModelEndOfStreamEvent: lambda _: ours.RealtimeModelEndOfStreamEvent(),
    theirs.RealtimeModelTurnStartedEvent: lambda e: ours.RealtimeModelTurnStartedEvent(
        e.response_id
    ),
    theirs.RealtimeModelUsageEvent: _usage,
    theirs.RealtimeModelTurnEndedEvent: lambda e: ours.RealtimeModelTurnEndedEvent(e.response_id),
    theirs.RealtimeModelOtherEvent: lambda e: decoded_other(freeze(e.data)),
    theirs.RealtimeModelExceptionEvent: lambda e: ours.RealtimeModelExceptionEvent(
        e.exception, e.context
    ),
    theirs.RealtimeModelRawServerEvent: lambda e: ours.RealtimeModelRawServerEvent(freeze(e.data)),
}


# --- items -----------------------------------------------------------------------------------


def _item(item: Any) -> our_items.RealtimeItem | None:
    """Return the item as it is now; None if it is of no class that is known here."""
    extra = freeze(dict(item.model_extra or {})) if hasattr(item, "model_extra") else {}
    match item:
        case their_items.SystemMessageItem() | their_items.UserMessageItem():
            is_user = isinstance(item, their_items.UserMessageItem)
            make = our_items.UserMessageItem if is_user else our_items.SystemMessageItem
            status = extra.get("status")  # theirs has no field for it
            if status in ("in_progress", "completed", "incomplete"):
                extra = freeze({name: extra[name] for name in extra if name != "status"})
            else:
                status = None
            content = _parts(item.content)
            return make(item.item_id, content, item.previous_item_id, status, extra=extra)
        case their_items.AssistantMessageItem():
            content = _parts(item.content)
            return our_items.AssistantMessageItem(
                item.item_id, content, item.previous_item_id, item.status, extra=extra
            )
        case their_items.RealtimeToolCallItem():
            return our_items.RealtimeToolCallItem(
                item.item_id,
                item.call_id,
                item.name,
                item.arguments,
                item.status,
                item.output,
                item.previous_item_id,
                extra=extra,
            )
        case _:
            return None


def _parts(parts: Any) -> tuple[Any, ...]:
    """Return the parts of a message; one of an unknown class is left out."""
    return tuple([made for part in parts if (made := _part(part)) is not None])


def _part(part: Any) -> our_items.ContentPart | None:
    extra = freeze(dict(part.model_extra or {})) if hasattr(part, "model_extra") else {}
    match part:
        case their_items.InputText():
            return our_items.InputText(part.text, extra=extra)
        case their_items.InputAudio():
            return our_items.InputAudio(part.audio, part.transcript, extra=extra)
        case their_items.InputImage():
            return our_items.InputImage(part.image_url, part.detail, extra=extra)
        case their_items.AssistantText():
            return our_items.AssistantText(part.text, extra=extra)
        case their_items.AssistantAudio():
            return our_items.AssistantAudio(part.audio, part.transcript, extra=extra)
        case _:
            return None


# --- events of the session -------------------------------------------------------------------


def _info(info: their_events.RealtimeEventInfo) -> our_events.RealtimeEventInfo:
    return our_events.RealtimeEventInfo(info.context)


def _session_event(event: Any) -> object:
    kind = _kind_of(event, _SESSION_EVENTS)
    if kind is None:
        return ours.RealtimeModelOtherEvent(event)
    return _SESSION_EVENTS[kind](event, _info(event.info))


def _history_added(
    event: their_events.RealtimeHistoryAdded, info: our_events.RealtimeEventInfo
) -> object:
    item = _item(event.item)
    if item is None:
        return ours.RealtimeModelOtherEvent(event)
    return our_events.RealtimeHistoryAdded(item, info)


_SESSION_EVENTS: Final[
    Mapping[type[Any], Callable[[Any, our_events.RealtimeEventInfo], object]]
] = {
    their_events.RealtimeAgentStartEvent: lambda e, info: our_events.RealtimeAgentStartEvent(
        e.agent, info
    ),
    their_events.RealtimeAgentEndEvent: lambda e, info: our_events.RealtimeAgentEndEvent(
        e.agent, info
    ),
    their_events.RealtimeHandoffEvent: lambda e, info: our_events.RealtimeHandoffEvent(
        e.from_agent, e.to_agent, info
    ),
    their_events.RealtimeToolStart: lambda e, info: our_events.RealtimeToolStart(
        e.agent, e.tool, e.arguments, info
    ),
    their_events.RealtimeToolEnd: lambda e, info: our_events.RealtimeToolEnd(
        e.agent, e.tool, e.arguments, e.output, info
    ),
    their_events.RealtimeToolApprovalRequired: lambda e, info: (
        our_events.RealtimeToolApprovalRequired(e.agent, e.tool, e.call_id, e.arguments, info)
    ),
    their_events.RealtimeAudioEnd: lambda e, info: our_events.RealtimeAudioEnd(
        info, e.item_id, e.content_index
    ),
    their_events.RealtimeAudio: lambda e, info: our_events.RealtimeAudio(
        cast("ours.RealtimeModelAudioEvent", _model_event(e.audio)),
        e.item_id,
        e.content_index,
        info,
    ),
    their_events.RealtimeAudioInterrupted: lambda e, info: our_events.RealtimeAudioInterrupted(
        info, e.item_id, e.content_index
    ),
    their_events.RealtimeError: lambda e, info: our_events.RealtimeError(_error(e.error), info),
    their_events.RealtimeHistoryUpdated: lambda e, info: our_events.RealtimeHistoryUpdated(
        [item for each in e.history if (item := _item(each)) is not None], info
    ),
    their_events.RealtimeHistoryAdded: _history_added,
    their_events.RealtimeGuardrailTripped: lambda e, info: our_events.RealtimeGuardrailTripped(
        e.guardrail_results, e.message, info
    ),
    their_events.RealtimeInputAudioTimeoutTriggered: lambda _, info: (
        our_events.RealtimeInputAudioTimeoutTriggered(info)
    ),
}

_IF_WANTED: Final[Mapping[type[Any], type[Any]]] = {
    their_events.RealtimeAudio: our_events.RealtimeAudio,
    their_events.RealtimeAudioEnd: our_events.RealtimeAudioEnd,
    their_events.RealtimeAudioInterrupted: our_events.RealtimeAudioInterrupted,
    their_events.RealtimeError: our_events.RealtimeError,
    their_events.RealtimeHistoryUpdated: our_events.RealtimeHistoryUpdated,
    their_events.RealtimeInputAudioTimeoutTriggered: our_events.RealtimeInputAudioTimeoutTriggered,
}
"""
Classes that repeat an event of the model, which has been published (some errors don't), or all
of the history.
"""

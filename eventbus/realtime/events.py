"""
The vocabulary of a session: the events around the model.

Names, fields and their order are those of the openai-agents SDK (``agents.realtime.events``),
with `RealtimeModelRawClientEvent`, `RealtimeModelSkippedEvent` and `RealtimeSessionRestored` beside
them. As in
`eventbus.events`, each class is frozen, and its ``type`` is a constant, so that type checkers
narrow `RealtimeSessionEvent` by ``event.type == "tool_end"`` as well as by `isinstance`.

Six of the classes, `REPEATS`, repeat a model event with the session's context beside it; a
session publishes those, and `RealtimeHistoryUpdated`, which has all of the history, only where a
handler gets them. Four need agents, which only an agent framework has:
`eventbus.realtime.agents` publishes them. Events that no handler takes don't fall back to
`RealtimeModelOtherEvent`: the model events that they are made of have.

`eventbus.codec` knows all of these once this module is imported. A ``type`` like ``audio`` or
``error`` is that of a model event as well, so documents call these ``session.audio``,
``session.error`` and so on. Agents, tools, guardrail results and the application's context are
written as data if they can be, else as their names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias, cast

import attrs

from ..codec import OR_NAME
from ..events import (
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelErrorEvent,
    RealtimeModelEvent,
    RealtimeModelInputAudioTimeoutTriggeredEvent,
    register_event,
)
from ..items import RealtimeItem
from ..wire.openai import RealtimeModelSilenceEvent
from .history import as_history

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "REJECTION",
    "REPEATS",
    "RealtimeAgentEndEvent",
    "RealtimeAgentStartEvent",
    "RealtimeAudio",
    "RealtimeAudioEnd",
    "RealtimeAudioInterrupted",
    "RealtimeError",
    "RealtimeEventInfo",
    "RealtimeGuardrailTripped",
    "RealtimeHandoffEvent",
    "RealtimeHistoryAdded",
    "RealtimeHistoryUpdated",
    "RealtimeInputAudioTimeoutTriggered",
    "RealtimeModelRawClientEvent",
    "RealtimeModelSkippedEvent",
    "RealtimeRawModelEvent",
    "RealtimeSessionEvent",
    "RealtimeSessionRestored",
    "RealtimeToolApprovalRequired",
    "RealtimeToolEnd",
    "RealtimeToolStart",
]


REJECTION: Final = "The call was not approved, and the tool did not run."
"""The output of a call that was rejected, as the model gets it by default."""


class _OfSession:
    """
    The base of the classes below: room for weak references, and no fallback.

    They are made of model events, which have fallen back already if nobody took them.
    """

    __slots__ = ("__weakref__",)

    falls_back: ClassVar[bool] = False


def _as_type(value: object) -> str:
    return f"<{type(value).__qualname__}>"


def _as_count(value: Any) -> str:
    return f"<{len(value)} characters>" if isinstance(value, str) else _as_type(value)


@attrs.frozen
class RealtimeEventInfo:
    """
    The part that all events of a session share.

    Attributes:
        context: The application's own, as it was given to the session; None if none was.
    """

    context: Any = attrs.field(default=None, metadata=OR_NAME, repr=_as_type)


_NO_INFO: Final = RealtimeEventInfo()


class _Repeat(_OfSession):
    """
    The base of `REPEATS`: a journal has of them only the events that they repeat.

    Attributes:
        repeats: The model events that they repeat: a class, or a union.
    """

    __slots__ = ()

    recorded_as: ClassVar[str] = "repeat"
    repeats: ClassVar[Any]

    @classmethod
    def repeating(cls, event: Any, info: RealtimeEventInfo = _NO_INFO) -> Self:
        """Return the event that a session publishes beside the model's *event*."""
        known = {"data": event, "audio": event, "info": info}
        names = [name for name in attrs.fields_dict(cast("Any", cls)) if name != "type"]
        return cls(*(known[name] if name in known else getattr(event, name) for name in names))


# --- agents ----------------------------------------------------------------------------------


@attrs.frozen
class RealtimeAgentStartEvent(_OfSession):
    """
    An agent has begun a turn.

    Attributes:
        agent: The agent framework's object.

    Source:
        openai-agents ``agent_start``.
    """

    agent: Any = attrs.field(metadata=OR_NAME, repr=_as_type)
    info: RealtimeEventInfo
    type: Literal["agent_start"] = "agent_start"


@attrs.frozen
class RealtimeAgentEndEvent(_OfSession):
    """
    An agent has ended its turn.

    Attributes:
        agent: The agent framework's object.

    Source:
        openai-agents ``agent_end``.
    """

    agent: Any = attrs.field(metadata=OR_NAME, repr=_as_type)
    info: RealtimeEventInfo
    type: Literal["agent_end"] = "agent_end"


@attrs.frozen
class RealtimeHandoffEvent(_OfSession):
    """
    An agent has handed the call over to another one.

    Attributes:
        from_agent: The agent framework's object.
        to_agent: The agent framework's object.

    Source:
        openai-agents ``handoff``.
    """

    from_agent: Any = attrs.field(metadata=OR_NAME, repr=_as_type)
    to_agent: Any = attrs.field(metadata=OR_NAME, repr=_as_type)
    info: RealtimeEventInfo
    type: Literal["handoff"] = "handoff"


# --- tools -----------------------------------------------------------------------------------


@attrs.frozen
class RealtimeToolStart(_OfSession):
    """
    A tool that the model has called begins to run; it may wait for approval before.

    Attributes:
        agent: The agent that has the tool; None where there are no agents.
        tool: The `eventbus.realtime.tools.Tool`, or the agent framework's object.
        arguments: The arguments as JSON text, as the model wrote it.

    Source:
        The session; openai-agents ``tool_start``.
    """

    agent: Any = attrs.field(metadata=OR_NAME, repr=_as_type)
    tool: Any = attrs.field(metadata=OR_NAME, repr=_as_type)
    arguments: str = attrs.field(repr=_as_count)
    info: RealtimeEventInfo
    type: Literal["tool_start"] = "tool_start"


@attrs.frozen
class RealtimeToolEnd(_OfSession):
    """
    A tool has ended, well or not.

    Attributes:
        agent: As in `RealtimeToolStart`.
        tool: As in `RealtimeToolStart`.
        arguments: As in `RealtimeToolStart`.
        output: The tool's result; if it failed, the text that the model was given instead.

    Source:
        The session; openai-agents ``tool_end``.
    """

    agent: Any = attrs.field(metadata=OR_NAME, repr=_as_type)
    tool: Any = attrs.field(metadata=OR_NAME, repr=_as_type)
    arguments: str = attrs.field(repr=_as_count)
    output: Any = attrs.field(metadata=OR_NAME, repr=_as_count)
    info: RealtimeEventInfo
    type: Literal["tool_end"] = "tool_end"


class _Answerable(_OfSession):
    """An event that can be answered; the answer is not part of its value."""

    __slots__ = ("_decide",)

    _decide: Callable[[str | None], None]


@attrs.frozen
class RealtimeToolApprovalRequired(_Answerable):
    """
    A tool that the model has called waits for approval; `approve` or `reject` answers.

    Attributes:
        agent: As in `RealtimeToolStart`.
        tool: As in `RealtimeToolStart`.
        call_id: The call's id.
        arguments: As in `RealtimeToolStart`.

    Source:
        The session; openai-agents ``tool_approval_required``.
    """

    agent: Any = attrs.field(metadata=OR_NAME, repr=_as_type)
    tool: Any = attrs.field(metadata=OR_NAME, repr=_as_type)
    call_id: str
    arguments: str = attrs.field(repr=_as_count)
    info: RealtimeEventInfo
    type: Literal["tool_approval_required"] = "tool_approval_required"

    def answered_by(self, decide: Callable[[str | None], None]) -> Self:
        """
        Let *decide* take the answer, and return this event; the session calls it.

        Args:
            decide: Called with None to approve, else with the text that the model gets.
        """
        object.__setattr__(self, "_decide", decide)
        return self

    def approve(self) -> None:
        """
        Let the tool run.

        Raises:
            ValueError: The call doesn't wait any more, or this event comes from a recording.
        """
        self._answer(None)

    def reject(self, message: str = REJECTION) -> None:
        """
        Don't let the tool run.

        Args:
            message: The output that the model gets instead.

        Raises:
            ValueError: The call doesn't wait any more, or this event comes from a recording.
        """
        self._answer(message)

    def _answer(self, rejection: str | None) -> None:
        decide = getattr(self, "_decide", None)
        if decide is None:
            msg = (
                f"No session waits for an answer to the call {self.call_id!r}: the event is from a "
                f"recording, or from openai-agents; answer it there."
            )
            raise ValueError(msg)
        decide(rejection)


# --- repetitions of model events --------------------------------------------------------------


@attrs.frozen
class RealtimeRawModelEvent(_Repeat):
    """
    The model has emitted an event.

    Attributes:
        data: The event, one of `eventbus.events.RealtimeModelEvent`, or silence.

    Source:
        Any event of the model.
    """

    repeats: ClassVar[Any] = RealtimeModelEvent

    data: RealtimeModelEvent | RealtimeModelSilenceEvent = attrs.field(repr=_as_type)
    info: RealtimeEventInfo
    type: Literal["raw_model_event"] = "raw_model_event"


@attrs.frozen
class RealtimeAudioEnd(_Repeat):
    """
    No more audio comes for this part.

    Attributes:
        content_index: Index of the audio part in the item's content.

    Source:
        `eventbus.events.RealtimeModelAudioDoneEvent`.
    """

    repeats: ClassVar[Any] = RealtimeModelAudioDoneEvent

    info: RealtimeEventInfo
    item_id: str
    content_index: int
    type: Literal["audio_end"] = "audio_end"


@attrs.frozen
class RealtimeAudio(_Repeat):
    """
    A piece of the model's speech has come.

    Attributes:
        audio: The event that has it.
        content_index: Index of the audio part in the item's content.

    Source:
        `eventbus.events.RealtimeModelAudioEvent`.
    """

    repeats: ClassVar[Any] = RealtimeModelAudioEvent

    audio: RealtimeModelAudioEvent
    item_id: str
    content_index: int
    info: RealtimeEventInfo
    type: Literal["audio"] = "audio"


@attrs.frozen
class RealtimeAudioInterrupted(_Repeat):
    """
    The model was interrupted in this audio: stop playing it.

    A session publishes it only if audio was cut off that was being heard, or was queued to be.
    The model's event also comes when the user speaks long after the model has finished.

    Attributes:
        content_index: Index of the audio part in the item's content.

    Source:
        `eventbus.events.RealtimeModelAudioInterruptedEvent`.
    """

    repeats: ClassVar[Any] = RealtimeModelAudioInterruptedEvent

    info: RealtimeEventInfo
    item_id: str
    content_index: int
    type: Literal["audio_interrupted"] = "audio_interrupted"


@attrs.frozen
class RealtimeError(_Repeat):
    """
    The service reports an error.

    Not to be confused with `eventbus.events.RealtimeError`, the error itself.

    Attributes:
        error: The error.

    Source:
        `eventbus.events.RealtimeModelErrorEvent`.
    """

    repeats: ClassVar[Any] = RealtimeModelErrorEvent

    error: Any = attrs.field(metadata=OR_NAME)
    info: RealtimeEventInfo
    type: Literal["error"] = "error"


@attrs.frozen
class RealtimeInputAudioTimeoutTriggered(_Repeat):
    """
    The user said nothing for the idle timeout of the turn detection.

    Source:
        `eventbus.events.RealtimeModelInputAudioTimeoutTriggeredEvent`.
    """

    repeats: ClassVar[Any] = RealtimeModelInputAudioTimeoutTriggeredEvent

    info: RealtimeEventInfo
    type: Literal["input_audio_timeout_triggered"] = "input_audio_timeout_triggered"


# --- the history -----------------------------------------------------------------------------


@attrs.frozen
class RealtimeHistoryUpdated(_OfSession):
    """
    An item of the history has changed, has moved, or was deleted.

    Attributes:
        history:
            All items in their order, as they were when it happened. It compares and reads like
            the tuple of them, and takes no time to make: a sentence that is being spoken updates
            the history with every word.

    Source:
        The session; openai-agents ``history_updated``.
    """

    history: Sequence[RealtimeItem] = attrs.field(
        converter=as_history, repr=lambda history: f"<{len(history)} items>"
    )
    info: RealtimeEventInfo
    type: Literal["history_updated"] = "history_updated"


@attrs.frozen
class RealtimeHistoryAdded(_OfSession):
    """
    An item has been added to the history, not always at its end.

    Attributes:
        item: The item as it is now; it will be updated.

    Source:
        The session; openai-agents ``history_added``.
    """

    item: RealtimeItem = attrs.field(repr=lambda item: f"<{type(item).__qualname__}>")
    info: RealtimeEventInfo
    type: Literal["history_added"] = "history_added"


@attrs.frozen
class RealtimeSessionRestored(_OfSession):
    """
    A new session of the service was told the conversation.

    Attributes:
        item_ids: The items that it has now.
        left_out: The items of the history that it doesn't have: over the memory's limits, without
            words, or refused by the service.
        reason: ``connection_lost``, ``renewed`` before the service ended the session, or
            ``fallback`` to another model.

    Source:
        The session.
    """

    item_ids: tuple[str, ...] = attrs.field(converter=tuple[str, ...])
    left_out: tuple[str, ...] = attrs.field(converter=tuple[str, ...])
    reason: Literal["connection_lost", "renewed", "fallback"]
    info: RealtimeEventInfo
    type: Literal["session_restored"] = "session_restored"


# --- the others ------------------------------------------------------------------------------


@attrs.frozen
class RealtimeGuardrailTripped(_OfSession):
    """
    The model has broken a rule of the application, and was interrupted.

    Attributes:
        guardrail_results: The agent framework's objects.
        message: The message that it was about to speak.

    Source:
        openai-agents ``guardrail_tripped``.
    """

    guardrail_results: Sequence[Any] = attrs.field(
        converter=tuple[Any, ...],
        metadata=OR_NAME,
        repr=lambda results: f"<{len(results)} results>",
    )
    message: str = attrs.field(repr=_as_count)
    info: RealtimeEventInfo
    type: Literal["guardrail_tripped"] = "guardrail_tripped"


@attrs.frozen
class RealtimeModelRawClientEvent(_OfSession):
    """
    A message has been sent to the service; the counterpart of `RealtimeModelRawServerEvent`.

    Attributes:
        data: The message in the service's own words, as a read-only mapping; a string or bytes
            if it is no JSON object, which a proxy forwards all the same.

    Source:
        `eventbus.realtime.model.RealtimeModelListener.on_sent`, where that was asked for, and
        the proxy.
    """

    recorded_as: ClassVar[str] = "sent"

    data: Any = attrs.field(hash=False, repr=lambda data: f"<{len(data)} fields>")
    type: Literal["raw_client_event"] = "raw_client_event"


@attrs.frozen
class RealtimeModelSkippedEvent(_OfSession):
    """
    The model has not passed on an event that its decoder made of the present frame.

    So it is with late audio of an answer that was cut off, with an item that a new session was
    told and that the history has, and with the rest of a frame when the model is closed in the
    middle of it. An event that was changed is one, too: the changed one follows, with the ids of
    items that the application knows.

    Attributes:
        event_type: The ``type`` of the event.

    Source:
        The transport.
    """

    event_type: str
    type: Literal["skipped"] = "skipped"


RealtimeSessionEvent: TypeAlias = (
    RealtimeAgentStartEvent
    | RealtimeAgentEndEvent
    | RealtimeHandoffEvent
    | RealtimeToolStart
    | RealtimeToolEnd
    | RealtimeToolApprovalRequired
    | RealtimeRawModelEvent
    | RealtimeAudioEnd
    | RealtimeAudio
    | RealtimeAudioInterrupted
    | RealtimeError
    | RealtimeHistoryUpdated
    | RealtimeHistoryAdded
    | RealtimeGuardrailTripped
    | RealtimeInputAudioTimeoutTriggered
)
"""Every event of a session; those of its model are `eventbus.events.RealtimeModelEvent`."""

REPEATS: Final[tuple[type[Any], ...]] = (
    RealtimeRawModelEvent,
    RealtimeAudio,
    RealtimeAudioEnd,
    RealtimeAudioInterrupted,
    RealtimeError,
    RealtimeInputAudioTimeoutTriggered,
)
"""The classes that repeat an event of the model."""

for _event_type in RealtimeSessionEvent.__args__:
    register_event(_event_type, name=f"session.{attrs.fields_dict(_event_type)['type'].default}")
register_event(RealtimeModelRawClientEvent)
register_event(RealtimeModelSkippedEvent)
register_event(RealtimeSessionRestored)

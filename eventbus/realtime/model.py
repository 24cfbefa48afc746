"""
The interface of a live model, and of its listeners.

Names are those of the openai-agents SDK (``agents.realtime.model``). The differences:

* `RealtimeModel.attach` puts everything that the model emits on a bus.
* A listener that raises is logged and reported; neither the model nor another listener stops.
* `RealtimeModelListener.on_sent` sees the messages to the service.
* A `RealtimeModelNowaitListener` is called, not awaited.
* There is no ``send_event_if``, which guardrails there have use for.
"""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NotRequired, TypedDict

from ..bus import EventBus, Scope, bus_and_sender
from ..events import RealtimeModelAudioInterruptedEvent, RealtimeModelEvent
from ..exceptions import BusClosed
from .inputs import (
    RealtimeModelInputImageContent,
    RealtimeModelInputTextContent,
    RealtimeModelRawClientMessage,
    RealtimeModelSendAudio,
    RealtimeModelSendEvent,
    RealtimeModelSendInterrupt,
    RealtimeModelSendRawMessage,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendToolOutput,
    RealtimeModelSendUserInput,
    RealtimeModelUserInput,
    RealtimeModelUserInputMessage,
)
from .memory import ConversationMemory
from .playback import RealtimePlaybackTracker
from .settings import RealtimeSessionModelSettings, unknown_key, wrong_settings

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = [
    "Attachment",
    "RealtimeModel",
    "RealtimeModelConfig",
    "RealtimeModelInputImageContent",
    "RealtimeModelInputTextContent",
    "RealtimeModelListener",
    "RealtimeModelNowaitListener",
    "RealtimeModelRawClientMessage",
    "RealtimeModelSendAudio",
    "RealtimeModelSendEvent",
    "RealtimeModelSendInterrupt",
    "RealtimeModelSendRawMessage",
    "RealtimeModelSendSessionUpdate",
    "RealtimeModelSendToolOutput",
    "RealtimeModelSendUserInput",
    "RealtimeModelUserInput",
    "RealtimeModelUserInputMessage",
]


class RealtimeModelListener(abc.ABC):
    """A listener to the events of a model."""

    @abc.abstractmethod
    async def on_event(self, event: RealtimeModelEvent) -> None:
        """
        Take *event*.

        The model waits for it before it reads the next frame: a listener hands on, as the one
        of `RealtimeModel.attach` does, and leaves the work to others.
        """

    def on_sent(self, message: Mapping[str, Any]) -> None:  # noqa: B027  # an optional hook
        """
        Take note that *message* was handed to the connection; by default, don't.

        Args:
            message: The message in the service's own words, as a read-only mapping.
        """


class RealtimeModelNowaitListener(RealtimeModelListener):
    """
    A listener that never waits: the model calls it, with no coroutine for each event.

    For listeners that are told of every frame. A model that doesn't know of this class awaits
    `on_event`, which does the same.
    """

    @abc.abstractmethod
    def on_event_nowait(self, event: RealtimeModelEvent) -> None:
        """Take *event*, and return at once."""

    async def on_event(self, event: RealtimeModelEvent) -> None:
        """Take *event*, as `on_event_nowait` does."""
        self.on_event_nowait(event)


class RealtimeModelConfig(TypedDict):
    """
    The options of `RealtimeModel.connect`; all optional.

    Attributes:
        api_key:
            The key, or a function that returns it, which may be async. Without one the model
            looks where its service's clients look: for OpenAI, in ``OPENAI_API_KEY``.
        url: The address, if it is not the service's own: ``wss://…``.
        headers: More headers of the request that opens the connection.
        initial_model_settings: Sent as the first session update.
        playback_tracker: Told by the player which audio was heard. Without one, the estimate is
            that audio plays from its arrival on, as fast as it was spoken.
        call_id: The call to attach to, instead of beginning a new session.
    """

    api_key: NotRequired[str | Callable[[], str | Awaitable[str]]]
    url: NotRequired[str]
    headers: NotRequired[Mapping[str, str]]
    initial_model_settings: NotRequired[RealtimeSessionModelSettings]
    playback_tracker: NotRequired[RealtimePlaybackTracker]
    call_id: NotRequired[str]


_OPTION_TYPES: Final[Mapping[str, tuple[type[Any], str]]] = {
    "url": (str, "an address like 'wss://host/v1/realtime'"),
    "headers": (Mapping, "a mapping of names to values"),
    "call_id": (str, "the id of a call"),
}


def wrong_config(config: object) -> str | None:
    """Return the problem with the options of a connection; None if there is none."""
    problem = unknown_key(config, RealtimeModelConfig, "config")
    if problem or not isinstance(config, Mapping):
        return problem
    key = config.get("api_key")
    if not (key is None or isinstance(key, str) or callable(key)):
        return f"config['api_key'] is a string or a function, not {type(key).__qualname__}."
    for name, (kind, expected) in _OPTION_TYPES.items():
        value = config.get(name)
        if value is not None and not isinstance(value, kind):
            return f"config[{name!r}] is {expected}, not {type(value).__qualname__}."
    return wrong_settings(config.get("initial_model_settings") or {})


class RealtimeModel(abc.ABC):
    """A live session with a model: events out, requests in."""

    @abc.abstractmethod
    async def connect(self, options: RealtimeModelConfig) -> None:
        """
        Open the connection, and keep it open until `close`; return once it is open.

        Raises:
            RealtimeConnectionError: It can't be opened.
        """

    @abc.abstractmethod
    def add_listener(self, listener: RealtimeModelListener) -> None:
        """Let *listener* have the events from the next one on; twice is once."""

    @abc.abstractmethod
    def remove_listener(self, listener: RealtimeModelListener) -> None:
        """Let *listener* have no more events; one that has none already is fine."""

    @abc.abstractmethod
    async def send_event(self, event: RealtimeModelSendEvent) -> None:
        """
        Send *event*; return when it has been handed to the connection, or waits its turn.

        Raises:
            ModelNotConnected: There is no connection.
        """

    @abc.abstractmethod
    async def close(self) -> None:
        """Close the connection, if there is one."""

    @property
    def sequences_tool_outputs(self) -> bool:
        """
        Whether the model itself decides when the service goes on after tool calls.

        It is given each output at once then. Otherwise `RealtimeSession` sends the last output of
        a response when that is over, and asks for the next one with it.
        """
        return False

    def use_memory(self, memory: ConversationMemory | None) -> None:  # noqa: B027
        """
        Tell each new session of the service the conversation that *memory* recalls.

        `RealtimeSession` calls it before `connect`. A model that can't do it ignores it.
        """

    def has_cut_off(self, event: RealtimeModelAudioInterruptedEvent) -> bool:  # noqa: ARG002
        """
        Return whether the interruption that *event* reports cut off audio.

        A service may report an interruption when all of the model's speech was heard long ago.
        Asked while the event is emitted; True for a model that doesn't know.
        """
        return True

    async def cut_off(self) -> None:  # noqa: B027
        """
        Cut off the speech that was not heard so far: another model speaks from now on.

        `RealtimeSession` calls it before it closes a model for another one, also when the
        connection is lost. A model that can't do it ignores it.
        """

    def attach(self, bus: EventBus | Scope, *, sender: Any = None) -> Attachment:
        """
        Publish on *bus* everything that the model emits from now on, until the bus is closed.

        Args:
            bus: The bus, or a scope of it, which has the sender, too.
            sender: The session that the events belong to, as for `EventBus.publish`.

        Returns:
            The attachment, whose ``detach`` or context ends it.

        Raises:
            TypeError: *bus* is neither a bus nor a scope, or a scope has another sender.
        """
        return Attachment(self, *bus_and_sender(bus, "attach() publishes on", sender))


class Attachment:
    """
    A model's events on a bus; `RealtimeModel.attach` makes it.

    Attributes:
        model: The model that emits the events.
        bus: Where they are published.
        sender: The sender that they have there.
    """

    def __init__(self, model: RealtimeModel, bus: EventBus, sender: Any) -> None:
        self.model = model
        self.bus = bus
        self.sender = sender
        self._listener = _Publisher(self)
        model.add_listener(self._listener)

    def detach(self) -> None:
        """Publish nothing more; again is fine."""
        self.model.remove_listener(self._listener)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.detach()


class _Publisher(RealtimeModelNowaitListener):
    """Publishes the events of the model, until the bus is closed."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self._publish = attachment.bus.publish
        self._sender = attachment.sender

    def on_event_nowait(self, event: RealtimeModelEvent) -> None:
        try:
            self._publish(event, sender=self._sender)
        except BusClosed:
            # Nobody can hear it any more, and that is how many programs end.
            self._attachment.detach()

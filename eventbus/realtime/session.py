"""
A session with a model on a bus: the history is kept, tools run, and all of it is events.

::

    session = RealtimeSession(model, bus, sender="call-42")

    @session.tool
    async def weather(city: str) -> str:
        \"\"\"Return the weather of a city.\"\"\"
        ...

    async with bus, session:
        await session.send_message("What is the weather in Oslo?")
        await session.wait_closed()

What is published, all of it with the session's sender, in this order for each event of the model:

* the event itself;
* what `eventbus.realtime.events` has to say the same, with the context beside it, where somebody
  gets that (`EventBus.has_handlers`);
* each change of the history: `RealtimeHistoryAdded` always, and `RealtimeHistoryUpdated`, which
  has all of the history, where somebody gets that;
* what becomes of tool calls, always; see `eventbus.realtime._tool_calls`.

Nothing here waits for a handler, and the model waits for nothing here but sync handlers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

import anyio

from ..bus import EventBus
from ..events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from ..exceptions import BusClosed, BusNotRunning, EventBusError, MailboxFull
from ..wire._frames import freeze
from ._tool_calls import REJECTION, FormatError, ToolRuns, tool_error_text
from .events import (
    REPEATS,
    RealtimeEventInfo,
    RealtimeHistoryAdded,
    RealtimeHistoryUpdated,
    RealtimeModelRawClientEvent,
    RealtimeRawModelEvent,
)
from .history import History, HistoryChange
from .inputs import (
    RealtimeModelSendAudio,
    RealtimeModelSendInterrupt,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendUserInput,
    RealtimeModelUserInput,
)
from .model import RealtimeModel, RealtimeModelConfig, RealtimeModelListener
from .settings import RealtimeSessionModelSettings
from .tools import NeedsApproval, Tool, ToolContext
from .tools import tool as make_tool

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

__all__ = ["RealtimeSession"]

_CLOSE_TIMEOUT: Final = 10.0
"""Seconds that a model gets to close, even if the session was cancelled."""

_logger = logging.getLogger(__name__)

_F = TypeVar("_F", bound=Callable[..., Any])


class RealtimeSession:
    """
    One session with a model; it is entered once.

    It connects when it is entered, and closes when it is left. The bus is not the session's: it
    must run already, and so is entered first.

    Args:
        model: The model; no other session has it.
        bus: Where everything is published.
        sender: The sender of the session's events, as for `EventBus.publish`.
        tools: What the model may call: functions, or what `eventbus.realtime.tools.tool` made
            of them. More can be added with `tool`.
        config: How to connect.
        settings: The session's settings; they go before the initial ones in *config*.
        context: The application's own: tools and session events carry it.
        format_error: Makes what the model is told of a tool's failure; by default that the tool
            failed, and nothing of the exception.
        max_threads: How many sync tools run at the same time.
        publish_sent: Whether messages to the service are published, too, as
            `RealtimeModelRawClientEvent`.

    Attributes:
        model: As given.
        bus: As given.
        sender: As given.
        context: As given.
        history: The items of the conversation.

    Raises:
        ToolDefinitionError: A function can't be a tool, or two have the same name.
    """

    def __init__(
        self,
        model: RealtimeModel,
        bus: EventBus,
        *,
        sender: Any = None,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        config: RealtimeModelConfig | None = None,
        settings: RealtimeSessionModelSettings | None = None,
        context: Any = None,
        format_error: FormatError = tool_error_text,
        max_threads: int = 8,
        publish_sent: bool = False,
    ) -> None:
        self.model = model
        self.bus = bus
        self.sender = sender
        self.context = context
        self.history = History()
        self._config: RealtimeModelConfig = config or {}
        self._settings = cast(
            "RealtimeSessionModelSettings",
            {**self._config.get("initial_model_settings", {}), **(settings or {})},
        )
        self._info = RealtimeEventInfo(context)
        self._publisher = SessionPublisher(bus, sender)
        self._publish = self._publisher.publish
        self._listener = _Listener(self, publish_sent=publish_sent)
        self._runs = ToolRuns(
            send=model.send_event,
            publish=self._publish,
            on_output=self._note_output,
            context=lambda call_id, name: ToolContext(self, call_id, name, context),
            info=self._info,
            sender=sender,
            format_error=format_error,
            max_threads=max_threads,
        )
        self._runs.add(each if isinstance(each, Tool) else make_tool(each) for each in tools)
        self._group: TaskGroup | None = None
        self._ended: anyio.Event | None = None
        self._is_announcing = False

    # --- tools ------------------------------------------------------------------------------

    @overload
    def tool(self, function: _F, /) -> _F: ...
    @overload
    def tool(
        self,
        function: None = None,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        timeout: float | None = None,
        needs_approval: NeedsApproval = False,
    ) -> Callable[[_F], _F]: ...
    def tool(self, function: Any = None, /, **options: Any) -> Any:
        """
        Let the model call the decorated function, and return it as it is.

        Options are those of `eventbus.realtime.tools.tool`. If the session is connected already,
        the model is told in a session update.

        Args:
            function: As for `eventbus.realtime.tools.tool`, or what that returned.

        Raises:
            ToolDefinitionError: The function can't be a tool, or there is one of that name.
        """
        if function is None:
            return lambda given: self.tool(given, **options)
        is_made = isinstance(function, Tool) and not options
        self._runs.add([function if is_made else make_tool(**options)(function)])
        if self._group is not None and not self._is_announcing:
            self._is_announcing = True  # several at once make one update
            self._group.start_soon(self._announce_tools)
        return function

    async def approve_tool_call(self, call_id: str) -> None:
        """
        Let a tool run that waits for approval; see `RealtimeToolApprovalRequired`.

        Raises:
            ValueError: The call doesn't wait, or not any more.
        """
        self._runs.decide(call_id, None)

    async def reject_tool_call(self, call_id: str, *, message: str = REJECTION) -> None:
        """
        Don't let a tool run that waits for approval.

        Args:
            call_id: The call.
            message: What the model gets as the output.

        Raises:
            ValueError: The call doesn't wait, or not any more.
        """
        self._runs.decide(call_id, message)

    async def _announce_tools(self) -> None:
        self._is_announcing = False
        try:
            await self.update_settings({"tools": self._settings.get("tools", ())})
        except Exception as exc:  # noqa: BLE001  # the model's, and it is reported
            context = "telling the model of another tool"
            self._publish(RealtimeModelExceptionEvent(exc, context, sender=self.sender))

    # --- what goes to the model -------------------------------------------------------------

    async def send_audio(self, audio: bytes, *, commit: bool = False) -> None:
        """
        Append *audio* to what the user says.

        Args:
            audio: In the session's input format, in whole samples.
            commit: Whether the user's turn ends with it, where the service doesn't find that out.

        Raises:
            ModelNotConnected: There is no connection.
        """
        await self.model.send_event(RealtimeModelSendAudio(audio, commit))

    async def send_message(self, message: RealtimeModelUserInput) -> None:
        """
        Add what the user has written or shown to the conversation, and ask for a response.

        Raises:
            ModelNotConnected: There is no connection.
        """
        await self.model.send_event(RealtimeModelSendUserInput(message))

    async def interrupt(self) -> None:
        """
        Stop the model: what is being heard is cut off there, and the response is cancelled.

        Raises:
            ModelNotConnected: There is no connection.
        """
        # Nobody has spoken, so the service doesn't cancel it by itself, however it is set.
        await self.model.send_event(RealtimeModelSendInterrupt(force_response_cancel=True))

    async def update_settings(self, settings: RealtimeSessionModelSettings) -> None:
        """
        Change the session's settings; what isn't given stays as it is.

        Args:
            settings: With ``tools``, these and the session's own are all there are.

        Raises:
            ModelNotConnected: There is no connection.
        """
        self._settings = cast("RealtimeSessionModelSettings", {**self._settings, **settings})
        if "tools" in settings:
            settings = self._with_tools(settings)
        await self.model.send_event(RealtimeModelSendSessionUpdate(settings))

    def _with_tools(self, settings: RealtimeSessionModelSettings) -> RealtimeSessionModelSettings:
        tools = [*settings.get("tools", ()), *self._runs.settings()]
        return cast(
            "RealtimeSessionModelSettings", {**settings, **({"tools": tools} if tools else {})}
        )

    # --- beginning and end ------------------------------------------------------------------

    @property
    def config(self) -> RealtimeModelConfig:
        """How the session connects, with its settings as they are now; a copy."""
        return cast(
            "RealtimeModelConfig", {**self._config, "initial_model_settings": {**self._settings}}
        )

    def update_config(self, config: RealtimeModelConfig) -> None:
        """
        Change how the session connects, before it is entered; the rest stays as it is.

        A program that is handed a session uses it to connect to another service, for example.

        Raises:
            EventBusError: The session was entered already.
        """
        if self._ended is not None:
            msg = "The session was entered already; change its config before that."
            raise EventBusError(msg)
        self._config = cast("RealtimeModelConfig", {**self._config, **config})
        settings = config.get("initial_model_settings", {})
        self._settings = cast("RealtimeSessionModelSettings", {**self._settings, **settings})

    async def wait_closed(self) -> None:
        """
        Wait until the session is over: it was closed, or the connection has ended for good.

        Raises:
            EventBusError: The session wasn't entered.
        """
        await self._check_entered().wait()

    async def close(self) -> None:
        """
        Cancel the tools that run, and close the connection; again is fine.

        A tool may call it, to hang up; it is cancelled then, like the others.

        Raises:
            EventBusError: The session wasn't entered.
        """
        self._end()
        await self._disconnect()

    async def __aenter__(self) -> Self:
        """
        Connect.

        Raises:
            BusNotRunning: The bus doesn't run.
            EventBusError: The session was entered before.
            RealtimeConnectionError: The connection can't be opened.
        """
        if self._ended is not None:
            msg = "A session is entered once; make another one, with a model of its own."
            raise EventBusError(msg)
        if not self.bus.is_running:
            msg = "The session's bus isn't running; enter it first: async with bus, session."
            raise BusNotRunning(msg)
        self._ended = anyio.Event()
        group = anyio.create_task_group()
        await group.__aenter__()
        self._group = group
        self.model.add_listener(self._listener)
        settings = self._with_tools(self._settings)
        config = self._config
        if settings:
            config = cast("RealtimeModelConfig", {**config, "initial_model_settings": settings})
        try:
            await self.model.connect(config)
        except BaseException:
            await self._leave(group)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._group is not None
        await self._leave(self._group)

    async def _leave(self, group: TaskGroup) -> None:
        self._end()
        self._group = None
        group.cancel_scope.cancel()
        try:
            # Not the body's exception: a group would wrap it.
            await group.__aexit__(None, None, None)
        except BaseExceptionGroup as errors:  # a tool wants to end the program
            raise errors.exceptions[0] if len(errors.exceptions) == 1 else errors from None
        finally:
            await self._disconnect()
            self.model.remove_listener(self._listener)

    async def _disconnect(self) -> None:
        # Shielded: who closes may be cancelled, as a tool that hangs up is by that.
        with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            await self.model.close()

    def _check_entered(self) -> anyio.Event:
        """Return what is set when the session is over."""
        if self._ended is None:
            msg = "The session hasn't begun; enter it first: async with bus, session."
            raise EventBusError(msg)
        return self._ended

    def _end(self) -> None:
        self._check_entered().set()
        self._runs.stop()

    # --- what comes from the model ----------------------------------------------------------

    def take(self, event: RealtimeModelEvent) -> None:
        """Publish *event*, and do what it asks for; the session's listener calls it."""
        try:  # a strict bus raises what handlers raise, and the session does its work all the same
            self._publish(event)
        finally:
            try:
                self._repeat(event)
            finally:
                try:
                    self._keep(event)
                finally:
                    self._follow(event)

    def _repeat(self, event: RealtimeModelEvent) -> None:
        self._mirror(RealtimeRawModelEvent, event)
        if type(event) in _MIRRORS:
            self._mirror(_MIRRORS[type(event)], event)

    def _keep(self, event: RealtimeModelEvent) -> None:
        change = self.history.apply(event)
        if change is not None:
            self._publish_change(change)

    def _follow(self, event: RealtimeModelEvent) -> None:
        match event:
            case RealtimeModelToolCallEvent() if self._group is not None:
                self._runs.call(self._group, event)
            case RealtimeModelTurnStartedEvent():
                self._runs.turn_started()
            case RealtimeModelTurnEndedEvent():
                self._runs.turn_ended()
            case RealtimeModelConnectionStatusEvent(status="disconnected"):
                self._runs.turn_ended()  # nobody will tell any more
            case RealtimeModelEndOfStreamEvent():
                self._end()
            case _:
                pass

    def _mirror(self, event_type: type[Any], event: Any) -> None:
        if self._publisher.is_wanted(event_type):
            self._publish(event_type.repeating(event, self._info))

    def _publish_change(self, change: HistoryChange) -> None:
        if change.kind == "added":
            self._publish(RealtimeHistoryAdded(change.item, self._info))
        is_update = change.kind != "added" or change.moved
        if is_update and self._publisher.is_wanted(RealtimeHistoryUpdated):
            self._publish(RealtimeHistoryUpdated(self.history.snapshot(), self._info))

    def _note_output(self, call_id: str, output: str) -> None:
        change = self.history.set_output(call_id, output)
        if change is not None:
            self._publish_change(change)

    def publish_sent(self, message: Mapping[str, Any]) -> None:
        """Publish a message to the service; the session's listener calls it, if it is to."""
        self._publish(RealtimeModelRawClientEvent(freeze(dict(message))))


class SessionPublisher:
    """
    Publishes the events of one session.

    Args:
        bus: The bus.
        sender: The sender of the session's events.
    """

    def __init__(self, bus: EventBus, sender: Any) -> None:
        self._bus = bus
        self._sender = sender
        self._is_unheard = False
        self._full: set[int] = set()

    def publish(self, event: object) -> None:
        """
        Publish *event*.

        A session can't help a bus that doesn't run, which is logged once, or a full mailbox with
        `Overflow.RAISE`, which is published once for each handler.

        Raises:
            Exception: The bus is strict, and a handler has raised it.
        """
        try:
            self._bus.publish(event, self._sender)
        except MailboxFull as exc:
            self._tell_full(exc, event)
        except (BusClosed, BusNotRunning) as exc:
            if not self._is_unheard:
                self._is_unheard = True
                _logger.warning("a session goes on, and its bus doesn't run", exc_info=exc)

    def is_wanted(self, event_type: type[Any]) -> bool:
        """Return whether a handler gets the session's events of that class."""
        return self._bus.has_handlers(event_type, sender=self._sender)

    def _tell_full(self, exc: MailboxFull, event: object) -> None:
        handler = exc.handler
        if id(handler) in self._full:
            return
        self._full.add(id(handler))
        self.publish(
            RealtimeModelExceptionEvent(
                exc, "a mailbox is full", event=event, handler=handler, sender=self._sender
            )
        )


class _Listener(RealtimeModelListener):
    """What the model knows of a session."""

    def __init__(self, session: RealtimeSession, *, publish_sent: bool) -> None:
        self._session = session
        self._publish_sent = publish_sent

    async def on_event(self, event: RealtimeModelEvent) -> None:
        self._session.take(event)

    def on_sent(self, message: Mapping[str, Any]) -> None:
        if self._publish_sent:
            self._session.publish_sent(message)


_MIRRORS: Final[Mapping[type[Any], type[Any]]] = {
    cls.repeats: cls for cls in REPEATS if cls is not RealtimeRawModelEvent
}

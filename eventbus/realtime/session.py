"""
A session with a model on a bus: it keeps the history, runs tools, and publishes all of it.

::

    session = RealtimeSession(model, bus, sender="call-42")

    @session.tool
    async def weather(city: str) -> str:
        \"\"\"Return the weather of a city.\"\"\"
        ...

    async with bus, session:
        await session.send_message("What is the weather in Oslo?")
        await session.wait_closed()

For each event of the model these are published, in this order, with the session's sender:

* the event itself;
* its repetition with the context beside it (`eventbus.realtime.events.REPEATS`), if a handler
  gets that (`EventBus.has_handlers`);
* each change of the history: `RealtimeHistoryAdded` always, and `RealtimeHistoryUpdated`, which
  has all of the history, if a handler gets that;
* the events of tool calls, always.

Nothing here waits for a handler, and the model waits for nothing here but sync handlers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, get_args, overload

import anyio
import attrs

from .._event_base import mark_of
from .._fast_init import constructor
from ..bus import EventBus, Scope, bus_and_sender
from ..events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioCommittedEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from ..exceptions import (
    BusClosed,
    BusNotRunning,
    EventBusError,
    MailboxFull,
)
from ..wire._frames import Frame, freeze
from ._secrets import withhold_keys
from ._succession import Succession
from ._tool_calls import FormatError, ToolCalls, ToolCounts, tool_error_text
from .events import (
    REJECTION,
    REPEATS,
    RealtimeAudioInterrupted,
    RealtimeEventInfo,
    RealtimeHistoryAdded,
    RealtimeHistoryUpdated,
    RealtimeModelRawClientEvent,
    RealtimeModelSkippedEvent,
    RealtimeRawModelEvent,
    RealtimeSessionRestored,
)
from .history import History, HistoryChange
from .inputs import (
    RealtimeModelSendAudio,
    RealtimeModelSendInterrupt,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendToolOutput,
    RealtimeModelUserInput,
)
from .memory import Memory, Recall, Recollection, Restored
from .model import RealtimeModel, RealtimeModelConfig, RealtimeModelListener, wrong_config
from .settings import RealtimeSessionModelSettings, check_settings, wrong_settings
from .tools import NeedsApproval, Tool, ToolContext, check_callable
from .tools import tool as make_tool

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

__all__ = ["RealtimeSession", "SessionTools"]

_CLOSE_TIMEOUT: Final = 10.0
"""Seconds that a model gets to close, even if the session was cancelled."""

_logger = logging.getLogger(__name__)

_new_send_audio: Final = constructor(RealtimeModelSendAudio)

_F = TypeVar("_F", bound=Callable[..., Any])


class SessionTools:
    """The tools of a session; `RealtimeSession.tools` returns it."""

    __slots__ = ("_session",)

    def __init__(self, session: RealtimeSession) -> None:
        self._session = session

    def add(self, *tools: Tool | Callable[..., Any]) -> None:
        """
        Let the model call *tools*, as `RealtimeSession.tool` does.

        Args:
            tools: Functions, or tools like those of `eventbus.bridges.nats.NatsBridge.remote`.

        Raises:
            ToolDefinitionError: A function can't be a tool, or there is one of that name.
        """
        for each in tools:
            self._session.tool(each)


class RealtimeSession:
    """
    One session with a model; it is entered once.

    It connects when it is entered, and closes when it is left. The bus is not the session's: it
    must run already, and so is entered first.

    A call may outlive a session of the service: after a lost connection, and before the service's
    time limit, there is a new one, which is told the conversation (`eventbus.realtime.memory`).

    Args:
        model: The model; no other session has it.
        bus: The bus, or a scope of it, which has the sender, too.
        models: Models instead of *model*: the first one is connected. If it can't be, or fails
            for good, the next one takes the call over.
        sender: The sender of the session's events, as for `EventBus.publish`.
        tools: Tools that the model may call: functions, or `eventbus.realtime.tools.Tool`
            objects. More can be added with `tool`.
        config: The options of the connection; with *models*, also a list with one for each.
        settings: The session's settings; they go before the initial ones in *config*.
        context: The application's own: tools and session events carry it.
        format_error: Makes the text that the model gets when a tool has failed; by default it
            has nothing of the exception.
        max_threads: The number of sync tools that run at the same time.
        memory: The part of the conversation that a new session of the service is told: a
            `eventbus.realtime.memory.Memory`, a function of the history, or None for nothing.
        publish_sent: Whether messages to the service are published, too, as
            `RealtimeModelRawClientEvent`.

    Attributes:
        model: The present model.
        bus: The bus.
        sender: The sender of the session's events.
        context: As given.
        history: The items of the conversation, a sequence.

    Raises:
        ToolDefinitionError: A function can't be a tool, or two have the same name.
        TypeError: Not exactly one of *model* and *models* is given, or an argument is of another
            type: a model, a bus, a list of tools, a function.
        ValueError: *config* or *settings* has an unknown key, or is no mapping, or *max_threads*
            isn't above 0.
    """

    def __init__(
        self,
        model: RealtimeModel | None = None,
        bus: EventBus | Scope | None = None,
        *,
        models: Sequence[RealtimeModel] | None = None,
        sender: Any = None,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        config: RealtimeModelConfig | Sequence[RealtimeModelConfig] | None = None,
        settings: RealtimeSessionModelSettings | None = None,
        context: Any = None,
        format_error: FormatError = tool_error_text,
        max_threads: int = 8,
        memory: Memory | Recall | None = Memory(),  # noqa: B008  # it is frozen
        publish_sent: bool = False,
    ) -> None:
        problem = _wrong_config(config) or wrong_settings(settings or {})
        self._configs = [] if problem else [withhold_keys(each) for each in _as_list(config)]
        del config  # a traceback may be shown with the variables of its frames
        if problem is not None:
            raise ValueError(problem)
        given = _models_of(model, models)
        if len(self._configs) == 1:
            self._configs *= len(given)
        if len(self._configs) != len(given):
            msg = f"There are {len(given)} models; give one config, or one for each."
            raise ValueError(msg)
        self.bus, self.sender = bus_and_sender(bus, "RealtimeSession publishes on", sender)
        _check_tools(tools)
        if not isinstance(max_threads, int) or isinstance(max_threads, bool) or max_threads < 1:
            msg = f"max_threads= is a whole number from 1 on, not {max_threads!r}."
            raise ValueError(msg)
        self.context = context
        self.history = History()
        self._settings = cast(
            "RealtimeSessionModelSettings",
            {**self._configs[0].get("initial_model_settings", {}), **(settings or {})},
        )
        self._own_settings = settings or {}
        self._info = RealtimeEventInfo(context)
        self._publisher = SessionPublisher(self.bus, self.sender)
        self._publish = self._publisher.publish
        self._listener = (_SentListener if publish_sent else _Listener)(self)
        kept = Memory.of(memory)
        recalled = None if kept is None else _SessionMemory(self, kept)
        self._models = Succession(given, self, self._listener, recalled)
        self._calls = ToolCalls(
            send=self._send_output,
            publish=self._publish,
            on_output=self._note_output,
            context=lambda call_id, name: ToolContext(self, call_id, name, context),
            info=self._info,
            sender=self.sender,
            format_error=check_callable(format_error, "format_error=", "name", ValueError()),
            max_threads=max_threads,
        )
        self._calls.add(each if isinstance(each, Tool) else make_tool(each) for each in tools)
        self._group: TaskGroup | None = None
        self._ended: anyio.Event | None = None
        self._is_announcing = False
        self._raw: RealtimeModelRawServerEvent | None = None

    @property
    def model(self) -> RealtimeModel:
        """The present model."""
        return self._models.present

    @property
    def tool_counts(self) -> ToolCounts:
        """The number of tool calls so far: all, failures, timeouts and rejections."""
        return self._calls.counts

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
        a session update announces the tool.

        Args:
            function: As for `eventbus.realtime.tools.tool`, or its result.

        Raises:
            ToolDefinitionError: The function can't be a tool, or there is one of that name.
        """
        if function is None:
            return lambda given: self.tool(given, **options)
        is_made = isinstance(function, Tool) and not options
        self._calls.add([function if is_made else make_tool(**options)(function)])
        if self._group is not None and not self._is_announcing:
            self._is_announcing = True  # several at once make one update
            self._group.start_soon(self._announce_tools)
        return function

    @property
    def tools(self) -> SessionTools:
        """The tools that the model may call, to add more of them."""
        return SessionTools(self)

    async def approve_tool_call(self, call_id: str) -> None:
        """
        Let a tool run that waits for approval; `RealtimeToolApprovalRequired.approve` does, too.

        Raises:
            ValueError: The call doesn't wait, or not any more.
        """
        self._calls.decide(call_id, None)

    async def reject_tool_call(self, call_id: str, *, message: str = REJECTION) -> None:
        """
        Don't let a tool run that waits for approval.

        Args:
            call_id: The call.
            message: The output that the model gets.

        Raises:
            TypeError: *message* is not a text.
            ValueError: The call doesn't wait, or not any more.
        """
        if not isinstance(message, str):
            msg = f"message= is the text that the model gets, not {message!r}."
            raise TypeError(msg)
        self._calls.decide(call_id, message)

    async def _announce_tools(self) -> None:
        self._is_announcing = False
        try:
            await self.update_settings({"tools": self._settings.get("tools", ())})
        except Exception as exc:  # noqa: BLE001  # the model's, and it is reported
            context = "announcing a tool to the model"
            self._publish(RealtimeModelExceptionEvent(exc, context, sender=self.sender))

    # --- requests to the model -------------------------------------------------------------

    async def send_audio(self, audio: bytes, *, commit: bool = False) -> None:
        """
        Append *audio* to the user's speech.

        Args:
            audio: In the session's input format, in whole samples.
            commit: Whether the user's turn ends with it, where the service doesn't detect that.

        Raises:
            AudioFormatError: It ends with half a sample.
            ModelNotConnected: There is no connection.
            TypeError: *audio* is not bytes.
        """
        models = self._models
        model = await models.ready() if models.is_replacing else models.present
        await model.send_event(_new_send_audio(audio, commit))

    async def send_message(self, message: RealtimeModelUserInput) -> None:
        """
        Add a message of the user to the conversation, and ask for a response.

        Raises:
            ModelNotConnected: There is no connection.
            TypeError: *message* is neither a text nor a message.
        """
        await self._models.send_message(message)

    async def interrupt(self) -> None:
        """
        Stop the model: its speech is cut off where it is heard, and the response is cancelled.

        Raises:
            ModelNotConnected: There is no connection.
        """
        # Nobody has spoken, so the service doesn't cancel it by itself, however it is set.
        interrupt = RealtimeModelSendInterrupt(force_response_cancel=True)
        await (await self._models.ready()).send_event(interrupt)

    async def update_settings(self, settings: RealtimeSessionModelSettings) -> None:
        """
        Change the session's settings; a setting that isn't given stays as it is.

        Args:
            settings: With ``tools``, these and the session's own are all there are.

        Raises:
            ModelNotConnected: There is no connection.
            ValueError: A setting is unknown.
        """
        check_settings(settings)
        self._settings = cast("RealtimeSessionModelSettings", {**self._settings, **settings})
        if "tools" in settings:
            settings = self._with_tools(settings)
        update = RealtimeModelSendSessionUpdate(settings)
        await (await self._models.ready()).send_event(update)

    def _with_tools(self, settings: RealtimeSessionModelSettings) -> RealtimeSessionModelSettings:
        tools = [*settings.get("tools", ()), *self._calls.settings()]
        return cast(
            "RealtimeSessionModelSettings", {**settings, **({"tools": tools} if tools else {})}
        )

    # --- beginning and end ------------------------------------------------------------------

    @property
    def config(self) -> RealtimeModelConfig:
        """The options of the connection, with the present settings; a copy."""
        return cast(
            "RealtimeModelConfig",
            {**self._configs[self._models.place], "initial_model_settings": {**self._settings}},
        )

    def update_config(self, config: RealtimeModelConfig) -> None:
        """
        Change options of the connection, before the session is entered.

        With several models it holds for each.

        A program that is handed a session uses it to connect to another service, for example.

        Raises:
            EventBusError: The session was entered already.
            ValueError: An option or a setting is unknown.
        """
        if self._ended is not None:
            msg = "The session was entered already; change its config before that."
            raise EventBusError(msg)
        problem = wrong_config(config)
        if problem is None:
            given = withhold_keys(config)
            settings = config.get("initial_model_settings") or {}
            self._configs = [cast("RealtimeModelConfig", {**own, **given}) for own in self._configs]
            self._settings = cast("RealtimeSessionModelSettings", {**self._settings, **settings})
        del config  # a traceback may be shown with the variables of its frames
        if problem is not None:
            raise ValueError(problem)

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
        try:
            await self._models.connect()
        except BaseException:
            await self._leave(group)
            raise
        return self

    def config_of(self, place: int) -> RealtimeModelConfig:
        """Return the options to connect a model with, by its place."""
        given = self._configs[place]
        own: Any = given.get("initial_model_settings") or {}
        if place:
            settings: Any = {**self._settings, **own, **self._own_settings}
        else:
            settings = self._settings
        settings = self._with_tools(settings)
        changes: Any = {"initial_model_settings": settings} if settings else {}
        return cast("RealtimeModelConfig", {**given, **changes})

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._group is not None
        await self._leave(self._group)

    async def _leave(self, group: TaskGroup) -> None:
        # Each step runs, whichever fails; the first failure is raised.
        failures: list[BaseException] = []
        try:
            self._end()
            self._group = None
            group.cancel_scope.cancel()
            # Not the body's exception: a group would wrap it.
            await group.__aexit__(None, None, None)
        except BaseException as exc:  # noqa: BLE001  # raised again
            failures.append(exc)
            if isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
                failures[0] = exc.exceptions[0]  # a tool wants to end the program
        try:
            await self._disconnect()
        except BaseException as exc:  # noqa: BLE001  # raised again
            failures.append(exc)
        try:
            self.model.remove_listener(self._listener)
        except BaseException as exc:  # noqa: BLE001  # raised again
            failures.append(exc)
        if failures:
            try:
                raise failures[0]
            finally:
                failures.clear()  # no reference cycle through this frame

    async def _disconnect(self) -> None:
        # Shielded: the caller may be cancelled, as a tool that hangs up is by that.
        with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            await self.model.close()

    def _check_entered(self) -> anyio.Event:
        """Return the event that is set when the session is over."""
        if self._ended is None:
            msg = "The session hasn't begun; enter it first: async with bus, session."
            raise EventBusError(msg)
        return self._ended

    def _end(self) -> None:
        self._check_entered().set()
        self._calls.stop()

    # --- events of the model ----------------------------------------------------------

    def take(self, event: RealtimeModelEvent | RealtimeModelSkippedEvent) -> None:
        """Publish *event*, and follow it; the session's listener calls it."""
        if isinstance(event, RealtimeModelSkippedEvent):  # there is nothing to follow
            self._publish(event)
            return
        if self._models.hides(event):
            return
        try:  # a strict bus raises a handler's exception, and the session goes on all the same
            self._publish(event)
        finally:
            self._go_on(event)

    def takes_frames(self) -> bool:
        """Return whether `take_frame` may be called: nothing sees the raw event of a frame."""
        return self._publisher.may_publish_frame()

    def take_frame(self, raw: RealtimeModelRawServerEvent, event: RealtimeModelEvent) -> bool:
        """
        Take the raw event of a frame and the only other one in one step, as `take` takes both.

        Returns:
            False if that can't be; then it has done nothing.
        """
        if not self._models.passes(event):
            return False
        is_published = True
        try:
            is_published = self._publisher.publish_frame(raw, event)
        finally:
            if is_published:
                self._raw = raw
                self._go_on(event)
        return is_published

    def _go_on(self, event: RealtimeModelEvent) -> None:
        """Do all that follows from *event*, which was published."""
        event_type = type(event)
        try:
            if self._publisher.wants_repetition(event_type):
                self._repeat(event)
        finally:
            try:
                change = self.history.apply(event)
                if change is not None:
                    self._publish_change(change)
            finally:
                if event_type not in _WITHOUT_CONSEQUENCES:
                    self._follow(event)

    def _repeat(self, event: RealtimeModelEvent) -> None:
        self._mirror(RealtimeRawModelEvent, event)
        mirror = _MIRRORS.get(type(event))
        if mirror is None or (mirror is RealtimeAudioInterrupted and not self._was_cut_off(event)):
            return
        self._mirror(mirror, event)

    def _was_cut_off(self, event: Any) -> bool:
        return self.model.has_cut_off(event)

    def _follow(self, event: RealtimeModelEvent) -> None:
        self._models.note(event)
        match event:
            case RealtimeModelRawServerEvent():
                self._raw = event
            case RealtimeModelToolCallEvent() if self._group is not None:
                is_alone = self.model.sequences_tool_outputs
                self._calls.call(self._group, event, self._response_of(event), is_alone=is_alone)
            case RealtimeModelTurnStartedEvent(response_id=response_id):
                self._calls.turn_started(response_id)
            case RealtimeModelTurnEndedEvent(response_id=response_id):
                self._calls.turn_ended(response_id)
            case RealtimeModelConnectionStatusEvent(status="disconnected"):
                self._calls.turn_ended(None)  # no event will tell any more
            case RealtimeModelEndOfStreamEvent():
                self._end()
            case _:
                pass

    def _response_of(self, event: RealtimeModelToolCallEvent) -> str | None:
        """Return the response that a call is part of, as the frame says that the call is in."""
        data = None if self._raw is None else self._raw.data
        if not isinstance(data, Mapping):
            return None
        item = data.get("item")
        call_id = item.get("call_id") if isinstance(item, Mapping) else data.get("call_id")
        response_id = data.get("response_id")
        is_it = call_id == event.call_id and isinstance(response_id, str)
        return response_id if is_it else None

    # --- the succession of models ---------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """True before the session has begun, and when it is over."""
        return self._ended is None or self._ended.is_set()

    def start(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start a task of the session."""
        if self._group is not None:
            self._group.start_soon(task)

    def lose_turn(self) -> None:
        """Note that the turn that was going on has ended with its model."""
        self._calls.turn_ended(None)
        # Nobody is told that the connection is lost, and what was being said is incomplete.
        change = self.history.apply(RealtimeModelConnectionStatusEvent("disconnected"))
        if change is not None:
            self._publish_change(change)

    def end_stream(self) -> None:
        """Publish the end of the session's last model."""
        self.take(RealtimeModelConnectionStatusEvent("disconnected"))
        self.take(RealtimeModelEndOfStreamEvent())

    # --- publishing ------------------------------------------------------------------

    def report(self, exc: Exception, context: str) -> None:
        """Publish a failure of something that the session has called."""
        self._publish(RealtimeModelExceptionEvent(exc, context, sender=self.sender))

    def publish_restored(self, outcome: Restored) -> None:
        """Publish the outcome of telling a new session the conversation."""
        self._publish(
            RealtimeSessionRestored(outcome.item_ids, outcome.left_out, outcome.reason, self._info)
        )

    async def _send_output(self, output: RealtimeModelSendToolOutput) -> None:
        model = await self._models.ready()
        if output.start_response:
            self._models.await_answer()
        await model.send_event(output)

    def _mirror(self, event_type: type[Any], event: Any) -> None:
        if self._publisher.is_wanted(event_type):
            self._publish(event_type.repeating(event, self._info))

    def _publish_change(self, change: HistoryChange) -> None:
        if change.kind == "added":
            self._models.confirm(change.item)
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
        data = message if isinstance(message, Frame) else freeze(dict(message))
        self._publish(RealtimeModelRawClientEvent(data))


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
        # What the bus has said of classes of events, while it would say the same.
        self._state: object = None
        self._wanted: dict[type[Any], bool] = {}
        self._repeated: dict[type[Any], bool] = {}
        self._leaves_out_raw = False

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
        except (MailboxFull, BusClosed, BusNotRunning) as exc:
            self._note_lost(event, exc)

    def publish_frame(self, raw: RealtimeModelRawServerEvent, event: object) -> bool:
        """
        Publish the raw event of a frame and the only other one, which a decoder made, in one step.

        Returns:
            False if that can't be; then nothing was published.

        Raises:
            Exception: As in `publish`.
        """
        frame = getattr(raw, "_source", None)
        try:
            return self._bus.publish_after(
                RealtimeModelRawServerEvent,
                event,
                self._sender,
                frame if type(frame) is bytes else None,
                mark_of(raw) or 0,
            )
        except (MailboxFull, BusClosed, BusNotRunning) as exc:
            self._note_lost(event, exc)
            return True

    def may_publish_frame(self) -> bool:
        """Return whether nothing would see a raw event, or the repetition of one."""
        if self._bus.routing_state is not self._state:
            self._look()
        return self._leaves_out_raw

    def is_wanted(self, event_type: type[Any]) -> bool:
        """Return whether a handler gets the session's events of that class."""
        if self._bus.routing_state is not self._state:
            self._look()
        wanted = self._wanted.get(event_type)
        if wanted is None:
            wanted = self._bus.has_handlers(event_type, sender=self._sender)
            self._wanted[event_type] = wanted
        return wanted

    def wants_repetition(self, event_type: type[Any]) -> bool:
        """Return whether a handler gets any repetition of the model's events of that class."""
        if self._bus.routing_state is not self._state:
            self._look()
        wanted = self._repeated.get(event_type)
        if wanted is None:
            mirrors = (RealtimeRawModelEvent, _MIRRORS.get(event_type, RealtimeRawModelEvent))
            wanted = any(self.is_wanted(mirror) for mirror in mirrors)
            self._repeated[event_type] = wanted
        return wanted

    def _look(self) -> None:
        """Ask the bus again, as its answers may be others now."""
        self._state = self._bus.routing_state  # first: it may change meanwhile
        self._wanted.clear()
        self._repeated.clear()
        self._leaves_out_raw = self._bus.may_publish_after(
            RealtimeModelRawServerEvent, self._sender
        ) and not self._bus.has_handlers(RealtimeRawModelEvent, sender=self._sender)

    def _note_lost(self, event: object, exc: EventBusError) -> None:
        if isinstance(exc, MailboxFull):
            self._tell_full(exc, event)
        elif not self._is_unheard:
            self._is_unheard = True
            _logger.warning("a session goes on, and its bus doesn't run", exc_info=exc)

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


class _SessionMemory:
    """The memory of a session, as its model asks it."""

    def __init__(self, session: RealtimeSession, memory: Memory) -> None:
        self._session = session
        self._memory = memory

    @property
    def repeats_turn(self) -> bool:
        return self._memory.repeats_turn

    async def recall(self) -> Recollection:
        history = self._session.history.items
        if not history:  # the first session of a call
            return Recollection()
        try:
            return await self._memory.recall(history)
        except Exception as exc:  # noqa: BLE001  # the application's, and it is reported
            self._session.report(exc, "choosing the memory of a new session")
        return await attrs.evolve(self._memory, select=None).recall(history)

    def restored(self, outcome: Restored) -> None:
        self._session.publish_restored(outcome)


class _Listener(RealtimeModelListener):
    """
    The listener of a session at its model.

    Attributes:
        on_event_alone, takes_frames, on_frame: For a model that calls it while it is the only one.
    """

    def __init__(self, session: RealtimeSession) -> None:
        self._session = session
        self.on_event_alone = session.take
        self.takes_frames = session.takes_frames
        self.on_frame = session.take_frame

    async def on_event(self, event: RealtimeModelEvent) -> None:
        self._session.take(event)


class _SentListener(_Listener):
    """The same, and it publishes the messages to the service."""

    def on_sent(self, message: Mapping[str, Any]) -> None:
        self._session.publish_sent(message)


def _as_list(config: Any) -> list[Any]:
    if config is None:
        return [{}]
    return [config] if isinstance(config, Mapping) else list(config)


def _wrong_config(config: Any) -> str | None:
    if isinstance(config, (str, bytes)) or not isinstance(config, (Mapping, Sequence, type(None))):
        return f"config is a mapping, or a list of them; not {type(config).__qualname__}."
    return next((problem for each in _as_list(config) if (problem := wrong_config(each))), None)


def _models_of(
    model: RealtimeModel | None, models: Sequence[RealtimeModel] | None
) -> list[RealtimeModel]:
    if models is not None and not isinstance(models, Iterable):
        msg = f"models= is a list of models, not {models!r}."
        raise TypeError(msg)
    given = list(models or ()) if model is None else [model]
    if not given or (model is not None and models is not None):
        msg = "RealtimeSession takes a model, or models=[...] with at least one; not both."
        raise TypeError(msg)
    for each in given:
        if not isinstance(each, RealtimeModel):
            hint = "; make one of it" if isinstance(each, type) else ""
            msg = f"A session's model is a RealtimeModel, not {each!r}{hint}."
            raise TypeError(msg)
    return given


def _check_tools(tools: object) -> None:
    if isinstance(tools, str) or callable(tools) or not isinstance(tools, Iterable):
        msg = f"tools= is a list of functions, like [weather]; not {tools!r}."
        raise TypeError(msg)


_WITHOUT_CONSEQUENCES: Final = frozenset(get_args(RealtimeModelEvent)) - {
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelInputAudioCommittedEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
}
"""Classes of events that only the history follows: most of them, and most often."""

_MIRRORS: Final[Mapping[type[Any], type[Any]]] = {
    cls.repeats: cls for cls in REPEATS if cls is not RealtimeRawModelEvent
}

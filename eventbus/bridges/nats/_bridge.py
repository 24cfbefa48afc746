"""
`NatsBridge`: one process's way to the events of others, over NATS JetStream.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import anyio
import msgspec

from ...bus import Scope, bus_and_sender, check_bus
from ...exceptions import EventBusError, OptionError, ToolDefinitionError
from ...mailbox import Overflow
from .._commands import Command, CommandedSession
from .._failures import OnFailure, check_on_failure
from ._client import Connection, Servers, connect
from ._commanding import Commanding, send_command
from ._forwarding import (
    AUDIO,
    CallId,
    Envelope,
    Forwarding,
    Selection,
    TraceContext,
    call_id_of,
    new_origin,
    only_call,
)
from ._journals import JournalForwarding
from ._outbox import Outbox
from ._receiving import Receiving, Start, check_start
from ._remote_tools import Approval, RemoteTool, ToolWorker, make_tool, remote_tool
from ._stream import (
    Storage,
    StreamSettings,
    check_name,
    check_settings,
    open_bucket,
    open_dead_letters,
    open_stream,
    read_tools,
)

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from ...bus import EventBus
    from ._subjects import Subjects

logger = logging.getLogger(__name__)

_MIN_LEASE_TIME: Final = 0.2

_OF_SESSIONS: Final = ("sender", "send_message", "interrupt", "wait_closed", "close")

_F = TypeVar("_F", bound=Callable[..., Any])


class NatsBridge:
    """
    A bridge between the buses of several processes; asyncio only.

    ::

        async with bus, NatsBridge("nats://localhost:4222") as bridge:
            bridge.receive(bus, group="crm")
            await bridge.wait_signal()

    It connects when it is entered. When it is left, it forwards the events that it has taken,
    finishes those that are being handled, leaves its groups and closes the connection. That takes
    at most *drain_timeout*, also when the block is cancelled. It is entered once.

    A bus that handles received events has to outlive the bridge: ``async with bus, bridge``. A
    bridge that forwards has to outlive the bus, so that events of a closing bus are
    forwarded: ``async with bridge, bus``.

    Args:
        servers: A URL of a NATS server, several ones, or a client that is connected, which the
            bridge doesn't close.
        stream: The stream's name. It is created if there is none.
        prefix: The first token of all subjects; by default the stream's name.
        partitions: Partitions that calls are spread over; by default those of the stream that is
            there, or 64. A group can have as many members that work.
        storage: Where the stream is kept: ``file`` or ``memory``.
        replicas: Servers that keep it.
        max_age: Seconds after which events are deleted; by default a day.
        max_bytes: Bytes after which the oldest events are deleted; by default no limit.
        duplicate_window: Seconds in which the server recognises a repeated event; by default 120.
        connect_timeout: Seconds for the first connection.
        drain_timeout: Seconds that leaving takes at most.
        lease_time: Seconds after which a group takes a silent member to be dead.
        options: Options of `nats.connect`, like ``user_credentials``, ``token`` or ``tls``. They
            are passed on as they are, and never shown.

    Attributes:
        origin: An id of this bridge, which events that it forwards carry. From a second forwarding
            on, a number is added.

    Raises:
        OptionError: An option has a value that it can't have.
    """

    def __init__(
        self,
        servers: Servers = "nats://127.0.0.1:4222",
        *,
        stream: str = "calls",
        prefix: str | None = None,
        partitions: int | None = None,
        storage: Storage | None = None,
        replicas: int | None = None,
        max_age: float | None = None,
        max_bytes: int | None = None,
        duplicate_window: float | None = None,
        connect_timeout: float = 5.0,
        drain_timeout: float = 10.0,
        lease_time: float = 2.0,
        **options: Any,
    ) -> None:
        self._servers = servers
        self._stream_name = check_name(stream, option="stream")
        self._prefix = check_name(stream if prefix is None else prefix, option="prefix")
        self._settings = StreamSettings(
            partitions, storage, replicas, max_age, max_bytes, duplicate_window
        )
        check_settings(self._settings)
        for name, value in (
            ("connect_timeout", connect_timeout),
            ("drain_timeout", drain_timeout),
            ("lease_time", lease_time),
        ):
            _check_seconds(name, value)
        if lease_time == math.inf:
            msg = "lease_time= is a finite number of seconds: a group must notice dead members."
            raise OptionError(msg, option="lease_time")
        if lease_time < _MIN_LEASE_TIME:
            msg = (
                f"lease_time={lease_time} is too short to renew it; take {_MIN_LEASE_TIME} or more."
            )
            raise OptionError(msg, option="lease_time")
        self._connect_timeout = connect_timeout
        self._drain_timeout = drain_timeout
        self._lease_time = lease_time
        self._options: Mapping[str, Any] = options
        self.origin = new_origin()
        self._connection: Connection | None = None
        self._subjects: Subjects | None = None
        self._group: TaskGroup | None = None
        self._forwardings: list[Forwarding] = []
        self._journals: list[JournalForwarding] = []
        self._receivings: list[Receiving] = []
        self._commandings: list[Commanding] = []
        self._tools: dict[str, Any] = {}
        self._workers: list[ToolWorker] = []
        self._announced: dict[str, Mapping[str, Any]] = {}
        self._was_entered = False
        self._origins = 0

    @property
    def is_connected(self) -> bool:
        """True while there is a connection to a server."""
        return self._connection is not None and self._connection.is_up

    # --- forwarding -----------------------------------------------------------------------

    def forward(
        self,
        bus: EventBus | Scope,
        *event_types: Any,
        without: Iterable[type[Any]] = AUDIO,
        window: int = 512,
        buffer_bytes: int = 1 << 26,
        overflow: Overflow = Overflow.DROP_OLDEST,
        call_id: CallId = call_id_of,
        trace_context: TraceContext | None = None,
    ) -> Forwarding:
        """
        Forward events of a bus, or of one call on it, from now on.

        Events are taken as they are published, before middleware. A publish never waits for it,
        and nothing changes for the handlers of the bus. The events of a call come into the stream
        in their order, each once; order holds within one forwarding, so forward all the classes of
        a call with one.

        Args:
            bus: The bus, or a scope of it.
            event_types: Classes, or unions of them; by default `RealtimeModelEvent`. Raw events
                are forwarded only if `RealtimeModelRawServerEvent` is given itself.
            without: Classes of them that are not forwarded; by default the model's audio.
            window: How many events may be on their way to the server, of different calls.
            buffer_bytes: How many bytes of events may wait for the server.
            overflow: The policy for more: DROP_OLDEST, DROP_NEWEST, or LATEST, which drops all
                waiting events of the same call. Each burst is one Exception event.
            call_id: Returns the call's id of a sender; by default a text or number itself.
            trace_context: Returns headers of the present trace context, like
                ``{"traceparent": ...}``.

        Raises:
            EventBusError: The bridge isn't entered.
            EventTypeError, OptionError: An argument has a value that it can't have.
            TypeError: *bus* is neither a bus nor a scope.
        """
        is_scoped = isinstance(bus, Scope)
        whole, sender = bus_and_sender(bus, "forward() takes the events of")
        for name, function in (("call_id", call_id), ("trace_context", trace_context)):
            if function is not None and not callable(function):
                msg = f"{name}= is a function, not {function!r}."
                raise OptionError(msg, option=name)
        connection, subjects, group = self._entered()
        outbox = Outbox(
            connection,
            window=window,
            buffer_bytes=buffer_bytes,
            overflow=overflow,
        )
        forwarding = Forwarding(
            whole,
            only_call(call_id, sender) if is_scoped else None,
            is_scoped=is_scoped,
            selection=Selection(event_types, without),
            subjects=subjects,
            outbox=outbox,
            envelope=Envelope(subjects, self._next_origin()),
            call_id=call_id,
            trace_context=trace_context,
        )
        outbox.on_overflow, outbox.on_refused = forwarding.overflowed, forwarding.refused
        forwarding.start()
        self._forwardings.append(forwarding)
        group.start_soon(outbox.run)
        return forwarding

    def forward_journal(
        self,
        path: str | os.PathLike[str],
        *event_types: Any,
        without: Iterable[type[Any]] = AUDIO,
        follow: bool = True,
        window: int = 512,
        buffer_bytes: int = 1 << 24,
    ) -> JournalForwarding:
        """
        Forward the events of a journal, from the last one on that the stream has.

        The journal may be being written, by this process or another one, or be that of a process
        that was killed: all events that it holds reach the stream, each once. The call's id is the
        sender that the journal names.

        Args:
            path: The journal.
            event_types: As for `forward`.
            without: As for `forward`.
            follow: Whether to wait for more until the journal is closed.
            window: As for `forward`.
            buffer_bytes: How many bytes of events are read before the server has them.

        Raises:
            EventBusError: The bridge isn't entered.
            FileNotFoundError, JournalEmpty, NotAJournal, JournalTooNew, JournalDamaged: As for
                `eventbus.journal.open_journal`.
        """
        connection, subjects, group = self._entered()
        outbox = Outbox(
            connection,
            window=window,
            # Never full: it is read on only when it is half empty.
            buffer_bytes=buffer_bytes,
            overflow=Overflow.DROP_NEWEST,
            is_bounded=False,
        )
        forwarding = JournalForwarding(
            path,
            follow=follow,
            selection=Selection(event_types, without),
            connection=connection,
            subjects=subjects,
            outbox=outbox,
        )
        outbox.on_refused = forwarding.refused
        self._journals.append(forwarding)
        group.start_soon(outbox.run)
        group.start_soon(forwarding.run)
        return forwarding

    # --- receiving ------------------------------------------------------------------------

    def receive(
        self,
        bus: EventBus,
        *,
        group: str | None = None,
        start: Start = "new",
        call: str | None = None,
        on_failure: OnFailure = "skip",
        concurrency: int = 256,
        buffered: int = 256,
    ) -> Receiving:
        """
        Publish the stream's events on a bus, each call in order, from now on.

        The sender is the call's id. A handler finds the circumstances of an event with
        `eventbus.bridges.current_delivery`. Events of classes that aren't known here come as
        `RealtimeModelOtherEvent`.

        Args:
            bus: The bus; it must run if it has async handlers.
            group: The members of a group divide the calls among themselves: each event is handled
                by one of them, at least once. Without a group, all events are.
            start: Where to begin; of a group, where it begins if it is new.
            call: Only this call's events; without a group.
            on_failure: The policy after a handler has failed: ``skip``, ``park`` or a `Retry`.
            concurrency: How many calls are handled at the same time.
            buffered: How many messages of a partition may be waiting for their handlers.

        Raises:
            EventBusError: The bridge isn't entered.
            OptionError: An argument has a value that it can't have.
            TypeError: *bus* is not a bus, or *call* not a text.
        """
        check_bus(bus, "receive() publishes on")
        if call is not None:
            _check_call(call)
        connection, subjects, tasks = self._entered()
        if group is not None and (not isinstance(group, str) or not group):
            msg = f"group= is a name, not {group!r}."
            raise OptionError(msg, option="group")
        if group is not None and call is not None:
            msg = "call= is for receiving without a group; a group divides all calls."
            raise OptionError(msg, option="call")
        for name, value in (("concurrency", concurrency), ("buffered", buffered)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                msg = f"{name}= is a whole number from 1 on, not {value!r}."
                raise OptionError(msg, option=name)

        async def dead_letters() -> None:
            await open_dead_letters(connection, subjects, self._settings)

        receiving = Receiving(
            bus,
            connection=connection,
            subjects=subjects,
            group=group,
            member=new_origin(),
            start=check_start(start),
            call=call,
            on_failure=check_on_failure(on_failure),
            concurrency=concurrency,
            buffered=buffered if group is not None else buffered * 4,
            lease_time=self._lease_time,
            drain_timeout=self._drain_timeout,
            open_dead_letters=dead_letters,
        )
        self._receivings.append(receiving)
        tasks.start_soon(receiving.run)
        return receiving

    # --- the way back ---------------------------------------------------------------------

    def commands(self, session: CommandedSession) -> Commanding:
        """
        Take commands for a session from other processes, until it is over.

        Args:
            session: A `RealtimeSession`, or an object with the same methods. Its sender is the
                call's id.

        Raises:
            EventBusError: The bridge isn't entered.
            OptionError: The session's sender has no id.
            TypeError: *session* lacks a method of a session.
        """
        missing = [name for name in _OF_SESSIONS if not hasattr(session, name)]
        if missing or isinstance(session, type):
            msg = f"commands() takes a RealtimeSession, or an object like one; not {session!r}"
            raise TypeError(f"{msg}, without {missing[0]}." if missing else f"{msg}.")
        connection, subjects, tasks = self._entered()
        call = only_call(call_id_of, session.sender)
        commanding = Commanding(session, call, connection, subjects)
        self._commandings.append(commanding)
        tasks.start_soon(self._serve, commanding)
        return commanding

    async def _serve(self, commanding: Commanding) -> None:
        await commanding.run()
        self._commandings.remove(commanding)

    async def send(self, call: str, command: Command, *, timeout: float = 5.0) -> None:
        """
        Send a command to the process that holds a call, and wait until it is carried out.

        If it is cancelled, the command may be carried out all the same.

        Args:
            call: The call's id.
            command: One of the commands in `eventbus.bridges`.
            timeout: Seconds to wait.

        Raises:
            NoSuchCall: No process has that call, or takes commands for it.
            CommandFailed: The session can't do it; the cause is a `RemoteException`.
            TimeoutError: There was no answer in time.
            BridgeConnectionError: There is no connection.
            OptionError: *timeout* isn't a positive number.
            TypeError: It isn't a command, or *call* not a text.
        """
        _check_call(call)
        _check_seconds("timeout", timeout)
        connection, subjects, _ = self._entered()
        await send_command(connection, subjects, call, command, timeout)

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
    ) -> Callable[[_F], _F]: ...
    def tool(self, function: Any = None, /, **options: Any) -> Any:
        """
        Run the decorated function for models in other processes, and return it as it is.

        It may be used before the bridge is entered. All processes that have a tool of one name
        share its calls.

        Args:
            function: As for `eventbus.realtime.tools.tool`, but without a `ToolContext`; or a tool.
            options: ``name``, ``description`` and ``timeout``, as there.

        Raises:
            ToolDefinitionError: The function can't be a tool, or there is one of that name.
        """
        if function is None:
            return lambda given: self.tool(given, **options)
        made = make_tool(function, options)
        if made.name in self._tools:
            msg = f"There is a tool {made.name} already; name= gives this one another name."
            raise ToolDefinitionError(msg, tool=made.name)
        self._tools[made.name] = made
        if self._group is not None:
            self._start_tool(made)
        return function

    def _start_tool(self, made: Any) -> None:
        connection, subjects, tasks = self._entered()
        worker = ToolWorker(made, connection, subjects)
        self._workers.append(worker)
        tasks.start_soon(worker.run)

    def remote(
        self,
        name: str,
        *,
        timeout: float | None = None,
        needs_approval: Approval = False,
        description: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> RemoteTool:
        """
        Return a tool that a worker runs; a session takes it like any other.

        Args:
            name: The tool's name.
            timeout: Seconds after which a call is given up; by default those of the worker.
            needs_approval: As for `eventbus.realtime.tools.tool`.
            description: The description for the model; by default as a worker has announced.
            parameters: The JSON schema of its arguments; by default as a worker has announced.

        Raises:
            EventBusError: The bridge isn't entered.
            OptionError: *timeout* isn't a positive number.
            ToolDefinitionError: No worker has announced it before the bridge was entered or
                `find_tools` was called, and *description* and *parameters* aren't given; or
                *name* is not a name, or *parameters* not a mapping.
        """
        if timeout is not None:
            _check_seconds("timeout", timeout)
        if not isinstance(name, str) or not name:
            msg = f"remote() takes the name of a tool, not {name!r}."
            raise ToolDefinitionError(msg, tool=str(name))
        if parameters is not None and not isinstance(parameters, Mapping):
            msg = f"parameters= is a JSON schema as a mapping, not {parameters!r}."
            raise ToolDefinitionError(msg, tool=name)
        connection, subjects, _ = self._entered()
        announced: Mapping[str, Any] = self._announced.get(name, {})
        if not announced and (description is None or parameters is None):
            known = ", ".join(sorted(self._announced)) or "none"
            msg = (
                f"No worker has announced the tool {name!r}; announced are: {known}. Start a "
                f"worker and call find_tools(), or pass description= and parameters=."
            )
            raise ToolDefinitionError(msg, tool=name)
        announced = {
            "name": name,
            "description": announced.get("description") if description is None else description,
            "parameters": announced.get("parameters") if parameters is None else dict(parameters),
            "timeout": announced.get("timeout"),
        }
        return remote_tool(
            connection, subjects, announced, timeout=timeout, needs_approval=needs_approval
        )

    async def find_tools(self) -> list[str]:
        """
        Look which tools workers have announced; return their names.

        Entering the bridge does it once.

        Raises:
            BridgeConnectionError: The server gives no answer.
        """
        connection, subjects, _ = self._entered()
        await self._read_tools(connection, subjects)
        return sorted(self._announced)

    async def _read_tools(self, connection: Connection, subjects: Subjects) -> None:
        found = await read_tools(connection, subjects)
        self._announced = {name: msgspec.msgpack.decode(data) for name, data in found.items()}

    # --- beginning and end ----------------------------------------------------------------

    async def wait_signal(self) -> None:
        """
        Wait until the process is asked to end: SIGTERM or SIGINT.

        Leaving the bridge then drains it. A second signal ends the process as it always does.
        """
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, asked.set)
        try:
            await asked.wait()
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    async def drain(self) -> None:
        """
        Finish the running handlers, leave all groups, and forward all taken events.

        It takes at most *drain_timeout*. Nothing is taken or received afterwards.
        """
        for commanding in self._commandings:
            commanding.stop()
        await asyncio.gather(
            *(receiving.drain() for receiving in self._receivings),
            self._drain_tools(),
        )
        forwardings: list[Forwarding | JournalForwarding] = [*self._forwardings, *self._journals]
        for forwarding in forwardings:
            forwarding.stop()
        for forwarding in forwardings:
            try:
                await forwarding.flush(self._drain_timeout)
            except TimeoutError:
                logger.error(  # noqa: TRY400  # the time is no news
                    "events were not forwarded",
                    extra={"stream": self._stream_name, "pending": forwarding.stats.pending},
                )

    async def _drain_tools(self) -> None:
        try:
            async with asyncio.timeout(self._drain_timeout):
                await asyncio.gather(*(worker.drain() for worker in self._workers))
        except TimeoutError:
            logger.warning("calls of tools didn't end in time")
            for worker in self._workers:
                worker.abort()

    async def __aenter__(self) -> Self:
        """
        Connect, and create or check the stream.

        Raises:
            BridgeConnectionError: No server can be reached, or it refuses the connection.
            BridgeSetupError: The server is too old or has no JetStream, or the stream has other
                settings.
            EventBusError: It was entered before, or the event loop isn't asyncio's.
        """
        if self._was_entered:
            msg = "A bridge is entered once; make another one."
            raise EventBusError(msg)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            msg = "NatsBridge needs asyncio: its client, nats-py, doesn't run on trio."
            raise EventBusError(msg) from None
        self._was_entered = True
        connection = await connect(
            self._servers, timeout=self._connect_timeout, options=self._options
        )
        try:
            self._subjects = await open_stream(
                connection, self._stream_name, self._prefix, self._settings
            )
            await open_bucket(connection, self._subjects, self._settings.replicas)
            await self._read_tools(connection, self._subjects)
            group = anyio.create_task_group()
            await group.__aenter__()
        except BaseException:
            await connection.aclose()
            raise
        self._connection, self._group = connection, group
        for made in self._tools.values():
            self._start_tool(made)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        group, connection = self._group, self._connection
        assert group is not None
        assert connection is not None
        try:
            # Shielded: the leaving task may be cancelled. Each part of it has its own time.
            with anyio.CancelScope(shield=True):
                await self.drain()
        finally:
            self._group = None
            group.cancel_scope.cancel()
            try:
                # Not the body's exception: a group would wrap it.
                await group.__aexit__(None, None, None)
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] if len(errors.exceptions) == 1 else errors from None
            finally:
                with anyio.CancelScope(shield=True):
                    await connection.aclose()

    def _next_origin(self) -> str:
        # One for each forwarding: only within one of them a later event has a greater number.
        self._origins += 1
        return self.origin if self._origins == 1 else f"{self.origin}-{self._origins}"

    def _entered(self) -> tuple[Connection, Subjects, TaskGroup]:
        if self._group is None or self._connection is None or self._subjects is None:
            msg = "The bridge isn't entered; write: async with NatsBridge(...) as bridge."
            raise EventBusError(msg)
        return self._connection, self._subjects, self._group


def _check_call(call: object) -> None:
    if not isinstance(call, str):
        msg = f"A call is named by its id, a text; not by {call!r}."
        raise TypeError(msg)


def _check_seconds(name: str, value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value <= math.inf:
        msg = f"{name}= is a positive number of seconds, not {value!r}."
        raise OptionError(msg, option=name)

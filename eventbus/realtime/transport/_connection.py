"""
A session from `connect` to its last event, over all its connections.

Rules
-----

* ``connecting`` comes first and ``disconnected``, then the end of the stream, come last, however
  a connection ends or fails to begin. ``connected`` is between them.
* A service whose first frame on a new connection is an error has refused it: connecting fails
  with the service's words.
* A connection that ends abnormally gives a `RealtimeModelExceptionEvent` with the close
  code and the reason. Whenever one is lost, each turn that was going on ends as ``failed``.
* Where the close code allows it, there is another connection (`ReconnectPolicy`): ``connecting``
  and ``connected`` come once more, without a ``disconnected``, and with a session that is new to
  the service. The present settings are sent to it.
* After `close` only ``disconnected`` and the end of the stream are emitted.

One task, `_run`, opens, reads and ends; another one writes while there is a connection. The
vendor is handed in: a `Dialer` opens connections, a decoder reads frames, and a `Dialogue`
watches the events and makes messages of the requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

import anyio
import attrs

from ...events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
)
from ...exceptions import RealtimeConnectionError
from ._reconnecting import CLEAN_CODES, NO_CLOSE_FRAME, End, ReconnectPolicy
from ._sender import Connection, Sender

if TYPE_CHECKING:
    from ...events import RealtimeModelEvent
    from ..inputs import RealtimeModelSendEvent
    from ._listeners import Listeners

_ROUND_TRIPS: Final = 2
_FIRST_FRAME_TIMEOUT: Final = 1.0
"""
A service that has sent nothing after so many round trips, or seconds, has accepted a connection.

Pings are counted rather than seconds, so that it takes no longer than it has to.
"""

_logger = logging.getLogger(__name__)

Emit: TypeAlias = "Callable[[RealtimeModelEvent], Awaitable[None]]"
"""Tells the listeners of an event."""

Watch: TypeAlias = Callable[[Any, Any], Any]
"""
Called with an event and the raw event of its frame, before the listeners are told.

It returns the event to tell them, which is another one or the same; None is none.
"""


@attrs.frozen
class Timeouts:
    """The times and limits that all sessions of a model share."""

    reconnect: ReconnectPolicy | None
    close_timeout: float
    send_timeout: float
    max_buffered_bytes: int


class Decoder(Protocol):
    """A vendor's decoder of frames; each connection gets a new one."""

    def decode(self, frame: bytes, /) -> Sequence[RealtimeModelEvent]:
        """Return the events of a frame, the raw one first."""
        ...


class Dialer(Protocol):
    """A vendor's way to open a connection, any number of times."""

    @property
    def shown(self) -> str:
        """The address, for people."""
        ...

    @property
    def ended(self) -> type[Exception]:
        """The exception of a connection that has ended; known once one was opened."""
        ...

    def end_of(self, exc: Exception, /) -> End:
        """Return the end of a connection that has raised *exc*."""
        ...

    def withhold(self, text: str, /) -> str:
        """Return a text of the service without the keys that it may quote."""
        ...

    async def open(self) -> Connection:
        """Open a connection; raises RealtimeConnectionError."""
        ...


class Dialogue(Protocol):
    """
    A vendor's knowledge of the session: it watches events and makes messages.

    Attributes:
        watches: Class of an event -> the function that watches it.
        last_frame_at: Time of the last frame, by the event loop's clock.
    """

    @property
    def watches(self) -> Mapping[type[Any], Watch]: ...  # documented above

    last_frame_at: float

    async def begin(self) -> None:
        """Open the sender for a new connection, with the settings first."""
        ...

    async def lose(self) -> None:
        """Forget the session of a lost connection, and end the turns that were going on."""
        ...

    def end(self) -> None:
        """Forget everything, and stop all timers."""
        ...

    async def send(self, event: RealtimeModelSendEvent) -> None:
        """Send *event*; raises as `RealtimeModel.send_event` does."""
        ...


class SessionConnection:
    """
    A session, with one connection after another.

    Args:
        dialer: Opens the connections.
        decoder: Makes the decoder of a connection.
        dialogue: Makes the session's dialogue, of its sender and the function that emits.
        timeouts: Times and limits.
        listeners: The model's listeners.

    Attributes:
        shown: The address, for people.
        is_over: Whether the last event was emitted.
    """

    def __init__(
        self,
        dialer: Dialer,
        decoder: Callable[[], Decoder],
        dialogue: Callable[[Sender, Emit], Dialogue],
        timeouts: Timeouts,
        listeners: Listeners,
    ) -> None:
        self.shown = dialer.shown
        self.is_over = False
        self._dialer = dialer
        self._decoder = decoder
        self._timeouts = timeouts
        self._listeners = listeners
        self._loop = asyncio.get_running_loop()
        self._sender = Sender(
            max_bytes=timeouts.max_buffered_bytes, send_timeout=timeouts.send_timeout
        )
        self._dialogue = dialogue(self._sender, self._emit)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._failure: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self._is_ending = False

    @property
    def is_open(self) -> bool:
        """Whether a message can be sent."""
        return self._sender.is_open

    async def send(self, event: RealtimeModelSendEvent) -> None:
        """Send *event*; raises as `RealtimeModel.send_event` does."""
        await self._dialogue.send(event)

    async def open(self) -> None:
        """Open the first connection; raises RealtimeConnectionError, and leaves nothing then."""
        self._task = asyncio.create_task(self._run(), name=f"realtime session {self.shown}")
        self._task.add_done_callback(self._on_task_done)
        try:
            await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await self.close()
            raise
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    async def close(self) -> None:
        """End; return when the last event has been emitted, or at once in our own task."""
        task = self._task
        was_closing, self._is_closing = self._is_closing, True
        if task is None or task is asyncio.current_task():
            return
        if not was_closing and not self._is_ending:
            task.cancel()
        await asyncio.wait([task])

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self.is_over = True
        self._sender.close()
        if not task.cancelled() and self._failure is None:
            self._failure = task.exception()
        if not self._opened.done():
            if self._failure is None:
                msg = "The model was closed before it was connected."
                self._failure = RealtimeConnectionError(msg)
            self._opened.set_result(None)

    async def _run(self) -> None:
        try:
            await self._emit_status("connecting")
            if not self._is_closing:
                await self._connect_and_stay()
        except asyncio.CancelledError:
            if not self._is_closing:
                raise
        except Exception as exc:
            if not self._opened.done():
                self._failure = exc
            else:  # a mistake of ours; no caller waits for ever because of it
                _logger.exception("A realtime session has failed")
                await self._emit(RealtimeModelExceptionEvent(exc, "a realtime session"))
        finally:
            self._is_ending = True
            self._sender.close()
            self._dialogue.end()
            await self._listeners.emit(RealtimeModelConnectionStatusEvent("disconnected"))
            await self._listeners.emit(RealtimeModelEndOfStreamEvent())

    async def _connect_and_stay(self) -> None:
        connection: Connection | None = await self._dialer.open()
        attempt = 0
        while connection is not None:
            began = self._loop.time()
            end = await self._use(connection)
            if self._is_closing:
                return
            if isinstance(end, RealtimeConnectionError):
                if not self._opened.done():
                    raise end
                end = End(NO_CLOSE_FRAME, end.reason)
            policy = self._timeouts.reconnect
            await self._report_lost(end)
            if policy is None or not policy.allows(end.code):
                return
            if self._loop.time() - began >= policy.reset_after:
                attempt = 0
            await self._emit_status("connecting")
            connection, attempt = await self._dial_again(policy, end, attempt)

    async def _dial_again(
        self, policy: ReconnectPolicy, end: End, attempt: int
    ) -> tuple[Connection | None, int]:
        code, reason, told = end.code, end.reason, f"the close code was {end.code}"
        while attempt < policy.max_attempts and not self._is_closing:
            attempt += 1
            await asyncio.sleep(policy.delay(attempt))
            try:
                return await self._dialer.open(), attempt
            except RealtimeConnectionError as exc:
                code, reason, told = exc.code or code, exc.reason, str(exc)
                _logger.warning(
                    "Connecting again has failed",
                    extra={"attempt": attempt, "code": exc.code, "reason": exc.reason},
                )
                if not policy.allows_after_failure(exc.code):
                    break
        if not self._is_closing:
            msg = f"The connection is given up, after {attempt} attempts to connect again: {told}"
            error = RealtimeConnectionError(msg, code=code, reason=reason)
            await self._emit(RealtimeModelExceptionEvent(error, "connecting again"))
        return None, attempt

    async def _use(self, connection: Connection) -> End | RealtimeConnectionError:
        """Use *connection* until it ends; return its end, or the service's refusal."""
        writer: asyncio.Task[None] | None = None
        try:
            await self._dialogue.begin()
            write = self._sender.write(connection, self._dialer.ended, self._listeners.on_sent)
            writer = asyncio.create_task(write, name=f"writes to {self.shown}")
            await self._emit_status("connected")
            decode = self._decoder().decode
            try:
                first, is_answer = await self._read_first(connection)
                events = decode(first)
                await self._take(events)
                if is_answer and (refusal := self._refusal_in(events)):
                    return refusal
                self._note_opened()
                return await self._read(connection, decode)
            except self._dialer.ended as exc:
                self._note_opened()
                return self._dialer.end_of(exc)
        finally:
            self._sender.is_linked = False
            if writer is not None:
                writer.cancel()
                await asyncio.wait([writer])
            await self._close_connection(connection)

    def _note_opened(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    async def _read_first(self, connection: Connection) -> tuple[bytes, bool]:
        """Return the first frame, and whether it is the service's answer to the connection."""
        reading = asyncio.ensure_future(connection.receive())
        silence = asyncio.ensure_future(self._make_round_trips(connection))
        try:
            await asyncio.wait(
                {reading, silence},
                timeout=_FIRST_FRAME_TIMEOUT,
                return_when=asyncio.FIRST_COMPLETED,
            )
            is_answer = reading.done()
            if not is_answer:
                self._note_opened()
            return await reading, is_answer
        finally:
            for task in (reading, silence):
                task.cancel()

    async def _make_round_trips(self, connection: Connection) -> None:
        with contextlib.suppress(self._dialer.ended):
            for _ in range(_ROUND_TRIPS):
                await connection.ping()

    def _refusal_in(self, events: Sequence[RealtimeModelEvent]) -> RealtimeConnectionError | None:
        for event in events:
            if isinstance(event, RealtimeModelErrorEvent):
                error: Any = event.error
                message = str(getattr(error, "message", None) or error)
                code = getattr(error, "code", None) or getattr(error, "type", None)
                reason = self._dialer.withhold(str(code or "error"))
                msg = f"{self.shown} refused the session: {self._dialer.withhold(message)}"
                return RealtimeConnectionError(f"{msg} ({reason})", reason=reason)
        return None

    async def _close_connection(self, connection: Connection) -> None:
        # The first may wait for a peer that reads nothing; the second finds the deadline
        # passed, and websockets drops the connection.
        for _ in range(2):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeouts.close_timeout):
                    await connection.close()
                return

    async def _report_lost(self, end: End) -> None:
        """Emit the events that follow from the loss of a connection."""
        if end.code not in CLEAN_CODES:
            reason = f" ({end.reason})" if end.reason else ""
            how = "without a close frame" if end.code == NO_CLOSE_FRAME else f"with code {end.code}"
            msg = f"The connection to {self.shown} has ended {how}{reason}."
            error = RealtimeConnectionError(msg, code=end.code, reason=end.reason)
            await self._emit(RealtimeModelExceptionEvent(error, "the connection"))
        await self._dialogue.lose()

    async def _emit(self, event: RealtimeModelEvent) -> None:
        if not self._is_closing:
            await self._listeners.emit(event)

    async def _emit_status(self, status: Literal["connecting", "connected"]) -> None:
        await self._emit(RealtimeModelConnectionStatusEvent(status))

    async def _take(self, events: Sequence[RealtimeModelEvent]) -> None:
        """Watch the events of a frame, and tell the listeners."""
        self._dialogue.last_frame_at = self._loop.time()
        watches, listeners = self._dialogue.watches, self._listeners
        raw = events[0]
        for event in events:
            watch = watches.get(type(event))
            told = event if watch is None else watch(event, raw)
            if told is None:
                continue
            listeners.emit_nowait(told)
            if listeners.awaited:
                await listeners.emit_awaited(told)
                if self._is_closing:
                    break

    async def _read(
        self, connection: Connection, decode: Callable[[bytes], Sequence[RealtimeModelEvent]]
    ) -> End:
        """Take what comes, until the connection ends."""
        receive = connection.receive
        while not self._is_closing:
            await self._take(decode(await receive()))
        return End(1000, "")

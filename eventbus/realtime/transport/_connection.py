"""
A session from `connect` to its last event, over all its connections.

Rules
-----

* ``connecting`` comes first and ``disconnected``, then the end of the stream, come last, however
  a connection ends or fails to begin. ``connected`` is between them.
* An error as the first frame of a new connection is a refusal: connecting fails with the
  service's words.
* A connection that ends abnormally gives a `RealtimeModelExceptionEvent` with the close
  code and the reason. Whenever one is lost, each turn that was going on ends as ``failed``.
* Where the close code allows it, there is another connection (`ReconnectPolicy`): ``connecting``
  and ``connected`` come once more, without a ``disconnected``, and with a session that is new to
  the service. The present settings are sent to it.
* With a memory, each new session is told the conversation. Before the service ends a session, a
  second connection is opened beside the first, is told the conversation at a quiet moment, and
  takes over, without another ``connecting`` (`RenewalPolicy`). A renewal that fails leaves the
  first connection alone. If no quiet moment comes, the second connection takes over shortly
  before the end, as after a loss.
* An event of the decoder's that isn't emitted is named by a `RealtimeModelSkippedEvent`, so that a
  recording tells it from one that the decoder didn't make.
* After `close` only ``disconnected`` and the end of the stream are emitted, and before them the
  names of events that were left of the present frame.

One task, `_run`, opens, reads and ends; another one writes while there is a connection. The
vendor is handed in (`_roles`): a `Dialer` opens connections, a decoder reads frames, and a
`Dialogue` watches the events and makes messages of the requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio

from ...events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelSessionExpiringEvent,
)
from ...exceptions import RealtimeConnectionError
from ..events import RealtimeModelSkippedEvent
from ._reconnecting import CLEAN_CODES, NO_CLOSE_FRAME, End, ReconnectPolicy
from ._renewing import Renewing, Successor
from ._roles import Decoder, Dialer, Dialogue, Host, Timeouts
from ._sender import Connection, Sender

if TYPE_CHECKING:
    from ...events import RealtimeModelAudioInterruptedEvent, RealtimeModelEvent
    from ..inputs import RealtimeModelSendEvent
    from ._listeners import Listeners

_ROUND_TRIPS: Final = 2
_FIRST_FRAME_TIMEOUT: Final = 1.0
"""
A service that has sent nothing after so many round trips, or seconds, has accepted a connection.

Pings are counted rather than seconds, so that it takes no longer than it has to.
"""

_logger = logging.getLogger(__name__)


class SessionConnection:
    """
    A session, with one connection after another.

    Args:
        dialer: Opens the connections.
        decoder: Makes the decoder of a connection.
        dialogue: Makes the session's dialogue, of its sender and this.
        timeouts: Times and limits.
        listeners: The model's listeners.
        renews: Whether sessions are renewed: there is a memory to tell the next one.

    Attributes:
        shown: The address, for people.
        is_over: Whether the last event was emitted.
        is_taking: Whether listeners are being told the events of a frame.
        send: Sends a request, as `RealtimeModel.send_event` does.
    """

    def __init__(
        self,
        dialer: Dialer,
        decoder: Callable[[], Decoder],
        dialogue: Callable[[Sender, Host], Dialogue],
        timeouts: Timeouts,
        listeners: Listeners,
        *,
        renews: bool = False,
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
        self._dialogue = dialogue(self._sender, self)
        # The very method: each coroutine between costs something, fifty times a second.
        self.send: Callable[[RealtimeModelSendEvent], Awaitable[None]] = self._dialogue.send
        self._renewing = Renewing(
            self,
            dialer=dialer,
            decoder=decoder,
            dialogue=self._dialogue,
            sender=self._sender,
            on_sent=listeners.on_sent,
            policy=timeouts.renewal,
            reconnect=timeouts.reconnect,
            is_on=renews,
        )
        self._successor: Successor | None = None
        self.is_taking = False
        self._to_tell: Iterator[RealtimeModelEvent] = iter(())
        self._has_expired = False
        self._connection: Connection | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._failure: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self._is_ending = False

    @property
    def is_open(self) -> bool:
        """True if a message can be sent."""
        return self._sender.is_open

    @property
    def is_in_own_task(self) -> bool:
        """True inside of a listener, for which the session waits."""
        return self._task is asyncio.current_task()

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
                await self.emit(RealtimeModelExceptionEvent(exc, "a realtime session"))
        finally:
            self._is_ending = True
            self._renewing.stop()
            await self._drop_successor()
            self._sender.close()
            self._dialogue.end()
            for event in self._to_tell:
                await self._listeners.emit(_skipped(event))
            await self._listeners.emit(RealtimeModelConnectionStatusEvent("disconnected"))
            await self._listeners.emit(RealtimeModelEndOfStreamEvent())

    async def _connect_and_stay(self) -> None:
        connection: Connection | None = await self._dialer.open()
        attempt = 0
        while connection is not None:
            began = self._loop.time()
            successor, self._successor = self._successor, None
            end = await self._use(connection, successor)
            if self._is_closing:
                return
            if self._successor is not None:
                connection = self._successor.connection
                if self._successor.seeding is None:
                    await self._dialogue.lose()
                continue
            if isinstance(end, RealtimeConnectionError):
                if not self._opened.done():
                    raise end
                end = End(NO_CLOSE_FRAME, end.reason)
            policy = self._timeouts.reconnect
            has_expired, self._has_expired = self._has_expired, False
            await self._report_lost(end, has_expired=has_expired)
            if policy is None or not (has_expired or policy.allows(end.code)):
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
            await self.emit(RealtimeModelExceptionEvent(error, "connecting again"))
        return None, attempt

    async def _use(
        self, connection: Connection, successor: Successor | None = None
    ) -> End | RealtimeConnectionError:
        """
        Use *connection* until it ends, or another one takes over.

        Args:
            successor: The state of the connection, if it takes over from another one.

        Returns:
            Its end, or the service's refusal.
        """
        writer: asyncio.Task[None] | None = None
        self._connection = connection
        try:
            await self._dialogue.begin(None if successor is None else successor.seeding)
            write = self._sender.write(connection, self._dialer.ended, self._listeners.on_sent)
            writer = asyncio.create_task(write, name=f"writes to {self.shown}")
            decode = self._decoder().decode if successor is None else successor.decode
            try:
                if successor is None:
                    await self._emit_status("connected")
                    self._renewing.expect_configured_end()
                    first, is_answer = await self._read_first(connection)
                    events = decode(first)
                    await self._take(events)
                    if is_answer and (refusal := self.refusal_in(events)):
                        return refusal
                    self._note_opened()
                else:
                    self._renewing.expect_configured_end(self._loop.time() - successor.opened_at)
                    for events in successor.events:
                        await self._take(events)
                return await self._read(connection, decode)
            except self._dialer.ended as exc:
                self._note_opened()
                return self._dialer.end_of(exc)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if self._successor is None or self._is_closing or task is None:
                    raise
                task.uncancel()
                return End(1000, "")
        finally:
            self._connection = None
            self._sender.is_linked = False
            if self._successor is None:
                self._renewing.stop()
            if writer is not None:
                writer.cancel()
                await asyncio.wait([writer])
            closing = self.let_go(connection)
            if self._successor is None:
                await asyncio.wait([closing])

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

    def refusal_in(self, events: Sequence[RealtimeModelEvent]) -> RealtimeConnectionError | None:
        """Return the service's refusal of a session, if one of *events* is that."""
        for event in events:
            if isinstance(event, RealtimeModelErrorEvent):
                error: Any = event.error
                message = str(getattr(error, "message", None) or error)
                code = getattr(error, "code", None) or getattr(error, "type", None)
                reason = self._dialer.withhold(str(code or "error"))
                msg = f"{self.shown} refused the session: {self._dialer.withhold(message)}"
                return RealtimeConnectionError(f"{msg} ({reason})", reason=reason)
        return None

    async def _report_lost(self, end: End, *, has_expired: bool) -> None:
        """Emit the events that follow from the loss of a connection."""
        lost = self._dialogue.unacknowledged()
        is_clean = end.code in CLEAN_CODES or has_expired
        if not is_clean or lost:
            reason = f" ({end.reason})" if end.reason else ""
            how = "without a close frame" if end.code == NO_CLOSE_FRAME else f"with code {end.code}"
            msg = f"The connection to {self.shown} has ended {how}{reason}."
            if lost:
                msg += f" Sent, and not acknowledged by the service: {', '.join(lost)}."
            error = RealtimeConnectionError(msg, code=end.code, reason=end.reason)
            await self.emit(RealtimeModelExceptionEvent(error, "the connection"))
        await self._dialogue.lose()

    async def emit(self, event: RealtimeModelEvent) -> None:
        """Tell the listeners of *event*, unless the session is being closed."""
        if not self._is_closing:
            await self._listeners.emit(event)

    async def _emit_status(self, status: Literal["connecting", "connected"]) -> None:
        await self.emit(RealtimeModelConnectionStatusEvent(status))

    async def _take(self, events: Sequence[RealtimeModelEvent]) -> None:
        """Watch the events of a frame, and tell the listeners."""
        dialogue, listeners = self._dialogue, self._listeners
        dialogue.last_frame_at = self._loop.time()
        raw, watches = events[0], dialogue.watches
        self.is_taking = True
        try:
            if len(events) == 2 and listeners.takes_frames() and not self._is_closing:
                event = events[1]
                watch = watches.get(type(event))
                # Before the raw event is told, which is the same: nothing sees that.
                told = event if watch is None else watch(event, raw)
                if told is not event or not listeners.emit_frame(raw, event):
                    self._to_tell = iter(())
                    listeners.emit_nowait(raw)
                    await self._tell(event, told)
                elif type(event) is RealtimeModelSessionExpiringEvent:
                    self._renewing.expect_end_in(event.seconds_left, is_announced=True)
                return
            self._to_tell = rest = iter(events)
            for event in rest:
                watch = watches.get(type(event))
                await self._tell(event, event if watch is None else watch(event, raw))
                if self._is_closing:
                    break
        finally:
            self.is_taking = False

    async def _tell(self, event: RealtimeModelEvent, told: RealtimeModelEvent | None) -> None:
        """Tell the listeners *told*, which is *event*, or is emitted instead."""
        listeners = self._listeners
        if told is not event:
            await listeners.emit(_skipped(event))
        if told is None:
            return
        if listeners.emit_nowait(told):
            await listeners.emit_awaited(told)
        if type(told) is RealtimeModelSessionExpiringEvent:
            self._renewing.expect_end_in(told.seconds_left, is_announced=True)

    async def _read(
        self, connection: Connection, decode: Callable[[bytes], Sequence[RealtimeModelEvent]]
    ) -> End:
        """Take frames, until the connection ends."""
        receive = connection.receive
        while not self._is_closing:
            await self._take(decode(await receive()))
        return End(1000, "")

    # --- other connections ----------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """True if there is a connection."""
        return self._connection is not None

    def expect_end_at(self, epoch_seconds: float) -> None:
        """Note that the service ends the session at a time, in seconds since the epoch."""
        self._renewing.expect_end_at(epoch_seconds)

    def expire(self) -> bool:
        """Note that the session's time is up; return whether another session follows."""
        connection = self._connection
        if self._timeouts.reconnect is None or connection is None:
            return False
        if not self._has_expired:
            self._has_expired = True
            self.let_go(connection)
        return True

    def has_cut_off(self, event: RealtimeModelAudioInterruptedEvent) -> bool:
        """Return whether the interruption that *event* reports cut off audio."""
        return self._dialogue.has_cut_off(event)

    async def cut_off(self) -> None:
        """Cut off the speech that was not heard so far, and tell the listeners the place."""
        await self._dialogue.cut_off()

    async def hand_over(self, successor: Successor) -> bool:
        """
        Let the task that reads go on with another connection.

        Returns:
            False if there is no connection to take over from.
        """
        while self.is_taking:  # noqa: ASYNC110  # for a listener, and once in an hour
            await asyncio.sleep(0)
        if self._task is None or self._is_closing or self._connection is None:
            return False
        self._successor = successor
        self._task.cancel()
        return True

    async def close_connection(self, connection: Connection) -> None:
        """Close a connection, and return when it is closed or given up."""
        # The first may wait for a peer that reads nothing; the second finds the deadline
        # passed, and websockets drops the connection.
        for _ in range(2):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeouts.close_timeout):
                    await connection.close()
                return

    def let_go(self, connection: Connection) -> asyncio.Task[None]:
        """Close a connection, and wait for nothing; the task ends when it is closed."""
        closing = asyncio.create_task(self.close_connection(connection))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return closing

    async def _drop_successor(self) -> None:
        successor, self._successor = self._successor, None
        if successor is not None:
            await self.close_connection(successor.connection)
        if self._closing:
            await asyncio.wait(self._closing)


def _skipped(event: RealtimeModelEvent) -> Any:
    """Return the event that names *event*, which is not emitted."""
    return RealtimeModelSkippedEvent(event.type)

"""
What a session is from `connect` to its last event, over all its connections.

Rules
-----

* ``connecting`` comes first and ``disconnected``, then the end of the stream, come last, however
  a connection ends or fails to begin. ``connected`` is between them.
* A connection that ends as it should not gives a `RealtimeModelExceptionEvent` with the close
  code and the reason. Whenever one is lost, each turn that was going on ends as ``failed``.
* Where the close code allows it, there is another connection (`ReconnectPolicy`): ``connecting``
  and ``connected`` come once more, without a ``disconnected``, and with a session that is new to
  the service. It gets the settings as they are by then; what had been handed to the lost
  connection is not sent again, and neither is what means nothing to the new one.
* After `close` nothing is emitted but ``disconnected`` and the end of the stream.

One task, `_run`, opens, reads and ends; another one writes while there is a connection. Nothing
in here knows how a connection is opened: `openai` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final, Literal, Protocol

import anyio
import attrs

from ...events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelExceptionEvent,
)
from ...exceptions import RealtimeConnectionError
from ...wire.openai._decoder import OpenAIRealtimeDecoder
from ..openai._dialogue import Dialogue
from ._reconnecting import CLEAN_CODES, NO_CLOSE_FRAME, ReconnectPolicy
from ._sender import Connection, Post

if TYPE_CHECKING:
    from ...events import RealtimeModelEvent
    from ..model import RealtimeModelConfig, RealtimeModelSendEvent
    from ._listeners import Listeners

__all__ = ["MAX_FRAME_BYTES", "Dialing", "End", "Live", "Tuning"]

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
"""Of a frame that is decoded."""

_logger = logging.getLogger(__name__)


@attrs.frozen
class End:
    """
    How a connection has ended.

    Attributes:
        code: The close code; 1006 if there was no close frame.
        reason: What the side that found fault with the other gave as its reason.
    """

    code: int
    reason: str


@attrs.frozen
class Tuning:
    """What is the same for all sessions of a model; `OpenAIRealtimeModel` explains it."""

    reconnect: ReconnectPolicy | None
    close_timeout: float
    send_timeout: float
    response_timeout: float
    max_buffered_bytes: int


class Dialing(Protocol):
    """How to open a connection, as often as need be."""

    @property
    def shown(self) -> str:
        """Where to, for people."""
        ...

    @property
    def model(self) -> str | None:
        """The model; None if it is the service that knows."""
        ...

    @property
    def ended(self) -> type[Exception]:
        """What a connection raises when it has ended."""
        ...

    def end_of(self, exc: Exception, /) -> End:
        """Return how a connection has ended that has raised this."""
        ...

    async def open(self) -> Connection:
        """Open a connection; raises RealtimeConnectionError."""
        ...


class Live:
    """
    A session, with the connections that it has.

    Attributes:
        shown: Where to, for people.
        is_over: Whether the last event was emitted.

    Raises:
        AudioFormatError: A format in the settings is none that is known.
    """

    def __init__(
        self, dialing: Dialing, options: RealtimeModelConfig, tuning: Tuning, listeners: Listeners
    ) -> None:
        self.shown = dialing.shown
        self.is_over = False
        self._dialing = dialing
        self._tuning = tuning
        self._listeners = listeners
        self._loop = asyncio.get_running_loop()
        self._post = Post(max_bytes=tuning.max_buffered_bytes, send_timeout=tuning.send_timeout)
        self._dialogue = Dialogue(
            options.get("initial_model_settings", {}),
            model=dialing.model,
            tracker=options.get("playback_tracker"),
            post=self._post,
            emit=self._emit,
            response_timeout=tuning.response_timeout,
        )
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._failure: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self._is_ending = False

    @property
    def is_open(self) -> bool:
        """Whether something can be sent."""
        return self._post.is_open

    async def send(self, event: RealtimeModelSendEvent) -> None:
        """Send *event*; raises as `OpenAIRealtimeModel.send_event` does."""
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
        self._post.close()
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
            else:  # a mistake of ours; nobody shall wait for ever because of it
                _logger.exception("A realtime session has failed")
                await self._emit(RealtimeModelExceptionEvent(exc, "a realtime session"))
        finally:
            self._is_ending = True
            self._post.close()
            self._dialogue.end()
            await self._listeners.emit(RealtimeModelConnectionStatusEvent("disconnected"))
            await self._listeners.emit(RealtimeModelEndOfStreamEvent())

    async def _connect_and_stay(self) -> None:
        connection: Connection | None = await self._dialing.open()
        attempt = 0
        while connection is not None:
            began = self._loop.time()
            end = await self._use(connection)
            if self._is_closing:
                return
            policy = self._tuning.reconnect
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
                return await self._dialing.open(), attempt
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

    async def _use(self, connection: Connection) -> End:
        """Use *connection* until it ends."""
        writer: asyncio.Task[None] | None = None
        try:
            await self._dialogue.begin()
            write = self._post.write(connection, self._dialing.ended, self._listeners.on_sent)
            writer = asyncio.create_task(write, name=f"writes to {self.shown}")
            await self._emit_status("connected")
            if not self._opened.done():
                self._opened.set_result(None)
            return await self._read(connection)
        finally:
            self._post.is_linked = False
            if writer is not None:
                writer.cancel()
                await asyncio.wait([writer])
            await self._close_connection(connection)

    async def _close_connection(self, connection: Connection) -> None:
        # The first may wait for a peer that reads nothing; the second finds the deadline
        # passed, and websockets drops the connection.
        for _ in range(2):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._tuning.close_timeout):
                    await connection.close()
                return

    async def _report_lost(self, end: End) -> None:
        """Emit what follows from the loss of a connection."""
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

    async def _read(self, connection: Connection) -> End:
        """Hand on what comes, until the connection ends."""
        # The hot path, up to fifty frames a second: no task, and no call that isn't needed.
        receive, loop = connection.recv_bytes, self._loop
        decode = OpenAIRealtimeDecoder(max_bytes=MAX_FRAME_BYTES).decode
        dialogue, watches, listeners = self._dialogue, self._dialogue.watches, self._listeners
        try:
            while not self._is_closing:
                events = decode(await receive())
                dialogue.last_frame_at = loop.time()
                for event in events:
                    watch = watches.get(type(event))
                    if watch is not None and not watch(event, events[0]):
                        continue
                    listeners.emit_nowait(event)
                    if listeners.awaited:
                        await listeners.emit_awaited(event)
                        if self._is_closing:
                            break
        except self._dialing.ended as exc:
            return self._dialing.end_of(exc)
        return End(1000, "")

"""
Renewing a session before the service ends it, beside its present connection.

Rules
-----

* A second connection is opened and configured. Nothing that happens to it touches the first one.
* At a quiet moment the conversation is recalled, for as long as that takes. If the first connection
  was quiet all that time, messages are held, the second connection is told the conversation, and it
  takes over. Otherwise the next quiet moment is waited for.
* A second connection that fails while it is told the conversation may know half of it, so another
  one is opened. The first failure of a renewal is reported.
* At the deadline, a second connection that was told nothing takes over all the same.
* If the first connection is lost while messages are held, they are held on, for the connection
  that follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from ...events import (
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelSessionExpiringEvent,
)
from ...exceptions import RealtimeConnectionError
from ._reconnecting import ReconnectPolicy
from ._renewal import RenewalPolicy

if TYPE_CHECKING:
    from ._roles import Decoder, Dialer, Dialogue, Seeding
    from ._sender import Connection, Sender

_SAME_END: Final = 0.5
_POLL_SECONDS: Final = 0.1
_SETTLE_SECONDS: Final = 0.2
_FIRST_DELAY: Final = 1.0
_ANSWER_TIMEOUT: Final = 5.0
"""Seconds without an answer, after which a second connection has failed."""


@attrs.define(eq=False)
class Successor:
    """
    A connection that is to take over.

    Attributes:
        connection: The connection.
        opened_at: Time at which it was opened, by the event loop's clock.
        decode: Decodes its frames.
        events: The events of its frames so far, which nobody was told.
        seeding: The conversation that it was told; None if it still is to be told.
    """

    connection: Connection
    opened_at: float
    decode: Callable[[bytes], Sequence[RealtimeModelEvent]]
    events: list[Sequence[RealtimeModelEvent]] = attrs.field(factory=list)
    seeding: Seeding | None = None


class Present(Protocol):
    """The session with its present connection, as a renewal sees it."""

    @property
    def shown(self) -> str:
        """The address, for people."""
        ...

    @property
    def is_connected(self) -> bool:
        """True if there is a connection."""
        ...

    @property
    def is_taking(self) -> bool:
        """True while listeners are told the events of a frame."""
        ...

    async def emit(self, event: RealtimeModelEvent) -> None:
        """Tell the listeners of *event*."""
        ...

    def refusal_in(self, events: Sequence[RealtimeModelEvent]) -> RealtimeConnectionError | None:
        """Return the service's refusal of a session, if one of *events* is that."""
        ...

    async def close_connection(self, connection: Connection) -> None:
        """Close a connection, and return when it is closed or given up."""
        ...

    def let_go(self, connection: Connection) -> object:
        """Close a connection, and wait for nothing."""
        ...

    async def hand_over(self, successor: Successor) -> bool:
        """Let another connection take over; return False if there is none to take over from."""
        ...


class Renewing:
    """
    The renewals of a session, each in time before its end.

    Args:
        present: The session.
        dialer: Opens the connections.
        decoder: Makes the decoder of a connection.
        dialogue: The session's dialogue.
        sender: The session's sender.
        on_sent: Called with each frame that is sent.
        policy: The times; None renews nothing.
        reconnect: The delays between attempts.
        is_on: Whether sessions are renewed; otherwise their end is only announced.
    """

    def __init__(
        self,
        present: Present,
        *,
        dialer: Dialer,
        decoder: Callable[[], Decoder],
        dialogue: Dialogue,
        sender: Sender,
        on_sent: Callable[[bytes], None],
        policy: RenewalPolicy | None,
        reconnect: ReconnectPolicy | None,
        is_on: bool,
    ) -> None:
        self._present = present
        self._dialer = dialer
        self._decoder = decoder
        self._dialogue = dialogue
        self._sender = sender
        self._on_sent = on_sent
        self._policy = policy
        self._reconnect = reconnect or ReconnectPolicy()
        self._is_on = is_on
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._ends_at: float | None = None
        self._is_reported = False

    # --- the end of the session -----------------------------------------------------------

    def expect_end_at(self, epoch_seconds: float) -> None:
        """Note that the service ends the session at a time, in seconds since the epoch."""
        if self._policy is not None and self._policy.max_session is None:
            self.expect_end_in(epoch_seconds - self._policy.clock())

    def expect_configured_end(self, age: float = 0.0) -> None:
        """Note that a session has begun, *age* seconds ago."""
        self._ends_at = None
        if self._policy is not None and self._policy.max_session is not None:
            self.expect_end_in(self._policy.max_session - age)

    def expect_end_in(self, seconds: float, *, is_announced: bool = False) -> None:
        """
        Note that the service ends the session in so many seconds.

        Args:
            seconds: The time that is left.
            is_announced: Whether the listeners know, so that the renewal may begin at once.
        """
        ends_at = self._loop.time() + seconds
        is_known = self._ends_at is not None and abs(ends_at - self._ends_at) < _SAME_END
        if seconds <= 0 or self._policy is None or (is_known and not is_announced):
            return
        self.stop()
        self._ends_at = ends_at
        renew = self._renew_in_time(self._policy, seconds, is_announced=is_announced)
        self._task = asyncio.create_task(renew, name=f"renews {self._present.shown}")

    def stop(self) -> None:
        """Stop a renewal that is going on."""
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    # --- a renewal ------------------------------------------------------------------------

    async def _renew_in_time(
        self, policy: RenewalPolicy, seconds: float, *, is_announced: bool
    ) -> None:
        """Renew the session in the last part of the *seconds* that it has left."""
        before, margin = policy.window(seconds)
        deadline = self._loop.time() + seconds - margin
        if not is_announced:
            await asyncio.sleep(seconds - before)
            await self._present.emit(RealtimeModelSessionExpiringEvent(before))
        if self._is_on:
            await self._renew(deadline)

    async def _renew(self, deadline: float) -> None:
        self._is_reported = False
        successor: Successor | None = None
        has_handed_over = False
        delay = _FIRST_DELAY
        try:
            while True:
                successor = successor or await self._open(deadline)
                seeding = None if successor is None else await self._recall(deadline)
                if successor is None or seeding is None or await self._tell(successor, seeding):
                    break
                await self._present.close_connection(successor.connection)
                successor = None
                await asyncio.sleep(min(delay, max(deadline - self._loop.time(), 0)))
                delay *= 2
            if successor is not None:
                self._sender.hold()
                has_handed_over = await self._present.hand_over(successor)
        finally:
            self._hold(is_held=has_handed_over)
            if successor is not None and not has_handed_over:
                self._present.let_go(successor.connection)

    def _hold(self, *, is_held: bool) -> None:
        if self._present.is_connected:
            self._sender.hold(is_held=is_held)

    async def _report(self, exc: RealtimeConnectionError) -> None:
        if not self._is_reported:
            self._is_reported = True
            await self._present.emit(RealtimeModelExceptionEvent(exc, "renewing the session"))

    # --- the second connection --------------------------------------------------------------

    async def _open(self, deadline: float) -> Successor | None:
        """Open a second connection and configure it; None if that failed until the deadline."""
        attempt = 0
        while True:
            try:
                return await self._dial()
            except RealtimeConnectionError as exc:
                await self._report(exc)
                attempt += 1
                delay = max(self._reconnect.delay(attempt), _SAME_END)
                if self._loop.time() + delay >= deadline:
                    return None
                await asyncio.sleep(delay)

    async def _dial(self) -> Successor:
        connection = await self._dialer.open()
        successor = Successor(connection, self._loop.time(), self._decoder().decode)
        try:
            await self._configure(successor)
        except BaseException:
            await self._present.close_connection(connection)
            raise
        return successor

    async def _configure(self, successor: Successor) -> None:
        connection = successor.connection
        messages = self._dialogue.settings()
        if not messages:  # they come with the conversation, and nothing comes before
            return
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                for message in messages:
                    await connection.send(message.frame)
                    self._on_sent(message.frame)
                events = successor.decode(await connection.receive())
        except (TimeoutError, self._dialer.ended) as exc:
            problem = "got no session"
            raise self._failure(problem, exc) from exc
        successor.events.append(events)
        refusal = self._present.refusal_in(events)
        if refusal is not None:
            raise refusal

    def _failure(self, problem: str, exc: Exception) -> RealtimeConnectionError:
        msg = f"The second connection to {self._present.shown} {problem}"
        if isinstance(exc, TimeoutError):
            return RealtimeConnectionError(f"{msg}: there was no answer for {_ANSWER_TIMEOUT:g} s.")
        end = self._dialer.end_of(exc)
        reason = f" ({end.reason})" if end.reason else ""
        msg = f"{msg}: it has ended with code {end.code}{reason}."
        return RealtimeConnectionError(msg, code=end.code, reason=end.reason)

    # --- a quiet moment -----------------------------------------------------------------------

    @property
    def _is_quiet(self) -> bool:
        return self._dialogue.is_quiet and not self._present.is_taking

    async def _wait_quiet(self, deadline: float) -> bool:
        """Wait until nothing goes on in the session; return False at the deadline."""
        while not self._is_quiet:
            if self._loop.time() >= deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    async def _recall(self, deadline: float) -> Seeding | None:
        """Recall the conversation in a quiet moment; None if there is none until the deadline."""
        while await self._wait_quiet(deadline):
            frame_at = self._dialogue.last_frame_at
            try:
                async with asyncio.timeout_at(deadline):
                    seeding: Seeding = await self._dialogue.recall("renewed")
            except TimeoutError:
                return None
            if self._is_quiet and self._dialogue.last_frame_at == frame_at:
                return seeding
        return None

    async def _tell(self, successor: Successor, seeding: Seeding) -> bool:
        """
        Tell a second connection the conversation, while the first one is quiet.

        Messages that are sent meanwhile are held for the connection that goes on.
        """
        self._sender.hold()
        try:
            await self._seed(successor, seeding)
            # Speech that the service has received before the hold is reported by now.
            await asyncio.sleep(_SETTLE_SECONDS)
            if self._is_quiet:
                successor.seeding = seeding
        except RealtimeConnectionError as exc:
            await self._report(exc)
        finally:
            self._hold(is_held=successor.seeding is not None)
        return successor.seeding is not None

    async def _seed(self, successor: Successor, seeding: Seeding) -> None:
        connection = successor.connection
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT) as patience:
                for message in seeding.messages:
                    await connection.send(message.frame)
                    self._on_sent(message.frame)
                while not seeding.is_answered:
                    events = successor.decode(await connection.receive())
                    patience.reschedule(self._loop.time() + _ANSWER_TIMEOUT)
                    successor.events.append(events)
                    for event in events:
                        seeding.note(event)
                    refusal = self._present.refusal_in(events) if seeding.is_refused else None
                    if refusal is not None:
                        raise refusal
        except (TimeoutError, self._dialer.ended) as exc:
            problem = "was lost before it could take over"
            raise self._failure(problem, exc) from exc

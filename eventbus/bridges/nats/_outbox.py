"""
Messages on their way into the stream: in order for each call, repeated until they are stored.

Rules
-----

* One message of a call is on its way at a time; the next one follows when the server has stored
  it. So no failure can change the order in the stream: not a lost connection, not a new leader of
  a cluster, not an error for one message of many. Calls don't wait for each other: as many
  messages as the window allows are on their way.
* A message that isn't acknowledged in time, or was on its way when the connection was lost, is
  sent again with the same ``Nats-Msg-Id``. If it was stored the first time, the server says so.
* Messages wait in a buffer that is bounded in bytes. An overflow is one report, from the first
  message that is dropped until the buffer is half empty. The first message of a call after some
  that were dropped says how many.
* Nothing here waits for the server but `Outbox.run`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec
import nats.errors

from ...exceptions import BridgeConnectionError, BridgeError, OptionError, PayloadTooLarge
from ...mailbox import Overflow
from ._messages import LOST

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from ._client import Connection

logger = logging.getLogger(__name__)

_ACK_TIMEOUT: Final = 5.0
_SWEEP: Final = 0.1
_FIRST_PAUSE: Final = 0.1
_LAST_PAUSE: Final = 2.0
_OVERHEAD: Final = 256  # of a message: its headers, and the objects around it

# Errors of the server that will be the same next time: the message is larger than the stream
# takes, its headers are, or the stream is sealed.
_PERMANENT: Final = frozenset({10054, 10097, 10109})


class Message:
    """
    One message, and its place on the way.

    Attributes:
        subject: Its subject.
        headers: Its headers.
        payload: Its payload.
        size: The bytes that it takes of the buffer.
        key: The call that it belongs to.
        on_stored: Called when the stream has it, or never will.
        lost: How many messages of the call were dropped before it.
        attempts: How often it was sent.
        sent_at: When it was sent last, on the loop's clock.
    """

    __slots__ = (
        "attempts",
        "headers",
        "key",
        "lost",
        "on_stored",
        "payload",
        "sent_at",
        "size",
        "subject",
    )

    def __init__(
        self,
        subject: str,
        headers: dict[str, str],
        payload: bytes,
        key: str | None,
        on_stored: Callable[[], object] | None = None,
    ) -> None:
        self.subject = subject
        self.headers = headers
        self.payload = payload
        self.size = len(payload) + _OVERHEAD
        self.key = key
        self.on_stored = on_stored
        self.lost = 0
        self.attempts = 0
        self.sent_at = 0.0


class _Call:
    """The messages of one call: those that wait, and whether one is on its way."""

    __slots__ = ("is_busy", "key", "lost", "waiting")

    def __init__(self, key: str | None) -> None:
        self.key = key
        self.waiting: deque[Message] = deque()
        self.is_busy = False
        self.lost = 0


@attrs.frozen
class ForwardStats:
    """
    Counts of a forwarding.

    Attributes:
        forwarded: Events that were taken.
        stored: Events that the stream has acknowledged.
        duplicates: Of these, events that it had already: they were sent more than once.
        repeated: Messages that were sent again.
        dropped: Events that were dropped because the buffer was full.
        refused: Events that can't be forwarded: no data, too large, or refused by the server.
        pending: Events that wait or are on their way.
        pending_bytes: Bytes that they take of the buffer.
        lag_seconds: For how long the oldest one on its way has been waiting for the server.
    """

    forwarded: int
    stored: int
    duplicates: int
    repeated: int
    dropped: int
    refused: int
    pending: int
    pending_bytes: int
    lag_seconds: float


def check_overflow(overflow: object) -> Overflow:
    """
    Return *overflow*, the policy of a buffer that nobody can wait for.

    Raises:
        OptionError: It is another one.
    """
    if overflow in (Overflow.DROP_OLDEST, Overflow.DROP_NEWEST, Overflow.LATEST):
        return Overflow(overflow)
    msg = (
        f"overflow={overflow!r} can't be the policy of a bridge, which neither delays a publish "
        f"nor fails it; take DROP_OLDEST, DROP_NEWEST or LATEST."
    )
    raise OptionError(msg, option="overflow")


class Outbox:
    """
    Sends messages, and repeats them until they are stored.

    All methods but `run` and the ``wait_`` methods return at once; all belong to the event loop.

    Args:
        connection: The connection.
        window: How many messages may be on their way.
        buffer_bytes: How many bytes may wait or be on their way.
        overflow: The policy for a message that finds no room.
        is_bounded: Whether messages are dropped; else the caller of `put` waits for room.

    Attributes:
        on_overflow: Called when messages begin to be dropped.
        on_refused: Called with a message that will never be stored, and the reason.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        window: int,
        buffer_bytes: int,
        overflow: Overflow,
        is_bounded: bool = True,
    ) -> None:
        for name, value in (("window", window), ("buffer_bytes", buffer_bytes)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                msg = f"{name}= is a whole number from 1 on, not {value!r}."
                raise OptionError(msg, option=name)
        self._connection = connection
        self._window = window
        self._buffer_bytes = buffer_bytes
        self._is_bounded = is_bounded
        self._overflow = check_overflow(overflow)
        self.on_overflow: Callable[[], object] = _nothing
        self.on_refused: Callable[[Message, BridgeError], object] = _nothing
        self._calls: dict[str | None, _Call] = {}
        self._ready: deque[_Call] = deque()
        self._waiting: OrderedDict[Message, _Call] = OrderedDict()
        self._in_flight: dict[str, tuple[Message, _Call]] = {}
        self._later: list[tuple[float, _Call]] = []
        self._number = 0
        self._bytes = 0
        self._is_overflowing = False
        self._pause = _FIRST_PAUSE
        self._generation = connection.generation
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._room = asyncio.Event()
        self._inbox = ""
        self.taken = 0
        self.stored = 0
        self.duplicates = 0
        self.repeated = 0
        self.dropped = 0
        self.refused = 0

    @property
    def pending(self) -> int:
        """The number of messages that wait or are on their way."""
        return len(self._waiting) + len(self._in_flight)

    @property
    def stats(self) -> ForwardStats:
        """Its counts, as they are now."""
        oldest = min((message.sent_at for message, _ in self._in_flight.values()), default=None)
        now = time.monotonic()
        return ForwardStats(
            self.taken,
            self.stored,
            self.duplicates,
            self.repeated,
            self.dropped,
            self.refused,
            self.pending,
            self._bytes,
            0.0 if oldest is None else now - oldest,
        )

    # --- putting --------------------------------------------------------------------------

    def put(self, message: Message) -> None:
        """Send *message* after those of its call that were put before, unless it is dropped."""
        self.taken += 1
        call = self._calls.get(message.key)
        if call is None:
            call = self._calls[message.key] = _Call(message.key)
        is_full = self._is_bounded and self._bytes + message.size > self._buffer_bytes
        if is_full and not self._make_room(call, message):
            self._settle(call)
            return
        self._bytes += message.size
        message.lost, call.lost = call.lost, 0
        call.waiting.append(message)
        self._waiting[message] = call
        self._idle.clear()
        if not call.is_busy:
            call.is_busy = True
            self._ready.append(call)
            self._wake.set()

    def _make_room(self, call: _Call, message: Message) -> bool:
        """Drop messages as the policy says; False if that is *message* itself."""
        if not self._is_overflowing:
            self._is_overflowing = True
            self.on_overflow()
        if self._overflow is Overflow.LATEST:
            while call.waiting:
                self._drop(call.waiting[0], call)
        elif self._overflow is Overflow.DROP_OLDEST:
            while self._waiting and self._bytes + message.size > self._buffer_bytes:
                self._drop(*next(iter(self._waiting.items())))
        if self._bytes + message.size <= self._buffer_bytes:
            return True
        self.dropped += 1
        call.lost += 1
        return False

    def _drop(self, message: Message, call: _Call) -> None:
        # A call's oldest waiting message is its first one; so is one that goes back to waiting.
        call.waiting.remove(message)
        del self._waiting[message]
        self._bytes -= message.size
        self.dropped += 1
        lost = message.lost + 1
        if call.waiting:
            call.waiting[0].lost += lost
        else:
            call.lost += lost
        if message.on_stored is not None:
            message.on_stored()

    # --- sending --------------------------------------------------------------------------

    async def run(self) -> None:
        """
        Send all messages, until it is cancelled.

        Raises:
            BridgeConnectionError: The client was closed.
        """
        client = self._connection.client
        self._inbox = f"{client.new_inbox()}."
        subscription = await client.subscribe(f"{self._inbox}*", cb=self._answered)
        sweeper = asyncio.create_task(self._sweep())
        try:
            while True:
                if self._ready and self._connection.is_up and len(self._in_flight) < self._window:
                    await self._send(self._ready.popleft())
                    continue
                self._wake.clear()
                await self._wake.wait()
        finally:
            sweeper.cancel()
            if not client.is_closed and client.is_connected:
                await subscription.unsubscribe()

    async def _send(self, call: _Call) -> None:
        if not call.waiting:  # all of it was dropped
            call.is_busy = False
            self._settle(call)
            return
        message = call.waiting.popleft()
        del self._waiting[message]
        self._number += 1
        number = str(self._number)
        message.sent_at = time.monotonic()
        message.attempts += 1
        if message.attempts > 1:
            self.repeated += 1
        headers = message.headers
        if message.lost:
            headers = {**headers, LOST: str(message.lost)}
        self._in_flight[number] = message, call
        try:
            await self._connection.client.publish(
                message.subject, message.payload, reply=self._inbox + number, headers=headers
            )
        except nats.errors.MaxPayloadError:
            del self._in_flight[number]
            self._refuse(message, call, self._too_large(message))
        except nats.errors.ConnectionClosedError as exc:
            msg = "The NATS client was closed; events that were not stored are lost."
            raise BridgeConnectionError(msg) from exc
        except (nats.errors.Error, OSError):  # not connected any more; the sweeper sees that, too
            del self._in_flight[number]
            self._put_back(message, call)
            self._later.append((time.monotonic() + _FIRST_PAUSE, call))

    async def _answered(self, answer: Msg) -> None:
        """Take the server's answer to a message."""
        found = self._in_flight.pop(answer.subject[len(self._inbox) :], None)
        if found is None:  # an answer to a message that has been sent again since
            return
        message, call = found
        data = answer.data
        if data and b'"error"' not in data:
            self._pause = _FIRST_PAUSE
            self.stored += 1
            if b'"duplicate"' in data:  # which it only has if it is one
                self.duplicates += 1
            self._done(message, call)
            return
        error = _error_of(data)
        if error["err_code"] in _PERMANENT:
            self._refuse(message, call, self._refusal(message, error))
            return
        # No stream answers, as while a cluster has no leader; or it has no room, or no time.
        logger.debug("a message was not stored", extra={"error": error["description"]})
        self._put_back(message, call)
        self._later.append((time.monotonic() + self._pause, call))
        self._pause = min(self._pause * 2, _LAST_PAUSE)

    def _put_back(self, message: Message, call: _Call) -> None:
        call.waiting.appendleft(message)
        self._waiting[message] = call
        self._waiting.move_to_end(message, last=False)

    def _done(self, message: Message, call: _Call) -> None:
        self._bytes -= message.size
        if message.on_stored is not None:
            message.on_stored()
        if call.waiting:
            self._ready.append(call)
        else:
            call.is_busy = False
        self._wake.set()
        self._room.set()
        if self._is_overflowing and self._bytes * 2 <= self._buffer_bytes:
            self._is_overflowing = False
            logger.warning("a bridge has room again", extra={"dropped_so_far": self.dropped})
        self._settle(call)

    def _refuse(self, message: Message, call: _Call, error: BridgeError) -> None:
        self.refused += 1
        self._done(message, call)
        self.on_refused(message, error)

    def _settle(self, call: _Call) -> None:
        """Forget a call of which nothing is left to send, and note if there is no other."""
        if not call.waiting and not call.is_busy and not call.lost:
            self._calls.pop(call.key, None)
        if not self._waiting and not self._in_flight:
            self._idle.set()

    def _too_large(self, message: Message) -> PayloadTooLarge:
        limit = self._connection.max_payload
        msg = (
            f"An event takes {len(message.payload)} bytes, more than the {limit} that the NATS "
            f"server accepts; raise its max_payload, or don't forward its class (without=)."
        )
        return PayloadTooLarge(msg, size=len(message.payload), limit=limit)

    def _refusal(self, message: Message, error: dict[str, Any]) -> BridgeError:
        if error["err_code"] == 10054:
            return self._too_large(message)
        msg = f"The stream refuses an event: {error['description']}."
        return BridgeError(msg)

    # --- time -----------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Send messages again that were lost or not answered in time."""
        while True:
            await asyncio.sleep(_SWEEP)
            connection = self._connection
            if not connection.is_up:
                continue
            now = time.monotonic()
            if connection.generation != self._generation:  # answers to these won't come
                self._generation = connection.generation
                self._send_again(list(self._in_flight))
            else:
                self._send_again(
                    [
                        number
                        for number, (message, _) in self._in_flight.items()
                        if now - message.sent_at > _ACK_TIMEOUT
                    ]
                )
            if self._later:
                due = [call for at, call in self._later if at <= now]
                self._later = [(at, call) for at, call in self._later if at > now]
                self._ready.extend(due)
            self._wake.set()

    def _send_again(self, numbers: list[str]) -> None:
        for number in numbers:
            message, call = self._in_flight.pop(number)
            self._put_back(message, call)
            self._ready.append(call)

    async def wait_flushed(self) -> None:
        """Wait until everything is stored, or refused."""
        await self._idle.wait()

    async def wait_room(self) -> None:
        """Wait until the buffer is at most half full."""
        while self._bytes * 2 > self._buffer_bytes:
            self._room.clear()
            await self._room.wait()


def _nothing(*_: object) -> None:
    """Do nothing."""


def _error_of(data: bytes) -> dict[str, Any]:
    try:
        error = msgspec.json.decode(data)["error"] if data else {}
        return {
            "err_code": int(error.get("err_code", 0)),
            "description": str(error.get("description", "no stream answers")),
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"err_code": 0, "description": "an answer that can't be read"}

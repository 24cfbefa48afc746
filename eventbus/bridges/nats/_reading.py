"""
Reading a stream in order, without acknowledgements, through an ephemeral pull consumer.

Rules
-----

* Messages are requested as there is room for them, and come in the stream's order: the consumer
  numbers its deliveries. When a number is missing, or the consumer is gone, or nothing has come
  for longer than its heartbeat, another consumer begins after the last message that came.
* A consumer exists on the server as long as it is asked. Nothing of it is left behind.
* Its state is the number of one message, so a reader that keeps it can go on from there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import nats.errors

from ...exceptions import BridgeError
from ._client import reason
from ._messages import Received, received
from ._stream import last_sequence

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from ._client import Connection

logger = logging.getLogger(__name__)

_EXPIRES: Final = 30.0
_HEARTBEAT: Final = 2.0
_INACTIVE: Final = 60.0
_BEGIN_TIMEOUT: Final = 3.0

NEW: Final = {"deliver_policy": "new"}
"""
The policy of a reader that begins after the messages that are there when it first reads.

It is resolved to a number then: a consumer that has to be made again must not skip messages
that came meanwhile.
"""

# Statuses that end a request, so that its rest won't come: no messages, expired, or an error.
_ENDS: Final = ("404", "408", "409", "503")


class StreamReader:
    """
    Calls a function with each message of a stream, in order.

    Args:
        connection: The connection.
        stream: The stream's name.
        subject: The subject whose messages are read; it may have wildcards.
        start: The consumer's policy of where to begin, as JetStream has it.
        on_message: Called with each message. While it runs, no other one is read.
        capacity: How many messages may have come and not been done with, at most.
        held: Returns the number of messages that have come and aren't done with.
    """

    def __init__(
        self,
        connection: Connection,
        stream: str,
        subject: str,
        start: Mapping[str, Any],
        *,
        on_message: Callable[[Received], Awaitable[None]],
        capacity: int = 1024,
        held: Callable[[], int] = lambda: 0,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._subject = subject
        self._start: Mapping[str, Any] = dict(start)
        self._on_message = on_message
        self._capacity = capacity
        self._held = held
        self._consumer = ""
        self._next = 1
        self._requested = 0
        self._heard_at = 0.0
        self._generation = -1
        self._subscription: Subscription | None = None
        self._checking: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._inbox = ""
        self.last = 0
        """The number of the last message that came."""
        self.lag = 0
        """The number of messages in the stream after it."""
        self.is_started = False

    @property
    def requested(self) -> int:
        """The number of messages that may still come without asking."""
        return self._requested

    def check(self) -> None:
        """
        Begin to read, or again where that is needed, and ask for more if there is room.

        To be called a few times a second. It only starts a task if there is something to do, and
        raises nothing: a failure is mended the next time.
        """
        if not self._connection.is_up or self._checking is not None or self._is_stopped:
            return
        if self._must_begin or self._room() > 0:
            self._checking = asyncio.create_task(self._check())

    @property
    def _must_begin(self) -> bool:
        is_silent = self._requested and time.monotonic() - self._heard_at > 3 * _HEARTBEAT
        is_old = self._generation != self._connection.generation
        return bool(not self._consumer or is_silent or is_old)

    async def _check(self) -> None:
        try:
            if self._must_begin:
                await self._begin()
            await self.request()
        except (BridgeError, nats.errors.Error, OSError) as exc:
            logger.debug("a stream can't be read now", extra={"error": reason(exc)})
            self._consumer = ""
        finally:
            self._checking = None

    def _room(self) -> int:
        """Return how many messages to ask for; 0 if a later question for more will do."""
        room = self._capacity - self._held() - self._requested
        is_enough = room > 0 and (not self._requested or room * 4 >= self._capacity)
        return room if is_enough else 0

    async def request(self) -> None:
        """Ask for more messages, if there is room for a good number."""
        room = self._room()
        if not self._consumer or not room:
            return
        request = {
            "batch": room,
            "expires": round(_EXPIRES * 1e9),
            "idle_heartbeat": round(_HEARTBEAT * 1e9),
        }
        self._requested += room
        await self._connection.client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}",
            json.dumps(request).encode(),
            reply=self._inbox,
        )

    async def stop(self) -> None:
        """Read nothing more."""
        self._is_stopped = True
        checking = self._checking
        if checking is not None:
            checking.cancel()
            await asyncio.gather(checking, return_exceptions=True)
        await self._end()

    async def _end(self) -> None:
        """Give the consumer up."""
        consumer, self._consumer = self._consumer, ""
        subscription, self._subscription = self._subscription, None
        try:
            if subscription is not None:
                await subscription.unsubscribe()
            if consumer and self._connection.is_up:
                subject = f"$JS.API.CONSUMER.DELETE.{self._stream}.{consumer}"
                await self._connection.client.publish(subject)
        except (nats.errors.Error, OSError):  # the server forgets it by itself
            pass

    async def _begin(self) -> None:
        await self._end()
        connection = self._connection
        self._generation = connection.generation
        name = f"eb-{secrets.token_hex(8)}"
        # A new inbox each time: the messages of the last consumer go nowhere.
        self._inbox = connection.client.new_inbox()
        self._subscription = await connection.client.subscribe(self._inbox, cb=self._came)
        self._start = await resolved(connection, self._stream, self._start)
        start: Mapping[str, Any] = self._start
        if self.last:
            start = {"deliver_policy": "by_start_sequence", "opt_start_seq": self.last + 1}
        config = {
            "name": name,
            "ack_policy": "none",
            "replay_policy": "instant",
            "filter_subject": self._subject,
            "inactive_threshold": round(_INACTIVE * 1e9),
            "mem_storage": True,
            "num_replicas": 1,
            **start,
        }
        subject = f"CONSUMER.CREATE.{self._stream}.{name}"
        request = {"stream_name": self._stream, "config": config}
        answer = await connection.api(subject, request, timeout=_BEGIN_TIMEOUT)
        self._consumer = name
        self._next = 1
        self._requested = 0
        self._heard_at = time.monotonic()
        self.lag = int(answer.get("num_pending", 0))
        self.is_started = True

    async def _came(self, message: Msg) -> None:
        if message.subject == self._inbox and not message.reply.startswith("$JS.ACK."):
            await self._status(message)
            return
        consumer, stream_sequence, number, lag = _delivered(message.reply)
        if consumer != self._consumer:  # of one before
            return
        self._heard_at = time.monotonic()
        if number != self._next:  # something got lost; the rest would be out of order
            logger.info("a stream is read again", extra={"after": self.last})
            self._consumer = ""
            return
        self._next += 1
        self._requested = max(0, self._requested - 1)
        self.last = stream_sequence
        self.lag = lag
        await self._on_message(
            received(message.subject, stream_sequence, message.headers, message.data)
        )
        await self.request()

    async def _status(self, message: Msg) -> None:
        """Take a message of the server about a request."""
        headers = message.headers or {}
        status = headers.get("Status", "")
        if status == "100":
            self._heard_at = time.monotonic()
        elif status in _ENDS:
            rest = headers.get("Nats-Pending-Messages", "")
            left = int(rest) if rest.isdigit() else self._requested
            self._requested = max(0, self._requested - left)
            self._heard_at = time.monotonic()
            if status in ("404", "503") or "Deleted" in headers.get("Description", ""):
                self._consumer = ""
            else:
                await self.request()


async def resolved(
    connection: Connection, stream: str, start: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return a policy with a number, if it is `NEW`."""
    if start != NEW:
        return start
    last = await last_sequence(connection, stream)
    return {"deliver_policy": "by_start_sequence", "opt_start_seq": last + 1}


def _delivered(reply: str) -> tuple[str, int, int, int]:
    """Return a message's consumer, its numbers in stream and consumer, and how many follow it."""
    tokens = reply.split(".")
    # $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>;
    # newer servers have a domain and an account before the stream, and may add tokens at the end.
    first = 3 if len(tokens) == 9 else 5
    return (
        tokens[first],
        int(tokens[first + 2]),
        int(tokens[first + 3]),
        int(tokens[first + 5]),
    )

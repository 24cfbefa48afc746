"""
Commands on their way to a session and its answers back: requests of NATS, without a stream.

A session's process subscribes to the subject of the call. The server itself answers a request that
nobody has subscribed to, so a call that is over is known without waiting.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec
import nats.errors

from ...exceptions import (
    BridgeConnectionError,
    CommandFailed,
    NoSuchCall,
    OptionError,
    RemoteException,
    is_exit,
)
from .._commands import Command, CommandedSession, carry_out, decode_command, encode_command
from ._client import reason

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from ._client import Connection
    from ._subjects import Subjects

logger = logging.getLogger(__name__)


async def send_command(
    connection: Connection, subjects: Subjects, call: str, command: Command, timeout: float
) -> None:
    """
    Send a command, and wait until it is carried out.

    Raises:
        NoSuchCall: No process has that call.
        CommandFailed: It can't be carried out; the cause is the session's exception.
        TimeoutError: There was no answer in time.
        BridgeConnectionError: There is no connection.
    """
    payload = encode_command(command)
    try:
        answer = await connection.client.request(subjects.command(call), payload, timeout=timeout)
    except nats.errors.NoRespondersError:
        msg = f"There is no call {call!r} that takes commands: it is over, or was never there."
        raise NoSuchCall(msg, call=call) from None
    except (TimeoutError, nats.errors.TimeoutError):
        msg = f"The call {call!r} gave no answer in {timeout} s; it may carry the command out yet."
        raise TimeoutError(msg) from None
    except (nats.errors.Error, OSError) as exc:
        msg = f"The command could not be sent: {reason(exc)}."
        raise BridgeConnectionError(msg) from exc
    error = msgspec.msgpack.decode(answer.data).get("error")
    if error is not None:
        name = type(command).__name__
        msg = f"The call {call!r} can't carry out {name}: {error['type']}: {error['message']}"
        raise CommandFailed(msg) from RemoteException(error["type"], error["message"])


class Commanding:
    """
    The commands of one session; `NatsBridge.commands` makes it.

    It ends when the session is over, with `stop`, or with the bridge.
    """

    def __init__(
        self,
        session: CommandedSession,
        call: str | None,
        connection: Connection,
        subjects: Subjects,
    ) -> None:
        if call is None:
            msg = "The session has no sender, so no command can name it; pass it one: sender=."
            raise OptionError(msg, option="session")
        self._session = session
        self._call = call
        self._connection = connection
        self._subjects = subjects
        self._is_ready = asyncio.Event()
        self._stopped = asyncio.Event()
        self._is_over = asyncio.Event()

    async def wait_ready(self) -> None:
        """Wait until commands are taken."""
        await self._is_ready.wait()

    async def wait_stopped(self) -> None:
        """Wait until no commands are taken any more, and those that came are answered."""
        await self._is_over.wait()

    def stop(self) -> None:
        """Take no further commands; again is fine."""
        self._stopped.set()

    async def run(self) -> None:
        """Take commands until it is stopped or the session is over."""
        client = self._connection.client
        subject = self._subjects.command(self._call)
        subscription = await client.subscribe(subject, queue="owner", cb=self._take)
        over = asyncio.create_task(self._wait_over())
        try:
            await self._connection.settle()
            self._is_ready.set()
            await self._stopped.wait()
        finally:
            over.cancel()
            await self._connection.drain(subscription)  # earlier commands are still answered
            self._is_over.set()

    async def _wait_over(self) -> None:
        await self._session.wait_closed()
        # An answer to the command that has closed it is still being sent.
        await asyncio.sleep(0)
        self._stopped.set()

    async def _take(self, message: Msg) -> None:
        answer: dict[str, Any] = {}
        try:
            await carry_out(decode_command(message.data), self._session)
        except BaseException as exc:
            if is_exit(exc) or isinstance(exc, asyncio.CancelledError):
                raise
            answer["error"] = {"type": type(exc).__qualname__, "message": str(exc)}
        try:
            await message.respond(msgspec.msgpack.encode(answer))
        except (nats.errors.Error, OSError) as exc:
            logger.debug("a command's answer can't be sent", extra={"error": reason(exc)})

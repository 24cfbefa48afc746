"""
Remote tools: functions that a model calls in one process, and that run in another one.

Rules
-----

* A worker announces a tool, with its description and schema, in the bridge's bucket; a
  process with a session makes a `Tool` of the announcement. It stays there when the worker ends.
* A call goes to one of the workers that have the tool. It says at once that it has taken the call,
  and once a second that it works on it; a worker that is silent for longer is given up. A call is
  never given to a second worker: a tool may have done something in the world.
* The worker checks the arguments, and keeps the tool's time. A mistake in the arguments comes back
  as `ToolArgumentsError`, a timeout as TimeoutError, and any other failure as `RemoteException`.
* A call that is cancelled where the session is, is cancelled where it runs.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import msgspec
import nats.errors

from ...exceptions import (
    BridgeError,
    RemoteException,
    ToolArgumentsError,
    ToolDefinitionError,
    is_exit,
)
from ...realtime.tools import NeedsApproval, Tool, ToolContext, output_text, tool
from ._client import reason

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from ._client import Connection
    from ._subjects import Subjects

logger = logging.getLogger(__name__)

Approval: TypeAlias = NeedsApproval
"""True if a call waits for approval, or a function that decides it."""

_SIGN_PERIOD: Final = 1.0
_SILENCE: Final = 5.0

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


@attrs.frozen(eq=False)
class RemoteTool(Tool):
    """A tool whose function runs in a worker; its arguments are checked there."""

    def arguments_from(self, text: str) -> dict[str, Any]:
        """
        Return the arguments in a JSON text, by name, without looking into them.

        Raises:
            ToolArgumentsError: The text isn't a JSON object.
        """
        arguments: dict[str, Any]
        try:
            arguments = msgspec.json.decode(text.strip() or "{}", type=dict[str, Any])
        except (ValueError, RecursionError):
            pass
        else:
            return arguments
        msg = f"The arguments of {self.name} are wrong: they are not a JSON object."
        raise ToolArgumentsError(msg, tool=self.name)


def announcement(made: Tool) -> bytes:
    """Return a tool as a worker announces it."""
    return _encode(
        {
            "name": made.name,
            "description": made.description,
            "parameters": dict(made.parameters),
            "timeout": made.timeout,
        }
    )


def remote_tool(
    connection: Connection,
    subjects: Subjects,
    announced: Mapping[str, Any],
    *,
    timeout: float | None,
    needs_approval: NeedsApproval,
) -> RemoteTool:
    """Return the tool of an announcement."""
    name = announced["name"]

    async def call(context: ToolContext, /, **arguments: Any) -> Any:
        return await _call(connection, subjects, name, context.call_id, arguments)

    return RemoteTool(
        name,
        announced["description"],
        announced["parameters"],
        call,
        announced["timeout"] if timeout is None else timeout,
        needs_approval,
        True,
        decoder=msgspec.json.Decoder(),
    )


async def _call(
    connection: Connection, subjects: Subjects, name: str, call_id: str, arguments: dict[str, Any]
) -> str:
    """Have a worker run a tool, and return its output."""
    client = connection.client
    number = secrets.token_hex(8)
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    is_over = False
    try:
        request = {"id": number, "call_id": call_id, "arguments": arguments}
        await client.publish(subjects.tool(name), _encode(request), reply=inbox)
        while True:
            try:
                message = await subscription.next_msg(timeout=_SILENCE)
            except nats.errors.TimeoutError:
                msg = (
                    f"The worker of the tool {name} gave no sign for {_SILENCE} s; it may be gone."
                )
                raise BridgeError(msg) from None
            if (message.headers or {}).get("Status") == "503":
                is_over = True
                msg = f"No worker has the tool {name}; start one with @bridge.tool."
                raise BridgeError(msg)
            answer = _decode(message.data)
            if answer["kind"] == "working":
                continue
            is_over = True
            return _output_of(name, answer)
    finally:
        if not is_over and client.is_connected:
            await client.publish(subjects.tool_cancelled(name), number.encode())
        if not client.is_closed:
            await subscription.unsubscribe()


def _output_of(name: str, answer: Mapping[str, Any]) -> str:
    match answer["kind"]:
        case "output":
            return str(answer["output"])
        case "arguments":
            raise ToolArgumentsError(answer["message"], tool=name)
        case "timeout":
            raise TimeoutError(answer["message"])
        case _:
            raise RemoteException(answer["type"], answer["message"], answer.get("traceback", ""))


class ToolWorker:
    """
    One tool of a worker process.

    Args:
        made: The tool.
        connection: The connection.
        subjects: The stream's subjects.
    """

    def __init__(self, made: Tool, connection: Connection, subjects: Subjects) -> None:
        self._tool = made
        self._connection = connection
        self._subjects = subjects
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._stopped = asyncio.Event()
        self._is_over = asyncio.Event()

    async def run(self) -> None:
        """Announce the tool and take calls, until it is stopped."""
        client = self._connection.client
        name = self._tool.name
        taking = await client.subscribe(self._subjects.tool(name), queue="workers", cb=self._take)
        # Ends with the connection: a call that runs to its end may still be cancelled.
        await client.subscribe(self._subjects.tool_cancelled(name), cb=self._cancel)
        try:
            while True:
                try:
                    await self._connection.put(
                        self._subjects.key("tools", name), announcement(self._tool)
                    )
                except BridgeError:
                    await asyncio.sleep(1)
                else:
                    break
            await self._stopped.wait()
        finally:
            await self._connection.drain(taking)  # a call that came before is still taken
            self._is_over.set()

    async def drain(self) -> None:
        """Take no further calls, and wait until those that run are over."""
        self._stopped.set()
        await self._is_over.wait()
        while self._calls:
            await asyncio.gather(*self._calls.values(), return_exceptions=True)

    def abort(self) -> None:
        """Cancel the calls that run."""
        self._stopped.set()
        for task in self._calls.values():
            task.cancel()

    async def _cancel(self, message: Msg) -> None:
        task = self._calls.get(message.data.decode(errors="replace"))
        if task is not None:
            task.cancel()

    async def _take(self, message: Msg) -> None:
        try:
            request = _decode(message.data)
            number, arguments = str(request["id"]), request["arguments"]
        except (ValueError, KeyError, TypeError):
            logger.warning("a tool call can't be read", extra={"tool": self._tool.name})
            return
        task = asyncio.create_task(self._answer(message, arguments))
        self._calls[number] = task
        task.add_done_callback(lambda _: self._calls.pop(number, None))

    async def _answer(self, message: Msg, arguments: Any) -> None:
        signs = asyncio.create_task(self._give_signs(message))
        try:
            answer = await self._run(arguments)
        finally:
            signs.cancel()
        await self._respond(message, answer)

    async def _run(self, arguments: Any) -> dict[str, Any]:
        made = self._tool
        try:
            checked = made.arguments_from(msgspec.json.encode(arguments).decode())
        except ToolArgumentsError as exc:
            return {"kind": "arguments", "message": str(exc)}
        try:
            async with asyncio.timeout(made.timeout):
                if made.is_async:
                    output = await made.function(**checked)
                else:
                    output = await asyncio.to_thread(made.function, **checked)
            return {"kind": "output", "output": output_text(output)}
        except TimeoutError as exc:
            if made.timeout is not None and not str(exc):
                msg = f"The tool {made.name} took longer than {made.timeout} s."
                return {"kind": "timeout", "message": msg}
            return _failure(exc)
        except BaseException as exc:
            if is_exit(exc) or isinstance(exc, asyncio.CancelledError):
                raise
            return _failure(exc)

    async def _give_signs(self, message: Msg) -> None:
        while True:
            await self._respond(message, {"kind": "working"})
            await asyncio.sleep(_SIGN_PERIOD)

    async def _respond(self, message: Msg, answer: dict[str, Any]) -> None:
        try:
            await message.respond(_encode(answer))
        except (nats.errors.Error, OSError) as exc:
            logger.warning(
                "a tool's answer can't be sent",
                extra={"tool": self._tool.name, "error": reason(exc)},
            )


def _failure(exc: BaseException) -> dict[str, Any]:
    return {"kind": "failure", "type": type(exc).__qualname__, "message": str(exc)}


def make_tool(function: Callable[..., Any], options: Mapping[str, Any]) -> Tool:
    """
    Return the tool of a worker's function.

    Raises:
        ToolDefinitionError: It can't be one.
    """
    made = tool(**options)(function) if not isinstance(function, Tool) else function
    if made.wants_context:
        msg = (
            f"{made.name} can't be a remote tool: it takes a ToolContext, and the session is in "
            f"another process; pass the facts that it needs as arguments."
        )
        raise ToolDefinitionError(msg, tool=made.name)
    return made

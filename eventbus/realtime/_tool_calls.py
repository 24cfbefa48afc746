"""
Running the tools that a model calls: each call by itself, and exactly one output for each.

Rules
-----
1. A call runs in a task of its own, a sync function in a thread of the session's own limit. So
   calls run beside each other, and none delays an event.
2. Whatever happens, the model gets one output for a call id: the result, or a text that says
   what went wrong. A call id that comes again is ignored.
3. A failure is a `RealtimeModelExceptionEvent`, and never ends the session. What the model is
   told of it is `format_error`'s decision; by default not what the exception says, since it may
   tell a secret to whoever is on the line.
4. The model goes on once it has the outputs of all calls of one response. So an output that
   could be the last is kept until the response is over, which is when another call can't come
   any more; the others are sent at once. A model that doesn't tell when a response begins goes
   on once no call is left.
5. At the session's end, what runs is cancelled. A thread can't be: its function runs to its end,
   and what it returns is dropped. The same is true for a timeout.
6. An interruption by the user ends no call: what a tool does in the world is done all the same,
   and the model has to know.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio
import anyio.to_thread
import attrs

from ..events import RealtimeModelExceptionEvent, RealtimeModelToolCallEvent
from ..exceptions import ToolArgumentsError, ToolDefinitionError, is_exit
from .events import (
    RealtimeEventInfo,
    RealtimeToolApprovalRequired,
    RealtimeToolEnd,
    RealtimeToolStart,
)
from .inputs import RealtimeModelSendToolOutput
from .tools import Tool, ToolContext, output_text

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

__all__ = ["FormatError", "ToolRuns", "tool_error_text"]

FormatError: TypeAlias = Callable[[str, Exception], str]
"""
Makes the text that the model gets instead of a result, of the tool's name and of what happened.

That is a `ToolArgumentsError` if there is no such tool or its arguments are wrong, a
`TimeoutError` if its time is up, else what it raised.
"""

_MAX_REMEMBERED: Final = 1024

REJECTION: Final = "The call was not approved, and the tool did not run."


def tool_error_text(name: str, error: Exception) -> str:  # noqa: ARG001  # other formatters want it
    """Return what the model is told by default: what it can mend, and else nothing of the error."""
    match error:
        case ToolArgumentsError():
            return str(error)
        case TimeoutError():
            return "The tool took too long, and was stopped. There is no result."
        case _:
            return "The tool failed. There is no result."


class _Batch:
    """
    The calls of one response.

    Attributes:
        unsent: How many of them the model has no output of.
        is_sealed: Whether no call can come any more.
        lock: Held by who is sending, so that the last one is.
        news: Set when one of these has changed.
    """

    __slots__ = ("is_sealed", "lock", "news", "unsent")

    def __init__(self, *, is_sealed: bool) -> None:
        self.unsent = 0
        self.is_sealed = is_sealed
        self.lock = anyio.Lock()
        self.news = anyio.Event()

    def tell(self) -> None:
        self.news.set()
        self.news = anyio.Event()


@attrs.define(eq=False)
class _Approval:
    """What a call waits for: *rejection* is the text for the model, if it was rejected."""

    decided: anyio.Event = attrs.field(factory=anyio.Event)
    rejection: str | None = None


class ToolRuns:
    """
    The tools of one session, and their calls.

    Args:
        send: Sends an output to the model.
        publish: Publishes an event as the session's.
        on_output: Called with a call id and its output, once the model has it.
        context: Returns the context of a call, by call id and tool name.
        info: What the session's events have in common.
        sender: The sender of the session's events.
        format_error: What the model is told of a failure.
        max_threads: How many sync tools run at the same time.
    """

    def __init__(
        self,
        *,
        send: Callable[[RealtimeModelSendToolOutput], Awaitable[None]],
        publish: Callable[[object], None],
        on_output: Callable[[str, str], None],
        context: Callable[[str, str], ToolContext],
        info: RealtimeEventInfo,
        sender: Any,
        format_error: FormatError,
        max_threads: int,
    ) -> None:
        self._send = send
        self._publish = publish
        self._on_output = on_output
        self._context = context
        self._info = info
        self._sender = sender
        self._format_error = format_error
        self._max_threads = max_threads
        self._limiter: anyio.CapacityLimiter | None = None
        self._tools: dict[str, Tool] = {}
        self._seen: dict[str, None] = {}
        self._approvals: dict[str, _Approval] = {}
        self._running: set[anyio.CancelScope] = set()
        self._batch: _Batch | None = None
        self._is_in_turn = False
        self._is_stopped = False

    def add(self, tools: Iterable[Tool]) -> None:
        """
        Let the model call *tools* as well.

        Raises:
            ToolDefinitionError: There is one of that name already.
        """
        for tool in tools:
            if tool.name in self._tools:
                msg = f"There is a tool {tool.name} already; name= gives this one another name."
                raise ToolDefinitionError(msg, tool=tool.name)
            self._tools[tool.name] = tool

    def settings(self) -> list[Mapping[str, Any]]:
        """Return the tools as a session's settings have them."""
        return [tool.to_settings() for tool in self._tools.values()]

    # --- what happens in the session --------------------------------------------------------

    def turn_started(self) -> None:
        """Take it that the calls from now on are those of one response."""
        self._seal()
        self._is_in_turn = True

    def turn_ended(self) -> None:
        """Take it that the response has no further calls."""
        self._seal()
        self._is_in_turn = False

    def call(self, group: TaskGroup, event: RealtimeModelToolCallEvent) -> None:
        """Run the tool that *event* calls, in *group*."""
        if self._is_stopped or event.call_id in self._seen:
            return
        if not event.call_id:
            msg = f"The model called {event.name} without a call id; no output can answer that."
            error = ToolArgumentsError(msg, tool=event.name)
            self._report(error, "taking a tool call", event, None)
            return
        self._remember(event.call_id)
        batch = self._batch
        if batch is None or (batch.is_sealed and not batch.unsent):
            batch = self._batch = _Batch(is_sealed=not self._is_in_turn)
        batch.unsent += 1
        batch.tell()
        group.start_soon(self._answer, event, batch)

    def decide(self, call_id: str, rejection: str | None) -> None:
        """
        Let a call run that waits for approval, or tell the model the *rejection* instead.

        Raises:
            ValueError: It doesn't wait, or not any more.
        """
        approval = self._approvals.pop(call_id, None)
        if approval is None:
            msg = f"The tool call {call_id!r} doesn't wait for approval, or not any more."
            raise ValueError(msg)
        approval.rejection = rejection
        approval.decided.set()

    def stop(self) -> None:
        """Cancel what runs, and take no further calls."""
        self._is_stopped = True
        for scope in self._running:
            scope.cancel()

    def _seal(self) -> None:
        if self._batch is not None:
            self._batch.is_sealed = True
            self._batch.tell()
            self._batch = None

    def _remember(self, call_id: str) -> None:
        self._seen[call_id] = None
        if len(self._seen) > _MAX_REMEMBERED:
            del self._seen[next(iter(self._seen))]

    # --- one call -----------------------------------------------------------------------------

    async def _answer(self, event: RealtimeModelToolCallEvent, batch: _Batch) -> None:
        scope = anyio.CancelScope()
        self._running.add(scope)
        try:
            with scope:
                text = await self._run(event)
                await self._give(event, text, batch)
        finally:
            self._running.discard(scope)
            batch.unsent -= 1  # before the next one runs, which has the lock from us
            batch.tell()

    async def _run(self, event: RealtimeModelToolCallEvent) -> str:
        """Return the text for the model."""
        try:
            tool = self._tool_named(event.name)
            arguments = tool.arguments_from(event.arguments)
            context = self._context(event.call_id, tool.name)
            if await _ask(tool, context, arguments):
                rejection = await self._wait_approval(tool, event)
                if rejection is not None:
                    return rejection
        except BaseException as exc:  # noqa: BLE001  # raised again, if it isn't ours
            return self._failed(event, None, exc)
        self._publish(RealtimeToolStart(None, tool, event.arguments, self._info))
        output: Any
        try:
            output = await self._call(tool, context, arguments)
            text = output_text(output)
        except BaseException as exc:  # noqa: BLE001  # raised again, if it isn't ours
            output = text = self._failed(event, tool, exc)
        self._publish(RealtimeToolEnd(None, tool, event.arguments, output, self._info))
        return text

    def _tool_named(self, name: str) -> Tool:
        tool = self._tools.get(name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            msg = f"There is no tool {name!r}; there are: {known}."
            raise ToolArgumentsError(msg, tool=name)
        return tool

    async def _wait_approval(self, tool: Tool, event: RealtimeModelToolCallEvent) -> str | None:
        """Wait until somebody decides; return the text for the model if it was rejected."""
        approval = self._approvals[event.call_id] = _Approval()
        try:
            self._publish(
                RealtimeToolApprovalRequired(None, tool, event.call_id, event.arguments, self._info)
            )
            await approval.decided.wait()
        finally:
            self._approvals.pop(event.call_id, None)
        return approval.rejection

    async def _call(self, tool: Tool, context: ToolContext, arguments: dict[str, Any]) -> Any:
        function = partial(tool.function, *((context,) if tool.wants_context else ()), **arguments)
        with anyio.move_on_after(tool.timeout) as scope:
            if tool.is_async:
                return await function()
            if self._limiter is None:
                self._limiter = anyio.CapacityLimiter(self._max_threads)
            # Abandoned: neither the timeout nor the end of the session can wait for a thread.
            return await anyio.to_thread.run_sync(
                function, abandon_on_cancel=True, limiter=self._limiter
            )
        assert scope.cancelled_caught
        msg = f"The tool {tool.name} took longer than {tool.timeout} s."
        raise TimeoutError(msg)

    def _failed(
        self, event: RealtimeModelToolCallEvent, tool: Tool | None, exc: BaseException
    ) -> str:
        """Report what a tool raised, and return what the model is told; raise what isn't ours."""
        if is_exit(exc) or (isinstance(exc, anyio.get_cancelled_exc_class()) and _is_cancelled()):
            raise exc
        # A cancellation that nobody asked for, of something that the tool has waited for.
        error = exc if isinstance(exc, Exception) else RuntimeError(f"{type(exc).__name__} in it")
        self._report(exc, f"running the tool {event.name}", event, tool)
        try:
            return str(self._format_error(event.name, error))
        except Exception as failure:  # noqa: BLE001  # the application's, and it is reported
            self._report(failure, f"telling the model that {event.name} failed", event, tool)
            return tool_error_text(event.name, error)

    def _report(
        self, exc: BaseException, context: str, event: RealtimeModelToolCallEvent, tool: Tool | None
    ) -> None:
        self._publish(
            RealtimeModelExceptionEvent(
                exc,
                context,
                event=event,
                handler=None if tool is None else tool.function,
                sender=self._sender,
            )
        )

    async def _give(self, event: RealtimeModelToolCallEvent, text: str, batch: _Batch) -> None:
        """Send an output; the last one of its response lets the model go on."""
        async with batch.lock:
            while batch.unsent == 1 and not batch.is_sealed:
                await batch.news.wait()
            try:
                await self._send(RealtimeModelSendToolOutput(event, text, batch.unsent == 1))
            except Exception as exc:  # noqa: BLE001  # the model's, and it is reported
                self._report(exc, f"sending the output of the tool {event.name}", event, None)
            else:
                self._on_output(event.call_id, text)


async def _ask(tool: Tool, context: ToolContext, arguments: dict[str, Any]) -> bool:
    """Return whether a call needs approval."""
    if isinstance(tool.needs_approval, bool):
        return tool.needs_approval
    answer = tool.needs_approval(context, arguments)
    return bool(await answer if inspect.isawaitable(answer) else answer)


def _is_cancelled() -> bool:
    """Whether the present task is being cancelled; else a cancellation is somebody's own idea."""
    if anyio.current_effective_deadline() == -math.inf:
        return True
    asyncio: Any = sys.modules.get("asyncio")
    try:  # the end of `asyncio.run` knows nothing of scopes, and marks each task
        return bool(asyncio.current_task().cancelling())
    except (AttributeError, RuntimeError):  # trio, where nobody else can raise it
        return True

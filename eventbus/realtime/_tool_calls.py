"""
The calls of tools: each runs by itself, and each gets exactly one output.

Rules
-----
1. A call runs in a task of its own, a sync function in a thread of the session's own limit. So
   calls run beside each other, and none delays an event.
2. Whatever happens, the model gets one output for a call id: the result, or a text about the
   failure. A call id that comes again is ignored. A result that can't be sent is a failure.
3. A failure is a `RealtimeModelExceptionEvent`, and never ends the session. `format_error` makes
   the text that the model gets; by default it has nothing of the exception, which may tell a
   secret to the caller.
4. The model goes on once it has the outputs of all calls of one response. So an output that
   could be the last is kept until the response is over, as more calls may come until then; the
   others are sent at once. Responses are told apart by their ids, since one outside of the
   conversation may begin or end between two calls. A model that doesn't tell when a response
   begins goes on once no call is left.
5. At the session's end, running tools are cancelled. A thread can't be: its function runs to its
   end, and its result is dropped. The same is true for a timeout.
6. An interruption by the user ends no call: a tool's effects remain, and the model has to know.
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
from .tools import Tool, ToolContext, output_text, sendable

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

FormatError: TypeAlias = Callable[[str, Exception], str]
"""
Makes the text that the model gets instead of a result, from the tool's name and the exception.

The exception is a `ToolArgumentsError` if there is no such tool or its arguments are wrong, a
`TimeoutError` if its time is up, else the tool's own.
"""

_MAX_REMEMBERED: Final = 1024


def tool_error_text(name: str, error: Exception) -> str:  # noqa: ARG001  # other formatters want it
    """Return the model's text by default: mistakes that it can mend, else nothing of the error."""
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
        unsent: The number of calls without an output.
        is_sealed: Whether the response is over, so that no call can be added.
        lock: Held while sending, so that the last output is sent last.
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
    """The approval of a call; *rejection* is the model's text, if it was rejected."""

    decided: anyio.Event = attrs.field(factory=anyio.Event)
    rejection: str | None = None


@attrs.define
class ToolCounts:
    """
    The number of tool calls of a session, by their outcome.

    Attributes:
        calls: All calls.
        failures: Calls that raised, timed out, or had a wrong name or wrong arguments.
        timeouts: Failures because the time was up.
        rejections: Calls that were not approved; they are not failures.
    """

    calls: int = 0
    failures: int = 0
    timeouts: int = 0
    rejections: int = 0


class ToolCalls:
    """
    The tools of one session, and their calls.

    Args:
        send: Sends an output to the model.
        publish: Publishes an event as the session's.
        on_output: Called with a call id and its output, once the output is sent.
        context: Returns the context of a call, by call id and tool name.
        info: The part that all of the session's events share.
        sender: The sender of the session's events.
        format_error: Makes the model's text about a failure.
        max_threads: The number of sync tools that run at the same time.

    Attributes:
        counts: The number of calls by their outcome.
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
        self.counts = ToolCounts()
        self._batches: dict[str | None, _Batch] = {}
        self._turns: dict[str | None, None] = {}  # going on, in the order of their beginning
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

    # --- the session's events ---------------------------------------------------------------

    @property
    def are_running(self) -> bool:
        """True if a call has no output yet."""
        return bool(self._running)

    def turn_started(self, response_id: str | None) -> None:
        """Note that a response has begun."""
        self._turns[response_id] = None

    def turn_ended(self, response_id: str | None) -> None:
        """Note that a response has no further calls; without an id, none of them has."""
        over = list({**self._turns, **self._batches}) if response_id is None else [response_id]
        for each in over:
            self._turns.pop(each, None)
            batch = self._batches.pop(each, None)
            if batch is not None:
                batch.is_sealed = True
                batch.tell()

    def call(
        self,
        group: TaskGroup,
        event: RealtimeModelToolCallEvent,
        response_id: str | None = None,
        *,
        is_alone: bool = False,
    ) -> None:
        """
        Run the tool that *event* calls, in *group*.

        Args:
            response_id: The response that the call is part of; None if the service doesn't say,
                and it is the one that began last.
            is_alone: Whether its output waits for no other call, and for no end of a response.
        """
        if self._is_stopped or event.call_id in self._seen:
            return
        if not event.call_id:
            msg = f"The model called {event.name} without a call id; no output can answer that."
            error = ToolArgumentsError(msg, tool=event.name)
            self._report(error, "taking a tool call", event, None)
            return
        self._remember(event.call_id)
        self.counts.calls += 1
        batch = _Batch(is_sealed=True) if is_alone else self._batch_of(response_id)
        batch.unsent += 1
        batch.tell()
        group.start_soon(self._answer, event, batch)

    def _batch_of(self, response_id: str | None) -> _Batch:
        if response_id is None or response_id not in self._turns:
            response_id = next(reversed(self._turns), response_id)
        batch = self._batches.get(response_id)
        if batch is None or (batch.is_sealed and not batch.unsent):
            batch = self._batches[response_id] = _Batch(is_sealed=response_id not in self._turns)
            if len(self._batches) > _MAX_REMEMBERED:
                del self._batches[next(iter(self._batches))]
        return batch

    def decide(self, call_id: str, rejection: str | None) -> None:
        """
        Let a call run that waits for approval, or give the model the *rejection* instead.

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
        """Cancel the running tools, and take no further calls."""
        self._is_stopped = True
        for scope in self._running:
            scope.cancel()

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
                await self._give(event, sendable(text), batch)
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
                    self.counts.rejections += 1
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
        """Wait for the decision; return the model's text if the call was rejected."""
        approval = self._approvals[event.call_id] = _Approval()
        try:
            required = RealtimeToolApprovalRequired(
                None, tool, event.call_id, event.arguments, self._info
            )
            self._publish(required.answered_by(partial(self.decide, event.call_id)))
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
        """Report a tool's exception, and return the model's text; raise cancellations and exits."""
        if is_exit(exc) or (isinstance(exc, anyio.get_cancelled_exc_class()) and _is_cancelled()):
            raise exc
        # Not our cancellation, but that of something that the tool has waited for.
        self.counts.failures += 1
        self.counts.timeouts += isinstance(exc, TimeoutError)
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
            start_response = batch.unsent == 1
            context = f"sending the output of the tool {event.name}"
            try:
                await self._send(RealtimeModelSendToolOutput(event, text, start_response))
            except (TypeError, ValueError) as exc:  # it can't be sent, and the call has no output
                self._report(exc, context, event, None)
                text = tool_error_text(event.name, exc)
                try:
                    await self._send(RealtimeModelSendToolOutput(event, text, start_response))
                except Exception as second:  # noqa: BLE001  # as below
                    self._report(second, context, event, None)
                    return
            except Exception as exc:  # noqa: BLE001  # the model's, and it is reported
                self._report(exc, context, event, None)
                return
            self._on_output(event.call_id, text)


async def _ask(tool: Tool, context: ToolContext, arguments: dict[str, Any]) -> bool:
    """Return whether a call needs approval."""
    if isinstance(tool.needs_approval, bool):
        return tool.needs_approval
    answer = tool.needs_approval(context, arguments)
    return bool(await answer if inspect.isawaitable(answer) else answer)


def _is_cancelled() -> bool:
    """Return whether the present task is being cancelled; else the tool raised by itself."""
    if anyio.current_effective_deadline() == -math.inf:
        return True
    asyncio: Any = sys.modules.get("asyncio")
    try:  # the end of `asyncio.run` knows nothing of scopes, and marks each task
        return bool(asyncio.current_task().cancelling())
    except (AttributeError, RuntimeError):  # trio, where nobody else can raise it
        return True

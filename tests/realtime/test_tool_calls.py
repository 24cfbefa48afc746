"""
Each call of a tool runs by itself, and the model gets exactly one output for it.
"""

from __future__ import annotations

import asyncio
import re
import threading

import anyio
import attrs
import pytest

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from eventbus.exceptions import (
    ModelNotConnected,
    ToolArgumentsError,
)
from eventbus.items import (
    RealtimeToolCallItem,
)
from eventbus.realtime.events import (
    RealtimeEventInfo,
    RealtimeToolApprovalRequired,
    RealtimeToolEnd,
    RealtimeToolStart,
)
from eventbus.realtime.session import RealtimeSession
from eventbus.realtime.tools import ToolContext, tool
from eventbus.testing import capture
from tests.realtime.scripted_model import ScriptedModel
from tests.support import crashes


@pytest.fixture
async def running(bus):
    async with bus:
        yield bus


@pytest.fixture
def model():
    return ScriptedModel()


def call(name="echo", arguments="{}", call_id="call_1"):
    return RealtimeModelToolCallEvent(name, call_id, arguments, id=f"item_{call_id}")


@tool
async def echo(text: str = "") -> str:
    """Say it again."""
    return text


# --- calls and outputs -----------------------------------------------------------------------


async def test_tool_runs_and_its_output_starts_the_response(running, model):
    """
    The model gets the output; the bus has beginning and end; the history has the output.
    """
    event = call(arguments='{"text": "hi"}')
    item = RealtimeToolCallItem(event.id, event.call_id, "echo", event.arguments)
    with capture(running, RealtimeToolStart | RealtimeToolEnd) as captured:
        async with RealtimeSession(model, running, tools=[echo]) as session:
            await model.call(event)
            await model.wait_sent(1)
            while not session.history.items[0].output:
                await anyio.lowlevel.checkpoint()

            assert session.history.items == (attrs.evolve(item, status="completed", output="hi"),)

    (output,) = model.outputs
    assert (output.tool_call, output.output, output.start_response) == (event, "hi", True)
    assert list(captured.events) == [
        RealtimeToolStart(None, echo, event.arguments, RealtimeEventInfo()),
        RealtimeToolEnd(None, echo, event.arguments, "hi", RealtimeEventInfo()),
    ]


async def test_sync_tool_runs_in_a_thread_with_its_context(running, model):
    """
    It doesn't run in the event loop's thread, and gets session, call id and context.
    """
    seen = []

    def where(context: ToolContext) -> dict[str, int]:
        seen.append((context, threading.get_ident()))
        return {"x": 1}

    async with RealtimeSession(model, running, tools=[where], context="mine") as session:
        await model.call(call("where"))
        await model.wait_sent(1)

    ((context, thread),) = seen
    assert thread != threading.get_ident()
    assert context == ToolContext(session, "call_1", "where", "mine")
    assert model.outputs[0].output == '{"x":1}'


async def test_calls_of_one_response_run_together_and_the_last_output_starts_the_next(
    running, model
):
    """
    The quick one's output goes out at once; only the one that is sent last asks for a response.
    """
    gate = anyio.Event()

    async def slow() -> str:
        await gate.wait()
        return "slow"

    async with RealtimeSession(model, running, tools=[slow, echo]):
        await model.call(call("slow", call_id="c1"), call("echo", call_id="c2"))
        await model.wait_sent(1)
        gate.set()
        await model.wait_sent(2)

    sent = [(output.tool_call.call_id, output.start_response) for output in model.outputs]
    assert sent == [("c2", False), ("c1", True)]


async def test_output_that_may_be_the_last_waits_for_the_end_of_the_response(running, model):
    """
    While the response goes on another call may come; then the first output doesn't start one.
    """
    ends = []
    running.subscribe(ends.append, RealtimeToolEnd)
    async with RealtimeSession(model, running, tools=[echo]):
        await model.emit(RealtimeModelTurnStartedEvent("r"), call(call_id="c1"))
        while not ends:
            await anyio.lowlevel.checkpoint()
        assert model.outputs == []

        await model.emit(call(call_id="c2"))
        await model.wait_sent(1)
        await model.emit(RealtimeModelTurnEndedEvent("r"))
        await model.wait_sent(2)

    sent = [(output.tool_call.call_id, output.start_response) for output in model.outputs]
    assert sent == [("c1", False), ("c2", True)]


async def test_model_that_tells_of_no_turns_goes_on_when_no_call_is_left(running, model):
    """
    Without the beginning of a response an output is never kept.
    """
    async with RealtimeSession(model, running, tools=[echo]):
        await model.emit(call(call_id="c1"), call(call_id="c2"))
        await model.wait_sent(2)
        await model.emit(call(call_id="c3"))
        await model.wait_sent(3)

    assert [output.start_response for output in model.outputs] == [False, True, True]


async def test_one_call_id_has_one_output(running, model):
    """
    A call that comes twice runs once, also when it has been answered.
    """
    async with RealtimeSession(model, running, tools=[echo]):
        await model.emit(call(call_id="c1"), call(call_id="c1"), call(call_id="c2"))
        await model.wait_sent(2)
        await model.emit(call(call_id="c1"), call(call_id="c3"))
        await model.wait_sent(3)

    assert sorted(output.tool_call.call_id for output in model.outputs) == ["c1", "c2", "c3"]


async def test_call_without_an_id_is_reported_and_not_run(running, model):
    """
    There is nothing that its output could answer.
    """
    failed = crashes(running)

    async with RealtimeSession(model, running, tools=[echo]):
        await model.call(call(call_id=""))

    assert [type(event.exception) for event in failed] == [ToolArgumentsError]
    assert model.outputs == []


def secret():
    raise ValueError("the password is tulip")


async def cancels_itself():
    raise asyncio.CancelledError


def returns_a_socket():
    return threading.Lock()


@pytest.mark.parametrize(
    ("event", "text", "error"),
    [
        (call("nobody"), r"no tool 'nobody'.*there are: secret", ToolArgumentsError),
        (call("echo", '{"text": 1}'), r"echo are wrong: .*`str`.*\$\.text", ToolArgumentsError),
        (call("echo", "{"), r"echo are wrong: they are no JSON", ToolArgumentsError),
        (call("secret"), "^The tool failed. There is no result.$", ValueError),
        (call("cancels_itself"), "^The tool failed.", asyncio.CancelledError),
        (call("returns_a_socket"), "^The tool failed.", TypeError),
        (call("asks_in_vain"), "^The tool failed.", KeyError),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else None,
)
async def test_failure_is_an_output_and_an_event(running, model, event, text, error):
    """
    The model is told, the bus has the exception, and the next call works.
    """
    failed = crashes(running)
    failing = tool(needs_approval=lambda context, arguments: {}["x"], name="asks_in_vain")(secret)
    tools = [secret, cancels_itself, returns_a_socket, echo, failing]

    async with RealtimeSession(model, running, sender="call-1", tools=tools):
        await model.call(event)
        await model.wait_sent(1)
        await model.call(call("echo", '{"text": "ok"}', call_id="c2"))
        await model.wait_sent(2)

    first, second = model.outputs
    assert (first.start_response, second.start_response) == (True, True)
    assert re.search(text, first.output)
    assert "tulip" not in first.output
    assert second.output == "ok"
    (report,) = failed
    assert isinstance(report.exception, error)
    assert (report.event, report.sender) == (event, "call-1")
    assert event.name in report.context


async def test_timeout_is_an_output_and_an_event(running, model):
    """
    A tool that takes too long is cancelled, and the model is told that it was.
    """
    failed = crashes(running)

    @tool(timeout=0.01)
    async def forever() -> None:
        await anyio.sleep_forever()

    async with RealtimeSession(model, running, tools=[forever]):
        await model.call(call("forever"))
        await model.wait_sent(1)

    assert model.outputs[0].output.startswith("The tool took too long")
    (report,) = failed
    assert isinstance(report.exception, TimeoutError)
    assert str(report.exception) == "The tool forever took longer than 0.01 s."


async def test_thread_that_cannot_be_stopped_holds_up_neither_timeout_nor_end(running, model):
    """
    A result of a sync tool that comes too late is dropped.
    """
    gate = threading.Event()

    @tool(timeout=0.01)
    def stuck() -> str:
        gate.wait(5)
        return "too late"

    @tool
    def stuck_as_well() -> None:
        gate.wait(5)

    try:
        async with RealtimeSession(model, running, tools=[stuck, stuck_as_well]):
            await model.emit(call("stuck", call_id="c1"), call("stuck_as_well", call_id="c2"))
            await model.wait_sent(1)
    finally:
        gate.set()

    assert [output.output[:13] for output in model.outputs] == ["The tool took"]


async def test_application_decides_what_the_model_is_told(running, model):
    """
    format_error makes the text; if it fails itself, the neutral one is sent, and both are told.
    """
    failed = crashes(running)
    texts = iter(["try tulips"])

    def formatted(name: str, error: Exception) -> str:
        return next(texts)

    async with RealtimeSession(model, running, tools=[secret], format_error=formatted):
        await model.call(call("secret", call_id="c1"))
        await model.wait_sent(1)
        await model.call(call("secret", call_id="c2"))
        await model.wait_sent(2)

    assert [output.output for output in model.outputs] == [
        "try tulips",
        "The tool failed. There is no result.",
    ]
    assert [type(event.exception) for event in failed] == [ValueError, ValueError, StopIteration]


async def test_output_that_cannot_be_sent_is_reported(running, model):
    """
    The session goes on; the history doesn't say that the model has the output.
    """
    failed = crashes(running)
    model.send_error = ModelNotConnected("gone")

    async with RealtimeSession(model, running, tools=[echo]) as session:
        await model.call(call())
        while not failed:
            await anyio.lowlevel.checkpoint()
        assert session.history.items[0].output is None

    assert failed[0].exception is model.send_error


async def test_interruption_ends_no_tool(running, model):
    """
    The tool's effects remain, and the model is told.
    """
    gate = anyio.Event()

    async def book() -> str:
        await gate.wait()
        return "booked"

    async with RealtimeSession(model, running, tools=[book]):
        await model.call(call("book"))
        await model.emit(RealtimeModelAudioInterruptedEvent("item_1", 0))
        gate.set()
        await model.wait_sent(1)

    assert model.outputs[0].output == "booked"


async def test_running_tool_is_cancelled_when_the_stream_ends(running, model):
    """
    There is nobody left to tell; no output is sent, and nothing is reported.
    """
    failed, ended = crashes(running), anyio.Event()
    started = anyio.Event()

    async def forever() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with RealtimeSession(model, running, tools=[forever]):
        await model.call(call("forever"))
        await started.wait()
        await model.emit(RealtimeModelEndOfStreamEvent())
        await ended.wait()
        await model.call(call("forever", call_id="c2"))

    assert (model.outputs, failed) == ([], [])


async def test_tool_can_hang_up(running, model):
    """
    A tool that closes the session is cancelled by that, and the connection is closed all the same.
    """

    async def hang_up(context: ToolContext) -> None:
        await context.session.close()

    failed = crashes(running)
    async with RealtimeSession(model, running, tools=[hang_up]) as session:
        await model.call(call("hang_up"))
        with anyio.fail_after(30):
            await session.wait_closed()
        while model.is_connected:
            await anyio.lowlevel.checkpoint()

    assert (model.outputs, failed) == ([], [])


def test_tool_that_exits_ends_the_program(anyio_backend):
    """
    SystemExit is never caught: it leaves the session as it is.
    """

    async def leave() -> None:
        raise SystemExit(3)

    async def main():
        bus, model = EventBus(), ScriptedModel()
        async with bus, RealtimeSession(model, bus, tools=[leave]):
            await model.call(call("leave"))
            await anyio.sleep_forever()

    with pytest.raises(SystemExit):
        anyio.run(main, backend=anyio_backend)


# --- approval --------------------------------------------------------------------------------


async def test_tool_waits_for_its_approval(running, model):
    """
    The event has the call id; the tool runs when that was approved, and not before.
    """
    careful = tool(needs_approval=True, name="careful")(echo.function)
    async with RealtimeSession(model, running, tools=[careful]) as session:
        starts = []
        running.subscribe(starts.append, RealtimeToolStart)
        async with anyio.create_task_group() as group:
            group.start_soon(model.call, call("careful", '{"text": "hi"}'))
            required = await running.expect(RealtimeToolApprovalRequired, timeout=30)
        assert starts == []
        await session.approve_tool_call(required.call_id)
        await model.wait_sent(1)
        with pytest.raises(ValueError, match="not any more"):
            await session.approve_tool_call(required.call_id)

    assert required == RealtimeToolApprovalRequired(
        None, careful, "call_1", '{"text": "hi"}', RealtimeEventInfo()
    )
    assert model.outputs[0].output == "hi"


async def test_rejected_call_does_not_run(running, model):
    """
    The model gets the rejection as the output, and there is no tool event.
    """

    @running.on(RealtimeToolApprovalRequired)
    async def reject(event):
        await session.reject_tool_call(event.call_id, message="Not tonight.")

    careful = tool(needs_approval=True, name="careful")(echo.function)
    with capture(running, RealtimeToolStart | RealtimeToolEnd) as captured:
        async with RealtimeSession(model, running, tools=[careful]) as session:
            await model.call(call("careful"))
            await model.wait_sent(1)

    assert (model.outputs[0].output, list(captured.events)) == ("Not tonight.", [])


async def test_function_decides_for_each_call_whether_it_needs_approval(running, model):
    """
    A sync or async predicate gets the context and the arguments.
    """
    seen = []

    async def is_long(context, arguments):
        seen.append((context.call_id, arguments))
        return len(arguments["text"]) > 3

    careful = tool(needs_approval=is_long, name="careful")(echo.function)
    with capture(running, RealtimeToolApprovalRequired) as captured:
        async with RealtimeSession(model, running, tools=[careful]):
            await model.emit(
                call("careful", '{"text": "long enough"}', call_id="c1"),
                call("careful", '{"text": "no"}', call_id="c2"),
            )
            await model.wait_sent(1)

    assert sorted(seen) == [("c1", {"text": "long enough"}), ("c2", {"text": "no"})]
    assert [event.call_id for event in captured.events] == ["c1"]
    assert [output.tool_call.call_id for output in model.outputs] == ["c2"]

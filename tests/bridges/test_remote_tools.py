"""
Remote tools: a model calls them in one process, one worker of another runs them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from eventbus import (
    BridgeError,
    EventBus,
    RemoteException,
    ToolArgumentsError,
    ToolDefinitionError,
)
from eventbus.bridges.nats import NatsBridge
from eventbus.events import RealtimeModelExceptionEvent, RealtimeModelToolCallEvent
from eventbus.realtime.inputs import RealtimeModelSendToolOutput
from eventbus.realtime.session import RealtimeSession
from eventbus.realtime.tools import ToolContext
from tests.bridges.collecting import TIMEOUT, until
from tests.realtime.scripted_model import ScriptedModel


@contextlib.asynccontextmanager
async def processes(url: str, stream: str, *functions, **options):
    """
    Run a worker with tools, and give the bridge of the session's process, which knows them.
    """
    worker = NatsBridge(url, stream=stream)
    for function in functions:
        worker.tool(function, **options) if not options else worker.tool(**options)(function)
    async with worker, NatsBridge(url, stream=stream) as bridge:
        await known(bridge, len(functions))
        yield bridge


async def known(bridge: NatsBridge, count: int) -> None:
    """
    Wait until so many tools are announced.
    """
    async with asyncio.timeout(TIMEOUT):
        while len(await bridge.find_tools()) < count:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def called(tool, **arguments):
    """
    Call a tool as a session does.
    """
    context = ToolContext(None, "call-1", tool.name)
    return await tool.function(context, **tool.arguments_from(json.dumps(arguments)))


async def test_a_model_calls_a_tool_of_a_worker(url, stream):
    """
    A session tells the model of a remote tool, and gives it the worker's output.
    """

    async def weather(city: str, days: int = 1) -> dict:
        """
        Return the weather.
        """
        return {"city": city, "days": days}

    bus = EventBus()
    model = ScriptedModel()
    async with processes(url, stream, weather) as bridge:
        session = RealtimeSession(model, bus, sender="a")
        session.tools.add(bridge.remote("weather"))
        async with bus, session:
            (told,) = model.config["initial_model_settings"]["tools"]
            await model.emit(RealtimeModelToolCallEvent("weather", "c1", '{"city": "Oslo"}'))
            await until(lambda: model.sent)

    assert told["description"] == "Return the weather."
    assert told["parameters"]["properties"]["days"]["type"] == "integer"
    (output,) = model.sent
    assert isinstance(output, RealtimeModelSendToolOutput)
    assert json.loads(output.output) == {"city": "Oslo", "days": 1}


async def test_a_sync_tool_runs_in_a_thread(url, stream):
    """
    A sync function is called in a thread of the worker.
    """

    def double(number: int) -> int:
        return 2 * number

    async with processes(url, stream, double) as bridge:
        assert await called(bridge.remote("double"), number=21) == "42"


async def test_wrong_arguments_are_told_to_the_model(url, stream):
    """
    The worker checks arguments as a local tool does, and names the mistake without the value.
    """

    async def double(number: int) -> int:
        return 2 * number

    async with processes(url, stream, double) as bridge:
        tool = bridge.remote("double")
        with pytest.raises(ToolArgumentsError, match="number"):
            await called(tool, number="secret")
        with pytest.raises(ToolArgumentsError, match="JSON object"):
            tool.arguments_from("[1]")


async def test_a_failure_comes_back_as_remote_exception(url, stream):
    """
    The function's exception is a RemoteException in the session's process; the model hears nothing
    of it.
    """

    async def fail() -> None:
        raise LookupError("a secret")

    bus = EventBus()
    told = []
    bus.subscribe(told.append, RealtimeModelExceptionEvent)
    model = ScriptedModel()
    async with processes(url, stream, fail) as bridge:
        session = RealtimeSession(model, bus, sender="a", tools=[bridge.remote("fail")])
        async with bus, session:
            await model.emit(RealtimeModelToolCallEvent("fail", "c1", "{}"))
            await until(lambda: model.sent)

    assert model.sent[0].output == "The tool failed. There is no result."
    assert told[0].exception == RemoteException("LookupError", "a secret")


async def test_the_worker_keeps_the_tools_time(url, stream):
    """
    A tool that takes longer than its timeout is cancelled in the worker, and is a TimeoutError.
    """
    cancelled = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async with processes(url, stream, slow, timeout=0.05) as bridge:
        tool = bridge.remote("slow")
        assert tool.timeout == 0.05
        with pytest.raises(TimeoutError, match=r"longer than 0\.05 s"):
            await called(tool)
        assert cancelled.is_set()


async def test_a_cancelled_call_is_cancelled_in_the_worker(url, stream):
    """
    When the session gives a call up, the function in the worker is cancelled, too.
    """
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async with processes(url, stream, slow) as bridge:
        call = asyncio.create_task(called(bridge.remote("slow")))
        await began.wait()
        call.cancel()
        await asyncio.wait_for(cancelled.wait(), TIMEOUT)


async def test_one_of_several_workers_runs_a_call(url, stream):
    """
    Workers with a tool of one name share its calls; each call runs once.
    """
    ran = []

    def worker_of(number: int) -> NatsBridge:
        bridge = NatsBridge(url, stream=stream)

        @bridge.tool
        async def work(n: int) -> int:
            ran.append((number, n))
            return n

        return bridge

    async with worker_of(1), worker_of(2), NatsBridge(url, stream=stream) as bridge:
        await known(bridge, 1)
        tool = bridge.remote("work")
        outputs = await asyncio.gather(*(called(tool, n=n) for n in range(40)))

    assert outputs == [str(n) for n in range(40)]
    assert sorted(n for _, n in ran) == list(range(40))
    assert {number for number, _ in ran} == {1, 2}


async def test_a_tool_without_worker_fails_at_once(url, stream):
    """
    A call that no worker can take is an error that says so, without waiting.
    """

    async def gone() -> None:
        """
        Be gone.
        """

    async with processes(url, stream, gone):
        pass
    async with NatsBridge(url, stream=stream) as bridge:
        with pytest.raises(BridgeError, match="No worker has the tool gone"):
            await called(bridge.remote("gone"))


async def test_leaving_the_worker_waits_for_its_calls(url, stream):
    """
    A worker that is drained finishes the calls that it has taken.
    """
    began, go_on = asyncio.Event(), asyncio.Event()
    worker = NatsBridge(url, stream=stream)

    @worker.tool
    async def slow() -> str:
        began.set()
        await go_on.wait()
        return "done"

    async with NatsBridge(url, stream=stream) as bridge:
        async with worker:
            await known(bridge, 1)
            call = asyncio.create_task(called(bridge.remote("slow")))
            await began.wait()
            asyncio.get_running_loop().call_later(0.05, go_on.set)
        assert await call == "done"


async def test_unfit_tools_are_refused(url, stream):
    """
    A name that nobody has announced, one that is taken, and a function that needs the session are
    ToolDefinitionErrors; with description= and parameters= no announcement is needed.
    """
    bridge = NatsBridge(url, stream=stream)

    @bridge.tool
    def one() -> None:
        """
        Do nothing.
        """

    with pytest.raises(ToolDefinitionError, match="already"):
        bridge.tool(one)
    with pytest.raises(ToolDefinitionError, match="another process"):

        @bridge.tool
        def two(context: ToolContext) -> None:
            """
            Do nothing.
            """

    async with bridge:
        with pytest.raises(ToolDefinitionError, match="No worker has announced"):
            bridge.remote("nobody")
        tool = bridge.remote("nobody", description="", parameters={"type": "object"})
        assert tool.parameters == {"type": "object"}

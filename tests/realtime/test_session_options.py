"""
`RealtimeSession` and its options: refused early, by name, and shown nowhere.
"""

from __future__ import annotations

import math
import traceback

import pytest

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelExceptionEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from eventbus.exceptions import ToolDefinitionError
from eventbus.realtime import RealtimeModelSendSessionUpdate, RealtimeSession, tool
from eventbus.realtime.events import RealtimeToolApprovalRequired
from eventbus.realtime.openai import GPTLiveModel, OpenAIRealtimeModel
from eventbus.realtime.transport import ReconnectPolicy, RenewalPolicy
from eventbus.testing import capture

from .scripted_model import ScriptedModel

KEY = "sk-this-is-secret"


@pytest.mark.parametrize("model", [OpenAIRealtimeModel, GPTLiveModel])
@pytest.mark.parametrize(
    ("name", "values", "error"),
    [
        ("open_timeout", (-1, math.nan, True, "1"), ValueError),
        ("close_timeout", (-1, math.nan, True, "1"), ValueError),
        ("send_timeout", (-1, math.nan, True, "1"), ValueError),
        ("max_buffered_bytes", (0, math.inf, math.nan, True, "1"), ValueError),
        ("reconnect", (5, True, RenewalPolicy()), TypeError),
        ("renewal", (5, True, ReconnectPolicy()), TypeError),
        ("websocket_options", (5, "x"), TypeError),
    ],
)
def test_option_of_a_model_is_refused_when_the_model_is_made(model, name, values, error):
    """
    And not when it connects, or in the middle of a call.
    """
    for value in values:
        with pytest.raises(error, match=rf"^{name}= is a"):
            model(**{name: value})


def test_options_of_one_protocol_are_refused_too():
    """
    A time is a number, and a dialect a name.
    """
    for value in (-1, math.nan, "1"):
        with pytest.raises(ValueError, match=r"^response_timeout= is a number"):
            OpenAIRealtimeModel(response_timeout=value)
    with pytest.raises(ValueError, match="no dialect 5; there are"):
        OpenAIRealtimeModel(dialect=5)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"config": {"ur": "ws://x"}}, "config has an unknown key 'ur'; did you mean url"),
        ({"config": {"api_key": 5}}, "api_key"),
        ({"config": {"initial_model_settings": {"voise": "x"}}}, "did you mean voice"),
        ({"settings": {"instruction": "x"}}, "did you mean instructions"),
        ({"settings": {"audio": {"inputs": {}}}}, "did you mean input"),
        ({"config": "ws://x"}, "config is a mapping, or a list of them; not str"),
        ({"config": 5}, "config is a mapping, or a list of them; not int"),
        ({"config": ["ws://x"]}, "config is a mapping, not str"),
        ({"config": {"url": 5}}, "'url'. is an address .*not int"),
        ({"config": {"headers": "x"}}, "'headers'. is a mapping .*not str"),
        ({"config": {"call_id": 5}}, "'call_id'. is the id .*not int"),
        ({"config": {"initial_model_settings": "x"}}, "settings is a mapping, not str"),
        ({"settings": "x"}, "settings is a mapping, not str"),
        ({"settings": {"audio": "x"}}, "'audio'. is a mapping, not str"),
        ({"settings": {"audio": {"input": "x"}}}, "'input'. is a mapping, not str"),
        ({"settings": {"tools": "x"}}, "'tools'. is a list of tools, not str"),
        ({"settings": {"extra_settings": 5}}, "'extra_settings'. is a mapping, not int"),
        ({"max_threads": 0}, "max_threads= is a whole number"),
        ({"max_threads": "8"}, "max_threads= is a whole number"),
    ],
)
def test_unknown_key_is_refused_with_the_one_that_was_meant(options, told):
    """
    Before anything is connected to: a typing error never reaches the service.
    """
    with pytest.raises(ValueError, match=told):
        RealtimeSession(ScriptedModel(), EventBus(), **options)


async def test_unknown_setting_of_an_update_is_refused(bus):
    """
    Nothing is sent.
    """
    model = ScriptedModel()
    async with bus, RealtimeSession(model, bus) as session:
        with pytest.raises(ValueError, match="did you mean instructions"):
            await session.update_settings({"instrctions": "x"})

    assert not any(isinstance(event, RealtimeModelSendSessionUpdate) for event in model.sent)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_model_refuses_unknown_keys_too(anyio_backend):
    """
    For those that connect it themselves.
    """
    with pytest.raises(ValueError, match="did you mean url"):
        await OpenAIRealtimeModel().connect({"ur": "ws://x"})
    for model in (OpenAIRealtimeModel(), GPTLiveModel()):
        with pytest.raises(ValueError, match="config is a mapping, not str"):
            await model.connect("ws://x")


@pytest.mark.parametrize(
    "options",
    [
        {"format_error": "text"},
        {"format_error": lambda name: name},
        {"memory": 5},
        {"tools": [5]},
        {"tools": 5},
        {"tools": print},
        {"tools": "weather"},
    ],
)
def test_function_that_cannot_be_called_is_refused_where_it_is_given(options):
    """
    Not in the middle of a call.
    """
    with pytest.raises(TypeError):
        RealtimeSession(ScriptedModel(), EventBus(), **options)


def test_async_format_error_is_refused():
    """
    Its text is needed at once.
    """

    async def format_error(name, error): ...

    with pytest.raises(TypeError, match="async"):
        RealtimeSession(ScriptedModel(), EventBus(), format_error=format_error)


def test_approval_function_of_other_arguments_is_refused():
    """
    It gets the context and the arguments.
    """
    with pytest.raises(ToolDefinitionError, match="2 arguments"):

        @tool(needs_approval=lambda: True)
        def order(flower: str) -> None: ...


def test_models_are_one_or_several():
    """
    A model, or a list of them; neither both nor none.
    """
    model, bus = ScriptedModel(), EventBus()
    for options in ({}, {"models": []}, {"model": model, "models": [model]}):
        with pytest.raises(TypeError, match="models"):
            RealtimeSession(bus=bus, **options)


@pytest.mark.parametrize(
    "options",
    [{"model": 5}, {"model": ScriptedModel}, {"models": 5}, {"models": [ScriptedModel(), "gpt"]}],
    ids=["a number", "a class", "no list", "a name in a list"],
)
def test_model_that_is_none_is_named(options):
    """
    When the session is made, and not when it connects.
    """
    with pytest.raises(TypeError, match=r"RealtimeModel, not|list of models, not"):
        RealtimeSession(bus=EventBus(), **options)


@pytest.mark.parametrize("message", [5, None, b"Hello", {}], ids=str)
async def test_message_that_is_none_is_refused(bus, message):
    """
    Whichever model the session has; nothing is sent, now or to the next model.
    """
    first, second = ScriptedModel(), ScriptedModel()
    async with bus, RealtimeSession(bus=bus, models=[first, second]) as session:
        with pytest.raises(TypeError, match="user_input= is a text, or a message"):
            await session.send_message(message)
        with pytest.raises(TypeError, match="message= is the text that the model gets"):
            await session.reject_tool_call("call_1", message=5)

    assert first.sent == []


async def test_scope_is_bus_and_sender(bus):
    """
    The session's events are those of the scope's sender.
    """
    async with bus:
        with bus.scope("call-42") as scope:
            session = RealtimeSession(ScriptedModel(), scope)
            assert (session.bus, session.sender) == (bus, "call-42")
            with pytest.raises(TypeError, match="sender"):
                RealtimeSession(ScriptedModel(), scope, sender="another")


async def test_key_is_in_no_frame_of_a_session_that_fails(bus, anyio_backend_name):
    """
    Tools that show a traceback with the variables of its frames don't show it.
    """
    config = {"api_key": KEY, "headers": {"X": KEY}, "url": f"ws://127.0.0.1:1/?key={KEY}"}
    if anyio_backend_name != "asyncio":
        pytest.skip("the model is for asyncio")
    async with bus:
        failures = []
        for options in ({"settings": {"voise": "x"}}, {}):
            try:
                session = RealtimeSession(OpenAIRealtimeModel(), bus, config=config, **options)
                async with session:
                    pass
            except (OSError, ValueError) as exc:
                failures.append(exc)

    assert len(failures) == 2
    for failure in failures:
        told = traceback.TracebackException.from_exception(failure, capture_locals=True)
        for frame in told.stack:
            if "tests" not in frame.filename:
                assert KEY not in repr(frame.locals), frame.name


# --- tools -----------------------------------------------------------------------------------


def call(call_id, name="work", arguments="{}"):
    return RealtimeModelToolCallEvent(name, call_id, arguments)


def frame(response_id, call_id):
    return RealtimeModelRawServerEvent({"response_id": response_id, "call_id": call_id})


async def test_calls_of_a_response_are_kept_together_by_its_id(bus):
    """
    A response outside of the conversation that begins and ends between two calls changes nothing.
    """
    model = ScriptedModel()
    async with bus, RealtimeSession(model, bus, tools=[work]):
        await model.emit(
            RealtimeModelTurnStartedEvent("r1"),
            frame("r1", "c1"),
            call("c1"),
            RealtimeModelTurnStartedEvent("beside"),
            RealtimeModelTurnEndedEvent("beside"),
            frame("r1", "c2"),
            call("c2"),
        )
        await model.wait_sent(1)
        assert [output.start_response for output in model.outputs] == [False]
        await model.emit(RealtimeModelTurnEndedEvent("r1"))
        await model.wait_sent(2)

    assert [output.start_response for output in model.outputs] == [False, True]


def work() -> str:
    """Work."""
    return "done"


@pytest.mark.parametrize(
    ("result", "text"), [("caf\udce9", "caf\N{REPLACEMENT CHARACTER}"), (["\udce9"], '["\\udce9"]')]
)
async def test_result_that_utf8_cannot_have_is_sent_all_the_same(bus, result, text):
    """
    Half a surrogate pair, as a file name may have, leaves no call without an output.
    """
    model = ScriptedModel()

    def name_file():
        return result

    async with bus, RealtimeSession(model, bus, tools=[name_file]) as session:
        await model.call(call("c1", "name_file"))
        await model.wait_sent(1)
        assert session.tool_counts.failures == 0

    (output,) = model.outputs
    assert output.output == text
    output.output.encode()


async def test_output_that_the_model_refuses_is_replaced(bus):
    """
    The call gets an output, with any error in the formatter.
    """

    class Picky(ScriptedModel):
        async def send_event(self, event):
            if event.output == "done":
                msg = "not that"
                raise ValueError(msg)
            await super().send_event(event)

    model = Picky()
    with capture(bus) as captured:
        async with bus, RealtimeSession(model, bus, tools=[work]):
            await model.call(call("c1"))
            await model.wait_sent(1)

    assert "failed" in model.outputs[0].output
    assert any(isinstance(each, RealtimeModelExceptionEvent) for each in captured.events)


async def test_approval_event_answers_itself(bus):
    """
    A handler needs nothing but the event.
    """
    model = ScriptedModel()

    @bus.on(RealtimeToolApprovalRequired)
    def decide(event):
        if event.call_id == "c1":
            event.approve()
        else:
            event.reject("Not today.")

    guarded = tool(needs_approval=True)(work)
    async with bus, RealtimeSession(model, bus, tools=[guarded]) as session:
        await model.call(call("c1"), call("c2"))
        await model.wait_sent(2)
        counts = session.tool_counts

    assert sorted(output.output for output in model.outputs) == ["Not today.", "done"]
    assert (counts.calls, counts.rejections, counts.failures) == (2, 1, 0)


async def test_failures_of_tools_are_counted(bus):
    """
    A tool that raises or takes too long, an unknown one, or one with wrong arguments.
    """
    model = ScriptedModel()

    def fail():
        raise ZeroDivisionError

    async with bus, RealtimeSession(model, bus, tools=[work, fail]) as session:
        await model.call(
            call("c1"), call("c2", "fail"), call("c3", "nothing"), call("c4", "work", "[]")
        )
        await model.wait_sent(4)
        counts = session.tool_counts

    assert (counts.calls, counts.failures, counts.timeouts) == (4, 3, 0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_every_step_of_closing_runs(bus, anyio_backend):
    """
    A model that fails to close keeps no listener, and its failure is raised.
    """

    class Stuck(ScriptedModel):
        async def close(self):
            msg = "stuck"
            raise RuntimeError(msg)

    model = Stuck()
    async with bus:
        with pytest.raises(RuntimeError, match="stuck"):
            async with RealtimeSession(model, bus):
                pass

    assert model.listeners == []

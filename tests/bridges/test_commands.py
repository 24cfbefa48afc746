"""
Commands: anybody can ask the process that holds a call, and gets an answer.
"""

from __future__ import annotations

import asyncio

import pytest

from eventbus import CommandFailed, EventBus, NoSuchCall, OptionError, RemoteException
from eventbus.bridges import (
    ApproveToolCall,
    HangUp,
    Interrupt,
    RejectToolCall,
    SendMessage,
    UpdateSettings,
)
from eventbus.bridges.nats import NatsBridge
from eventbus.realtime.inputs import (
    RealtimeModelSendInterrupt,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendUserInput,
)
from eventbus.realtime.session import RealtimeSession
from tests.bridges.collecting import until
from tests.bridges.forwarder import TcpForwarder
from tests.realtime.scripted_model import ScriptedModel


class FakeSession:
    """
    A session that notes its requests.
    """

    def __init__(self, sender: object = "call-1") -> None:
        self.sender = sender
        self.asked: list[tuple] = []
        self.closed = asyncio.Event()
        self.wait_before: asyncio.Event | None = None

    async def send_message(self, message) -> None:
        if self.wait_before is not None:
            await self.wait_before.wait()
        self.asked.append(("message", message))

    async def interrupt(self) -> None:
        raise RuntimeError("there is no connection")

    async def update_settings(self, settings) -> None:
        self.asked.append(("settings", settings))

    async def approve_tool_call(self, call_id) -> None:
        self.asked.append(("approve", call_id))

    async def reject_tool_call(self, call_id, *, message="no") -> None:
        self.asked.append(("reject", call_id, message))

    async def close(self) -> None:
        self.closed.set()

    async def wait_closed(self) -> None:
        await self.closed.wait()


async def test_a_session_carries_out_commands_from_another_process(url, stream):
    """
    Text, interruption, settings and hang-up reach the model of a real session.
    """
    bus = EventBus()
    model = ScriptedModel()
    async with (
        NatsBridge(url, stream=stream) as owner,
        NatsBridge(url, stream=stream) as other,
        bus,
        RealtimeSession(model, bus, sender="call-1") as session,
    ):
        commanding = owner.commands(session)
        await commanding.wait_ready()
        await other.send("call-1", SendMessage("How are you?"))
        await other.send("call-1", Interrupt())
        await other.send("call-1", UpdateSettings({"voice": "marin"}))
        await other.send("call-1", HangUp())
        await session.wait_closed()
        await commanding.wait_stopped()
        with pytest.raises(NoSuchCall):
            await other.send("call-1", Interrupt())

    message, interrupt, update = model.sent
    assert message == RealtimeModelSendUserInput("How are you?")
    assert isinstance(interrupt, RealtimeModelSendInterrupt)
    assert update == RealtimeModelSendSessionUpdate({"voice": "marin"})


async def test_tool_calls_are_approved_and_rejected(url, stream):
    """
    A decision about a tool call reaches the session with its words.
    """
    session = FakeSession()
    async with NatsBridge(url, stream=stream) as bridge:
        await bridge.commands(session).wait_ready()
        await bridge.send("call-1", ApproveToolCall("a"))
        await bridge.send("call-1", RejectToolCall("b"))
        await bridge.send("call-1", RejectToolCall("c", "too dear"))

    assert session.asked == [("approve", "a"), ("reject", "b", "no"), ("reject", "c", "too dear")]


async def test_an_unknown_call_is_told_at_once(url, stream):
    """
    A call that nobody has is NoSuchCall with its id, of any characters, long before the timeout.
    """
    async with NatsBridge(url, stream=stream) as bridge:
        for call in ("call.9", "*", ">", ""):
            with pytest.raises(NoSuchCall) as caught:
                await bridge.send(call, Interrupt(), timeout=60)
            assert caught.value.call == call


async def test_an_id_with_wildcards_reaches_only_its_own_call(url, stream):
    """
    A command to the call ``*`` does not reach other calls.
    """
    session, star = FakeSession("call-1"), FakeSession("*")
    async with NatsBridge(url, stream=stream) as bridge:
        await bridge.commands(session).wait_ready()
        await bridge.commands(star).wait_ready()
        await bridge.send("*", SendMessage("hi"))

    assert (session.asked, star.asked) == ([], [("message", "hi")])


async def test_a_failure_of_the_session_comes_back(url, stream):
    """
    The session's exception is the cause of CommandFailed, and the next command works.
    """
    session = FakeSession()
    async with NatsBridge(url, stream=stream) as bridge:
        await bridge.commands(session).wait_ready()
        with pytest.raises(CommandFailed, match="there is no connection") as caught:
            await bridge.send("call-1", Interrupt())
        await bridge.send("call-1", SendMessage("hi"))

    assert isinstance(caught.value.__cause__, RemoteException)
    assert caught.value.__cause__.type_name == "RuntimeError"
    assert session.asked == [("message", "hi")]


async def test_a_session_that_gives_no_answer_in_time_is_a_timeout(url, stream):
    """
    A command that takes longer than its timeout is a TimeoutError that says it may come yet.
    """
    session = FakeSession()
    session.wait_before = asyncio.Event()
    async with NatsBridge(url, stream=stream) as bridge:
        await bridge.commands(session).wait_ready()
        with pytest.raises(TimeoutError, match="may carry the command out yet"):
            await bridge.send("call-1", SendMessage("hi"), timeout=0.05)
        session.wait_before.set()


async def test_commands_end_with_stop(url, stream):
    """
    After `Commanding.stop` the call takes no commands.
    """
    session = FakeSession()
    async with NatsBridge(url, stream=stream) as bridge:
        commanding = bridge.commands(session)
        await commanding.wait_ready()
        commanding.stop()
        await commanding.wait_stopped()
        with pytest.raises(NoSuchCall):
            await bridge.send("call-1", SendMessage("hi"))


async def test_a_command_that_meets_the_end_is_answered(url, stream, shared_server):
    """
    A command that the server passes on while commands end is carried out and answered.
    """
    session = FakeSession()
    async with (
        TcpForwarder(shared_server.port) as forwarder,
        NatsBridge(forwarder.url, stream=stream) as owner,
        NatsBridge(url, stream=stream) as other,
    ):
        commanding = owner.commands(session)
        await commanding.wait_ready()
        forwarder.keep_from(b"UNSUB")
        commanding.stop()
        await forwarder.wait_kept()
        sending = asyncio.create_task(other.send("call-1", SendMessage("hi")))
        await until(lambda: session.asked)
        forwarder.let_go()
        await sending
        await commanding.wait_stopped()

    assert session.asked == [("message", "hi")]


async def test_what_is_no_command_is_refused(url, stream):
    """
    Something else than a command is a TypeError; a session without sender is an OptionError.
    """
    async with NatsBridge(url, stream=stream) as bridge:
        with pytest.raises(TypeError, match="isn't a command"):
            await bridge.send("call-1", "hang up")
        with pytest.raises(TypeError, match="plain data"):
            await bridge.send("call-1", UpdateSettings({"voice": object()}))
        with pytest.raises(OptionError, match="sender="):
            bridge.commands(FakeSession(None))


async def test_a_command_of_a_newer_version_is_answered(url, stream):
    """
    A command that isn't known where the call is comes back as a failure, not as a timeout.
    """
    session = FakeSession()
    async with NatsBridge(url, stream=stream) as bridge:
        await bridge.commands(session).wait_ready()
        import msgspec
        import nats

        client = await nats.connect(url)
        answer = await client.request(
            f"{stream}_commands.call-1", msgspec.msgpack.encode({"command": "sing"})
        )
        await client.close()

    assert "upgrade eventbus" in msgspec.msgpack.decode(answer.data)["error"]["message"]

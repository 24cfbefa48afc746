"""
Bad input: each is one clear error that names the remedy, and shows no secret.
"""

from __future__ import annotations

import logging
import math

import nats
import pytest

from eventbus import (
    BridgeConnectionError,
    BridgeError,
    BridgeSetupError,
    EventBus,
    EventBusError,
    OptionError,
)
from eventbus.bridges import HangUp
from eventbus.bridges.nats import NatsBridge
from eventbus.events import RealtimeModelAudioEvent
from eventbus.exceptions import ToolDefinitionError
from tests.bridges.collecting import TIMEOUT, said
from tests.bridges.servers import free_port


async def enter(*args, **options) -> None:
    """
    Enter a bridge and leave it.
    """
    async with NatsBridge(*args, **options):
        pass


async def test_no_server_is_an_error_that_names_address_and_remedy():
    """
    An address without a server ends in time, with the address and without user and password.
    """
    port = free_port()

    with pytest.raises(BridgeConnectionError, match="nats-server -js") as caught:
        await enter(f"nats://user:secret@127.0.0.1:{port}", connect_timeout=0.5)

    assert f"nats://127.0.0.1:{port}" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value, ConnectionError)


@pytest.mark.slow
async def test_wrong_credentials_are_an_error_that_shows_none(make_server, caplog):
    """
    A server that refuses the credentials is told as that; neither error nor log has them.
    """
    caplog.set_level(logging.DEBUG)
    server = make_server("--user", "right", "--pass", "right")

    with pytest.raises(BridgeConnectionError, match="check the credentials") as caught:
        await enter(server.url, user="wrong", password="hidden-words", connect_timeout=30)

    assert "hidden-words" not in str(caught.value)
    assert "hidden-words" not in caplog.text


async def test_options_of_the_client_pass_through(make_server):
    """
    Credentials are nats-py's options, and a token that fits opens the connection.
    """
    server = make_server("--auth", "a-token")

    async with NatsBridge(server.url, token="a-token") as bridge:
        assert bridge.is_connected


async def test_a_server_without_jetstream_is_told(make_server):
    """
    A server without JetStream is an error that says how to start it.
    """
    server = make_server(jetstream=False)

    with pytest.raises(BridgeSetupError, match="-js"):
        await enter(server.url)


async def test_an_older_server_is_told(make_server, monkeypatch):
    """
    A server below the version that is needed is an error with both versions.
    """
    server = make_server()
    old = nats.aio.client.ServerVersion("2.9.10")
    monkeypatch.setattr(nats.aio.client.Client, "connected_server_version", old)

    with pytest.raises(BridgeSetupError, match=r"2\.9\.10.*2\.10 or later"):
        await enter(server.url)


async def test_a_stream_with_other_settings_is_told_and_not_changed(url, stream):
    """
    Each setting that differs is named with both values, and the stream stays as it is.
    """
    await enter(url, stream=stream, max_age=3600)

    with pytest.raises(BridgeSetupError) as caught:
        await enter(url, stream=stream, max_age=60, storage="memory")

    assert set(caught.value.differences) == {"max_age", "storage"}
    assert "storage is 'file', not 'memory'" in str(caught.value)
    client = await nats.connect(url)
    info = await client.jetstream().stream_info(stream)
    await client.close()
    assert info.config.max_age == 3600


async def test_a_bridge_takes_the_settings_of_the_stream_that_is_there(url, stream):
    """
    A bridge that asks for nothing joins a stream with any settings.
    """
    await enter(url, stream=stream, partitions=8, max_age=3600, storage="memory")
    await enter(url, stream=stream)


async def test_a_stream_of_somebody_else_is_told(url, stream):
    """
    A stream that no bridge made is not used.
    """
    client = await nats.connect(url)
    await client.jetstream().add_stream(name=stream, subjects=[f"{stream}.>"])
    await client.close()

    with pytest.raises(BridgeSetupError, match="wasn't made by a bridge"):
        await enter(url, stream=stream)


async def test_a_client_that_is_connected_is_used_and_left_open(url, stream):
    """
    A client that the application has stays open when the bridge is left.
    """
    client = await nats.connect(url)
    bus = EventBus()
    async with NatsBridge(client, stream=stream) as bridge, bus:
        forwarding = bridge.forward(bus)
        bus.publish(said(1), sender="a")
        await forwarding.flush(TIMEOUT)

    assert client.is_connected
    await client.close()
    with pytest.raises(BridgeConnectionError, match="isn't connected"):
        await enter(client, stream=stream)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"stream": "a.b"}, "stream="),
        ({"stream": ""}, "stream="),
        ({"prefix": "*"}, "prefix="),
        ({"partitions": 0}, "partitions="),
        ({"replicas": "3"}, "replicas="),
        ({"storage": "disk"}, "storage="),
        ({"lease_time": 0.1}, "lease_time"),
        ({"lease_time": math.nan}, "lease_time="),
        ({"lease_time": math.inf}, "lease_time="),
        ({"drain_timeout": -1}, "drain_timeout="),
        ({"drain_timeout": math.nan}, "drain_timeout="),
        ({"connect_timeout": True}, "connect_timeout="),
        ({"max_age": -1}, "max_age="),
        ({"max_age": math.nan}, "max_age="),
        ({"max_age": math.inf}, "max_age="),
        ({"max_age": 1e300}, "max_age="),
        ({"max_age": "1"}, "max_age="),
        ({"duplicate_window": True}, "duplicate_window="),
        ({"max_bytes": 1.5}, "max_bytes="),
    ],
)
def test_wrong_options_are_refused_before_connecting(options, problem):
    """
    An option with a value that it can't have is an OptionError when the bridge is made.
    """
    with pytest.raises(OptionError, match=problem):
        NatsBridge("nats://127.0.0.1:1", **options)


@pytest.mark.parametrize("given", [5, None, "call-1", EventBus], ids=str)
async def test_argument_that_is_no_bus_or_session_is_named(given):
    """
    A TypeError says it, also before the bridge is entered.
    """
    bridge = NatsBridge("nats://127.0.0.1:1")

    with pytest.raises(TypeError, match=r"forward.* EventBus or a Scope; bus= is"):
        bridge.forward(given)
    with pytest.raises(TypeError, match=r"receive.* EventBus; bus= is"):
        bridge.receive(given)
    with pytest.raises(TypeError, match=r"commands\(\) takes a RealtimeSession"):
        bridge.commands(given)


async def test_scope_cannot_receive_and_the_error_names_its_bus():
    """
    The sender of a received event is its call.
    """
    bridge = NatsBridge("nats://127.0.0.1:1")
    with EventBus().scope("call-1") as scope, pytest.raises(TypeError, match=r"scope\.bus"):
        bridge.receive(scope)


async def test_argument_of_another_type_is_named_by_each_method(url, stream):
    """
    Nothing is sent, and nothing is taken.
    """
    async with NatsBridge(url, stream=stream) as bridge:
        with pytest.raises(OptionError, match="without= is a list of event classes"):
            bridge.forward(EventBus(), without=RealtimeModelAudioEvent)
        with pytest.raises(OptionError, match="call_id= is a function"):
            bridge.forward(EventBus(), call_id="call-1")
        with pytest.raises(TypeError, match=r"path of a journal.*not 5"):
            bridge.forward_journal(5)
        with pytest.raises(TypeError, match="named by its id, a text; not by 5"):
            await bridge.send(5, HangUp())
        with pytest.raises(TypeError, match="named by its id, a text; not by 5"):
            bridge.receive(EventBus(), call=5)
        with pytest.raises(ToolDefinitionError, match="name of a tool, not 5"):
            bridge.remote(5)
        with pytest.raises(ToolDefinitionError, match="JSON schema as a mapping, not 5"):
            bridge.remote("weather", description="", parameters=5)
        for timeout in (0, math.nan, True, "1"):
            with pytest.raises(OptionError, match="timeout= is a positive number"):
                await bridge.send("call-1", HangUp(), timeout=timeout)
            with pytest.raises(OptionError, match="timeout= is a positive number"):
                bridge.remote("weather", timeout=timeout)


async def test_a_bridge_is_entered_once_and_used_inside(url, stream):
    """
    Using a bridge outside of its block, or entering it twice, is an error that says so.
    """
    bridge = NatsBridge(url, stream=stream)
    with pytest.raises(EventBusError, match="async with"):
        bridge.forward(EventBus())
    async with bridge:
        pass
    with pytest.raises(EventBusError, match="once"):
        await bridge.__aenter__()


def test_errors_of_bridges_have_one_root():
    """
    All errors of bridges are BridgeErrors.
    """
    assert issubclass(BridgeSetupError, BridgeError)
    assert issubclass(BridgeConnectionError, BridgeError)

"""
``eventbus proxy``: the output about a call that passes, and the ends of the command.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import anyio
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from eventbus.cli.commands import proxy as proxy_module
from eventbus.journal import SentRecord, open_journal

KEY = "sk-proxy-test-0123456789"

TURN = json.dumps({"type": "response.created", "response": {"id": "resp_1"}})
APPEND = json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA"})


async def call_through(proxy, messages):
    headers = {"Authorization": f"Bearer {KEY}"}
    async with connect(proxy.url, additional_headers=headers) as client:
        for message in messages:
            await client.send(message)
            await client.recv()


@pytest.fixture
def call(run, monkeypatch):
    """
    Run the command before a service that echoes; *messages* go through it, and then comes Ctrl-C.
    """

    class Proxy(proxy_module.RealtimeProxy):
        messages = (APPEND, APPEND, TURN, TURN)

        async def __aenter__(self):
            async with contextlib.AsyncExitStack() as stack:
                echo = await stack.enter_async_context(serve(_echo, "127.0.0.1", 0))
                port = echo.sockets[0].getsockname()[1]
                self._upstream = self._upstream._replace(netloc=f"127.0.0.1:{port}")
                self._stack = stack.pop_all()
            proxies.append(self)
            return await super().__aenter__()

        async def __aexit__(self, *exc_info):
            await super().__aexit__(*exc_info)
            await self._stack.aclose()

    async def talk_and_interrupt():
        proxy = proxies.pop()
        await call_through(proxy, proxy.messages)
        await asyncio.gather(*proxy._server.handlers.values())
        raise KeyboardInterrupt

    proxies = []
    monkeypatch.setattr(proxy_module, "RealtimeProxy", Proxy)
    monkeypatch.setattr(anyio, "sleep_forever", talk_and_interrupt)
    return lambda *args: run("proxy", "--upstream", "ws://x", "--port", "0", *args)


async def _echo(connection):
    async for message in connection:
        await connection.send(message)


def test_call_is_shown_line_by_line(call):
    """
    Both directions are shown, audio that comes in a row once, and the address is on stderr.
    """
    result = call()

    assert result.exit_code == 130
    lines = [line.split() for line in result.stdout.partition("\n\n")[0].splitlines()]
    assert [line[1:3] for line in lines if line[1] != "other"] == [
        ["connection_status", "connecting"],
        ["connection_status", "connected"],
        ["raw_client_event", "input_audio_buffer.append"],
        ["raw_client_event", "response.created"],
        ["turn_started", "resp_1"],
        ["raw_client_event", "response.created"],
        ["turn_started", "resp_1"],
        ["connection_status", "disconnected"],
        ["end_of_stream"],
    ]
    assert "RealtimeModelTurnStartedEvent" in result.stdout, "the summary"
    assert "Clients connect to ws://127.0.0.1:" in result.stderr
    assert KEY not in result.output


def test_messages_to_gemini_are_shown_by_their_fields(call, monkeypatch):
    """
    A message without a type is shown by its field; audio in a row is shown once, too.
    """
    audio = {"mime_type": "audio/pcm;rate=16000", "data": "AAAA"}
    said = json.dumps({"realtime_input": {"audio": audio}})
    text = json.dumps({"clientContent": {"turnComplete": True}})
    monkeypatch.setattr(proxy_module.RealtimeProxy, "messages", (said, said, text, said))

    lines = [line.split() for line in call().stdout.splitlines()]

    shown = [line[2] for line in lines if line[1:2] == ["raw_client_event"]]
    assert shown == ["realtimeInput.audio", "clientContent", "realtimeInput.audio"]


def test_json_has_all_of_both_directions_with_the_sender(call):
    """
    With --json the first line is the address, each event has its sender, and all audio is there.
    """
    result = call("--json")

    address, *events, summary = map(json.loads, result.stdout.splitlines())
    assert list(address) == ["schema", "url", "base_url"]
    assert address["schema"] == "eventbus.address/1"
    assert address["base_url"].startswith("http://127.0.0.1:")
    assert {tuple(event) for event in events} == {("schema", "sender", "event")}
    assert {event["schema"] for event in events} == {"eventbus.event/1"}
    assert {event["sender"].partition("-")[0] for event in events} == {"connection"}
    types = [event["event"]["type"] for event in events]
    assert types.count("raw_client_event") == 4
    assert types.count("turn_started") == 2
    assert summary["summary"]["was_interrupted"]
    assert result.stderr == ""
    assert KEY not in result.output


def test_recorded_call_has_both_directions(call, run):
    """
    With --record, messages of the client are in the journal as sent, and no key is.
    """
    result = call("--record", "calls.journal")

    assert result.exit_code == 130
    assert "calls.journal: " in result.stderr
    records = list(map(json.loads, run("grep", "calls.journal", "--json").stdout.splitlines()))
    kinds = [record["kind"] for record in records]
    assert (kinds.count("sent"), kinds.count("frame")) == (4, 4)
    assert {record["sender"] for record in records if record["kind"] == "sent"} == {
        next(record["sender"] for record in records if record["kind"] == "status")
    }
    assert KEY.encode() not in Path("calls.journal").read_bytes()


def test_recorded_call_lacks_what_is_left_out(call):
    """
    With --no-audio the journal has the client's messages without the audio in them.
    """
    result = call("--record", "calls.journal", "--no-audio", "--redact", "id")

    assert result.exit_code == 130
    journal = open_journal("calls.journal")
    assert (journal.header.has_audio, journal.header.redacted) == (False, ("id",))
    append, _, turn, _ = (record.message for record in journal.read(SentRecord))
    assert append == {"type": "input_audio_buffer.append", "audio": ""}
    assert turn == {"type": "response.created", "response": {"id": ""}}


def test_app_gets_both_directions_and_may_crash(call, write_module):
    """
    An app's handlers see the call; one that crashes is told, and the call has gone on.
    """
    write_module(
        "agent",
        "from eventbus.realtime.events import RealtimeModelRawClientEvent\n"
        "@on(RealtimeModelRawClientEvent)\n"
        "def sent(event): print('sent', event.data['type'])\n"
        "@on(RealtimeModelTurnStartedEvent)\n"
        "async def fail(event): raise ValueError('boom')\n",
    )

    result = call("--app", "agent")

    assert result.stdout.count("sent input_audio_buffer.append") == 2
    assert "connection_status" not in result.stdout
    assert result.stderr.count("crash: agent.fail") == 1
    assert "crashes: 2" in result.stdout


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ([], "--upstream"),
        (["--upstream", "api.openai.com"], "wss://"),
        (["--upstream", "wss://x", "--app", "nonsense"], "no module nonsense"),
        (["--upstream", "wss://x", "--no-content"], "--no-content needs --record"),
    ],
)
def test_wrong_arguments_are_2(run, args, problem):
    """
    Without a URL, or with a wrong one, there is a usage error that shows a valid one.
    """
    result = run("proxy", *args)

    assert result.exit_code == 2
    assert problem in result.stderr


def test_port_in_use_is_4(run):
    """
    A port that somebody has is one line that names it.
    """

    async def main():
        async with serve(_echo, "127.0.0.1", 0) as other:
            port = other.sockets[0].getsockname()[1]
            args = ("proxy", "--upstream", "wss://x", "--port", str(port))
            return port, await asyncio.to_thread(run, *args)

    port, result = asyncio.run(main())

    assert result.exit_code == 4
    (line,) = result.stderr.splitlines()
    assert f"port {port}" in line
    assert "another port" in line

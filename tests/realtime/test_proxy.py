"""
`eventbus.realtime.proxy`: the messages that pass, the events published, and the ends of both sides.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import hashlib
import http
import json
import logging
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnStartedEvent,
)
from eventbus.exceptions import RealtimeConnectionError
from eventbus.realtime.events import RealtimeModelRawClientEvent
from eventbus.realtime.proxy import RealtimeProxy
from eventbus.testing import capture
from tests.bridges.servers import free_port

KEY = "sk-proxy-test-0123456789"

# After so many seconds without an answer to its ping, a side is dead: longer than a busy machine
# lets the whole process wait, in which the side that is alive can't answer either.
DEAD_S = 0.7

TURN = json.dumps({"type": "response.created", "response": {"id": "resp_1"}})
DELTA = json.dumps(
    {
        "type": "response.output_audio_transcript.delta",
        "response_id": "resp_1",
        "item_id": "item_1",
        "delta": "Hello",
    }
)


@pytest.fixture(scope="module")
def anyio_backend():
    """
    Only asyncio: websockets has no other.
    """
    return "asyncio"


@contextlib.asynccontextmanager
async def upstream(handler, **options):
    """
    A service that runs *handler* for each connection; gives its URL.
    """
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@contextlib.asynccontextmanager
async def proxied(bus, handler, path="", **options):
    """
    A proxy before such a service.
    """
    async with upstream(handler, **options) as url, RealtimeProxy(url + path, bus) as proxy:
        yield proxy


async def echo(connection):
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


async def closing_of(connection):
    """
    Read to the end; return the close code and reason.
    """
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.recv()
    return connection.close_code, connection.close_reason


async def ended(seen):
    """
    Wait until the stream of a connection is over.
    """
    await seen.wait_for(RealtimeModelEndOfStreamEvent, timeout=30)


# --- what goes through -----------------------------------------------------------------------


async def test_messages_go_through_unchanged(bus):
    """
    Text comes as the same text and bytes as the same bytes, in both directions, in order.
    """
    sent = ['{"type":  "x"}', b"\x00\xff", "", b"", "é\u2028", "x" * 200_000, b'{"type":"x"}']

    async with (
        upstream(echo) as url,
        RealtimeProxy(url, bus) as proxy,
        connect(proxy.url) as client,
    ):
        for message in sent:
            await client.send(message)
        received = [await client.recv() for _ in sent]

    assert received == sent
    assert list(map(type, received)) == list(map(type, sent))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(st.text() | st.binary(), max_size=5))
def test_any_messages_go_through_unchanged(messages):
    """
    Any message, UTF-8 or bytes, comes back, and the bus takes no harm.
    """
    messages = [
        m for m in messages if not isinstance(m, str) or m.encode("utf-8", "ignore").decode() == m
    ]

    async def talk():
        bus = EventBus()
        async with proxied(bus, echo) as proxy, connect(proxy.url) as client:
            for message in messages:
                await client.send(message)
            return [await client.recv() for _ in messages]

    assert asyncio.run(talk()) == messages


async def test_query_headers_and_subprotocols_go_upstream(bus):
    """
    The service sees the client's query behind its own, its headers and its subprotocols.
    """
    requests = []

    async def note(connection):
        requests.append(connection.request)
        await connection.close()

    offered = ["realtime", f"openai-insecure-api-key.{KEY}"]
    path = "/openai/v1/realtime?api-version=1"
    async with (
        proxied(bus, note, path, subprotocols=["realtime"]) as proxy,
        connect(
            f"{proxy.url}?model=gpt%2Frealtime",
            additional_headers={"Authorization": f"Bearer {KEY}", "OpenAI-Project": "p"},
            user_agent_header="a-browser/1",
            subprotocols=offered,
        ) as client,
    ):
        await client.wait_closed()
        assert client.subprotocol == "realtime"

    (request,) = requests
    assert request.path == "/openai/v1/realtime?api-version=1&model=gpt%2Frealtime"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["OpenAI-Project"] == "p"
    assert request.headers.get_all("User-Agent") == ["a-browser/1"]
    assert request.headers["Sec-WebSocket-Protocol"] == ", ".join(offered)
    assert request.headers["Host"] != proxy.url.split("/")[2], "that is the proxy's own"


async def test_without_a_path_upstream_the_clients_counts(bus):
    """
    The service is asked for the client's path if its URL has none.
    """
    paths = []

    async def note(connection):
        paths.append(connection.request.path)

    async with proxied(bus, note) as proxy, connect(f"{proxy.url}?model=m") as client:
        await client.wait_closed()

    assert paths == ["/v1/realtime?model=m"]


async def test_headers_of_the_service_reach_the_client(bus):
    """
    The client can read the headers of the service's response.
    """

    def tell(connection, request, response):
        response.headers["X-Request-Id"] = "req_1"

    async with proxied(bus, echo, process_response=tell) as proxy, connect(proxy.url) as client:
        assert client.response.headers["X-Request-Id"] == "req_1"
        assert len(client.response.headers.get_all("Sec-WebSocket-Accept")) == 1


@pytest.mark.slow
async def test_slow_client_slows_the_service_down(bus):
    """
    While a client doesn't read, the service can't send on and on: sending stalls, and goes on.
    """
    piece, count, stalled, sent = "x" * 100_000, 400, asyncio.Event(), 0

    async def pour(connection):
        nonlocal sent
        for _ in range(count):
            sending = asyncio.ensure_future(connection.send(piece))
            # A send that isn't done after so many turns of the loop waits for the network.
            for _ in range(2_000):
                await asyncio.sleep(0)
                if sending.done():
                    break
            else:
                stalled.set()
            await sending
            sent += 1

    async with (
        proxied(bus, pour, compression=None) as proxy,
        connect(proxy.url, compression=None, max_queue=1, max_size=None) as client,
    ):
        async with asyncio.timeout(10):
            await stalled.wait()
        assert sent < count
        for _ in range(count):
            assert len(await client.recv()) == len(piece)


# --- how it ends -----------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "bye"), (4000, "no money left é")])
async def test_client_sees_how_the_service_closes(bus, code, reason):
    """
    The code and the reason of the service are those that the client gets, after every message.
    """

    async def close(connection):
        await connection.send(TURN)
        await connection.close(code, reason)

    async with proxied(bus, close) as proxy, connect(proxy.url) as client:
        assert await client.recv() == TURN
        assert await closing_of(client) == (code, reason)


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (4001, "hung up")])
async def test_service_sees_how_the_client_closes(bus, code, reason):
    """
    The code and the reason of the client are those that the service gets, after every message.
    """
    seen = asyncio.get_running_loop().create_future()

    async def note(connection):
        message = await connection.recv()
        seen.set_result((message, *await closing_of(connection)))

    async with proxied(bus, note) as proxy:
        async with connect(proxy.url) as client:
            await client.send("last words")
            await client.close(code, reason)
        assert await seen == ("last words", code, reason)


async def test_service_that_breaks_off_is_a_bad_gateway(bus):
    """
    A service that is gone without a close frame is 1014 for the client, and an Exception event.
    """

    async def vanish(connection):
        connection.transport.abort()

    with capture(bus) as seen:
        async with proxied(bus, vanish) as proxy:
            async with connect(proxy.url) as client:
                code, _ = await closing_of(client)
            await ended(seen)

    assert code == 1014
    error = seen.assert_published(RealtimeModelExceptionEvent).exception
    assert isinstance(error, RealtimeConnectionError)
    assert error.code is None


async def test_client_that_breaks_off_ends_the_service_s_side(bus):
    """
    A client that is gone without a close frame is 1001 for the service.
    """
    seen = asyncio.get_running_loop().create_future()

    async def note(connection):
        seen.set_result(await closing_of(connection))

    async with proxied(bus, note) as proxy, connect(proxy.url) as client:
        client.transport.abort()
        assert await seen == (1001, "the client is gone")


async def open_by_hand(reader, writer, request_headers=b""):
    """
    Do the opening handshake of a service that is no library, so that it may go dead.
    """
    request = await reader.readuntil(b"\r\n\r\n")
    key = next(line for line in request.split(b"\r\n") if b"WebSocket-Key" in line).split()[1]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


async def test_dead_service_is_noticed(bus):
    """
    A service that answers no ping ends the call: 1014 for the client, and an Exception event.
    """
    gone = asyncio.Event()

    async def go_dead(reader, writer):
        await open_by_hand(reader, writer)
        await gone.wait()
        writer.transport.abort()

    server = await asyncio.start_server(go_dead, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with capture(bus) as seen:
        async with RealtimeProxy(url, bus, ping_interval=0.05, ping_timeout=DEAD_S) as proxy:
            # The client's own pings are answered by the proxy, so they don't tell.
            async with connect(proxy.url, ping_interval=0.01, ping_timeout=30) as client:
                await client.send("hello?")
                code, reason = await closing_of(client)
            await ended(seen)
    gone.set()
    server.close()
    await server.wait_closed()

    assert (code, reason) == (1014, "the connection to the service is gone")
    error = seen.assert_published(RealtimeModelExceptionEvent).exception
    assert "The service has ended the connection" in str(error)
    assert "no sign of life" in str(error)


async def test_dead_client_is_noticed(bus):
    """
    A client that answers no ping ends the call: 1001 for the service.
    """
    closed = asyncio.get_running_loop().create_future()

    async def note(connection):
        closed.set_result(await closing_of(connection))

    async with (
        upstream(note) as url,
        RealtimeProxy(url, bus, ping_interval=0.05, ping_timeout=DEAD_S) as proxy,
    ):
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(
            b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        assert await closed == (1001, "the client is gone")
        writer.close()


async def test_quiet_call_goes_on(bus):
    """
    Sides that say nothing, and answer pings, stay connected.
    """
    pings = 0

    class Counted(ServerConnection):
        def data_received(self, data):
            nonlocal pings
            pings += 1
            if pings > 10:
                enough.set()
            super().data_received(data)

    enough = asyncio.Event()
    async with (
        upstream(echo, create_connection=Counted) as url,
        RealtimeProxy(url, bus, ping_interval=0.02, ping_timeout=30) as proxy,
        connect(proxy.url) as client,
    ):
        await enough.wait()
        await client.send("still there?")
        assert await client.recv() == "still there?"


@pytest.mark.slow
async def test_slow_reader_is_not_dead(bus):
    """
    A client that has not read the data before the ping is waited for, and gets all of it.
    """
    piece, count = "x" * 100_000, 400

    async def pour(connection):
        for _ in range(count):
            await connection.send(piece)

    async with (
        upstream(pour, compression=None, ping_interval=None) as url,
        RealtimeProxy(url, bus, ping_interval=0.02, ping_timeout=DEAD_S) as proxy,
        connect(
            proxy.url, compression=None, max_queue=1, max_size=None, ping_interval=None
        ) as client,
    ):
        for _ in range(count // 4):
            await client.recv()
        await asyncio.sleep(3 * DEAD_S)  # in which a ping is overdue
        for _ in range(count - count // 4):
            assert len(await client.recv()) == len(piece)


async def test_leaving_closes_both_sides(bus):
    """
    When the proxy ends, clients and services get 1001, and nothing of it is left.
    """
    seen = asyncio.get_running_loop().create_future()

    async def note(connection):
        seen.set_result(await closing_of(connection))

    before = asyncio.all_tasks()
    async with upstream(note) as url:
        async with RealtimeProxy(url, bus) as proxy:
            client = await connect(proxy.url)
        assert await closing_of(client) == (1001, "")
        code, _ = await seen
        assert code == 1001
    await client.wait_closed()
    await asyncio.sleep(0)

    assert asyncio.all_tasks() <= before


# --- refusals --------------------------------------------------------------------------------


async def test_refusal_of_the_service_reaches_the_client(bus):
    """
    A wrong key is the service's 401 for the client, with the service's words.
    """

    def refuse(connection, request):
        response = connection.respond(http.HTTPStatus.UNAUTHORIZED, "Incorrect API key.\n")
        response.headers["X-Request-Id"] = "req_1"
        return response

    with capture(bus) as seen:
        async with proxied(bus, echo, process_request=refuse) as proxy:
            with pytest.raises(InvalidStatus) as caught:
                await connect(proxy.url, additional_headers={"Authorization": f"Bearer {KEY}"})

    response = caught.value.response
    assert response.status_code == 401
    assert response.body == b"Incorrect API key.\n"
    assert response.headers["X-Request-Id"] == "req_1"
    assert seen.assert_published(RealtimeModelExceptionEvent).exception.code == 401
    assert [event.status for event in seen.events if hasattr(event, "status")] == [
        "connecting",
        "disconnected",
    ]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("is_elsewhere", [True, False])
async def test_redirect_is_a_refusal_and_not_followed(bus, status, is_elsewhere):
    """
    A redirect reaches the client as its status, and nobody connects to where it leads.
    """
    requests = []

    async def note(connection):
        requests.append(connection.request)

    def redirect(connection, request):
        requests.append(request)
        response = connection.respond(http.HTTPStatus(status), "Over there.\n")
        response.headers["Location"] = f"{elsewhere}/v1/realtime" if is_elsewhere else "/other"
        return response

    async with (
        upstream(note) as elsewhere,
        proxied(bus, echo, process_request=redirect) as proxy,
    ):
        with pytest.raises(InvalidStatus) as caught:
            await connect(proxy.url, additional_headers={"Authorization": f"Bearer {KEY}"})

    assert caught.value.response.status_code == status
    assert caught.value.response.body == b"Over there.\n"
    assert len(requests) == 1, "the service was asked, once"


async def refused(proxy, **headers):
    """
    Connect with *headers*; return the status of the refusal, and its text.
    """
    with pytest.raises(InvalidStatus) as caught:
        await connect(proxy.url, additional_headers=headers)
    return caught.value.response.status_code, caught.value.response.body.decode()


async def test_web_pages_are_refused_unless_they_are_allowed(bus, caplog):
    """
    An Origin header is refused with 403 and the option that lets it in; an allowed one isn't.
    """
    requests = []

    async def note(connection):
        requests.append(connection.request)

    async with (
        upstream(note) as url,
        RealtimeProxy(url, bus, allow_origin="http://localhost:3000") as proxy,
    ):
        for origin in ("https://evil.example", "null", "http://localhost", "x"):
            status, text = await refused(proxy, Origin=origin)
            assert (status, "--allow-origin" in text) == (403, True)
        assert not requests, "the service isn't asked"
        async with connect(
            proxy.url,
            origin="HTTP://localhost:3000",
            additional_headers={"Cookie": "session=1"},
        ) as client:
            await client.wait_closed()

    assert "a request was refused" in caplog.text
    [request] = requests
    assert not {"origin", "cookie"} & {name.lower() for name, _ in request.headers.raw_items()}


@pytest.mark.parametrize("host", ["rebind.example", "rebind.example:80", "192.0.2.1", "[x", ""])
async def test_other_hosts_names_are_refused(bus, host):
    """
    A Host header that is neither localhost nor the proxy's address is refused with 403.
    """
    async with proxied(bus, echo) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(f"GET /v1/realtime HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert answer.split()[1] == b"403"
    assert b"--allow-host" in answer


@pytest.mark.parametrize(
    "url", ["", "/x", "localhost", "http://x/path", "http://a:b", "http://x?y"]
)
def test_origin_that_is_none_is_refused(bus, url):
    """
    A path or a bare name isn't an origin; the error says how one is written.
    """
    with pytest.raises(ValueError, match="http://localhost:3000"):
        RealtimeProxy("wss://x", bus, allow_origin=[url])


async def test_service_out_of_reach_is_502(bus):
    """
    A service that can't be reached is 502, with the reason and without the query.
    """
    url = f"ws://127.0.0.1:{free_port()}/v1/realtime?api-key={KEY}"

    with capture(bus) as seen:
        async with RealtimeProxy(url, bus) as proxy:
            with pytest.raises(InvalidStatus) as caught:
                await connect(proxy.url)

    response = caught.value.response
    assert response.status_code == 502
    assert b"can't reach ws://127.0.0.1" in response.body
    assert KEY not in response.body.decode()
    failure = seen.assert_published(RealtimeModelExceptionEvent)
    reason = os.strerror(errno.ECONNREFUSED)
    assert (failure.exception.code, failure.exception.reason) == (502, reason)
    assert f"{failure.exception}\n" == response.body.decode(), "handlers are told the same"


async def test_service_that_has_not_answered_when_the_proxy_ends_is_told_as_that(bus):
    """
    A client whose connection is opened when the proxy ends gets 503, and handlers get the end of
    the call that they were told of.
    """
    asked = asyncio.Event()

    async def say_nothing(reader, writer):
        await reader.readline()
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with capture(bus) as seen:
        async with server:
            async with RealtimeProxy(f"ws://127.0.0.1:{port}/v1/realtime", bus) as proxy:
                client = asyncio.ensure_future(connect(proxy.url).__aenter__())
                await asked.wait()
            with pytest.raises(InvalidStatus) as caught:
                await client

    assert caught.value.response.status_code == 503
    assert [event.type for event in seen.events] == [
        "connection_status",
        "exception",
        "connection_status",
        "end_of_stream",
    ]
    assert "before the service had answered" in str(seen.events[1].exception)


async def test_service_without_tls_is_502(bus):
    """
    A service that speaks no TLS where TLS is asked for is 502.
    """
    async with upstream(echo) as url, RealtimeProxy(url.replace("ws:", "wss:"), bus) as proxy:
        with pytest.raises(InvalidStatus) as caught:
            await connect(proxy.url)

    assert caught.value.response.status_code == 502


async def test_plain_request_gets_426(bus):
    """
    A request that doesn't ask for a WebSocket is refused, and the service isn't asked.
    """
    async with RealtimeProxy("ws://127.0.0.1:1", bus) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\n\r\n")
        status = await reader.readline()
        await reader.read()
        writer.close()
        await writer.wait_closed()

    assert status.split()[1] == b"426"


async def test_client_that_leaves_while_the_service_is_asked_costs_nothing(bus):
    """
    A client that is gone before it was accepted: the service's connection is closed as well.
    """
    asked, go_on = asyncio.Event(), asyncio.Event()
    closed = asyncio.get_running_loop().create_future()

    async def wait(connection, request):
        asked.set()
        await go_on.wait()

    async def note(connection):
        closed.set_result(await closing_of(connection))

    with capture(bus) as seen:
        async with proxied(bus, note, process_request=wait) as proxy:
            connecting = asyncio.ensure_future(connect(proxy.url).__aenter__())
            await asked.wait()
            connecting.cancel()
            await asyncio.wait({connecting})
            go_on.set()
            async with asyncio.timeout(30):
                code, _ = await closed
            await ended(seen)

    assert code == 1001


async def test_leaving_while_the_service_is_asked_does_not_wait_for_it(bus):
    """
    A proxy that ends refuses clients for which the service has no answer yet, with 503.
    """
    asked = asyncio.Event()

    async def never(connection, request):
        asked.set()
        await asyncio.Event().wait()

    async with upstream(echo, process_request=never, open_timeout=0.2) as url:
        async with RealtimeProxy(url, bus) as proxy:
            connecting = asyncio.ensure_future(connect(proxy.url).__aenter__())
            await asked.wait()
        with pytest.raises(InvalidStatus) as caught:
            await connecting

    assert caught.value.response.status_code == 503


async def test_port_in_use_is_named(bus):
    """
    A port that is in use is an error which names it, and the remedy.
    """
    async with proxied(bus, echo) as proxy:
        with pytest.raises(RealtimeConnectionError, match=rf"port {proxy.port}.*another port"):
            async with RealtimeProxy("ws://127.0.0.1:1", bus, port=proxy.port):
                pass


async def test_host_of_another_machine_is_named(bus):
    """
    An address that isn't this machine's is an error which names it.
    """
    with pytest.raises(RealtimeConnectionError, match=r"can't listen at 192\.0\.2\.1"):
        async with RealtimeProxy("ws://127.0.0.1:1", bus, host="192.0.2.1"):
            pass


@pytest.mark.parametrize(
    "url",
    ["", "api.openai.com", "ftp://x/", "wss://", "wss://x:port/", "wss://[x", "wss://x/#y"],
)
def test_url_that_is_none_is_refused(bus, url):
    """
    A text that isn't a URL of a WebSocket or HTTP server is a ValueError that shows a valid one.
    """
    with pytest.raises(ValueError, match=r"upstream .*wss://api\.openai\.com"):
        RealtimeProxy(url, bus)


def test_key_in_the_url_is_refused_and_not_told(bus):
    """
    A URL with a password in it is a ValueError without it.
    """
    with pytest.raises(ValueError, match="Authorization") as caught:
        RealtimeProxy(f"wss://user:{KEY}@host/", bus)

    assert KEY not in str(caught.value)


def test_other_event_loops_are_refused(bus):
    """
    On trio, entering is a RuntimeError that names asyncio.
    """
    trio = pytest.importorskip("trio")

    async def main():
        async with RealtimeProxy("ws://127.0.0.1:1", bus):
            pass

    with pytest.raises(RuntimeError, match="asyncio only"):
        trio.run(main)


def test_base_url_is_for_the_openai_sdk():
    """
    The addresses are those of the host and port; IPv6 ones in brackets.
    """
    bus = EventBus()

    assert RealtimeProxy("wss://x", bus, port=80).base_url == "http://127.0.0.1:80/v1"
    assert RealtimeProxy("wss://x", bus, host="::1", port=80).url == "ws://[::1]:80/v1/realtime"


# --- what is published -----------------------------------------------------------------------


async def test_both_directions_are_published(bus):
    """
    Status, the client's messages, the service's events and the end come with the same sender.
    """
    senders = []
    bus.subscribe(lambda event, context: senders.append(context.sender), object)

    async def answer(connection):
        await connection.recv()
        await connection.send(TURN)
        await connection.close()

    with capture(bus) as seen:
        async with proxied(bus, answer) as proxy:
            async with connect(proxy.url) as client:
                await client.send('{"type": "response.create"}')
                assert await client.recv() == TURN
                await client.wait_closed()
            await ended(seen)

    assert [event for event in seen.events if type(event) is not RealtimeModelRawServerEvent] == [
        RealtimeModelConnectionStatusEvent("connecting"),
        RealtimeModelConnectionStatusEvent("connected"),
        RealtimeModelRawClientEvent({"type": "response.create"}),
        RealtimeModelTurnStartedEvent("resp_1"),
        RealtimeModelConnectionStatusEvent("disconnected"),
        RealtimeModelEndOfStreamEvent(),
    ]
    (sender,) = set(senders)
    assert sender.startswith("connection-")


async def test_connections_have_senders_of_their_own(bus):
    """
    Two connections at once are told apart, each with a decoder of its own.
    """
    senders = []
    bus.subscribe(
        lambda event, context: senders.append(context.sender), RealtimeModelTurnStartedEvent
    )

    async with proxied(bus, echo) as proxy, connect(proxy.url) as one, connect(proxy.url) as other:
        for client in (one, other, one):
            await client.send(TURN)
            await client.recv()

    first, second, third = senders
    assert first == third != second


@pytest.mark.parametrize(
    "method",
    [
        "google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
        "google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained",
        "google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent/",
    ],
)
async def test_gemini_is_known_by_its_path(bus, method):
    """
    The binary messages of Gemini Live are events, with those of the client as they were sent.
    """
    said = {"serverContent": {"outputTranscription": {"text": "Hello"}}}

    async def answer(connection):
        await connection.recv()
        await connection.send(json.dumps({"setupComplete": {}}).encode())
        await connection.send(json.dumps(said, indent=2).encode())
        await connection.close()

    with capture(bus) as seen:
        async with upstream(answer) as url, RealtimeProxy(url, bus) as proxy:
            address = proxy.url.removesuffix("/v1/realtime")
            async with connect(f"{address}/ws/{method}?key={KEY}") as client:
                await client.send('{"setup": {"model": "models/m"}}')
                assert json.loads(await client.recv(decode=False)) == {"setupComplete": {}}
                assert json.loads(await client.recv(decode=False)) == said
                await client.wait_closed()
            await ended(seen)

    types = [event.type for event in seen.events]
    assert types[2:] == [
        "raw_client_event",
        "raw_server_event",
        "session_updated",
        "raw_server_event",
        "turn_started",
        "transcript_delta",
        "connection_status",
        "end_of_stream",
    ]
    assert KEY not in str(seen.events)


async def test_client_message_that_is_no_object_is_published_as_it_came(bus):
    """
    A client's message that is no JSON object is the raw event's data, unparsed.
    """
    async with proxied(bus, echo) as proxy:
        with capture(bus, RealtimeModelRawClientEvent) as seen:
            async with connect(proxy.url) as client:
                for message in ("nonsense", "[1]", b"\xff"):
                    await client.send(message)
                    await client.recv()

    assert [event.data for event in seen.events] == ["nonsense", "[1]", b"\xff"]


async def test_slow_handler_delays_nothing():
    """
    While an async handler is busy with the first message, all others go through.
    """
    bus, release, started = EventBus(), asyncio.Event(), asyncio.Event()

    @bus.on(RealtimeModelTranscriptDeltaEvent)
    async def wait(event):
        started.set()
        await release.wait()

    async with bus, upstream(echo) as url, RealtimeProxy(url, bus) as proxy:
        async with connect(proxy.url) as client:
            for _ in range(50):
                await client.send(DELTA)
                assert await client.recv() == DELTA
            await started.wait()
        release.set()


async def test_crash_of_a_handler_does_not_touch_the_call(bus, caplog):
    """
    A handler that raises, even on a strict bus, and a bus that is closed: messages go through.
    """
    strict = EventBus(strict=True)
    strict.subscribe(lambda event: 1 / 0, RealtimeModelTurnStartedEvent)

    async with proxied(strict, echo) as proxy, connect(proxy.url) as client:
        for _ in range(3):
            await client.send(TURN)
            assert await client.recv() == TURN

    failures = [record for record in caplog.records if record.name == "eventbus.realtime.proxy"]
    assert len(failures) == 1, "each kind is logged once"


async def test_bus_that_does_not_run_is_reported(bus, caplog):
    """
    Without a running bus, an async handler gets nothing, the log says why, and the call goes on.
    """

    async def handler(event):
        pass

    bus.subscribe(handler, RealtimeModelTurnStartedEvent)
    async with proxied(bus, echo) as proxy, connect(proxy.url) as client:
        await client.send(TURN)
        assert await client.recv() == TURN

    assert "BusNotRunning" in caplog.text


async def test_key_is_in_no_log_and_no_event(bus, caplog):
    """
    At the lowest level of logging, a key of a header or a subprotocol is in no record.
    """
    caplog.set_level(logging.DEBUG)
    # Those of the test's own service and client, which are not what is tested.
    quiet = logging.getLogger("quiet")
    quiet.setLevel(logging.CRITICAL)

    with capture(bus) as seen:
        async with (
            proxied(bus, echo, logger=quiet, subprotocols=["realtime"]) as proxy,
            connect(
                f"{proxy.url}?key={KEY}",
                additional_headers={"Authorization": f"Bearer {KEY}"},
                subprotocols=["realtime", f"openai-insecure-api-key.{KEY}"],
                logger=quiet,
            ) as client,
        ):
            await client.send(TURN)
            await client.recv()

    assert KEY not in caplog.text
    assert not any(KEY in repr(event) for event in seen.events)
    assert KEY not in repr(RealtimeProxy(f"wss://x/?key={KEY}", bus))

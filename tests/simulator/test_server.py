"""
The simulator on a socket: connections, time, faults, and its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from pathlib import Path

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from eventbus.exceptions import RealtimeConnectionError, ScenarioError
from eventbus.simulator import Fault, Scenario, Simulator
from eventbus.simulator.scenario import Pace, Turn
from eventbus.testing import FakeClock
from tests.simulator.strict import strict_server_event

SCENARIO = Scenario(otherwise=Turn(say="You said: {user}"), pace=Pace(first_output_ms=400))
ASK = [
    {
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Hi"}],
        },
    },
    {"type": "response.create"},
]

FULL_DISK = Path("/dev/full")
LOOPBACK = ("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def anyio_backend():
    """
    Sockets here are those of websockets, which is for asyncio only.
    """
    return "asyncio"


@contextlib.asynccontextmanager
async def client(sim, **options):
    """
    Connect, and read the session off.
    """
    async with connect(sim.url, compression=None, **options) as socket:
        created = json.loads(await socket.recv())
        assert created["type"] == "session.created"
        yield socket


async def ask(socket):
    for message in ASK:
        await socket.send(json.dumps(message))


async def until(socket, type_):
    """
    Return the next frame of that type, and those before it.
    """
    frames = []
    while not frames or frames[-1]["type"] != type_:
        frames.append(json.loads(await socket.recv()))
    return frames


async def until_it_ends(socket):
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            yield await socket.recv()


async def turn(socket):
    await ask(socket)
    return await until(socket, "response.done")


async def test_turn_over_a_socket():
    """
    A client that asks is answered, and both directions can be read afterwards.
    """
    async with Simulator(SCENARIO, speed=math.inf) as sim, client(sim) as socket:
        frames = await turn(socket)

    assert frames[-1]["response"]["status"] == "completed"
    assert sim.received == ASK
    assert sim.sent[1:] == [*frames, sim.sent[-1]]
    assert sim.sent[-1]["type"] == "rate_limits.updated"
    assert sim.connections == 1
    for frame in sim.sent:
        strict_server_event(frame)


async def test_addresses_have_the_port():
    """
    Port 0 is replaced by the one that was free.
    """
    sim = Simulator()
    assert sim.port == 0

    async with sim:
        assert sim.url == f"ws://127.0.0.1:{sim.port}/v1/realtime?model=simulated"
        assert sim.base_url == f"http://127.0.0.1:{sim.port}/v1"
        assert sim.port > 0


async def test_each_connection_has_its_own_session():
    """
    Two clients talk to two sessions, with other ids and at the same time.
    """
    async with (
        Simulator(SCENARIO, speed=math.inf) as sim,
        client(sim) as one,
        client(sim) as two,
    ):
        first, second = await asyncio.gather(turn(one), turn(two))

    assert first[0]["item"]["id"] != second[0]["item"]["id"]
    assert [f["type"] for f in first] == [f["type"] for f in second]
    assert sim.connections == 2


async def test_record_is_optional():
    """
    A simulator that runs for long keeps nothing, if it was told so.
    """
    async with Simulator(SCENARIO, speed=math.inf, record=False) as sim, client(sim) as socket:
        await turn(socket)

    assert (sim.received, sim.sent) == ([], [])


@pytest.mark.parametrize("speed", [1.0, 2.0])
async def test_time_is_the_loops(speed):
    """
    In virtual time an answer takes none, and as long as its pace and the speed say.
    """
    with FakeClock(autojump=True) as clock:
        async with Simulator(SCENARIO, speed=speed) as sim, client(sim) as socket:
            before = clock.now
            await ask(socket)
            await until(socket, "response.output_audio.delta")
            assert clock.now - before == pytest.approx(0.4 / speed)


async def test_infinite_speed_takes_no_time():
    """
    At infinite speed nothing takes time.
    """
    with FakeClock() as clock:
        async with Simulator(SCENARIO, speed=math.inf) as sim, client(sim) as socket:
            await turn(socket)
        assert clock.now == 0


async def test_infinite_speed_listens_in_between():
    """
    A cancel gets in before a long answer is over, however fast it comes.
    """
    scenario = Scenario(otherwise=Turn(say="word " * 500), pace=Pace(chunk_ms=20))
    async with Simulator(scenario, speed=math.inf) as sim, client(sim) as socket:
        await ask(socket)
        await until(socket, "response.output_audio.delta")
        await socket.send('{"type": "response.cancel"}')
        frames = await until(socket, "response.done")

    assert frames[-1]["response"]["status"] == "cancelled"


async def test_infinite_speed_is_patient():
    """
    At infinite speed, silence has no length, and the idle timeout asks nobody.
    """
    detection = {"type": "server_vad", "idle_timeout_ms": 5_000}
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    async with Simulator(SCENARIO, speed=math.inf) as sim, client(sim) as socket:
        await socket.send(json.dumps({"type": "session.update", "session": session}))
        await turn(socket)
        await turn(socket)

    assert not any("timeout_triggered" in event["type"] for event in sim.sent)


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 401), ({"Authorization": "Bearer sk-wrong"}, 401)]
)
async def test_wrong_key_is_refused(headers, status, caplog):
    """
    A wrong key gets an HTTP error with JSON in it, and the log has no key.
    """
    with caplog.at_level(logging.DEBUG, "eventbus"):
        async with Simulator(api_key="sk-right") as sim:
            with pytest.raises(websockets.InvalidStatus) as raised:
                await connect(sim.url, additional_headers=headers)

    assert raised.value.response.status_code == status
    body = json.loads(raised.value.response.body)
    assert body["error"]["type"] == "invalid_request_error"
    assert "sk-" not in caplog.text + str(body)
    assert "A connection was refused." in caplog.messages
    assert sim.connections == 0


async def test_right_key_and_subprotocol():
    """
    The right key is accepted, with the subprotocol that the client offers.
    """
    async with Simulator(api_key="sk-right") as sim:
        protocols = ["realtime", "openai-insecure-api-key.sk-right"]
        async with client(sim, subprotocols=protocols) as socket:
            assert socket.subprotocol == "realtime"
        async with client(sim, additional_headers={"api-key": "sk-right"}) as socket:
            assert socket.subprotocol is None


async def test_other_paths_are_not_found():
    """
    There is one endpoint, and nothing beside it.
    """
    async with Simulator() as sim:
        with pytest.raises(websockets.InvalidStatus) as raised:
            await connect(f"ws://127.0.0.1:{sim.port}/v1/chat")

    assert raised.value.response.status_code == 404


async def test_web_pages_are_refused_unless_they_are_allowed():
    """
    An Origin header is refused with 403 and the option that lets it in; an allowed one isn't.
    """
    async with Simulator(allow_origin="http://localhost:3000") as sim:
        for origin in ("https://evil.example", "http://localhost", "null"):
            with pytest.raises(InvalidStatus) as caught:
                await connect(sim.url, origin=origin)
            assert caught.value.response.status_code == 403
            assert b"--allow-origin" in caught.value.response.body
        async with connect(sim.url, origin="http://localhost:3000") as socket:
            assert json.loads(await socket.recv())["type"] == "session.created"

    with pytest.raises(ValueError, match="http://localhost:3000"):
        Simulator(allow_origin="localhost")


async def status_for(sim, host):
    """
    Ask for a connection with that Host header, and return the status of the answer.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
    writer.write(
        f"GET /v1/realtime?model=m HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
        f"Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(answer.split()[1])


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("rebind.example", 403),
        ("rebind.example:8765", 403),
        ("192.0.2.1", 403),
        ("", 403),
        ("localhost", 101),
        ("127.0.0.1:1", 101),
        ("LOCALHOST:99", 101),
        ("[::1]", 101),
        ("phone.test", 101),
    ],
)
async def test_requests_for_another_name_are_refused(host, status):
    """
    A Host header has to be localhost, the address that it listens at, or a name that it was given.
    """
    async with Simulator(allow_host=["Phone.test"]) as sim:
        assert await status_for(sim, host) == status


async def test_server_of_all_addresses_is_known_by_each_address():
    """
    Listening everywhere, it takes a request for any address, as none can be rebound; not any name.
    """
    async with Simulator(host="0.0.0.0") as sim:
        assert await status_for(sim, "192.0.2.1") == 101
        assert await status_for(sim, "rebind.example") == 403


async def test_one_host_is_enough():
    """
    A request with two Host headers is malformed; a foreign one among them is refused as such.
    """
    async with Simulator() as sim:
        for host, status in (("localhost", 400), ("rebind.example", 403)):
            with pytest.raises(InvalidStatus) as caught:
                await connect(sim.url, additional_headers={"Host": host})
            assert caught.value.response.status_code == status


async def test_half_open_connections_are_cut_off(monkeypatch):
    """
    A client that doesn't send its request, or not all of it, is cut off after a time.
    """
    monkeypatch.setattr("eventbus.simulator._server.server._OPEN_SECONDS", 0.05)
    async with Simulator() as sim, client(sim) as socket:
        for begun in (b"", b"GET /v1/realtime HTTP/1.1\r\nHost:"):
            reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
            writer.write(begun)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        await socket.send("{}")  # who got in stays in
        await until(socket, "error")


async def test_half_open_connections_take_no_virtual_time():
    """
    In virtual time, in which ten seconds are nothing, nobody is cut off.
    """
    with FakeClock(autojump=True):
        async with Simulator() as sim:
            _, writer = await asyncio.open_connection("127.0.0.1", sim.port)
            await asyncio.sleep(60)
            assert not writer.transport.is_closing()
            writer.close()


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ("", {}, "missing_model"),
        ("?api-version=1", {}, "missing_model"),
        ("?model=gpt-realtime", {"OpenAI-Beta": "realtime=v1"}, "beta_api_shape_disabled"),
        ("?model=m", {"OpenAI-Beta": "assistants=v2, realtime=v1"}, "beta_api_shape_disabled"),
    ],
)
async def test_mistake_in_the_request_is_told_after_it_was_accepted(query, headers, code):
    """
    As at the service: the connection is accepted, then comes an error, then the close code 4000.
    """
    async with Simulator() as sim:
        url = sim.url.partition("?")[0] + query
        async with connect(url, additional_headers=headers) as socket:
            event = json.loads(await socket.recv())
            await socket.wait_closed()

    assert (event["type"], event["error"]["code"]) == ("error", code)
    assert (socket.close_code, socket.close_reason) == (4000, f"invalid_request_error.{code}")


async def test_model_may_be_appended_to_the_url():
    """
    The URL names a model, so that it is one to connect to; another one takes its place.
    """
    async with Simulator() as sim:
        for url in (f"{sim.url}?model=gpt-realtime-mini", f"{sim.url}&model=gpt-realtime-mini"):
            async with connect(url) as socket:
                created = json.loads(await socket.recv())
                assert created["session"]["model"] == "gpt-realtime-mini"


async def test_misspelt_model_is_refused_as_the_service_refuses_it():
    """
    An error with the service's code, the nearest name, and the close code of such mistakes.
    """
    async with Simulator() as sim, connect(f"{sim.url}&model=gpt-raeltime") as socket:
        error = strict_server_event(json.loads(await socket.recv())).error
        await socket.wait_closed()

    assert (error.type, error.code, error.param) == (
        "invalid_request_error",
        "invalid_model",
        "model",
    )
    assert error.message.startswith('Model "gpt-raeltime" is not supported in realtime mode.')
    assert "Did you mean gpt-realtime?" in error.message
    assert socket.close_code == 4000
    assert socket.close_reason == "invalid_request_error.invalid_model"


@pytest.mark.parametrize("allowed", ["my-model", ["other", "my-model"], "*"])
async def test_other_models_can_be_allowed(allowed):
    """
    By their names, or all of them.
    """
    async with (
        Simulator(allow_model=allowed) as sim,
        connect(f"{sim.url}&model=my-model") as socket,
    ):
        created = json.loads(await socket.recv())

    assert created["session"]["model"] == "my-model"


async def test_port_in_use():
    """
    A port that somebody has is an error of one line, with a remedy.
    """
    async with Simulator() as sim:
        with pytest.raises(RealtimeConnectionError, match=f"{sim.port}.*Port 0") as raised:
            async with Simulator(port=sim.port):
                pass

    assert "\n" not in str(raised.value)
    assert isinstance(raised.value.__cause__, OSError)


async def test_host_of_another_machine():
    """
    A host that nobody can listen at here has another remedy than a port that is in use.
    """
    with pytest.raises(RealtimeConnectionError, match="address of this machine"):
        async with Simulator(host="192.0.2.1"):  # RFC 5737: nobody's
            pass


@pytest.mark.parametrize("host", ["", "0.0.0.0", "localhost"])
async def test_url_is_one_to_connect_to(host):
    """
    Also of a simulator that listens at several addresses.
    """
    async with Simulator(host=host) as sim, client(sim):
        path = "/v1/realtime?model=simulated"
        assert sim.url in {f"ws://{name}:{sim.port}{path}" for name in LOOPBACK}


async def test_entered_once():
    """
    A simulator that listens can't listen again, and one that was closed can.
    """
    sim = Simulator()
    async with sim:
        with pytest.raises(RuntimeError, match="already"):
            await sim.__aenter__()
    async with sim, client(sim):
        pass


async def test_nothing_is_left_behind():
    """
    At the end all connections are closed with 1001, in the middle of an answer, too.
    """
    tasks = asyncio.all_tasks()
    with FakeClock(autojump=True):
        async with Simulator(SCENARIO) as sim:
            socket = await connect(sim.url, compression=None)
            await ask(socket)
            await until(socket, "response.created")
        with pytest.raises(websockets.ConnectionClosed) as raised:
            await until(socket, "response.done")
        await sim.aclose()

    assert raised.value.rcvd.code == 1001
    await socket.wait_closed()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - {asyncio.current_task()} <= tasks


# --- faults ------------------------------------------------------------------------------------


async def test_connection_is_dropped():
    """
    A drop ends the connection in the middle of an answer, without a close frame; the next works.
    """
    async with Simulator(SCENARIO, speed=math.inf, faults="drop") as sim:
        async with client(sim) as socket:
            with pytest.raises(websockets.ConnectionClosedError) as raised:
                await turn(socket)
        async with client(sim) as socket:
            await turn(socket)

    assert raised.value.rcvd is None
    assert sim.sent[-2]["type"] == "response.done"


async def test_connection_is_closed_with_a_code():
    """
    A close has the code that was asked for.
    """
    faults = [Fault.parse("close=1013")]
    async with Simulator(SCENARIO, speed=math.inf, faults=faults) as sim, client(sim) as socket:
        with pytest.raises(websockets.ConnectionClosed) as raised:
            await turn(socket)

    assert raised.value.rcvd.code == 1013


async def test_frame_is_malformed():
    """
    A frame that is no JSON comes in between, and the answer goes on.
    """
    sim = Simulator(SCENARIO, speed=math.inf, faults="malformed")
    async with sim, client(sim) as socket:
        await ask(socket)
        frames = []
        while not frames or '"response.done"' not in frames[-1]:
            frames.append(await socket.recv())

    broken = []
    for frame in frames:
        try:
            json.loads(frame)
        except ValueError:
            broken.append(frame)
    assert len(broken) == 1


async def test_answer_stalls():
    """
    A stall is a silence of so long, after which comes all that was due.
    """
    with FakeClock(autojump=True) as clock:
        async with Simulator(SCENARIO, faults="stall=30s") as sim, client(sim) as socket:
            await ask(socket)
            await until(socket, "response.output_audio_transcript.delta")
            before = clock.now
            await until(socket, "response.done")
            assert clock.now - before == pytest.approx(30)


async def test_nobody_waits_for_a_stalled_answer():
    """
    Closing ends a stall at once, however long it was to be.
    """
    with FakeClock(autojump=True) as clock:
        async with Simulator(SCENARIO, faults="stall=600s") as sim, client(sim) as socket:
            await ask(socket)
            await until(socket, "response.output_audio_transcript.delta")
            before = clock.now
        assert clock.now - before < 5


async def test_stalled_answer_can_be_cancelled():
    """
    The service listens during a stall: a cancel ends the response there and then.
    """
    scenario = Scenario(otherwise=Turn(say="word " * 50))
    with FakeClock(autojump=True) as clock:
        async with Simulator(scenario, faults="stall=30s") as sim, client(sim) as socket:
            await ask(socket)
            await until(socket, "response.output_audio.delta")
            before = clock.now
            await socket.send('{"type": "response.cancel"}')
            frames = await until(socket, "response.done")
            assert clock.now - before == pytest.approx(30)

    assert frames[-1]["response"]["status"] == "cancelled"
    assert "response.output_audio.delta" not in [frame["type"] for frame in frames]


async def test_stalled_service_hears_who_hangs_up():
    """
    A client that has sent a lot into a stall can close at once.
    """
    with FakeClock(autojump=True) as clock:
        async with Simulator(SCENARIO, faults="stall=600s") as sim, client(sim) as socket:
            await ask(socket)
            await until(socket, "response.output_audio.delta")
            for _ in range(50):
                await socket.send('{"type": "input_audio_buffer.clear"}')
            before = clock.now
            await socket.close()
            assert clock.now == before

    assert socket.close_code == 1000


@pytest.mark.parametrize("fault", ["drop", "close=1012"])
async def test_nothing_is_sent_after_the_end(fault):
    """
    A message to a connection that has ended is not answered, nor reported as answered.
    """
    async with Simulator(SCENARIO, speed=math.inf, faults=fault) as sim, client(sim) as socket:
        await ask(socket)
        for _ in range(10):
            await socket.send('{"type": "input_audio_buffer.clear"}')
        frames = [frame async for frame in until_it_ends(socket)]

    assert sim.sent[1:] == [json.loads(frame) for frame in frames]  # the first was read off


async def test_nobody_waits_for_half_a_handshake():
    """
    A client that has connected, and says no more, doesn't keep the simulator from closing.
    """
    with FakeClock(autojump=True):
        async with Simulator() as sim:
            reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
            writer.write(b"GET /v1/realtime HTTP/1.1\r\n")
            await asyncio.sleep(1)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_nobody_waits_for_a_client_that_does_not_read():
    """
    The answer fills all buffers; closing cuts the connection.
    """
    scenario = Scenario(otherwise=Turn(say="word " * 200), pace=Pace(chunk_ms=10_000))
    with FakeClock(autojump=True):
        async with Simulator(scenario, speed=math.inf) as sim:
            socket = await connect(sim.url, compression=None, max_queue=1, ping_interval=None)
            for _ in range(10):
                await ask(socket)
            before = -1
            while before < len(sim.sent):
                before = len(sim.sent)
                await asyncio.sleep(1)
        assert sim.sent[-1]["type"] != "response.done"
        socket.transport.abort()
        await socket.wait_closed()


async def test_client_that_fails_to_shake_hands_is_no_error_of_the_server(caplog):
    """
    A client that only opens the port, or speaks HTTP only, leaves no traceback.
    """
    async with Simulator() as sim:
        for request in (b"", b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
            writer.write(request)
            writer.write_eof()
            await reader.read()
            writer.close()

    assert [record for record in caplog.records if record.exc_info] == []


async def test_connection_is_refused():
    """
    A refusal has the HTTP status that was asked for, and the next attempt succeeds.
    """
    async with Simulator(SCENARIO, faults="refuse=429") as sim:
        with pytest.raises(websockets.InvalidStatus) as raised:
            await connect(sim.url)
        async with client(sim):
            pass

    assert raised.value.response.status_code == 429
    assert json.loads(raised.value.response.body)["error"]["code"] == "rate_limit_exceeded"


# --- what can't be -----------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [0, -1, math.nan])
async def test_time_goes_forward(speed):
    """
    A speed is above 0.
    """
    with pytest.raises(ValueError, match="above 0"):
        Simulator(speed=speed)


async def test_mistakes_are_found_before_it_listens():
    """
    A scenario that isn't there and a fault that is none are errors at once.
    """
    with pytest.raises(ScenarioError):
        Simulator("no-such-scenario")
    with pytest.raises(ScenarioError):
        Simulator(faults="earthquake")


async def test_garbage_harms_nobody():
    """
    Bytes that are no WebSocket end their connection only, and binary frames are answered.
    """
    async with Simulator(SCENARIO, speed=math.inf) as sim, client(sim) as socket:
        _, writer = await asyncio.open_connection("127.0.0.1", sim.port)
        writer.write(b"\x00\xff not HTTP\r\n\r\n")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

        await socket.send(b"\x00")
        refused = json.loads(await socket.recv())
        assert refused["error"]["code"] == "invalid_event"
        await turn(socket)


def test_trio_is_told_where_to_go():
    """
    Under trio the simulator says that it needs asyncio, and names the remedy.
    """
    trio = pytest.importorskip("trio")

    async def enter():
        async with Simulator():
            pass

    with pytest.raises(RuntimeError, match="eventbus sim"):
        trio.run(enter)


@pytest.mark.skipif(not FULL_DISK.is_char_device(), reason="there is no full disk")
async def test_conversation_outlives_a_log_that_can_not_be_written(caplog):
    """
    A full disk is one line in the program's own log, and the client notices nothing.
    """
    async with Simulator(log=FULL_DISK) as sim, connect(sim.url) as client:
        first = json.loads(await client.recv())
        await client.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
        second = json.loads(await client.recv())

    assert [first["type"], second["type"]] == ["session.created", "session.updated"]
    assert caplog.messages.count("The frames can't be written any more.") == 1
    assert FULL_DISK.is_char_device()  # noqa: ASYNC240  # it isn't replaced by a file


async def test_log_in_a_missing_folder_is_named(tmp_path):
    """
    The simulator doesn't begin to listen.
    """
    path = tmp_path / "missing" / "frames.jsonl"
    with pytest.raises(FileNotFoundError) as caught:
        async with Simulator(log=path):
            pass

    assert caught.value.filename == str(path)

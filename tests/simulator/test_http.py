"""
HTTP on the simulator's port: its start page, ephemeral keys, and refusals in a sentence.
"""

from __future__ import annotations

import asyncio
import json

import pytest
from openai import AsyncOpenAI
from openai.types.realtime.client_secret_create_response import ClientSecretCreateResponse
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from eventbus.simulator import Simulator
from eventbus.testing import FakeClock

KEY = "sk-of-the-server"


@pytest.fixture(scope="module")
def anyio_backend():
    """
    Only asyncio: websockets has no other.
    """
    return "asyncio"


async def send(sim, request):
    """
    Send the bytes of a request; return the status, the headers and the body of the answer.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
    for piece in [request] if isinstance(request, bytes) else request:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode().lower(), body


async def ask(sim, method, path, body=None, key=KEY, **headers):
    """
    Send a request as HTTP clients do; return the status and the body's JSON.
    """
    data = b"" if body is None else json.dumps(body).encode()
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {key}",
        f"Content-Length: {len(data)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    request = "\r\n".join([*lines, "", ""]).encode() + data
    status, _, answer = await send(sim, request)
    return status, json.loads(answer) if answer else None


async def secret_of(sim, **body):
    status, answer = await ask(sim, "POST", "/v1/realtime/client_secrets", body)
    assert status == 200, answer
    return answer


async def opened(sim, key, query=""):
    """
    Open a session with a key, and return the session object that it begins with.
    """
    url = sim.url.partition("?")[0] + query
    async with connect(url, additional_headers={"Authorization": f"Bearer {key}"}) as socket:
        return json.loads(await socket.recv())["session"]


async def test_root_tells_what_this_is():
    """
    A browser that opens the port reads the program's name and the URL for clients.
    """
    async with Simulator("weather") as sim:
        status, head, body = await send(sim, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

        assert status == 200
        assert "content-type: text/plain" in head
        for text in ("weather", sim.url, sim.base_url):
            assert text in body.decode()


async def test_ephemeral_key_opens_a_session_with_its_settings():
    """
    A key made by a server opens a session that begins with the settings that came with it.
    """
    async with Simulator(api_key=KEY) as sim:
        secret = await secret_of(
            sim, session={"type": "realtime", "model": "gpt-realtime-2", "instructions": "Hi."}
        )
        ClientSecretCreateResponse.model_validate(secret, strict=True)
        session = await opened(sim, secret["value"], "?model=gpt-realtime-2")
        without_model = await opened(sim, secret["value"])

    assert secret["value"].startswith("ek_")
    assert secret["session"]["instructions"] == session["instructions"] == "Hi."
    assert secret["session"]["model"] == session["model"] == without_model["model"]


async def test_ephemeral_key_of_the_openai_sdk():
    """
    The SDK's own request is answered, with the defaults.
    """
    async with (
        Simulator(api_key=KEY) as sim,
        AsyncOpenAI(base_url=sim.base_url, api_key=KEY) as client,
    ):
        secret = await client.realtime.client_secrets.create(
            session={"type": "transcription"}, expires_after={"anchor": "created_at", "seconds": 60}
        )
        session = await opened(sim, secret.value)

    assert session["object"] == "realtime.transcription_session"


async def test_ephemeral_key_expires():
    """
    An expired key opens nothing, even if connections without a key are accepted.
    """
    with FakeClock(autojump=True):
        async with Simulator() as sim:
            secret = await secret_of(sim, expires_after={"anchor": "created_at", "seconds": 10})
            await opened(sim, secret["value"])
            await asyncio.sleep(10)
            with pytest.raises(InvalidStatus) as caught:
                await opened(sim, secret["value"])

    assert caught.value.response.status_code == 401
    assert secret["value"].encode() not in caught.value.response.body


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"expires_after": {"seconds": 9}}, "expires_after.seconds"),
        ({"expires_after": {"seconds": 7_201}}, "expires_after.seconds"),
        ({"expires_after": {"seconds": "60"}}, "expires_after.seconds"),
        ({"expires_after": 60}, "expires_after.seconds"),
        ({"session": {"type": "poem"}}, "session.type"),
        ({"session": {"type": "realtime", "voice": "alloy"}}, "session.voice"),
        ({"session": []}, None),
    ],
)
async def test_mistake_in_a_request_for_a_key_is_named(body, param):
    """
    Each is a 400 with the field, as in the error events of a session.
    """
    async with Simulator() as sim:
        if body == {"session": []}:
            body = [1]
        status, answer = await ask(sim, "POST", "/v1/realtime/client_secrets", body)

    assert status == 400
    assert answer["error"]["param"] == param
    assert answer["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("method", "path", "status", "word"),
    [
        ("GET", "/v1/models", 404, "/v1/realtime"),
        ("GET", "/v1/realtime?model=m", 426, "Upgrade"),
        ("POST", "/v1/responses", 404, "client_secrets"),
        ("POST", "/v1/realtime/calls", 501, "WebRTC"),
        ("POST", "/v1/realtime/calls/rtc_1/accept", 501, "WebRTC"),
        ("POST", "/v1/realtime/sessions", 410, "Beta"),
        ("POST", "/v1/realtime/transcription_sessions", 410, "client_secrets"),
        ("GET", "/v1/realtime/client_secrets", 405, "POST"),
        ("DELETE", "/", 404, "DELETE"),
    ],
)
async def test_other_requests_are_refused_in_a_sentence(method, path, status, word):
    """
    A part of the API that the simulator lacks is a status with the reason, in the service's form.
    """
    async with Simulator() as sim:
        found, answer = await ask(sim, method, path)

    assert found == status
    assert word in answer["error"]["message"]


async def test_key_and_origin_are_checked_for_http_too():
    """
    Another key than the simulator's is 401, a web page 403, and neither gets an ephemeral key.
    """
    path = "/v1/realtime/client_secrets"
    async with Simulator(api_key=KEY) as sim:
        assert (await ask(sim, "POST", path, {}, key="sk-wrong"))[0] == 401
        assert (await ask(sim, "POST", path, {}, Origin="https://evil.example"))[0] == 403
        assert (await ask(sim, "GET", "/", Origin="https://evil.example"))[0] == 403


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
        (b"PUT /x HTTP/1.0\r\n\r\n", 400),
        (
            (
                b"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: localhost\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
            ),
            200,
        ),
        (b"X" * 70_000, 431),
        ([b"P", b"OST /x HTTP/1.1\r\nHost: loc", b"alhost\r\n\r\n"], 404),
        ([b"G", b"E", b"T / HTTP/1.1\r\nHost: localhost\r\n\r\n"], 200),
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n"
            + b"x" * 2_000_000,
            413,
        ),
    ],
)
async def test_any_bytes_get_an_answer(request_, status):
    """
    Bytes that aren't a request are a 400, and pieces of a request are put together.
    """
    async with Simulator() as sim:
        found, _, _ = await send(sim, request_)

    assert found == status


async def test_continue_is_said_where_it_is_waited_for():
    """
    A client that asks whether to go on is told to, before it sends the body.
    """
    async with Simulator() as sim:
        reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
        writer.write(
            b"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert b"100" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"{}")
        assert b"200" in await reader.readline()
        writer.close()
        await writer.wait_closed()

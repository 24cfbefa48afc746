"""
The model over a real socket, with all its parts.

The loss of a connection, at any step, needs no socket: see `transport/test_connection.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import traceback

import openai
import pytest

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from eventbus.exceptions import AudioFormatError, ModelNotConnected, RealtimeConnectionError
from eventbus.realtime import (
    RealtimeModelListener,
    RealtimeModelSendAudio,
    RealtimeModelSendInterrupt,
    RealtimeModelSendRawMessage,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendToolOutput,
    RealtimeModelSendUserInput,
    RealtimePlaybackTracker,
    RealtimeSession,
)
from eventbus.realtime.events import RealtimeAudioInterrupted
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.realtime.transport import ReconnectPolicy
from eventbus.testing import FakeClock, capture
from tests.realtime.scripted_server import scripted_server

KEY = "sk-this-is-secret"
SECOND = "A" * 64_000  # base64 of a second of silence
AT_ONCE = ReconnectPolicy(random=lambda: 0.0)
STATUS = RealtimeModelConnectionStatusEvent
ENDED = [STATUS("disconnected"), RealtimeModelEndOfStreamEvent()]


@pytest.fixture(scope="module")
def anyio_backend():
    """
    Only asyncio: websockets, which the openai SDK connects with, knows nothing else.
    """
    return "asyncio"


@pytest.fixture
def captured(bus):
    """
    The events published on the bus.
    """
    with capture(bus) as captured:
        yield captured


@contextlib.asynccontextmanager
async def live(bus, *script, does_read=True, settings=None, options=None, **tuning):
    """
    Give a server, and a model that is connected to it, and closed at the end.
    """
    tuning.setdefault("reconnect", None)
    tuning.setdefault("close_timeout", 0.2)
    model = OpenAIRealtimeModel(**tuning)
    async with scripted_server(*script, does_read=does_read) as server:
        with model.attach(bus):
            await model.connect(
                {
                    "api_key": KEY,
                    "url": server.url,
                    "initial_model_settings": settings or {},
                    **(options or {}),
                }
            )
            try:
                yield server, model
            finally:
                await model.close()


def typed(captured):
    """
    Return the events that were published, or that a listener has seen, without the raw ones.
    """
    events = captured if isinstance(captured, list) else captured.events
    return [each for each in events if not isinstance(each, RealtimeModelRawServerEvent)]


def outline(captured):
    """
    Return the types of the published events, and the status of status events.
    """
    return [each.status if isinstance(each, STATUS) else each.type for each in typed(captured)]


async def speak(peer, response_id="r1", item_id="a", *, delta=SECOND):
    """
    Begin a response, and send a second of its audio.
    """
    await peer.send("response.created", response={"id": response_id, "conversation_id": "c"})
    await peer.send(
        "response.output_audio.delta",
        response_id=response_id,
        item_id=item_id,
        output_index=0,
        content_index=0,
        delta=delta,
    )


async def end(peer, response_id="r1", status="completed"):
    """
    End a response.
    """
    await peer.send("response.done", response={"id": response_id, "status": status})


async def barge_in(peer):
    """
    Let the user begin to speak.
    """
    await peer.send("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)


def session(*, interrupts=True):
    """
    Return a session of which speech interrupts responses, or not.
    """
    detection = {"type": "server_vad", "interrupt_response": interrupts}
    return {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}


# --- beginning and end -----------------------------------------------------------------------


async def test_connection_that_is_closed_by_us_gives_its_status_in_order(bus, captured):
    """
    Connecting, connected, disconnected, and the end of the stream: nothing else, and each once.
    """
    async with live(bus) as (_server, model):
        await model.close()
        await model.close()

    assert typed(captured) == [STATUS("connecting"), STATUS("connected"), *ENDED]


@pytest.mark.parametrize("code", [1000, 1001])
async def test_connection_that_the_service_ends_in_order_is_no_exception(bus, captured, code):
    """
    A normal closure, and a server that goes away, are ends like ours.
    """
    async with live(bus, lambda peer: peer.connection.close(code)) as (_server, _model):
        await captured.wait_for(RealtimeModelEndOfStreamEvent)

    assert typed(captured) == [STATUS("connecting"), STATUS("connected"), *ENDED]


@pytest.mark.parametrize("code", [1002, 1008, 1011, 3000, 4000, 4999])
async def test_abnormal_end_gives_code_and_reason(bus, captured, code):
    """
    An exception event, with the service's words, comes before the end.
    """
    async with live(bus, lambda peer: peer.connection.close(code, "no more")) as (_server, _model):
        await captured.wait_for(RealtimeModelEndOfStreamEvent)

    assert outline(captured) == [
        "connecting",
        "connected",
        "exception",
        "disconnected",
        "end_of_stream",
    ]
    exception = next(
        e for e in captured.events if isinstance(e, RealtimeModelExceptionEvent)
    ).exception
    assert isinstance(exception, RealtimeConnectionError)
    assert (exception.code, exception.reason) == (code, "no more")


async def test_connection_that_breaks_is_an_exception(bus, captured):
    """
    Without a close frame the code is 1006, as the protocol has it.
    """
    async with live(bus, lambda peer: peer.hang_up()) as (_server, _model):
        event = await captured.wait_for(RealtimeModelExceptionEvent)
        await captured.wait_for(RealtimeModelEndOfStreamEvent)

    assert event.exception.code == 1006
    assert typed(captured)[-2:] == ENDED


async def test_frame_that_is_too_big_is_an_exception_with_our_code(bus, captured):
    """
    The code is the one that we ended the connection with, as the fault was found here.
    """

    async def script(peer):
        await peer.connection.send("x" * 1000)

    options = {"max_size": 100}
    async with live(bus, script, websocket_options=options) as (_server, _model):
        event = await captured.wait_for(RealtimeModelExceptionEvent)

    assert event.exception.code == 1009


async def test_model_can_be_connected_again(bus, captured):
    """
    After close(), and after an end that came from the service.
    """
    async with live(bus) as (server, model):
        await model.close()
        await model.connect({"api_key": KEY, "url": server.url})
        await (await server.peer(1)).connection.close()
        await captured.wait_for(
            RealtimeModelEndOfStreamEvent, lambda _: not model._connection.is_open
        )
        await model.close()
        await model.connect({"api_key": KEY, "url": server.url})
        await (await server.peer(2)).receive("session.update")

    assert outline(captured) == ["connecting", "connected", "disconnected", "end_of_stream"] * 3


async def test_connected_model_refuses_to_connect(bus):
    """
    One model is one session.
    """
    async with live(bus) as (server, model):
        with pytest.raises(RealtimeConnectionError, match="already"):
            await model.connect({"api_key": KEY, "url": server.url})


async def test_nothing_can_be_sent_without_a_connection(bus):
    """
    Neither before connect() nor after the end.
    """
    model = OpenAIRealtimeModel()
    with pytest.raises(ModelNotConnected, match="connect"):
        await model.send_event(RealtimeModelSendUserInput("hi"))

    async with live(bus) as (_server, model):
        await model.close()
        with pytest.raises(ModelNotConnected, match="connect"):
            await model.send_event(RealtimeModelSendUserInput("hi"))


async def test_closing_what_was_never_open_does_nothing():
    """
    close() is for cleaning up, and works in any state.
    """
    await OpenAIRealtimeModel().close()


async def test_close_from_several_tasks_ends_once(bus, captured):
    """
    All of them return when it is over.
    """
    async with live(bus) as (_server, model):
        await asyncio.gather(*(model.close() for _ in range(5)))
        assert typed(captured)[-2:] == ENDED

    assert outline(captured).count("disconnected") == 1


class Closing(RealtimeModelListener):
    """
    Closes the model at the first event of a type.
    """

    def __init__(self, model, event_type):
        self.model = model
        self.event_type = event_type
        self.seen = []

    async def on_event(self, event):
        self.seen.append(event)
        if isinstance(event, self.event_type):
            await self.model.close()


async def test_listener_may_close_the_model(bus, captured):
    """
    From inside a listener close() returns, and nothing but the end comes after it.
    """

    async def script(peer):
        await peer.send("response.created", response={"id": "r1"})
        await peer.send("response.created", response={"id": "r2"})

    async with scripted_server(script) as server:
        model = OpenAIRealtimeModel()
        listener = Closing(model, RealtimeModelTurnStartedEvent)
        model.add_listener(listener)
        model.attach(bus)
        await model.connect({"api_key": KEY, "url": server.url})
        await captured.wait_for(RealtimeModelEndOfStreamEvent)

    assert typed(listener.seen)[2:] == [RealtimeModelTurnStartedEvent("r1"), *ENDED]


async def test_listener_that_closes_while_connecting_makes_connect_fail():
    """
    connect() says that there is no connection, and the events are in order.
    """
    async with scripted_server() as server:
        model = OpenAIRealtimeModel()
        listener = Closing(model, STATUS)
        model.add_listener(listener)
        with pytest.raises(RealtimeConnectionError, match="closed"):
            await model.connect({"api_key": KEY, "url": server.url})

    assert listener.seen == [STATUS("connecting"), *ENDED]


async def test_async_handler_may_close_the_model(captured, bus):
    """
    A handler of the bus runs in a task of its own, and waits for the end like anybody.
    """
    closed = asyncio.Event()
    async with bus, live(bus) as (server, model):

        @bus.on(RealtimeModelTurnStartedEvent)
        async def close(event):
            await model.close()
            closed.set()

        await (await server.peer()).send("response.created", response={})
        await asyncio.wait_for(closed.wait(), 30)

    assert typed(captured)[-2:] == ENDED


async def test_cancelled_connect_leaves_nothing(bus, captured):
    """
    No task, and the events of an end.
    """

    async def never(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        before = asyncio.all_tasks()
        model = OpenAIRealtimeModel()
        model.attach(bus)
        url = f"ws://127.0.0.1:{port}/v1/realtime"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await model.connect({"api_key": KEY, "url": url})
        ours = {task for task in asyncio.all_tasks() - before if "realtime" in task.get_name()}

    assert not ours
    assert typed(captured) == [STATUS("connecting"), *ENDED]
    await model.close()


async def test_close_while_connecting_ends_the_attempt(bus, captured):
    """
    connect() fails then, in the task that waits for it.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    with listening:
        url = f"ws://127.0.0.1:{listening.getsockname()[1]}/v1/realtime"
        model = OpenAIRealtimeModel()
        model.attach(bus)
        task = asyncio.create_task(model.connect({"api_key": KEY, "url": url}))
        await captured.wait_for(STATUS)
        await model.close()
        with pytest.raises(RealtimeConnectionError, match="closed"):
            await task

    assert typed(captured) == [STATUS("connecting"), *ENDED]


def test_trio_is_refused_with_the_reason():
    """
    Outside of asyncio connect() names its requirement.
    """
    with pytest.raises(RealtimeConnectionError, match="asyncio"):
        OpenAIRealtimeModel().connect({"api_key": KEY}).send(None)


# --- failures to connect, and keys ------------------------------------------------------------


def shown(error):
    """
    Return all that a traceback of *error* prints, and the values of its attributes.
    """
    lines = traceback.format_exception(error)
    return "".join(lines) + repr(error) + repr(vars(error)) + repr(error.__context__)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "the key"),
        (403, "the key"),
        (404, "the model's name"),
        (429, "quota"),
        (400, "headers"),
        (418, "headers"),
        (503, "later"),
    ],
)
async def test_refusal_tells_the_remedy_and_not_the_key(bus, captured, caplog, status, told):
    """
    One line with the things to check; the service's answer, which may quote the key, is not in it.
    """
    caplog.set_level(logging.DEBUG)
    async with scripted_server(refuse_with=status) as server:
        model = OpenAIRealtimeModel()
        model.attach(bus)
        with pytest.raises(RealtimeConnectionError, match=told) as caught:
            await model.connect({"api_key": KEY, "url": server.url})

    assert caught.value.code == status
    assert "\n" not in str(caught.value)
    assert typed(captured) == [STATUS("connecting"), *ENDED]
    assert KEY not in shown(caught.value) + repr(model) + caplog.text
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


async def test_key_and_words_are_in_no_log_of_a_session(bus, captured, caplog):
    """
    Not even at DEBUG, where websockets would log headers and frames.
    """
    caplog.set_level(logging.DEBUG)

    async def script(peer):
        await peer.receive("conversation.item.create")
        await peer.send("error", error={"type": "x", "message": "no"})
        await peer.connection.close(4000, f"bad key {KEY}")

    async with live(bus, script) as (_server, model):
        await model.send_event(RealtimeModelSendUserInput("my words"))
        await captured.wait_for(RealtimeModelEndOfStreamEvent)
        everything = caplog.text + repr(model) + repr(model._connection._dialer)

    assert KEY not in everything + repr(captured.events)
    assert "my words" not in everything


def closed_port():
    """
    Return a port at which nothing listens.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


async def test_port_at_which_nothing_listens_is_told():
    """
    Refused is another cause than unknown or unreachable.
    """
    url = f"ws://127.0.0.1:{closed_port()}/v1/realtime?secret={KEY}"
    with pytest.raises(RealtimeConnectionError, match="Nothing listens at ws://127") as caught:
        await OpenAIRealtimeModel().connect({"api_key": KEY, "url": url})

    assert KEY not in shown(caught.value)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (socket.gaierror(-2, "Name or service not known"), "unknown"),
        (OSError(113, "No route to host"), "No route to host"),
        (OSError("Multiple exceptions"), "can't be reached"),
        (TimeoutError(), "within 10 s"),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "TLS"),
        (EOFError("hung up"), "not a realtime service"),
        (ConnectionResetError(), "hangs up"),
        (RuntimeError(f"with {KEY} in it"), r"connected to \(RuntimeError\); check"),
        (TypeError(f"with {KEY} in it"), "<withheld>"),
        (openai.OpenAIError("no way"), "no way"),
    ],
)
async def test_every_cause_has_a_line_of_its_own(monkeypatch, failure, told):
    """
    Any error of the system, of TLS or of the SDK is one line with a remedy, and shows no key.
    """

    async def fail(*_args, **_options):
        raise failure

    monkeypatch.setattr("websockets.asyncio.client.connect", fail)
    with pytest.raises(RealtimeConnectionError, match=told) as caught:
        await OpenAIRealtimeModel().connect({"api_key": KEY, "url": "wss://h.invalid/v1"})

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "\n" not in str(caught.value)
    assert KEY not in shown(caught.value)


async def answering(answer):
    """
    Return a server that answers any request with *answer*, and hangs up.
    """

    async def serve(reader, writer):
        await reader.read(100)
        writer.write(answer)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


@pytest.mark.parametrize("answer", [b"", b"220 mail.example ESMTP\r\n\r\n", b"\x15\x03\x01"])
@pytest.mark.parametrize(("scheme", "told"), [("ws", "not a realtime service"), ("wss", "TLS|wss")])
async def test_server_of_another_kind_is_told(answer, scheme, told):
    """
    A server that answers, but not as a WebSocket or with TLS, is another cause than silence.
    """
    async with await answering(answer) as server:
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime"
        with pytest.raises(RealtimeConnectionError, match=told) as caught:
            await OpenAIRealtimeModel().connect({"api_key": KEY, "url": url})

    assert KEY not in shown(caught.value)


async def test_service_that_does_not_answer_is_given_up():
    """
    After open_timeout, and the line says how long that was.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening, FakeClock(autojump=True):
        url = f"ws://127.0.0.1:{listening.getsockname()[1]}/v1/realtime"
        with pytest.raises(RealtimeConnectionError, match="within 7 s"):
            await OpenAIRealtimeModel(open_timeout=7).connect({"api_key": KEY, "url": url})


async def test_missing_key_is_told_before_anything_is_opened(bus, captured, monkeypatch):
    """
    The line says where a key can come from.
    """
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    model = OpenAIRealtimeModel()
    model.attach(bus)
    with pytest.raises(RealtimeConnectionError, match="OPENAI_API_KEY"):
        await model.connect({"url": "ws://127.0.0.1:1/v1/realtime"})

    assert typed(captured) == [STATUS("connecting"), *ENDED]


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY} x", "sk-ключ"])
async def test_key_that_no_header_can_have_is_told_without_it(key):
    """
    A line break at the end of a key is common, and hard to see.
    """
    with pytest.raises(RealtimeConnectionError, match="line break") as caught:
        await OpenAIRealtimeModel().connect({"api_key": key, "url": "ws://127.0.0.1:1/v1"})

    assert key.strip() not in shown(caught.value)


async def refuse_key():
    raise LookupError(f"{KEY} has expired")


async def test_function_that_gives_no_key_is_told_without_its_words(bus):
    """
    Its text may be the key itself.
    """
    with pytest.raises(RealtimeConnectionError, match="LookupError") as caught:
        await OpenAIRealtimeModel().connect({"api_key": refuse_key, "url": "ws://127.0.0.1:1/v1"})

    assert KEY not in shown(caught.value)


async def test_header_that_none_can_be_is_told_without_it():
    """
    A key in a header has a line break at its end as often as any.
    """
    options = {"headers": {"api-key": f"{KEY}\n"}, "url": "ws://127.0.0.1:1/v1"}
    with pytest.raises(RealtimeConnectionError, match="line break") as caught:
        await OpenAIRealtimeModel().connect(options)

    assert KEY not in shown(caught.value)


async def test_variables_of_our_frames_keep_the_key():
    """
    Some tools print them with a traceback; `connect` lets go of its argument at once.
    """
    url = f"ws://127.0.0.1:{closed_port()}/v1/realtime"
    with pytest.raises(RealtimeConnectionError) as caught:
        await OpenAIRealtimeModel().connect({"api_key": KEY, "url": url})

    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in told.stack if "eventbus" in frame.filename]
    names = {frame.name for frame in ours if KEY in repr(frame.locals)}
    assert "open" in {frame.name for frame in ours}
    assert names <= {"test_variables_of_our_frames_keep_the_key"}


async def test_close_reason_that_quotes_the_key_of_a_client_is_told_without_it(bus, captured):
    """
    The key needn't have passed through our hands.
    """

    async def script(peer):
        await peer.connection.close(4001, f"Incorrect API key: {KEY}. Ask for a key.")

    async with scripted_server(script) as server:
        base_url = f"http://127.0.0.1:{server.port}/v1"
        async with openai.AsyncOpenAI(api_key=KEY, base_url=base_url) as client:
            model = OpenAIRealtimeModel(client=client)
            model.attach(bus)
            await model.connect({"headers": {"x-short": "k"}})
            await captured.wait_for(RealtimeModelEndOfStreamEvent)

    (report,) = (e for e in captured.events if isinstance(e, RealtimeModelExceptionEvent))
    assert report.exception.reason == "Incorrect API key: <withheld>. Ask for a key."


def read_key():
    return KEY


async def fetch_key():
    return KEY


@pytest.mark.parametrize("key", [KEY, read_key, fetch_key])
async def test_key_can_be_a_function(bus, key):
    """
    Plain or async, it is asked when the connection is opened.
    """
    async with live(bus, options={"api_key": key}) as (server, _model):
        assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


async def test_key_comes_from_the_environment(bus, monkeypatch):
    """
    As for the SDK's own clients.
    """
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with scripted_server() as server:
        model = OpenAIRealtimeModel()
        await model.connect({"url": server.url})
        await model.close()

    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("name", ["Authorization", "api-key"])
async def test_headers_that_authenticate_need_no_key(bus, monkeypatch, name):
    """
    Then no other key is sent.
    """
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with scripted_server() as server:
        model = OpenAIRealtimeModel()
        await model.connect({"url": server.url, "headers": {name: "mine"}})
        await model.close()

    headers = server.requests[0].headers
    assert headers[name] == "mine"
    assert len([each for each in ("Authorization", "api-key") if each in headers]) == 1


@pytest.mark.parametrize(
    ("query", "options", "path"),
    [
        ("", {}, "/v1/realtime?model=gpt-realtime"),
        ("?model=other", {}, "/v1/realtime?model=other"),
        ("?a=b", {"initial_model_settings": {"model_name": "m"}}, "/v1/realtime?a=b&model=m"),
        ("", {"call_id": "call_1"}, "/v1/realtime?call_id=call_1"),
    ],
)
async def test_url_keeps_its_query_and_names_the_model(query, options, path):
    """
    The model is the settings', the URL's or the default; a call has its own.
    """
    async with scripted_server() as server:
        model = OpenAIRealtimeModel()
        await model.connect({"api_key": KEY, "url": server.url + query, **options})
        await model.close()

    assert server.requests[0].path == path


async def test_call_with_a_model_is_refused():
    """
    A call has its model already.
    """
    with pytest.raises(ValueError, match="call_id"):
        await OpenAIRealtimeModel().connect(
            {"api_key": KEY, "call_id": "x", "initial_model_settings": {"model_name": "m"}}
        )


async def test_base_url_will_do():
    """
    A base_url of AsyncOpenAI is taken here, too.
    """
    async with scripted_server() as server:
        model = OpenAIRealtimeModel()
        await model.connect({"api_key": KEY, "url": f"http://127.0.0.1:{server.port}/v1"})
        await model.close()

    assert server.requests[0].path == "/v1/realtime?model=gpt-realtime"


async def test_given_client_connects(bus):
    """
    Its key and its address are used.
    """
    async with scripted_server() as server:
        base_url = f"http://127.0.0.1:{server.port}/v1"
        async with openai.AsyncOpenAI(api_key=KEY, base_url=base_url) as client:
            model = OpenAIRealtimeModel(client=client)
            await model.connect({})
            await model.close()

    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


async def test_azure_client_connects(bus):
    """
    With its deployment, its API version and its header.
    """
    async with (
        scripted_server() as server,
        openai.AsyncAzureOpenAI(
            api_key=KEY,
            azure_endpoint="https://example.openai.azure.com",
            api_version="2025-08-28",
            websocket_base_url=f"ws://127.0.0.1:{server.port}/openai",
        ) as client,
    ):
        model = OpenAIRealtimeModel(client=client)
        await model.connect({"initial_model_settings": {"model_name": "my-deployment"}})
        await model.close()

    (request,) = server.requests
    assert "deployment=my-deployment" in request.path
    assert request.headers["api-key"] == KEY
    assert "Authorization" not in request.headers


# --- sending ---------------------------------------------------------------------------------


async def test_settings_are_the_first_message(bus):
    """
    In the GA protocol's form, and with nothing that wasn't set.
    """
    settings = {"model_name": "m", "instructions": "Be brief.", "voice": "marin"}
    async with live(bus, settings=settings) as (server, model):
        await model.send_event(RealtimeModelSendUserInput("hi"))
        peer = await server.peer()
        await peer.receive("response.create")

    assert peer.messages[0] == {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "instructions": "Be brief.",
            "audio": {"output": {"voice": "marin"}},
        },
    }
    assert peer.types == ["session.update", "conversation.item.create", "response.create"]


async def test_wrong_settings_are_refused_before_anything_is_opened(bus, captured):
    """
    They are the caller's mistake, and no failure of the connection.
    """
    settings = {"input_audio_format": "opus"}
    with pytest.raises(AudioFormatError, match="opus"):
        await OpenAIRealtimeModel().connect(
            {"api_key": KEY, "initial_model_settings": settings, "url": "ws://127.0.0.1:1/v1"}
        )

    assert not typed(captured)


async def test_order_of_sending_is_that_of_the_calls(bus):
    """
    Nothing overtakes anything.
    """
    async with live(bus) as (server, model):
        for number in range(50):
            await model.send_event(RealtimeModelSendAudio(bytes([number, 0])))
            await model.send_event(
                RealtimeModelSendRawMessage({"type": f"x.{number}", "other_data": {"n": number}})
            )
        await model.send_event(RealtimeModelSendAudio(b"", commit=True))
        peer = await server.peer()
        await peer.receive("input_audio_buffer.commit")

    expected = [name for n in range(50) for name in ("input_audio_buffer.append", f"x.{n}")]
    assert peer.types == ["session.update", *expected, "input_audio_buffer.commit"]
    assert [m["audio"] for m in peer.messages if "audio" in m][:2] == ["AAA=", "AQA="]


PCM = {"type": "audio/pcm", "rate": 24_000}
ULAW = {"type": "audio/pcmu"}


def described(input_format):
    """
    Return the session as a service describes it.
    """
    return {"type": "realtime", "audio": {"input": {"format": input_format}}}


@pytest.mark.parametrize(
    ("asked", "told", "is_refused"),
    [
        ({}, None, False),
        ({}, PCM, True),
        ({}, ULAW, False),
        ({"input_audio_format": "pcm16"}, None, True),
        ({"input_audio_format": "g711_ulaw"}, None, False),
        ({"input_audio_format": "g711_ulaw"}, PCM, False),  # the change is on its way
        ({"audio": {"input": {"format": "pcma"}}}, None, False),
        ({"audio": {"input": {"format": "pcm16"}}}, ULAW, False),
        ({"extra_settings": {"input_audio_format": "pcm_mulaw"}}, PCM, False),
    ],
    ids=str,
)
async def test_half_a_sample_is_refused_where_samples_have_two_bytes(
    bus, captured, asked, told, is_refused
):
    """
    The formats that the application asked for and that the service tells decide; where they
    differ, or none is known, audio of any length is sent.
    """

    async def tell(peer):
        session = {"type": "realtime"} if told is None else described(told)
        await peer.send("session.created", session=session)

    async with live(bus, tell, settings=asked) as (server, model):
        await captured.wait_for(RealtimeModelSessionUpdatedEvent)
        if is_refused:
            with pytest.raises(AudioFormatError, match="even number of bytes, and this is 3"):
                await model.send_event(RealtimeModelSendAudio(b"123"))
        else:
            await model.send_event(RealtimeModelSendAudio(b"123"))
        await model.send_event(RealtimeModelSendAudio(bytearray(b"1234"), commit=True))
        peer = await server.peer()
        await peer.receive("input_audio_buffer.commit")

    sent = [m["audio"] for m in peer.messages if "audio" in m]
    assert sent == ["MTIzNA=="] if is_refused else ["MTIz", "MTIzNA=="]


@pytest.mark.parametrize(
    "change",
    [
        RealtimeModelSendSessionUpdate({"input_audio_format": "g711_alaw"}),
        *(
            RealtimeModelSendRawMessage({"type": "session.update", "other_data": {"session": raw}})
            for raw in (described(ULAW), {"input_audio_format": "g711_ulaw"})
        ),
    ],
    ids=str,
)
async def test_audio_in_another_format_can_follow_the_change_at_once(bus, change):
    """
    Before the service has told that it made the change.
    """
    async with live(bus, settings={"input_audio_format": "pcm16"}) as (server, model):
        await model.send_event(change)
        await model.send_event(RealtimeModelSendAudio(b"123", commit=True))
        peer = await server.peer()
        await peer.receive("input_audio_buffer.commit")

    assert [m["audio"] for m in peer.messages if "audio" in m] == ["MTIz"]


@pytest.mark.parametrize("audio", [5, None, "MTIz", [1, 2]], ids=str)
async def test_audio_that_is_not_bytes_is_named(bus, audio):
    """
    Text isn't taken for base64.
    """
    async with live(bus) as (server, model):
        with pytest.raises(TypeError, match=f"Audio is bytes, not {type(audio).__name__}"):
            await model.send_event(RealtimeModelSendAudio(audio))
        await model.send_event(RealtimeModelSendAudio(b"", commit=True))
        peer = await server.peer()
        await peer.receive("input_audio_buffer.commit")

    assert "input_audio_buffer.append" not in peer.types


async def test_listener_takes_note_of_what_is_sent(bus):
    """
    In the service's own words, once it is handed to the connection.
    """

    class Noting(RealtimeModelListener):
        def __init__(self):
            self.sent = []

        async def on_event(self, event):
            pass

        def on_sent(self, message):
            self.sent.append(message)

    noting = Noting()
    async with live(bus) as (server, model):
        model.add_listener(noting)
        await model.send_event(RealtimeModelSendAudio(b"\0\0"))
        await (await server.peer()).receive("input_audio_buffer.append")

    assert noting.sent[-1] == {"type": "input_audio_buffer.append", "audio": "AAA="}
    with pytest.raises(TypeError):
        noting.sent[-1]["type"] = "another"


async def test_responses_are_asked_for_one_after_another(bus, captured):
    """
    Three inputs in a row: one response.create, and one more when the first response is over,
    although its end is malformed.
    """

    async def script(peer):
        await peer.receive("conversation.item.create", 3)
        await peer.send("response.created", response={"id": "r1"})
        await peer.connection.send('{"type": "response.done", "response": 17}')
        await peer.receive("response.create", 2)

    async with live(bus, script) as (server, model):
        for text in ("a", "b", "c"):
            await model.send_event(RealtimeModelSendUserInput(text))
        peer = await server.peer()
        await peer.receive("response.create", 2)
        await end(peer, "r2")
        await captured.wait_for(RealtimeModelTurnEndedEvent, lambda e: e.response_id == "r2")

    assert peer.types.count("response.create") == 2


async def test_refused_response_makes_room_for_the_next(bus):
    """
    An error that names the create releases the one that waits.
    """

    async def script(peer):
        create = await peer.receive("response.create")
        await peer.receive("conversation.item.create", 2)
        await peer.send("error", error={"type": "x", "event_id": create["event_id"]})

    async with live(bus, script) as (server, model):
        await model.send_event(RealtimeModelSendUserInput("a"))
        await model.send_event(RealtimeModelSendUserInput("b"))
        await (await server.peer()).receive("response.create", 2)


async def test_wish_that_gives_way_is_reported(bus, captured):
    """
    One waits at most; the last word counts.
    """

    async def script(peer):
        await peer.send("response.created", response={"id": "r1"})

    def create(text):
        message = {"type": "response.create", "other_data": {"response": {"instructions": text}}}
        return RealtimeModelSendRawMessage(message)

    async with live(bus, script) as (server, model):
        await captured.wait_for(RealtimeModelTurnStartedEvent)
        await model.send_event(create("a"))
        await model.send_event(create("b"))
        peer = await server.peer()
        await end(peer)
        message = await peer.receive("response.create")

    assert message["response"] == {"instructions": "b"}
    captured.assert_published(RealtimeModelExceptionEvent, context="sending response.create")


async def test_tool_output_completes_the_item(bus, captured):
    """
    The output goes to the service, and the call's item is emitted with it, as in openai-agents.
    """
    call = RealtimeModelToolCallEvent("f", "call_1", "{}", "item_1")
    async with live(bus) as (server, model):
        await model.send_event(RealtimeModelSendToolOutput(call, "42", start_response=False))
        await model.send_event(RealtimeModelSendToolOutput(call, "43", start_response=True))
        peer = await server.peer()
        await peer.receive("response.create")

    assert peer.messages[1]["item"] == {
        "type": "function_call_output",
        "call_id": "call_1",
        "output": "42",
    }
    assert peer.types[2:] == ["conversation.item.create", "response.create"]
    items = [e.item for e in captured.events if isinstance(e, RealtimeModelItemUpdatedEvent)]
    assert (items[0].status, items[0].output) == ("completed", "42")


async def test_model_of_a_session_does_not_change(bus):
    """
    Another model is an error; the same one is no matter.
    """
    async with live(bus, settings={"model_name": "m"}) as (_server, model):
        await model.send_event(RealtimeModelSendSessionUpdate({"model_name": "m", "speed": 1}))
        with pytest.raises(ValueError, match="connect again"):
            await model.send_event(RealtimeModelSendSessionUpdate({"model_name": "n"}))


async def test_what_is_no_request_is_refused(bus):
    """
    With the name of its class.
    """
    async with live(bus) as (_server, model):
        with pytest.raises(TypeError, match="EndOfStream"):
            await model.send_event(RealtimeModelEndOfStreamEvent())


async def test_what_is_no_json_is_refused(bus):
    """
    At the call, and not later in a task of the model's.
    """
    async with live(bus) as (_server, model):
        for name in ("x", "response.create"):
            message = {"type": name, "other_data": {"response": object()}}
            with pytest.raises(TypeError, match="object"):
                await model.send_event(RealtimeModelSendRawMessage(message))


# --- a slow network --------------------------------------------------------------------------


async def test_network_that_takes_nothing_costs_audio(bus, captured):
    """
    The queue stays bounded, drops are reported once in a row, and other messages are kept.
    """
    # How much the system takes before nothing moves any more is not ours to say, so this sends a
    # lot: a hundred times what may wait.
    async with live(bus, does_read=False, max_buffered_bytes=300_000) as (_, model):
        outbox = model._connection._sender._outbox
        for number in range(200):
            await model.send_event(RealtimeModelSendAudio(bytes(96_000)))
            await model.send_event(RealtimeModelSendRawMessage({"type": f"x{number}"}))
            assert outbox.byte_count <= 300_000
        waiting = [letter.message["type"] for letter in outbox.clear()]

    waiting = [name for name in waiting if name.startswith("x")]
    assert waiting == [f"x{number}" for number in range(200 - len(waiting), 200)]
    reports = [e for e in captured.events if isinstance(e, RealtimeModelExceptionEvent)]
    assert {report.context for report in reports} == {"sending audio"}
    assert len(reports) < 20


async def flood(model):
    """
    Send messages that are never dropped, for ever.
    """
    message = {"type": "x", "other_data": {"text": "x" * 90_000}}
    while True:
        await model.send_event(RealtimeModelSendRawMessage(message))


async def test_what_is_never_dropped_waits_for_room(bus):
    """
    If that takes too long, the message isn't sent, and its sender gets the error.
    """
    slow = {"does_read": False, "max_buffered_bytes": 100_000, "send_timeout": 0.05}
    async with live(bus, **slow) as (_, model):
        with pytest.raises(RealtimeConnectionError, match="x was not sent"):
            await flood(model)


async def test_end_of_the_connection_wakes_who_waits_for_room(bus):
    """
    Nobody waits for ever for a connection that is gone.
    """
    async with live(bus, does_read=False, max_buffered_bytes=100_000) as (_, model):
        task = asyncio.create_task(flood(model))
        await asyncio.wait([task], timeout=0.05)  # until nothing moves any more
        await model.close()
        with pytest.raises(ModelNotConnected):
            await task


async def test_receiving_goes_on_when_nothing_can_be_sent(bus, captured):
    """
    A connection on which nothing can be sent still receives.
    """
    async with live(bus, does_read=False) as (server, model):
        for _ in range(100):
            await model.send_event(RealtimeModelSendAudio(bytes(96_000)))
        await (await server.peer()).send("response.created", response={"id": "r1"})
        await captured.wait_for(RealtimeModelTurnStartedEvent)


async def test_slow_handler_delays_no_event(bus, captured):
    """
    The events behind the one that a handler works on are published meanwhile.
    """
    seen = asyncio.Event()
    held = asyncio.Event()

    @bus.on(RealtimeModelTurnStartedEvent)
    async def hold(event):
        await held.wait()

    @bus.on(RealtimeModelTurnEndedEvent)
    def note(event):
        seen.set()

    async def script(peer):
        await peer.send("response.created", response={"id": "r1"})
        await end(peer)

    async with bus, live(bus, script) as (_server, _model):
        await asyncio.wait_for(seen.wait(), 30)
        held.set()


# --- interruption ----------------------------------------------------------------------------


@pytest.fixture
async def clock():
    """
    Virtual time, which stands still unless a test lets it pass.
    """
    with FakeClock() as clock:
        yield clock


async def test_speech_truncates_what_is_heard_at_what_was_heard(bus, captured, clock):
    """
    The first of two items that came together is named, at the time that has passed.
    """

    async def script(peer):
        await peer.send("session.created", session=session())
        await speak(peer)
        await speak(peer, item_id="b")

    async with live(bus, script) as (server, _model):
        await captured.wait_for(RealtimeModelAudioEvent, lambda e: e.item_id == "b")
        await clock.advance(0.25)
        peer = await server.peer()
        await barge_in(peer)
        message = await peer.receive("conversation.item.truncate")

    assert message == {
        "type": "conversation.item.truncate",
        "item_id": "a",
        "content_index": 0,
        "audio_end_ms": 250,
    }
    # As in openai-agents: the event names what came last, so that a player drops all of it.
    captured.assert_published(RealtimeModelAudioInterruptedEvent, item_id="b")
    assert "response.cancel" not in peer.types


async def test_tracker_says_where_to_truncate(bus, captured):
    """
    The player's report is the audio heard, in the session's format.
    """
    tracker = RealtimePlaybackTracker()

    async def script(peer):
        described = session()
        described["audio"]["output"] = {"format": {"type": "audio/pcmu"}}
        await peer.send("session.created", session=described)
        await speak(peer)

    options = {"playback_tracker": tracker}
    async with live(bus, script, options=options) as (server, _model):
        await captured.wait_for(RealtimeModelAudioEvent)
        tracker.on_play_bytes("a", 0, bytes(3_200))
        peer = await server.peer()
        await barge_in(peer)
        message = await peer.receive("conversation.item.truncate")

    assert message["audio_end_ms"] == 400


async def test_nothing_is_truncated_when_all_was_heard(bus, captured, clock):
    """
    The event comes all the same, as in openai-agents.
    """

    async def script(peer):
        await peer.send("session.created", session=session())
        await speak(peer)
        await end(peer)

    async with live(bus, script) as (server, model):
        await captured.wait_for(RealtimeModelTurnEndedEvent)
        await clock.advance(5)
        peer = await server.peer()
        await barge_in(peer)
        await captured.wait_for(RealtimeModelAudioInterruptedEvent)
        await model.send_event(RealtimeModelSendInterrupt())
        await model.send_event(RealtimeModelSendRawMessage({"type": "x"}))
        await peer.receive("x")

    assert peer.types == ["session.update", "x"]


@pytest.mark.parametrize("interrupts", [False, None])
async def test_speech_cancels_the_response_if_the_service_does_not(bus, captured, interrupts):
    """
    Only an explicit true leaves it to the service; late audio isn't emitted either way.
    """

    async def script(peer):
        described = session(interrupts=interrupts) if interrupts is not None else {}
        await peer.send("session.created", session=described)
        await speak(peer)

    async with live(bus, script) as (server, _model):
        await captured.wait_for(RealtimeModelAudioEvent)
        peer = await server.peer()
        await barge_in(peer)
        message = await peer.receive("response.cancel")
        await speak(peer, item_id="late")
        await end(peer, status="cancelled")
        await captured.wait_for(RealtimeModelTurnEndedEvent)

    assert message["response_id"] == "r1"
    assert peer.types.count("response.cancel") == 1
    captured.assert_not_published(RealtimeModelAudioEvent, item_id="late")


async def test_malformed_speech_started_interrupts_as_well(bus, captured):
    """
    The user has begun to speak, with any other fields in the frame.
    """

    async def script(peer):
        await speak(peer)
        await peer.send("input_audio_buffer.speech_started")
        await peer.receive("response.cancel")

    async with live(bus, script) as (server, _model):
        peer = await server.peer()
        await peer.receive("conversation.item.truncate")
        await peer.receive("response.cancel")


async def test_interrupt_names_what_was_audible_and_fences_the_rest(bus, captured, clock):
    """
    An event for the item, a truncation, a cancellation, and no audio of the response after that.
    """

    async def script(peer):
        await speak(peer)
        await peer.receive("response.cancel")
        await speak(peer, item_id="late")
        await end(peer, status="cancelled")
        await speak(peer, "r2", "next")

    async with live(bus, script) as (server, model):
        await captured.wait_for(RealtimeModelAudioEvent)
        await clock.advance(0.1)
        await model.send_event(RealtimeModelSendInterrupt())
        await captured.wait_for(RealtimeModelAudioEvent, lambda e: e.item_id == "next")
        peer = await server.peer()

    assert peer.types[1:] == ["conversation.item.truncate", "response.cancel"]
    assert peer.messages[1]["audio_end_ms"] == 100
    captured.assert_published(RealtimeModelAudioInterruptedEvent, item_id="a")
    captured.assert_not_published(RealtimeModelAudioEvent, item_id="late")


async def test_interrupt_leaves_the_cancellation_to_the_service_unless_forced(bus, captured):
    """
    As in openai-agents, where the service cancels by itself when the user speaks.
    """

    async def script(peer):
        await peer.send("session.created", session=session())
        await speak(peer)

    async with live(bus, script) as (server, model):
        await captured.wait_for(RealtimeModelAudioEvent)
        await model.send_event(RealtimeModelSendInterrupt())
        peer = await server.peer()
        await peer.receive("conversation.item.truncate")
        assert "response.cancel" not in peer.types
        await model.send_event(RealtimeModelSendInterrupt(force_response_cancel=True))
        await peer.receive("response.cancel")


async def test_response_can_be_cancelled_and_heard_out(bus, captured):
    """
    With cancel_response_only nothing is cut off, and audio that still comes is emitted.
    """

    async def script(peer):
        await speak(peer)
        await peer.receive("response.cancel")
        await speak(peer, item_id="late")

    interrupt = RealtimeModelSendInterrupt(response_id="r1", cancel_response_only=True)
    async with live(bus, script) as (server, model):
        await captured.wait_for(RealtimeModelAudioEvent)
        await model.send_event(interrupt)
        await captured.wait_for(RealtimeModelAudioEvent, lambda e: e.item_id == "late")
        peer = await server.peer()

    assert peer.types == ["session.update", "response.cancel"]


async def test_playback_can_be_cut_off_and_the_response_go_on(bus, captured):
    """
    With playback_only nothing is cancelled.
    """
    interrupt = RealtimeModelSendInterrupt(response_id="r1", playback_only=True)
    async with live(bus, speak) as (server, model):
        await captured.wait_for(RealtimeModelAudioEvent)
        await model.send_event(interrupt)
        await model.send_event(RealtimeModelSendRawMessage({"type": "x"}))
        peer = await server.peer()
        await peer.receive("x")

    assert peer.types == ["session.update", "conversation.item.truncate", "x"]


@pytest.mark.parametrize(
    "interrupt",
    [
        RealtimeModelSendInterrupt(cancel_response_only=True),
        RealtimeModelSendInterrupt(playback_only=True, force_response_cancel=True),
        RealtimeModelSendInterrupt("r", playback_only=True, cancel_response_only=True),
    ],
)
async def test_contradicting_interrupt_is_refused(bus, interrupt):
    """
    Options that contradict each other are an error, and nothing is sent.
    """
    async with live(bus) as (_server, model):
        with pytest.raises(ValueError, match="only"):
            await model.send_event(interrupt)


# --- connecting again ------------------------------------------------------------------------


async def test_lost_connection_is_replaced(bus, captured):
    """
    The loss, the end of the turn, and the status of a new beginning; no end of the stream.
    """

    async def script(peer):
        if peer.number == 0:
            await speak(peer)
            await peer.hang_up()

    async with live(bus, script, reconnect=AT_ONCE) as (server, _model):
        await (await server.peer(1)).receive("session.update")

    assert outline(captured) == [
        "connecting",
        "connected",
        "turn_started",
        "audio",
        "exception",
        "turn_ended",
        "connecting",
        "connected",
        "disconnected",
        "end_of_stream",
    ]
    captured.assert_published(RealtimeModelTurnEndedEvent, response_id="r1", status="failed")


async def test_new_session_gets_the_settings_as_they_are_by_now(bus):
    """
    All of them, in one update.
    """
    settings = {"instructions": "a", "voice": "marin"}
    async with live(bus, settings=settings, reconnect=AT_ONCE) as (server, model):
        update = {"instructions": "b", "speed": 1.5}
        await model.send_event(RealtimeModelSendSessionUpdate(update))
        peer = await server.peer()
        await peer.receive("session.update", 2)
        await peer.hang_up()
        message = await (await server.peer(1)).receive("session.update")

    assert message["session"] == {
        "type": "realtime",
        "instructions": "b",
        "audio": {"output": {"voice": "marin", "speed": 1.5}},
    }


async def test_nothing_is_sent_twice(bus):
    """
    The next connection gets its settings and the messages sent after the loss, and none from
    before.
    """
    async with live(bus, reconnect=AT_ONCE) as (server, model):
        await model.send_event(RealtimeModelSendUserInput("first"))
        peer = await server.peer()
        await peer.receive("response.create")
        await peer.hang_up()
        peer = await server.peer(1)
        await peer.receive("session.update")
        await model.send_event(RealtimeModelSendUserInput("second"))
        await peer.receive("response.create")

    assert peer.types == ["session.update", "conversation.item.create", "response.create"]
    assert peer.messages[1]["item"]["content"][0]["text"] == "second"


async def test_what_is_sent_meanwhile_goes_with_the_next_connection(bus, captured, clock):
    """
    User input and settings wait; audio, and messages that name things of the lost session, do not.
    """
    policy = ReconnectPolicy(random=lambda: 1.0, initial_delay=5, max_delay=5)
    async with live(bus, reconnect=policy) as (server, model):
        peer = await server.peer()
        await peer.receive("session.update")
        await peer.hang_up()
        await captured.wait_for(STATUS, lambda _: outline(captured).count("connecting") == 2)
        await model.send_event(RealtimeModelSendAudio(b"\0\0"))
        await model.send_event(RealtimeModelSendAudio(b"\0\0", commit=True))
        await model.send_event(RealtimeModelSendUserInput("hi"))
        await model.send_event(RealtimeModelSendSessionUpdate({"instructions": "b"}))
        await clock.advance(5)
        peer = await server.peer(1)
        await peer.receive("response.create")

    assert peer.types == ["session.update", "conversation.item.create", "response.create"]
    assert peer.messages[0]["session"]["instructions"] == "b"
    contexts = [e.context for e in captured.events if isinstance(e, RealtimeModelExceptionEvent)]
    assert contexts == ["the connection", "sending audio", "connecting again"]


async def test_output_of_a_lost_call_is_reported_and_not_sent(bus, captured):
    """
    The next session doesn't know of the call.
    """

    async def script(peer):
        if peer.number == 0:
            item = {
                "type": "function_call",
                "id": "i",
                "call_id": "call_1",
                "name": "f",
                "arguments": "{}",
                "status": "completed",
            }
            await peer.send("response.output_item.done", response_id="r", output_index=0, item=item)
            await peer.hang_up()

    async with live(bus, script, reconnect=AT_ONCE) as (server, model):
        call = await captured.wait_for(RealtimeModelToolCallEvent)
        peer = await server.peer(1)
        await peer.receive("session.update")
        await model.send_event(RealtimeModelSendToolOutput(call, "42", start_response=True))
        await model.send_event(RealtimeModelSendRawMessage({"type": "x"}))
        await peer.receive("x")

    assert peer.types == ["session.update", "x"]
    captured.assert_published(RealtimeModelExceptionEvent, context="the output of f")


@pytest.mark.parametrize("code", [1000, 1002, 1008, 1009, 3000, 4001])
async def test_some_ends_are_final(bus, captured, code):
    """
    A connection is not opened again if that can't help.
    """
    async with live(bus, lambda peer: peer.connection.close(code), reconnect=AT_ONCE) as (
        server,
        _model,
    ):
        await captured.wait_for(RealtimeModelEndOfStreamEvent)

    assert len(server.peers) == 1


async def test_connecting_again_is_given_up(bus, captured):
    """
    After as many attempts as the policy allows, with one exception that says why.
    """

    async def script(peer):
        peer.server.refuse_with = 503
        await peer.hang_up()

    policy = ReconnectPolicy(max_attempts=3, random=lambda: 0.0)
    async with live(bus, script, reconnect=policy) as (server, _model):
        await captured.wait_for(RealtimeModelEndOfStreamEvent)

    assert len(server.requests) == 4
    assert outline(captured)[2:] == [
        "exception",
        "connecting",
        "exception",
        "disconnected",
        "end_of_stream",
    ]
    last = [e for e in captured.events if isinstance(e, RealtimeModelExceptionEvent)][-1].exception
    assert last.code == 503
    assert "3 attempts" in str(last)


async def test_key_that_has_expired_is_not_tried_again(bus, captured):
    """
    A refusal that another attempt won't change ends it at once.
    """

    async def script(peer):
        peer.server.refuse_with = 401
        await peer.hang_up()

    async with live(bus, script, reconnect=AT_ONCE) as (server, _model):
        await captured.wait_for(RealtimeModelEndOfStreamEvent)

    assert len(server.requests) == 2


async def test_service_that_drops_every_connection_is_given_up(bus, captured):
    """
    Connections that don't last count as failed attempts: it doesn't go on for ever.
    """
    policy = ReconnectPolicy(max_attempts=3, random=lambda: 0.0)
    async with live(bus, lambda peer: peer.hang_up(), reconnect=policy) as (server, _model):
        await captured.wait_for(RealtimeModelEndOfStreamEvent)

    assert len(server.peers) == 4


async def test_close_ends_an_attempt_to_connect_again(bus, captured):
    """
    Nobody waits for a backoff.
    """
    policy = ReconnectPolicy(random=lambda: 1.0, initial_delay=3600, max_delay=3600)
    async with live(bus, lambda peer: peer.hang_up(), reconnect=policy) as (_server, model):
        await captured.wait_for(STATUS, lambda _: outline(captured).count("connecting") == 2)
        await asyncio.wait_for(model.close(), 30)

    assert typed(captured)[-2:] == ENDED


# --- listeners -------------------------------------------------------------------------------


class Failing(RealtimeModelListener):
    """
    Raises on every event.
    """

    async def on_event(self, event):
        raise ValueError("boom")


async def test_listener_that_fails_stops_nobody(bus, captured):
    """
    The others have all events, and one report.
    """
    async with scripted_server() as server:
        model = OpenAIRealtimeModel()
        model.add_listener(Failing())
        model.attach(bus)
        await model.connect({"api_key": KEY, "url": server.url})
        await model.close()

    assert outline(captured) == [
        "connecting",
        "exception",
        "connected",
        "disconnected",
        "end_of_stream",
    ]


async def test_bus_that_is_closed_ends_the_attachment(caplog):
    """
    A model outlives the bus that it was attached to, and says nothing of it.
    """
    async with scripted_server() as server:
        model = OpenAIRealtimeModel()
        async with EventBus() as bus:
            model.attach(bus)
            await model.connect({"api_key": KEY, "url": server.url})
        await model.close()

    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


def test_repr_says_where_to():
    """
    And nothing else: not a key, not a query.
    """
    assert repr(OpenAIRealtimeModel()) == "<OpenAIRealtimeModel, not connected>"


# --- refused, redirected, unanswered ---------------------------------------------------------


async def test_error_as_the_first_frame_is_a_refusal(bus, captured):
    """
    connect() raises with the service's words, but not with the key that they quote.
    """

    async def script(peer):
        await peer.send("error", error={"message": f"Incorrect API key: {KEY}.", "code": "bad_key"})

    async with scripted_server(script) as server:
        model = OpenAIRealtimeModel()
        model.attach(bus)
        with pytest.raises(RealtimeConnectionError, match=r"Incorrect API key: <withheld>") as told:
            await model.connect({"api_key": KEY, "url": server.url})

    assert told.value.reason == "bad_key"
    assert KEY not in shown(told.value)
    assert typed(captured)[-2:] == ENDED


async def test_error_after_the_first_update_is_a_refusal(bus):
    """
    Some services learn of the model from the first message.
    """

    async def script(peer):
        await peer.receive("session.update")
        await peer.send("error", error={"message": "No such model.", "code": "no_model"})

    async with scripted_server(script) as server:
        with pytest.raises(RealtimeConnectionError, match="No such model"):
            await OpenAIRealtimeModel().connect({"api_key": KEY, "url": server.url})


@pytest.mark.parametrize("with_client", [False, True])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirect_is_refused_and_gets_no_key(status, with_client):
    """
    The key goes to the address that was given, and to no other one.
    """
    asked = []

    async def elsewhere(reader, writer):
        asked.append(await reader.read(1000))
        writer.close()

    other = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
    location = f"ws://127.0.0.1:{other.sockets[0].getsockname()[1]}/v1/realtime"
    answer = f"HTTP/1.1 {status} x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    async with other, await answering(answer.encode()) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        client = openai.AsyncOpenAI(api_key=KEY, websocket_base_url=url) if with_client else None
        model = OpenAIRealtimeModel(client=client)
        with pytest.raises(RealtimeConnectionError, match=str(status)):
            await model.connect({"api_key": KEY, "url": url})

    assert asked == []


async def test_messages_without_an_answer_are_named_when_the_connection_is_lost(bus, captured):
    """
    Those that the service has acknowledged are not.
    """

    async def script(peer):
        await peer.receive("session.update")
        await peer.send("session.updated", session={})
        await peer.receive("conversation.item.create")
        await peer.receive("response.create")
        await peer.hang_up()

    async with live(bus, script) as (_server, model):
        await model.send_event(RealtimeModelSendUserInput("hi"))
        await captured.wait_for(RealtimeModelEndOfStreamEvent)

    (report,) = (e for e in captured.events if isinstance(e, RealtimeModelExceptionEvent))
    told = str(report.exception)
    assert "not acknowledged by the service: conversation.item.create, response.create" in told
    assert "session.update" not in told


async def test_request_for_a_response_waits_while_the_user_speaks(bus, captured):
    """
    The response to the user's turn, which the service creates, answers it as well.
    """

    async def script(peer):
        detection = {"type": "server_vad"}
        session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        await peer.send("session.updated", session=session)
        await barge_in(peer)

    async with live(bus, script) as (server, model):
        await captured.wait_for(RealtimeModelInputSpeechStartedEvent)
        await model.send_event(RealtimeModelSendUserInput("hi"))
        peer = await server.peer()
        await peer.receive("conversation.item.create")
        await peer.send("input_audio_buffer.speech_stopped", item_id="u", audio_end_ms=900)
        await peer.send("response.created", response={"id": "r1", "conversation_id": "c"})
        await end(peer)
        await captured.wait_for(RealtimeModelTurnEndedEvent)
        await model.send_event(RealtimeModelSendUserInput("and now?"))
        await peer.receive("response.create")

    assert peer.types.count("response.create") == 1


async def test_request_goes_out_after_speech_where_the_service_creates_none(bus, captured):
    """
    With create_response off, the application asks for each response.
    """

    async def script(peer):
        detection = {"type": "server_vad", "create_response": False}
        session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        await peer.send("session.updated", session=session)
        await barge_in(peer)

    async with live(bus, script) as (server, model):
        await captured.wait_for(RealtimeModelInputSpeechStartedEvent)
        await model.send_event(RealtimeModelSendUserInput("hi"))
        peer = await server.peer()
        await peer.receive("conversation.item.create")
        assert "response.create" not in peer.types
        await peer.send("input_audio_buffer.speech_stopped", item_id="u", audio_end_ms=900)
        await peer.receive("response.create")


async def test_interruption_of_nothing_is_none_of_a_session(bus, captured):
    """
    The user speaks when all was heard: the model's event comes, and the session's doesn't.
    """

    async def script(peer):
        await speak(peer, delta="AAAA")
        await end(peer)

    async with scripted_server(script) as server:
        model = OpenAIRealtimeModel(reconnect=None)
        config = {"api_key": KEY, "url": server.url}
        async with bus, RealtimeSession(model, bus, config=config):
            await captured.wait_for(RealtimeModelTurnEndedEvent)
            await asyncio.sleep(0.01)
            await barge_in(await server.peer())
            await captured.wait_for(RealtimeModelInputSpeechStartedEvent)

    kinds = {type(event) for event in captured.events}
    assert RealtimeModelAudioInterruptedEvent in kinds
    assert RealtimeAudioInterrupted not in kinds

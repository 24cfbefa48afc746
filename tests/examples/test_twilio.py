"""
`examples/twilio`: phone calls to it, from a scripted caller at Twilio's place.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.request

import attrs
import pytest
from websockets.asyncio.client import connect

from eventbus.callers import Caller, TwilioLine
from eventbus.events import RealtimeModelItemTruncatedEvent
from eventbus.simulator import Simulator
from eventbus.testing import FakeClock
from tests.examples.loading import load_example

SCENARIO = {
    "pace": {"first_output_ms": 100},
    "turns": [
        {"say": "Flower shop, good morning!"},
        {
            "when": "story",
            "say": "Once upon a time there was a telephone on a wall, and whoever spoke into it "
            "had to wait until the other one had finished, which took a very long time.",
        },
        {"when": "goodbye", "say": "Goodbye!", "call": {"tool": "hang_up", "arguments": {}}},
    ],
    "otherwise": "You said: {user}",
}


@pytest.fixture(scope="module")
def server():
    return load_example("twilio/phone_server.py")


@pytest.fixture
def anyio_backend():
    """
    Only asyncio: live sessions have no other.
    """
    return "asyncio"


@attrs.frozen
class Place:
    """
    The example's server, and the item truncations that its bus sees.
    """

    port: int
    truncated: list

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}/call"


@contextlib.asynccontextmanager
async def serving(server, clock=None):
    """
    The example at work, in virtual time if there is no other clock.
    """
    with clock or FakeClock(autojump=True):
        async with Simulator(SCENARIO) as service:
            bus, truncated = server.new_bus(), []
            bus.subscribe(truncated.append, RealtimeModelItemTruncatedEvent)
            config = {"url": service.url, "api_key": "none"}
            async with server.serving(bus, config, 0) as listening:
                yield Place(listening.sockets[0].getsockname()[1], truncated)


async def test_phone_is_answered_and_the_agent_hangs_up(server, capsys):
    """
    The agent speaks first and is heard, understands the caller, and hangs up when its goodbye has
    been played to the end.
    """
    async with serving(server) as place, Caller(TwilioLine(place.url)) as caller:
        greeting = await caller.listen(within_ms=1_000)
        goodbye = await caller.ask("goodbye", within_ms=1_500)
        await caller.wait_hung_up()

        assert greeting.heard == "Flower shop, good morning!"
        assert goodbye.heard == "Goodbye!"
        assert goodbye.duration_ms > 500
    # The transcript of the caller's words may come after the answer.
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "agent: Flower shop, good morning!",
        "agent: Goodbye!",
        "caller: goodbye",
    ]


async def test_interruption_clears_what_waits_and_tells_what_was_heard(server):
    """
    When the caller speaks, Twilio's buffer is cleared, and the item is truncated at the place that
    its marks report as played, not at the end of the sent audio.
    """
    async with serving(server) as place:
        line = TwilioLine(place.url)
        async with Caller(line) as caller:
            await caller.listen()
            await caller.say("tell me a story")
            cut = await caller.interrupt("stop", after_ms=3_000, stops_within_ms=300)
            answer = await caller.listen()

    (truncated,) = place.truncated
    assert [m["event"] for m in line.received].count("clear") >= 1
    # A mark comes back when its piece was played to the end.
    assert cut.duration_ms - 250 <= truncated.audio_end_ms <= cut.duration_ms
    assert answer.heard == "You said: stop"


async def test_key_is_told_to_the_model(server):
    """
    A DTMF digit becomes a message, and the agent answers it.
    """
    async with serving(server) as place, Caller(TwilioLine(place.url)) as caller:
        await caller.listen()
        await caller.press("5")
        answer = await caller.listen()

    assert answer.heard == "You said: The caller has pressed the key 5."


async def test_stream_that_breaks_off_ends_the_session(server, caplog):
    """
    A stream that ends in mid word, without stop, ends the call without a traceback.
    """
    caplog.set_level("INFO", logger="twilio")
    start = {"event": "start", "start": {"streamSid": "MZ1", "callSid": "CA1"}}
    async with serving(server) as place:
        async with connect(place.url) as socket:
            await socket.send(json.dumps(start))
            await socket.recv()  # the greeting's first piece
            socket.transport.abort()
        while "call CA1 is over" not in caplog.text:  # noqa: ASYNC110  # a log tells nobody
            await asyncio.sleep(0.02)

    assert "Traceback" not in caplog.text


async def test_twilio_is_told_to_connect_the_call(server):
    """
    /answer is TwiML with the address of the stream at the same host; other paths are not found.
    """
    # In a thread, a request takes real time, which virtual time doesn't wait for.
    async with serving(server, contextlib.nullcontext()) as place:

        def get(path):
            request = urllib.request.Request(f"http://127.0.0.1:{place.port}{path}")
            request.add_header("Host", "shop.example")
            with urllib.request.urlopen(request) as response:
                return response.read().decode()

        twiml = await asyncio.to_thread(get, "/answer?CallSid=CA1")
        with pytest.raises(urllib.request.HTTPError, match="404"):
            await asyncio.to_thread(get, "/")

    assert '<Stream url="wss://shop.example/call"/>' in twiml

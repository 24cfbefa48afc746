"""
`examples/twilio`: a phone call, with a stand-in that sends and plays as Twilio does.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import urllib.request

import pytest
from websockets.asyncio.client import connect

from eventbus.audio import G711_ULAW
from eventbus.events import RealtimeModelItemTruncatedEvent, RealtimeModelTranscriptDoneEvent
from eventbus.simulator import Simulator
from eventbus.simulator.speech import silence, speak
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

PIECE = 160  # 20 ms


class Phone:
    """
    A Twilio stream: sends media in real time, plays what comes, and returns marks when they are
    reached, or at once when the audio is cleared.
    """

    def __init__(self, socket):
        self.socket = socket
        self.said = bytearray()
        self.waiting = []  # audio and marks, in order
        self.heard = bytearray()
        self.clears = 0
        self.sequence = 1

    async def send(self, event, **more):
        self.sequence += 1
        message = {"event": event, "sequenceNumber": str(self.sequence), "streamSid": "MZ1", **more}
        await self.socket.send(json.dumps(message))

    async def start(self):
        await self.socket.send(
            json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        )
        media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        await self.send(
            "start",
            start={
                "accountSid": "AC1",
                "streamSid": "MZ1",
                "callSid": "CA1",
                "tracks": ["inbound"],
                "mediaFormat": media_format,
                "customParameters": {},
            },
        )

    async def run(self):
        """
        Be on the line until the other side hangs up.
        """
        async with asyncio.TaskGroup() as tasks:
            talking = tasks.create_task(self.talk())
            async for text in self.socket:
                message = json.loads(text)
                assert message["streamSid"] == "MZ1"
                match message["event"]:
                    case "media":
                        self.waiting.append(base64.b64decode(message["media"]["payload"]))
                    case "mark":
                        self.waiting.append(message["mark"]["name"])
                    case "clear":
                        self.clears += 1
                        marks = [each for each in self.waiting if isinstance(each, str)]
                        self.waiting.clear()
                        for name in marks:
                            await self.send("mark", mark={"name": name})
            talking.cancel()

    async def talk(self):
        quiet = silence(20, audio_format=G711_ULAW)
        for chunk in range(100_000):
            await asyncio.sleep(0.02)
            piece = bytes(self.said[:PIECE]) or quiet
            del self.said[:PIECE]
            payload = base64.b64encode(piece.ljust(PIECE, quiet[:1])).decode()
            with contextlib.suppress(Exception):
                await self.send(
                    "media",
                    media={
                        "track": "inbound",
                        "chunk": str(chunk),
                        "timestamp": str(20 * chunk),
                        "payload": payload,
                    },
                )
                await self.play()

    async def play(self):
        room = PIECE
        while self.waiting and room:
            first = self.waiting[0]
            if isinstance(first, str):
                self.waiting.pop(0)
                await self.send("mark", mark={"name": first})
                continue
            self.heard += first[:room]
            self.waiting[0] = first[room:]
            room -= len(first[:room])
            if not self.waiting[0]:
                self.waiting.pop(0)

    def say(self, text):
        self.said += speak(text, audio_format=G711_ULAW)


@pytest.fixture(scope="module")
def server():
    return load_example("twilio/phone_server.py")


@pytest.fixture
def anyio_backend():
    """
    Only asyncio: live sessions have no other.
    """
    return "asyncio"


@contextlib.asynccontextmanager
async def answered(server):
    """
    A phone that the example has answered, with the lines that its bus sees.
    """
    with FakeClock(autojump=True):
        async with Simulator(SCENARIO) as service:
            bus, seen, answers = server.new_bus(), [], []
            bus.subscribe(seen.append, RealtimeModelItemTruncatedEvent)
            bus.subscribe(answers.append, RealtimeModelTranscriptDoneEvent)
            config = {"url": service.url, "api_key": "none"}
            async with server.serving(bus, config, 0) as listening:
                port = listening.sockets[0].getsockname()[1]
                async with connect(f"ws://127.0.0.1:{port}/call") as socket:
                    phone = Phone(socket)
                    phone.port, phone.seen, phone.answers = port, seen, answers
                    await phone.start()
                    yield phone


async def until(condition):
    """
    Wait until *condition* is true.
    """
    while not condition():  # noqa: ASYNC110  # it is about several objects
        await asyncio.sleep(0.02)


async def test_phone_is_answered_and_the_agent_hangs_up(server, capsys):
    """
    The agent speaks first and is heard, understands the caller, and hangs up when its goodbye has
    been played to the end.
    """
    async with answered(server) as phone:
        line = asyncio.create_task(phone.run())
        await until(lambda: phone.answers and not phone.waiting)
        greeting = len(phone.heard)
        assert greeting > 8_000, "a second of speech"
        phone.say("goodbye")
        await asyncio.wait_for(line, 60)

        assert not phone.waiting
        assert len(phone.heard) > greeting + 2_000
    # The transcript of the caller's words may come after the answer.
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "agent: Flower shop, good morning!",
        "agent: Goodbye!",
        "caller: goodbye",
    ]


async def test_interruption_clears_what_waits_and_tells_what_was_heard(server):
    """
    When the caller speaks, Twilio's buffer is cleared, and the item is truncated at what its marks
    said was played, not at what was sent.
    """
    async with answered(server) as phone:
        line = asyncio.create_task(phone.run())
        await until(lambda: phone.answers and not phone.waiting)
        phone.say("tell me a story")
        await until(lambda: len(phone.heard) > 8_000 * 3 and phone.waiting)
        before = len(phone.heard)
        phone.say("stop")
        await until(lambda: phone.clears and phone.seen)
        line.cancel()

    (truncated,) = phone.seen
    assert 0 < truncated.audio_end_ms <= (before + 16_000) / 8


async def test_key_is_told_to_the_model(server):
    """
    A DTMF digit becomes a message, and the agent answers it.
    """
    async with answered(server) as phone:
        line = asyncio.create_task(phone.run())
        await until(lambda: phone.answers and not phone.waiting)
        await phone.send("dtmf", dtmf={"track": "inbound_track", "digit": "5"})
        await until(lambda: len(phone.answers) == 2)
        line.cancel()

    assert phone.answers[1].transcript == "You said: The caller has pressed the key 5."


async def test_stream_that_breaks_off_ends_the_session(server, caplog):
    """
    A stream that ends in mid word, without stop, ends the call without a traceback.
    """
    caplog.set_level("INFO", logger="twilio")
    async with answered(server) as phone:
        line = asyncio.create_task(phone.run())
        await until(lambda: phone.heard)
        line.cancel()
        phone.socket.transport.abort()
        await until(lambda: "call CA1 is over" in caplog.text)

    assert "Traceback" not in caplog.text


async def test_twilio_is_told_to_connect_the_call(server):
    """
    /answer is TwiML with the address of the stream at the same host; other paths are not found.
    """
    async with answered(server) as phone:

        def get(path):
            request = urllib.request.Request(f"http://127.0.0.1:{phone.port}{path}")
            request.add_header("Host", "shop.example")
            with urllib.request.urlopen(request) as response:
                return response.read().decode()

        twiml = await asyncio.to_thread(get, "/answer?CallSid=CA1")
        with pytest.raises(urllib.request.HTTPError, match="404"):
            await asyncio.to_thread(get, "/")

    assert '<Stream url="wss://shop.example/call"/>' in twiml

"""
A session over connections in memory, which break at any place that a test chooses.

Behaviour that needs a socket is tested in `test_openai`.
"""

from __future__ import annotations

import asyncio
import collections
import json

import attrs
import pytest

from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from eventbus.realtime import (
    RealtimeModelListener,
    RealtimeModelSendAudio,
    RealtimeModelSendInterrupt,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendToolOutput,
    RealtimeModelSendUserInput,
)
from eventbus.realtime.openai._dialogue import OpenAIDialogue
from eventbus.realtime.openai._rules import DialectRules
from eventbus.realtime.transport import ReconnectPolicy
from eventbus.realtime.transport._connection import SessionConnection
from eventbus.realtime.transport._listeners import Listeners
from eventbus.realtime.transport._reconnecting import NO_CLOSE_FRAME, End
from eventbus.realtime.transport._roles import Timeouts
from eventbus.wire.openai import DIALECTS, OpenAIRealtimeDecoder

CONNECTING_AGAIN = "connecting again"


@pytest.fixture(scope="module")
def anyio_backend():
    """
    Only asyncio: a session is for models over websockets, which knows nothing else.
    """
    return "asyncio"


class Ended(Exception):
    """
    The connection has ended.
    """


class Connection:
    """
    A connection to nobody: sent messages go to *on_message*, received frames are put into `frames`.
    """

    def __init__(self, on_message):
        self.frames = asyncio.Queue()
        self.sent = []
        self.is_lost = False
        self._on_message = on_message

    async def receive(self):
        frame = await self.frames.get()
        if frame is None:
            raise Ended
        return frame

    async def send(self, data):
        await asyncio.sleep(0)
        if self.is_lost:
            raise Ended
        self.sent.append(json.loads(data))
        self._on_message(self, self.sent[-1])

    async def ping(self):
        await asyncio.sleep(0)

    async def close(self):
        self.is_lost = True

    def give(self, message_type, **fields):
        """
        Let a server event come, unless the connection is lost.
        """
        if not self.is_lost:
            self.frames.put_nowait(json.dumps({"type": message_type, **fields}).encode())

    def lose(self):
        """
        End it without a close frame, behind the frames that have come.
        """
        self.is_lost = True
        self.frames.put_nowait(None)


@attrs.define
class Dialer:
    """
    Opens one connection after another.
    """

    on_message: object = lambda _connection, _message: None
    connections: list = attrs.field(factory=list)
    shown = "nowhere"
    model = "m"
    ended = Ended

    def end_of(self, _exc):
        return End(NO_CLOSE_FRAME, "")

    def withhold(self, text):
        return text

    async def open(self):
        self.connections.append(Connection(self.on_message))
        return self.connections[-1]


class Noting(RealtimeModelListener):
    """
    Remembers its events, and hands them on; it takes a while for each event.
    """

    def __init__(self, react=None):
        self.events = []
        self._react = react

    async def on_event(self, event):
        await asyncio.sleep(0)
        if not isinstance(event, RealtimeModelRawServerEvent):
            self.events.append(event)
            if self._react is not None:
                await self._react(event)

    @property
    def outline(self):
        return [getattr(event, "status", None) or event.type for event in self.events]

    def of(self, event_type):
        return [event for event in self.events if isinstance(event, event_type)]


def new_session(dialer, listener):
    """
    Return a session that connects again at once.
    """
    listeners = Listeners()
    listeners.add(listener)
    timeouts = Timeouts(
        reconnect=ReconnectPolicy(random=lambda: 0.0, max_attempts=1_000),
        renewal=None,
        close_timeout=1,
        send_timeout=1,
        max_buffered_bytes=100_000,
    )

    def new_dialogue(sender, host):
        return OpenAIDialogue(
            {},
            model="m",
            rules=DialectRules(DIALECTS["openai"]),
            tracker=None,
            memory=None,
            sender=sender,
            host=host,
            response_timeout=30,
        )

    return SessionConnection(dialer, OpenAIRealtimeDecoder, new_dialogue, timeouts, listeners)


async def settle():
    """
    Let everybody go on until there is nothing to do.
    """
    for _ in range(300):
        await asyncio.sleep(0)


def speak(connection, response_id="r1"):
    """
    Let a response and a second of its audio come.
    """
    connection.give("response.created", response={"id": response_id, "conversation_id": "c"})
    give_audio(connection, response_id)


def give_audio(connection, response_id="r1"):
    connection.give(
        "response.output_audio.delta",
        response_id=response_id,
        item_id=f"item_{response_id}",
        output_index=0,
        content_index=0,
        delta="A" * 64_000,
    )


async def test_nothing_is_emitted_after_a_close_from_inside():
    """
    A listener that closes on the loss of a connection hears no end of the turn, and nobody
    begins to connect again.
    """

    async def close(event):
        if isinstance(event, RealtimeModelExceptionEvent):
            await session.close()

    listener = Noting(close)
    dialer = Dialer()
    session = new_session(dialer, listener)
    await session.open()
    speak(dialer.connections[0])
    dialer.connections[0].lose()
    await settle()

    assert session.is_over
    assert listener.outline[-3:] == ["exception", "disconnected", "end_of_stream"]
    assert len(dialer.connections) == 1


async def test_settings_go_before_what_a_listener_sends_on_the_report():
    """
    A listener that is told of an unsent message may send another one; it takes its turn.
    """

    async def react(event):
        if getattr(event, "status", "") == "connecting" and dialer.connections:
            await session.send(RealtimeModelSendAudio(b"", commit=True))
            await session.send(RealtimeModelSendUserInput("meanwhile"))
        elif isinstance(event, RealtimeModelExceptionEvent) and event.context == CONNECTING_AGAIN:
            await session.send(RealtimeModelSendUserInput("on the report"))

    dialer = Dialer()
    session = new_session(dialer, Noting(react))
    await session.open()
    dialer.connections[0].lose()
    await settle()
    await session.close()

    sent = dialer.connections[1].sent
    texts = [each["item"]["content"][0]["text"] for each in sent if "item" in each]
    assert sent[0]["type"] == "session.update"
    assert texts == ["meanwhile", "on the report"]


async def test_turn_that_is_lost_ends_though_another_wish_waits():
    """
    The wish is for the next turn; the one that went on has its end all the same.
    """

    async def react(event):
        if isinstance(event, RealtimeModelExceptionEvent):
            await session.send(RealtimeModelSendUserInput("go on"))

    listener = Noting(react)
    dialer = Dialer()
    session = new_session(dialer, listener)
    await session.open()
    speak(dialer.connections[0])
    await settle()
    dialer.connections[0].lose()
    await settle()
    await session.close()

    assert [event.response_id for event in listener.of(RealtimeModelTurnEndedEvent)] == ["r1"]
    assert dialer.connections[1].sent[-1]["type"] == "response.create"


async def test_late_audio_is_fenced_though_its_response_was_done_when_it_was_interrupted():
    """
    Audio comes faster than it is heard: most interruptions meet a response that is over.
    """
    listener = Noting()
    dialer = Dialer()
    session = new_session(dialer, listener)
    await session.open()
    (connection,) = dialer.connections
    speak(connection)
    connection.give("response.done", response={"id": "r1", "status": "completed"})
    await settle()
    await session.send(RealtimeModelSendInterrupt())
    give_audio(connection)
    speak(connection, "r2")
    await settle()
    await session.close()

    assert [event.response_id for event in listener.of(RealtimeModelAudioEvent)] == ["r1", "r2"]


async def test_response_that_was_interrupted_on_its_way_is_not_heard():
    """
    It begins at the service before that has read of the cancellation.
    """
    listener = Noting()
    dialer = Dialer()
    session = new_session(dialer, listener)
    await session.open()
    (connection,) = dialer.connections
    await session.send(RealtimeModelSendUserInput("Hello!"))
    await session.send(RealtimeModelSendInterrupt())
    speak(connection)
    await settle()
    await session.close()

    assert [message["type"] for message in connection.sent][-1] == "response.cancel"
    assert not listener.of(RealtimeModelAudioEvent)


# --- a connection that is lost at any point --------------------------------------------------


class Service:
    """
    Answers in turn with a tool call and with speech, and is lost at one of its frames.

    Args:
        lost_at: The message, or the frame, at which it is; counted from 1 over all connections.
    """

    def __init__(self, *, lost_at=(0, 0)):
        self.messages = 0
        self.frames = 0
        self.responses = 0
        self.callers = {}  # by call id: the connection of the session that has called
        self._lost_at = lost_at

    def on_message(self, connection, message):
        self.messages += 1
        if self.messages == self._lost_at[0]:
            connection.lose()
        elif message["type"] == "session.update":
            self.give(connection, "session.updated", session=message["session"])
        elif message["type"] == "response.create":
            self.respond(connection)

    def respond(self, connection):
        self.responses += 1
        id_ = f"r{self.responses}"
        self.give(connection, "response.created", response={"id": id_, "conversation_id": "c"})
        if self.responses % 2:
            self.callers[f"call_{id_}"] = connection
            call = {"type": "function_call", "id": f"i{id_}", "call_id": f"call_{id_}"}
            call |= {"name": "f", "arguments": "{}", "status": "completed"}
            self.give(
                connection, "response.output_item.done", response_id=id_, output_index=0, item=call
            )
        else:
            give_audio(connection, id_)
        self.give(connection, "response.done", response={"id": id_, "status": "completed"})

    def give(self, connection, message_type, **fields):
        self.frames += 1
        if self.frames == self._lost_at[1]:
            connection.lose()
        connection.give(message_type, **fields)


async def converse(service):
    """
    Talk to *service*; return its connections, and the listener.
    """

    async def answer(event):
        if isinstance(event, RealtimeModelToolCallEvent):
            output = RealtimeModelSendToolOutput(event, event.call_id, start_response=True)
            await session.send(output)

    listener = Noting(answer)
    dialer = Dialer(service.on_message)
    session = new_session(dialer, listener)
    await session.open()
    for number in range(3):
        await session.send(RealtimeModelSendSessionUpdate({"instructions": f"settings {number}"}))
        await session.send(RealtimeModelSendAudio(bytes([number, 0])))
        await session.send(RealtimeModelSendUserInput(f"message {number}"))
        for _ in range(20 * number):
            await asyncio.sleep(0)
    await settle()
    await session.close()
    return dialer.connections, listener


@pytest.mark.parametrize("side", [0, 1])
async def test_nothing_is_sent_twice_wherever_the_connection_is_lost(side):
    """
    At each message and at each frame of a session: every connection begins with the settings, a
    tool's output goes to the session that has called, every turn ends, and a request over the last
    connection is answered.
    """
    whole = Service()
    await converse(whole)
    for point in range(1, (whole.messages, whole.frames)[side] + 1):
        lost_at = (point, 0) if side == 0 else (0, point)
        service = Service(lost_at=lost_at)
        connections, listener = await converse(service)

        sent = [
            json.dumps({**message, "event_id": None})
            for connection in connections
            for message in connection.sent
            if message["type"] in {"conversation.item.create", "input_audio_buffer.append"}
        ]
        assert len(connections) == 2, lost_at
        assert collections.Counter(sent).most_common(1)[0][1] == 1, lost_at
        assert {connection.sent[0]["type"] for connection in connections} == {"session.update"}
        for connection in connections:
            items = [message.get("item", {}) for message in connection.sent]
            outputs = {item["call_id"] for item in items if "call_id" in item}
            assert all(service.callers[call_id] is connection for call_id in outputs), lost_at
        started = [event.response_id for event in listener.of(RealtimeModelTurnStartedEvent)]
        ended = [event.response_id for event in listener.of(RealtimeModelTurnEndedEvent)]
        assert set(started) <= set(ended), lost_at
        last = [message["type"] for message in connections[-1].sent]
        if "conversation.item.create" in last:
            asked_at = len(last) - last[::-1].index("conversation.item.create")
            assert "response.create" in last[asked_at:], lost_at

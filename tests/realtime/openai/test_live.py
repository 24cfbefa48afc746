"""
GPTLiveModel against the simulator: sessions, delegated work, interruptions, ends.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import math

import pytest

from eventbus import EventBus, NotSupported
from eventbus.audio import G711_ULAW
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelDelegationEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelItemTruncatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
    RealtimeModelUsageEvent,
)
from eventbus.exceptions import (
    AudioFormatError,
    ModelNotConnected,
    RealtimeConnectionError,
)
from eventbus.items import RealtimeToolCallItem
from eventbus.journal import Recorder
from eventbus.realtime import (
    RealtimeModelSendAudio,
    RealtimeModelSendInterrupt,
    RealtimeModelSendRawMessage,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendToolOutput,
    RealtimeModelSendUserInput,
    RealtimeSession,
    ReconnectPolicy,
    RenewalPolicy,
)
from eventbus.realtime.openai import DEFAULT_BACKEND, GPTLiveModel
from eventbus.realtime.proxy import RealtimeProxy
from eventbus.replay import replay
from eventbus.testing import FakeClock, capture
from eventbus.wire.openai import RealtimeModelSilenceEvent

pytest.importorskip("yaml")
simulator = pytest.importorskip("eventbus.simulator")
speech = pytest.importorskip("eventbus.simulator.speech")

AT_ONCE = ReconnectPolicy(random=lambda: 0.0)
STORY = "Once upon a time there was a telephone on a wall. " * 4
TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
WEATHER = {
    "turns": [
        {
            "say": "One moment.",
            "call": [
                {"tool": "get_weather", "arguments": {"city": "Oslo"}},
                {"tool": "get_weather", "arguments": {"city": "Bergen"}},
            ],
            "then": "It is {output}.",
        }
    ]
}


DECODED = {"audio", "silence", "transcript_delta", "transcript_done", "delegation", "turn_started"}


@pytest.fixture(scope="module")
def anyio_backend():
    """
    Only asyncio: websockets knows nothing else.
    """
    return "asyncio"


@pytest.fixture(autouse=True)
async def clock(anyio_backend):
    """
    Time that passes by itself whenever everybody waits.
    """
    with FakeClock(autojump=True) as clock:
        yield clock


@pytest.fixture
def captured(bus):
    """
    The events published on the bus.
    """
    with capture(bus) as captured:
        yield captured


@contextlib.asynccontextmanager
async def talking(bus, scenario=None, *, settings=None, sim=None, config=None, **options):
    """
    Give a simulator, and a model that is connected to it.
    """
    async with simulator.Simulator(scenario, **(sim or {})) as service:
        model = GPTLiveModel(**{"reconnect": AT_ONCE, **options})
        with model.attach(bus):
            await model.connect(
                {
                    "api_key": "none",
                    "url": service.live_url,
                    "initial_model_settings": settings or {},
                    **(config or {}),
                }
            )
            try:
                yield service, model
            finally:
                await model.close()


def of(captured, event_type):
    return [event for event in captured.events if type(event) is event_type]


def words(captured):
    return "".join(event.delta for event in of(captured, RealtimeModelTranscriptDeltaEvent))


async def until_said(captured, text):
    await captured.wait_for(
        RealtimeModelTranscriptDeltaEvent, lambda _: words(captured) == text, timeout=120
    )


async def speak(model, text):
    for piece in pieces(speech.speak(text) + speech.silence(800)):
        await model.send_event(RealtimeModelSendAudio(piece))


def pieces(audio):
    return [audio[start : start + 960] for start in range(0, len(audio), 960)]


def sent(service, type_):
    return [message for message in service.received if message["type"] == type_]


async def until_received(service, type_):
    """
    Wait until the service has got a message of that type, and return the first.
    """
    while not sent(service, type_):  # noqa: ASYNC110  # the simulator tells of no arrivals
        await asyncio.sleep(0.1)
    return sent(service, type_)[0]


# --- talking -----------------------------------------------------------------------------------


async def test_a_spoken_turn(bus, captured):
    """
    Speech is answered in words and sound; silence is told from sound, and turns are inferred.
    """
    async with talking(bus) as (_, model):
        await speak(model, "Is my cake ready?")
        ended = await captured.wait_for(RealtimeModelTurnEndedEvent)

    assert ended.inferred
    assert words(captured) == "You said: Is my cake ready?"
    assert {e.response_id for e in of(captured, RealtimeModelAudioEvent)} == {ended.response_id}
    assert of(captured, RealtimeModelSilenceEvent)


async def test_the_order_of_the_first_and_last_events(bus, captured):
    """
    Status, session, …, the reason of the close with the final usage, status, end of the stream.
    """
    async with talking(bus) as (service, model):
        await captured.wait_for(RealtimeModelSessionUpdatedEvent)

    kinds = [event.type for event in captured.events if event.type != "raw_server_event"]
    assert kinds[:3] == ["connection_status", "connection_status", "session_updated"]
    assert kinds[-4:] == ["usage", "other", "connection_status", "end_of_stream"]
    assert model.close_reason == "close_requested"
    assert len(sent(service, "session.close")) == 1


async def test_settings_become_the_start(bus, captured):
    """
    Settings with the names of the Realtime protocol have their places in the start.
    """
    settings = {
        "model_name": "gpt-live-1.1",
        "instructions": "Be brief.",
        "voice": "cedar",
        "input_audio_format": "g711_ulaw",
        "output_audio_format": "g711_ulaw",
        "tools": [TOOL],
        "max_output_tokens": "inf",
        "extra_settings": {"store": True, "delegation": {"acknowledgement_delay_ms": 100}},
    }
    async with talking(bus, settings=settings) as (service, _):
        [start] = sent(service, "session.start")

    assert start["session"] == {
        "model": "gpt-live-1.1",
        "instructions": "Be brief.",
        "audio": {"format": {"type": "audio/pcmu", "rate": 8_000}, "output": {"voice": "cedar"}},
        "delegation": {
            "type": "responses",
            "responses": {
                "model": DEFAULT_BACKEND,
                "instructions": "Be brief.",
                "tools": [TOOL],
            },
            "acknowledgement_delay_ms": 100,
        },
        "store": True,
    }


async def test_a_greeting_is_spoken_first(bus, captured):
    """
    The commentary waits for the start, and is spoken though no audio was sent: silence flows.
    """
    async with talking(bus, greeting="Welcome to the bakery!") as (service, _):
        await until_said(captured, "Welcome to the bakery!")

    kinds = [message["type"] for message in service.received]
    assert kinds[:2] == ["session.start", "session.commentary.append"]
    assert "session.input_audio.append" in kinds


async def test_without_idle_audio_nothing_flows(bus, captured):
    """
    The application can keep silence from being sent for it.
    """
    async with talking(bus, idle_audio=False) as (service, model):
        await captured.wait_for(RealtimeModelSessionUpdatedEvent)
        await asyncio.sleep(10)
        assert sent(service, "session.input_audio.append") == []
        await model.send_event(RealtimeModelSendAudio(speech.silence(400)))
        await captured.wait_for(RealtimeModelSilenceEvent)


async def test_audio_in_a_telephone_format(bus, captured):
    """
    The format of the settings is that of both sides, and of the silence that is sent.
    """
    settings = {"audio": {"input": {"format": G711_ULAW}, "output": {"format": G711_ULAW}}}
    async with talking(bus, settings=settings) as (service, model):
        await model.say("Hello!")
        await until_said(captured, "Hello!")

    silence = sent(service, "session.input_audio.append")[0]["audio"]
    assert set(base64.b64decode(silence)) == {0xFF}


# --- delegated work ----------------------------------------------------------------------------


async def test_tools_of_a_session(bus, captured):
    """
    Two calls of a response run here, each output is sent at once, and one request follows them.
    """
    async with simulator.Simulator(WEATHER) as service:
        session = RealtimeSession(
            GPTLiveModel(), bus, config={"url": service.live_url, "api_key": "none"}
        )
        first_is_out = asyncio.Event()

        @session.tool
        async def get_weather(city: str) -> str:
            if city == "Bergen":
                await first_is_out.wait()
            return f"rain in {city}"

        async with bus, session:
            await speak(session.model, "How is the weather?")
            await until_received(service, "response.item.create")
            assert sent(service, "response.create") == []
            first_is_out.set()
            await until_said(captured, "One moment. It is rain in Bergen.")
            history = list(session.history)

    outputs = [item.output for item in history if isinstance(item, RealtimeToolCallItem)]
    assert outputs == ["rain in Oslo", "rain in Bergen"]
    assert len(sent(service, "response.create")) == 1
    assert len(of(captured, RealtimeModelDelegationEvent)) == 1


async def test_typed_text_is_for_the_backend(bus, captured):
    """
    A message is answered by the backend; the voice is told it, too, and the history has it.
    """
    async with talking(bus) as (service, model):
        await model.send_event(RealtimeModelSendUserInput("Hello"))
        await until_said(captured, "You said: Hello")

    kinds = [m["type"] for m in service.received if m["type"] != "session.input_audio.append"]
    assert kinds == [
        "session.start",
        "session.thinking.append",
        "response.item.create",
        "response.create",
        "session.close",
    ]


async def test_an_application_does_the_work_itself(bus, captured):
    """
    Without a backend there is a delegation, and the application says the result.
    """
    async with talking(bus, WEATHER, backend=None) as (_, model):
        await speak(model, "How is the weather?")
        delegation = await captured.wait_for(RealtimeModelDelegationEvent)
        await model.say("It rains.", delegation_id=delegation.delegation_id)
        await until_said(captured, "One moment. It rains.")

    assert delegation.target == "client"


async def test_a_failed_response_takes_no_outputs(bus, captured):
    """
    An output for a call whose response has failed is not sent, and the session goes on.
    """
    model = GPTLiveModel()
    with pytest.raises(ModelNotConnected):
        await model.say("too early")
    async with talking(bus, WEATHER, settings={"tools": [TOOL]}) as (service, model):
        await speak(model, "How is the weather?")
        call = await captured.wait_for(RealtimeModelToolCallEvent)
        frame = {
            "type": "response.event",
            "delegation_id": of(captured, RealtimeModelDelegationEvent)[0].delegation_id,
            "event": {"type": "response.failed", "response": {"id": "resp"}},
        }
        watch = model._dialogue.watches[RealtimeModelOtherEvent]  # no such fault
        watch(RealtimeModelOtherEvent(frame), None)
        await model.send_event(RealtimeModelSendToolOutput(call, "late", start_response=True))
        await model.say("Sorry.")
        await until_received(service, "session.commentary.append")

    assert sent(service, "response.item.create") == []


# --- refusals ----------------------------------------------------------------------------------


async def test_half_a_sample_is_refused_in_pcm_only(bus, captured):
    """
    The format that the service tells decides.
    """
    async with talking(bus, idle_audio=False) as (_service, model):
        await captured.wait_for(RealtimeModelSessionUpdatedEvent)
        with pytest.raises(AudioFormatError, match="even number of bytes"):
            await model.send_event(RealtimeModelSendAudio(b"123"))
        with pytest.raises(AudioFormatError, match="even number of bytes"):
            await model.play(b"123")

    settings = {"input_audio_format": "g711_ulaw", "output_audio_format": "g711_ulaw"}
    async with talking(bus, idle_audio=False, settings=settings) as (service, model):
        await model.send_event(RealtimeModelSendAudio(b"123"))
        assert (await until_received(service, "session.input_audio.append"))["audio"] == "MTIz"


async def test_words_that_are_no_text_are_refused(bus):
    """
    So is audio that isn't bytes; the service gets nothing.
    """
    async with talking(bus, idle_audio=False) as (service, model):
        for method in (model.say, model.think, model.instruct):
            with pytest.raises(TypeError, match="content= is a text, not int"):
                await method(5)
        for send in (model.play, lambda audio: model.send_event(RealtimeModelSendAudio(audio))):
            with pytest.raises(TypeError, match="Audio is bytes, not str"):
                await send("MTIz")

    assert {message["type"] for message in service.received} <= {"session.start", "session.close"}


@pytest.mark.parametrize(
    ("request_", "feature"),
    [
        (RealtimeModelSendAudio(b"\0\0", commit=True), "commit"),
        (
            RealtimeModelSendInterrupt(response_id="r", cancel_response_only=True),
            "cancel_response_only",
        ),
        (
            RealtimeModelSendRawMessage({"type": "input_audio_buffer.clear"}),
            "input_audio_buffer.clear",
        ),
        (RealtimeModelSendSessionUpdate({"voice": "echo"}), "audio"),
        (RealtimeModelSendSessionUpdate({"model_name": "gpt-live-9"}), "model_name"),
        (RealtimeModelSendSessionUpdate({"turn_detection": None}), "turn_detection"),
    ],
)
async def test_what_the_protocol_lacks_is_refused_and_not_sent(bus, request_, feature):
    """
    One sentence names the feature, and the service gets nothing.
    """
    async with talking(bus, idle_audio=False) as (service, model):
        with pytest.raises(NotSupported, match="GPT-Live") as caught:
            await model.send_event(request_)

    assert caught.value.feature == feature
    assert str(caught.value).count(". ") <= 1
    assert [m["type"] for m in service.received] == ["session.start", "session.close"]


@pytest.mark.parametrize(
    "settings",
    [
        {"turn_detection": {"type": "server_vad"}},
        {"output_modalities": ["text"]},
        {"audio": {"input": {"format": "pcm16"}, "output": {"format": "g711_ulaw"}}},
        {"prompt": {"id": "p"}},
        {"audio": {"output": {"speed": 1.2}}},
        {"tools": [TOOL], "extra_settings": {"delegation": {"type": "client"}}},
    ],
)
async def test_settings_that_the_protocol_lacks(bus, settings):
    """
    They are refused before there is a connection.
    """
    async with simulator.Simulator() as service:
        with pytest.raises(NotSupported):
            await GPTLiveModel().connect(
                {
                    "url": service.live_url,
                    "api_key": "none",
                    "initial_model_settings": settings,
                }
            )

    assert service.connections == 0


async def test_the_services_refusal_is_told(bus):
    """
    An error instead of the session fails the connection, with the service's words.
    """
    settings = {"extra_settings": {"tempo": 2}}
    with pytest.raises(RealtimeConnectionError, match=r"Unknown parameter: 'session\.tempo'"):
        async with talking(bus, settings=settings, reconnect=None):
            pass


# --- commands ----------------------------------------------------------------------------------


async def test_texts_mute_and_recordings(bus, captured):
    """
    Each command of the protocol has a method, and the service takes all of them.
    """
    async with talking(bus) as (service, model):
        await model.instruct("Be kind.")
        await model.think("It is late.")
        await model.mute()
        await model.unmute()
        await model.play(speech.speak("Hold on."))
        await captured.wait_for(
            RealtimeModelOtherEvent,
            lambda event: event.data["type"] == "session.output_audio.fixture.played",
        )

    kinds = [event.data["type"] for event in of(captured, RealtimeModelOtherEvent)]
    for expected in ("instructions.appended", "thinking.appended", "input_audio.unmuted"):
        assert f"session.{expected}" in kinds
    assert [frame for frame in service.sent if frame["type"] == "error"] == []


async def test_an_update_of_settings(bus, captured):
    """
    Tools are updated for the backend; new instructions are appended, and told to the backend.
    """
    changes = {"tools": [TOOL], "instructions": "Be kind."}
    async with talking(bus) as (service, model):
        await model.send_event(RealtimeModelSendSessionUpdate(changes))
        appended = await until_received(service, "session.instructions.append")

    [update] = sent(service, "session.update")
    backend = update["session"]["delegation"]["responses"]
    assert backend == {"tools": [TOOL], "instructions": "Be kind."}
    assert appended["content"] == "Be kind."


async def test_long_instructions_are_appended_in_pieces(bus, captured):
    """
    A message has at most 500 tokens; nothing of the text is lost.
    """
    text = "Be kind to everybody who calls the bakery. " * 120
    async with talking(bus, backend=None) as (service, model):
        await model.send_event(RealtimeModelSendSessionUpdate({"instructions": text}))
        await model.say("Done.")
        await until_said(captured, "Done.")

    pieces = [message["content"] for message in sent(service, "session.instructions.append")]
    assert len(pieces) > 1
    assert "".join(pieces) == text
    assert [frame for frame in service.sent if frame["type"] == "error"] == []


# --- interruption ------------------------------------------------------------------------------


async def test_an_interruption_stops_what_is_queued(bus, captured):
    """
    Audio that waits is cut off and the rest of the turn dropped; the service isn't told.
    """
    async with talking(bus, {"turns": [{"say": STORY}]}) as (service, model):
        await speak(model, "Tell me a story")
        await captured.wait_for(RealtimeModelAudioEvent)
        before = len(service.received)
        await model.send_event(RealtimeModelSendInterrupt(force_response_cancel=True))
        heard = len(of(captured, RealtimeModelAudioEvent))
        await until_said(captured, STORY)

    assert len(of(captured, RealtimeModelAudioEvent)) == heard
    assert len(of(captured, RealtimeModelAudioInterruptedEvent)) == 1
    assert len(of(captured, RealtimeModelItemTruncatedEvent)) == 1
    kinds = {message["type"] for message in service.received[before:]}
    assert kinds == {"session.input_audio.append", "session.close"}


async def test_speech_over_the_model_cuts_nothing_here(bus, captured):
    """
    The voice itself decides to stop: none of its speech is thrown away.
    """
    scenario = {"turns": [{"say": STORY}, {"say": "Yes?"}]}
    async with talking(bus, scenario) as (_, model):
        await speak(model, "Tell me a story")
        await captured.wait_for(RealtimeModelAudioEvent)
        await speak(model, "Stop it please")
        await captured.wait_for(
            RealtimeModelTranscriptDeltaEvent, lambda event: "Yes?" in event.delta
        )

    assert of(captured, RealtimeModelAudioInterruptedEvent) == []


# --- ends and beginnings ----------------------------------------------------------------------


async def test_a_lost_connection_is_followed_by_another_session(bus, captured):
    """
    The turn ends as failed, the new session has ids of its own, and a greeting comes once.
    """
    sim = {"faults": "drop@1"}
    async with talking(bus, greeting="Welcome to the bakery!", sim=sim) as (service, model):
        ended = await captured.wait_for(RealtimeModelTurnEndedEvent)
        await captured.wait_for(
            RealtimeModelSessionUpdatedEvent,
            lambda _: len(of(captured, RealtimeModelSessionUpdatedEvent)) == 2,
            timeout=120,
        )
        await model.say("Hello again!")
        await captured.wait_for(
            RealtimeModelTurnStartedEvent, lambda event: event.response_id == "live2-r1"
        )

    assert ended.status == "failed"
    assert service.connections == 2
    contents = [m["content"] for m in sent(service, "session.commentary.append")]
    assert contents == ["Welcome to the bakery!", "Hello again!"]


async def test_a_new_session_is_told_the_conversation(bus, captured):
    """
    After a loss the start has the history in words, tool calls among it.
    """
    sim = {"faults": "drop@4"}
    scenario = {**WEATHER, "otherwise": "Yes?"}
    async with simulator.Simulator(scenario, **sim) as service:
        session = RealtimeSession(
            GPTLiveModel(reconnect=AT_ONCE),
            bus,
            config={"url": service.live_url, "api_key": "none"},
        )

        @session.tool
        async def get_weather(city: str) -> str:
            return f"rain in {city}"

        async with bus, session:
            await session.send_message("How is the weather?")
            await until_said(captured, "One moment. It is rain in Bergen.")
            await captured.wait_for(RealtimeModelTurnEndedEvent)
            await session.model.say("Anything else?")
            await session.model.say("Or not?")
            await captured.wait_for(
                RealtimeModelSessionUpdatedEvent,
                lambda _: len(of(captured, RealtimeModelSessionUpdatedEvent)) == 2,
                timeout=120,
            )

    told = sent(service, "session.start")[1]["session"]["input"]
    texts = [item["content"][0]["text"] for item in told]
    assert texts[0] == "How is the weather?"
    assert 'Called get_weather with {"city":"Oslo"}.' in texts
    assert "Result of get_weather: rain in Oslo" in texts


async def test_a_session_is_renewed_before_its_end(bus, captured):
    """
    At a quiet moment before the end a second session is started with the history, and takes over.
    """
    renewal = RenewalPolicy(max_session=60)
    async with simulator.Simulator() as service:
        session = RealtimeSession(
            GPTLiveModel(renewal=renewal),
            bus,
            config={"url": service.live_url, "api_key": "none"},
        )
        async with bus, session:
            await session.send_message("Hello")
            await captured.wait_for(RealtimeModelTurnEndedEvent)
            await captured.wait_for(
                RealtimeModelSessionUpdatedEvent,
                lambda _: len(of(captured, RealtimeModelSessionUpdatedEvent)) == 2,
                timeout=120,
            )
            await session.send_message("Goodbye")
            await captured.wait_for(
                RealtimeModelTurnEndedEvent, lambda event: event.response_id == "live2-r1"
            )

    first, second = sent(service, "session.start")
    assert "input" not in first["session"]
    assert [item["role"] for item in second["session"]["input"]] == ["user", "assistant"]
    statuses = [event.status for event in of(captured, RealtimeModelConnectionStatusEvent)]
    assert statuses == ["connecting", "connected", "disconnected"]


async def test_an_expired_session_is_followed_by_another(bus, captured):
    """
    The service closes a session at its end, and there is a new one.
    """
    async with talking(bus, sim={"max_session": 20}, renewal=None) as (service, model):
        await captured.wait_for(
            RealtimeModelSessionUpdatedEvent,
            lambda _: len(of(captured, RealtimeModelSessionUpdatedEvent)) == 2,
            timeout=120,
        )
        await model.say("Hello again!")
        await until_said(captured, "Hello again!")

    assert service.connections == 2
    assert of(captured, RealtimeModelExceptionEvent) == []


async def test_usage_is_in_seconds(bus, captured):
    """
    The final usage has the seconds of the session.
    """
    async with talking(bus) as (_, model):
        await model.say("Hello!")
        await until_said(captured, "Hello!")

    usage = of(captured, RealtimeModelUsageEvent)[-1].usage
    assert usage.is_cumulative
    assert usage.seconds >= 1
    assert isinstance(captured.events[-1], RealtimeModelEndOfStreamEvent)


async def test_a_close_in_a_listener_returns_at_once(bus, captured):
    """
    A handler that closes the model waits for nothing that waits for the handler.
    """
    async with talking(bus) as (_, model):

        @bus.on(RealtimeModelTurnStartedEvent)
        async def hang_up(_event):
            await model.close()

        async with bus:
            await model.say("Hello!")
            await captured.wait_for(RealtimeModelEndOfStreamEvent)


async def test_a_proxy_decodes_the_protocol(bus, captured):
    """
    A proxy before GPT-Live publishes the same events as the model has.
    """
    async with EventBus() as own, simulator.Simulator() as service:
        async with RealtimeProxy(service.live_url, bus) as proxy:
            model = GPTLiveModel(greeting="Hello!")
            with model.attach(own), capture(own) as direct:
                await model.connect({"url": proxy.url, "api_key": "none"})
                await until_said(direct, "Hello!")
                await direct.wait_for(RealtimeModelTurnEndedEvent)
                await model.close()
        await captured.wait_for(RealtimeModelEndOfStreamEvent)

    for kind in (RealtimeModelAudioEvent, RealtimeModelTranscriptDeltaEvent):
        assert of(captured, kind) == of(direct, kind)


async def test_a_recorded_call_replays_the_same_twice(bus, tmp_path):
    """
    Frames of two sessions and a tool round: each replay gives the events of the call.
    """
    path = tmp_path / "call.journal"
    with Recorder(path) as recorder, recorder.attach(bus):
        async with simulator.Simulator(WEATHER, max_session=30) as service:
            config = {"url": service.live_url, "api_key": "none"}
            model = GPTLiveModel(reconnect=AT_ONCE, renewal=None)
            session = RealtimeSession(model, bus, config=config)

            @session.tool
            async def get_weather(city: str) -> str:
                return f"rain in {city}"

            with capture(bus) as captured:
                async with bus, session:
                    await session.send_message("How is the weather?")
                    await until_said(captured, "One moment. It is rain in Bergen.")
                    await captured.wait_for(
                        RealtimeModelSessionUpdatedEvent,
                        lambda _: len(of(captured, RealtimeModelSessionUpdatedEvent)) == 2,
                        timeout=120,
                    )
                    await model.say("Anything else?")
                    await captured.wait_for(
                        RealtimeModelTurnEndedEvent, lambda event: event.response_id == "live2-r1"
                    )

    replays = []
    for _ in range(2):
        async with EventBus() as again:
            with capture(again) as events:
                await replay(path, again, speed=math.inf, strict=True)
            replays.append([event for event in events.events if event.type in DECODED])

    told = [event for event in captured.events if event.type in DECODED]
    assert replays[0] == replays[1] == told


@pytest.mark.slow
async def test_the_sdk_connects(bus, captured):
    """
    With a client of the openai SDK, its `live.connect` opens the connection.
    """
    openai = pytest.importorskip("openai")
    async with simulator.Simulator(api_key="sk-right") as service:
        client = openai.AsyncOpenAI(api_key="sk-right", base_url=service.base_url)
        model = GPTLiveModel(client=client, greeting="Hello!")
        with model.attach(bus):
            await model.connect({})
            await until_said(captured, "Hello!")
            await model.close()

    assert service.connections == 1

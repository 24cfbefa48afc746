"""
Services that speak the Realtime protocol in their own way: addresses, keys, settings, refusals.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from eventbus import NotSupported
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputTranscriptUpdatedEvent,
    RealtimeModelItemTruncatedEvent,
    RealtimeModelSessionExpiringEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
)
from eventbus.exceptions import RealtimeConnectionError
from eventbus.realtime import (
    RealtimeModelSendAudio,
    RealtimeModelSendInterrupt,
    RealtimeModelSendRawMessage,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendUserInput,
    RealtimeSession,
)
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.testing import FakeClock, capture
from eventbus.wire.openai import DIALECTS
from tests.realtime.scripted_server import scripted_server

simulator = pytest.importorskip("eventbus.simulator")
speech = pytest.importorskip("eventbus.simulator.speech")

DATA = Path(__file__).parents[2] / "data"
KEY = "the-key-of-nobody"
FORMAT = {"type": "audio/pcm", "rate": 24_000}
SETTINGS = {
    "model_name": "a-model",
    "instructions": "Be brief.",
    "max_output_tokens": 100,
    "output_modalities": ["audio"],
    "audio": {
        "input": {"format": FORMAT, "turn_detection": {"type": "server_vad"}},
        "output": {"format": FORMAT, "voice": "a-voice"},
    },
}
SMALL = {"model_name": "a-model", "instructions": "Be brief."}


@pytest.fixture(scope="module")
def anyio_backend():
    """
    Only asyncio: websockets knows nothing else.
    """
    return "asyncio"


@pytest.fixture
def captured(bus):
    """
    The events published on the bus.
    """
    with capture(bus) as captured:
        yield captured


async def first_message(dialect, settings, **options):
    """
    Return the request of a model that speaks *dialect*, and its session.
    """
    async with scripted_server() as server:
        model = OpenAIRealtimeModel(dialect=dialect, reconnect=None)
        config = {"url": server.url, "api_key": KEY, "initial_model_settings": settings}
        await model.connect({**config, **options})
        peer = await server.peer()
        update = await peer.receive("session.update")
        await model.close()
    return server.requests[0], update["session"]


# --- addresses and keys ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "header", "value"),
    [
        ("openai", "Authorization", f"Bearer {KEY}"),
        ("azure", "api-key", KEY),
        ("azure-voice-live", "api-key", KEY),
        ("xai", "Authorization", f"Bearer {KEY}"),
        ("elevenlabs", "xi-api-key", KEY),
        ("inworld", "Authorization", f"Basic {KEY}"),
        ("qwen", "Authorization", f"Bearer {KEY}"),
        ("vllm", "Authorization", f"Bearer {KEY}"),
    ],
)
async def test_the_key_is_in_the_header_of_the_dialect(dialect, header, value):
    """
    In that one, and in no other.
    """
    request, _ = await first_message(dialect, SMALL)

    assert request.headers[header] == value
    assert [name for name, each in request.headers.raw_items() if KEY in each] == [header]


@pytest.mark.parametrize(
    ("dialect", "path", "query"),
    [
        ("openai", "/v1/realtime", {"model": ["a-model"]}),
        (
            "azure-voice-live",
            "/v1/realtime",
            {"model": ["a-model"], "api-version": ["2026-07-15"]},
        ),
        ("elevenlabs", "/v1/realtime", {}),
        ("inworld", "/v1/realtime/session", {"protocol": ["realtime"], "key": [...]}),
    ],
)
async def test_path_and_query_are_those_of_the_dialect(dialect, path, query):
    """
    If the settings name the model, the URL doesn't; the word for a session differs each time.
    """
    request, session = await first_message(dialect, SMALL)

    parts = urlsplit(request.path)
    found = parse_qs(parts.query)
    if "key" in query:
        assert len(found["key"][0]) == 32
        query = {**query, "key": found["key"]}
    assert (parts.path, found) == (path, query)
    assert session.get("model") == ("a-model" if "model" not in query else None)


async def test_organisation_and_project_are_told_to_openai_only(monkeypatch):
    """
    Other services get neither these headers nor OpenAI's key.
    """
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    monkeypatch.delenv("XAI_API_KEY", raising=False)
    request, _ = await first_message("xai", SMALL)

    assert "OpenAI-Organization" not in request.headers
    with pytest.raises(RealtimeConnectionError, match="set XAI_API_KEY"):
        await OpenAIRealtimeModel(dialect="xai").connect({"url": "ws://127.0.0.1:1"})


async def test_the_dialect_follows_from_the_url(monkeypatch):
    """
    A known address needs no name of a dialect: its key is looked for, and its rules hold.
    """
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    monkeypatch.delenv("ELEVENLABS_API_KEY", raising=False)
    url = DIALECTS["elevenlabs"].url
    detection = {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}

    with pytest.raises(RealtimeConnectionError, match="set ELEVENLABS_API_KEY"):
        await OpenAIRealtimeModel().connect({"url": url})
    with pytest.raises(NotSupported, match="ElevenLabs Realtime has no server_vad"):
        await OpenAIRealtimeModel().connect({"url": url, "initial_model_settings": detection})


@pytest.mark.parametrize(
    ("dialect", "problem"),
    [("azure", "give url="), ("azure-voice-live", "give url="), ("vllm", "give url=")],
)
async def test_a_service_without_an_address_of_its_own_needs_one(dialect, problem):
    """
    A service with an address for each customer needs one; none is guessed.
    """
    with pytest.raises(ValueError, match=problem):
        await OpenAIRealtimeModel(dialect=dialect).connect({"api_key": KEY})


async def test_a_model_that_nobody_can_guess_is_asked_for():
    """
    Without a default the setting is needed.
    """
    with pytest.raises(ValueError, match="model_name"):
        await OpenAIRealtimeModel(dialect="vllm").connect({"url": "ws://127.0.0.1:1"})


def test_an_unknown_dialect_gets_a_suggestion():
    """
    A misspelt name is told at once.
    """
    with pytest.raises(ValueError, match=r"did you mean elevenlabs\?"):
        OpenAIRealtimeModel(dialect="elevenlab")


# --- settings ----------------------------------------------------------------------------------


async def test_settings_of_ga():
    """
    OpenAI's own form: nested.
    """
    _, session = await first_message("openai", SETTINGS)

    assert session == {
        "type": "realtime",
        **{name: value for name, value in SETTINGS.items() if name != "model_name"},
    }


@pytest.mark.parametrize("dialect", ["azure-voice-live", "qwen"])
async def test_settings_of_the_beta(dialect):
    """
    The flat form: names, formats and modalities of the beta protocol.
    """
    rate = DIALECTS[dialect].input_rate
    audio = {**SETTINGS["audio"]}
    audio["input"] = {**audio["input"], "format": {"type": "audio/pcm", "rate": rate}}
    _, session = await first_message(dialect, {**SETTINGS, "audio": audio})

    assert session == {
        "instructions": "Be brief.",
        "max_response_output_tokens": 100,
        "modalities": ["audio"],
        "input_audio_format": "pcm16",
        "output_audio_format": "pcm16",
        "turn_detection": {"type": "server_vad"},
        "voice": "a-voice",
    }


async def test_settings_of_xai():
    """
    Voice and turn detection are the session's own; formats are nested.
    """
    _, session = await first_message("xai", SETTINGS)

    assert session == {
        "instructions": "Be brief.",
        "max_output_tokens": 100,
        "voice": "a-voice",
        "turn_detection": {"type": "server_vad"},
        "audio": {"input": {"format": FORMAT}, "output": {"format": FORMAT}},
    }


# --- refusals ----------------------------------------------------------------------------------

TEXT = {"model_name": "m", "output_modalities": ["text"]}
IMAGE = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}],
}


def detection(kind):
    return {"model_name": "m", "audio": {"input": {"turn_detection": {"type": kind}}}}


@pytest.mark.parametrize(
    ("dialect", "settings", "feature"),
    [
        ("xai", TEXT, "text_output"),
        ("xai", detection("semantic_vad"), "semantic_vad"),
        ("elevenlabs", TEXT, "text_output"),
        ("elevenlabs", detection("server_vad"), "server_vad"),
        (
            "elevenlabs",
            {"audio": {"input": {"transcription": {"model": "whisper-1"}}}},
            "transcription_model",
        ),
        ("inworld", TEXT, "text_output"),
        ("qwen", {"audio": {"input": {"format": "pcm16"}}}, "input_rate"),
        (
            "azure-voice-live",
            {"audio": {"output": {"format": {"type": "audio/pcm", "rate": 8_000}}}},
            "output_rate",
        ),
    ],
)
async def test_settings_that_a_dialect_lacks(dialect, settings, feature):
    """
    They are refused with a sentence, before there is a connection and in an update.
    """
    async with scripted_server() as server:
        model = OpenAIRealtimeModel(dialect=dialect, reconnect=None)
        config = {"url": server.url, "api_key": KEY}
        with pytest.raises(NotSupported) as first:
            await model.connect({**config, "initial_model_settings": settings})
        assert server.requests == []
        await model.connect(config)
        peer = await server.peer()
        await peer.receive("session.update")
        settings = {name: value for name, value in settings.items() if name != "model_name"}
        with pytest.raises(NotSupported):
            await model.send_event(RealtimeModelSendSessionUpdate(settings))
        await model.close()

    assert peer.types == ["session.update"]
    assert first.value.feature == feature
    assert first.value.service == DIALECTS[dialect].title


@pytest.mark.parametrize(
    ("dialect", "request_", "feature"),
    [
        *[
            (
                dialect,
                RealtimeModelSendRawMessage({"type": "conversation.item.truncate"}),
                "conversation.item.truncate",
            )
            for dialect in ("xai", "inworld", "qwen", "vllm")
        ],
        *[
            (
                dialect,
                RealtimeModelSendRawMessage({"type": "conversation.item.delete"}),
                "conversation.item.delete",
            )
            for dialect in ("elevenlabs", "inworld", "qwen", "vllm")
        ],
        ("elevenlabs", RealtimeModelSendUserInput(IMAGE), "images"),
    ],
)
async def test_messages_that_a_dialect_does_not_take(dialect, request_, feature):
    """
    They are refused with a sentence that names the service, and not sent.
    """
    async with scripted_server() as server:
        model = OpenAIRealtimeModel(dialect=dialect, reconnect=None)
        await model.connect(
            {"url": server.url, "api_key": KEY, "initial_model_settings": {"model_name": "m"}}
        )
        peer = await server.peer()
        await peer.receive("session.update")
        with pytest.raises(NotSupported, match=DIALECTS[dialect].title.split()[0]) as caught:
            await model.send_event(request_)
        await model.close()

    assert caught.value.feature == feature
    assert peer.types == ["session.update"]


# --- calls -------------------------------------------------------------------------------------


async def connected(model, service, settings=None):
    await model.connect(
        {"url": service.url, "api_key": KEY, "initial_model_settings": settings or {}}
    )


async def speak(model, text):
    audio = speech.speak(text) + speech.silence(800)
    for start in range(0, len(audio), 4_800):
        await model.send_event(RealtimeModelSendAudio(audio[start : start + 4_800]))


@pytest.mark.parametrize("dialect", ["azure", "azure-voice-live", "xai"])
async def test_a_spoken_turn_in_a_dialect(bus, captured, dialect):
    """
    The simulator speaks the dialect, and takes the settings: speech in, words and speech out.
    """
    settings = {
        "audio": {
            "input": {
                "format": FORMAT,
                "transcription": {"model": DIALECTS[dialect].transcriber},
                "turn_detection": {"type": "server_vad"},
            },
            "output": {"format": FORMAT},
        }
    }
    with FakeClock(autojump=True):
        async with simulator.Simulator({"dialect": dialect}) as service:
            model = OpenAIRealtimeModel(dialect=dialect)
            with model.attach(bus):
                await connected(model, service, settings)
                await speak(model, "Good morning")
                heard = await captured.wait_for(RealtimeModelInputAudioTranscriptionCompletedEvent)
                done = await captured.wait_for(RealtimeModelTranscriptDoneEvent)
                await model.close()

    assert heard.transcript == "Good morning"
    assert done.transcript == "You said: Good morning"
    assert [event["type"] for event in service.sent if event["type"] == "error"] == []
    if dialect == "xai":
        kinds = {type(event) for event in captured.events}
        assert RealtimeModelInputTranscriptUpdatedEvent in kinds


@pytest.mark.parametrize("dialect", ["elevenlabs", "inworld", "qwen", "vllm"])
async def test_frames_of_a_dialect_make_a_turn(bus, captured, dialect):
    """
    Services that the simulator doesn't imitate send frames of the GA or the beta protocol.
    """
    kind = "voice_live" if DIALECTS[dialect].is_beta else "openai"
    frames = (DATA / f"{kind}_audio_turn.jsonl").read_text("utf-8").splitlines()

    async def turn(peer):
        for frame in frames:
            await peer.connection.send(frame)

    async with scripted_server(turn) as server:
        model = OpenAIRealtimeModel(dialect=dialect, reconnect=None)
        with model.attach(bus):
            await model.connect(
                {"url": server.url, "api_key": KEY, "initial_model_settings": SMALL}
            )
            await captured.wait_for(RealtimeModelTurnEndedEvent)
            await model.close()

    kinds = {event.type for event in captured.events}
    assert {"audio", "transcript_done", "input_audio_transcription_completed"} <= kinds
    assert "exception" not in kinds


@pytest.mark.parametrize("dialect", ["azure", "azure-voice-live", "xai"])
async def test_a_tool_round_in_a_dialect(bus, captured, dialect):
    """
    A tool is offered, called and answered in the dialect's form.
    """
    scenario = {
        "dialect": dialect,
        "turns": [{"call": {"tool": "get_weather"}, "then": "It is {output}."}],
    }
    with FakeClock(autojump=True):
        async with simulator.Simulator(scenario) as service:
            session = RealtimeSession(
                OpenAIRealtimeModel(dialect=dialect),
                bus,
                config={"url": service.url, "api_key": KEY},
            )

            @session.tool
            async def get_weather() -> str:
                return "sunny"

            async with bus, session:
                await session.send_message("How is the weather?")
                done = await captured.wait_for(RealtimeModelTranscriptDoneEvent)

    assert done.transcript == "It is sunny."
    assert [event for event in service.sent if event["type"] == "error"] == []


async def test_an_interruption_where_nothing_can_be_truncated(bus, captured):
    """
    XAI isn't told the place; the history is.
    """
    with FakeClock(autojump=True):
        story = {"dialect": "xai", "turns": [{"say": "Once upon a time. " * 20}]}
        async with simulator.Simulator(story) as service:
            model = OpenAIRealtimeModel(dialect="xai")
            with model.attach(bus):
                await connected(model, service)
                await model.send_event(RealtimeModelSendUserInput("A story, please"))
                await captured.wait_for(RealtimeModelAudioEvent)
                await asyncio.sleep(0.5)
                await model.send_event(RealtimeModelSendInterrupt(force_response_cancel=True))
                await captured.wait_for(RealtimeModelAudioInterruptedEvent)
                truncated = await captured.wait_for(RealtimeModelItemTruncatedEvent)
                await model.close()

    assert truncated.audio_end_ms > 0
    types = {message["type"] for message in service.received}
    assert "response.cancel" in types
    assert "conversation.item.truncate" not in types


async def test_the_limit_of_a_service_that_tells_no_end(bus, captured):
    """
    ElevenLabs ends a session after ten minutes without telling when: that is known here.
    """
    with FakeClock(autojump=True):
        async with scripted_server() as server:
            model = OpenAIRealtimeModel(dialect="elevenlabs", reconnect=None)
            with model.attach(bus):
                await model.connect({"url": server.url, "api_key": KEY})
                expiring = await captured.wait_for(RealtimeModelSessionExpiringEvent, timeout=700)
                await model.close()

    assert 0 < expiring.seconds_left < 600

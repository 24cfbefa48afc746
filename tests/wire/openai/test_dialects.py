from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from eventbus.events import RealtimeModelExceptionEvent, RealtimeModelOtherEvent
from eventbus.wire.openai import BETA_TYPES, DIALECTS, OpenAIRealtimeDecoder, dialect_of

DATA = Path(__file__).parents[2] / "data"

# The 56 types of azure-ai-voicelive 1.3.1 without those that the GA protocol has, too.
VOICE_LIVE_ONLY = 20


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("wss://api.openai.com/v1/realtime?model=gpt-realtime", "openai"),
        ("https://my-resource.openai.azure.com/openai/v1", "azure"),
        ("wss://my-resource.services.ai.azure.com/openai/v1/realtime?model=x", "azure"),
        ("wss://my-resource.services.ai.azure.com/voice-live/realtime?x=y", "azure-voice-live"),
        ("wss://api.x.ai/v1/realtime", "xai"),
        ("wss://api.elevenlabs.io/v1/convai/realtime", "elevenlabs"),
        ("wss://api.inworld.ai/api/v1/realtime/session?key=a&protocol=realtime", "inworld"),
        ("wss://dashscope.aliyuncs.com/api-ws/v1/realtime?model=qwen-omni", "qwen"),
        ("ws://127.0.0.1:8000/v1/realtime", None),
        ("wss://api.openai.com.evil.example/v1/realtime", None),
        ("wss://notapi.x.ai/v1/realtime", None),
        ("wss://api.elevenlabs.io/v1/convai/conversation", None),
        ("wss://[::1", None),
        ("", None),
    ],
)
def test_dialect_follows_from_the_url(url, name):
    """
    The host decides, and the path where a host has several protocols.
    """
    found = dialect_of(url)

    assert (None if found is None else found.name) == name


def test_row_with_a_url_is_found_by_it():
    """
    A dialect's own address leads back to it.
    """
    for name, dialect in DIALECTS.items():
        assert dialect.name == name
        if dialect.url:
            assert dialect_of(dialect.url) is dialect


def test_every_type_of_every_dialect_is_decoded():
    """
    A type without a class is Other, and none is an error of its own.
    """
    types = {type_ for dialect in DIALECTS.values() for type_ in dialect.own_types}
    types -= {"conversation.item.input_audio_transcription.updated"}
    for type_ in types:
        _, event = OpenAIRealtimeDecoder().decode({"type": type_, "event_id": "e"})

        assert type(event) is RealtimeModelOtherEvent, type_


def test_voice_live_has_its_types_and_those_of_the_beta():
    """
    Types that aren't its own have the names of the GA or the beta protocol.
    """
    voice_live = DIALECTS["azure-voice-live"]

    assert voice_live.is_beta
    assert len(voice_live.own_types) == VOICE_LIVE_ONLY
    assert not voice_live.own_types & BETA_TYPES.keys()


def test_recorded_sessions_of_every_dialect_decode_without_an_error(corpus):
    """
    No frame of OpenAI, Azure, Voice Live or xAI gives an Exception event.
    """
    recordings = [p for p in corpus.glob("*.frames.jsonl") if not p.name.startswith("google_")]
    assert len(recordings) >= 6
    for path in recordings:
        decoder = OpenAIRealtimeDecoder()
        for line in path.read_text("utf-8").splitlines():
            raw, *others = decoder.decode(line)
            assert raw.data == json.loads(line)
            assert others, path
            assert RealtimeModelExceptionEvent not in map(type, others), path


def test_call_means_the_same_in_every_dialect():
    """
    Our recording of one spoken turn has the same speech, words and end in each dialect's form.
    """

    def meaning(dialect):
        decoder = OpenAIRealtimeDecoder()
        lines = (DATA / f"{dialect}_audio_turn.jsonl").read_text("utf-8").splitlines()
        events = [event for line in lines for event in decoder.decode(line)]
        assert RealtimeModelExceptionEvent not in map(type, events)
        by_type = {event.type: event for event in events}
        return {
            "audio": b"".join(event.data for event in events if event.type == "audio"),
            "words": by_type["transcript_done"].transcript,
            "heard": by_type["input_audio_transcription_completed"].transcript,
            "status": by_type["turn_ended"].status,
            "tokens": by_type["usage"].usage.total_tokens,
        }

    expected = meaning("openai")

    assert [meaning(each) for each in ("azure", "voice_live", "xai")] == [expected] * 3


def test_partial_transcripts_of_xai_are_updates():
    """
    Each has all words so far.
    """
    decoder = OpenAIRealtimeDecoder()
    lines = (DATA / "xai_audio_turn.jsonl").read_text("utf-8").splitlines()

    partial = [
        event.transcript
        for line in lines
        for event in decoder.decode(line)
        if event.type == "input_transcript_updated"
    ]

    assert len(partial) > 1
    assert all(after.startswith(before) for before, after in itertools.pairwise(partial))

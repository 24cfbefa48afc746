"""
Google's own types as a check: they accept the project's frames, and read the same in them.

google-genai is in no extra, as it brings much with it; without it these tests are skipped.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelInputTranscriptUpdatedEvent,
    RealtimeModelOutputTextDeltaEvent,
    RealtimeModelSessionExpiringEvent,
    RealtimeModelToolCallCancelledEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelUsageEvent,
)
from eventbus.wire.gemini import GeminiDecoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own
    types = pytest.importorskip("google.genai.types")

DATA = Path(__file__).parents[2] / "data"
OWN = [*sorted(DATA.glob("gemini_*.jsonl")), *sorted(DATA.glob("vertex_*.jsonl"))]


def parsed(line):
    """
    Return a frame as the SDK has it; the names of Vertex AI's usage are replaced, as it does.
    """
    frame = json.loads(line)
    if "usageMetadata" in frame:
        frame["usageMetadata"] = {
            name.replace("candidates", "response"): value
            for name, value in frame["usageMetadata"].items()
        }
    return types.LiveServerMessage.model_validate(frame)


def read_by_sdk(message):  # noqa: C901  # a case for each field
    """
    Return what a message says, as far as the events have it too, kind by kind.
    """
    content = message.server_content
    if content is not None:
        for kind, words in (
            ("interim", content.interim_input_transcription),
            ("heard", content.input_transcription),
            ("said", content.output_transcription),
        ):
            if words is not None and words.text is not None:
                yield kind, words.text
        for part in (content.model_turn and content.model_turn.parts) or ():
            if part.inline_data is not None:
                yield "audio", part.inline_data.data
            elif part.text is not None and not part.thought:
                yield "text", part.text
        if content.turn_complete:
            yield "turn", content.interaction_status == "IN_PROGRESS"
    for call in (message.tool_call and message.tool_call.function_calls) or ():
        yield "call", (call.name, call.id, call.args)
    if message.tool_call_cancellation is not None:
        yield "cancelled", tuple(message.tool_call_cancellation.ids)
    if message.usage_metadata is not None:
        usage = message.usage_metadata
        by_modality = {
            each.modality.value: each.token_count for each in usage.prompt_tokens_details or ()
        }
        yield (
            "usage",
            (
                usage.prompt_token_count,
                usage.response_token_count,
                usage.total_token_count,
                usage.thoughts_token_count or 0,
                usage.cached_content_token_count or 0,
                by_modality.get("TEXT"),
                by_modality.get("AUDIO"),
            ),
        )
    if message.go_away is not None:
        yield "ends in", float(message.go_away.time_left.removesuffix("s"))


def read_by_us(event):  # noqa: C901  # a case for each class
    match event:
        case RealtimeModelInputTranscriptUpdatedEvent(transcript=words):
            return "interim", words
        case RealtimeModelInputTranscriptDeltaEvent(delta=words):
            return "heard", words
        case RealtimeModelTranscriptDeltaEvent(delta=words):
            return "said", words
        case RealtimeModelAudioEvent(data=data):
            return "audio", data
        case RealtimeModelOutputTextDeltaEvent(delta=words):
            return "text", words
        case RealtimeModelTurnEndedEvent(more_expected=more):
            return "turn", more
        case RealtimeModelToolCallEvent(name=name, call_id=call_id, arguments=arguments):
            return "call", (name, None if "-c" in call_id[:5] else call_id, json.loads(arguments))
        case RealtimeModelToolCallCancelledEvent(call_ids=call_ids):
            return "cancelled", call_ids
        case RealtimeModelUsageEvent(usage=usage, input_tokens_details=details):
            totals = usage.input_tokens, usage.output_tokens, usage.total_tokens
            thoughts = usage.output_tokens_details.reasoning_tokens
            cached = usage.input_tokens_details.cached_tokens
            counts = (details.text_tokens, details.audio_tokens) if details else (None, None)
            return "usage", (*totals, thoughts, cached, *counts)
        case RealtimeModelSessionExpiringEvent(seconds_left=seconds):
            return "ends in", seconds
        case _:
            return None


def assert_alike(path):
    decoder, count = GeminiDecoder(id_prefix="g"), 0
    for line in path.read_text("utf-8").splitlines():
        theirs = list(read_by_sdk(parsed(line)))
        ours = [each for e in decoder.decode(line)[1:] if (each := read_by_us(e)) is not None]
        assert sorted(map(repr, ours)) == sorted(map(repr, theirs)), line
        count += len(ours)
    assert count > 2


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_own_frames_are_valid_and_say_the_same(path):
    """
    Words, audio, tool calls, usage and times are those that the SDK reads; it allows no other name.
    """
    assert_alike(path)


def test_recorded_sessions_say_the_same(corpus):
    """
    So are those of real sessions.
    """
    paths = sorted(corpus.glob("google_*.frames.jsonl"))

    assert paths
    for path in paths:
        assert_alike(path)

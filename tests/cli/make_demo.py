"""
Writes ``eventbus/cli/demo.jsonl``, the call that ``eventbus demo`` replays.

Everything in it is made up here: the words, the ids, the times, and the voice, which is a tone
that changes with each syllable. To change the call, change this file and run it::

    python tests/cli/make_demo.py
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

PATH = Path(__file__).parents[2] / "eventbus" / "cli" / "demo.jsonl"

RATE = 8_000
PIECE = RATE // 5  # samples in one piece of audio: 0.2 s
PITCHES = (180, 205, 160, 190, 150, 220, 170)  # Hz, one a syllable

MODEL = "demo-realtime"
FORMAT = {"type": "audio/pcmu"}  # a telephone's: 8,000 bytes a second
SESSION = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_demo",
    "model": MODEL,
    "output_modalities": ["audio"],
    "instructions": "You answer the telephone of a small shop. Be brief.",
    "tools": [{"type": "function", "name": "look_up_order"}],
    "audio": {
        "input": {
            "format": FORMAT,
            "transcription": {"model": "demo-transcribe"},
            "turn_detection": {
                "type": "server_vad",
                "create_response": True,
                "interrupt_response": True,
            },
        },
        "output": {"format": FORMAT, "voice": "demo"},
    },
    "metadata": {
        "synthetic": "true",
        "source": "Written by the eventbus project; no person and no service took part.",
    },
}

ANSWER_1 = "It left our warehouse this morning, and arrives tomorrow."
ANSWER_2 = (
    "Yes, of course. You have thirty days, counted from the day that it arrives. Put everything "
    "back into its box, print the label that you find in your account, and"
)
SENT_OF_ANSWER_2 = 24  # pieces of audio; it would have had more to say

Timed = tuple[float, dict[str, object]]


def mulaw(sample: int) -> int:
    """Return a 16-bit sample as G.711 has it in one byte."""
    sign, magnitude = (0x80, -sample) if sample < 0 else (0, sample)
    magnitude = min(magnitude, 32_635) + 132
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> (exponent + 3) & 0x0F) & 0xFF


def voice(piece: int) -> bytes:
    """Return a piece of audio: one syllable, which swells and fades. Integers only, no rounding."""
    period = RATE // PITCHES[piece % len(PITCHES)]
    samples = []
    for index in range(PIECE):
        phase = index % period
        wave = 4 * min(phase, period - phase) - period  # a triangle, from -period to +period
        loudness = min(index, PIECE - index, PIECE // 4)
        samples.append(wave * loudness * 6_000 // (period * (PIECE // 4)))
    return bytes(map(mulaw, samples))


def words(text: str) -> list[str]:
    """Return the pieces that a transcript comes in: words, with the space before them."""
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]


def caller(
    number: int, start: float, end: float, transcript: str, after: str | None
) -> Iterator[Timed]:
    """Yield what the service says while the caller speaks."""
    item_id = f"item_caller_{number}"
    about = {"item_id": item_id, "content_index": 0}
    name = "conversation.item.input_audio_transcription"
    yield (
        start,
        {
            "type": "input_audio_buffer.speech_started",
            "audio_start_ms": round(start * 1000),
            "item_id": item_id,
        },
    )
    pieces = words(transcript)
    for index, delta in enumerate(pieces):
        moment = start + 0.2 + (end - start - 0.2) * index / len(pieces)
        yield moment, {"type": f"{name}.delta", **about, "delta": delta}
    yield (
        end,
        {
            "type": "input_audio_buffer.speech_stopped",
            "audio_end_ms": round(end * 1000),
            "item_id": item_id,
        },
    )
    yield (
        end,
        {
            "type": "input_audio_buffer.committed",
            "previous_item_id": after,
            "item_id": item_id,
        },
    )
    item = {
        "id": item_id,
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_audio", "transcript": None}],
    }
    yield end, {"type": "conversation.item.added", "previous_item_id": after, "item": item}
    yield end + 0.1, {"type": f"{name}.completed", **about, "transcript": transcript}


def usage(text: int, audio: int) -> dict[str, object]:
    """Return what a response has cost."""
    return {
        "total_tokens": 120 + text + audio,
        "input_tokens": 120,
        "output_tokens": text + audio,
        "input_token_details": {"text_tokens": 80, "audio_tokens": 40, "cached_tokens": 64},
        "output_token_details": {"text_tokens": text, "audio_tokens": audio},
    }


def response(response_id: str, status: str = "in_progress", **more: object) -> dict[str, object]:
    """Return a response, as the frames at its beginning and its end have it."""
    return {"object": "realtime.response", "id": response_id, "status": status, **more}


def tool_call(start: float) -> Iterator[Timed]:
    """Yield the first response, which is a call of a tool, and what the tool has given."""
    item = {
        "id": "item_call",
        "type": "function_call",
        "name": "look_up_order",
        "call_id": "call_1",
    }
    about = {"response_id": "resp_1", "output_index": 0}
    arguments = '{"order": 1042}'
    name = "response.function_call_arguments"
    yield start, {"type": "response.created", "response": response("resp_1")}
    yield (
        start + 0.1,
        {
            "type": "response.output_item.added",
            **about,
            "item": {**item, "status": "in_progress", "arguments": ""},
        },
    )
    for index, delta in enumerate(('{"order', '": 10', "42}")):
        yield (
            start + 0.15 + 0.05 * index,
            {
                "type": f"{name}.delta",
                **about,
                "item_id": "item_call",
                "call_id": "call_1",
                "delta": delta,
            },
        )
    end = start + 0.35
    yield (
        end,
        {
            "type": f"{name}.done",
            **about,
            "item_id": "item_call",
            "call_id": "call_1",
            "name": "look_up_order",
            "arguments": arguments,
        },
    )
    item |= {"status": "completed", "arguments": arguments}
    yield end, {"type": "response.output_item.done", **about, "item": item}
    yield (
        end,
        {
            "type": "response.done",
            "response": response("resp_1", "completed", output=[item], usage=usage(18, 0)),
        },
    )
    yield (
        end + 0.7,
        {
            "type": "conversation.item.added",
            "previous_item_id": "item_call",
            "item": {
                "id": "item_output",
                "type": "function_call_output",
                "call_id": "call_1",
                "output": '{"left": "this morning", "arrives": "tomorrow"}',
            },
        },
    )


def answer(number: int, start: float, text: str, pieces: int) -> Iterator[Timed]:
    """Yield a spoken response up to the end of its audio, which comes faster than it sounds."""
    response_id, item_id = f"resp_{number}", f"item_answer_{number}"
    item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
    yield start, {"type": "response.created", "response": response(response_id)}
    yield (
        start + 0.1,
        {
            "type": "response.output_item.added",
            "response_id": response_id,
            "output_index": 0,
            "item": {**item, "status": "in_progress"},
        },
    )
    about = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
    yield (
        start + 0.1,
        {
            "type": "response.content_part.added",
            **about,
            "part": {"type": "audio", "transcript": ""},
        },
    )
    for index, delta in enumerate(words(text)):
        yield (
            start + 0.15 + 0.055 * index,
            {
                "type": "response.output_audio_transcript.delta",
                **about,
                "delta": delta,
            },
        )
    for piece in range(pieces):
        yield (
            start + 0.2 + 0.07 * piece,
            {
                "type": "response.output_audio.delta",
                **about,
                "delta": base64.b64encode(voice(piece)).decode(),
            },
        )


def answered(
    number: int, start: float, text: str, status: str, cost: dict[str, object], **more: object
) -> Iterator[Timed]:
    """Yield the end of a spoken response."""
    response_id, item_id = f"resp_{number}", f"item_answer_{number}"
    about = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
    item = {
        "id": item_id,
        "type": "message",
        "role": "assistant",
        "status": "completed" if status == "completed" else "incomplete",
        "content": [{"type": "output_audio", "transcript": text}],
    }
    yield start, {"type": "response.output_audio.done", **about}
    yield (
        start,
        {
            "type": "response.output_audio_transcript.done",
            **about,
            "transcript": text,
        },
    )
    yield (
        start,
        {
            "type": "response.content_part.done",
            **about,
            "part": {"type": "audio", "transcript": text},
        },
    )
    yield (
        start,
        {
            "type": "response.output_item.done",
            "response_id": response_id,
            "output_index": 0,
            "item": item,
        },
    )
    yield (
        start,
        {
            "type": "rate_limits.updated",
            "rate_limits": [
                {"name": "tokens", "limit": 40_000, "remaining": 39_000, "reset_seconds": 1.5}
            ],
        },
    )
    yield (
        start,
        {
            "type": "response.done",
            "response": response(response_id, status, output=[item], usage=cost, **more),
        },
    )


def call() -> Iterator[Timed]:
    """Yield the frames of the call, not yet in order, each with its time in seconds."""
    yield 0.0, {"type": "session.created", "session": SESSION}
    yield 0.1, {"type": "session.updated", "session": SESSION}

    # The first turn: a question, a tool call, an answer.
    yield from caller(1, 0.5, 1.9, "Hello, where is my order? It has the number 1042.", None)
    yield from tool_call(2.1)
    yield from answer(2, 3.2, ANSWER_1, 11)
    yield from answered(2, 4.2, ANSWER_1, "completed", usage(14, 44))

    # The second turn: a long answer, and the caller has heard enough of it.
    yield from caller(2, 5.7, 6.5, "Can I still send it back?", "item_answer_2")
    yield from answer(3, 6.7, ANSWER_2, SENT_OF_ANSWER_2)
    yield from caller(3, 8.45, 9.5, "Good, that is all. Thank you!", "item_answer_3")
    cancelled = {"type": "cancelled", "reason": "turn_detected"}
    yield from answered(3, 8.6, ANSWER_2, "cancelled", usage(31, 96), status_details=cancelled)
    yield (
        8.6,
        {
            "type": "conversation.item.truncated",
            "item_id": "item_answer_3",
            "content_index": 0,
            "audio_end_ms": 1550,
        },
    )


def lines() -> Iterator[str]:
    """Yield the lines of the file."""
    for number, (seconds, frame) in enumerate(sorted(call(), key=lambda timed: timed[0])):
        whole = {"type": frame["type"], "event_id": f"event_{number:03}", **frame}
        envelope = {"t": round(seconds, 3), "direction": "received", "frame": whole}
        yield json.dumps(envelope, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    PATH.write_text("".join(lines()), encoding="utf-8", newline="\n")

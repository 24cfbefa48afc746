from __future__ import annotations

import base64
import copy
import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.events import (
    RealtimeError,
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioCommittedEvent,
    RealtimeModelInputAudioTimeoutTriggeredEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputAudioTranscriptionFailedEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelInputTranscriptUpdatedEvent,
    RealtimeModelItemDeletedEvent,
    RealtimeModelItemTruncatedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelOutputTextDeltaEvent,
    RealtimeModelOutputTextDoneEvent,
    RealtimeModelRateLimitsEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallDeltaEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
    RealtimeModelUsageEvent,
)
from eventbus.exceptions import FrameError
from eventbus.items import AssistantMessageItem, AssistantText, RealtimeToolCallItem
from eventbus.wire import Decoder
from eventbus.wire._frames import Frame
from eventbus.wire.openai import BETA_TYPES, OpenAIRealtimeDecoder
from eventbus.wire.openai._decoder import TABLE

DATA = Path(__file__).parents[2] / "data"
GA_FRAMES = (DATA / "openai_ga_types.jsonl").read_text("utf-8").splitlines()


@pytest.fixture
def decoder():
    """
    The decoder of a session that has just begun.
    """
    return OpenAIRealtimeDecoder()


def meaning(decoder, type_, **fields):
    """
    Return the events that a frame gives besides its raw event.
    """
    return list(decoder.decode(json.dumps({"type": type_, **fields})))[1:]


def session_with(interrupt_response):
    detection = {"type": "server_vad", "interrupt_response": interrupt_response}
    return {"audio": {"input": {"turn_detection": detection}}}


def audio(decoder, response_id="resp_1", item_id="item_1", data=b"\0\0"):
    return meaning(
        decoder,
        "response.output_audio.delta",
        event_id="event_1",
        response_id=response_id,
        item_id=item_id,
        output_index=0,
        content_index=0,
        delta=base64.b64encode(data).decode(),
    )


def speech_started(decoder):
    return meaning(decoder, "input_audio_buffer.speech_started", audio_start_ms=5, item_id="item_9")


STARTED = RealtimeModelInputSpeechStartedEvent("item_9", 5)


def response_done(decoder, response_id="resp_1", **response):
    return meaning(decoder, "response.done", response={"id": response_id, **response})


def assert_refused(events, frame_type, field):
    """
    Fail unless the one event after the raw one is an error that names type and field.
    """
    raw, *others = events
    assert type(raw) is RealtimeModelRawServerEvent
    assert [type(event) for event in others] == [RealtimeModelExceptionEvent]
    error = others[0].exception
    assert isinstance(error, FrameError)
    assert (error.frame_type, error.field) == (frame_type, field)
    assert (frame_type or "unknown type") in others[0].context
    assert field in others[0].context


# --- raw events -------------------------------------------------------------------------------


@pytest.mark.parametrize("line", GA_FRAMES, ids=lambda line: json.loads(line)["type"])
def test_every_type_gives_its_raw_event_and_at_least_one_more(decoder, line):
    """
    Each of the 46 types means something, if only Other.
    """
    raw, *others = decoder.decode(line)

    assert raw == RealtimeModelRawServerEvent(json.loads(line))
    assert type(raw.data) is Frame
    assert others
    assert not any(type(event) is RealtimeModelExceptionEvent for event in others)


@pytest.mark.parametrize("line", GA_FRAMES, ids=lambda line: json.loads(line)["type"])
@pytest.mark.parametrize(
    "form",
    [
        str.encode,
        lambda line: bytearray(line.encode()),
        lambda line: memoryview(line.encode()),
        json.loads,
        lambda line: Frame(line.encode()),
    ],
    ids=["bytes", "bytearray", "memoryview", "mapping", "Frame"],
)
def test_form_of_a_frame_makes_no_difference(line, form):
    """
    Bytes, text and mappings of the same frame give equal events.
    """
    assert list(OpenAIRealtimeDecoder().decode(form(line))) == list(
        OpenAIRealtimeDecoder().decode(line)
    )


@pytest.mark.parametrize("line", GA_FRAMES, ids=lambda line: json.loads(line)["type"])
def test_events_can_be_pickled_and_copied(decoder, line):
    """
    A decoder's events survive the way to another process.
    """
    events = list(decoder.decode(line))

    assert pickle.loads(pickle.dumps(events)) == events
    assert copy.deepcopy(events) == events


def test_nested_data_of_events_is_read_only(decoder):
    """
    A handler can't change the session or the limits that the next handler sees.
    """
    (updated,) = meaning(decoder, "session.updated", session={"tools": []})
    (limits,) = meaning(decoder, "rate_limits.updated", rate_limits=[{"name": "tokens"}])

    with pytest.raises(TypeError):
        updated.session["tools"].append("x")
    with pytest.raises(TypeError):
        limits.limits[0]["name"] = "x"


def test_decoder_fits_the_protocol(decoder):
    """
    A transport that takes any decoder takes this one.
    """
    declared: Decoder = decoder

    assert declared.decode(b"{}")


# --- the meaning of each type -----------------------------------------------------------------

RESPONSE_PART = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 2}
TYPED = [
    ("error", {"error": {"message": "No."}}, RealtimeModelErrorEvent(RealtimeError("No."))),
    (
        "session.created",
        {"session": {"id": "s"}},
        RealtimeModelSessionUpdatedEvent({"id": "s"}, created=True),
    ),
    (
        "session.updated",
        {"session": {"id": "s"}},
        RealtimeModelSessionUpdatedEvent({"id": "s"}, created=False),
    ),
    (
        "rate_limits.updated",
        {"rate_limits": [{"name": "tokens"}]},
        RealtimeModelRateLimitsEvent([{"name": "tokens"}]),
    ),
    (
        "input_audio_buffer.speech_stopped",
        {"item_id": "i", "audio_end_ms": 7},
        RealtimeModelInputSpeechStoppedEvent("i", 7),
    ),
    (
        "input_audio_buffer.committed",
        {"item_id": "i", "previous_item_id": None},
        RealtimeModelInputAudioCommittedEvent("i", None),
    ),
    (
        "input_audio_buffer.timeout_triggered",
        {"item_id": "i", "audio_start_ms": 1, "audio_end_ms": 2},
        RealtimeModelInputAudioTimeoutTriggeredEvent("i", 1, 2),
    ),
    (
        "conversation.item.input_audio_transcription.delta",
        {"item_id": "i", "content_index": 1, "delta": "x"},
        RealtimeModelInputTranscriptDeltaEvent("i", "x", 1),
    ),
    (
        "conversation.item.input_audio_transcription.delta",
        {"item_id": "i"},
        RealtimeModelInputTranscriptDeltaEvent("i", "", None),
    ),
    (
        "conversation.item.input_audio_transcription.completed",
        {"item_id": "i", "transcript": "x"},
        RealtimeModelInputAudioTranscriptionCompletedEvent("i", "x"),
    ),
    (
        "conversation.item.input_audio_transcription.failed",
        {"item_id": "i", "error": {"code": "c"}},
        RealtimeModelInputAudioTranscriptionFailedEvent("i", RealtimeError(code="c")),
    ),
    (
        "conversation.item.input_audio_transcription.updated",
        {"item_id": "i", "transcript": "x"},
        RealtimeModelInputTranscriptUpdatedEvent("i", "x"),
    ),
    (
        "conversation.item.input_audio_transcription.completed",
        {"item_id": "i", "transcript": "x", "status": "in_progress"},
        RealtimeModelInputTranscriptUpdatedEvent("i", "x"),
    ),
    ("conversation.item.deleted", {"item_id": "i"}, RealtimeModelItemDeletedEvent("i")),
    (
        "conversation.item.truncated",
        {"item_id": "i", "content_index": 1, "audio_end_ms": 9},
        RealtimeModelItemTruncatedEvent("i", 1, 9),
    ),
    ("response.created", {"response": {"id": "r"}}, RealtimeModelTurnStartedEvent("r")),
    (
        "response.output_audio.delta",
        {**RESPONSE_PART, "delta": "AAE="},
        RealtimeModelAudioEvent(b"\0\1", "r", "i", 2),
    ),
    ("response.output_audio.done", RESPONSE_PART, RealtimeModelAudioDoneEvent("i", 2)),
    (
        "response.output_audio_transcript.delta",
        {**RESPONSE_PART, "delta": "x"},
        RealtimeModelTranscriptDeltaEvent("i", "x", "r"),
    ),
    (
        "response.output_audio_transcript.done",
        {**RESPONSE_PART, "transcript": "x"},
        RealtimeModelTranscriptDoneEvent("i", "x", "r"),
    ),
    (
        "response.output_text.delta",
        {**RESPONSE_PART, "delta": "x"},
        RealtimeModelOutputTextDeltaEvent("i", "x", "r"),
    ),
    (
        "response.output_text.done",
        {**RESPONSE_PART, "text": "x"},
        RealtimeModelOutputTextDoneEvent("i", "x", "r"),
    ),
    (
        "response.function_call_arguments.delta",
        {**RESPONSE_PART, "call_id": "c", "delta": "{"},
        RealtimeModelToolCallDeltaEvent("c", "i", "{", "r"),
    ),
]


@pytest.mark.parametrize(("type_", "fields", "event"), TYPED)
def test_frame_means_its_event(decoder, type_, fields, event):
    """
    The event has the values of the frame, field by field.
    """
    assert meaning(decoder, type_, **fields) == [event]


@pytest.mark.parametrize(("beta", "name"), BETA_TYPES.items())
def test_beta_name_means_the_same(decoder, beta, name):
    """
    A frame with the name of the beta gives the events of the name that it has now.
    """
    fields = {**RESPONSE_PART, "delta": "AAAA", "transcript": "x", "text": "x"}

    assert meaning(decoder, beta, **fields) == meaning(OpenAIRealtimeDecoder(), name, **fields)


@pytest.mark.parametrize("type_", ["ping", "vendor.news", "Response.Done", ""])
def test_unknown_type_is_other(decoder, type_):
    """
    A type that nobody has heard of is no error, and its data are the raw event's.
    """
    raw, other = decoder.decode({"type": type_, "x": 1})

    assert type(other) is RealtimeModelOtherEvent
    assert other.data is raw.data


def test_field_that_no_event_needs_can_be_anything(decoder):
    """
    Only the fields that an event carries are read.
    """
    fields = {**RESPONSE_PART, "output_index": "x", "event_id": [], "delta": "x"}

    assert meaning(decoder, "response.output_text.delta", **fields) == [
        RealtimeModelOutputTextDeltaEvent("i", "x", "r")
    ]


def test_missing_index_is_the_first(decoder):
    """
    Services that leave out an index mean 0.
    """
    fields = {"response_id": "r", "item_id": "i", "delta": "AAAA"}

    (event,) = meaning(decoder, "response.output_audio.delta", **fields)

    assert event.content_index == 0


def test_whole_number_can_be_written_as_a_float(decoder):
    """
    JSON has one kind of number: 2.0 is 2.
    """
    (event,) = meaning(decoder, "response.output_audio.done", item_id="i", content_index=2.0)

    assert repr(event.content_index) == "2"


# --- unreadable frames ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "fields", "field"),
    [
        ("response.output_audio.delta", {**RESPONSE_PART}, "delta"),
        ("response.output_audio.delta", {**RESPONSE_PART, "delta": 5}, "delta"),
        ("response.output_audio.delta", {**RESPONSE_PART, "delta": "A"}, "delta"),
        ("response.output_audio.delta", {**RESPONSE_PART, "delta": "AAAA\n"}, "delta"),
        ("response.output_audio.delta", {**RESPONSE_PART, "delta": "ÄÄÄÄ"}, "delta"),
        ("response.output_audio.delta", {"item_id": "i", "delta": "AAAA"}, "response_id"),
        ("response.output_audio.done", {**RESPONSE_PART, "content_index": "1"}, "content_index"),
        ("response.output_audio.done", {**RESPONSE_PART, "content_index": True}, "content_index"),
        ("response.output_audio.done", {**RESPONSE_PART, "content_index": 1.5}, "content_index"),
        ("response.output_text.delta", {**RESPONSE_PART, "delta": None}, "delta"),
        ("response.output_text.delta", {"response_id": "r", "delta": "x"}, "item_id"),
        ("response.created", {}, "response"),
        ("response.created", {"response": {"id": 5}}, "response.id"),
        ("response.output_item.done", {"item": []}, "item"),
        (
            "response.output_item.done",
            {"item": {"type": "function_call", "status": "completed", "call_id": "c"}},
            "item.name",
        ),
        (
            "conversation.item.added",
            {"item": {"type": "message", "role": "user", "content": "x"}},
            "item.content",
        ),
        ("conversation.item.deleted", {"item_id": 7}, "item_id"),
        ("input_audio_buffer.speech_stopped", {"item_id": "i"}, "audio_end_ms"),
        ("session.created", {"session": "x"}, "session"),
        ("rate_limits.updated", {"rate_limits": [5]}, "rate_limits"),
        ("error", {}, "error"),
        ("error", {"error": 5}, "error"),
    ],
)
def test_wrong_field_is_named(decoder, type_, fields, field):
    """
    The error says of which type the frame is, and which field can't be read.
    """
    assert_refused(decoder.decode({"type": type_, **fields}), type_, field)


@pytest.mark.parametrize(
    ("frame", "frame_type", "field"),
    [
        (b'{"type":"ping","x":NaN}', "ping", ""),
        (b'{"type":"ping","x":"\\udc00"}', "ping", ""),
        ('{"type":"ping","x":"\udc00"}', "ping", ""),
        (b'{"type":"ping","x":"\xff"}', "ping", ""),
        (b'{"type":"ping"', "ping", ""),
        (b'{"type":"ping","x":' + b"[" * 100_000, "ping", ""),
        ('{"type":"ping","x":' + "[" * 300 + "]" * 300 + "}", "ping", ""),
        ({"type": "ping", "x": float("inf")}, "ping", ""),
        ({"type": "ping", "x": object()}, "ping", ""),
        (b"[1]", None, ""),
        (b"", None, ""),
        ("null", None, ""),
        (None, None, ""),
        (7, None, ""),
        ({}, None, "type"),
        ({"type": None}, None, "type"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_unreadable_frame_is_an_error_and_the_decoder_goes_on(decoder, frame, frame_type, field):
    """
    There are the raw event and an error, and then the next frame is decoded as ever.
    """
    assert_refused(decoder.decode(frame), frame_type, field)
    assert meaning(decoder, "response.created", response={"id": "r"}) == [
        RealtimeModelTurnStartedEvent("r")
    ]


@pytest.mark.parametrize("given_", [b"[1]", "null", b"\xff", None, 7, '"\ud800"'])
def test_frame_that_is_no_object_is_given_as_it_came(decoder, given_):
    """
    The raw event has the very thing that was given.
    """
    assert decoder.decode(given_)[0].data is given_


HEAD = b',"event_id":"e","response_id":"r","item_id":"i","output_index":0,"content_index":0,'
AUDIO_HEAD = b'{"type":"response.output_audio.delta"' + HEAD
TEXT_HEAD = b'{"type":"response.output_text.delta"' + HEAD


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type":"ping","type":"pong"}',
        b'{"type":"ping","x":{"y":[{"z":1,"z":2}]}}',
        AUDIO_HEAD + b'"delta":"AAAA","delta":"AAAA"}',
        TEXT_HEAD + b'"delta":"a","delta":"b"}',
        TEXT_HEAD + b'"delta":"a","x":1,"x":2}',
        TEXT_HEAD + b'"delta":"a","delta":"\\u003a"}',
    ],
)
def test_name_that_comes_twice_is_an_error_in_every_frame(decoder, frame):
    """
    Also the frames that come fifty times a second are not read two ways.
    """
    audio(decoder)  # so that the decoder knows how audio frames look

    raw, exception = decoder.decode(frame)

    assert raw.data == json.loads(frame)
    assert "twice" in str(exception.exception)


def test_frame_that_is_too_long_is_not_parsed():
    """
    Any frame over the limit is refused; one at the limit is decoded.
    """
    frame = json.dumps({"type": "response.created", "response": {"id": "r"}}).encode()
    at_limit = OpenAIRealtimeDecoder(max_bytes=len(frame))

    assert at_limit.decode(frame)[1] == RealtimeModelTurnStartedEvent("r")
    assert_refused(at_limit.decode(frame + b" "), "response.created", "")
    assert_refused(at_limit.decode(frame.decode() + " "), "response.created", "")
    assert at_limit.decode(frame + b" ")[0].data == frame + b" "


def test_frame_of_64_megabytes_is_an_error():
    """
    By default, a frame of that size is refused.
    """
    frame = b'{"type":"ping","x":"' + b"x" * (64 << 20) + b'"}'

    assert_refused(OpenAIRealtimeDecoder().decode(frame), "ping", "")


def test_error_quotes_nothing_that_was_said(decoder):
    """
    Neither message nor context has a word of the frame but its type and the field's name.
    """
    for frame in (
        b'{"type":"ping","Anna":"Anna","Anna":"Anna"}',
        b'{"type":"ping","x":"Anna\xff"}',
        b'{"type":"response.output_text.delta","delta":"Anna","item_id":["Anna"]}',
        b'{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"Anna!"}',
        b'{"type":"Anna says","response":NaN}',
    ):
        exception = decoder.decode(frame)[1]
        assert "Anna" not in f"{exception.exception} {exception.context}"


# --- turns ------------------------------------------------------------------------------------


def test_response_done_gives_usage_then_the_end(decoder):
    """
    The end of the turn is last, and has the status.
    """
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 8}

    first, last = response_done(decoder, status="completed", usage=usage)

    assert type(first) is RealtimeModelUsageEvent
    assert (first.usage.requests, first.usage.total_tokens) == (1, 8)
    assert last == RealtimeModelTurnEndedEvent("resp_1", "completed")


def test_failed_response_ends_with_its_error(decoder):
    """
    The end of the turn has the error.
    """
    details = {"type": "failed", "error": {"type": "server_error", "message": "Busy.", "retry": 1}}

    (ended,) = response_done(decoder, status="failed", status_details=details)

    error = RealtimeError("Busy.", "server_error", extra={"retry": 1})
    assert ended == RealtimeModelTurnEndedEvent("resp_1", "failed", error)


def test_cancelled_response_has_no_error(decoder):
    """
    To be cancelled is no failure.
    """
    details = {"type": "cancelled", "reason": "turn_detected"}

    (ended,) = response_done(decoder, status="cancelled", status_details=details)

    assert ended == RealtimeModelTurnEndedEvent("resp_1", "cancelled")


@pytest.mark.parametrize(
    ("frame", "ended"),
    [
        ({}, RealtimeModelTurnEndedEvent()),
        ({"response": None}, RealtimeModelTurnEndedEvent()),
        ({"response": "done"}, RealtimeModelTurnEndedEvent()),
        ({"response": {"id": 5, "status": "failed"}}, RealtimeModelTurnEndedEvent(None, "failed")),
        ({"response": {"id": "r", "status": 5}}, RealtimeModelTurnEndedEvent("r")),
        ({"response": {"id": "r", "usage": "x"}}, RealtimeModelTurnEndedEvent("r")),
        (
            {"response": {"id": "r", "usage": {"input_tokens": "x"}}},
            RealtimeModelTurnEndedEvent("r"),
        ),
        ({"response": {"id": "r", "x": float("nan")}}, RealtimeModelTurnEndedEvent("r")),
        ('{"type":"response.done","response":{"id":"r"', RealtimeModelTurnEndedEvent()),
        (
            '{"type":"response.done","response":{"id":"r","status":"failed","x":NaN}}',
            RealtimeModelTurnEndedEvent("r", "failed"),
        ),
        (
            '{"type":"response.done","response":{"id":"r","x":1,"x":2}}',
            RealtimeModelTurnEndedEvent("r"),
        ),
        (b'{"type":"response.done","response":"\xff"}', RealtimeModelTurnEndedEvent()),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_malformed_response_done_ends_the_turn(decoder, frame, ended):
    """
    There is an error, and then the end with the readable fields.
    """
    if isinstance(frame, dict):
        frame = {"type": "response.done", **frame}

    raw, exception, last = decoder.decode(frame)

    assert type(raw) is RealtimeModelRawServerEvent
    assert type(exception) is RealtimeModelExceptionEvent
    assert exception.exception.frame_type == "response.done"
    assert last == ended


def test_first_problem_of_a_response_is_told(decoder):
    """
    There is one error for a frame, however much is wrong with it.
    """
    exception, _ = response_done(decoder, status=5, usage="x")

    assert exception.exception.field == "response.status"


def test_too_long_response_done_ends_the_turn():
    """
    Even a frame that isn't parsed is seen to be the end.
    """
    frame = b'{"event_id":"e","type":"response.done","response":{"id":"r"}}'

    assert OpenAIRealtimeDecoder(max_bytes=10).decode(frame)[2] == RealtimeModelTurnEndedEvent()


@pytest.mark.parametrize("details", ["unimplemented", None, 5, {"error": None}, {"error": 5}])
def test_status_details_of_dialects_are_no_error(decoder, details):
    """
    With anything in place of details, the turn ends without an error event.
    """
    assert response_done(decoder, status="completed", status_details=details) == [
        RealtimeModelTurnEndedEvent("resp_1", "completed")
    ]


@pytest.mark.parametrize(
    ("response_usage", "frame_usage", "total"),
    [
        (None, None, None),
        ({}, None, 0),
        ({}, {"input_tokens": 2}, 2),
        (None, {"input_tokens": 2}, 2),
    ],
)
def test_usage_is_found_where_dialects_have_it(decoder, response_usage, frame_usage, total):
    """
    Usage beside the response counts, if the response itself has none.
    """
    fields = {"response": {"id": "r", "usage": response_usage}, "usage": frame_usage}

    *usage, _ = meaning(decoder, "response.done", **fields)

    assert [event.usage.total_tokens for event in usage] == ([] if total is None else [total])


# --- tool calls and items ---------------------------------------------------------------------

CALL = {
    "id": "item_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "find_order",
    "arguments": '{"number":118}',
}


def test_completed_call_updates_its_item_and_is_made(decoder):
    """
    The item comes first, and stays in progress until the call has its output.
    """
    events = meaning(decoder, "response.output_item.done", item=CALL, previous_item_id="item_0")

    arguments = '{"number":118}'
    assert events == [
        RealtimeModelItemUpdatedEvent(
            RealtimeToolCallItem(
                "item_1", "call_1", "find_order", arguments, previous_item_id="item_0"
            )
        ),
        RealtimeModelToolCallEvent("find_order", "call_1", arguments, "item_1", "item_0"),
    ]


def test_call_is_made_once(decoder):
    """
    A call that is complete when it is added isn't made again when it is done.
    """
    first = meaning(decoder, "response.output_item.added", item=CALL)
    second = meaning(decoder, "response.output_item.done", item=CALL)
    third = meaning(decoder, "response.output_item.done", item={**CALL, "call_id": "call_2"})

    assert [type(event) for event in first + second + third] == [
        RealtimeModelItemUpdatedEvent,
        RealtimeModelToolCallEvent,
        RealtimeModelItemUpdatedEvent,
        RealtimeModelItemUpdatedEvent,
        RealtimeModelToolCallEvent,
    ]


@pytest.mark.parametrize("status", ["in_progress", "incomplete", None])
def test_call_that_is_not_complete_is_other(decoder, status):
    """
    A tool is not called before its arguments are there.
    """
    (event,) = meaning(decoder, "response.output_item.added", item={**CALL, "status": status})

    assert type(event) is RealtimeModelOtherEvent


def test_item_keeps_what_it_follows_and_what_it_has_besides(decoder):
    """
    Neither the order of items nor a vendor's own field is lost.
    """
    item = {
        "id": "i",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "object": "realtime.item",
        "content": [{"type": "output_text", "text": "x", "annotations": []}, {"type": "new"}],
    }

    (event,) = meaning(decoder, "conversation.item.added", item=item, previous_item_id="h")

    assert event.item == AssistantMessageItem(
        "i",
        (AssistantText("x", extra={"annotations": []}),),
        "h",
        "completed",
        extra={"object": "realtime.item"},
    )


@pytest.mark.parametrize("role", ["developer", "tool", None, 5])
def test_message_of_an_unknown_role_is_other(decoder, role):
    """
    A role that no item class exists for is no error.
    """
    (event,) = meaning(decoder, "conversation.item.added", item={"type": "message", "role": role})

    assert type(event) is RealtimeModelOtherEvent


@pytest.mark.parametrize(
    ("type_", "status"),
    [
        ("response.output_item.added", "in_progress"),
        ("response.output_item.done", "completed"),
        ("conversation.item.added", "in_progress"),
    ],
)
def test_status_that_is_missing_follows_from_the_frame(decoder, type_, status):
    """
    An item without a status has the one that the frame's type implies.
    """
    (event,) = meaning(decoder, type_, item={"type": "message", "role": "assistant"})

    assert (event.item.item_id, event.item.status) == ("", status)


# --- interruption -----------------------------------------------------------------------------


def test_speech_interrupts_the_last_audio_item_once(decoder):
    """
    The item is that of the last audio, and is forgotten then.
    """
    audio(decoder, item_id="item_1")
    audio(decoder, item_id="item_2")

    assert speech_started(decoder) == [STARTED, RealtimeModelAudioInterruptedEvent("item_2", 0)]
    assert speech_started(decoder) == [STARTED]


def test_speech_without_audio_before_interrupts_nothing(decoder):
    """
    There is nothing to stop when nothing has been said.
    """
    assert speech_started(decoder) == [STARTED]


def test_malformed_speech_start_interrupts_all_the_same(decoder):
    """
    The user is heard even if the frame has a field wrong.
    """
    audio(decoder)

    exception, interrupted = meaning(decoder, "input_audio_buffer.speech_started", item_id="i")

    assert exception.exception.field == "audio_start_ms"
    assert interrupted == RealtimeModelAudioInterruptedEvent("item_1", 0)


@pytest.mark.parametrize("session", [
    session_with(interrupt_response=True),
    {"turn_detection": {"type": "server_vad", "interrupt_response": True}},
])  # fmt: skip
def test_late_audio_of_an_interrupted_response_is_fenced(decoder, session):
    """
    Only its raw event shows it; other responses are heard.
    """
    meaning(decoder, "session.created", session=session)
    audio(decoder)
    speech_started(decoder)

    assert audio(decoder) == []
    assert audio(decoder) == []
    assert [event.data for event in audio(decoder, response_id="resp_2")] == [b"\0\0"]
    assert audio(decoder) == []


def test_fenced_audio_has_its_raw_event(decoder):
    """
    Handlers of raw events see each frame.
    """
    meaning(decoder, "session.created", session=session_with(interrupt_response=True))
    audio(decoder)
    speech_started(decoder)
    frame = {"type": "response.output_audio.delta", **RESPONSE_PART, "delta": "AAAA"}
    frame["response_id"] = "resp_1"

    assert list(decoder.decode(frame)) == [RealtimeModelRawServerEvent(frame)]


@pytest.mark.parametrize(
    "session",
    [
        session_with(interrupt_response=False),
        session_with(interrupt_response=None),
        session_with(interrupt_response="true"),
        {"audio": {"input": {"turn_detection": None}}},
        {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}},
        {"turn_detection": {"type": None}},
        {},
    ],
    ids=str,
)
def test_audio_is_fenced_only_where_the_session_says_so(decoder, session):
    """
    Responses that speech doesn't interrupt are heard to their end.
    """
    meaning(decoder, "session.created", session=session)
    audio(decoder)
    speech_started(decoder)

    assert len(audio(decoder)) == 1


def test_session_that_is_updated_is_believed(decoder):
    """
    The last word on interruption counts; an update without a word changes nothing.
    """
    meaning(decoder, "session.created", session=session_with(interrupt_response=True))
    meaning(decoder, "session.updated", session={"instructions": "Be brief."})
    audio(decoder)
    speech_started(decoder)
    assert audio(decoder) == []

    meaning(decoder, "session.updated", session=session_with(interrupt_response=False))
    audio(decoder, response_id="resp_2")
    speech_started(decoder)
    assert len(audio(decoder, response_id="resp_2")) == 1


def test_fence_falls_when_the_response_is_done(decoder):
    """
    After its end, a response's id says nothing any more.
    """
    meaning(decoder, "session.created", session=session_with(interrupt_response=True))
    audio(decoder)
    speech_started(decoder)
    response_done(decoder)

    assert len(audio(decoder)) == 1


def test_response_that_is_over_is_not_fenced(decoder):
    """
    Speech after the end of a response interrupts its playback, but fences nothing.
    """
    meaning(decoder, "session.created", session=session_with(interrupt_response=True))
    meaning(decoder, "response.created", response={"id": "resp_1"})
    audio(decoder)
    response_done(decoder)

    assert speech_started(decoder)[1:] == [RealtimeModelAudioInterruptedEvent("item_1", 0)]
    assert len(audio(decoder)) == 1


def test_response_that_has_not_spoken_yet_is_fenced(decoder):
    """
    Speech interrupts a response that has begun, also before its first audio.
    """
    meaning(decoder, "session.created", session=session_with(interrupt_response=True))
    meaning(decoder, "response.created", response={"id": "resp_1", "conversation_id": "conv_1"})

    assert speech_started(decoder) == [STARTED]
    assert audio(decoder) == []


def test_response_outside_of_the_conversation_is_not_fenced(decoder):
    """
    Turn detection interrupts the conversation's responses only.
    """
    meaning(decoder, "session.created", session=session_with(interrupt_response=True))
    meaning(decoder, "response.created", response={"id": "resp_1", "conversation_id": None})
    speech_started(decoder)

    assert len(audio(decoder)) == 1


# --- long sessions ----------------------------------------------------------------------------


def test_state_is_bounded(decoder):
    """
    A session in which nothing ever ends takes no more memory after a while.
    """

    def remembered():
        return len(pickle.dumps([list(recent) for recent in recents]))

    meaning(decoder, "session.created", session=session_with(interrupt_response=True))
    session = decoder._session
    recents = [session.in_progress, session.fenced, session.called]
    sizes = set()
    for number in range(1_000, 3_000):
        meaning(decoder, "response.created", response={"id": f"resp_{number}"})
        audio(decoder, response_id=f"resp_{number}")
        speech_started(decoder)
        call = {**CALL, "call_id": f"call_{number}"}
        meaning(decoder, "response.output_item.done", item=call)
        if number >= 2_000:
            sizes.add(remembered())

    assert len(sizes) == 1


# --- anything ---------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=4), children, max_size=4)
    ),
    max_leaves=15,
)


def assert_well_formed(decoder, frame):
    """
    Fail unless *frame* gives a raw event first and only events after it.
    """
    raw, *others = decoder.decode(frame)
    assert type(raw) is RealtimeModelRawServerEvent
    assert all(attrs.has(type(event)) for event in others)
    if isinstance(raw.data, Frame):
        assert isinstance(dict(raw.data), dict)
    refused = [each for each in others if type(each) is RealtimeModelExceptionEvent]
    assert all(isinstance(each.exception, FrameError) for each in refused)
    return others


@given(st.sampled_from(sorted(TABLE)), st.dictionaries(st.text(max_size=6), json_values))
@pytest.mark.slow
def test_frame_with_any_fields_is_decoded(type_, fields):
    """
    No JSON in any field of any type makes the decoder fail.
    """
    assert_well_formed(OpenAIRealtimeDecoder(), json.dumps({**fields, "type": type_}))
    assert_well_formed(OpenAIRealtimeDecoder(), {**fields, "type": type_})


@given(json_values | st.binary() | st.text(st.characters()))
def test_anything_is_decoded(frame):
    """
    Nothing that can be given makes the decoder fail.
    """
    assert_well_formed(OpenAIRealtimeDecoder(), frame)


def paths(value, path=()):
    """
    Yield where the values in *value* are.
    """
    for name, each in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, name)
        if isinstance(each, (dict, list)):
            yield from paths(each, (*path, name))


@given(st.sampled_from(GA_FRAMES), st.data())
def test_frame_with_a_field_changed_is_decoded(line, data):
    """
    Remove or replace any field, at any depth: there is still a raw event first, and a meaning.
    """
    frame = json.loads(line)
    *path, name = data.draw(st.sampled_from(list(paths(frame))))
    parent = frame
    for each in path:
        parent = parent[each]
    if data.draw(st.booleans()):
        del parent[name]
    else:
        parent[name] = data.draw(json_values)

    others = assert_well_formed(OpenAIRealtimeDecoder(), json.dumps(frame))

    assert others
    if frame.get("type") == "response.done":
        assert type(others[-1]) is RealtimeModelTurnEndedEvent


@given(st.sampled_from(GA_FRAMES), st.data())
def test_frame_with_bytes_changed_is_decoded(line, data):
    """
    Cut, flip or insert bytes anywhere: there is a raw event first, and the decoder goes on.
    """
    raw = line.encode()
    decoder = OpenAIRealtimeDecoder()
    decoder.decode(raw)
    at = data.draw(st.integers(0, len(raw)))
    cut = data.draw(st.integers(0, 5) | st.just(len(raw)))
    inserted = data.draw(
        st.binary(max_size=4) | st.sampled_from([b'"type":1,', b"NaN", b"\\ud800"])
    )

    assert_well_formed(decoder, raw[:at] + inserted + raw[at + cut :])
    assert decoder.decode(raw)[0] == RealtimeModelRawServerEvent(json.loads(line))


@given(st.sampled_from(GA_FRAMES), st.data())
def test_field_that_comes_twice_is_found_in_every_frame(line, data):
    """
    Repeat any top-level field of any frame: the frame is refused.
    """
    name = data.draw(st.sampled_from(sorted(json.loads(line))))
    value = data.draw(st.sampled_from([json.dumps(json.loads(line)[name]), '"\\u003a"', "0"]))
    frame = f'{line[:-1]},"{name}":{value}}}'

    others = assert_well_formed(OpenAIRealtimeDecoder(), frame)

    assert type(others[0]) is RealtimeModelExceptionEvent
    assert "twice" in str(others[0].exception)


# --- recorded sessions ------------------------------------------------------------------------


def test_recorded_tool_calls_are_found_in_every_dialect(corpus):
    """
    Each vendor's recording of a tool call has one call and two turns that end with usage.
    """
    for path in corpus.glob("*tool_call.frames.jsonl"):
        if path.name.startswith("google_"):
            continue
        decoder = OpenAIRealtimeDecoder()
        lines = path.read_text("utf-8").splitlines()
        kinds = [type(event) for line in lines for event in decoder.decode(line)]
        assert kinds.count(RealtimeModelToolCallEvent) == 1, path
        assert kinds.count(RealtimeModelTurnEndedEvent) == 2, path
        assert kinds.count(RealtimeModelUsageEvent) == 2, path


def test_a_mapping_that_is_no_dict_is_a_frame(decoder):
    """
    Any mapping will do, and its values may be mappings of any kind, too.
    """

    class Own(Mapping):
        def __init__(self, data):
            self.data = data

        def __getitem__(self, name):
            return self.data[name]

        def __iter__(self):
            return iter(self.data)

        def __len__(self):
            return len(self.data)

    frame = Own({"type": "response.created", "response": Own({"id": "r"})})

    assert decoder.decode(frame)[1] == RealtimeModelTurnStartedEvent("r")


def test_unreadable_response_done_ends_the_turn_wherever_its_type_is():
    """
    Also behind a hundred kilobytes of output, the type of a broken frame is found.
    """
    frame = (
        '{"response":{"id":"r","output":["' + "x" * 100_000 + '\\ud800"]},"type":"response.done"}'
    )

    events = OpenAIRealtimeDecoder().decode(frame=frame)

    assert [event.type for event in events] == ["raw_server_event", "exception", "turn_ended"]

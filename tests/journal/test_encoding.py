"""
Published events and sent messages become bytes, or say why they can't.
"""

from __future__ import annotations

import base64

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus import events
from eventbus.codec import from_plain, to_plain
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnEndedEvent,
)
from eventbus.journal import _encoding as documents
from eventbus.journal._encoding import audio_in, bytes_of, class_label, document_of, names_if_flat
from eventbus.wire._frames import Frame

FLAT = sorted(documents._FLAT, key=lambda cls: cls.__name__)  # the classes with the shorter way


def test_most_frequent_events_take_the_shorter_way():
    """
    Deltas are among the classes that are written without the codec; items are not.
    """
    assert {RealtimeModelAudioEvent, RealtimeModelTranscriptDeltaEvent} < set(FLAT)
    assert events.RealtimeModelItemUpdatedEvent not in FLAT


@pytest.mark.parametrize("cls", FLAT, ids=lambda cls: cls.__name__)
@settings(max_examples=25)  # for each of the classes
@given(data=st.data())
def test_shorter_way_leads_to_the_same_data(cls, data):
    """
    An event of such a class is written as the codec writes it, or msgspec refuses it.
    """
    event = data.draw(st.from_type(cls))
    document, problem = document_of(event)

    assert names_if_flat(event)
    assert problem is None
    try:
        plain = msgspec.msgpack.decode(msgspec.msgpack.encode(event))
    except (OverflowError, UnicodeEncodeError):
        return
    assert plain == document
    assert from_plain({"$v": 1, **document}) == event


def test_audio_that_may_change_takes_the_codecs_way():
    """
    A buffer is copied when the event is published, and not when it is written.
    """
    assert names_if_flat(RealtimeModelAudioEvent(b"ab", "r-1", "i-1", 0))
    assert names_if_flat(RealtimeModelAudioEvent(bytearray(b"ab"), "r-1", "i-1", 0)) is None


def test_every_other_event_is_written_by_the_codec():
    """
    An event with a nested value is written as `to_plain` gives it, but for the version.
    """
    event = RealtimeModelTurnEndedEvent("r-1", "failed", events.RealtimeError("no", extra={"a": 1}))

    document, problem = document_of(event)

    assert names_if_flat(event) is None
    assert problem is None
    assert {"$v": 1, **document} == to_plain(event)


def test_failure_keeps_its_traceback():
    """
    A crash is written with its class, message and traceback.
    """
    event = RealtimeModelExceptionEvent(ValueError("boom"), "play failed", handler=print)

    document, problem = document_of(event)

    assert problem is None
    assert document["exception"]["type"] == "ValueError"


@attrs.frozen
class Unregistered:
    """
    An event that the codec doesn't know.
    """

    value: int = 1


class Hostile:
    """
    An event with attributes that raise.
    """

    def __getattribute__(self, name):
        raise RuntimeError(name)


@pytest.mark.parametrize("cls", [Unregistered, Hostile, object, int, tuple])
def test_event_that_cant_be_written_says_why(cls):
    """
    Nothing is raised: there is no document, and a reason.
    """
    document, problem = document_of(cls())

    assert document is None
    assert problem


def test_class_is_named_with_its_module_unless_it_is_the_vocabularys():
    """
    A name in a journal has the module of the class.
    """
    assert class_label(RealtimeModelAudioEvent) == "RealtimeModelAudioEvent"
    assert class_label(Unregistered) == f"{__name__}.Unregistered"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (Frame(b'{"a": 1}'), (b'{"a": 1}', "json", None)),
        ({"a": [1, None]}, (b'{"a": [1, null]}', "json", None)),
        ("Grüße", ("Grüße".encode(), "str", None)),
        ("half \ud800", (b"half ?", "str", None)),
        (b"\xff", (b"\xff", "bytes", None)),
        (bytearray(b"x"), (b"x", "bytes", None)),
        (memoryview(b"x"), (b"x", "bytes", None)),
        (5, (None, "json", None)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_frames_and_messages_are_bytes(data, expected):
    """
    A frame is the bytes that came; a mapping is JSON; anything else is none.
    """
    assert bytes_of(data) == expected


def test_mapping_that_is_no_json_says_why():
    """
    The part that could be kept is there, and so is the problem.
    """
    data, form, problem = bytes_of({"a": 1, "b": object()})

    assert (data, form) == (b'{"a": 1, "b": null}', "json")
    assert "JSON" in problem


def test_what_is_longer_than_a_record_is_left_out(monkeypatch):
    """
    A frame that no record can hold is one with a reason.
    """
    monkeypatch.setattr(documents, "MAX_DATA_BYTES", 10)

    assert bytes_of(b"12345678901") == (b"", "bytes", documents.TOO_LONG)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"type": "input_audio_buffer.append", "audio": ""}, 0),
        ({"type": "input_audio_buffer.append", "audio": "AAA="}, 2),
        ({"type": "input_audio_buffer.append", "audio": "AA=="}, 1),
        ({"type": "input_audio_buffer.append", "audio": "AAAAAAAA"}, 6),
        ({"type": "input_audio_buffer.append", "audio": 5}, None),
        ({"type": "input_audio_buffer.append"}, None),
        ({"type": "response.create", "audio": "AAAA"}, None),
        ('{"type": "input_audio_buffer.append", "audio": "AAAA"}', 3),
        ('{"audio": "AAAA", "type": "input_audio_buffer.append"}', 3),
        ({"type": "session.input_audio.append", "audio": "AAAA"}, 3),
        ({"type": ["input_audio_buffer.append"], "audio": "AAAA"}, None),
        ({"audio": "AAAA" * 1_000, "type": "input_audio_buffer.append"}, 3_000),
        ({"type": "session.update", "audio": "AAAA", "to": "input_audio_buffer.append"}, None),
        ('{"type": "input_audio_buffer.append", ', None),
        ('["input_audio_buffer.append"]', None),
    ],
)
def test_length_of_the_users_audio_is_known(message, expected):
    """
    A message that appends audio says how many bytes, without decoding them.
    """
    data, _, _ = bytes_of(message)

    assert audio_in(message, data) == expected


@pytest.mark.parametrize("kind", ["input_audio_buffer.append", "session.input_audio.append"])
@given(st.binary(max_size=40))
def test_length_of_the_users_audio_is_that_of_the_audio(kind, audio):
    """
    In a frame as sessions write it, and in one of another writer.
    """
    text = base64.b64encode(audio).decode()
    escaped = text.replace("A", "\\u0041")
    for raw in (
        f'{{"type":"{kind}","audio":"{text}"}}',
        f'{{"type":"{kind}","audio":"{escaped}"}}',
        f'{{"type":"{kind}","audio":"{text}","event_id":"e"}}',
        f'{{"type": "{kind}", "audio": "{text}"}}',
    ):
        frame = Frame(raw.encode())
        assert audio_in(frame, frame.raw) == len(audio)

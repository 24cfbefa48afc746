"""
Events survive the journey through JSON and MessagePack; broken data is refused with its place.
"""

from __future__ import annotations

import base64
import enum
import json
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventbus.codec import (
    FORMAT_VERSION,
    UnknownObject,
    dumps,
    from_plain,
    loads,
    packs,
    to_plain,
    unpacks,
)
from eventbus.codec._plain import Plain
from eventbus.events import (
    EVENT_TYPES,
    RealtimeModelAudioEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelRateLimitsEvent,
    RealtimeModelUsageEvent,
)
from eventbus.exceptions import CodecError, RemoteException
from eventbus.items import InputAudio, InputText, UserMessageItem
from tests.codec.journeys import AUDIO, Price, all_events, every_format, instances_of, other, plain

# --- there and back ---------------------------------------------------------------------------


@every_format
@pytest.mark.parametrize("cls", EVENT_TYPES.values(), ids=list(EVENT_TYPES))
@pytest.mark.slow
def test_every_event_of_the_vocabulary_comes_back_equal(cls, travel):
    """
    An event with any values in its fields is read as it was written.
    """

    @given(instances_of(cls))
    @settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
    def check(event):
        assert travel(event) == event

    check()


@given(all_events)
@settings(suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.slow
def test_event_that_was_read_is_written_the_same(event):
    """
    Writing an event that was read gives the same text again: a chain of processes changes nothing.
    """
    text = dumps(event)

    assert (
        json.loads(dumps(loads(text))) == json.loads(text)
        or "$set" in text
        or (
            "$frozenset" in text  # the order of a set is nobody's promise
        )
    )


@given(plain)
@pytest.mark.slow
def test_json_is_valid_for_others(data):
    """
    The text is strict JSON in UTF-8: no NaN, no lone surrogate, no integer beyond 64 bits.
    """
    text = dumps(other(data))

    def check_int(digits):
        assert -(1 << 63) <= int(digits) < 1 << 64
        return 0

    text.encode()
    json.loads(text, parse_int=check_int, parse_constant=pytest.fail)


@given(plain)
def test_plain_document_has_plain_data_only(data):
    """
    `to_plain` gives exact None, bool, int, float, str, bytes, list and dict, and str keys.
    """

    def check(value):
        assert type(value) in {NoneType, bool, int, float, str, bytes, list, dict}
        if type(value) is dict:
            assert {type(key) for key in value} <= {str}
            list(map(check, value.values()))
        if type(value) is list:
            list(map(check, value))

    check(to_plain(other(data)))


def test_json_is_one_line_of_text():
    """
    `dumps` gives str without line breaks, so a file of events has one a line.
    """
    text = dumps(other("a\nb\r\u2028"))

    assert isinstance(text, str)
    assert "\n" not in text
    assert "\r" not in text


def test_format_of_an_event():
    """
    An event is an object with the format version, the type name and the fields by name.
    """
    assert to_plain(AUDIO) == {
        "$v": FORMAT_VERSION,
        "type": "audio",
        "data": b"\x00\xff\x10",
        "response_id": "resp_1",
        "item_id": "item_1",
        "content_index": 0,
    }
    assert json.loads(dumps(AUDIO)) == to_plain(AUDIO) | {"data": {"$bytes": "AP8Q"}}
    assert msgspec.msgpack.decode(packs(AUDIO)) == to_plain(AUDIO)


def test_base64_is_the_standard_alphabet_with_padding():
    """
    Readers in other languages can use the base64 that they have.
    """
    raw = bytes(range(256))

    assert json.loads(dumps(other(raw)))["data"]["$bytes"] == base64.b64encode(raw).decode()


@pytest.mark.parametrize("convert", [str, str.encode, lambda text: bytearray(text.encode())])
def test_loads_takes_text_and_bytes(convert):
    """
    JSON is read from str, bytes and bytearray alike.
    """
    assert loads(convert(dumps(AUDIO))) == AUDIO


def test_json_document_of_another_parser_is_read():
    """
    `from_plain` takes the document that the standard library's `json` reads.
    """
    assert from_plain(json.loads(dumps(AUDIO))) == AUDIO


# --- unwritable events ------------------------------------------------------------------------


class Color(enum.Enum):
    RED = "red"


class Session:
    """
    Nothing that could travel.
    """


def function():
    """
    Neither could this.
    """


@pytest.mark.parametrize("write", [dumps, packs, to_plain])
@pytest.mark.parametrize(
    ("event", "path", "message"),
    [
        (other({"a": [0, {"b c": Session()}]}), "$.data.a[1]['b c']", r"Session is no plain data"),
        (other({1: {2: function}}), "$.data[1][2]", "function is no plain data"),
        (other((1, Color.RED)), "$.data[1]", "declare the field's type"),
        (other(Price(Decimal(1))), "$.data", r"Price .*register_event"),
        (other({frozenset({1j}): 0}), "$.data[frozenset({1j})][0]", "complex"),
        (RealtimeModelAudioEvent("no", "r", "i", 0), "$.data", "expected bytes, not str"),  # type: ignore[arg-type]
        (RealtimeModelAudioEvent(b"", "r", "i", True), "$.content_index", "int, not bool"),
        (RealtimeModelAudioEvent(b"", None, "i", 0), "$.response_id", "not NoneType"),  # type: ignore[arg-type]
        (RealtimeModelConnectionStatusEvent("gone"), "$.status", "'connecting' or"),  # type: ignore[arg-type]
        (RealtimeModelItemUpdatedEvent(InputText("x")), "$.item", "UserMessageItem"),  # type: ignore[arg-type]
        (
            RealtimeModelItemUpdatedEvent(UserMessageItem("i", (InputText("x"), InputText(5)))),  # type: ignore[arg-type]
            "$.item.content[1].text",
            "expected str, not int",
        ),
        (RealtimeModelRateLimitsEvent({"a": 1}), "$.limits", "list or tuple, not dict"),  # type: ignore[arg-type]
        (RealtimeModelUsageEvent({}), "$.usage", "expected Usage, not dict"),  # type: ignore[arg-type]
        (other(memoryview(b"1234").cast("H")), "$.data", "cast"),
        (other([UnknownObject("x", {"$v": 1})]), "$.data[0]['$v']", "name of a field"),
        (other(RemoteException("E", None)), "$.data", "expected str, not NoneType"),  # type: ignore[arg-type]
        (Price(Decimal(1)), "$", "register_event"),
        ({"type": "audio"}, "$", "RealtimeModelRawServerEvent"),
        (Session(), "$", "Session"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_value_that_would_not_come_back_is_refused(event, path, message, write):
    """
    The error has the value's place in the event, the problem and the remedy.
    """
    with pytest.raises(CodecError, match=message) as caught_error:
        write(event)

    assert caught_error.value.path == path
    assert path in str(caught_error.value)


@pytest.mark.parametrize("write", [dumps, packs, to_plain])
@pytest.mark.slow
def test_data_without_end_is_refused(write):
    """
    A list that contains itself is a `CodecError`, as is one that is nested too deeply.
    """
    endless: list[Any] = []
    endless.append(endless)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    for data in (endless, deep):
        with pytest.raises(CodecError, match="nested too deeply"):
            write(other(data))


# --- unreadable input -------------------------------------------------------------------------


def audio(**changes):
    return json.dumps(json.loads(dumps(AUDIO)) | changes)


def item(**changes):
    event = RealtimeModelItemUpdatedEvent(UserMessageItem("i", (InputText("x"), InputAudio())))
    document = json.loads(dumps(event))
    document["item"] |= changes
    return json.dumps(document)


def data(value):
    return json.dumps({"$v": 1, "type": "other", "data": value})


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("[]", "$", r"\$v and type, not list"),
        ("null", "$", "not NoneType"),
        ("{}", "$['$v']", "missing"),
        ('{"$v":1}', "$.type", "missing"),
        ('{"$v":1,"type":5}', "$.type", "expected str, not int"),
        ('{"$v":"1","type":"audio"}', "$['$v']", "format version"),
        ('{"$v":true,"type":"audio"}', "$['$v']", "format version"),
        ('{"$v":0,"type":"audio"}', "$['$v']", "format version"),
        ('{"$v":2,"type":"audio"}', "$['$v']", "version 2 is newer than 1.*upgrade eventbus"),
        ('{"$v":1,"type":"audio"}', "$.data", "missing; a RealtimeModelAudioEvent"),
        (audio(data=5), "$.data", "expected bytes, not int"),
        (audio(data="AP8Q"), "$.data", "expected bytes, not str"),
        (audio(data={"$bytes": "AP8"}), "$.data", "no base64"),
        (audio(data={"$bytes": "A P8Q"}), "$.data", "no base64"),
        (audio(data={"$bytes": "é"}), "$.data", "no base64"),
        (audio(data={"$bytes": 5}), "$.data", "expected str"),
        (audio(content_index=1.0), "$.content_index", "expected int, not float"),
        (audio(content_index=True), "$.content_index", "expected int, not bool"),
        (audio(item_id=None), "$.item_id", "expected str, not NoneType"),
        (item(role="judge"), "$.item", "role 'judge', type 'message' is no .*UserMessageItem"),
        (item(role=[]), "$.item", r"role \[\]"),
        (item(content=5), "$.item.content", "tuple, not int"),
        (item(content=[{"type": "input_text", "text": 1}]), "$.item.content[0].text", "str"),
        (item(content=[{"type": "input_text"}, 1]), "$.item.content[1]", "object, not int"),
        (item(content=[{"type": "text"}]), "$.item.content[0]", "type 'text' is no"),
        (item(extra=[]), "$.item.extra", "object, not list"),
        (item(extra={"$v": 1}), "$.item.extra['$v']", r"write \$map"),
        (item(item_id={"$tuple": []}), "$.item.item_id", "expected str, not tuple"),
        (data({"$tuple": 1}), "$.data", "a list"),
        (data({"a b": {"$nope": 1}}), "$.data['a b']", "known tag.*upgrade"),
        (data({"$tuple": [], "$set": []}), "$.data", "one key"),
        (data({"a": 1, "$tuple": []}), "$.data", "one key"),
        (data({"$set": [[]]}), "$.data", "list can't be a key"),
        (data({"$set": [1, 1]}), "$.data", "twice"),
        (data({"$map": [[1, 2], [1, 3]]}), "$.data[1]", "twice"),
        (data({"$map": [[1]]}), "$.data[0]", "key and value"),
        (data({"$map": [["a", {"$x": 1}]]}), "$.data.a", "known tag"),
        (data({"$int": "0x1"}), "$.data", "match"),
        (data({"$int": "1_0"}), "$.data", "match"),
        (data({"$float": "1"}), "$.data", "match"),
        (data({"$decimal": "one"}), "$.data", "Invalid"),
        (data({"$datetime": "2024-13-01"}), "$.data", "ValueError"),
        (data({"$uuid": "1"}), "$.data", "ValueError"),
        (data({"$str": "gA=="}), "$.data", "UTF-8"),
        (data({"$exception": {"type": "E"}}), "$.data.message", "missing"),
        (data({"$remote": 1}), "$.data", "expected str"),
        (data({"$class": "Usage", "requests": "1"}), "$.data.requests", "int, not str"),
        (data({"$v": 9, "type": "x"}), "$.data['$v']", "upgrade"),
        ('{"$v":1,"type":"x.y","a":[{"$v":1}]}', "$.a[0].type", "missing"),
        ('{"$v":1,"type":"exception","exception":"E"}', "$.exception", "an exception"),
    ],
)
def test_data_that_is_no_event_is_refused_with_its_place(text, path, message):
    """
    The error has the path of the wrong value, and the expected kind.
    """
    with pytest.raises(CodecError, match=message) as caught_error:
        loads(text)

    assert caught_error.value.path == path
    assert path in str(caught_error.value)
    assert str(caught_error.value).isascii()


@pytest.mark.parametrize(
    ("read", "broken", "offset"),
    [
        (loads, '{"$v":1,"type":x}', 15),
        (loads, '{"$v":1,', 8),
        (loads, b"", 0),
        (loads, b'{"a":"\xff"}', 6),
        (loads, b'{"a\xff":1}', 3),
        (loads, '{"\u00e9":"\ud800"}', 7),
        (unpacks, b"", 0),
        (unpacks, b"\x82\xa2$v\x01", 5),
        (unpacks, b"\x81\xc1\x01", 1),
        (unpacks, b"\x81\xa2$v\xa3ab\xff", 7),
        (unpacks, b"\x82\xa1a\xc4\x01\xff\xa1b\xd9\x02\xc3\xff", 10),
    ],
)
def test_broken_encoding_is_refused_with_its_offset(read, broken, offset):
    """
    Input that isn't JSON or MessagePack is a `CodecError` that names the byte.
    """
    with pytest.raises(CodecError, match=rf"\(byte {offset}\)"):
        read(broken)


@pytest.mark.parametrize("read", [loads, unpacks])
def test_deep_nesting_is_refused(read):
    """
    Any data nested 100,000 deep are a `CodecError`.
    """
    for broken in (b"[" * 100_000, b'{"a":' * 100_000, b"\x91" * 100_000):
        with pytest.raises(CodecError):
            read(broken)


@pytest.mark.parametrize("read", [loads, unpacks])
def test_other_arguments_are_type_errors(read):
    """
    A caller's mistake is not reported as broken data.
    """
    with pytest.raises(TypeError):
        read(5)


def test_messagepack_extensions_and_foreign_keys_are_refused():
    """
    Timestamps, extension types and keys that are no str have no place in the format.
    """
    document = {"$v": 1, "type": "other"}
    for foreign in (datetime.now(UTC), msgspec.msgpack.Ext(5, b""), {1: 2}, {b"a": 1}):
        with pytest.raises(CodecError) as caught_error:
            unpacks(msgspec.msgpack.encode(document | {"data": foreign}))
        assert caught_error.value.path == "$.data"


json_keys = st.text(max_size=3) | st.sampled_from(
    ["$v", "type", "data", "item", "content", "role", "extra", "$class", *Plain(id, id, id).tags]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(json_keys, inner, max_size=4),
    max_leaves=10,
)
headed = st.fixed_dictionaries(
    {"$v": st.just(1), "type": st.sampled_from([*EVENT_TYPES, "x.y"])},
    optional={
        name: json_values
        for cls in EVENT_TYPES.values()
        for name in attrs.fields_dict(cls)
        if name != "type"
    },
)


def reads_or_refuses(read, document):
    try:
        event = read(document)
    except CodecError:
        return
    assert type(event) in EVENT_TYPES.values()
    dumps(event)
    packs(event)


@given(st.binary() | st.text())
def test_arbitrary_input_is_an_event_or_a_codec_error(noise):
    """
    No bytes and no text make the readers raise anything else.
    """
    reads_or_refuses(loads, noise)
    if isinstance(noise, bytes):
        reads_or_refuses(unpacks, noise)


@given(json_values | headed)
@settings(suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.slow
def test_arbitrary_document_is_an_event_or_a_codec_error(document):
    """
    No well-formed document does either, and an event that was read can be written.
    """
    reads_or_refuses(unpacks, msgspec.msgpack.encode(document) if packable(document) else b"")
    if isinstance(document, dict):
        reads_or_refuses(from_plain, document)


def packable(document):
    try:
        msgspec.msgpack.encode(document)
    except OverflowError:
        return False
    return True


@given(all_events, st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.slow
def test_damaged_document_is_an_event_or_a_codec_error(event, draw):
    """
    Bytes that are cut, changed or inserted anywhere in a document do no more harm than that.
    """
    for write, read in ((lambda e: dumps(e).encode(), loads), (packs, unpacks)):
        document = bytearray(write(event))
        start = draw.draw(st.integers(0, len(document)))
        end = draw.draw(st.integers(start, min(len(document), start + 8)))
        document[start:end] = draw.draw(st.binary(max_size=8))
        reads_or_refuses(read, bytes(document))

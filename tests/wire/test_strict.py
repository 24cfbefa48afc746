from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.wire._strict import MAX_DEPTH, peek_type, read_object, salvage

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# Names and texts that are likely to be the same, and likely to have colons.
colons = st.text(':"\\ab', max_size=3)


def spelled(value, escape_colons):
    """
    Return *value* as JSON, with the pairs of an object given as a list of pairs.
    """
    if isinstance(value, tuple):
        pairs = (f"{spelled(k, escape_colons)}:{spelled(v, escape_colons)}" for k, v in value)
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(spelled(each, escape_colons) for each in value) + "]"
    spelling = json.dumps(value)
    return spelling.replace(":", "\\u003a") if escape_colons else spelling


def has_duplicates(value):
    if isinstance(value, tuple):
        names = [name for name, _ in value]
        return len(set(names)) < len(names) or any(has_duplicates(v) for _, v in value)
    return isinstance(value, list) and any(map(has_duplicates, value))


pairs = st.recursive(
    colons | st.integers(0, 9),
    lambda children: (
        st.lists(children, max_size=3)
        | st.lists(st.tuples(colons, children), max_size=3).map(tuple)
    ),
    max_leaves=12,
)


@given(st.lists(st.tuples(colons, pairs), max_size=4).map(tuple), st.booleans())
@pytest.mark.slow
def test_name_that_comes_twice_is_found_wherever_it_is(value, escape_colons):
    """
    An object is refused if and only if some object in it has a name twice.
    """
    frame = spelled(value, escape_colons).encode()

    data, error = read_object(frame)

    assert data == json.loads(frame)
    assert (error is not None) == has_duplicates(value)


def test_pair_is_missed_by_no_accident_of_counting():
    """
    A colon that is written as an escape doesn't make up for the pair that was dropped.
    """
    data, error = read_object(b'{"a":"x","a":"\\u003a"}')

    assert data == {"a": ":"}
    assert error is not None


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (b"", "not valid JSON"),
        (b'{"type":"ping"', "not valid JSON"),
        (b'{"type":"ping"} {}', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'{"type":"ping","x":NaN}', "not valid JSON"),
        (b'{"type":"ping","x":-Infinity}', "not valid JSON"),
        (b'{"type":"ping","x":1e999}', "not valid JSON"),
        (b'{"type":"ping","x":"\\ud800"}', "not valid JSON"),
        (b'{"type":"ping","x":"\xff"}', "not valid UTF-8"),
        (b'{"type":"ping","x":"\xed\xa0\x80"}', "not valid UTF-8"),
        (b"[]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"type":"ping","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper"),
        (b'{"type":"ping","x":' + b'{"x":' * 5_000 + b"1" + b"}" * 5_001, "nested deeper"),
        (b'{"x":' + b"9" * 100_000 + b"}", "not valid JSON"),
    ],
)
def test_frame_that_is_not_a_strict_json_object_is_refused(frame, problem):
    """
    There are no data, and the error describes the problem.
    """
    data, error = read_object(frame)

    assert data is None
    assert problem in str(error)


@pytest.mark.parametrize(("depth", "accepted"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
def test_depth_is_counted_exactly(depth, accepted):
    """
    As many levels as allowed are fine, and one more is not.
    """
    frame = b'{"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    assert (read_object(frame)[1] is None) is accepted


def test_many_brackets_are_not_deep():
    """
    It's the levels that count, not the brackets.
    """
    frame = b'{"x":[' + b",".join([b"[]"] * 10_000) + b"]}"

    assert read_object(frame)[1] is None


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b'{"type":"a.b"', "a.b"),
        (b' { "event_id" : "x" , "type" : "a.b" , NaN', "a.b"),
        (b'{"event_id":"\\"type\\":\\"no\\"","type":"a.b"', "a.b"),
        (b'{"response":{"type":"no"},"list":["type",{"type":"no"}],"type":"a.b"', "a.b"),
        (b'{"x":"type","type":"a.b"', "a.b"),
        (b'{"type":5,"x":"no"}', None),
        (b'{"type":{"type":"no"}}', None),
        (b'{"type":"somebody\'s words"}', None),
        (b'{"response":{"type":"no"', None),
        (b'["type","no"]', None),
        (b'{"type":"unfinished', None),
        (b"", None),
    ],
)
def test_type_is_told_also_of_a_broken_frame(frame, expected):
    """
    It is the type of the frame itself, and no string that only looks like it.
    """
    assert peek_type(frame) == expected


@given(st.binary())
def test_type_of_anything_can_be_asked(frame):
    """
    No bytes make it fail.
    """
    peek_type(b'{"type":' + frame)


@pytest.mark.parametrize(
    "unit", [b'\\"', b'"', b"{", b"[", b'"a":', b'"\\', b" ", b"\\u003a", b'{"a":', b"[[],"]
)
def test_a_megabyte_of_anything_is_no_more_than_a_megabyte_of_work(unit):
    """
    Any repetition is read soon: a quadratic reader would take hours.
    """
    frame = b'{"type":"ping","x":"' + unit * (1_000_000 // len(unit))

    assert read_object(frame)[1] is not None
    assert read_object(frame + b'"}') is not None
    assert salvage(frame) == {}


def test_error_tells_no_name_that_may_be_a_word_of_somebody():
    """
    Of a name that comes twice, the error tells only one that the caller knows.
    """
    _, known = read_object(b'{"type":"ping","delta":1,"delta":2}', known_names={"delta"})
    _, unknown = read_object(b'{"type":"ping","Anna":1,"Anna":2}', known_names={"delta"})

    assert (known.frame_type, known.field) == ("ping", "delta")
    assert (unknown.frame_type, unknown.field) == ("ping", "")
    assert "Anna" not in str(unknown)


def test_salvaged_data_can_be_written_again():
    """
    The part that made the frame unreadable is not handed on to the next reader.
    """
    data = salvage(b'{"id":"a\\ud800b","x":NaN,"y":[-Infinity],"z":"\xff"}')

    assert data == {"id": "a\ufffdb", "x": None, "y": [None], "z": "\ufffd"}

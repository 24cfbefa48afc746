from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.wire._frames import Frame, ReadOnlyDict, ReadOnlyList, frame_of, freeze

RAW = b'{"type":"ping","list":[1,{"deep":[2]}],"object":{"name":"value"}}'

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children) | st.dictionaries(st.text("abc", max_size=2), children),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_values))
@pytest.mark.slow
def test_frame_is_the_mapping_that_its_bytes_are(data):
    """
    A frame has the names and values that any JSON parser finds in it.
    """
    raw = json.dumps(data).encode()
    frame = Frame(raw)

    assert frame == json.loads(raw)
    assert dict(frame) == json.loads(raw)
    assert json.loads(json.dumps(dict(frame))) == json.loads(raw)
    assert len(frame) == len(data)
    assert frame.raw is raw


def test_bytes_are_not_parsed_before_somebody_looks():
    """
    To make a frame of something that is no JSON is no error: nobody has looked.
    """
    assert Frame(b"no JSON").raw == b"no JSON"


def test_frame_is_parsed_once():
    """
    A nested value of a frame is the same object every time.
    """
    frame = Frame(RAW)

    assert frame["object"] is frame["object"]


def test_frame_equals_mappings_with_the_same_content():
    """
    Spelling doesn't matter to equality, and content does.
    """
    frame = Frame(RAW)

    assert frame == json.loads(RAW)
    assert json.loads(RAW) == frame
    assert frame == Frame(json.dumps(json.loads(RAW)).encode())
    assert frame != {"type": "pong"}
    assert frame != Frame(b"{}")
    assert frame != "ping"


def test_frame_and_what_is_in_it_refuse_changes():
    """
    No handler can change the data of the next handler.
    """
    frame = Frame(RAW)

    with pytest.raises(TypeError):
        frame["type"] = "pong"
    with pytest.raises(TypeError, match="read-only"):
        frame["object"]["name"] = "other"
    with pytest.raises(TypeError, match="read-only"):
        frame["list"].append(3)
    with pytest.raises(TypeError, match="read-only"):
        frame["list"][1]["deep"].clear()
    assert frame == json.loads(RAW)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.__setitem__("a", 2),
        lambda d: d.__delitem__("a"),
        lambda d: d.__ior__({"a": 2}),
        lambda d: d.clear(),
        lambda d: d.pop("a"),
        lambda d: d.popitem(),
        lambda d: d.setdefault("b", 2),
        lambda d: d.update(a=2),
    ],
)
def test_read_only_dict_refuses(change):
    """
    Every method that changes a dict is refused, and changes nothing.
    """
    data = ReadOnlyDict(a=1)

    with pytest.raises(TypeError, match="ReadOnlyDict is read-only"):
        change(data)
    assert data == {"a": 1}


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.__setitem__(0, 9),
        lambda x: x.__delitem__(0),
        lambda x: x.__iadd__([9]),
        lambda x: x.__imul__(2),
        lambda x: x.append(9),
        lambda x: x.extend([9]),
        lambda x: x.insert(0, 9),
        lambda x: x.pop(),
        lambda x: x.remove(1),
        lambda x: x.clear(),
        lambda x: x.sort(),
        lambda x: x.reverse(),
    ],
)
def test_read_only_list_refuses(change):
    """
    Every method that changes a list is refused, and changes nothing.
    """
    data = ReadOnlyList([2, 1])

    with pytest.raises(TypeError, match="ReadOnlyList is read-only"):
        change(data)
    assert data == [2, 1]


def test_nested_data_is_still_dicts_and_lists():
    """
    Code that asks for a dict or a list finds one.
    """
    frame = Frame(RAW)

    assert isinstance(frame, Mapping)
    assert isinstance(frame["object"], dict)
    assert isinstance(frame["list"], list)
    assert json.dumps(frame["list"]) == '[1, {"deep": [2]}]'


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_frame_can_be_copied_and_pickled(copied):
    """
    A copy has the same content, and is as read-only as the original.
    """
    for original in (Frame(RAW), freeze(json.loads(RAW))):
        duplicate = copied(original)

        assert duplicate == original
        assert type(duplicate["list"][1]) is ReadOnlyDict


def test_repr_shows_type_and_size_and_no_content():
    """
    A frame in a log shows its type, and nothing that was said in it.
    """
    assert repr(Frame(RAW)) == f"<Frame 'ping', {len(RAW)} bytes>"
    assert repr(Frame(b'{"type":"my secret"}')) == "<Frame None, 20 bytes>"
    assert repr(Frame(b'{"type":["x"]}')) == "<Frame None, 14 bytes>"


def test_both_ways_to_make_a_frame_agree():
    """
    The fast way makes the same as the class.
    """
    assert type(frame_of(RAW)) is Frame
    assert frame_of(RAW) == Frame(RAW)
    assert frame_of(RAW).raw is RAW

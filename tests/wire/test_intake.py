from __future__ import annotations

import json
from collections import UserDict
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from eventbus.wire._frames import Frame
from eventbus.wire._intake import as_it_came, to_bytes

RAW = b'{"type":"ping","x":[{"y":1}]}'


@pytest.mark.parametrize(
    "frame",
    [
        RAW,
        bytearray(RAW),
        memoryview(RAW),
        RAW.decode(),
        Frame(RAW),
        json.loads(RAW),
        UserDict(type="ping", x=[UserDict(y=1)]),
        MappingProxyType({"type": "ping", "x": ({"y": 1},)}),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_every_form_of_a_frame_becomes_the_same_bytes(frame):
    """
    Bytes, text and mappings of any kind are one frame.
    """
    raw, error = to_bytes(frame)

    assert error is None
    assert json.loads(raw) == json.loads(RAW)


class Hostile(Mapping):
    """A mapping that can't be read."""

    def __getitem__(self, name):
        raise ZeroDivisionError

    def __iter__(self):
        raise ZeroDivisionError

    def __len__(self):
        raise ZeroDivisionError


def circular():
    data = {"type": "ping"}
    data["self"] = data
    return data


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "ping", "x": float("nan")},
        {"type": "ping", "x": b"bytes"},
        {"type": "ping", "x": object()},
        {("a", "tuple"): 1},
        circular(),
        Hostile(),
        None,
        5,
        [RAW],
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_what_is_no_frame_is_an_error_and_not_raised(frame):
    """
    There is an error that says so, with the part of the frame that could be kept.
    """
    raw, error = to_bytes(frame)

    assert isinstance(raw, bytes)
    assert error is not None


def test_half_a_surrogate_pair_is_an_error():
    """
    Text that has no UTF-8 is refused, and its type is still told.
    """
    _, error = to_bytes('{"type":"ping","x":"\ud800"}')

    assert error.frame_type == "ping"


def test_released_buffer_is_an_error():
    """
    A buffer that is gone is refused like anything else.
    """
    view = memoryview(RAW)
    view.release()

    assert to_bytes(view)[1] is not None


def test_given_frame_is_safe_from_its_owner():
    """
    A buffer that is used again changes nothing that was handed on.
    """
    buffer = bytearray(b"not JSON")
    kept = as_it_came(buffer)
    buffer[:] = b"reused!!"

    assert kept == b"not JSON"


def test_given_mapping_can_only_be_read():
    """
    Handlers get a view of a mapping that could not be decoded.
    """
    kept = as_it_came({"type": "ping"})

    with pytest.raises(TypeError):
        kept["type"] = "pong"

"""
Takes frames in every form in which a transport hands them over.

Decoders read bytes; other forms are converted here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from ..exceptions import FrameError
from ._frames import Frame
from ._strict import refusal


def to_bytes(frame: object) -> tuple[bytes, FrameError | None]:
    """
    Return *frame* as JSON in UTF-8, and the problem with it, if there is one.

    If there is a problem, the bytes are the part that could be kept.
    """
    raw, problem = b"", None
    if isinstance(frame, Frame):
        raw = frame.raw
    elif isinstance(frame, str):
        try:
            raw = frame.encode()
        except UnicodeEncodeError:
            raw = frame.encode("utf-8", "replace")
            problem = "has half a surrogate pair, which UTF-8 can't have"
    elif isinstance(frame, (bytes, bytearray, memoryview)):
        try:
            raw = bytes(frame)
        except ValueError:
            problem = "is a buffer that has been released"
    elif isinstance(frame, Mapping):
        raw, problem = _mapping_to_bytes(frame)
    else:
        problem = f"is neither bytes, str nor a mapping, but a {type(frame).__qualname__}"
    return raw, None if problem is None else refusal(raw, problem)


def as_it_came(frame: object) -> object:
    """Return *frame* for handlers to look at: a copy or a view, if its owner may change it."""
    if isinstance(frame, (bytearray, memoryview)):
        return to_bytes(frame)[0]
    if isinstance(frame, Mapping) and not isinstance(frame, Frame):
        return MappingProxyType(frame)
    return frame


def _mapping_to_bytes(frame: Mapping[object, object]) -> tuple[bytes, str | None]:
    # The standard library's encoder, not msgspec's: that one makes null of NaN and text of bytes.
    try:
        return json.dumps(frame, default=_plain, allow_nan=False).encode(), None
    except Exception as exc:  # noqa: BLE001  # other people's mappings can raise anything
        problem = f"can't be written as JSON ({type(exc).__name__})"
    try:
        raw = json.dumps(frame, default=_nothing, skipkeys=True).encode()
    except Exception:  # noqa: BLE001  # as above
        raw = b""
    return raw, problem


def _plain(value: object) -> dict[object, object]:
    if isinstance(value, Mapping):
        return dict(value)
    msg = f"{type(value).__qualname__} has no form in JSON"
    raise TypeError(msg)


def _nothing(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else None

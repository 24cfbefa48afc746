r"""
Reads JSON objects strictly: what two readers could take for different things is refused.

Rules
-----

A frame must be

* one JSON object in UTF-8, without NaN, Infinity or half a surrogate pair
  (RFC 8259, sections 6 and 8);
* without a name that comes twice in one object, at any depth (section 4: what
  happens then is "unpredictable");
* nested no deeper than `MAX_DEPTH`, so that whoever walks through the data
  later can do it recursively.

Time and memory are linear in the frame's length, whatever is in it.

Theory of operation
-------------------

msgspec takes care of the first rule. Of a name that comes twice it keeps the
last value and doesn't tell, and to look at every pair in Python would cost
more than all the rest. But pairs can be counted, as each has one colon::

    colons in the frame = pairs + colons in names and strings

Written out again from the data that msgspec made of it, the frame has the same
colons if nothing was dropped, and fewer if a pair was: at least that pair's
own. There is one way in which the second sum could come out right by accident.
A colon in a string can be spelled ``\u003a``, which is a colon in the data and
none in the frame. So, if the sums agree and that escape isn't there, then
nothing was dropped. If not, the standard library's parser, which shows every
pair, says exactly what is the case.

Depth needs no walk either, as long as there are fewer brackets in the frame
than levels allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container
from typing import Any

import msgspec

from ..exceptions import FrameError
from ._frames import shown_type

__all__ = ["MAX_DEPTH", "peek_type", "read_object", "refusal", "salvage"]

MAX_DEPTH = 128
"""How deeply objects and arrays may be nested; the frame itself is the first level."""

_PEEK_BYTES = 1024 * 1024

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

# Every byte belongs to some token, except for the quote of a string that doesn't end.
# The possessive quantifiers keep a string that doesn't end from being tried again and again.
_TOKEN = re.compile(
    rb"""  [^"{}\[\]]++
        |  [{}\[\]]
        |  "( (?: [^"\\]++ | \\. )*+ )" [ \t\r\n]*+ (:?)
    """,
    re.VERBOSE | re.DOTALL,
)


def read_object(
    frame: bytes, *, known_names: Container[str] = ()
) -> tuple[dict[str, Any] | None, FrameError | None]:
    """
    Return the data in *frame*, and what is wrong with it.

    Data is None if there is no JSON object, or one that is nested too deeply.
    With a name that comes twice, there are both data and an error, which
    tells the name only if it is among the *known_names*: another one may be
    anybody's word.
    """
    data: Any = None
    problem = None
    try:
        data = _decode(frame)
    except RecursionError:
        problem = _TOO_DEEP
    except ValueError as exc:
        # Found here, as msgspec's own error for it is another one in each version.
        # Of JSON, it tells what is wrong and where, and quotes nothing.
        problem = f"is not valid JSON ({exc})" if _is_utf8(frame) else "is not valid UTF-8"
    else:
        if not isinstance(data, dict):
            problem = "is no JSON object"
        elif frame.count(b"{") + frame.count(b"[") > MAX_DEPTH and _is_too_deep(data):
            problem = _TOO_DEEP
    if problem is not None:
        return None, refusal(frame, problem)
    if _encode(data).count(b":") != frame.count(b":") or (b"\\" in frame and b"\\u003" in frame):
        name = _duplicate(frame)
        if name is not None:
            problem = "has a name twice in one object"
            return data, refusal(frame, problem, field=name if name in known_names else "")
    return data, None


def _is_utf8(frame: bytes) -> bool:
    try:
        frame.decode()
    except UnicodeDecodeError:
        return False
    return True


_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"


def refusal(frame: bytes, problem: str, *, field: str = "") -> FrameError:
    """Return the error that says that *frame*, as a whole, has that *problem*."""
    frame_type = peek_type(frame)
    frame_name = "A frame of unknown type" if frame_type is None else f"The frame {frame_type}"
    where = f": {field}" if field else ""
    return FrameError(f"{frame_name} {problem}{where}", frame_type=frame_type, field=field)


def peek_type(frame: bytes) -> str | None:
    """
    Return the ``type`` of a frame that can't be read, if it is in the first 64 KiB.

    Only a ``type`` of the frame itself counts, and only one that looks like a type.
    """
    frame = frame[:_PEEK_BYTES]
    depth = 0
    is_next = False
    position = 0
    while token := _TOKEN.match(frame, position):
        position = token.end()
        first = token[0][:1]
        if first == b'"':
            if is_next:
                return shown_type(token[1].decode("latin-1"))
            is_next = depth == 1 and token[1] == b"type" and token[2] == b":"
            continue
        if first in (b"{", b"["):
            depth += 1
        elif first in (b"}", b"]"):
            depth -= 1
        is_next = is_next and not token[0].strip(b" \t\r\n")
    return None


def salvage(frame: bytes) -> dict[str, Any]:
    """
    Return what a forgiving parser makes of a frame that `read_object` refuses.

    It is data that everybody can read again: no half surrogate pairs, and null for NaN.
    """
    text = _SURROGATE.sub(r"\\ufffd", frame.decode("utf-8", "replace"))
    try:
        data = json.loads(text, strict=False, parse_constant=_null)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


# Also the halves of whole pairs: what was there is in the raw event.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def _null(_constant: str) -> None:
    return None


def _is_too_deep(data: dict[str, Any]) -> bool:
    """Whether *data* has more than `MAX_DEPTH` levels; goes level by level, not recursively."""
    level: list[Any] = [data]
    for _ in range(MAX_DEPTH):
        level = [
            each
            for container in level
            for each in (container.values() if isinstance(container, dict) else container)
            if isinstance(each, (dict, list))
        ]
        if not level:
            return False
    return True


class _DuplicateNameError(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _only_once(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for name, _ in pairs:
        if name in seen:
            raise _DuplicateNameError(name)
        seen.add(name)


def _duplicate(frame: bytes) -> str | None:
    """Return the first name that comes twice in one object of *frame*, or None."""
    try:
        json.loads(frame, object_pairs_hook=_only_once)
    except _DuplicateNameError as exc:
        return exc.name
    return None

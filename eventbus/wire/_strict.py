r"""
Reads JSON objects strictly: frames that two readers could read differently are refused.

Rules
-----

A frame must be

* one JSON object in UTF-8, without NaN, Infinity or half a surrogate pair
  (RFC 8259, sections 6 and 8);
* without a name that comes twice in one object, at any depth (section 4: the
  behaviour of readers is "unpredictable" then);
* nested no deeper than `MAX_DEPTH`, so that later code can walk through the
  data recursively.

Time and memory are linear in the frame's length, whatever the content.

Theory of operation
-------------------

msgspec takes care of the first rule. Of a name that comes twice it keeps the last
value without a word, and a look at every pair in Python would cost more than all the
rest. But pairs can be counted, as each has one colon::

    colons in the frame = pairs + colons in names and strings

So if the pairs at the top of the data are already as many as the colons in the frame,
then there are no others, no colon is in a string, and nothing was dropped. For a flat
frame that is one comparison.

Otherwise the data are written out again, without the pairs that were dropped. If the
result is the frame, there were none. It may be another one because of spaces or escapes;
then it has the same colons if there were none, and fewer if there was one. There is
one way in which this sum could come out right by accident. A colon in a string can be
spelled ``\u003a``, which is a colon in the data and none in the frame. So, if the sums
agree and that escape isn't there, then nothing was dropped. If not, the standard
library's parser, which shows every pair, decides.

Depth needs no walk either, as long as there are fewer colons and brackets in the frame
than levels allowed: but for the last one, each level is an array, with a bracket, or an
object with at least one pair.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container
from typing import Any

import msgspec

from ..exceptions import FrameError
from ._names import is_gemini_name, shown_type

MAX_DEPTH = 128
"""How deeply objects and arrays may be nested; the frame itself is the first level."""

_PEEK_BYTES = 1024 * 1024

_COLON, _BRACKET, _BACKSLASH = b":[\\"  # numbers: bytes are searched for one in half the time

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
    Return the data in *frame*, and the error that describes its problem.

    Data is None if there is no JSON object, or one that is nested too deeply. With a name that
    comes twice, there are both data and an error; it quotes the name only if it is among the
    *known_names*, since another one may be a caller's word.
    """
    data: Any = None
    problem = None
    try:
        data = _decode(frame)
    except RecursionError:
        problem = _TOO_DEEP
    except ValueError as exc:
        # Found here, as msgspec's own error for it is another one in each version.
        # For JSON, its message has the problem and the place, and quotes nothing.
        problem = f"is not valid JSON ({exc})" if _is_utf8(frame) else "is not valid UTF-8"
    else:
        if not isinstance(data, dict):
            problem = "is not a JSON object"
        elif is_too_deep(frame, data, count_in(frame, b":")):
            problem = _TOO_DEEP
    if problem is not None:
        return None, refusal(frame, problem)
    if has_no_duplicate(frame, data, count_in(frame, b":")):
        return data, None
    return data, duplicate_in(frame, known_names)


def count_in(frame: bytes, byte: bytes) -> int:
    """Return how often *byte* is in *frame*, in a tenth of the time where that is large."""
    # CPython counts byte by byte, but replaces from one place to the next.
    return len(frame) - len(frame.replace(byte, b""))


def is_too_deep(frame: bytes, data: dict[str, Any], colons: int) -> bool:
    """
    Return whether *data* has more than `MAX_DEPTH` levels.

    Args:
        frame: The frame.
        data: The same, parsed.
        colons: The colons in it.
    """
    levels = colons + 1
    if _BRACKET in frame:  # found sooner than counted
        levels += count_in(frame, b"[")
    return levels > MAX_DEPTH and _has_more_levels(data)


def has_no_duplicate(frame: bytes, data: dict[str, Any], colons: int) -> bool:
    """
    Return True if counting proves that no name comes twice in *frame*; else ask `duplicate_in`.

    Args:
        frame: The frame.
        data: The same, parsed, and not nested too deeply.
        colons: The colons in it.
    """
    encoded = _encode(data)
    # In most frames there are no spaces, and to compare takes less time than to count.
    return encoded == frame or (count_in(encoded, b":") == colons and not may_hide_colons(frame))


def has_pairs(frame: bytes, pairs: int, *texts: str) -> bool:
    """
    Return True if counting proves that a frame that has these pairs has no others.

    Args:
        frame: The frame.
        pairs: The number of different pairs that were read in it.
        texts: Their values; colons in those don't count.
    """
    # A pair besides has a colon, and more of them if there are some in its own name and value.
    colons = frame.count(_COLON) - pairs
    return not colons or ("".join(texts).count(":") == colons and not may_hide_colons(frame))


def may_hide_colons(frame: bytes) -> bool:
    """Return whether there may be an escaped colon in *frame*, which has none of its own."""
    return _BACKSLASH in frame and b"\\u003" in frame


def duplicate_in(frame: bytes, known_names: Container[str]) -> FrameError | None:
    """
    Return the error that says that a name comes twice in *frame*, if that is so.

    It looks at every pair, which takes long. The error may quote the *known_names*.
    """
    name = _duplicate(frame)
    if name is None:
        return None
    problem = "has a name twice in one object"
    return refusal(frame, problem, field=name if name in known_names else "")


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
    Return the ``type`` of a frame that can't be read, if it is in the first MiB.

    Only a ``type`` of the frame itself counts, and only one that looks like a type. Of a frame
    without one, it is the first name that is a message of Gemini Live's.
    """
    frame = frame[:_PEEK_BYTES]
    depth = 0
    is_next = False
    message = None
    position = 0
    while token := _TOKEN.match(frame, position):
        position = token.end()
        first = token[0][:1]
        if first == b'"':
            if is_next:
                return shown_type(token[1].decode("latin-1"))
            is_name = depth == 1 and token[2] == b":"
            is_next = is_name and token[1] == b"type"
            if is_name and message is None and is_gemini_name(name := token[1].decode("latin-1")):
                message = name
            continue
        if first in (b"{", b"["):
            depth += 1
        elif first in (b"}", b"]"):
            depth -= 1
        is_next = is_next and not token[0].strip(b" \t\r\n")
    return message


def salvage(frame: bytes) -> dict[str, Any]:
    """
    Return the data that a lenient parser reads in a frame that `read_object` refuses.

    Every JSON parser can read them again: no half surrogate pairs, and null for NaN.
    """
    text = _SURROGATE.sub(r"\\ufffd", frame.decode("utf-8", "replace"))
    try:
        data = json.loads(text, strict=False, parse_constant=_null)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


# Also the halves of whole pairs; the raw event has them.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def _null(_constant: str) -> None:
    return None


def _has_more_levels(data: dict[str, Any]) -> bool:
    """Return whether *data* has more than `MAX_DEPTH` levels, without recursion."""
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

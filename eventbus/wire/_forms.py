"""
Reads flat frames by their form: the names of their fields, and the kinds of their values.

Rules
-----

* A form takes a frame only if the event that it makes is the one that parsing the frame would
  give; it leaves all other frames alone. It never reports an error.

Theory of operation
-------------------

Frames of one type have the same fields, session after session. So one is parsed, and for its form
a struct is declared that has these fields and no others. msgspec reads the next frame into one,
which takes two thirds of the time of a dict, and checks the kinds of the values on the way.

It skips a field that isn't declared, and of one that comes twice it keeps the last value. But
each pair that a frame has besides makes it longer. As each field is there at least once, the
frame is at least as long as names, punctuation and the values that were read, with nothing
escaped and no spaces. If it is exactly as long, then there is nothing else in it. If it is longer,
because of spaces, escapes or a letter of two bytes, then colons decide, as in `_strict`.

A form is found by a few bytes of a frame, the head, which hold most of its type and no id. Where a
session has an id before the type, as in Voice Live, these bytes are further behind; ids of other
lengths make for a form each. Types that are alike so far are found by a longer head, as soon as
there are two of them.
"""

from __future__ import annotations

import functools
import keyword
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from .._fast_init import compiled, construction
from ..events import RealtimeModelEvent, RealtimeModelOtherEvent
from ._flat import Kind, spec_of
from ._frames import frame_of
from ._strict import has_pairs

_TYPE_FIRST: Final = slice(44)
_ID_FIRST: Final = slice(41, 41 + 44)  # behind '{"event_id":"event_' and 22 characters
_TYPE_FIRST_LONGER: Final = slice(44 + 14)
_ID_FIRST_LONGER: Final = slice(41, 41 + 44 + 14)

MIN_TYPE: Final = 21
"""The length of a type from which on no id is in the head, nor in a longer one."""

_MAX_NAME: Final = 80

_MAX_HEADS: Final = 128
_MAX_FORMS: Final = 3
"""Forms that a session tries for one head, one after the other."""

_MAX_FIELDS: Final = 16
_DIGITS: Final = frozenset(range(10))
_NUMBERS: Final = (int, float)
_NESTED: Final = frozenset({dict, list})

Reader: TypeAlias = Callable[[bytes, int], RealtimeModelEvent | None]
"""Returns the event of a frame, which has so many bytes, or None if that isn't known for sure."""

Readers: TypeAlias = dict[bytes, Reader | Literal[False]]
"""The readers of forms, by a part of their frames; False if frames like it are parsed."""


class Known:
    """
    The forms of all sessions.

    Attributes:
        readers: The reader of the last form of each head.
        shared: The heads that several types have, and the longer ones of each.
    """

    __slots__ = ("readers", "shared")

    def __init__(self) -> None:
        self.readers: Readers = {}
        self.shared: dict[bytes, slice] = {}


class Forms:
    """
    The forms that a session has had.

    Args:
        known: The forms of all sessions: this one has those, too.
        given: Type -> the reader of frames that aren't flat, but of one form.

    Attributes:
        head: The part of a frame that its form is found by.
        readers: The readers, by that part.
        shared: The heads that several types have, and the longer ones of each.
        final: The readers that stay, whether they take a frame or not.
    """

    __slots__ = ("_given", "_known", "_made", "final", "head", "readers", "shared")

    def __init__(self, known: Known, given: Mapping[str, Reader]) -> None:
        self.head = _TYPE_FIRST
        self.readers = known.readers.copy()
        self.shared = known.shared
        self._known = known
        self._given = given
        self.final: set[object] = {False, *given.values()}
        self._made: dict[bytes, tuple[str, int]] = {}  # the type, and the number of forms

    def learn(self, frame: bytes, data: dict[str, Any], make: Callable[..., object] | None) -> None:
        """
        Prepare for frames like this one, which no form has taken.

        Args:
            frame: A frame of a known type, without a name that comes twice.
            data: The same, parsed.
            make: The function of the decoder's table; None makes an Other event.
        """
        frame_type = data["type"]
        if not MIN_TYPE <= len(frame_type) <= _MAX_NAME:
            return
        self.head = _TYPE_FIRST if next(iter(data)) == "type" else _ID_FIRST
        has_spec = make is not None and spec_of(make) is not None
        is_nested = not _NESTED.isdisjoint(map(type, data.values()))
        is_flat = not is_nested and (make is None or has_spec)
        read = self._given.get(frame_type)
        if read is None and is_flat:
            read = _read_of(data, make)
        head = frame[self.head]
        of, made = self._made.get(head, (frame_type, 0))
        # One without a form must not keep others from theirs that may come.
        is_shared = of != frame_type or (read is None and b'"%b"' % frame_type.encode() not in head)
        if is_shared and head not in self.shared and len(self.shared) < _MAX_HEADS:
            longer = _TYPE_FIRST_LONGER if self.head is _TYPE_FIRST else _ID_FIRST_LONGER
            self.shared[head] = longer
            self._known.readers.pop(head, None)
        if head in self.shared:
            self.readers.pop(head, None)
            head = frame[self.shared[head]]
            _, made = self._made.get(head, (frame_type, 0))
        if made > _MAX_FORMS or (not made and len(self._made) >= _MAX_HEADS):
            return
        if read is not None and read is self.readers.get(head):
            return  # it is the right one, and couldn't be sure
        self._made[head] = frame_type, made + 1
        # That a frame isn't flat is a matter of its type; another reason, of a dialect. But one
        # with fields for a flat event has a nested one besides, which the next may not have.
        is_odd = is_nested and has_spec
        if made >= _MAX_FORMS or not is_odd:
            self.readers[head] = read if read is not None and made < _MAX_FORMS else False
        is_for_all = read is not None or not (is_flat or is_odd)
        known = self._known.readers
        if is_for_all and (head in known or len(known) < _MAX_HEADS):
            known[head] = read or False


def _read_of(data: dict[str, Any], make: Callable[..., object] | None) -> Reader | None:
    """Return the reader of flat frames like one with this data; None if there is none."""
    if len(data) > _MAX_FIELDS or not all(map(_is_plain, data)):
        return None
    fields = tuple([(name, type(value)) for name, value in data.items()])
    # Of longer numbers, no length is known without counting their digits.
    is_short = all(value in _DIGITS for value in data.values() if type(value) in _NUMBERS)
    return _reader(data["type"], fields, is_short, make)


# For all decoders: to make one takes as long as to decode a few hundred frames.
@functools.lru_cache(maxsize=256)
def _reader(
    frame_type: str,
    fields: tuple[tuple[str, type[Any]], ...],
    is_short: bool,
    make: Callable[..., object] | None,
) -> Reader | None:
    """Return the reader of frames with these fields, of these classes; None if there is none."""
    spec = None if make is None else spec_of(make)
    cls, kinds = (RealtimeModelOtherEvent, {}) if spec is None else spec
    given = dict(fields)
    declared = {
        name: Literal[frame_type] if name == "type" else _declared(value, kinds.get(name))
        for name, value in fields
    }
    missing = {name: kind for name, kind in kinds.items() if name not in given}
    if None in declared.values() or any(kind.is_required for kind in missing.values()):
        return None
    texts = [f"form.{name}" for name in declared if declared[name] is str]
    texts += [f"form.{name} or ''" for name in declared if declared[name] == str | None]
    event_names, lines, scope = construction(
        cls, late=frame_of if make is None else None, is_marked=make is None
    )
    body = [
        "try:",
        "    form = decode(frame)",
        "except (ValueError, RecursionError):",
        "    return None",
        *([f"if {_is_longer(frame_type, declared)}:"] if is_short else ["if True:"]),
        f"    if not has_pairs(frame, {len(given)}, {', '.join(texts)}):",
        "        return None",
        *(f"{name} = form.{name}" for name in kinds if name in given),
        *(f"{name} = {kind.read({}, name)!r}" for name, kind in missing.items()),
        *([f"{event_names[0]} = frame"] if make is None else ()),
        *lines,
    ]
    struct = msgspec.defstruct("Form", list(declared.items()), gc=False)
    scope.update(decode=msgspec.json.Decoder(struct).decode, has_pairs=has_pairs)
    read: Reader = compiled("read", "frame, size, /", body, scope)
    return read


def _is_plain(name: str) -> bool:
    is_name = len(name) <= _MAX_NAME and name.isascii() and name.isidentifier()
    return is_name and name[0] != "_" and not keyword.iskeyword(name)


def _declared(value: type[Any], kind: Kind | None) -> Any:
    """Return the types of a field with a value of that class; None if it makes no form."""
    if kind is not None:
        return kind.declared
    return {str: str, int: int, float: float, bool: bool, type(None): str | None}.get(value)


def _is_longer(frame_type: str, declared: Mapping[str, Any]) -> str:
    """Return the condition, in Python, that a frame is longer than its values make it."""
    shortest = 1 + len(frame_type)  # braces, and a comma for each field but one
    values = []
    for name, types in declared.items():
        shortest += len(name) + len('"":,')
        if types == str | None:
            values.append(f"(4 if form.{name} is None else len(form.{name}) + 2)")
        elif types is str:
            shortest += 2
            values.append(f"len(form.{name})")
        elif name == "type":
            shortest += 2
        else:
            shortest += 4 if types is bool else 1
    return f"size != {' + '.join([str(shortest), *values])}"

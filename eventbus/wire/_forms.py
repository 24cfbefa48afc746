"""
Reads plain frames by their form: the names of their fields, and the kinds of their values.

The values of a plain frame are strings, numbers and the like, or objects with such values.

Rules
-----

* A form takes a frame only if the event that it makes is the one that parsing the frame would
  give; it leaves all other frames alone. It never reports an error.

Theory of operation
-------------------

Frames of one type have the same fields, session after session. So one is parsed, and for its form
a struct is declared that has these fields and no others, and one for each object in it. msgspec
reads the next frame into these, which takes two thirds of the time of a dict, and checks the kinds
of the values on the way.

It skips a field that isn't declared, and of one that comes twice it keeps the last value. But
each pair that a frame has besides makes it longer. As each field is there at least once, the
frame is at least as long as names, punctuation and the values that were read, with nothing
escaped and no spaces. If it is exactly as long, then there is nothing else in it. If it is longer,
because of spaces, escapes or a letter of two bytes, then colons decide, as in `_strict`.

A form is found by a few bytes of a frame, the head, which hold most of its type and no id. Where a
session has an id before the type, as in Voice Live, these bytes are further behind; ids of other
lengths make for a form each. Types that are alike so far are found by a longer head, as soon as
there are two of them. A type that is shorter than `MIN_TYPE` makes no form, as its head has an id;
a reader that is given for such a type is found by a shorter head, where a frame's type is first.
"""

from __future__ import annotations

import functools
import keyword
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from .._fast_init import compiled, construction
from ..events import RealtimeModelEvent, RealtimeModelOtherEvent
from ._flat import Kind, Spec, spec_of
from ._frames import frame_of
from ._strict import has_pairs

_TYPE_FIRST: Final = slice(44)
_ID_FIRST: Final = slice(41, 41 + 44)  # behind '{"event_id":"event_' and 22 characters
_TYPE_FIRST_LONGER: Final = slice(44 + 14)
_ID_FIRST_LONGER: Final = slice(41, 41 + 44 + 14)

SHORT_HEAD: Final = slice(27)
"""The part of a frame in which types are told apart that are too short for a form."""

MIN_TYPE: Final = 21
"""The length of a type from which on no id is in the head, nor in a longer one."""

_MAX_NAME: Final = 80

_MAX_HEADS: Final = 128
_MAX_FORMS: Final = 3
"""Forms that a session tries for one head, one after the other."""

_MAX_FIELDS: Final = 16
_MAX_LEVELS: Final = 3
_DIGITS: Final = frozenset(range(10))
_TYPES: Final = {str: str, int: int, float: float, bool: bool, type(None): str | None}

_COLON: Final = ord(":")

Reader: TypeAlias = Callable[
    [bytes, int, Any], RealtimeModelEvent | tuple[RealtimeModelEvent, ...] | None
]
"""
Returns the meaning of a frame, which has so many bytes, in a session with that state, or None if
that isn't known for sure.
"""

Readers: TypeAlias = dict[bytes, Reader | Literal[False]]
"""The readers of forms, by a part of their frames; False if frames like it are parsed."""


class Known:
    """
    The forms of all sessions.

    Args:
        given: Type -> the reader of frames of one form, which need not be plain.

    Attributes:
        given: As above.
        readers: The reader of the last form of each head.
        shared: The heads that several types have, and the longer ones of each.
    """

    __slots__ = ("given", "readers", "shared")

    def __init__(self, given: Mapping[str, Reader]) -> None:
        self.given = given
        self.readers: Readers = {
            (b'{"type":"%b","event_id":' % name.encode())[SHORT_HEAD]: read
            for name, read in given.items()
            if len(name) < MIN_TYPE
        }
        self.shared: dict[bytes, slice] = {}


class Forms:
    """
    The forms that a session has had.

    Args:
        known: The forms of all sessions: this one has those, too.

    Attributes:
        head: The part of a frame that its form is found by.
        readers: The readers, by that part.
        shared: The heads that several types have, and the longer ones of each.
        final: The readers that stay, whether they take a frame or not.
    """

    __slots__ = ("_known", "_made", "final", "head", "readers", "shared")

    def __init__(self, known: Known) -> None:
        self.head = _TYPE_FIRST
        self.readers = known.readers.copy()
        self.shared = known.shared
        self._known = known
        self.final: set[object] = {False, *known.given.values()}
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
        fields = _fields_of(data)
        may_have_form = fields is not None and (make is None or has_spec)
        read = self._known.given.get(frame_type)
        if read is None and fields is not None and may_have_form:
            read = _read_of(fields, data, make)
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
        # That a frame isn't plain is a matter of its type; another reason, of a dialect. But one
        # with fields for a flat event has an odd one besides, which the next may not have.
        is_odd = fields is None and has_spec
        if made >= _MAX_FORMS or not is_odd:
            self.readers[head] = read if read is not None and made < _MAX_FORMS else False
        is_for_all = read is not None or not (may_have_form or is_odd)
        known = self._known.readers
        if is_for_all and (head in known or len(known) < _MAX_HEADS):
            known[head] = read or False


def reader_like(frame: dict[str, Any]) -> Reader:
    """Return the reader of frames that have the fields of this one, and mean an Other event."""
    fields = _fields_of(frame)
    read = None if fields is None else _read_of(fields, frame, None)
    assert read is not None, frame
    return read


_Fields: TypeAlias = "tuple[tuple[str, type[Any] | _Fields], ...]"
"""Names, and the class of each value, or the fields of an object."""

_Declared: TypeAlias = "dict[str, Any | _Declared]"
"""Names, and the types of the values, or the fields of an object."""


def _fields_of(data: dict[str, Any], levels: int = _MAX_LEVELS) -> _Fields | None:
    """Return the fields of plain data; None if they aren't that."""
    fields: list[tuple[str, type[Any] | _Fields]] = []
    for name, value in data.items():
        kind: type[Any] | _Fields | None = type(value)
        if kind is dict and levels > 1:
            kind = _fields_of(value, levels - 1)
        if kind is None or kind is dict or kind is list:
            return None
        fields.append((name, kind))
    return tuple(fields)


def _read_of(
    fields: _Fields, data: dict[str, Any], make: Callable[..., object] | None
) -> Reader | None:
    """Return the reader of plain frames like one with this data; None if there is none."""
    names = list(_names_in(fields))
    if len(names) > _MAX_FIELDS or not all(map(_is_plain, names)):
        return None
    return _reader(data["type"], fields, _is_short(data), make)


# For all decoders: to make one takes as long as to decode a few hundred frames.
@functools.lru_cache(maxsize=256)
def _reader(
    frame_type: str, fields: _Fields, is_short: bool, make: Callable[..., object] | None
) -> Reader | None:
    """Return the reader of frames with these fields, of these classes; None if there is none."""
    spec = None if make is None else spec_of(make)
    cls, kinds, without, then = Spec(RealtimeModelOtherEvent, {}) if spec is None else spec
    declared = _declared(fields, kinds)
    missing = {name: kind for name, kind in kinds.items() if name not in declared}
    if without in declared or any(kind.is_required for kind in missing.values()):
        return None
    declared["type"] = Literal[frame_type]
    values = list(_values(declared))
    if any(types is None for _, _, types in values):
        return None
    texts = [at for at, _, types in values if types is str]
    texts += [f"{at} or ''" for at, _, types in values if types == str | None]
    event_names, lines, scope = construction(
        cls, late=frame_of if make is None else None, is_marked=make is None
    )
    has_more = f"frame.count({_COLON}) != {len(values)}"
    body = [
        "try:",
        "    form = decode(frame)",
        "except (ValueError, RecursionError):",
        "    return None",
        f"if {_is_longer(frame_type, values) if is_short else has_more}:",
        f"    if not has_pairs(frame, {len(values)}, {', '.join(texts)}):",
        "        return None",
        *(f"{name} = form.{name}" for name in kinds if name in declared),
        *(f"{name} = {kind.read({}, name)!r}" for name, kind in missing.items()),
        *([f"{event_names[0]} = frame"] if make is None else ()),
        *lines[:-1],
        lines[-1] if then is None else "return then(session, made)",
    ]
    decode = msgspec.json.Decoder(_struct(declared)).decode
    scope.update(decode=decode, has_pairs=has_pairs, then=then)
    read: Reader = compiled("read", "frame, size, session, /", body, scope)
    return read


def _names_in(fields: _Fields) -> Iterator[str]:
    for name, value in fields:
        yield name
        if isinstance(value, tuple):
            yield from _names_in(value)


def _is_plain(name: str) -> bool:
    is_name = len(name) <= _MAX_NAME and name.isascii() and name.isidentifier()
    return is_name and name[0] != "_" and not keyword.iskeyword(name)


def _is_short(data: dict[str, Any]) -> bool:
    """Return whether all numbers are digits: without counting them, longer ones have no length."""
    return all(
        _is_short(value) if type(value) is dict else value in _DIGITS
        for value in data.values()
        if type(value) in (int, float, dict)
    )


def _declared(fields: _Fields, kinds: Mapping[str, Kind]) -> _Declared:
    """Return the types of fields with values of these classes; None for one that makes no form."""
    declared: _Declared = {}
    for name, value in fields:
        if name in kinds:
            declared[name] = kinds[name].declared
        else:
            declared[name] = _declared(value, {}) if isinstance(value, tuple) else _TYPES.get(value)
    return declared


def _struct(declared: _Declared) -> type[msgspec.Struct]:
    fields = [
        (name, _struct(types) if isinstance(types, dict) else types)
        for name, types in declared.items()
    ]
    return msgspec.defstruct("Form", fields, gc=False)


def _values(declared: _Declared, path: str = "form") -> Iterator[tuple[str, str, Any]]:
    """Yield the place in a struct, the name and the types of each field, at any level."""
    for name, types in declared.items():
        yield f"{path}.{name}", name, types
        if isinstance(types, dict):
            yield from _values(types, f"{path}.{name}")


def _is_longer(frame_type: str, values: Iterable[tuple[str, str, Any]]) -> str:
    """Return the condition, in Python, that a frame is longer than its values make it."""
    shortest = 1  # braces, and a comma for each field but one
    lengths = []
    for at, name, types in values:
        shortest += len(name) + len('"":,')
        if at == "form.type":
            shortest += len(frame_type) + 2
        elif types == str | None:
            lengths.append(f"(4 if {at} is None else len({at}) + 2)")
        elif types is str:
            shortest += 2
            lengths.append(f"len({at})")
        else:
            shortest += 4 if types is bool else 1  # of an object, as of the frame
    return f"size != {' + '.join([str(shortest), *lengths])}"

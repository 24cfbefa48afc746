"""
A service's frames as read-only mappings, parsed when they are first used.

Every frame becomes a raw event, and most raw events have no handler. So a
`Frame` keeps the bytes and parses them when it is first used, and events with a
frame or a part of one for a field make that when it is first read.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar

import msgspec

from .._event_base import LATE_VALUES
from ..events import RealtimeModelRawServerEvent
from ._names import frame_name

_KT = TypeVar("_KT")
_VT = TypeVar("_VT")

_decode = msgspec.json.Decoder().decode


def _refuse(self: object, *_args: object, **_kwargs: object) -> NoReturn:
    msg = f"{type(self).__name__} is read-only; change a copy: dict(data) or list(data)."
    raise TypeError(msg)


class ReadOnlyDict(dict[_KT, _VT]):
    """A dict that can't be changed: one event is seen by many handlers."""

    __slots__ = ()

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __copy__(self) -> ReadOnlyDict[_KT, _VT]:
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> ReadOnlyDict[_KT, _VT]:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


class ReadOnlyList(list[_VT]):
    """A list that can't be changed: one event is seen by many handlers."""

    __slots__ = ()

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = pop = remove = _refuse
    clear = sort = reverse = _refuse

    def __copy__(self) -> ReadOnlyList[_VT]:
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> ReadOnlyList[_VT]:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self),)


_set_item = dict.__setitem__


def freeze(value: Any) -> Any:
    """Return a copy of plain JSON data in which every dict and list is read-only."""
    if type(value) is dict:
        frozen = ReadOnlyDict(value)
        for name, each in value.items():
            if type(each) is dict or type(each) is list:
                _set_item(frozen, name, freeze(each))
        return frozen
    if type(value) is list:
        return ReadOnlyList([freeze(e) if type(e) is dict or type(e) is list else e for e in value])
    return value


class Frame(Mapping[str, Any]):
    """
    A vendor's frame, which is a JSON object, as a read-only mapping.

    Nested values are dicts and lists that refuse to be changed. A frame
    equals the dict with its content, and can be copied and pickled.

    Args:
        raw: The frame as it came, UTF-8. Of a name that comes twice, the last one counts.
    """

    # _data is unset until the frame is first used.
    __slots__ = ("_data", "_raw")

    _data: ReadOnlyDict[str, Any]
    _raw: bytes

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    @property
    def raw(self) -> bytes:
        """The frame as it came."""
        return self._raw

    def _parsed(self) -> ReadOnlyDict[str, Any]:
        try:
            return self._data
        except AttributeError:
            self._data = freeze(_decode(self._raw))
            return self._data

    def __getitem__(self, name: str) -> Any:
        return self._parsed()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())

    def __contains__(self, name: object) -> bool:
        return name in self._parsed()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Frame):
            return self._raw == other._raw or self._parsed() == other._parsed()
        if isinstance(other, Mapping):
            return self._parsed() == (other if isinstance(other, dict) else dict(other))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal to dicts, which have none either

    def __repr__(self) -> str:
        return f"<Frame {frame_name(self)!r}, {len(self._raw)} bytes>"

    def __copy__(self) -> Frame:
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> Frame:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Frame, (self._raw,)


_new: Callable[[type[Frame]], Frame] = object.__new__


def frame_of(raw: bytes) -> Frame:
    """Return ``Frame(raw)``, without the cost of calling an abstract class."""
    frame = _new(Frame)
    frame._raw = raw  # noqa: SLF001  # its second constructor
    return frame


LATE_VALUES.update(
    {
        bytes: frame_of,
        dict: freeze,
        list: freeze,
        RealtimeModelRawServerEvent: operator.attrgetter("data"),
    }
)

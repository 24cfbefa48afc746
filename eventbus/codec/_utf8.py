"""
The place of the first byte that isn't UTF-8, in JSON and in MessagePack.

msgspec tells it in some versions only, and then counted from the start of the string.
"""

from __future__ import annotations

from collections.abc import Iterator

# First byte -> the bytes of the length, and the bytes besides that length.
_SIZED = {
    **{0xC4 + power: (1 << power, 0) for power in range(3)},  # bin 8, 16, 32
    **{0xC7 + power: (1 << power, 1) for power in range(3)},  # ext 8, 16, 32, with their type
    **{0xD9 + power: (1 << power, 0) for power in range(3)},  # str 8, 16, 32
}
_STRINGS = frozenset({*range(0xA0, 0xC0), 0xD9, 0xDA, 0xDB})
# First byte -> the bytes that follow: numbers, fixed exts, and the sizes of arrays and maps,
# whose members are values like those before them.
_FIXED = {
    **{0xCC + power: 1 << power for power in range(4)},  # uint 8 to 64
    **{0xD0 + power: 1 << power for power in range(4)},  # int 8 to 64
    **{0xD4 + power: (1 << power) + 1 for power in range(5)},  # fixext 1 to 16
    0xCA: 4,
    0xCB: 8,
    0xDC: 2,
    0xDD: 4,
    0xDE: 2,
    0xDF: 4,
}


def utf8_error_in_json(data: bytes) -> tuple[str, int] | None:
    """Return the reason and the offset of the first byte that isn't UTF-8, if there is one."""
    return _error(data, 0)


def utf8_error_in_msgpack(data: bytes) -> tuple[str, int] | None:
    """Return the same for the strings of a MessagePack document, up to where it is cut short."""
    for start, end in _strings(data):
        error = _error(data[start:end], start)
        if error is not None:
            return error
    return None


def _error(text: bytes, start: int) -> tuple[str, int] | None:
    try:
        text.decode()
    except UnicodeDecodeError as exc:
        return exc.reason, start + exc.start
    return None


def _strings(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each string."""
    at = 0
    while at < len(data):
        first = data[at]
        at += 1
        if first in _SIZED:
            width, more = _SIZED[first]
            size = int.from_bytes(data[at : at + width], "big") + more
            at += width
        elif 0xA0 <= first <= 0xBF:
            size = first - 0xA0
        else:
            size = _FIXED.get(first, 0)
        if first in _STRINGS and at + size <= len(data):
            yield at, at + size
        at += size

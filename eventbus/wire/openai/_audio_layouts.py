r"""
A shortcut for frames of audio: they are compared with the one before, not parsed.

Rules
-----

A layout takes a frame only if the event that it makes is the one that parsing the frame would
give; it leaves all other frames alone. It never reports an error.

Theory of operation
-------------------

Consecutive audio frames of one item are the same bytes, except for the event's id, the audio
itself and, in some dialects, times and measurements behind it::

    {"type":"response.output_audio.delta","event_id":"event_B9",...,"delta":"AAAA","ts":17}
    --------------------- head ----------------------~~~~~~~~---- middle ----~~~~---- tail ---

So one frame is parsed, and `AudioLayout` remembers its parts. In the next frame, head and middle
must be there byte for byte. The id between them is letters, digits, dashes and underscores, so
it stays one JSON string. The audio is decoded as strict base64, which has no quote and no
backslash, so it is one JSON string too. The tail must be the same bytes, or match a pattern: the
same names in the same order, with values of the same kind that can't contain a quote. Fields
that the event is made of are part of the pattern with their values.

Some services leave out a field of the tail now and then. Therefore two patterns become one if the
fields of one are among those of the other: in it, the rest are optional. The last patterns of all
sessions are kept, since it takes less time to find one that fits than to make it. One that has
names which are in front of the audio already is not taken: they could come twice.

A decoder keeps a few layouts, and makes a few for one item. If frames of the item still don't fit,
they are parsed: to make a layout for every frame would cost more.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import pybase64

from ..._fast_init import constructor
from ...events import RealtimeModelAudioEvent

MAX_LAYOUTS: Final = 3
"""Layouts that are made for one item, and that are kept."""

_MAX_PLACES: Final = 64
_MAX_PATTERNS: Final = 8
_MAX_PAIRS: Final = 16
_MAX_TAIL: Final = 512  # bytes: making a pattern takes a hundred times as long as parsing
_QUOTE, _COLON = b'":'  # numbers: bytes are searched for one in half the time

_b64decode = pybase64.b64decode
_new_audio = constructor(RealtimeModelAudioEvent)

# Names of fields that every frame of an item has in common.
_CONSTANT: Final = frozenset({b"type", b"response_id", b"item_id", b"content_index"})

# Values whose end is found without a parser; only numbers that every parser accepts.
_STRING: Final = rb'"[ !#-\[\]-~]*+"'
_NUMBER: Final = rb"-?+(?:0|[1-9][0-9]{0,17}+)(?:\.[0-9]{1,17}+)?+"
_PAIR: Final = re.compile(rb'"(\w++)"(\s*+:\s*+)(?:(%s)|(%s)|(null))' % (_STRING, _NUMBER))


class AudioLayout(NamedTuple):
    """
    The form of the audio frames of one item.

    Attributes:
        id_at: The place of the event's id, behind the head.
        middle_at: The place of the middle, if the id is as long as before.
        audio_at: The place of the audio, behind the middle.
        matches_tail: Returns whether a frame has such a tail from a place on; None if all are
            equal.
        response_id, item_id, content_index: The values in all of them.
        place: Item, content index and response.
    """

    id_at: int
    middle_at: int
    audio_at: int
    head: bytes
    middle: bytes
    tail: bytes
    matches_tail: Callable[[bytes, int], object] | None
    response_id: str
    item_id: str
    content_index: int
    place: tuple[str, int, str]

    @classmethod
    def of(
        cls, frame: bytes, data: Mapping[str, Any], event: RealtimeModelAudioEvent
    ) -> AudioLayout | None:
        """Return the layout of a *frame* that has *data* and means *event*, if it has one."""
        # Without a backslash, every quote begins or ends a string, and in a flat object
        # `"delta":"` can only be that field and the beginning of its value.
        if b"\\" in frame or any(isinstance(each, (dict, list)) for each in data.values()):
            return None
        event_id = _span(frame, b"event_id")
        audio = _span(frame, b"delta")
        if event_id is None or audio is None or event_id[1] > audio[0]:
            return None
        # "event_" is the same every time.
        id_at, middle_at = frame.rfind(b"_", *event_id) + 1 or event_id[0], event_id[1]
        audio_at, tail_at = audio
        tail = frame[tail_at:]
        return cls(
            id_at,
            middle_at,
            audio_at,
            frame[:id_at],
            frame[middle_at:audio_at],
            tail,
            _tails.matcher_for(tail, data),
            event.response_id,
            event.item_id,
            event.content_index,
            (event.item_id, event.content_index, event.response_id),
        )


class AudioLayouts:
    """
    The layouts of a session, the last used one first.

    Attributes:
        last_audio:
            Item, content index and response of the last audio since speech began; the response
            is None when it is over. None if there was no audio.
    """

    __slots__ = ("_layouts", "_made", "last_audio")

    def __init__(self) -> None:
        self.last_audio: tuple[str, int, str | None] | None = None
        # As plain tuples, which are unpacked in half the time.
        self._layouts: list[tuple[Any, ...]] = []
        # Response, item and content index -> layouts that were made for them.
        self._made: dict[tuple[str, str, int], int] = {}

    # One function, with the parts of a layout in local variables: each call and each attribute
    # would be a twentieth of the time.
    def event_in(self, frame: bytes) -> RealtimeModelAudioEvent | None:
        """Return the event of a *frame* of one of the layouts, else None."""
        layouts = self._layouts
        for layout in layouts:
            (
                id_at, middle_at, start, head, middle, tail, matches_tail,
                response_id, item_id, content_index, place,
            ) = layout  # fmt: skip
            if frame[middle_at:start] != middle:  # the id may have another length
                middle_at = frame.find(_QUOTE, id_at)
                start = middle_at + len(middle)
                if frame[middle_at:start] != middle:
                    continue
            if frame[:id_at] != head:
                continue
            event_id = frame[id_at:middle_at]
            if not event_id.isalnum() and not event_id.translate(None, b"-_").isalnum():
                continue
            end = len(frame) - len(tail)
            if end < start or frame[end:] != tail:
                end = frame.find(_QUOTE, start)
                if end < 0 or matches_tail is None or not matches_tail(frame, end):
                    continue
            try:
                audio = _b64decode(frame[start:end], None, True)
            except ValueError:
                continue
            if layout is not layouts[0]:
                layouts.remove(layout)
                layouts.insert(0, layout)
            self.last_audio = place
            return _new_audio(audio, response_id, item_id, content_index)
        return None

    def learn(self, frame: bytes, data: Mapping[str, Any], event: RealtimeModelAudioEvent) -> None:
        """Add the layout of a *frame* that has *data* and means *event*."""
        place = event.response_id, event.item_id, event.content_index
        made = self._made.pop(place, 0)
        self._made[place] = made + 1  # the last one again
        if made >= MAX_LAYOUTS:
            return
        if len(self._made) > _MAX_PLACES:
            del self._made[next(iter(self._made))]
        layout = AudioLayout.of(frame, data, event)
        if layout is not None:
            self.add(layout)

    def add(self, layout: AudioLayout) -> None:
        """Try *layout* first, and forget one that was used longer ago."""
        self._layouts.insert(0, tuple(layout))
        del self._layouts[MAX_LAYOUTS:]

    def forget(self) -> None:
        """Take no frame until the next one has been parsed."""
        self._layouts.clear()
        self._made.clear()


def _span(frame: bytes, name: bytes) -> tuple[int, int] | None:
    """Return the start and the end of the string that is the value of a field."""
    for colon in (b'":"', b'": "'):
        key = b'"' + name + colon
        at = frame.find(key)
        if at >= 0:
            start = at + len(key)
            return start, frame.index(b'"', start)
    return None


class _Pattern(NamedTuple):
    """
    A pattern of tails.

    Attributes:
        matches: Returns whether a frame has such a tail from a place on.
        pairs: Its fields, with placeholders, each with its comma.
        names: Their names.
    """

    matches: Callable[..., object]
    pairs: tuple[bytes, ...]
    names: frozenset[str]


class _Tails:
    """The patterns of the tails that there have been in any session, the last one first."""

    def __init__(self) -> None:
        self._patterns: tuple[_Pattern, ...] = ()  # changed in one step: sessions have threads

    def matcher_for(self, tail: bytes, data: Mapping[str, Any]) -> Callable[..., object] | None:
        """Return the function that matches tails like that of a frame; None if all are equal."""
        if _COLON not in tail or len(tail) > _MAX_TAIL:
            return None
        before = list(data)
        del before[before.index("delta") :]
        for pattern in self._patterns:
            if pattern.matches(tail) and pattern.names.isdisjoint(before):
                return pattern.matches
        pairs = _pairs_of(tail)
        if not pairs:
            return _matcher_of(_PAIR.sub(_with_placeholder, tail))
        others = self._patterns
        for pattern in others:
            joined = _joined(pattern.pairs, pairs)
            if joined is not None and pattern.names.isdisjoint(before):
                others = tuple(other for other in others if other is not pattern)
                pairs = joined
                break
        matches = _matcher_of(_tail_of(pairs))
        if matches is not None and len(pairs) <= _MAX_PAIRS:
            names = frozenset([pair.split(b'"')[1].decode() for pair in pairs])
            self._patterns = (_Pattern(matches, pairs, names), *others)[:_MAX_PATTERNS]
        return matches


_tails: Final = _Tails()


def _pairs_of(tail: bytes) -> tuple[bytes, ...]:
    """Return the fields of a tail with placeholders, each with its comma; none if one has none."""
    found = list(_PAIR.finditer(tail))
    if not found:
        return ()
    comma = tail[1 : found[0].start()]
    if tail != _tail_of([comma + pair[0] for pair in found]):
        return ()
    return tuple([comma + _with_placeholder(pair) for pair in found])


def _tail_of(pairs: Iterable[bytes]) -> bytes:
    return b'"%b}' % b"".join(pairs)


def _joined(first: tuple[bytes, ...], second: tuple[bytes, ...]) -> tuple[bytes, ...] | None:
    """
    Return the fields of both, if all of one are in the other, in the same order.

    None if one with a value of the event's would become optional: without it, there is another one.
    """
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    bare = [pair.strip(_BRACKETS) for pair in longer]
    others = [pair.strip(_BRACKETS) for pair in shorter]
    if [pair for pair in bare if pair in others] != others:
        return None
    if not all(pair.endswith(_PLACEHOLDERS) for pair in bare if pair not in others):
        return None
    return tuple(
        each if pair in shorter else _OPTIONAL % each
        for pair, each in zip(longer, bare, strict=True)
    )


def _with_placeholder(pair: re.Match[bytes]) -> bytes:
    """Return a field of the tail with a placeholder for a value that may be another one."""
    name, colon, string, number, _ = pair.groups()
    if name in _CONSTANT:
        return pair[0]
    return b'"%b"%b%b' % (name, colon, _A_STRING if string else _A_NUMBER if number else _A_NULL)


# Control characters, which JSON doesn't have.
_A_STRING: Final = b"\0"
_A_NUMBER: Final = b"\1"
_A_NULL: Final = b"\2"
_PLACEHOLDERS: Final = (_A_STRING, _A_NUMBER, _A_NULL)
_OPTIONAL: Final = b"\3%b\4"
_BRACKETS: Final = b"\3\4"


# Most items of a dialect have tails that differ in these values only.
@functools.lru_cache(maxsize=64)
def _matcher_of(tail: bytes) -> Callable[[bytes, int], object] | None:
    pattern = (
        re.escape(tail)
        .replace(_A_STRING, _STRING)
        .replace(_A_NUMBER, _NUMBER)
        .replace(_A_NULL, rb"(?:null|%b)" % _STRING)
        .replace(_BRACKETS[:1], b"(?:")
        .replace(_BRACKETS[1:], b")?+")
    )
    return None if pattern == re.escape(tail) else re.compile(pattern).fullmatch

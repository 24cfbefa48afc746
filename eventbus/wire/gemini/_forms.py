r"""
Reads frames that are like one before, but for one text.

Rules
-----

* A form takes a frame only if its meaning is the one that parsing the frame would give, and leaves
  all other frames alone. It never reports an error.

Theory of operation
-------------------

Frames with one field are the same bytes in all sessions, except for a text::

    {"serverContent":{"outputTranscription":{"text":" is ready at 3:30."}}}

So one is parsed, and its head and its tail are remembered. If the next frame has them, and between
them is one string of JSON, then it has the same fields, none of them twice. A frame without such a
text, like the end of a turn, must be there byte for byte, and isn't parsed at all.

Forms are found by the first bytes of a frame, `HEAD`, which differ from field to field; those that
have the same are tried one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from .._frame_decoder import Meaning
from ._around import around
from ._session import GeminiSession

HEAD: Final = slice(40)
"""The part of a frame that its form is found by."""

_MAX_HEADS: Final = 64
_MAX_FORMS: Final = 4
"""Forms with the same head; the oldest one makes room."""

_MAX_BYTES: Final = 256
"""The length of a frame, without its text, up to which it makes a form."""

Reader: TypeAlias = Callable[[GeminiSession, bytes], Meaning | None]
"""Returns the meaning of a frame, or None if it ends in another way."""

ReadText: TypeAlias = Callable[[GeminiSession, str, bytes], Meaning]
"""Returns the meaning of a frame with that text; it may need the frame for an Other event."""

_decode_text: Final = msgspec.json.Decoder(str).decode


class Forms:
    """
    The forms that there have been in any session.

    Attributes:
        found: For the first bytes of frames, the forms with these, the latest first: the number of
            the bytes before the text, these bytes, and the reader of frames that begin with them.
    """

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: dict[bytes, tuple[tuple[int, bytes, Reader], ...]] = {}

    def learn_same(self, frame: bytes, read: Callable[[GeminiSession], Meaning]) -> None:
        """Let *read* return the meaning of frames that are the same as this one."""
        size = len(frame)

        def read_same(session: GeminiSession, other: bytes) -> Meaning | None:
            return read(session) if len(other) == size else None

        if size <= _MAX_BYTES:
            self._add(frame, read_same)

    def learn_text(self, frame: bytes, name: str, text: str, read: ReadText) -> None:
        """
        Let *read* return the meaning of frames like this one.

        Args:
            name: The name of the field with the text.
            text: The text in this frame.
        """
        both = around(frame, name, text)
        if both is None or len(both[0]) + len(both[1]) > _MAX_BYTES:
            return
        head, tail = both
        quote, tail_size = len(head) - 1, len(tail)

        def read_text(session: GeminiSession, other: bytes) -> Meaning | None:
            end = len(other) - tail_size
            if other[end:] != tail:
                return None
            try:
                words = _decode_text(other[quote : end + 1])
            except ValueError:
                return None
            return read(session, words, other)

        if len(head) >= HEAD.stop:  # else the text is in the part that forms are found by
            self._add(head, read_text)

    def _add(self, head: bytes, read: Reader) -> None:
        known = self.found.get(head[HEAD], ())
        if known or len(self.found) < _MAX_HEADS:
            self.found[head[HEAD]] = ((len(head), head, read), *known)[:_MAX_FORMS]

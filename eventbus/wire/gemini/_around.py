"""
Finds a text in a frame, so that frames with the same bytes around another text can be told.
"""

from __future__ import annotations

import re


def around(frame: bytes, name: str, text: str) -> tuple[bytes, bytes] | None:
    """
    Return the bytes before and behind a text, with its quotes; None if it isn't to be found.

    Args:
        frame: A frame that can be parsed.
        name: The name of the field with the text, in some object of the frame.
        text: The text.
    """
    # A name or a value that is spelled with an escape could be another one's twin.
    quoted = f'"{name}"'.encode()
    if b"\\" in frame or frame.count(quoted) != 1:
        return None
    found = re.search(quoted + rb'\s*+:\s*+"', frame)
    if found is None:
        return None
    start = found.end()
    end = frame.find(b'"', start)
    return (frame[:start], frame[end:]) if frame[start:end] == text.encode() else None

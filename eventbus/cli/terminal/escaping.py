"""
What may be shown of a text that comes from anybody.
"""

from __future__ import annotations

__all__ = ["printable", "printable_json"]


def printable(text: str) -> str:
    """Return *text* with control characters escaped: a terminal would obey them."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_json(text: str) -> str:
    """
    Return a line of JSON with what isn't printable escaped: it says the same.

    JSON itself escapes no more than the first 32 characters. Terminals obey U+009B as well, readers
    may end a line at U+2028, and half a surrogate pair can't be written in UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))

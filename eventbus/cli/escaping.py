"""
What may be shown of a text that comes from anybody.
"""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """Return *text* with control characters escaped: a terminal would obey them."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

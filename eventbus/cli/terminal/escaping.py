"""
Escaping of text from outside, before it is shown.
"""

from __future__ import annotations

from typing import Final

# Joiners: without them, words of Persian and of Indic languages, and some emoji, fall apart. The
# spaces are the typographic ones that transcripts have. None of them can reorder or hide text.
_HARMLESS: Final = frozenset("\u200c\u200d\u00a0\u2002\u2003\u2009\u202f\u3000")


def printable(text: str) -> str:
    """
    Return *text* with control characters escaped, which a terminal would obey.

    Bidirectional controls are among them: they make a line look as if it said something else.
    """
    if text.isprintable():
        return text
    return "".join(c if _is_harmless(c) else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines with control characters escaped, line ends and tabs apart."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def printable_json(text: str) -> str:
    """
    Return a line of JSON with control characters escaped; it stands for the same value.

    JSON itself escapes no more than the first 32 characters. Terminals obey U+009B as well, readers
    may end a line at U+2028, and half a surrogate pair can't be written in UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(c if _is_harmless(c) else _escape(c) for c in text)


def _is_harmless(character: str) -> bool:
    return character.isprintable() or character in _HARMLESS


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))

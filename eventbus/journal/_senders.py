"""
Names for senders: what a journal calls a session, which may be any object.
"""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any, Final

__all__ = ["SenderNames"]

_INT64: Final = 1 << 63


class SenderNames:
    """
    Names senders: strings and integers as they are, other objects by class and number.

    An object keeps its name as long as it lives, ``Session#1`` for the first of its class; no
    other one gets it.
    """

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._holders: dict[int, Any] = {}
        self._numbers: Counter[str] = Counter()

    def name(self, sender: Any) -> str | int | None:
        """Return what *sender* is called."""
        if sender is None or (type(sender) is str and sender.isascii()):
            return sender
        if isinstance(sender, str):
            return str(sender).encode(errors="backslashreplace").decode()
        if isinstance(sender, int):
            number = int(sender)
            return number if -_INT64 <= number < _INT64 else str(number)
        key = id(sender)
        name = self._names.get(key)
        return self._begin(key, sender) if name is None else name

    def _begin(self, key: int, sender: Any) -> str:
        label = type(sender).__qualname__
        self._numbers[label] += 1
        name = self._names[key] = f"{label}#{self._numbers[label]}"
        try:
            self._holders[key] = weakref.ref(sender, lambda _: self._forget(key))
        except TypeError:  # it can't be referred to weakly, and must not give its id to another
            self._holders[key] = sender
        return name

    def _forget(self, key: int) -> None:
        self._names.pop(key, None)
        self._holders.pop(key, None)

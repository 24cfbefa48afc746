"""
Failures that are raised later: those of a strict bus, and of full mailboxes.
"""

from __future__ import annotations

from typing import Final

_MAX_FAILURES: Final = 32


class Failures:
    """Failures to raise later: the first ones, since each keeps its event and frames alive."""

    __slots__ = ("_errors", "_more")

    def __init__(self) -> None:
        self._errors: list[BaseException] = []
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._errors)

    def append(self, error: BaseException) -> None:
        """Add one, or only count it."""
        if len(self._errors) < _MAX_FAILURES:
            self._errors.append(error)
        else:
            self._more += 1

    def move_to(self, other: Failures) -> None:
        """Add them to *other*, and be empty."""
        more = self._more
        for error in self.take():
            other.append(error)
        other._more += more  # another one of these

    def take(self) -> list[BaseException]:
        """Return them, and be empty."""
        errors, self._errors, self._more = self._errors, [], 0
        return errors

    def raise_all(self) -> None:
        """Raise the one error that there is, or a group of them; nothing if there is none."""
        more = self._more
        errors = self.take()
        if len(errors) == 1:
            raise errors[0]
        if errors:
            group = BaseExceptionGroup("handlers failed", errors)
            if more:
                group.add_note(f"{more} more failures were counted, and not kept.")
            raise group

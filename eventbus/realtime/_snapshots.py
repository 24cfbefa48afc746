"""
The history at one moment: a sequence that is made in no time, and a tuple once it is looked at.

While the model speaks, each word of the transcript changes one item of perhaps thousands, and
each change is an event that has the whole history. So a snapshot shares a tuple with those
before it, and has what differs from that tuple beside it, by place. Whoever looks at more than
one item of a snapshot has its own tuple made, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

from ..items import RealtimeItem

__all__ = ["HistorySnapshot", "as_history"]


class HistorySnapshot(Sequence[RealtimeItem]):
    """
    The items of a history at one moment; it equals the tuple of them.

    Args:
        base: The items as they were once.
        changed: Place -> the item that is there instead; neither changes afterwards.
    """

    __slots__ = ("_base", "_changed")

    def __init__(
        self, base: tuple[RealtimeItem, ...], changed: Mapping[int, RealtimeItem] | None = None
    ) -> None:
        self._base = base
        self._changed = changed or {}

    def items(self) -> tuple[RealtimeItem, ...]:
        """Return the items as a tuple."""
        base, changed = self._base, self._changed
        if changed:
            items = list(base)
            for place, item in changed.items():
                items[place] = item
            # In this order: another thread may look at it meanwhile.
            self._base = base = tuple(items)
            self._changed = {}
        return base

    @overload
    def __getitem__(self, index: int) -> RealtimeItem: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[RealtimeItem, ...]: ...
    def __getitem__(self, index: int | slice) -> RealtimeItem | tuple[RealtimeItem, ...]:
        if isinstance(index, slice):
            return self.items()[index]
        changed = self._changed  # before the base: items() changes them in the other order
        place = index + len(self._base) if index < 0 else index
        return changed[place] if place in changed else self._base[index]

    def __len__(self) -> int:
        return len(self._base)

    def __iter__(self) -> Iterator[RealtimeItem]:
        return iter(self.items())

    def __contains__(self, value: object) -> bool:
        return value in self.items()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, HistorySnapshot):
            return self.items() == other.items()
        if isinstance(other, (tuple, list)):
            return self.items() == tuple(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.items())

    def __repr__(self) -> str:
        return f"<HistorySnapshot of {len(self)} items>"

    def __reduce__(self) -> tuple[Any, ...]:
        return HistorySnapshot, (self.items(),)


def as_history(items: Iterable[RealtimeItem]) -> Sequence[RealtimeItem]:
    """Return *items* as what can't be changed: a snapshot as it is, anything else as a tuple."""
    return items if isinstance(items, HistorySnapshot) else tuple(items)

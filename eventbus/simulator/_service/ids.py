"""
Ids as the service's, but the same ones for the same seed.
"""

from __future__ import annotations

import random
from typing import Final

_LENGTH: Final = 21  # the service's; it has all letters, though, and this is hexadecimal


class Ids:
    """
    Makes the ids of one session; each kind has its own sequence.

    One more event changes no item's id, so a test may name an item.

    Args:
        seed: Equal seeds give equal ids.
    """

    def __init__(self, seed: int | str) -> None:
        self._seed = seed
        self._sources: dict[str, random.Random] = {}

    def new(self, kind: str) -> str:
        """Return a new id: *kind* ``item`` gives ``item_…``."""
        source = self._sources.get(kind)
        if source is None:
            # A string as the seed: random hashes it, so that near seeds have nothing in common.
            source = self._sources[kind] = random.Random(f"{kind}/{self._seed}")
        return f"{kind}_{source.getrandbits(4 * _LENGTH):0{_LENGTH}x}"

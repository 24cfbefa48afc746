"""
Signed 16-bit samples, and the little-endian bytes that streams and files have.
"""

from __future__ import annotations

import array
import sys
from typing import Final, TypeAlias

__all__ = ["RATE", "Samples", "samples_of", "to_bytes"]

Samples: TypeAlias = "array.array[int]"
"""Signed 16-bit samples of one channel."""

RATE: Final = 24_000
"""Samples per second of the PCM that sessions use by default."""


def samples_of(data: bytes) -> Samples:
    """Return the samples in *data*, which is signed 16-bit little-endian."""
    samples = array.array("h", data)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def to_bytes(samples: Samples) -> bytes:
    """Return *samples* as signed 16-bit little-endian."""
    if sys.byteorder == "big":
        samples = samples[:]
        samples.byteswap()
    return samples.tobytes()

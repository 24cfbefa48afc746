"""
Audio: formats and G.711, WAV files, resampling, microphone and loudspeaker.

`Microphone` and `Loudspeaker` of `eventbus.audio.devices` can be imported from here, too. They need
the extra ``audio``, so they are not in ``__all__``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._formats import G711_ALAW, G711_ULAW, PCM16, AudioFormat, Encoding, FormatLike
from ._playout import Played, PlayoutQueue
from ._resampling import Resampler, resample
from ._wav import WavReader, WavWriter

if TYPE_CHECKING:
    from .devices import DeviceError as DeviceError
    from .devices import Loudspeaker as Loudspeaker
    from .devices import Microphone as Microphone

__all__ = [
    "G711_ALAW",
    "G711_ULAW",
    "PCM16",
    "AudioFormat",
    "Encoding",
    "FormatLike",
    "Played",
    "PlayoutQueue",
    "Resampler",
    "WavReader",
    "WavWriter",
    "resample",
]

_DEVICES = frozenset({"DeviceError", "Loudspeaker", "Microphone"})


def __getattr__(name: str) -> Any:
    # Lazy, because the module behind these names needs PortAudio.
    if name in _DEVICES:
        from . import devices  # noqa: PLC0415

        return getattr(devices, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)

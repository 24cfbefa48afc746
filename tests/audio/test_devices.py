"""
`eventbus.audio.devices`, with a stand-in for PortAudio: test machines have no sound card.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
import types

import pytest

from eventbus.audio._playout import Played, PlayoutQueue


class FakeStream:
    """
    What sounddevice's streams are, as far as it matters: their callback comes from a thread.
    """

    def __init__(self, *, callback, **settings):
        self.callback = callback
        self.settings = settings
        self.calls = []

    def start(self):
        self.calls.append("start")

    def abort(self):
        self.calls.append("abort")

    def close(self):
        self.calls.append("close")

    def run(self, buffer):
        thread = threading.Thread(target=self.callback, args=(buffer, len(buffer) // 2, None, None))
        thread.start()
        thread.join()


@pytest.fixture
def devices(monkeypatch):
    fake = types.ModuleType("sounddevice")
    fake.PortAudioError = type("PortAudioError", (Exception,), {})
    fake.RawInputStream = fake.RawOutputStream = FakeStream
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.delitem(sys.modules, "eventbus.audio.devices", raising=False)
    yield importlib.import_module("eventbus.audio.devices")
    sys.modules.pop("eventbus.audio.devices", None)


@pytest.fixture
def anyio_backend():
    """
    Only asyncio: live sessions have no other.
    """
    return "asyncio"


async def test_what_the_microphone_hears_comes_to_the_event_loop(devices):
    """
    A piece that PortAudio's thread hands over is the next one that is yielded, as it was.
    """
    with devices.Microphone(20) as microphone:
        buffer = bytearray(b"\1\2" * 480)
        microphone._stream.run(buffer)
        buffer[:] = bytes(len(buffer))  # PortAudio uses it again

        async for piece in microphone.pieces():
            assert piece == b"\1\2" * 480
            break

    assert microphone._stream.calls == ["start", "abort", "close"]
    assert microphone._stream.settings["samplerate"] == 24_000
    assert microphone._stream.settings["blocksize"] == 480


async def test_what_nobody_sends_is_dropped_from_the_beginning(devices):
    """
    If nobody takes what was heard, five seconds of it are kept, and the loss is counted.
    """
    with devices.Microphone(20) as microphone:
        for number in range(260):
            microphone._hear(number.to_bytes(2, "little"), 1, None, None)
        await asyncio.sleep(0)

        async for piece in microphone.pieces():
            assert int.from_bytes(piece, "little") == 10
            break

    assert microphone.dropped == 10


def test_speaker_plays_what_waits_and_tells_it(devices):
    """
    The buffer is filled with what waits and with silence, and what was played is reported.
    """
    queue, played = PlayoutQueue(), []
    queue.add(Played("item", 0, b"12"))
    out = bytearray(b"????")

    with devices.Speaker(queue, 20, played.append) as speaker:
        speaker._stream.run(memoryview(out))

    assert out == b"12\0\0"
    assert played == [Played("item", 0, b"12")]


def test_missing_package_is_named_with_its_remedy(monkeypatch):
    """
    Without sounddevice, importing says which extra has it.
    """
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.delitem(sys.modules, "eventbus.audio.devices", raising=False)

    with pytest.raises(ModuleNotFoundError, match=r"pip install 'eventbus\[audio\]'"):
        importlib.import_module("eventbus.audio.devices")


def test_missing_portaudio_is_named_with_its_remedy(monkeypatch):
    """
    Where sounddevice finds no PortAudio, importing says what to install, and what to do without.
    """

    def fail(name):
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real(name)

    real = importlib.import_module
    monkeypatch.delitem(sys.modules, "eventbus.audio.devices", raising=False)
    monkeypatch.setattr(importlib, "import_module", fail)

    with pytest.raises(OSError, match=r"libportaudio2.*--wav"):
        real("eventbus.audio.devices")

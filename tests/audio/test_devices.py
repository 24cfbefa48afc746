"""
`eventbus.audio.Microphone` and `Loudspeaker`, with a fake PortAudio: test machines have no sound
card.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
import types

import pytest

import eventbus.audio
from eventbus.audio import Played, PlayoutQueue
from eventbus.events import RealtimeModelAudioEvent
from eventbus.realtime.playback import RealtimePlaybackTracker


class FakeStream:
    """
    A stream of sounddevice's: its callback is called in another thread.
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

    def run(self, buffer, status=None):
        arguments = (buffer, len(buffer) // 2, None, status)
        thread = threading.Thread(target=self.callback, args=arguments)
        thread.start()
        thread.join()


@pytest.fixture
def fake():
    module = types.ModuleType("sounddevice")
    module.PortAudioError = type("PortAudioError", (Exception,), {})
    module.RawInputStream = module.RawOutputStream = FakeStream
    module.rates = {24_000, 16_000}

    def check(*, samplerate, **_):
        if samplerate not in module.rates:
            raise module.PortAudioError("Invalid sample rate")

    module.check_input_settings = module.check_output_settings = check
    module.query_devices = lambda device, kind: {"default_samplerate": 48_000.0}
    return module


@pytest.fixture
def devices(monkeypatch, fake):
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


async def test_recorded_pieces_come_to_the_event_loop(devices):
    """
    The microphone yields a copy of each buffer that PortAudio's thread fills.
    """
    with devices.Microphone() as microphone:
        buffer = bytearray(b"\1\2" * 480)
        microphone._stream.run(buffer)
        buffer[:] = bytes(len(buffer))  # PortAudio uses it again

        assert await anext(aiter(microphone)) == b"\1\2" * 480

    assert microphone._stream.calls == ["start", "abort", "close"]
    assert microphone._stream.settings["samplerate"] == 24_000
    assert microphone._stream.settings["blocksize"] == 480


async def test_oldest_pieces_are_dropped_if_nobody_takes_them(devices):
    """
    Five seconds are kept, and the loss is counted; so is an overflow that PortAudio reports.
    """
    with devices.Microphone() as microphone:
        for number in range(260):
            microphone._hear(number.to_bytes(2, "little"), 1, None, None)
        await asyncio.sleep(0)

        assert int.from_bytes(await anext(aiter(microphone)), "little") == 10
        assert microphone.dropped == 10

        microphone._stream.run(bytes(960), types.SimpleNamespace(input_overflow=True))
        await asyncio.sleep(0)
        assert microphone.dropped == 11


def test_loudspeaker_plays_the_queue_and_feeds_the_tracker(devices):
    """
    A buffer is filled with the pieces that wait, then with silence; the tracker and *on_played*
    are told of the pieces.
    """
    played, tracker, out = [], RealtimePlaybackTracker(), bytearray(b"?" * 960)

    with devices.Loudspeaker(tracker=tracker, on_played=played.append) as loudspeaker:
        loudspeaker.play(RealtimeModelAudioEvent(b"12" * 240, "response", "item", 0))
        assert loudspeaker.waiting_ms == 10
        loudspeaker._stream.run(memoryview(out))

    assert out == b"12" * 240 + bytes(480)
    assert played == [Played("item", 0, b"12" * 240)]
    assert tracker.get_state() == {
        "current_item_id": "item",
        "current_item_content_index": 0,
        "elapsed_ms": 10,
    }
    assert loudspeaker.waiting_ms == 0


def test_interruption_empties_the_loudspeaker(devices):
    """
    Nothing is played of the pieces that waited when `clear` was called.
    """
    out = bytearray(b"????")
    with devices.Loudspeaker(queue=PlayoutQueue()) as loudspeaker:
        loudspeaker.play(RealtimeModelAudioEvent(b"1234", "response", "item", 0))
        loudspeaker.clear()
        loudspeaker._stream.run(memoryview(out))

    assert out == bytes(4)


def test_gaps_are_counted_as_underruns(devices):
    """
    A gap within an item is counted, and an underflow that PortAudio reports.
    """
    with devices.Loudspeaker() as loudspeaker:
        for _ in range(2):
            loudspeaker.play(RealtimeModelAudioEvent(b"12", "response", "item", 0))
            loudspeaker._stream.run(memoryview(bytearray(4)))
        assert loudspeaker.underruns == 1

        underflow = types.SimpleNamespace(output_underflow=True)
        loudspeaker._stream.run(memoryview(bytearray(4)), underflow)
        assert loudspeaker.underruns == 2


async def test_wait_played_returns_when_the_queue_is_empty(devices):
    """
    It waits as long as pieces wait, and no longer.
    """
    with devices.Loudspeaker() as loudspeaker:
        loudspeaker.play(RealtimeModelAudioEvent(b"12", "response", "item", 0))
        waiting = asyncio.create_task(loudspeaker.wait_played())
        await asyncio.sleep(0)
        assert not waiting.done()

        loudspeaker._stream.run(memoryview(bytearray(4)))
        await waiting


async def test_device_with_another_rate_is_resampled(devices, fake):
    """
    A device that only knows 48 kHz is opened at that rate: pieces and played audio keep theirs.
    """
    fake.rates = {48_000}

    with devices.Microphone() as microphone, devices.Loudspeaker() as loudspeaker:
        assert microphone._stream.settings["samplerate"] == 48_000
        for _ in range(3):
            microphone._stream.run(b"\1\0" * 960)
        pieces = aiter(microphone)
        assert [len(await anext(pieces)), len(await anext(pieces))] == [960, 960]

        loudspeaker.play(RealtimeModelAudioEvent(b"\1\0" * 480, "response", "item", 0))
        out = bytearray(1920)
        for _ in range(2):
            loudspeaker._stream.run(memoryview(out))
        assert loudspeaker.waiting_ms == 0


def test_device_that_cannot_be_used_is_an_error_of_ours(devices, fake):
    """
    If PortAudio knows no rate of the device, its error is a `DeviceError`.
    """
    fake.rates = set()

    with pytest.raises(devices.DeviceError, match="Invalid sample rate"):
        devices.Loudspeaker()


def test_devices_are_in_the_package_of_audio(devices):
    """
    `eventbus.audio` has both classes, and imports their module when they are first used.
    """
    assert eventbus.audio.Microphone is eventbus.audio.devices.Microphone
    assert eventbus.audio.Loudspeaker.__name__ == "Loudspeaker"
    with pytest.raises(AttributeError, match="Gramophone"):
        _ = eventbus.audio.Gramophone


def test_missing_package_is_named_with_its_remedy(monkeypatch):
    """
    Without sounddevice, the import error names the extra, and the command for a clone.
    """
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.delitem(sys.modules, "eventbus.audio.devices", raising=False)

    with pytest.raises(ModuleNotFoundError, match=r"pip install 'eventbus\[audio\]', or .*clone"):
        importlib.import_module("eventbus.audio.devices")


def test_missing_portaudio_is_named_with_its_remedy(monkeypatch):
    """
    If sounddevice finds no PortAudio, the error names the system package.
    """

    def fail(name):
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real(name)

    real = importlib.import_module
    monkeypatch.delitem(sys.modules, "eventbus.audio.devices", raising=False)
    monkeypatch.setattr(importlib, "import_module", fail)

    with pytest.raises(OSError, match="libportaudio2"):
        real("eventbus.audio.devices")

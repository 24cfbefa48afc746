"""
`eventbus.audio.WavReader` and `WavWriter`: files that are read, refused and written.
"""

from __future__ import annotations

import struct
import wave
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.audio import WavReader, WavWriter
from eventbus.exceptions import AudioFormatError

FULL = Path("/dev/full")
RATE = 24_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "said.wav"


def write(path, samples, *, rate=RATE, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples if isinstance(samples, bytes) else array("h", samples).tobytes())
    return path


def read(path, duration_ms=20):
    with WavReader(path) as reader:
        return list(reader.pieces(duration_ms))


def test_file_of_the_session_s_rate_is_read_as_it_is(path):
    """
    24 kHz mono comes sample for sample, in pieces of the length asked for.
    """
    samples = array("h", range(-1_000, 1_400))

    pieces = read(write(path, samples))

    assert {len(piece) for piece in pieces} == {960}
    assert b"".join(pieces) == samples.tobytes()


def test_last_piece_is_filled_up_with_silence(path):
    """
    A sound that ends within a piece is followed by silence up to the piece's end.
    """
    assert read(write(path, [1, 2, 3])) == [array("h", [1, 2, 3]).tobytes() + bytes(954)]


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_other_rates_last_as_long(path, rate):
    """
    A tenth of a second is a tenth of a second, at any rate of the file.
    """
    with WavReader(write(path, [0] * (rate // 10), rate=rate)) as reader:
        assert reader.seconds == pytest.approx(0.1)
        assert len(b"".join(reader.pieces(20))) == 2 * RATE // 10


def test_channels_are_mixed(path):
    """
    Of two channels comes their mean.
    """
    (piece,) = read(write(path, [100, 300, -100, -300] * 240, channels=2))

    assert set(array("h", piece)) == {200, -200}


def test_file_that_was_cut_off_is_read_as_far_as_it_goes(path):
    """
    A file that ends before its header says so, even within a sample, gives the audio that is there.
    """
    write(path, [7] * 1_000)
    path.write_bytes(path.read_bytes()[:-1_001])

    samples = array("h", b"".join(read(path)))

    assert samples.count(7) == 499


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: path.write_text("hello"), "not a WAV file"),
        (lambda path: path.write_bytes(b""), "ends too early"),
        (lambda path: path.write_bytes(b"ID3\x04" + bytes(1_000)), "not a WAV file"),
        (lambda path: write(path, b"\x80" * 100, width=1), "8 bits"),
        (lambda path: write(path, bytes(300), width=3), "24 bits"),
        (lambda path: write(path, []), "no audio"),
        (lambda path: write(path, [1], rate=1_000), "1000 Hz"),
        (lambda path: write(path, [1] * 9, channels=9), "9 channels"),
    ],
    ids=["text", "empty", "mp3", "8 bits", "24 bits", "silent", "slow", "channels"],
)
def test_other_files_are_refused_with_the_remedy(path, make, problem):
    """
    A file of another kind is an error that names it, its problem, and the command that makes one
    that fits.
    """
    make(path)

    with pytest.raises(AudioFormatError, match=problem) as caught:
        WavReader(path)

    assert str(path) in str(caught.value)
    assert "ffmpeg" in str(caught.value)


def test_floating_point_is_refused(path):
    """
    A file of floats is no file of 16-bit PCM, and the error says so.
    """
    write(path, [1] * 100)
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, 20, 3)  # WAVE_FORMAT_IEEE_FLOAT
    path.write_bytes(data)

    with pytest.raises(AudioFormatError, match="16-bit PCM"):
        WavReader(path)


@settings(max_examples=50)
@given(st.data())
def test_broken_header_is_refused_or_read(tmp_path_factory, data):
    """
    Any change of a file's first bytes gives an AudioFormatError or sound, and nothing else.
    """
    path = tmp_path_factory.getbasetemp() / "broken.wav"
    content = bytearray(write(path, [1] * 50).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 47))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])

    try:
        pieces = read(path)
    except AudioFormatError:
        return
    assert {len(piece) for piece in pieces} <= {960}


def test_written_file_is_right_after_every_piece(path):
    """
    At any point at which writing is broken off, the file has the audio written, and its header
    fits.
    """
    with WavWriter(path) as writer:
        for count in (1, 2, 3):
            writer.write(array("h", [5] * 480).tobytes())
            with wave.open(str(path)) as file:
                assert file.getnframes() == 480 * count

    assert len(read(path)) == 3


def test_file_without_sound_can_be_written(path):
    """
    A session in which nothing was heard leaves a file with a header and no sound.
    """
    with WavWriter(path):
        pass

    with wave.open(str(path)) as file:
        assert (file.getnframes(), file.getframerate(), file.getnchannels()) == (0, RATE, 1)


def test_folder_that_is_not_there_is_an_error(tmp_path):
    """
    A file that can't be written is an OSError at once, not at the end.
    """
    with pytest.raises(OSError, match="No such file"):
        WavWriter(tmp_path / "none" / "out.wav")


@pytest.mark.skipif(not FULL.exists(), reason="a device of Linux, which is always full")
def test_full_disk_is_an_error_that_names_the_file():
    """
    An error while writing names the file.
    """
    writer = WavWriter(FULL)

    with pytest.raises(OSError, match="No space left on device: '/dev/full'"), writer:
        writer.write(bytes(96_000))

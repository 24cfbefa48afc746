from __future__ import annotations

import array
import types
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.audio import G711_ALAW, G711_ULAW, PCM16, AudioFormat
from eventbus.exceptions import AudioFormatError

BYTES = bytes(range(256))
SAMPLES = array.array("h", range(-32_768, 32_768)).tobytes()
FORMATS = [PCM16, G711_ULAW, G711_ALAW]
G711 = [G711_ULAW, G711_ALAW]


@pytest.fixture(scope="module")
def audioop():
    """
    Python's own G.711, which 3.13 hasn't any more.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return pytest.importorskip("audioop")


@pytest.mark.parametrize(
    ("given_as", "expected"),
    [
        ("pcm16", PCM16),
        ("PCM", PCM16),
        ("g711_ulaw", G711_ULAW),
        ("g711_alaw", G711_ALAW),
        ({"type": "audio/pcm", "rate": 24_000}, PCM16),
        ({"type": "audio/pcm"}, PCM16),
        ({"type": "audio/pcmu"}, G711_ULAW),
        ({"type": "audio/pcm", "rate": 16_000}, AudioFormat("audio/pcm", 16_000)),
        (types.SimpleNamespace(type="audio/pcma"), G711_ALAW),
        (G711_ULAW, G711_ULAW),
    ],
)
def test_names_of_all_protocols_name_the_same_formats(given_as, expected):
    """
    The GA protocol's objects, the beta protocol's names and objects with attributes are understood.
    """
    assert AudioFormat.of(given_as) == expected


@pytest.mark.parametrize("wrong", ["opus", None, 24_000, {"rate": 8_000}, {"type": 3}])
def test_unknown_format_is_refused_by_name(wrong):
    """
    A name of no known format is an error that lists the known ones.
    """
    with pytest.raises(AudioFormatError, match="audio/pcmu"):
        AudioFormat.of(wrong)


@pytest.mark.parametrize("rate", [0, -8_000, 8_000.0, "8000", True])
def test_rate_that_is_no_positive_integer_is_refused(rate):
    """
    A rate is a positive integer.
    """
    with pytest.raises(AudioFormatError, match="rate"):
        AudioFormat("audio/pcm", rate)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_settings_name_the_format_they_came_from(audio_format):
    """
    `of` reads the result of `to_settings` back as the same format.
    """
    assert AudioFormat.of(audio_format.to_settings()) == audio_format


@pytest.mark.parametrize(
    ("audio_format", "byte_count", "duration_ms"),
    [
        (PCM16, 960, 20),
        (AudioFormat("audio/pcm", 16_000), 640, 20),
        (G711_ULAW, 160, 20),
        (G711_ALAW, 8_000, 1_000),
    ],
)
def test_bytes_last_as_long_as_the_rate_says(audio_format, byte_count, duration_ms):
    """
    Duration and byte count are each other's inverse for whole samples.
    """
    assert audio_format.duration_ms(byte_count) == duration_ms
    assert audio_format.byte_count(duration_ms) == byte_count


@given(st.floats(0, 100_000), st.integers(1, 192_000))
def test_byte_count_is_in_whole_samples(duration_ms, rate):
    """
    A duration gives no half sample, and never lasts longer than asked for.
    """
    audio_format = AudioFormat("audio/pcm", rate)

    byte_count = audio_format.byte_count(duration_ms)

    assert byte_count % 2 == 0
    assert audio_format.duration_ms(byte_count) <= duration_ms + 1e-6


@pytest.mark.parametrize("name", ["ulaw", "alaw"])
def test_g711_is_the_standard_librarys(audioop, name):
    """
    Each byte decodes, and each sample encodes, as with audioop.
    """
    audio_format = AudioFormat.of(f"g711_{name}")

    assert audio_format.to_pcm16(BYTES) == getattr(audioop, f"{name}2lin")(BYTES, 2)
    assert audio_format.from_pcm16(SAMPLES) == getattr(audioop, f"lin2{name}")(SAMPLES, 2)


@pytest.mark.parametrize("audio_format", G711)
def test_decoded_bytes_encode_to_what_sounds_the_same(audio_format):
    """
    Decoding and coding again changes no sample.
    """
    samples = audio_format.to_pcm16(BYTES)

    assert audio_format.to_pcm16(audio_format.from_pcm16(samples)) == samples


@pytest.mark.parametrize("audio_format", G711)
def test_error_of_coding_is_small_beside_the_sample(audio_format):
    """
    G.711 keeps about four bits of every sample, however soft: it is nearly logarithmic.
    """
    before = array.array("h", SAMPLES)
    after = array.array("h", audio_format.to_pcm16(audio_format.from_pcm16(SAMPLES)))

    assert all(
        abs(a - b) <= max(abs(a) / 16, 16)
        for a, b in zip(before, after, strict=True)
        if a > -32_000
    )


@pytest.mark.parametrize("audio_format", G711)
@given(st.lists(st.integers(-32_768, 32_767)))
def test_louder_stays_louder(audio_format, samples):
    """
    Coding keeps the order of samples.
    """
    ordered = array.array("h", sorted(samples)).tobytes()

    decoded = array.array("h", audio_format.to_pcm16(audio_format.from_pcm16(ordered)))

    assert list(decoded) == sorted(decoded)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_half_a_sample_is_refused(audio_format):
    """
    16-bit PCM with an odd number of bytes is an error, and not an off-by-one for the rest.
    """
    with pytest.raises(AudioFormatError, match="even number"):
        audio_format.from_pcm16(b"\0\0\0")


def test_pcm16_stays_as_it_is():
    """
    PCM to PCM copies nothing, and checks for half a sample all the same.
    """
    assert PCM16.to_pcm16(SAMPLES) is SAMPLES
    with pytest.raises(AudioFormatError, match="even number"):
        PCM16.to_pcm16(b"\0")

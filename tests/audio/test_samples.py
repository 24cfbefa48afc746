"""
`eventbus.audio._samples`: the format that a session has, and samples in it.
"""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.audio import G711_ALAW as ALAW
from eventbus.audio import G711_ULAW as ULAW
from eventbus.audio import PCM16, AudioFormat
from eventbus.audio._samples import audio_format, duration_ns, resample, samples_of


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ({}, PCM16),
        ({"audio": {"output": {"format": {"type": "audio/pcm", "rate": 16_000}}}}, 16_000),
        ({"audio": {"output": {"format": {"type": "audio/pcmu"}}}}, ULAW),
        ({"output_audio_format": "g711_alaw"}, ALAW),
        ({"output_audio_format": "pcm16"}, PCM16),
        ({"audio": {"output": {"format": {"type": "audio/pcm", "rate": 0}}}}, PCM16),
        ({"audio": []}, PCM16),
        ({"audio": {"output": {"format": {"type": ["audio/pcmu"]}}}}, PCM16),
    ],
)
def test_format_is_what_the_session_says(session, expected):
    """
    The names of both protocols are understood; what isn't is 16-bit PCM at 24 kHz.
    """
    form = audio_format(session, "output")

    assert form == (AudioFormat(rate=expected) if isinstance(expected, int) else expected)


@pytest.mark.parametrize(
    ("form", "codes"),
    [
        # From the tables of ITU-T G.711: full scale, the smallest steps, and zero.
        (ULAW, {0x00: -32_124, 0x80: 32_124, 0xFF: 0, 0x7F: 0, 0xFE: 8, 0x7E: -8}),
        (ALAW, {0x2A: -32_256, 0xAA: 32_256, 0xD5: 8, 0x55: -8}),
    ],
)
def test_g711_is_decoded_as_the_standard_says(form, codes):
    """
    Codes stand for the samples that the recommendation has in its tables.
    """
    assert list(samples_of(bytes(codes), form)) == list(codes.values())


@pytest.mark.parametrize("form", [ULAW, ALAW])
def test_g711_is_symmetric(form):
    """
    A code with the other sign is the same sample with the other sign.
    """
    samples = list(samples_of(bytes(range(256)), form))

    assert sorted(samples) == sorted(-sample for sample in samples)


def test_pcm_is_little_endian_and_whole():
    """
    Two bytes are a sample, the low one first; half a sample at the end is left out.
    """
    assert list(samples_of(b"\x01\x00\xff\xff\x07", PCM16)) == [1, -1]


@given(st.lists(st.integers(-9, 9), max_size=30), st.sampled_from([8_000, 16_000, 24_000, 44_100]))
def test_resampling_keeps_the_duration(values, to_rate):
    """
    At another rate there are as many samples as last as long, and no new values.
    """
    found = resample(array("h", values), 8_000, to_rate)

    assert len(found) == len(values) * to_rate // 8_000
    assert set(found) <= set(values)


def test_duration_follows_from_bytes():
    """
    A second is 48,000 bytes of PCM, and 8,000 of G.711.
    """
    assert (duration_ns(PCM16, 48_000), duration_ns(ULAW, 4_000)) == (10**9, 10**9 // 2)

"""
`eventbus.audio._formats.session_format` and G.711 against the tables of the standard.
"""

from __future__ import annotations

import pytest

from eventbus.audio import G711_ALAW as ALAW
from eventbus.audio import G711_ULAW as ULAW
from eventbus.audio import PCM16, AudioFormat
from eventbus.audio._formats import session_format
from eventbus.audio._samples import samples_of


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ({}, PCM16),
        ({"audio": {"output": {"format": {"type": "audio/pcm", "rate": 16_000}}}}, 16_000),
        ({"audio": {"output": {"format": {"type": "audio/pcmu"}}}}, ULAW),
        ({"output_audio_format": "g711_alaw"}, ALAW),
        ({"output_audio_format": "pcm16"}, PCM16),
        *(
            ({"audio": {"output": {"format": {"type": "audio/pcm", "rate": rate}}}}, PCM16)
            for rate in (0, 1, 10**9, 10**400)
        ),
        ({"audio": []}, PCM16),
        ({"audio": {"output": {"format": {"type": ["audio/pcmu"]}}}}, PCM16),
    ],
)
def test_format_is_the_one_of_the_session_s_settings(session, expected):
    """
    The names of both protocols are known; anything else is 16-bit PCM at 24 kHz.
    """
    form = session_format(session, "output")

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
    assert list(samples_of(form.to_pcm16(bytes(codes)))) == list(codes.values())


@pytest.mark.parametrize("form", [ULAW, ALAW])
def test_g711_is_symmetric(form):
    """
    A code with the other sign is the same sample with the other sign.
    """
    samples = list(samples_of(form.to_pcm16(bytes(range(256)))))

    assert sorted(samples) == sorted(-sample for sample in samples)


def test_duration_follows_from_bytes():
    """
    A second is 48,000 bytes of PCM, and 8,000 of G.711.
    """
    assert (PCM16.duration_ns(48_000), ULAW.duration_ns(4_000)) == (10**9, 10**9 // 2)

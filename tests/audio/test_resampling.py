"""
`eventbus.audio.Resampler` and `resample`: the same audio at another rate.
"""

from __future__ import annotations

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.audio import Resampler, resample
from eventbus.audio._samples import samples_of, to_bytes
from eventbus.exceptions import AudioFormatError

AMPLITUDE = 20_000


def tone(frequency, rate, count):
    return array(
        "h",
        [round(AMPLITUDE * math.sin(2 * math.pi * frequency * i / rate)) for i in range(count)],
    )


def resampled(samples, source, target, piece=320):
    resampler, data = Resampler(source, target), to_bytes(samples)
    parts = [resampler.feed(data[at : at + piece]) for at in range(0, len(data), piece)]
    return samples_of(b"".join([*parts, resampler.end()]))


def error_db(samples, wanted):
    """
    The largest difference, beside the tone's amplitude; without the edges, where it sets in.
    """
    pairs = list(zip(samples, wanted, strict=True))[300:-300]
    return 20 * math.log10(max(1, *(abs(a - b) for a, b in pairs)) / AMPLITUDE)


@pytest.mark.parametrize(
    ("rate", "frequency"),
    [(8_000, 2_500), (11_025, 440), (16_000, 440), (44_100, 8_000), (48_000, 8_000)],
)
def test_tone_is_the_same_at_another_rate(rate, frequency):
    """
    A tone that both rates can have differs from a computed one by less than a five-hundredth.
    """
    samples = resampled(tone(frequency, rate, rate // 10), rate, 24_000)

    assert error_db(samples, tone(frequency, 24_000, 2_400)[: len(samples)]) < -54


@pytest.mark.parametrize(("rate", "frequency"), [(44_100, 15_000), (48_000, 18_000)])
def test_tone_that_the_lower_rate_lacks_is_gone(rate, frequency):
    """
    A tone above half the new rate leaves less than a five-hundredth, and no whistle.
    """
    samples = resampled(tone(frequency, rate, rate // 10), rate, 24_000)

    assert error_db(samples, [0] * len(samples)) < -54


@given(
    count=st.integers(0, 400),
    rate=st.sampled_from([8_000, 11_025, 24_001, 44_100, 48_000]),
    piece=st.integers(1, 100),
)
def test_length_is_kept_however_it_is_fed(count, rate, piece):
    """
    Of any number of samples, in pieces of any length, come as many as last as long.
    """
    samples = tone(440, rate, count)
    made = resampled(samples, rate, 24_000, 2 * piece)

    assert len(made) == math.ceil(count * 24_000 / rate)
    assert made == resampled(samples, rate, 24_000, 10_000)


@given(st.lists(st.integers(-32_768, 32_767), max_size=200))
def test_loudest_sounds_are_cut_off_and_not_wrapped(values):
    """
    Any samples are resampled to samples of 16 bits.
    """
    samples = resampled(array("h", values), 16_000, 24_000)

    assert all(-32_768 <= sample <= 32_767 for sample in samples)


def test_constant_stays_what_it_is():
    """
    A level that doesn't change is the same at the new rate, at every place between two samples.
    """
    samples = resampled(array("h", [12_345] * 1_000), 44_100, 24_000)

    assert set(samples[50:-50]) == {12_345}


@given(st.lists(st.integers(-9, 9), max_size=30), st.sampled_from([8_000, 16_000, 44_100]))
def test_a_whole_clip_is_resampled_in_one_call(values, rate):
    """
    `resample` gives the output of a `Resampler` that is fed all at once; at the same rate, its
    input.
    """
    data = to_bytes(array("h", values))
    resampler = Resampler(rate, 24_000)

    assert resample(data, rate, 24_000) == resampler.feed(data) + resampler.end()
    assert resample(data, rate, rate) is data


@pytest.mark.parametrize(("source", "target"), [(0, 24_000), (24_000, -1)])
def test_rate_that_is_not_positive_is_refused(source, target):
    """
    A rate of zero or less is an error that names it.
    """
    with pytest.raises(AudioFormatError, match="positive number of samples"):
        Resampler(source, target)

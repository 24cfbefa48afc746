"""
Tokens: plausible counts, and the limits that they are counted against.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.simulator._service.conversation import Item
from eventbus.simulator._service.usage import (
    RateLimits,
    Tokens,
    audio_tokens,
    input_tokens,
    text_tokens,
    usage_object,
)

COUNTS = st.integers(0, 5_000)


def test_assistant_audio_costs_twice_the_users():
    """
    A second has 10 tokens if the user speaks, and 20 if the assistant does.
    """
    assert audio_tokens(1_000, is_user=True) == 10
    assert audio_tokens(1_000, is_user=False) == 20


def test_input_is_all_that_is_read():
    """
    Instructions, tools and every item count, each in its own kind of tokens.
    """
    second = bytearray(48_000)
    spoken = {"type": "message", "role": "user", "content": [{"type": "input_audio"}]}
    shown = {"type": "message", "role": "user", "content": [{"type": "input_image"}]}
    called = {"type": "function_call", "name": "weather", "arguments": "{}"}

    nothing = input_tokens("", [], [])
    some = input_tokens(
        "Be kind.", [{"name": "f"}], [Item(spoken, second), Item(shown), Item(called)]
    )

    assert nothing == Tokens()
    assert some.audio == 10
    assert some.image > 0
    assert some.text > text_tokens("Be kind.")


@settings(max_examples=40)
@given(COUNTS, COUNTS, COUNTS, COUNTS, st.none() | COUNTS)
def test_usage_adds_up(text, audio, image, made, cached):
    """
    Totals are the sums of their parts; no more is cached than was read, and whole blocks of it.
    """
    usage = usage_object(Tokens(text, audio, image), Tokens(made, made), cached)
    given_, details = usage["input_token_details"], usage["output_token_details"]
    kinds = ("text_tokens", "audio_tokens", "image_tokens")

    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_tokens"] == sum(given_[kind] for kind in kinds)
    assert usage["output_tokens"] == sum(details.values())
    assert given_["cached_tokens"] == sum(given_["cached_tokens_details"][kind] for kind in kinds)
    assert all(given_["cached_tokens_details"][kind] <= given_[kind] for kind in kinds)


def test_limits_fill_up_again():
    """
    Used tokens are back after a minute, and never more than the limit.
    """
    limits = RateLimits()

    before = {limit["name"]: limit["remaining"] for limit in limits.take(100_000, 0)}
    later = {limit["name"]: limit["remaining"] for limit in limits.take(0, 60_000)}

    assert before == {"requests": 999, "tokens": 150_000}
    assert later == {"requests": 999, "tokens": 250_000}


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(0, 1e9)), max_size=20))
def test_limits_stay_within_themselves(takes):
    """
    The remaining tokens are between nothing and the limit, after any use.
    """
    limits = RateLimits()
    for tokens, now_ms in takes:
        for limit in limits.take(tokens, now_ms):
            assert 0 <= limit["remaining"] <= limit["limit"]
            assert 0 <= limit["reset_seconds"] <= 60

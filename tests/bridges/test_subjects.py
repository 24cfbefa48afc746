"""
Subjects: no id can inject a token, a wildcard or a line of the protocol.
"""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from eventbus.bridges.nats._subjects import (
    Subjects,
    header_text,
    partition_of,
    text_of,
    text_of_header,
    token,
)

SAFE = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_%")


@given(st.text())
@example("a.b")
@example("*")
@example(">")
@example("x\r\nPUB evil 0\r\n")
@example("\udc80")
@example("é" * 500)
def test_a_token_has_safe_characters_only(text):
    """
    The token of any text is not empty, has at most 120 safe characters, and no dot or wildcard.
    """
    encoded = token(text)

    assert set(encoded) <= SAFE
    assert 1 <= len(encoded) <= 120


@given(st.text(max_size=10, alphabet=st.characters(exclude_categories=["Cs"])))
@example("")
@example("%")
@example("%%")
def test_a_short_text_comes_back_from_its_token(text):
    """
    A text of up to 10 characters can be read from its token, and None from that of no call.
    """
    assert text_of(token(text)) == text
    assert text_of(token(None)) is None
    assert token(text) != token(None)


def test_long_texts_with_the_same_beginning_have_different_tokens():
    """
    Long texts that differ only in the part that is cut off have different tokens.
    """
    assert token("a" * 500) != token("a" * 499 + "b")


@given(st.text())
@example("a: b\r\nInjected: yes")
@example("\udc80")
def test_a_header_has_the_text_as_printable_ascii(text):
    """
    The value of a header is printable ASCII without spaces, and the text can be read from it.
    """
    value = header_text(text)

    assert value.isascii()
    assert value.isprintable()
    assert " " not in value
    assert text_of_header(value) == text


def test_the_partition_of_a_call_is_the_same_for_ever():
    """
    A call's partition is CRC-32 of its id modulo the number of partitions, in each version.
    """
    assert [partition_of(f"call-{n}", 64) for n in range(8)] == [22, 0, 58, 44, 15, 25, 35, 53]
    counts = [0] * 16
    for number in range(4000):
        counts[partition_of(f"call-{number}", 16)] += 1
    assert min(counts) > 200


def test_all_subjects_of_an_event_have_four_tokens():
    """
    The subject of an event is prefix, partition, call and type, whatever the call is called.
    """
    subjects = Subjects("calls", "calls", 64)

    for call in ("call-42", "a.b.c", "*", ">", "", None, "x y"):
        subject = f"{subjects.of_call(call)}.{token('shop.order')}"
        assert subject.count(".") == 3
        assert not set(subject) & set("*> ")

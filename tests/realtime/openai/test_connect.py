from __future__ import annotations

import pytest

from eventbus.exceptions import RealtimeConnectionError
from eventbus.realtime.openai._connect import Address, without_secrets


@pytest.mark.parametrize(
    ("url", "base_url"),
    [
        ("wss://api.example/v1/realtime", "wss://api.example/v1"),
        ("wss://api.example/v1/realtime/?model=m", "wss://api.example/v1?model=m"),
        ("https://api.example/v1", "https://api.example/v1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("ws://[::1]:80/realtime?a=b&c=d", "ws://[::1]:80?a=b&c=d"),
    ],
)
def test_path_of_the_socket_is_left_to_the_sdk(url, base_url):
    """
    The SDK adds /realtime; the query stays.
    """
    assert Address.of(url).base_url == base_url


@pytest.mark.parametrize("query", ["model=m", "a=b&deployment=d", "call_id=c"])
def test_query_may_name_the_model(query):
    """
    In OpenAI's words, Azure's, or as that of a call.
    """
    assert Address.of(f"wss://h/v1/realtime?{query}").names_model
    assert not Address.of("wss://h/v1/realtime?models=m").names_model


@pytest.mark.parametrize(
    "url", ["", "api.example", "ftp://h/v1", "ws://", "ws://h:port/", "ws://[::1/", "ws://h:99999/"]
)
def test_what_is_no_address_is_refused_with_examples(url):
    """
    The error shows a valid address.
    """
    with pytest.raises(RealtimeConnectionError, match="it looks like wss://"):
        Address.of(url)


@pytest.mark.parametrize(
    "url", ["wss://user:secret@h/v1?key=secret", "secret?secret", "ws://secret@h:x/#secret"]
)
def test_secrets_of_an_address_are_not_shown(url):
    """
    Neither user and password nor the query: there may be keys in them.
    """
    shown = without_secrets(url)
    assert "?" not in shown
    assert "@" not in shown
    assert shown == "secret" or "secret" not in shown


@pytest.mark.parametrize(
    "url",
    ["user:secret@h/v1", "//user:secret@h", "https:/user:secret@h/v1", "wss://u:secret/x@h/v1"],
)
def test_secrets_of_what_is_no_address_are_not_shown(url):
    """
    A slip of the pen doesn't make a password public.
    """
    with pytest.raises(RealtimeConnectionError) as caught:
        Address.of(url)

    assert "secret" not in str(caught.value)


def test_repr_shows_no_secret():
    """
    An address may be logged.
    """
    assert "secret" not in repr(Address.of("wss://user:secret@h/v1?key=secret"))

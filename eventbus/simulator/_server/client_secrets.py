"""
Ephemeral keys: short-lived secrets with which a client opens a session that a server has set up.

Source: ``POST /v1/realtime/client_secrets`` of the API reference, and its types in the official
SDK (``ClientSecretCreateParams``, ``ClientSecretCreateResponse``).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

import attrs

PREFIX: Final = "ek_"

_DEFAULT_SECONDS: Final = 600
_SHORTEST_SECONDS: Final = 10
_LONGEST_SECONDS: Final = 7_200


@attrs.frozen
class ClientSecret:
    """
    An ephemeral key.

    Attributes:
        value: The key.
        expires_at: The end of its life, in the seconds of the clock that it was made by.
        session: The settings of the sessions that it opens.
    """

    value: str = attrs.field(repr=False)
    expires_at: float
    session: Mapping[str, Any] = attrs.field(repr=False)


class ClientSecrets:
    """The ephemeral keys of one simulator."""

    def __init__(self) -> None:
        self._secrets: dict[str, ClientSecret] = {}

    def create(self, session: Mapping[str, Any], seconds: float, now: float) -> ClientSecret:
        """Return a new key for sessions with these settings."""
        secret = ClientSecret(PREFIX + secrets.token_hex(16), now + seconds, session)
        self._secrets[secret.value] = secret
        return secret

    def find(self, key: str, now: float) -> ClientSecret | None:
        """Return the secret of *key*, if it is one and lives."""
        secret = self._secrets.get(key)
        return secret if secret is not None and now < secret.expires_at else None

    def __contains__(self, key: str) -> bool:
        return key in self._secrets


def read_seconds(expires_after: Any) -> float:
    """
    Return the life of a key from ``expires_after``.

    Raises:
        ValueError: It isn't as the service takes it; the message is the remedy.
    """
    if expires_after is None:
        return _DEFAULT_SECONDS
    seconds = expires_after.get("seconds") if isinstance(expires_after, dict) else 0
    if seconds is None:
        return _DEFAULT_SECONDS
    is_number = isinstance(seconds, int) and not isinstance(seconds, bool)
    if not is_number or not _SHORTEST_SECONDS <= seconds <= _LONGEST_SECONDS:
        msg = (
            f"Invalid 'expires_after.seconds'. Expected an integer from {_SHORTEST_SECONDS} to "
            f"{_LONGEST_SECONDS}."
        )
        raise ValueError(msg)
    return seconds

"""
Keys and addresses in objects that hide them in their repr.

Tools that show a traceback with the variables of its frames (rich, Sentry) walk through
mappings and strings. They show these objects by their repr.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from .model import RealtimeModelConfig

_T = TypeVar("_T")


class Secret(Generic[_T]):
    """
    A value that is shown nowhere; calling it returns the value.

    So it can be given as an ``api_key``, which may be a function.
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: _T) -> None:
        # In a closure: some tools look into __slots__ and __dict__.
        self._reveal: Callable[[], _T] = lambda: value

    def reveal(self) -> _T:
        """Return the value."""
        return self._reveal()

    def __call__(self) -> Any:
        """Return the value; where it is a function, its result."""
        value = self._reveal()
        return value() if callable(value) else value

    def __repr__(self) -> str:
        return "<withheld>"

    def __eq__(self, other: object) -> bool:
        return bool(self._reveal() == (other.reveal() if isinstance(other, Secret) else other))

    def __hash__(self) -> int:
        return id(type(self))  # one of the value would tell something of it


def withhold_keys(config: RealtimeModelConfig) -> RealtimeModelConfig:
    """Return *config* with its key in a `Secret`; a Secret is a function that returns the key."""
    key = config.get("api_key")
    if key is None or isinstance(key, Secret):
        return config
    return {**config, "api_key": Secret(key)}


@attrs.frozen
class ConnectOptions:
    """The options of ``connect``, with those withheld that may have a key in them."""

    api_key: Secret[Any] | None
    url: Secret[str | None]
    headers: Secret[Mapping[str, str]]
    settings: Mapping[str, Any] = attrs.field(repr=False)
    playback_tracker: Any = attrs.field(repr=False)
    call_id: str | None

    @classmethod
    def of(cls, config: RealtimeModelConfig) -> ConnectOptions:
        """Return the options in *config*."""
        key = config.get("api_key")
        return cls(
            key if key is None or isinstance(key, Secret) else Secret(key),
            Secret(config.get("url")),
            Secret(config.get("headers") or {}),
            config.get("initial_model_settings") or {},
            config.get("playback_tracker"),
            config.get("call_id"),
        )

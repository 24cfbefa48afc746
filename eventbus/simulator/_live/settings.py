"""
The settings of a GPT-Live session: most are fixed once it has started.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...audio._formats import AudioFormat

_INSTRUCTIONS: Final = "You are a helpful voice of the eventbus simulator."


class LiveSettings:
    """
    The settings of one session.

    Args:
        given: The ``session`` of ``session.start``; its shape was checked.
        session_id: The session's id.
        created_at: When it has begun, in seconds since the epoch.
        expires_at: When it ends.

    Attributes:
        created_at: The same.
    """

    def __init__(
        self, given: Mapping[str, Any], session_id: str, created_at: int, expires_at: int
    ) -> None:
        self.created_at = created_at
        given = copy.deepcopy(dict(given))
        audio = given.get("audio") or {}
        self._appended: list[str] = []
        self._current: dict[str, Any] = {
            "id": session_id,
            "status": "active",
            "expires_at": expires_at,
            **given,
            "instructions": given.get("instructions") or _INSTRUCTIONS,
            "audio": {
                "format": audio.get("format") or {"type": "audio/pcm", "rate": 24_000},
                "output": {"voice": "marin", **audio.get("output", {})},
            },
            "delegation": given.get("delegation") or {"type": "client"},
            "store": given.get("store", False),
        }
        self.audio_format = AudioFormat.of(self._current["audio"]["format"])

    def to_session(self) -> dict[str, Any]:
        """Return the session object, as events carry it; it is the caller's."""
        return copy.deepcopy(self._current)

    def update(self, changes: Mapping[str, Any]) -> None:
        """Apply the ``session`` of a ``session.update``; its shape was checked."""
        changes = copy.deepcopy(dict(changes))
        delegation = changes.get("delegation")
        if delegation is None:
            return
        before = self._current["delegation"]
        if delegation["type"] == before["type"]:
            backend = {**before.get("responses", {}), **delegation.get("responses", {})}
            delegation = {**before, **delegation, **({"responses": backend} if backend else {})}
        self._current["delegation"] = delegation

    def append_instructions(self, content: str) -> None:
        """Add to the instructions."""
        self._appended.append(content)

    @property
    def instructions(self) -> str:
        """All instructions: of the voice, of the backend, and those that were appended."""
        parts = [self._current["instructions"], self._backend.get("instructions")]
        return "\n".join(filter(None, [*parts, *self._appended]))

    @property
    def delegates_to(self) -> str:
        """The place where delegated work is done: ``client`` or ``responses``."""
        return str(self._current["delegation"]["type"])

    @property
    def backend_model(self) -> str:
        """The model of the backend."""
        return str(self._backend.get("model") or "")

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """The functions that the backend may call."""
        tools: list[dict[str, Any]] = self._backend.get("tools") or []
        return [tool for tool in tools if tool["type"] == "function"]

    @property
    def tool_choice(self) -> str | Mapping[str, Any]:
        """The backend's tool choice."""
        choice: str | Mapping[str, Any] = self._backend.get("tool_choice") or "auto"
        return choice

    @property
    def _backend(self) -> Mapping[str, Any]:
        backend: Mapping[str, Any] = self._current["delegation"].get("responses") or {}
        return backend

"""
The delegated work of a GPT-Live session, as its client sees it: tool calls in rounds.

A delegation is a series of responses of the backend. A response may call tools; the next one is
asked for once the response is over and each of its calls has an output. The outputs of a response
that has failed go nowhere. Pure: events in, decisions out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_MAX_REMEMBERED: Final = 1024


@attrs.define(eq=False)
class _Work:
    """
    One delegation.

    Attributes:
        is_running: Whether a response of the backend is in progress.
        has_calls: Whether its latest response has called tools.
        unanswered: The calls without an output.
    """

    is_running: bool = False
    has_calls: bool = False
    unanswered: set[str] = attrs.Factory(set)


class DelegatedWork:
    """The delegations of one session of the service."""

    def __init__(self) -> None:
        self._works: dict[str, _Work] = {}
        self._calls: dict[str, _Work | None] = {}  # None: its response has failed

    @property
    def is_busy(self) -> bool:
        """True if a response is in progress, or waits for outputs."""
        return any(work.is_running or work.unanswered for work in self._works.values())

    @property
    def call_ids(self) -> list[str]:
        """The calls that have no output yet."""
        return [each for work in self._works.values() for each in work.unanswered]

    def note_call(self, call_id: str, delegation_id: str) -> None:
        """Note a tool call."""
        work = self._works.setdefault(delegation_id, _Work(is_running=True))
        work.has_calls = True
        work.unanswered.add(call_id)
        self._calls[call_id] = work
        if len(self._calls) > _MAX_REMEMBERED:
            del self._calls[next(iter(self._calls))]

    def note_event(self, frame: Mapping[str, Any]) -> bool:
        """Note a ``response.event``; return whether the next response is to be asked for."""
        event = frame.get("event")
        kind = event.get("type") if isinstance(event, Mapping) else None
        work = self._works.setdefault(str(frame.get("delegation_id") or ""), _Work())
        if kind == "response.created":
            work.is_running, work.has_calls = True, False
        elif kind in _ENDS:
            work.is_running = False
            if kind != "response.completed":
                for call_id in work.unanswered:
                    self._calls[call_id] = None
                work.unanswered.clear()
                work.has_calls = False
        return self._is_due(work)

    def is_wanted(self, call_id: str) -> bool:
        """Return whether the backend waits for the output of a call."""
        return self._calls.get(call_id) is not None

    def note_output(self, call_id: str) -> bool:
        """Note that an output is sent; return whether the next response is to be asked for."""
        work = self._calls.pop(call_id, None)
        if work is None:
            return False
        work.unanswered.discard(call_id)
        return self._is_due(work)

    def clear(self) -> None:
        """Forget everything: the session is over."""
        self._works.clear()
        self._calls.clear()

    @staticmethod
    def _is_due(work: _Work) -> bool:
        if work.is_running or work.unanswered or not work.has_calls:
            return False
        work.has_calls = False
        work.is_running = True
        return True

"""
The events of a live session as lines on a screen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...events import (
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelErrorEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputAudioTranscriptionFailedEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelInputTranscriptUpdatedEvent,
    RealtimeModelOutputTextDeltaEvent,
    RealtimeModelOutputTextDoneEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
)
from ...realtime.events import RealtimeToolApprovalRequired, RealtimeToolEnd
from ...realtime.tools import output_text
from .console import Screen

__all__ = ["Captions"]


class Captions:
    """
    Shows the events of one session.

    Args:
        screen: The display.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._heard: dict[str, str] = {}  # the words of the caller so far, by item
        self._said = ""  # the words of the model so far

    def show(self, event: object) -> None:
        """Show *event*, if there is something in it to be shown."""
        match event:
            case RealtimeModelInputTranscriptDeltaEvent(item_id=item_id, delta=delta):
                self._heard[item_id] = heard = self._heard.get(item_id, "") + delta
                self._screen.growing("caller", heard)
            case RealtimeModelInputTranscriptUpdatedEvent(item_id=item_id, transcript=transcript):
                self._heard[item_id] = transcript
                self._screen.growing("caller", transcript)
            case RealtimeModelInputAudioTranscriptionCompletedEvent(
                item_id=item_id, transcript=transcript
            ):
                self._heard.pop(item_id, None)
                self._screen.line("caller", transcript.strip())
            case RealtimeModelTranscriptDeltaEvent(delta=delta):
                self._grow(delta)
            case RealtimeModelOutputTextDeltaEvent(delta=delta):
                self._grow(delta)
            case RealtimeModelTranscriptDoneEvent(transcript=text):
                self._finish(text)
            case RealtimeModelOutputTextDoneEvent(text=text):
                self._finish(text)
            case RealtimeModelAudioInterruptedEvent():
                if self._said:
                    self._finish(f"{self._said} …")
                self._screen.line("cut", "interrupted")
            case _:
                self._show_rest(event)

    def _show_rest(self, event: object) -> None:
        match event:
            case RealtimeModelToolCallEvent(name=name, arguments=arguments):
                self._screen.line("tool", f"{name}({arguments})")
            case RealtimeToolEnd(tool=tool, output=output):
                self._screen.line("tool", f"{tool.name} = {output_text(output)}")
            case RealtimeToolApprovalRequired(tool=tool):
                self._screen.line("tool", f"{tool.name} waits for approval")
            case RealtimeModelSessionUpdatedEvent(session=session, created=True):
                self._screen.line("call", f"{session.get('model')} picks up")
            case RealtimeModelConnectionStatusEvent(status=status):
                self._screen.line("call", status)
            case RealtimeModelErrorEvent(error=error):
                self._screen.line("error", _text_of(error))
            case RealtimeModelInputAudioTranscriptionFailedEvent(error=error):
                self._screen.line("error", f"no transcript: {_text_of(error)}")
            case RealtimeModelTurnEndedEvent(status="failed" | "incomplete" as status, error=error):
                why = f": {_text_of(error)}" if error is not None else ""
                self._screen.line("error", f"the response is {status}{why}")
            case _:
                pass

    def _grow(self, delta: str) -> None:
        self._said += delta
        self._screen.growing("agent", self._said)

    def _finish(self, text: str) -> None:
        # What an interruption has ended is shown; the service says it once more, in full.
        if self._said:
            self._screen.line("agent", text)
        self._said = ""


def _text_of(error: Any) -> str:
    """Return the text of an error of the service."""
    for name in ("message", "code", "type"):
        value = error.get(name) if isinstance(error, Mapping) else getattr(error, name, None)
        if value:
            return str(value)
    return str(error)

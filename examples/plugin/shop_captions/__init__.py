"""
A plugin: a listener that prints what the model says, one line for each turn.

The plugin has no bus of its own. The entry point in setup.cfg names the class, and
`EventBus.load_plugins` registers an instance of it.
"""

from __future__ import annotations

from collections import defaultdict

from eventbus import Context, on
from eventbus.events import RealtimeModelTranscriptDeltaEvent, RealtimeModelTurnEndedEvent

__all__ = ["Captions"]


class Captions:
    """
    Prints captions of every call on the bus.

    It is made without arguments; everything else comes with the events, like the sender here.
    """

    def __init__(self) -> None:
        self._lines: defaultdict[object, str] = defaultdict(str)

    @on(RealtimeModelTranscriptDeltaEvent)
    def append(self, event: RealtimeModelTranscriptDeltaEvent, context: Context) -> None:
        """Note a piece of the transcript."""
        self._lines[context.sender] += event.delta

    @on(RealtimeModelTurnEndedEvent)
    def show(self, _: RealtimeModelTurnEndedEvent, context: Context) -> None:
        """Print the line, now that the turn is over."""
        print(f"[{context.sender}] {self._lines.pop(context.sender, '')}")

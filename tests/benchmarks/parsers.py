"""
The parsing alone of two frameworks, where they are installed: from a frame's text to an object.

* *pipecat, parsing*: ``pipecat.services.openai.realtime.events.parse_server_event``.
* *pydantic-ai, parsing*: ``json.loads``, and the function of its OpenAI connection that makes an
  event of the data.

No handler is called, and nothing else of a framework runs. Neither is in an extra: pipecat-ai and
pydantic-ai-slim bring much with them.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

__all__ = ["PIPECAT", "PYDANTIC_AI", "parsers"]

PIPECAT: Final = "pipecat, parsing"
PYDANTIC_AI: Final = "pydantic-ai, parsing"


def _pipecat() -> Callable[[Sequence[str]], None]:
    parse = importlib.import_module("pipecat.services.openai.realtime.events").parse_server_event

    def receive(frames: Sequence[str]) -> None:
        for frame in frames:
            parse(frame)

    return receive


def _pydantic_ai() -> Callable[[Sequence[str]], None]:
    module = importlib.import_module("pydantic_ai.realtime.openai")
    no_socket: Any = None
    make = module.OpenAIRealtimeConnection(no_socket)._map_event
    loads = json.loads

    def receive(frames: Sequence[str]) -> None:
        for frame in frames:
            make(loads(frame))

    return receive


def parsers() -> Iterator[tuple[str, Callable[[Sequence[str]], None]]]:
    """Yield the parsers that are installed, each with its name."""
    for name, find in ((PIPECAT, _pipecat), (PYDANTIC_AI, _pydantic_ai)):
        try:
            yield name, find()
        except ModuleNotFoundError:
            continue

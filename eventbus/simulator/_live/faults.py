"""
Faults of one GPT-Live connection: a reply counts as a response.

Faults between frames come after the first piece of a reply's sound, or after the first tool call
of a reply that says nothing. A reply has no end of its own in this protocol, so ``no-done`` and
``late-audio`` do nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._service.fault_plan import Ending, FaultPlan, Send, Step, ending_of, step_between
from ..faults import Fault


class LiveFaults:
    """
    The faults of one connection.

    Args:
        plan: Those of the simulator.
    """

    def __init__(self, plan: FaultPlan) -> None:
        self._plan = plan
        self._frames = 0

    def begin_reply(self, faults: Sequence[Fault]) -> ReplyFaults:
        """Count a reply, and return its faults; *faults* are those of its turn."""
        return ReplyFaults([*self._plan.count("response"), *self._plan.take(faults)])

    def begin_transcription(self) -> bool:
        """Count a transcription of the caller's audio, and return whether it is to fail."""
        return bool(self._plan.count("transcription"))

    def steps(self, frame: Mapping[str, Any]) -> list[Step]:
        """Return the steps for *frame*; every frame goes through it, once and in order."""
        self._frames += 1
        return [Send(frame), *map(_step, self._plan.due("frame", self._frames))]


class ReplyFaults:
    """
    The faults of one reply.

    Attributes:
        ending: How it is to end after its first piece; None if as it should.
        repeats_audio: Whether each piece of its sound comes twice.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.ending: Ending | None = next(filter(None, map(ending_of, faults)), None)
        self.repeats_audio = any(fault.name == "duplicate-audio" for fault in faults)
        self._between = [_step(fault) for fault in faults if fault.is_between_frames]

    def happen(self) -> list[Step]:
        """Return the steps between frames, the first time."""
        steps, self._between = self._between, []
        return steps


def _step(fault: Fault) -> Step:
    """Return the step between two frames; an error is as this protocol has it."""
    if fault.name != "error":
        return step_between(fault)
    code = str(fault.value)
    error = {
        "type": "server_error",
        "code": code,
        "message": "The simulator was asked for this error.",
    }
    return Send({"type": "error", "event_id": f"event_{code}", "error": error})

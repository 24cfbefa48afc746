"""
The faults of a simulator: when each happens, and its effect on the frames.

`FaultPlan` counts for one simulator. A `ConnectionFaults` turns each frame of a connection into
steps, and the owner of the socket takes them in order. It looks at frames only and has no clock,
so the same frames give the same steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import attrs

from ...exceptions import ScenarioError
from ..faults import Counted, Fault

# A transcript runs ahead of its audio, and something is to be heard before a fault: not in here.
_OUTPUT: Final = frozenset(
    {
        "response.output_audio.delta",
        "response.output_text.delta",
        "response.function_call_arguments.delta",
    }
)


@attrs.frozen
class Send:
    """Send this frame."""

    frame: Mapping[str, Any]


@attrs.frozen
class SendText:
    """Send this text as a frame, which is no JSON."""

    text: str


@attrs.frozen
class Wait:
    """Send nothing for so many seconds; frames that are due meanwhile come after it."""

    seconds: float


@attrs.frozen
class Close:
    """Close the connection, properly; nothing comes after it."""

    code: int
    reason: str


@attrs.frozen
class Drop:
    """Cut the connection, without a close frame; nothing comes after it."""


Step: TypeAlias = Send | SendText | Wait | Close | Drop
"""What the server does with its socket."""


@attrs.frozen
class Ending:
    """
    The end of a response that fails or is incomplete.

    Attributes:
        status: The response's status.
        code: The error's code of a failed one, the reason of an incomplete one.
    """

    status: Literal["failed", "incomplete"]
    code: str


# --- when ------------------------------------------------------------------------------------


class FaultPlan:
    """
    The faults of one simulator, over all its connections.

    Args:
        faults: The faults of the command line and of the scenario as a whole.
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = tuple(faults)
        self._counts: dict[Counted, int] = {}
        # The faults themselves, not equal ones: who asks for the same twice gets it twice. They
        # are kept, so that no other one ever has the same id.
        self._past: dict[int, Fault] = {}

    def refusal(self) -> int | None:
        """Count a connection that is asked for; return the HTTP status that refuses it, if any."""
        statuses = [fault.value for fault in self.count("connection")]
        return next((status for status in statuses if isinstance(status, int)), None)

    def connection(self) -> ConnectionFaults:
        """Return the faults of a new connection, which was not refused."""
        return ConnectionFaults(self)

    def count(self, what: Counted) -> list[Fault]:
        """Count one more of them, over all connections, and return its faults."""
        number = self._counts[what] = self._counts.get(what, 0) + 1
        return self.due(what, number)

    def due(self, what: Counted, number: int) -> list[Fault]:
        """Return the faults of the one with that number."""
        due = [fault for fault in self._faults if fault.counts == what]
        return self.take(fault for fault in due if fault.number in {0, number})

    def take(self, faults: Iterable[Fault]) -> list[Fault]:
        """Return those that may still happen, and remember that they have."""
        taken = []
        for fault in faults:
            if fault.number == 0:
                taken.append(fault)
            elif id(fault) not in self._past:
                self._past[id(fault)] = fault
                taken.append(fault)
        return taken


class ConnectionFaults:
    """
    The faults of one connection; `FaultPlan.connection` makes it.

    Attributes:
        ending: How the response that was begun last is to end, after the first piece of its
            output (at once, if it has none); None if as it should.
    """

    def __init__(self, plan: FaultPlan) -> None:
        self.ending: Ending | None = None
        self._plan = plan
        self._frames = 0
        self._begun: deque[_ResponseFaults] = deque()  # and not created yet
        self._created: dict[str, _ResponseFaults] = {}

    def begin_response(self, faults: Sequence[Fault] = ()) -> None:
        """
        Count a response; to be called before its ``response.created`` is passed to `steps`.

        Args:
            faults: Those of the turn that it performs.
        """
        due = [*self._plan.count("response"), *self._plan.take(faults)]
        self.ending = next(filter(None, map(ending_of, due)), None)
        self._begun.append(_ResponseFaults(due))

    def begin_transcription(self) -> bool:
        """Count a transcription of the caller's audio, and return whether it is to fail."""
        return bool(self._plan.count("transcription"))

    def steps(self, frame: Mapping[str, Any]) -> Sequence[Step]:
        """
        Return the steps for *frame*, an event of the server: to send it, if there is no fault.

        Every frame of the connection goes through it, once and in order.
        """
        self._frames += 1
        response = self._response(frame)
        steps: list[Step] = [Send(frame)] if response is None else response.steps(frame)
        steps += map(step_between, self._plan.due("frame", self._frames))
        return steps

    def _response(self, frame: Mapping[str, Any]) -> _ResponseFaults | None:
        """Return the faults of the response that *frame* is of."""
        if frame["type"] == "response.created" and self._begun:
            self._created[frame["response"]["id"]] = self._begun.popleft()
        if frame["type"] == "response.done":
            return self._created.pop(frame["response"]["id"], None)
        identity = frame["response"]["id"] if "response" in frame else frame.get("response_id")
        return self._created.get(identity) if identity else None


class _ResponseFaults:
    """The faults between the frames of one response."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._names = {fault.name for fault in faults}
        self._between: list[Step] = [step_between(f) for f in faults if f.is_between_frames]
        self._audio: Mapping[str, Any] | None = None

    def steps(self, frame: Mapping[str, Any]) -> list[Step]:
        if frame["type"] == "response.done":
            return self._done(frame)
        steps: list[Step] = [Send(frame)]
        if frame["type"] == "response.output_audio.delta":
            self._audio = frame
            if "duplicate-audio" in self._names:
                steps.append(Send(frame))
        if frame["type"] in _OUTPUT:
            steps += self._happen()
        return steps

    def _happen(self) -> list[Step]:
        steps, self._between = self._between, []
        return steps

    def _done(self, frame: Mapping[str, Any]) -> list[Step]:
        steps = self._happen()
        if "no-done" not in self._names:
            steps.append(Send(frame))
        if "late-audio" in self._names and self._audio is not None:
            steps.append(Send(self._audio))
        return steps


def ending_of(fault: Fault) -> Ending | None:
    """Return the end of a response that *fault* asks for; None if it asks for none."""
    if fault.name == "fail":
        return Ending("failed", str(fault.value))
    if fault.name == "incomplete":
        return Ending("incomplete", str(fault.value))
    return None


def step_between(fault: Fault) -> Step:
    """Return the step between two frames that *fault* asks for."""
    match fault:
        case Fault("drop"):
            return Drop()
        case Fault("close", int(code)):
            return Close(code, f"The fault {fault} was asked for.")
        case Fault("stall", int(seconds) | float(seconds)):
            return Wait(seconds)
        case Fault("malformed"):
            return SendText('{"type": "response.output_audio.delta", "delta": "AAAA')
        case Fault("unknown"):
            return Send(
                {"type": "response.mumble.delta", "event_id": "event_mumble", "delta": "hm"}
            )
        case Fault("error"):
            return Send(_error(str(fault.value)))
        case _:  # nobody asks for the others, nor for these with another value
            msg = f"The fault {fault} doesn't come between frames."
            raise ScenarioError(msg)


def _error(code: str) -> dict[str, Any]:
    return {
        "type": "error",
        "event_id": f"event_{code}",
        "error": {
            "type": "server_error",
            "code": code,
            "message": "The simulator was asked for this error.",
            "param": None,
            "event_id": None,
        },
    }

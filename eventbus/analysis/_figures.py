"""
The figures of a call as data; ``docs/reference/figures.md`` defines each of them.

Times are milliseconds. `FIGURES` and `COUNTS` are the names that limits and reports use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import attrs

from ._filters import duration_ns

FIGURES: Final[Mapping[str, str]] = {
    "turn_latency": "from the caller's last voiced sample to the model's first audio played",
    "endpointing": "the part until the service detects that the caller has finished",
    "model": "the part in which the model has not begun to answer, without tools",
    "tool": "the part in which tools run",
    "first_audio": "the part from the beginning of the response to its first audio",
    "dispatch": "the part from the arrival of that audio to the handler that plays it",
    "interruption_latency": "from the caller's first voiced sample to silence",
    "unheard_audio": "the model's speech that was received and not heard, per interruption",
    "tool_time": "from a tool's call to its output, per call of a tool",
    "transcription_delay": "from the end of the caller's speech to its transcript",
    "handler_queue": "the time that an event waits in a mailbox, per call of an async handler",
    "handler_run": "the run time of handlers, per call",
}
"""The figures that are times, with a short description of each."""

COUNTS: Final[Mapping[str, str]] = {
    "turns": "turns of the caller, spoken or written",
    "interruptions": "times that the caller spoke while the model was heard",
    "crashes": "handler calls that failed",
    "unfinished": "handler calls that never ended",
    "drops": "events that a handler did not get",
    "failures": "responses that failed, and errors of the service",
    "tool_failures": "tool calls that failed",
    "gaps": "places where records could not be written",
    "tokens.input": "tokens that were read",
    "tokens.output": "tokens that were written",
    "tokens.total": "both",
    "tokens.cached": "tokens that were read from a cache, which are part of tokens.input",
    "audio_seconds": "seconds of audio that are billed by time (GPT-Live), rounded up",
}
"""The figures that are numbers, with a short description of each."""

Outcome: TypeAlias = Literal["answered", "silent", "abandoned", "failed", "open"]


def percentile(ordered: Sequence[float], percent: int) -> float:
    """
    Return a percentile by the nearest rank, which is one of the values.

    Args:
        ordered: At least one value, in ascending order.
        percent: From 1 to 100.
    """
    rank = -(-percent * len(ordered) // 100)
    return ordered[rank - 1]


@attrs.frozen
class Distribution:
    """
    The distribution of a figure; percentiles are by the nearest rank, so each was measured.

    Attributes:
        count: Number of values.
        p50: Half of them are at most this.
        p95: 95 of 100 are at most this.
        max: The greatest.
        estimated: Number of values that are estimates, because the journal lacks the exact ones.
    """

    count: int
    p50: float
    p95: float
    max: float
    estimated: int = 0

    @classmethod
    def of(cls, values: Iterable[float], estimated: int = 0) -> Distribution | None:
        """Return the distribution of *values*; None without any."""
        ordered = sorted(values)
        if not ordered:
            return None
        p50, p95 = percentile(ordered, 50), percentile(ordered, 95)
        return cls(len(ordered), p50, p95, ordered[-1], estimated)


@attrs.frozen
class Turn:
    """
    A turn of the caller's, and the latency of its answer.

    The parts add up to the latency; an unknown dispatch counts as 0.

    Attributes:
        number: The turn's number in the call, from 1.
        kind: ``speech``, or ``text`` for a written message.
        at_ms: When the caller had finished, since the journal's beginning.
        outcome: ``answered``; ``silent`` if the response had no audio; ``abandoned`` if the
            caller went on or the response was cancelled before; ``failed``; ``open`` at the end.
        latency_ms: The perceived turn latency; None if it was not answered in audio.
        endpointing_ms: The first part of it; the others follow in their order, see ``FIGURES``.
        dispatch_ms: The last part; None if no handler call for that audio was recorded.
        is_estimated: Whether the end of the caller's speech is an estimate.
    """

    number: int
    kind: Literal["speech", "text"]
    at_ms: float
    outcome: Outcome
    latency_ms: float | None = None
    endpointing_ms: float = 0.0
    model_ms: float = 0.0
    tool_ms: float = 0.0
    first_audio_ms: float = 0.0
    dispatch_ms: float | None = None
    is_estimated: bool = False


@attrs.frozen
class Interruption:
    """
    A barge-in: the caller has spoken while the model was heard.

    Attributes:
        at_ms: When the service reported it, since the journal's beginning.
        latency_ms: From the caller's first voiced sample to silence; None if that is unknown.
        unheard_ms: Duration of the speech that was received and not heard.
        is_latency_estimated: Whether *latency_ms* is an estimate: the caller's audio is missing.
        is_unheard_estimated: Whether *unheard_ms* is an estimate: the item was not truncated.
    """

    at_ms: float
    latency_ms: float | None
    unheard_ms: float
    is_latency_estimated: bool
    is_unheard_estimated: bool


@attrs.frozen
class ToolCall:
    """
    A call of a tool by the model.

    Attributes:
        name: The tool's name.
        call_id: The call's id.
        at_ms: When it was called, since the journal's beginning.
        time_ms: The time until its output was sent; None if that was not recorded.
        is_failed: Whether the model was told that it failed.
    """

    name: str
    call_id: str
    at_ms: float
    time_ms: float | None
    is_failed: bool = False


@attrs.frozen
class HandlerFigures:
    """
    The calls of one handler.

    Attributes:
        handler: The handler's name.
        count: Number of calls, including those that never ended.
        queued: Time that events waited for it; None for a handler without a mailbox.
        run: Run time; None if no call has ended.
        crashes: Number of calls that failed.
        unfinished: Number of calls that never ended.
        drops: Number of events that it did not get.
    """

    handler: str
    count: int
    queued: Distribution | None
    run: Distribution | None
    crashes: int = 0
    unfinished: int = 0
    drops: int = 0


@attrs.frozen
class Tokens:
    """The tokens of the responses."""

    input: int = 0
    output: int = 0
    total: int = 0
    cached: int = 0


@attrs.frozen
class Span:
    """
    A span of time in a plot of the call.

    Attributes:
        lane: ``caller``, ``model`` (as heard) or ``tool``.
        start_ms: When it begins, since the journal's beginning.
        end_ms: When it ends.
    """

    lane: Literal["caller", "model", "tool"]
    start_ms: float
    end_ms: float


@attrs.frozen
class Totals:
    """
    The figures of a call, or of a whole journal.

    Attributes:
        figures: The times, by the names in ``FIGURES``; only those with values.
        counts: The numbers, by the names in ``COUNTS``; all of them.
    """

    figures: Mapping[str, Distribution]
    counts: Mapping[str, int]

    def get(self, name: str) -> float | None:
        """
        Return one number: a count, or a figure's ``.p50``, ``.p95``, ``.max`` or ``.count``.

        Returns:
            None if there are no values for it.
        """
        if name in self.counts:
            return self.counts[name]
        figure, _, statistic = name.rpartition(".")
        distribution = self.figures.get(figure)
        if distribution is None:
            return 0 if statistic == "count" else None
        value: float = getattr(distribution, statistic)
        return value

    def estimated(self, name: str) -> int:
        """
        Return how many of the values behind one number are estimates.

        Args:
            name: As in `get`. Counts are never estimates, and neither is a ``.count``.
        """
        figure, _, statistic = name.rpartition(".")
        distribution = self.figures.get(figure)
        return 0 if distribution is None or statistic == "count" else distribution.estimated


@attrs.frozen
class CallFigures:
    """
    One call: the events of one sender.

    Attributes:
        sender: The session; None for events without one.
        start_ms: Its first record, since the journal's beginning.
        duration_ms: From its first record to its last.
    """

    sender: str | None
    start_ms: float
    duration_ms: float
    totals: Totals
    turns: tuple[Turn, ...] = ()
    interruptions: tuple[Interruption, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tokens: Tokens = Tokens()
    spans: tuple[Span, ...] = attrs.field(default=(), repr=False)


@attrs.frozen
class Figures:
    """
    The figures of a journal.

    Attributes:
        calls: The calls, in the order of their first records.
        handlers: The handlers, in the order of their first calls.
        totals: The figures over all calls.
    """

    calls: tuple[CallFigures, ...]
    handlers: tuple[HandlerFigures, ...]
    totals: Totals


# --- limits -----------------------------------------------------------------------------------

_LIMIT: Final = re.compile(r"\s*([A-Za-z_.0-9]+)\s*(?:<=|=)\s*(\S+)\s*")
_STATISTICS: Final = ("p50", "p95", "max", "count")


@attrs.frozen
class Limit:
    """
    The upper limit of a figure; `parse_limit` makes it.

    Attributes:
        text: The limit as it was written.
        name: The number that is limited, as in `Totals.get`.
        value: The greatest allowed value; of a time, in milliseconds.
        is_time: Whether it is a time.
    """

    text: str
    name: str
    value: float
    is_time: bool


def parse_limit(text: str) -> Limit:
    """
    Parse a limit like ``turn_latency.p95=800ms`` or ``crashes=0``.

    Raises:
        ValueError: *text* is not a limit; the message says why.
    """
    match = _LIMIT.fullmatch(text)
    if match is None:
        msg = f"{text!r} is not a limit; write it like turn_latency.p95=800ms or crashes=0."
        raise ValueError(msg)
    name, value = match.groups()
    figure, _, statistic = name.rpartition(".")
    if name in COUNTS or (figure in FIGURES and statistic == "count"):
        if not (value.isascii() and value.isdigit()):
            msg = f"{text!r}: {name} is a number; write it like {name}=0."
            raise ValueError(msg)
        return Limit(text, name, int(value), is_time=False)
    if figure not in FIGURES or statistic not in _STATISTICS:
        raise ValueError(_unknown(text, name))
    time_ns = duration_ns(value)
    if time_ns is None:
        msg = f"{text!r}: {value!r} is not a time; write it with its unit, like 800ms or 1.5s."
        raise ValueError(msg)
    return Limit(text, name, time_ns / 1e6, is_time=True)


def _unknown(text: str, name: str) -> str:
    if name in FIGURES:
        return f"{text!r}: {name} is many values; limit one of {name}.p50, .p95, .max or .count."
    known = ", ".join([*FIGURES, *COUNTS])
    return f"{text!r}: there is no figure {name!r}; there are {known}."

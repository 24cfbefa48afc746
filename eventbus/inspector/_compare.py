"""
Two calls side by side: their turns, aligned, and the events that differ.

Turns are aligned by the caller's words, as `difflib` finds them; a turn whose words differ stands
beside the one in its place. Events are compared as by ``eventbus diff``, up to `MAX_RECORDS`
records of a call.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import islice
from typing import Any, Final

import attrs

from ..analysis import RecordView
from ..replay._diff import Difference, differences
from ._call import CallView
from ._file import JournalView

MAX_RECORDS: Final = 60_000
"""The most records of a call whose events are compared."""

_MAX_DIFFERENCES: Final = 200
_MAX_TURNS: Final = 2_000
_TIMES: Final = ("latency_ms", "endpointing_ms", "model_ms", "tool_ms", "first_audio_ms")


@attrs.frozen
class _Turn:
    """A turn of one call, with all that was said and done in it."""

    figures: dict[str, Any]
    caller: str
    model: str
    tools: tuple[str, ...]
    errors: tuple[str, ...]

    @property
    def outcome(self) -> str:
        """As in `eventbus.analysis.Turn`."""
        return str(self.figures["outcome"])

    def values(self) -> dict[str, Any]:
        """Return it as the page reads it."""
        return {
            **{name: self.figures[name] for name in ("number", "at_ms", *_TIMES)},
            "outcome": self.outcome,
            "caller": self.caller,
            "model": self.model,
            "tools": list(self.tools),
            "errors": list(self.errors),
        }

    def differs_in(self, other: _Turn) -> list[str]:
        """Return the names of what is not the same in another turn; times never are."""
        names = ("caller", "model", "tools", "errors", "outcome")
        return [name for name in names if getattr(self, name) != getattr(other, name)]


def compare(
    left: tuple[JournalView, CallView], right: tuple[JournalView, CallView]
) -> dict[str, Any]:
    """Return the differences between two calls, as the page reads them."""
    one, two = _turns_of(left[1]), _turns_of(right[1])
    counts = {side: call.record_count for side, (_, call) in zip("lr", (left, right), strict=True)}
    is_short = max(counts.values()) <= MAX_RECORDS
    found = list(islice(_events(left, right), _MAX_DIFFERENCES + 1)) if is_short else []
    return {
        "turns": list(_aligned(one[:_MAX_TURNS], two[:_MAX_TURNS])),
        "figures": _figures(left[1], right[1]),
        "events": [_difference(each) for each in found[:_MAX_DIFFERENCES]],
        "has_more": len(found) > _MAX_DIFFERENCES or any(each.is_last for each in found),
        "is_compared": is_short,
    }


def _turns_of(call: CallView) -> list[_Turn]:
    figures, captions = call.figures(), call.captions()
    turns = figures["turns"]
    ends = [turn["at_ms"] for turn in turns]
    said: dict[int, dict[str, list[str]]] = {
        place: {"caller": [], "model": [], "tools": [], "errors": []} for place in range(len(turns))
    }

    def note(kind: str, place: int, text: str) -> None:
        if place in said and text:
            said[place][kind].append(text)

    for start, end, side, text, *_ in captions:
        # A turn begins where the caller has finished, and the service says so a little later. One
        # that doesn't say so has given the time of the first word.
        is_before = side == "caller" and end <= start
        note(
            side,
            bisect_right(ends, max(start, end if side == "caller" else start)) - 1 + is_before,
            text,
        )
    for tool in figures["tools"]:
        note("tools", bisect_right(ends, tool["at_ms"]) - 1, tool["name"])
    for at_ms, _, _, text in call.errors():
        note("errors", max(0, bisect_right(ends, at_ms) - 1), text)
    return [
        _Turn(
            turn,
            " ".join(said[place]["caller"]),
            " ".join(said[place]["model"]),
            tuple(said[place]["tools"]),
            tuple(said[place]["errors"]),
        )
        for place, turn in enumerate(turns)
    ]


def _aligned(left: Sequence[_Turn], right: Sequence[_Turn]) -> Iterator[dict[str, Any]]:
    """Yield pairs of turns; of a turn that the other call lacks, one side is None."""
    matcher = SequenceMatcher(
        None, [turn.caller for turn in left], [turn.caller for turn in right], autojunk=False
    )
    for _, i1, i2, j1, j2 in matcher.get_opcodes():
        paired = min(i2 - i1, j2 - j1)
        for one, two in zip(left[i1 : i1 + paired], right[j1 : j1 + paired], strict=True):
            differs = one.differs_in(two)
            yield {"left": one.values(), "right": two.values(), "differs": differs}
        for one in left[i1 + paired : i2]:
            yield {"left": one.values(), "right": None, "differs": ["missing"]}
        for two in right[j1 + paired : j2]:
            yield {"left": None, "right": two.values(), "differs": ["missing"]}


def _figures(left: CallView, right: CallView) -> list[list[Any]]:
    """Return name, and the median and maximum on each side, of the figures of either."""
    one, two = left.figures()["figures"], right.figures()["figures"]
    return [
        [name, *((side[name]["p50"], side[name]["max"]) if name in side else None for side in both)]
        for both in [(one, two)]
        for name in dict.fromkeys([*one, *two])
    ]


def _events(
    left: tuple[JournalView, CallView], right: tuple[JournalView, CallView]
) -> Iterator[Difference]:
    return differences(left[0].details(left[1]), right[0].details(right[1]))


def _difference(found: Difference) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "left": _side(found.left),
        "right": _side(found.right),
        "field": found.field,
        "values": list(found.detail) if found.field else None,
    }


def _side(facts: RecordView | None) -> list[Any] | None:
    if facts is None:
        return None
    return [facts.seq, facts.since_ns / 1e6, facts.type or facts.kind]

"""
The plot of the documentation's page: two diagrams, drawn as SVG.

Left, the cost of a frame of a whole session by dialect, on a logarithmic scale; right, the share of
a core by the number of sessions, recorded and not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

__all__ = ["svg"]

_WIDTH: Final = 960
_HEIGHT: Final = 380
_TOP: Final = 48
_BOTTOM: Final = 330
_LEFT: Final = (64, 470)  # the first diagram, from left to right
_RIGHT: Final = (560, 940)
_COLOURS: Final = ("#2563eb", "#9ca3af", "#d97706", "#b91c1c", "#7c3aed", "#0f766e")
_TEXT: Final = 'font-family="system-ui, sans-serif" font-size="12" fill="#6b7280"'


def _text(x: float, y: float, text: str, anchor: str = "middle", more: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {_TEXT} {more}>{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        'stroke="#9ca3af" stroke-opacity="0.4"/>'
    )


def _legend(names: Sequence[str], x: float) -> Iterator[str]:
    for name, colour in zip(names, _COLOURS, strict=False):
        yield f'<rect x="{x:.1f}" y="{_HEIGHT - 17}" width="10" height="10" fill="{colour}"/>'
        yield _text(x + 14, _HEIGHT - 8, name, "start")
        x += 30 + 7 * len(name)


def _bars(costs: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield the diagram of microseconds by dialect and side."""
    left, right = _LEFT
    sides = list(dict.fromkeys(side for by_side in costs.values() for side in by_side))
    values = [value for by_side in costs.values() for value in by_side.values()]
    low, high = (math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))))

    def y_of(value: float) -> float:
        share = (math.log10(value) - low) / (high - low)
        return _BOTTOM - share * (_BOTTOM - _TOP)

    yield _text((left + right) / 2, 20, "a frame of a whole session, µs (logarithmic)")
    for power in range(low, high + 1):
        y = y_of(10**power)
        yield _line(left, y, right, y)
        yield _text(left - 6, y + 4, f"{10.0**power:g}", "end")
    room = (right - left) / len(costs)
    width = room * 0.8 / len(sides)
    for number, (dialect, by_side) in enumerate(costs.items()):
        start = left + room * (number + 0.1)
        for place, (side, colour) in enumerate(zip(sides, _COLOURS, strict=False)):
            if side in by_side:
                y = y_of(by_side[side])
                yield (
                    f'<rect x="{start + place * width:.1f}" y="{y:.1f}" width="{width - 2:.1f}" '
                    f'height="{_BOTTOM - y:.1f}" fill="{colour}"><title>{escape(dialect)}, '
                    f"{escape(side)}: {by_side[side]:.1f} µs</title></rect>"
                )
        yield _text(start + room * 0.4, _BOTTOM + 18, dialect)
    yield from _legend(sides, left - 40)


def _lines(shares: Mapping[str, Mapping[int, float]]) -> Iterator[str]:
    """Yield the diagram of the share of a core by side and number of sessions."""
    left, right = _RIGHT
    most = max(count for by_count in shares.values() for count in by_count)
    top = max(0.2, math.ceil(max(max(by_count.values()) for by_count in shares.values()) * 5) / 5)

    def place(count: float, share: float) -> tuple[float, float]:
        return (
            left + (right - left) * count / most,
            _BOTTOM - (_BOTTOM - _TOP) * share / top,
        )

    yield _text((left + right) / 2, 20, "share of a core, by sessions with 50 frames a second")
    for step in range(round(top * 5) + 1):
        _, y = place(0, step / 5)
        yield _line(left, y, right, y)
        yield _text(left - 6, y + 4, f"{step * 20} %", "end")
    for count in sorted({count for by_count in shares.values() for count in by_count}):
        yield _text(place(count, 0)[0], _BOTTOM + 18, str(count))
    for (side, by_count), colour in zip(shares.items(), _COLOURS[::3], strict=False):
        points = [place(count, share) for count, share in sorted(by_count.items())]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for (x, y), (count, share) in zip(points, sorted(by_count.items()), strict=True):
            yield (
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}">'
                f"<title>{escape(side)}, {count} sessions: {share:.0%}</title></circle>"
            )
        yield _text(points[-1][0], points[-1][1] - 10, side, "end")


def svg(costs: Mapping[str, Mapping[str, float]], shares: Mapping[str, Mapping[int, float]]) -> str:
    """
    Return the plot.

    Args:
        costs: Microseconds a frame, by dialect and side.
        shares: Shares of a core, by side and number of sessions.
    """
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
    title = "Cost of a frame by dialect, and share of a core by number of sessions"
    parts = [head, f"<title>{title}</title>", *_bars(costs), *_lines(shares), "</svg>\n"]
    return "\n".join(parts)

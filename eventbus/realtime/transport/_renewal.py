"""
The policy of renewing a session before the service ends it.

A service ends a session after a fixed time: OpenAI after 60 minutes, Gemini after 10 to 15.
Before that, a second connection is opened beside the first. At a quiet moment it is told the
conversation, and takes over. If no quiet moment comes, it takes over shortly before the end, and
the turn that was going on is repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import attrs

_LARGEST_SHARE: Final = 0.5


def _positive(_instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        msg = f"{attribute.name} must be above 0, not {value!r}; renewal=None turns it off."
        raise ValueError(msg)


@attrs.frozen
class RenewalPolicy:
    """
    The times of a renewal.

    Attributes:
        max_session: Seconds that a session lasts, where the service doesn't say; None relies on
            the service: ``expires_at`` in OpenAI's session, Gemini's ``goAway``.
        before: Seconds before the end from which a quiet moment is looked for; at most half of
            the time that is left.
        margin: Seconds before the end at which no quiet moment is waited for any more; at most a
            quarter of *before*.
        clock: Returns the time in seconds since the epoch, which ``expires_at`` is compared with.
    """

    max_session: float | None = attrs.field(default=None, validator=_positive)
    before: float = attrs.field(default=120.0, validator=_positive)
    margin: float = attrs.field(default=10.0, validator=_positive)
    clock: Callable[[], float] = attrs.field(default=time.time, repr=False, eq=False)

    def window(self, seconds_left: float) -> tuple[float, float]:
        """Return the seconds before the end at which to look for a moment, and to wait no more."""
        before = min(self.before, seconds_left * _LARGEST_SHARE)
        return before, min(self.margin, before / 4)

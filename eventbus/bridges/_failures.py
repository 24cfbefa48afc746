"""
Failures: how a receiving bridge goes on after a handler has failed.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import attrs

from ..exceptions import OptionError


def _positive(_: Any, attribute: Any, value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:
        msg = f"Retry({attribute.name}=...) takes a positive number, not {value!r}."
        raise OptionError(msg, option=attribute.name)


def _count(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        msg = f"Retry(attempts=...) takes a whole number from 1 on, not {value!r}."
        raise OptionError(msg, option="attempts")


def _last_resort(_: Any, __: Any, value: Any) -> None:
    if value not in ("skip", "park"):
        msg = f"Retry(then=...) is 'skip' or 'park', not {value!r}."
        raise OptionError(msg, option="then")


@attrs.frozen
class Retry:
    """
    Give an event to the handlers again, after a pause that grows.

    The call's later events wait meanwhile; other calls go on. All handlers of the event get it
    again, also those that did not fail.

    Attributes:
        attempts: How often the event is given to the handlers, the first time included.
        delay: Seconds before the second attempt.
        factor: By how much each pause is longer than the one before.
        max_delay: Seconds that no pause exceeds.
        then: The policy after the last attempt: ``skip`` or ``park``.
    """

    attempts: int = attrs.field(default=5, validator=_count)
    delay: float = attrs.field(default=0.2, validator=_positive)
    factor: float = attrs.field(default=2.0, validator=_positive)
    max_delay: float = attrs.field(default=30.0, validator=_positive)
    then: Literal["skip", "park"] = attrs.field(
        default="skip",
        validator=_last_resort,  # pyright: ignore[reportAssignmentType]  # it widens the default
    )

    def delay_after(self, attempt: int) -> float | None:
        """Return the seconds to wait after that attempt has failed; None if it was the last."""
        if attempt >= self.attempts:
            return None
        try:
            return min(self.max_delay, self.delay * self.factor ** (attempt - 1))
        except OverflowError:  # after about a thousand attempts
            return self.max_delay


OnFailure: TypeAlias = Literal["skip", "park"] | Retry
"""
A receiving bridge's policy for events whose handlers have failed.

``skip``: go on with the call's next event; the failure is a `RealtimeModelExceptionEvent`, as ever.
``park``: the same, and store the event with the reason among the dead letters. Or a `Retry`.
"""


def check_on_failure(policy: Any) -> Retry:
    """
    Return *policy* as a `Retry`.

    Raises:
        OptionError: It is none.
    """
    if isinstance(policy, Retry):
        return policy
    if policy == "skip" or policy == "park":  # noqa: PLR1714  # mypy narrows this
        return Retry(attempts=1, then=policy)
    msg = f"on_failure= is 'skip', 'park' or a Retry(...), not {policy!r}."
    raise OptionError(msg, option="on_failure")

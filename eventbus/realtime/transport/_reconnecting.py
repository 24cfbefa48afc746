"""
Whether to connect again when a connection has ended, and when.

It depends on the WebSocket close code (RFC 6455, section 7.4, and the registry of IANA):

====== ============================ ===== =====================================================
code   meaning                      again why
====== ============================ ===== =====================================================
1000   normal closure               no    the session is over
1001   going away                   yes   the server restarts; another one will take us
1002   protocol error               no    it would happen again
1003   unsupported data             no    the same
1005   closed, and no code given    no    ended in order, and not by accident
1006   no close frame               yes   the network, or a crash
1007   invalid payload              no    it would happen again
1008   policy violation             no    the service doesn't want us
1009   message too big              no    it would happen again
1010   extension missing            no    the same
1011   internal error, ping timeout yes   the next server may be well, the next network path too
1012   service restart              yes   that is what it says
1013   try again later              yes   that is what it says
1014   bad gateway                  yes   it is the gateway's trouble
1015   TLS failure                  no    a certificate doesn't mend itself
3xxx   of a library                 no    unknown, so taken at its word: closed
4xxx   of the service               no    authentication, quota, model: asking again won't help
====== ============================ ===== =====================================================

The delay before an attempt is drawn evenly between zero and a bound that doubles ("full
jitter"), so that the clients of a server that has restarted don't come back all at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import attrs

__all__ = ["CLEAN_CODES", "NO_CLOSE_FRAME", "NO_STATUS", "TLS_FAILURE", "ReconnectPolicy"]

NO_STATUS: Final = 1005
NO_CLOSE_FRAME: Final = 1006
TLS_FAILURE: Final = 1015

CLEAN_CODES: Final = frozenset({1000, 1001, NO_STATUS})
"""The codes of a connection that has ended in order."""

_AGAIN: Final = frozenset({1001, NO_CLOSE_FRAME, 1011, 1012, 1013, 1014})

_FIRST_CLOSE_CODE: Final = 1000

_BUSY: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


def _positive(_instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        msg = f"{attribute.name} must be above 0, not {value!r}; reconnect=None turns it off."
        raise ValueError(msg)


@attrs.frozen
class ReconnectPolicy:
    """
    How often to try again, and how long to wait before.

    Attributes:
        max_attempts: Failed attempts in a row, after which it is given up.
        initial_delay: The bound of the first delay, in seconds; it doubles with each.
        max_delay: What the bound doesn't exceed.
        reset_after: A connection that has lasted so long, in seconds, was a success; one that
            ends sooner counts as one more failed attempt.
        random: Returns a number from 0 to 1.
    """

    max_attempts: int = attrs.field(default=5, validator=_positive)
    initial_delay: float = attrs.field(default=0.5, validator=_positive)
    max_delay: float = attrs.field(default=8.0, validator=_positive)
    reset_after: float = 10.0
    random: Callable[[], float] = attrs.field(default=random.random, repr=False, eq=False)

    def allows(self, code: int) -> bool:
        """Whether to try again after a connection that has ended with this close code."""
        return code in _AGAIN

    def allows_after_failure(self, code: int | None) -> bool:
        """
        Whether to try once more after an attempt that has failed.

        Args:
            code: The HTTP status or close code that it failed with; None if there was no answer.
        """
        if code is None or code in _BUSY:
            return True
        if code >= _FIRST_CLOSE_CODE:
            return self.allows(code)
        return code >= HTTPStatus.INTERNAL_SERVER_ERROR

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait before an attempt; the first is 1."""
        # The exponent is bounded, as a float's is.
        bound = min(self.initial_delay * 2.0 ** min(attempt - 1, 64), self.max_delay)
        return bound * self.random()

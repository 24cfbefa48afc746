"""
The policy of reconnecting: after which ends of a connection, and after which delays.

It depends on the WebSocket close code (RFC 6455, section 7.4, and the registry of IANA):

====== ============================ ===== =====================================================
code   meaning                      again reason
====== ============================ ===== =====================================================
1000   normal closure               no    the session is over
1001   going away                   yes   the server restarts, or the session's time is up
1002   protocol error               no    it would happen again
1003   unsupported data             no    the same
1005   closed, and no code given    no    a deliberate end
1006   no close frame               yes   the network, or a crash
1007   invalid payload              no    it would happen again
1008   policy violation             no    the service refuses this client
1009   message too big              no    it would happen again
1010   extension missing            no    the same
1011   internal error, ping timeout yes   another server or network path may work
1012   service restart              yes   the service will be back
1013   try again later              yes   the service asks for it
1014   bad gateway                  yes   the gateway's failure, not the service's
1015   TLS failure                  no    a certificate doesn't mend itself
3xxx   of a library                 no    unknown, so taken as an intended end
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
class End:
    """
    The end of a connection.

    Attributes:
        code: The close code; 1006 if there was no close frame.
        reason: The reason given by the side that found fault with the other.
    """

    code: int
    reason: str


@attrs.frozen
class ReconnectPolicy:
    """
    The number of attempts to connect again, and the delays before them.

    Attributes:
        max_attempts: Failed attempts in a row, after which it is given up.
        initial_delay: The bound of the first delay, in seconds; it doubles with each attempt.
        max_delay: The largest bound of a delay, in seconds.
        reset_after: A connection that has lasted this long, in seconds, was a success; one that
            ends sooner counts as one more failed attempt.
        random: Returns a number from 0 to 1.
    """

    max_attempts: int = attrs.field(default=5, validator=_positive)
    initial_delay: float = attrs.field(default=0.5, validator=_positive)
    max_delay: float = attrs.field(default=8.0, validator=_positive)
    reset_after: float = 10.0
    random: Callable[[], float] = attrs.field(default=random.random, repr=False, eq=False)

    def allows(self, code: int) -> bool:
        """Return whether to connect again after an end with this close code."""
        return code in _AGAIN

    def allows_after_failure(self, code: int | None) -> bool:
        """
        Return whether to try once more after a failed attempt.

        Args:
            code: The HTTP status or close code of the failure; None if there was no answer.
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

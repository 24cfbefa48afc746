"""
Callers for tests of an agent: they speak by a script, and listen to the agent turn by turn.

::

    async with Caller(SessionLine(session, bus)) as caller:
        reply = await caller.ask("Where is my order?", within_ms=1_500)
        assert reply.heard == "It is on its way."

A caller is on a `Line`: that of a session in the same process, or a phone call as Twilio's Media
Streams bring it. All the time it sends audio, as a telephone does, and all waiting is done on the
event loop's clock, so calls can take virtual time (`eventbus.testing.FakeClock`).

Its speech is synthetic, as that of the simulator, whose words it understands: see
`eventbus.simulator.speech`. Of an agent with another voice it knows when it speaks, and not the
words.
"""

from __future__ import annotations

from ..simulator.scenario import CallerStep
from ._caller import Caller
from ._hearing import Ear, Reply
from ._line import Line, SessionLine
from ._twilio import TwilioLine

__all__ = ["Caller", "CallerStep", "Ear", "Line", "Reply", "SessionLine", "TwilioLine"]

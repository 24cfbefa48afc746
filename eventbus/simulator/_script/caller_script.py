"""
The part of a scenario that somebody else speaks: the steps of a caller, for tests of an agent.
"""

from __future__ import annotations

from typing import Final

import attrs

from ...exceptions import ScenarioError
from .config_reader import FLAG, TEXT, Choice, Number

_DURATION_MS: Final = Number(0)
_ACTIONS: Final = ("say", "listen", "noise_ms", "cough", "silence_ms", "press", "hang_up")

KEYS: Final = Choice(*"0123456789*#ABCD")
"""The keys of a telephone."""


@attrs.frozen(kw_only=True)
class CallerStep:
    """
    A step of a caller: one of its actions. In a file, a text alone is *say*.

    Attributes:
        say: Speak these words, once the agent is silent.
        interrupt_after_ms: Speak them over the agent instead, when so much of its turn was heard.
        stops_within_ms: So soon after that the agent has to be silent.
        reply: Listen after the words; the agent's turn has to contain this, in upper or lower
            case. Empty takes any turn.
        listen: Listen to a turn of the agent, which has to contain this; empty takes any turn.
        within_ms: So soon after the caller's words the turn that is listened to has to begin.
        noise_ms: Make a noise that is no speech, so long.
        cough: Cough, which a turn detector may take for speech.
        silence_ms: Say nothing for so long, whatever the agent does.
        press: Press these keys of the telephone.
        hang_up: End the call.
    """

    say: str | None = attrs.field(default=None, validator=TEXT)
    interrupt_after_ms: float | None = attrs.field(default=None, validator=_DURATION_MS)
    stops_within_ms: float | None = attrs.field(default=None, validator=_DURATION_MS)
    reply: str | None = attrs.field(default=None, validator=TEXT)
    listen: str | None = attrs.field(default=None, validator=TEXT)
    within_ms: float | None = attrs.field(default=None, validator=_DURATION_MS)
    noise_ms: float | None = attrs.field(default=None, validator=_DURATION_MS)
    cough: bool = attrs.field(default=False, validator=FLAG)
    silence_ms: float | None = attrs.field(default=None, validator=_DURATION_MS)
    press: str | None = attrs.field(default=None, validator=TEXT)
    hang_up: bool = attrs.field(default=False, validator=FLAG)

    def __attrs_post_init__(self) -> None:
        actions = [name for name in _ACTIONS if getattr(self, name) not in {None, False}]
        if len(actions) != 1:
            found = " and ".join(actions) or "none"
            msg = f"A step is one of {', '.join(_ACTIONS)}; it has {found}."
            raise ScenarioError(msg)
        needs = {
            "interrupt_after_ms": "say",
            "stops_within_ms": "interrupt_after_ms",
            "reply": "say",
        }
        for name, needed in needs.items():
            if getattr(self, name) is not None and getattr(self, needed) is None:
                msg = f"{name} belongs to {needed}, which isn't there; add it, or leave {name} out."
                raise ScenarioError(msg, path=name)
        if self.within_ms is not None and self.reply is None and self.listen is None:
            msg = "within_ms is for a turn that is listened to; add reply, or listen."
            raise ScenarioError(msg, path="within_ms")
        for key in self.press or ():
            KEYS.check("press", key)

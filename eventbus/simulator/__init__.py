"""
A local server that speaks the Realtime protocol and GPT-Live, to try and to test against.

::

    async with Simulator("weather", faults="drop@2") as sim:
        await model.connect({"url": sim.url, "api_key": "none"})

Its words come from a scenario. Its speech is synthetic, and marked so. No key is needed, and
nothing leaves the machine.
"""

from __future__ import annotations

from ._server.server import Simulator
from .faults import Fault
from .scenario import Scenario, load_scenario

__all__ = ["Fault", "Scenario", "Simulator", "load_scenario"]

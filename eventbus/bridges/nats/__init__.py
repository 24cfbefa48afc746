"""
A bridge over NATS JetStream: the events of a call on other machines, in order, with none lost.

::

    async with NatsBridge("nats://localhost:4222") as bridge, bus:
        bridge.forward(bus)  # this process holds the calls
        ...

    async with bus, NatsBridge("nats://localhost:4222") as bridge:
        bridge.receive(bus, group="crm")  # this one, and others like it, do something with them
        await bridge.wait_signal()

::

    _subjects    calls, types and partitions as subjects
    _client      the connection, and JetStream's API
    _stream      the streams: created or checked
    _messages    an event as a message
    _outbox      messages on their way, in order for each call
    _forwarding  the events of a bus, into an outbox
    _journals    the events of a journal, into an outbox
    _reading     a stream's messages in order
    _leases      partitions divided among the members of a group
    _calls       work in order for each call
    _receiving   messages onto a bus
    _commanding  commands to a session, and its answers
    _remote_tools  tools that run in another process
    _bridge      NatsBridge
"""

from __future__ import annotations

from ._bridge import NatsBridge
from ._commanding import Commanding
from ._forwarding import Forwarding
from ._journals import JournalForwarding
from ._outbox import ForwardStats
from ._receiving import ReceiveStats, Receiving
from ._remote_tools import RemoteTool

__all__ = [
    "Commanding",
    "ForwardStats",
    "Forwarding",
    "JournalForwarding",
    "NatsBridge",
    "ReceiveStats",
    "Receiving",
    "RemoteTool",
]

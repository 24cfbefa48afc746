"""
Live sessions under load: from a frame's arrival at the socket to the first handler's start.

::

    sender, a process of its own ── loopback ── this process: arrivals ── a side ── starts

Modules: `stamped` are the frames, `sender` the process that sends them, `receiving` notes when
each came and when its handler started, `sides` has the compared ones, `rounds` lets them take
turns, `memory` counts a session's bytes, and `report` has the table.
"""

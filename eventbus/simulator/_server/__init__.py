"""
The network side of the simulator: sockets, handshakes, and faults on the way.
"""

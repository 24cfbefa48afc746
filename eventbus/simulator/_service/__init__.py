"""
A session at the simulated service, as a state machine: messages and time in, events out.
"""

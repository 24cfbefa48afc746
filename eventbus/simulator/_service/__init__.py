"""
One session at the simulated service, as a state machine: messages and the time go in, events come out.
"""

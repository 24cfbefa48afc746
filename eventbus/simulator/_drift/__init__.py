"""
The drift between the simulator and a real service: the same client at both, and the differences.
"""

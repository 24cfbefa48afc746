"""
Scenario files: reading them, and picking the turn that is next.
"""

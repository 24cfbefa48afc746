"""
The dialects of other services: their messages made GA ones, and GA events made theirs.
"""

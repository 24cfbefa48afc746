"""
Observers that count.
"""

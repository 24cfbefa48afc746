"""
A connection that lasts: sending, reconnecting, and the listeners of a model; knows no vendor.
"""

"""
The way of a publish: registry, routes, compiled calls, dispatch and delivery; private.
"""

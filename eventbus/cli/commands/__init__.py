"""
The commands at work, one module each; their options are in ``eventbus.cli.usage``.
"""

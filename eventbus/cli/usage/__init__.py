"""
The arguments, options and help of the commands, one module each: imported without what runs them.
"""

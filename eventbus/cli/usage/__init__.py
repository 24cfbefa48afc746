"""
The arguments, options and help of the commands, one module each, without the code that runs them.
"""

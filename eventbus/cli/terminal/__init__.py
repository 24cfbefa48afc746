"""
Input and output of the commands: options, files, lines of text, exit codes.
"""

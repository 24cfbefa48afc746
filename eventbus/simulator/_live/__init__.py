"""
One session of the second protocol, GPT-Live: messages and time go in, events come out.
"""

"""
A page to look at calls with: speech, turns, tools, errors and handlers on one time axis.

::

    with Inspector(bus) as inspector:
        print(inspector.url)

It shows the calls of a running bus, and recorded ones. `write_html` makes one file of a recorded
call, to be opened without a server.
"""

from __future__ import annotations

from ._inspector import Inspector
from ._page import write_html

__all__ = ["Inspector", "write_html"]

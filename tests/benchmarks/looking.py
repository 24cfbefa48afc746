"""
A page that is open, as a process of its own: it follows the first call of an inspected bus.

It asks for all that the page asks for: it reads the stream, and with each of its messages it
fetches the overview, the latest minute and the end of the list.
"""

# ruff: noqa: T201 (printing is how it tells that it looks)

from __future__ import annotations

import contextlib
import json
import sys
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit


def main(url: str) -> None:
    """Follow the bus at *url* until the server ends."""
    address = urlsplit(url)
    netloc, token = address.netloc, address.query

    def fetch(path: str, **values: float) -> Any:
        asked.request("GET", f"{path}?{token}" + "".join(f"&{k}={v}" for k, v in values.items()))
        return json.loads(asked.getresponse().read())

    asked, stream = HTTPConnection(netloc), HTTPConnection(netloc)
    stream.request("GET", f"/api/stream?{token}&after=0")
    messages = stream.getresponse()
    print("looking", flush=True)
    while line := messages.readline():
        if not line.startswith(b"data: ["):
            continue
        calls = json.loads(line.removeprefix(b"data: "))
        if calls:
            path = f"/api/calls/{calls[0]['id']}"
            end_ms = fetch(path)["end_ms"] + 1
            fetch(f"{path}/window", **{"from": max(0.0, end_ms - 60_000), "to": end_ms})
            count = fetch(f"{path}/lines", count=0)["count"]
            fetch(f"{path}/lines", **{"from": max(0, count - 200), "count": 200})


if __name__ == "__main__":
    with contextlib.suppress(OSError, ValueError):  # the server has ended
        main(sys.argv[1])

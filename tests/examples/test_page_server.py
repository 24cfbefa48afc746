"""
`examples/browser/page_server.py`, as far as it needs no browser.
"""

from __future__ import annotations

import socket
import sys

import pytest

from tests.examples.loading import load_example

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


def test_port_that_is_taken_is_one_sentence(monkeypatch):
    """
    The server ends with the port, and the option that chooses another one.
    """
    example = load_example("browser/page_server.py")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(sys, "argv", ["page_server.py", "--sim", "--port", str(port)])

        with pytest.raises(SystemExit, match=rf"Port {port} can't be used .*; choose .* --port"):
            example.main()

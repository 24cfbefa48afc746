"""
``eventbus inspect``: recorded calls in a browser.
"""

from __future__ import annotations

from pathlib import Path

from ..inspecting import serve_journals

__all__ = ["command"]


def command(journals: tuple[Path, ...], port: int, host: str, token: str | None) -> None:
    """Run the command; see ``eventbus.cli.usage.inspect``."""
    serve_journals(journals, "eventbus inspect", port=port, host=host, token=token)

"""
Places in somebody's code, as a line of output names them.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["short_path", "where_raised"]


def where_raised(exc: BaseException, file: str | None = None) -> str | None:
    """
    Return the place that *exc* was raised at, like ``agent.py:34``.

    Args:
        exc: The exception.
        file: Look for the innermost place in this file; by default the innermost of all.

    Returns:
        None if it was raised nowhere, or not from that file.
    """
    place = None
    traceback = exc.__traceback__
    while traceback is not None:
        found = traceback.tb_frame.f_code.co_filename
        if file is None or found == file:
            place = f"{short_path(found)}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


def short_path(file: str) -> str:
    """Return a file's path as one would type it here."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name

"""
What `websockets` may log.

At DEBUG it logs headers, keys among them, and frames, which are callers' words.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

__all__ = ["discreet_logger"]

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter


class _Discreet(_Adapter):
    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's name
        return level > logging.DEBUG and super().isEnabledFor(level)


def discreet_logger(name: str) -> logging.LoggerAdapter[logging.Logger]:
    """Return what logs as the logger called *name*, and nothing at DEBUG."""
    return _Discreet(logging.getLogger(name), {})

"""
``python -m eventbus``: the same as the command ``eventbus``.
"""

from __future__ import annotations

import sys

try:
    from .cli.main import main
except ModuleNotFoundError as exc:
    if exc.name not in {"click", "rich"}:
        raise
    sys.exit(str(exc))  # in a terminal the remedy counts, not the traceback
except KeyboardInterrupt:  # ended before it began
    sys.exit(130)

__all__ = ["main"]

if __name__ == "__main__":
    main()

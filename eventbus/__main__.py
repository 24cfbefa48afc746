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
    sys.exit(str(exc))  # whoever types a command wants the remedy, and no traceback
except KeyboardInterrupt:  # whoever ends it at once, too
    sys.exit(130)

__all__ = ["main"]

if __name__ == "__main__":
    main()

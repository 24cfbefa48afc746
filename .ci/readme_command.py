"""
Print one of the two commands of the README: ``readme_command.py demo`` or ``... test``.

The README marks them with ``<!-- command: demo -->`` and ``<!-- command: test -->`` above
their fenced blocks, so a command is written there and nowhere else.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def command(name: str) -> str:
    """Return the text of the block that is marked as *name*."""
    pattern = rf"^<!-- command: {re.escape(name)} -->\n+```\w*\n(.*?)^```$"
    blocks = re.findall(pattern, README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    if len(blocks) != 1:
        msg = f"README.md has {len(blocks)} blocks marked `<!-- command: {name} -->`; it needs one."
        raise SystemExit(msg)
    return blocks[0].strip()


if __name__ == "__main__":
    print(command(sys.argv[1]))

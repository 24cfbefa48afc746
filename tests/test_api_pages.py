"""
The documentation as it is built: without a warning, and with every public name in it.

The pages are built without their looks, which take a third of the time and change no reference.
"""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from sphinx.util.inventory import InventoryFile

ROOT = Path(__file__).parents[1]
MODULES = sorted(p.stem for p in (ROOT / "docs" / "reference" / "api").glob("eventbus*.md"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The built documentation: the exit code, the messages, and the names that can be linked."""
    folder = tmp_path_factory.mktemp("docs")
    looks = ["html_theme=basic", "html_use_index=0", "html_domain_indices=0", "html_copy_source=0"]
    options = ["-EWq", "--keep-going", "-d", folder / "trees", *(f"-D{look}" for look in looks)]
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "docs", folder],
        capture_output=True,
        check=False,
        cwd=ROOT,
        encoding="utf-8",
        timeout=600,
    )
    inventory = folder / "objects.inv"
    names = set()
    if inventory.exists():
        found = InventoryFile.loads(inventory.read_bytes(), uri="")
        names = {
            name for kind, entries in found.data.items() if kind[:3] == "py:" for name in entries
        }
    return result.returncode, result.stderr, names


def test_documentation_builds_without_a_warning(built):
    """
    No reference on any page leads nowhere, and no page is left out.
    """
    code, messages, _ = built

    assert (code, messages) == (0, "")


def public_names() -> list[str]:
    """Return the full names that the public modules list, and those of the methods behind them."""
    found = []
    for module_name in MODULES:
        try:
            module = importlib.import_module(module_name)
        except (ImportError, OSError):  # sound devices need a library of the machine
            continue
        for name in module.__all__:
            found.append(f"{module_name}.{name}")
            value = getattr(module, name)
            if inspect.isclass(value) and is_ours(value):
                found += [f"{value.__module__}.{value.__qualname__}.{m}" for m in methods(value)]
    return found


def is_ours(cls: type) -> bool:
    return cls.__module__ in MODULES  # of a private module, only the page knows the full name


def methods(cls: type) -> list[str]:
    """Return the public methods and properties of *cls*, those that it inherits from us too."""
    return [
        name
        for base in cls.__mro__
        if base.__module__.startswith("eventbus")
        for name, value in vars(base).items()
        if not name.startswith("_") and (inspect.isroutine(value) or isinstance(value, property))
    ]


def test_every_public_name_has_its_place(built):
    """
    Each name in the ``__all__`` of a public module can be looked up, and each of its methods.
    """
    _, _, names = built

    assert [name for name in public_names() if name not in names] == []

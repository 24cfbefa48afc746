"""Sphinx's configuration; name and version are those of the installed package."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.ext.autodoc import Options

metadata = importlib.metadata.metadata("eventbus")
project = metadata["Name"]
author = metadata["Author"]
version = release = metadata["Version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {version}"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

# `EventBus` in a docstring is a link wherever there is something to link to.
default_role = "py:obj"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_custom_sections = ["Source"]
napoleon_numpy_docstring = False
# The class's docstring describes its attributes; a directive for each would say it twice.
napoleon_use_ivar = True

API = Path(__file__).parent / "reference" / "api.md"
MODULES = set(re.findall(r"^\.\. automodule:: ([\w.]+)", API.read_text("utf-8"), re.MULTILINE))


def skip_what_stands_elsewhere(
    _app: Sphinx, what: str, _name: str, obj: object, skip: bool, options: Options
) -> bool:
    """
    Leave out of the root's section what another section has.

    A name is documented once, where it is defined, if that module has a section. The root's
    section is the one with the option ``imported-members``.
    """
    in_root = what == "module" and bool(options.imported_members)
    return skip or (in_root and getattr(obj, "__module__", None) in MODULES - {"eventbus"})


def setup(app: Sphinx) -> None:
    """Connect what is above to Sphinx."""
    app.connect("autodoc-skip-member", skip_what_stands_elsewhere)

"""Sphinx's configuration; name and version are those of the installed package."""

from __future__ import annotations

import builtins
import importlib
import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.domains.python import ObjectEntry
from sphinx.ext.autodoc.mock import mock
from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from docutils.nodes import Element, TextElement
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

metadata = importlib.metadata.metadata("eventbus")
project = metadata["Name"]
author = metadata["Author"]
version = release = metadata["Version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
# The button leaves out prompts, and the output of a command.
copybutton_prompt_text = "$ "
html_theme = "furo"
html_title = f"{project} {version}"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

# `EventBus` in a docstring is a link, and one that leads nowhere is an error.
default_role = "py:obj"
nitpicky = True
# Nothing is looked up elsewhere while building, so a name of another package is no link.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!eventbus\b)[a-z_]+(\.\w+)+"),
    (r"py:.*", "|".join(dir(builtins))),
    # Type variables, and types of signatures that are written out for type checkers only, or are
    # private: a protocol that an argument has to fit, for example.
    (r"py:.*", r"(.*\.)?(_?[A-Z]\d?|EventT_co)"),
    (r"py:class", r"(?!eventbus\.).*"),
    (r"py:class", r"eventbus\.audio\.devices\.PlaybackTracker"),
    (r"py:class", r"eventbus(\.\w+)*\._\w+(\.\w+)*"),
]
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    # Inherited methods are part of a class's API, but not those of the types of Python itself.
    "inherited-members": "BaseException, Enum, Generic, Protocol, dict, object, str, tuple",
}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_custom_sections = ["Source"]
napoleon_numpy_docstring = False
# The class's docstring describes its attributes; a directive for each would say it twice.
napoleon_use_ivar = True
# A sentence with a colon is no type.
napoleon_use_rtype = False

# One page a public module; the pages are the list.
MODULES = sorted(
    path.stem for path in (Path(__file__).parent / "reference" / "api").glob("eventbus*.md")
)
# A machine that builds documentation needs no sound card.
autodoc_mock_imports = ["sounddevice"]
with mock(autodoc_mock_imports):
    ALL = {name: list(getattr(importlib.import_module(name), "__all__", ())) for name in MODULES}


def home(module: str, name: str) -> str:
    """
    Return the module on whose page a public name is described: one page, though many list it.

    That is the module that defines it, or the folder whose private module does; for a constant,
    which doesn't know where it was defined, the innermost module that lists it.
    """
    value = getattr(importlib.import_module(module), name)
    lists = [m for m, names in ALL.items() if name in names and _same(m, name, value)]
    defined_in = getattr(value, "__module__", None) or ""
    around = [m for m in lists if m == defined_in or defined_in.startswith(f"{m}.")]
    return max(around or lists, key=lambda m: (m.count("."), m))


def _same(module: str, name: str, value: object) -> bool:
    return getattr(importlib.import_module(module), name) is value


def skip_names_of_other_pages(
    app: Sphinx, what: str, name: str, _obj: object, skip: bool, _options: object
) -> bool | None:
    """Describe each public name on one page, and there also without a docstring."""
    module = app.env.current_document.autodoc_module
    if what != "module" or name not in ALL.get(module, ()):
        return skip
    return home(module, name) != module


def add_other_names(_app: Sphinx, env: BuildEnvironment) -> None:
    """Let a name that several modules list be found under each of them."""
    objects = env.domains.python_domain.objects
    for module, names in ALL.items():
        for name in names:
            entry = objects.get(f"{home(module, name)}.{name}")
            if entry is not None and f"{module}.{name}" not in objects:
                objects[f"{module}.{name}"] = ObjectEntry(
                    entry.docname, entry.node_id, entry.objtype, aliased=True
                )


def find_by_last_names(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: TextElement
) -> Element | None:
    """Let `EventBus.publish` be a link on every page, as long as it can mean one thing only."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].removeprefix("eventbus.")
    found = {
        (entry.docname, entry.node_id): name
        for name, entry in env.domains.python_domain.objects.items()
        if name.endswith(f".{target}")
    }
    if len(found) != 1:
        return None
    ((docname, node_id),) = found
    return make_refnode(app.builder, node["refdoc"], docname, node_id, contnode, target)


def leave_out_private_bases(
    _app: Sphinx, _name: str, _obj: object, _options: object, bases: list[object]
) -> None:
    """Show as bases only classes that have a place on some page."""
    bases[:] = [base for base in bases if not getattr(base, "__name__", "").startswith("_")]


def setup(app: Sphinx) -> None:
    """Connect the functions above to Sphinx."""
    app.connect("autodoc-skip-member", skip_names_of_other_pages)
    app.connect("autodoc-process-bases", leave_out_private_bases)
    app.connect("env-updated", add_other_names)
    app.connect("missing-reference", find_by_last_names)

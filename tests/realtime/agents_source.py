"""
The declarations of openai-agents: its modules are read, as importing them takes seconds.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

__all__ = ["Declared", "declared_in"]

Declared = dict[str, dict[str, object]]


def declared_in(module: str) -> Declared:
    """
    Return the fields of each class in a module of ``agents.realtime``, each with its default;
    an Ellipsis is for none.
    """
    spec = importlib.util.find_spec("agents")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("openai-agents is not installed")
    path = Path(spec.submodule_search_locations[0], "realtime", f"{module}.py")
    classes = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef))
    return {each.name: _fields(each) for each in classes}


def _fields(node: ast.ClassDef) -> dict[str, object]:
    return {
        field.target.id: ... if field.value is None else ast.literal_eval(field.value)
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    }

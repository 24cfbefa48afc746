"""
`eventbus.telemetry._places`: where an exception comes from.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eventbus.telemetry._places import short_path, where_raised


def fail():
    json.loads("[")


def test_place_is_the_innermost_of_all_or_of_one_file():
    """
    The line that raised is named, or on demand the last one in a file that led to it.
    """
    with pytest.raises(json.JSONDecodeError) as caught:
        fail()

    assert where_raised(caught.value).startswith("decoder.py:")
    place = where_raised(caught.value, __file__)
    assert place.endswith(f"{Path(__file__).name}:{fail.__code__.co_firstlineno + 1}")


def test_what_was_not_raised_there_has_no_place():
    """
    An exception that was never raised, or passed no line of the file, comes from nowhere.
    """
    assert where_raised(ValueError()) is None
    with pytest.raises(json.JSONDecodeError) as caught:
        fail()
    assert where_raised(caught.value, "other.py") is None


def test_path_is_short(tmp_path, monkeypatch):
    """
    A file below the current directory has its path from there, another one just its name.
    """
    monkeypatch.chdir(tmp_path)

    assert short_path(str(tmp_path / "shop" / "agent.py")) == str(Path("shop", "agent.py"))
    assert short_path(str(tmp_path.parent / "agent.py")) == "agent.py"

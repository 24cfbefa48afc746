"""
mypy and pyright accept the package and the examples, and agree with the files in `tests/typing`
about the public API, line by line.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

IGNORES = {
    "mypy": re.compile(r"  # type: ignore\[[\w, -]+\]"),
    "pyright": re.compile(r"  # pyright: ignore\[[\w, -]+\]"),
}


def mypy(checkout: Path, *paths: Path) -> set[tuple[Path, int]]:
    """
    Return where mypy --strict finds an error.
    """
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--output=json", *map(str, paths)],
        cwd=checkout,
        env={**os.environ, "MYPYPATH": str(checkout)},  # the copy lies elsewhere
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode in {0, 1}, result.stdout + result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    print(result.stdout)  # noqa: T201  # pytest shows it if the test fails
    return {
        ((checkout / error["file"]).resolve(), error["line"])
        for error in found
        if error["severity"] == "error"
    }


def pyright(checkout: Path, *paths: Path) -> set[tuple[Path, int]]:
    """
    Return where pyright finds an error.
    """
    result = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
        + [str(path) for path in paths],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode in {0, 1}, result.stdout + result.stderr
    found = json.loads(result.stdout)["generalDiagnostics"]
    print(*(f"{e['range']['start']} {e['message']}" for e in found), sep="\n")  # noqa: T201  # as above
    return {
        (Path(error["file"]).resolve(), error["range"]["start"]["line"] + 1)
        for error in found
        if error["severity"] == "error"
    }


def without_ignores(text: str) -> str:
    """
    Return a file's text as if nothing in it were wrong on purpose.
    """
    for ignore in IGNORES.values():
        text = ignore.sub("", text)
    return text


@pytest.fixture(scope="module")
def texts(checkout):
    """
    The files that say which lines are errors and which aren't, by the name of their copy.
    """
    folder = checkout / "tests" / "typing"
    return {f"bare_{path.name}": path.read_text("utf-8") for path in folder.glob("*.py")}


@pytest.fixture(scope="module")
def bare(texts, tmp_path_factory):
    """
    Copies of the files without any ignore.
    """
    folder = tmp_path_factory.mktemp("typing")
    for name, text in texts.items():
        (folder / name).write_text(without_ignores(text), encoding="utf-8")
    return [folder / name for name in texts]


@pytest.fixture(scope="module", params=[mypy, pyright], ids=lambda check: check.__name__)
def check(request):
    """
    One of the two checkers.
    """
    return request.param


@pytest.fixture(scope="module")
def errors(check, checkout, bare):
    """
    The places of one checker's errors in all that is checked, and in the file without ignores.

    It is one run, because the package takes most of the time.
    """
    with (checkout / "pyproject.toml").open("rb") as file:
        paths = tomllib.load(file)["tool"]["mypy"]["files"]
    return check(checkout, *(checkout / path for path in paths), *bare)


@pytest.mark.slow
def test_checkers_find_no_error(errors, texts):
    """
    The types of the package and the examples are right, and so are those that the files about the
    API say are right; those that they say are wrong are, and every ignore is needed.
    """
    # By name: mypy may remember the files, and where they were the last time.
    assert sorted(place for place in errors if place[0].name not in texts) == []


@pytest.mark.slow
def test_checkers_complain_about_each_wrong_line(errors, check, texts):
    """
    Without the ignores, a checker reports exactly the lines that had one for it.
    """
    ignore = IGNORES[check.__name__]
    wrong = {
        (name, number)
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if ignore.search(line)
    }

    assert {(path.name, line) for path, line in errors if path.name in texts} == wrong
    assert len(wrong) > 50


def test_ignores_are_written_as_the_tests_read_them(texts):
    """
    Each ignore in the files is one that `test_checkers_complain_about_each_wrong_line` takes away.
    """
    for text in map(without_ignores, texts.values()):
        assert "ignore[" not in text
        assert re.search(r"#\s*(type|pyright):", text) is None

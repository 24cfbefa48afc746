"""
mypy and pyright accept the package and the examples, and agree with `tests/typing/api.py` about
the public API, line by line.
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


@pytest.fixture(scope="module")
def api(checkout):
    """
    The file that says what is an error and what isn't.
    """
    return checkout / "tests" / "typing" / "api.py"


@pytest.fixture(scope="module")
def bare(api, tmp_path_factory):
    """
    The same file without any ignore.
    """
    text = api.read_text(encoding="utf-8")
    for ignore in IGNORES.values():
        text = ignore.sub("", text)
    path = tmp_path_factory.mktemp("typing") / "bare.py"
    path.write_text(text, encoding="utf-8")
    return path.resolve()


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
    return check(checkout, *(checkout / path for path in paths), bare)


@pytest.mark.slow
def test_checkers_find_no_error(errors, bare):
    """
    The types of the package and the examples are right, and so are those that the file of the API
    says are right; those that it says are wrong are, and every ignore is needed.
    """
    # By name: mypy may remember the file, and where it was the last time.
    assert sorted(place for place in errors if place[0].name != bare.name) == []


@pytest.mark.slow
def test_checkers_complain_about_each_wrong_line(errors, check, api, bare):
    """
    Without the ignores, a checker reports exactly the lines that had one for it.
    """
    lines = api.read_text(encoding="utf-8").splitlines()
    wrong = [n for n, line in enumerate(lines, 1) if IGNORES[check.__name__].search(line)]

    assert sorted(line for path, line in errors if path.name == bare.name) == wrong
    assert len(wrong) > 40


def test_ignores_are_written_as_the_tests_read_them(api):
    """
    Each ignore in the file is one that `test_checkers_complain_about_each_wrong_line` takes away.
    """
    text = api.read_text(encoding="utf-8")
    for ignore in IGNORES.values():
        text = ignore.sub("", text)

    assert "ignore[" not in text
    assert re.search(r"#\s*(type|pyright):", text) is None

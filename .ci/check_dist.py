"""
Look into the sdist and the wheel of a folder, and use the wheel: ``check_dist.py DIST``.

The wheel is installed into an environment of its own: bare, as a library; then with the extra
``cli``, as a program; then with a client and a service, for the demo. Ends with the first thing
that is wrong.
"""

from __future__ import annotations

import email
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]

AS_A_LIBRARY = """
import importlib.metadata, importlib.resources, pathlib, sys
import eventbus

assert pathlib.Path(eventbus.__file__).is_relative_to(sys.prefix), eventbus.__file__
assert importlib.resources.files(eventbus).joinpath("py.typed").is_file(), "no py.typed"
assert importlib.metadata.version("eventbus") == sys.argv[1]

class Ping:
    pass

seen = []
bus = eventbus.EventBus()
bus.on(Ping)(seen.append)
bus.publish(Ping())
assert len(seen) == 1, seen
"""


def fail(message: str) -> None:
    """End the check with *message*."""
    raise SystemExit(message)


def compare(what: str, found: Iterable[str], expected: Iterable[str]) -> None:
    """End the check unless *found* and *expected* are the same names."""
    missing, surplus = set(expected) - set(found), set(found) - set(expected)
    if missing or surplus:
        fail(f"{what}: lacks {sorted(missing)}, should not have {sorted(surplus)}.")


def only(paths: Iterable[Path]) -> Path:
    """Return the one path there should be."""
    found = list(paths)
    if len(found) != 1:
        fail(f"There should be one, not {len(found)}: {found}; start from an empty folder.")
    return found[0]


def run(*command: str | Path, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run *command* without a terminal and expect that exit code."""
    result = subprocess.run(
        command,
        capture_output=True,
        check=False,
        cwd=cwd,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    if result.returncode != code:
        words = " ".join(map(str, command))
        fail(f"{words}: ended with {result.returncode}.\n{result.stdout}{result.stderr}")
    return result


def check_wheel(wheel: Path) -> str:
    """Compare what is in the wheel with the package in the checkout; return the version."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = next(name.partition("/")[0] for name in names if ".dist-info/" in name)
        metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "eventbus").rglob("*")
        if path.is_file() and path.suffix not in {".pyc", ".pyo"}
    }
    compare(wheel.name, (name for name in names if not name.startswith(f"{info}/")), package)
    for name in ("entry_points.txt", "licenses/LICENSE"):
        if f"{info}/{name}" not in names:
            fail(f"{wheel.name} has no {name}.")
    if not metadata["Requires-Python"] or "# eventbus" not in str(metadata.get_payload()):
        fail(f"{wheel.name}: its metadata lacks Requires-Python, or the README as description.")
    return metadata["Version"]


def check_sdist(sdist: Path) -> None:
    """Compare what is in the sdist with what is committed."""
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        print(f"{sdist.name}: not compared with the commit, for want of git or a repository.")
        return
    tree = run("git", "ls-tree", "-r", "-z", "--name-only", "HEAD", cwd=ROOT).stdout
    generated = {name for name in names if name.startswith("eventbus.egg-info/")}
    compare(sdist.name, names - generated - {"PKG-INFO"}, tree.strip("\0").split("\0"))


def check_installed(wheel: Path, version: str) -> None:
    """Use the wheel where nothing else is installed."""
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = Path(folder)
        run("uv", "venv", "--quiet", "--python", sys.executable, elsewhere / "venv", cwd=elsewhere)
        binaries = elsewhere / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
        python, eventbus = binaries / "python", binaries / "eventbus"

        def install(requirement: str) -> None:
            run("uv", "pip", "install", "--quiet", "--python", python, requirement, cwd=elsewhere)

        install(str(wheel))
        run("uv", "pip", "check", "--python", python, cwd=elsewhere)
        script = elsewhere / "as_a_library.py"
        script.write_text(AS_A_LIBRARY, encoding="utf-8")
        run(python, "-W", "error", script, version, cwd=elsewhere)
        # Without the extra, the program says what to install.
        if "eventbus[cli]" not in run(eventbus, "events", cwd=elsewhere, code=1).stderr:
            fail("`eventbus` without the extra `cli` does not tell how to get it.")

        install(f"{wheel}[cli]")
        if "RealtimeModelAudioEvent" not in run(eventbus, "events", cwd=elsewhere).stdout:
            fail("`eventbus events` does not list the vocabulary.")
        # Nor is there a demo without a client and a service.
        if "eventbus[cli,openai,sim]" not in run(eventbus, "demo", cwd=elsewhere, code=1).stderr:
            fail("`eventbus demo` without its extras does not tell how to get them.")

        install(f"{wheel}[cli,openai,sim]")
        run(python, "-m", "eventbus", "demo", "--speed", "max", cwd=elsewhere)


def main(dist: Path) -> None:
    """Check the one sdist and the one wheel in *dist*."""
    wheel, sdist = only(dist.glob("*.whl")).resolve(), only(dist.glob("*.tar.gz"))
    version = check_wheel(wheel)
    check_sdist(sdist)
    check_installed(wheel, version)
    print(f"{sdist.name} and {wheel.name}: complete, and the wheel works.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""
The checks, each under a name: ``nox -f .ci/noxfile.py`` runs those that need no other Python.

``lint``, ``types``, ``docs`` and ``package`` run in the environment that nox itself is
installed in, the one of ``pip install -e '.[dev]'``. ``tests`` and ``lowest`` make their own.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]

config = configparser.ConfigParser()
config.read(ROOT / "setup.cfg", encoding="utf-8")

PYTHONS = re.findall(r"Python :: (3\.\d+)", config["metadata"]["classifiers"])

# The README's command runs everything. Another Python, or another version of a dependency, runs
# the everyday tests, with fewer random examples, and without those that no version changes.
PYTEST = [
    "pytest",
    "-q",
    "-m",
    "not slow",
    "--ignore=tests/test_api_pages.py",
    "--ignore=tests/test_architecture.py",
    "--ignore=tests/test_benchmarks.py",
    "--ignore=tests/test_docs.py",
    "--ignore=tests/test_packaging.py",
    "--ignore=tests/test_typing.py",
]
FEWER_EXAMPLES = {"HYPOTHESIS_PROFILE": "short"}

# The folder that `package` puts the sdist and the wheel in, if there is one.
DIST = os.environ.get("EVENTBUS_DIST")

# What a client does to the simulator is its own affair: warnings of theirs are no errors.
CLIENTS = {
    "google-genai": "3.6.1",
    "livekit-agents": "1.8.9",
    "livekit-plugins-openai": "1.8.9",
    "pipecat-ai[openai]": "1.14.0",
    "pydantic-ai-slim[openai,realtime,xai]": "2.68.0",
}
PYTEST_FOR_CLIENTS = ["pytest", "-n0", "-W", "default", "tests/clients", "tests/wire/gemini"]
NPM_CLIENTS = ["openai", "@openai/agents-realtime", "ws", "zod"]

nox.options.sessions = ["lint", "types", "docs", "package"]
nox.options.default_venv_backend = "uv|virtualenv"


def built(extras: str) -> str:
    """Return the wheel that `package` has made, or else the checkout, with these extras."""
    wheels = list(Path(DIST).glob("*.whl")) if DIST else []
    return f"eventbus[{extras}] @ {wheels[0].as_uri()}" if wheels else f".[{extras}]"


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the everyday tests on one version of Python, against eventbus as it is installed."""
    session.chdir(ROOT)
    session.install(built("test"))
    session.run(*PYTEST, *session.posargs, env=FEWER_EXAMPLES)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the everyday tests with the oldest dependencies that setup.cfg allows."""
    session.chdir(ROOT)
    extras = config["options.extras_require"]
    requirements = config["options"]["install_requires"] + extras["cli"] + extras["sim"]
    session.install(built("test"), *requirements.replace(">=", "==").split())
    # The last of the long steps: by then a processor is free.
    session.run(*PYTEST, "-n2", *session.posargs, env=FEWER_EXAMPLES)


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Check rules and format of the code, the prose, and the types of the inspector's page."""
    session.chdir(ROOT)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("python", ".ci/prose.py")
    session.run("python", ".ci/page_types.py")


@nox.session(python=False)
def types(session: nox.Session) -> None:
    """Check the types with both checkers."""
    session.chdir(ROOT)
    session.run("mypy")
    session.run("pyright")


@nox.session(python=False)
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.chdir(ROOT)
    session.run("sphinx-build", "-EW", "--keep-going", "-q", "docs", "docs/_build/html")


@nox.session(python=False)
def package(session: nox.Session) -> None:
    """Build the sdist and, from it, the wheel; look into both; install the wheel and use it."""
    session.chdir(ROOT)
    dist = DIST or session.create_tmp()
    # silent: its log is long, and is shown if the build fails.
    session.run("python", "-m", "build", "--installer", "uv", "--outdir", dist, silent=True)
    session.run("python", ".ci/check_dist.py", dist)


@nox.session(python=PYTHONS[0])
def clients(session: nox.Session) -> None:
    """
    Run the newest clients of other makers with the simulator and the proxy; write their table.

    Those of npm are installed where there is an npm.
    """
    session.chdir(ROOT)
    session.install(".[sim,tls]", *CLIENTS, "hypothesis", "pytest", "pytest-xdist", "trio")
    env = {}
    if shutil.which("npm"):
        folder = Path(session.create_tmp())
        session.run("npm", "install", "--prefix", str(folder), *NPM_CLIENTS, external=True)
        env["EVENTBUS_NODE_MODULES"] = str(folder.resolve() / "node_modules")
    table = ["--clients-table", "docs/how-to/clients-table.inc"]
    session.run(*PYTEST_FOR_CLIENTS, *table, *session.posargs, env=env)


@nox.session(python=PYTHONS[0])
def known_clients(session: nox.Session) -> None:
    """
    Run the clients in Python in the versions that are known to work.

    Their own time-outs aren't ours: on a busy machine, a test that has failed gets a second try.
    """
    session.chdir(ROOT)
    versions = [f"{name}=={version}" for name, version in CLIENTS.items()]
    session.install(built("sim,tls"), *versions, "hypothesis", "pytest", "pytest-xdist", "trio")
    run = [*PYTEST_FOR_CLIENTS, "-q", "-o", f"cache_dir={session.create_tmp()}"]
    session.run(*run, *session.posargs, success_codes=[0, 1])
    session.run(*run, "--lf", "--lfnf=none", success_codes=[0, 5])

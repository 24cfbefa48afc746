"""
`examples/plugin` is a plugin: with its metadata on the path, `EventBus.load_plugins` finds it.

The metadata that pip would write at its installation is written here, from its setup.cfg.
"""

from __future__ import annotations

import configparser
import sys

import pytest

from eventbus.events import RealtimeModelTranscriptDeltaEvent, RealtimeModelTurnEndedEvent


@pytest.fixture
def setup_cfg(checkout):
    """
    The metadata of the example, as its author wrote them.
    """
    config = configparser.ConfigParser()
    config.read(checkout / "examples" / "plugin" / "setup.cfg", encoding="utf-8")
    return config


@pytest.fixture
def installed(setup_cfg, checkout, tmp_path, monkeypatch):
    """
    The example, importable and with the metadata of an installed distribution.
    """
    name, version = setup_cfg["metadata"]["name"], setup_cfg["metadata"]["version"]
    dist_info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
    dist_info.mkdir()
    (dist_info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n", encoding="utf-8"
    )
    lines = []
    for group, points in setup_cfg["options.entry_points"].items():
        lines += [f"[{group}]", *points.split("\n")]
    (dist_info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(checkout / "examples" / "plugin")
    monkeypatch.delitem(sys.modules, "shop_captions", raising=False)
    yield
    sys.modules.pop("shop_captions", None)


def test_plugin_is_found_and_listens(installed, bus, capsys):
    """
    Once the distribution is there, its listener gets the events of the bus that loads plugins.
    """
    registrations = bus.load_plugins(["captions"])

    bus.publish(RealtimeModelTranscriptDeltaEvent("i1", "Good ", "r1"), sender="call-1")
    bus.publish(RealtimeModelTranscriptDeltaEvent("i1", "morning!", "r1"), sender="call-1")
    bus.publish(RealtimeModelTurnEndedEvent("r1"), sender="call-1")

    assert list(registrations) == ["captions"]
    assert capsys.readouterr().out == "[call-1] Good morning!\n"


def test_plugin_can_be_taken_off_again(installed, bus, capsys):
    """
    The result of `load_plugins` undoes the plugin's registration.
    """
    bus.load_plugins(["captions"])["captions"].cancel()

    bus.publish(RealtimeModelTurnEndedEvent("r1"), sender="call-1")

    assert capsys.readouterr().out == ""


def test_packages_that_setup_cfg_names_are_there(setup_cfg, checkout):
    """
    The folder has each package that would be installed.
    """
    packages = setup_cfg["options"]["packages"].split()

    assert packages == [
        path.parent.name for path in (checkout / "examples" / "plugin").glob("*/__init__.py")
    ]

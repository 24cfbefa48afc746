"""
Listeners of other distributions are found through entry points, and loaded on request only.
"""

from __future__ import annotations

import importlib
import logging
import sys
import textwrap

import pytest

from eventbus import EventBus, PluginError, PluginNotFoundError
from eventbus.events import RealtimeModelTurnEndedEvent
from tests.support import crashes


@pytest.fixture
def install(tmp_path, monkeypatch):
    """
    Return a function that installs a distribution: its modules, and its plugins by name.
    """
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)

    def install(distribution, plugins, **sources):
        for module, source in sources.items():
            (tmp_path / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        info = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", encoding="utf-8"
        )
        lines = [f"{name} = {value}" for name, value in plugins.items()]
        (info / "entry_points.txt").write_text(
            "\n".join(["[eventbus.plugins]", *lines, "", "[console_scripts]", "shop = shop:main"]),
            encoding="utf-8",
        )
        importlib.invalidate_caches()

    yield install
    for module in set(sys.modules) - modules:
        if getattr(sys.modules[module], "__file__", None) and str(tmp_path) in str(
            sys.modules[module].__file__
        ):
            del sys.modules[module]


CAPTIONS = """
    from eventbus import on
    from eventbus.events import RealtimeModelTurnEndedEvent

    seen = []

    class Captions:
        @on(RealtimeModelTurnEndedEvent)
        def show(self, event):
            seen.append(("captions", event.response_id))

    class Billing:
        @on(RealtimeModelTurnEndedEvent)
        def charge(self, event):
            seen.append(("billing", event.response_id))

    @on(RealtimeModelTurnEndedEvent)
    def function(event):
        seen.append(("function", event.response_id))

    instance = Billing()
    not_marked = object()

    class NeedsArguments:
        def __init__(self, path):
            pass
"""

AUDIT = """
    from eventbus import on
    from eventbus.events import RealtimeModelTurnEndedEvent

    seen = []

    @on(RealtimeModelTurnEndedEvent)
    def note(event):
        seen.append("note")

    @on(RealtimeModelTurnEndedEvent)
    def sign(event):
        seen.append("sign")
"""


def publish_and_see(bus, module):
    """
    Publish an event, and return the names of the handlers that noted it in *module*.
    """
    seen = importlib.import_module(module).seen
    seen.clear()
    bus.publish(RealtimeModelTurnEndedEvent("resp_1"))
    return seen


def test_plugins_are_never_loaded_by_themselves(bus, install):
    """
    Until ``load_plugins`` is called, nothing of an installed plugin is even imported.
    """
    install("shop-captions", {"captions": "shop_captions:Captions"}, shop_captions=CAPTIONS)

    EventBus().publish(RealtimeModelTurnEndedEvent())

    assert "shop_captions" not in sys.modules
    assert bus.stats.delivered == 0


def test_all_plugins_are_loaded_by_default(bus, install):
    """
    Of all distributions, in the order of their names; each has its registration.
    """
    install(
        "shop-captions",
        {"zz-captions": "shop_captions:Captions", "billing": "shop_captions:Billing"},
        shop_captions=CAPTIONS,
    )
    install("shop-audit", {"audit": "shop_audit"}, shop_audit=AUDIT)

    loaded = bus.load_plugins()

    assert list(loaded) == ["audit", "billing", "zz-captions"]
    assert publish_and_see(bus, "shop_captions") == [("billing", "resp_1"), ("captions", "resp_1")]


@pytest.mark.parametrize(
    ("value", "who"),
    [
        ("shop_captions:Captions", "captions"),
        ("shop_captions:instance", "billing"),
        ("shop_captions:function", "function"),
        ("shop_captions", "function"),
    ],
)
def test_plugin_may_be_a_class_an_object_a_function_or_a_module(bus, install, value, who):
    """
    A class is made without arguments; everything else is registered as it is.
    """
    install("shop-captions", {"captions": value}, shop_captions=CAPTIONS)

    bus.load_plugins()

    assert publish_and_see(bus, "shop_captions") == [(who, "resp_1")]


def test_loaded_plugin_can_be_taken_out(bus, install):
    """
    The registration undoes it.
    """
    install("shop-captions", {"captions": "shop_captions:Captions"}, shop_captions=CAPTIONS)

    bus.load_plugins()["captions"].cancel()

    assert publish_and_see(bus, "shop_captions") == []


def test_only_named_plugins_are_loaded(bus, install):
    """
    In the order in which they are named, each once; the others aren't imported.
    """
    install(
        "shop-captions",
        {"captions": "shop_captions:Captions", "billing": "shop_captions:Billing"},
        shop_captions=CAPTIONS,
    )
    install("shop-audit", {"audit": "shop_audit"}, shop_audit=AUDIT)

    loaded = bus.load_plugins(["captions", "billing", "captions"])

    assert list(loaded) == ["captions", "billing"]
    assert publish_and_see(bus, "shop_captions") == [("captions", "resp_1"), ("billing", "resp_1")]
    assert "shop_audit" not in sys.modules


def test_excluded_plugins_are_not_loaded(bus, install):
    """
    This holds for all plugins and for named ones; a name that nobody has may be excluded.
    """
    install("shop-captions", {"captions": "shop_captions:Captions"}, shop_captions=CAPTIONS)
    install("shop-audit", {"audit": "shop_audit"}, shop_audit=AUDIT)

    assert list(bus.load_plugins(exclude=["audit", "unheard-of"])) == ["captions"]
    assert list(bus.load_plugins(names=["captions", "audit"], exclude=["audit"])) == ["captions"]
    assert "shop_audit" not in sys.modules


def test_unknown_name_is_an_error_before_anything_loads(bus, install):
    """
    The error names the plugin that is missing and those that there are.
    """
    install("shop-captions", {"captions": "shop_captions:Captions"}, shop_captions=CAPTIONS)

    with pytest.raises(PluginNotFoundError, match=r"'subtitles'; there are: .*captions") as missing:
        bus.load_plugins(names=["captions", "subtitles"])

    assert missing.value.plugin == "subtitles"
    assert isinstance(missing.value, LookupError)
    assert "shop_captions" not in sys.modules


@pytest.mark.parametrize("argument", ["names", "exclude"])
def test_one_name_without_a_list_is_refused(bus, argument):
    """
    A string is not taken for several names of one letter.
    """
    with pytest.raises(TypeError, match=rf"write {argument}=\['captions'\]"):
        bus.load_plugins(**{argument: "captions"})


BROKEN = {
    "no-module": ("shop_nowhere:Captions", ModuleNotFoundError),
    "no-attribute": ("shop_captions:Nothing", AttributeError),
    "fails-on-import": ("shop_broken", ZeroDivisionError),
    "needs-arguments": ("shop_captions:NeedsArguments", TypeError),
    "not-marked": ("shop_captions:not_marked", TypeError),
}


@pytest.mark.parametrize("name", BROKEN)
def test_failing_plugin_becomes_an_event_and_the_others_load(bus, install, name):
    """
    The Exception event has a `PluginError` that names it, with the reason as its cause; it has no
    registration, and the plugins after it load.
    """
    value, reason = BROKEN[name]
    install(
        "shop-captions",
        {name: value, "zz-billing": "shop_captions:Billing"},
        shop_captions=CAPTIONS,
        shop_broken="1 / 0",
    )
    failures = crashes(bus)

    loaded = bus.load_plugins()

    assert list(loaded) == ["zz-billing"]
    assert publish_and_see(bus, "shop_captions") == [("billing", "resp_1")]
    (failure,) = failures
    assert isinstance(failure.exception, PluginError)
    assert failure.exception.plugin == name
    assert isinstance(failure.exception.__cause__, reason)
    assert name in str(failure.exception)
    assert value in str(failure.exception)
    assert name in failure.context


def test_failing_plugin_is_logged_if_nobody_takes_the_event(bus, install, caplog):
    """
    Without a handler of Exception events, the log has the failure and its cause.
    """
    install("shop-broken", {"broken": "shop_broken"}, shop_broken="1 / 0")

    assert bus.load_plugins() == {}

    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "ZeroDivisionError" in caplog.text
    assert "'broken'" in caplog.text


def test_failing_plugin_does_not_need_a_running_bus(bus, install, caplog):
    """
    If only an async handler would be told, and can't yet, the failure is logged and the others
    load.
    """
    install(
        "shop-captions",
        {"broken": "shop_broken", "captions": "shop_captions:Captions"},
        shop_captions=CAPTIONS,
        shop_broken="1 / 0",
    )
    from eventbus.events import RealtimeModelExceptionEvent

    @bus.on(RealtimeModelExceptionEvent)
    async def report(event):
        pass

    assert list(bus.load_plugins()) == ["captions"]
    assert "ZeroDivisionError" in caplog.text


def test_half_of_a_plugin_is_not_registered(bus, install):
    """
    A plugin with a handler that is refused leaves none of the others behind.
    """
    install(
        "shop-audit",
        {"audit": "shop_audit"},
        shop_audit=AUDIT + "    on(RealtimeModelTurnEndedEvent, priority=3)(sign)\n",
    )
    failures = crashes(bus)

    assert bus.load_plugins() == {}

    assert len(failures) == 1
    assert publish_and_see(bus, "shop_audit") == []


def test_plugin_that_exits_is_obeyed(bus, install):
    """
    SystemExit while loading is no failure of a plugin.
    """
    install("shop-broken", {"broken": "shop_broken"}, shop_broken="raise SystemExit(3)")

    with pytest.raises(SystemExit):
        bus.load_plugins()


def test_no_plugins_are_no_error(bus):
    """
    Excluding everything that this environment may have, there is nothing to load.
    """
    from importlib.metadata import entry_points

    everything = entry_points(group="eventbus.plugins").names

    assert bus.load_plugins(exclude=everything) == {}


def test_other_entry_points_are_no_plugins(bus, install):
    """
    Only the group ``eventbus.plugins`` counts.
    """
    install("shop-audit", {}, shop=AUDIT)

    assert "shop" not in bus.load_plugins()
    assert "shop" not in sys.modules

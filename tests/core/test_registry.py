"""
The promises of a subscription, and the memory of the registry, which keeps nothing of an ended one.
"""

from __future__ import annotations

import gc
import weakref

import attrs
import blinker
import pytest

from eventbus import ANY, DuplicateSubscriptionError, EventBus, Mailbox, Subscription
from tests.support import LoudPing, Ping, Pong, crashes, raiser


class Player:
    """
    A listener that notes its events.
    """

    def __init__(self, seen=None):
        self.seen = [] if seen is None else seen

    def play(self, event):
        self.seen.append(event)

    def pause(self, event):
        self.seen.append("pause")


# --- the same handler again ------------------------------------------------------------------


def test_registering_again_returns_the_subscription_there_is(bus):
    """
    The same callable for the same class is one subscription, and gets each event once.
    """
    seen = []

    first = bus.subscribe(seen.append, Ping, priority=3)
    second = bus.subscribe(seen.append, Ping, priority=3)
    bus.publish(Ping("p1"))

    assert second is first
    assert seen == [Ping("p1")]


@pytest.mark.parametrize("way", ["subscribe", "on", "register"])
def test_every_way_to_register_is_idempotent(bus, way):
    """
    A decorator that is executed twice, or a listener registered twice, subscribes once.
    """
    seen = []

    def play(event):
        seen.append(event)

    def subscribe():
        if way == "subscribe":
            bus.subscribe(play, Ping)
        elif way == "on":
            bus.on(Ping)(play)
        else:
            bus.register(play)

    if way == "register":
        from eventbus import on

        on(Ping)(play)
    subscribe()
    subscribe()
    bus.publish(Ping("p1"))

    assert seen == [Ping("p1")]


def test_bound_methods_are_the_same_by_object_and_function(bus):
    """
    ``player.play``, a new object at each look, is one handler; another player's is another.
    """
    one, other = Player(), Player()

    first = bus.subscribe(one.play, Ping)

    assert bus.subscribe(one.play, Ping) is first
    assert bus.subscribe(one.pause, Ping) is not first
    assert bus.subscribe(other.play, Ping) is not first


def test_equal_objects_are_different_handlers(bus):
    """
    Methods of objects that are equal, but not the same, are subscribed each.
    """
    one, other = [], []
    bus.subscribe(one.append, Ping)
    bus.subscribe(other.append, Ping)

    bus.publish(Ping("p1"))

    assert (one, other) == ([Ping("p1")], [Ping("p1")])


def always(event):
    return True


async def play_async(event):
    pass


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"priority": 1}),
        ({}, {"once": True}),
        ({}, {"when": always}),
        ({"timeout": 1}, {"timeout": 2}),
        ({}, {"mailbox": Mailbox(capacity=3)}),
        ({"mailbox": Mailbox(capacity=4)}, {"mailbox": Mailbox(capacity=3)}),
    ],
)
def test_registering_again_with_other_options_is_an_error(bus, first, second):
    """
    The error names the handler, the class and the remedy; the first subscription stays as it is.
    """
    subscription = bus.subscribe(play_async, Ping, **first)

    with pytest.raises(DuplicateSubscriptionError, match=r"play_async is subscribed to Ping") as e:
        bus.subscribe(play_async, Ping, **second)

    assert "cancel that subscription first" in str(e.value)
    assert e.value.handler is play_async
    assert subscription.is_active
    assert bus.subscribe(play_async, Ping, **first) is subscription


def test_equal_options_are_the_same_options(bus):
    """
    A Mailbox that was made anew, but alike, is no difference.
    """
    subscription = bus.subscribe(play_async, Ping, mailbox=Mailbox(capacity=3), timeout=1)

    again = bus.subscribe(play_async, Ping, mailbox=Mailbox(capacity=3), timeout=1.0)

    assert again is subscription


def test_weak_and_strong_are_different_options(bus):
    """
    A second registration can't change a weakly held handler into a held one, or the reverse.
    """
    player = Player()
    bus.subscribe(player.play, Ping, weak=True)

    with pytest.raises(DuplicateSubscriptionError):
        bus.subscribe(player.play, Ping)


def test_handler_may_be_subscribed_for_several_senders(bus):
    """
    For each sender it is a subscription of its own, with options of its own.
    """
    seen = []

    bus.subscribe(seen.append, Ping, sender="call-1", priority=1)
    bus.subscribe(seen.append, Ping, sender="call-2", priority=2)
    bus.publish(Ping("p1"), sender="call-1")
    bus.publish(Ping("p2"), sender="call-2")

    assert seen == [Ping("p1"), Ping("p2")]


def test_conflict_on_one_class_subscribes_none(bus):
    """
    A call with several classes, one of which conflicts, changes nothing.
    """
    seen = []
    bus.subscribe(seen.append, Pong, priority=5)

    with pytest.raises(DuplicateSubscriptionError, match="Pong"):
        bus.subscribe(seen.append, Ping, Pong)
    bus.publish(Ping("p1"))

    assert seen == []


def test_only_missing_classes_are_subscribed(bus):
    """
    Registering again with one class more subscribes that one; ending it leaves the first.
    """
    seen = []
    first = bus.subscribe(seen.append, Ping)

    second = bus.subscribe(seen.append, Ping, Pong)
    bus.publish(Ping("p1"))
    bus.publish(Pong("p2"))
    second.cancel()
    bus.publish(Ping("p3"))
    bus.publish(Pong("p4"))

    assert (first.event_types, second.event_types) == ((Ping,), (Pong,))
    assert seen == [Ping("p1"), Pong("p2"), Ping("p3")]


def test_cancelled_handler_can_be_subscribed_anew(bus):
    """
    After ``cancel``, the same callable is as good as new, with any options.
    """
    seen = []
    first = bus.subscribe(seen.append, Ping)
    first.cancel()

    second = bus.subscribe(seen.append, Ping, priority=7)
    bus.publish(Ping("p1"))

    assert second is not first
    assert seen == [Ping("p1")]


# --- the end of a subscription ---------------------------------------------------------------


def test_cancelled_handler_gets_nothing_more(bus):
    """
    From ``cancel`` on, no event starts the handler; cancelling again does nothing.
    """
    seen = []
    subscription = bus.subscribe(seen.append, Ping, Pong)
    bus.publish(Ping("p1"))

    subscription.cancel()
    subscription.cancel()
    bus.publish(Ping("p2"))
    bus.publish(Pong("p3"))

    assert seen == [Ping("p1")]
    assert not subscription.is_active


def test_subscription_is_a_context_manager(bus):
    """
    It ends with its block, also by an exception, which passes.
    """
    seen = []

    def use():
        with bus.subscribe(seen.append, Ping) as subscription:
            assert subscription.is_active
            bus.publish(Ping("p1"))
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        use()
    bus.publish(Ping("p2"))

    assert seen == [Ping("p1")]


def test_unsubscribe_ends_every_subscription_of_the_handler(bus):
    """
    Classes and senders are all ended at once; other handlers stay.
    """
    player, seen = Player(), []
    bus.subscribe(player.play, Ping)
    bus.subscribe(player.play, Pong, priority=2)
    bus.subscribe(player.play, Ping, sender="call-1")
    bus.subscribe(seen.append, Ping)

    bus.unsubscribe(player.play)
    bus.publish(Ping("p1"), sender="call-1")
    bus.publish(Pong("p2"))

    assert player.seen == []
    assert seen == [Ping("p1")]


def test_unsubscribing_a_stranger_does_nothing(bus):
    """
    A handler that was never subscribed, or no more, can be unsubscribed.
    """
    seen = []
    bus.subscribe(seen.append, Ping)

    bus.unsubscribe(always)
    bus.subscribe(always, Ping)
    bus.unsubscribe(always)
    bus.unsubscribe(always)
    bus.publish(Ping("p1"))

    assert seen == [Ping("p1")]


def test_handler_cancelled_by_an_earlier_one_does_not_start(bus):
    """
    The handlers of an event that come after ``cancel`` are skipped if they were cancelled; a
    skipped one isn't counted.
    """
    seen = []
    bus.subscribe(lambda event: second.cancel(), Ping)
    second = bus.subscribe(seen.append, Ping)

    bus.publish(Ping())

    assert seen == []
    assert bus.stats.delivered == 1


def test_handler_cancelled_by_an_earlier_one_does_not_start_with_options(bus):
    """
    The same holds for handlers that aren't simply called: with a predicate, a sender, a Context.
    """
    seen = []
    subscriptions = [
        bus.subscribe(lambda event: seen.append(1), Ping, when=always),
        bus.subscribe(lambda event: seen.append(2), Ping, sender="call-1"),
        bus.subscribe(lambda event, context: seen.append(3), Ping),
        bus.subscribe(lambda event: seen.append(4), Ping, once=True),
    ]

    @bus.on(Ping, priority=1)
    def cancel_all(event):
        for subscription in subscriptions:
            subscription.cancel()

    bus.publish(Ping(), sender="call-1")

    assert seen == []


def test_cancel_reaches_events_that_are_queued(bus):
    """
    An event that was published from a handler, and waits its turn, isn't seen after ``cancel``.
    """
    seen = []
    subscription = bus.subscribe(seen.append, Pong)

    @bus.on(Ping)
    def publish_and_cancel(event):
        bus.publish(Pong())
        subscription.cancel()

    bus.publish(Ping())

    assert seen == []


def test_handler_can_end_itself(bus):
    """
    A handler that cancels its own subscription finishes its call, and the next ones run.
    """
    seen = []

    def once_only(event):
        bus.unsubscribe(once_only)
        seen.append("self")

    bus.subscribe(once_only, Ping)
    bus.subscribe(lambda event: seen.append("next"), Ping)

    bus.publish(Ping())
    bus.publish(Ping())

    assert seen == ["self", "next", "next"]


def test_handler_subscribed_by_another_starts_with_the_next_event(bus):
    """
    A handler that is subscribed during a dispatch doesn't get the event.
    """
    seen = []

    @bus.on(Ping)
    def subscribe(event):
        bus.subscribe(seen.append, Ping)

    bus.publish(Ping("p1"))
    bus.publish(Ping("p2"))

    assert seen == [Ping("p2")]


def test_subscription_tells_what_it_is(bus):
    """
    Its attributes are the arguments that it was made with, its repr names handler and classes.
    """
    subscription = bus.subscribe(always, Ping, Pong, priority=2)

    assert subscription.handler is always
    assert subscription.event_types == (Ping, Pong)
    assert (subscription.options.priority, subscription.options.sender) == (2, ANY)
    assert repr(subscription) == f"<Subscription of {__name__}.always to Ping, Pong>"
    subscription.cancel()
    assert repr(subscription).endswith("to Ping, Pong, cancelled>")


# --- once and when ---------------------------------------------------------------------------


def test_once_takes_one_event(bus):
    """
    After its first event the subscription has ended, and the next event is nobody's.
    """
    seen = []
    subscription = bus.subscribe(seen.append, Ping, once=True)

    bus.publish(Ping("p1"))
    bus.publish(Ping("p2"))

    assert seen == [Ping("p1")]
    assert not subscription.is_active
    assert bus.stats.unhandled == 1


def test_once_is_one_event_of_all_its_classes(bus):
    """
    With several classes, the first event of any of them is the one.
    """
    seen = []
    bus.subscribe(seen.append, Ping, Pong, once=True)

    bus.publish(Pong("p1"))
    bus.publish(Ping("p2"))

    assert seen == [Pong("p1")]


def test_once_is_spent_before_the_handler_runs(bus):
    """
    A handler that publishes the like of its event doesn't get that one.
    """
    seen = []

    @bus.on(Ping, once=True)
    def echo(event):
        seen.append(event)
        bus.publish(Ping("echo"))

    bus.publish(Ping("p1"))

    assert seen == [Ping("p1")]


def test_once_is_spent_by_a_crash(bus):
    """
    A handler that fails on its one event gets no second.
    """
    failures = crashes(bus)
    bus.subscribe(raiser(ValueError("boom")), Ping, once=True)

    bus.publish(Ping())
    bus.publish(Ping())

    assert len(failures) == 1


def test_once_waits_for_an_event_that_its_predicate_wants(bus):
    """
    An event that ``when`` says no to doesn't use up the subscription.
    """
    seen = []
    bus.subscribe(seen.append, Ping, once=True, when=lambda event: event.name == "p2")

    for name in ("p1", "p2", "p2"):
        bus.publish(Ping(name))

    assert seen == [Ping("p2")]


def test_once_can_be_registered_again_after_its_event(bus):
    """
    A spent subscription is no duplicate of a new one.
    """
    seen = []

    for name in ("p1", "p2"):
        bus.subscribe(seen.append, Ping, once=True)
        bus.publish(Ping(name))

    assert seen == [Ping("p1"), Ping("p2")]


def test_predicate_decides_what_the_handler_gets(bus):
    """
    Any true value is a yes; an event that gets a no still counts as handled.
    """
    seen = []
    bus.subscribe(seen.append, Ping, when=lambda event: event.name)

    bus.publish(Ping(""))
    bus.publish(Ping("p1"))

    assert seen == [Ping("p1")]
    assert (bus.stats.unhandled, bus.stats.delivered) == (0, 1)


def test_predicate_that_fails_is_a_failure_of_its_handler(bus):
    """
    The handler doesn't get the event, the failure is reported, and the other handlers run.
    """
    failures, seen, others = crashes(bus), [], []
    error = ValueError("boom")
    bus.subscribe(seen.append, Ping, when=raiser(error))
    bus.subscribe(others.append, Ping)

    bus.publish(Ping("p1"))

    assert (seen, others) == ([], [Ping("p1")])
    assert [(f.exception, f.event) for f in failures] == [(error, Ping("p1"))]
    assert failures[0].handler == seen.append


# --- strong and weak -------------------------------------------------------------------------


@pytest.mark.slow
def test_handlers_are_held_strongly(bus):
    """
    A lambda, and the method of an object that nobody else holds, still get events.
    """
    seen = []
    bus.subscribe(lambda event: seen.append("lambda"), Ping)
    bus.subscribe(Player(seen).pause, Ping)

    gc.collect()
    bus.publish(Ping())

    assert seen == ["lambda", "pause"]


def test_weak_handler_goes_with_its_object(bus):
    """
    While its object lives it gets events; then the event is nobody's, and no crash.
    """
    seen = []
    player = Player(seen)
    subscription = bus.subscribe(player.play, Ping, weak=True)
    bus.publish(Ping("p1"))
    assert subscription.handler == player.play

    del player
    gc.collect()
    bus.publish(Ping("p2"))

    assert seen == [Ping("p1")]
    assert (bus.stats.unhandled, bus.stats.crashed) == (1, 0)
    assert subscription.handler is None
    assert not subscription.is_active


def test_weak_subscription_does_not_keep_its_object_alive(bus):
    """
    Neither the subscription nor any route holds the object, also after it had events.
    """
    player = Player()
    alive = weakref.ref(player)
    subscription = bus.subscribe(player.play, Ping, Pong, weak=True, when=always, sender="call-1")
    bus.publish(Ping(), sender="call-1")

    del player
    gc.collect()

    assert alive() is None
    assert subscription.handler is None


@pytest.mark.slow
def test_weak_handler_that_dies_during_a_dispatch_is_skipped(bus):
    """
    An earlier handler drops the last reference: the later one isn't called, and nothing fails.
    """
    seen, players = [], []
    players.append(Player(seen))

    @bus.on(Ping)
    def drop(event):
        players.clear()
        gc.collect()

    bus.subscribe(players[0].play, Ping, weak=True)
    bus.subscribe(lambda event: seen.append("last"), Ping)

    bus.publish(Ping())

    assert seen == ["last"]
    assert bus.stats.crashed == 0


@pytest.mark.slow
def test_weak_handler_in_a_cycle_goes_with_the_collector(bus):
    """
    An object that refers to itself is gone once the collector has run.
    """
    player = Player()
    player.itself = player
    bus.subscribe(player.play, Ping, weak=True)
    bus.publish(Ping())

    del player
    gc.collect()
    bus.publish(Ping())

    assert bus.stats.unhandled == 1


def test_new_object_at_the_place_of_a_dead_one_can_subscribe(bus):
    """
    A dead handler's identity may be used again: the new one is no duplicate, with any options.
    """
    seen = []

    for number in range(100):
        player = Player(seen)
        bus.subscribe(player.play, Ping, weak=True, priority=number)
        bus.publish(Ping(str(number)))
        del player

    assert seen == [Ping(str(number)) for number in range(100)]


@pytest.mark.slow
def test_weak_mark_is_registered_weakly(bus):
    """
    ``@on(..., weak=True)`` above a method takes effect when its object is registered.
    """
    from eventbus import on

    seen = []

    class Listener:
        @on(Ping, weak=True)
        def play(self, event):
            seen.append(event)

    listener = Listener()
    bus.register(listener)
    bus.publish(Ping("p1"))
    del listener
    gc.collect()
    bus.publish(Ping("p2"))

    assert seen == [Ping("p1")]


@pytest.mark.slow
def test_once_can_be_weak(bus):
    """
    A weak handler that takes one event leaves nothing, whether it got it or died before.
    """
    seen = []
    player, other = Player(seen), Player(seen)
    bus.subscribe(player.play, Ping, weak=True, once=True)
    bus.publish(Ping("p1"))
    bus.subscribe(other.play, Ping, weak=True, once=True)
    del player, other
    gc.collect()

    bus.publish(Ping("p2"))

    assert seen == [Ping("p1")]


# --- senders ---------------------------------------------------------------------------------


def test_handler_of_a_sender_sees_its_events_only(bus):
    """
    Other senders' events, and those without a sender, are not for it.
    """
    seen, everything = [], []
    bus.subscribe(seen.append, Ping, sender="call-1")
    bus.subscribe(everything.append, Ping)

    for name, sender in (("p1", "call-1"), ("p2", "call-2"), ("p3", None)):
        bus.publish(Ping(name), sender=sender)

    assert seen == [Ping("p1")]
    assert everything == [Ping("p1"), Ping("p2"), Ping("p3")]


def test_no_sender_is_any_sender(bus):
    """
    ``sender=None`` and ``sender=ANY`` are the same, as handlers go.
    """
    seen = []

    assert bus.subscribe(seen.append, Ping, sender=None) is bus.subscribe(
        seen.append, Ping, sender=ANY
    )
    bus.publish(Ping("p1"), sender="call-1")

    assert seen == [Ping("p1")]


class EqualToAll:
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1


@attrs.frozen
class NoWeakReferences:
    """Blinker can't hold it weakly."""

    __slots__ = ("name",)
    name: str


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("call-1", "call-2"),
        (1, 2),
        (0, 1),
        (1, "1"),
        (0, "0"),
        (EqualToAll(), EqualToAll()),
        ([], []),
        ({}, {}),
        ((1, 2), [1, 2]),
        (NoWeakReferences("x"), NoWeakReferences("x")),
        (object(), object()),
        (Player, Player().play),
    ],
)
def test_senders_are_told_apart(bus, one, other):
    """
    Senders are anything, hashable or not, equal or not; zero is not everybody.
    """
    seen = []
    bus.subscribe(seen.append, Ping, sender=one)

    bus.publish(Ping("mine"), sender=one)
    bus.publish(Ping("another's"), sender=other)
    bus.publish(Ping("nobody's"))

    assert seen == [Ping("mine")]


@pytest.mark.parametrize(
    ("one", "same"), [("call-1", str(b"call-1", "ascii")), (10**20, int(f"1{'0' * 20}")), ("", "")]
)
def test_strings_and_integers_are_the_same_sender_by_value(bus, one, same):
    """
    A session may be known by a name or a number that is made anew each time.
    """
    seen = []
    bus.subscribe(seen.append, Ping, sender=one)

    bus.publish(Ping("p1"), sender=same)

    assert seen == [Ping("p1")]


def test_sender_whose_equality_fails_can_register_twice(bus):
    """
    A sender like an array, with an ``==`` that gives no bool, is told apart by identity here, too.
    """

    class Array:
        def __eq__(self, other):
            raise ValueError("the truth value of an array is ambiguous")

        __hash__ = None

    sender, seen = Array(), []

    first = bus.subscribe(seen.append, Ping, sender=sender)

    assert bus.subscribe(seen.append, Ping, sender=sender) is first


# --- nothing is left behind ------------------------------------------------------------------


def census() -> tuple[int, int]:
    """
    Return how many subscriptions and blinker signals there are.
    """
    gc.collect()
    kinds = [type(thing) for thing in gc.get_objects()]
    return kinds.count(Subscription), kinds.count(blinker.Signal)


def size_of_books(bus: EventBus) -> int:
    """
    Return how many entries there are in the books, live and struck out: blinker's and ours.
    """
    registry = bus._dispatcher.registry  # no public way to look into it
    blinkers = sum(
        len(signal.receivers) + len(signal._by_sender) + len(signal._by_receiver)
        for signal in registry._signals.values()
    )
    return blinkers + len(registry._known) + len(registry.senders)


def make_sender(kind: str, number: int) -> object:
    kinds = {"string": str, "integer": int, "object": Player, "slotted": NoWeakReferences}
    return kinds[kind](number)


@pytest.mark.parametrize(
    ("kind", "count"),
    [("string", 10_000), ("integer", 1_000), ("object", 1_000), ("slotted", 1_000)],
)
@pytest.mark.slow
def test_ten_thousand_scopes_leave_nothing_behind(bus, kind, count):
    """
    Calls that came and went have left no subscription, no signal, no route and no book entry
    that isn't reused.
    """
    seen = []
    bus.subscribe(lambda event: None, Ping)
    before = census()

    for number in range(count):
        with bus.scope(make_sender(kind, number)) as call:
            call.subscribe(lambda event: seen.append(1), Ping, Pong)
            call.on(Pong)(lambda event: seen.append(1))
            call.publish(Ping())
            call.publish(Pong())
    del call

    assert len(seen) == 3 * count
    subscriptions, signals = (now - then for now, then in zip(census(), before, strict=True))
    assert subscriptions == 0
    assert signals <= 3  # Pong's, and the two that tell of its receivers
    assert size_of_books(bus) < 1_000
    assert not bus._dispatcher.routes._of_sender  # routes of senders; no public way to look at them


@pytest.mark.slow
def test_ten_thousand_open_scopes_close_in_any_order(bus):
    """
    With as many calls at a time, each gets its own events, until each of them ends.
    """
    seen = []
    calls = [bus.scope(f"call-{number}") for number in range(10_000)]
    for call in calls:
        call.__enter__()
        call.subscribe(lambda event, context: seen.append(context.sender), Ping)
    for call in calls[::100]:
        call.publish(Ping())
    for call in calls[1::2] + calls[0::2]:
        call.__exit__(None, None, None)
        call.publish(Ping())

    assert seen == [call.sender for call in calls[::100]]
    assert size_of_books(bus) < 1_000


@pytest.mark.parametrize("options", [{}, {"once": True}, {"sender": "call-1"}])
@pytest.mark.slow
def test_subscriptions_that_came_and_went_leave_nothing_behind(bus, options):
    """
    Neither ``cancel`` nor ``once`` leaves a subscription or a growing book.
    """
    before = census()

    for _ in range(2_000):
        subscription = bus.subscribe(lambda event: None, Ping, Pong, **options)
        bus.publish(Ping(), sender="call-1")
        subscription.cancel()
    del subscription

    subscriptions, signals = (now - then for now, then in zip(census(), before, strict=True))
    assert subscriptions == 0
    assert signals <= 6
    assert size_of_books(bus) < 1_000


@pytest.mark.slow
def test_weak_handlers_that_died_leave_nothing_behind(bus):
    """
    The books don't grow with objects that are gone.
    """
    before = census()

    for _ in range(2_000):
        player = Player()
        bus.subscribe(player.play, Ping, weak=True)
        bus.publish(Ping())
    del player
    bus.publish(Ping())

    assert census()[0] - before[0] == 0
    assert size_of_books(bus) < 1_000


@pytest.mark.slow
def test_senders_are_not_kept_alive(bus):
    """
    A session object is free when its scope has ended, after any publishes for it.
    """
    session = Player()
    alive = weakref.ref(session)
    bus.subscribe(lambda event: None, Ping)

    with bus.scope(session) as call:
        call.subscribe(lambda event: None, LoudPing)
        call.publish(LoudPing())
        call.publish(Pong())
    del session, call
    gc.collect()

    assert alive() is None


@pytest.mark.slow
def test_bus_is_collected_with_its_handlers():
    """
    A bus that nobody holds goes, and its handlers with it.
    """
    bus, player = EventBus(), Player()
    bus.subscribe(player.play, Ping)
    bus.publish(Ping())
    alive = weakref.ref(bus), weakref.ref(player)

    del bus, player
    gc.collect()

    assert [ref() for ref in alive] == [None, None]


def test_scope_leaves_what_was_there_before_it(bus):
    """
    A handler that had its subscription for that sender already keeps it when the scope ends.
    """
    seen = []
    bus.subscribe(seen.append, Ping, sender="call-1")

    with bus.scope("call-1") as call:
        call.subscribe(seen.append, Ping)
    bus.publish(Ping("p1"), sender="call-1")

    assert seen == [Ping("p1")]

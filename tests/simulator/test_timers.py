"""
Processes that wait: the times and the order in which they go on.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.simulator._service.timers import Timers


def ticking(name, waits, log):
    for wait in waits:
        log.append(name)
        yield wait
    log.append(name)


def test_process_begins_with_the_next_run():
    """
    A process that was started is due at once, and does nothing before somebody looks.
    """
    timers, log = Timers(), []

    timers.start(ticking("a", [10], log), 5)
    assert (timers.deadline, log) == (5, [])

    timers.run(5)
    assert (timers.deadline, log) == (15, ["a"])


def test_waits_add_up_however_late_the_run():
    """
    A wait begins where the one before it ended, not when somebody looked.
    """
    timers, log = Timers(), []
    timers.start(ticking("a", [10, 10, 10], log), 0)
    timers.run(0)

    timers.run(27)

    assert (timers.deadline, log) == (30, ["a", "a", "a"])


def test_order_is_that_of_the_times():
    """
    Of several that are due, the earliest goes on first; of equal times, the one started first.
    """
    timers, log = Timers(), []
    timers.start(ticking("slow", [20], log), 0)
    timers.start(ticking("fast", [10, 10], log), 0)

    timers.run(100)

    assert log == ["slow", "fast", "fast", "slow", "fast"]


def test_stopped_process_never_goes_on():
    """
    Stopping ends a process where it waits; stopping it again, or too late, does no harm.
    """
    timers, log = Timers(), []
    process = ticking("a", [10], log)
    timers.start(process, 0)
    timers.run(0)

    timers.stop(process)
    timers.stop(process)
    timers.run(100)

    assert (timers.deadline, log) == (None, ["a"])


def test_process_may_stop_another_that_is_due():
    """
    A process that another one stops doesn't go on in the same run.
    """
    timers, log = Timers(), []
    other = ticking("other", [5], log)

    def stopping():
        timers.stop(other)
        yield 1

    timers.start(stopping(), 0)
    timers.start(other, 0)
    timers.run(10)

    assert log == []


@settings(max_examples=25)
@given(
    st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=4),
    st.lists(st.integers(0, 20), max_size=9),
)
def test_looking_more_often_changes_nothing(processes, pauses):
    """
    The order of events doesn't depend on the times of the calls of `run`.
    """

    def perform(times):
        timers, log = Timers(), []
        for name, waits in enumerate(processes):
            timers.start(ticking(name, waits, log), 0)
        for time in times:
            timers.run(time)
        return log

    times = [sum(pauses[:count]) for count in range(len(pauses) + 1)]

    assert perform([*times, 1_000]) == perform([1_000])

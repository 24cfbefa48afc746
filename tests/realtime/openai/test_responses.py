from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventbus.realtime.openai._responses import ResponseSequencer

ALREADY_ACTIVE = "conversation_already_has_active_response"
BESIDE = {"type": "response.create", "response": {"conversation": "none"}}


def create(**response):
    """
    Return a response.create with parameters.
    """
    return {"type": "response.create", "response": response}


@pytest.fixture
def sequencer():
    """
    A sequencer of a session in which nothing has happened.
    """
    return ResponseSequencer()


def test_first_wish_is_sent_at_once(sequencer):
    """
    Nothing goes on, so nothing has to wait; the create can be told from others by its event id.
    """
    sequencer.ask()

    message = sequencer.take()

    assert message["type"] == "response.create"
    assert message["event_id"]
    assert sequencer.take() is None


def test_second_wish_waits_for_the_end_of_the_first(sequencer):
    """
    Neither the answer to a create nor anything else but its end makes room for the next.
    """
    sequencer.ask()
    sequencer.take()
    sequencer.ask()
    assert sequencer.take() is None

    sequencer.on_created("r1")
    assert sequencer.take() is None

    sequencer.on_done("r1")
    assert sequencer.take() is not None


def test_wishes_coalesce(sequencer):
    """
    Ten wishes that wait are one response.
    """
    sequencer.on_created("r1")
    for _ in range(10):
        sequencer.ask()

    sequencer.on_done("r1")
    assert sequencer.take() is not None
    sequencer.on_created("r2")
    sequencer.on_done("r2")

    assert sequencer.take() is None


def test_response_of_the_services_own_counts(sequencer):
    """
    A request waits for the response that turn detection has begun.
    """
    sequencer.on_created("vad")
    sequencer.ask()

    assert sequencer.take() is None


def test_parameters_take_the_place_of_none(sequencer):
    """
    Of a wish with parameters and one without, the one with them is sent.
    """
    sequencer.on_created("r1")
    sequencer.ask()
    assert not sequencer.ask(create(instructions="Be brief."))
    sequencer.ask()

    sequencer.on_done("r1")

    assert sequencer.take()["response"] == {"instructions": "Be brief."}


def test_parameters_that_give_way_are_told(sequencer):
    """
    The last word counts, and the one before isn't lost in silence.
    """
    sequencer.on_created("r1")
    sequencer.ask(create(instructions="Be brief."))

    assert sequencer.ask(create(instructions="Be long."))

    sequencer.on_done("r1")
    assert sequencer.take()["response"] == {"instructions": "Be long."}


def test_response_beside_the_conversation_answers_nobody(sequencer):
    """
    A wish for an answer is not met by a response outside of the conversation; it goes first.
    """
    sequencer.on_created("r1")
    sequencer.ask()
    assert not sequencer.ask(BESIDE)

    sequencer.on_done("r1")
    assert "response" not in sequencer.take()
    sequencer.on_created("r2")
    sequencer.on_done("r2")

    assert sequencer.take()["response"] == {"conversation": "none"}


def test_event_id_of_a_raw_message_is_kept(sequencer):
    """
    A message with an id of its own keeps it, so that errors name it.
    """
    sequencer.ask({"type": "response.create", "event_id": "mine"})

    assert sequencer.take()["event_id"] == "mine"


@pytest.mark.parametrize("response_id", ["r1", None, "never heard of"])
def test_end_releases_though_the_beginning_was_lost(sequencer, response_id):
    """
    The end of a response releases, however little of it could be read.
    """
    sequencer.ask()
    sequencer.take()
    sequencer.ask()

    sequencer.on_done(response_id)

    assert sequencer.take() is not None


def test_end_without_an_id_releases_what_goes_on(sequencer):
    """
    If it isn't known which response is over, none is waited for.
    """
    sequencer.on_created("r1")
    sequencer.ask()

    sequencer.on_done(None)

    assert sequencer.take() is not None


def test_beginning_of_a_response_is_the_end_of_the_one_before(sequencer):
    """
    The conversation has one response at a time, so that an end that was lost blocks nothing.
    """
    sequencer.on_created("r1")
    sequencer.on_created("aside", is_beside=True)
    sequencer.on_created("r2")
    sequencer.ask()

    sequencer.on_done("r2")
    assert sequencer.take() is None
    sequencer.on_done("aside")
    assert sequencer.take() is not None


def test_same_end_again_releases_nothing(sequencer):
    """
    A response.done that comes twice ends nothing else.
    """
    sequencer.on_created("r1")
    sequencer.on_done("r1")
    sequencer.ask()
    sequencer.take()
    sequencer.ask()

    sequencer.on_done("r1")

    assert sequencer.take() is None


@pytest.mark.parametrize("named", [True, False])
def test_error_releases(sequencer, named):
    """
    A create that is refused is over, whether or not the error says that it is meant.
    """
    sequencer.ask()
    event_id = sequencer.take()["event_id"]
    sequencer.ask()

    sequencer.on_error(event_id if named else None, "invalid_value")

    assert sequencer.take() is not None


def test_error_of_something_else_releases_nothing(sequencer):
    """
    An error that names another message is none of the create's.
    """
    sequencer.ask()
    sequencer.take()
    sequencer.ask()

    sequencer.on_error("another", "invalid_value")

    assert sequencer.take() is None


def test_create_that_has_crossed_a_response_waits_for_its_end(sequencer):
    """
    Refused because a response of the service's own went on, the wish is sent when that is over.
    """
    sequencer.ask()
    event_id = sequencer.take()["event_id"]
    sequencer.on_created("vad")

    sequencer.on_error(event_id, ALREADY_ACTIVE)

    assert sequencer.take() is None
    sequencer.on_done("vad")
    assert sequencer.take()["event_id"] == event_id


def test_create_refused_for_a_response_unheard_of_is_not_repeated_at_once(sequencer):
    """
    It waits until that response is heard of, or somebody wishes again: no storm of refusals.
    """
    sequencer.ask()
    event_id = sequencer.take()["event_id"]

    sequencer.on_error(event_id, ALREADY_ACTIVE)

    assert sequencer.take() is None
    sequencer.ask()
    assert sequencer.take() is not None


def test_answered_create_is_not_sent_again(sequencer):
    """
    An error that comes after the answer, for another reason, brings no wish back.
    """
    sequencer.ask()
    event_id = sequencer.take()["event_id"]
    sequencer.on_created("r1")

    sequencer.on_error(event_id, "server_error")
    sequencer.on_done("r1")

    assert sequencer.take() is None


def test_cancel_names_what_goes_on(sequencer):
    """
    The response that is cancelled is named, so that it is not the next one that is hit.
    """
    sequencer.on_created("r1")

    assert sequencer.cancel() == {"type": "response.cancel", "response_id": "r1"}


def test_nothing_is_cancelled_twice(sequencer):
    """
    A second cancellation of a response is an error at the service.
    """
    sequencer.on_created("r1")
    sequencer.cancel()

    assert sequencer.cancel() is None
    assert sequencer.cancel("r1") is None


@pytest.mark.parametrize("response_id", [None, "r1"])
def test_nothing_is_cancelled_when_nothing_goes_on(sequencer, response_id):
    """
    Cancelling without a response is an error at the service.
    """
    sequencer.on_created("r1")
    sequencer.on_done("r1")

    assert sequencer.cancel(response_id) is None


def test_create_on_its_way_can_be_cancelled(sequencer):
    """
    The service reads the one after the other; once it has begun it isn't cancelled again.
    """
    sequencer.ask()
    sequencer.take()

    assert sequencer.cancel() == {"type": "response.cancel"}
    assert sequencer.cancel() is None
    assert sequencer.on_created("r1")
    assert sequencer.cancel("r1") is None


def test_response_beside_the_conversation_is_cancelled_by_name_only(sequencer):
    """
    It isn't audible, and speech doesn't interrupt it.
    """
    sequencer.ask(BESIDE)
    sequencer.take()
    assert sequencer.cancel() is None

    assert not sequencer.on_created("aside", is_beside=True)

    assert sequencer.ongoing == ()
    assert sequencer.cancel() is None
    assert sequencer.cancel("aside") is not None


def test_end_of_the_connection_releases_everything(sequencer):
    """
    In another session nothing goes on, and nothing waits.
    """
    sequencer.on_created("r1")
    sequencer.ask()

    sequencer.reset()

    assert sequencer.take() is None
    sequencer.ask()
    assert sequencer.take() is not None


def test_wish_that_was_not_sent_can_be_kept(sequencer):
    """
    A wish that waits is one of the next connection, if that is wanted.
    """
    sequencer.on_created("r1")
    sequencer.ask()

    sequencer.reset(keep_waiting=True)

    assert sequencer.take() is not None


class Conversation(RuleBasedStateMachine):
    """
    A service that allows one response at a time, and a client that wishes as it likes.

    Messages of both sides arrive in order, and late: both lines are queues.
    """

    may_cross = False

    def __init__(self):
        super().__init__()
        self.sequencer = ResponseSequencer()
        self.to_service = []
        self.to_client = []
        self.active = None
        self.number = 0

    def flush(self):
        message = self.sequencer.take()
        if message is not None:
            self.to_service.append(message)
            assert self.sequencer.take() is None

    def begin(self):
        self.number += 1
        self.active = f"r{self.number}"
        self.to_client.append(("created", self.active))

    @rule(message=st.sampled_from([None, create(instructions="x"), BESIDE]))
    def wish(self, message):
        self.sequencer.ask(message)
        self.flush()

    @rule()
    def service_reads(self):
        if self.to_service:
            message = self.to_service.pop(0)
            if self.active is None:
                self.begin()
            else:
                self.to_client.append(("error", message["event_id"]))

    @rule()
    def service_begins_by_itself(self):
        is_quiet = not self.to_service and not self.to_client
        if self.active is None and (self.may_cross or is_quiet):
            self.begin()
            while self.to_client and not self.may_cross:
                self.client_reads()

    @rule(is_readable=st.booleans())
    def service_ends(self, is_readable):
        if self.active is not None:
            self.to_client.append(("done", self.active if is_readable else None))
            self.active = None

    @rule()
    def client_reads(self):
        if self.to_client:
            kind, id_ = self.to_client.pop(0)
            if kind == "created":
                self.sequencer.on_created(id_)
            elif kind == "done":
                self.sequencer.on_done(id_)
            else:
                self.sequencer.on_error(id_, ALREADY_ACTIVE)
            self.flush()

    @invariant()
    def never_two_at_once(self):
        assert self.may_cross or len(self.to_service) <= 1

    def teardown(self):
        # Whatever has happened: once everything is read and over, no wish is left.
        for _ in range(10):
            while self.to_client or self.to_service:
                self.service_reads()
                self.client_reads()
            self.service_ends(True)
        assert self.sequencer.take() is None
        assert not self.sequencer.is_waiting


class CrossingConversation(Conversation):
    """
    A service that also begins responses while a create is on its way to it.
    """

    may_cross = True


TestConversation = Conversation.TestCase
TestConversation.pytestmark = [pytest.mark.slow]
TestConversation.__doc__ = "Never are two creates under way, and every wish is met in the end."
TestConversation.settings = settings(max_examples=50, stateful_step_count=30)

TestCrossing = CrossingConversation.TestCase
TestCrossing.pytestmark = [pytest.mark.slow]
TestCrossing.__doc__ = "Every wish is met, also if the service was faster."
TestCrossing.settings = settings(max_examples=50, stateful_step_count=30)

"""Intents: nothing that was asked for is lost, and nothing happens twice."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from common import intents, relay
from common.clock import real_now
from common.models import Event, Intent, IntentState
from common.relay import AGAIN_AFTER, AGAIN_AFTER_IF_IDLE, LONG_QUEUE, hand_out

pytestmark = pytest.mark.django_db(transaction=True)
A_SECOND = timedelta(seconds=1)


class Recorder:
    """A handler that remembers its calls and can be told to fail."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.error: Exception | None = None

    def __call__(self, claim: intents.Claim, /, **arguments: Any) -> None:
        self.calls.append(arguments)
        Event.objects.create(kind="effect", scope="test", at=real_now())
        if self.error:
            raise self.error


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    monkeypatch.setattr(intents, "_kinds", {})
    recorder = Recorder()
    intents.handles("test.effect", queue="events")(recorder)
    return recorder


def an_intent(key: str = "one") -> Intent:
    intents.ask("test.effect", key=key, number=1)
    return Intent.objects.get(key=f"test.effect:{key}")


def test_what_was_asked_is_done_once_however_often_the_message_comes(recorder: Recorder) -> None:
    intent = an_intent()

    for _ in range(3):
        intents.perform(intent.pk)

    intent.refresh_from_db()
    assert recorder.calls == [{"number": 1}]
    assert intent.state == IntentState.DONE


def test_asking_twice_with_one_key_is_asking_once(recorder: Recorder) -> None:
    an_intent("same")
    an_intent("same")

    assert Intent.objects.count() == 1


def test_an_intent_of_a_transaction_that_failed_was_never_asked(recorder: Recorder) -> None:
    def fail() -> None:
        with transaction.atomic():
            an_intent()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert Intent.objects.count() == 0


def test_a_failed_handler_leaves_no_effect_and_is_tried_again(recorder: Recorder) -> None:
    intent = an_intent()
    recorder.error = ValueError("broken")

    intents.perform(intent.pk)

    intent.refresh_from_db()
    assert Event.objects.count() == 0
    assert (intent.state, intent.attempts, intent.last_error) == ("waiting", 1, "ValueError: broken")
    assert intent.not_before > real_now()


def test_after_enough_failures_an_intent_is_dead_and_waits_for_a_person(recorder: Recorder) -> None:
    intent = an_intent()
    recorder.error = ValueError("broken")

    for _ in range(intents.MAX_ATTEMPTS + 1):
        Intent.objects.update(not_before=real_now())
        intents.perform(intent.pk)

    intent.refresh_from_db()
    assert intent.state == IntentState.DEAD
    assert len(recorder.calls) == intents.MAX_ATTEMPTS


def test_a_kind_may_be_more_patient(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    intent = an_intent()
    recorder.error = ValueError("the broker is away")
    patient = replace(intents._kinds[intent.kind], max_attempts=intents.MAX_ATTEMPTS + 2)
    monkeypatch.setitem(intents._kinds, intent.kind, patient)

    for _ in range(intents.MAX_ATTEMPTS + 1):
        Intent.objects.update(not_before=real_now())
        intents.perform(intent.pk)

    intent.refresh_from_db()
    assert intent.state == IntentState.WAITING


def test_a_worker_that_died_is_replaced_when_its_lease_ends(recorder: Recorder) -> None:
    intent = an_intent()
    Intent.objects.update(
        state=IntentState.CLAIMED, token="7b0f4d5e-7d8c-4d43-9d5b-0d8c3f1d2a11", lease_until=real_now()
    )

    intents.perform(intent.pk)

    assert len(recorder.calls) == 1


def test_an_intent_that_ends_every_worker_is_dead_after_enough_of_them(recorder: Recorder) -> None:
    intent = an_intent()
    kind = intents._kinds[intent.kind]

    def pass_of_the_relay() -> int:
        Intent.objects.update(handed_out_at=None, lease_until=real_now() - timedelta(seconds=1))
        return hand_out(lambda *_: None, at=real_now(), length=lambda _: 0)

    for _ in range(intents.MAX_ATTEMPTS):
        assert pass_of_the_relay() == 1
        assert intents._claim([intent.pk], kind) is not None
    assert intents._claim([intent.pk], kind) is None

    assert pass_of_the_relay() == 0
    intents.perform(intent.pk)
    intent.refresh_from_db()
    assert (intent.state, intent.attempts) == (IntentState.DEAD, intents.MAX_ATTEMPTS)
    assert "ended" in intent.last_error
    assert recorder.calls == []


def test_a_worker_whose_lease_was_taken_over_stores_nothing(recorder: Recorder) -> None:
    intent = an_intent()
    kind = replace(intents._kinds[intent.kind], lease=timedelta(seconds=0))
    claim = intents._claim([intent.pk], kind)
    assert claim is not None
    intents.perform(intent.pk)

    with pytest.raises(intents.LeaseLost):
        claim.finish()
    with pytest.raises(intents.LeaseLost):
        claim.extend()


def test_the_relay_hands_out_each_intent_once_and_again_when_its_message_seems_lost(
    recorder: Recorder,
) -> None:
    intent = an_intent()
    sent: list[tuple[int, str]] = []
    now = real_now()

    def publish(intent_ids: Sequence[int], queue: str) -> None:
        sent.extend((intent_id, queue) for intent_id in intent_ids)

    for moment in (now, now + AGAIN_AFTER / 2, now + AGAIN_AFTER + A_SECOND):
        hand_out(publish, at=moment, length=lambda queue: 1)

    assert sent == [(intent.pk, "events"), (intent.pk, "events")]


def test_where_nothing_is_queued_a_message_is_missed_sooner(recorder: Recorder) -> None:
    an_intent()
    sent: list[int] = []
    now = real_now()

    for moment in (now, now + AGAIN_AFTER_IF_IDLE / 2, now + AGAIN_AFTER_IF_IDLE + A_SECOND):
        hand_out(lambda pks, queue: sent.extend(pks), at=moment, length=lambda queue: 0)

    assert len(sent) == 2


def test_the_relay_does_not_feed_a_long_queue_again(recorder: Recorder) -> None:
    an_intent()
    sent: list[int] = []
    now = real_now()

    hand_out(lambda pks, queue: sent.extend(pks), at=now, length=lambda queue: 0)
    hand_out(
        lambda pks, queue: sent.extend(pks), at=now + 2 * AGAIN_AFTER, length=lambda queue: LONG_QUEUE + 1
    )

    assert len(sent) == 1


def test_what_waits_in_a_long_queue_does_not_keep_new_intents_back(recorder: Recorder) -> None:
    for number in range(relay.BATCH):
        an_intent(f"old-{number}")
    hand_out(lambda pks, queue: None, at=real_now(), length=lambda queue: 0)
    fresh = an_intent("new")
    sent: list[int] = []

    later = real_now() + 2 * AGAIN_AFTER
    hand_out(lambda pks, queue: sent.extend(pks), at=later, length=lambda queue: LONG_QUEUE + 1)

    assert sent == [fresh.pk]


def test_what_could_not_be_published_is_handed_out_at_the_next_pass(recorder: Recorder) -> None:
    an_intent()
    now = real_now()

    def fail(pks: Sequence[int], queue: str) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        hand_out(fail, at=now, length=lambda queue: 0)

    sent: list[int] = []
    hand_out(lambda pks, queue: sent.extend(pks), at=now, length=lambda queue: 0)
    assert len(sent) == 1


@pytest.fixture
def joint(recorder: Recorder) -> Recorder:
    intents.handles("test.joint", queue="events", together=3)(recorder)
    return recorder


def joint_intents(count: int) -> list[int]:
    intents.ask_all("test.joint", {f"{number}": {"number": number} for number in range(count)})
    return list(Intent.objects.order_by("pk").values_list("pk", flat=True))


def test_intents_of_a_joint_kind_share_messages_and_are_done_together(joint: Recorder) -> None:
    pks = joint_intents(5)
    alone = an_intent()
    messages: list[Sequence[int]] = []

    hand_out(lambda pks, queue: messages.append(pks), at=real_now(), length=lambda queue: 0)
    for message in (*messages, *messages):
        intents.perform(*message)

    assert messages == [pks[:3], pks[3:], [alone.pk]]
    assert joint.calls == [{"number": [0, 1, 2]}, {"number": [3, 4]}, {"number": 1}]
    assert set(Intent.objects.values_list("state", "attempts")) == {(IntentState.DONE, 1)}


def test_while_workers_are_busy_intents_of_a_joint_kind_wait_for_each_other(joint: Recorder) -> None:
    messages: list[Sequence[int]] = []

    def hand_out_behind(num_waiting: int) -> None:
        hand_out(lambda pks, queue: messages.append(pks), at=real_now(), length=lambda queue: num_waiting)

    [first] = joint_intents(1)
    hand_out_behind(relay.FEW - 1)
    pks = joint_intents(3)
    alone = an_intent()
    hand_out_behind(relay.FEW)
    hand_out_behind(0)

    assert messages == [[first], [alone.pk], pks[1:]]


def test_what_is_done_or_claimed_already_is_left_out(joint: Recorder) -> None:
    first, second, third = joint_intents(3)
    intents.perform(first)
    Intent.objects.filter(pk=second).update(
        state=IntentState.CLAIMED,
        token="7b0f4d5e-7d8c-4d43-9d5b-0d8c3f1d2a11",
        lease_until=real_now() + AGAIN_AFTER,
    )

    intents.perform(first, second, third)

    assert joint.calls == [{"number": [0]}, {"number": [2]}]
    assert Intent.objects.get(pk=second).state == IntentState.CLAIMED


def test_intents_that_fail_together_are_done_each_by_itself(recorder: Recorder) -> None:
    done: list[int] = []

    def fail_for_one(claim: intents.Claim, /, **arguments: Any) -> None:
        for number in arguments["number"]:
            Event.objects.create(kind="effect", scope=str(number), at=real_now())
        if 1 in arguments["number"]:
            raise ValueError("broken")
        done.extend(arguments["number"])

    intents.handles("test.joint", queue="events", together=3)(fail_for_one)
    pks = joint_intents(3)

    intents.perform(*pks)

    assert done == [0, 2]
    assert list(Event.objects.order_by("pk").values_list("scope", flat=True)) == ["0", "2"]
    assert list(Intent.objects.order_by("pk").values_list("state", "attempts", "last_error")) == [
        (IntentState.DONE, 1, ""),
        (IntentState.WAITING, 1, "ValueError: broken"),
        (IntentState.DONE, 1, ""),
    ]


def test_work_of_which_a_part_was_taken_over_is_not_stored(joint: Recorder) -> None:
    pks = joint_intents(2)
    kind = replace(intents._kinds["test.joint"], lease=timedelta(seconds=0))
    claim = intents._claim(pks, kind)
    assert claim is not None
    intents.perform(pks[0])

    with pytest.raises(intents.LeaseLost):
        claim.finish()


@pytest.mark.postgres
def test_of_many_workers_with_the_same_message_one_does_the_work(recorder: Recorder) -> None:
    intent = an_intent()
    start = threading.Barrier(20)

    def work() -> None:
        start.wait()
        intents.perform(intent.pk)
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(recorder.calls) == 1
    assert Event.objects.count() == 1

"""A locker without network serves its residents and couriers, and tells afterwards what happened."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from lockers import exchange
from lockers.models import LockerCode, OpenCommand, Reservation
from lockers.services import claims, codes, commands, reservations
from lockers.sizes import Size
from lockers.states import CodeState, CommandState, CompartmentState, ReservationState
from tests.lockers.conftest import a_code, a_locker, a_reservation, digits_of
from tests.lockers.workbench import Workbench, offline, qr_of

pytestmark = pytest.mark.django_db

MakeBench = Callable[..., Workbench]


@pytest.fixture
def a_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noon: datetime) -> MakeBench:
    def make(sizes: tuple[Size, ...] = (Size.S, Size.S, Size.M)) -> Workbench:
        return Workbench(a_locker(sizes), tmp_path, monkeypatch, noon)

    return make


def a_claim(bench: Workbench, *, size: Size = Size.S, code: LockerCode | None = None) -> Reservation:
    """Return a claim whose codes the locker knows by now."""
    claim = a_reservation(bench.locker, bench.at, size=size, code=code or a_code(bench.at))
    codes.issue_for_deposits([claim], at=bench.at)
    bench.converse()
    return claim


def deposit_code_of(claim: Reservation, bench: Workbench) -> str:
    assert claim.deposit_code is not None
    return digits_of(claim.deposit_code, bench.at)


def code_of(claim: Reservation, bench: Workbench) -> str:
    assert claim.code is not None
    return digits_of(claim.code, bench.at)


def deposit(bench: Workbench, claim: Reservation, goods: str = "bread") -> int:
    """Let a courier deposit goods with the code for it."""
    answer = bench.enter(deposit_code_of(claim, bench))
    assert (answer.outcome, answer.compartment is not None) == ("opening", True)
    assert answer.compartment is not None
    bench.put(answer.compartment, goods)
    if bench.is_connected:
        bench.converse()
    return answer.compartment


def state_of(claim: Reservation) -> str:
    return Reservation.objects.get(pk=claim.pk).state


def test_a_resident_collects_while_the_network_is_dead_and_the_books_follow(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_claim(bench)
    digits = code_of(claim, bench)
    number = deposit(bench, claim)

    with offline(bench):
        answer = bench.enter(digits)
        assert (answer.outcome, answer.compartment) == ("opening", number)
        assert bench.take(number) == ["bread"]
        assert state_of(claim) == ReservationState.DEPOSITED

    assert state_of(claim) == ReservationState.COLLECTED
    assert bench.locker.compartments.get(number=number).state == CompartmentState.FREE


def test_a_courier_deposits_and_the_resident_collects_without_any_network(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_claim(bench)
    digits = code_of(claim, bench)

    with offline(bench):
        assert bench.enter(digits).outcome == "code-not-active"
        number = deposit(bench, claim, "milk")
        assert bench.enter(digits).compartment == number
        assert bench.take(number) == ["milk"]

    assert state_of(claim) == ReservationState.COLLECTED
    assert [command.state for command in OpenCommand.objects.order_by("created_at")] == [
        CommandState.OPENED,
        CommandState.OPENED,
    ]


def test_the_keypad_works_with_the_network_dead_for_72_hours(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_claim(bench, code=a_code(bench.at, lives=timedelta(hours=20)))
    digits = code_of(claim, bench)
    number = deposit(bench, claim)

    bench.pull_cable()
    bench.pass_time(hours=71)

    assert bench.enter(digits).compartment == number


def test_after_72_hours_out_of_touch_each_code_is_good_until_its_own_end(a_bench: MakeBench) -> None:
    bench = a_bench()
    ended = a_claim(bench, code=a_code(bench.at, lives=timedelta(hours=20)))
    lasting = a_claim(bench, code=a_code(bench.at, lives=timedelta(hours=200)))
    digits = [code_of(claim, bench) for claim in (ended, lasting)]
    for claim in (ended, lasting):
        deposit(bench, claim)

    bench.pull_cable()
    bench.pass_time(hours=73)

    assert [bench.enter(one).outcome for one in digits] == ["code-unknown", "opening"]


def test_a_device_that_starts_without_network_still_serves(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_claim(bench)
    digits = code_of(claim, bench)
    bench.pull_cable()
    number = deposit(bench, claim)

    bench.boot()
    assert bench.enter(digits).compartment == number
    bench.take(number)
    bench.connect()

    assert state_of(claim) == ReservationState.COLLECTED


def test_one_code_opens_all_doors_one_after_another(a_bench: MakeBench) -> None:
    bench = a_bench()
    code = a_code(bench.at)
    both = [a_claim(bench, code=code), a_claim(bench, code=code)]
    doors = {deposit(bench, claim) for claim in both}
    digits = code_of(both[0], bench)

    with offline(bench):
        first = bench.enter(digits)
        assert first.num_left == 1
        bench.take(first.compartment or 0)
        second = bench.enter(digits)
        assert {first.compartment, second.compartment} == doors
        bench.take(second.compartment or 0)
        assert bench.enter(digits).outcome == "code-not-active"

    assert {state_of(claim) for claim in both} == {ReservationState.COLLECTED}


def test_a_compartment_may_be_opened_again_three_times_within_ten_minutes(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_claim(bench)
    digits = code_of(claim, bench)
    number = deposit(bench, claim)
    bench.pull_cable()

    for _ in range(4):
        assert bench.enter(digits).compartment == number
        bench.cabinet.close(number)
    assert bench.enter(digits).outcome == "reopen-limit-reached"

    bench.pass_time(minutes=11)
    assert bench.enter(digits).outcome == "code-not-active"


def test_who_has_collected_gets_into_no_ones_compartment_however_old_the_list(a_bench: MakeBench) -> None:
    bench = a_bench((Size.S,))
    early = a_claim(bench)
    digits = code_of(early, bench)
    number = deposit(bench, early)
    bench.pull_cable()
    bench.enter(digits)
    bench.take(number)

    assert bench.enter(digits).outcome == "code-not-active"


def test_a_courier_who_types_the_code_again_gets_another_door_and_the_first_is_checked(
    a_bench: MakeBench,
) -> None:
    bench = a_bench()
    claim = a_claim(bench)
    digits, resident = deposit_code_of(claim, bench), code_of(claim, bench)

    with offline(bench):
        first = bench.enter(digits).compartment or 0
        bench.cabinet.close(first)
        second = bench.enter(digits).compartment or 0
        assert first != second
        bench.put(second, "bread")
        assert bench.enter(resident).compartment == second
        bench.cabinet.close(second)

    assert bench.locker.compartments.get(number=first).state == CompartmentState.NEEDS_CHECK
    assert bench.locker.compartments.get(number=second).state == CompartmentState.COLLECTING


def test_goods_do_not_count_as_here_before_the_door_is_closed_and_the_courier_done(
    a_bench: MakeBench,
) -> None:
    bench = a_bench()
    claim = a_claim(bench)
    digits, resident = deposit_code_of(claim, bench), code_of(claim, bench)
    bench.pull_cable()
    number = bench.enter(digits).compartment or 0

    bench.put(number, "bread", is_done=False)
    assert bench.enter(resident).outcome == "code-not-active"
    bench.device.button_pressed(number)
    assert bench.enter(resident).compartment == number


@pytest.mark.parametrize("is_connected", [True, False])
def test_the_keypad_knows_that_a_door_opens_for_a_courier(a_bench: MakeBench, is_connected: bool) -> None:
    bench = a_bench()
    claim = a_claim(bench)
    courier, resident = deposit_code_of(claim, bench), code_of(claim, bench)
    if not is_connected:
        bench.pull_cable()

    opened = bench.enter(courier)
    bench.put(opened.compartment or 0, "bread")

    assert opened.is_deposit
    assert not bench.enter(resident).is_deposit


@pytest.mark.parametrize("is_connected", [True, False])
def test_a_courier_at_the_keypad_is_sent_last_to_a_door_that_nobody_called_empty(
    a_bench: MakeBench, is_connected: bool
) -> None:
    bench = a_bench((Size.S, Size.S))
    bench.locker.compartments.filter(number=1).update(verify_empty=True)
    claim = a_claim(bench)
    courier = deposit_code_of(claim, bench)
    if not is_connected:
        bench.pull_cable()

    assert bench.enter(courier).compartment == 2


def test_two_couriers_claims_never_share_a_door(a_bench: MakeBench) -> None:
    bench = a_bench((Size.S, Size.M))
    small, large = a_claim(bench), a_claim(bench, size=Size.M)
    bench.pull_cable()

    assert deposit(bench, small) != deposit(bench, large)


def test_wrong_codes_lock_the_keypad_without_network_but_not_the_scanner(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_claim(bench)
    digits, code = code_of(claim, bench), claim.code
    number = deposit(bench, claim)
    bench.pull_cable()

    wrong = [bench.enter(f"0000000{last}").outcome for last in range(6)]
    assert wrong == ["code-unknown"] * 5 + ["locked-out"]
    assert bench.enter(digits).outcome == "locked-out"
    assert bench.enter(qr_of(code)).compartment == number
    bench.take(number)

    bench.boot()
    assert bench.enter(digits).outcome == "locked-out"
    bench.pass_time(minutes=16)
    assert bench.enter(digits).outcome == "code-not-active"


def test_a_lock_out_that_is_over_does_not_begin_anew_at_a_start(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_claim(bench)
    digits = code_of(claim, bench)
    deposit(bench, claim)
    bench.pull_cable()
    for last in range(5):
        bench.enter(f"0000000{last}")
    bench.pass_time(minutes=16)

    bench.boot()

    assert bench.enter(digits).outcome == "opening"


@pytest.mark.parametrize("pause", [timedelta(), timedelta(seconds=1), timedelta(hours=23)])
def test_each_lock_out_without_network_is_longer_than_the_one_before(
    a_bench: MakeBench, pause: timedelta
) -> None:
    bench = a_bench()
    bench.pull_cable()

    for minutes in (15, 60, 240, 1440, 1440):
        for last in range(5):
            assert bench.enter(f"0000000{last}").outcome == "code-unknown"
        bench.pass_time(minutes=minutes - 1)
        assert bench.enter("00000000").outcome == "locked-out"
        bench.pass_time(minutes=1)
        bench.pass_time(seconds=pause.total_seconds())


def test_a_code_that_was_taken_back_is_gone_from_the_list(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_claim(bench)
    assert claim.code is not None
    digits, qr = code_of(claim, bench), qr_of(claim.code)
    deposit(bench, claim)

    codes.revoke(claim.code, at=bench.at)
    bench.converse()
    bench.pull_cable()

    assert [bench.enter(one).outcome for one in (digits, qr)] == ["code-unknown", "code-unknown"]


def test_a_helper_collects_once_without_network(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_claim(bench)
    assert claim.code is not None
    number = deposit(bench, claim)
    helper = codes.issue_for_helper(claim.code, helper=claim.pk, at=bench.at)
    digits = digits_of(helper, bench.at)
    bench.converse()

    with offline(bench):
        assert bench.enter(digits).compartment == number
        bench.cabinet.close(number)
        bench.pass_time(minutes=11)
        assert bench.enter(digits).outcome == "code-not-active"

    helper.refresh_from_db()
    assert helper.state == CodeState.IN_USE


def test_the_server_cannot_open_a_door_on_goods_it_does_not_know_of_yet(a_bench: MakeBench) -> None:
    bench = a_bench((Size.S, Size.S))
    # Doors are given out in this order.
    first, second = sorted([a_claim(bench), a_claim(bench)], key=lambda claim: claim.pk)
    bench.pull_cable()
    taken = deposit(bench, first)
    bench.greet()

    command = commands.open_for_deposit(second, at=bench.at, real_at=bench.at)
    assert command.compartment.number == taken
    bench.poll()
    bench.converse()

    command.refresh_from_db()
    assert (command.state, command.reason) == (CommandState.REFUSED, "door-in-other-use")
    assert state_of(first) == ReservationState.DEPOSITED


def test_a_claim_does_not_expire_while_its_locker_may_still_take_the_goods(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_claim(bench)
    bench.pull_cable()
    bench.pass_time(hours=9)
    number = deposit(bench, claim)

    for _ in range(2):
        bench.pass_time(minutes=5)
        bench.sweep()
    assert state_of(claim) == ReservationState.RESERVED

    bench.connect()
    assert state_of(claim) == ReservationState.DEPOSITED
    assert bench.locker.compartments.get(number=number).state == CompartmentState.OCCUPIED


def test_a_claim_expires_once_the_locker_has_confirmed_it_cannot_serve_it(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_claim(bench)
    digits = deposit_code_of(claim, bench)
    bench.pass_time(hours=9)

    bench.sweep()
    assert state_of(claim) == ReservationState.RESERVED
    bench.converse()
    bench.sweep()

    assert state_of(claim) == ReservationState.EXPIRED
    bench.pull_cable()
    assert bench.enter(digits).outcome == "code-unknown"


def test_a_list_that_did_not_arrive_is_sent_again(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_reservation(bench.locker, bench.at)

    _, waiting = exchange.begin_poll(bench.device.poll())
    assert [message["action"] for message in waiting] == ["put_allowlist"]

    bench.pass_time(seconds=30)
    assert bench.row.list_confirmed == bench.row.list_version
    bench.pull_cable()
    assert bench.enter(code_of(claim, bench)).outcome == "code-not-active"


def test_a_list_says_no_digits_and_no_names(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_claim(bench)

    kept = (bench.journal_file).read_text()

    assert code_of(claim, bench) not in kept
    assert deposit_code_of(claim, bench) not in kept
    assert qr_of(claim.code) not in kept
    assert str(claim.pk) in kept


def test_an_extension_reaches_the_list(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_claim(bench, code=a_code(bench.at, lives=timedelta(hours=20)))
    digits = code_of(claim, bench)
    deposit(bench, claim)
    reservations.extend(Reservation.objects.get(pk=claim.pk), hold_until=bench.at + timedelta(hours=100))
    bench.converse()

    bench.pull_cable()
    bench.pass_time(hours=90)

    assert bench.enter(digits).outcome == "opening"


def test_a_cancelled_claim_whose_goods_came_all_the_same_is_looked_into(a_bench: MakeBench) -> None:
    bench = a_bench()
    claim = a_claim(bench)
    with offline(bench):
        claims.cancel(Reservation.objects.get(pk=claim.pk), at=bench.at)
        number = deposit(bench, claim)

    assert bench.locker.compartments.get(number=number).state == CompartmentState.NEEDS_CHECK
    assert state_of(claim) == ReservationState.CANCELLED

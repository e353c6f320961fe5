"""The judge finds everything that is wrong, and nothing else."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.faults.judge import Claimed, Door, Evidence, Move, Order, Pulse, Report, Stored, Work, judge

NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)
DOOR = ("dorf-1", 3)


def a_report(seq: int = 1, *, message_id: str = "m1") -> Report:
    return Report(device="d1", boot_id="00000001-ab", seq=seq, message_id=message_id)


def stored(seq: int = 1, *, message_id: str = "m1", times_applied: int = 1, problem: str = "") -> Stored:
    return Stored(
        device="d1",
        boot_id="00000001-ab",
        seq=seq,
        message_id=message_id,
        times_applied=times_applied,
        problem=problem,
    )


def a_pulse(*, after_s: float = 1, command: str = "c1", is_stale: bool = False) -> Pulse:
    return Pulse(
        place=DOOR,
        at=NOON + timedelta(seconds=after_s),
        command=command,
        expires_at=NOON + timedelta(seconds=20),
        is_stale=is_stale,
    )


def a_door(
    *,
    state: str = "free",
    believed: str = "closed",
    verify_empty: bool = False,
    goods: tuple[str, ...] = (),
    is_open: bool = False,
    place: tuple[str, int] = DOOR,
) -> Door:
    return Door(
        place=place,
        state=state,
        believed=believed,
        verify_empty=verify_empty,
        goods=goods,
        is_open=is_open,
    )


def sorts(evidence: Evidence) -> list[str]:
    """Return the sorts of what is found."""
    return [sort for sort, _ in judge(evidence).all]


RIGHT = {
    "an order that exists once": Evidence(
        answers={"k": ["o1", "o1"]}, num_parcels={"k": 2}, orders=[Order(id="o1", key="k", num_parcels=2)]
    ),
    "a report that took effect once": Evidence(reports=[a_report(), a_report()], stored=[stored()]),
    "a pulse in time": Evidence(pulses=[a_pulse()], commands={"c1": "opened"}),
    "a pulse by the device's own command, whenever": Evidence(
        pulses=[Pulse(place=DOOR, at=NOON, command="own", expires_at=None)], commands={"own": "opened"}
    ),
    "an interrupted command whose outcome nobody knows": Evidence(
        pulses=[a_pulse()], commands={"c1": "unknown"}
    ),
    "work done once": Evidence(works=[Work(name="intent", is_done=True, times_done=1)]),
    "a move that the table has": Evidence(
        moves=[Move(thing="compartment", row="1", before="free", after="reserved")]
    ),
    "goods behind a door": Evidence(
        doors=[a_door(state="occupied", goods=("g",))],
        bundles=[Claimed(goods="g", state="deposited", door=DOOR)],
    ),
    "a free door that is to be looked behind": Evidence(doors=[a_door(verify_empty=True, goods=("g",))]),
    "goods that were collected": Evidence(
        doors=[a_door()], bundles=[Claimed(goods="g", state="collected", with_resident=True)]
    ),
    "a claim that was given up": Evidence(
        doors=[a_door()], bundles=[Claimed(goods="g", state="cancelled", is_given_up=True)]
    ),
    "a broker that knows who is in service": Evidence(
        accounts=frozenset({"d1"}), in_service=frozenset({"d1"})
    ),
}

WRONG = {
    "an order without an answer": ("lost", Evidence(answers={"k": []}, num_parcels={"k": 1})),
    "an accepted order that is gone": ("lost", Evidence(answers={"k": ["o1"]}, num_parcels={"k": 1})),
    "an order without its parcels": (
        "lost",
        Evidence(
            answers={"k": ["o1"]}, num_parcels={"k": 2}, orders=[Order(id="o1", key="k", num_parcels=1)]
        ),
    ),
    "two orders for one key": (
        "double",
        Evidence(
            answers={"k": ["o1"]},
            num_parcels={"k": 1},
            orders=[Order(id="o1", key="k", num_parcels=1), Order(id="o2", key="k", num_parcels=1)],
        ),
    ),
    "two answers for one key": (
        "double",
        Evidence(
            answers={"k": ["o1", "o2"]},
            num_parcels={"k": 1},
            orders=[Order(id="o1", key="k", num_parcels=1), Order(id="o2", key="other", num_parcels=1)],
        ),
    ),
    "a report that was never kept": ("lost", Evidence(reports=[a_report()])),
    "a report that was kept in another's place": (
        "lost",
        Evidence(reports=[a_report()], stored=[stored(message_id="m2")]),
    ),
    "two reports with one number": (
        "double",
        Evidence(reports=[a_report(), a_report(message_id="m2")], stored=[stored()]),
    ),
    "a report without effect": ("lost", Evidence(stored=[stored(times_applied=0)])),
    "a report that took effect twice": ("double", Evidence(stored=[stored(times_applied=2)])),
    "a report that could not take its effect": ("strange", Evidence(stored=[stored(problem="no such door")])),
    "a pulse after its deadline": (
        "late",
        Evidence(pulses=[a_pulse(after_s=20.001)], commands={"c1": "opened"}),
    ),
    "a pulse in a later connection": (
        "late",
        Evidence(pulses=[a_pulse(is_stale=True)], commands={"c1": "opened"}),
    ),
    "a pulse for a command that is gone": ("lost", Evidence(pulses=[a_pulse()])),
    "a pulse that nobody heard of": ("lost", Evidence(pulses=[a_pulse()], commands={"c1": "refused"})),
    "work that was never done": ("lost", Evidence(works=[Work(name="i", is_done=False, times_done=0)])),
    "work that was done twice": ("double", Evidence(works=[Work(name="m", is_done=True, times_done=2)])),
    "a move that no table has": (
        "strange",
        Evidence(moves=[Move(thing="reservation", row="1", before="collected", after="deposited")]),
    ),
    "goods behind a door that is called free": (
        "lost",
        Evidence(doors=[a_door(goods=("g",))], bundles=[Claimed(goods="g", state="deposited", door=DOOR)]),
    ),
    "a door that is open and believed to be closed": ("lost", Evidence(doors=[a_door(is_open=True)])),
    "a door that is closed and believed to be open": ("lost", Evidence(doors=[a_door(believed="left_open")])),
    "goods that are gone": (
        "lost",
        Evidence(
            doors=[a_door(state="occupied")], bundles=[Claimed(goods="g", state="deposited", door=DOOR)]
        ),
    ),
    "goods behind another door": (
        "lost",
        Evidence(
            doors=[a_door(state="occupied", goods=("g",), place=("dorf-2", 1))],
            bundles=[Claimed(goods="g", state="deposited", door=DOOR)],
        ),
    ),
    "goods that lie where nobody left them": (
        "double",
        Evidence(
            doors=[a_door(state="occupied", goods=("g",))],
            bundles=[Claimed(goods="g", state="collected", with_resident=True)],
        ),
    ),
    "a claim in limbo": ("lost", Evidence(bundles=[Claimed(goods="g", state="collecting", is_over=False)])),
    "collected goods whose claim still holds": (
        "lost",
        Evidence(bundles=[Claimed(goods="g", state="deposited", with_resident=True)]),
    ),
    "a claim that was given up and still holds": (
        "lost",
        Evidence(bundles=[Claimed(goods="g", state="reserved", is_given_up=True)]),
    ),
    "a claim to nothing that calls itself deposited": (
        "lost",
        Evidence(bundles=[Claimed(goods="g", state="deposited")]),
    ),
    "a device that the broker does not know": ("lost", Evidence(in_service=frozenset({"d1"}))),
    "a retired device that the broker still knows": ("lost", Evidence(accounts=frozenset({"d1"}))),
}


def test_two_pulses_for_one_command_are_one_too_many() -> None:
    findings = judge(Evidence(pulses=[a_pulse(), a_pulse(after_s=2)], commands={"c1": "opened"}))

    assert (len(findings.double), list(findings.all)) == (1, [("double", "command c1: 2 pulses")])


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_not_found_wrong(name: str) -> None:
    assert list(judge(RIGHT[name]).all) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name: str) -> None:
    sort, evidence = WRONG[name]

    assert set(sorts(evidence)) == {sort}

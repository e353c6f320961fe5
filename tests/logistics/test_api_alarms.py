"""Alarms over the API: the dispatcher's list, and nobody else's."""

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from lockers.alarms import RULES, AlarmKind
from lockers.models import Alarm, Device
from lockers.services import alarms
from lockers.states import LinkState
from logistics.models import Role
from tests.logistics.builders import (
    Village,
    a_client,
    a_user,
    at,
    clerk,
    dispatcher,
    driver,
    neighbour,
)

pytestmark = pytest.mark.django_db
ALARMS = "/api/v1/alarms/"


class Guarded(Village):
    """A village whose locker has a device that reports what is wrong."""

    def __init__(self) -> None:
        super().__init__(with_counter=True)
        locker = self.supply_point.locker
        assert locker is not None
        self.locker = locker
        self.device = Device.objects.create(
            locker=locker,
            public_key=locker.slug,
            state=LinkState.ONLINE,
            provisioned_at=at(6),
        )

    def jam(self, number: int, *, minute: int = 0) -> Alarm:
        """Let a door jam."""
        return alarms.raise_alarm(
            AlarmKind.JAMMED,
            device=self.device,
            compartment=self.locker.compartments.get(number=number),
            facts={"num_jams": 1},
            at=at(9),
            real_at=at(10, minute),
        )

    def end(self, alarm: Alarm) -> None:
        """Let the cause of an alarm end."""
        alarms.end(Alarm.objects.filter(pk=alarm.pk), at=at(9), real_at=at(11))


def listed(client: APIClient, query: str = "") -> list[dict[str, Any]]:
    """Return the alarms that somebody is shown."""
    answer = client.get(ALARMS + query)
    assert answer.status_code == 200
    return list(answer.json()["results"])


def test_the_dispatcher_sees_what_is_wrong_and_what_to_do() -> None:
    village = Guarded()
    alarm = village.jam(3)
    warm = alarms.raise_alarm(
        AlarmKind.TEMPERATURE,
        device=village.device,
        zone="chilled",
        facts={"celsius_tenths": 95, "limit_tenths": 80},
        at=at(9),
        real_at=at(10, 1),
    )

    later, first = listed(dispatcher(village.region))

    assert first == {
        "id": str(alarm.pk),
        "kind": "jammed",
        "level": "alert",
        "locker": village.locker.slug,
        "locker_name": village.locker.name,
        "profile": "full",
        "compartment_number": 3,
        "zone": "",
        "facts": {"num_jams": 1},
        "raised_at": "2026-11-24T10:00:00+01:00",
        "escalated_at": None,
        "ended_at": None,
        "remedy": "free-the-door",
        "remedy_text": RULES[AlarmKind.JAMMED].advice,
    }
    assert later["id"] == str(warm.pk)
    assert (later["compartment_number"], later["zone"], later["level"]) == (None, "chilled", "notice")


def test_what_ended_is_shown_to_those_who_ask_for_all() -> None:
    village = Guarded()
    village.end(village.jam(1))
    village.jam(2, minute=1)
    client = dispatcher(village.region)

    assert [row["compartment_number"] for row in listed(client)] == [2]
    assert [row["compartment_number"] for row in listed(client, "?state=open")] == [2]
    everything = listed(client, "?state=all")

    assert [row["compartment_number"] for row in everything] == [2, 1]
    assert [row["ended_at"] for row in everything] == [None, "2026-11-24T11:00:00+01:00"]


def test_a_state_that_makes_no_sense_is_refused() -> None:
    answer = dispatcher(Village().region).get(f"{ALARMS}?state=some")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-input")


def test_nobody_but_the_regions_dispatchers_sees_alarms() -> None:
    village, elsewhere = Guarded(), Guarded()
    village.end(village.jam(1))
    theirs = village.jam(1)
    mine = elsewhere.jam(1)
    others = [
        clerk(village.shop),
        driver(village.shift.courier),
        neighbour(village.resident),
        a_client(a_user(village.region, Role.COUNTER, supply_point=village.supply_point)),
    ]

    for client in others:
        assert listed(client, "?state=all") == []
    assert [row["id"] for row in listed(dispatcher(village.region))] == [str(theirs.pk)]
    assert [row["id"] for row in listed(dispatcher(elsewhere.region), "?state=all")] == [str(mine.pk)]
    assert a_client().get(ALARMS).status_code == 401


def test_a_locker_that_stands_nowhere_is_in_nobodys_list() -> None:
    village = Guarded()
    village.jam(1)
    village.supply_point.locker = None
    village.supply_point.save()

    assert listed(dispatcher(village.region)) == []


def test_alarms_come_in_pages_the_latest_first() -> None:
    village = Guarded()
    for number in range(1, 6):
        village.jam(number, minute=number)
    client = dispatcher(village.region)

    seen, address = [], f"{ALARMS}?page_size=2"
    while address:
        page = client.get(address).json()
        seen.append([row["compartment_number"] for row in page["results"]])
        address = page["next"]

    assert seen == [[5, 4], [3, 2], [1]]


@pytest.mark.parametrize("number", [1, 5])
def test_the_list_costs_two_queries_whatever_its_length(
    number: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    village = Guarded()
    for door in range(1, number + 1):
        village.jam(door)
    client = dispatcher(village.region)

    # Memberships; alarms with locker and door.
    with django_assert_num_queries(2):
        assert len(listed(client)) == number


def test_alarms_end_with_their_cause_and_not_by_a_request() -> None:
    village = Guarded()
    village.jam(1)
    client = dispatcher(village.region)

    for method in (client.post, client.patch, client.put, client.delete):
        assert method(ALARMS, {}).status_code == 405
    assert len(listed(client)) == 1

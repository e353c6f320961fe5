"""What is composed once finds and changes the same rows as what is composed anew, on either database."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Exists, F, OuterRef
from django.test.utils import CaptureQueriesContext

from common.prepared import Prepared, PreparedInsert, PreparedUpdate
from lockers.models import Compartment, DeviceEvent, Locker, Reservation
from lockers.sizes import Size
from lockers.states import CompartmentState
from tests.lockers.conftest import a_cabinet, a_locker, a_reservation, bound

pytestmark = pytest.mark.django_db

WITH_DOOR = Reservation.objects.select_related("compartment__locker", "code", "deposit_code")
AT_LOCKER = Prepared(
    lambda locker, at: WITH_DOOR.filter(locker=locker, expires_at__gt=at).order_by("expires_at"),
    locker=models.UUIDField(),
    at=models.DateTimeField(),
)
BY_NUMBER = Prepared(
    lambda number: Compartment.objects.filter(number=number, state=CompartmentState.FREE),
    number=models.PositiveIntegerField(),
)


def contents(row: models.Model) -> dict[str, object]:
    """Return what was read of a row, and of the rows that it refers to."""
    return {
        name: contents(value) if isinstance(value, models.Model) else value
        for name, value in [*vars(row).items(), *row._state.fields_cache.items()]
        if name != "_state"
    }


def test_rows_and_what_they_refer_to_are_those_that_a_queryset_finds(noon: datetime) -> None:
    locker, other = a_locker((Size.S, Size.M, Size.L)), a_locker((Size.S,))
    bound(a_reservation(locker, noon, expires_in=timedelta(hours=3)))
    a_reservation(locker, noon, expires_in=timedelta(hours=2))
    a_reservation(locker, noon, expires_in=timedelta(hours=1))
    a_reservation(other, noon, expires_in=timedelta(hours=9))

    for place, hours in ((locker, 0), (locker, 1), (locker, 2), (other, 0), (other, 9)):
        at = noon + timedelta(hours=hours)
        expected = WITH_DOOR.filter(locker=place, expires_at__gt=at).order_by("expires_at")
        found = AT_LOCKER.all(locker=place.pk, at=at)
        assert [contents(row) for row in found] == [contents(row) for row in expected]

    with CaptureQueriesContext(connection) as asked:
        [unbound, with_door] = AT_LOCKER.all(locker=locker.pk, at=noon + timedelta(hours=1))
        assert unbound.compartment is None
        assert with_door.compartment is not None
        assert with_door.compartment.locker == locker
    assert len(asked) == 1


def test_values_are_read_as_their_fields_read_them(noon: datetime) -> None:
    cabinet = a_cabinet(a_locker(), noon)
    cabinet.say(cabinet.report("temperature", zone="chilled", celsius_tenths=45))
    events = Prepared(
        lambda device: DeviceEvent.objects.filter(device=device).order_by("seq"), device=models.UUIDField()
    )

    *_, event = events.all(device=cabinet.device.pk)

    assert event.data == {"zone": "chilled", "celsius_tenths": 45}


def test_annotations_are_read_and_deferred_fields_are_not() -> None:
    locker = a_locker((Size.S,))
    doors = Compartment.objects.filter(locker=OuterRef("pk"))
    with_doors = Prepared(
        lambda slug: Locker.objects.filter(slug=slug).annotate(has_doors=Exists(doors)).defer("name"),
        slug=models.SlugField(),
    )

    found = with_doors.get(slug=locker.slug)

    assert vars(found)["has_doors"]
    assert found.get_deferred_fields() == {"name"}


def test_one_row_is_what_is_got() -> None:
    locker = a_locker((Size.S, Size.S, Size.S))
    Compartment.objects.filter(locker=locker, number=3).update(number=7)
    a_locker((Size.S,))

    assert BY_NUMBER.get(number=7).locker_id == locker.pk
    assert BY_NUMBER.first(number=8) is None
    with pytest.raises(Compartment.DoesNotExist):
        BY_NUMBER.get(number=8)
    with pytest.raises(Compartment.MultipleObjectsReturned):
        BY_NUMBER.get(number=1)


def test_a_change_is_made_where_the_query_says_and_counted() -> None:
    locker, other = a_locker(), a_locker()
    rename = PreparedUpdate(
        lambda locker, name: (
            Locker.objects.filter(pk=locker).exclude(name=name),
            {"name": name, "revision": F("revision") + 1},
        ),
        locker=models.UUIDField(),
        name=models.CharField(),
    )
    before = Locker.objects.get(pk=locker.pk).revision

    assert [rename(locker=locker.pk, name="Am Brink"), rename(locker=locker.pk, name="Am Brink")] == [1, 0]
    assert rename(locker=uuid4(), name="Am Brink") == 0

    renamed = Locker.objects.get(pk=locker.pk)
    assert (renamed.name, renamed.revision) == ("Am Brink", before + 1)
    assert Locker.objects.get(pk=other.pk).name != "Am Brink"
    assert rename.each([{"locker": locker.pk, "name": "Mitte"}, {"locker": other.pk, "name": "Ost"}]) == 2
    assert [Locker.objects.get(pk=one.pk).name for one in (locker, other)] == ["Mitte", "Ost"]
    assert rename.each([]) == 0


def test_among_several_values_those_rows_are_found_that_in_finds(noon: datetime) -> None:
    lockers = [a_locker((Size.S, Size.M)) for _ in range(3)]
    here = Prepared(
        lambda lockers, numbers: Compartment.objects.filter(locker__among=lockers, number__among=numbers),
        lockers=[models.UUIDField()],
        numbers=[models.PositiveIntegerField()],
    )

    for some in (lockers, lockers[:1], []):
        for numbers in ([1, 2], [2], []):
            expected = Compartment.objects.filter(locker__in=some, number__in=numbers)
            found = here.all(lockers=[locker.pk for locker in some], numbers=numbers)
            assert {row.pk for row in found} == {row.pk for row in expected}


def test_rows_are_inserted_as_they_are_and_those_that_exist_are_left_alone(noon: datetime) -> None:
    insert, insert_new = PreparedInsert(Locker), PreparedInsert(Locker, ignore_conflicts=True)
    one, other = (Locker(slug=slug, name=slug.upper(), namespace="n") for slug in ("a", "b"))

    insert(one)
    insert_new(other, Locker(slug="a", name="another", namespace="n"))
    insert()

    assert {locker.pk: locker.name for locker in Locker.objects.all()} == {one.pk: "A", other.pk: "B"}
    one.name = "renamed"
    one.save()
    assert Locker.objects.get(pk=one.pk).name == "renamed"
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(Locker(slug="a", name="another", namespace="n"))

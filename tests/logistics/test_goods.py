"""Parcels share a door where they fit, and never claim more than was planned for them one by one."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from lockers.sizes import Size, Temperature
from logistics.goods import PARCEL_CM3, merge, pack


@dataclass(frozen=True)
class Item:
    size: str
    temperature: str = "ambient"


items = st.lists(
    st.builds(
        Item,
        size=st.sampled_from([size.value for size in Size]),
        temperature=st.sampled_from([temperature.value for temperature in Temperature]),
    ),
    max_size=8,
)


def test_one_parcel_takes_the_class_of_its_size() -> None:
    assert [(one.size, one.temperature) for one in pack([Item("M")])] == [(Size.M, Temperature.AMBIENT)]


def test_parcels_of_one_temperature_share_a_larger_door() -> None:
    # Three small parcels of 8 l fit into the 30 l of a medium compartment, not into the 12 l of a small one.
    assert [one.size for one in pack([Item("S")] * 3)] == [Size.M]


def test_parcels_of_different_temperatures_never_share_a_door() -> None:
    assert len(pack([Item("S"), Item("S", "chilled"), Item("S", "frozen")])) == 3


def test_what_exceeds_the_largest_compartment_takes_several_doors() -> None:
    # Two parcels of 90 l do not fit into 150 l.
    assert [one.size for one in pack([Item("XL"), Item("XL")])] == [Size.XL, Size.XL]


@given(items)
def test_packs_hold_every_parcel_once_and_no_more_than_fits(goods: list[Item]) -> None:
    packs = pack(goods)

    assert sorted(item.size for one in packs for item in one.goods) == sorted(item.size for item in goods)
    for one in packs:
        assert {item.temperature for item in one.goods} == {one.temperature.value}
        assert one.volume_cm3 == sum(PARCEL_CM3[Size(item.size)] for item in one.goods)
        assert one.volume_cm3 <= one.size.usable_cm3
        assert all(Size(item.size).rank <= one.size.rank for item in one.goods)


@given(st.lists(items, max_size=4))
def test_merging_orders_of_one_resident_needs_no_door_that_was_not_planned(orders: list[list[Item]]) -> None:
    planned = [one for goods in orders for one in pack(goods)]

    merged = merge(planned)

    for temperature in Temperature:
        for size in Size:
            # Counted from each size upwards, the doors claimed never grow.
            assert _claims(merged, temperature, size) <= _claims(planned, temperature, size)
    assert sum(len(one.goods) for one in merged) == sum(len(goods) for goods in orders)


def _claims(packs: list, temperature: Temperature, least: Size) -> int:  # type: ignore[type-arg]
    return sum(one.temperature == temperature and one.size.rank >= least.rank for one in packs)

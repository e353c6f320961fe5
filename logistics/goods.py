"""How much room goods take, and how parcels share a compartment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lockers.sizes import Size, Temperature

#: Largest volume of a parcel of each size, in cm³.
PARCEL_CM3: Mapping[Size, int] = {Size.S: 8_000, Size.M: 20_000, Size.L: 45_000, Size.XL: 90_000}
#: A locker that has compartments of every size at every temperature.
ALL_SIZES: Mapping[Temperature, Size] = dict.fromkeys(Temperature, Size.XL)


#: A parcel; only its ``size`` and ``temperature`` matter here.
GoodsT = TypeVar("GoodsT")


@dataclass(slots=True, kw_only=True)
class Pack(Generic[GoodsT]):
    """Goods that go behind one door, and the smallest class of compartment that takes them."""

    temperature: Temperature
    size: Size
    volume_cm3: int
    goods: list[GoodsT]


def pack(goods: Iterable[GoodsT], *, largest: Mapping[Temperature, Size] = ALL_SIZES) -> list[Pack[GoodsT]]:
    """
    Put the parcels of one order into as few compartments as the locker's largest classes allow.

    Parcels share a door only at the same temperature. A pack takes the class of its largest parcel, or the
    next one that has room for all of it, up to ``largest``; first fit by falling size.
    """
    packs: list[Pack[Any]] = []
    for item in sorted(_as_goods(goods), key=lambda item: -Size(item.size).rank):
        volume = PARCEL_CM3[Size(item.size)]
        for shared in packs:
            if shared.temperature != item.temperature:
                continue
            larger = _class_for(
                shared.size, shared.volume_cm3 + volume, largest.get(shared.temperature, shared.size)
            )
            if larger is not None:
                shared.size, shared.volume_cm3 = larger, shared.volume_cm3 + volume
                shared.goods.append(item)
                break
        else:
            packs.append(
                Pack(
                    temperature=Temperature(item.temperature),
                    size=Size(item.size),
                    volume_cm3=volume,
                    goods=[item],
                )
            )
    return packs


def _as_goods(items: Iterable[Any]) -> Iterable[Any]:
    """Return the items untyped: a model's fields fit no protocol in the eyes of the type checker."""
    return items


def merge(packs: Iterable[Pack[GoodsT]]) -> list[Pack[GoodsT]]:
    """
    Join packs of one resident where one fits beside another without a larger class.

    What was planned for the packs one by one therefore suffices for the joined ones.
    """
    joined: list[Pack[GoodsT]] = []
    for one in sorted(packs, key=lambda one: -one.size.rank):
        for host in joined:
            volume = host.volume_cm3 + one.volume_cm3
            if host.temperature == one.temperature and volume <= host.size.usable_cm3:
                host.volume_cm3 = volume
                host.goods.extend(one.goods)
                break
        else:
            joined.append(
                Pack(
                    temperature=one.temperature,
                    size=one.size,
                    volume_cm3=one.volume_cm3,
                    goods=list(one.goods),
                )
            )
    return joined


def _class_for(least: Size, volume_cm3: int, most: Size) -> Size | None:
    for size in Size:
        if least.rank <= size.rank <= max(least.rank, most.rank) and volume_cm3 <= size.usable_cm3:
            return size
    return None

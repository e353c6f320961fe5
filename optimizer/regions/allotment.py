"""
What parts of a problem would share is divided among them: compartments, volumes, ranks and vehicles.

Every door, litre, exception and vehicle goes to one part. So any plans of the parts together keep what is
shared, whatever each of them does.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from optimizer.problem import Compartments, Order, Place, Problem, RankLimit, Size, Temperature, Vehicle

#: Number of the part that has each order.
Parts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Shares:
    """What each part may use of what they share: places with their room, and exceptions by rank."""

    places: Sequence[dict[str, Place]]
    rank_limits: Sequence[tuple[RankLimit, ...]]


@dataclass(slots=True)
class _Wish:
    """What the orders of one part ask of one place."""

    chosen: list[Order] = field(default_factory=list)
    possible: list[Order] = field(default_factory=list)


def share_room(problem: Problem, parts: Parts, num_parts: int, chosen: Mapping[str, int]) -> Shares:
    """
    Divide the room of places, and the limits to ranks.

    Parameters
    ----------
    problem, parts, num_parts
        Which part has each order of the problem, as numbers from 0.
    chosen
        Option by order, within the room there is: each part gets what its orders take there. What remains is
        divided by how many orders of a part might come.
    """
    wishes: dict[str, dict[int, _Wish]] = defaultdict(lambda: defaultdict(_Wish))
    for order in problem.orders:
        for number, option in enumerate(order.options):
            wish = wishes[option.place][parts[order.id]]
            wish.possible.append(order)
            if chosen.get(order.id) == number:
                wish.chosen.append(order)
    places: list[dict[str, Place]] = [{} for _ in range(num_parts)]
    for name, wanted in wishes.items():
        place = problem.place_by_id[name]
        doors = {} if place.compartments is None else _doors(place.compartments, wanted)
        volumes = {} if place.volume_limit_cm3 is None else _volumes(place.volume_limit_cm3, wanted)
        for part in wanted:
            places[part][name] = replace(
                place,
                compartments=None if place.compartments is None else doors[part],
                volume_limit_cm3=None if place.volume_limit_cm3 is None else volumes[part],
            )
    limits = [_rank_shares(problem, limit, parts, num_parts, chosen) for limit in problem.rank_limits]
    return Shares(places, [tuple(of_part) for of_part in zip(*limits, strict=True)] or [()] * num_parts)


def _doors(stock: Sequence[Compartments], wanted: Mapping[int, _Wish]) -> dict[int, tuple[Compartments, ...]]:
    """Return the compartments of a locker that each part may use."""
    free = {(one.temperature, one.size, one.low): one.free for one in stock}
    mine: dict[int, Counter[_Kind]] = {part: Counter() for part in wanted}
    claims = (
        (demand.temperature, demand.low, demand.size.rank, part)
        for part, wish in wanted.items()
        for order in wish.chosen
        for demand in order.compartments
    )
    # Low doors first, then large ones, each claim to the smallest door: what fits together fits this way.
    for temperature, low, rank, part in sorted(claims, key=lambda c: (not c[1], -c[2], c[3])):
        kind = next((k for k in _fitting(temperature, low, rank) if free.get(k, 0) > 0), None)
        if kind is not None:
            free[kind] -= 1
            mine[part][kind] += 1
    for kind, number in free.items():
        demand = [sum(_asks(order, kind) for order in wish.possible) for wish in wanted.values()]
        for part, share in zip(wanted, proportional(number, demand), strict=True):
            mine[part][kind] += share
    return {
        part: tuple(
            Compartments(temperature=kind[0], size=kind[1], low=kind[2], count=number)
            for kind, number in sorted(kinds.items(), key=lambda item: _rank(item[0]))
            if number
        )
        for part, kinds in mine.items()
    }


_Kind = tuple[Temperature, Size, bool]


def _rank(kind: _Kind) -> tuple[str, int, bool]:
    """Return by what kinds are ordered."""
    return kind[0].value, kind[1].rank, kind[2]


def _fitting(temperature: Temperature, low: bool, rank: int) -> Iterator[_Kind]:
    """Yield the kinds of doors that serve a claim, the least useful to others first."""
    for size, is_low in product(list(Size)[rank:], (True,) if low else (False, True)):
        yield temperature, size, is_low


def _asks(order: Order, kind: _Kind) -> bool:
    temperature, size, low = kind
    return any(
        demand.temperature == temperature and demand.size.rank <= size.rank and low >= demand.low
        for demand in order.compartments
    )


def _volumes(limit_cm3: int, wanted: Mapping[int, _Wish]) -> dict[int, int]:
    used = {part: sum(order.volume_cm3 for order in wish.chosen) for part, wish in wanted.items()}
    demand = [sum(order.volume_cm3 for order in wish.possible) for wish in wanted.values()]
    rest = proportional(max(0, limit_cm3 - sum(used.values())), demand)
    return {part: used[part] + more for part, more in zip(wanted, rest, strict=True)}


def _rank_shares(
    problem: Problem, limit: RankLimit, parts: Parts, num_parts: int, chosen: Mapping[str, int]
) -> list[RankLimit]:
    used, possible = [0] * num_parts, [0] * num_parts
    for order in problem.orders:
        part, option = parts[order.id], chosen.get(order.id)
        used[part] += option is not None and order.options[option].rank > limit.rank
        possible[part] += any(option.rank > limit.rank for option in order.options)
    rest = proportional(max(0, limit.most - sum(used)), possible)
    return [replace(limit, most=mine + more) for mine, more in zip(used, rest, strict=True)]


def proportional(amount: int, weights: Sequence[float]) -> list[int]:
    """Divide a whole amount by weights, the largest remainders rounded up; without weights all get 0."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    exact = [amount * weight / whole for weight in weights]
    shares = [int(one) for one in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: (shares[i] - exact[i], i))
    for index in by_remainder[: amount - sum(shares)]:
        shares[index] += 1
    return shares


def share_vehicles(
    vehicles: Sequence[Vehicle],
    homes_m: NDArray[np.float64],
    needs: Sequence[float],
    centres_m: NDArray[np.float64],
) -> list[int]:
    """
    Return which part gets each vehicle: of each kind as many as it needs, with the shortest ways to them.

    Parameters
    ----------
    vehicles, homes_m, centres_m
        Where vehicles start, and the middle of each part, on a plane; shapes ``(num_vehicles, 2)`` and
        ``(num_parts, 2)``.
    needs
        Weight of each part.
    """
    kinds: dict[Vehicle, list[int]] = {}
    for index, vehicle in enumerate(vehicles):
        alike = replace(vehicle, id="any", start_place="any", end_place="any", under_way=None)
        kinds.setdefault(alike, []).append(index)
    given = [0] * len(vehicles)
    share = np.array(needs, dtype=float) / (sum(needs) or 1)
    owed = np.zeros(len(needs))
    for indices in kinds.values():
        # What a part misses of one kind it is owed of the next.
        owed = owed + len(indices) * share
        quota = _whole_quota(owed, len(indices))
        owed = owed - quota
        seats = np.repeat(np.arange(len(needs)), quota)
        ways_m = np.hypot(*(homes_m[indices][:, None, :] - centres_m[seats][None, :, :]).transpose(2, 0, 1))
        for row, seat in zip(*linear_sum_assignment(ways_m), strict=True):
            given[indices[row]] = int(seats[seat])
    return given


def _whole_quota(owed: NDArray[np.float64], number: int) -> NDArray[np.int64]:
    """Return whole numbers near what is owed that add up to a number."""
    quota = np.floor(np.maximum(owed, 0)).astype(np.int64)
    while quota.sum() != number:
        missing = owed - quota
        if quota.sum() < number:
            quota[int(np.argmax(missing))] += 1
        else:
            quota[int(np.argmin(np.where(quota > 0, missing, np.inf)))] -= 1
    return quota

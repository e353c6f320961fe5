r"""
Public instances as problems of ours, exactly: a plan costs here what it costs there.

Pickup and delivery with time windows [1]_: nodes *i* with coordinates, demand :math:`q_i`, window
:math:`[a_i, b_i]` and service :math:`s_i`; depot 0. Travel is :math:`1000 \lVert i - j \rVert` rounded, times
are thousandths of the unit, every node is a place of its own. Service of a pickup beyond that of its delivery
rides on the ways out of the pickup.

Vehicle routing with delivery options [2]_: travel is :math:`\lceil 10 \lVert i - j \rVert \rceil`, times are
tenths of the unit. A location's service begins in its window and is paid on every visit: it is the fixed
time of our stop, and the window moves by it. At least 80 % of *n* customers get their best option, 90 % at
least their second: :math:`\lfloor n/5 \rfloor` and :math:`\lfloor n/10 \rfloor` may fare worse.

One unit of travel costs one cent, and nothing may be left out.

References
----------
.. [1] Li, H., & Lim, A. (2003). A metaheuristic for the pickup and delivery problem with time windows.
       *International Journal on Artificial Intelligence Tools*, 12(2), 173-186.
       https://doi.org/10.1142/S0218213003001186
.. [2] Tilk, C., Olkis, K., & Irnich, S. (2021). The last-mile vehicle routing problem with delivery options.
       *OR Spectrum*, 43(4), 877-904. https://doi.org/10.1007/s00291-021-00633-0
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from optimizer import io
from optimizer.checks import LARGEST, ProblemError, require, whole
from optimizer.places import LATEST_S
from optimizer.problem import (
    VAN,
    CompartmentDemand,
    Compartments,
    DeliveryOption,
    Load,
    Order,
    ParcelClass,
    Place,
    Problem,
    RankLimit,
    Size,
    Temperature,
    TimeWindow,
    TravelMatrix,
    Vehicle,
)

#: Cost of leaving an order out: more than any vehicle, so that it never pays.
LEFT_OUT_CENTS = 10**8
#: Fixed cost of a vehicle where their number counts first: more than all travel of a plan.
VEHICLE_CENTS = 2 * 10**7
#: One unit of travel costs one cent.
PER_KM_CENTS = 1000

_LI_LIM_SCALE = 1000
_OPTIONS_SCALE = 10
#: Columns of a node of Li and Lim.
_NODE = ("id", "x", "y", "demand", "earliest", "latest", "service", "pickup", "delivery")
#: Sections of an instance with delivery options, and their columns.
_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "VEHICLE": ("VEHICLE", "CAPACITY", "LOCATIONS", "CUSTOMER", "OPTIONS", "PRIORITIES", "NUMTYPS"),
    "CUSTOMER": ("CUSTOMER", "DEMAND"),
    "LOCATION": ("LOCATION", "XCOORD", "YCOORD", "CAP", "READY", "DUE", "TYP", "SERVICETIME"),
    "OPTION": ("OPTION", "LOCATION", "CUSTOMER", "PRIO", "SERVICETIME", "COST"),
}

#: Coordinates that are so large at most can be squared in 64 bits; times keep within the days of ours.
_FAR = 10**6
_LIMITS: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(("x", "y", "XCOORD", "YCOORD"), (-_FAR, _FAR)),
    **dict.fromkeys(("earliest", "latest", "service"), (0, LATEST_S // _LI_LIM_SCALE)),
    **dict.fromkeys(("READY", "DUE", "SERVICETIME"), (0, LATEST_S // (2 * _OPTIONS_SCALE))),
    **dict.fromkeys(("demand", "CAP"), (-LARGEST, LARGEST)),
}

Row = Mapping[str, int]


class Objective(StrEnum):
    """What is minimised: the cost as it stands, or the number of vehicles and then the cost."""

    COST = "cost"
    VEHICLES = "vehicles"


def read(document: str | bytes, objective: str = Objective.COST) -> Problem:
    """
    Read a problem of any known format, told by its first characters.

    Raises
    ------
    ProblemError
        If the document is in none of the formats, or a field makes no sense.
    """
    text = document.decode("utf-8-sig", "replace") if isinstance(document, bytes) else document
    problem = _read(text)
    return problem if objective == Objective.COST else vehicles_first(problem)


def _read(text: str) -> Problem:
    if text.lstrip()[:1] in ("{", "[", ""):
        return io.read_problem(text)
    if any(line.split()[:1] == ["VEHICLE"] for line in text.splitlines()[:10]):
        return delivery_options(text)
    if len(text.split(maxsplit=3)) > 3 and all(word.isdigit() for word in text.split(maxsplit=3)[:3]):
        return li_lim(text)
    raise ProblemError("document", "is neither JSON nor an instance of Li and Lim or with delivery options")


def vehicles_first(problem: Problem) -> Problem:
    """Return the problem in which a vehicle costs more than all travel, and an order left out yet more."""
    return replace(
        problem,
        vehicles=tuple(replace(v, fixed_cost_cents=VEHICLE_CENTS) for v in problem.vehicles),
        orders=tuple(replace(order, unserved_penalty_cents=LEFT_OUT_CENTS) for order in problem.orders),
    )


def li_lim(text: str) -> Problem:
    """
    Read an instance of Li and Lim.

    Raises
    ------
    ProblemError
        If a line is not understood, or pickups and deliveries do not pair.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    require(len(lines) > 1, "document", "has no nodes")
    head = _row("line[0]", ("vehicles", "capacity", "speed"), lines[0])
    nodes = [_row(f"node[{n}]", _NODE, words) for n, words in enumerate(lines[1:])]
    for n, node in enumerate(nodes):
        require(node["id"] == n, f"node[{n}].id", f"must be {n}")
        require(node["earliest"] <= node["latest"], f"node[{n}].latest", "lies before the earliest")
    pairs = [(node, _delivery_of(nodes, node)) for node in nodes[1:] if node["delivery"]]
    _check_paired(nodes, pairs)
    travel = _euclidean([(node["x"], node["y"]) for node in nodes], _LI_LIM_SCALE)
    duration = travel.copy()
    for pickup, delivery in pairs:
        duration[pickup["id"]] += _LI_LIM_SCALE * max(0, pickup["service"] - delivery["service"])
    return Problem(
        places=tuple(_node_place(node, _per_degree(nodes, "x", "y")) for node in nodes),
        vehicles=_fleet(
            head["vehicles"],
            head["capacity"],
            _window(nodes[0]["earliest"], nodes[0]["latest"], _LI_LIM_SCALE),
        ),
        orders=tuple(_pickup_and_delivery(pickup, delivery) for pickup, delivery in pairs),
        matrices=(TravelMatrix(profile=VAN.id, distance_m=travel, duration_s=duration),),
        profiles=(VAN,),
    )


def _delivery_of(nodes: Sequence[Row], pickup: Row) -> Row:
    name = f"node[{pickup['id']}]"
    whole(f"{name}.delivery", pickup["delivery"], least=1, most=len(nodes) - 1)
    delivery = nodes[pickup["delivery"]]
    require(delivery["pickup"] == pickup["id"], f"{name}.delivery", f"node {delivery['id']} disagrees")
    require(delivery["demand"] == -pickup["demand"], f"{name}.demand", "is not what its delivery takes")
    return delivery


def _check_paired(nodes: Sequence[Row], pairs: Sequence[tuple[Row, Row]]) -> None:
    paired = {node["id"] for pair in pairs for node in pair}
    for node in nodes[1:]:
        require(node["id"] in paired, f"node[{node['id']}].pickup", "neither picks up nor delivers")


def _node_place(node: Row, per_degree: float) -> Place:
    return Place(
        id=str(node["id"]),
        latitude=node["y"] / per_degree,
        longitude=node["x"] / per_degree,
        windows=(_window(node["earliest"], node["latest"], _LI_LIM_SCALE),),
    )


def _pickup_and_delivery(pickup: Row, delivery: Row) -> Order:
    common_s = min(pickup["service"], delivery["service"])
    option = DeliveryOption(
        place=str(delivery["id"]), handling_s=_LI_LIM_SCALE * (delivery["service"] - common_s)
    )
    return Order(
        id=f"order {pickup['id']}",
        pickup_place=str(pickup["id"]),
        ready_s=_LI_LIM_SCALE * pickup["earliest"],
        deadline_s=_LI_LIM_SCALE * delivery["latest"],
        parcels=(ParcelClass(size=Size.S, weight_g=pickup["demand"]),),
        options=(option,),
        unserved_penalty_cents=LEFT_OUT_CENTS,
        handling_s_per_parcel=_LI_LIM_SCALE * common_s,
    )


def delivery_options(text: str) -> Problem:
    """
    Read an instance with delivery options.

    Raises
    ------
    ProblemError
        If a section is missing, a line is not understood, or a number names nothing.
    """
    tables = _tables(text)
    head, customers, locations = tables["VEHICLE"][0], tables["CUSTOMER"], tables["LOCATION"]
    choices: list[list[DeliveryOption]] = [[] for _ in customers]
    for n, option in enumerate(tables["OPTION"]):
        whole(f"OPTION[{n}].CUSTOMER", option["CUSTOMER"], most=len(customers) - 1)
        require(option["COST"] == 0, f"OPTION[{n}].COST", "must be 0")
        choices[option["CUSTOMER"]].append(_option(option))
    for n, some in enumerate(choices):
        require(bool(some), f"CUSTOMER[{n}]", "has no option")
    travel = _euclidean([(row["XCOORD"], row["YCOORD"]) for row in locations], _OPTIONS_SCALE)
    depot = locations[0]
    return Problem(
        places=tuple(_location(row, _per_degree(locations, "XCOORD", "YCOORD")) for row in locations),
        vehicles=_fleet(head["VEHICLE"], head["CAPACITY"], _opening(depot)),
        orders=tuple(_customer(row, depot, choices[row["CUSTOMER"]]) for row in customers),
        matrices=(TravelMatrix(profile=VAN.id, distance_m=travel, duration_s=travel),),
        profiles=(VAN,),
        rank_limits=tuple(
            RankLimit(rank=rank, most=len(customers) // one_in) for rank, one_in in enumerate((5, 10))
        ),
    )


def _tables(text: str) -> dict[str, list[Row]]:
    """Return the rows of each section; one of several is numbered from 0 by its first column."""
    tables: dict[str, list[Row]] = {}
    section = ""
    for words in (line.split() for line in text.splitlines() if line.strip()):
        if words[0] in _SECTIONS:
            section = words[0]
            tables[section] = []
        elif section:
            name = f"{section}[{len(tables[section])}]"
            tables[section].append(_row(name, _SECTIONS[section], words))
    for section in _SECTIONS:
        require(bool(tables.get(section)), section, "is missing")
    for section, column in (("LOCATION", "LOCATIONS"), ("CUSTOMER", "CUSTOMER"), ("OPTION", "OPTIONS")):
        said, number = tables["VEHICLE"][0][column], len(tables[section])
        require(number == said, f"VEHICLE[0].{column}", f"must be {number}, is {said}")
    for n, row in enumerate(tables["LOCATION"]):
        require(row["READY"] <= row["DUE"], f"LOCATION[{n}].DUE", "lies before READY")
    for section in ("CUSTOMER", "LOCATION", "OPTION"):
        for n, row in enumerate(tables[section]):
            require(row[section] == n, f"{section}[{n}]", f"must have the number {n}")
    return tables


def _location(row: Row, per_degree: float) -> Place:
    """Return a place; its number makes its coordinates its own, so that no stop joins another's."""
    stock = Compartments(temperature=Temperature.AMBIENT, size=Size.S, count=max(0, row["CAP"]))
    return Place(
        id=str(row["LOCATION"]),
        latitude=row["YCOORD"] / per_degree + 1e-9 * row["LOCATION"],
        longitude=row["XCOORD"] / per_degree,
        windows=(_opening(row),),
        stop_duration_s=_OPTIONS_SCALE * row["SERVICETIME"],
        compartments=(stock,) if row["CAP"] >= 0 else None,
    )


def _opening(row: Row) -> TimeWindow:
    """Return when handing over may begin at a location, once its own service is done."""
    service = row["SERVICETIME"]
    return _window(row["READY"] + service, row["DUE"] + service, _OPTIONS_SCALE)


def _option(row: Row) -> DeliveryOption:
    return DeliveryOption(
        place=str(row["LOCATION"]), rank=row["PRIO"], handling_s=_OPTIONS_SCALE * row["SERVICETIME"]
    )


def _customer(row: Row, depot: Row, options: Sequence[DeliveryOption]) -> Order:
    opening = _opening(depot)
    return Order(
        id=f"customer {row['CUSTOMER']}",
        pickup_place=str(depot["LOCATION"]),
        ready_s=opening.earliest_s,
        deadline_s=opening.latest_s,
        parcels=(ParcelClass(size=Size.S, weight_g=row["DEMAND"]),),
        options=tuple(options),
        unserved_penalty_cents=LEFT_OUT_CENTS,
        compartments=(CompartmentDemand(temperature=Temperature.AMBIENT, size=Size.S),),
    )


def _window(earliest: int, latest: int, scale: int) -> TimeWindow:
    return TimeWindow(earliest_s=scale * earliest, latest_s=scale * latest)


def _fleet(count: int, capacity: int, shift: TimeWindow) -> tuple[Vehicle, ...]:
    whole("vehicles", count, most=10_000)
    return tuple(
        Vehicle(
            id=f"vehicle {n}",
            profile=VAN.id,
            start_place="0",
            end_place="0",
            capacity=Load(weight_g=capacity, volume_cm3=0),
            shift=shift,
            cost_per_km_cents=PER_KM_CENTS,
        )
        for n in range(count)
    )


def _per_degree(rows: Sequence[Row], *columns: str) -> float:
    """Return how much of the coordinates makes a degree, so that all of them lie on Earth."""
    return max(1.0, max(abs(row[column]) for row in rows for column in columns) / 89)


def _row(name: str, columns: Sequence[str], words: Sequence[str]) -> Row:
    require(len(words) == len(columns), name, f"must have {len(columns)} columns")
    row = {}
    for column, word in zip(columns, words, strict=True):
        try:
            row[column] = int(word)
        except ValueError:
            raise ProblemError(f"{name}.{column}", "must be a whole number") from None
        least, most = _LIMITS.get(column, (0, LARGEST))
        whole(f"{name}.{column}", row[column], least=least, most=most)
    return row


def _euclidean(points: Sequence[tuple[int, int]], scale: int) -> NDArray[np.int64]:
    """Return scaled distances between points, shape ``(n, n)``: rounded if by 1000, else rounded up."""
    xy = np.array(points, dtype=np.int64).reshape(-1, 2)
    squares = ((xy[:, None, :] - xy[None, :, :]) ** 2).sum(axis=2) * scale**2
    # The square root of a whole square is exact, so that rounding up adds nothing to it.
    roots = np.sqrt(squares)
    whole_roots = np.rint(roots) if scale == _LI_LIM_SCALE else np.ceil(roots)
    return np.asarray(whole_roots, dtype=np.int64)

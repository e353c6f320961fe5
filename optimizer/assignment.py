r"""
PuLP: orders to supply points and compartments, before any route is known.

Sets: orders :math:`o`, their options :math:`k` (each a place :math:`l`), rows :math:`q` of room that
deliveries share (compartments of a locker, see :class:`optimizer.compartments.Room`; volume of a counter).
Letters: :math:`y_{ok}` the order takes the option, :math:`z_o` it finds no place, :math:`w_l` a vehicle must
call at the place; :math:`c_{ok}` estimated cost, :math:`p_o` penalty, :math:`f_l` cost of a call,
:math:`a_{okq}` what the option takes of a row, :math:`b_q` the room.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulp

from optimizer import solver
from optimizer.compartments import Room, Row
from optimizer.day import Day
from optimizer.reachability import Reachability

#: Estimated cost in cents of each option of each order that is to be decided.
OptionCosts = Mapping[int, Mapping[int, float]]
#: An order shares the way from shop to supply point with this many others, as a rule of thumb.
ORDERS_PER_TRIP = 2
#: Orders for which the model is built in a second, at least.
ORDERS_PER_S = 800
#: Relative gap at which the choice is good enough; routes matter more than the rest.
GAP = 0.002


@dataclass(frozen=True, slots=True, eq=False)
class Variables:
    """The variables of the model, see the module's docstring."""

    y: dict[tuple[int, int], pulp.LpVariable]
    z: dict[int, pulp.LpVariable]
    w: dict[int, pulp.LpVariable]


def proximity_costs(day: Day, reach: Reachability, orders: Sequence[int]) -> dict[int, dict[int, float]]:
    """
    Return for each reachable option its penalty plus a share of the cheapest direct way, in cents.

    Goods on board come from where their vehicle is.
    """
    costs: dict[int, dict[int, float]] = {}
    for order in orders:
        row = day.problem.orders[order]
        shop = day.place_index[row.pickup_place]
        costs[order] = {}
        for option in reach.reachable(order):
            place = day.option_place(order, option)
            ways = [
                float(vehicle.cents[vehicle.start if order in day.loaded else shop, place])
                for vehicle, failure in zip(day.classes, reach.failures(order, option), strict=True)
                if failure is None
            ]
            costs[order][option] = row.options[option].preference_penalty_cents + min(ways) / ORDERS_PER_TRIP
    return costs


def assign(day: Day, room: Room, costs: OptionCosts, limits: solver.Limits) -> dict[int, int]:
    """
    Choose an option for each order of ``costs``, within the room there is; who finds no place is missing.

    A greedy assignment is returned if there is no time to solve the model, or nothing better is found.
    """
    greedy = fill(day, room, costs, {})
    if len(costs) > ORDERS_PER_S * limits.seconds:
        return greedy
    claims = {(o, k): room.claims(o, k) for o, options in costs.items() for k in options}
    model = pulp.LpProblem("assignment", pulp.LpMinimize)
    variables = _variables(model, day, costs)
    model += chosen_options(variables, costs) + unassigned_orders(variables, day) + calls(variables, day)
    each_order_once(model, variables, costs)
    calls_where_delivered(model, variables, day)
    within_room(model, variables, claims, room)
    _start_from(variables, day, greedy)
    if not solver.run(model, limits, gap=GAP):
        return greedy
    return {o: k for (o, k), variable in variables.y.items() if variable.value() > 0.5}


def fill(day: Day, room: Room, costs: OptionCosts, start: Mapping[int, int]) -> dict[int, int]:
    """Extend an assignment: the dearest orders first, each to its cheapest option that has room."""
    chosen = {order: option for order, option in start.items() if option in costs.get(order, {})}
    taken = room.taken(chosen.items())
    waiting = [order for order in costs if order not in chosen]
    for order in sorted(waiting, key=lambda o: (-day.problem.orders[o].unserved_penalty_cents, o)):
        for option in sorted(costs[order], key=lambda k: (costs[order][k], k)):
            claims = room.claims(order, option)
            if room.fits(taken, claims):
                chosen[order] = option
                taken.update(claims)
                break
    return chosen


def chosen_options(variables: Variables, costs: OptionCosts) -> pulp.LpAffineExpression:
    r""":math:`\sum_{ok} c_{ok} y_{ok}`."""
    return pulp.LpAffineExpression([(y, costs[o][k]) for (o, k), y in variables.y.items()])


def unassigned_orders(variables: Variables, day: Day) -> pulp.LpAffineExpression:
    r""":math:`\sum_o p_o z_o`."""
    penalties = [(z, day.problem.orders[o].unserved_penalty_cents) for o, z in variables.z.items()]
    return pulp.LpAffineExpression(penalties)


def calls(variables: Variables, day: Day) -> pulp.LpAffineExpression:
    r""":math:`\sum_l f_l w_l`, with the fixed time of a stop at the cheapest hourly rate."""
    rate = min((vehicle.prices.per_s_cents for vehicle in day.classes), default=0.0)
    return pulp.lpSum(
        day.problem.places[place].stop_duration_s * rate * w for place, w in variables.w.items()
    )


def each_order_once(model: pulp.LpProblem, variables: Variables, costs: OptionCosts) -> None:
    r""":math:`\sum_k y_{ok} + z_o = 1` for every order *o*."""
    for o, options in costs.items():
        model += pulp.lpSum(variables.y[o, k] for k in options) + variables.z[o] == 1, f"each_order_once_{o}"


def calls_where_delivered(model: pulp.LpProblem, variables: Variables, day: Day) -> None:
    r""":math:`y_{ok} \le w_l` for every option at place *l*."""
    for (o, k), y in variables.y.items():
        model += y <= variables.w[day.option_place(o, k)], f"calls_where_delivered_{o}_{k}"


def within_room(
    model: pulp.LpProblem,
    variables: Variables,
    claims: Mapping[tuple[int, int], Counter[Row]],
    room: Room,
) -> None:
    r""":math:`\sum_{ok} a_{okq} y_{ok} \le b_q` for every row *q*."""
    terms: dict[Row, list[tuple[pulp.LpVariable, int]]] = {}
    for key, taken in claims.items():
        for row, amount in taken.items():
            terms.setdefault(row, []).append((variables.y[key], amount))
    for number, (row, entries) in enumerate(terms.items()):
        model += pulp.LpAffineExpression(entries) <= room.capacity.get(row, 0), f"within_room_{number}"


def _variables(model: pulp.LpProblem, day: Day, costs: OptionCosts) -> Variables:
    places = sorted({day.option_place(o, k) for o, options in costs.items() for k in options})
    return Variables(
        y={(o, k): _binary(model, f"y_{o}_{k}") for o, options in costs.items() for k in options},
        z={o: _binary(model, f"z_{o}") for o in costs},
        w={place: _binary(model, f"w_{place}") for place in places},
    )


def _binary(model: pulp.LpProblem, name: str) -> pulp.LpVariable:
    return model.add_variable(name, cat=pulp.LpBinary)


def _start_from(variables: Variables, day: Day, chosen: Mapping[int, int]) -> None:
    called = {day.option_place(order, option) for order, option in chosen.items()}
    for (o, k), y in variables.y.items():
        y.setInitialValue(int(chosen.get(o) == k))
    for o, z in variables.z.items():
        z.setInitialValue(int(o not in chosen))
    for place, w in variables.w.items():
        w.setInitialValue(int(place in called))

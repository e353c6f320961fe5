"""What all runs share: room in lockers and at counters, and how often residents are sent elsewhere."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from optimizer.day import Day
from optimizer.problem import CompartmentDemand, Compartments, Size, Temperature

#: Demands of at least the first size that need a low door, and other demands of at least the second;
#: ``None`` stands for none of them.
Demands = tuple[Size | None, Size | None]
#: A row that deliveries share: demands for compartments of a temperature at a place; without a temperature,
#: the volume of the place; or, with a negative number instead of a place, orders beyond a rank.
Row = tuple[int, Temperature | None, Demands]

_VOLUME: Demands = (None, None)


class Room:
    r"""
    The shared rows of a day: right-hand sides, and what each option of each order takes.

    For each locker and temperature, and sizes :math:`s \le t`: demands for low doors of size *s* or larger
    and other demands of size *t* or larger may together not exceed the low compartments of size *s* or larger
    and the other ones of size *t* or larger. These are all that can serve such demands, and demands for low
    doors alone have rows of their own, so by Hall's theorem [1]_ the rows are exact. Rows that others imply
    are left out: only sizes that are demanded count, and where nobody needs a low door only :math:`s = t`.

    Volumes of counters, and limits to how many orders go beyond a rank of their options, are rows of one
    number each.

    References
    ----------
    .. [1] Hall, P. (1935). On representatives of subsets. *Journal of the London Mathematical Society*,
           10(1), 26-30. https://doi.org/10.1112/jlms/s1-10.37.26
    """

    def __init__(self, day: Day) -> None:
        self._day = day
        self._claims: dict[tuple[int, int], Counter[Row]] = {}
        self.capacity: dict[Row, int] = {}
        for index, place in enumerate(day.problem.places):
            if place.volume_limit_cm3 is not None:
                self.capacity[index, None, _VOLUME] = place.volume_limit_cm3
        for limit in day.problem.rank_limits:
            self.capacity[_rank_row(limit.rank)] = limit.most
        self._touched: dict[tuple[int, CompartmentDemand], list[Row]] = {}
        for (index, temperature), demands in _demands(day).items():
            stock = [c for c in day.problem.places[index].compartments or () if c.temperature == temperature]
            rows = _rows(demands)
            for row in rows:
                room = sum(compartments.free for compartments in stock if counts(compartments, row))
                self.capacity[index, temperature, row] = room
            for demand in demands:
                self._touched[index, demand] = [
                    (index, temperature, row) for row in rows if counts(demand, row)
                ]

    def claims(self, order: int, option: int) -> Counter[Row]:
        """Return what an option of an order takes of each row; not to be changed."""
        key = order, option
        if key not in self._claims:
            self._claims[key] = self._claims_of(order, option)
        return self._claims[key]

    def _claims_of(self, order: int, option: int) -> Counter[Row]:
        taken: Counter[Row] = Counter()
        row = self._day.problem.orders[order]
        index = self._day.option_place(order, option)
        place = self._day.problem.places[index]
        for limit in self._day.problem.rank_limits:
            if row.options[option].rank > limit.rank:
                taken[_rank_row(limit.rank)] = 1
        if place.volume_limit_cm3 is not None:
            taken[index, None, _VOLUME] = row.volume_cm3
        if place.compartments is not None:
            for demand in row.compartments:
                taken.update(self._touched[index, demand])
        return taken

    def fits(self, taken: Counter[Row], more: Counter[Row]) -> bool:
        """Tell whether there is room for more besides what is taken."""
        return all(taken[row] + amount <= self.capacity.get(row, 0) for row, amount in more.items())

    def taken(self, chosen: Iterable[tuple[int, int]]) -> Counter[Row]:
        """Return what some orders with their options take together."""
        total: Counter[Row] = Counter()
        for order, option in chosen:
            total.update(self.claims(order, option))
        return total


def is_rank(row: Row) -> bool:
    """Tell whether a row limits how many orders go beyond a rank."""
    return row[0] < 0


def _rank_row(rank: int) -> Row:
    return -1 - rank, None, _VOLUME


def _demands(day: Day) -> Mapping[tuple[int, Temperature], set[CompartmentDemand]]:
    """Return the kinds of demands that may come to each locker, by place and temperature."""
    demands: dict[tuple[int, Temperature], set[CompartmentDemand]] = defaultdict(set)
    for number, order in enumerate(day.problem.orders):
        for option in range(len(order.options)):
            index = day.option_place(number, option)
            if day.problem.places[index].compartments is not None:
                for demand in order.compartments:
                    demands[index, demand.temperature].add(demand)
    return demands


def _rows(demands: Iterable[CompartmentDemand]) -> list[Demands]:
    """Return the rows that no other row implies, in a fixed order."""
    present = {(demand.size, demand.low) for demand in demands}
    low = [size for size in Size if (size, True) in present]
    other = [size for size in Size if (size, False) in present]
    return [
        *((size, None) for size in low),
        *((one, size) for one in low for size in other if one.rank <= size.rank),
        *((size, size) for size in other if size not in low),
    ]


def counts(thing: Compartments | CompartmentDemand, row: Demands) -> bool:
    """Tell whether compartments belong to the right-hand side of a row, or a demand to its left-hand side."""
    least = row[0] if thing.low else row[1]
    return least is not None and thing.size.rank >= least.rank

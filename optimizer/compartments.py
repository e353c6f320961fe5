"""What lockers and counters have room for, and what deliveries take of it."""

from collections import Counter
from collections.abc import Iterable

from optimizer.day import Day
from optimizer.problem import Size, Temperature

#: A row that deliveries share: compartments of a locker of a temperature and of a size or larger; or the
#: volume of a place (both ``None``).
Row = tuple[int, Temperature | None, Size | None]


class Room:
    """
    The shared rows of a day: right-hand sides, and what each option of each order takes.

    Sizes are nested: for each locker, temperature and size, what is claimed in that size or larger may not
    exceed the compartments of that size or larger. By Hall's theorem these rows are exact.
    """

    def __init__(self, day: Day) -> None:
        self._day = day
        self._claims: dict[tuple[int, int], Counter[Row]] = {}
        self.capacity: dict[Row, int] = {}
        for index, place in enumerate(day.problem.places):
            if place.volume_limit_cm3 is not None:
                self.capacity[index, None, None] = place.volume_limit_cm3
            for stock in place.compartments or ():
                for size in _up_to(stock.size):
                    row = index, stock.temperature, size
                    self.capacity[row] = self.capacity.get(row, 0) + stock.count

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
        if place.volume_limit_cm3 is not None:
            taken[index, None, None] = row.volume_cm3
        if place.compartments is not None:
            taken.update((index, d.temperature, size) for d in row.compartments for size in _up_to(d.size))
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


def _up_to(size: Size) -> list[Size]:
    return [other for other in Size if other.rank <= size.rank]

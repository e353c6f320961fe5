"""How the time of a search is divided among starts, annealing, PyVRP and the choice among all routes."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from optimizer.lns.improver import Improver
from optimizer.master import Column
from optimizer.rounds import Rounds
from optimizer.search import Search

#: Starts without a plan, and the part of the time that they take together.
NUM_STARTS, STARTING = 3, 0.5
#: With fewer iterations for each order than so many, one start that takes all the time is better.
ITERATIONS_PER_ORDER = 60
#: Temperatures, in multiples of what carrying an order costs: at first, after the starts, and at the end.
HOT, WARM, COLD = 1.0, 0.3, 0.01
#: Iterations that mend a first plan, which do not count, and their temperature in cents.
MENDING, FROZEN = 50, 0.01
#: Iterations between two looks at the clock where iterations are limited; seconds where they are not.
BATCH, BATCH_S = 50, 0.05
#: Part of the time between two looks at the best plan.
LOOK = 0.02
#: Part of the time that is left for the last choice among all routes; half of it is for putting those on the
#: clock that annealing came by.
CHOOSING = 0.04
#: Where orders have no choice and nothing was promised, PyVRP sees all there is: the part of each start that
#: it gets then, its rounds on the best plan, and the time that is left to anneal afterwards.
ROUNDS, NUM_ROUNDS, COOLING = 0.7, 5, 0.1
#: Where one more vehicle costs more than all the driving: the part of the time in which vehicles are saved
#: first, and the temperature meanwhile.
SHRINKING, COOL = 0.6, 0.05
#: Part of the time in which a start tries to do with a vehicle less than the best one before.
SAVING = 0.03
#: Where iterations are limited, one of PyVRP counts as so many.
WEIGHT_OF_ROUND = 5
#: Neighbours of each leg.
NUM_NEIGHBOURS = 50


class Step(StrEnum):
    """A step that a search can do without, which is how what it brings is measured."""

    ASSIGNMENT = "assignment"
    STARTS = "starts"
    MASTER = "master"
    ROUNDS = "rounds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """
    What a search may use.

    Parameters
    ----------
    spent
        Part of the time, or of the iterations, that is used: 1 when the search is over.
    elapsed_s
        Seconds since the start.
    iterations
        Limit, if there is one.
    should_stop
        Asked often.
    decide
        Chooses among all routes seen.
    report
        Tells whoever listens of the best plan.
    """

    spent: Callable[[], float]
    elapsed_s: Callable[[], float]
    iterations: int | None
    should_stop: Callable[[], bool]
    decide: Callable[[], None]
    report: Callable[[], None]


class Improvement:
    """
    Improves the best plan of a search until its budget is used.

    Several starts are annealed for a short while each, since days of few long routes have many valleys that
    are far apart; the master joins what they found, and the best plan is annealed for the rest of the time.
    """

    def __init__(self, search: Search, seed: int, budget: Budget, without: Collection[Step] = ()) -> None:
        self._search = search
        self._seed = seed
        self._budget = budget
        self._num_starts = 1 if Step.STARTS in without else NUM_STARTS
        orders = search.day.problem.orders
        has_choice = any(len(order.options) > 1 or order.promise is not None for order in orders)
        self._asks_pyvrp = not has_choice and Step.ROUNDS not in without
        reachable = {order: search.reach.reachable(order) for order in search.proximity}
        options = {order: open_options for order, open_options in reachable.items() if open_options}
        self._num_orders = len(options)
        self._improver = Improver(search, options, seed) if options else None
        self._pyvrp = Rounds(search)
        self._batch = BATCH
        self._idle = search.incumbent

    def construct(
        self, assignment: Mapping[int, int], must_stop: Callable[[], bool], *, at_any_price: bool
    ) -> None:
        """Make a first plan, or insert into one that exists what pays."""
        if self._improver is not None:
            self._improver.load(self._search.incumbent)
            self._improver.construct(assignment, must_stop, at_any_price=at_any_price)
            if at_any_price and not must_stop():
                # However short the time is, what is obviously wrong with a plan of few orders is mended.
                self._improver.run(MENDING, FROZEN)
            self._adopt(self._improver)

    def run(self, assignment: Mapping[int, int], *, goes_on: bool) -> None:
        """
        Improve the plan.

        Parameters
        ----------
        assignment
            Of orders to options, for every other start.
        goes_on
            The plan is worth keeping: there are no other starts.
        """
        improver = self._improver
        if improver is None or self._is_over():
            self._budget.decide()
            return
        if goes_on:
            improver.load(self._search.incumbent)
        if self._is_fleet_dear(improver):
            self._shrink(improver, SHRINKING)
            goes_on = True
        if not goes_on:
            self._start(improver, assignment)
        if self._asks_pyvrp:
            self._rounds(self._budget.spent(), 1 - COOLING, NUM_ROUNDS)
        improver.load(self._search.incumbent)
        if self._budget.iterations is None:
            self._anneal(improver, 1 - CHOOSING, WARM)
            improver.gather(self._until(1 - CHOOSING / 2))
        else:
            self._anneal(improver, 1.0, WARM)
            improver.gather(self._budget.should_stop)
        self._budget.decide()

    def _start(self, improver: Improver, assignment: Mapping[int, int]) -> None:
        """Begin some times, the first with the plan that was made, and keep the best of what comes out."""
        begun, best = self._budget.spent(), self._search.incumbent
        num_starts = self._num_starts if self._asks_pyvrp or self._is_quick(improver) else 1
        last = STARTING if num_starts > 1 or self._asks_pyvrp else 1 - CHOOSING
        for number in range(num_starts):
            if number and self._is_over():
                return
            # The cheapest plan of few long routes may need a vehicle less than all its neighbours.
            does_with_fewer = self._asks_pyvrp and number == 2 and self._save_one(improver, best)
            if number and not does_with_fewer:
                improver.load(self._idle)
                improver.construct(assignment if number % 2 == 0 else {}, self._is_over, at_any_price=True)
            ends = begun + (last - begun) * (number + 1) / num_starts
            if not self._asks_pyvrp:
                self._anneal(improver, ends)
                improver.gather(self._budget.should_stop)
                self._budget.decide()
                continue
            now = self._budget.spent()
            self._anneal(improver, now + (ends - now) * (1 - ROUNDS))
            improver.gather(self._budget.should_stop)
            best = min(best, self._search.incumbent, key=self._search.cost_of)
            # PyVRP goes on from this start, even if another one was better.
            self._search.incumbent = improver.columns()
            self._rounds(self._budget.spent(), ends, 1, may_add=not does_with_fewer)
            best = min(best, self._search.incumbent, key=self._search.cost_of)
            self._search.incumbent = best

    def _is_quick(self, improver: Improver) -> bool:
        """Tell, after some iterations, whether there will be enough of them for several starts."""
        begun, before = self._budget.spent(), self._search.iterations
        self._run(improver, HOT * improver.cents_per_order)
        iterations, spent = self._search.iterations - before, self._budget.spent() - begun
        return iterations * (1 - begun) >= ITERATIONS_PER_ORDER * self._num_orders * spent

    def _is_over(self) -> bool:
        return self._budget.spent() >= 1 or self._budget.should_stop()

    def _is_fleet_dear(self, improver: Improver) -> bool:
        """Tell whether of two vehicles in use or more each costs more than all the driving together."""
        columns = self._search.incumbent
        if len(columns) < 2:
            return False
        fixed_cents = min(column.vehicle.prices.fixed_cents for column in columns)
        return fixed_cents > improver.cents_per_order * len(self._search.carried)

    def _shrink(self, improver: Improver, until: float) -> None:
        """Do with fewer vehicles as long as that succeeds, until a part of the budget is used."""
        while self._budget.spent() < until and not self._budget.should_stop():
            if self._shrunk(improver):
                self._adopt(improver)
        improver.end_shrinking()

    def _save_one(self, improver: Improver, columns: list[Column]) -> bool:
        """Take a vehicle away from a plan, if that succeeds soon; the others stay closed until loading."""
        improver.load(columns)
        until = self._budget.spent() + SAVING
        while self._budget.spent() < until and not self._budget.should_stop():
            if self._shrunk(improver):
                return True
        improver.end_shrinking()
        return False

    def _shrunk(self, improver: Improver) -> bool:
        """Try for a batch of iterations to do with one vehicle less, and tell whether that succeeded."""
        iterations, before_s = self._batch_size(), self._budget.elapsed_s()
        left = improver.shrink(iterations, COOL * improver.cents_per_order)
        self._count(iterations, before_s)
        return left == 0

    def _anneal(self, improver: Improver, until: float, hot: float = HOT) -> None:
        """Anneal until a part of the budget is used."""
        begun = looked = spent = self._budget.spent()
        while spent < until and not self._budget.should_stop():
            share = (spent - begun) / (until - begun)
            temperature = max(1e-9, improver.cents_per_order) * hot * (COLD / hot) ** share
            self._run(improver, temperature)
            spent = self._budget.spent()
            if spent >= looked + LOOK:
                looked = spent
                self._adopt(improver)
                self._budget.report()
        self._adopt(improver)

    def _run(self, improver: Improver, temperature: float) -> None:
        """Anneal for a batch of iterations."""
        iterations, before_s = self._batch_size(), self._budget.elapsed_s()
        improver.run(iterations, temperature)
        self._count(iterations, before_s)

    def _batch_size(self) -> int:
        """Return how many iterations come next: as many as take a moment, or a fixed number."""
        if self._budget.iterations is None:
            return self._batch
        return max(1, min(BATCH, self._budget.iterations - self._search.iterations))

    def _count(self, iterations: int, before_s: float) -> None:
        """Count iterations that are done, and see how many take how long."""
        self._search.iterations += iterations
        if self._budget.iterations is None:
            seconds = max(1e-4, self._budget.elapsed_s() - before_s)
            self._batch = max(1, min(2 * iterations, round(iterations * BATCH_S / seconds)))

    def _adopt(self, improver: Improver) -> None:
        if improver.cents < self._search.cost_cents + 1:
            self._search.adopt(improver.columns())

    def _until(self, part: float) -> Callable[[], bool]:
        return lambda: self._budget.spent() >= part

    def _rounds(self, begin: float, until: float, number_of_rounds: int, *, may_add: bool = True) -> None:
        """Let PyVRP improve the best plan, which may take vehicles that idle, or may not."""
        for number in range(number_of_rounds):
            if self._is_over():
                return
            ends = begin + (until - begin) * (number + 1) / number_of_rounds
            limit = 10**9
            if self._budget.iterations is not None:
                share = (until - begin) / number_of_rounds / WEIGHT_OF_ROUND
                limit = max(1, round(self._budget.iterations * share))
            before = self._search.iterations
            self._seed += 1
            goes_on = self._pyvrp.improve(
                self._seed, limit, NUM_NEIGHBOURS, self._until(ends), may_add=may_add
            )
            if self._budget.iterations is not None:
                done = self._search.iterations - before
                self._search.iterations += done * (WEIGHT_OF_ROUND - 1)
            self._budget.decide()
            if not goes_on:
                return

"""What is measured: the suites, their instances, and the cases that they make."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from optimizer.checks import ProblemError
from optimizer.instances import Objective

OURS = "ours"
#: Ours on the problem without the rows that all runs share.
ROOMY = "ours, rows lifted"
#: Ours with a proof of how good the plan is.
BOUND = "ours, bound"
#: Ours on territories of the problem.
DIVIDED = "ours, in territories"
#: Ours on a day that is under way, beginning with its plan; and the same for so many times as long.
AGAIN, LONG_AGAIN = "ours, from its plan", "ours, from its plan, 10 times as long"
FROM_PLAN = AGAIN, LONG_AGAIN
LONG = 10
#: Ours without one of its steps; what the name goes on with is the step.
WITHOUT = "ours without "
#: Building the master's model.
MASTER = "master"
#: Peers by name, with whether a seed changes what they find.
PEERS: dict[str, bool] = {"pyvrp": True, "ortools": False, "vroom": False}
#: What the name of a peer ends with if it is given our assignment of orders to places.
GIVEN_OURS = ", our assignment"

SEEDS = (1, 2, 3)
#: Instances of Li and Lim that are run with every seed: some of each class of 100 tasks, and those of 200.
LI_LIM_100 = ("lc104", "lc203", "lr104", "lr108", "lr112", "lr204", "lr211", "lrc104", "lrc107", "lrc206")
LI_LIM_200 = (
    *("LC1_2_1", "LC1_2_3", "LC2_2_5", "LR1_2_1", "LR1_2_3", "LR1_2_10", "LR2_2_5"),
    *("LRC1_2_1", "LRC1_2_7", "LRC2_2_4"),
)
_NUMBERS = {"lc1": 9, "lc2": 8, "lr1": 12, "lr2": 11, "lrc1": 8, "lrc2": 8}
LI_LIM_REST = tuple(
    name
    for family, count in _NUMBERS.items()
    for number in range(1, count + 1)
    if (name := f"{family}{number:02}") not in LI_LIM_100
)
#: The first and the last of each family with delivery options.
VRPDO = tuple(
    f"{kind}_{customers}{width}_{number}"
    for kind in "UV"
    for customers in (25, 50)
    for width in ("small", "medium", "large")
    for number in (1, 10)
)
#: A day of so many orders gives every solver so many seconds.
REGIONAL = {100: 30, 300: 60, 1000: 120}
BOUND_ORDERS, BOUND_SECONDS = 30, 120
#: Whoever waits for a new plan waits 5 s; a part of them is for reading the problem and the plan.
CHANGED_ORDERS, CHANGED_SECONDS = 300, 4
LARGE_ORDERS, LARGE_SECONDS = 5_000, 600
QUICK_SECONDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    One run: an instance, a solver, a seed, and how long.

    Parameters
    ----------
    after_ours
        It starts from the assignment that ours found for the same instance, seed and seconds.
    alone
        It may use the whole machine.
    """

    suite: str
    instance: str
    solver: str
    seed: int
    seconds: int
    objective: str = Objective.COST
    after_ours: bool = False
    alone: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from other cases."""
        return self.suite, self.instance, self.solver, self.seed, self.seconds

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """
    Cases with one purpose.

    Parameters
    ----------
    instances
        With their seconds and seeds.
    given_ours
        Peers run once more, on our assignment of orders to places.
    """

    name: str
    instances: tuple[tuple[str, int, tuple[int, ...]], ...]
    solvers: tuple[str, ...]
    objective: str = Objective.COST
    given_ours: bool = False
    alone: bool = False

    def cases(self) -> Iterator[Case]:
        """Yield the cases, those of ours first; a seed that changes nothing is tried once."""
        for solver in self.solvers:
            for instance, seconds, seeds in self.instances:
                tried = seeds if PEERS.get(solver, True) else seeds[:1]
                for seed in tried:
                    yield self._case(instance, solver, seed, seconds)
        for peer in PEERS if self.given_ours else ():
            for instance, seconds, seeds in self.instances:
                for seed in seeds:
                    yield replace(self._case(instance, peer + GIVEN_OURS, seed, seconds), after_ours=True)

    def _case(self, instance: str, solver: str, seed: int, seconds: int) -> Case:
        return Case(
            suite=self.name,
            instance=instance,
            solver=solver,
            seed=seed,
            seconds=seconds,
            objective=self.objective,
            alone=self.alone,
        )

    def shortened(self) -> "Suite":
        """Return a suite of minutes with the same purpose: its first and last instance for some seconds."""
        ends = dict.fromkeys((self.instances[0], self.instances[-1]))
        quick = [(_smaller(name), QUICK_SECONDS, seeds[:1]) for name, _, seeds in ends]
        return replace(self, instances=tuple(dict.fromkeys(quick)))


def _smaller(instance: str) -> str:
    """Return a generated day with fewer orders, and any other instance as it is."""
    kind, *numbers = instance.split("-")
    if len(numbers) != 2:
        return instance
    return f"{kind}-{max(20, int(numbers[0]) // 10)}-{numbers[1]}"


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            name="li-lim",
            instances=(
                *((name, 30, SEEDS) for name in (*LI_LIM_100, *LI_LIM_200)),
                *((name, 30, SEEDS[:1]) for name in LI_LIM_REST),
            ),
            solvers=(OURS, *PEERS),
        ),
        Suite(
            name="vehicles",
            instances=tuple((name, 60, SEEDS) for name in (*LI_LIM_100, *LI_LIM_200)),
            solvers=(OURS, *PEERS),
            objective=Objective.VEHICLES,
        ),
        Suite(name="vrpdo", instances=tuple((name, 30, SEEDS) for name in VRPDO), solvers=(OURS,)),
        Suite(
            name="regional",
            instances=tuple(
                (f"region-{orders}-{day}", seconds, SEEDS)
                for orders, seconds in REGIONAL.items()
                for day in (1, 2, 3)
            ),
            solvers=(OURS, *PEERS),
            given_ours=True,
        ),
        Suite(
            name="compartments",
            instances=tuple((f"tight-100-{day}", 30, SEEDS) for day in (1, 2, 3)),
            solvers=(OURS, ROOMY, *PEERS),
        ),
        Suite(
            name="bound",
            instances=tuple(
                (f"region-{BOUND_ORDERS}-{day}", BOUND_SECONDS, SEEDS[:1]) for day in range(1, 21)
            ),
            solvers=(BOUND,),
        ),
        Suite(
            name="large",
            instances=tuple(
                (f"large-{orders}-1", LARGE_SECONDS, SEEDS[:1])
                for orders in (LARGE_ORDERS, LARGE_ORDERS // 2)
            ),
            solvers=(DIVIDED, OURS),
            alone=True,
        ),
        Suite(
            name="changes",
            instances=tuple((f"changed-{CHANGED_ORDERS}-{day}", CHANGED_SECONDS, SEEDS) for day in (1, 2, 3)),
            solvers=(OURS, AGAIN, LONG_AGAIN),
            alone=True,
        ),
        Suite(name="short", instances=(("large-10000-1", 1, SEEDS[:1]),), solvers=(OURS,), alone=True),
        Suite(
            name="steps",
            instances=tuple(
                (name, seconds, SEEDS)
                for orders, seconds in REGIONAL.items()
                for name in (f"region-{orders}-1", f"tight-{orders}-2")
            ),
            solvers=(OURS, *(WITHOUT + step for step in ("assignment", "starts", "master"))),
        ),
        Suite(
            name="steps-li-lim",
            instances=tuple((name, 30, SEEDS) for name in ("LR1_2_10", "LRC1_2_7", "lc104", "lr204")),
            solvers=(OURS, *(WITHOUT + step for step in ("starts", "master", "rounds"))),
        ),
        Suite(name="master", instances=(("region-300-1", 30, SEEDS[:1]),), solvers=(MASTER,)),
    )
}


def chosen(names: Sequence[str], *, quick: bool) -> list[Suite]:
    """
    Return suites by name, all of them if there are no names.

    Raises
    ------
    ProblemError
        If a name means nothing.
    """
    for name in names:
        if name not in SUITES:
            raise ProblemError("suite", f"{name} is none of {', '.join(SUITES)}")
    suites = [suite for suite in SUITES.values() if not names or suite.name in names]
    return [suite.shortened() for suite in suites] if quick else suites


def check_solvers(names: Sequence[str]) -> None:
    """
    Check that solvers exist.

    Raises
    ------
    ProblemError
        If a name means nothing.
    """
    known = dict.fromkeys(case.solver for suite in SUITES.values() for case in suite.cases())
    for name in names:
        if name not in known:
            raise ProblemError("solver", f"{name} is none of {'; '.join(known)}")

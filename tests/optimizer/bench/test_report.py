"""The benchmark says what was reached, from its lines alone."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

from optimizer.bench import plot, suites, table
from optimizer.bench.goals import goals
from optimizer.bench.runner import Record
from optimizer.bench.suites import GIVEN_OURS, OURS, PEERS, ROOMY, Suite
from optimizer.bench.summary import Runs
from tests.optimizer.bench.records import a_record


def records_of(suite: Suite, **costs: int) -> Iterator[Record]:
    """Yield a line for each case of a suite, the cost by the first word of the solver's name."""
    for case in suite.cases():
        yield a_record(case, cost=costs[case.solver.split(",")[0].split()[0]], reference={"cost": 1_000})


def verdicts(suite: Suite, records: Iterator[Record] | list[Record]) -> dict[str, bool | None]:
    return {goal.text: goal.met for goal in goals(Runs([suite], records))}


LI_LIM = Suite(name="li-lim", instances=(("one", 1, (1, 2)), ("two", 1, (1,))), solvers=(OURS, *PEERS))


def test_a_goal_is_met_missed_or_open() -> None:
    met = verdicts(LI_LIM, records_of(LI_LIM, ours=1_000, pyvrp=1_001, ortools=1_002, vroom=1_000))
    missed = verdicts(LI_LIM, records_of(LI_LIM, ours=1_009, pyvrp=1_001, ortools=1_002, vroom=1_000))
    nothing = verdicts(LI_LIM, [])

    assert met == {
        "mean gap to the best known at most 0.10 %": True,
        "worst gap at most 0.8 %": True,
        "mean gap below pyvrp": True,
        "mean gap below ortools": True,
        "mean gap below vroom": False,
        "the time limit is kept within 10 % or 5 s": True,
    }
    assert missed["worst gap at most 0.8 %"] is False
    assert missed["mean gap to the best known at most 0.10 %"] is False
    assert set(nothing.values()) == {None}


def test_a_goal_is_not_met_as_long_as_runs_are_missing_or_failed() -> None:
    records = list(records_of(LI_LIM, ours=1_000, pyvrp=1_001, ortools=1_002, vroom=1_000))

    without_first = verdicts(LI_LIM, records[1:])
    failed, wrong = {**records[0], "status": "failed"}, {**records[0], "violations": 1}

    assert without_first["worst gap at most 0.8 %"] is None
    assert verdicts(LI_LIM, [failed, *records[1:]])["worst gap at most 0.8 %"] is None
    assert verdicts(LI_LIM, [wrong, *records[1:]])["worst gap at most 0.8 %"] is None


VEHICLES = Suite(
    name="vehicles",
    instances=(("small", 1, (1,)), ("large-1", 1, (1,)), ("large-2", 1, (1,))),
    solvers=(OURS, "vroom"),
)


def vehicle_records(*ours: int) -> list[Record]:
    numbers = {("ours", name): n for (name, _, _), n in zip(VEHICLES.instances, ours, strict=True)}
    return [
        a_record(
            case,
            vehicles=numbers.get((case.solver, case.instance), 11),
            orders=53 if case.instance == "small" else 105,
            reference={"vehicles": 10},
        )
        for case in VEHICLES.cases()
    ]


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ((10, 10, 10), [True, True, True]),
        ((11, 10, 11), [False, False, True]),
        ((10, 10, 12), [True, False, False]),
    ],
)
def test_vehicles_are_compared_with_the_fewest_known_and_with_peers(
    ours: tuple[int, int, int], expected: list[bool]
) -> None:
    found = verdicts(VEHICLES, vehicle_records(*ours))

    assert list(found.values())[:3] == expected


REGIONAL = Suite(
    name="regional", instances=(("region-20-1", 1, (1,)),), solvers=(OURS, *PEERS), given_ours=True
)


def regional_records(ours: int, wishes: int, given: int) -> list[Record]:
    """Return lines in which all peers but one are poorer than said."""
    costs = {OURS: ours, "pyvrp": wishes, "vroom" + GIVEN_OURS: given}
    return [a_record(case, cost=costs.get(case.solver, 2_000)) for case in REGIONAL.cases()]


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ((940, 1_000, 950), [True, True, True]),
        ((960, 1_000, 959), [False, False, True]),
        ((940, 1_000, 930), [True, False, False]),
    ],
)
def test_regional_days_are_compared_with_peers_on_first_wishes_and_on_our_assignment(
    costs: tuple[int, int, int], expected: list[bool]
) -> None:
    assert list(verdicts(REGIONAL, regional_records(*costs)).values())[:3] == expected


def test_lockers_that_overflow_without_the_rows_show_that_the_rows_matter() -> None:
    suite = Suite(name="compartments", instances=(("tight-20-1", 1, (1,)),), solvers=(OURS, ROOMY))
    text = "rows of compartments change the plan: without them lockers overflow"

    harmless = [a_record(case, cost=5) for case in suite.cases()]
    overflowing = [{**record, "violations": int(record["solver"] == ROOMY)} for record in harmless]

    assert verdicts(suite, harmless)[text] is False
    assert verdicts(suite, overflowing)[text] is True


def test_a_large_day_is_judged_by_memory_first_plan_growth_and_the_undivided_plan() -> None:
    suite = Suite(
        name="large",
        instances=(("large-200-1", 9, (1,)), ("large-100-1", 9, (1,))),
        solvers=(suites.DIVIDED, OURS),
        alone=True,
    )
    plan = {"cost": 1_000, "first_cost": 1_040, "near_s": 10.0, "phases": {"master": 1, "routes": 9}}
    large, half, whole, half_whole = (
        a_record(case, **plan, orders=200 if case.instance == "large-200-1" else 100)
        for case in suite.cases()
    )
    large, half_whole = {**large, "near_s": 22.0}, {**half_whole, "cost": 500}

    assert set(verdicts(suite, [large, half, whole, half_whole]).values()) == {True}
    assert (
        list(verdicts(suite, [large, half, {**whole, "near_s": 24.0}, half_whole]).values()).count(False) == 1
    )
    slow, fat, poor = {**large, "near_s": 24.0}, {**large, "peak_mib": 5_000}, {**large, "first_cost": 1_060}
    for worse in (slow, fat, poor, {**large, "wall_s": 15.0}):
        assert list(verdicts(suite, [worse, half, whole, half_whole]).values()).count(False) == 1
    cheaper = {**whole, "cost": 980}
    assert list(verdicts(suite, [large, half, cheaper, half_whole]).values()).count(False) == 1


@pytest.mark.parametrize(
    ("wall_s", "costs", "expected"),
    [
        (4.9, (1_000, 1_000, 960), [True, True, True]),
        (5.1, (1_000, 1_001, 950), [False, False, False]),
    ],
)
def test_a_new_plan_is_judged_by_its_time_and_by_what_more_time_would_bring(
    wall_s: float, costs: tuple[int, int, int], expected: list[bool]
) -> None:
    suite = suites.SUITES["changes"].shortened()
    cost_of = dict(zip((OURS, suites.AGAIN, suites.LONG_AGAIN), costs, strict=True))
    records = [a_record(case, cost=cost_of[case.solver], wall_s=wall_s) for case in suite.cases()]

    assert list(verdicts(suite, records).values())[:3] == expected


def test_a_step_brings_something_if_plans_are_dearer_without_it() -> None:
    suite = suites.SUITES["steps-li-lim"]
    costs = {"ours without starts": 1_001, "ours without master": 1_000}
    records = [a_record(case, cost=costs.get(case.solver, 1_000)) for case in suite.cases()]
    waiting = [record for record in records if record["solver"] != "ours without rounds"]

    assert list(verdicts(suite, waiting).values()) == [True, False, None, True]


def test_bounds_are_counted_and_their_gaps_judged() -> None:
    suite = Suite(
        name="bound", instances=tuple((f"region-20-{n}", 1, (1,)) for n in range(5)), solvers=(suites.BOUND,)
    )
    records = [a_record(case, gap_percent=1.5) for case in suite.cases()]

    assert list(verdicts(suite, records).values())[:2] == [True, True]
    fewer = [{**record, "gap_percent": None} for record in records[:2]]
    assert list(verdicts(suite, [*fewer, *records[2:]]).values())[:2] == [False, True]
    assert list(verdicts(suite, [{**r, "gap_percent": 2.5} for r in records]).values())[:2] == [True, False]


def test_the_table_names_goals_solvers_and_instances(tmp_path: Path) -> None:
    records = list(records_of(LI_LIM, ours=1_000, pyvrp=1_010, ortools=1_100, vroom=1_005))
    records[0] |= {"status": "failed"}

    table.write(Runs([LI_LIM], records), tmp_path / "bench.md")

    text = (tmp_path / "bench.md").read_text()
    assert "| li-lim | worst gap at most 0.8 % | 0.000 % (2 of 3 plans) | open |" in text
    assert "| ours | 3 of 3 | 1 | 0.000 | 0.000 | 2 | 1.0 | 1.0 | 80 |" in text
    assert "| two | 1,000 cost | **1,000** | 1,010 | 1,100 | 1,005 | – |" in text


if find_spec("matplotlib"):

    def test_the_plot_is_a_picture_of_the_solvers(tmp_path: Path) -> None:
        records = [*records_of(LI_LIM, ours=1_000, pyvrp=1_010, ortools=1_100, vroom=1_005)]
        records += regional_records(940, 1_000, 950)

        plot.write(Runs([LI_LIM, REGIONAL], records), tmp_path / "bench.svg")

        text = (tmp_path / "bench.svg").read_text()
        assert ElementTree.fromstring(text).tag.endswith("svg")  # noqa: S314 - our own file
        assert all(f"<!-- {solver} -->" in text for solver in (OURS, *PEERS, "vroom" + GIVEN_OURS))

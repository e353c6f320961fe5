"""The benchmark runs each case once, and survives what fails."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from optimizer.__main__ import main
from optimizer.bench import problems, runner, suites
from optimizer.bench.columns import build_seconds
from optimizer.bench.runner import Record, Results, run_all, waiting
from optimizer.bench.suites import GIVEN_OURS, OURS, SUITES, Case, Suite
from optimizer.bench.summary import Runs
from optimizer.checks import ProblemError
from optimizer.generator import RegionSize, generate
from optimizer.instances import VEHICLE_CENTS, Objective
from optimizer.travel.model import with_matrices
from tests.optimizer.bench.records import a_case, a_record
from tests.optimizer.shared_data import SHARED_DATA, needs_shared_data

ROOT = Path(__file__).parents[3]


def run(cases: list[Case], folder: Path, revision: str | None = None) -> list[Record]:
    results, told = Results.of(folder), list[Record]()
    run_all(cases, results, data=SHARED_DATA, jobs=1, revision=revision, tell=told.append)
    return told


def test_no_two_cases_are_the_same() -> None:
    keys = [case.key for suite in SUITES.values() for case in suite.cases()]

    assert len(keys) == len(set(keys))


def test_the_suites_are_as_large_as_they_are_meant_to_be() -> None:
    sizes = {
        name: (len(suite.instances), sum(case.solver == suite.solvers[0] for case in suite.cases()))
        for name, suite in SUITES.items()
    }

    assert sizes == {
        # 20 of 66 with three seeds, the others once.
        "li-lim": (66, 20 * 3 + 46),
        "vehicles": (20, 60),
        "vrpdo": (24, 72),
        "regional": (9, 27),
        "compartments": (3, 9),
        "bound": (20, 20),
        "large": (2, 2),
        "short": (1, 1),
        "steps": (6, 18),
        "steps-li-lim": (4, 12),
        "changes": (3, 9),
        "master": (1, 1),
    }


def test_a_solver_that_no_seed_changes_runs_once_unless_its_assignment_changes() -> None:
    cases = [case for case in SUITES["regional"].cases() if case.instance == "region-100-1"]

    assert sum(case.solver == "pyvrp" for case in cases) == 3
    assert sum(case.solver == "vroom" for case in cases) == 1
    assert sum(case.solver == "vroom" + GIVEN_OURS for case in cases) == 3


def test_a_quick_run_has_every_purpose_and_takes_minutes() -> None:
    quick = suites.chosen([], quick=True)

    assert [suite.name for suite in quick] == list(SUITES)
    assert sum(case.seconds for suite in quick for case in suite.cases()) < 300


def test_an_unknown_suite_is_refused() -> None:
    with pytest.raises(ProblemError, match="suite: speed is none of"):
        suites.chosen(["li-lim", "speed"], quick=False)


def test_a_solver_that_no_suite_runs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "li-lim", "--report", "--results", str(tmp_path)]

    assert main([*words, "--solver", "ours", "--solver", f"vroom{GIVEN_OURS}"]) == 0
    assert main([*words, "--solver", "cplex"]) == 2
    assert "cplex is none of ours" in capsys.readouterr().out


@needs_shared_data
def test_every_named_public_instance_is_there_and_something_is_known_of_it() -> None:
    for name, known in (("li-lim", "cost"), ("vehicles", "vehicles"), ("vrpdo", "cost")):
        for instance, _, _ in SUITES[name].instances:
            reference = problems.reference(instance, SUITES[name].objective, SHARED_DATA)

            assert list(reference) == [known]
            assert list((SHARED_DATA / "instances").glob(f"*/{instance}.txt"))


@needs_shared_data
@pytest.mark.parametrize(
    ("objective", "expected"), [(Objective.COST, 0), (Objective.VEHICLES, VEHICLE_CENTS)]
)
def test_a_public_instance_is_read_for_its_objective(objective: Objective, expected: int) -> None:
    problem = problems.load("lr112", objective, SHARED_DATA)

    assert {vehicle.fixed_cost_cents for vehicle in problem.vehicles} == {expected}


def test_generated_days_have_the_size_of_their_names() -> None:
    region = problems.load("region-300-1", Objective.COST, Path())
    large = problems.load("large-500-1", Objective.COST, Path())

    assert (len(region.orders), len(region.vehicles)) == (300, 12)
    assert (len(large.orders), len(large.vehicles)) == (500, 15)
    assert sum(place.id.startswith(("locker", "counter")) for place in large.places) == 30


def test_a_tight_day_has_fewer_compartments_and_a_roomy_one_enough() -> None:
    def stock(problem: Any) -> list[int]:
        return [kind.count for place in problem.places for kind in place.compartments or ()]

    usual = problems.load("region-100-1", Objective.COST, Path())
    tight = problems.load("tight-100-1", Objective.COST, Path())

    assert stock(tight) == [-(-count // 3) for count in stock(usual)]
    assert min(stock(problems.roomy(tight))) > len(tight.orders)
    assert [place.compartments is None for place in tight.places] == [
        place.compartments is None for place in usual.places
    ]


@pytest.mark.parametrize("name", ["region-many-1", "region-100", "nowhere"])
def test_a_problem_that_nobody_knows_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="instance"):
        problems.load(name, Objective.COST, tmp_path)


def test_a_run_leaves_one_line_and_is_not_repeated(tmp_path: Path) -> None:
    cases = [a_case(), replace(a_case(solver="pyvrp" + GIVEN_OURS), after_ours=True)]

    told = run(cases, tmp_path, "r1")

    assert [(record["solver"], record["status"]) for record in told] == [
        (case.solver, "done") for case in cases
    ]
    assert Results.of(tmp_path).records() == told
    assert all(record["violations"] == 0 and record["cost"] > 0 for record in told)
    assert waiting(cases, Results.of(tmp_path), "r1") == []
    assert waiting(cases, Results.of(tmp_path), "r2") == cases


@pytest.mark.parametrize(
    ("changed", "repeated"),
    [
        ("solve.py", [OURS, "pyvrp" + GIVEN_OURS]),
        ("lns/anneal.py", [OURS, "pyvrp" + GIVEN_OURS]),
        ("peers/pyvrp.py", [OURS, "pyvrp", "pyvrp" + GIVEN_OURS]),
        ("bench/problems.py", [OURS, "pyvrp", "pyvrp" + GIVEN_OURS]),
        ("bench/table.py", []),
    ],
)
def test_what_has_changed_since_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, repeated: list[str]
) -> None:
    cases = [a_case(solver=solver) for solver in (OURS, "pyvrp", "pyvrp" + GIVEN_OURS)]
    package = tmp_path / "optimizer"
    shutil.copytree(runner._PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(runner, "_PACKAGE", package)

    def revisions() -> list[str]:
        runner.digest.cache_clear()
        return [runner.revision_of(case, None) for case in cases]

    before = revisions()
    with (package / changed).open("a") as file:
        file.write("# More.\n")
    after = revisions()
    runner.digest.cache_clear()

    assert [c.solver for c, one, other in zip(cases, before, after, strict=True) if one != other] == repeated


def test_a_run_that_fails_or_hangs_is_kept_as_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (failed,) = run([a_case("nowhere")], tmp_path)
    monkeypatch.setattr(runner, "PATIENCE", 0.0)
    monkeypatch.setattr(runner, "GRACE_S", 0.2)
    (hanging,) = run([a_case(seconds=60)], tmp_path)

    assert (failed["status"], hanging["status"]) == ("failed", "failed")
    assert "nowhere is neither a generated day" in failed["error"]
    assert hanging["error"] == "took too long"
    assert len(Results.of(tmp_path).records()) == 2


def test_a_line_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    results = Results.of(tmp_path)
    results.add(a_record(a_case()))
    with results.file.open("a") as file:
        file.write('{"suite": "regio')

    assert [record["instance"] for record in results.records()] == ["region-20-1"]


def test_a_case_counts_by_its_latest_line() -> None:
    suite = Suite(name="regional", instances=(("region-20-1", 1, (1,)),), solvers=(OURS,))

    runs = Runs([suite], [a_record(a_case(), cost=7), a_record(a_case(), cost=5), a_record(a_case("other"))])

    assert [record["cost"] for record in runs.of("regional", OURS)] == [5]


def test_building_the_master_is_measured_on_as_many_columns_as_asked_for() -> None:
    size = RegionSize(num_orders=30, num_shops=6, num_supply_points=5, num_bikes=2, num_vans=1)

    measured = build_seconds(with_matrices(generate(4, size)), 50)

    assert measured["columns"] == 50
    assert measured["rows"] >= 30


def test_the_command_runs_what_is_missing_and_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Suite(name="regional", instances=(("region-20-1", 1, (1,)),), solvers=("pyvrp",))
    monkeypatch.setitem(SUITES, "regional", small)
    arguments = ["bench", "regional", "--results", str(tmp_path), "--jobs", "1"]

    first, second = main(arguments), main(arguments)

    lines = capsys.readouterr().out.splitlines()
    assert (first, second) == (0, 0)
    assert lines[0].startswith("1 runs") and lines[1].startswith(
        "[1/1] regional region-20-1 pyvrp seed 1: cost"
    )
    assert sum(line.startswith("0 runs") for line in lines) == 1
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 1
    assert json.loads((tmp_path / "results.jsonl").read_text())["status"] == "done"
    assert "| regional |" in (tmp_path / "bench.md").read_text()


def test_public_instances_that_are_not_there_are_left_out_and_run_once_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = Suite(name="li-lim", instances=(("lc104", 1, (1,)), ("region-20-1", 1, (1,))), solvers=("pyvrp",))
    monkeypatch.setitem(SUITES, "li-lim", some)
    arguments = ["bench", "li-lim", "--results", str(tmp_path), "--data", str(tmp_path), "--jobs", "1"]

    main(arguments)

    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"1 runs are left out: their instances are not in {tmp_path}"
    assert [one["instance"] for one in Results.of(tmp_path).records()] == ["region-20-1"]


def test_a_benchmark_that_is_stopped_ends_its_runs_and_keeps_nothing_of_them(tmp_path: Path) -> None:
    bench = subprocess.Popen(
        [sys.executable, "-m", "optimizer", "bench", "regional", "--results", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert bench.stdout is not None
    bench.stdout.readline()
    while not _processes_that_name(tmp_path, besides=bench.pid):
        time.sleep(0.05)

    bench.send_signal(signal.SIGTERM)

    assert bench.wait(timeout=10) == 128 + signal.SIGINT
    bench.stdout.close()
    assert not (tmp_path / "results.jsonl").exists()
    # Who is killed may take a moment to be gone; who is not plans for half a minute.
    latest_s = time.monotonic() + 10
    while (left := _processes_that_name(tmp_path, besides=bench.pid)) and time.monotonic() < latest_s:
        time.sleep(0.05)
    assert not left


def test_whoever_ends_the_runs_waits_for_one_that_is_just_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, popen = threading.Event(), subprocess.Popen
    started: list[subprocess.Popen[str]] = []

    def slowly(*args: Any, **kw: Any) -> subprocess.Popen[str]:
        started.append(popen([sys.executable, "-c", "import time; time.sleep(60)"], **kw))
        made.set()
        time.sleep(0.5)  # Whoever ends the runs meanwhile does not know this one yet.
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", slowly)
    children = runner._Children(SHARED_DATA, tmp_path)
    thread = threading.Thread(target=children.run, args=[a_case()])
    thread.start()
    made.wait()

    children.end()

    assert started[0].wait(timeout=10) == -signal.SIGKILL
    thread.join()
    with pytest.raises(CancelledError):
        children.run(a_case())


def _processes_that_name(folder: Path, *, besides: int) -> list[Path]:
    return [
        process
        for process in Path("/proc").glob("[0-9]*")
        if process.name != str(besides) and str(folder) in _command_line(process)
    ]


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


def test_an_unknown_suite_ends_the_command_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "speed"]) == 2
    assert json.loads(capsys.readouterr().out)["field"] == "suite"

"""The command line, as the web service and people use it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from optimizer import io
from optimizer.__main__ import main
from optimizer.explain.reasons import SENTENCES
from optimizer.problem import Size, Temperature
from optimizer.solution import Reason
from tests.optimizer.builders import a_place, a_problem, an_order

ROOT = Path(__file__).parents[2]
SMALL = ["--orders", "25", "--shops", "6", "--supply-points", "5", "--bikes", "2", "--vans", "1"]


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def problem_file(tmp_path: Path) -> Path:
    file = tmp_path / "problem.json"
    file.write_text(json.dumps(io.problem_to_json(a_problem())))
    return file


def test_progress_comes_line_by_line_and_the_result_last(
    problem_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["solve", str(problem_file), "--progress", "--iterations", "10"])

    *progress, result = lines_of(capsys)
    assert status == 0
    assert {line["type"] for line in progress} == {"progress"}
    assert (result["type"], result["solution"]["num_carried"], result["violations"]) == ("result", 1, [])


def test_without_flags_a_table_for_people_appears(
    problem_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["solve", str(problem_file), "--iterations", "10"])

    assert "1 carried, 0 left out, 5.00 EUR" in capsys.readouterr().out


def test_people_read_what_is_proven(problem_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["solve", str(problem_file), "--iterations", "10", "--time-limit", "10", "--bound"])

    proven = re.search(r"at least (4\.9\d|5\.00) EUR .*\(gap 0\.\d\d%, ", capsys.readouterr().out)
    assert proven is not None


def test_people_read_why_orders_are_left_out_what_would_help_and_what_more_is_worth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stock = [(Temperature.AMBIENT, Size.S, 1)]
    places = [a_place("shop", 5), a_place("point", 10, compartments=stock)]
    orders = [an_order("one", penalty_cents=5_000), an_order("two", penalty_cents=6_000)]
    file = tmp_path / "problem.json"
    file.write_text(json.dumps(io.problem_to_json(a_problem(places=places, orders=orders))))

    main(["solve", str(file), "--iterations", "10"])

    run, left_out, remedy, price, _ = capsys.readouterr().out.splitlines()
    # The shift of ten hours leaves 34,000 s after a run of 2,000 s.
    assert run.startswith("van") and run.endswith("566 min slack")
    assert left_out.split() == ["one", "left", "out:", *SENTENCES[Reason.LOCKER_FULL].split()]
    assert remedy.strip() == "One more S compartment in point would save 50.00 EUR."
    assert price == "One more S compartment in point is worth 50.00 EUR."


def test_a_generated_day_is_solved_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem, result = tmp_path / "problem.json", tmp_path / "result.json"
    main(["generate", "--seed", "4", *SMALL])
    problem.write_text(capsys.readouterr().out)
    main(["solve", str(problem), "--progress", "--iterations", "20"])
    result.write_text(capsys.readouterr().out)

    assert main(["check", str(problem), str(result)]) == 0
    assert lines_of(capsys) == [{"type": "check", "violations": []}]


def test_an_interrupted_day_goes_on_from_its_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem, plan, rest = tmp_path / "problem.json", tmp_path / "plan.json", tmp_path / "rest.json"
    main(["generate", "--seed", "4", *SMALL])
    problem.write_text(capsys.readouterr().out)
    main(["solve", str(problem), "--output", str(plan), "--iterations", "20"])
    capsys.readouterr()

    main(["rest", str(problem), str(plan), "--now", "43200"])
    rest.write_text(capsys.readouterr().out)
    main(["solve", str(rest), "--start", str(plan), "--iterations", "20", "--json"])

    (figures,) = lines_of(capsys)
    vehicles = json.loads(rest.read_text())["vehicles"]
    assert any(vehicle.get("under_way") for vehicle in vehicles)
    assert (figures["violations"], figures["left_out"] < 25) == (0, True)


def test_a_search_may_begin_with_what_another_has_told(
    problem_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["solve", str(problem_file), "--progress", "--iterations", "5"])
    told = tmp_path / "told.jsonl"
    told.write_text(capsys.readouterr().out)

    main(["solve", str(problem_file), "--start", str(told), "--iterations", "0", "--json"])

    assert len(told.read_text().splitlines()) > 1
    assert lines_of(capsys)[-1]["cost"] == 500


@pytest.mark.parametrize("option", [["--bound"], ["--start", "plan.json"], ["--others", "3"]])
def test_territories_prove_nothing_begin_with_nothing_and_offer_nothing(
    problem_file: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    assert main(["solve", str(problem_file), "--workers", "2", *option]) == 2
    assert lines_of(capsys)[0]["field"] == "workers"


def test_the_figures_of_a_run_are_one_json_line(
    problem_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever calls it within a process has the whole time, however old that is.
    monkeypatch.setattr("optimizer.__main__.STARTED", time.monotonic() - 1_000)

    main(["solve", str(problem_file), "--json", "--bound", "--time-limit", "60"])

    (figures,) = lines_of(capsys)
    assert figures.pop("seconds") > 0
    assert figures.pop("bound") <= 500
    assert figures.pop("gap_percent") < 1
    assert figures == {"cost": 500, "vehicles": 1, "left_out": 0, "violations": 0}


def test_a_tampered_result_fails_the_check(problem_file: Path) -> None:
    file = problem_file.with_name("result.json")
    main(["solve", str(problem_file), "--output", str(file), "--iterations", "10"])
    result = json.loads(file.read_text())
    result["solution"]["routes"][0]["distance_m"] = 1
    tampered = problem_file.with_name("tampered.json")
    tampered.write_text(json.dumps(result))

    assert main(["check", str(problem_file), str(tampered)]) == 1


@pytest.mark.parametrize(
    ("document", "field"),
    [("", "document"), ("{}", "format"), ('{"format": "dorfbote-problem", "version": 1}', "places")],
)
def test_bad_input_ends_with_an_error_that_names_the_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], document: str, field: str
) -> None:
    file = tmp_path / "bad.json"
    file.write_text(document)

    status = main(["solve", str(file), "--progress"])

    (error,) = lines_of(capsys)
    assert status == 2
    assert (error["type"], error["code"], error["field"]) == ("error", "invalid-input", field)


def test_a_region_without_shops_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--shops", "0"]) == 2
    assert lines_of(capsys)[0]["field"] == "num_shops"


def test_a_missing_file_is_an_error_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "no-such-file.json"]) == 2
    assert lines_of(capsys)[0]["code"] == "unreadable-file"


def test_a_file_that_cannot_be_written_is_refused_before_the_search(
    problem_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (problem_file.parent, problem_file.parent / "none" / "plan.json"):
        assert main(["solve", str(problem_file), "--output", str(file), "--progress"]) == 2
        (error,) = lines_of(capsys)
        assert (error["code"], error["field"]) == ("invalid-input", "output")


@pytest.mark.parametrize(
    ("redirected", "status", "said"),
    [
        ("solve - <&-", 2, "standard input is closed"),
        ("generate --seed 1 --orders 3000 >/dev/full", 1, "No space left on device"),
        ("generate --seed 1 --orders 3000 >&-", 0, ""),
        ("generate --seed 1 --orders 3000 | head -c 10; exit ${PIPESTATUS[0]}", 1, '{"format":'),
        ("solve no-such-file.json >/dev/full", 1, "No space left on device"),
    ],
)
def test_whoever_does_not_listen_is_no_reason_for_a_traceback(
    redirected: str, status: int, said: str
) -> None:
    command = f"{sys.executable} -m optimizer {redirected}"

    ended = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.returncode == status
    assert said in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_is_said_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    file = tmp_path / "problem.json"
    file.write_text(json.dumps(io.problem_to_json(a_problem(orders=[an_order("Brötchen")]))))
    command = [sys.executable, "-m", "optimizer", "solve", str(file), "--iterations", "1", "--progress"]
    ascii_only = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, env=ascii_only, check=True)

    assert "Brötchen" in ended.stdout.decode()


def test_a_terminated_run_ends_promptly() -> None:
    generated = subprocess.run(
        [sys.executable, "-m", "optimizer", "generate"], cwd=ROOT, capture_output=True, check=True
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "optimizer", "solve", "-", "--progress", "--time-limit", "60"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(generated.stdout)
    process.stdin.close()
    while json.loads(process.stdout.readline())["phase"] != "routes":
        pass

    told = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)

    assert process.wait(timeout=10) == -signal.SIGTERM
    assert time.monotonic() - told < 2
    process.stdout.close()

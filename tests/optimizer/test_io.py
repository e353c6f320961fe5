"""JSON in and out."""

import json

import pytest

from optimizer import io
from optimizer.checks import ProblemError
from optimizer.generator import RegionSize, generate
from optimizer.problem import Size, Temperature
from optimizer.travel.model import with_matrices
from tests.optimizer.builders import a_place, a_problem, a_vehicle, an_order, the_result

SMALL = RegionSize(num_orders=8, num_shops=4, num_supply_points=3, num_bikes=1, num_vans=1)


def test_the_documented_example_is_a_problem() -> None:
    text = (io.__doc__ or "").partition("::\n")[2].partition("\n\nMoments")[0]

    problem = io.read_problem(text)

    assert [order.id for order in problem.orders] == ["o1"]
    assert problem.vehicles[0].range_m == 60_000


def test_a_problem_survives_writing_and_reading() -> None:
    problem = generate(1, SMALL)

    again = io.read_problem(json.dumps(io.problem_to_json(problem)))

    assert again == problem


def test_low_doors_and_who_needs_one_survive_writing_and_reading() -> None:
    locker = a_place(
        "point", compartments=[(Temperature.CHILLED, Size.M, 1), (Temperature.CHILLED, Size.M, 2, True)]
    )
    problem = a_problem(places=[a_place("shop"), locker], orders=[an_order(low=True)])

    again = io.read_problem(json.dumps(io.problem_to_json(problem)))

    assert again.place_by_id["point"].compartments == locker.compartments
    assert again.orders == problem.orders


def test_matrices_survive_writing_and_reading() -> None:
    problem = with_matrices(generate(1, SMALL))

    again = io.read_problem(json.dumps(io.problem_to_json(problem)))

    assert (again.matrices[1].duration_s == problem.matrices[1].duration_s).all()


def test_a_solution_survives_writing_and_reading() -> None:
    result = the_result(a_problem())

    again = io.read_solution(json.dumps(io.result_to_json(result)))

    assert again == result.solution


def test_with_the_problem_stops_tell_load_and_slack_which_are_skipped_when_read() -> None:
    problem = a_problem(vehicles=[a_vehicle(max_duration_s=2_100)])
    result = the_result(problem)

    document = io.result_to_json(result, problem)

    (route,) = document["solution"]["routes"]
    # The run takes 2,000 s.
    assert [stop["slack_s"] for stop in route["stops"]] == [100, 100]
    assert [stop["load"]["weight_g"] for stop in route["stops"]] == [1_000, 0]
    assert (route["slack_s"], route["load_share"]) == (100, route["stops"][0]["load_share"])
    assert io.read_solution(json.dumps(document)) == result.solution


def test_reasons_remedies_and_prices_survive_writing_and_reading() -> None:
    result = the_result(a_problem(orders=[an_order(penalty_cents=1)]))

    document = io.result_to_json(result)

    assert document["solution"]["left_out"][0]["remedies"][0]["kind"] == "higher-penalty"
    assert document["solution"]["prices"][0]["kind"] == "vehicles"
    assert io.read_solution(json.dumps(document)) == result.solution


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (["format"], "other", "format"),
        (["version"], 2, "version"),
        (["colour"], "red", "colour"),
        (["orders", 0, "parcels", 0, "count"], -1, r"orders\[0\].parcels\[0\].count"),
        (
            ["orders", 0, "parcels", 0, "count"],
            True,
            r"orders\[0\].parcels\[0\].count: must be a whole number",
        ),
        (["orders", 0, "parcels", 0, "size"], "XXL", r"orders\[0\].parcels\[0\].size: must be one of S, M"),
        (["orders", 0, "compartments", 0, "low"], 1, r"compartments\[0\].low: must be true or false"),
        (["orders", 0, "options"], {}, r"orders\[0\].options: must be a list"),
        (["places", 0, "latitude"], float("nan"), r"places\[0\].latitude"),
        (["places", 0], 7, r"places\[0\]: must be an object"),
        (["vehicles", 0, "shift", "latest_s"], 0, r"vehicles\[0\].shift.latest_s"),
        (["matrices", 0, "distance_m"], [[1, 2], [3]], r"matrices\[0\].distance_m"),
        (["max_ride_s"], {"tepid": 1}, "max_ride_s"),
        (["places", 0, "latitude"], 10**400, r"places\[0\].latitude: must lie between"),
        (["places", 0, "latitude"], True, r"places\[0\].latitude"),
        (["orders", 0, "id"], "half \ud800", r"orders\[0\].id: holds half of a character"),
        (
            ["places", 0, "windows"],
            [{"earliest_s": 2 * n, "latest_s": 2 * n} for n in range(51)],
            r"places\[0\].windows: are more than 50",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_path(
    path: list[str | int], value: object, field: str
) -> None:
    document = io.problem_to_json(a_problem())
    _put(document, path, value)

    with pytest.raises(ProblemError, match=field):
        io.read_problem(json.dumps(document))


def test_what_is_missing_is_named() -> None:
    document = io.problem_to_json(a_problem())
    del document["orders"][0]["ready_s"]

    with pytest.raises(ProblemError, match=r"orders\[0\].ready_s: is missing"):
        io.read_problem(json.dumps(document))


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, b"\xff", "null"])
def test_what_is_not_a_document_is_refused(text: str | bytes) -> None:
    with pytest.raises(ProblemError, match="document"):
        io.read_problem(text)


def test_a_field_that_is_given_twice_is_refused() -> None:
    document = json.dumps(io.problem_to_json(a_problem()))

    with pytest.raises(ProblemError, match="orders appears twice"):
        io.read_problem(document[:-1] + ', "orders": []}')


@pytest.mark.parametrize("last", ["[" * 100_000, "}"])
def test_a_last_line_that_is_no_json_is_no_result(last: str) -> None:
    with pytest.raises(ProblemError, match="document"):
        io.read_solution("{}\n" + last)


def test_figures_of_a_plan_that_nobody_can_add_are_refused() -> None:
    result = io.result_to_json(the_result(a_problem()))
    result["solution"]["routes"][0]["co2e_g"] = 10**400

    with pytest.raises(ProblemError, match="co2e_g: must lie between"):
        io.read_solution(json.dumps(result))


def _put(document: object, path: list[str | int], value: object) -> None:
    for key in path[:-1]:
        document = document[key]  # type: ignore[index] # a path into JSON
    document[path[-1]] = value  # type: ignore[index] # a path into JSON

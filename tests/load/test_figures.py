"""Figures are what was measured, and a run is good only if every one is as it has to be."""

from dataclasses import replace

import pytest

from tests.load.figures import Figures, Load, Outage, Unlocks, percentile

GOOD = Figures(
    cores=2,
    lockers=500,
    connected_s=15.0,
    idle={"web": 0.01},
    load=Load(wanted_per_s=100, rate_per_s=99.0, lags=[0.1, 0.3], uncommanded=[0.3], effort_s={"web": 0.004}),
    outage=Outage(backlog=10_000, taken_s=20.0, drained_s=90.0),
    unlocks=Unlocks(
        answers=[0.02, 0.03],
        pulses=[0.04, 0.05],
        posts=[0.01, 0.02],
        round_trips=[0.003, 0.002],
        syncs=[0.002, 0.001],
    ),
    offline=[40.0, 44.0],
)


def test_the_95th_percentile_is_a_value_that_19_of_20_do_not_exceed() -> None:
    assert percentile(range(1, 21), 95) == 19
    assert percentile([7.0], 95) == 7.0


def test_an_unlock_is_compared_with_the_sum_of_the_steps_of_the_same_turn() -> None:
    # 23 ms are the slower of the turns, of 15 and 23 ms.
    assert GOOD.unlocks.ratio == pytest.approx(50 / 23)


def test_a_run_in_which_every_figure_is_as_it_should_be_misses_nothing() -> None:
    assert list(GOOD.misses) == []


@pytest.mark.parametrize(
    ("figures", "name"),
    [
        (replace(GOOD, unlocks=replace(GOOD.unlocks, pulses=[0.04, 0.07])), "ratio"),
        (replace(GOOD, outage=replace(GOOD.outage, drained_s=180.1)), "drained_s"),
        (replace(GOOD, load=replace(GOOD.load, uncommanded=[0.1, 5.1])), "uncommanded_s"),
        (replace(GOOD, load=replace(GOOD.load, rate_per_s=94.0)), "rate_per_s"),
        (replace(GOOD, offline=[40.0, 60.1]), "offline_s"),
        (replace(GOOD, lost=["a report"]), "lost: a report"),
        (replace(GOOD, double=["a pulse"]), "double: a pulse"),
    ],
)
def test_whatever_is_missed_is_named(figures: Figures, name: str) -> None:
    [miss] = figures.misses

    assert name in miss


def test_the_last_line_holds_all_figures() -> None:
    line = GOOD.as_json()

    assert (line["lockers"], line["events"], line["backlog"], line["unlocks"]) == (500, 2, 10_000, 2)
    assert (line["lag_p95_s"], line["uncommanded_s"], line["offline_s"]) == (0.3, 0.3, 44.0)
    assert (line["unlock_p95_ms"], line["base_p95_ms"], line["ratio"]) == (50.0, 23.0, 2.17)
    assert (line["cpu_idle_percent"], line["cpu_ms_per_event"]) == ({"web": 1.0}, {"web": 2.0})
    assert (line["lost"], line["double"]) == (0, 0)

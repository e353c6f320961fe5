"""The results as a picture: how gaps are distributed, and what peers cost by the size of the day."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizer.bench.suites import GIVEN_OURS, OURS
from optimizer.bench.summary import Runs, cost, gap_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Gaps below are drawn here, for the axis is logarithmic.
LEAST_GAP_PERCENT = 0.01
_STYLES = {"ours": "-", "pyvrp": "--", "ortools": ":", "vroom": (0, (1, 1, 4, 1))}


def write(runs: Runs, file: Path) -> None:
    """Write the picture as SVG, the same for the same results."""
    import matplotlib as mpl  # Installed for the benchmark only.

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "bench"
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    _gaps(left, runs)
    _ratios(right, runs)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def _gaps(axes: "Axes", runs: Runs) -> None:
    """Draw for each solver which part of the instances it solves within a gap."""
    for solver in runs.solvers("li-lim"):
        gaps = sorted(
            max(LEAST_GAP_PERCENT, gap) for gap in runs.means("li-lim", solver, gap_percent).values()
        )
        parts = [100 * (number + 1) / len(gaps) for number in range(len(gaps))]
        style: Any = _STYLES.get(solver, "-")
        axes.step(gaps, parts, where="post", label=solver, linestyle=style)
    axes.set(
        title="Li and Lim: gap to the best known distance",
        xscale="log",
        xlabel="gap in %, at most",
        ylabel="instances in %",
        ylim=(0, 102),
    )
    _legend(axes)


def _ratios(axes: "Axes", runs: Runs) -> None:
    """Draw for each peer what a day costs over what it costs by our plan, by the number of orders."""
    for solver in runs.solvers("regional"):
        ratios = runs.ratios("regional", solver, OURS)
        if solver != OURS and ratios:
            orders = [max(record["orders"] for record in _done(runs, name)) for name in ratios]
            marker = "o" if solver.endswith(GIVEN_OURS) else "x"
            axes.plot(orders, list(ratios.values()), marker, label=solver, markersize=5, fillstyle="none")
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set(title="Regional days: cost over ours", xscale="log", xlabel="orders", ylabel="ratio")
    _legend(axes)


def _done(runs: Runs, instance: str) -> list[dict[str, Any]]:
    return [record for record in runs.of("regional", OURS, instance) if cost(record) is not None]


def _legend(axes: "Axes") -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")

"""The day as a person reads it: progress while it is played, tables when it is over."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column, Table

from tests.cast.books import Books

LONGEST_LIST = 20


class PlanProgress:
    """A progress bar for the plan, where there is a terminal to draw it on."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("  Planning"),
            BarColumn(),
            TextColumn("{task.fields[said]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID = self._bar.add_task("plan", total=1.0, said="")

    def __enter__(self) -> "PlanProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, plan: Mapping[str, Any]) -> None:
        """Show how far a plan has come."""
        progress = plan["progress"]
        said = f"{progress.get('phase', plan['state'])}"
        if progress.get("cost_cents") is not None:
            said += f", {_euro(progress['cost_cents'])}"
        self._bar.update(self._task, completed=progress.get("fraction", 0.0), said=said)


def show(
    console: Console,
    books: Books,
    *,
    plan: Mapping[str, Any],
    runs: Sequence[Mapping[str, Any]],
    orders: Sequence[Any],
) -> None:
    """Print the tables of a day."""
    console.print(_orders(books))
    console.print(_runs(runs))
    if books.final_states["left_out"]:
        console.print(_left_out(orders))
    console.print(
        f"Plan: {_euro(plan['cost_cents'])} with penalties, "
        f"{plan['num_carried']} orders carried, {plan['num_left_out']} left out; " + f"{_bound(plan)}."
    )
    console.print(f"{books.events} events handled.")


def _bound(plan: Mapping[str, Any]) -> str:
    """Say what any plan would cost at least, or why that is not known."""
    if plan["gap"] is None:
        return str(plan["bound_reason"] or "no bound computed")
    return f"at least {_euro(plan['lower_bound_cents'])} (gap {plan['gap']:.2%}, {plan['bound_reason']})"


def _orders(books: Books) -> Table:
    table = Table("State at the end", _right("Orders"), title="Orders", title_justify="left")
    for state, count in books.final_states.items():
        table.add_row(state.replace("_", " "), str(count))
    table.add_section()
    table.add_row("listed", str(books.listed))
    return table


def _runs(runs: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(
        "Run",
        "Vehicle",
        *(_right(name) for name in ("Stops", "km", "Fullest", "Cost")),
        title="Runs",
        title_justify="left",
    )
    for run in runs:
        stops = sum(stop["kind"] in {"shop", "supply_point"} for stop in run["stops"])
        table.add_row(
            run["letter"],
            run["vehicle_name"],
            str(stops),
            f"{run['distance_m'] / 1000:.1f}",
            f"{run['load_percent']} %",
            _euro(run["cost_cents"]),
        )
    table.add_section()
    table.add_row(
        "all",
        "",
        "",
        f"{sum(run['distance_m'] for run in runs) / 1000:.1f}",
        "",
        _euro(sum(run["cost_cents"] for run in runs)),
    )
    return table


def _left_out(orders: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("Reason", "In words", _right("Orders"), title="Left out", title_justify="left")
    reasons = Counter(
        next(
            (parcel["reason"], parcel["reason_text"])
            for parcel in order["parcels"]
            if parcel["state"] == "deferred"
        )
        for order in orders
        if order["state"] == "deferred"
    )
    for (reason, sentence), count in reasons.most_common(LONGEST_LIST):
        table.add_row(reason, sentence, str(count))
    return table


def _right(header: str) -> Column:
    return Column(header, justify="right")


def _euro(cents: int) -> str:
    return f"{cents / 100:.2f} €"

"""A plan as text for people: runs, what is left out and why, prices, what is proven."""

from collections.abc import Iterator

from optimizer.explain.margins import margins
from optimizer.problem import Problem
from optimizer.result import Result
from optimizer.solution import LeftOut, Price, Route


def print_result(problem: Problem, result: Result) -> None:
    """Print the plan of a run, or that there is none."""
    for line in _lines(problem, result):
        print(line)


def _lines(problem: Problem, result: Result) -> Iterator[str]:
    solution = result.solution
    if solution is None:
        yield f"no plan ({result.status})"
        return
    for route in solution.routes:
        yield _run(problem, route)
    for left in solution.left_out:
        yield from _left_out(left)
    yield from _prices(solution.prices)
    if result.bound is not None and result.relaxed:
        yield f"The bound does not know of: {'; '.join(result.relaxed)}."
    yield (
        f"{solution.num_carried} carried, {len(solution.left_out)} left out, "
        f"{solution.cost_cents / 100:.2f} EUR, {_proof(result)}, {result.seconds:.1f} s"
    )


def _proof(result: Result) -> str:
    """Return what is proven, or why nothing is."""
    if result.bound is None or result.gap is None:
        return result.bound_reason
    return f"at least {result.bound / 100:.2f} EUR (gap {result.gap:.2%}, {result.bound_reason})"


def _run(problem: Problem, route: Route) -> str:
    km, hours = route.distance_m / 1000, route.duration_s / 3600
    orders = sum(len(stop.deliveries) for stop in route.stops)
    line = (
        f"{route.vehicle:12} {orders:4} orders {len(route.stops):4} stops {km:7.1f} km {hours:5.1f} h "
        f"{route.cost.total_cents / 100:9.2f} EUR"
    )
    unused = margins(problem, route)
    if not unused:
        return line
    share, slack_s = max(margin.load_share for margin in unused), min(margin.slack_s for margin in unused)
    return f"{line} {share:5.0%} full {slack_s // 60:4} min slack"


def _left_out(left: LeftOut) -> Iterator[str]:
    yield f"{left.order:12} left out: {left.sentence}"
    for remedy in left.remedies:
        yield f"{'':12}   {remedy.sentence}"


def _prices(prices: tuple[Price, ...]) -> Iterator[str]:
    """Yield what is worth something, dearest first; larger compartments only where they are worth more."""
    known: set[tuple[object, ...]] = set()
    for price in sorted(prices, key=lambda price: -_cents(price)):
        kind = (price.facts.get(name) for name in ("place", "temperature", "door"))
        key = price.vehicles, *kind, _cents(price)
        if _cents(price) >= 1 and key not in known:
            yield price.sentence
        known.add(key)


def _cents(price: Price) -> float:
    """Return what one more is worth as far as it is known."""
    return price.shadow_cents or 0.0 if price.saved_cents is None else float(price.saved_cents)

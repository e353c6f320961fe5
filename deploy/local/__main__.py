"""``python -m deploy.local day|demo|faults|load|proofs|test``: the runner behind the Makefile."""

import argparse
import os
import sys

from deploy.local.days import day, demo
from deploy.local.guard import Interruption, guarded
from deploy.local.parts import Day
from deploy.local.suites import prove, test
from deploy.local.trials import Trial, hold

#: What may be asked of each trial, and the variable of make that asks it.
TRIALS = {
    "faults": {"seed": "SEED", "faults": "FAULTS"},
    "load": {
        "lockers": "LOCKERS",
        "rate": "RATE",
        "seconds": "SECONDS",
        "backlog": "BACKLOG",
        "unlocks": "UNLOCKS",
    },
}


def main() -> int:
    """Run what was asked for and return its exit status."""
    asked, rest = _parser().parse_known_args()
    if rest and asked.what not in {"proofs", "test"}:
        _parser().error(f"unknown: {' '.join(rest)}")

    def work(interruption: Interruption) -> int:
        if asked.what == "test":
            return test(rest, interruption, no_skips=asked.no_skips)
        if asked.what == "proofs":
            return prove(rest, interruption)
        if asked.what in TRIALS:
            options = {name: getattr(asked, name) for name in TRIALS[asked.what]}
            return hold(Trial(asked.what, options), interruption)
        wishes = Day(
            seeds=asked.seeds,
            orders=asked.orders,
            plan_budget_s=asked.plan_budget,
            link=asked.link,
            is_demo=asked.what == "demo",
        )
        if asked.what == "demo":
            return demo(wishes, interruption, stay=asked.stay)
        return day(wishes, interruption)

    return guarded(work, parent=asked.parent)


def _parser() -> argparse.ArgumentParser:
    """Return the options; make hands its own variables on through the environment."""
    given = os.environ.get
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__, allow_abbrev=False)
    parser.add_argument("--parent", type=int, help="the process whose end ends the run")
    commands = parser.add_subparsers(dest="what", required=True)
    for name, meaning in (("day", "play a day and end"), ("demo", "play a day in var/demo")):
        command = commands.add_parser(name, help=meaning, allow_abbrev=False)
        command.add_argument("--seeds", default=given("SEEDS") or given("SEED"), metavar="7 or 1-20")
        command.add_argument("--orders", default=given("ORDERS"), metavar="300")
        command.add_argument("--plan-budget", default=given("BUDGET"), metavar="SECONDS")
        command.add_argument("--link", default=given("LINK") or "https", choices=("https", "mqtt"))
        command.add_argument("--stay", action="store_true", help="demo: serve until Ctrl-C")
    for name, meaning in (
        ("faults", "work while everything fails"),
        ("load", "measure what the lockers' service bears"),
    ):
        command = commands.add_parser(name, help=meaning, allow_abbrev=False)
        for option, variable in TRIALS[name].items():
            command.add_argument(f"--{option}", default=given(variable), metavar="NUMBER")
    commands.add_parser("proofs", help="test many seeds, races and forgeries", allow_abbrev=False)
    command = commands.add_parser("test", help="test on SQLite and PostgreSQL", allow_abbrev=False)
    command.add_argument("--no-skips", action="store_true", default=given("CI") == "true")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""Pytest plugin that names every skipped test and, if asked, fails the run because of them."""

from collections.abc import Iterable
from typing import Any

import pytest

#: What may be absent without making a run a failure.
EXCEPTED_MARKER = "shared_data"
_UNCOLLECTED = "uncollected"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--no-skips``."""
    parser.addoption("--no-skips", action="store_true", help="fail if any test was skipped")


def pytest_configure(config: pytest.Config) -> None:
    """Watch this run."""
    config.pluginmanager.register(_Skips(strict=config.getoption("--no-skips")), "dorfbote-skips")


class _Skips:
    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._skipped: list[str] = []
        self._uncollected: list[str] = []
        self._excepted: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            names = self._excepted if EXCEPTED_MARKER in report.keywords else self._skipped
            names.append(f"{report.nodeid} ({_reason(report)})")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._uncollected.append(f"{report.nodeid} ({_reason(report)})")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        # What a process of pytest-xdist does not collect, it tells nobody of its own accord.
        self._uncollected += getattr(node, "workeroutput", {}).get(_UNCOLLECTED, [])

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[_UNCOLLECTED] = self._uncollected
        self._skipped += dict.fromkeys(self._uncollected)
        if self._strict and self._skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        verdict = "skipped, which fails this run" if self._strict else "skipped"
        _list(terminalreporter, verdict, self._skipped)
        _list(terminalreporter, "skipped for want of shared data", self._excepted)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


def _list(reporter: pytest.TerminalReporter, title: str, names: Iterable[str]) -> None:
    for position, name in enumerate(names):
        if position == 0:
            reporter.section(title)
        reporter.line(name)

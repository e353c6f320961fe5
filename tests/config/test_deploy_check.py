"""What only a demo may do is refused in production."""

from django.core.checks import run_checks
from pytest_django import Settings


def test_a_clock_that_can_be_steered_is_refused_in_production(settings: Settings) -> None:
    settings.CLOCK_FILE = "/somewhere/clock.json"

    assert "common.E001" in {fault.id for fault in run_checks(include_deployment_checks=True)}


def test_the_real_clock_is_accepted(settings: Settings) -> None:
    settings.CLOCK_FILE = ""

    assert "common.E001" not in {fault.id for fault in run_checks(include_deployment_checks=True)}
